"""StorePolicies in the books: closed until known, those concerned are woken and nobody else, statuses."""

from __future__ import annotations

import json
import logging

import msgspec
import pytest

from keyferry.api.external_secret import SecretStoreRef
from keyferry.core.desired import Owner
from keyferry.errors import (
    BACKOFF,
    ForbiddenError,
    KubeForbidden,
    KubeNotFound,
    KubeUnavailable,
    NotReadyError,
    SpecError,
)
from keyferry.kube.watch import Change, ObjectMeta, Partial
from keyferry.ports import Found, ObjectKey, Read, RemoteValue
from keyferry.reconcile import policies as module
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.policies import StorePolicies
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.remote import follow
from keyferry.reconcile.remote_index import Reading
from keyferry.reconcile.resolve import resolve
from keyferry.reconcile.store_policy import (
    observe_policy,
    policies_failed,
    policies_listed,
    policies_unserved,
    reconcile_store_policy,
    store_changed,
    stores_listed,
)
from keyferry.reconcile.stores import Unsettled, check_still_lets_in, use_store
from keyferry.reconcile.work import load
from keyferry.secretdata import SecretBytes
from keyferry.testing import builders
from keyferry.testing.builders import rule
from keyferry.testing.looptime import settle
from keyferry.testing.storeclient import ScriptedProvider

STORE = ObjectKey("ClusterSecretStore", "", "aws")
OTHER = ObjectKey("ClusterSecretStore", "", "gcp")
POLICY = ObjectKey("StorePolicy", "", "limits")
REF = SecretStoreRef(name="aws", kind="ClusterSecretStore")


def told(
    *rules, name="limits", stores=("aws",), generation=1, version="5", uid="u-1", status=None, **selector
):
    """A policy as its watch tells of it."""
    spec = builders.store_policy(name, *rules, stores=stores, **selector)["spec"]
    meta = ObjectMeta(name=name, uid=uid, generation=generation, resource_version=version)
    return Partial(
        meta, msgspec.Raw(json.dumps(spec).encode()), msgspec.Raw(json.dumps(status or {}).encode())
    )


def gone(name="limits"):
    return Partial(ObjectMeta(name=name))


def note_store(bench, key=STORE, *, ready=True, **metadata):
    body = builders.store({"db": "x"}, name=key.name, cluster=True)
    body["metadata"] |= {"uid": f"u-{key.name}", "generation": 1, "resourceVersion": "7", **metadata}
    bench.engine.books.note_store(key, body)
    bench.engine.books.stores[key].ready = ready
    return body


@pytest.fixture
def stores(bench):
    """Two stores, and users: `orders-0` in team-0 and `orders-1` in team-1 of one, `orders-2` in team-2 of the other."""
    note_store(bench)
    note_store(bench, OTHER)
    return bench


@pytest.fixture
def users(stores, external_secret):
    books = stores.engine.books
    found = []
    for number, store in enumerate((STORE, STORE, OTHER)):
        body = external_secret(number)
        key = ObjectKey("ExternalSecret", body["metadata"]["namespace"], body["metadata"]["name"])
        if key not in books.external_secrets:
            books.note_external_secret(key, body)
        books.dependents.link(key, (store,), ())
        books.external_secrets[key].depends_on = (store,)
        books.namespaces[key.namespace] = {}
        found.append(key)
    return found


async def use(bench, **arguments):
    return await use_store(bench.engine, REF, "team-0", **arguments)


async def waiting(bench):
    """The keys that wait, worked on."""
    found = await bench.taken()
    for key, _ in found:
        bench.engine.queue.done(key)
    return [key for key, _ in found]


async def woken(bench):
    """The ExternalSecrets that wait to be looked at."""
    return sorted(key.name for key in await waiting(bench) if key.kind == "ExternalSecret")


# -- closed until known


