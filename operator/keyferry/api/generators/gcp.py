"""GCRAccessToken: a login for Google's container registries."""

from __future__ import annotations

from msgspec import field

from keyferry.api.model import Model
from keyferry.api.providers.gcpsm import GCPSMAuth


class GCRAccessTokenSpec(Model, frozen=True, kw_only=True):
    """A login for Google's container registries, under the keys username, password and expiry."""

    auth: GCPSMAuth
    """Who asks; the identity of the operator's surroundings if it is empty."""
    project_id: str = field(name="projectID")
    """Project to authenticate with."""
