"""`spec.provider.gitlab`: CI/CD variables of GitLab."""

from __future__ import annotations

from msgspec import field

from keyferry.api.meta import Base64, CAProvider, SecretKeySelector
from keyferry.api.model import Model


class GitlabSecretRef(Model, frozen=True, kw_only=True):
    """Credentials kept in Secrets."""

    access_token: SecretKeySelector | None = None
    """Access token that may read the variables."""


class GitlabAuth(Model, frozen=True, kw_only=True):
    """Who asks."""

    secret_ref: GitlabSecretRef = field(name="SecretRef")
    """Credentials kept in Secrets."""


class GitlabProvider(Model, frozen=True, kw_only=True):
    """A store in GitLab."""

    url: str = ""
    """Address of GitLab; https://gitlab.com/ if unset."""
    auth: GitlabAuth
    """Who asks."""
    project_id: str = field(name="projectID", default="")
    """Project whose variables are read."""
    inherit_from_groups: bool = False
    """Reads the variables of the project's groups too."""
    group_ids: tuple[str, ...] = field(name="groupIDs", default=())
    """Groups whose variables are read, from left to right; those of the project win."""
    environment: str = ""
    """Environment scope of the variables; all environments if unset."""
    ca_bundle: Base64 = ""
    """Certificate authority of the server, as PEM in base64."""
    ca_provider: CAProvider | None = None
    """Where the server's certificate authority is kept."""