async def test_nothing_is_read_before_policies_are_known(stores) -> None:
    stores.engine.books.policies = StorePolicies()

    with pytest.raises(NotReadyError, match="they have not been listed yet"):
        await use(stores)
    policies_listed(stores.engine)
    assert (await use(stores)).gate is None


async def test_a_kind_that_is_not_there_forbids_nothing(stores) -> None:
    stores.engine.books.policies = StorePolicies()
    assert not stores.engine.books.policies.settled.is_set()

    policies_unserved(stores.engine)

    assert stores.engine.books.policies.settled.is_set()
    assert (await use(stores)).gate is None


async def test_a_kind_that_is_gone_takes_nothing_back_that_was_known(stores) -> None:
    """Only a list tells that a policy is over."""
    observe_policy(stores.engine, Change.SET, told())
    stores.engine.books.policies.refused(KubeForbidden("no", status=403))

    policies_unserved(stores.engine)

    with pytest.raises(NotReadyError):
        await use(stores)


async def test_being_refused_closes_with_the_cause_and_a_list_opens(users, stores, caplog) -> None:
    stores.engine.books.external_secrets[users[0]].waiting = True
    caplog.set_level(logging.WARNING)

    assert policies_failed(stores.engine, KubeForbidden("storepolicies is forbidden", status=403))
    assert policies_failed(stores.engine, KubeForbidden("storepolicies is forbidden", status=403))
    with pytest.raises(NotReadyError, match="are known: storepolicies is forbidden"):
        await use(stores)
    policies_listed(stores.engine)

    assert (await use(stores)).gate is None
    assert ["orders-0"] == await woken(stores)
    assert 1 == sum("may not be read any more" in one.message for one in caplog.records)


@pytest.mark.parametrize("error", [KubeUnavailable("gone"), KubeNotFound("no"), ValueError("x")], ids=repr)
async def test_other_failures_leave_in_force_what_is_known(stores, error) -> None:
    assert not policies_failed(stores.engine, error)

    assert (await use(stores)).gate is None


async def test_secret_stores_are_no_business_of_policies(bench) -> None:
    bench.engine.books.policies = StorePolicies()
    key = ObjectKey("SecretStore", "team-0", "aws")
    body = builders.store({"db": "x"}, name="aws")
    body["metadata"] |= {"namespace": "team-0", "uid": "u", "generation": 1, "resourceVersion": "1"}
    bench.engine.books.note_store(key, body)
    bench.engine.books.stores[key].ready = True

    used = await use_store(bench.engine, SecretStoreRef(name="aws", kind="SecretStore"), "team-0")

    assert used.gate is None


# -- before anything else


async def test_what_is_not_let_in_costs_nothing_at_all(stores) -> None:
    """No identity is gathered: no token, no login."""

    async def identify(*_):
        return "fp"

    provider = ScriptedProvider(identify)
    stores.engine.providers["fake"] = provider
    stores.engine.planner._providers = stores.engine.providers
    observe_policy(stores.engine, Change.SET, told(rule("a")))

    with pytest.raises(ForbiddenError):
        await use(stores, admit=lambda gate: gate.check("b"))
    assert 0 == provider.identified

    gate = (await use(stores, admit=lambda gate: gate.check("a"))).gate
    assert 1 == provider.identified
    gate.check_any()
    with pytest.raises(ForbiddenError):
        gate.check("b")


async def test_store_that_tells_of_changes_is_not_followed_for_those_who_may_have_nothing(stores) -> None:
    """An object at rest has its store's watch begun: no identity is gathered for one that is denied."""

    async def identify(*_):
        return "fp"

    class Watching(ScriptedProvider):
        watches = True

    provider = Watching(identify)
    stores.engine.providers["fake"] = provider
    stores.engine.planner._providers = stores.engine.providers
    stores.record.reads = (Reading(STORE, "prod/shop/orders-0"),)
    work = load(stores.engine, stores.key, stores.record, Owner("team-0", "orders-0", "u"))

    observe_policy(stores.engine, Change.SET, told(rule("**", namespaces=["team-1"])))
    follow(stores.engine, work)
    await settle()
    assert 0 == provider.identified

    observe_policy(stores.engine, Change.GONE, gone())
    follow(stores.engine, work)
    await settle()
    assert 1 == provider.identified


