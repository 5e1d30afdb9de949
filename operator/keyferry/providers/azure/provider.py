"""The provider's face to the planner: it puts identity, tokens and client together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keyferry.clock import Clock, SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.core.stores import is_referent
from keyferry.errors import SpecError
from keyferry.ports import (
    AmbientIdentity,
    Capabilities,
    ClusterAccess,
    Generator,
    Identity,
    Maintenance,
    ReadingRules,
    StoreClient,
    StoreView,
)
from keyferry.providers.azure.exchange import IdentityExchange
from keyferry.providers.azure.generators import ACRAccessTokenGenerator
from keyferry.providers.azure.identity import AzureIdentity
from keyferry.providers.azure.key_vault import KeyVaultClient
from keyferry.providers.azure.remote_keys import RemoteKey, parse
from keyferry.providers.azure.sdk import CONNECTIONS_PER_HOST, AzureSdk, Vault
from keyferry.providers.azure.select import select
from keyferry.providers.azure.store import (
    authority_address,
    block_of,
    check,
    gather,
    vault_address,
)
from keyferry.providers.azure.tokens import TokenSession
from keyferry.providers.outgoing import Address, Outgoing


@dataclass(frozen=True, slots=True)
class _Material:
    """What a client is made of."""

    identity: AzureIdentity
    vault: Address
    authority: Address
    cluster: ClusterAccess


class AzureKVProvider:
    """Azure Key Vault.

    Args:
        ambient: which stores may use the operator's own identity.
        addresses: what may be connected to: stores name vaults, and clouds of their own.
        clock: to know when tokens end.
    """

    name: ClassVar[str] = "azurekv"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_WRITE
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules(select=select)

    def __init__(
        self,
        ambient: AmbientIdentity = AmbientIdentity.ALL,
        addresses: AddressPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._ambient = ambient
        self._clock = clock or SystemClock()
        self._outgoing = Outgoing(addresses or AddressPolicy(), self._clock, CONNECTIONS_PER_HOST)
        self._sdk = AzureSdk(self._outgoing)

    def check(self, store: StoreView) -> None:
        """See `ports.Provider.check`."""
        check(store, self._ambient, self._outgoing)

    def referent(self, store: StoreView) -> bool:
        """See `ports.Provider.referent`."""
        return is_referent(block_of(store))

    def canonical(self, store: StoreView, key: str) -> str:  # noqa: ARG002 - the port's signature
        """See `ports.Provider.canonical`: in lower case; a secret without prefix, key/ and cert/ with it."""
        found = parse(key)
        if isinstance(found, RemoteKey):
            return found.canonical
        raise SpecError(
            f'remote key "{key[:200]}": {found}', hint="Write NAME, secret/NAME, key/NAME or cert/NAME"
        )

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """See `ports.Provider.identify`."""
        identity = await gather(store, namespace, cluster, self._outgoing)
        vault = vault_address(block_of(store), self._outgoing)
        authority = authority_address(identity.cloud, self._outgoing)
        return Identity(identity.fingerprint(), _Material(identity, vault, authority, cluster))

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`. No call is made before the first read or validation."""
        material: _Material = identity.material
        who = material.identity
        exchange = IdentityExchange(who, material.authority, self._sdk, material.cluster)
        tokens = TokenSession(exchange, self._clock)
        vault = Vault(self._sdk, material.vault, who.cloud, who.source, tokens)
        return KeyVaultClient(vault, self._clock)

    def generators(self) -> tuple[Generator, ...]:
        """The generators of Azure. They share connections with the stores, and end with them."""
        return (ACRAccessTokenGenerator(self._sdk, self._clock, self._ambient),)

    async def close(self) -> None:
        """See `ports.Provider.close`."""
        self._sdk.close()
        await self._outgoing.close()
