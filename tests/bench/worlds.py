"""Stores for benchmarks: each with its remote secrets, and a ServiceAccount of the cluster that may read them.

No store here has a key of its own: the operator proves the ServiceAccount, as users have it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from keyferry.localcluster import LocalCluster
from keyferry.testing.aws import StrictAws
from keyferry.testing.azure import SECRETS_USER, StrictAzure
from keyferry.testing.builders import Object
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import canary
from keyferry.testing.vault import VaultServer

NAMESPACE = "calls"
ACCOUNT = "app"
VALUE = canary("bench")


@dataclass(frozen=True)
class World:
    """A store that is ready to be read.

    Args:
        provider: the key in `spec.provider`, and its block.
        environment, flags: of the operator.
        annotations: of the ServiceAccount.
        token_lifetime_s: how long what a login gives is good; 0 where there is no login.
        logins: how many the other side has counted.
    """

    provider: tuple[str, Object]
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    token_lifetime_s: float = 0
    logins: Callable[[], int] = lambda: 0


def remote_key(number: int) -> str:
    """The name of a remote secret, good in every store."""
    return f"app-{number}"


@contextmanager
def secrets_manager(cluster: LocalCluster, _: KubeClient, count: int) -> Iterator[World]:
    """AWS Secrets Manager with a role of the ServiceAccount's own."""
    with StrictAws() as aws:
        administrator = aws.administrator()
        administrator.trust_cluster(cluster.issuer, cluster.ca_pem)
        for number in range(count):
            administrator.put_secret(remote_key(number), VALUE)
        role = administrator.role_for_service_account("app", NAMESPACE, ACCOUNT, allow=["app-*"])
        yield World(
            ("aws", _aws("SecretsManager", administrator.region)),
            aws.environment,
            annotations={"eks.amazonaws.com/role-arn": role},
            token_lifetime_s=3600,
            logins=lambda: len(aws.control.calls(service="sts")),
        )


@contextmanager
def parameter_store(cluster: LocalCluster, _: KubeClient, count: int) -> Iterator[World]:
    """AWS Parameter Store with a role of the ServiceAccount's own."""
    with StrictAws() as aws:
        administrator = aws.administrator()
        administrator.trust_cluster(cluster.issuer, cluster.ca_pem)
        for number in range(count):
            administrator.put_parameter(remote_key(number), VALUE)
        policy = administrator.parameter_policy(["app-*"])
        role = administrator.role_for_service_account("app", NAMESPACE, ACCOUNT, policy=policy)
        yield World(
            ("aws", _aws("ParameterStore", administrator.region)),
            aws.environment,
            annotations={"eks.amazonaws.com/role-arn": role},
            token_lifetime_s=3600,
            logins=lambda: len(aws.control.calls(service="sts")),
        )


def _aws(service: str, region: str) -> Object:
    return {
        "service": service,
        "region": region,
        "auth": {"jwt": {"serviceAccountRef": {"name": ACCOUNT}}},
    }


@contextmanager
def vault(cluster: LocalCluster, _: KubeClient, count: int) -> Iterator[World]:
    """A real Vault that asks the API server who logs in."""
    with VaultServer() as server:
        administrator = server.administrator
        administrator.trust_cluster(cluster)
        administrator.mount_kv("team", 2)
        for number in range(count):
            administrator.put("team", remote_key(number), {"value": VALUE})
        administrator.policy("app", {"team/data/*": ["read"]})
        administrator.kubernetes_role("app", NAMESPACE, ACCOUNT, ["app"], audience="vault", token_ttl="1h")
        block = {
            "server": server.url,
            "path": "team",
            "version": "v2",
            "caBundle": base64.b64encode(server.ca_pem.encode()).decode(),
            "auth": {
                "kubernetes": {
                    "mountPath": "kubernetes",
                    "role": "app",
                    "serviceAccountRef": {"name": ACCOUNT},
                }
            },
        }
        yield World(
            ("vault", block),
            flags=("--allow-address=127.0.0.1",),
            token_lifetime_s=3600,
            logins=lambda: len(server.audit.logins()),
        )


@contextmanager
def key_vault(cluster: LocalCluster, _: KubeClient, count: int) -> Iterator[World]:
    """Azure Key Vault with an application that the ServiceAccount stands for."""
    with StrictAzure() as azure:
        administrator = azure.administrator()
        administrator.trust_cluster(cluster.issuer, cluster.ca_pem)
        app = administrator.app_for_service_account(cluster.issuer, NAMESPACE, ACCOUNT)
        url = administrator.create_vault("bench")
        administrator.grant("bench", app, SECRETS_USER)
        for number in range(count):
            administrator.put_secret("bench", remote_key(number), VALUE)
        block = {
            "vaultUrl": url,
            "authType": "WorkloadIdentity",
            "serviceAccountRef": {"name": ACCOUNT},
        }
        yield World(
            ("azurekv", block),
            azure.environment,
            annotations={
                "azure.workload.identity/client-id": app.client_id,
                "azure.workload.identity/tenant-id": administrator.tenant,
            },
            token_lifetime_s=3600,
            logins=azure.control.token_requests,
        )


@contextmanager
def kubernetes(cluster: LocalCluster, kube: KubeClient, count: int) -> Iterator[World]:
    """Another namespace of the same cluster: there is no login beyond the token."""
    source = f"{NAMESPACE}-source"
    kube.post(path_of("v1", "namespaces"), {"metadata": {"name": source}})
    data = {"value": base64.b64encode(VALUE.encode()).decode()}
    for number in range(count):
        body = {"metadata": {"name": remote_key(number)}, "data": data}
        kube.post(path_of("v1", "secrets", namespace=source), body)
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    kube.post(path_of(f"{rbac}/v1", "roles", namespace=source), {"metadata": {"name": "r"}, "rules": rules})
    kube.post(
        path_of(f"{rbac}/v1", "rolebindings", namespace=source),
        {
            "metadata": {"name": "r"},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "r"},
            "subjects": [subject],
        },
    )
    block = {"remoteNamespace": source, "auth": {"serviceAccount": {"name": ACCOUNT}}}
    block |= {"server": {"caBundle": base64.b64encode(cluster.ca_pem.encode()).decode()}}
    yield World(("kubernetes", block), token_lifetime_s=600)


Maker = Callable[[LocalCluster, KubeClient, int], AbstractContextManager[World]]
WORLDS: dict[str, Maker] = {
    "AWS Secrets Manager": secrets_manager,
    "AWS Parameter Store": parameter_store,
    "HashiCorp Vault": vault,
    "Azure Key Vault": key_vault,
    "Kubernetes": kubernetes,
}


def account(world: World) -> Object:
    """The ServiceAccount that the store trusts."""
    metadata: dict[str, Any] = {"name": ACCOUNT, "annotations": dict(world.annotations)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
