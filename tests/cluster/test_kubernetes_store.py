"""Secrets of this cluster as remote secrets: who may read them, what comes of them, and that changes come at once.

No test waits for a refresh: every interval is an hour.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import pytest
from tests.cluster.kubernetes import ALL_VERBS, READER, Source, account, kubernetes_store, service_account

from keyferry.api import names
from keyferry.reconcile.repairs import AT_ONCE
from keyferry.testing.builders import (
    Object,
    cluster_store,
    entry,
    external_secret,
    extract,
    find,
    secret,
    store,
)
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant, soon

NOT_TOLD = "changes come with the next refresh, not at once"


@pytest.fixture
def source(kube: KubeClient, tenant: Tenant) -> Iterator[Source]:
    """Somebody else's namespace, which the tenant's ServiceAccount `reader` may read and watch."""
    with Source(kube) as made:
        tenant.create(service_account())
        made.let_read(account(tenant.namespace))
        yield made


def hourly(name: str, *entries: Object, **spec: object) -> Object:
    return external_secret(name, *entries, refreshInterval="1h0m0s", **spec)


# -- what is read


def test_values_come_from_another_namespace(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep(
        "db", password=canary("password"), config='{"user": {"name": "app"}}', store=bytes(range(256))
    )
    tenant.create(kubernetes_store(source))
    entries = [entry("password", "db", property="password"), entry("user", "db", property="config.user.name")]
    tenant.create(hourly("app", *entries))
    tenant.create(hourly("all", extract("db")))
    tenant.wait_synced("app")
    tenant.wait_synced("all")

    assert {"password": canary("password"), "user": "app"} == tenant.values("app")
    assert source.get("Secret", "db")["data"] == tenant.get("Secret", "all")["data"]
    found = tenant.wait_told("store", "Valid", names.SECRET_STORE)
    assert "ReadWrite" == found["status"]["capabilities"]


def test_labels_and_annotations_are_read_where_the_manifest_fetches_metadata(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep("db", password=canary("password"))
    source.label("Secret", "db", {"app.kubernetes.io/name": "shop", "tier": "gold"})
    tenant.create(kubernetes_store(source))
    wanted = {
        "both": {},
        "labels": {"property": "labels"},
        "none": {"property": "annotations"},
        "tier": {"property": "labels.tier"},
        "dotted": {"property": "labels.app.kubernetes.io/name"},
    }
    tenant.create(
        hourly("app", *(entry(key, "db", metadataPolicy="Fetch", **more) for key, more in wanted.items()))
    )
    tenant.wait_synced("app")

    labels = {"app.kubernetes.io/name": "shop", "tier": "gold"}
    found = tenant.values("app")
    assert {"annotations": None, "labels": labels} == json.loads(found["both"])
    assert (labels, "null", "gold", "shop") == (
        json.loads(found["labels"]),
        found["none"],
        found["tier"],
        found["dotted"],
    )


def test_searches_find_by_labels_and_by_name(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    for name, label in (("tls-a", "web"), ("tls-b", "mail"), ("db", "web")):
        source.keep(name, key=canary(name))
        source.label("Secret", name, {"app": label})
    tenant.create(kubernetes_store(source))
    tenant.create(hourly("named", find("^tls-")), hourly("labelled", find(tags={"app": "web"})))
    tenant.create(hourly("both", find("^tls-", tags={"app": "web"})))
    for name, expected in (("named", {"tls-a", "tls-b"}), ("labelled", {"db", "tls-a"}), ("both", {"tls-a"})):
        tenant.wait_synced(name)

        assert {one: json.dumps({"key": canary(one)}, separators=(",", ":")) for one in expected} == (
            tenant.values(name)
        )


# -- changes


def test_change_at_the_source_arrives_at_once(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep("db", password=canary("before"))
    source.keep("other", password=canary("other"))
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.create(hourly("unconcerned", entry("p", "other", property="password")))
    tenant.wait_values("app", {"p": canary("before")})
    tenant.wait_values("unconcerned", {"p": canary("other")})
    source.set_data("db", {"password": canary("after")})
    tenant.wait_values("app", {"p": canary("after")})
    calls = tenant.sync_calls(operator, "unconcerned")
    source.set_data("db", {"password": canary("once-more")})

    tenant.wait_values("app", {"p": canary("once-more")})
    assert calls == tenant.sync_calls(operator, "unconcerned")


def test_secret_that_comes_is_taken_at_once(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.wait_failed("app", f'remote secret "db" in namespace "{source.namespace}" does not exist')
    source.keep("db", password=canary("late"))

    tenant.wait_values("app", {"p": canary("late")})


def test_what_a_search_finds_is_kept_up_to_date_at_once(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep("a", key=canary("a"))
    source.label("Secret", "a", {"app": "web"})
    tenant.create(kubernetes_store(source), hourly("app", find(tags={"app": "web"})))
    tenant.wait_synced("app")
    source.keep("b", key=canary("b"))
    source.label("Secret", "b", {"app": "web"})
    soon(lambda: set(tenant.values("app")) == {"a", "b"}, SYNC_S)
    source.label("Secret", "a", {"app": None})

    soon(lambda: set(tenant.values("app")) == {"b"}, SYNC_S)


@pytest.mark.parametrize("policy", ["Retain", "Delete", "Merge"])
def test_deletion_at_the_source_follows_the_policy_at_once(
    tenant: Tenant, operator: OperatorProcess, source: Source, policy: str
) -> None:
    source.keep("db", password=canary("password"))
    made = hourly("app", entry("p", "db", property="password"), target={"deletionPolicy": policy})
    tenant.create(kubernetes_store(source), made)
    tenant.wait_synced("app")
    source.delete("Secret", "db")

    if policy == "Delete":
        tenant.wait_gone("Secret", "app")
    elif policy == "Merge":
        tenant.wait_values("app", {})
    else:
        tenant.wait_failed("app", 'remote secret "db"')
        assert {"p": canary("password")} == tenant.values("app")


def test_change_while_the_operator_is_away_arrives_when_it_is_back(
    tenant: Tenant, private_operator: Callable[..., OperatorProcess], source: Source
) -> None:
    """Nothing is due: the metadata that the watch begins with tell who has to look."""
    source.keep("db", password=canary("before"))
    source.keep("gone", password=canary("gone"))
    tenant.create(kubernetes_store(source, controller="private"))
    tenant.create(hourly("app", entry("p", "db", property="password")))
    tenant.create(
        hourly("less", entry("p", "gone", property="password"), target={"deletionPolicy": "Delete"})
    )
    first = private_operator()
    tenant.wait_synced("app")
    tenant.wait_synced("less")
    first.stop()
    source.set_data("db", {"password": canary("after")})
    source.delete("Secret", "gone")
    private_operator()

    tenant.wait_values("app", {"p": canary("after")})
    tenant.wait_gone("Secret", "less")


def test_two_made_from_each_other_are_slowed_down(
    tenant: Tenant, operator: OperatorProcess, own: Source
) -> None:
    """Each adds to the other's value: every write is a change for the other, for ever."""
    tenant.create(kubernetes_store(own), secret("b", {"x": "x"}))
    target = {"creationPolicy": "Orphan", "template": {"data": {"x": "{{ .x }}+"}}}
    for name, other in (("a", "b"), ("b", "a")):
        tenant.create(hourly(name, entry("x", other, property="x"), target=target))
    soon(lambda: slowed_down(operator, tenant), SYNC_S)

    calls = [tenant.sync_calls(operator, name) for name in ("a", "b")]
    assert AT_ONCE <= max(calls) <= AT_ONCE + 5
    for name in ("a", "b"):
        tenant.delete(names.EXTERNAL_SECRET, name)


