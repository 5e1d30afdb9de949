"""Clusters of old: without the definition, with objects that its rules would refuse, and as another operator left them.

In a control plane of their own, because no operator may run while the objects are made.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.conftest import through
from tests.cluster.fan import FOR_FAN_OUT, Fan

from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import Object, owner_reference
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, ready_of, soon

ONE = canary("one")
ROOT = Path(__file__).resolve().parents[2]
DEFINITION = ROOT / "crds/external-secrets.io_clusterexternalsecrets.yaml"
CRD = path_of(
    "apiextensions.k8s.io/v1", "customresourcedefinitions", name="clusterexternalsecrets.external-secrets.io"
)
FINALIZER = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"


@pytest.fixture(scope="module")
def old() -> Iterator[LocalCluster]:
    """A control plane without the definition of ClusterExternalSecret."""
    with LocalCluster.start() as running:
        for path in sorted((ROOT / "crds").glob("external-secrets.io_*.yaml")):
            if path != DEFINITION:
                running.kubectl("apply", "-f", str(path))
        running.kubectl("apply", "-f", str(ROOT / "deploy/rbac/rbac.yaml"))
        wait_served(KubeClient(running.server, running.ca_pem, running.token))
        yield running


@pytest.fixture(scope="module")
def kube(old: LocalCluster) -> KubeClient:
    return KubeClient(old.server, old.ca_pem, old.token)


@pytest.fixture
def start(old: LocalCluster, leaks: LeakDetector) -> Iterator:
    """Starts operators; they end with the test."""
    started: list[OperatorProcess] = []
    own = old.service_account_kubeconfig("keyferry", "keyferry")

    def start(*flags: str, kubeconfig: Path = own) -> OperatorProcess:
        started.append(OperatorProcess(kubeconfig, {}, ["--loglevel=debug", *flags]).start())
        return started[-1]

    yield start
    for process in started:
        if process.exit_code is None:
            process.stop()
        leaks.look("log of an operator in an old cluster", process.log)
        assert "a bug in Keyferry" not in process.log


def install(old: LocalCluster, kube: KubeClient, definition: Object | None = None) -> None:
    """Install the definition, or one like it, and wait until it is served."""
    text = yaml.safe_dump(definition) if definition else DEFINITION.read_text()
    old.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    eventually(
        lambda: kube.get(path_of("external-secrets.io/v1", "clusterexternalsecrets"))["items"] is not None
    )


@pytest.fixture
def fan(kube: KubeClient, request: pytest.FixtureRequest) -> Iterator[Fan]:
    made = Fan(kube, f"fan-{abs(hash(request.node.name)) % 10**6}", {"db": ONE})
    yield made
    made.close()


def test_operator_starts_without_the_definition_and_serves_the_kind_once_it_is_there(
    old: LocalCluster, kube: KubeClient, start
) -> None:
    if kube.find(CRD) is not None:
        kube.delete(CRD)
        eventually(lambda: kube.find(CRD) is None)
    operator = start()
    assert "waiting for the API server: it does not serve clusterexternalsecrets" in operator.log
    install(old, kube)
    fan = Fan(kube, "fan-late", {"db": ONE})
    try:
        tenant = fan.namespace("a")
        fan.create()
        fan.wait(tenant)
        tenant.wait_values(fan.name, {"v": ONE})
    finally:
        fan.close()


def test_what_another_operator_made_is_not_written_and_loses_its_finalizers(
    old: LocalCluster, kube: KubeClient, fan: Fan, start
) -> None:
    """As the reference operator leaves it: its own field manager, no reason, no time in the condition."""
    install(old, kube)
    tenant = fan.namespace("a", finalizers=[f"externalsecrets.external-secrets.io/ces-{fan.name}"])
    made = fan.create(
        metadata={"finalizers": [FINALIZER]}, externalSecretMetadata={"labels": {"team": "x", "old": "1"}}
    )
    status = {
        "externalSecretName": fan.name,
        "provisionedNamespaces": [tenant.namespace],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    kube.patch(f"{fan.path}/status", {"status": status})
    metadata = {
        "name": fan.name,
        "labels": {"team": "x", "old": "1"},
        "ownerReferences": [owner_reference(made)],
    }
    body = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": metadata,
        "spec": made["spec"]["externalSecretSpec"],
    }
    first = kube.post(tenant.path("ExternalSecret"), body, fieldManager="external-secrets")
    start()
    fan.wait(tenant)

    namespace = path_of("v1", "namespaces", name=tenant.namespace)
    soon(lambda: "finalizers" not in kube.get(namespace)["metadata"])
    soon(lambda: "finalizers" not in fan.get()["metadata"])
    tenant.wait_synced(fan.name)
    after = tenant.get("ExternalSecret", fan.name)["metadata"]
    assert (after["uid"], after["generation"]) == (first["metadata"]["uid"], 1)
    assert {"external-secrets", "keyferry"} == {one["manager"] for one in after["managedFields"]}
    assert [one.get("subresource") for one in after["managedFields"] if one["manager"] == "keyferry"] == [
        "status"
    ]
    fan.edit(externalSecretMetadata={"labels": {"old": None}})
    soon(lambda: tenant.get("ExternalSecret", fan.name)["metadata"]["labels"] == {"team": "x"})


def test_each_right_for_the_kind_is_used(
    old: LocalCluster, kube: KubeClient, fan: Fan, start, tmp_path: Path
) -> None:
    install(old, kube)
    tenant = fan.namespace("a", finalizers=[f"externalsecrets.external-secrets.io/ces-{fan.name}"])
    fan.create(metadata={"finalizers": [FINALIZER]})
    with ApiProxy(old.server, tls=ssl.create_default_context(cadata=old.ca_pem)) as proxy:
        own = old.service_account_kubeconfig("keyferry", "keyferry")
        operator = start(kubeconfig=through(proxy, own, tmp_path / "kubeconfig"))
        fan.wait(tenant)
        fan.edit(externalSecretSpec={"refreshInterval": "5m"})
        fan.wait_corrected(tenant, refreshInterval="5m")
        fan.relabel(tenant, fan=None)
        fan.wait()

        def missing() -> set[tuple[str, str, str]]:
            used = {
                (
                    one.request.path.split("/")[2] if one.request.path.startswith("/apis/") else "",
                    one.request.resource,
                    one.request.verb,
                )
                for one in proxy.requests()
                if one.status not in (401, 403)
            }
            return FOR_FAN_OUT - used

        eventually(lambda: not missing())
        operator.stop()
        assert [] == [one.request for one in proxy.requests() if one.status in (401, 403)]


def test_restart_writes_nothing(old: LocalCluster, kube: KubeClient, fan: Fan, start) -> None:
    install(old, kube)
    tenant = fan.namespace("a")
    fan.create()
    first = start()
    fan.wait(tenant)
    tenant.wait_synced(fan.name)
    first.stop()
    paths = [fan.path, tenant.path("ExternalSecret", fan.name), tenant.path("Secret", fan.name)]
    before = [kube.get(path)["metadata"]["resourceVersion"] for path in paths]
    second = start()
    second.look_again()

    assert [kube.get(path)["metadata"]["resourceVersion"] for path in paths] == before


def test_spec_that_the_rules_of_today_refuse_is_told_by_its_field(
    old: LocalCluster, kube: KubeClient, fan: Fan, start
) -> None:
    definition = yaml.safe_load(DEFINITION.read_text())
    lax = yaml.safe_load(DEFINITION.read_text())
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for version in lax["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] |= {"properties": {"spec": loose, "status": loose}}
    install(old, kube, lax)
    fan.spec["spec"]["refreshInterval"] = "1d"
    tenant = fan.namespace("a")
    eventually(fan.create)
    install(old, kube, definition)
    start()

    def is_told() -> bool:
        ready = ready_of(fan.get())
        return ready["status"] == "False" and 'refreshInterval "1d": not a duration' in ready["message"]

    soon(is_told)
    assert "$.externalSecretSpec" in ready_of(fan.get())["message"]
    assert tenant.find("ExternalSecret", fan.name) is None
    eventually(lambda: fan.edit(externalSecretSpec={"refreshInterval": "5m"}) is None)
    fan.wait(tenant)


def test_kind_that_is_switched_off_is_left_alone(
    old: LocalCluster, kube: KubeClient, fan: Fan, start
) -> None:
    install(old, kube)
    tenant = fan.namespace("a", finalizers=["externalsecrets.external-secrets.io/ces-x"])
    fan.create()
    first = start("--enable-cluster-external-secret-reconciler=false")
    other = Tenant(kube, tenant.namespace)
    other.create(fan.spec)
    other.wait_synced("x")
    first.stop()

    assert "status" not in fan.get()
    assert tenant.find("ExternalSecret", fan.name) is None
    assert "finalizers" in kube.get(path_of("v1", "namespaces", name=tenant.namespace))["metadata"]
