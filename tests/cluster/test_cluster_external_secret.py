"""ClusterExternalSecret: the same ExternalSecret in every namespace that it selects, and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from tests.cluster.fan import Fan

from keyferry.testing.builders import entry, external_secret, owner_reference
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import COLLECTED_S, Tenant, ready_of, soon

pytestmark = pytest.mark.long

ONE = canary("one")
CLASH = "external secret already exists in namespace"
OURS = "externalsecrets.external-secrets.io"


@pytest.fixture
def fan(kube: KubeClient, operator: OperatorProcess, leaks: LeakDetector) -> Iterator[Fan]:
    """A ClusterExternalSecret for the test to create."""
    made = Fan(kube, f"fan-{secrets.token_hex(4)}", {"db": ONE, "other": ONE})
    yield made
    found = kube.find(made.path)
    leaks.look(f"status of ClusterExternalSecret {made.name}", (found or {}).get("status") or {})
    made.close()


def metadata_of(tenant: Tenant, name: str) -> dict:
    return tenant.get("ExternalSecret", name)["metadata"]


# Which namespaces


def test_each_selected_namespace_gets_the_external_secret_and_its_secret(fan: Fan) -> None:
    one, two, other = fan.namespace("a"), fan.namespace("b"), fan.namespace("c", selected=False)
    made = fan.create(externalSecretMetadata={"labels": {"team": "x"}, "annotations": {"note": "y"}})
    found = fan.wait(one, two)

    assert found["status"]["externalSecretName"] == fan.name
    assert ready_of(found).keys() == {"type", "status", "lastTransitionTime", "observedGeneration"}
    for tenant in (one, two):
        tenant.wait_values(fan.name, {"v": ONE})
        metadata = metadata_of(tenant, fan.name)
        assert (metadata["labels"], metadata["annotations"]) == ({"team": "x"}, {"note": "y"})
        assert metadata["ownerReferences"] == [owner_reference(made)]
        assert "finalizers" not in metadata
    assert other.find("ExternalSecret", fan.name) is None


def test_selectors_and_names_add_up(fan: Fan) -> None:
    tenants = {
        "list": fan.namespace("list", selected=False, labels={"stage": "test", "of": fan.name}),
        "second": fan.namespace("second", selected=False, labels={"stage": "prod", "of": fan.name}),
        "deprecated": fan.namespace("deprecated"),
        "named": fan.namespace("named", selected=False),
    }
    fan.namespace("left-out", selected=False, labels={"stage": "dev", "of": fan.name})
    expression = {"key": "stage", "operator": "In", "values": ["prod", "staging"]}
    fan.create(
        namespaceSelectors=[
            {"matchLabels": {"of": fan.name, "stage": "test"}},
            {"matchLabels": {"of": fan.name}, "matchExpressions": [expression]},
        ],
        namespaceSelector=fan.selector,
        namespaces=[tenants["named"].namespace, f"{fan.name}-that-there-is-not"],
    )

    fan.wait(*tenants.values())


def test_no_namespace_at_all_is_fine(fan: Fan) -> None:
    fan.create()

    found = fan.wait()
    assert found["status"].get("provisionedNamespaces", []) == []


def test_new_namespace_gets_it_at_once(fan: Fan) -> None:
    fan.create()
    fan.wait()
    new = fan.namespace("new")

    fan.wait(new)
    new.wait_values(fan.name, {"v": ONE})


def test_relabelled_namespace_gets_it_and_loses_it_at_once(fan: Fan) -> None:
    stays, tenant = fan.namespace("stays"), fan.namespace("a", selected=False)
    fan.create()
    fan.wait(stays)
    fan.relabel(tenant, fan=fan.name)
    fan.wait(stays, tenant)
    tenant.wait_values(fan.name, {"v": ONE})
    fan.relabel(tenant, fan=None)
    fan.wait(stays)

    tenant.wait_gone("ExternalSecret", fan.name)
    tenant.wait_gone("Secret", fan.name, timeout_s=COLLECTED_S)
    assert stays.find("ExternalSecret", fan.name) is not None


def test_edited_selection_moves_it(fan: Fan) -> None:
    one, two = fan.namespace("a"), fan.namespace("b", selected=False)
    fan.create()
    fan.wait(one)
    fan.edit(namespaceSelectors=None, namespaces=[two.namespace])

    fan.wait(two)
    one.wait_gone("ExternalSecret", fan.name)


def test_namespace_that_is_ending_is_passed_over(fan: Fan) -> None:
    stays = fan.namespace("stays")
    ending = fan.namespace("ending", finalizers=["example.com/hold"])
    fan.kube.delete(path_of("v1", "namespaces", name=ending.namespace))
    soon(
        lambda: fan.kube.get(path_of("v1", "namespaces", name=ending.namespace))["metadata"][
            "deletionTimestamp"
        ]
    )
    fan.create()

    fan.wait(stays)
    fan.edit(refreshTime="30m")
    fan.wait(stays)


def test_namespace_that_begins_to_end_is_dropped_without_a_failure(fan: Fan) -> None:
    stays, ending = fan.namespace("stays"), fan.namespace("ending", finalizers=["example.com/hold"])
    fan.create()
    before = fan.wait(stays, ending)
    fan.kube.delete(path_of("v1", "namespaces", name=ending.namespace))

    after = fan.wait(stays)
    assert ready_of(after)["lastTransitionTime"] == ready_of(before)["lastTransitionTime"]


# Whose


def test_external_secret_of_somebody_else_is_left_alone_and_told(fan: Fan) -> None:
    free, taken = fan.namespace("a"), fan.namespace("b")
    taken.create(
        external_secret(fan.name, entry("w", "other"), store={"name": fan.name, "kind": "ClusterSecretStore"})
    )
    taken.wait_synced(fan.name)
    version = taken.version("ExternalSecret", fan.name)
    fan.create()
    found = fan.wait(free, failed={taken.namespace: CLASH})

    assert found["status"]["failedNamespaces"] == [{"namespace": taken.namespace, "reason": CLASH}]
    assert ready_of(found)["message"] == (
        f'one or more namespaces failed (1 of 2): namespace "{taken.namespace}": {CLASH}. '
        "Delete it, or set another spec.externalSecretName"
    )
    assert taken.version("ExternalSecret", fan.name) == version
    taken.delete("ExternalSecret", fan.name)
    fan.wait(free, taken)


def test_edit_by_hand_is_put_right_at_once(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create(externalSecretMetadata={"labels": {"team": "x"}})
    fan.wait(tenant)
    tenant.edit_spec(fan.name, refreshInterval="5m")
    fan.wait_corrected(tenant, refreshInterval="1h0m0s")
    tenant.label("ExternalSecret", fan.name, {"team": "z", "mine": "stays"})

    soon(lambda: metadata_of(tenant, fan.name)["labels"] == {"team": "x", "mine": "stays"})


def test_deleted_external_secret_comes_back_at_once(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create()
    fan.wait(tenant)
    uid = metadata_of(tenant, fan.name)["uid"]
    tenant.delete("ExternalSecret", fan.name)

    eventually(lambda: metadata_of(tenant, fan.name)["uid"] != uid)
    tenant.wait_synced(fan.name)


def test_labels_of_others_stay_and_dropped_ones_go(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create(externalSecretMetadata={"labels": {"a": "1", "b": "2"}, "annotations": {"note": "y"}})
    fan.wait(tenant)
    tenant.label("ExternalSecret", fan.name, {"mine": "stays"})
    tenant.annotate("ExternalSecret", fan.name, {"keyferry.io/paused": "true"})
    fan.edit(externalSecretMetadata={"labels": {"b": None}, "annotations": None})

    soon(lambda: metadata_of(tenant, fan.name)["labels"] == {"a": "1", "mine": "stays"})
    assert metadata_of(tenant, fan.name)["annotations"] == {"keyferry.io/paused": "true"}


# What is passed on


def test_changed_spec_reaches_all(fan: Fan) -> None:
    one, two = fan.namespace("a"), fan.namespace("b")
    fan.create()
    fan.wait(one, two)
    fan.edit(externalSecretSpec={"data": [entry("w", "other")]})

    for tenant in (one, two):
        tenant.wait_values(fan.name, {"w": ONE})


def test_force_sync_is_passed_on_and_taken_back(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create()
    fan.wait(tenant)
    fan.annotate(force_sync="1")
    soon(lambda: metadata_of(tenant, fan.name)["annotations"] == {"external-secrets.io/force-sync": "1"})
    tenant.wait_synced(fan.name)
    fan.annotate(force_sync=None, unrelated="x")

    soon(lambda: "annotations" not in metadata_of(tenant, fan.name))


def test_renamed_external_secret_replaces_the_old_one(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create(externalSecretName="old")
    fan.wait(tenant)
    tenant.wait_values("old", {"v": ONE})
    fan.edit(externalSecretName="new")
    found = fan.wait(tenant)

    assert found["status"]["externalSecretName"] == "new"
    tenant.wait_values("new", {"v": ONE})
    tenant.wait_gone("ExternalSecret", "old")


def test_old_name_stays_where_the_new_one_is_taken(fan: Fan) -> None:
    tenant = fan.namespace("a")
    tenant.create(external_secret("new", entry("w", "other"), store="none"))
    fan.create(externalSecretName="old")
    fan.wait(tenant)
    fan.edit(externalSecretName="new")
    fan.wait(failed={tenant.namespace: CLASH})

    assert tenant.find("ExternalSecret", "old") is not None
    tenant.delete("ExternalSecret", "new")
    fan.wait(tenant)
    tenant.wait_gone("ExternalSecret", "old")


# Failures


def test_refusal_of_the_api_server_is_told_by_namespace(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create(externalSecretMetadata={"labels": {"team": "not a label!"}})
    found = fan.wait(failed={tenant.namespace: f'ExternalSecret.external-secrets.io "{fan.name}" is invalid'})

    assert "metadata.labels" in ready_of(found)["message"]
    fan.edit(externalSecretMetadata={"labels": {"team": "x"}})
    fan.wait(tenant)


def test_malformed_selector_is_told_by_its_field_and_nothing_is_deleted(fan: Fan) -> None:
    tenant = fan.namespace("a")
    fan.create()
    fan.wait(tenant)
    fan.edit(namespaceSelectors=[{"matchExpressions": [{"key": "a", "operator": "Is"}]}])

    def is_told() -> bool:
        return ready_of(fan.get())["message"] == (
            "spec.namespaceSelectors[0]: a label selector has the unknown operator 'Is'"
        )

    soon(is_told)
    assert tenant.find("ExternalSecret", fan.name) is not None
    assert fan.get()["status"]["provisionedNamespaces"] == [tenant.namespace]


def test_what_was_done_and_what_failed_is_told_in_events(fan: Fan) -> None:
    one, two = fan.namespace("a"), fan.namespace("b")
    two.create(external_secret(fan.name, entry("w", "other"), store="none"))
    fan.create()
    fan.wait(one, failed={two.namespace: CLASH})

    created = one.wait_event("ClusterExternalSecret", fan.name, "Created")
    failed = one.wait_event("ClusterExternalSecret", fan.name, "UpdateFailed")
    assert created["message"] == f"external secret created in 1 namespace: {one.namespace}"
    assert created["source"] == {"component": "cluster-external-secret"}
    assert failed["message"] == ready_of(fan.get())["message"]


# The end


def test_deletion_ends_all_of_it_without_any_finalizer(fan: Fan) -> None:
    one, two = fan.namespace("a"), fan.namespace("b")
    fan.create()
    fan.wait(one, two)
    for tenant in (one, two):
        tenant.wait_values(fan.name, {"v": ONE})
        assert OURS not in str(
            fan.kube.get(path_of("v1", "namespaces", name=tenant.namespace))["metadata"].get("finalizers")
        )
    assert "finalizers" not in fan.get()["metadata"]
    fan.kube.delete(fan.path)

    assert fan.kube.find(fan.path) is None
    for tenant in (one, two):
        tenant.wait_gone("ExternalSecret", fan.name, timeout_s=COLLECTED_S)
        tenant.wait_gone("Secret", fan.name, timeout_s=COLLECTED_S)


def test_object_that_waits_for_its_dependents_is_not_helped_to_new_ones(fan: Fan) -> None:
    """A deletion in the foreground: the garbage collector takes the ExternalSecrets first."""
    tenant = fan.namespace("a")
    fan.create(metadata={"finalizers": ["example.com/hold"]})
    fan.wait(tenant)
    fan.kube.delete(fan.path)
    tenant.delete("ExternalSecret", fan.name)
    witness = Fan(fan.kube, f"{fan.name}-2", {"db": ONE})
    try:
        witness.create(namespaces=[tenant.namespace])
        witness.wait(tenant)
    finally:
        witness.close()

    assert tenant.find("ExternalSecret", fan.name) is None


# What the reference operator left


def test_finalizer_on_the_object_is_removed_while_it_lives_and_while_it_ends(fan: Fan) -> None:
    finalizer = f"{OURS}/clusterexternalsecret-cleanup"
    tenant = fan.namespace("a")
    fan.create(metadata={"finalizers": ["example.com/hold", finalizer]})
    fan.wait(tenant)
    soon(lambda: fan.get()["metadata"]["finalizers"] == ["example.com/hold"])
    fan.kube.patch(fan.path, {"metadata": {"finalizers": [finalizer]}})
    fan.kube.delete(fan.path)

    soon(lambda: fan.kube.find(fan.path) is None)


def test_finalizers_on_namespaces_are_removed_also_where_they_are_ending(fan: Fan) -> None:
    """Whether or not there is a ClusterExternalSecret of that name; those of others stay."""
    left = [f"{OURS}/ces-{fan.name}", "example.com/hold", f"{OURS}/ces-long-gone"]
    lives = fan.namespace("lives", finalizers=left)
    ends = fan.namespace("ends", finalizers=left[:1])
    fan.kube.delete(path_of("v1", "namespaces", name=ends.namespace))

    def finalizers(tenant: Tenant) -> list[str]:
        return fan.kube.get(path_of("v1", "namespaces", name=tenant.namespace))["metadata"].get(
            "finalizers", []
        )

    soon(lambda: finalizers(lives) == ["example.com/hold"])
    eventually(
        lambda: fan.kube.find(path_of("v1", "namespaces", name=ends.namespace)) is None, timeout_s=COLLECTED_S
    )


# Calm


def test_second_look_writes_nothing(fan: Fan, operator: OperatorProcess) -> None:
    """Also where others have put labels on, and where a namespace fails."""
    tenants = [fan.namespace("a"), fan.namespace("b"), fan.namespace("c")]
    tenants[1].create(external_secret(fan.name, entry("w", "other"), store="none"))
    fan.create(externalSecretMetadata={"labels": {"team": "x"}})
    fan.wait(tenants[0], tenants[2], failed={tenants[1].namespace: CLASH})
    for tenant in (tenants[0], tenants[2]):
        tenant.wait_synced(fan.name)
    tenants[2].label("ExternalSecret", fan.name, {"mine": "stays"})
    tenants[2].wait_synced(fan.name)
    operator.look_again()
    paths = [fan.path]
    for tenant in tenants:
        paths += [tenant.path("ExternalSecret", fan.name), path_of("v1", "namespaces", name=tenant.namespace)]
    before = [fan.kube.get(path)["metadata"]["resourceVersion"] for path in paths]
    operator.look_again()

    assert [fan.kube.get(path)["metadata"]["resourceVersion"] for path in paths] == before


def test_metrics_tell_its_condition_and_the_time_it_took(fan: Fan, operator: OperatorProcess) -> None:
    fan.create()
    fan.wait()
    of = f'{{condition="Ready",name="{fan.name}",namespace="",status="True"}}'

    assert operator.metric(f"clusterexternalsecret_status_condition{of}") == 1
    assert operator.metric(f'clusterexternalsecret_reconcile_duration{{name="{fan.name}",namespace=""}}') > 0
