"""From what watches tell to keys: which, in which lane, and what is no work at all."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

from typing import ClassVar

import pytest

from keyferry.api import names
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import Identity, ObjectKey
from keyferry.providers.fake import FakeProvider
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Lane
from keyferry.testing import builders

STORE = ObjectKey("SecretStore", "team-0", "store")
SHARED = ObjectKey("ClusterSecretStore", "", "aws")
TARGET = ObjectKey("Secret", "team-0", "orders-0")
AUTH = ObjectKey("Secret", "team-0", "auth")
ACCOUNT = ObjectKey("ServiceAccount", "team-0", "app")


@pytest.fixture
def observer(bench):
    return Observer(bench.engine)


@pytest.fixture
def linked(bench):
    """`bench`'s object has a target and a shared store."""
    bench.engine.books.dependents.link(bench.key, (TARGET, SHARED), ())
    bench.record.depends_on = (TARGET, SHARED)
    return bench


def key(name):
    return ObjectKey("ExternalSecret", "team-0", name)


def meta(of, version="1", **more):
    return ObjectMeta(of.name, of.namespace, f"uid-{of.name}", version, **more)


def store_body(version="7", generation=1, **more):
    made = builders.store({"db": "value"}) | more
    made["metadata"] |= {
        "namespace": "team-0",
        "uid": "u-s",
        "resourceVersion": version,
        "generation": generation,
    }
    return made


@pytest.mark.parametrize(
    ("change", "synced", "lane"),
    [
        pytest.param(Change.SET, True, Lane.USER, id="created"),
        pytest.param(Change.LISTED, True, Lane.PERIODIC, id="found-in-sync"),
        pytest.param(Change.LISTED, False, Lane.USER, id="found-never-synced"),
    ],
)
async def test_new_object_comes_in_the_lane_of_its_need(
    bench, observer, external_secret, change, synced, lane
) -> None:
    body = external_secret(10) if synced else external_secret(10, status={})

    observer.resource("ExternalSecret", change, body)

    assert [(key("orders-10"), lane)] == await bench.taken()


@pytest.mark.parametrize("change", [Change.SET, Change.LISTED])
async def test_change_of_a_known_object_is_the_users(bench, observer, external_secret, change) -> None:
    """A list after a gap tells of changes too."""
    body = external_secret(metadata__resourceVersion="150000", metadata__generation=2)

    observer.resource("ExternalSecret", change, body)

    assert [(bench.key, Lane.USER)] == await bench.taken()


async def test_answers_since_the_start_are_fresh_for_the_first_list_and_not_for_later_ones(
    bench, observer, external_secret
) -> None:
    """What comes up in a later list was created meanwhile: it must not get a value from before."""
    started = bench.engine.queue.now()
    bench.clock.advance(60)
    observer.resource("ExternalSecret", Change.LISTED, external_secret(10))
    first = await bench.engine.queue.take()

    observer.list_is_complete("SecretStore")
    observer.resource("ExternalSecret", Change.LISTED, external_secret(20))
    second = await bench.engine.queue.take()
    observer.list_is_complete("ExternalSecret")
    observer.resource("ExternalSecret", Change.LISTED, external_secret(30))
    third = await bench.engine.queue.take()

    assert [started, started, started + 60] == [first.fresh_from, second.fresh_from, third.fresh_from]


async def test_deleted_object_is_forgotten_with_its_schedule(bench, observer, external_secret) -> None:
    bench.engine.queue.schedule(bench.key, bench.engine.queue.now() + 60)

    observer.resource("ExternalSecret", Change.GONE, external_secret())

    assert (0, {}) == (len(bench.engine.queue), bench.engine.books.external_secrets)


async def test_new_and_changed_stores_go_first_and_their_status_is_no_work(bench, observer) -> None:
    observer.resource("SecretStore", Change.LISTED, store_body())
    assert [(STORE, Lane.STORE)] == await bench.taken()
    bench.engine.queue.done(STORE)

    observer.resource("SecretStore", Change.SET, store_body("8", status={"conditions": []}))
    assert [] == await bench.taken()
    observer.resource("SecretStore", Change.SET, store_body("9", generation=2))

    assert [(STORE, Lane.STORE)] == await bench.taken()


async def test_status_of_a_store_that_somebody_else_validates_wakes_who_waits_for_it(bench, observer) -> None:
    bench.change_settings(secret_stores=False)
    bench.engine.books.dependents.link(bench.key, (STORE,), ())
    bench.record.waiting = True
    observer.resource("SecretStore", Change.LISTED, store_body())
    await bench.engine.queue.take()

    observer.resource("SecretStore", Change.SET, store_body("8"))
    assert [] == await bench.taken()
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    observer.resource("SecretStore", Change.SET, store_body("9", status=ready))

    assert [(bench.key, Lane.EVENT)] == await bench.taken()


