"""Vault's logins as tests set them up: who may log in how, and with which policies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keyferry.localcluster import LocalCluster, pins
from keyferry.testing.vault.api import Api

REVIEWER: Final = "vault-token-reviewer"
"""A ServiceAccount in kube-system that may ask the API server whose a token is, and nothing more."""


@dataclass(frozen=True, slots=True)
class AppRole:
    """What a program logs in with."""

    role_id: str
    secret_id: str = field(repr=False)


class Logins:
    """A part of `Administrator`.

    Args:
        api: with a token that may do everything.
    """

    def __init__(self, api: Api) -> None:
        self.api = api

    def enable_login(self, path: str, kind: str, **settings: Any) -> None:
        """Enable a login at `auth/PATH`, where none is enabled there yet; `settings` are its `config`."""
        if f"{path.strip('/')}/" not in self.api.request("GET", "sys/auth")["data"]:
            self.api.request("POST", f"sys/auth/{path}", {"type": kind, "config": settings})

    def disable_login(self, path: str) -> None:
        """Disable a login; its tokens end."""
        self.api.request("DELETE", f"sys/auth/{path}")

    # -- Kubernetes

    def trust_cluster(self, cluster: LocalCluster, path: str = "kubernetes") -> None:
        """Let ServiceAccounts of that cluster log in at `auth/PATH`: Vault asks its API server who they are."""
        cluster.kubectl("apply", "-f", "-", input=json.dumps(_reviewer()))
        self.enable_login(path, pins.KUBERNETES_LOGIN)
        wanted = {
            "kubernetes_host": cluster.server,
            "kubernetes_ca_cert": cluster.ca_pem,
            "token_reviewer_jwt": cluster.service_account_token("kube-system", REVIEWER),
            "disable_local_ca_jwt": True,
        }
        self.api.request("POST", f"auth/{path}/config", wanted)

    def kubernetes_role(
        self,
        role: str,
        namespace: str,
        account: str,
        policies: Sequence[str],
        *,
        path: str = "kubernetes",
        **settings: Any,
    ) -> None:
        """Let a ServiceAccount log in; `settings` as of a role: `audience`, `token_ttl`, `token_max_ttl`, …."""
        wanted = {
            "bound_service_account_names": [account],
            "bound_service_account_namespaces": [namespace],
            "token_policies": list(policies),
        }
        self.api.request("POST", f"auth/{path}/role/{role}", wanted | settings)

    # -- tokens of issuers

    def trust_issuer(self, issuer: str, ca_pem: str, path: str = "jwt") -> None:
        """Let tokens of an OpenID Connect issuer, such as a cluster is one, log in at `auth/PATH`."""
        self.enable_login(path, "jwt")
        wanted = {"oidc_discovery_url": issuer, "oidc_discovery_ca_pem": ca_pem, "bound_issuer": issuer}
        self.api.request("POST", f"auth/{path}/config", wanted)

    def jwt_role(
        self,
        role: str,
        subject: str,
        audiences: Sequence[str],
        policies: Sequence[str],
        *,
        path: str = "jwt",
        **settings: Any,
    ) -> None:
        """Let a subject log in with a token for one of these audiences."""
        wanted = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_subject": subject,
            "bound_audiences": list(audiences),
            "token_policies": list(policies),
        }
        self.api.request("POST", f"auth/{path}/role/{role}", wanted | settings)

    # -- passwords, and what is like them

    def app_role(
        self, role: str, policies: Sequence[str], *, path: str = "approle", **settings: Any
    ) -> AppRole:
        """A role for programs, with a secret id; `settings` as of a role: `secret_id_num_uses`, `token_ttl`, …."""
        self.enable_login(path, "approle")
        self.api.request("POST", f"auth/{path}/role/{role}", {"token_policies": list(policies)} | settings)
        role_id = self.api.request("GET", f"auth/{path}/role/{role}/role-id")["data"]["role_id"]
        made = self.api.request("POST", f"auth/{path}/role/{role}/secret-id")
        return AppRole(role_id, made["data"]["secret_id"])

    def user(
        self, name: str, password: str, policies: Sequence[str], *, path: str = "userpass", **settings: Any
    ) -> None:
        """A user with a password at `auth/PATH`."""
        self.enable_login(path, "userpass")
        wanted = {"password": password, "token_policies": list(policies)}
        self.api.request("POST", f"auth/{path}/users/{name}", wanted | settings)

    def certificate_role(
        self, role: str, ca_pem: str, policies: Sequence[str], *, path: str = "cert", **settings: Any
    ) -> None:
        """Let clients log in with a certificate of this authority; `settings`: `allowed_common_names`, …."""
        self.enable_login(path, "cert")
        wanted = {"certificate": ca_pem, "token_policies": list(policies)}
        self.api.request("POST", f"auth/{path}/certs/{role}", wanted | settings)


def _reviewer() -> dict[str, Any]:
    account = {"name": REVIEWER, "namespace": "kube-system"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": REVIEWER},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", **account}],
    }
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, binding],
    }
