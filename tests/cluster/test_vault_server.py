"""The session's Vault and the cluster: who logs in with a ServiceAccount's token, and what the API server is asked."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.leaks import canary
from keyferry.testing.tenant import Tenant
from keyferry.testing.vault import Api, VaultRefused, VaultServer

AUDIENCE = "vault"


@pytest.fixture
def account(tenant: Tenant) -> str:
    tenant.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}})
    return "app"


def login(vault: VaultServer, path: str, role: str, token: str) -> dict[str, Any]:
    answer = Api(vault.url, vault.ca_pem).request("POST", f"auth/{path}/login", {"role": role, "jwt": token})
    return dict(answer["auth"])


def test_a_requested_token_logs_in_at_a_real_vault(
    vault: VaultServer, cluster: LocalCluster, namespace: str, account: str
):
    administrator = vault.administrator
    administrator.mount_kv(namespace)
    administrator.put(namespace, "db", {"password": canary("vault-login")})
    administrator.policy(namespace, {f"{namespace}/data/*": ["read"]})
    administrator.kubernetes_role(namespace, namespace, account, [namespace], audience=AUDIENCE)

    granted = login(
        vault,
        "kubernetes",
        namespace,
        cluster.service_account_token(namespace, account, audiences=[AUDIENCE]),
    )
    read = Api(vault.url, vault.ca_pem, granted["client_token"]).request("GET", f"{namespace}/data/db")

    assert canary("vault-login") == read["data"]["data"]["password"]
    assert (namespace, account) == (
        granted["metadata"]["service_account_namespace"],
        granted["metadata"]["service_account_name"],
    )
    assert [namespace] == [policy for policy in granted["policies"] if policy != "default"]


def test_a_token_for_somebody_else_does_not_log_in(
    vault: VaultServer, cluster: LocalCluster, namespace: str, account: str, tenant: Tenant
):
    """Neither one for another audience or ServiceAccount, nor one that nobody has signed: Vault has no key to check
    it by, and asks the API server.
    """
    tenant.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "other"}})
    vault.administrator.kubernetes_role(namespace, namespace, account, ["default"], audience=AUDIENCE)
    good = cluster.service_account_token(namespace, account, audiences=[AUDIENCE])
    refused = {}

    for why, token in {
        "audience": cluster.service_account_token(namespace, account, audiences=["elsewhere"]),
        "account": cluster.service_account_token(namespace, "other", audiences=[AUDIENCE]),
        "signature": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
    }.items():
        with pytest.raises(VaultRefused) as caught:
            login(vault, "kubernetes", namespace, token)
        refused[why] = caught.value.status
    login(vault, "kubernetes", namespace, good)

    assert {"audience": 403, "account": 403, "signature": 403} == refused


def test_a_token_is_checked_by_the_clusters_keys(
    vault: VaultServer, cluster: LocalCluster, namespace: str, account: str
):
    subject = f"system:serviceaccount:{namespace}:{account}"
    vault.administrator.jwt_role(namespace, subject, [AUDIENCE], ["default"])

    granted = login(
        vault, "jwt", namespace, cluster.service_account_token(namespace, account, audiences=[AUDIENCE])
    )
    with pytest.raises(VaultRefused) as refused:
        login(
            vault,
            "jwt",
            namespace,
            cluster.service_account_token(namespace, account, audiences=["elsewhere"]),
        )

    assert ["default"] == granted["policies"]
    assert 400 == refused.value.status
