"""The AWS endpoint itself: one loopback port for all services, faults included.

Reads a call, notes it, lets faults strike, has it decided in the one thread that owns moto, answers.
The port can be closed and opened again (an outage); the control API has a port of its own, so that no
AWS client can reach it by accident and so that it works during an outage.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from keyferry.aio import ThreadDoor
from keyferry.testing.aws.calls import CallRecord
from keyferry.testing.aws.double import AwsDouble, Outcome
from keyferry.testing.aws.faults import ActiveFault, Faults
from keyferry.testing.aws.gate import UNSIGNED, Caller, Session
from keyferry.testing.aws.web_identity import WebIdentity, key_of, read_claim, verify
from keyferry.testing.aws.wire import Answer, AwsError, Call, HttpRequest, read_call
from keyferry.testing.issuerkeys import IssuerKeys
from keyferry.testing.listener import HeldPort
from keyferry.testing.owned.calls import CallLog
from keyferry.testing.owned.control import Outage
from keyferry.testing.owned.trouble import broken_body, cut

MAX_REQUEST_BYTES: Final = 1 << 20
log = logging.getLogger(__name__)


class Front:
    """The AWS endpoint.

    Args:
        port: the loopback port; 0 for a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self.faults = Faults()
        self.calls: CallLog[CallRecord] = CallLog()
        self.issuers = IssuerKeys()
        self._door = ThreadDoor("aws-double", 1)
        self._double: AwsDouble | None = None
        self._runner: web.AppRunner | None = None
        self._held: HeldPort | None = None
        self._outage: Outage = "none"
        self._port = port

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def double(self) -> AwsDouble:
        """What decides. Ask it only through `in_thread`."""
        if self._double is None:
            raise RuntimeError("the front is not started")
        return self._double

    @property
    def door(self) -> ThreadDoor:
        """The way into the one thread that owns moto."""
        return self._door

    async def start(self) -> None:
        """Listen."""
        self._double = await self._door.run(AwsDouble, self.faults)
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await self._runner.setup()
        self._held = HeldPort(self._runner, self._port)
        self._port = self._held.port
        await self._held.open()

    async def stop(self) -> None:
        """Answer nobody any more."""
        self.faults.remove()
        if self._runner and self._held:
            self._held.cut_connections()
            await self._runner.cleanup()
            self._held.close()
        self._door.close()

    async def set_outage(self, outage: Outage) -> None:
        """Begin or end an outage. Open connections are cut; the port stays ours."""
        if self._held is None:
            raise RuntimeError("the front is not started")
        self._outage = outage
        if outage == "refuse":
            await self._held.refuse()
        else:
            await self._held.open()
        if outage == "reset":
            self._held.cut_connections()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._outage == "reset":
            return cut(request)
        raw = HttpRequest(
            request.method,
            request.raw_path.partition("?")[0],
            request.raw_path.partition("?")[2],
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        try:
            call = read_call(raw)
        except AwsError as error:
            return _response(error.answer("json" if "x-amz-target" in raw.headers else "query", "sts"))
        caller = await self._door.run(self.double.find, call)
        record = _record(call, caller)
        await self.calls.begin(record)
        try:
            struck = self.faults.strike(call, record.principal)
            record.faults = [one.fault.kind for one in struck]
            async for response in self._misbehave(request, call, record, struck):
                return response
            answer = await self._decide(call, caller, record)
            record.status = answer.status
            record.error = record.error or answer.headers.get("X-Amzn-ErrorType", "")
            return _response(answer)
        finally:
            await self.calls.finish(record)

    async def _decide(self, call: Call, caller: Caller | None, record: CallRecord) -> Answer:
        try:
            identity = None
            if call.service == "sts" and call.action in UNSIGNED:
                identity = await self._verify(call)
                record.subject = identity.subject
            outcome: Outcome = await self._door.run(self.double.answer, call, caller, identity)
        except AwsError as error:
            record.error = error.code
            return error.answer(call.protocol, call.service)
        except Exception:
            # A hole in the double must be loud and must not look like an answer of AWS.
            log.exception("the AWS double failed on %s:%s", call.service, call.action)
            record.error = "DoubleFailed"
            return AwsError("DoubleFailed", "see the double's log", status=501).answer(
                call.protocol, call.service
            )
        if outcome.session:
            record.granted_access_key_id = outcome.session.access_key_id
            _note_session(record, outcome.session)
        return outcome.answer

    async def _verify(self, call: Call) -> WebIdentity:
        token = call.text("WebIdentityToken")
        claim = read_claim(token)
        known = await self._door.run(self.double.known_audiences, call, claim.issuer)
        return verify(token, claim, await key_of(self.issuers, claim), known)

    async def _misbehave(
        self, request: web.Request, call: Call, record: CallRecord, struck: list[ActiveFault]
    ) -> AsyncIterator[web.StreamResponse]:
        """What the faults make of the call: nothing, or the response that it gets."""
        for one in struck:
            match one.fault.kind:
                case "delay":
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(one.removed.wait(), one.fault.seconds)
                case "hold":
                    await one.removed.wait()
                case "error":
                    error = one.fault.error()
                    record.error = error.code
                    answer = error.answer(call.protocol, call.service)
                    record.status = answer.status
                    yield _response(answer)
                case "cut-before":
                    yield cut(request)
                case "cut-body" | "endless":
                    endless = one.removed if one.fault.kind == "endless" else None
                    yield await broken_body(
                        request, b'{"ARN": "arn:aws:secretsmanager:', "application/x-amz-json-1.1", endless
                    )
                case "malformed":
                    record.status = 200
                    yield web.Response(body=b'{"ARN": <html>', content_type="application/x-amz-json-1.1")


def _record(call: Call, caller: Caller | None) -> CallRecord:
    record = CallRecord(
        number=0,
        started=time.time(),
        service=call.service,
        action=call.action,
        region=call.region,
        secret_ids=list(call.secret_ids),
        access_key_id=call.signature.access_key_id if call.signature else "",
        principal=caller.arn if caller else "",
        role_arn=call.text("RoleArn"),
        user_agent=call.request.headers.get("user-agent", ""),
    )
    if caller and caller.session:
        _note_session(record, caller.session)
    return record


def _note_session(record: CallRecord, session: Session) -> None:
    record.session_tags = dict(session.tags)
    record.transitive_tag_keys = sorted(session.transitive_tag_keys)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
