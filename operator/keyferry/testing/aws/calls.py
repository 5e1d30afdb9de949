"""What was asked of the double: one record a call, with counts and waits for tests.

No record holds a secret value, a secret key or a token. `front` writes, `control` reads.
"""

from __future__ import annotations

import asyncio
import fnmatch
import time

import msgspec


class CallRecord(msgspec.Struct, kw_only=True):
    """One call to AWS.

    Args:
        number: position in the log, from 1.
        started: when it came, seconds since the epoch.
        service, action, region: what was asked, and the region it was signed for.
        secret_ids: the secrets that it names, as it names them.
        access_key_id: the key it is signed with; empty if unsigned.
        principal: the ARN of that key's owner; empty if unknown.
        session_tags, transitive_tag_keys: of the caller's session; for granted sessions, of the new one.
        role_arn: the role that it wants to assume.
        granted_access_key_id: the key of the session that it got.
        subject: the subject of the web identity that it presented and that was verified.
        user_agent: the client's.
        status: of the answer; 0 while it is under way or if the connection was cut.
        error: the error's code.
        seconds: how long it took.
        faults: kinds of the faults that hit the call as a whole.
    """

    number: int
    started: float
    service: str
    action: str
    region: str
    secret_ids: list[str] = []
    access_key_id: str = ""
    principal: str = ""
    session_tags: dict[str, str] = {}
    transitive_tag_keys: list[str] = []
    role_arn: str = ""
    granted_access_key_id: str = ""
    subject: str = ""
    user_agent: str = ""
    status: int = 0
    error: str = ""
    seconds: float = 0.0
    faults: list[str] = []
    done: bool = False


class CallFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls are meant: globs over service, action, secret ids and principal; empty means all."""

    service: str = ""
    action: str = ""
    secret: str = ""
    principal: str = ""

    def matches(self, record: CallRecord) -> bool:
        """Whether a call is meant."""
        plain = (
            (self.service, record.service),
            (self.action, record.action),
            (self.principal, record.principal),
        )
        return all(not pattern or fnmatch.fnmatchcase(value, pattern) for pattern, value in plain) and (
            not self.secret or any(fnmatch.fnmatchcase(one, self.secret) for one in record.secret_ids)
        )


class CallLog:
    """The calls since the last reset. Lives in the event loop's thread."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self._changed = asyncio.Condition()

    async def begin(self, record: CallRecord) -> None:
        """Note a call that has come."""
        self.records.append(record)
        record.number = len(self.records)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await self._notify()

    async def finish(self, record: CallRecord) -> None:
        """Note that a call has its answer, or will never get one."""
        record.seconds = time.time() - record.started
        record.done = True
        self.in_flight -= 1
        await self._notify()

    def select(self, wanted: CallFilter) -> list[CallRecord]:
        """The calls that are meant, in the order in which they came."""
        return [record for record in self.records if wanted.matches(record)]

    def reset(self) -> None:
        """Forget all calls and peaks."""
        self.records = []
        self.max_in_flight = self.in_flight

    async def wait(self, wanted: CallFilter, *, count: int, done: bool, timeout_s: float) -> bool:
        """Wait for so many calls to be done (or, if not `done`, to be under way at once); whether it came so."""

        def reached() -> bool:
            return sum(1 for record in self.select(wanted) if record.done is done) >= count

        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(reached)
        except TimeoutError:
            return False
        return True

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
