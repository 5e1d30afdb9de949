"""Vault, as the real server; what goes wrong is made in front of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.contract.providers.backends.base import RETRY_AFTER_S, Trouble, make_view
from tests.contract.providers.backends.members import PROPERTY, OneMember

from keyferry.core.addresses import AddressPolicy
from keyferry.ports import StoreView
from keyferry.providers.vault import VaultProvider
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.vault import VaultProxy, VaultServer

MOUNT = "contract"


class VaultBackend:
    keeps_bytes = False
    finds = True
    denies = True
    names_pause = True
    largest = 65536
    folders = True
    absent_version = "99"

    def __init__(self, cluster: Cluster, vault: VaultServer, proxy: VaultProxy, unique: str) -> None:
        self.provider = OneMember(VaultProvider(AddressPolicy(["127.0.0.1"])))
        self.cluster = cluster
        self.vault = vault
        self.proxy = proxy
        self.policy = f"contract-{unique}"
        self.rules = {f"{MOUNT}/data/*": ["read"], f"{MOUNT}/metadata/*": ["list", "read"]}
        vault.administrator.mount_kv(MOUNT)
        vault.administrator.policy(self.policy, self.rules)
        role = vault.administrator.app_role(self.policy, [self.policy])
        cluster.put_secret("team-a", "approle", role=role.role_id, secret=role.secret_id)

    def put(self, key: str, value: str | bytes) -> str:
        assert isinstance(value, str)
        return str(self.vault.administrator.put(MOUNT, key, {PROPERTY: value}))

    def view(self) -> StoreView:
        return make_view("vault", vault_block(self.proxy.url, self.proxy.ca_pem))

    def deny(self, key: str) -> None:
        self.rules[f"{MOUNT}/data/{key}"] = ["deny"]
        self.vault.administrator.policy(self.policy, self.rules)

    def trouble(self, kind: Trouble) -> None:
        match kind:
            case Trouble.THROTTLED:
                self.proxy.throttle(str(RETRY_AFTER_S), times=0)
            case Trouble.FAILING:
                self.proxy.fail("status", times=0)
            case Trouble.CUT:
                self.proxy.fail("cut-body", times=0)
            case Trouble.HELD:
                self.proxy.fail("hold", times=0)

    def wait_held(self) -> None:
        self.proxy.wait_held()

    def relieve(self) -> None:
        self.proxy.clear()


def vault_block(server: str, ca_pem: str, **changes: Any) -> dict[str, Any]:
    """A vault block that logs in with the AppRole in Secret `approle`; a change to None takes a field away."""
    auth = {
        "appRole": {
            "roleRef": {"name": "approle", "key": "role"},
            "secretRef": {"name": "approle", "key": "secret"},
        }
    }
    block = {
        "server": server,
        "path": MOUNT,
        "caBundle": base64.b64encode(ca_pem.encode()).decode(),
        "auth": auth,
        **changes,
    }
    return {key: value for key, value in block.items() if value is not None}


def make(request: pytest.FixtureRequest, cluster: Cluster) -> VaultBackend:
    vault, proxy = request.getfixturevalue("vault"), request.getfixturevalue("vault_proxy")
    return VaultBackend(cluster, vault, proxy, request.getfixturevalue("unique"))
