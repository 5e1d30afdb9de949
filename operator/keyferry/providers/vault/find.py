"""What a search means for the KV engine: which folders are listed, and what of their names fits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from keyferry.core.patterns import Pattern
from keyferry.errors import ProviderError, SpecError
from keyferry.ports import Find
from keyferry.providers.vault.paths import Place, folder_of

MOST_NAMES: Final = 50_000
DEEPEST: Final = 64
"""Bounds of what one search lists."""


class Search:
    """See the module's docstring.

    Args:
        find: the search.
        path: the store's; None where it has none.
        versioned: whether the engine has version 2.

    Raises:
        SpecError: the search names nothing to search by, or what the engine does not have.
    """

    def __init__(self, find: Find, path: str | None, *, versioned: bool) -> None:
        if not find.path and find.name is None and not find.tags:
            raise SpecError("find: name, path or tags must be set")
        if find.tags and not versioned:
            raise SpecError(
                "find: tags need version v2 of the KV engine",
                hint="They are its custom_metadata; use name or path",
            )
        self.root = folder_of(find.path or "", path, versioned=versioned)
        given = (find.path or "").strip("/")
        self.prefix = f"{given}/" if given else ""
        """What comes before the names below the root, in the names that are found."""
        self._pattern = None if find.name is None else Pattern(find.name)
        self._tags = find.tags

    def fits(self, name: str) -> bool:
        """Whether a name does."""
        return self._pattern is None or self._pattern.matches(name)

    def carries(self, metadata: Mapping[str, str]) -> bool:
        """Whether the metadata has all the tags."""
        return all(metadata.get(key) == value for key, value in self._tags)


class Lister:
    """Walks through the folders, several at a time as whoever lists allows it.

    Args:
        list_folder: the names in a folder.
        search: the search.
    """

    def __init__(self, list_folder: Callable[[Place], Awaitable[list[str]]], search: Search) -> None:
        self._list_folder = list_folder
        self._search = search
        self._seen = 0

    async def names(self) -> list[str]:
        """The names that fit, sorted.

        Raises:
            ProviderError: a folder cannot be listed, or there are too many names.
        """
        found: list[str] = []
        level = [""]
        for _ in range(DEEPEST):
            below: list[str] = []
            for folder, names in zip(level, await asyncio.gather(*map(self._listed, level)), strict=True):
                self._seen += len(names)
                if self._seen > MOST_NAMES:
                    raise ProviderError(
                        f"the search lists more than {MOST_NAMES} names", hint="Narrow it by path"
                    )
                below += [folder + name for name in names if name.endswith("/")]
                found += [self._search.prefix + folder + name for name in names if not name.endswith("/")]
            if not below:
                return sorted(set(filter(self._search.fits, found)))
            level = below
        raise ProviderError(f"the search finds folders more than {DEEPEST} deep", hint="Narrow it by path")

    async def _listed(self, folder: str) -> list[str]:
        root = self._search.root
        below = "/".join(part for part in (root.key, folder.rstrip("/")) if part)
        return await self._list_folder(Place(root.mount, below, root.versioned))
