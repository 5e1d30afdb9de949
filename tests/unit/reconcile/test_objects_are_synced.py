"""One look at an ExternalSecret, from key to status, on an API server that refuses in its own ways."""

from __future__ import annotations

import asyncio
import logging

import pytest

from keyferry.ports import ObjectKey
from keyferry.providers.fake import FakeClient, FakeProvider
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.writing import COLLISIONS_TOLD
from keyferry.testing import builders
from keyferry.testing.builders import entry, external_secret, find, renamed
from keyferry.testing.leaks import canary

KEY = ObjectKey("ExternalSecret", "team-0", "app")
STORE = ObjectKey("SecretStore", "team-0", "store")
ONE = canary("one")


class World:
    """An API server with one ExternalSecret, and a store that has `db`.

    Args:
        secrets: answers to what concerns Secrets, by method; a Secret is created where there is none.
    """

    def __init__(self, bench, server, play) -> None:
        self.bench, self.engine, self.server = bench, bench.engine, server
        self.secrets = {"GET": play.refuses(404, "not found"), "POST": play.says(201, written("app", "s-1"))}
        self.status = play.says(200, written("app", "u-1"))
        self._event = play.says(201, {})
        server.otherwise = self._answer

    async def _answer(self, request):
        if "/secrets" in request.path:
            return await self.secrets[request.method](request)
        if request.path.endswith("/events"):
            return await self._event(request)
        return await self.status(request)

    def put_store(self, data) -> None:
        """There is a store, and it is ready."""
        store = builders.store(data)
        store["metadata"] |= {"namespace": "team-0", "uid": "s-0", "resourceVersion": "3", "generation": 1}
        self.engine.books.note_store(STORE, store)
        self.engine.books.stores[STORE].ready = True

    def put(self, made) -> None:
        """The watch tells of the ExternalSecret, and of its store if there is none yet."""
        if STORE not in self.engine.books.stores:
            self.put_store({"db": ONE})
        made["metadata"] |= {"namespace": "team-0", "uid": "u-1", "resourceVersion": "5", "generation": 1}
        self.engine.books.note_external_secret(KEY, made)

    async def look(self, lane=Lane.USER):
        """One look, at the time for which it is scheduled if it is; then the events are out."""
        if self.engine.queue.due_at(KEY) is not None:
            self.bench.clock.advance(max(0.0, self.bench.due_in(KEY)))
            self.engine.queue.unschedule(KEY)
        await reconcile_external_secret(self.engine, Claim(KEY, lane, self.engine.queue.now()))
        await self.engine.events.flush(5)

    def told(self):
        """Status, reason and message of the last condition that was written; None where none was."""
        written = [seen.json()["status"] for seen in self.server.seen if seen.path.endswith("/status")]
        if not written:
            return None
        (condition,) = written[-1]["conditions"]
        return condition["status"], condition["reason"], condition["message"]

    def sent(self, method, part):
        return [seen for seen in self.server.seen if seen.method == method and part in seen.path]

    @property
    def record(self):
        return self.engine.books.external_secrets[KEY]


def written(name, uid, version="9"):
    return {"metadata": {"name": name, "namespace": "team-0", "uid": uid, "resourceVersion": version}}


class HangingClient(FakeClient):
    """Never answers a read."""

    async def read(self, reads):
        await asyncio.sleep(3600)


class Hanging(FakeProvider):
    """The fake provider, with a store that never answers."""

    async def connect(self, identity):
        return HangingClient(identity.material)


@pytest.fixture
def world(bench, server, play) -> World:
    made = World(bench, server, play)
    made.engine.books.forget_external_secret(bench.key)
    return made


def app(**spec):
    return external_secret("app", entry("v", "db"), **spec)


SYNCED = ("True", "SecretSynced", "secret synced")


async def test_new_object_is_synced_by_three_requests_and_no_read_of_the_cluster(world) -> None:
    world.put(app())

    await world.look()

    assert SYNCED == world.told()
    assert ["secrets", "status", "events"] == [seen.path.rpartition("/")[2] for seen in world.server.seen]


async def test_refresh_that_was_asked_for_and_failed_is_tried_again(world) -> None:
    """The next try must not find that nothing is due, and tell that all is well."""
    world.put(app(refreshInterval="1h"))
    await world.look()
    world.engine.queue.unschedule(KEY)
    world.engine.books.stores[STORE].ready = False
    world.record.asked = True
    await world.look(Lane.PERIODIC)
    failed = world.told()
    await world.look(Lane.RETRY)
    assert world.told() == failed != SYNCED
    world.engine.books.stores[STORE].ready = True
    calls = world.record.sync_calls
    await world.look(Lane.RETRY)

    assert world.told() == SYNCED
    assert world.record.sync_calls == calls + 1
    assert not world.record.asked


