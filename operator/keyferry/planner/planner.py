"""From a store and a namespace to the session that answers for them.

A *binding* is a store as one referent namespace sees it: which session it uses and which objects its
identity was made from. Bindings are made once and kept until the store or one of those objects changes;
where no watch tells of such a change, they are made anew when they are wanted and no longer young. Two
bindings with the same fingerprint share a session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from keyferry.aio import TaskBag
from keyferry.duration import parse_go_duration
from keyferry.errors import NotReadyError, SpecError
from keyferry.planner.cache import AnswerCache
from keyferry.planner.session import DEFAULT_RETRIES, StoreSession
from keyferry.planner.watching import NOBODY, BindingKey, Readers, Watches
from keyferry.ports import (
    BoundToken,
    ClusterAccess,
    Identity,
    ObjectKey,
    Provider,
    SecretObject,
    ServiceAccountObject,
    StoreClient,
    StoreView,
)

log = logging.getLogger(__name__)
_Versioned = TypeVar("_Versioned", SecretObject, ServiceAccountObject)

UNUSED_GRACE_S: Final = 10.0
"""How long a session outlives its last user."""
UNWATCHED_AGE_S: Final = 30.0
"""So long is a binding good of whose objects no watch would tell a change."""
_LOOK_AGAIN_S: Final = 1.0
"""How often a session without users is looked at while somebody still waits for its answers."""
_LONGEST_PAUSE_S: Final = 10.0
_MOST_RETRIES: Final = 10
"""Bounds of a store's own retrySettings: longer pauses belong into the queue."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a store and namespace resolved to."""

    session: StoreSession
    identity: Identity
    retries: tuple[float, ...]


