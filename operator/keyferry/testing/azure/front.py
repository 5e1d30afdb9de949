"""The double's ports: one over TLS for all services with host names, one for each local vault or registry, IMDS.

Reads a request, notes it, lets faults strike, has it answered. Ports can be closed and opened again (an outage).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from keyferry.testing.azure.calls import CallRecord
from keyferry.testing.azure.faults import ActiveFault, Faults
from keyferry.testing.azure.proxy import Proxy
from keyferry.testing.azure.wire import (
    AzureError,
    Request,
    entra_error,
    machine_error,
    registry_error,
    vault_error,
)
from keyferry.testing.azure.world import HTTPS, Place, Service, World, headers_of
from keyferry.testing.httpdouble import Answer
from keyferry.testing.listener import HeldPort
from keyferry.testing.owned.calls import CallLog
from keyferry.testing.owned.control import Outage
from keyferry.testing.owned.trouble import broken_body, cut

MAX_REQUEST_BYTES: Final = 1 << 20
_HALF: Final = b'{"value": "this is only the begin'
log = logging.getLogger(__name__)


class Front:
    """All ports but the control API's.

    Args:
        world: what answers.
        tls: the certificate.
        port: of the TLS port; 0 for a free one.
    """

    def __init__(self, world: World, tls: ssl.SSLContext, port: int = 0) -> None:
        self.world = world
        self.faults = Faults()
        self.calls: CallLog[CallRecord] = CallLog()
        self.proxy = Proxy(world.knows, lambda: self.port)
        self._tls = tls
        self._wanted = port
        self._outage: Outage = "none"
        self._runners: list[web.AppRunner] = []
        self._held: list[HeldPort] = []
        self.port = 0
        self.machine_port = 0

    async def start(self) -> None:
        """Listen."""
        self.port = await self.open_port(self._wanted)
        self.world.login_port = self.port
        self.machine_port = (await self._listen(0, None)).port
        await self.proxy.start()

    async def open_port(self, port: int = 0) -> int:
        """One more port over TLS."""
        held = await self._listen(port, self._tls)
        self._held.append(held)
        return held.port

    async def _listen(self, port: int, tls: ssl.SSLContext | None) -> HeldPort:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        self._runners.append(runner)
        held = HeldPort(runner, port, tls=tls)
        await held.open()
        return held

    async def stop(self) -> None:
        """Answer nobody any more."""
        self.faults.remove()
        await self.proxy.stop()
        for held in self._held:
            held.cut_connections()
        for runner in self._runners:
            await runner.cleanup()
        for held in self._held:
            held.close()

    async def set_outage(self, outage: Outage) -> None:
        """Begin or end an outage of all but the metadata service. The ports stay ours."""
        self._outage = outage
        for held in self._held:
            if outage == "refuse":
                await held.refuse()
            else:
                await held.open()
            if outage == "reset":
                held.cut_connections()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._outage == "reset":
            return cut(request)
        asked, local_port, by_proxy = await self._read(request)
        place = (
            Place("machine") if local_port == self.machine_port else self.world.place(asked.host, asked.port)
        )
        record = CallRecord(
            number=0,
            started=time.time(),
            service=place.service,
            host=asked.host,
            method=asked.method,
            path=asked.path,
            by_proxy=by_proxy,
            user_agent=asked.headers.get("user-agent", ""),
        )
        await self.calls.begin(record)
        try:
            struck = self.faults.strike(record.service, record.host, record.method, record.path)
            record.faults = [one.fault.kind for one in struck]
            async for response in self._misbehave(request, place.service, record, struck):
                return response
            answer = await self._decide(asked, place, record)
            record.status = answer.status
            return _response(answer, headers_of(place.service, asked))
        finally:
            await self.calls.finish(record)

    async def _read(self, request: web.Request) -> tuple[Request, int, bool]:
        transport = request.transport
        local = transport.get_extra_info("sockname")[1] if transport else 0
        peer = transport.get_extra_info("peername")[1] if transport else 0
        by_proxy = peer in self.proxy.ports
        host, _, port = (
            request.host.lower().rpartition(":") if ":" in request.host else (request.host.lower(), "", "")
        )
        # By name, as through the proxy, it is at the usual port, wherever the double really listens.
        named = int(port) if port.isdigit() else HTTPS
        asked = Request(
            request.method,
            host,
            named if local == named or by_proxy else HTTPS,
            request.path,
            {name: request.query[name] for name in request.query},
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        return asked, local, by_proxy

    async def _decide(self, asked: Request, place: Place, record: CallRecord) -> Answer:
        try:
            return await self.world.answer(asked, place, record)
        except AzureError as error:
            record.error = error.code
            return error.answer
        except Exception:
            # A hole in the double must be loud and must not look like an answer of Azure.
            log.exception("the Azure double failed on %s %s", asked.method, asked.path)
            record.error = "DoubleFailed"
            return Answer(501, {"error": "DoubleFailed"})

    async def _misbehave(
        self, request: web.Request, service: Service, record: CallRecord, struck: list[ActiveFault]
    ) -> AsyncIterator[web.StreamResponse]:
        """What the faults make of a request: nothing, or the response that it gets."""
        for one in struck:
            match one.fault.kind:
                case "delay":
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(one.removed.wait(), one.fault.seconds)
                case "hold":
                    await one.removed.wait()
                case "error":
                    error = _error(service, one)
                    record.status, record.error = error.answer.status, error.code
                    yield _response(error.answer, {})
                case "cut-before":
                    yield cut(request)
                case "cut-body" | "endless":
                    endless = one.removed if one.fault.kind == "endless" else None
                    yield await broken_body(request, _HALF, "application/json", endless)
                case "garbled":
                    record.status = 200
                    yield web.Response(body=b'{"value": <html>', content_type="application/json")
                case "empty":
                    record.status = 200
                    yield web.Response(body=b"", content_type="application/json")


def _error(service: Service, struck: ActiveFault) -> AzureError:
    """A fault's error, in the form of the service that it strikes."""
    fault = struck.fault
    headers = dict(fault.headers)
    match service:
        case "entra":
            if fault.code.isdigit():
                return entra_error(
                    fault.status, "temporarily_unavailable", int(fault.code), fault.body, **headers
                )
            content = {"error": fault.code or "temporarily_unavailable", "error_description": fault.body}
            return AzureError(Answer(fault.status, content, headers), fault.code)
        case "registry":
            return registry_error(fault.status, fault.code or "UNKNOWN", fault.body, **headers)
        case "machine":
            error = machine_error(fault.status, fault.code or "unknown", fault.body)
            return AzureError(Answer(fault.status, error.answer.content, headers), error.code)
    code = fault.code or {429: "Throttled", 401: "Unauthorized", 403: "Forbidden"}.get(
        fault.status, "InternalError"
    )
    outer, _, inner = code.partition("/")
    return vault_error(fault.status, outer, fault.body, inner, **headers)


def _response(answer: Answer, headers: dict[str, str]) -> web.Response:
    headers = headers | answer.headers
    if answer.content is None:
        return web.Response(status=answer.status, headers=headers)
    return web.Response(
        status=answer.status,
        headers=headers,
        body=_encoded(answer.content),
        content_type="application/json",
        charset="utf-8",
    )


def _encoded(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()
