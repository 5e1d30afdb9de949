"""Which GeneratorStates there are, found by their ExternalSecret and by their namespace. O(1) per event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from keyferry.ports import ObjectKey

Place = tuple[str, str]
"""Namespace and name."""


class GeneratorStates:
    """The states that are ours to end. Those in use have an owner; those with a deadline have none any more.

    `deadlines` are still to be written, `failures` count tries in a row to take something back.
    """

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._used: dict[str, dict[Place, str]] = {}
        self._owner: dict[Place, str] = {}
        self.complete = False
        """Whether all that there are have been told, so that one that is not here does not exist."""
        self.deadlines: dict[ObjectKey, datetime] = {}
        self.failures: dict[ObjectKey, int] = {}

    def note(self, place: Place) -> None:
        """A state is there."""
        self._names.setdefault(place[0], set()).add(place[1])

    def use(self, place: Place, uid: str, entry: str) -> None:
        """A state is in use.

        Args:
            place: where it is.
            uid: of its ExternalSecret.
            entry: the entry there that it belongs to; empty where that is not known.
        """
        self.release(place)
        self.note(place)
        self._used.setdefault(uid, {})[place] = entry
        self._owner[place] = uid

    def release(self, place: Place) -> None:
        """A state is in use no longer."""
        uid = self._owner.pop(place, None)
        if uid is not None:
            del self._used[uid][place]
            if not self._used[uid]:
                del self._used[uid]

    def forget(self, key: ObjectKey) -> None:
        """A state is gone."""
        place = (key.namespace, key.name)
        self.release(place)
        self.deadlines.pop(key, None)
        self.failures.pop(key, None)
        names = self._names.get(key.namespace, set())
        names.discard(key.name)
        if not names:
            self._names.pop(key.namespace, None)

    def of(self, uid: str) -> Mapping[Place, str]:
        """The states that an ExternalSecret uses, and the entry that each belongs to."""
        return self._used.get(uid, {})

    def within(self, namespace: str) -> list[Place]:
        """The states of a namespace."""
        return [(namespace, name) for name in sorted(self._names.get(namespace, ()))]

    def places(self) -> list[Place]:
        """Where all of them are."""
        return [(namespace, name) for namespace, names in self._names.items() for name in names]
