"""Kubernetes Events: what has happened to an object, for `kubectl describe`.

Sent after everything else and never in anybody's way: from a bounded queue by one task, when the work
queue leaves room. A repetition of the same event counts up the one that exists, as the API server's own
clients do, and too many for one object are dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keyferry.api import names
from keyferry.errors import KubeError, KubeNotFound, one_line
from keyferry.kube.client import MERGE_PATCH, KubeApi
from keyferry.ports import ObjectKey

log = logging.getLogger(__name__)

MAX_WAITING: Final = 20_000
MAX_REMEMBERED: Final = 4_096
CONCURRENCY: Final = 4
BURST: Final = 25
"""Events that one object may send at once; then one every `REFILL_S` seconds. As client-go's spam filter."""
REFILL_S: Final = 300.0
MESSAGE_LIMIT: Final = 1_024
_CLUSTER_NAMESPACE: Final = "default"

NORMAL: Final = "Normal"
WARNING: Final = "Warning"
SOURCES: Final = {
    names.EXTERNAL_SECRET: names.EVENT_SOURCE_EXTERNAL_SECRET,
    names.SECRET_STORE: names.EVENT_SOURCE_SECRET_STORE,
    names.CLUSTER_SECRET_STORE: names.EVENT_SOURCE_CLUSTER_SECRET_STORE,
    names.CLUSTER_EXTERNAL_SECRET: names.EVENT_SOURCE_CLUSTER_EXTERNAL_SECRET,
    names.GENERATOR_STATE: names.EVENT_SOURCE_GENERATOR_STATE,
}
API_VERSIONS: Final = {names.GENERATOR_STATE: names.GENERATORS_API_VERSION}
"""Of kinds that are of another group than ours are."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one object."""

    key: ObjectKey
    uid: str
    type: str
    reason: str
    message: str

    @property
    def digest(self) -> bytes:
        """What makes two events the same, in few bytes."""
        text = f"{self.uid}\0{self.type}\0{self.reason}\0{self.message}"
        return hashlib.blake2b(text.encode(), digest_size=12).digest()


@dataclass(slots=True)
class _Sent:
    name: str
    namespace: str
    count: int


@dataclass(slots=True)
class _Allowance:
    at: float
    left: float = BURST


class EventRecorder:
    """Takes events at any time, sends them when `may_send` says that nobody is in a hurry.

    Args:
        api: the connection.
        may_send: whether there is room; asked again every `PAUSE_S` seconds while there is none. After
            `LONGEST_DELAY_S` one event goes all the same.
        clock: seconds that only grow.
    """

    PAUSE_S: Final = 0.25
    LONGEST_DELAY_S: Final = 1.0

    def __init__(
        self, api: KubeApi, may_send: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._may_send = may_send
        self._clock = clock
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._sent: OrderedDict[bytes, _Sent] = OrderedDict()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._sending: dict[bytes, int] = {}
        """By digest, how often an event that is being sent has come again meanwhile."""
        self._quiet = asyncio.Event()
        self.dropped = 0
        """Events not sent because there were too many."""

    def record(self, key: ObjectKey, uid: str, type_: str, reason: str, message: str) -> None:
        """Note that something happened. Never blocks and never fails."""
        if not self._allowed(uid) or len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(Event(key, uid, type_, reason, one_line(message, MESSAGE_LIMIT)))
        self._arrived.set()

    def _allowed(self, uid: str) -> bool:
        now = self._clock()
        allowance = self._allowances.get(uid)
        if allowance is None:
            allowance = self._allowances[uid] = _Allowance(now)
            if len(self._allowances) > MAX_REMEMBERED:
                self._allowances.popitem(last=False)
        self._allowances.move_to_end(uid)
        allowance.left = min(BURST, allowance.left + (now - allowance.at) / REFILL_S)
        allowance.at = now
        if allowance.left < 1:
            return False
        allowance.left -= 1
        return True

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        workers = [asyncio.create_task(self._work(), name=f"events {n}") for n in range(CONCURRENCY)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            delayed = 0.0
            while not self._may_send() and delayed < self.LONGEST_DELAY_S:
                await asyncio.sleep(self.PAUSE_S)
                delayed += self.PAUSE_S
            if self._waiting:
                await self._send(self._waiting.popleft())

    async def flush(self, within_s: float) -> None:
        """Send what waits, at the end of the process, for at most so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                while self._waiting or self._sending:
                    if self._waiting:
                        await self._send(self._waiting.popleft())
                    else:
                        await self._quiet.wait()
        except TimeoutError:
            self.dropped += len(self._waiting)
            self._waiting.clear()

    async def _send(self, event: Event) -> None:
        """Send one event; never two equal ones at a time, or they would not count up."""
        digest = event.digest
        if digest in self._sending:
            self._sending[digest] += 1
            return
        self._sending[digest] = times = 1
        self._quiet.clear()
        try:
            while times:
                self._sending[digest] = 0
                await self._send_times(event, digest, times)
                times = self._sending[digest]
        except KubeError as error:
            # An event is a courtesy: its object may be gone, its namespace ending.
            log.debug("event not sent: %s", error)
        except Exception:
            log.exception("a bug in Keyferry")
        finally:
            del self._sending[digest]
            if not self._sending:
                self._quiet.set()

    async def _send_times(self, event: Event, digest: bytes, times: int) -> None:
        before = self._sent.get(digest)
        if before is None or not await self._count_up(before, times):
            await self._create(event, times)

    async def _count_up(self, sent: _Sent, times: int) -> bool:
        """Count a repetition on the event that exists; False if it has expired."""
        now = _timestamp()
        body = {"count": sent.count + times, "lastTimestamp": now}
        path = f"/api/v1/namespaces/{sent.namespace}/events/{sent.name}"
        try:
            await self._api.request("PATCH", path, body=body, content_type=MERGE_PATCH)
        except KubeNotFound:
            return False
        sent.count += times
        return True

    async def _create(self, event: Event, times: int) -> None:
        now = _timestamp()
        namespace = event.key.namespace or _CLUSTER_NAMESPACE
        stem = event.key.name[:200].rstrip("-.")  # a name cut short must still be one
        name = f"{stem}.{time.time_ns():x}{os.urandom(2).hex()}"
        involved = {
            "apiVersion": API_VERSIONS.get(event.key.kind, names.API_VERSION),
            "kind": event.key.kind,
            "name": event.key.name,
            "uid": event.uid,
        }
        if event.key.namespace:
            involved["namespace"] = event.key.namespace
        document = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "type": event.type,
            "reason": event.reason,
            "message": event.message,
            "source": {"component": SOURCES[event.key.kind]},
            "reportingComponent": SOURCES[event.key.kind],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": times,
        }
        await self._api.request("POST", f"/api/v1/namespaces/{namespace}/events", body=document)
        self._sent[event.digest] = _Sent(name, namespace, times)
        self._sent.move_to_end(event.digest)
        if len(self._sent) > MAX_REMEMBERED:
            self._sent.popitem(last=False)


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