@dataclass(slots=True)
class _Bound:
    """A binding being made or ready, for which spec, what it was made from so far, and since when.

    Args:
        needs: the objects read for it, with the version of each; empty while and where there is none.
    """

    task: asyncio.Task[Binding]
    store: StoreView
    needs: dict[ObjectKey, str]
    began: float

    @property
    def ready(self) -> bool:
        """Whether the binding is there."""
        return self.task.done() and not self.failed

    @property
    def failed(self) -> bool:
        """Whether making it has ended without a binding."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class _Noting:
    """Cluster access that notes what is read: before reading, so that no change in between is lost.

    And after it the version, so that who is told of that version later knows that it is no change.
    """

    def __init__(self, cluster: ClusterAccess, note: Callable[[ObjectKey, str], None]) -> None:
        self._cluster = cluster
        self._note = note

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        reading = self._cluster.read_secret(namespace, name)
        return await self._noted(ObjectKey("Secret", namespace, name), reading)

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        self._note(ObjectKey("ConfigMap", namespace, name), "")
        return await self._cluster.read_config_map(namespace, name)

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        reading = self._cluster.read_service_account(namespace, name)
        return await self._noted(ObjectKey("ServiceAccount", namespace, name), reading)

    async def _noted(self, need: ObjectKey, reading: Awaitable[_Versioned]) -> _Versioned:
        self._note(need, "")
        found = await reading
        self._note(need, found.resource_version)
        return found

    async def request_token(
        self,
        namespace: str,
        name: str,
        audiences: Sequence[str],
        lifetime_s: int,
        *,
        api_server: bool = False,
    ) -> BoundToken:
        return await self._cluster.request_token(
            namespace, name, audiences, lifetime_s, api_server=api_server
        )

    async def own_account(self) -> ObjectKey:
        return await self._cluster.own_account()


class Planner:
    """See the package's docstring.

    Args:
        providers: by the key in `spec.provider`.
        cluster: what providers may read in the cluster.
        recovered: called with a store's key when its outage has ended.
        troubled: called with a store's key when an outage begins.
        watched: whether `changed` is called when this object changes.
        unwatched_age_s: so long is a binding good that was made from others.
        readers: who is told of changes at stores.
    """

    def __init__(  # noqa: PLR0913 - who is told of what
        self,
        providers: Mapping[str, Provider],
        cluster: ClusterAccess,
        recovered: Callable[[ObjectKey], None],
        troubled: Callable[[ObjectKey], None] = lambda _: None,
        *,
        watched: Callable[[ObjectKey], bool] = lambda _: True,
        unwatched_age_s: float = UNWATCHED_AGE_S,
        readers: Readers = NOBODY,
    ) -> None:
        self._providers = providers
        self._cluster = cluster
        self._recovered = recovered
        self._troubled = troubled
        self._watched = watched
        self._unwatched_age_s = unwatched_age_s
        self._cache = AnswerCache()
        self._sessions: dict[str, StoreSession] = {}
        self._bindings: dict[BindingKey, _Bound] = {}
        self._by_store: dict[ObjectKey, set[BindingKey]] = {}
        self._by_need: dict[ObjectKey, set[BindingKey]] = {}
        self._making: set[asyncio.Task[Binding]] = set()
        self._graces: dict[str, asyncio.TimerHandle] = {}
        self._watches = Watches(readers)
        self._tasks = TaskBag()
        self._closed = False

    async def bind(self, store: StoreView, namespace: str) -> Binding:
        """The binding of a store for an ExternalSecret of a namespace; made on first use, by one task for all.

        Raises:
            KeyferryError: the identity cannot be gathered; the next call tries again.
        """
        if self._closed:
            raise NotReadyError("Keyferry is ending")
        provider = self._providers[store.provider]
        key = self._binding_key(store, namespace)
        bound = self._bindings.get(key)
        if bound is not None and bound.store is not store and bound.store != store:
            # Made from another spec: of somebody who has not seen the store's change yet, or who has.
            self._unbind(key)
            bound = None
        if bound is None or bound.failed:
            needs: dict[ObjectKey, str] = {} if bound is None else bound.needs
            bound = self._begin(key, needs, provider, store)
        elif bound.ready and self._is_old(bound):
            old, bound = bound, self._begin(key, bound.needs, provider, store)
            # Only then: most often it is the same identity, whose session stays in use without a gap.
            bound.task.add_done_callback(lambda _: self._release(old.task, key))
        try:
            return await asyncio.shield(bound.task)
        except asyncio.CancelledError:
            if bound.task.cancelled() and not _is_cancelled():
                # kopf cancels at its end all tasks that are younger than itself; we are not meant.
                raise NotReadyError(f"the identity of {store.key} could not be read to the end") from None
            raise

    def follow(self, binding: Binding) -> None:
        """Have changes at a store told, if it tells them and somebody reads from it. Cheap where that is done."""
        self._watches.follow(binding.session)

    def follow_later(self, store: StoreView, namespace: str, bind: Callable[[], Awaitable[Binding]]) -> None:
        """Have `follow` called for what `bind` gives, as `Planner.bind` does. Nobody waits for it. Idempotent."""
        key = self._binding_key(store, namespace)
        bound = self._bindings.get(key)
        if bound is not None and bound.ready and self._watches.follows(bound.task.result().session):
            return

        async def session() -> StoreSession:
            return (await bind()).session

        self._watches.begin(key, session)

    def _binding_key(self, store: StoreView, namespace: str) -> BindingKey:
        # In a SecretStore the referent namespace is the store's own.
        referent = namespace if self._providers[store.provider].referent(store) else ""
        return BindingKey(store.key, store.key.namespace or referent)

    def _is_old(self, bound: _Bound) -> bool:
        """Whether what it was made from may have changed, and nobody would have told."""
        age_s = asyncio.get_running_loop().time() - bound.began
        return age_s >= self._unwatched_age_s and not all(map(self._watched, bound.needs))

    def _begin(
        self, key: BindingKey, needs: dict[ObjectKey, str], provider: Provider, store: StoreView
    ) -> _Bound:
        task = asyncio.get_running_loop().create_task(
            self._make(key, needs, provider, store), name=f"bind {key.store}"
        )
        self._making.add(task)
        task.add_done_callback(self._made)
        bound = self._bindings[key] = _Bound(task, store, needs, asyncio.get_running_loop().time())
        self._by_store.setdefault(key.store, set()).add(key)
        return bound

    def _made(self, task: asyncio.Task[Binding]) -> None:
        self._making.discard(task)
        if not task.cancelled():
            task.exception()  # who waits for it gets it; who does not, asks again

    async def _make(
        self, key: BindingKey, needs: dict[ObjectKey, str], provider: Provider, store: StoreView
    ) -> Binding:
        def note(need: ObjectKey, version: str) -> None:
            needs[need] = version
            bound = self._bindings.get(key)
            if bound is not None and bound.needs is needs:  # else it was forgotten meanwhile
                self._by_need.setdefault(need, set()).add(key)

        provider.check(store)  # what the trust boundaries ask for holds whoever comes this way
        retries = _retries(store)
        identity = await provider.identify(store, key.namespace, _Noting(self._cluster, note))
        session = self._sessions.get(identity.fingerprint)
        if session is None:
            client = await provider.connect(identity)
            # Somebody with the same identity may have been quicker during the await.
            session = self._sessions.get(identity.fingerprint)
            if session is not None:
                await client.close()
            else:
                session = self._new_session(identity.fingerprint, client)
                self._sessions[identity.fingerprint] = session
        session.users.add(key)
        if (grace := self._graces.pop(session.fingerprint, None)) is not None:
            grace.cancel()
        return Binding(session, identity, retries)

    def _new_session(self, fingerprint: str, client: StoreClient) -> StoreSession:
        return StoreSession(
            fingerprint,
            client,
            self._cache,
            recovered=lambda: self._tell(fingerprint, self._recovered),
            troubled=lambda: self._tell(fingerprint, self._troubled),
        )

    def _tell(self, fingerprint: str, told: Callable[[ObjectKey], None]) -> None:
        """An outage has begun or ended: tell each store that uses the session, once."""
        session = self._sessions.get(fingerprint)
        if session is not None:
            for store in {key.store for key in session.users if isinstance(key, BindingKey)}:
                told(store)

    def uses(self, need: ObjectKey) -> bool:
        """Whether some identity was made from this object, or would be if it existed."""
        return need in self._by_need

    def needs(self, kind: str) -> list[ObjectKey]:
        """All objects of a kind for which `uses` says yes."""
        return [need for need in self._by_need if need.kind == kind]

    def changed(self, need: ObjectKey, version: str = "") -> set[ObjectKey]:
        """An auth object changed: forget the bindings made from it; the stores they belong to.

        Args:
            version: what it has now, which bindings made from that survive; empty if it is gone.
        """
        bindings = self._bindings
        keys = [
            key for key in self._by_need.get(need, ()) if not version or bindings[key].needs[need] != version
        ]
        for key in keys:
            self._unbind(key)
        return {key.store for key in keys}

    def drop(self, store: ObjectKey) -> None:
        """A store changed or went: forget its bindings."""
        for key in list(self._by_store.get(store, ())):
            self._unbind(key)

    def _unbind(self, key: BindingKey) -> None:
        bound = self._bindings.pop(key, None)
        _discard(self._by_store, key.store, key)
        if bound is None:
            return
        for need in bound.needs:
            _discard(self._by_need, need, key)
        # One that is still being made is left to its end, for those who wait for it.
        bound.task.add_done_callback(lambda task: self._release(task, key))

    def _release(self, task: asyncio.Task[Binding], key: BindingKey) -> None:
        if self._closed or task.cancelled() or task.exception() is not None:
            return
        session = task.result().session
        current = self._bindings.get(key)
        if current is None or not current.ready or current.task.result().session is not session:
            session.users.discard(key)
        if not session.users:
            self._look_later(session, UNUSED_GRACE_S)

    def _look_later(self, session: StoreSession, pause: float) -> None:
        """End a session to which nobody comes back; a timer, because kopf at its end cancels tasks that wait."""
        if (before := self._graces.pop(session.fingerprint, None)) is not None:
            before.cancel()
        loop = asyncio.get_running_loop()
        self._graces[session.fingerprint] = loop.call_later(pause, self._close_if_unused, session)

    def _close_if_unused(self, session: StoreSession) -> None:
        self._graces.pop(session.fingerprint, None)
        if session.users or self._sessions.get(session.fingerprint) is not session:
            return
        if not session.idle:  # those who still read from it get their answers first
            self._look_later(session, _LOOK_AGAIN_S)
            return
        del self._sessions[session.fingerprint]
        self._watches.forget(session)
        self._tasks.spawn(session.close(), name=f"close {session.fingerprint[:8]}")

    def forget_answers(self) -> None:
        """Nobody waits any more: keep no value in memory."""
        self._cache.clear()

    @property
    def calls(self) -> tuple[int, int]:
        """Calls made, and calls saved by sharing, of the sessions there are."""
        sessions = self._sessions.values()
        return sum(s.calls for s in sessions), sum(s.saved for s in sessions)

    @property
    def sessions(self) -> int:
        """How many store identities are in use."""
        return len(self._sessions)

    async def close(self) -> None:
        """End all sessions and the providers' shared parts."""
        self._closed = True
        for grace in self._graces.values():
            grace.cancel()
        self._graces.clear()
        making = list(self._making)
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await self._tasks.close()
        await self._watches.close()
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)
        for provider in self._providers.values():
            await provider.close()


def _is_cancelled() -> bool:
    """Whether the running task itself was asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _discard(index: dict[ObjectKey, set[BindingKey]], at: ObjectKey, key: BindingKey) -> None:
    keys = index.get(at)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[at]


def _retries(store: StoreView) -> tuple[float, ...]:
    """The pauses of a store's own retrySettings, else ours.

    Raises:
        SpecError: they cannot be read.
    """
    settings = store.spec.retry_settings
    if settings is None:
        return DEFAULT_RETRIES
    interval_s = DEFAULT_RETRIES[0]
    if settings.retry_interval:
        try:
            interval_s = parse_go_duration(settings.retry_interval).total_seconds()
        except ValueError as error:
            raise SpecError(f"spec.retrySettings.retryInterval is {error}") from None
    tries = len(DEFAULT_RETRIES) if settings.max_retries is None else settings.max_retries
    return (min(max(interval_s, 0.0), _LONGEST_PAUSE_S),) * max(0, min(tries, _MOST_RETRIES))
