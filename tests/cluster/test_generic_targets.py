"""Targets that are no Secret: ConfigMaps and objects of other kinds, by the rules that hold for Secrets.

An operator of the module's own, with the flag, and with rights that the shared one has not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import Object, entry, external_secret
from keyferry.testing.builders import store as any_store
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import COLLECTED_S, Tenant, soon

pytestmark = pytest.mark.long

ONE, TWO, THREE = canary("one"), canary("two"), canary("three")
MANAGED: Final = "reconcile.external-secrets.io/managed"
CREATED_BY: Final = "reconcile.external-secrets.io/created-by"
DATA_HASH: Final = "reconcile.external-secrets.io/data-hash"
GROUP: Final = "generic.example.com"
SYNCED: Final = ("True", "ResourceSynced", "resource synced")

CONFIG_MAP: Final = {"apiVersion": "v1", "kind": "ConfigMap"}
WIDGET: Final = {"apiVersion": f"{GROUP}/v1", "kind": "Widget"}
TARGETS: Final = {"configmap": CONFIG_MAP, "widget": WIDGET}
GAUGE: Final = {"apiVersion": f"{GROUP}/v1", "kind": "Gauge"}

RIGHTS: Final = ["get", "list", "watch", "create", "update", "delete"]
ROLE: Final[Object] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "generic-targets"},
    "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": RIGHTS},
        {"apiGroups": [GROUP], "resources": ["widgets", "gauges"], "verbs": RIGHTS},
    ],
}


TEXTS: Final[Object] = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 60}}
MODES: Final[Object] = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in ("v", "w")}
    | {"mode": {"type": "string", "default": "fast"}},
}


def definition(plural: str, kind: str, scope: str, texts: Object) -> Object:
    """A kind with `spec.data`, whose schema is `texts`, and a default beside it."""
    spec = {"type": "object", "properties": {"data": texts, "size": {"type": "integer", "default": 3}}}
    schema = {"type": "object", "properties": {"spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


@pytest.fixture(scope="module")
def kinds(kube: KubeClient) -> Iterator[None]:
    """The kinds Widget and Gauge, of namespaces, and Gadget, of the cluster. A Gauge has a default in its data."""
    path = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    for plural, kind, scope, texts in (
        ("widgets", "Widget", "Namespaced", TEXTS),
        ("gauges", "Gauge", "Namespaced", MODES),
        ("gadgets", "Gadget", "Cluster", TEXTS),
    ):
        kube.post(path, definition(plural, kind, scope, texts))
        eventually(lambda plural=plural: kube.get(path_of(f"{GROUP}/v1", plural)))
    yield
    for plural in ("widgets", "gauges", "gadgets"):
        kube.delete(f"{path}/{plural}.{GROUP}")


@pytest.fixture(scope="module")
def generic_kubeconfig(cluster: LocalCluster, kube: KubeClient, installed: None) -> Path:
    """An operator's identity that may write ConfigMaps and Widgets besides."""
    rbac = "rbac.authorization.k8s.io/v1"
    kube.post(path_of("v1", "serviceaccounts", namespace="keyferry"), {"metadata": {"name": "generic"}})
    kube.post(path_of(rbac, "clusterroles"), ROLE)
    for role in ("keyferry", "generic-targets"):
        binding = {
            "metadata": {"name": f"generic-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "generic", "namespace": "keyferry"}],
        }
        kube.post(path_of(rbac, "clusterrolebindings"), binding)
    return cluster.service_account_kubeconfig("keyferry", "generic")


FLAGS: Final = ("--unsafe-allow-generic-targets", "--controller-class=generic", "--loglevel=debug")


@pytest.fixture(scope="module")
def generic(generic_kubeconfig: Path, kinds: None, leaks: LeakDetector) -> Iterator[OperatorProcess]:
    """The operator with the flag."""
    process = OperatorProcess(generic_kubeconfig, {}, FLAGS)
    with process.start():
        yield process
        leaks.look("metrics of the operator with generic targets", process.metrics())
    leaks.look("log of the operator with generic targets", process.log)
    assert "a bug in Keyferry" not in process.log


def store(values: dict[str, str]) -> Object:
    """A store that is this operator's."""
    return any_store(values, controller="generic")


def app(kind: Object, *entries: Object, name: str = "app", **spec: Any) -> Object:
    """An ExternalSecret with a target of a kind; further fields of the target in `target`."""
    target = {"manifest": kind, **spec.pop("target", {})}
    return external_secret(name, *(entries or (entry("v", "db"),)), target=target, **spec)


class Targets:
    """What becomes of targets of one kind in a namespace."""

    def __init__(self, tenant: Tenant, kind: Object) -> None:
        self.tenant, self.kind, self.kube = tenant, kind, tenant.kube
        self.in_spec = kind["kind"] != "ConfigMap"

    def path(self, name: str = "") -> str:
        plural = f"{self.kind['kind'].lower()}s"
        return path_of(self.kind["apiVersion"], plural, namespace=self.tenant.namespace, name=name)

    def get(self, name: str = "app") -> Object:
        return self.kube.get(self.path(name))

    def find(self, name: str = "app") -> Object | None:
        return self.kube.find(self.path(name))

    def create(self, name: str, data: dict[str, str], **metadata: Any) -> Object:
        made = {**self.kind, "metadata": {"name": name, **metadata}}
        return self.kube.post(
            self.path(), made | ({"spec": {"data": data}} if self.in_spec else {"data": data})
        )

    def edit(self, data: dict[str, str | None] | None, name: str = "app") -> None:
        self.kube.patch(self.path(name), {"spec": {"data": data}} if self.in_spec else {"data": data})

    def values(self, name: str = "app") -> dict[str, str]:
        found = self.get(name)
        held: dict[str, str] = (found["spec"] if self.in_spec else found).get("data") or {}
        return held

    def wait_values(self, expected: dict[str, str], name: str = "app") -> None:
        def is_so() -> bool:
            held = self.values(name)
            wrong = sorted(key for key in held.keys() | expected.keys() if held.get(key) != expected.get(key))
            if wrong:  # not the values: what fails is printed
                raise LookupError(f"the values of {wrong} are not as expected, there are {sorted(held)}")
            return True

        soon(is_so)

    def version(self, name: str = "app") -> str:
        version: str = self.get(name)["metadata"]["resourceVersion"]
        return version


@pytest.fixture(params=TARGETS)
def targets(request: pytest.FixtureRequest, tenant: Tenant, generic: OperatorProcess) -> Targets:
    """The tenant's objects of each kind, one after the other."""
    return Targets(tenant, TARGETS[request.param])


def wait_synced(tenant: Tenant, name: str = "app") -> Object:
    return tenant.wait_told(name, "ResourceSynced")


def wait_failed(tenant: Tenant, holding: str = "", name: str = "app") -> str:
    """The message of the failure."""
    tenant.wait_told(name, "ResourceSyncedError", holding=holding)
    return tenant.told(name)[2]


# -- what is written


def test_values_are_written_as_text_with_the_marks_of_a_target(tenant: Tenant, targets: Targets) -> None:
    made = app(targets.kind, metadata={"labels": {"team": "a"}, "annotations": {"note": "x"}})
    created = tenant.create(store({"db": ONE}), made)
    found = wait_synced(tenant)

    written = targets.get()
    metadata = written["metadata"]
    assert targets.values() == {"v": ONE}
    assert (metadata["labels"]["team"], metadata["labels"][MANAGED]) == ("a", "true")
    assert len(metadata["labels"][CREATED_BY]) == len(metadata["annotations"][DATA_HASH]) == 56
    assert metadata["annotations"]["note"] == "x"
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == [created["metadata"]["uid"]]
    assert {one["manager"] for one in metadata["managedFields"]} == {
        "externalsecrets.external-secrets.io/app"
    }
    assert written.get("spec", {}).get("size") == (3 if targets.in_spec else None)
    assert tenant.told("app") == SYNCED
    assert not (found["status"].get("binding") or {}).get("name"), "a binding is a Secret's"
    assert tenant.find("Secret", "app") is None
    tenant.wait_event("ExternalSecret", "app", "Created", "resource created")


def test_refresh_that_finds_nothing_new_writes_nothing(
    tenant: Tenant, targets: Targets, generic: OperatorProcess
) -> None:
    """Neither do defaults that the API server puts beside the values make it write again."""
    policies = ("owner", "orphan", "merge", "create-or-merge", "none")
    tenant.create(store({"db": ONE}))
    targets.create("merge", {"theirs": TWO})
    for name in policies:
        policy = "CreateOrMerge" if name == "create-or-merge" else name.capitalize()
        target = {"creationPolicy": policy}
        tenant.create(app(targets.kind, name=name, target=target, refreshInterval="300ms"))
    for name in policies:
        wait_synced(tenant, name)

    def versions() -> list[str]:
        objects = [tenant.get("ExternalSecret", name) for name in policies]
        objects += [targets.get(name) for name in policies if name != "none"]
        return [one["metadata"]["resourceVersion"] for one in objects]

    before = versions()
    for name in policies:
        tenant.wait_refreshes(generic, name, tenant.sync_calls(generic, name) + 3)

    assert versions() == before
    assert targets.find("none") is None


@pytest.mark.parametrize("policy", ["Owner", "CreateOrMerge"])
def test_default_among_the_values_is_no_reason_to_write_again(
    tenant: Tenant, generic: OperatorProcess, kinds: None, policy: str
) -> None:
    """The API server puts it back whenever it is left out. Changed values still arrive."""
    targets = Targets(tenant, GAUGE)
    target = {"creationPolicy": policy}
    tenant.create(store({"db": ONE}), app(GAUGE, target=target, refreshInterval="300ms"))
    wait_synced(tenant)
    before = targets.version()
    tenant.wait_refreshes(generic, "app", tenant.sync_calls(generic, "app") + 3)

    assert targets.version() == before
    assert (
        f"resource updated: its data changed kind=ExternalSecret namespace={tenant.namespace}"
        not in generic.log
    )
    tenant.set_store(store({"db": TWO}))
    targets.wait_values({"v": TWO, "mode": "fast"})
    targets.edit({"v": THREE})
    targets.wait_values({"v": TWO, "mode": "fast"})


def test_changed_value_arrives(tenant: Tenant, targets: Targets) -> None:
    tenant.create(store({"db": ONE}), app(targets.kind, refreshInterval="300ms"))
    wait_synced(tenant)
    tenant.set_store(store({"db": TWO}))

    targets.wait_values({"v": TWO})
    tenant.wait_event("ExternalSecret", "app", "Updated", "resource updated")


def test_restart_writes_nothing_and_asks_no_store(
    tenant: Tenant, namespace: str, generic_kubeconfig: Path, kinds: None
) -> None:
    flags = [*FLAGS[:1], "--controller-class=private", "--loglevel=debug", f"--namespace={namespace}"]
    tenant.create(any_store({"db": ONE}, controller="private"))
    for name, kind in TARGETS.items():
        tenant.create(app(kind, name=name))
    with OperatorProcess(generic_kubeconfig, {}, flags).start():
        for name in TARGETS:
            wait_synced(tenant, name)
    before = [Targets(tenant, kind).version(name) for name, kind in TARGETS.items()]
    with OperatorProcess(generic_kubeconfig, {}, flags).start() as second:
        for name in TARGETS:
            tenant.wait_looks(second, name)

        assert [tenant.sync_calls(second, name) for name in TARGETS] == [0, 0]
    assert [Targets(tenant, kind).version(name) for name, kind in TARGETS.items()] == before


# -- creationPolicy


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("Owner", {"v": ONE}),
        ("Orphan", {"v": ONE}),
        ("Merge", {"v": ONE, "theirs": THREE}),
        ("CreateOrMerge", {"v": ONE, "theirs": THREE}),
        ("None", {"v": TWO, "theirs": THREE}),
    ],
)
def test_existing_object_is_treated_by_creation_policy(
    tenant: Tenant, targets: Targets, policy: str, expected: dict[str, str]
) -> None:
    targets.create("app", {"v": TWO, "theirs": THREE}, labels={"theirs": "x"})
    tenant.create(store({"db": ONE}), app(targets.kind, target={"creationPolicy": policy}))
    wait_synced(tenant)

    assert targets.values() == expected
    metadata = targets.get()["metadata"]
    assert metadata["labels"]["theirs"] == "x"
    assert (CREATED_BY in metadata["labels"]) is (policy == "Owner")
    assert ("ownerReferences" in metadata) is (policy == "Owner")
    assert (MANAGED in metadata["labels"]) is (policy != "None")