async def test_few_of_thousands_of_lost_keys_are_told(world) -> None:
    """Each would be an event, and kept in memory to tell it once."""
    world.put_store({f"db-{number}": ONE for number in range(1000)})
    world.put(external_secret("app", find(".", rewrite=[renamed(".+", "db")])))
    await world.look()

    assert len(world.record.noted) == COLLISIONS_TOLD == len(world.sent("POST", "/events")) - 1


# Conflicts over the target


async def test_conflict_that_passes_is_no_failure(world, play) -> None:
    world.secrets["POST"] = play.refuses(409, "already exists")
    world.put(app())
    await world.look()
    await world.look(Lane.RETRY)
    assert (None, 2) == (world.told(), world.record.failures)

    world.secrets["POST"] = play.says(201, written("app", "s-1"))
    await world.look(Lane.RETRY)

    assert (SYNCED, 0) == (world.told(), world.record.failures)
    assert 0 == world.record.sync_errors


async def test_conflict_that_lasts_is_told_counted_and_tried_ever_more_rarely(world, play, caplog) -> None:
    """Each try reads the store, and stores bill by the call."""
    world.secrets["POST"] = play.refuses(409, "already exists")
    world.put(app(refreshInterval="1h"))

    pauses = []
    for _ in range(10):
        await world.look(Lane.RETRY)
        pauses.append(world.bench.due_in(KEY))

    assert ("False", "SecretSyncedError") == world.told()[:2]
    assert world.told()[2].startswith("could not update secret: ")
    assert "already exists" in world.told()[2]
    for pause, most in zip(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 3960], strict=True):
        assert most * 0.9 <= pause <= most
    assert (10, 10, 8) == (world.record.sync_calls, world.record.failures, world.record.sync_errors)
    assert 1 == len(world.sent("POST", "/events"))
    assert 1 == sum(record.levelno == logging.WARNING for record in caplog.records)


# Failures that only a change can mend


async def test_secret_that_the_api_server_finds_invalid_is_tried_again_at_the_next_refresh(
    world, play
) -> None:
    """The store's content may be the cause, and it may be mended there."""
    world.secrets["POST"] = play.refuses(422, "data[x]: Invalid value")
    world.put(app(refreshInterval="10m"))
    await world.look()
    assert "data[x]: Invalid value" in world.told()[2]
    assert 540 <= world.bench.due_in(KEY) <= 600

    world.secrets["POST"] = play.says(201, written("app", "s-1"))
    await world.look(Lane.PERIODIC)

    assert SYNCED == world.told()


async def test_secret_that_is_somebody_elses_is_looked_at_again_at_the_next_refresh(world, play) -> None:
    """The store has nothing left, and the Secret was made by hand: the store may have the value again."""
    missing = external_secret(
        "app", entry("v", "gone"), target={"deletionPolicy": "Delete"}, refreshInterval="10m"
    )
    world.secrets["GET"] = play.says(200, builders.secret("app", {"v": "by hand"}, namespace="team-0"))
    world.put(missing)

    await world.look()

    assert world.told()[2].startswith("could not delete secret: ")
    assert 540 <= world.bench.due_in(KEY) <= 600


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"target": {"template": {"type": "bootstrap.kubernetes.io/token"}}}, id="template"),
        pytest.param({"target": {"creationPolicy": "Merge", "deletionPolicy": "Delete"}}, id="policies"),
    ],
)
async def test_spec_that_is_wrong_whatever_the_store_holds_waits_for_an_edit(world, spec) -> None:
    world.put(app(refreshInterval="10m", **spec))

    await world.look()

    assert ("False", "SecretSyncedError") == world.told()[:2]
    assert (None, 0) == (world.bench.due_in(KEY), world.record.sync_calls)


# An immutable target


async def test_immutable_secret_with_other_data_is_told_and_not_written(world, play) -> None:
    foreign = builders.secret("app", {"v": "foreign"}, namespace="team-0", uid="s-1", resourceVersion="7")
    world.secrets["POST"] = play.refuses(409, "already exists")
    world.secrets["GET"] = play.says(200, foreign | {"immutable": True})
    world.put(app())

    await world.look()

    told = (
        'could not update secret, target is immutable: Secret "team-0/app" is immutable and holds other data. '
        "Delete it, or use another spec.target.name"
    )
    assert ("False", "SecretSyncedError", told) == world.told()
    assert [] == world.sent("PUT", "/secrets")


# The deadline


async def test_store_that_does_not_answer_in_time_is_named(world) -> None:
    world.engine.providers["fake"] = Hanging()
    world.bench.change_settings(deadline_s=0.05)
    world.put(app())

    await world.look()

    told = (
        'could not get secret data from provider: no complete answer from SecretStore "team-0/store" within 0 s. '
        "Look at the store's load, and at the network between"
    )
    assert ("False", "SecretSyncedError", told) == world.told()
    assert world.bench.due_in(KEY) <= 1.0


