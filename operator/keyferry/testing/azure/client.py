"""The control API's client, synchronous, for tests and the demo."""

from __future__ import annotations

from typing import Any

from keyferry.testing.azure.calls import CallFilter, CallRecord
from keyferry.testing.azure.faults import Fault
from keyferry.testing.owned.client import ControlClient


class AzureControl(ControlClient[CallRecord]):
    """Orders to an Azure double. See `ControlClient`."""

    double = "Azure"
    record = CallRecord
    filter = CallFilter

    def administer(self, operation: str, **arguments: Any) -> Any:
        """Have something done in this Azure; see `office.Office`.

        Raises:
            RuntimeError: it cannot be done.
        """
        return self._post("administer", {"operation": operation, "arguments": arguments})

    def fail(self, **fault: Any) -> str:
        """Let requests go wrong; `fault` holds fields of `Fault`. The fault's id."""
        return self.add_fault(Fault(**fault))

    def throttle(self, *, retry_after: str = "", **fault: Any) -> str:
        """Answer with 429, with a Retry-After header if it has a value. The fault's id."""
        headers = {"Retry-After": retry_after} if retry_after else {}
        return self.fail(status=429, headers=headers, **fault)

    def token_lifetime(self, seconds: float) -> None:
        """Let all new access tokens live so long; 0 ends that. The SDK renews five minutes before."""
        self._post("lifetime", {"seconds": seconds})

    def revoke_tokens(self, oid: str = "") -> int:
        """End the access tokens of an identity, or all, before their time. How many there were."""
        return int(self._post("revoke_tokens", {"oid": oid})["ended"])

    def token_requests(self, *, client_id: str = "") -> int:
        """How often a token was asked for, of Entra ID or of the machine, since the last reset."""
        paths = ("*/oauth2/v2.0/token", "/metadata/identity/oauth2/token", "/msi/token")
        asked = [call for path in paths for call in self.calls(path=path)]
        return sum(1 for call in asked if client_id in ("", call.client_id))

    def refused_hosts(self) -> list[str]:
        """Hosts that the proxy was asked for and does not know, since the last reset."""
        return list(self._log()["refused_hosts"])
