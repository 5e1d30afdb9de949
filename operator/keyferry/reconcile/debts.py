"""Statuses that the API server does not take: when they are tried again, and that they are told once.

Kept only for objects that have such a status, so that the others cost nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from keyferry.api.secret_store import SecretStoreStatus
from keyferry.core.backoff import status_delay
from keyferry.core.summarize import StoreOutcome
from keyferry.errors import KubeConflict, KubeError, KubeInvalid
from keyferry.kube.client import KubeApi
from keyferry.kube.status import write_status
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ClusterExternalSecretRecord, ExternalSecretRecord, StoreRecord
from keyferry.reconcile.policies import PolicyRecord

log = logging.getLogger(__name__)
_TRIES: Final = 3


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
    cluster_external_secrets: dict[ObjectKey, Debt] = field(default_factory=dict)
    store_policies: dict[ObjectKey, Debt] = field(default_factory=dict)


async def put_status(
    api: KubeApi,
    key: ObjectKey,
    record: ExternalSecretRecord | StoreRecord | ClusterExternalSecretRecord | PolicyRecord,
    status: bytes,
    catch_up: Callable[[], Awaitable[bool]],
) -> bool:
    """Write a status into the object and its record; False where it speaks of yesterday's object.

    Args:
        catch_up: after a conflict, takes over the object as it is now; whether the status still speaks of it.

    Raises:
        KubeError: the API server does not take it; KubeConflict if it is changed again and again.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            version = await write_status(api, key, record.resource_version, record.uid, msgspec.Raw(status))
        except KubeConflict:
            if not await catch_up():
                return False
            if attempt == _TRIES:
                raise
        else:
            record.resource_version, record.status = version, status
            return True
    raise AssertionError("unreachable")
