"""Leases of generated values: renewed in time, kept over restarts, and replaced by new values where they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.reconcile.tokens import KEY, Cluster, Tokens

from keyferry.api import names
from keyferry.core.lease import CATCH_UP_S, first_term, term_of, text_of
from keyferry.errors import AccessDenied, LeaseLost, Unavailable
from keyferry.kube.watch import Change, ObjectMeta, OwnerReference
from keyferry.lease import AtTheEnd, Lease
from keyferry.ports import Generated, LeasingGenerator, ObjectKey
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.generation import NOT_KEPT
from keyferry.reconcile.generator_state import observe_state, reconcile_generator_state
from keyferry.reconcile.queue import Lane
from keyferry.testing.builders import generated, renamed

HOUR = 3600.0
WORK = {
    names.EXTERNAL_SECRET: reconcile_external_secret,
    names.GENERATOR_STATE: reconcile_generator_state,
}


class Lender(Tokens):
    """A generator whose tokens end after an hour, unless they are renewed. Their keys it tells only when made."""

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock = clock
        self.life_s = HOUR
        self.at_the_end = AtTheEnd.RENEW
        self.renewed = 0
        self.asked = 0
        self.down = False
        self.refusal: Exception | None = None

    def keys(self, view: Any) -> None:
        return None

    async def generate(self, view: Any, cluster: Any) -> Generated:
        if self.down:
            raise Unavailable("the lender is down")
        made = await super().generate(view, cluster)
        return Generated(made.data, made.state, self.lease())

    async def renew(self, view: Any, state: bytes, cluster: Any) -> Lease:
        self.asked += 1
        if self.down:
            raise Unavailable("the lender is down")
        if self.refusal is not None:
            raise self.refusal
        self.renewed += 1
        return self.lease()

    async def close(self) -> None:
        """Nothing is open."""

    def lease(self) -> Lease:
        now = self.clock.now()
        return Lease(now, now + timedelta(seconds=self.life_s), self.at_the_end)


class World(Cluster):
    """The API server, the lender, and the work that is due."""

    def __init__(self, bench, server, play) -> None:
        super().__init__(bench, server, play)
        self.clock = bench.clock
        self.lender = self.tokens = Lender(bench.clock)
        self.engine.generators = {"Fake": self.lender}

    def state_keys(self) -> list[ObjectKey]:
        return [ObjectKey(names.GENERATOR_STATE, "team-0", name) for name in self.states]

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Do all work as it falls due, until the time is over."""
        queue, end = self.engine.queue, self.clock.monotonic() + seconds
        while True:
            while any(queue.depth(lane) for lane in Lane):
                claim = await queue.take()
                await WORK[claim.key.kind](self.engine, claim)
                queue.done(claim.key)
                if self.secrets:
                    self.tell_of_secret()
            dues = {key: due for key in (KEY, *self.state_keys()) if (due := queue.due_at(key)) is not None}
            first = min(dues, key=lambda key: dues[key], default=None)
            if first is None or dues[first] > end:
                self.clock.advance(max(0.0, end - self.clock.monotonic()))
                break
            self.clock.advance(max(0.0, dues[first] - self.clock.monotonic()))
            queue.unschedule(first)
            queue.add(first, Lane.RETRY)
        await self.engine.events.flush(5)

    async def sync(self, *entries, **spec) -> None:
        """An ExternalSecret, synced."""
        self.put(*(entries or (generated("Fake", "gen"),)), **({"refreshInterval": "0"} | spec))
        self.engine.queue.add(KEY, Lane.USER)
        await self.pass_time()

    def asked(self, method: str, part: str) -> int:
        """Requests to the API server so far."""
        return len([seen for seen in self.server.seen if seen.method == method and part in seen.path])

    def used(self) -> list[dict[str, Any]]:
        """The states without a deadline."""
        return [state for state in self.states.values() if "garbageCollectionDeadline" not in state["spec"]]

    def term(self) -> Any:
        (state,) = self.used()
        return term_of(state["metadata"]["annotations"][names.ANNOTATION_LEASE])

    def restart(self) -> None:
        """Another process looks: it knows nothing but what the watch tells it."""
        states = self.engine.books.generator_states
        for key in self.state_keys():
            states.forget(key)
            self.engine.queue.forget(key)
        self.tell_of_states(Change.LISTED)

    def tell_of_states(self, change: Change) -> None:
        for state in self.states.values():
            metadata = {key: value for key, value in state["metadata"].items() if key != "ownerReferences"}
            owners = [OwnerReference(**_snake(one)) for one in state["metadata"]["ownerReferences"]]
            meta = msgspec.convert(metadata | {"generation": 1}, ObjectMeta)
            observe_state(self.engine, change, msgspec.structs.replace(meta, owner_references=owners))

    def events(self, reason: str) -> list[str]:
        found = [seen.json() for seen in self.server.seen if seen.path.endswith("/events")]
        return [one["message"] for one in found if one["reason"] == reason]


