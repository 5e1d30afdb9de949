"""Azure Key Vault, as the strict double, by the cloud's own host names."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.providers.backends.base import RETRY_AFTER_S, Trouble, make_view
from tests.contract.providers.backends.flat import FlatNames, flat

from keyferry.ports import StoreView
from keyferry.providers.azure import AzureKVProvider
from keyferry.testing.azure import SECRETS_USER, Administrator, Fault, StrictAzure
from keyferry.testing.clusteraccess import Cluster

FAULTS: dict[Trouble, dict[str, Any]] = {
    Trouble.THROTTLED: {
        "kind": "error",
        "status": 429,
        "code": "Throttled",
        "headers": {"Retry-After": str(RETRY_AFTER_S)},
    },
    Trouble.FAILING: {"kind": "error", "status": 500, "code": "InternalServerError"},
    Trouble.CUT: {"kind": "cut-body"},
    Trouble.HELD: {"kind": "hold"},
}


class AzureBackend:
    keeps_bytes = False
    finds = True
    denies = True
    names_pause = True
    largest = 25 * 1024
    absent_version = "0" * 32

    def __init__(
        self, cluster: Cluster, azure: StrictAzure, administrator: Administrator, unique: str
    ) -> None:
        self.provider = FlatNames(AzureKVProvider())
        self.cluster = cluster
        self.azure = azure
        self.administrator = administrator
        self.vault = f"kv-{unique}"
        self.url = administrator.create_vault(self.vault)
        self.app = administrator.create_app(with_secret=True)
        self.names: set[str] = set()
        administrator.grant(self.vault, self.app, SECRETS_USER)
        cluster.put_secret("team-a", "azure", id=self.app.client_id, secret=self.app.secret)

    def put(self, key: str, value: str | bytes) -> str:
        assert isinstance(value, str)
        self.names.add(flat(key))
        return self.administrator.put_secret(self.vault, flat(key), value)

    def view(self) -> StoreView:
        return make_view("azurekv", azure_block(self.url, self.app.tenant))

    def deny(self, key: str) -> None:
        self.names.remove(flat(key))
        self.administrator.revoke(self.vault, self.app)
        for name in self.names:
            self.administrator.grant(self.vault, self.app, SECRETS_USER, scope=f"secrets/{name}")

    def trouble(self, kind: Trouble) -> None:
        self.azure.control.add_fault(Fault(service="vault", host=self._host, **FAULTS[kind]))

    def wait_held(self) -> None:
        self.azure.control.wait_for_calls_in_flight(1, service="vault", host=self._host)

    def relieve(self) -> None:
        self.azure.control.clear_faults()

    @property
    def _host(self) -> str:
        return f"{self.vault}.*"


def azure_block(url: str, tenant: str, **changes: Any) -> dict[str, Any]:
    """An azurekv block that asks with the client secret in Secret `azure`; a change to None takes a field away."""
    refs = {
        "clientId": {"name": "azure", "key": "id"},
        "clientSecret": {"name": "azure", "key": "secret"},
    }
    block = {"vaultUrl": url, "tenantId": tenant, "authSecretRef": refs, **changes}
    return {key: value for key, value in block.items() if value is not None}


def make(request: pytest.FixtureRequest, cluster: Cluster) -> AzureBackend:
    azure, administrator = (request.getfixturevalue(name) for name in ("azure", "azure_administrator"))
    return AzureBackend(cluster, azure, administrator, request.getfixturevalue("unique"))
