"""The provider's face to the planner: it puts identity, bearer, connection and client together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keyferry.clock import Clock
from keyferry.clusters import Clusters
from keyferry.errors import KubeError, SpecError
from keyferry.ports import (
    Capabilities,
    ClusterAccess,
    Identity,
    Maintenance,
    ReadingRules,
    StoreClient,
    StoreView,
)
from keyferry.providers.kubernetes.client import KubernetesClient, is_secret_name
from keyferry.providers.kubernetes.identity import (
    PATH,
    AccountBearer,
    FixedBearer,
    Gathering,
    KubernetesIdentity,
    depends_on_namespace,
)
from keyferry.providers.kubernetes.reading import select
from keyferry.providers.outgoing import Outgoing


@dataclass(frozen=True, slots=True)
class _Material:
    """What a client is made of."""

    identity: KubernetesIdentity
    cluster: ClusterAccess
    share: str


class KubernetesProvider:
    """See the package's docstring.

    Args:
        clusters: the way to API servers; this one owns it.
        outgoing: tells what may be connected to.
        clock: to know when tokens end.
    """

    name: ClassVar[str] = "kubernetes"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_WRITE
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules(select=select)
    watches: ClassVar[bool] = True

    def __init__(self, clusters: Clusters, outgoing: Outgoing, clock: Clock) -> None:
        self._clusters = clusters
        self._gathering = Gathering(clusters, outgoing)
        self._clock = clock

    def check(self, store: StoreView) -> None:
        """See `ports.Provider.check`."""
        self._gathering.check(store)

    def referent(self, store: StoreView) -> bool:
        """See `ports.Provider.referent`."""
        return depends_on_namespace(store)

    def canonical(self, store: StoreView, key: str) -> str:  # noqa: ARG002 - the port's signature
        """See `ports.Provider.canonical`: the name of the Secret, whose namespace the store has set."""
        if not is_secret_name(key):
            raise SpecError(
                f'remote secret "{key[:253]}" is no name that a Secret can have',
                hint="Set key to a Secret's name, and property to a key in it",
            )
        return key

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """See `ports.Provider.identify`."""
        identity = await self._gathering.gather(store, namespace, cluster)
        return Identity(identity.fingerprint(), _Material(identity, cluster, store.key.namespace))

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`. Nobody is asked before the first read or validation."""
        material: _Material = identity.material
        who = material.identity
        bearer: AccountBearer | FixedBearer | None = None
        if who.account is not None:
            bearer = AccountBearer(who.account, material.cluster, self._clock)
        elif who.token is not None:
            bearer = FixedBearer(who.token)
        try:
            connection = await self._clusters.connect(who.target(bearer, material.share))
        except KubeError as error:
            why = error.message
        else:
            return KubernetesClient(connection, who, bearer)
        raise SpecError(f"{PATH}: {why}", hint="Check the CA, and the client certificate and its key")

    async def close(self) -> None:
        """See `ports.Provider.close`."""
        await self._clusters.close()
