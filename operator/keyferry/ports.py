"""The seams between rooms: what providers offer, and what they may ask of the cluster.

`planner` speaks to providers through `Provider` and `StoreClient`; providers speak to the cluster
through `ClusterAccess` and nothing else. `cli.run` wires the real ones, tests wire doubles that have
passed the contract suites.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from keyferry.api.external_secret import RemoteRef
from keyferry.api.model import Model
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.errors import ProviderError
from keyferry.lease import Lease
from keyferry.secretdata import SecretBytes, SecretData


class ObjectKey(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """One object of the cluster. `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As texts name it: `SecretStore "team-a/aws"`."""
        return (
            f'{self.kind} "{self.namespace}/{self.name}"' if self.namespace else f'{self.kind} "{self.name}"'
        )


@dataclass(frozen=True, slots=True)
class SecretObject:
    """A Secret as auth material: its identity, its values and its labels."""

    uid: str
    resource_version: str
    data: SecretData
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceAccountObject:
    """What workload identity needs to know of a ServiceAccount."""

    uid: str
    annotations: Mapping[str, str]
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class BoundToken:
    """A ServiceAccount token from the TokenRequest API, and when it ends (UTC)."""

    token: SecretBytes
    expires_at: datetime


class ClusterAccess(Protocol):
    """What a provider may read in the cluster. Which names and namespaces is decided before, in core."""

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        """The Secret as it is now.

        Raises:
            KubeNotFound: there is none.
            KubeError: the API server refuses or cannot be asked.
        """
        ...

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """The ConfigMap's data as it is now. Raises as `read_secret`."""
        ...

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        """The ServiceAccount as it is now. Raises as `read_secret`."""
        ...

    async def request_token(
        self,
        namespace: str,
        name: str,
        audiences: Sequence[str],
        lifetime_s: int,
        *,
        api_server: bool = False,
    ) -> BoundToken:
        """A token of the ServiceAccount for these audiences.

        Args:
            api_server: the token goes to this cluster's own API server, or to somebody whom the platform trusts
                with tokens for it. Without audiences it is for the API server then; else such a token is refused.

        Raises:
            ForbiddenError: the API server would accept the token, and `api_server` does not say so.
            KubeError: as `read_secret`.
        """
        ...

    async def own_account(self) -> ObjectKey:
        """The ServiceAccount that the operator itself runs as.

        Raises:
            NotReadyError: it runs as something else, such as a person's kubeconfig.
        """
        ...


class AmbientIdentity(enum.StrEnum):
    """Which stores may use the operator's own identity: the SDK's default chain, pod tokens, managed identity."""

    ALL = "all"
    CLUSTER = "cluster"
    """Only a ClusterSecretStore."""
    NONE = "none"

    def allows(self, *, cluster_scoped: bool) -> bool:
        """Whether a store of this scope may."""
        return self is AmbientIdentity.ALL or (self is AmbientIdentity.CLUSTER and cluster_scoped)


class Capabilities(enum.StrEnum):
    """What a store can do, as `status.capabilities` says it."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class Maintenance(enum.Enum):
    """How a kind of store is looked after; what users should know of it is told on their stores."""

    MAINTAINED = "maintained"
    UNMAINTAINED = "unmaintained"
    """It works as it is, and nobody looks after it."""
    DEPRECATED = "deprecated"
    """It will go."""


class Verdict(enum.Enum):
    """What validating a store's connection found; failure is an exception."""

    READY = "ready"
    UNKNOWN = "unknown"
    """Cannot be told in general, for example because the identity depends on each ExternalSecret."""


Selector = Callable[[SecretBytes, RemoteRef, bool], SecretBytes | Mapping[str, SecretBytes]]
"""From a raw answer, the reference and whether its members are wanted, to the value or to the members."""


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How a provider's raw value becomes a property, a map or bytes: the API's rules differ by provider.

    Args:
        literal_property_first: a property with dots is first looked up as one literal key, then as a path.
        missing_property_is_absent: a missing property counts as an absent remote secret (deletionPolicy).
        asks_with_all: the store is asked with all that a reference has (see `Read`), and its answer is the
            value, or the JSON object of the values: no property is taken out of it.
        select: takes what a reference wants out of the answer, in place of the rules above; pure. Raises what
            `core.select.select_value` raises.
    """

    literal_property_first: bool = False
    missing_property_is_absent: bool = False
    asks_with_all: bool = False
    select: Selector | None = None


@dataclass(frozen=True, slots=True)
class StoreView:
    """A store as its provider sees it.

    Args:
        key: kind SecretStore or ClusterSecretStore, namespace empty for the latter.
        spec: its spec.
        provider: the key in `spec.provider` that is set.
        block: what stands there: the typed block, or a dict where we have no type.
    """

    key: ObjectKey
    spec: SecretStoreSpec
    provider: str
    block: Any

    @classmethod
    def of(cls, key: ObjectKey, spec: SecretStoreSpec) -> StoreView:
        """The view of a store by its spec."""
        provider, block = spec.provider.chosen()
        return cls(key, spec, provider, block)

    @property
    def cluster_scoped(self) -> bool:
        """Whether references may name a namespace of their own."""
        return not self.key.namespace


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks the store, proven by material already read. Two equal fingerprints may share every answer.

    Args:
        fingerprint: hash over all that decides what may be read: endpoint, CA, auth block, credential
            bytes, ServiceAccount uid, audiences, role chain, external id, session tags, referent namespace.
        material: what the provider's `connect` needs; opaque to everybody else, redacted in repr.
    """

    fingerprint: str
    material: Any = field(repr=False)


@dataclass(frozen=True, slots=True, order=True)
class Read:
    """One question to a store.

    Args:
        key: the remote key as the manifest names it.
        version: the version as the manifest names it; empty for the current one.
        metadata: ask for the metadata (tags, labels) instead of the value.
        property, namespace: of the manifest, whose namespace it is; and
        members: whether the members of an object are wanted, not one value. These three are set only where the
            provider's rules say so, for then they decide about the answer.
    """

    key: str
    version: str = ""
    metadata: bool = False
    property: str = ""
    namespace: str = ""
    members: bool = False


@dataclass(frozen=True, slots=True)
class RemoteValue:
    """A store's answer.

    Args:
        value: the raw value, before any property is selected.
        version: the store's own name of the version read; empty where it has none.
    """

    value: SecretBytes
    version: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Find:
    """A search in a store: all that lies below the path, has a matching name, and carries all the tags.

    Args:
        path: where to look, as the manifest names it; None where it names nothing.
        name: RE2 that the name must match somewhere; None where names do not matter.
        tags: name and value of each tag, sorted.
    """

    path: str | None = None
    name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One remote secret that a search found.

    Args:
        name: the key that it gives, before any rewrite or conversion.
        answer: its value where the search brought it along, else the question that reads it.
        key: the remote key as a manifest would name it, where the value was brought along and the name is another.
    """

    name: str
    answer: RemoteValue | Read
    key: str = ""

    @property
    def remote_key(self) -> str:
        """The remote key as a manifest would name it: policies about keys decide by it."""
        return self.answer.key if isinstance(self.answer, Read) else self.key or self.name


class StoreClient(Protocol):
    """A connection to one store under one identity, shared by all that have the same fingerprint.

    The planner calls `read` concurrently, at most `max_concurrency` at once; never after `close`. A client
    neither retries nor sleeps: the planner does (but see `PacedClient`).
    """

    batch_size: int
    """Most reads that one call may carry; 1 where the API has no batches."""
    max_concurrency: int
    """Most calls at once."""

    def may_batch(self, read: Read) -> bool:
        """Whether this read may share a call with others right now (never, while batches are refused)."""
        ...

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """The answers, in the order of the reads: a value, or why there is none.

        One read's failure is its own; a failure of the call as a whole (throttled, unreachable,
        credentials) is raised.

        Raises:
            ProviderError: the call as a whole failed.
        """
        ...

    async def find(self, find: Find) -> Sequence[Found]:
        """All remote secrets that fit, in a stable order; none is no failure.

        Called with a checked regular expression; counts as one of `max_concurrency` while it runs.

        Raises:
            SpecError: the store cannot search like that; the message names the field.
            ProviderError: the search failed; nothing is returned by halves.
        """
        ...

    async def validate(self) -> Verdict:
        """Prove the identity to the store, without reading a value.

        Raises:
            ProviderError: the identity is refused, or the store cannot be reached.
        """
        ...

    async def renew(self) -> None:
        """Forget credentials that the store called expired, so that the next call gets new ones."""
        ...

    async def close(self) -> None:
        """End the connection; revoke what was leased."""
        ...


@runtime_checkable
class PacedClient(StoreClient, Protocol):
    """A client of a store that takes so few calls that it waits with them by itself.

    Whoever asks knows by `room` how long that would be. Clients of other identities may use the same room.
    """

    def room(self, ahead: int = 0) -> float:
        """In how many seconds a call could go that nobody waits for yet.

        Args:
            ahead: how many others would go before it, besides those that wait already.
        """
        ...


class Follower(Protocol):
    """Who is told of changes at a store."""

    def changed(self, key: str, at: datetime | None = None) -> None:
        """A remote secret was created, changed or deleted.

        Args:
            at: when it was last written, by the store's clock, where that is all that is known: who has read it
                since then has read what there is.
        """
        ...

    def missed(self) -> None:
        """Anything may have changed."""
        ...

    def known(self) -> Iterable[str]:
        """The remote keys that somebody reads: of those that are no longer there `changed` is told."""
        ...


@runtime_checkable
class WatchingClient(StoreClient, Protocol):
    """A client of a store that tells of changes."""

    async def watch(self, follower: Follower) -> None:
        """Tell of changes until cancelled; what has changed before is told first.

        Called once at a time, only while somebody reads from the store. Waits and tries again by itself while
        the store cannot be reached. Notices only make readers ask sooner, under the client's own identity.

        Raises:
            KeyferryError: changes cannot be told, as for want of a right; it is called again much later.
        """
        ...


class Provider(Protocol):
    """One kind of store. Stateless but for what it shares among clients (connection pools)."""

    name: ClassVar[str]
    """Its key in `spec.provider`."""
    capabilities: ClassVar[Capabilities]
    maintenance: ClassVar[Maintenance]
    reading: ClassVar[ReadingRules]

    def check(self, store: StoreView) -> None:
        """Check the spec without asking anybody.

        Raises:
            SpecError: a field is wrong; the message names it.
            NotAvailableError: a field or mode that this version does not do yet.
            ForbiddenError: a reference crosses a trust boundary.
        """
        ...

    def referent(self, store: StoreView) -> bool:
        """Whether the identity depends on the namespace of each ExternalSecret (ClusterSecretStore only)."""
        ...

    def canonical(self, store: StoreView, key: str) -> str:
        """A remote key as the store itself understands it: in the one form that policies about keys are matched with.

        Raises:
            SpecError: it leads elsewhere than it looks, for example by `..`.
        """
        ...

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:
        """Gather the auth material for an ExternalSecret of `namespace`.

        Called once per store and referent namespace, and again after one of the objects that it read from
        `cluster` changed.

        Raises:
            ProviderError, NotReadyError, SpecError, ForbiddenError, KubeError: material is missing or refused.
        """
        ...

    async def connect(self, identity: Identity) -> StoreClient:
        """A client for this identity. Cheap: it may connect on first use."""
        ...

    async def close(self) -> None:
        """Let go of what clients share."""
        ...


@runtime_checkable
class WatchingProvider(Provider, Protocol):
    """A kind of store whose clients are `WatchingClient`s."""

    watches: ClassVar[bool]


@dataclass(frozen=True, slots=True)
class GeneratorView:
    """A generator as its code sees it.

    Args:
        key: the object that the manifest names: one of the namespaced kinds, or a ClusterGenerator.
        kind: what makes the values, such as Password; the inner kind of a ClusterGenerator.
        namespace: of the ExternalSecret, where references point that name no namespace.
        spec: its typed spec; a dict where we have no type.
    """

    key: ObjectKey
    kind: str
    namespace: str
    spec: Any

    @property
    def cluster_scoped(self) -> bool:
        """Whether references may name a namespace of their own."""
        return not self.key.namespace


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generator has made.

    Args:
        data: the values by key.
        state: what `Generator.cleanup` and `LeasingGenerator.renew` need to know of what was made elsewhere,
            as JSON without any secret value; empty where there is nothing to know.
        lease: how long it stays good; None for as long as nobody takes it back. Only together with a state.
    """

    data: SecretData
    state: bytes = b""
    lease: Lease | None = None


class Generator(Protocol):
    """One kind of generator. Stateless but for what its calls share (connection pools)."""

    kind: ClassVar[str]
    """Its kind in the API."""
    spec: ClassVar[type[Model]]
    """What `GeneratorView.spec` is."""
    stateful: ClassVar[bool]
    """Whether its values live and end elsewhere: `generate` gives a state, and `cleanup` ends them."""

    def check(self, view: GeneratorView) -> None:
        """Check the spec without asking anybody. Called before each of the others.

        Raises:
            SpecError, NotAvailableError, ForbiddenError: as `Provider.check`.
        """
        ...

    def keys(self, view: GeneratorView) -> Sequence[str] | None:
        """The keys that `generate` gives, told without generating: by them, values that exist are kept.

        None where only the values themselves tell.
        """
        ...

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """Make new values. Called once at creation and once per refresh, and never to look.

        Raises:
            SpecError, RenderError: they cannot be made of this spec.
            ProviderError, KubeError: somebody who is asked refuses or cannot be reached.
        """
        ...

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """Take back what was made elsewhere; what is gone already is fine. Called until it succeeds.

        Raises:
            KeyferryError: it failed, and will be tried again.
        """
        ...

    async def close(self) -> None:
        """Let go of what calls share."""
        ...


@runtime_checkable
class LeasingGenerator(Generator, Protocol):
    """A generator of values that end, and whose end can be put off."""

    async def renew(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> Lease:
        """Put off the end of what the state tells of; the lease as it is then.

        Called when a lease that `AtTheEnd.RENEW` is due, as often as it takes until it has ended. What it gives
        may be less than was there before, where the other side has a last end.

        Raises:
            LeaseLost: it has ended already.
            AccessDenied: the identity may not renew: another try would not help.
            KeyferryError: it failed, and will be tried again.
        """
        ...