async def test_deleted_store_wakes_who_waits_for_it(bench, observer) -> None:
    bench.engine.books.dependents.link(bench.key, (STORE,), ())
    bench.record.waiting = True
    observer.resource("SecretStore", Change.LISTED, store_body())
    await bench.engine.queue.take()

    observer.resource("SecretStore", Change.GONE, store_body())

    assert ([(bench.key, Lane.EVENT)], {}) == (await bench.taken(), bench.engine.books.stores)


@pytest.mark.parametrize("change", [Change.SET, Change.GONE, Change.LISTED])
async def test_target_that_changed_or_is_gone_is_looked_at(linked, observer, change) -> None:
    observer.secret(Change.LISTED, meta(TARGET))
    await linked.engine.queue.take()
    linked.engine.queue.done(linked.key)

    observer.secret(change, meta(TARGET, "2"))

    assert [(linked.key, Lane.EVENT)] == await linked.taken()


async def test_own_write_of_a_target_is_no_work(linked, observer) -> None:
    observer.secret(Change.LISTED, meta(TARGET))
    await linked.engine.queue.take()
    linked.engine.queue.done(linked.key)
    linked.engine.books.secrets["team-0", "orders-0"].intact_version = "2"

    observer.secret(Change.SET, meta(TARGET, "2"))

    assert [] == await linked.taken()


@pytest.mark.parametrize("change", [Change.SET, Change.GONE])
async def test_secret_of_nobody_is_no_work(linked, observer, change) -> None:
    observer.secret(change, meta(ObjectKey("Secret", "team-0", "other")))

    assert ([], {}) == (await linked.taken(), linked.engine.books.secrets)


class Borrowing(FakeProvider):
    """The fake provider, with an identity made from a Secret and a ServiceAccount."""

    found: ClassVar = {"metadata": {"uid": "u", "resourceVersion": "1"}}

    async def identify(self, store, namespace, cluster) -> Identity:
        await cluster.read_secret(AUTH.namespace, AUTH.name)
        await cluster.read_service_account(ACCOUNT.namespace, ACCOUNT.name)
        return await super().identify(store, namespace, cluster)


@pytest.fixture
async def bound(bench, server, play):
    """A store whose identity was made from AUTH and ACCOUNT, and `bench`'s object waits for it."""
    server.otherwise = play.says(200, Borrowing.found)
    bench.engine.providers["fake"] = Borrowing()
    bench.engine.books.note_store(STORE, store_body())
    await bench.engine.planner.bind(bench.engine.books.stores[STORE].view, "team-0")
    bench.engine.books.dependents.link(bench.key, (STORE,), ())
    bench.record.waiting = True
    return bench


async def test_changed_store_gives_up_the_identity_of_its_old_spec(bound, observer) -> None:
    assert bound.engine.planner.uses(AUTH)

    observer.resource("SecretStore", Change.SET, store_body("8", generation=2))

    assert not bound.engine.planner.uses(AUTH)


async def test_changed_store_sends_nobody_to_it_who_is_in_sync(bound, observer) -> None:
    """They ask it at their next refresh: stores bill by the call."""
    bound.record.waiting = False

    observer.resource("SecretStore", Change.SET, store_body("8", generation=2))
    observer.secret(Change.SET, meta(AUTH, "2"))

    assert [(STORE, Lane.STORE)] == await bound.taken()


async def test_changed_auth_secret_validates_its_store_again_and_wakes_who_waits(bound, observer) -> None:
    observer.secret(Change.SET, meta(AUTH, "2"))

    assert [(STORE, Lane.STORE), (bound.key, Lane.EVENT)] == await bound.taken()


@pytest.mark.parametrize(
    ("change", "version", "changed"),
    [
        pytest.param(Change.SET, "2", True, id="changed"),
        pytest.param(Change.LISTED, "2", True, id="changed-in-a-gap"),
        pytest.param(Change.GONE, "2", True, id="deleted"),
        pytest.param(Change.GONE, "", True, id="deleted-in-a-gap"),
        pytest.param(Change.SET, "1", False, id="told-late"),
        pytest.param(Change.LISTED, "1", False, id="listed-as-it-was"),
    ],
)
@pytest.mark.parametrize("auth", [AUTH, ACCOUNT], ids=lambda auth: auth.kind)
async def test_auth_object_counts_if_it_is_not_the_version_that_was_read(
    bound, observer, auth, change, version, changed
) -> None:
    tell = observer.secret if auth is AUTH else observer.service_account

    tell(change, meta(auth, version))
    tell(change, meta(ObjectKey(auth.kind, "team-0", "other"), version))

    assert changed == ((STORE, Lane.STORE) in await bound.taken())
    assert changed == (not bound.engine.planner.uses(auth))


