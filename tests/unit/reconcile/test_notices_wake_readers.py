"""A store tells of a change: who reads it asks at once, within what its own policies allow."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from keyferry.core.summarize import timestamp
from keyferry.errors import Unavailable
from keyferry.ports import ObjectKey
from keyferry.providers.fake import FakeClient, FakeProvider
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.remote import (
    CLOCK_TOLERANCE,
    MISSED_SPREAD_S,
    SEARCH_PAUSE_S,
    SEARCHES_PER_S,
    StoreNews,
)
from keyferry.reconcile.remote_index import Reading
from keyferry.reconcile.repairs import AT_ONCE, EVERY_S
from keyferry.reconcile.vain import FORGOTTEN_S
from keyferry.testing import builders
from keyferry.testing.builders import cluster_store, entry, external_secret, find
from keyferry.testing.looptime import settle

KEY = ObjectKey("ExternalSecret", "team-0", "app")
STORE = ObjectKey("SecretStore", "team-0", "store")
SHARED = ObjectKey("ClusterSecretStore", "", "shared")


class Telling(FakeProvider):
    """The fake provider, as one whose stores tell of changes."""

    watches = True


class World:
    """ExternalSecrets without a target, in sync since the clock's now, and a store that is ready."""

    def __init__(self, bench, server, play) -> None:
        self.bench, self.engine = bench, bench.engine
        self.news = StoreNews(bench.engine)
        self.use(Telling())
        self.engine.books.forget_external_secret(bench.key)
        server.otherwise = play.says(200, {"metadata": {"name": "app", "uid": "u", "resourceVersion": "9"}})
        self.data = {"db": "one"}
        self.put_store()

    def use(self, provider: FakeProvider) -> None:
        self.engine.providers = self.engine.planner._providers = {"fake": provider}

    def put_store(self, key: ObjectKey = STORE) -> None:
        store = builders.store(self.data, name=key.name)
        store["metadata"] |= {
            "namespace": key.namespace,
            "uid": key.name,
            "resourceVersion": "3",
            "generation": 1,
        }
        self.engine.books.note_store(key, store)
        self.engine.books.stores[key].ready = True

    async def put(self, key: ObjectKey = KEY, *entries, look: bool = True, **spec):
        """An ExternalSecret that has been looked at, with nothing to do; its record."""
        spec = {"target": {"creationPolicy": "None"}} | spec
        made = external_secret(key.name, *(entries or [entry("v", "db")]), **spec)
        made["metadata"] |= {
            "namespace": key.namespace,
            "uid": key.name,
            "resourceVersion": "5",
            "generation": 1,
        }
        self.engine.books.note_external_secret(key, made)
        record = self.engine.books.external_secrets[key]
        now = timestamp(self.bench.clock.now())
        conditions = [
            {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced"}
        ]
        made["status"] = {
            "refreshTime": now,
            "syncedResourceVersion": record.current(),
            "conditions": conditions,
        }
        made["metadata"]["resourceVersion"] = "6"
        self.engine.books.note_external_secret(key, made)
        if look:
            await self.look(key)
        assert 0 == record.sync_calls
        return record

    async def look(self, key: ObjectKey = KEY, lane: Lane = Lane.EVENT) -> None:
        await reconcile_external_secret(self.engine, Claim(key, lane, self.engine.queue.now()))

    async def tell_for(self, seconds: float) -> int:
        """Tell of the same change ten times in a second, and look whenever that is due; how many looks."""
        looks = 0
        for _ in range(round(10 * seconds)):
            self.news.changed(STORE, "", {"db": None})
            if (due := self.bench.due_in(KEY)) is not None and due <= 0:
                self.engine.queue.unschedule(KEY)
                self.engine.queue.add(KEY, Lane.EVENT)
            for found, lane in await self.bench.taken():
                looks += 1
                await self.look(found, lane)
                self.engine.queue.done(found)
            self.bench.clock.advance(0.1)
        return looks

    async def tell_and_look(self, key: str = "db") -> None:
        self.news.changed(STORE, "", {key: None})
        for found, lane in await self.bench.taken():
            await self.look(found, lane)
            self.engine.queue.done(found)


@pytest.fixture
def world(bench, server, play) -> World:
    return World(bench, server, play)


async def test_reader_asks_at_once_and_nobody_else(world) -> None:
    record = await world.put()
    other = await world.put(ObjectKey("ExternalSecret", "team-0", "other"), entry("v", "mail"))
    await world.tell_and_look()

    assert (1, 0, False) == (record.sync_calls, other.sync_calls, record.noticed)
    assert not any(world.engine.queue.depth(lane) for lane in Lane)


async def test_notice_goes_before_what_is_due_by_time(world) -> None:
    await world.put()
    world.news.changed(STORE, "", {"db": None})

    assert [(KEY, Lane.EVENT)] == await world.bench.taken()


async def test_answer_from_before_the_notice_is_too_old(world) -> None:
    await world.put()
    world.bench.clock.advance(5)
    world.news.changed(STORE, "", {"db": None})

    assert world.engine.queue.now() == (await world.engine.queue.take()).fresh_from


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"refreshPolicy": "CreatedOnce"}, id="created-once"),
        pytest.param({"refreshPolicy": "OnChange"}, id="on-change"),
        pytest.param({"refreshInterval": "0"}, id="interval-0"),
    ],
)
async def test_what_never_refreshes_does_not_for_a_notice_either(world, spec) -> None:
    record = await world.put(**spec)
    await world.tell_and_look()

    assert (0, False) == (record.sync_calls, record.noticed)


