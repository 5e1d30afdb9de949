"""A store whose behaviour is scripted: for tests of the planner and of what stands on it.

It answers every key with `value of <key>` and finds nothing, until a test says otherwise: by key, by search,
by call, or for all calls until further notice. It watches the planner's promises to a client: never more calls at once than allowed,
never more reads in a call than a batch holds, none after `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from keyferry.errors import ProviderError
from keyferry.ports import (
    Capabilities,
    ClusterAccess,
    Find,
    Follower,
    Found,
    Identity,
    Maintenance,
    PacedClient,
    Provider,
    Read,
    ReadingRules,
    RemoteValue,
    StoreClient,
    StoreView,
    Verdict,
    WatchingClient,
)
from keyferry.secretdata import SecretBytes

Behaviour = BaseException | Callable[[], Awaitable[None]] | None
"""What a call does before it answers: raise this, await that, or nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the store: when it began (loop time), and what it asked for: reads, or a search."""

    at: float
    reads: tuple[Read, ...] = ()
    find: Find | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The remote keys asked for."""
        return tuple(read.key for read in self.reads)


class ScriptedStoreClient:
    """Fulfils `ports.StoreClient`.

    Args:
        batch_size: most reads in a call; 1 for a store without batches.
        max_concurrency: most calls at once.
        latency_s: how long each call takes.
    """

    def __init__(self, batch_size: int = 20, max_concurrency: int = 8, latency_s: float = 0.01) -> None:
        self.batch_size = batch_size
        self.max_concurrency = max_concurrency
        self.latency_s = latency_s
        self.batches = True
        """Whether reads may share a call."""
        self.values: dict[str, RemoteValue | ProviderError] = {}
        """Answers by remote key, where they are not the usual ones."""
        self.found: dict[Find, Sequence[Found]] = {}
        """What searches find."""
        self.next_calls: deque[Behaviour] = deque()
        """What the next calls do, in order."""
        self.outage: BaseException | None = None
        """What every call raises that has no behaviour of its own."""
        self.next_renewals: deque[Behaviour] = deque()
        self.verdict = Verdict.READY
        self.calls: list[Call] = []
        self.renewals: list[float] = []
        self.most_at_once = 0
        self.broken_promises: list[str] = []
        """What the caller did that a client need not bear."""
        self.closed = False
        self._at_once = 0

    def may_batch(self, read: Read) -> bool:
        """Current values share calls, while `batches` is true."""
        return self.batches and not read.version and not read.metadata

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """See `ports.StoreClient.read`."""
        async with self._call(Call(asyncio.get_running_loop().time(), tuple(reads))):
            self._watch(reads)
            await asyncio.sleep(self.latency_s)
            await self._behave(self.next_calls)
            return [self.values.get(read.key) or usual(read) for read in reads]

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`."""
        async with self._call(Call(asyncio.get_running_loop().time(), find=find)):
            await asyncio.sleep(self.latency_s)
            await self._behave(self.next_calls)
            return self.found.get(find, ())

    @contextlib.asynccontextmanager
    async def _call(self, call: Call) -> AsyncIterator[None]:
        self.calls.append(call)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        if self.closed:
            self.broken_promises.append("a call after close")
        if self._at_once > self.max_concurrency:
            self.broken_promises.append(f"{self._at_once} calls at once")
        try:
            yield
        finally:
            self._at_once -= 1

    def _watch(self, reads: Sequence[Read]) -> None:
        if not 1 <= len(reads) <= self.batch_size:
            self.broken_promises.append(f"{len(reads)} reads in a call")
        if len(reads) > 1 and not all(map(self.may_batch, reads)):
            self.broken_promises.append("a batch with a read that may not be in one")

    async def _behave(self, script: deque[Behaviour]) -> None:
        behaviour = script.popleft() if script else self.outage
        if isinstance(behaviour, BaseException):
            raise behaviour
        if behaviour is not None:
            await behaviour()

    async def validate(self) -> Verdict:
        """See `ports.StoreClient.validate`."""
        return self.verdict

    async def renew(self) -> None:
        """See `ports.StoreClient.renew`."""
        self.renewals.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency_s)
        if self.next_renewals:
            await self._behave(self.next_renewals)

    async def close(self) -> None:
        """See `ports.StoreClient.close`."""
        self.closed = True


class PacedStoreClient(ScriptedStoreClient):
    """Fulfils `ports.PacedClient`: a test says how long callers would wait."""

    room_s = 0.0
    each_s = 0.0
    """How much longer it takes for each call ahead."""

    def room(self, ahead: int = 0) -> float:
        """See `ports.PacedClient.room`."""
        return self.room_s + ahead * self.each_s


class TellingStoreClient(ScriptedStoreClient):
    """Fulfils `ports.WatchingClient`: a test tells of changes by the follower, or how watches end."""

    def __init__(self) -> None:
        super().__init__()
        self.next_watches: deque[Behaviour] = deque()
        """What the next watches do in place of going on for ever."""
        self.watches: list[float] = []
        """When each watch began (loop time)."""
        self.follower: Follower | None = None
        """Who is told now; None while nobody watches."""

    async def watch(self, follower: Follower) -> None:
        """See `ports.WatchingClient`."""
        assert self.follower is None, "a second watch at the same time"
        self.watches.append(asyncio.get_running_loop().time())
        self.follower = follower
        try:
            if self.next_watches:
                await self._behave(self.next_watches)
            else:
                await asyncio.Event().wait()
        finally:
            self.follower = None


def usual(read: Read) -> RemoteValue:
    """What an untold store answers."""
    return RemoteValue(SecretBytes(f"value of {read.key}{read.version and '@'}{read.version}"), "v1")


Identify = Callable[[StoreView, str, ClusterAccess], Awaitable[str]]
"""Reads what it needs of the cluster for a store and a namespace, and gives the fingerprint."""


@dataclass
class ScriptedProvider:
    """Fulfils `ports.Provider`: stores whose identity is a script, and whose clients are kept for a look.

    Args:
        identify_by: see `Identify`.
        by_namespace: whether the identity depends on the ExternalSecret's namespace.
        make_client: makes the client for a fingerprint.
    """

    name: ClassVar[str] = "fake"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules()

    identify_by: Identify
    by_namespace: bool = False
    make_client: Callable[[str], ScriptedStoreClient] = lambda _: ScriptedStoreClient()
    clients: dict[str, list[ScriptedStoreClient]] = field(default_factory=dict)
    """All clients made, by fingerprint."""
    connect_s: float = 0.0
    identified: int = 0
    closed: bool = False

    def check(self, store: StoreView) -> None:
        """Every spec is fine."""

    def referent(self, store: StoreView) -> bool:
        """See `ports.Provider.referent`."""
        return store.cluster_scoped and self.by_namespace

    def canonical(self, store: StoreView, key: str) -> str:  # noqa: ARG002 - the port's
        """See `ports.Provider.canonical`."""
        return key

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """See `ports.Provider.identify`."""
        self.identified += 1
        fingerprint = await self.identify_by(store, namespace, cluster)
        return Identity(fingerprint, None)

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`."""
        await asyncio.sleep(self.connect_s)
        client = self.make_client(identity.fingerprint)
        self.clients.setdefault(identity.fingerprint, []).append(client)
        return client

    async def close(self) -> None:
        """See `ports.Provider.close`."""
        self.closed = True


if TYPE_CHECKING:
    _client: StoreClient = ScriptedStoreClient()
    _paced: PacedClient = PacedStoreClient()
    _telling: WatchingClient = TellingStoreClient()

    async def _nobody(store: StoreView, namespace: str, cluster: ClusterAccess) -> str: ...

    _provider: Provider = ScriptedProvider(_nobody)
