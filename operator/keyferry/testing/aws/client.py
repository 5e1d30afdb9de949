"""The control API's client, synchronous, for tests and the demo."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec

from keyferry.testing.aws.calls import CallFilter, CallRecord
from keyferry.testing.aws.faults import Fault, Outage


class _Calls(msgspec.Struct):
    calls: list[CallRecord]
    in_flight: int
    max_in_flight: int


class AwsControl:
    """Orders to an AWS double.

    Args:
        url: the control API's address.
        token: the token that the double was started with.
    """

    def __init__(self, url: str, token: str) -> None:
        self._address = urllib.parse.urlsplit(url).netloc
        self._token = token

    def add_fault(self, fault: Fault) -> str:
        """Put a fault in force; its id."""
        return str(self._post("add_fault", fault)["id"])

    def fail(self, code: str, **fault: Any) -> str:
        """Answer with an AWS error; `fault` holds further fields of `Fault`. The fault's id."""
        return self.add_fault(Fault(code=code, **fault))

    def deny_kms(self, secret: str) -> str:
        """Deny the use of the KMS key of these secrets (a glob). The fault's id."""
        return self.fail("AccessDeniedException", action="*GetSecretValue", secret=secret)

    def throttle(self, *, retry_after_s: int = 0, **fault: Any) -> str:
        """Throttle, with a Retry-After header if it has a value. The fault's id."""
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        return self.fail("ThrottlingException", headers=headers, **fault)

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
        """Begin or end an outage of the whole endpoint: `refuse`, `reset`, `none`."""
        self._post("outage", {"outage": outage})

    def trust_issuer(self, url: str, ca_pem: str) -> None:
        """Believe this CA for the discovery document and keys of this issuer."""
        self._post("trust_issuer", {"url": url, "ca_pem": ca_pem})

    def session_lifetime(self, seconds: float) -> None:
        """Let all new credentials live so long, whatever is asked for; 0 ends that."""
        self._post("lifetime", {"seconds": seconds})

    def expire_sessions(self, access_key_id: str = "") -> int:
        """End temporary credentials now: those with that key id, or all. How many there were."""
        return int(self._post("expire", {"access_key_id": access_key_id})["ended"])

    def administrator_keys(self, account: str, partition: str = "aws") -> tuple[str, str]:
        """Access key id and secret key of a user who may do everything in that account."""
        keys = self._post("administrator", {"account": account, "partition": partition})
        return keys["access_key_id"], keys["secret_access_key"]

    def calls(self, **wanted: str) -> list[CallRecord]:
        """The calls since the last reset, in order; `wanted` holds fields of `CallFilter`."""
        return self._log(CallFilter(**wanted)).calls

    def count(self, **wanted: str) -> int:
        """How many such calls there were since the last reset."""
        return len(self.calls(**wanted))

    def max_in_flight(self) -> int:
        """Most calls under way at once since the last reset."""
        return self._log(CallFilter()).max_in_flight

    def reset_calls(self) -> None:
        """Forget all calls."""
        self._post("reset_calls", {})

    def wait_for_calls(self, count: int = 1, *, timeout_s: float = 10.0, **wanted: str) -> None:
        """Wait until so many such calls are done.

        Raises:
            TimeoutError: they did not come in time.
        """
        self._wait(count, CallFilter(**wanted), done=True, timeout_s=timeout_s)

    def wait_for_calls_in_flight(self, count: int = 1, *, timeout_s: float = 10.0, **wanted: str) -> None:
        """Wait until so many such calls are under way at once. Raises as `wait_for_calls`."""
        self._wait(count, CallFilter(**wanted), done=False, timeout_s=timeout_s)

    def _wait(self, count: int, wanted: CallFilter, *, done: bool, timeout_s: float) -> None:
        order = {"filter": wanted, "count": count, "done": done, "timeout_s": timeout_s}
        if not self._post("wait", order, timeout_s=timeout_s + 5)["reached"]:
            state = "done" if done else "under way"
            raise TimeoutError(f"no {count} calls {state} within {timeout_s} s: {wanted}")

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
            raise RuntimeError(f"the AWS double refused {name}: {response.status} {body.decode()}")
        return body
