"""The Vault provider on a real Vault, and on the double of what the real one lacks."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.contract.providers.backends.base import make_view

from keyferry.core.addresses import AddressPolicy
from keyferry.core.origins import TrustedVaults
from keyferry.errors import KeyferryError
from keyferry.ports import AmbientIdentity, Read, StoreClient, StoreView
from keyferry.providers.vault import VaultProvider
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.leaks import canary
from keyferry.testing.vault import Administrator, VaultServer
from keyferry.testing.vaultdouble import VaultDouble

AppRole = Mapping[str, Any]


class Team:
    """A mount, a policy and an AppRole of the test's own, and stores in namespace team-a that log in with it.

    Args:
        server, ca_pem: where stores look for Vault.
        administrator: of that Vault.
        name: of all of it.
        cluster: holds the role's Secret.
    """

    def __init__(
        self, server: str, ca_pem: str, administrator: Administrator, name: str, cluster: Cluster
    ) -> None:
        self.server = server
        self.ca_pem = ca_pem
        self.administrator = administrator
        self.name = name
        self.cluster = cluster
        administrator.mount_kv(name)

    def allow(self, rules: Mapping[str, Sequence[str]] | None = None) -> str:
        """Write the policy; without rules it may read all of the mount."""
        usual = {f"{self.name}/data/*": ["read"], f"{self.name}/metadata/*": ["list", "read"]}
        return self.administrator.policy(self.name, usual if rules is None else rules)

    def role(self, **settings: Any) -> None:
        """Make the AppRole and its Secret."""
        made = self.administrator.app_role(self.name, [self.allow()], **settings)
        self.cluster.put_secret("team-a", "approle", role=made.role_id, secret=made.secret_id)

    def put(self, key: str, **data: Any) -> int:
        return self.administrator.put(self.name, key, data)

    def block(self, **changes: Any) -> dict[str, Any]:
        """A vault block; a change to None takes a field away."""
        auth = {
            "appRole": {
                "roleRef": {"name": "approle", "key": "role"},
                "secretRef": {"name": "approle", "key": "secret"},
            }
        }
        block = {"server": self.server, "path": self.name, "caBundle": encoded(self.ca_pem), "auth": auth}
        return {key: value for key, value in (block | changes).items() if value is not None}

    def store(self, *, of: str = "team-a", provider: str = "vault", **changes: Any) -> StoreView:
        """A store of a Kubernetes namespace; a ClusterSecretStore if empty."""
        return make_view(provider, self.block(**changes), namespace=of)


def encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


@pytest.fixture
async def make_provider() -> AsyncIterator[Callable[..., VaultProvider]]:
    """Makes providers; they end with the test."""
    made: list[VaultProvider] = []

    def make(
        *allowed: str,
        ambient: AmbientIdentity = AmbientIdentity.ALL,
        trusted: Sequence[str] = (),
        kind: type[VaultProvider] = VaultProvider,
        **more: Any,
    ) -> VaultProvider:
        provider = kind(AddressPolicy(allowed), ambient, TrustedVaults(trusted), **more)
        made.append(provider)
        return provider

    yield make
    for provider in made:
        await provider.close()


@pytest.fixture
def provider(make_provider: Callable[..., VaultProvider]) -> VaultProvider:
    return make_provider("127.0.0.1")


@pytest.fixture
def team(vault: VaultServer, unique: str, cluster: Cluster) -> Team:
    """Asks the real Vault; nothing is there yet but the mount, the policy and the AppRole."""
    vault.audit.reset()
    made = Team(vault.url, vault.ca_pem, vault.administrator, unique, cluster)
    made.role()
    return made


@pytest.fixture
def proxied(team: Team, vault_proxy: Any) -> Team:
    """The same by way of the proxy, which can fail."""
    made = Team(vault_proxy.url, vault_proxy.ca_pem, team.administrator, team.name, team.cluster)
    made.administrator = team.administrator
    return made


@pytest.fixture
def double(cluster: Cluster) -> Iterator[VaultDouble]:
    """An Enterprise cluster."""
    with VaultDouble() as running:
        running.root.mount_kv("kv", 2)
        running.root.put("kv", "db", {"password": canary("vault-double")})
        running.root.policy("app", {"kv/data/*": ["read"], "kv/metadata/*": ["list", "read"]})
        yield running


@pytest.fixture
def ask(connect: Callable[..., Any], provider: VaultProvider) -> Callable[..., Any]:
    """Reads one value of a store with a client of its own: the JSON text, or the failure, returned."""

    async def of(store: StoreView, key: str, version: str = "", **more: Any) -> Any:
        using = more.pop("provider", provider)
        client: StoreClient = await connect(using, store)
        return await answer(client, Read(key, version, **more))

    return of


async def answer(client: StoreClient, read: Read) -> Any:
    """The text of a value, or the failure."""
    try:
        (one,) = await client.read([read])
    except KeyferryError as error:
        return error
    return one if isinstance(one, KeyferryError) else one.value.reveal().decode()


@pytest.fixture
def kit() -> Any:
    """The functions of this file, for modules that cannot import a conftest."""

    class Kit:
        Team = Team
        answer = staticmethod(answer)
        encoded = staticmethod(encoded)

    return Kit
