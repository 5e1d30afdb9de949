"""Our definitions take over a cluster that has served and stored the API for years.

The cluster starts with definitions that store v1beta1 and check nothing; objects that break today's rules
are in it. Nothing of it may get in the way of the update, nor of work on those objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import KubeInvalid
from keyferry.localcluster import LocalCluster
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Object, path_of

ROOT = Path(__file__).parents[2]
GROUP = "external-secrets.io"
API = f"{GROUP}/v1"
ENTRY = {"secretKey": "password", "remoteRef": {"key": "db"}}
KINDS = {"ExternalSecret": "Namespaced", "SecretStore": "Namespaced", "ClusterSecretStore": "Cluster"}

BROKEN: dict[str, Object] = {
    "interval": {"data": [ENTRY], "refreshInterval": "1d"},
    "nothing": {"secretStoreRef": {"name": "aws"}},
    "policies": {"data": [ENTRY], "target": {"creationPolicy": "None", "deletionPolicy": "Delete"}},
    "entry": {"dataFrom": [{"extract": {"key": "a"}, "find": {"name": {"regexp": "x"}}}]},
    "token": {"data": [ENTRY], "target": {"template": {"type": "bootstrap.kubernetes.io/token"}}},
    "twice": {"data": [ENTRY, ENTRY]},
}
FOREIGN_STORE = {
    "provider": {"vault": {"server": "x", "auth": {"tokenSecretRef": {"name": "a", "namespace": "b"}}}}
}


def _old_definition(kind: str, scope: str) -> Object:
    plural = f"{kind.lower()}s"
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": loose, "status": loose}}}
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural},
            "scope": scope,
            "versions": [version],
        },
    }


def _object(kind: str, name: str, spec: Any, version: str = "v1beta1") -> Object:
    return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def upgraded() -> Iterator[tuple[LocalCluster, KubeClient]]:
    """A cluster of its own, after the update: definitions of this name exist once in a cluster."""
    with LocalCluster.start() as cluster:
        client = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        definitions = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
        for kind, scope in KINDS.items():
            client.post(definitions, _old_definition(kind, scope))
        wait_served(client)
        secrets = path_of(f"{GROUP}/v1beta1", "externalsecrets", namespace="default")
        stores = path_of(f"{GROUP}/v1beta1", "secretstores", namespace="default")
        for name, spec in BROKEN.items():
            eventually(
                lambda name=name, spec=spec: client.post(secrets, _object("ExternalSecret", name, spec))
            )
        eventually(lambda: client.post(stores, _object("SecretStore", "foreign", FOREIGN_STORE)))

        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/admission"))
        twice = _object("ExternalSecret", "new", BROKEN["twice"], "v1")
        foreign = _object("SecretStore", "new", FOREIGN_STORE, "v1")
        eventually(lambda: "duplicate secretKey" in _refusal(client, twice))
        eventually(lambda: "namespace should either be empty" in _refusal(client, foreign))
        yield cluster, client


def _refusal(client: KubeClient, body: Object) -> str:
    """Why the object would be refused; empty where it would be accepted."""
    try:
        client.post(path_of(API, f"{body['kind'].lower()}s", namespace="default"), body, dryRun="All")
    except KubeInvalid as error:
        return error.message
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_version_stays_listed_and_the_new_one_is_stored(upgraded, kind):
    _, client = upgraded
    path = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=f"{kind.lower()}s.{GROUP}")
    definition = client.get(path)

    assert definition["status"]["storedVersions"] == ["v1beta1", "v1"]
    assert {entry["name"]: entry["served"] for entry in definition["spec"]["versions"]} == {
        "v1": True,
        "v1beta1": False,
    }


@pytest.mark.parametrize("name", BROKEN)
def test_an_object_that_breaks_a_rule_is_read_and_its_status_written(upgraded, name):
    """Its failure is told in its status, so the rule must not refuse the status."""
    _, client = upgraded
    path = path_of(API, "externalsecrets", namespace="default", name=name)
    ready = {"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "why"}

    written = client.patch(f"{path}/status", {"status": {"conditions": [ready]}})

    assert client.get(path)["apiVersion"] == API
    assert written["status"]["conditions"] == [ready]


@pytest.mark.parametrize("name", BROKEN)
def test_labels_and_finalizers_of_such_an_object_can_be_changed(upgraded, name):
    _, client = upgraded
    path = path_of(API, "externalsecrets", namespace="default", name=name)
    changes = {"labels": {"seen": "yes"}, "finalizers": ["example.com/keep"]}

    changed = client.patch(path, {"metadata": changes})["metadata"]
    freed = client.patch(path, {"metadata": {"finalizers": None}})["metadata"]

    assert {key: changed[key] for key in changes} == changes
    assert "finalizers" not in freed


def test_an_edit_of_such_an_object_has_to_mend_it(upgraded):
    _, client = upgraded
    path = path_of(API, "externalsecrets", namespace="default")
    client.post(path, _object("ExternalSecret", "mended", {"data": [ENTRY]}, "v1"))

    with pytest.raises(KubeInvalid) as refused:
        client.patch(f"{path}/twice", {"spec": {"refreshInterval": "2h"}})
    mended = client.patch(f"{path}/twice", {"spec": {"data": [ENTRY]}})

    assert "duplicate secretKey found: password" in refused.value.message
    assert mended["spec"]["data"] == [ENTRY]


def test_a_store_with_a_foreign_reference_is_only_refused_when_its_spec_is_edited(upgraded):
    _, client = upgraded
    path = path_of(API, "secretstores", namespace="default", name="foreign")
    client.patch(path, {"metadata": {"labels": {"seen": "yes"}, "finalizers": ["example.com/keep"]}})
    with pytest.raises(KubeInvalid) as refused:
        client.patch(path, {"spec": {"provider": {"vault": {"path": "kv"}}}})
    client.delete(path)

    client.patch(path, {"metadata": {"finalizers": None}})

    assert "namespace should either be empty or match" in refused.value.message
    assert eventually(lambda: client.find(path) is None)