def _snake(owner: dict[str, Any]) -> dict[str, Any]:
    return {"api_version": owner["apiVersion"], **{key: owner[key] for key in ("kind", "name", "uid")}}


@pytest.fixture
def world(bench, server, play) -> World:
    bench.engine.books.forget_external_secret(bench.key)
    bench.engine.queue.forget(bench.key)
    return World(bench, server, play)


def test_lender_is_one_as_the_port_has_it(world) -> None:
    assert isinstance(world.lender, LeasingGenerator)
    assert not isinstance(Tokens(), LeasingGenerator)


# -- renewed in time


async def test_lease_is_renewed_at_two_thirds_and_nothing_else_is_touched(world) -> None:
    await world.sync()
    began, due = world.term().lease.began_at, world.term().due_at
    writes = world.asked("PUT", ""), world.asked("POST", "")
    reads = world.asked("GET", "/secrets")
    await world.pass_time(0.59 * HOUR)
    assert 0 == world.lender.renewed
    await world.pass_time(0.08 * HOUR)

    assert 1 == world.lender.renewed
    assert world.term().lease.began_at > began
    assert world.term().due_at > due
    assert (writes, reads) == (
        (world.asked("PUT", ""), world.asked("POST", "")),
        world.asked("GET", "/secrets"),
    )
    assert (1, 1) == (world.asked("GET", "/generatorstates/"), world.asked("PATCH", "/generatorstates/"))


async def test_lease_is_kept_for_days_with_one_value(world) -> None:
    await world.sync()
    token = world.token()
    await world.pass_time(72 * HOUR)

    assert token == world.token()
    assert 1 == world.lender.made
    assert 72 / 0.667 - 1 <= world.lender.renewed <= 72 / 0.6 + 1
    assert world.reasons == ["Created"]


async def test_refresh_gives_a_new_value_and_between_two_the_lease_is_kept(world) -> None:
    await world.sync(refreshInterval="10h")
    await world.pass_time(10 * HOUR)

    assert 2 == world.lender.made
    assert 13 <= world.lender.renewed <= 17
    assert world.token() in world.lender.good


async def test_what_was_superseded_is_renewed_no_more_and_ends_after_the_grace_period(world) -> None:
    await world.sync(refreshInterval="30m")
    while world.lender.made < 2:
        await world.pass_time(10)
    assert 2 == len(world.lender.good)
    await world.pass_time(180)

    assert world.lender.good == [world.token()]
    assert 1 == len(world.states)
    assert 0 == world.lender.asked


async def test_watch_that_tells_of_the_own_renewal_is_no_work(world) -> None:
    await world.sync()
    await world.pass_time(0.67 * HOUR)
    reads, renewed = world.asked("GET", "/generatorstates/"), world.lender.renewed
    world.tell_of_states(Change.SET)
    await world.pass_time()

    assert (reads, renewed) == (world.asked("GET", "/generatorstates/"), world.lender.renewed)