def test_merge_waits_for_an_object_and_fills_it_at_the_next_refresh(tenant: Tenant, targets: Targets) -> None:
    made = app(targets.kind, target={"creationPolicy": "Merge"}, refreshInterval="300ms")
    tenant.create(store({"db": ONE}), made)
    tenant.wait_told(
        "app", "ResourceMissing", holding="resource will not be created due to CreationPolicy=Merge"
    )
    assert targets.find() is None
    targets.create("app", {"theirs": THREE})

    targets.wait_values({"v": ONE, "theirs": THREE})
    wait_synced(tenant)


@pytest.mark.parametrize(("policy", "stays"), [("Owner", False), ("Orphan", True), ("CreateOrMerge", True)])
def test_object_goes_with_its_external_secret_if_that_owns_it(
    tenant: Tenant, targets: Targets, policy: str, stays: bool
) -> None:
    tenant.create(store({"db": ONE}), app(targets.kind, target={"creationPolicy": policy}))
    tenant.create(app(targets.kind, name="witness"))
    for name in ("app", "witness"):
        wait_synced(tenant, name)
    tenant.delete("ExternalSecret", "app")
    tenant.delete("ExternalSecret", "witness")
    soon(lambda: targets.find("witness") is None, COLLECTED_S)

    if not stays:
        soon(lambda: targets.find() is None, COLLECTED_S)
    assert (targets.find() is not None) is stays


