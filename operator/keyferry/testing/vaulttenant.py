"""Somebody whose namespace has an identity at Vault: a mount, a policy, a role for its ServiceAccount.

All of them have the namespace's name, so that tests do not meet each other in Vault.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keyferry.api import names
from keyferry.testing.builders import Object, store
from keyferry.testing.tenant import Tenant
from keyferry.testing.vault import VaultServer
from keyferry.testing.vault.audit import Call

ACCOUNT_NAME: Final = "app"
CONTROLLER: Final = "vault"
"""The class of stores here: their operator may connect to this machine."""


class VaultTenant:
    """See the module's docstring.

    Args:
        tenant: who works in the namespace.
        vault: the server.
        url, ca_pem: where stores look for it; the server itself if empty.
    """

    def __init__(self, tenant: Tenant, vault: VaultServer, url: str = "", ca_pem: str = "") -> None:
        self.tenant = tenant
        self.vault = vault
        self.administrator = vault.administrator
        self.url = url or vault.url
        self.ca_pem = ca_pem or vault.ca_pem

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.tenant.namespace

    # -- Vault's side

    def put(self, key: str, data: Mapping[str, Any]) -> int:
        """Create a remote secret or give it a new value; its version."""
        self.administrator.mount_kv(self.namespace)
        return self.administrator.put(self.namespace, key, data)

    def allow(self, rules: Mapping[str, Sequence[str]] | None = None) -> str:
        """Write the namespace's policy: it may read its own mount, or what the rules say; its name."""
        usual = {
            f"{self.namespace}/data/*": ["read"],
            f"{self.namespace}/metadata/*": ["list", "read"],
        }
        return self.administrator.policy(self.namespace, usual if rules is None else rules)

    def role(self, *, account: str = ACCOUNT_NAME, namespace: str = "", **settings: Any) -> str:
        """Let a ServiceAccount log in by `auth/kubernetes`, with the audience `vault`; the role."""
        wanted = {"audience": "vault"} | settings
        where = namespace or self.namespace
        self.administrator.kubernetes_role(
            self.namespace, where, account, [self.allow()], **{k: v for k, v in wanted.items() if v}
        )
        return self.namespace

    # -- manifests

    @staticmethod
    def account(name: str = ACCOUNT_NAME) -> Object:
        """A ServiceAccount."""
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}

    def kubernetes_auth(self, **reference: Any) -> Object:
        """An auth block for the namespace's role."""
        account = {"name": ACCOUNT_NAME, **reference}
        return {"kubernetes": {"role": self.namespace, "serviceAccountRef": account}}

    def block(self, **changes: Any) -> Object:
        """A vault block; a change to None takes a field away."""
        made = {
            "server": self.url,
            "path": self.namespace,
            "caBundle": base64.b64encode(self.ca_pem.encode()).decode(),
            "auth": self.kubernetes_auth(),
            **changes,
        }
        return {key: value for key, value in made.items() if value is not None}

    def store(
        self,
        *,
        name: str = "store",
        cluster: bool = False,
        controller: str = CONTROLLER,
        provider: str = "vault",
        **block: Any,
    ) -> Object:
        """A store that logs in as ServiceAccount `app` where nothing else is said.

        Args:
            provider: its key in spec.provider.
            block: fields of the block, by their names on the wire.
        """
        spec: Object = {"controller": controller} if controller else {}
        return store(name=name, cluster=cluster, provider={provider: self.block(**block)}, **spec)

    def move_in(self, **block: Any) -> None:
        """Create mount, policy, role, ServiceAccount and store, and wait until the store is ready."""
        self.administrator.mount_kv(self.namespace)
        self.role()
        self.tenant.create(self.account(), self.store(**block))
        self.tenant.wait_told("store", "Valid", names.SECRET_STORE)

    # -- what was asked

    def reads(self, key: str = "*") -> list[Call]:
        """Reads of the namespace's remote secrets."""
        return [
            call
            for call in self.vault.audit.calls(path=f"{self.namespace}/data/{key}")
            if call.operation == "read"
        ]

    def logins(self, mount: str = "kubernetes") -> list[Call]:
        """Logins that got a token for the namespace's policy."""
        return [call for call in self.vault.audit.logins(mount) if self.namespace in call.display_name]