async def test_labels_of_a_namespace_that_come_late_concern_who_waits_there(
    linked, observer, external_secret
) -> None:
    """Its object came first, and the labels could not be read. At the start nobody waits, and nothing is woken."""
    namespace = ObjectKey("Namespace", "", "team-0")
    linked.engine.books.note_external_secret(key("orders-10"), external_secret(10))
    linked.engine.books.external_secrets[key("orders-10")].depends_on = (SHARED,)
    linked.record.waiting = True

    observer.namespace(Change.SET, meta(namespace, labels={"stores": "yes"}))

    assert [(linked.key, Lane.EVENT)] == await linked.taken()


async def test_event_of_what_is_past_is_no_work(bench, observer, external_secret) -> None:
    """A read, as after a conflict, was ahead of the watch: its events must not bring back what was before."""
    read = external_secret(
        metadata__resourceVersion="150003", metadata__generation=3, spec__refreshInterval="3h"
    )
    observer.resource("ExternalSecret", Change.SET, read, read=True)
    await bench.taken()
    bench.engine.queue.done(bench.key)

    observer.resource(
        "ExternalSecret",
        Change.SET,
        external_secret(metadata__resourceVersion="150002", metadata__generation=2, metadata__labels=None),
    )

    assert [] == await bench.taken()
    assert (3, "150003") == (bench.record.generation, bench.record.resource_version)
    assert b"3h" in bench.record.spec


@pytest.mark.parametrize(
    ("change", "read"),
    [
        pytest.param(Change.LISTED, False, id="list"),
        pytest.param(Change.SET, True, id="read"),
    ],
)
async def test_what_is_there_now_counts_though_it_was_restored_from_before(
    bench, observer, external_secret, change, read
) -> None:
    """After etcd was restored from a backup generations are lower than they were."""
    bench.record.generation = 5

    observer.resource("ExternalSecret", change, external_secret(metadata__resourceVersion="90000"), read=read)

    assert [(bench.key, Lane.USER)] == await bench.taken()
    assert 1 == bench.record.generation


async def test_object_made_anew_is_not_past(bench, observer, external_secret) -> None:
    bench.record.generation = 5

    observer.resource(
        "ExternalSecret",
        Change.SET,
        external_secret(metadata__uid="new", metadata__resourceVersion="150000"),
    )

    assert [(bench.key, Lane.USER)] == await bench.taken()


async def test_event_of_a_stores_past_brings_back_no_old_spec(bench, observer) -> None:
    observer.resource("SecretStore", Change.SET, store_body("9", generation=3), read=True)
    await bench.taken()
    bench.engine.queue.done(STORE)

    observer.resource("SecretStore", Change.SET, store_body("8", generation=2))

    assert [] == await bench.taken()
    assert "9" == bench.engine.books.stores[STORE].resource_version


async def test_new_labels_of_a_namespace_concern_who_uses_shared_stores_there(
    linked, observer, external_secret
) -> None:
    """Only a ClusterSecretStore has conditions on namespaces."""
    linked.engine.books.note_external_secret(key("orders-10"), external_secret(10))
    linked.engine.books.external_secrets[key("orders-10")].depends_on = (STORE,)
    namespace = ObjectKey("Namespace", "", "team-0")
    observer.namespace(Change.LISTED, meta(namespace, labels={"stores": "no"}))
    observer.namespace(Change.SET, meta(namespace, labels={"stores": "no"}))
    assert [] == await linked.taken()

    observer.namespace(Change.SET, meta(namespace, labels={"stores": "yes"}))

    assert [(linked.key, Lane.EVENT)] == await linked.taken()
    assert {"team-0": {"stores": "yes"}} == linked.engine.books.namespaces
    observer.namespace(Change.GONE, meta(namespace))
    assert {} == linked.engine.books.namespaces


async def test_names_of_labels_are_those_that_the_books_look_for(bench, observer) -> None:
    """A managed Secret is kept, though nobody depends on it yet: its owner may be told later."""
    managed = {names.LABEL_MANAGED: names.LABEL_MANAGED_VALUE}

    observer.secret(Change.LISTED, meta(TARGET, labels=managed))

    assert {("team-0", "orders-0")} == set(bench.engine.books.secrets)
