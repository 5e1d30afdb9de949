"""BeyondtrustWorkloadCredentialsDynamicSecret: temporary credentials of BeyondTrust Workload Credentials."""

from __future__ import annotations

from typing import Any

from keyferry.api.model import Model
from keyferry.api.secret_store import RetrySettings


class BeyondtrustWorkloadCredentialsDynamicSecretSpec(Model, frozen=True, kw_only=True):
    """Temporary credentials of BeyondTrust Workload Credentials."""

    controller: str = ""
    """Class of the controller that serves this generator; another one leaves it alone. Every controller does
    if unset."""
    provider: dict[str, Any]
    """The server, how to authenticate, and the folder of the dynamic secret."""
    retry_settings: RetrySettings | None = None
    """How failed calls are repeated."""
