"""Grafana: a service account of Grafana."""

from __future__ import annotations

from keyferry.api.meta import LocalSecretKeySelector
from keyferry.api.model import Model


class GrafanaBasicAuth(Model, frozen=True, kw_only=True):
    """A user name and a password."""

    username: str
    """The user's name."""
    password: LocalSecretKeySelector
    """The user's password, kept in a Secret."""


class GrafanaAuth(Model, frozen=True, kw_only=True):
    """How to authenticate, as somebody who may create service accounts."""

    token: LocalSecretKeySelector | None = None
    """A service account token kept in a Secret."""
    basic: GrafanaBasicAuth | None = None
    """A user name and a password."""


class GrafanaServiceAccount(Model, frozen=True, kw_only=True):
    """The service account to create."""

    name: str
    """Its name."""
    role: str
    """Its role, such as Viewer."""


class GrafanaSpec(Model, frozen=True, kw_only=True):
    """A service account of Grafana with a token, under the keys login and token."""

    url: str
    """Address of Grafana."""
    auth: GrafanaAuth
    """How to authenticate, as somebody who may create service accounts."""
    service_account: GrafanaServiceAccount
    """The service account to create."""
