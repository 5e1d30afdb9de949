"""Statuses that the API server does not take: when they are tried again, and that they are told once.

Kept only for objects that have such a status, so that the others cost nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from keyferry.api.secret_store import SecretStoreStatus
from keyferry.core.backoff import status_delay
from keyferry.core.summarize import StoreOutcome
from keyferry.errors import KubeError, KubeInvalid
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import StoreRecord

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Debt:
    """How often in a row a status was not taken, and when to try again, by the queue's clock."""

    tries: int = 0
    not_before: float = 0.0

    def refused(self, error: KubeError, now: float, spread: float) -> None:
        """The API server did not take it; a line in the log at the first time."""
        self.tries += 1
        self.not_before = now + status_delay(self.tries, spread)
        what = (
            "no status can be written"
            if isinstance(error, KubeInvalid)
            else "the status could not be written"
        )
        log.log(logging.WARNING if self.tries == 1 else logging.DEBUG, "%s: %s", what, error)


@dataclass(slots=True)
class StoreDebt(Debt):
    """That of a store, with what is owed: a verdict is not found anew to be written.

    Args:
        record: the store as it was looked at; the debt ends with it.
        status: to be written; None where none will be taken.
        outcome: told by an event once the status is there.
        resume_at: when the next validation is due.
    """

    record: StoreRecord | None = None
    status: SecretStoreStatus | None = None
    outcome: StoreOutcome | None = None
    resume_at: float = 0.0


@dataclass(slots=True)
class Debts:
    """All debts, by key."""

    external_secrets: dict[ObjectKey, Debt] = field(default_factory=dict)
    stores: dict[ObjectKey, StoreDebt] = field(default_factory=dict)