async def test_renewal_by_another_replica_is_taken_over(world) -> None:
    """Both were at work for a moment: what has been renewed already is not renewed again."""
    await world.sync()
    await world.pass_time(0.5 * HOUR)
    (state,) = world.states.values()
    theirs = first_term(world.lender.lease(), 0.0)
    state["metadata"]["annotations"][names.ANNOTATION_LEASE] = text_of(theirs)
    world.tell_of_states(Change.SET)
    await world.pass_time(0.6 * HOUR)
    assert 0 == world.lender.renewed
    await world.pass_time(0.1 * HOUR)

    assert 1 == world.lender.renewed


async def test_lease_of_a_paused_object_is_kept(world) -> None:
    await world.sync()
    record = world.engine.books.external_secrets[KEY]
    record.metadata = msgspec.msgpack.encode(({}, {names.ANNOTATION_PAUSED: names.PAUSED_VALUE}))
    await world.pass_time(3 * HOUR)

    assert 4 <= world.lender.renewed <= 5


async def test_lease_is_renewed_although_the_renewal_cannot_be_noted(world) -> None:
    """The API server refuses the write: this process knows all the same."""
    await world.sync()
    answer = world.server.otherwise

    async def refuse(request):
        if request.method == "PATCH" and "/generatorstates" in request.path:
            return await world.play.refuses(403, "no")(request)
        return await answer(request)

    world.server.otherwise = refuse
    await world.pass_time(2 * HOUR)

    assert 2 <= world.lender.renewed <= 3
    assert 1 == world.lender.made


# -- over a restart


async def test_restart_renews_nothing_that_is_not_due(world) -> None:
    await world.sync()
    await world.pass_time(0.5 * HOUR)
    reads = len(world.server.seen)
    world.restart()
    await world.pass_time()

    assert (0, 1) == (world.lender.asked, world.lender.made)
    assert reads == len(world.server.seen)
    await world.pass_time(0.17 * HOUR)
    assert (1, 1) == (world.lender.renewed, world.lender.made)


async def test_renewals_that_are_overdue_after_a_restart_are_spread(bench) -> None:
    """A thousand of them: none before its turn, all within a minute, and nobody is asked to find that out."""
    engine, now = bench.engine, bench.clock.now()
    term = first_term(Lease(now - timedelta(hours=3), now + timedelta(hours=1)), 0.0)
    keys = [ObjectKey(names.GENERATOR_STATE, "team-0", f"state-{number}") for number in range(1000)]
    for key in keys:
        annotations = {names.ANNOTATION_CONTROLLER_CLASS: "default", names.ANNOTATION_LEASE: text_of(term)}
        owner = OwnerReference(kind=names.EXTERNAL_SECRET, name=bench.key.name, uid=bench.record.uid)
        meta = ObjectMeta(
            key.name, "team-0", f"uid-{key.name}", "1", 1, annotations=annotations, owner_references=[owner]
        )
        observe_state(engine, Change.LISTED, meta)
    for claim in [await engine.queue.take() for _ in range(8)]:
        await reconcile_generator_state(engine, claim)
        engine.queue.done(claim.key)

    waits = sorted(bench.due_in(key) for key in keys)
    assert 0 <= waits[0]
    assert CATCH_UP_S >= waits[-1]
    tenth = CATCH_UP_S / 10
    shares = [sum(n * tenth <= wait < (n + 1) * tenth for wait in waits) for n in range(10)]
    assert [] == [share for share in shares if not 50 < share < 150]
    assert 8 == len(keys) - sum(bench.engine.queue.depth(lane) for lane in Lane)


async def test_value_that_ended_while_nobody_looked_is_made_anew_at_once(world) -> None:
    await world.sync()
    world.clock.advance(2 * HOUR)
    world.restart()
    await world.pass_time()

    assert (0, 2) == (world.lender.asked, world.lender.made)
    assert world.token() in world.lender.good
    assert ["they ended before they could be renewed" in one for one in world.events("Generated")] == [True]


async def test_value_without_a_readable_lease_is_left_as_it_is(world) -> None:
    await world.sync()
    (state,) = world.states.values()
    state["metadata"]["annotations"][names.ANNOTATION_LEASE] = "{}"
    world.restart()
    await world.pass_time(5 * HOUR)

    assert (0, 1) == (world.lender.asked, world.lender.made)


