"""The provider's face to the planner: it puts identity, connection and client together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keyferry.api.external_secret import RemoteRef
from keyferry.api.providers.vault import VaultProvider as VaultBlock
from keyferry.clock import Clock, SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.core.origins import TrustedVaults
from keyferry.core.select import select_map, select_value
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
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.vault.checks import Rules
from keyferry.providers.vault.dynamic import VaultDynamicSecretGenerator
from keyferry.providers.vault.google import GoogleEndpoints, GoogleTokens
from keyferry.providers.vault.identity import VaultIdentity
from keyferry.providers.vault.kv import KVClient
from keyferry.providers.vault.lent import AwsLogins
from keyferry.providers.vault.paths import place_of
from keyferry.providers.vault.vaults import Vaults
from keyferry.secretdata import SecretBytes


def select(
    value: SecretBytes, reference: RemoteRef, members: bool
) -> SecretBytes | Mapping[str, SecretBytes]:
    """A property is first looked up as one literal key, whatever characters it has, then as a path."""
    found = value
    if reference.property:
        literal = select_map(value).get(reference.property)
        found = select_value(value, reference.property) if literal is None else literal
    return select_map(found) if members else found


@dataclass(frozen=True, slots=True)
class _Material:
    """What a client is made of."""

    identity: VaultIdentity
    cluster: ClusterAccess
    path: str | None
    versioned: bool


class VaultProvider:
    """The KV engine of HashiCorp Vault.

    Args:
        addresses: what may be connected to.
        ambient: which stores may use the operator's own identity.
        trusted: Vaults that get tokens which the API server accepts.
        aws: lends AWS identities, for the iam method.
        google: where Google's services are, for the gcp method.
        clock: for when proofs end.
    """

    name: ClassVar[str] = "vault"
    product: ClassVar[str] = "Vault"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_WRITE
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules(select=select)

    def __init__(
        self,
        addresses: AddressPolicy,
        ambient: AmbientIdentity = AmbientIdentity.ALL,
        trusted: TrustedVaults | None = None,
        *,
        aws: AwsLogins | None = None,
        google: GoogleEndpoints | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock = clock or SystemClock()
        rules = Rules(ambient, trusted or TrustedVaults(), addresses, Outgoing(addresses, clock))
        self.vaults = Vaults(self.product, rules, GoogleTokens(clock, google), aws)
        """Connections by who asks, for generators too."""

    @property
    def path(self) -> str:
        """Where the block stands in a store."""
        return f"spec.provider.{self.name}"

    def check(self, store: StoreView) -> None:
        """See `ports.Provider.check`."""
        self.vaults.check(_block(store), store.key, self.path)

    def referent(self, store: StoreView) -> bool:
        """See `ports.Provider.referent`."""
        return store.cluster_scoped and is_referent(_block(store))

    def canonical(self, store: StoreView, key: str) -> str:
        """See `ports.Provider.canonical`: mount and key, whichever way the manifest writes them."""
        block = _block(store)
        return place_of(key, block.path, versioned=block.version == "v2").canonical

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """See `ports.Provider.identify`. Stores that differ in path or version alone share a login."""
        block = _block(store)
        identity = await self.vaults.identify(block, store.key, namespace, cluster, self.path)
        parts = (self.name, identity.fingerprint, block.path, block.version)
        fingerprint = hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()
        return Identity(fingerprint, _Material(identity, cluster, block.path, block.version == "v2"))

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`. No call is made before the first read or validation."""
        material: _Material = identity.material
        connection = self.vaults.open(material.identity, material.cluster)
        return KVClient(self.vaults, connection, material.path, versioned=material.versioned)

    def generators(self) -> tuple[Generator, ...]:
        """The generators of Vault. They share logins with the stores, and end before them."""
        return (VaultDynamicSecretGenerator(self.vaults, self._clock),)

    async def close(self) -> None:
        """See `ports.Provider.close`."""
        await self.vaults.close()


class OpenBaoProvider(VaultProvider):
    """The KV engine of OpenBao."""

    name: ClassVar[str] = "openBao"
    product: ClassVar[str] = "OpenBao"

    def generators(self) -> tuple[Generator, ...]:
        """None: there is one kind of generator for both, and it is Vault's."""
        return ()


def _block(store: StoreView) -> VaultBlock:
    if not isinstance(store.block, VaultBlock):
        raise SpecError(f"{store.key} is no {store.provider} store")
    return store.block
