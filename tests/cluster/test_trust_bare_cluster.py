"""A cluster that is set up differently: no admission policies, and owners' rights enforced as on OpenShift.

What matters for security is decided by the operator again; the policies are a courtesy to the writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.fan import Fan

from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ROOT = Path(__file__).resolve().parents[2]
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/keyferry"


@dataclass
class Bare:
    """The cluster, and the operator in it."""

    kube: KubeClient
    operator: OperatorProcess

    def tenant(self, namespace: str) -> Tenant:
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        return Tenant(self.kube, namespace)


@pytest.fixture(scope="module")
def bare(leaks: LeakDetector) -> Iterator[Bare]:
    plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with LocalCluster.start(apiserver_flags=[plugin]) as cluster:
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/rbac/rbac.yaml"))
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        eventually(lambda: kube.find(path_of("external-secrets.io/v1", "secretstores")) is not None)
        process = OperatorProcess(cluster.service_account_kubeconfig("keyferry", "keyferry"))
        with process.start():
            yield Bare(kube, process)
        leaks.look("log of the operator in a bare cluster", process.log)


SELECTOR = {"name": "keys", "key": "k"}
FOREIGN = SELECTOR | {"namespace": "kube-system"}


def keys(**changes: object) -> dict[str, object]:
    return {"secretRef": {"accessKeyIDSecretRef": SELECTOR, "secretAccessKeySecretRef": SELECTOR} | changes}


AUTHS = {
    "auth.secretRef.accessKeyIDSecretRef": keys(accessKeyIDSecretRef=FOREIGN),
    "auth.secretRef.secretAccessKeySecretRef": keys(secretAccessKeySecretRef=FOREIGN),
    "auth.secretRef.sessionTokenSecretRef": keys(sessionTokenSecretRef=FOREIGN),
    "auth.jwt.serviceAccountRef": {"jwt": {"serviceAccountRef": {"name": "app", "namespace": "kube-system"}}},
}


def test_references_stay_at_home_without_a_policy(bare: Bare) -> None:
    """A SecretStore that names another namespace exists, and is not served."""
    tenant = bare.tenant("references")
    for number, auth in enumerate(AUTHS.values()):
        aws = {"aws": {"service": "SecretsManager", "region": "eu-central-1", "auth": auth}}
        tenant.create(store(name=f"store-{number}", provider=aws))
        tenant.create(external_secret(f"es-{number}", entry("v", "db"), store=f"store-{number}"))

    for number, field in enumerate(AUTHS):
        said = f'spec.provider.aws.{field}.namespace is "kube-system"'
        tenant.wait_told(f"store-{number}", "InvalidProviderConfig", "SecretStore", said)
        tenant.wait_failed(f"es-{number}", said)
        assert tenant.find("Secret", f"es-{number}") is None


def test_references_of_stores_that_are_not_served_yet_stay_at_home_too(bare: Bare) -> None:
    tenant = bare.tenant("references-of-others")
    vault = {"vault": {"server": "https://vault.example.com", "auth": {"tokenSecretRef": FOREIGN}}}
    tenant.create(store(name="vault", provider=vault))

    tenant.wait_told(
        "vault",
        "InvalidProviderConfig",
        "SecretStore",
        'vault.auth.tokenSecretRef.namespace is "kube-system"',
    )


def test_right_to_own_is_used_where_it_is_enforced(bare: Bare) -> None:
    """Owner references that block deletion need `externalsecrets/finalizers` there."""
    tenant = bare.tenant("finalizers")
    role = bare.kube.get(ROLE)
    without = [rule for rule in role["rules"] if "externalsecrets/finalizers" not in rule["resources"]]
    bare.kube.patch(ROLE, {"rules": without})
    tenant.create(store({"db": canary("bare")}), external_secret("db", entry("v", "db")))

    tenant.wait_failed("db", "could not update secret")
    assert "blockOwnerDeletion" in tenant.told("db")[2]
    assert tenant.find("Secret", "db") is None
    bare.kube.patch(ROLE, {"rules": role["rules"]})
    tenant.wait_values("db", {"v": canary("bare")})


def test_right_to_own_for_a_cluster_external_secret_is_used_too(bare: Bare) -> None:
    right = "clusterexternalsecrets/finalizers"
    role = bare.kube.get(ROLE)
    without = [
        rule | {"resources": [one for one in rule["resources"] if one != right]} for rule in role["rules"]
    ]
    fan = Fan(bare.kube, "fan-out", {"db": canary("bare")})
    tenant = fan.namespace("a")
    bare.kube.patch(ROLE, {"rules": without})
    fan.create()

    found = fan.wait(
        failed={tenant.namespace: f'externalsecrets.external-secrets.io "{fan.name}" is forbidden'}
    )
    assert "blockOwnerDeletion" in str(found["status"])
    bare.kube.patch(ROLE, {"rules": role["rules"]})
    fan.wait(tenant)
