"""The control API of the Azure double: administration, faults, outages, expiry, the call log.

JSON over HTTP on a loopback port of its own, for bearers of the token that the process was started with.
`client.AzureControl` is its client; nothing else should speak it.
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from keyferry.testing.azure.calls import CallFilter
from keyferry.testing.azure.faults import Fault, Outage
from keyferry.testing.azure.front import Front
from keyferry.testing.azure.office import Office
from keyferry.testing.azure.tokens import LIFETIME_S
from keyferry.testing.azure.wire import AzureError


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    operation: str
    arguments: dict[str, Any]


class _OutageChange(msgspec.Struct, forbid_unknown_fields=True):
    outage: Outage


class _Lifetime(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class _Revocation(msgspec.Struct, forbid_unknown_fields=True):
    oid: str = ""


class _Removal(msgspec.Struct, forbid_unknown_fields=True):
    id: str = ""


class _Wait(msgspec.Struct, forbid_unknown_fields=True):
    filter: CallFilter
    count: int
    done: bool
    timeout_s: float


class Control:
    """The control API over a front.

    Args:
        front: what is controlled.
        token: what callers must bear.
    """

    def __init__(self, front: Front, token: str) -> None:
        self._front = front
        self._office = Office(front.world, front.open_port)
        self._expected = f"Bearer {token}"

    def app(self) -> web.Application:
        """The API as an application."""
        app = web.Application(middlewares=[self._only_bearers], client_max_size=1 << 22)
        for name in (
            "administer",
            "add_fault",
            "remove_faults",
            "fault_hits",
            "outage",
            "lifetime",
            "revoke_tokens",
            "calls",
            "reset_calls",
            "wait",
        ):
            app.router.add_post(f"/_keyferry/{name}", _in_json(getattr(self, f"_{name}")))
        return app

    @web.middleware
    async def _only_bearers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get("Authorization", ""), self._expected):
            return web.Response(status=401)
        return await handler(request)

    async def _administer(self, body: bytes) -> Any:
        order = msgspec.json.decode(body, type=_Order)
        if order.operation.startswith("_"):
            raise ValueError(order.operation)
        result = getattr(self._office, order.operation)(**order.arguments)
        return await result if inspect.isawaitable(result) else result

    async def _add_fault(self, body: bytes) -> Any:
        return {"id": self._front.faults.add(msgspec.json.decode(body, type=Fault))}

    async def _remove_faults(self, body: bytes) -> Any:
        self._front.faults.remove(msgspec.json.decode(body, type=_Removal).id)

    async def _fault_hits(self, _: bytes) -> Any:
        return self._front.faults.hits()

    async def _outage(self, body: bytes) -> Any:
        await self._front.set_outage(msgspec.json.decode(body, type=_OutageChange).outage)

    async def _lifetime(self, body: bytes) -> Any:
        seconds = msgspec.json.decode(body, type=_Lifetime).seconds
        self._front.world.tokens.lifetime_s = seconds or LIFETIME_S

    async def _revoke_tokens(self, body: bytes) -> Any:
        return {"ended": self._front.world.tokens.revoke(msgspec.json.decode(body, type=_Revocation).oid)}

    async def _calls(self, body: bytes) -> Any:
        log = self._front.calls
        selected = log.select(msgspec.json.decode(body, type=CallFilter))
        return {
            "calls": selected,
            "in_flight": log.in_flight,
            "max_in_flight": log.max_in_flight,
            "refused_hosts": self._front.proxy.refused,
        }

    async def _reset_calls(self, _: bytes) -> Any:
        self._front.calls.reset()
        self._front.proxy.refused.clear()

    async def _wait(self, body: bytes) -> Any:
        wait = msgspec.json.decode(body, type=_Wait)
        reached = await self._front.calls.wait(
            wait.filter, count=wait.count, done=wait.done, timeout_s=wait.timeout_s
        )
        return {"reached": reached}


def _in_json(
    operation: Callable[[bytes], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            result = await operation(await request.read())
        except AzureError as error:
            return web.Response(status=400, text=f"{error.code}: {error.answer.content}")
        except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
            return web.Response(status=400, text=f"{type(error).__name__}: {error}")
        return web.Response(body=msgspec.json.encode(result), content_type="application/json")

    return handle
