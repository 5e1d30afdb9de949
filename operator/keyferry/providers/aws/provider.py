"""The provider's face to the planner: it puts identity, credentials and client together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keyferry.clock import Clock, SystemClock
from keyferry.errors import ProviderError, SpecError
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
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.generators import ECRAuthorizationTokenGenerator, STSSessionTokenGenerator
from keyferry.providers.aws.identity import AwsIdentity, check, depends_on_namespace, gather
from keyferry.providers.aws.lending import Lender
from keyferry.providers.aws.pace import Paces
from keyferry.providers.aws.parameter_names import canonical, parsed
from keyferry.providers.aws.parameter_store import ParameterStoreClient
from keyferry.providers.aws.sdk import SSM, AwsSdk
from keyferry.providers.aws.secrets_manager import SecretsManagerClient


@dataclass(frozen=True, slots=True)
class _Material:
    """What a client is made of."""

    identity: AwsIdentity
    cluster: ClusterAccess


class AWSProvider:
    """AWS Secrets Manager and Systems Manager Parameter Store.

    Args:
        ambient: which stores may use the operator's own identity.
        clock: to know when credentials end.
    """

    name: ClassVar[str] = "aws"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_WRITE
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules(literal_property_first=True)

    def __init__(self, ambient: AmbientIdentity = AmbientIdentity.ALL, clock: Clock | None = None) -> None:
        self._ambient = ambient
        self._clock = clock or SystemClock()
        self._sdk = AwsSdk()
        self._paces = Paces()

    def check(self, store: StoreView) -> None:
        """See `ports.Provider.check`."""
        check(store, self._ambient)

    def referent(self, store: StoreView) -> bool:
        """See `ports.Provider.referent`."""
        return depends_on_namespace(store)

    def canonical(self, store: StoreView, key: str) -> str:
        """See `ports.Provider.canonical`. An ARN stands for itself: it may lead to another account."""
        whole = f"{store.block.prefix}{key}"
        if store.block.service != "ParameterStore":
            return whole
        try:
            return canonical(parsed(whole).name)
        except ProviderError as error:
            failure = SpecError(error.message, hint=error.hint)
        raise failure

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """See `ports.Provider.identify`."""
        identity = await gather(store, namespace, cluster)
        return Identity(identity.fingerprint(), _Material(identity, cluster))

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`. No call is made before the first read or validation."""
        material: _Material = identity.material
        who = material.identity
        credentials = CredentialSession(who, self._sdk, material.cluster, self._clock)
        if who.service == SSM:
            line = self._paces.line(who.account, who.region, who.share)
            return ParameterStoreClient(self._sdk, credentials, who.region, who.prefix, line)
        return SecretsManagerClient(self._sdk, credentials, who.region, who.prefix)

    def generators(self) -> tuple[Generator, ...]:
        """The generators of AWS. They share connections with the stores, and end with them."""
        return (
            ECRAuthorizationTokenGenerator(self._sdk, self._clock, self._ambient),
            STSSessionTokenGenerator(self._sdk, self._clock, self._ambient),
        )

    def lender(self) -> Lender:
        """AWS identities for those who log in elsewhere with them."""
        return Lender(self._sdk, self._clock)

    async def close(self) -> None:
        """See `ports.Provider.close`."""
        self._sdk.close()
