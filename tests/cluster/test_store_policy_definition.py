"""The definition of StorePolicy: clusters that lack it, what its schema refuses, and who may write policies."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.errors import KubeForbidden, KubeInvalid
from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import cluster_store, entry, external_secret, rule, store, store_policy
from keyferry.testing.definitions import DEFINITIONS, wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = "keyferry.io_storepolicies.yaml"
NAME = "storepolicies.keyferry.io"
ONE, TWO = canary("policy-one"), canary("policy-two")


@dataclass
class Without:
    """A cluster without the definition, and the operator in it."""

    cluster: LocalCluster
    kube: KubeClient
    operator: OperatorProcess

    def define(self, **changes: Any) -> None:
        """Install the definition, or put it in the place of the one that is there."""
        definition = yaml.safe_load((ROOT / "crds" / DEFINITION).read_text())
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"] |= changes
        found = self.kube.find(f"{DEFINITIONS}/{NAME}")
        if found is None:
            self.kube.post(DEFINITIONS, definition)
        else:
            self.kube.put(f"{DEFINITIONS}/{NAME}", {**found, "spec": definition["spec"]})
        wait_served(self.kube)


@pytest.fixture(scope="module")
def without(leaks: LeakDetector) -> Iterator[Without]:
    with LocalCluster.start() as cluster:
        for file in sorted((ROOT / "crds").glob("*.yaml")):
            if file.name.startswith("external-secrets.io"):
                cluster.kubectl("apply", "-f", str(file))
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/rbac/rbac.yaml"))
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        wait_served(kube)
        kubeconfig = cluster.service_account_kubeconfig("keyferry", "keyferry")
        with OperatorProcess(kubeconfig, flags=["--enable-generator-state=false"]).start() as process:
            yield Without(cluster, kube, process)
        leaks.look("log of the operator without the definition", process.log)
        assert "a bug in Keyferry" not in process.log


def test_cluster_without_the_definition_has_no_limits_until_there_is_one(without: Without) -> None:
    """Then one that nobody can use closes, because its schema takes anything, and a good one limits."""
    without.kube.post("/api/v1/namespaces", {"metadata": {"name": "team-a"}})
    tenant = Tenant(without.kube, "team-a")
    tenant.create(
        store({"team-a/db": ONE, "team-b/db": TWO}, name="shared", cluster=True),
        external_secret("mine", entry("v", "team-a/db"), store=cluster_store("shared")),
        external_secret("theirs", entry("v", "team-b/db"), store=cluster_store("shared")),
    )
    tenant.wait_values("mine", {"v": ONE})
    tenant.wait_values("theirs", {"v": TWO})

    without.define(spec={"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    wrong = store_policy("wrong", rule("**"))
    wrong["spec"]["storeRefs"] = "all"
    tenant.create(wrong)
    for name in ("mine", "theirs"):
        tenant.wait_failed(
            name, 'StorePolicy "wrong" cannot be used and lets nothing in: the spec is invalid'
        )
    tenant.wait_told(
        "wrong", "InvalidPolicy", "StorePolicy", "Expected `array`, got `str` - at `$.storeRefs`"
    )
    assert {"v": TWO} == tenant.values("theirs")

    without.define()
    tenant.delete("StorePolicy", "wrong")
    tenant.create(store_policy("good", rule("{namespace}/*"), stores=["shared"]))
    tenant.wait_synced("mine")
    tenant.wait_failed("theirs", '"team-a/*"')

    without.kube.delete(f"{DEFINITIONS}/{NAME}")
    tenant.wait_synced("theirs")


GOOD = store_policy("good", rule("{namespace}/**", "{label:a.example/b}/*"), stores=["x"])["spec"]


def changed(*path: Any, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    part: Any = made
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return made


REFUSED = {
    "no-spec": None,
    "no-stores": changed("storeRefs", value=[]),
    "store-without-anything": changed("storeRefs", 0, value={}),
    "store-with-both": changed("storeRefs", 0, value={"name": "x", "labelSelector": {}}),
    "store-by-star": changed("storeRefs", 0, "name", value="*"),
    "rule-without-keys": changed("rules", 0, value={"namespaces": ["a"]}),
    "no-keys": changed("rules", 0, "keys", value=[]),
    "no-namespaces": changed("rules", 0, "namespaces", value=[]),
    "no-regexes": changed("rules", 0, "namespaceRegexes", value=[]),
    "namespace-that-is-none": changed("rules", 0, "namespaces", value=["*"]),
    "regex-that-is-none": changed("rules", 0, "namespaceRegexes", value=["^a", "("]),
    "placeholder-that-is-none": changed("rules", 0, "keys", 0, value="{nmespace}/*"),
    "open-brace": changed("rules", 0, "keys", 0, value="{namespace"),
    "too-many-placeholders": changed("rules", 0, "keys", 0, value="{namespace}" * 5),
    "line-break": changed("rules", 0, "keys", 0, value="a\nb"),
    "empty-key": changed("rules", 0, "keys", 0, value=""),
    "long-key": changed("rules", 0, "keys", 0, value="x" * 257),
}


@pytest.mark.parametrize("spec", REFUSED.values(), ids=REFUSED)
def test_schema_refuses_what_cannot_be_used(
    kube: KubeClient, installed: None, spec: dict[str, Any] | None
) -> None:
    body = store_policy("refused")
    del body["spec"]
    body |= {"spec": spec} if spec is not None else {}

    with pytest.raises(KubeInvalid):
        kube.post("/apis/keyferry.io/v1alpha1/storepolicies", body, dryRun="All")


def test_schema_takes_what_is_good(kube: KubeClient, installed: None) -> None:
    made = kube.post(
        "/apis/keyferry.io/v1alpha1/storepolicies",
        store_policy("good") | {"spec": changed("rules", 0, "namespaceRegexes", value=["^a", "b$"])},
        dryRun="All",
    )

    assert "good" == made["metadata"]["name"]


@pytest.mark.parametrize("role", ["admin", "edit", "view"])
def test_tenants_cannot_write_policies(
    kube: KubeClient, cluster: LocalCluster, tenant: Tenant, installed: None, role: str
) -> None:
    """Neither in their namespace, for policies are in none, nor where the cluster's role is given for all of it."""
    account = {"metadata": {"name": "tenant"}}
    kube.post(f"/api/v1/namespaces/{tenant.namespace}/serviceaccounts", account)
    subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": tenant.namespace}
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    binding = {
        "metadata": {"name": f"{tenant.namespace}-{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }
    kube.post(f"{rbac}/namespaces/{tenant.namespace}/rolebindings", binding)
    kube.post(f"{rbac}/clusterrolebindings", binding)
    theirs = KubeClient.from_kubeconfig(cluster.service_account_kubeconfig(tenant.namespace, "tenant"))
    try:
        eventually(lambda: theirs.get(f"/api/v1/namespaces/{tenant.namespace}/configmaps"))

        for verb in (
            lambda: theirs.post(
                "/apis/keyferry.io/v1alpha1/storepolicies", store_policy("mine", stores=["x"])
            ),
            lambda: theirs.delete("/apis/keyferry.io/v1alpha1/storepolicies/any"),
            lambda: theirs.patch("/apis/keyferry.io/v1alpha1/storepolicies/any", {}),
        ):
            with pytest.raises(KubeForbidden):
                verb()
    finally:
        kube.delete(f"{rbac}/clusterrolebindings/{tenant.namespace}-{role}")