def test_object_of_another_external_secret_is_refused(tenant: Tenant, targets: Targets) -> None:
    tenant.create(store({"db": ONE, "other": TWO}), app(targets.kind))
    wait_synced(tenant)
    tenant.create(app(targets.kind, entry("v", "other"), name="late", target={"name": "app"}))
    message = wait_failed(tenant, "target is owned by another ExternalSecret", "late")

    assert f"{targets.kind['kind']} \"{tenant.namespace}/app\" is owned by ExternalSecret 'app'" in message
    assert targets.values() == {"v": ONE}


# -- drift

EDITS: Final[dict[str, Callable[[Targets], object]]] = {
    "value-changed": lambda targets: targets.edit({"v": TWO}),
    "key-removed": lambda targets: targets.edit({"w": None}),
    "all-data-removed": lambda targets: targets.edit(None),
    "deleted": lambda targets: targets.kube.delete(targets.path("app")),
    "value-and-label": lambda targets: (
        targets.kube.patch(targets.path("app"), {"metadata": {"labels": {MANAGED: None}}}),
        targets.edit({"v": TWO}),
    ),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("policy", ["Owner", "CreateOrMerge"])
def test_edit_of_the_data_is_repaired_at_once(
    tenant: Tenant, targets: Targets, policy: str, edit: str
) -> None:
    """The refresh interval is an hour."""
    both = (entry("v", "db"), entry("w", "db"))
    tenant.create(store({"db": ONE}), app(targets.kind, *both, target={"creationPolicy": policy}))
    wait_synced(tenant)
    EDITS[edit](targets)

    targets.wait_values({"v": ONE, "w": ONE})
    soon(lambda: targets.get()["metadata"]["labels"][MANAGED] == "true")
    assert tenant.told("app") == SYNCED


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"labels": {MANAGED: None}}, id="managed label removed"),
        pytest.param({"labels": {CREATED_BY: "x"}}, id="created-by label changed"),
        pytest.param({"labels": {"team": "b"}}, id="copied label changed"),
        pytest.param({"annotations": {DATA_HASH: "0" * 56}}, id="hash changed"),
        pytest.param({"ownerReferences": None}, id="owner reference removed"),
    ],
)
def test_edit_of_labels_annotations_or_owner_is_repaired_without_asking_the_store(
    tenant: Tenant, targets: Targets, generic: OperatorProcess, edit: Object
) -> None:
    tenant.create(store({"db": ONE}), app(targets.kind, metadata={"labels": {"team": "a"}}))
    wait_synced(tenant)
    before = {name: targets.get()["metadata"][name] for name in ("labels", "annotations", "ownerReferences")}
    tenant.set_store(store({"db": TWO}))
    calls = tenant.sync_calls(generic, "app")
    targets.kube.patch(targets.path("app"), {"metadata": edit})

    soon(lambda: {name: targets.get()["metadata"].get(name) for name in before} == before)
    assert targets.values() == {"v": ONE}
    assert tenant.sync_calls(generic, "app") == calls


