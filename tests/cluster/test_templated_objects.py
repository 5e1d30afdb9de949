"""Templates for targets that are no Secret: data, places in the object, and what lies beside them.

An operator of the module's own, with the flag, and with the rights that it needs for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import Object, config_map, entry, external_secret
from keyferry.testing.builders import store as any_store
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, soon

ONE, TWO = canary("one"), canary("two")
GROUP: Final = "templated.example.com"
BOARD: Final = {"apiVersion": f"{GROUP}/v1", "kind": "Board"}
CONFIG_MAP: Final = {"apiVersion": "v1", "kind": "ConfigMap"}
RIGHTS: Final = ["get", "list", "watch", "create", "update", "delete"]
OPEN: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SPEC: Final = {**OPEN, "properties": {"size": {"type": "integer", "default": 3}, "title": {"type": "string"}}}
DEFINITION: Final[Object] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"boards.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "boards", "singular": "board", "kind": "Board", "listKind": "BoardList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {**OPEN, "properties": {"spec": SPEC}}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def board(kube: KubeClient) -> Iterator[None]:
    """The kind Board, whose spec takes anything and has a default."""
    path = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    kube.post(path, DEFINITION)
    eventually(lambda: kube.get(path_of(f"{GROUP}/v1", "boards")))
    yield
    kube.delete(f"{path}/boards.{GROUP}")


@pytest.fixture(scope="module")
def operator_with_boards(
    cluster: LocalCluster, kube: KubeClient, installed: None, board: None, leaks: LeakDetector
) -> Iterator[OperatorProcess]:
    """The operator with the flag, and an identity that may write Boards and ConfigMaps besides."""
    rbac, subject = "rbac.authorization.k8s.io", {"kind": "ServiceAccount", "name": "boards"}
    kube.post(path_of("v1", "serviceaccounts", namespace="keyferry"), {"metadata": {"name": "boards"}})
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": RIGHTS},
        {"apiGroups": [GROUP], "resources": ["boards"], "verbs": RIGHTS},
    ]
    kube.post(path_of(f"{rbac}/v1", "clusterroles"), {"metadata": {"name": "boards"}, "rules": rules})
    for role in ("keyferry", "boards"):
        binding = {
            "metadata": {"name": f"boards-{role}"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
            "subjects": [{**subject, "namespace": "keyferry"}],
        }
        kube.post(path_of(f"{rbac}/v1", "clusterrolebindings"), binding)
    flags = ("--unsafe-allow-generic-targets", "--controller-class=boards", "--loglevel=debug")
    kubeconfig: Path = cluster.service_account_kubeconfig("keyferry", "boards")
    process = OperatorProcess(kubeconfig, {}, flags)
    with process.start():
        yield process
    leaks.look("log of the operator with boards", process.log)
    assert "a bug in Keyferry" not in process.log


def store(values: dict[str, str]) -> Object:
    return any_store(values, controller="boards")


def app(
    *from_: Object, kind: Object = BOARD, target: dict[str, Any] | None = None, **template: Any
) -> Object:
    """An ExternalSecret with the values `v` and `user`, and a target of a kind."""
    made = {**template, "templateFrom": list(from_)} if from_ else template
    fields = {"manifest": kind, "template": made, **(target or {})}
    return external_secret(
        "app", entry("v", "db"), entry("user", "user"), target=fields, refreshInterval="1s"
    )


@pytest.fixture
def made(tenant: Tenant, operator_with_boards: OperatorProcess) -> Callable[..., Object]:
    """The object that an ExternalSecret makes, when it is synced."""

    def sync(wanted: Object) -> Object:
        kind = wanted["spec"]["target"]["manifest"]["kind"]
        tenant.create(store({"db": ONE, "user": "shop"}), wanted)
        tenant.wait_told("app", "ResourceSynced")
        return tenant.kube.get(path_to(tenant, kind))

    return sync


def path_to(tenant: Tenant, kind: str = "Board", name: str = "app") -> str:
    version, plural = ("v1", "configmaps") if kind == "ConfigMap" else (f"{GROUP}/v1", "boards")
    return path_of(version, plural, namespace=tenant.namespace, name=name)


def test_places_get_what_the_templates_make(made: Callable[..., Object]) -> None:
    found = made(
        app(
            {"literal": "title: of {{ .user }}\nsize: 7", "target": "Spec"},
            {"literal": "host: {{ .user }}\nports: [80, 443]", "target": "spec.db.mainServer"},
            {"literal": "{{ .v }}", "target": "spec.rules[1].allow[0]"},
            {"literal": "tier: {{ .user }}-db", "target": "Labels"},
            metadata={"annotations": {"note": "{{ .user }}"}},
            data={"config": "user={{ .user }}"},
        )
    )

    assert found["spec"] == {
        "title": "of shop",
        "size": 7,
        "db": {"mainServer": {"host": "shop", "ports": [80, 443]}},
        "rules": [None, {"allow": [ONE]}],
    }
    assert found["data"] == {"config": "user=shop"}
    assert found["metadata"]["labels"]["tier"] == "shop-db"
    assert found["metadata"]["annotations"]["note"] == "shop"


def test_config_map_has_the_data_that_the_templates_make(made: Callable[..., Object]) -> None:
    found = made(app(kind=CONFIG_MAP, data={"url": "x://{{ .user }}"}))

    assert found["data"] == {"url": "x://shop"}


def test_refresh_that_makes_the_same_writes_nothing(
    tenant: Tenant, made: Callable[..., Object], operator_with_boards: OperatorProcess
) -> None:
    """Nor do defaults beside the places make it write again, nor what others have added there."""
    found = made(app({"literal": "title: {{ .user }}", "target": "spec"}))
    assert found["spec"] == {"title": "shop", "size": 3}
    tenant.kube.patch(path_to(tenant), {"spec": {"theirs": "x"}})
    tenant.wait_refreshes(operator_with_boards, "app", tenant.sync_calls(operator_with_boards, "app") + 2)
    version = tenant.kube.get(path_to(tenant))["metadata"]["resourceVersion"]
    tenant.wait_refreshes(operator_with_boards, "app", tenant.sync_calls(operator_with_boards, "app") + 3)

    after = tenant.kube.get(path_to(tenant))
    assert after["spec"] == {"title": "shop", "size": 3, "theirs": "x"}
    assert after["metadata"]["resourceVersion"] == version


def test_place_is_put_right_at_once_and_one_that_is_dropped_goes(
    tenant: Tenant, made: Callable[..., Object]
) -> None:
    made(app({"literal": "a: {{ .user }}\nb: {c: 1}", "target": "spec.db"}))
    tenant.edit_spec("app", refreshInterval="1h")
    tenant.wait_told("app", "ResourceSynced")
    tenant.kube.patch(path_to(tenant), {"spec": {"db": {"a": "other"}}})
    soon(lambda: tenant.kube.get(path_to(tenant))["spec"]["db"]["a"] == "shop")
    tenant.edit_spec("app", target={"template": {"templateFrom": [{"literal": "x", "target": "spec.title"}]}})
    tenant.wait_told("app", "ResourceSynced")

    assert tenant.kube.get(path_to(tenant))["spec"] == {"title": "x", "size": 3}


def test_merging_into_an_object_leaves_what_is_there(tenant: Tenant, made: Callable[..., Object]) -> None:
    tenant.kube.post(
        path_to(tenant, name="").rstrip("/"),
        {**BOARD, "metadata": {"name": "app"}, "spec": {"rules": [{"mine": 1}], "size": 5}},
    )

    found = made(
        app({"literal": "{{ .user }}", "target": "spec.rules[0].added"}, target={"creationPolicy": "Merge"})
    )
    assert found["spec"] == {"rules": [{"mine": 1, "added": "shop"}], "size": 5}
    tenant.set_store(store({"db": ONE, "user": "other"}))

    def is_renewed() -> bool:
        spec = tenant.kube.get(path_to(tenant))["spec"]
        return bool(spec == {"rules": [{"mine": 1, "added": "other"}], "size": 5})

    soon(is_renewed)


def test_template_in_a_config_map_is_not_rendered_twice(tenant: Tenant, made: Callable[..., Object]) -> None:
    """A value with braces is a value."""
    tenant.create(config_map("texts", {"a": "{{ .v }} {{ `{{ .v }}` }}"}))

    found = made(app({"configMap": {"name": "texts", "items": [{"key": "a"}]}, "target": "spec.title"}))

    assert found["spec"]["title"] == f"{ONE} {{{{ .v }}}}"


@pytest.mark.parametrize(
    ("entry_", "told"),
    [
        pytest.param(
            {"literal": "x", "target": "metadata.ownerReferences[0].uid"},
            "'metadata.ownerReferences[0].uid' is no path: metadata is not for templates",
            id="identity",
        ),
        pytest.param({"literal": "x", "target": "spec.a[10001]"}, "an index is more than 10000", id="index"),
        pytest.param({"literal": "x", "target": "spec.title.x"}, "could not update resource", id="no map"),
        pytest.param(
            {"literal": "[{{ .v }}]", "target": "spec.title"},
            'Board "',
            id="refused by the API server, whose words are left out",
        ),
    ],
)
def test_place_that_cannot_be_is_told(
    tenant: Tenant, operator_with_boards: OperatorProcess, entry_: Object, told: str
) -> None:
    tenant.kube.post(
        path_to(tenant, name="").rstrip("/"),
        {**BOARD, "metadata": {"name": "app"}, "spec": {"title": "text"}},
    )
    tenant.create(store({"db": ONE, "user": "shop"}), app(entry_))

    tenant.wait_told("app", "ResourceSyncedError", holding=told)
    assert tenant.kube.get(path_to(tenant))["spec"] == {"title": "text", "size": 3}
