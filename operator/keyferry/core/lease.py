"""Leases: when more time is asked for, when new values are made instead, and how a GeneratorState tells it.

Two thirds of a life are the time to act, less up to a tenth of that so that nothing aligns; the last third is
for what may go wrong. A term that was written down is read as it was, so that a restart changes no time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from keyferry.core.backoff import JITTER
from keyferry.core.summarize import parse_timestamp, timestamp
from keyferry.lease import AtTheEnd, Lease

SHARE: Final = 2 / 3
"""The part of a life after which it is time to act."""
TOO_LITTLE: Final = 2 / 3
"""Less than this part of the first life is the sign of a last end: more time will not be given."""
LEAST_S: Final = 2.0
"""Nothing is renewed more often than this, and no new value replaced sooner, however short its life."""
AFTER_S: Final = 5.0
"""So long after the end is read what the other side makes anew itself: Vault looks for it every 5 s."""
CATCH_UP_S: Final = 60.0
"""Over how many seconds the renewals are spread that have become due while nobody looked."""


@dataclass(frozen=True, slots=True)
class Term:
    """A lease, and what was decided about it.

    Args:
        lease: as it is now.
        due_at: when to act.
        life_s: how long it was given for at first.
    """

    lease: Lease
    due_at: datetime
    life_s: float

    @property
    def endangered_at(self) -> datetime:
        """From when on it is told that it could not be renewed so far: half of the time for that is over."""
        return self.due_at + (self.lease.ends_at - self.due_at) / 2


def first_term(lease: Lease, spread: float) -> Term:
    """The term of what was just made.

    Args:
        spread: a random number from 0 to 1.
    """
    return Term(lease, _due(lease, spread, LEAST_S), _life_s(lease))


def next_term(term: Term, renewed: Lease, spread: float) -> Term:
    """The term of what was just renewed. One that got too little is replaced the next time."""
    least_s = LEAST_S
    if renewed.at_the_end is AtTheEnd.REPLACE or _life_s(renewed) < TOO_LITTLE * term.life_s:
        renewed, least_s = replace(renewed, at_the_end=AtTheEnd.REPLACE), 0.0
    return Term(renewed, _due(renewed, spread, least_s), term.life_s)


def _life_s(lease: Lease) -> float:
    return max(0.0, (lease.ends_at - lease.began_at).total_seconds())


def _due(lease: Lease, spread: float, least_s: float) -> datetime:
    if lease.at_the_end is AtTheEnd.READ_AGAIN:
        return lease.ends_at + timedelta(seconds=AFTER_S * (1 + JITTER * spread))
    pause = SHARE * _life_s(lease) * (1 - JITTER * spread)
    return lease.began_at + timedelta(seconds=max(least_s, pause))


def catch_up_s(term: Term, now: datetime, spread: float) -> float:
    """Seconds until a term is looked at that is found at a start: never before it is due.

    What has become due while nobody looked is spread over at most half of the time that it has left; what has
    ended needs no patience.
    """
    if now < term.due_at:
        return (term.due_at - now).total_seconds()
    left = max(0.0, (term.lease.ends_at - now).total_seconds())
    return spread * min(CATCH_UP_S, left / 2)


def retry_s(term: Term, now: datetime, pause_s: float | None) -> float:
    """Seconds until a renewal that failed is tried again: often enough that the end does not come before.

    Args:
        pause_s: as the failure's own schedule has it; None where it knows of no use in another try.
    """
    left = (term.lease.ends_at - now).total_seconds()
    return min(CATCH_UP_S if pause_s is None else pause_s, max(1.0, left / 3))


# -- as it stands in a GeneratorState


class _Written(msgspec.Struct, rename="camel"):
    began_at: str
    ends_at: str
    due_at: str
    at_the_end: AtTheEnd
    first_life: float


def text_of(term: Term) -> str:
    """The term as a text that `term_of` reads. Whole seconds, as Kubernetes writes times."""
    lease = term.lease
    text = _Written(
        timestamp(lease.began_at),
        timestamp(lease.ends_at),
        timestamp(term.due_at),
        lease.at_the_end,
        round(term.life_s, 1),
    )
    return msgspec.json.encode(text).decode()


def term_of(text: str | None) -> Term | None:
    """The term in a text; None where there is none that can be read."""
    if not text:
        return None
    try:
        found = msgspec.json.decode(text, type=_Written)
    except (msgspec.DecodeError, RecursionError):
        return None
    began, ends, due = map(parse_timestamp, (found.began_at, found.ends_at, found.due_at))
    if began is None or ends is None or due is None:
        return None
    return Term(Lease(began, ends, found.at_the_end), due, found.first_life)
