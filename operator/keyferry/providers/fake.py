"""The `fake` provider: a store that is its own manifest. For tests, demonstrations and dry runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from keyferry.api.providers.fake import FakeProvider as FakeBlock
from keyferry.api.providers.fake import FakeProviderData as FakeEntry
from keyferry.core.patterns import Pattern
from keyferry.errors import ProviderError, RemoteSecretNotFound, SpecError
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
from keyferry.secretdata import SecretBytes

_READY: Final = 0
_UNKNOWN: Final = 1


class FakeClient:
    """Answers from the store's own data. A reference must name the version exactly."""

    batch_size = 1
    max_concurrency = 64

    def __init__(self, block: FakeBlock) -> None:
        # As the reference does, an entry is found by key and version together, and the last one wins.
        self._data = {entry.key + entry.version: entry for entry in block.data}
        self._latest: dict[str, FakeEntry] = {}
        for entry in self._data.values():
            # As the reference does: of an entry's versions, a search finds the greatest as text.
            before = self._latest.get(entry.key)
            if before is None or before.version < entry.version:
                self._latest[entry.key] = entry
        self._result = block.validation_result

    def may_batch(self, read: Read) -> bool:  # noqa: ARG002 - the port's signature
        """Never: there is no call to share."""
        return False

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        """See `ports.StoreClient.read`."""
        return [self._one(read) for read in reads]

    def _one(self, read: Read) -> RemoteValue | ProviderError:
        entry = self._data.get(read.key + read.version)
        if entry is None or entry.version != read.version:
            version = f" in version {read.version!r}" if read.version else ""
            return RemoteSecretNotFound(
                f"there is no remote secret {read.key!r}{version}",
                hint="Add it to spec.provider.fake.data, or correct the key",
            )
        return RemoteValue(SecretBytes(entry.value), entry.version)

    async def find(self, find: Find) -> Sequence[Found]:
        """See `ports.StoreClient.find`. By name and path; there are no tags here."""
        if find.tags:
            raise SpecError("find.tags: a fake store has no tags", hint="Search by find.name or find.path")
        if not find.path and find.name is None:
            raise SpecError("find: name or path must be set")
        pattern = None if find.name is None else Pattern(find.name)
        return [
            Found(key, RemoteValue(SecretBytes(entry.value), entry.version))
            for key, entry in sorted(self._latest.items())
            if key.startswith(find.path or "") and (pattern is None or pattern.matches(key))
        ]

    async def validate(self) -> Verdict:
        """What `validationResult` says."""
        if self._result in (None, _READY):
            return Verdict.READY
        if self._result == _UNKNOWN:
            return Verdict.UNKNOWN
        raise ProviderError("unable to validate: spec.provider.fake.validationResult says so")

    async def renew(self) -> None:
        """Nothing to renew."""

    async def close(self) -> None:
        """Nothing to close."""


class FakeProvider:
    """See the module's docstring."""

    name: ClassVar[str] = "fake"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_WRITE
    maintenance: ClassVar[Maintenance] = Maintenance.MAINTAINED
    reading: ClassVar[ReadingRules] = ReadingRules(missing_property_is_absent=True)

    def check(self, store: StoreView) -> None:
        """Every entry needs a key and a value."""
        for index, entry in enumerate(_block(store).data):
            if not entry.key:
                raise SpecError(f"spec.provider.fake.data[{index}]: key must be set")
            if not entry.value:
                raise SpecError(f"spec.provider.fake.data[{index}]: at least one value must be set")

    def referent(self, store: StoreView) -> bool:  # noqa: ARG002 - the port's signature
        """Never: the values are in the store."""
        return False

    def canonical(self, store: StoreView, key: str) -> str:  # noqa: ARG002 - the port's
        """See `ports.Provider.canonical`."""
        return key

    async def identify(self, store: StoreView, namespace: str, cluster: ClusterAccess) -> Identity:  # noqa: ARG002
        """The store itself is the identity."""
        text = msgspec.json.encode((str(store.key), store.block))
        return Identity(hashlib.sha256(b"fake\0" + text).hexdigest(), store.block)

    async def connect(self, identity: Identity) -> StoreClient:
        """See `ports.Provider.connect`."""
        return FakeClient(identity.material)

    async def close(self) -> None:
        """Nothing to close."""


def _block(store: StoreView) -> FakeBlock:
    if not isinstance(store.block, FakeBlock):
        raise SpecError(f"{store.key} is no fake store")
    return store.block
