"""Stores whose names have no slashes: what the suite writes with one has two hyphens there, and is read back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keyferry.errors import ProviderError
from keyferry.ports import Find, Found, Identity, Provider, Read, RemoteValue, StoreClient


def flat(name: str) -> str:
    return name.replace("/", "--")


def _deep(name: str) -> str:
    return name.replace("--", "/")


class FlatNames:
    """A provider whose clients take slashes in names.

    Args:
        provider: the provider itself.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def connect(self, identity: Identity) -> Any:
        return _Client(await self._provider.connect(identity))


class _Client:
    def __init__(self, client: StoreClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def read(self, reads: Sequence[Read]) -> list[RemoteValue | ProviderError]:
        answers = await self._client.read([replace(read, key=flat(read.key)) for read in reads])
        return [_told(answer) for answer in answers]

    async def find(self, find: Find) -> list[Found]:
        path = None if find.path is None else flat(find.path)
        name = None if find.name is None else flat(find.name)
        found = await self._client.find(replace(find, path=path, name=name))
        return [replace(one, name=_deep(one.name)) for one in found]


def _told(answer: RemoteValue | ProviderError) -> RemoteValue | ProviderError:
    if isinstance(answer, RemoteValue):
        return answer
    told = copy.copy(answer)
    told.message = _deep(answer.message)
    return told
