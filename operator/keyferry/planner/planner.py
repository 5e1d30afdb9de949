"""From a store and a namespace to the session that answers for them.

A *binding* is a store as one referent namespace sees it: which session it uses and which objects its
identity was made from. Bindings are made once and kept until the store or one of those objects changes;
two bindings with the same fingerprint share a session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.aio import TaskBag
from keyferry.duration import parse_go_duration
from keyferry.planner.cache import AnswerCache
from keyferry.planner.session import DEFAULT_RETRIES, StoreSession
from keyferry.ports import (
    BoundToken,
    ClusterAccess,
    Identity,
    ObjectKey,
    Provider,
    SecretObject,
    ServiceAccountObject,
    StoreView,
)

log = logging.getLogger(__name__)

UNUSED_GRACE_S: Final = 10.0
"""How long a session outlives its last user."""
_LONGEST_PAUSE_S: Final = 10.0
_MOST_RETRIES: Final = 10
"""Bounds of a store's own retrySettings: longer pauses belong into the queue."""


@dataclass(frozen=True, slots=True)
class BindingKey:
    """A store, and the namespace for which it is asked (empty where that makes no difference)."""

    store: ObjectKey
    namespace: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What a store and namespace resolved to."""

    session: StoreSession
    identity: Identity
    retries: tuple[float, ...]


@dataclass(slots=True)
class _Bound:
    """A binding being made or ready, and the objects it was made from so far."""

    task: asyncio.Task[Binding]
    needs: set[ObjectKey]


class _Noting:
    """Cluster access that notes what is read: before reading, so that no change in between is lost."""

    def __init__(self, cluster: ClusterAccess, note: Callable[[ObjectKey], None]) -> None:
        self._cluster = cluster
        self._note = note

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        self._note(ObjectKey("Secret", namespace, name))
        return await self._cluster.read_secret(namespace, name)

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        self._note(ObjectKey("ConfigMap", namespace, name))
        return await self._cluster.read_config_map(namespace, name)

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        self._note(ObjectKey("ServiceAccount", namespace, name))
        return await self._cluster.read_service_account(namespace, name)

    async def request_token(
        self, namespace: str, name: str, audiences: Sequence[str], lifetime_s: int
    ) -> BoundToken:
        return await self._cluster.request_token(namespace, name, audiences, lifetime_s)


class Planner:
    """See the package's docstring.

    Args:
        providers: by the key in `spec.provider`.
        cluster: what providers may read in the cluster.
        recovered: called with a store's key when its outage has ended.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        cluster: ClusterAccess,
        recovered: Callable[[ObjectKey], None],
    ) -> None:
        self._providers = providers
        self._cluster = cluster
        self._recovered = recovered
        self._cache = AnswerCache()
        self._sessions: dict[str, StoreSession] = {}
        self._bindings: dict[BindingKey, _Bound] = {}
        self._by_store: dict[ObjectKey, set[BindingKey]] = {}
        self._by_need: dict[ObjectKey, set[BindingKey]] = {}
        self._tasks = TaskBag()

    async def bind(self, store: StoreView, namespace: str) -> Binding:
        """The binding of a store for an ExternalSecret of a namespace; made on first use, by one task for all.

        Raises:
            KeyferryError: the identity cannot be gathered; the next call tries again.
        """
        provider = self._providers[store.provider]
        # In a SecretStore the referent namespace is the store's own.
        referent = store.key.namespace or (namespace if provider.referent(store) else "")
        key = BindingKey(store.key, referent)
        bound = self._bindings.get(key)
        if bound is None or (bound.task.done() and bound.task.exception() is not None):
            needs: set[ObjectKey] = set() if bound is None else bound.needs
            work = self._make(key, needs, provider, store)
            bound = _Bound(asyncio.get_running_loop().create_task(work, name=f"bind {key.store}"), needs)
            self._bindings[key] = bound
            self._by_store.setdefault(key.store, set()).add(key)
        return await asyncio.shield(bound.task)

    async def _make(
        self, key: BindingKey, needs: set[ObjectKey], provider: Provider, store: StoreView
    ) -> Binding:
        def note(need: ObjectKey) -> None:
            needs.add(need)
            self._by_need.setdefault(need, set()).add(key)

        identity = await provider.identify(store, key.namespace, _Noting(self._cluster, note))
        session = self._sessions.get(identity.fingerprint)
        if session is None:
            client = await provider.connect(identity)
            # Somebody with the same identity may have been quicker during the await.
            session = self._sessions.get(identity.fingerprint)
            if session is not None:
                await client.close()
            else:
                session = StoreSession(
                    identity.fingerprint, client, self._cache, lambda: self._wake(identity.fingerprint)
                )
                self._sessions[identity.fingerprint] = session
        session.users.add(key)
        return Binding(session, identity, _retries(store))

    def _wake(self, fingerprint: str) -> None:
        """An outage has ended: tell each store that uses the session, once."""
        session = self._sessions.get(fingerprint)
        if session is not None:
            for store in {key.store for key in session.users if isinstance(key, BindingKey)}:
                self._recovered(store)

    def uses(self, need: ObjectKey) -> bool:
        """Whether some identity was made from this object, or would be if it existed."""
        return need in self._by_need

    def changed(self, need: ObjectKey) -> set[ObjectKey]:
        """An auth object changed: forget the bindings made from it; the stores they belong to."""
        keys = list(self._by_need.get(need, ()))
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
        if task.cancelled() or task.exception() is not None:
            return
        session = task.result().session
        current = self._bindings.get(key)
        if current is None or not current.task.done() or current.task.result().session is not session:
            session.users.discard(key)
        self._tasks.spawn(self._close_unused(session), name=f"close {session.fingerprint[:8]}")

    async def _close_unused(self, session: StoreSession) -> None:
        """End a session that nobody came back to; those who still read from it get their answers first."""
        await asyncio.sleep(UNUSED_GRACE_S)
        if not session.users and self._sessions.get(session.fingerprint) is session:
            del self._sessions[session.fingerprint]
            await session.close()

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
        await self._tasks.close()
        for bound in self._bindings.values():
            bound.task.cancel()
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)
        for provider in self._providers.values():
            await provider.close()


def _discard(index: dict[ObjectKey, set[BindingKey]], at: ObjectKey, key: BindingKey) -> None:
    keys = index.get(at)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[at]


def _retries(store: StoreView) -> tuple[float, ...]:
    """The pauses of a store's own retrySettings, else ours."""
    settings = store.spec.retry_settings
    if settings is None:
        return DEFAULT_RETRIES
    interval_s = DEFAULT_RETRIES[0]
    if settings.retry_interval:
        interval_s = parse_go_duration(settings.retry_interval).total_seconds()
    tries = len(DEFAULT_RETRIES) if settings.max_retries is None else settings.max_retries
    return (min(max(interval_s, 0.0), _LONGEST_PAUSE_S),) * max(0, min(tries, _MOST_RETRIES))
