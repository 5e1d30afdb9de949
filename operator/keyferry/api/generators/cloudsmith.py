"""CloudsmithAccessToken: a login for Cloudsmith."""

from __future__ import annotations

from keyferry.api.meta import ServiceAccountSelector
from keyferry.api.model import Model


class CloudsmithAccessTokenSpec(Model, frozen=True, kw_only=True):
    """A login for Cloudsmith by a ServiceAccount that it trusts, under the keys auth and expiry."""

    api_url: str = ""
    """Address of Cloudsmith; https://api.cloudsmith.io if unset."""
    org_slug: str
    """Slug of the organization."""
    service_slug: str
    """Slug of the service that trusts the ServiceAccount."""
    service_account_ref: ServiceAccountSelector
    """The ServiceAccount."""
