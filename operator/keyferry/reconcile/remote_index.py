"""From a remote secret to the ExternalSecrets that read it: for stores that tell of changes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from keyferry.ports import ObjectKey
from keyferry.reconcile.multimap import Multimap

MOST_COMPARED: Final = 2000
"""So many pairs of an expression and a name are looked at; where there are more, every search is taken to match."""
_BEGINNING: Final = re.compile(r"\^([a-z0-9-]+)(?![?*{])")
"""Plain text at the beginning of an expression: whatever name it matches begins so, unless the expression has
alternatives. Not the last character where what follows may do without it."""


class Reading(msgspec.Struct, frozen=True, order=True, gc=False):
    """One remote secret that an ExternalSecret reads, or one search of a store.

    Args:
        store: of which store.
        key: the remote key as the manifest names it; of a search the regular expression for names, empty for any.
        search: which of both.
    """

    store: ObjectKey
    key: str
    search: bool = False


class _OfStore:
    """The readers of one store: by remote key, and by the regular expression of their search."""

    __slots__ = ("by_key", "by_search")

    def __init__(self) -> None:
        self.by_key: Multimap[str, ObjectKey] = Multimap()
        self.by_search: Multimap[str, ObjectKey] = Multimap()

    def of(self, reading: Reading) -> Multimap[str, ObjectKey]:
        """The part that a reading belongs to."""
        return self.by_search if reading.search else self.by_key


class RemoteReaders:
    """See the module's docstring. What a change costs does not depend on how many read other remote secrets.

    Those who search are each looked at: see who calls for how often that may be.
    """

    def __init__(self) -> None:
        self._stores: dict[ObjectKey, _OfStore] = {}

    def link(self, reader: ObjectKey, now: tuple[Reading, ...], before: tuple[Reading, ...]) -> None:
        """Note what an ExternalSecret reads now, and no longer what it read before."""
        if now == before:
            return
        for reading in before:
            self._drop(reading, reader)
        for reading in now:
            found = self._stores.get(reading.store)
            if found is None:
                found = self._stores[reading.store] = _OfStore()
            found.of(reading).add(reading.key, reader)

    def _drop(self, reading: Reading, reader: ObjectKey) -> None:
        of = self._stores.get(reading.store)
        if of is None:
            return
        of.of(reading).discard(reading.key, reader)
        if not of.by_key and not of.by_search:
            del self._stores[reading.store]

    def __contains__(self, store: ObjectKey) -> bool:
        return store in self._stores

    def keys(self, store: ObjectKey) -> Collection[str]:
        """The remote keys that are read of a store."""
        of = self._stores.get(store)
        return list(of.by_key) if of is not None else ()

    def of(self, store: ObjectKey, key: str) -> Collection[ObjectKey]:
        """Who reads a remote secret by its key."""
        of = self._stores.get(store)
        return of.by_key.get(key) if of is not None else ()

    def of_all(self, store: ObjectKey, keys: Collection[str]) -> Iterator[tuple[str, Collection[ObjectKey]]]:
        """The keys among these that somebody reads, with their readers; goes through the smaller of both."""
        of = self._stores.get(store)
        if of is None:
            return
        if len(of.by_key) < len(keys):
            yield from ((key, of.by_key.get(key)) for key in of.by_key if key in keys)
        else:
            yield from ((key, of.by_key.get(key)) for key in keys if key in of.by_key)

    def searchers(self, store: ObjectKey, names: Collection[str]) -> Iterator[Collection[ObjectKey]]:
        """Who searches a store for what may have one of these names.

        No expression is tried: tenants write them. Told apart is only what begins otherwise, and that only while
        it is cheap.
        """
        of = self._stores.get(store)
        if of is None:
            return
        compared = len(of.by_search) * len(names) <= MOST_COMPARED
        for expression, found in of.by_search.items():
            if not compared or _may_match(expression, names):
                yield found

    def all(self, store: ObjectKey) -> Iterator[Collection[ObjectKey]]:
        """Everybody who reads from a store; who reads several remote secrets comes several times."""
        of = self._stores.get(store)
        if of is not None:
            for index in (of.by_key, of.by_search):
                yield from (found for _, found in index.items())

    def __len__(self) -> int:
        return sum(len(of.by_key) + len(of.by_search) for of in self._stores.values())


def _may_match(expression: str, names: Iterable[str]) -> bool:
    begins = _BEGINNING.match(expression)
    if begins is None or "|" in expression:
        return True
    return any(name.startswith(begins[1]) for name in names)


def among(readers: Iterable[Collection[ObjectKey]], within: Collection[ObjectKey] | None) -> set[ObjectKey]:
    """All readers together; only those within, where that is given, found by going through the smaller one."""
    found: set[ObjectKey] = set()
    for some in readers:
        if within is None:
            found.update(some)
        elif len(within) < len(some):
            found.update(one for one in within if one in some)
        else:
            found.update(one for one in some if one in within)
    return found