def test_field_beside_the_data_is_kept_and_no_reason_to_ask_the_store(
    tenant: Tenant, generic: OperatorProcess
) -> None:
    widgets = Targets(tenant, WIDGET)
    tenant.create(store({"db": ONE}), app(WIDGET))
    wait_synced(tenant)
    before = widgets.get()["metadata"]["annotations"][DATA_HASH]
    calls = tenant.sync_calls(generic, "app")
    widgets.kube.patch(widgets.path("app"), {"spec": {"size": 5}})
    soon(lambda: widgets.get()["metadata"]["annotations"][DATA_HASH] != before)

    assert widgets.get()["spec"] == {"data": {"v": ONE}, "size": 5}
    assert tenant.sync_calls(generic, "app") == calls


# -- pruning, renaming


def test_key_that_the_spec_no_longer_has_is_pruned_and_others_keys_stay(
    tenant: Tenant, targets: Targets
) -> None:
    policy = {"creationPolicy": "CreateOrMerge"}
    targets.create("app", {"theirs": THREE})
    both = (entry("v", "db"), entry("w", "db"))
    made = app(targets.kind, *both, target=policy, metadata={"labels": {"team": "a"}})
    tenant.create(store({"db": ONE}), made)
    wait_synced(tenant)
    assert targets.values() == {"theirs": THREE, "v": ONE, "w": ONE}
    tenant.label("ExternalSecret", "app", {"team": None})
    tenant.edit_spec("app", data=[entry("v", "db")])

    targets.wait_values({"theirs": THREE, "v": ONE})
    soon(lambda: "team" not in targets.get()["metadata"]["labels"])


