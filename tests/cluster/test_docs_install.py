"""The manifests and the commands of the install and migration pages, on a cluster that has nothing of Keyferry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from keyferry.api import admission
from keyferry.api.crd import KINDS
from keyferry.localcluster import LocalCluster
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.operator import OperatorProcess

ROOT = Path(__file__).parents[2]
DEFINITIONS = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
STORES = f"{DEFINITIONS}/secretstores.external-secrets.io"


@pytest.fixture(scope="module")
def fresh() -> Iterator[LocalCluster]:
    """A cluster of the module's own, with the base applied as the page says."""
    with LocalCluster.start() as cluster:
        cluster.kubectl("apply", "-k", str(ROOT / "deploy"))
        wait_served(KubeClient(cluster.server, cluster.ca_pem, cluster.token))
        yield cluster


@pytest.fixture(scope="module")
def client(fresh: LocalCluster) -> KubeClient:
    return KubeClient(fresh.server, fresh.ca_pem, fresh.token)


def test_base_installs_definitions_policies_and_rbac(client: KubeClient) -> None:
    definitions = {item["metadata"]["name"] for item in client.list(DEFINITIONS)}
    group = "admissionregistration.k8s.io/v1"
    policies = {
        item["metadata"]["name"] for item in client.list(path_of(group, "validatingadmissionpolicies"))
    }

    assert {f"{kind.plural}.{kind.group}" for kind in KINDS} == definitions
    assert {policy.name for policy in admission.policies()} == policies
    assert client.find("/api/v1/namespaces/keyferry/serviceaccounts/keyferry") is not None
    assert client.find("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/keyferry") is not None


def test_base_holds_all_generated_files() -> None:
    """A kind or policy that is added must be in the kustomizations too."""
    crds = yaml.safe_load((ROOT / "crds/Kustomization").read_text("utf-8"))["resources"]
    base = yaml.safe_load((ROOT / "deploy/kustomization.yaml").read_text("utf-8"))["resources"]
    admission = sorted((ROOT / "deploy/admission").glob("*.yaml"))

    assert crds == sorted(file.name for file in (ROOT / "crds").glob("*.yaml"))
    assert base == ["../crds", *(f"admission/{file.name}" for file in admission), "rbac/rbac.yaml"]


def test_plain_manifests_are_the_same(fresh: LocalCluster) -> None:
    """Nothing is left to configure after the base."""
    folders = ("crds", "deploy/admission", "deploy/rbac/rbac.yaml")
    said = fresh.kubectl("apply", *(f"--filename={ROOT / folder}" for folder in folders))

    assert [] == [line for line in said.splitlines() if line.endswith(" created")]


def test_definitions_of_another_origin_are_replaced(fresh: LocalCluster, client: KubeClient) -> None:
    """With a conversion webhook and without the annotation of kubectl apply, which then refuses."""
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://example.com/convert"}}
    note = {"kubectl.kubernetes.io/last-applied-configuration": None}
    client.patch(
        STORES,
        {
            "metadata": {"annotations": note},
            "spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}},
        },
    )
    fresh.kubectl("replace", "-f", str(ROOT / "crds"))

    assert {"strategy": "None"} == client.get(STORES)["spec"]["conversion"]


def test_deployment_is_taken_and_meets_the_restricted_pod_security_standard(
    fresh: LocalCluster, client: KubeClient
) -> None:
    fresh.kubectl("apply", "-k", str(ROOT / "deploy/operator"))
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch("/api/v1/namespaces/keyferry", {"metadata": {"labels": enforced}})
    deployment = client.get("/apis/apps/v1/namespaces/keyferry/deployments/keyferry")
    pod = {"apiVersion": "v1", "kind": "Pod", **deployment["spec"]["template"]}
    pod["metadata"]["name"] = "tried"

    taken = client.post("/api/v1/namespaces/keyferry/pods", pod, dryRun="All")
    assert [container["image"] for container in taken["spec"]["containers"]] == ["keyferry:dev"]


def test_operator_runs_as_the_service_account_by_the_commands_of_the_page(
    fresh: LocalCluster, tmp_path: Path
) -> None:
    """Step 2 of the page: a token, credentials, a context; then the operator with that context."""
    config = tmp_path / "kubeconfig"
    config.write_text(fresh.kubeconfig.read_text())
    config.chmod(0o600)
    here = f"--kubeconfig={config}"
    cluster = yaml.safe_load(config.read_text())["clusters"][0]["name"]
    token = fresh.kubectl("-n", "keyferry", "create", "token", "keyferry", "--duration=8h").strip()
    fresh.kubectl("config", "set-credentials", "keyferry", f"--token={token}", here)
    fresh.kubectl("config", "set-context", "keyferry", "--user=keyferry", f"--cluster={cluster}", here)
    operator = OperatorProcess(config, flags=["--context=keyferry"])

    with operator.start():
        assert operator.probe("readyz") == operator.probe("healthz") == 200


def test_removal_leaves_objects_and_secrets(fresh: LocalCluster, client: KubeClient) -> None:
    """Last in no order: it puts the base back."""
    path = path_of("external-secrets.io/v1", "externalsecrets", namespace="default")
    eventually(lambda: client.find(path) is not None)
    fresh.kubectl("-n", "default", "apply", "-f", str(ROOT / "deploy/samples/fake.yaml"))
    fresh.kubectl("delete", "-k", str(ROOT / "deploy/operator"), "--ignore-not-found")
    both = ("deploy/rbac/rbac.yaml", "deploy/admission")
    fresh.kubectl("delete", *(f"--filename={ROOT / one}" for one in both))

    assert ["db"] == [item["metadata"]["name"] for item in client.list(path)]
    fresh.kubectl("apply", "-k", str(ROOT / "deploy"))
