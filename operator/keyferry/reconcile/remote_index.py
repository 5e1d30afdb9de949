"""From a remote secret to the ExternalSecrets that read it: for stores that tell of changes."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from keyferry.core.patterns import Pattern
from keyferry.errors import SpecError
from keyferry.ports import ObjectKey
from keyferry.reconcile.multimap import Multimap

MOST_SEARCHES: Final = 64
"""So many different expressions of a store are compared with a name; who searches by further ones waits for the
refresh. Each takes some time of everybody's, and tenants write them."""


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
    """See the module's docstring. What it costs on a change does not depend on how many objects there are."""

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

    def searchers(self, store: ObjectKey, key: str) -> Iterator[Collection[ObjectKey]]:
        """Who searches a store for what may have this name; compares it with each expression once."""
        of = self._stores.get(store)
        searches = of.by_search.items() if of is not None else iter(())
        for expression, found in itertools.islice(searches, MOST_SEARCHES):
            if _may_match(expression, key):
                yield found

    def all(self, store: ObjectKey) -> Iterator[Collection[ObjectKey]]:
        """Everybody who reads from a store; who reads several remote secrets comes several times."""
        of = self._stores.get(store)
        if of is not None:
            for index in (of.by_key, of.by_search):
                yield from (found for _, found in index.items())

    def __len__(self) -> int:
        return sum(len(of.by_key) + len(of.by_search) for of in self._stores.values())


def _may_match(expression: str, key: str) -> bool:
    try:
        return not expression or Pattern(expression).matches(key)
    except SpecError:
        return False  # the search fails, whatever there is


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
