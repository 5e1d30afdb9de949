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
from keyferry.planner.watching import AGAIN_S, UNUSED_S
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

    def in_use(self, store: ObjectKey) -> bool:
        return store in self.used

    def keys(self, store: ObjectKey) -> Iterable[str]:
        return [f"key of {store.name}"] if store in self.used else []

    def changed(self, store, namespace, key, at) -> None:
        self.told.append((store, namespace, key, at))


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
    client.follower.missed()

    assert [
        (STORE, "", "db", None),
        (STORE, "", "mail", MOMENT),
        (STORE, "", None, None),
    ] == setup.readers.told
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

    assert 1 == len(client.watches)
    assert {STORE, OTHER} == {told[0] for told in setup.readers.told}
    await setup.planner.close()


@virtual_time
async def test_notice_of_a_cluster_store_is_for_the_namespace_whose_identity_watches() -> None:
    setup = Setup(SHARED)
    for namespace in ("team-a", "team-b"):
        client = await setup.follow(SHARED, namespace)
    client.follower.changed("db")

    assert [(SHARED, "team-b", "db", None)] == setup.readers.told
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