async def test_notice_waits_for_a_window(world) -> None:
    """The clock stands at noon; the window opens at two."""
    windows = {"kind": "allow", "windows": [{"schedule": "0 14 * * *", "duration": "1h"}]}
    record = await world.put(refreshInterval="24h", syncWindows=windows)
    await world.tell_and_look()
    before, due = record.sync_calls, world.bench.due_in(KEY)
    world.bench.clock.advance(due)
    await world.look(lane=Lane.PERIODIC)

    assert (0, 7200.0, 1) == (before, due, record.sync_calls)


class Failing(Telling):
    """The fake provider, with a store that is out."""

    async def connect(self, identity):
        class Client(FakeClient):
            async def read(self, reads):
                raise Unavailable("out of order")

        return Client(identity.material)


async def test_failure_is_tried_again_although_nothing_is_due(world) -> None:
    world.use(Failing())
    record = await world.put(retrySettings=None)
    await world.tell_and_look()
    await world.look(lane=Lane.RETRY)

    assert (2, True) == (record.sync_calls, record.noticed)
    assert record.waiting


async def test_object_that_is_written_again_and_again_is_slowed_down(world, caplog) -> None:
    """As where two are made from each other."""
    caplog.set_level(logging.WARNING)
    record = await world.put()
    for _ in range(AT_ONCE):
        world.engine.repairs.note(KEY, world.engine.queue.now())
    await world.tell_and_look()

    assert 0 == record.sync_calls
    assert (True, EVERY_S) == (record.noticed, pytest.approx(world.bench.due_in(KEY)))
    assert any("again and again" in message for message in caplog.messages)
    world.bench.clock.advance(EVERY_S)
    await world.look(lane=Lane.RETRY)
    assert (1, False) == (record.sync_calls, record.noticed)


async def test_source_whose_values_stay_is_looked_at_more_and_more_rarely(world) -> None:
    """Somebody writes annotations at it, ten times in a second, for five minutes."""
    record = await world.put()
    looks = [await world.tell_for(1) for _ in range(4)]
    await world.tell_for(60)
    minute = await world.tell_for(60)
    before = record.sync_calls
    await world.tell_for(180)

    assert [2, 1, 0, 1] == looks
    assert minute <= 2
    assert record.sync_calls - before <= 4


async def test_after_a_rest_a_notice_is_heeded_at_once(world) -> None:
    await world.put()
    await world.tell_for(60)
    world.bench.clock.advance(FORGOTTEN_S)
    world.engine.queue.unschedule(KEY)
    world.news.changed(STORE, "", {"db": None})

    assert [(KEY, Lane.EVENT)] == await world.bench.taken()


@pytest.mark.parametrize("flag", ["noticed", "asked"])
async def test_reason_outlives_an_api_server_that_is_out(*, world, server, play, flag) -> None:
    """Whatever the sync fails at: the retry must not find that nothing is due."""
    world.put_store()
    record = await world.put(target={"creationPolicy": "Owner"}, look=False)
    server.otherwise = play.says(503, {})
    setattr(record, flag, True)
    await world.look()
    failed = getattr(record, flag)
    await world.look(lane=Lane.RETRY)

    assert (True, True, 0) == (failed, getattr(record, flag), record.sync_calls)


class Hanging(Telling):
    """The fake provider, with identities that never come."""

    begun = 0

    async def identify(self, store, namespace, cluster):
        self.begun += 1
        await asyncio.Event().wait()


