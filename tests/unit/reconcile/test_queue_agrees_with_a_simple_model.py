"""The queue against a model that is too simple to be wrong: whatever is done to both, they agree."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import HEAD_START_S, Claim, Lane, WorkQueue
from keyferry.testing.looptime import START_S, VirtualTimeLoop, settle

MOST_OUT = 3
KEYS = [ObjectKey("ExternalSecret", "team-a", name) for name in "abcdef"]
keys = st.sampled_from(KEYS)
lanes = st.sampled_from(list(Lane))


@dataclass
class Known:
    """What the model knows of a key. Arrival breaks ties: of equal orders, and of equal due times."""

    lane: Lane | None = None
    order: float = math.inf
    arrival: int = 0
    fresh_from: float = -math.inf
    out: bool = False
    due_at: float | None = None
    due_arrival: int = 0
    due_lane: Lane = Lane.PERIODIC


class Model:
    """The queue's contract, by searching through everything each time."""

    def __init__(self) -> None:
        self.known = {key: Known() for key in KEYS}
        self.now = START_S
        self.full = False
        self.last_lane = max(Lane)
        self.arrivals = 0

    def add(self, key: ObjectKey, lane: Lane, fresh_from: float | None = None) -> None:
        known = self.known[key]
        known.fresh_from = max(known.fresh_from, self.now if fresh_from is None else fresh_from)
        if known.lane is None or lane < known.lane:
            self.arrivals += 1
            known.order = min(known.order, self.now + HEAD_START_S[lane])
            known.lane, known.arrival = lane, self.arrivals

    def schedule(self, key: ObjectKey, at: float, lane: Lane) -> None:
        known = self.known[key]
        if known.due_at != at:
            self.arrivals += 1
            known.due_at, known.due_arrival = at, self.arrivals
        known.due_lane = lane

    def forget(self, key: ObjectKey) -> None:
        self.known[key] = Known(out=self.known[key].out)

    def next(self) -> Claim | None:
        waiting = [
            (known.order, known.lane, known.arrival, key)
            for key, known in self.known.items()
            if known.lane is not None and known.lane <= self.last_lane and not known.out
        ]
        if not waiting or self.full:
            return None
        _, lane, _, key = min(waiting)
        claim = Claim(key, lane, self.known[key].fresh_from)
        known = self.known[key]
        self.known[key] = Known(
            out=True, due_at=known.due_at, due_arrival=known.due_arrival, due_lane=known.due_lane
        )
        self.full = self.out >= MOST_OUT
        return claim

    def done(self, key: ObjectKey) -> None:
        self.known[key].out = False
        if self.full and self.out <= MOST_OUT // 2:
            self.full = False

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            due = [(k.due_at, k.due_arrival, key) for key, k in self.known.items() if k.due_at is not None]
            if not due or min(due)[0] > until:
                break
            at, _, key = min(due)
            self.now = max(self.now, at)
            self.known[key].due_at = None
            self.add(key, self.known[key].due_lane)
        self.now = until

    @property
    def out(self) -> int:
        return sum(known.out for known in self.known.values())


class QueueMachine(RuleBasedStateMachine):
    """Random work on both; workers come by one at a time and take what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.model = Model()
        self.queue = self.run(self.make())

    async def make(self) -> WorkQueue:
        return WorkQueue(MOST_OUT)

    def run(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        assert [] == self.loop.complaints
        self.loop.close()

    @rule(key=keys, lane=lanes, age=st.none() | st.sampled_from([0.0, 5.0, 100.0]))
    def add(self, key: ObjectKey, lane: Lane, age: float | None) -> None:
        fresh_from = None if age is None else self.model.now - age

        async def act() -> None:
            self.queue.add(key, lane, fresh_from)

        self.run(act())
        self.model.add(key, lane, fresh_from)

    @rule(key=keys, lane=lanes, delay=st.sampled_from([0.25, 2.0, 2.0, 40.0, 90.0]))
    def schedule(self, key: ObjectKey, lane: Lane, delay: float) -> None:
        at = self.model.now + delay

        async def act() -> None:
            self.queue.schedule(key, at, lane)

        self.run(act())
        self.model.schedule(key, at, lane)

    @rule(key=keys)
    def unschedule(self, key: ObjectKey) -> None:
        self.queue.unschedule(key)
        self.model.known[key].due_at = None

    @rule(key=keys)
    def forget(self, key: ObjectKey) -> None:
        self.queue.forget(key)
        self.model.forget(key)

    @rule()
    def take(self) -> None:
        async def act() -> Claim | None:
            worker = asyncio.get_running_loop().create_task(self.queue.take())
            await settle(4)
            if not worker.done():
                worker.cancel()
                await asyncio.wait([worker])
                return None
            return worker.result()

        assert self.model.next() == self.run(act())

    @rule(key=keys, lane=lanes)
    def waiting_worker_is_cancelled_as_it_is_given_a_key(self, key: ObjectKey, lane: Lane) -> None:
        if any(known.lane is not None and not known.out for known in self.model.known.values()):
            return  # it would not have to wait

        async def act() -> None:
            worker = asyncio.get_running_loop().create_task(self.queue.take())
            await asyncio.sleep(0)
            self.queue.add(key, lane)
            worker.cancel()
            await asyncio.wait([worker])

        self.run(act())
        self.model.add(key, lane)
        claim = self.model.next()
        if claim is not None:
            self.model.add(claim.key, claim.lane, claim.fresh_from)
            self.model.done(claim.key)

    @rule(key=keys)
    def done(self, key: ObjectKey) -> None:
        if self.model.known[key].out:
            self.queue.done(key)
            self.model.done(key)

    @rule(seconds=st.sampled_from([0.5, 3.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        self.model.pass_time(seconds)

    @rule(last=lanes)
    def restrict(self, last: Lane) -> None:
        self.queue.restrict(last)
        self.model.last_lane = last

    @rule()
    def lift(self) -> None:
        self.queue.restrict(max(Lane))
        self.model.last_lane = max(Lane)

    @invariant()
    def counts_agree(self) -> None:
        for lane in Lane:
            waiting = sum(known.lane is lane for known in self.model.known.values())
            assert waiting == self.queue.depth(lane)
        assert self.model.out == self.queue.out

    @invariant()
    def schedules_agree(self) -> None:
        expected = {key: known.due_at for key, known in self.model.known.items()}
        assert expected == {key: self.queue.due_at(key) for key in KEYS}

    @invariant()
    def nothing_is_kept_of_keys_without_work(self) -> None:
        needed = sum(
            known.lane is not None or known.out or known.due_at is not None
            for known in self.model.known.values()
        )
        assert needed == len(self.queue)

    @invariant()
    def oldest_wait_agrees(self) -> None:
        orders = [k.order for k in self.model.known.values() if k.lane is not None and not k.out]
        oldest = max(0.0, self.model.now - min(orders)) if orders else 0.0
        assert oldest == self.queue.oldest_wait_s()


TestQueueAgreesWithASimpleModel = QueueMachine.TestCase
TestQueueAgreesWithASimpleModel.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, derandomize=True, database=None
)