def slowed_down(operator: OperatorProcess, tenant: Tenant) -> list[str]:
    """What the log says of objects of the namespace that change again and again."""
    lines = operator.log.splitlines()
    return [line for line in lines if "again and again" in line and tenant.namespace in line]


@pytest.fixture
def own(tenant: Tenant, source: Source) -> Source:
    """The tenant's own namespace as a source."""
    made = Source(tenant.kube, tenant.namespace)
    made.let_read(account(tenant.namespace))
    return made


# -- rights


def test_role_with_the_right_to_get_is_enough_to_read(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    """No condition and no event of the rights that are missing; the log tells that changes come later."""
    source.let_read(account(tenant.namespace), verbs=["get"], names=["db"])
    source.keep("db", password=canary("before"))
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.wait_values("app", {"p": canary("before")})
    tenant.wait_told("store", "Valid", names.SECRET_STORE)
    soon(lambda: told_of(operator, source), SYNC_S)
    source.set_data("db", {"password": canary("after")})
    operator.look_again()

    tenant.wait_values("app", {"p": canary("after")})
    assert {"Normal"} == {event[0] for event in tenant.events(names.EXTERNAL_SECRET, "app")}
    assert ("True", "SecretSynced", "secret synced") == tenant.told("app")


def told_of(operator: OperatorProcess, source: Source) -> list[str]:
    """What the log says of changes that are not told."""
    return [line for line in operator.log.splitlines() if NOT_TOLD in line and source.namespace in line]


@pytest.mark.parametrize("missing", ALL_VERBS)
def test_each_right_is_needed(
    tenant: Tenant, operator: OperatorProcess, source: Source, missing: str
) -> None:
    source.let_read(account(tenant.namespace), verbs=[verb for verb in ALL_VERBS if verb != missing])
    source.keep("db", password=canary("before"))
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.create(hourly("found", find("^db$")))
    refused = "this cluster's API server does not let this identity"
    advice = f'Grant it the verb "{missing}" on secrets in namespace "{source.namespace}"'

    if missing == "get":
        told = tenant.wait_told(
            "store", "InvalidProviderConfig", names.SECRET_STORE, holding=f"{refused} get"
        )
        assert advice in str(told["status"])
        tenant.wait_failed("app", f"{refused} get")
        return
    tenant.wait_values("app", {"p": canary("before")})
    assert f"{refused} list and watch" in soon(lambda: told_of(operator, source), SYNC_S)[0]
    if missing == "list":
        assert advice in str(tenant.wait_failed("found", f"{refused} list")["status"])
    else:
        tenant.wait_synced("found")


def test_right_that_is_granted_later_is_enough(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.let_read(account(tenant.namespace), verbs=["list"])
    source.keep("db", password=canary("password"))
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.wait_failed("app")
    source.let_read(account(tenant.namespace))
    operator.look_again()

    tenant.wait_values("app", {"p": canary("password")})


def test_right_that_is_taken_away_leaves_the_last_good_secret(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep("db", password=canary("password"))
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.wait_synced("app")
    source.let_read(account(tenant.namespace), verbs=["watch"])
    source.set_data("db", {"password": canary("unseen")})
    tenant.wait_failed("app", "does not let this identity get")

    assert {"p": canary("password")} == tenant.values("app")


# -- trust


def test_operator_lends_its_own_rights_to_nobody(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    tenant.create(store(provider={"kubernetes": {"remoteNamespace": source.namespace}}))

    tenant.wait_told(
        "store",
        "InvalidProviderConfig",
        names.SECRET_STORE,
        holding="has neither auth nor authRef: the operator's own rights are not lent to stores",
    )


def test_token_for_this_cluster_goes_to_no_other_address(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    elsewhere = {"url": "https://collector.example.com"}
    tenant.create(kubernetes_store(source, server=elsewhere, name="bare"))
    audiences = {"serviceAccount": {"name": READER, "audiences": ["https://kubernetes.default.svc"]}}
    tenant.create(kubernetes_store(source, server=elsewhere, name="named", auth=audiences))

    for name, why in (("bare", "auth.serviceAccount needs audiences"), ("named", "is the API server's own")):
        tenant.wait_told(name, "InvalidProviderConfig", names.SECRET_STORE, holding=why)


@pytest.mark.parametrize("address", ["kubernetes", "https://kubernetes.default.svc.cluster.local:443/"])
def test_names_of_this_cluster_lead_to_the_operators_own_address(
    *, tenant: Tenant, operator: OperatorProcess, source: Source, kube: KubeClient, address: str
) -> None:
    """They do not resolve here: the address is the operator's, and the CA may be the manifest's."""
    source.keep("db", password=canary("password"))
    root = kube.get(tenant.path("ConfigMap", "kube-root-ca.crt"))["data"]["ca.crt"]
    server = {"url": address, "caBundle": base64.b64encode(root.encode()).decode()}
    tenant.create(kubernetes_store(source, server=server))
    tenant.create(hourly("app", entry("p", "db", property="password")))
    tenant.wait_synced("app")

    assert {"p": canary("password")} == tenant.values("app")


def test_each_namespace_reads_by_its_own_account(
    *, tenant: Tenant, operator: OperatorProcess, source: Source, kube: KubeClient, shared_store: str
) -> None:
    """A ClusterSecretStore that names no namespace: who has no rights gets nothing from somebody else's answers."""
    source.keep("db", password=canary("password"))
    made = kubernetes_store(source, name=shared_store)
    tenant.create(made | {"kind": names.CLUSTER_SECRET_STORE})
    with Source(kube) as stranger:
        stranger.create(service_account())
        for one in (tenant, stranger):
            one.create(
                hourly("app", entry("p", "db", property="password"), store=cluster_store(shared_store))
            )
        tenant.wait_synced("app")
        stranger.wait_failed("app", "does not let this identity get")
        source.set_data("db", {"password": canary("changed")})
        tenant.wait_values("app", {"p": canary("changed")})

        assert stranger.find("Secret", "app") is None


def test_account_made_anew_is_asked_for_a_new_token(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep("db", password=canary("before"))
    tenant.create(kubernetes_store(source), hourly("app", entry("p", "db", property="password")))
    tenant.wait_values("app", {"p": canary("before")})
    tenant.delete("ServiceAccount", READER)
    tenant.create(service_account())
    source.set_data("db", {"password": canary("after")})

    tenant.wait_values("app", {"p": canary("after")})


def test_all_entries_that_read_one_secret_are_one_read(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    keys = [f"k{number}" for number in range(20)]
    source.keep("db", **{key: canary("before") for key in keys})
    tenant.create(kubernetes_store(source), hourly("first", entry("k", "db", property="k0")))
    tenant.wait_synced("first")
    source.set_data("db", {key: canary("after") for key in keys})
    tenant.wait_values("first", {"k": canary("after")})
    before = reads(operator)
    tenant.create(hourly("app", *(entry(key, "db", property=key) for key in keys)))
    tenant.wait_synced("app")

    assert 1 == reads(operator) - before


def reads(operator: OperatorProcess) -> float:
    """How many Secrets the operator has read as remote secrets."""
    labels = 'call="GetSecret",provider="Kubernetes",status="success"'
    return operator.metric(f"externalsecret_provider_api_calls_count{{{labels}}}")
