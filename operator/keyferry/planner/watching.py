"""Changes at stores that tell of them: one watch per session, while somebody reads from one of its stores.

What a store tells makes readers ask sooner, and nothing else. Where it does not tell, refreshes go on as they do
at any store.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast

from keyferry.aio import TaskBag
from keyferry.errors import KeyferryError
from keyferry.planner.session import StoreSession
from keyferry.ports import ObjectKey, WatchingClient

log = logging.getLogger(__name__)

AGAIN_S: Final = (3.0, 30.0, 300.0)
"""So long after one, two, … refusals in a row the store is asked again to tell of changes: one that starts may refuse
what it will allow, and rights may change. The last one stays."""
UNUSED_S: Final = 60.0
"""How often it is looked whether somebody still reads from the stores that are watched."""


@dataclass(frozen=True, slots=True)
class BindingKey:
    """A store, and the namespace for which it is asked (empty where that makes no difference)."""

    store: ObjectKey
    namespace: str


class Readers(Protocol):
    """Who reads what of which store."""

    def in_use(self, store: ObjectKey) -> bool:
        """Whether somebody reads from it."""
        ...

    def keys(self, store: ObjectKey) -> Iterable[str]:
        """The remote keys that are read of it."""
        ...

    def changed(self, store: ObjectKey, namespace: str, key: str | None, at: datetime | None) -> None:
        """A remote secret has changed: let those ask for it who read it, and those who search the store.

        Args:
            namespace: of the readers that this concerns; empty for all.
            key: which one; None where it may be any.
            at: see `ports.Follower.changed`.
        """
        ...


class _Nobody:
    """No readers."""

    def in_use(self, store: ObjectKey) -> bool:  # noqa: ARG002 - the protocol's signature
        return False

    def keys(self, store: ObjectKey) -> Iterable[str]:  # noqa: ARG002 - the protocol's signature
        return ()

    def changed(self, store: ObjectKey, namespace: str, key: str | None, at: datetime | None) -> None:
        """Nobody to tell."""


NOBODY: Final[Readers] = _Nobody()


class _Follower:
    """`ports.Follower` of a session: passes on to the readers of all stores that use it."""

    def __init__(self, session: StoreSession, readers: Readers) -> None:
        self._session = session
        self._readers = readers

    def changed(self, key: str, at: datetime | None = None) -> None:
        self._tell(key, at)

    def missed(self) -> None:
        self._tell(None, None)

    def known(self) -> Iterable[str]:
        return {key for user in self.users() for key in self._readers.keys(user.store)}

    def _tell(self, key: str | None, at: datetime | None) -> None:
        for user in self.users():
            self._readers.changed(user.store, "" if user.store.namespace else user.namespace, key, at)

    def users(self) -> list[BindingKey]:
        """The stores that use the session, each with the namespace for which it does."""
        return [user for user in self._session.users if isinstance(user, BindingKey)]


class Watches:
    """See the module's docstring.

    Args:
        readers: who is told.
        again_s: pauses after refusals, see `AGAIN_S`.
        unused_s: see `UNUSED_S`.
    """

    def __init__(
        self, readers: Readers, *, again_s: Sequence[float] = AGAIN_S, unused_s: float = UNUSED_S
    ) -> None:
        self._readers = readers
        self._again_s = again_s
        self._unused_s = unused_s
        self._tells: dict[type, bool] = {}
        """Whether clients of a type tell of changes: to look at each one's methods would cost every sync."""
        self._running: dict[StoreSession, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = TaskBag()
        self._closed = False

    def follow(self, session: StoreSession) -> None:
        """Have changes at the session's store told, if it tells them and somebody reads from it. Idempotent."""
        client = session.client
        kind = type(client)
        if kind not in self._tells:
            self._tells[kind] = isinstance(client, WatchingClient)
        if not self._tells[kind] or session in self._running or self._closed:
            return
        follower = _Follower(session, self._readers)
        if not self._is_used(follower):
            return
        watching = cast("WatchingClient", client)
        # In a context of its own: what it logs is not about the object that happens to be worked on.
        work, name = self._watch(watching, follower), f"watch {session.fingerprint[:8]}"
        task = contextvars.Context().run(functools.partial(self._tasks.spawn, work, name=name))
        self._running[session] = task
        task.add_done_callback(lambda ended: self._ended(session, ended))
        if self._timer is None:
            self._set_timer()

    def _is_used(self, follower: _Follower) -> bool:
        return any(self._readers.in_use(user.store) for user in follower.users())

    async def _watch(self, client: WatchingClient, follower: _Follower) -> None:
        loop = asyncio.get_running_loop()
        told, refusals = False, 0
        while True:
            began = loop.time()
            try:
                await client.watch(follower)
            except KeyferryError as error:
                if not told:
                    stores = ", ".join(sorted({str(user.store) for user in follower.users()}))
                    log.info("%s: changes come with the next refresh, not at once: %s", stores, error.message)
                    told = True
            pauses = self._again_s
            refusals = 1 if loop.time() - began > pauses[0] else refusals + 1
            pause = pauses[min(refusals, len(pauses)) - 1]
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load

    def _ended(self, session: StoreSession, task: asyncio.Task[None]) -> None:
        # Also where kopf has cancelled it, which at its end cancels tasks that are younger than itself: the next
        # validation of the store begins anew.
        if self._running.get(session) is task:
            del self._running[session]

    def forget(self, session: StoreSession) -> None:
        """The session ends."""
        task = self._running.pop(session, None)
        if task is not None:
            task.cancel()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._unused_s, self._look)

    def _look(self) -> None:
        """End the watches of stores from which nobody reads any more."""
        self._timer = None
        for session in list(self._running):
            if not self._is_used(_Follower(session, self._readers)):
                self.forget(session)
        if self._running and not self._closed:
            self._set_timer()

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """End all watches."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._running.clear()
        await self._tasks.close()