async def test_store_says_what_a_key_means(stores, monkeypatch) -> None:
    provider = stores.engine.providers["fake"]

    def canonical(_, key):
        if "//" in key:
            raise SpecError("leads elsewhere")
        return f"pre/{key.lower()}"

    monkeypatch.setattr(provider, "canonical", canonical)
    observe_policy(stores.engine, Change.SET, told(rule("pre/a", "pre//*")))
    gate = (await use(stores)).gate

    gate.check("A")
    with pytest.raises(ForbiddenError, match=r'"B" \("pre/b" at the store\)'):
        gate.check("B")
    with pytest.raises(SpecError):
        gate.check("//a")
    value = RemoteValue(SecretBytes(b"x"))
    found = [
        Found("x", Read("a")),
        Found("a", Read("b")),
        Found("A", value),
        Found("a", value, "b"),
        Found("b", value, "a"),
        Found("//a", value),
    ]
    assert [True, False, True, False, True, False] == [gate.lets_in(one) for one in found]


@pytest.mark.parametrize(
    ("scope", "again"),
    [(("team-0", "{label:t}"), True), (("team-0", "a"), False), (("", "{label:t}"), False)],
    ids=["scoped-by-label", "scoped", "all"],
)
async def test_who_does_not_see_labels_change_looks_again(stores, server, play, scope, again) -> None:
    namespace, keys = scope
    server.otherwise = play.says(200, {"metadata": {"name": "team-0", "labels": {}}})
    stores.change_settings(namespace=namespace)
    observe_policy(stores.engine, Change.SET, told(rule(keys)))
    gate = (await use(stores)).gate

    for check in (lambda: gate.check("b"), *([gate.check_any] if again else [])):
        with pytest.raises(ForbiddenError) as caught:
            check()
        assert again is (caught.value.retry is BACKOFF)


# -- while the store is asked


async def test_answer_that_comes_after_a_denial_is_not_used(stores) -> None:
    observe_policy(stores.engine, Change.SET, told(rule("a"), rule("{namespace}", namespaces=["team-0"])))
    used = await use(stores)
    check_still_lets_in(stores.engine, used, "team-0")

    # Nothing for this namespace: it may go on.
    observe_policy(
        stores.engine, Change.SET, told(rule("a"), rule("{namespace}"), name="limits", generation=2)
    )
    check_still_lets_in(stores.engine, used, "team-0")

    observe_policy(stores.engine, Change.SET, told(rule("b"), generation=3))
    with pytest.raises(Unsettled):
        check_still_lets_in(stores.engine, used, "team-0")

    observe_policy(stores.engine, Change.GONE, gone())
    check_still_lets_in(stores.engine, used, "team-0")


async def test_first_policy_counts_for_answers_under_way(stores) -> None:
    used = await use(stores)

    observe_policy(stores.engine, Change.SET, told(rule("**")))

    with pytest.raises(Unsettled):
        check_still_lets_in(stores.engine, used, "team-0")


async def test_labels_that_change_meanwhile_count(stores) -> None:
    stores.engine.books.namespaces["team-0"] = {"t": "x"}
    observe_policy(stores.engine, Change.SET, told(rule("{label:t}/*")))
    used = await use(stores)
    check_still_lets_in(stores.engine, used, "team-0")

    stores.engine.books.namespaces["team-0"] = {"t": "y"}

    with pytest.raises(Unsettled):
        check_still_lets_in(stores.engine, used, "team-0")


async def test_being_refused_counts_for_answers_under_way(stores) -> None:
    used = await use(stores)
    stores.engine.books.policies.refused(KubeForbidden("no", status=403))

    with pytest.raises(Unsettled):
        check_still_lets_in(stores.engine, used, "team-0")
    del stores.engine.books.stores[STORE]
    check_still_lets_in(stores.engine, used, "team-0")  # its own end is told elsewhere