def test_renamed_target_takes_the_old_object_away_and_no_other(tenant: Tenant, targets: Targets) -> None:
    tenant.create(store({"db": ONE}), app(targets.kind))
    wait_synced(tenant)
    copied = {name: targets.get()["metadata"]["labels"][name] for name in (CREATED_BY, MANAGED)}
    targets.create("theirs", {"v": THREE}, labels=copied)
    tenant.edit_spec("app", target={"name": "renamed"})

    targets.wait_values({"v": ONE}, "renamed")
    soon(lambda: targets.find() is None)
    assert targets.values("theirs") == {"v": THREE}
    tenant.wait_event("ExternalSecret", "app", "Deleted", "resource deleted because it was orphaned")


def test_secret_goes_when_the_target_becomes_another_kind(tenant: Tenant, targets: Targets) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"manifest": targets.kind})
    targets.wait_values({"v": ONE})
    wait_synced(tenant)

    soon(lambda: tenant.find("Secret", "app") is None)
    assert not (tenant.get("ExternalSecret", "app")["status"].get("binding") or {}).get("name")
    tenant.edit_spec("app", target={"manifest": None})
    tenant.wait_values("app", {"v": ONE})
    tenant.wait_synced("app")


# -- deletionPolicy


def test_object_is_deleted_when_the_store_has_nothing_left(tenant: Tenant, targets: Targets) -> None:
    made = app(targets.kind, target={"deletionPolicy": "Delete"}, refreshInterval="300ms")
    tenant.create(store({"db": ONE}), made)
    wait_synced(tenant)
    tenant.set_store(store({}))
    tenant.wait_told("app", "ResourceDeleted", holding="resource deleted due to DeletionPolicy=Delete")
    soon(lambda: targets.find() is None)
    tenant.set_store(store({"db": TWO}))

    targets.wait_values({"v": TWO})
    wait_synced(tenant)


def test_keys_go_or_stay_by_deletion_policy(tenant: Tenant, targets: Targets) -> None:
    both = (entry("v", "db"), entry("w", "other"))
    tenant.create(store({"db": ONE, "other": TWO}))
    for name, policy in (("merge", "Merge"), ("retain", "Retain")):
        target = {"deletionPolicy": policy}
        tenant.create(app(targets.kind, *both, name=name, target=target, refreshInterval="300ms"))
        wait_synced(tenant, name)
    tenant.set_store(store({"db": ONE}))

    targets.wait_values({"v": ONE}, "merge")
    wait_failed(tenant, "could not get secret data from provider", "retain")
    assert targets.values("retain") == {"v": ONE, "w": TWO}


# -- what is refused