async def test_api_server_that_does_not_answer_in_time_is_named(world, play) -> None:
    world.secrets["POST"] = play.hangs
    world.bench.change_settings(deadline_s=0.05)
    world.put(app())

    await world.look()

    told = (
        "could not update secret: the API server did not answer within 0 s. "
        "Look at its load, and at the network between"
    )
    assert ("False", "SecretSyncedError", told) == world.told()


# A status that is refused


@pytest.mark.parametrize("lane", [Lane.USER, Lane.EVENT], ids=["edit", "anything-else"])
async def test_edit_alone_is_told_at_once_though_statuses_were_refused_so_far(world, play, lane) -> None:
    """What was refused of the old object may be taken of the new one."""
    taken = world.status
    world.status = play.refuses(403, "no")
    world.put(app())
    await world.look()
    world.status = taken
    before = len(world.sent("PUT", "/status"))

    await reconcile_external_secret(world.engine, Claim(KEY, lane, world.engine.queue.now()))

    assert (lane is Lane.USER) == (len(world.sent("PUT", "/status")) > before)
    assert (lane is Lane.USER) == (not world.engine.debts.external_secrets)


async def test_edit_during_a_sync_is_not_taken_for_synced(world) -> None:
    """The watch tells of it while the store is asked: what was written is of the spec before."""
    made = app()

    class Edited(FakeClient):
        async def read(self, reads):
            if made["metadata"]["generation"] == 1:
                made["metadata"] |= {"generation": 2, "resourceVersion": "6"}
                made["spec"]["data"].append(entry("w", "db"))
                world.engine.books.note_external_secret(KEY, made)
            return await super().read(reads)

    class Editing(FakeProvider):
        async def connect(self, identity):
            return Edited(identity.material)

    world.engine.providers["fake"] = Editing()
    world.put(made)
    await world.look()
    first = [seen.json()["status"] for seen in world.server.seen if seen.path.endswith("/status")][-1]
    await world.look()

    assert first["syncedResourceVersion"].startswith("1-")
    assert first["conditions"][0]["observedGeneration"] == 1
    assert world.record.sync_calls == 2
    assert world.record.read_status().synced_resource_version.startswith("2-")


# -- syncWindows: nothing is polled, the next look is when the window allows it

EVENING = {"kind": "allow", "windows": [{"schedule": "0 22 * * *", "duration": "1h"}]}


def opens_in(world, hour):
    """Seconds until an hour of the same day."""
    now = world.bench.clock.now()
    return (now.replace(hour=hour, minute=0, second=0, microsecond=0) - now).total_seconds()


async def test_refresh_outside_syncwindows_is_put_off_to_the_moment_they_open(world) -> None:
    world.put(app(syncWindows=EVENING))
    await world.look()  # at noon: the first sync waits for nothing
    assert world.record.sync_calls == 1
    await world.look(Lane.PERIODIC)  # within the hour
    assert world.record.sync_calls == 1
    assert world.bench.due_in(KEY) == pytest.approx(opens_in(world, 22))
    await world.look(Lane.PERIODIC)

    assert world.bench.clock.now().hour == 22
    assert world.record.sync_calls == 2
    assert world.told() == SYNCED


async def test_edit_outside_syncwindows_is_synced_at_once(world) -> None:
    made = app(syncWindows=EVENING)
    world.put(made)
    await world.look()
    made["metadata"] |= {"generation": 2, "resourceVersion": "6"}
    world.engine.books.note_external_secret(KEY, made)
    await world.look()

    assert world.record.sync_calls == 2


async def test_failure_is_still_told_when_the_windows_close(world) -> None:
    """The retry finds them closed: nothing has been mended by that."""
    world.put(app(syncWindows=EVENING))
    await world.look()
    await world.look(Lane.PERIODIC)
    store = builders.store({})
    store["metadata"] |= {"namespace": "team-0", "uid": "s-0", "resourceVersion": "4", "generation": 2}
    world.engine.books.note_store(STORE, store)
    world.engine.books.stores[STORE].ready = True
    world.engine.planner.drop(STORE)
    await world.look(Lane.PERIODIC)
    status, reason, _ = failed = world.told()
    assert (status, reason) == ("False", "SecretSyncedError")
    world.bench.clock.advance(2 * 3600)
    calls = world.record.sync_calls
    await world.look(Lane.RETRY)

    assert world.record.sync_calls == calls
    assert world.told() == failed
    assert world.bench.due_in(KEY) == pytest.approx(opens_in(world, 22))


async def test_windows_that_never_open_are_not_waited_for(world) -> None:
    never = {"kind": "allow", "windows": [{"schedule": "0 0 30 2 *", "duration": "1h"}]}
    world.put(app(syncWindows=never))
    await world.look()
    await world.look(Lane.PERIODIC)

    assert world.bench.due_in(KEY) is None
    assert world.told() == SYNCED
