"""The control API's client, synchronous, for tests and the demo."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from keyferry.testing.owned.calls import Record
from keyferry.testing.owned.control import Outage

R = TypeVar("R", bound=Record)


class ControlClient(Generic[R]):
    """Orders to a double. Subclasses add those that it alone understands.

    Args:
        url: the control API's address.
        token: the token that the double was started with.
    """

    double: ClassVar[str]
    """What it is a double of."""
    record: ClassVar[type[Any]]
    """What it notes of a call."""
    filter: ClassVar[type[Any]]
    """Which calls are meant."""

    def __init__(self, url: str, token: str) -> None:
        self._address = urllib.parse.urlsplit(url).netloc
        self._token = token

    def add_fault(self, fault: msgspec.Struct) -> str:
        """Put a fault in force; its id."""
        return str(self._post("add_fault", fault)["id"])

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
        """Begin or end an outage: `refuse`, `reset`, `none`."""
        self._post("outage", {"outage": outage})

    def calls(self, **wanted: Any) -> list[R]:
        """The calls since the last reset, in order; `wanted` holds fields of the double's filter."""
        return [msgspec.convert(one, self.record) for one in self._log(**wanted)["calls"]]

    def count(self, **wanted: Any) -> int:
        """How many such calls there were since the last reset."""
        return len(self.calls(**wanted))

    def max_in_flight(self) -> int:
        """Most calls under way at once since the last reset."""
        return int(self._log()["max_in_flight"])

    def reset_calls(self) -> None:
        """Forget all calls."""
        self._post("reset_calls", {})

    def wait_for_calls(self, count: int = 1, *, timeout_s: float = 10.0, **wanted: Any) -> None:
        """Wait until so many such calls are done.

        Raises:
            TimeoutError: they did not come in time.
        """
        self._wait(count, self.filter(**wanted), done=True, timeout_s=timeout_s)

    def wait_for_calls_in_flight(self, count: int = 1, *, timeout_s: float = 10.0, **wanted: Any) -> None:
        """Wait until so many such calls are under way at once. Raises as `wait_for_calls`."""
        self._wait(count, self.filter(**wanted), done=False, timeout_s=timeout_s)

    def _wait(self, count: int, wanted: msgspec.Struct, *, done: bool, timeout_s: float) -> None:
        order = {"filter": wanted, "count": count, "done": done, "timeout_s": timeout_s}
        if not self._post("wait", order, timeout_s=timeout_s + 5)["reached"]:
            state = "done" if done else "under way"
            raise TimeoutError(f"no {count} calls {state} within {timeout_s} s: {wanted}")

    def _log(self, **wanted: Any) -> Any:
        return self._post("calls", self.filter(**wanted))

    def _post(self, name: str, content: Any, *, timeout_s: float = 15.0) -> Any:
        connection = http.client.HTTPConnection(self._address, timeout=timeout_s)
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            connection.request("POST", f"/_keyferry/{name}", msgspec.json.encode(content), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"the {self.double} double refused {name}: {response.status} {body.decode()}")
        return msgspec.json.decode(body)
