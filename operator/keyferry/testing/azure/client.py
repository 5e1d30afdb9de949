"""The control API's client, synchronous, for tests and the demo."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec

from keyferry.testing.azure.calls import CallFilter, CallRecord
from keyferry.testing.azure.faults import Fault, Outage


class _Calls(msgspec.Struct):
    calls: list[CallRecord]
    in_flight: int
    max_in_flight: int
    refused_hosts: list[str]


class AzureControl:
    """Orders to an Azure double.

    Args:
        url: the control API's address.
        token: the token that the double was started with.
    """

    def __init__(self, url: str, token: str) -> None:
        self._address = urllib.parse.urlsplit(url).netloc
        self._token = token

    def administer(self, operation: str, **arguments: Any) -> Any:
        """Have something done in this Azure; see `office.Office`.

        Raises:
            RuntimeError: it cannot be done.
        """
        return self._post("administer", {"operation": operation, "arguments": arguments})

    # Faults

    def add_fault(self, fault: Fault) -> str:
        """Put a fault in force; its id."""
        return str(self._post("add_fault", fault)["id"])

    def fail(self, **fault: Any) -> str:
        """Let requests go wrong; `fault` holds fields of `Fault`. The fault's id."""
        return self.add_fault(Fault(**fault))

    def throttle(self, *, retry_after: str = "", **fault: Any) -> str:
        """Answer with 429, with a Retry-After header if it has a value. The fault's id."""
        headers = {"Retry-After": retry_after} if retry_after else {}
        return self.fail(status=429, headers=headers, **fault)

    def remove_fault(self, fault_id: str) -> None:
        """End one fault."""
        self._post("remove_faults", {"id": fault_id})

    def clear_faults(self) -> None:
        """End all faults, and any outage."""
        self._post("remove_faults", {})
        self.outage("none")

    def fault_hits(self) -> Mapping[str, int]:
        """How often each fault in force struck, by id."""
        return dict(self._post("fault_hits", {}))

    def outage(self, outage: Outage) -> None:
        """Begin or end an outage of all but the metadata service: `refuse`, `reset`, `none`."""
        self._post("outage", {"outage": outage})

    # Tokens

    def token_lifetime(self, seconds: float) -> None:
        """Let all new access tokens live so long; 0 ends that. The SDK renews five minutes before."""
        self._post("lifetime", {"seconds": seconds})

    def revoke_tokens(self, oid: str = "") -> int:
        """End the access tokens of an identity, or all, before their time. How many there were."""
        return int(self._post("revoke_tokens", {"oid": oid})["ended"])

    # What was asked

    def calls(self, **wanted: Any) -> list[CallRecord]:
        """The requests since the last reset, in order; `wanted` holds fields of `CallFilter`."""
        return self._log(CallFilter(**wanted)).calls

    def count(self, **wanted: Any) -> int:
        """How many such requests there were since the last reset."""
        return len(self.calls(**wanted))

    def token_requests(self, *, client_id: str = "") -> int:
        """How often a token was asked for, of Entra ID or of the machine, since the last reset."""
        paths = ("*/oauth2/v2.0/token", "/metadata/identity/oauth2/token", "/msi/token")
        asked = [call for path in paths for call in self.calls(path=path)]
        return sum(1 for call in asked if client_id in ("", call.client_id))

    def max_in_flight(self) -> int:
        """Most requests under way at once since the last reset."""
        return self._log(CallFilter()).max_in_flight

    def refused_hosts(self) -> list[str]:
        """Hosts that the proxy was asked for and does not know, since the last reset."""
        return self._log(CallFilter()).refused_hosts

    def reset_calls(self) -> None:
        """Forget all requests."""
        self._post("reset_calls", {})

    def wait_for_calls(self, count: int = 1, *, timeout_s: float = 10.0, **wanted: Any) -> None:
        """Wait until so many such requests are done.

        Raises:
            TimeoutError: they did not come in time.
        """
        self._wait(count, CallFilter(**wanted), done=True, timeout_s=timeout_s)

    def wait_for_calls_in_flight(self, count: int = 1, *, timeout_s: float = 10.0, **wanted: Any) -> None:
        """Wait until so many such requests are under way at once. Raises as `wait_for_calls`."""
        self._wait(count, CallFilter(**wanted), done=False, timeout_s=timeout_s)

    def _wait(self, count: int, wanted: CallFilter, *, done: bool, timeout_s: float) -> None:
        order = {"filter": wanted, "count": count, "done": done, "timeout_s": timeout_s}
        if not self._post("wait", order, timeout_s=timeout_s + 5)["reached"]:
            state = "done" if done else "under way"
            raise TimeoutError(f"no {count} requests {state} within {timeout_s} s: {wanted}")

    def _log(self, wanted: CallFilter) -> _Calls:
        return msgspec.json.decode(self._send("calls", wanted), type=_Calls)

    def _post(self, name: str, content: Any, *, timeout_s: float = 15.0) -> Any:
        return msgspec.json.decode(self._send(name, content, timeout_s=timeout_s))

    def _send(self, name: str, content: Any, *, timeout_s: float = 15.0) -> bytes:
        connection = http.client.HTTPConnection(self._address, timeout=timeout_s)
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            connection.request("POST", f"/_keyferry/{name}", msgspec.json.encode(content), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"the Azure double refused {name}: {response.status} {body.decode()}")
        return body