# -- where it ends


@pytest.mark.parametrize(
    "refusal",
    [LeaseLost("the lender knows it no more"), AccessDenied("the lender denies it")],
    ids=["lost", "denied"],
)
async def test_lost_lease_means_one_new_value_and_one_write(world, refusal) -> None:
    await world.sync()
    first = world.token()
    world.lender.refusal = refusal
    await world.pass_time(0.67 * HOUR)
    world.lender.refusal = None
    await world.pass_time(0.3 * HOUR)

    assert 2 == world.lender.made
    assert world.token() != first
    assert world.reasons == ["Created", "Updated", "Generated"]
    assert [f'new values made by Fake "team-0/gen": {refusal}'] == world.events("Generated")
    assert world.told.reason == "SecretSynced"
    assert 1 == len(world.states)


async def test_last_end_is_known_before_it_comes(world) -> None:
    """The lender gives less and less: the value is replaced while it is still good."""
    await world.sync()
    first = world.token()
    world.lender.life_s = 0.1 * HOUR
    await world.pass_time(0.67 * HOUR)
    world.lender.life_s = HOUR
    assert AtTheEnd.REPLACE == world.term().lease.at_the_end
    await world.pass_time(0.08 * HOUR)

    assert (1, 2) == (world.lender.asked, world.lender.made)
    assert world.token() != first
    assert "they end, and cannot be renewed" in world.events("Generated")[0]


async def test_value_that_cannot_be_renewed_is_replaced_at_two_thirds(world) -> None:
    world.lender.at_the_end = AtTheEnd.REPLACE
    await world.sync()
    await world.pass_time(0.59 * HOUR)
    assert 1 == world.lender.made
    await world.pass_time(0.08 * HOUR)

    assert (0, 2) == (world.lender.asked, world.lender.made)


async def test_value_that_is_made_anew_elsewhere_is_read_after_that(world) -> None:
    world.lender.at_the_end = AtTheEnd.READ_AGAIN
    await world.sync()
    await world.pass_time(HOUR + 4)
    assert 1 == world.lender.made
    await world.pass_time(3)

    assert (0, 2) == (world.lender.asked, world.lender.made)


@pytest.mark.parametrize(
    "spec",
    [
        {"refreshInterval": "0"},
        {"refreshPolicy": "CreatedOnce"},
        {"refreshPolicy": "OnChange"},
        {
            "refreshInterval": "1000h",
            "syncWindows": {"kind": "allow", "windows": [{"schedule": "0 0 1 1 *", "duration": "1h"}]},
        },
    ],
    ids=["interval-0", "created-once", "on-change", "windows"],
)
async def test_dead_value_is_replaced_whatever_the_policy(world, spec) -> None:
    await world.sync(**spec)
    world.lender.refusal = LeaseLost("gone")
    await world.pass_time(0.67 * HOUR)

    assert 2 == world.lender.made
    assert world.told.reason == "SecretSynced"


# -- where the lender is down


async def test_lender_that_is_down_for_a_while_is_asked_again_and_the_end_is_told(world) -> None:
    await world.sync()
    first = world.token()
    world.lender.down = True
    await world.pass_time(0.75 * HOUR)
    assert [] == world.events("LeaseNotRenewed")
    await world.pass_time(0.15 * HOUR)
    said = world.told
    tries = world.lender.asked
    world.lender.down = False
    await world.pass_time(0.09 * HOUR)

    assert ("True", "SecretSynced") == (said.status, said.reason)
    words = (
        "the lease of generated values could not be renewed so far, and its end is near: the lender is down"
    )
    assert f"secret synced; {words}" == said.message
    assert [words] == world.events("LeaseNotRenewed")
    assert 8 <= tries <= 40
    assert (1, 1) == (world.lender.renewed, world.lender.made)
    assert "secret synced" == world.told.message
    assert first == world.token()