# -- searches


async def searched(bench, deletion, *, limited=True):
    """What a search of the store gives an ExternalSecret whose deletionPolicy is this."""
    if limited:
        observe_policy(bench.engine, Change.SET, told(rule("team-0/*")))
    made = builders.external_secret(
        "found",
        builders.find("."),
        store=builders.cluster_store("aws"),
        target={"name": "found", "deletionPolicy": deletion},
    )
    made["metadata"] |= {"namespace": "team-0", "uid": "u-f", "resourceVersion": "5", "generation": 1}
    key = ObjectKey("ExternalSecret", "team-0", "found")
    bench.engine.books.note_external_secret(key, made)
    work = load(bench.engine, key, bench.engine.books.external_secrets[key], Owner("team-0", "found", "u-f"))
    claim = Claim(key, Lane.USER, bench.engine.queue.now())
    return (await resolve(bench.engine, work, claim, rotate=False)).assembled.data


@pytest.mark.parametrize("deletion", ["Delete", "Merge"])
async def test_nothing_let_in_of_what_a_search_finds_deletes_nothing(stores, deletion) -> None:
    """Elsewhere the store has a secret, which the policy used to let in: that must not read as "all gone"."""
    with pytest.raises(ForbiddenError, match="finds nothing that StorePolicies let in") as caught:
        await searched(stores, deletion)

    assert f"deletionPolicy={deletion} does not count that as gone" in caught.value.message
    assert "ClusterSecretStore" in caught.value.message


async def test_nothing_found_tells_no_more_than_nothing_let_in(stores) -> None:
    """Or searches would tell which secrets of others there are."""
    told_of = []
    for values in ({"elsewhere/db": "x"}, {}):
        body = builders.store(values, name="aws", cluster=True)
        body["metadata"] |= {"uid": "u-aws", "generation": len(told_of) + 2, "resourceVersion": "8"}
        stores.engine.books.note_store(STORE, body)
        stores.engine.books.stores[STORE].ready = True
        stores.engine.planner.drop(STORE)
        with pytest.raises(ForbiddenError) as caught:
            await searched(stores, "Delete")
        told_of.append(str(caught.value))

    assert told_of[0] == told_of[1]


async def test_search_that_finds_nothing_counts_as_ever_where_it_cannot_delete(stores) -> None:
    assert {} == dict(await searched(stores, "Retain"))


async def test_search_that_no_policy_limits_finds_nothing_where_all_is_gone(stores) -> None:
    body = builders.store({}, name="aws", cluster=True)
    body["metadata"] |= {"uid": "u-aws", "generation": 2, "resourceVersion": "8"}
    stores.engine.books.note_store(STORE, body)
    stores.engine.books.stores[STORE].ready = True

    assert {} == dict(await searched(stores, "Delete", limited=False))


# -- who is woken


async def test_those_for_whom_something_changes_are_woken_and_nobody_else(users, stores) -> None:
    observe = stores.engine, Change.SET

    observe_policy(*observe, told(rule("a")))
    assert ["orders-0", "orders-1"] == await woken(stores)

    observe_policy(*observe, told(rule("a"), rule("b", namespaces=["team-1"]), generation=2))
    assert ["orders-1"] == await woken(stores)

    observe_policy(*observe, told(rule("b", namespaces=["team-1"]), rule("a"), generation=3))
    assert [] == await woken(stores)  # the same in another order

    observe_policy(*observe, told(rule("a"), name="other", stores=["gcp"]))
    assert ["orders-2"] == await woken(stores)

    observe_policy(stores.engine, Change.GONE, gone())
    assert ["orders-0", "orders-1"] == await woken(stores)
    assert stores.engine.books.policies.told.keys() == {OTHER}


