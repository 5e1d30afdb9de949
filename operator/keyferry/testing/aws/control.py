"""The control API of the AWS double: faults, outages, expiry, issuers, the call log.

JSON over HTTP on a loopback port of its own, for bearers of the token that the process was started
with. `client.AwsControl` is its client; nothing else should speak it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from keyferry.testing.aws.calls import CallFilter
from keyferry.testing.aws.faults import Fault, Outage
from keyferry.testing.aws.front import Front


class _Issuer(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    ca_pem: str


class _OutageChange(msgspec.Struct, forbid_unknown_fields=True):
    outage: Outage


class _Lifetime(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class _Expiry(msgspec.Struct, forbid_unknown_fields=True):
    access_key_id: str = ""


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    partition: str = "aws"


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
        self._expected = f"Bearer {token}"

    def app(self) -> web.Application:
        """The API as an application."""
        app = web.Application(middlewares=[self._only_bearers], client_max_size=1 << 20)
        for name in (
            "add_fault",
            "remove_faults",
            "fault_hits",
            "outage",
            "trust_issuer",
            "lifetime",
            "expire",
            "administrator",
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

    async def _add_fault(self, body: bytes) -> Any:
        return {"id": self._front.faults.add(msgspec.json.decode(body, type=Fault))}

    async def _remove_faults(self, body: bytes) -> Any:
        self._front.faults.remove(msgspec.json.decode(body, type=_Removal).id)

    async def _fault_hits(self, _: bytes) -> Any:
        return self._front.faults.hits()

    async def _outage(self, body: bytes) -> Any:
        await self._front.set_outage(msgspec.json.decode(body, type=_OutageChange).outage)

    async def _trust_issuer(self, body: bytes) -> Any:
        issuer = msgspec.json.decode(body, type=_Issuer)
        self._front.issuers.trust(issuer.url, issuer.ca_pem)

    async def _lifetime(self, body: bytes) -> Any:
        self._front.double.sts.lifetime_s = msgspec.json.decode(body, type=_Lifetime).seconds

    async def _expire(self, body: bytes) -> Any:
        key = msgspec.json.decode(body, type=_Expiry).access_key_id
        expire = self._front.double.sts.expire
        return {"ended": await self._front.door.run(expire, key, datetime.now(UTC))}

    async def _administrator(self, body: bytes) -> Any:
        wanted = msgspec.json.decode(body, type=_Account)
        administrator = self._front.double.administrator
        keys = await self._front.door.run(administrator, wanted.account, wanted.partition)
        return {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key}

    async def _calls(self, body: bytes) -> Any:
        log = self._front.calls
        selected = log.select(msgspec.json.decode(body, type=CallFilter))
        return {"calls": selected, "in_flight": log.in_flight, "max_in_flight": log.max_in_flight}

    async def _reset_calls(self, _: bytes) -> Any:
        self._front.calls.reset()

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
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(body=msgspec.json.encode(result), content_type="application/json")

    return handle
