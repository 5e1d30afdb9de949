"""The store's face to the planner: one request for each question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from keyferry.aio import FairDoor
from keyferry.api.providers.webhook import WebhookProvider as WebhookBlock
from keyferry.clock import Clock
from keyferry.core.stores import effective_namespace, is_referent
from keyferry.errors import (
    ForbiddenError,
    ProviderError,
    RateLimited,
    SpecError,
    Unavailable,
)
from keyferry.ports import (
    Capabilities,
    ClusterAccess,
    Find,
    Found,
    Identity,
    Maintenance,
    Read,
    ReadingRules,
    RemoteValue,
    StoreClient,
    StoreView,
    Verdict,
)
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.webhook.errors import named
from keyferry.providers.webhook.material import Material, Origin, Wanted, gather
from keyferry.providers.webhook.request import (
    SERVICE,
    Caller,
    check_request,
    query_escaped,
    written_address,
)
from keyferry.providers.webhook.result import look_through, members_of, value_of
from keyferry.providers.webhook.templates import Chance
from keyferry.secretdata import SecretBytes

PATH: Final = "spec.provider.webhook"
MOST_AT_ONCE: Final = 8
"""Most requests of one store at the same time."""


class WebhookClient:
    """See `ports.StoreClient`.

    Args:
        outgoing: the way out.
        material: the request and its Secrets.
        chance: what templates get from outside.
        door: where work goes that would hold the event loop.
    """

    batch_size = 1
    max_concurrency = MOST_AT_ONCE

    def __init__(self, outgoing: Outgoing, material: Material, chance: Chance, door: FairDoor) -> None:
        self._outgoing = outgoing
        self._material = material
        self._chance = chance
        self._door = door
        self._caller = Caller(outgoing, material, in_result=True)

    def may_batch(self, read: Read) -> bool:  # noqa: ARG002 - the port's signature
        """Never: a request asks for one remote secret."""
        return False

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """See `ports.StoreClient.read`."""
        return [await self._one(read) for read in reads]

    async def _one(self, read: Read) -> RemoteValue | ProviderError:
        reference = {
            "key": read.key,
            "version": read.version,
            "property": read.property,
            "namespace": read.namespace,
        }
        escaped = {
            name: value if name == "namespace" else query_escaped(value) for name, value in reference.items()
        }
        try:
            answer = await self._caller.call(
                reference, self._chance.run(), named(read.key, read.version), escaped=escaped
            )
            take = members_of if read.members else value_of
            field = f"{self._material.path}.result.jsonPath"
            value = await look_through(self._door, read.namespace, take, answer, field)
        except (Unavailable, RateLimited):
            raise  # of the server, whatever is asked for
        except ProviderError as error:
            return error
        return RemoteValue(SecretBytes(value))

    async def find(self, find: Find) -> Sequence[Found]:  # noqa: ARG002 - the port's signature
        """Never: no request is known that would list what there is."""
        raise SpecError("find: a webhook store cannot be searched", hint="Use data, or dataFrom with extract")

    async def validate(self) -> Verdict:
        """Open a connection to the server, as far as the manifest tells which that is."""
        address = written_address(self._material.spec, self._material.path)
        if address is None:
            return Verdict.UNKNOWN
        await self._outgoing.reach(address, SERVICE)
        return Verdict.READY

    async def renew(self) -> None:
        """Nothing to renew."""

    async def close(self) -> None:
        """Nothing to close: connections are shared."""


class WebhookProvider:
    """See the package's docstring.

    Args:
        outgoing: the way out.
        clock: the time that templates can tell.
        random_bytes: their randomness.
    """

    name: ClassVar[str] = "webhook"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_WRITE
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules(asks_with_all=True)

    def __init__(self, outgoing: Outgoing, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._outgoing = outgoing
        self._chance = Chance(clock, random_bytes)
        self._door = FairDoor("webhook", 2)

    def check(self, store: StoreView) -> None:
        """See `ports.Provider.check`."""
        block = _block(store)
        check_request(block, PATH, self._outgoing, in_result=True)
        for index, secret in enumerate(block.secrets):
            if not secret.name or not secret.secret_ref.name:
                raise SpecError(f"{PATH}.secrets[{index}] must have a name, and name a Secret")

    def referent(self, store: StoreView) -> bool:
        """See `ports.Provider.referent`."""
        return store.cluster_scoped and is_referent(_block(store))

    def canonical(self, store: StoreView, key: str) -> str:  # noqa: ARG002 - the port's
        """See `ports.Provider.canonical`."""
        return key

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """See `ports.Provider.identify`. The namespace itself is a part of each question."""
        block = _block(store)
        wanted = []
        for index, secret in enumerate(block.secrets):
            field = f"{PATH}.secrets[{index}].secretRef"
            where = effective_namespace(secret.secret_ref, store.key.namespace, namespace)
            if not where:
                raise ForbiddenError(f"{field} names no namespace", hint="Set its namespace")
            wanted.append(Wanted(secret.name, where, secret.secret_ref.name, field))
        material = await gather(Origin(block, PATH, store.key.namespace, namespace), wanted, cluster)
        return Identity(material.fingerprint, material)

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`."""
        return WebhookClient(self._outgoing, identity.material, self._chance, self._door)

    async def close(self) -> None:
        """End all connections."""
        self._door.close()
        await self._outgoing.close()


def _block(store: StoreView) -> WebhookBlock:
    if not isinstance(store.block, WebhookBlock):
        raise SpecError(f"{store.key} is no webhook store")
    return store.block