def test_flag_is_needed_and_named(tenant: Tenant, operator: OperatorProcess, kinds: None) -> None:
    tenant.create(any_store({"db": ONE}, controller="default"), app(CONFIG_MAP))
    message = wait_failed(tenant, "--unsafe-allow-generic-targets")

    assert "get, list, watch, create, update and delete" in message
    assert tenant.find("ConfigMap", "app") is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        pytest.param(
            {"apiVersion": f"{GROUP}/v1", "kind": "Gadget"},
            "objects of kind Gadget belong to no namespace",
            id="a kind of the cluster",
        ),
        pytest.param(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"},
            "objects of kind ClusterRole belong to no namespace",
            id="a cluster role",
        ),
        pytest.param(
            {"apiVersion": "external-secrets.io/v1", "kind": "SecretStore"},
            "objects of group external-secrets.io are not written",
            id="a kind of our own",
        ),
        pytest.param(
            {"apiVersion": f"{GROUP}/v1", "kind": "Gizmo"},
            f'the cluster has no kind "Gizmo" in "{GROUP}/v1"',
            id="a kind that there is not",
        ),
        pytest.param(
            {"apiVersion": "nowhere.example.com/v7", "kind": "Widget"},
            'the cluster has no kind "Widget" in "nowhere.example.com/v7"',
            id="a group that there is not",
        ),
        pytest.param(
            {"apiVersion": "../v1", "kind": "ConfigMap"}, "apiVersion is no API version", id="no version"
        ),
        pytest.param({"apiVersion": "v1", "kind": "config/maps"}, "kind is no kind", id="no kind"),
    ],
)
def test_kind_that_cannot_be_a_target_is_told(
    tenant: Tenant, generic: OperatorProcess, kind: Object, told: str
) -> None:
    tenant.create(store({"db": ONE}), app(kind))

    message = wait_failed(tenant, told)
    assert "spec.target.manifest" in message
    assert tenant.sync_calls(generic, "app") == 0


def test_rights_that_are_missing_are_named(tenant: Tenant, generic: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), app({"apiVersion": "v1", "kind": "LimitRange"}))

    message = wait_failed(tenant, 'cannot get resource "limitranges"')
    assert "Let the operator get, list, watch, create, update and delete limitranges" in message


def test_value_that_the_kind_refuses_is_not_quoted(tenant: Tenant, generic: OperatorProcess) -> None:
    """The API server's own message quotes it."""
    long = canary("long") + "x" * 60
    tenant.create(store({"db": long}), app(WIDGET))
    message = wait_failed(tenant, "the API server finds it invalid")

    assert "named are the keys v" in message
    assert canary("long") not in message
    tenant.set_store(store({"db": ONE}))
    tenant.annotate("ExternalSecret", "app", {"force-sync": "1"})
    wait_synced(tenant)


def test_config_map_can_be_immutable_and_other_kinds_cannot(tenant: Tenant, generic: OperatorProcess) -> None:
    widgets = Targets(tenant, WIDGET)
    tenant.create(store({"db": ONE}), app(CONFIG_MAP, target={"immutable": True}))
    wait_synced(tenant)
    assert tenant.get("ConfigMap", "app")["immutable"] is True
    tenant.create(app(WIDGET, name="other", target={"immutable": True}))

    wait_failed(tenant, "spec.target.immutable: only Secrets and ConfigMaps can be immutable", "other")
    assert widgets.find("other") is None


def test_value_that_is_no_text_is_refused(tenant: Tenant, targets: Targets) -> None:
    raw = base64.b64encode(b"\xff\xfe").decode()
    tenant.create(store({"raw": raw}), app(targets.kind, entry("v", "raw", decodingStrategy="Base64")))
    message = wait_failed(tenant, "is not UTF-8")

    assert f"the value for 'v' is not UTF-8, and a {targets.kind['kind']} holds text only" in message
    assert targets.find() is None


def test_secret_by_manifest_is_an_ordinary_target(tenant: Tenant, operator: OperatorProcess) -> None:
    """No flag is needed, and the reasons are those of Secrets."""
    tenant.create(any_store({"db": ONE}, controller="default"), app({"apiVersion": "v1", "kind": "Secret"}))

    found = tenant.wait_synced("app")
    assert found["status"]["binding"]["name"] == "app"
    assert tenant.values("app") == {"v": ONE}


def test_metadata_of_targets_holds_no_values(tenant: Tenant, targets: Targets, leaks: LeakDetector) -> None:
    tenant.create(store({"db": ONE}), app(targets.kind))
    wait_synced(tenant)
    metadata = targets.get()["metadata"]
    leaks.look(f"metadata of a {targets.kind['kind']}", metadata)

    assert ONE not in str(metadata)