async def test_policy_of_one_team_more_reads_nothing_of_others_anew(users, stores) -> None:
    """Where each team has its own: all of them select the same store. Who is denied is told of it in its message."""
    records = stores.engine.books.external_secrets
    observe_policy(stores.engine, Change.SET, told(rule("{namespace}/**")))
    await waiting(stores)
    for key in users:
        records[key].asked, records[key].waiting = False, key.name == "orders-1"

    observe_policy(stores.engine, Change.SET, told(rule("x", namespaces=["team-9"]), name="team-9"))

    assert ["orders-1"] == await woken(stores)
    assert [] == [key.name for key in users if records[key].asked]


async def test_answers_under_way_outlive_a_policy_that_changes_nothing_for_them(stores) -> None:
    observe_policy(stores.engine, Change.SET, told(rule("{namespace}/**")))
    used = await use(stores)

    observe_policy(stores.engine, Change.SET, told(rule("x", namespaces=["team-9"]), name="team-9"))

    check_still_lets_in(stores.engine, used, "team-0")


async def test_only_stores_that_a_policy_selects_are_looked_at_when_it_changes(
    users, stores, monkeypatch
) -> None:
    """A thousand policies about a hundred stores come one by one."""
    policies = stores.engine.books.policies
    observe_policy(stores.engine, Change.SET, told(rule("a")))
    asked = []
    of = policies.of

    def noted(store, labels):
        asked.append(store)
        return of(store, labels)

    monkeypatch.setattr(policies, "of", noted)
    observe_policy(stores.engine, Change.SET, told(rule("a"), name="second", stores=["gcp"]))
    assert [OTHER] == asked

    observe_policy(stores.engine, Change.SET, told(rule("a"), name="second", generation=2))
    assert {OTHER, STORE} == set(asked[1:])
    asked.clear()
    observe_policy(stores.engine, Change.GONE, gone("second"))
    assert [STORE] == asked


async def test_echo_of_a_status_is_no_work(users, stores) -> None:
    observe_policy(stores.engine, Change.SET, told(rule("a")))
    await waiting(stores)

    observe_policy(stores.engine, Change.SET, told(rule("a"), version="6", status={"stores": 1}))

    assert [] == await waiting(stores)
    record = stores.engine.books.policies.records[POLICY]
    assert ("6", 1) == (record.resource_version, record.read_status().stores)


async def test_policy_that_was_made_anew_under_its_name_counts(users, stores) -> None:
    observe_policy(stores.engine, Change.SET, told(rule("a")))
    await waiting(stores)

    observe_policy(stores.engine, Change.SET, told(rule("b"), uid="u-2"))

    assert ["orders-0", "orders-1"] == await woken(stores)


async def test_policies_told_before_all_are_known_wake_nobody(users, stores) -> None:
    stores.engine.books.policies = StorePolicies()

    observe_policy(stores.engine, Change.LISTED, told(rule("a")))
    assert [] == await woken(stores)

    policies_listed(stores.engine)
    assert ["orders-0", "orders-1"] == await woken(stores)
    policies_listed(stores.engine)
    assert [] == await woken(stores)


async def test_labels_of_a_store_are_followed(users, stores) -> None:
    observe_policy(stores.engine, Change.SET, told(rule("a"), stores=[], matchLabels={"tier": "prod"}))
    assert [] == await woken(stores)

    body = note_store(stores, labels={"tier": "prod"}, resourceVersion="8")
    Observer(stores.engine).resource("ClusterSecretStore", Change.SET, body | {"kind": "ClusterSecretStore"})

    assert ["orders-0", "orders-1"] == await woken(stores)
    Observer(stores.engine).resource("ClusterSecretStore", Change.GONE, body)
    assert ["orders-0", "orders-1"] == await woken(stores)
    store_changed(stores.engine, STORE)
    assert [] == await woken(stores)


