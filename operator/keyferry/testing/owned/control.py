"""The control API of a double: faults, outages, the call log.

JSON over HTTP on a loopback port of its own, for bearers of the token that the process was started with.
`client.ControlClient` is its client; nothing else should speak it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol

import msgspec
from aiohttp import web

from keyferry.testing.owned.calls import CallLog

Outage = Literal["none", "refuse", "reset"]
"""none: served; refuse: nothing listens; reset: connections are accepted and cut."""
Operation = Callable[[bytes], Awaitable[Any]]


class _OutageChange(msgspec.Struct, forbid_unknown_fields=True):
    outage: Outage


class _Removal(msgspec.Struct, forbid_unknown_fields=True):
    id: str = ""


class _Wait(msgspec.Struct, forbid_unknown_fields=True):
    filter: msgspec.Raw
    count: int
    done: bool
    timeout_s: float


class _Faults(Protocol):
    def add(self, fault: Any) -> str: ...

    def remove(self, fault_id: str) -> None: ...

    def hits(self) -> Mapping[str, int]: ...


class _Front(Protocol):
    """What is controlled."""

    @property
    def faults(self) -> _Faults: ...

    @property
    def calls(self) -> CallLog[Any]: ...

    async def set_outage(self, outage: Outage) -> None: ...


class ControlApi:
    """The control API over a front. Subclasses add orders of their own.

    Args:
        front: what is controlled.
        token: what callers must bear.
    """

    fault: ClassVar[type[Any]]
    """What a fault is, on the wire."""
    filter: ClassVar[type[Any]]
    """Which calls are meant, on the wire."""
    max_bytes: ClassVar[int] = 1 << 20
    """Longest order."""
    refused: ClassVar[tuple[type[Exception], ...]] = (msgspec.DecodeError,)
    """What an order that is none raises."""

    def __init__(self, front: _Front, token: str) -> None:
        self._controlled = front
        self._expected = f"Bearer {token}"

    def orders(self) -> dict[str, Operation]:
        """All orders, by name."""
        return {
            "add_fault": self._add_fault,
            "remove_faults": self._remove_faults,
            "fault_hits": self._fault_hits,
            "outage": self._outage,
            "calls": self._calls,
            "reset_calls": self._reset_calls,
            "wait": self._wait,
        }

    def app(self) -> web.Application:
        """The API as an application."""
        app = web.Application(middlewares=[self._only_bearers], client_max_size=self.max_bytes)
        for name, operation in self.orders().items():
            app.router.add_post(f"/_keyferry/{name}", self._in_json(operation))
        return app

    def told(self, error: Exception) -> str:
        """What whoever gave an order is told of its failure."""
        return str(error)

    @web.middleware
    async def _only_bearers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get("Authorization", ""), self._expected):
            return web.Response(status=401)
        return await handler(request)

    def _in_json(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                result = await operation(await request.read())
            except self.refused as error:
                return web.Response(status=400, text=self.told(error))
            return web.Response(body=msgspec.json.encode(result), content_type="application/json")

        return handle

    async def _add_fault(self, body: bytes) -> Any:
        return {"id": self._controlled.faults.add(msgspec.json.decode(body, type=self.fault))}

    async def _remove_faults(self, body: bytes) -> Any:
        self._controlled.faults.remove(msgspec.json.decode(body, type=_Removal).id)

    async def _fault_hits(self, _: bytes) -> Any:
        return self._controlled.faults.hits()

    async def _outage(self, body: bytes) -> Any:
        await self._controlled.set_outage(msgspec.json.decode(body, type=_OutageChange).outage)

    async def _calls(self, body: bytes) -> Any:
        log = self._controlled.calls
        selected = log.select(msgspec.json.decode(body, type=self.filter))
        return {"calls": selected, "in_flight": log.in_flight, "max_in_flight": log.max_in_flight}

    async def _reset_calls(self, _: bytes) -> Any:
        self._controlled.calls.reset()

    async def _wait(self, body: bytes) -> Any:
        wait = msgspec.json.decode(body, type=_Wait)
        reached = await self._controlled.calls.wait(
            msgspec.json.decode(wait.filter, type=self.filter),
            count=wait.count,
            done=wait.done,
            timeout_s=wait.timeout_s,
        )
        return {"reached": reached}
