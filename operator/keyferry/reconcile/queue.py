"""The work queue: each key once, never worked on twice at a time, the most urgent first.

An event, a timer, a rotation notice, a drifted Secret and a restart all end here as a key. A key waits in
one lane; the lanes differ by a head start, so that a user's change goes before a periodic refresh and yet
nothing starves: a key that has waited longer than the difference goes first. All times that are still to
come lie in one heap behind one timer. Not more than a set number of keys are out at once; when that is
reached, none is handed out until half of them are done: bursts let the planner fill its batches. A key
whose work waits long for something slow can be set aside and then does not count: a store that hangs must
not hold back the keys of others.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keyferry.ports import ObjectKey


class Lane(enum.IntEnum):
    """Why a key is worked on; the lower, the more urgent."""

    STORE = 0
    """A store: many others wait for it."""
    USER = 1
    """Somebody created or changed the object."""
    EVENT = 2
    """Something it depends on changed: a drifted Secret, an auth Secret, a rotation."""
    RETRY = 3
    """It failed before."""
    PERIODIC = 4
    """Its interval has passed."""


HEAD_START_S: Final = {
    Lane.STORE: 0.0,
    Lane.USER: 1.0,
    Lane.EVENT: 3.0,
    Lane.RETRY: 10.0,
    Lane.PERIODIC: 60.0,
}
"""Seconds that a key of this lane lets a more urgent one go first."""
_ASIDE_FACTOR: Final = 16
"""So many times `most_out` may be set aside: each holds its task and what it has read so far."""
_STALE_LEEWAY: Final = 64
"""So many stale items a heap may hold beyond as many as it has good ones."""


class QueueClosed(Exception):
    """No more keys will come."""


@dataclass(slots=True)
class Claim:
    """A key handed to a worker.

    Args:
        fresh_from: an answer asked for before this time (the clock of the queue) is too old for this work.
    """

    key: ObjectKey
    lane: Lane
    fresh_from: float


_Item = tuple[float, int, ObjectKey]
"""In a heap: when, a ticket that keeps equal ones in the order of their arrival, and the key."""


@dataclass(slots=True)
class _Entry:
    """All that is known of a key: its place in a lane, whether it is out, and when it is due next.

    `place` and `due` are the very items that lie in the heaps. An item that its entry does not hold any
    more is stale and skipped, however often the same key comes back with the same time.
    """

    lane: Lane | None = None
    place: _Item | None = None
    fresh_from: float = -math.inf
    working: bool = False
    due: _Item | None = None
    due_lane: Lane = Lane.PERIODIC


class WorkQueue:
    """See the module's docstring.

    Args:
        most_out: most keys that may be out at once.
        clock: seconds that only grow; the event loop's time by default.
    """

    def __init__(self, most_out: int, clock: Callable[[], float] | None = None) -> None:
        self._most_out = most_out
        self._clock = clock or asyncio.get_running_loop().time
        self._entries: dict[ObjectKey, _Entry] = {}
        # Heaps: a key that moves up, or was added while out, brings the time along that it has waited.
        self._lanes: dict[Lane, list[_Item]] = {lane: [] for lane in Lane}
        self._heap: list[_Item] = []
        self._tickets = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._idle: deque[asyncio.Future[Claim]] = deque()
        self._out = 0
        self._aside: set[ObjectKey] = set()
        self._full = False
        self._closed = False
        self._last_lane = max(Lane)
        self._counts = dict.fromkeys(Lane, 0)

    def now(self) -> float:
        """The queue's clock, which schedules and `Claim.fresh_from` are in."""
        return self._clock()

    # -- putting in

    def add(self, key: ObjectKey, lane: Lane, fresh_from: float | None = None) -> None:
        """Work on the key as soon as its turn comes. Adding it again only makes it more urgent or fresher.

        Args:
            fresh_from: since when an answer of a store is good enough; from now on if None.
        """
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        entry.fresh_from = max(entry.fresh_from, now if fresh_from is None else fresh_from)
        if entry.lane is not None and entry.lane <= lane:
            return
        if entry.lane is not None:
            self._counts[entry.lane] -= 1
        # The head start counts from the first time it was added, so that waiting is not lost by moving up.
        order = now + HEAD_START_S[lane]
        if entry.place is not None:
            order = min(entry.place[0], order)
        entry.lane, entry.place = lane, (order, next(self._tickets), key)
        self._counts[lane] += 1
        if not entry.working:
            self._line_up(entry)
            self._hand_out()

    def schedule(self, key: ObjectKey, at: float, lane: Lane = Lane.PERIODIC) -> None:
        """Add the key at a time to come; replaces an earlier schedule of the same key."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        entry.due_lane = lane
        if entry.due is not None and entry.due[0] == at:
            return
        entry.due = (at, next(self._tickets), key)
        heapq.heappush(self._heap, entry.due)
        if self._heap[0][0] >= at:
            self._set_timer()
        if len(self._heap) > 2 * len(self._entries) + _STALE_LEEWAY:
            # Drop the schedules that were replaced; amortised over as many pushes.
            self._heap = [item for item in self._heap if self._is_due(item)]
            heapq.heapify(self._heap)

    def unschedule(self, key: ObjectKey) -> None:
        """Forget the time at which the key was due; a change still adds it."""
        if (entry := self._entries.get(key)) is not None:
            entry.due = None
            self._drop_if_idle(key, entry)

    def forget(self, key: ObjectKey) -> None:
        """Forget all about a key whose object is gone. If it is out, its work goes on to its end."""
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.lane is not None:
            self._counts[entry.lane] -= 1
            entry.lane = entry.place = None
        entry.due, entry.fresh_from = None, -math.inf
        self._drop_if_idle(key, entry)

    # -- taking out

    async def take(self) -> Claim:
        """The next key, when there is one; `done` must be called for it.

        Raises:
            QueueClosed: the queue was closed.
        """
        if self._closed:
            raise QueueClosed
        turn: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
        self._idle.append(turn)
        self._hand_out()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    self._idle.remove(turn)
            elif turn.exception() is None:
                claim = turn.result()
                self.add(claim.key, claim.lane, claim.fresh_from)
                self.done(claim.key)
            raise

    def done(self, key: ObjectKey) -> None:
        """The work on a key has ended; if it was added meanwhile, it waits for its next turn."""
        self.take_back(key)
        self._out -= 1
        entry = self._entries.get(key)
        if entry is not None:
            entry.working = False
            if entry.lane is not None:
                self._line_up(entry)
            else:
                self._drop_if_idle(key, entry)
        self._refill()

    def set_aside(self, key: ObjectKey) -> None:
        """A key that is out waits for something slow: it does not count until `take_back`, or `done`."""
        if key not in self._aside and len(self._aside) < _ASIDE_FACTOR * self._most_out:
            self._aside.add(key)
            self._out -= 1
            self._refill()

    def take_back(self, key: ObjectKey) -> None:
        """The wait is over: the key counts again, if it was set aside."""
        if key in self._aside:
            self._aside.discard(key)
            self._out += 1

    def close(self) -> None:
        """End: waiting workers get `QueueClosed`, nothing is handed out any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            turn = self._idle.popleft()
            if not turn.done():
                turn.set_exception(QueueClosed())

    def restrict(self, last: Lane) -> None:
        """Hand out only keys of lanes up to this one, for example stores before what needs them.

        `restrict(max(Lane))` lifts it.
        """
        self._last_lane = last
        self._hand_out()

    # -- looking at it

    @property
    def out(self) -> int:
        """Keys that workers have now, those set aside not counted."""
        return self._out

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on (what is due later does not count)."""
        return self._out == 0 and not self._aside and not any(self._counts.values())

    def depth(self, lane: Lane) -> int:
        """Keys that wait in a lane, those out and added again included."""
        return self._counts[lane]

    def oldest_wait_s(self) -> float:
        """For how long the key at the head has been waiting beyond its head start; 0 where none waits."""
        heads = [order for lane in Lane if (order := self._head(lane)) is not None]
        return max(0.0, self._clock() - min(heads)) if heads else 0.0

    def due_at(self, key: ObjectKey) -> float | None:
        """When the key is due next, by the queue's clock."""
        entry = self._entries.get(key)
        return entry.due[0] if entry is not None and entry.due is not None else None

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        lanes = ", ".join(f"{lane.name.lower()} {self._counts[lane]}" for lane in Lane)
        return f"<WorkQueue {lanes}; out {self._out}; aside {len(self._aside)}; known {len(self._entries)}>"

    # -- inside

    def _refill(self) -> None:
        if self._full and self._out <= self._most_out // 2:
            self._full = False
        self._hand_out()

    def _line_up(self, entry: _Entry) -> None:
        """Put the entry's item into its lane, and the stale ones out where they have become many."""
        assert entry.lane is not None  # noqa: S101 - the callers have looked
        assert entry.place is not None  # noqa: S101 - it comes and goes with the lane
        items = self._lanes[entry.lane]
        heapq.heappush(items, entry.place)
        if len(items) > 2 * self._counts[entry.lane] + _STALE_LEEWAY:
            items[:] = [item for item in items if self._is_waiting(item)]
            heapq.heapify(items)

    def _is_waiting(self, item: _Item) -> bool:
        """Whether an item of a lane still holds."""
        entry = self._entries.get(item[2])
        return entry is not None and entry.place is item and not entry.working

    def _is_due(self, item: _Item) -> bool:
        """Whether a schedule still holds."""
        entry = self._entries.get(item[2])
        return entry is not None and entry.due is item

    def _drop_if_idle(self, key: ObjectKey, entry: _Entry) -> None:
        """Keep nothing of a key that neither waits nor is out nor is due."""
        if entry.lane is None and entry.due is None and not entry.working:
            del self._entries[key]

    def _head(self, lane: Lane) -> float | None:
        """The order of the first item of a lane that still holds; stale ones are dropped on the way."""
        items = self._lanes[lane]
        while items:
            if self._is_waiting(items[0]):
                return items[0][0]
            heapq.heappop(items)
        return None

    def _hand_out(self) -> None:
        while self._idle and not self._full and not self._closed:
            heads = [
                (order, lane)
                for lane in Lane
                if lane <= self._last_lane and (order := self._head(lane)) is not None
            ]
            if not heads:
                return
            turn = self._idle.popleft()
            if turn.done():  # its worker was cancelled
                continue
            _, lane = min(heads)
            key = heapq.heappop(self._lanes[lane])[2]
            entry = self._entries[key]
            claim = Claim(key, lane, entry.fresh_from)
            entry.lane = entry.place = None
            entry.fresh_from, entry.working = -math.inf, True
            self._counts[lane] -= 1
            self._out += 1
            self._full = self._out >= self._most_out
            turn.set_result(claim)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and not self._closed:
            loop = asyncio.get_running_loop()
            delay = max(0.0, self._heap[0][0] - self._clock())
            self._timer = loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        """Move what has become due into its lane."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            item = heapq.heappop(self._heap)
            if self._is_due(item):
                entry = self._entries[item[2]]
                entry.due = None
                self.add(item[2], entry.due_lane)
        self._set_timer()
