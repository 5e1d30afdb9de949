"""Somebody whose namespace has an identity at the Azure double: an app for its ServiceAccount, and a vault.

The vault has a short name of the namespace's own, so that tests do not meet each other in Azure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from keyferry.api import names
from keyferry.testing.azure import SECRETS_USER, Administrator, CallRecord, Principal, StrictAzure
from keyferry.testing.azure.permissions import Mode
from keyferry.testing.builders import Object, secret, store
from keyferry.testing.tenant import Tenant

ACCOUNT_NAME: Final = "app"
CONTROLLER: Final = "azure"
"""The class of stores here: their operator finds the double instead of Azure."""
CLIENT_ANNOTATION: Final = "azure.workload.identity/client-id"
TENANT_ANNOTATION: Final = "azure.workload.identity/tenant-id"


class AzureTenant:
    """See the module's docstring.

    Args:
        tenant: who works in the namespace.
        azure: the double.
        administrator: who sets it up, in a directory and cloud.
        issuer: of the cluster's ServiceAccount tokens.
        controller: the class of its stores.
        mode: how permissions are granted in the vault.
    """

    def __init__(
        self,
        tenant: Tenant,
        azure: StrictAzure,
        administrator: Administrator,
        issuer: str,
        controller: str = CONTROLLER,
        *,
        mode: Mode = "rbac",
    ) -> None:
        self.tenant = tenant
        self.azure = azure
        self.administrator = administrator
        # At most 24 characters, as vaults' names have.
        self.vault = f"kv-{hashlib.sha256(tenant.namespace.encode()).hexdigest()[:16]}"
        self.url = administrator.create_vault(self.vault, mode=mode)
        self._issuer = issuer
        self._controller = controller

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.tenant.namespace

    # -- Azure's side

    def put(self, name: str, value: str | Mapping[str, Any], **how: Any) -> str:
        """Create a remote secret or give it a new value; its version. See `Administrator.put_secret`."""
        return self.administrator.put_secret(self.vault, name, value, **how)

    def app(self, *permissions: str, account: str = ACCOUNT_NAME, namespace: str = "") -> Principal:
        """An app that tokens of a ServiceAccount stand for.

        Args:
            permissions: in the vault, see `Administrator.grant`; reading secrets if left out.
            namespace: of the ServiceAccount; the tenant's own if left out.
        """
        app = self.administrator.app_for_service_account(self._issuer, namespace or self.namespace, account)
        self.administrator.grant(self.vault, app, *(permissions or (SECRETS_USER,)))
        return app

    def principal(self, *permissions: str) -> Principal:
        """An app with a client secret. Args as for `app`."""
        app = self.administrator.create_app(with_secret=True)
        self.administrator.grant(self.vault, app, *(permissions or (SECRETS_USER,)))
        return app

    # -- objects

    @staticmethod
    def account(app: Principal, name: str = ACCOUNT_NAME) -> Object:
        """A ServiceAccount that stands for an app."""
        annotations = {CLIENT_ANNOTATION: app.client_id, TENANT_ANNOTATION: app.tenant}
        metadata = {"name": name, "annotations": annotations}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}

    @staticmethod
    def keys(app: Principal, name: str = "azure-keys") -> Object:
        """A Secret with the client id and client secret of an app."""
        return secret(name, {"id": app.client_id, "secret": app.secret})

    @staticmethod
    def key_auth(app: Principal, name: str = "azure-keys", **where: str) -> Object:
        """The fields of a store for a Secret as `keys` makes it."""
        return {
            "authType": "ServicePrincipal",
            "tenantId": app.tenant,
            "authSecretRef": {
                "clientId": {"name": name, "key": "id", **where},
                "clientSecret": {"name": name, "key": "secret", **where},
            },
        }

    def store(
        self, *, name: str = "store", cluster: bool = False, controller: str = "", **block: Any
    ) -> Object:
        """A store that asks the vault as ServiceAccount `app` of the namespace where nothing else is said.

        Args:
            name: its name.
            cluster: make it a ClusterSecretStore.
            controller: spec.controller; its usual one if left out.
            block: fields of the azurekv block, by their names on the wire.
        """
        auth = {"authType": "WorkloadIdentity", "serviceAccountRef": {"name": ACCOUNT_NAME}}
        if "authType" in block:
            auth = {}
        provider = {"azurekv": {"vaultUrl": self.url} | auth | block}
        return store(name=name, cluster=cluster, controller=controller or self._controller, provider=provider)

    def move_in(self, *permissions: str, **store_changes: Any) -> Principal:
        """Create app, ServiceAccount and store, and wait until the store is ready; the app."""
        app = self.app(*permissions)
        self.tenant.create(self.account(app), self.store(**store_changes))
        self.tenant.wait_told("store", "Valid", names.SECRET_STORE)
        return app

    # -- what was asked

    def reads(self, path: str = "*") -> list[CallRecord]:
        """Requests to the vault with a token, by their path: `/secrets/db*`, or all."""
        host = urlsplit(self.url).hostname or ""
        return [call for call in self.azure.control.calls(service="vault", host=host, path=path) if call.oid]

    def exchanges(self) -> list[CallRecord]:
        """Requests for tokens with one of the namespace's ServiceAccounts."""
        prefix = f"system:serviceaccount:{self.namespace}:"
        return [call for call in self.azure.control.calls(service="entra") if call.subject.startswith(prefix)]
