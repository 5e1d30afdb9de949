"""Several values for a key, where most keys have one: a bare value then, and a set only where there are more."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Multimap(Generic[K, V]):
    """See the module's docstring. A key without values is none. Values are no sets themselves."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[K, V | set[V]] = {}

    def add(self, key: K, value: V) -> None:
        """Give a key one more value."""
        found = self._of.get(key)
        if found is None:
            self._of[key] = value
        elif isinstance(found, set):
            found.add(value)
        elif found != value:
            self._of[key] = {found, value}

    def discard(self, key: K, value: V) -> None:
        """Take a value from a key, if it has it."""
        found = self._of.get(key)
        if isinstance(found, set):
            found.discard(value)
            if len(found) == 1:
                self._of[key] = found.pop()
        elif found == value:
            self._of.pop(key, None)

    def get(self, key: K) -> Collection[V]:
        """The values of a key; not to be kept, for they may change."""
        found = self._of.get(key)
        if found is None:
            return ()
        return found if isinstance(found, set) else (found,)

    def items(self) -> Iterator[tuple[K, Collection[V]]]:
        """All keys, each with its values."""
        return ((key, self.get(key)) for key in self._of)

    def __iter__(self) -> Iterator[K]:
        return iter(self._of)

    def __contains__(self, key: object) -> bool:
        return key in self._of

    def __len__(self) -> int:
        return len(self._of)