async def test_object_at_rest_waits_for_no_store(world) -> None:
    hanging = Hanging()
    world.use(hanging)
    await world.put()
    for _ in range(3):
        async with asyncio.timeout(5):
            await world.look()
    await settle()

    assert 1 == hanging.begun
    assert 3000 < world.bench.due_in(KEY) <= 3600
    assert [] == await world.bench.taken()


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        pytest.param(Telling(), (Reading(STORE, "db"),), id="that-tells"),
        pytest.param(FakeProvider(), (), id="that-tells-nothing"),
    ],
)
async def test_only_readers_of_a_store_that_tells_are_noted(world, provider, expected) -> None:
    world.use(provider)
    record = await world.put()

    assert (expected, bool(expected)) == (record.reads, world.news.in_use(STORE))


async def test_readers_of_a_store_that_is_not_known_yet_are_noted(world) -> None:
    world.engine.books.stores.clear()
    record = await world.put()

    assert (Reading(STORE, "db"),) == record.reads


async def test_many_searches_are_spread_over_time_however_often_they_are_told(world) -> None:
    """Whatever their expressions are."""
    keys = [ObjectKey("ExternalSecret", "team-0", f"app-{number}") for number in range(10 * SEARCHES_PER_S)]
    for key in keys:
        await world.put(key, find(f"^d.*{key.name}$"))
    world.bench.clock.advance(60)
    world.news.changed(STORE, "", {"db": None})
    due = [world.bench.due_in(key) for key in keys]
    for _ in range(100):
        world.news.changed(STORE, "", {"mail": None, "db": None})

    assert due == [world.bench.due_in(key) for key in keys]
    assert 0 < sum(one < 1 for one in due) < 3 * SEARCHES_PER_S
    assert 8 < max(due) <= 9


@pytest.mark.parametrize(
    ("written_ago", "woken"),
    [
        pytest.param(timedelta(0), True, id="since"),
        pytest.param(CLOCK_TOLERANCE - timedelta(seconds=1), True, id="within-the-clocks'-difference"),
        pytest.param(CLOCK_TOLERANCE + timedelta(seconds=1), False, id="before"),
    ],
)
async def test_who_has_read_since_the_last_write_need_not_look(world, written_ago, woken) -> None:
    record = await world.put()
    world.news.changed(STORE, "", {"db": world.bench.clock.now() - written_ago})

    assert woken is record.noticed
    assert ([(KEY, Lane.EVENT)] if woken else []) == await world.bench.taken()


async def test_search_is_not_repeated_within_a_second(world) -> None:
    record = await world.put(KEY, find("^d"))
    record.refreshed_at = world.bench.clock.now().timestamp() - 0.25
    for _ in range(100):
        world.news.changed(STORE, "", {"db": None})

    assert [] == await world.bench.taken()
    assert world.bench.due_in(KEY) == pytest.approx(SEARCH_PAUSE_S - 0.25)
    world.bench.clock.advance(60)
    record.refreshed_at -= 60
    world.engine.queue.unschedule(KEY)
    world.news.changed(STORE, "", {"db": None})
    assert [(KEY, Lane.EVENT)] == await world.bench.taken()


async def test_search_for_other_names_is_left_alone(world) -> None:
    record = await world.put(KEY, find("^mail"))
    world.news.changed(STORE, "", {"db": None})

    assert not record.noticed


async def test_where_anything_may_have_changed_all_look_spread_over_time(world) -> None:
    keys = [ObjectKey("ExternalSecret", "team-0", f"app-{number}") for number in range(20)]
    for key in keys:
        await world.put(key)
    world.news.changed(STORE, "", None)

    due = [world.bench.due_in(key) for key in keys]
    assert all(0 <= one <= MISSED_SPREAD_S for one in due)
    assert max(due) - min(due) > MISSED_SPREAD_S / 4


async def test_notice_for_a_namespace_wakes_readers_there_alone(world) -> None:
    world.put_store(SHARED)
    records = [
        await world.put(ObjectKey("ExternalSecret", f"team-{number}", "app"), store=cluster_store("shared"))
        for number in range(3)
    ]
    world.news.changed(SHARED, "team-1", {"db": None})

    assert [False, True, False] == [record.noticed for record in records]


async def test_notice_about_nothing_that_is_read_changes_nothing(world) -> None:
    await world.put()
    for store, key in ((STORE, "mail"), (SHARED, "db")):
        world.news.changed(store, "", {key: None})

    assert [] == await world.bench.taken()


async def test_object_that_is_gone_reads_nothing_any_more(world) -> None:
    await world.put()
    assert world.news.in_use(STORE)
    assert ["db"] == list(world.news.keys(STORE))
    world.engine.books.forget_external_secret(KEY)

    assert not world.news.in_use(STORE)
    assert [] == list(world.news.keys(STORE))


async def test_before_the_engine_is_there_nobody_reads(world) -> None:
    news = StoreNews()
    news.changed(STORE, "", {"db": None})

    assert (False, []) == (news.in_use(STORE), list(news.keys(STORE)))
