from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson
import pytest

from keyferry.api.model import decode
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.errors import KubeNotFound, NotReadyError, SpecError, Unavailable
from keyferry.planner.cache import Freshness
from keyferry.planner.planner import UNUSED_GRACE_S, UNWATCHED_AGE_S, Planner
from keyferry.ports import BoundToken, ObjectKey, Read, SecretObject, ServiceAccountObject, StoreView
from keyferry.secretdata import SecretBytes, SecretData
from keyferry.testing.looptime import settle, virtual_time
from keyferry.testing.storeclient import ScriptedProvider, ScriptedStoreClient

ANY_AGE = Freshness(float("-inf"), float("-inf"))
KEYS = ObjectKey("Secret", "team-a", "aws-keys")
STORE = ObjectKey("SecretStore", "team-a", "aws")
SHARED = ObjectKey("ClusterSecretStore", "", "shared")


class ClusterDouble:
    """Fulfils `ports.ClusterAccess`: Secrets by place, each read taking its time."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], str] = {("team-a", "aws-keys"): "key one"}
        self.version = "1"
        self.read_s = 0.0
        self.reads = 0

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        self.reads += 1
        found = self.secrets.get((namespace, name))
        await asyncio.sleep(self.read_s)
        if found is None:
            raise KubeNotFound(f'Secret "{namespace}/{name}" does not exist', status=404)
        return SecretObject("uid", self.version, SecretData({"key": found}))

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        await asyncio.sleep(self.read_s)
        return {"ca": f"{namespace}/{name}"}

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        await asyncio.sleep(self.read_s)
        return ServiceAccountObject(f"{namespace}/{name}", {})

    async def request_token(
        self, namespace: str, name: str, audiences: Sequence[str], lifetime_s: int, *, api_server=False
    ) -> BoundToken:
        await asyncio.sleep(self.read_s)
        return BoundToken(SecretBytes("token"), datetime(2026, 1, 1, tzinfo=UTC))

    async def own_account(self) -> ObjectKey:
        return ObjectKey("ServiceAccount", "keyferry", "keyferry")


def store(key: ObjectKey = STORE, **spec) -> StoreView:
    text = {"provider": {"fake": {"data": [{"key": "a", "value": "b"}]}}} | spec
    return StoreView.of(key, decode(orjson.dumps(text), SecretStoreSpec))


class Setup:
    """A planner over a scripted provider whose identity is the content of the auth Secret."""

    def __init__(self, by_namespace: bool = False, watched=lambda _: True) -> None:
        self.cluster = ClusterDouble()
        self.recovered: list[ObjectKey] = []
        self.provider = ScriptedProvider(self.identify, by_namespace)
        self.planner = Planner({"fake": self.provider}, self.cluster, self.recovered.append, watched=watched)

    async def identify(self, view: StoreView, namespace: str, cluster) -> str:
        secret = await cluster.read_secret(namespace or "team-a", "aws-keys")
        return f"identity of {secret.data['key'].reveal().decode()}"

    async def bound(self, view: StoreView | None = None, namespace: str = "team-a") -> str:
        return (await self.planner.bind(view or store(), namespace)).session.fingerprint

    def clients(self) -> list[ScriptedStoreClient]:
        return [client for clients in self.provider.clients.values() for client in clients]


@virtual_time
async def test_binding_is_made_once_for_all_who_want_it() -> None:
    setup = Setup()
    setup.cluster.read_s = 1.0

    bound = await asyncio.gather(*(setup.bound() for _ in range(100)))
    bound.append(await setup.bound())

    assert {"identity of key one"} == set(bound)
    assert (1, 1, 1) == (setup.provider.identified, setup.cluster.reads, len(setup.clients()))


@virtual_time
async def test_stores_with_equal_identities_share_a_session() -> None:
    setup = Setup()
    setup.provider.connect_s = 1.0

    await asyncio.gather(setup.bound(), setup.bound(store(ObjectKey("SecretStore", "team-a", "again"))))

    assert 1 == setup.planner.sessions
    assert [False, True] == sorted(client.closed for client in setup.clients())


@virtual_time
async def test_stores_with_other_identities_share_nothing() -> None:
    setup = Setup(by_namespace=True)
    setup.cluster.secrets["team-b", "aws-keys"] = "key two"

    bound = await asyncio.gather(setup.bound(store(SHARED), "team-a"), setup.bound(store(SHARED), "team-b"))

    assert ["identity of key one", "identity of key two"] == bound
    assert 2 == setup.planner.sessions


@virtual_time
async def test_namespace_of_the_object_counts_only_where_the_identity_depends_on_it() -> None:
    setup = Setup(by_namespace=False)

    await asyncio.gather(*(setup.bound(store(SHARED), f"team-{name}") for name in "abcdef"))

    assert 1 == setup.provider.identified


@virtual_time
async def test_changed_auth_object_invalidates_what_was_made_from_it() -> None:
    setup = Setup()
    await setup.bound()
    assert setup.planner.uses(KEYS)
    setup.cluster.secrets["team-a", "aws-keys"] = "key two"

    assert {STORE} == setup.planner.changed(KEYS)
    assert "identity of key two" == await setup.bound()


@virtual_time
async def test_change_that_arrives_while_the_identity_is_read_is_not_lost() -> None:
    setup = Setup()
    setup.cluster.read_s = 1.0
    waiting = asyncio.create_task(setup.bound())
    await asyncio.sleep(0.5)
    setup.cluster.secrets["team-a", "aws-keys"] = "key two"

    assert {STORE} == setup.planner.changed(KEYS)
    assert "identity of key two" == await setup.bound()
    assert "identity of key one" == await waiting
    assert "identity of key two" == await setup.bound()


@virtual_time
async def test_need_that_an_overtaken_reading_finds_late_is_not_watched_for_ever() -> None:
    setup = Setup()
    late = ObjectKey("ConfigMap", "team-a", "ca")

    async def identify(view, namespace, cluster) -> str:
        await cluster.read_service_account(namespace, "app")
        await cluster.read_config_map(namespace, "ca")
        return "identity"

    setup.provider.identify_by = identify
    setup.cluster.read_s = 1.0
    waiting = asyncio.create_task(setup.bound())
    await asyncio.sleep(0.5)

    setup.planner.drop(STORE)

    await waiting
    assert not setup.planner.uses(late)
    assert not setup.planner.uses(ObjectKey("ServiceAccount", "team-a", "app"))


@virtual_time
async def test_all_kinds_of_needs_are_watched() -> None:
    setup = Setup()

    async def identify(view, namespace, cluster) -> str:
        await cluster.read_service_account(namespace, "app")
        await cluster.read_config_map(namespace, "ca")
        await cluster.request_token(namespace, "app", ["sts"], 600)
        await cluster.read_secret(namespace, "aws-keys")
        return "identity"

    setup.provider.identify_by = identify
    await setup.bound()

    needs = [("ServiceAccount", "app"), ("ConfigMap", "ca"), ("Secret", "aws-keys")]
    assert [True] * 3 == [setup.planner.uses(ObjectKey(kind, "team-a", name)) for kind, name in needs]
    setup.planner.drop(STORE)
    assert [False] * 3 == [setup.planner.uses(ObjectKey(kind, "team-a", name)) for kind, name in needs]


@virtual_time
async def test_failed_binding_is_tried_again_and_its_needs_are_watched_meanwhile() -> None:
    setup = Setup()
    setup.cluster.secrets.clear()
    for _ in range(2):
        with pytest.raises(KubeNotFound):
            await setup.bound()

    assert setup.planner.uses(KEYS)
    setup.cluster.secrets["team-a", "aws-keys"] = "key one"
    assert {STORE} == setup.planner.changed(KEYS)
    assert "identity of key one" == await setup.bound()


@virtual_time
async def test_binding_survives_the_news_of_the_version_that_it_was_made_from() -> None:
    setup = Setup()
    await setup.bound()

    assert set() == setup.planner.changed(KEYS, "1")
    assert {STORE} == setup.planner.changed(KEYS, "2")
    assert not setup.planner.uses(KEYS)


@virtual_time
async def test_only_those_bindings_go_that_were_made_from_another_version() -> None:
    """One has read ahead of the watch what the other one has not."""
    setup = Setup()
    other = ObjectKey("SecretStore", "team-a", "again")
    await setup.bound()
    setup.cluster.version = "2"
    await setup.bound(store(other))

    assert {STORE} == setup.planner.changed(KEYS, "2")
    assert setup.planner.uses(KEYS)


@virtual_time
async def test_object_that_comes_to_be_is_news_to_those_who_missed_it() -> None:
    setup = Setup()
    setup.cluster.secrets.clear()
    with pytest.raises(KubeNotFound):
        await setup.bound()

    assert {STORE} == setup.planner.changed(KEYS, "1")


@virtual_time
async def test_what_no_watch_tells_of_is_read_again_after_a_while_and_not_before() -> None:
    setup = Setup(watched=lambda need: need != KEYS)
    await setup.bound()
    setup.cluster.secrets["team-a", "aws-keys"] = "key two"
    await asyncio.sleep(UNWATCHED_AGE_S - 0.1)
    assert "identity of key one" == await setup.bound()

    await asyncio.sleep(0.2)

    setup.cluster.read_s = 1.0
    assert {"identity of key two"} == set(await asyncio.gather(*(setup.bound() for _ in range(100))))
    assert 2 == setup.provider.identified
    await asyncio.sleep(UNUSED_GRACE_S + 1)
    assert 1 == setup.planner.sessions


@virtual_time
async def test_session_stays_in_use_while_its_identity_is_read_again_as_it_was() -> None:
    """Also the news of an outage goes to the store all the time."""
    setup = Setup(watched=lambda _: False)
    session = (await setup.planner.bind(store(), "team-a")).session
    setup.cluster.read_s = 1.0
    await asyncio.sleep(UNWATCHED_AGE_S + 1)

    reading = asyncio.create_task(setup.bound())
    await asyncio.sleep(0.5)
    assert {STORE} == {user.store for user in session.users}
    await reading
    await asyncio.sleep(UNUSED_GRACE_S + 1)

    assert {STORE} == {user.store for user in session.users}
    assert [False] == [client.closed for client in setup.clients()]


@virtual_time
async def test_identity_that_cannot_be_read_again_is_used_no_longer() -> None:
    setup = Setup(watched=lambda _: False)
    await setup.bound()
    setup.cluster.secrets.clear()
    await asyncio.sleep(UNWATCHED_AGE_S + 1)

    with pytest.raises(KubeNotFound):
        await setup.bound()
    await asyncio.sleep(UNUSED_GRACE_S + 1)

    assert 0 == setup.planner.sessions


@virtual_time
async def test_what_watches_tell_of_is_read_once() -> None:
    setup = Setup(watched=lambda _: True)
    await setup.bound()
    await asyncio.sleep(3600)
    await setup.bound()

    assert 1 == setup.provider.identified


@virtual_time
async def test_failure_reaches_all_who_wait_and_complains_to_nobody_else() -> None:
    setup = Setup()
    setup.cluster.secrets.clear()
    setup.cluster.read_s = 1.0
    waiting = [asyncio.create_task(setup.bound()) for _ in range(3)]
    await asyncio.sleep(0.5)
    waiting[0].cancel()

    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert [asyncio.CancelledError, KubeNotFound, KubeNotFound] == [type(one) for one in ended]
    assert 1 == setup.provider.identified


@virtual_time
async def test_failure_that_nobody_waits_for_any_more_is_no_complaint() -> None:
    setup = Setup()
    setup.cluster.secrets.clear()
    setup.cluster.read_s = 1.0
    waiting = asyncio.create_task(setup.bound())
    await asyncio.sleep(0.5)
    waiting.cancel()

    await asyncio.sleep(5)
    setup.planner.drop(STORE)  # the last reference: here the loop would complain

    assert not setup.planner.uses(KEYS)


@virtual_time
async def test_binding_is_never_that_of_another_spec() -> None:
    """Somebody who still holds yesterday's spec must not leave its binding to those with today's."""
    setup = Setup()

    async def identify(view: StoreView, namespace, cluster) -> str:
        return f"identity of {view.block.data[0].key}"

    setup.provider.identify_by = identify
    old = store(provider={"fake": {"data": [{"key": "old", "value": "b"}]}})
    new = store(provider={"fake": {"data": [{"key": "new", "value": "b"}]}})
    await setup.bound(old)
    setup.planner.drop(STORE)
    assert "identity of old" == await setup.bound(old)  # has not heard of the change yet

    assert "identity of new" == await setup.bound(new)
    equal = store(provider={"fake": {"data": [{"key": "new", "value": "b"}]}})
    assert "identity of new" == await setup.bound(equal)
    assert 3 == setup.provider.identified


@virtual_time
async def test_unused_session_is_closed_after_the_grace_time() -> None:
    setup = Setup()
    await setup.bound()
    setup.planner.drop(STORE)
    await asyncio.sleep(UNUSED_GRACE_S - 0.1)
    assert (1, False) == (setup.planner.sessions, setup.clients()[0].closed)

    await asyncio.sleep(0.2)

    assert (0, True) == (setup.planner.sessions, setup.clients()[0].closed)


@virtual_time
async def test_session_that_is_wanted_again_within_the_grace_time_stays() -> None:
    setup = Setup()
    await setup.bound()
    setup.planner.drop(STORE)
    await asyncio.sleep(UNUSED_GRACE_S - 0.1)

    await setup.bound()
    await asyncio.sleep(3600)

    assert (1, [False]) == (setup.planner.sessions, [client.closed for client in setup.clients()])


@virtual_time
async def test_session_used_by_another_store_stays() -> None:
    setup = Setup()
    other = ObjectKey("SecretStore", "team-a", "again")
    await asyncio.gather(setup.bound(), setup.bound(store(other)))

    setup.planner.drop(STORE)
    await asyncio.sleep(3600)

    assert 1 == setup.planner.sessions
    setup.planner.drop(other)
    await asyncio.sleep(3600)
    assert 0 == setup.planner.sessions


@virtual_time
async def test_readers_get_their_answers_before_their_session_is_closed() -> None:
    setup = Setup()
    setup.provider.make_client = lambda _: ScriptedStoreClient(max_concurrency=1, latency_s=15.0)
    binding = await setup.planner.bind(store(), "team-a")
    readers = [asyncio.create_task(binding.session.read(Read(key, "1"), ANY_AGE)) for key in "ab"]
    await asyncio.sleep(1)

    setup.planner.drop(STORE)

    answers = await asyncio.gather(*readers)
    assert ["value of a@1", "value of b@1"] == [answer.value.reveal().decode() for answer in answers]
    await asyncio.sleep(2)
    assert (0, [True]) == (setup.planner.sessions, [client.closed for client in setup.clients()])


@virtual_time
async def test_reading_that_is_overtaken_and_replaced_by_a_failure_leaves_no_session() -> None:
    """The old reading ends after the new one has failed: its session has no user, and must end."""
    setup = Setup()
    setup.cluster.read_s = 5.0
    old = asyncio.create_task(setup.bound())
    await asyncio.sleep(1)
    setup.planner.changed(KEYS)
    setup.cluster.secrets.clear()
    setup.cluster.read_s = 1.0
    with pytest.raises(KubeNotFound):
        await setup.bound()

    assert "identity of key one" == await old
    await asyncio.sleep(UNUSED_GRACE_S + 1)

    assert 0 == setup.planner.sessions


@virtual_time
async def test_reading_cancelled_by_somebody_else_does_not_cancel_those_who_wait() -> None:
    """Kopf cancels at its end all tasks that are younger than itself; a worker must not die of it."""
    setup = Setup()
    setup.cluster.read_s = 1.0
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(setup.bound())
    await asyncio.sleep(0.5)
    for task in asyncio.all_tasks() - before - {waiting}:
        task.cancel()

    with pytest.raises(NotReadyError):
        await waiting
    assert "identity of key one" == await setup.bound()


@virtual_time
async def test_worker_that_is_cancelled_itself_hears_so() -> None:
    setup = Setup()
    setup.cluster.read_s = 60.0

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await setup.bound()


@virtual_time
async def test_recovery_tells_each_store_of_the_session_once() -> None:
    setup = Setup()
    other = ObjectKey("SecretStore", "team-a", "again")
    binding = await setup.planner.bind(store(), "team-a")
    await asyncio.gather(
        setup.bound(store(other)),
        setup.bound(store(SHARED), "team-a"),
        setup.bound(store(SHARED), "team-b"),
    )
    (client,) = (client for client in setup.clients() if not client.closed)
    client.next_calls.append(Unavailable("down"))
    await binding.session.read(Read("db"), ANY_AGE, ())

    await asyncio.sleep(5)

    assert sorted([STORE, other, SHARED]) == sorted(setup.recovered)


@virtual_time
async def test_close_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    setup = Setup(by_namespace=True)
    setup.cluster.secrets |= {("team-b", "aws-keys"): "key two", ("team-c", "aws-keys"): "key three"}
    for name in "ab":
        await setup.bound(store(SHARED), f"team-{name}")
    setup.planner.drop(SHARED)
    await setup.bound(store(SHARED), "team-a")
    setup.cluster.read_s = 1.0
    reading = asyncio.create_task(setup.bound(store(SHARED), "team-c"))
    overtaken = asyncio.create_task(setup.bound(store(SHARED), "team-d"))
    await settle()
    setup.planner.drop(SHARED)

    await setup.planner.close()

    ended = await asyncio.gather(reading, overtaken, return_exceptions=True)
    assert [NotReadyError] * 2 == [type(one) for one in ended]
    await asyncio.sleep(3600)
    assert before == asyncio.all_tasks()
    assert {True} == {client.closed for client in setup.clients()}
    assert setup.provider.closed
    with pytest.raises(NotReadyError):
        await setup.bound()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (0.1, 0.1)),
        ({"maxRetries": 0}, ()),
        ({"maxRetries": 3}, (0.1, 0.1, 0.1)),
        ({"maxRetries": 1, "retryInterval": "2s"}, (2.0,)),
        ({"maxRetries": 1, "retryInterval": "1h"}, (10.0,)),
        ({"maxRetries": 1_000_000, "retryInterval": "0s"}, (0.0,) * 10),
        ({"maxRetries": -1}, ()),
        (None, (0.1, 0.4)),
    ],
)
@virtual_time
async def test_stores_own_retries_are_bounded(settings, expected) -> None:
    setup = Setup()
    spec = {} if settings is None else {"retrySettings": settings}

    binding = await setup.planner.bind(store(**spec), "team-a")

    assert expected == binding.retries


@virtual_time
async def test_retries_that_cannot_be_read_name_their_field_and_leave_no_session() -> None:
    setup = Setup()

    with pytest.raises(SpecError, match=r"spec\.retrySettings\.retryInterval"):
        await setup.bound(store(retrySettings={"retryInterval": "soon"}))

    assert (0, []) == (setup.planner.sessions, setup.clients())


@virtual_time
async def test_calls_made_and_saved_are_counted() -> None:
    setup = Setup()
    binding = await setup.planner.bind(store(), "team-a")
    await asyncio.gather(*(binding.session.read(Read("db"), ANY_AGE) for _ in range(10)))

    assert (1, 9) == setup.planner.calls
    setup.planner.forget_answers()
    await binding.session.read(Read("db"), ANY_AGE)
    assert (2, 9) == setup.planner.calls
