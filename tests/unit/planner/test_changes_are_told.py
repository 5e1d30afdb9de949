"""Stores that tell of changes: one watch per identity, while somebody reads, told to all who use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from keyferry.api.model import decode
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.errors import AccessDenied
from keyferry.planner.planner import UNUSED_GRACE_S, Planner
from keyferry.planner.watching import (
    AGAIN_S,
    BEGUN_AT_ONCE,
    LONGEST_BEGINNING_S,
    LOOKED_AT_PER_S,
    MOST_KEPT,
    REST_S,
    TOLD_AT_ONCE,
    UNUSED_S,
)
from keyferry.ports import ObjectKey, StoreView
from keyferry.testing.looptime import settle, virtual_time
from keyferry.testing.storeclient import ScriptedProvider, ScriptedStoreClient, TellingStoreClient

STORE = ObjectKey("SecretStore", "team-a", "store")
OTHER = ObjectKey("SecretStore", "team-b", "store")
SHARED = ObjectKey("ClusterSecretStore", "", "shared")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def view(key: ObjectKey) -> StoreView:
    return StoreView.of(key, decode(b'{"provider": {"fake": {"data": []}}}', SecretStoreSpec))


class Readers:
    """Notes what is told."""

    def __init__(self, *used: ObjectKey) -> None:
        self.used = set(used)
        self.told: list[tuple] = []
        self.looked_at = 0

    def in_use(self, store: ObjectKey) -> bool:
        return store in self.used

    def keys(self, store: ObjectKey) -> Iterable[str]:
        return [f"key of {store.name}"] if store in self.used else []

    def changed(self, store, namespace, changes) -> int:
        self.told.append((store, namespace, changes))
        return self.looked_at


class Setup:
    """A planner over stores that tell of changes, whose identity is the namespace that asks, or one for all."""

    def __init__(self, *used: ObjectKey, make=TellingStoreClient, by_namespace: bool = True) -> None:
        self.readers = Readers(*used)

        async def identify(store, namespace, cluster) -> str:
            return namespace if by_namespace else "one for all"

        self.provider = ScriptedProvider(identify, by_namespace=True, make_client=lambda _: make())
        self.planner = Planner({"fake": self.provider}, None, lambda _: None, readers=self.readers)

    async def follow(self, store: ObjectKey = STORE, namespace: str = "team-a") -> TellingStoreClient:
        binding = await self.planner.bind(view(store), namespace)
        self.planner.follow(binding)
        await settle()
        return binding.session.client


@virtual_time
async def test_readers_are_told_what_the_store_tells() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    client.follower.changed("db")
    client.follower.changed("mail", MOMENT)
    await settle()
    client.follower.missed()
    await asyncio.sleep(REST_S)

    assert [(STORE, "", {"db": None, "mail": MOMENT}), (STORE, "", None)] == setup.readers.told
    assert ["key of store"] == sorted(client.follower.known())
    await setup.planner.close()


@virtual_time
async def test_store_is_watched_once_however_often_it_is_asked_for() -> None:
    setup = Setup(STORE)
    for _ in range(5):
        client = await setup.follow()

    assert 1 == len(client.watches)
    await setup.planner.close()
    assert (None, True) == (client.follower, client.closed)


@virtual_time
async def test_stores_with_the_same_identity_share_a_watch_and_are_both_told() -> None:
    setup = Setup(STORE, OTHER, by_namespace=False)
    client = await setup.follow()
    assert client is await setup.follow(OTHER, "team-b")
    client.follower.changed("db")
    await settle()

    assert 1 == len(client.watches)
    assert {STORE, OTHER} == {told[0] for told in setup.readers.told}
    await setup.planner.close()


@virtual_time
async def test_notice_of_a_cluster_store_is_for_the_namespace_whose_identity_watches() -> None:
    setup = Setup(SHARED)
    for namespace in ("team-a", "team-b"):
        client = await setup.follow(SHARED, namespace)
    client.follower.changed("db")
    await settle()

    assert [(SHARED, "team-b", {"db": None})] == setup.readers.told
    await setup.planner.close()


@virtual_time
async def test_nobody_watches_for_nobody() -> None:
    setup = Setup()
    client = await setup.follow()

    assert [] == client.watches
    await setup.planner.close()


@virtual_time
async def test_watch_ends_with_the_last_reader_and_begins_with_the_next() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    await asyncio.sleep(3 * UNUSED_S)
    still = client.follower is not None
    setup.readers.used.clear()
    await asyncio.sleep(UNUSED_S + 1)
    ended = client.follower
    setup.readers.used.add(STORE)
    await setup.follow()

    assert (True, None, 2) == (still, ended, len(client.watches))
    assert client.follower is not None
    await setup.planner.close()


@virtual_time
async def test_watch_ends_with_its_session() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    setup.planner.drop(STORE)
    await asyncio.sleep(UNUSED_GRACE_S + 1)

    assert (None, True) == (client.follower, client.closed)
    await setup.planner.close()


@virtual_time
async def test_refused_watch_is_tried_again_later_and_told_once(caplog) -> None:
    caplog.set_level(logging.INFO)
    setup = Setup(STORE)
    made = TellingStoreClient()
    made.next_watches.extend([AccessDenied("may not watch")] * 5)
    setup.provider.make_client = lambda _: made
    await setup.follow()
    await asyncio.sleep(2000)

    pauses = [later - before for before, later in zip(made.watches, made.watches[1:], strict=False)]
    expected = [*AGAIN_S, AGAIN_S[-1], AGAIN_S[-1]]
    assert [True] * 5 == [0.75 * e < p < 1.25 * e for p, e in zip(pauses, expected, strict=True)]
    assert made.follower is not None
    assert ['SecretStore "team-a/store": changes come with the next refresh, not at once: may not watch'] == (
        caplog.messages
    )
    await setup.planner.close()


@virtual_time
async def test_watch_that_went_well_for_long_is_soon_begun_anew() -> None:
    async def goes_well() -> None:
        await asyncio.sleep(1000)
        raise AccessDenied("no longer")

    setup = Setup(STORE)
    made = TellingStoreClient()
    made.next_watches.extend([AccessDenied("not yet"), AccessDenied("not yet"), goes_well])
    setup.provider.make_client = lambda _: made
    await setup.follow()
    await asyncio.sleep(1000 + 2 * sum(AGAIN_S[:2]))

    assert 4 == len(made.watches)
    assert made.watches[3] - made.watches[2] < 1000 + 1.25 * AGAIN_S[0]
    await setup.planner.close()


@virtual_time
async def test_watch_that_was_cancelled_from_outside_begins_with_the_next_look() -> None:
    """kopf cancels at its end all tasks that are younger than itself."""
    setup = Setup(STORE)
    client = await setup.follow()
    (task,) = [one for one in asyncio.all_tasks() if one.get_name().startswith("watch ")]
    task.cancel()
    await settle()
    ended = client.follower
    await setup.follow()

    assert (None, 2) == (ended, len(client.watches))
    await setup.planner.close()


@virtual_time
async def test_stores_that_tell_nothing_are_left_alone() -> None:
    setup = Setup(STORE, make=ScriptedStoreClient)
    client = await setup.follow()

    assert [] == [one for one in asyncio.all_tasks() if one.get_name().startswith("watch ")]
    assert [] == client.calls
    await setup.planner.close()


# -- much at once


@virtual_time
async def test_what_changes_again_and_again_is_told_once_in_a_while() -> None:
    """However fast a store tells, and whatever it tells of: readers are told ten times in a second at most."""
    setup = Setup(STORE)
    client = await setup.follow()
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began + 1:
        for _ in range(100):
            client.follower.changed("db")
        await asyncio.sleep(0.01)

    assert 10 <= len(setup.readers.told) <= 11
    assert [{"db": None}] * len(setup.readers.told) == [changes for *_, changes in setup.readers.told]
    await setup.planner.close()


@virtual_time
async def test_much_is_told_a_part_at_a_time() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    names = [f"s{number}" for number in range(3 * TOLD_AT_ONCE)]
    for name in names:
        client.follower.changed(name, MOMENT)
    await settle()
    first = len(setup.readers.told)
    await asyncio.sleep(3 * REST_S)

    assert (1, 3) == (first, len(setup.readers.told))
    assert names == [name for *_, changes in setup.readers.told for name in changes]
    await setup.planner.close()


@virtual_time
async def test_who_wakes_many_waits_longer() -> None:
    setup = Setup(STORE)
    setup.readers.looked_at = 5 * LOOKED_AT_PER_S
    client = await setup.follow()
    for _ in range(90):
        client.follower.changed("db")
        await asyncio.sleep(0.1)

    assert 2 == len(setup.readers.told)
    await setup.planner.close()


@virtual_time
async def test_later_of_two_times_counts_and_now_is_the_latest() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    later = MOMENT.replace(year=2027)
    for name, times in {
        "a": (MOMENT, later),
        "b": (later, MOMENT),
        "c": (None, later),
        "d": (later, None),
    }.items():
        for at in times:
            client.follower.changed(name, at)
    await settle()

    assert [(STORE, "", {"a": later, "b": later, "c": None, "d": None})] == setup.readers.told
    await setup.planner.close()


@virtual_time
async def test_more_than_is_kept_means_that_anything_may_have_changed() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    for number in range(MOST_KEPT + 1):
        client.follower.changed(str(number))
    await settle()

    assert [(STORE, "", None)] == setup.readers.told
    await setup.planner.close()


@virtual_time
async def test_nothing_is_told_after_the_end() -> None:
    setup = Setup(STORE)
    client = await setup.follow()
    client.follower.changed("db")
    await setup.planner.close()
    await settle()

    assert [] == setup.readers.told


@virtual_time
async def test_bug_of_a_client_is_told_once_and_tried_again_more_and_more_rarely(caplog) -> None:
    setup = Setup(STORE)
    made = TellingStoreClient()
    made.next_watches.extend([ZeroDivisionError()] * 3)
    setup.provider.make_client = lambda _: made
    client = await setup.follow()
    for _ in range(100):  # as syncs do
        await setup.follow()
    before = len(client.watches)
    await asyncio.sleep(2 * sum(AGAIN_S))

    assert (1, 4) == (before, len(client.watches))
    assert ["a bug in Keyferry: changes come with the next refresh, not at once"] == caplog.messages
    await setup.planner.close()


# -- in the background


class Binding:
    """Binds a store when a test says so."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.go, self.begun = setup, asyncio.Event(), 0

    async def bind(self):
        self.begun += 1
        await self.go.wait()
        return await self.setup.planner.bind(view(STORE), "team-a")

    def follow(self, key: ObjectKey = STORE) -> None:
        self.setup.planner.follow_later(view(key), "team-a", self.bind)


@virtual_time
async def test_store_is_bound_in_the_background_once_and_watched_then() -> None:
    setup = Setup(STORE)
    binding = Binding(setup)
    for _ in range(5):
        binding.follow()
        await settle()
    before = dict(setup.provider.clients)
    binding.go.set()
    await settle()
    binding.follow()
    await settle()

    assert ({}, 1) == (before, binding.begun)
    assert [1] == [len(client.watches) for client in setup.provider.clients["team-a"]]
    await setup.planner.close()


@virtual_time
async def test_stores_that_hang_are_given_up_and_do_not_take_all_places_for_ever() -> None:
    setup = Setup(STORE)
    binding, other = Binding(setup), Binding(setup)
    for number in range(BEGUN_AT_ONCE):
        binding.follow(ObjectKey("SecretStore", "team-x", f"store-{number}"))
    other.go.set()
    other.follow()
    await asyncio.sleep(LONGEST_BEGINNING_S - 1)
    before = other.begun
    await asyncio.sleep(2)

    assert (BEGUN_AT_ONCE, 0, 1) == (binding.begun, before, other.begun)
    assert [1] == [len(client.watches) for client in setup.provider.clients["team-a"]]
    await setup.planner.close()
