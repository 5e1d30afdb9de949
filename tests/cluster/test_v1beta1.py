"""Manifests of the version before the present one: refused as shipped, at work where that version is served."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.errors import KubeInvalid
from keyferry.localcluster import LocalCluster, LocalClusterError
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Object, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ROOT = Path(__file__).parents[2]
OLD, NEW = "external-secrets.io/v1beta1", "external-secrets.io/v1"
PASSWORD = canary("old password")
PLURALS = {
    "ExternalSecret": "externalsecrets",
    "SecretStore": "secretstores",
    "ClusterSecretStore": "clustersecretstores",
    "ClusterExternalSecret": "clusterexternalsecrets",
}


def manifest(kind: str, name: str, spec: Any) -> Object:
    return {"apiVersion": OLD, "kind": kind, "metadata": {"name": name}, "spec": spec}


STORE = manifest(
    "SecretStore",
    "old",
    {"provider": {"fake": {"data": [{"key": "db", "value": PASSWORD, "version": "v1"}]}}},
)
SECRET = manifest(
    "ExternalSecret",
    "old",
    {
        "refreshInterval": "1h",
        "secretStoreRef": {"name": "old", "kind": "SecretStore"},
        "target": {"name": "old-target", "creationPolicy": "Owner"},
        "data": [{"secretKey": "password", "remoteRef": {"key": "db", "version": "v1"}}],
    },
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump_all([STORE, SECRET]), "utf-8")
    return path


@pytest.fixture(scope="module")
def serving() -> Iterator[LocalCluster]:
    """A cluster of its own, installed as always and then told to serve the old version."""
    with LocalCluster.start() as cluster:
        for path in ("crds", "deploy/admission", "deploy/crds-v1beta1"):
            cluster.kubectl("apply", "-f", str(ROOT / path))
        wait_served(KubeClient(cluster.server, cluster.ca_pem, cluster.token))
        yield cluster


@pytest.fixture(scope="module")
def tenant(serving: LocalCluster) -> Tenant:
    return Tenant(KubeClient(serving.server, serving.ca_pem, serving.token), "default")


@pytest.fixture(scope="module")
def running(serving: LocalCluster, leaks: LeakDetector) -> Iterator[OperatorProcess]:
    with OperatorProcess(serving.kubeconfig, {}, ["--loglevel=debug"]).start() as operator:
        yield operator
    leaks.look("log of the operator where v1beta1 is served", operator.log)


def test_an_old_manifest_is_applied_synced_and_read_as_the_new_version(
    serving: LocalCluster, tenant: Tenant, running: OperatorProcess, files: Path
) -> None:
    serving.kubectl("apply", "-n", tenant.namespace, "-f", str(files))

    synced = tenant.wait_synced("old")
    assert tenant.values("old-target") == {"password": PASSWORD}
    assert synced["apiVersion"] == NEW
    assert synced["spec"]["data"] == SECRET["spec"]["data"]
    old = tenant.kube.get(path_of(OLD, "externalsecrets", namespace=tenant.namespace, name="old"))
    assert {key: old[key] for key in ("spec", "status")} == {key: synced[key] for key in ("spec", "status")}


def test_applying_an_old_manifest_again_changes_nothing(
    serving: LocalCluster, tenant: Tenant, files: Path
) -> None:
    serving.kubectl("apply", "-n", tenant.namespace, "-f", str(files))

    again = serving.kubectl("apply", "-n", tenant.namespace, "-f", str(files))

    assert [line.split()[-1] for line in again.splitlines()] == ["unchanged", "unchanged"]


@pytest.mark.parametrize(("kind", "plural"), PLURALS.items(), ids=PLURALS)
def test_objects_are_stored_in_the_new_version(tenant: Tenant, kind: str, plural: str) -> None:
    """So that the old version can be switched off again at any time."""
    definition = tenant.kube.get(
        path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=f"{plural}.external-secrets.io")
    )

    assert definition["status"]["storedVersions"] == ["v1"]
    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("version", [OLD, NEW])
def test_both_versions_select_by_field(tenant: Tenant, version: str) -> None:
    path = path_of(version, "externalsecrets", namespace=tenant.namespace)
    aws, vault = (f"{store}-by-{version.rpartition('/')[2]}" for store in ("aws", "vault"))
    for name in (aws, vault):
        spec = {**SECRET["spec"], "secretStoreRef": {"name": name}, "target": {"name": name}}
        tenant.kube.post(path, {**manifest("ExternalSecret", name, spec), "apiVersion": version})

    found = tenant.kube.list(path, fieldSelector=f"spec.secretStoreRef.name={vault}")

    assert [item["metadata"]["name"] for item in found] == [vault]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param(
            {**SECRET["spec"], "target": {"template": {"engineVersion": "v1"}}},
            "spec.target.template.engineVersion",
            id="schema",
        ),
        pytest.param({}, "either data or dataFrom should be specified", id="rule"),
        pytest.param(
            {**SECRET["spec"], "data": SECRET["spec"]["data"] * 2}, "duplicate secretKey", id="policy"
        ),
    ],
)
def test_the_old_version_is_held_to_the_same_rules(tenant: Tenant, spec: Any, told: str) -> None:
    path = path_of(OLD, "externalsecrets", namespace=tenant.namespace)

    with pytest.raises(KubeInvalid) as refused:
        tenant.kube.post(path, manifest("ExternalSecret", "wrong", spec))

    assert told in refused.value.message


def test_kubectl_warns_of_the_old_version(serving: LocalCluster, files: Path) -> None:
    done = subprocess.run(
        [str(serving.binaries / "kubectl"), f"--kubeconfig={serving.kubeconfig}", "apply", "-f", str(files)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "external-secrets.io/v1beta1 ExternalSecret is deprecated" in done.stderr


def test_serving_is_switched_on_and_off_without_touching_an_object(files: Path) -> None:
    """On a cluster of its own, because it ends the serving."""
    with LocalCluster.start() as cluster:
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        wait_served(kube)
        with pytest.raises(LocalClusterError) as refused:
            cluster.kubectl("apply", "-f", str(files))

        cluster.kubectl("apply", "-f", str(ROOT / "deploy/crds-v1beta1"))
        wait_served(kube)
        cluster.kubectl("apply", "-f", str(files))
        served = kube.get(path_of(NEW, "externalsecrets", namespace="default", name="old"))

        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        eventually(lambda: kube.find(path_of(OLD, "externalsecrets")) is None)
        kept = kube.get(path_of(NEW, "externalsecrets", namespace="default", name="old"))

    said = " ".join(refused.value.details)
    assert 'no matches for kind "ExternalSecret" in version "external-secrets.io/v1beta1"' in said
    assert kept == served
