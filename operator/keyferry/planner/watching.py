"""Changes at stores that tell of them: one watch per session, while somebody reads from one of its stores.

What a store tells makes readers ask sooner, and nothing else. Where it does not tell, refreshes go on as they do
at any store.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
BEGUN_AT_ONCE: Final = 32
LONGEST_BEGINNING_S: Final = 60.0
"""How many stores are bound at the same time to be watched, and for how long that may take."""
REST_S: Final = 0.1
"""At least so long nothing more is told after something was."""
TOLD_AT_ONCE: Final = 500
"""Most remote secrets that are told at once."""
LOOKED_AT_PER_S: Final = 2000
"""How many readers may be looked at in a second because a store tells something: about a hundredth of the time."""
MOST_KEPT: Final = 50_000
"""Most remote secrets that wait to be told; where there are more, any may have changed."""
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

    def changed(self, store: ObjectKey, namespace: str, changes: Mapping[str, datetime | None] | None) -> int:
        """Remote secrets have changed: let those ask for them who read them, and those who search the store.

        Args:
            namespace: of the readers that this concerns; empty for all.
            changes: which ones, each with `at` of `ports.Follower.changed`; None where it may be any.

        Returns:
            How many readers had to be looked at: as long does it take.
        """
        ...


class _Nobody:
    """No readers."""

    def in_use(self, store: ObjectKey) -> bool:  # noqa: ARG002 - the protocol's signature
        return False

    def keys(self, store: ObjectKey) -> Iterable[str]:  # noqa: ARG002 - the protocol's signature
        return ()

    def changed(
        self,
        store: ObjectKey,  # noqa: ARG002 - the protocol's signature
        namespace: str,  # noqa: ARG002 - the protocol's signature
        changes: Mapping[str, datetime | None] | None,  # noqa: ARG002 - the protocol's signature
    ) -> int:
        return 0


NOBODY: Final[Readers] = _Nobody()


class _Follower:
    """`ports.Follower` of a session: passes on to the readers of all stores that use it.

    What a store tells is only kept at first, each remote secret once: so a store that tells very much costs no
    more than one that tells something, and whoever reads is woken a few at a time.
    """

    def __init__(self, session: StoreSession, readers: Readers) -> None:
        self._session = session
        self._readers = readers
        self._changes: dict[str, datetime | None] = {}
        self._missed = False
        self._timer: asyncio.TimerHandle | None = None
        self._rest_until = 0.0

    def changed(self, key: str, at: datetime | None = None) -> None:
        before = self._changes.get(key, at)
        self._changes[key] = None if at is None or before is None else max(at, before)
        if len(self._changes) > MOST_KEPT:
            self.missed()
        else:
            self._set_timer()

    def missed(self) -> None:
        self._changes.clear()
        self._missed = True
        self._set_timer()

    def known(self) -> Iterable[str]:
        return {key for user in self.users() for key in self._readers.keys(user.store)}

    def _set_timer(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._rest_until), self._tell)

    def _tell(self) -> None:
        """Tell some of what is kept, then rest by how much work that was."""
        self._timer = None
        changes: dict[str, datetime | None] | None = None
        if self._missed:
            self._missed = False
        else:
            some = list(itertools.islice(self._changes, TOLD_AT_ONCE))
            changes = {key: self._changes.pop(key) for key in some}
        looked_at = 0
        for user in self.users():
            concerned = "" if user.store.namespace else user.namespace
            looked_at += self._readers.changed(user.store, concerned, changes)
        self._rest_until = asyncio.get_running_loop().time() + max(REST_S, looked_at / LOOKED_AT_PER_S)
        if self._changes:
            self._set_timer()

    def close(self) -> None:
        """Tell no more."""
        if self._timer is not None:
            self._timer.cancel()

    def __str__(self) -> str:
        return ", ".join(sorted({str(user.store) for user in self.users()}))

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
        self._beginning: set[BindingKey] = set()
        self._places = asyncio.Semaphore(BEGUN_AT_ONCE)
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
        try:
            await self._go_on(client, follower)
        finally:
            follower.close()

    async def _go_on(self, client: WatchingClient, follower: _Follower) -> None:
        loop = asyncio.get_running_loop()
        told, refusals = False, 0
        while True:
            began = loop.time()
            try:
                await client.watch(follower)
            except KeyferryError as error:
                if not told:
                    log.info(
                        "%s: changes come with the next refresh, not at once: %s", follower, error.message
                    )
                    told = True
            except Exception:
                if not told:
                    log.exception("a bug in Keyferry: changes come with the next refresh, not at once")
                    told = True
            pauses = self._again_s
            refusals = 1 if loop.time() - began > pauses[-1] else refusals + 1
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

    def follows(self, session: StoreSession) -> bool:
        """Whether there is nothing to begin for a session."""
        return session in self._running or self._tells.get(type(session.client)) is False

    def begin(self, key: BindingKey, bind: Callable[[], Awaitable[StoreSession]]) -> None:
        """Follow the session that `bind` gives, in the background; once at a time for each key.

        Where it gives none, the next refresh tells why.
        """
        if key in self._beginning or self._closed:
            return
        self._beginning.add(key)
        # In a context of its own: what it logs is not about the object that happens to be worked on.
        task = contextvars.Context().run(
            functools.partial(self._tasks.spawn, self._begin(bind), name=f"follow {key.store}")
        )
        task.add_done_callback(lambda _: self._beginning.discard(key))

    async def _begin(self, bind: Callable[[], Awaitable[StoreSession]]) -> None:
        async with self._places:
            with contextlib.suppress(KeyferryError, TimeoutError):
                async with asyncio.timeout(LONGEST_BEGINNING_S):
                    self.follow(await bind())

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """End all watches."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._running.clear()
        await self._tasks.close()
