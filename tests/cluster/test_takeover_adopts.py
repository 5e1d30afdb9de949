"""What the reference operator left that is not right, or not ours: adopted, let go of, or left alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyferry.api import names
from keyferry.errors import KubeError
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import Object, encoded, entry, external_secret, secret, store
from keyferry.testing.kubeclient import path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.reference import Reference, field_manager
from keyferry.testing.referencerelease import webhooks
from keyferry.testing.tenant import Tenant, soon

VALUE, OLD, FOREIGN = canary("adopted"), canary("adopted old"), canary("adopted foreign")
DATA = {"v": VALUE}
HOLD = "example.com/hold"
LONG = "an-external-secret-with-a-name-that-is-long"
StartOperator = Callable[..., OperatorProcess]


@pytest.fixture
def reference(tenant: Tenant) -> Reference:
    """The reference operator, which has validated a store that will be ours."""
    made = Reference(tenant)
    made.store(store({"db": VALUE}, controller="private"))
    return made


def app(name: str = "app", /, target: dict[str, Any] | None = None, **fields: Any) -> Object:
    return external_secret(name, entry("v", "db"), target=target, **fields)


def annotated(name: str) -> dict[str, Any]:
    """What kubectl apply and Helm put on an object, and what is copied to its Secret: no two are the same."""
    return {
        "labels": {"app.kubernetes.io/name": name},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": name},
    }


def test_two_that_merge_into_one_secret_do_not_write_it_in_turns(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    """Both copy their labels to it. Whose stand there is no reason to write, before a refresh is due."""
    tenant.create(secret("shared", {"foreign": FOREIGN}))
    target = {"name": "shared", "creationPolicy": "Merge"}
    for name in ("first", "second"):
        manifest = external_secret(name, entry(name, "db"), target=target, metadata=annotated(name))
        reference.sync(manifest, {name: VALUE})
    before = tenant.get("Secret", "shared")
    operator = private_operator()
    for name in ("first", "second"):
        soon(lambda name=name: not finalizers(tenant, name))
        tenant.wait_looks(operator, name)

    assert tenant.get("Secret", "shared") == before
    for name in ("first", "second"):
        assert tenant.sync_calls(operator, name) == 0
        assert reference.verdict(name).rests


def finalizers(tenant: Tenant, name: str) -> list[str]:
    found: list[str] = tenant.get("ExternalSecret", name)["metadata"].get("finalizers", [])
    return found


# -- what is not right


def edit_data(tenant: Tenant, name: str) -> None:
    tenant.set_data("app", {"v": FOREIGN})


def add_key(tenant: Tenant, name: str) -> None:
    tenant.edit("Secret", "app", {"data": encoded({"w": FOREIGN})})


def delete_secret(tenant: Tenant, name: str) -> None:
    tenant.delete("Secret", "app")


def remove_managed_label(tenant: Tenant, name: str) -> None:
    tenant.label("Secret", "app", {names.LABEL_MANAGED: None})


def change_copied_label(tenant: Tenant, name: str) -> None:
    tenant.label("Secret", "app", {"team": "b"})


def remove_owner(tenant: Tenant, name: str) -> None:
    tenant.edit("Secret", "app", {"metadata": {"ownerReferences": None}})


def remove_hash(tenant: Tenant, name: str) -> None:
    tenant.annotate("Secret", "app", {names.ANNOTATION_DATA_HASH: None})


def edit_spec(tenant: Tenant, name: str) -> None:
    tenant.edit_spec(name, data=[entry("w", "db")])


def label_object(tenant: Tenant, name: str) -> None:
    tenant.label("ExternalSecret", name, {"team": "c"})


@pytest.mark.parametrize(
    ("happened", "written", "asked"),
    [
        pytest.param(edit_data, {"v": VALUE}, True, id="data-was-edited"),
        pytest.param(add_key, {"v": VALUE}, True, id="a-key-was-added"),
        pytest.param(delete_secret, {"v": VALUE}, True, id="the-secret-was-deleted"),
        pytest.param(remove_hash, {"v": VALUE}, True, id="the-hash-was-removed"),
        pytest.param(remove_managed_label, {"v": OLD}, False, id="the-managed-label-was-removed"),
        pytest.param(change_copied_label, {"v": OLD}, False, id="a-copied-label-was-changed"),
        pytest.param(remove_owner, {"v": OLD}, False, id="the-owner-was-removed"),
        pytest.param(edit_spec, {"w": VALUE}, True, id="the-spec-was-edited"),
        pytest.param(label_object, {"v": VALUE}, True, id="the-object-was-labelled"),
    ],
)
@pytest.mark.parametrize("called", [pytest.param("app", id="plain-name"), pytest.param(LONG, id="long-name")])
def test_what_is_not_right_is_adopted(
    tenant: Tenant,
    private_operator: StartOperator,
    reference: Reference,
    *,
    happened: Callable[[Tenant, str], None],
    written: dict[str, str],
    asked: bool,
    called: str,
) -> None:
    """The store holds another value by now: only what has to be read is read."""
    manifest = app(called, target={"name": "app"}, metadata={"labels": {"team": "a"}})
    reference.sync(manifest, {"v": OLD})
    happened(tenant, called)
    operator = private_operator()
    soon(lambda: reference.verdict(called).rests and tenant.values("app") == written)
    soon(lambda: "kind=ExternalSecret" in operator.log and not finalizers(tenant, called))
    soon(lambda: (tenant.sync_calls(operator, called) > 0) is asked)

    made = tenant.get("Secret", "app")
    wanted = tenant.get("ExternalSecret", called)["metadata"]
    assert made["metadata"]["ownerReferences"][0]["uid"] == wanted["uid"]
    assert made["metadata"]["labels"]["team"] == wanted["labels"]["team"]
    writers = {one["manager"] for one in made["metadata"]["managedFields"]}
    assert field_manager(called) in writers
    assert not [one for one in writers if one.startswith("keyferry")]


@pytest.mark.parametrize("value", [pytest.param(OLD, id="other"), pytest.param(VALUE, id="same")])
def test_refresh_that_became_due_writes_only_what_is_new(
    tenant: Tenant, private_operator: StartOperator, reference: Reference, value: str
) -> None:
    reference.sync(app(refreshInterval="20s"), {"v": value}, age=timedelta(minutes=5))
    before = tenant.version("Secret", "app")
    operator = private_operator()
    soon(lambda: tenant.sync_calls(operator, "app") > 0 and reference.verdict("app").rests)

    assert tenant.values("app") == DATA
    assert (tenant.version("Secret", "app") == before) is (value == VALUE)


def test_failure_that_the_reference_left_is_mended(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    reference.fail(app())
    private_operator()
    tenant.wait_synced("app")

    assert tenant.values("app") == DATA
    assert reference.verdict("app").rests


def test_condition_of_a_failure_gets_its_cause(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    reference.fail(external_secret("app", entry("v", "nothing")))
    private_operator()

    told = tenant.wait_failed("app", holding="could not get secret data from provider: ")
    assert "nothing" in told["status"]["conditions"][0]["message"]


# -- what is being deleted


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        pytest.param({}, False, id="owner"),
        pytest.param({"deletionPolicy": "Delete"}, False, id="owner-with-deletion-policy-delete"),
        pytest.param({"creationPolicy": "Orphan"}, True, id="orphan"),
        pytest.param({"creationPolicy": "CreateOrMerge"}, True, id="create-or-merge"),
    ],
)
def test_deletion_that_nobody_served_ends(
    tenant: Tenant,
    private_operator: StartOperator,
    reference: Reference,
    target: dict[str, Any],
    kept: bool,
) -> None:
    reference.sync(app(target=target), DATA)
    tenant.delete("ExternalSecret", "app")
    held = finalizers(tenant, "app")
    private_operator()
    tenant.wait_gone("ExternalSecret", "app")

    assert held == [names.FINALIZER_EXTERNAL_SECRET]
    if kept:
        assert tenant.values("app") == DATA
    else:
        tenant.wait_gone("Secret", "app")


def test_deletion_waits_for_the_finalizers_of_others(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    reference.sync(app(metadata={"finalizers": [HOLD]}), DATA)
    tenant.delete("ExternalSecret", "app")
    private_operator()
    soon(lambda: finalizers(tenant, "app") == [HOLD])
    tenant.edit("ExternalSecret", "app", {"metadata": {"finalizers": None}})

    tenant.wait_gone("ExternalSecret", "app")


@pytest.mark.restless
@pytest.mark.usefixtures("nobody_else")
def test_namespace_whose_deletion_hangs_ends(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    """Its stores go first, and then the object is of no class."""
    reference.sync(app(), DATA)
    tenant.kube.delete(path_of("v1", "namespaces", name=tenant.namespace))
    soon(lambda: "deletionTimestamp" in tenant.get("ExternalSecret", "app")["metadata"])
    private_operator()

    tenant.wait_gone("ExternalSecret", "app")


# -- its webhooks


def test_webhooks_that_nobody_answers_hold_finalizers_alone(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    """Secrets and statuses are written all the same, and the log says what is in the way."""
    reference.sync(app(), DATA)
    tenant.set_data("app", {"v": FOREIGN})
    path = path_of("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")
    here = {"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}}
    made = next(one for one in webhooks() if one["metadata"]["name"] == "externalsecret-validate")
    made["metadata"]["name"] = tenant.namespace
    for one in made["webhooks"]:
        one["namespaceSelector"] = here
    tenant.kube.post(path, made)
    try:
        soon(lambda: refused(tenant))
        operator = private_operator()
        tenant.wait_values("app", DATA)
        soon(lambda: "the reference operator's finalizer stays for now: " in operator.log)
        held = finalizers(tenant, "app")
    finally:
        tenant.kube.delete(f"{path}/{tenant.namespace}")
    soon(lambda: not refused(tenant))
    operator.look_again()

    assert held == [names.FINALIZER_EXTERNAL_SECRET]
    soon(lambda: not finalizers(tenant, "app"))


def refused(tenant: Tenant) -> bool:
    """Whether changes are refused."""
    path = tenant.path("ExternalSecret", "app")
    try:
        tenant.kube.patch(path, {"metadata": {"labels": {"team": "a"}}}, dryRun="All")
    except KubeError:
        return True
    return False


# -- both alive


def test_objects_of_the_other_class_are_not_touched(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    reference.store(store({"db": VALUE}, name="theirs", controller="theirs"))
    reference.sync(app("right", store="theirs"), DATA)
    reference.sync(app("drifted", store="theirs"), DATA)
    reference.sync(app("deleted", store="theirs"), DATA)
    reference.sync(app("ours"), DATA)
    tenant.set_data("drifted", {"v": FOREIGN})
    tenant.delete("ExternalSecret", "deleted")
    there = [
        ("SecretStore", "theirs"),
        *((kind, name) for kind in ("ExternalSecret", "Secret") for name in ("right", "drifted", "deleted")),
    ]
    before = [tenant.get(*one) for one in there]
    operator = private_operator()
    for name in ("right", "drifted"):
        tenant.wait_looks(operator, name)
    soon(lambda: not finalizers(tenant, "ours"))
    operator.look_again()

    assert [tenant.get(*one) for one in there] == before


def test_object_goes_from_one_class_to_the_other_and_back(
    tenant: Tenant, private_operator: StartOperator, reference: Reference
) -> None:
    """As stores are moved one by one; what the reference puts on again stays while the object is its own."""
    reference.store(store({"db": VALUE}, name="moved", controller="theirs"))
    reference.sync(app(store="moved"), DATA)
    secret_before = tenant.get("Secret", "app")
    operator = private_operator()
    tenant.wait_looks(operator, "app")
    tenant.edit_spec("moved", kind="SecretStore", controller="private")
    soon(lambda: not finalizers(tenant, "app"))
    tenant.edit_spec("moved", kind="SecretStore", controller="theirs")
    looks = tenant.looks(operator, "app")
    reference.put_back_finalizer("app")
    operator.look_again()
    tenant.wait_looks(operator, "app", more_than=looks)

    assert finalizers(tenant, "app") == [names.FINALIZER_EXTERNAL_SECRET]
    assert tenant.get("Secret", "app") == secret_before
    assert reference.verdict("app").rests


def test_finalizer_that_is_put_back_at_once_is_not_fought_over(
    tenant: Tenant,
    private_operator: StartOperator,
    reference: Reference,
    proxied_kubeconfig: Path,
    api_proxy: ApiProxy,
) -> None:
    """Where a store names no class, both serve it: each would undo what the other did, for ever."""
    reference.sync(app(), DATA)
    private_operator(kubeconfig=proxied_kubeconfig)
    soon(lambda: not finalizers(tenant, "app"))
    reference.put_back_finalizer("app")
    tenant.create(app("witness"))
    tenant.wait_synced("witness")
    held = finalizers(tenant, "app")
    tenant.delete("ExternalSecret", "app")
    tenant.wait_gone("ExternalSecret", "app")

    assert held == [names.FINALIZER_EXTERNAL_SECRET]
    assert api_proxy.count(verb="patch", resource="externalsecrets", name="app") == 2