@pytest.mark.parametrize(
    ("pattern", "expected"), [("{label:team}/*", ["orders-0"]), ("{namespace}/*", []), ("x", [])]
)
async def test_labels_of_a_namespace_read_anew_where_they_matter(users, stores, pattern, expected) -> None:
    observe_policy(stores.engine, Change.SET, told(rule(pattern)))
    await waiting(stores)
    for record in stores.engine.books.external_secrets.values():
        record.asked = False

    meta = ObjectMeta(name="team-0", labels={"team": "red"})
    Observer(stores.engine).namespace(Change.SET, meta)

    assert ["orders-0"] == await woken(stores)
    asked = [key.name for key in users if stores.engine.books.external_secrets[key].asked]
    assert expected == asked


async def test_namespace_whose_labels_nobody_knows_is_looked_at(users, stores) -> None:
    stores.engine.books.namespaces.clear()
    observe_policy(stores.engine, Change.SET, told(rule("{label:a}")))
    await waiting(stores)

    observe_policy(stores.engine, Change.SET, told(rule("{label:a}", "{label:b}"), generation=2))

    assert ["orders-0", "orders-1"] == await woken(stores)


# -- compiled once


def test_admissions_are_kept_while_they_hold(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_ADMISSIONS", 2)
    known = StorePolicies()
    known.note(POLICY, told(rule("{label:t}")))
    chosen = known.of(STORE, {})

    first = known.admission(STORE, chosen, "a", {"t": "x"})
    assert known.of(STORE, {}) is chosen
    assert known.admission(STORE, chosen, "a", {"t": "x"}) is first
    assert known.admission(STORE, chosen, "a", {"t": "y"}) != first
    for namespace in "bcd":
        known.admission(STORE, chosen, namespace, {})
    assert 2 == len(known._admissions)

    known.note(POLICY, told(rule("b"), generation=2))
    assert known.admission(STORE, known.of(STORE, {}), "d", {}).lets_in("b")
    assert known.forget(POLICY)
    assert not known.forget(POLICY)
    assert () == known.of(STORE, {})


def test_a_bug_closes_all_stores(monkeypatch, caplog) -> None:
    def fails(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "compile_policy", fails)
    known = StorePolicies()
    known.note(POLICY, told(rule("**")))

    (policy,) = known.of(OTHER, {})
    assert "internal error (ZeroDivisionError)" in policy.problem
    assert not known.admission(OTHER, (policy,), "a", {}).lets_in("a")
    assert "a bug in Keyferry" in caplog.text


# -- the status


async def look(bench, lane=Lane.STORE):
    await reconcile_store_policy(bench.engine, Claim(POLICY, lane, bench.engine.queue.now()))


def written(version="9"):
    return {"metadata": {"name": "limits", "uid": "u-1", "resourceVersion": version}}


@pytest.fixture
def listed(stores):
    stores_listed(stores.engine)
    return stores


def statuses(server):
    return [(seen.path, seen.json()["status"]) for seen in server.seen if seen.method == "PUT"]


async def test_status_tells_how_many_stores_and_is_written_once(listed, server, play) -> None:
    server.otherwise = play.says(200, written())
    observe_policy(listed.engine, Change.SET, told(rule("a"), matchLabels={}))

    await look(listed)
    await look(listed)

    ((path, status),) = statuses(server)
    (condition,) = status["conditions"]
    assert "/apis/keyferry.io/v1alpha1/storepolicies/limits/status" == path
    assert "keyferry.io/v1alpha1" == server.seen[0].json()["apiVersion"]
    assert 2 == status["stores"]
    assert ("True", "Valid", "limits 2 ClusterSecretStores", 1) == tuple(
        condition[one] for one in ("status", "reason", "message", "observedGeneration")
    )


async def test_status_of_a_policy_that_cannot_be_used_says_why(listed, server, play) -> None:
    server.otherwise = play.says(200, written())
    observe_policy(listed.engine, Change.SET, told(rule("{x}")))

    await look(listed)
    observe_policy(listed.engine, Change.SET, told(rule("x"), generation=2, version="9"))
    await look(listed)

    (_, wrong), (_, good) = statuses(server)
    assert ("False", "InvalidPolicy") == (wrong["conditions"][0]["status"], wrong["conditions"][0]["reason"])
    assert "cannot be used and lets nothing in: spec.rules[0].keys[0]" in wrong["conditions"][0]["message"]
    assert (1, 1) == (wrong["stores"], good["stores"])
    assert ("True", "limits 1 ClusterSecretStore") == (
        good["conditions"][0]["status"],
        good["conditions"][0]["message"],
    )


async def test_time_of_the_transition_is_kept(listed, server, play) -> None:
    before = {
        "stores": 5,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}],
    }
    server.otherwise = play.says(200, written())
    observe_policy(listed.engine, Change.SET, told(status=before, stores=["nowhere"]))

    await look(listed)

    ((_, status),) = statuses(server)
    assert "2020-01-01T00:00:00Z" == status["conditions"][0]["lastTransitionTime"]
    assert (0, "selects no ClusterSecretStore") == (status["stores"], status["conditions"][0]["message"])


