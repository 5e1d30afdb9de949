"""Which GeneratorStates there are, found by their ExternalSecret and by their namespace. O(1) per event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyferry.core.lease import Term
from keyferry.ports import ObjectKey

Place = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Use:
    """A state that is in use.

    Args:
        uid, owner: of its ExternalSecret, and how that is called.
        entry: the entry there that it belongs to; empty where that is not known.
        term: how long its values are good; None for as long as nobody takes them back.
        keys: what its generator made, where only the state tells.
        over: why new values have to be made; empty while these are good.
        trouble: why it could not be renewed so far, once its end is near.
        failures: tries in a row to renew it that failed.
        resume_at: when to do something about the term, by the queue's clock; 0 where that is still to be decided.
    """

    uid: str
    owner: str
    entry: str
    term: Term | None = None
    keys: tuple[str, ...] | None = None
    over: str = ""
    trouble: str = ""
    failures: int = 0
    resume_at: float = 0.0


_NOTHING: Final[Mapping[Place, Use]] = {}


class GeneratorStates:
    """The states that are ours to end. Those in use have an owner; those with a deadline have none any more.

    `deadlines` are still to be written, `failures` count tries in a row to take something back. `lost` tells by the
    uid of an ExternalSecret why it needs new values though no state says so any more; `discarded` are those that
    were never to be used.
    """

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._uses: dict[str, dict[Place, Use]] = {}
        self._use: dict[Place, Use] = {}
        self.complete = False
        """Whether all that there are have been told, so that one that is not here does not exist."""
        self.deadlines: dict[ObjectKey, datetime] = {}
        self.failures: dict[ObjectKey, int] = {}
        self.lost: dict[str, str] = {}
        self.discarded: set[ObjectKey] = set()

    def note(self, place: Place) -> None:
        """A state is there."""
        self._names.setdefault(place[0], set()).add(place[1])

    def use(self, place: Place, use: Use) -> Use:
        """A state is in use; what is known of it. A watch may tell late, and never of what this process found out."""
        known = self._use.get(place)
        if known is not None and (known.uid, known.entry) == (use.uid, use.entry):
            if _is_later(use.term, known.term):
                known.term, known.resume_at, known.failures = use.term, 0.0, 0
            return known
        self.release(place)
        self.note(place)
        self._uses.setdefault(use.uid, {})[place] = use
        self._use[place] = use
        return use

    def release(self, place: Place) -> None:
        """A state is in use no longer."""
        use = self._use.pop(place, None)
        if use is not None:
            del self._uses[use.uid][place]
            if not self._uses[use.uid]:
                del self._uses[use.uid]

    def forget(self, key: ObjectKey) -> None:
        """A state is gone."""
        place = (key.namespace, key.name)
        self.release(place)
        self.deadlines.pop(key, None)
        self.failures.pop(key, None)
        self.discarded.discard(key)
        names = self._names.get(key.namespace, set())
        names.discard(key.name)
        if not names:
            self._names.pop(key.namespace, None)

    def get(self, place: Place) -> Use | None:
        """What is known of a state that is in use."""
        return self._use.get(place)

    def of(self, uid: str) -> Mapping[Place, Use]:
        """The states that an ExternalSecret uses."""
        return self._uses.get(uid, _NOTHING)

    def within(self, namespace: str) -> list[Place]:
        """The states of a namespace."""
        return [(namespace, name) for name in sorted(self._names.get(namespace, ()))]

    def places(self) -> list[Place]:
        """Where all of them are."""
        return [(namespace, name) for namespace, names in self._names.items() for name in names]


def _is_later(told: Term | None, known: Term | None) -> bool:
    return told is not None and (known is None or told.lease.began_at > known.lease.began_at)
