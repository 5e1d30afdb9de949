"""VaultDynamicSecret: whatever a secrets engine of Vault makes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import field

from keyferry.api.model import Model, schema
from keyferry.api.providers.vault import VaultProvider
from keyferry.api.secret_store import RetrySettings

VaultResultType = Literal["Data", "Auth", "Raw"]


class VaultDynamicSecretSpec(Model, frozen=True, kw_only=True):
    """Whatever a secrets engine of Vault answers, one key for each field of the answer."""

    controller: str = ""
    """Class of the controller that serves this generator; another one leaves it alone. Every controller does
    if unset."""
    provider: VaultProvider
    """Vault, and how to log in."""
    path: str
    """Path to call in Vault, such as database/creds/my-role."""
    method: str = ""
    """HTTP method; GET if unset."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What is sent to Vault by methods other than GET."""
    get_parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Query parameters of GET."""
    result_type: Annotated[VaultResultType, schema(default="Data")] = "Data"
    """Which part of the answer is taken: its data (Data), the login in it (Auth), or all of it (Raw)."""
    retry_settings: RetrySettings | None = None
    """How failed calls to Vault are repeated."""
    allow_empty_response: Annotated[bool, schema(default=False)] = False
    """Takes an answer without data instead of reporting an error."""