@pytest.mark.parametrize("change", [{"namespace": "team-0"}, {"cluster_stores": False}], ids=str)
async def test_who_does_not_serve_all_stores_writes_no_status(listed, server, change) -> None:
    listed.change_settings(**change)
    observe_policy(listed.engine, Change.SET, told())

    await look(listed)

    assert [] == statuses(server)


async def test_no_status_before_all_stores_are_known(stores, server, play) -> None:
    """Its count would be too small after each start."""
    server.otherwise = play.says(200, written())
    observe_policy(stores.engine, Change.SET, told())
    await waiting(stores)

    await look(stores)
    assert [] == statuses(server)

    stores_listed(stores.engine)
    assert [POLICY] == await waiting(stores)


async def test_count_follows_the_stores(listed, server, play) -> None:
    server.otherwise = play.says(200, written())
    observe_policy(listed.engine, Change.SET, told(matchLabels={}))
    await waiting(listed)
    third = ObjectKey("ClusterSecretStore", "", "third")

    body = note_store(listed, third)
    Observer(listed.engine).resource("ClusterSecretStore", Change.SET, body)

    assert POLICY in await waiting(listed)


async def test_status_that_is_not_taken_is_tried_again(listed, server, play) -> None:
    server.otherwise = play.refuses(403, "storepolicies/status is forbidden")
    observe_policy(listed.engine, Change.SET, told())
    await waiting(listed)

    await look(listed)
    await look(listed)
    assert 1 == len(statuses(server))
    assert 0.8 <= listed.due_in(POLICY) <= 1.0

    listed.clock.advance(5)
    server.otherwise = play.says(200, written())
    await look(listed, Lane.RETRY)
    assert 2 == len(statuses(server))
    assert {} == listed.engine.debts.store_policies


async def test_conflict_waits_for_the_watch(listed, server, play) -> None:
    server.otherwise = play.refuses(409, "changed")
    observe_policy(listed.engine, Change.SET, told())
    await waiting(listed)

    await look(listed)

    assert 1 == len(statuses(server))
    assert 1.0 == listed.due_in(POLICY)


async def test_policy_that_is_gone_has_no_status(listed, server, play) -> None:
    await look(listed)
    assert [] == server.seen

    server.otherwise = play.refuses(404, "gone")
    observe_policy(listed.engine, Change.SET, told())
    await waiting(listed)
    await look(listed)
    observe_policy(listed.engine, Change.GONE, gone())
    assert listed.due_in(POLICY) is None


async def test_unreadable_status_counts_as_none(listed) -> None:
    found = told()
    wrong = Partial(found.metadata, found.spec, msgspec.Raw(b'{"stores": "many"}'))
    observe_policy(listed.engine, Change.SET, wrong)

    assert listed.engine.books.policies.records[POLICY].read_status().stores is None
