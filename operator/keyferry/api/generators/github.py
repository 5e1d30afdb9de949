"""GithubAccessToken: a token of a GitHub App."""

from __future__ import annotations

from msgspec import field

from keyferry.api.meta import SecretKeySelector
from keyferry.api.model import Model


class GithubSecretRef(Model, frozen=True, kw_only=True):
    """A value kept in a Secret."""

    secret_ref: SecretKeySelector
    """The Secret."""


class GithubAuth(Model, frozen=True, kw_only=True):
    """How to authenticate as the App."""

    private_key: GithubSecretRef
    """The App's private key, as PEM."""


class GithubAccessTokenSpec(Model, frozen=True, kw_only=True):
    """An installation token of a GitHub App, under the key token. It lasts one hour."""

    url: str = ""
    """Address of GitHub; https://github.com/ if unset."""
    app_id: str = field(name="appID")
    """Id of the App."""
    install_id: str = field(name="installID")
    """Id of the App's installation."""
    repositories: tuple[str, ...] = ()
    """Names of the repositories that the token opens; all of the installation if unset."""
    permissions: dict[str, str] = field(default_factory=dict)
    """Permissions of the token, such as contents: read; all of the App if unset."""
    auth: GithubAuth
    """How to authenticate as the App."""
