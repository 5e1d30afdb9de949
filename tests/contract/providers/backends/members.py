"""Stores whose remote secrets are objects: as most manifests do, the suite asks for one property of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from keyferry.api.external_secret import RemoteRef
from keyferry.errors import ProviderError
from keyferry.ports import Identity, Provider, Read, RemoteValue, StoreClient
from keyferry.secretdata import SecretBytes

PROPERTY: Final = "value"


class OneMember:
    """A provider whose clients answer with the property, taken by its own rules.

    Args:
        provider: the provider itself.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def connect(self, identity: Identity) -> Any:
        return _Client(await self._provider.connect(identity), self._provider)


class _Client:
    def __init__(self, client: StoreClient, provider: Provider) -> None:
        self._client = client
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def read(self, reads: Sequence[Read]) -> list[RemoteValue | ProviderError]:
        answers = await self._client.read(reads)
        return [self._taken(read, answer) for read, answer in zip(reads, answers, strict=True)]

    def _taken(self, read: Read, answer: RemoteValue | ProviderError) -> RemoteValue | ProviderError:
        select = self._provider.reading.select
        if read.metadata or not isinstance(answer, RemoteValue) or select is None:
            return answer
        taken = select(answer.value, RemoteRef(key=read.key, property=PROPERTY), False)
        assert isinstance(taken, SecretBytes)
        return RemoteValue(taken, answer.version)