async def test_last_good_secret_stays_while_the_lender_is_down_and_is_replaced_when_it_is_back(world) -> None:
    await world.sync()
    first = world.token()
    world.lender.down = True
    await world.pass_time(1.5 * HOUR)
    assert (first, "SecretSyncedError") == (world.token(), world.told.reason)
    assert "the lender is down" in world.told.message
    world.lender.down = False
    await world.pass_time(0.3 * HOUR)

    assert (0, 2) == (world.lender.renewed, world.lender.made)
    assert "SecretSynced" == world.told.reason
    assert "they ended before they could be renewed" in world.events("Generated")[0]


async def test_bug_in_a_renewal_is_told_by_its_type_and_costs_no_value(world, caplog) -> None:
    await world.sync()
    world.lender.refusal = ZeroDivisionError("words that may quote anything")
    await world.pass_time(0.9 * HOUR)
    world.lender.refusal = None
    message = world.told.message
    await world.pass_time(0.09 * HOUR)

    assert "internal error (ZeroDivisionError)" in message
    assert (1, 1) == (world.lender.renewed, world.lender.made)
    assert "a bug in Keyferry" in caplog.text


async def test_generator_that_is_gone_costs_the_value_only_at_its_end(world) -> None:
    """Of a namespaced one its spec is in the state: it goes on."""
    await world.sync()
    world.generators.clear()
    await world.pass_time(2 * HOUR)

    assert 2 <= world.lender.renewed
    assert 1 == world.lender.made


# -- several values in one Secret


async def test_one_lease_of_two_that_is_lost_leaves_the_other_value(world) -> None:
    """What each entry made is known by its state, although the generator tells it for none of them."""
    world.generators.add("other")
    await world.sync(generated("Fake", "gen"), generated("Fake", "other", renamed("token", "second")))
    before = dict(world.secrets["app"]["data"])
    (lost,) = [
        key
        for key in world.state_keys()
        if world.states[key.name]["spec"]["resource"]["metadata"]["name"] == "gen"
    ]
    use = world.engine.books.generator_states.get((lost.namespace, lost.name))
    use.over = "lost"
    world.engine.queue.add(KEY, Lane.EVENT)
    await world.pass_time()

    after = world.secrets["app"]["data"]
    assert 3 == world.lender.made
    assert before["token"] != after["token"]
    assert before["second"] == after["second"]


@pytest.mark.parametrize("lost", ["gen", "other"])
async def test_where_values_cannot_be_told_apart_all_of_them_are_made_anew(world, lost) -> None:
    """A template has made something else of them."""
    world.generators.add("other")
    entries = generated("Fake", "gen"), generated("Fake", "other", renamed("token", "second"))
    template = {"data": {"url": "{{ .token }}:{{ .second }}"}, "mergePolicy": "Replace"}
    await world.sync(*entries, target={"template": template})
    before = dict(world.secrets["app"]["data"])
    for key in world.state_keys():
        if world.states[key.name]["spec"]["resource"]["metadata"]["name"] == lost:
            world.engine.books.generator_states.get((key.namespace, key.name)).over = "lost"
    world.engine.queue.add(KEY, Lane.EVENT)
    await world.pass_time()
    written = len([one for one in world.reasons if one == "Updated"])
    await world.pass_time(0.5 * HOUR)

    assert 4 == world.lender.made
    assert 1 == written
    assert before.keys() == world.secrets["app"]["data"].keys()
    assert 2 == len(world.lender.good)


async def test_edit_of_the_object_keeps_the_value(world) -> None:
    """Also of its spec: the state tells which keys are the generator's."""
    await world.sync()
    first = world.token()
    world.put(generated("Fake", "gen"), version=2, refreshInterval="5h")
    world.engine.queue.add(KEY, Lane.USER)
    await world.pass_time()

    assert first == world.token()
    assert 1 == world.lender.made


# -- where nothing is noted


async def test_without_states_it_is_said_that_nobody_keeps_the_lease(world) -> None:
    world.bench.change_settings(generator_state=False)
    await world.sync()
    await world.pass_time(5 * HOUR)

    assert (0, 1) == (world.lender.asked, world.lender.made)
    assert {} == world.states
    assert [f'Fake "team-0/gen": {NOT_KEPT}'] == world.events("Generated")
