"""A store tells of a change: who reads it asks at once, within what its own policies allow."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from keyferry.core.summarize import timestamp
from keyferry.errors import Unavailable
from keyferry.ports import ObjectKey
from keyferry.providers.fake import FakeClient, FakeProvider
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.remote import CLOCK_TOLERANCE, MISSED_SPREAD_S, SEARCH_PAUSE_S, StoreNews
from keyferry.reconcile.repairs import AT_ONCE, EVERY_S
from keyferry.testing import builders
from keyferry.testing.builders import cluster_store, entry, external_secret, find

KEY = ObjectKey("ExternalSecret", "team-0", "app")
STORE = ObjectKey("SecretStore", "team-0", "store")
SHARED = ObjectKey("ClusterSecretStore", "", "shared")


class World:
    """ExternalSecrets without a target, in sync since the clock's now, and a store that is ready."""

    def __init__(self, bench, server, play) -> None:
        self.bench, self.engine = bench, bench.engine
        self.news = StoreNews(bench.engine)
        self.engine.books.forget_external_secret(bench.key)
        server.otherwise = play.says(200, {"metadata": {"name": "app", "uid": "u", "resourceVersion": "9"}})
        self.data = {"db": "one"}
        self.put_store()

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

    async def put(self, key: ObjectKey = KEY, *entries, **spec):
        """An ExternalSecret that has been looked at, with nothing to do; its record."""
        made = external_secret(
            key.name, *(entries or [entry("v", "db")]), target={"creationPolicy": "None"}, **spec
        )
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
        await self.look(key)
        assert 0 == record.sync_calls
        return record

    async def look(self, key: ObjectKey = KEY, lane: Lane = Lane.EVENT) -> None:
        await reconcile_external_secret(self.engine, Claim(key, lane, self.engine.queue.now()))

    async def tell_and_look(self, key: str = "db") -> None:
        self.news.changed(STORE, "", key, None)
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
    world.news.changed(STORE, "", "db", None)

    assert [(KEY, Lane.EVENT)] == await world.bench.taken()


async def test_answer_from_before_the_notice_is_too_old(world) -> None:
    await world.put()
    world.bench.clock.advance(5)
    world.news.changed(STORE, "", "db", None)

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


class Failing(FakeProvider):
    """The fake provider, with a store that is out."""

    async def connect(self, identity):
        class Client(FakeClient):
            async def read(self, reads):
                raise Unavailable("out of order")

        return Client(identity.material)


async def test_failure_is_tried_again_although_nothing_is_due(world) -> None:
    world.engine.providers = {"fake": Failing()}
    world.engine.planner._providers = world.engine.providers
    record = await world.put(retrySettings=None)
    await world.tell_and_look()
    await world.look(lane=Lane.RETRY)

    assert (2, True) == (record.sync_calls, record.noticed)
    assert record.waiting


async def test_object_that_is_written_again_and_again_is_slowed_down(world, caplog) -> None:
    """As where two are made from each other; a change that changes no value is not counted."""
    caplog.set_level(logging.WARNING)
    record = await world.put()
    for _ in range(2 * AT_ONCE):
        await world.tell_and_look()
    calls = record.sync_calls
    for _ in range(AT_ONCE):
        world.engine.repairs.note(KEY, world.engine.queue.now())
    await world.tell_and_look()

    assert (2 * AT_ONCE, calls) == (calls, record.sync_calls)
    assert (True, EVERY_S) == (record.noticed, pytest.approx(world.bench.due_in(KEY)))
    assert any("again and again" in message for message in caplog.messages)
    world.bench.clock.advance(EVERY_S)
    await world.look(lane=Lane.RETRY)
    assert (calls + 1, False) == (record.sync_calls, record.noticed)


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
    world.news.changed(STORE, "", "db", world.bench.clock.now() - written_ago)

    assert woken is record.noticed
    assert ([(KEY, Lane.EVENT)] if woken else []) == await world.bench.taken()


async def test_search_is_not_repeated_within_a_second(world) -> None:
    record = await world.put(KEY, find("^d"))
    record.refreshed_at = world.bench.clock.now().timestamp() - 0.25
    for _ in range(100):
        world.news.changed(STORE, "", "db", None)

    assert [] == await world.bench.taken()
    assert world.bench.due_in(KEY) == pytest.approx(SEARCH_PAUSE_S - 0.25)
    world.bench.clock.advance(60)
    record.refreshed_at -= 60
    world.engine.queue.unschedule(KEY)
    world.news.changed(STORE, "", "db", None)
    assert [(KEY, Lane.EVENT)] == await world.bench.taken()


async def test_search_for_other_names_is_left_alone(world) -> None:
    record = await world.put(KEY, find("^mail"))
    world.news.changed(STORE, "", "db", None)

    assert not record.noticed


async def test_where_anything_may_have_changed_all_look_spread_over_time(world) -> None:
    keys = [ObjectKey("ExternalSecret", "team-0", f"app-{number}") for number in range(20)]
    for key in keys:
        await world.put(key)
    world.news.changed(STORE, "", None, None)

    due = [world.bench.due_in(key) for key in keys]
    assert all(0 <= one <= MISSED_SPREAD_S for one in due)
    assert max(due) - min(due) > MISSED_SPREAD_S / 4


async def test_notice_for_a_namespace_wakes_readers_there_alone(world) -> None:
    world.put_store(SHARED)
    records = [
        await world.put(ObjectKey("ExternalSecret", f"team-{number}", "app"), store=cluster_store("shared"))
        for number in range(3)
    ]
    world.news.changed(SHARED, "team-1", "db", None)

    assert [False, True, False] == [record.noticed for record in records]


async def test_notice_about_nothing_that_is_read_changes_nothing(world) -> None:
    await world.put()
    for store, key in ((STORE, "mail"), (SHARED, "db")):
        world.news.changed(store, "", key, None)

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
    news.changed(STORE, "", "db", None)

    assert (False, []) == (news.in_use(STORE), list(news.keys(STORE)))
