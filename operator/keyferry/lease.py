"""A lease: how long what a generator made elsewhere stays good. What is done about it is decided in `core.lease`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class AtTheEnd(enum.StrEnum):
    """What is done about the end of a lease."""

    RENEW = "Renew"
    """It is put off, well before."""
    REPLACE = "Replace"
    """It cannot be put off: new values are made, well before."""
    READ_AGAIN = "ReadAgain"
    """The other side makes new values then: they are asked for just after."""


@dataclass(frozen=True, slots=True)
class Lease:
    """How long what a generator made stays good. Times in UTC.

    Args:
        began_at: when it was asked for, or for more time: no later than the other side began to count.
        ends_at: when it ends.
        at_the_end: what is done about that.
    """

    began_at: datetime
    ends_at: datetime
    at_the_end: AtTheEnd = AtTheEnd.RENEW
