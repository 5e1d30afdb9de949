"""From what came of a reconcile to the status that says so. The only reader of outcomes and errors.

Conditions do not flap: the same outcome gives the same bytes, lastTransitionTime moves only with the
status, and nothing changes where nothing happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from keyferry.api import conditions as c
from keyferry.api.conditions import Condition, ExternalSecretCondition
from keyferry.api.external_secret import ExternalSecretStatus
from keyferry.api.meta import LocalObjectReference
from keyferry.api.secret_store import SecretStoreStatus
from keyferry.errors import MAX_MESSAGE_CHARS, KeyferryError, one_line

MESSAGE_SYNCED = "secret synced"
MESSAGE_RETAINED = "secret retained due to DeletionPolicy=Retain"
MESSAGE_DELETED = "secret deleted due to DeletionPolicy=Delete"
MESSAGE_MISSING = "secret will not be created due to CreationPolicy=Merge"
MESSAGE_PAUSED = "paused by annotation keyferry.io/paused: nothing is read or written until it is removed"

FAILED_FETCH = "could not get secret data from provider"
FAILED_DELETE = "could not delete secret"
FAILED_ORPHANED = "could not delete orphaned secrets"
FAILED_UPDATE = "could not update secret"
FAILED_IMMUTABLE = "could not update secret, target is immutable"
FAILED_OWNERSHIP = "failed to take ownership of target secret"
FAILED_OWNED = "target is owned by another ExternalSecret"

NOT_RENEWED = "; the lease of generated values could not be renewed so far, and its end is near: "

MESSAGE_CREATED = "secret created"
MESSAGE_UPDATED = "secret updated"
MESSAGE_ORPHANED = "secret deleted because it was orphaned"

_ABOUT_SECRETS = (
    *(MESSAGE_SYNCED, MESSAGE_RETAINED, MESSAGE_DELETED, MESSAGE_MISSING),
    *(MESSAGE_CREATED, MESSAGE_UPDATED, MESSAGE_ORPHANED),
    *(FAILED_DELETE, FAILED_ORPHANED, FAILED_UPDATE, FAILED_OWNERSHIP),
)
_RESOURCE_REASONS = {
    c.SECRET_SYNCED: c.RESOURCE_SYNCED,
    c.SECRET_SYNCED_ERROR: c.RESOURCE_SYNCED_ERROR,
    c.SECRET_DELETED: c.RESOURCE_DELETED,
    c.SECRET_MISSING: c.RESOURCE_MISSING,
}

STORE_VALIDATED = "store validated"
STORE_UNKNOWN = "could not determine validation status"
STORE_NO_CLIENT = "unable to create client"
STORE_REFUSED = "unable to validate store"

_NUMBERING = 10
_LEAST_SHARE = 60
"""Characters that an entry's text needs to say anything in an event about many."""

C = TypeVar("C", bound=Condition)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reconcile of an ExternalSecret.

    Args:
        reason, message: of the Ready condition.
        ready: whether the target is as it should be.
        refreshed_at: when the stores were read, if they were and all went well.
        synced: `core.hashing.synced_resource_version`, set together with `refreshed_at`.
        binding: the Secret's name once it exists; None leaves it as it was.
        error: the failure behind, for schedule and event.
    """

    reason: str
    message: str
    ready: bool
    refreshed_at: datetime | None = None
    synced: str = ""
    binding: str | None = None
    error: KeyferryError | None = None


def failed(what: str, error: KeyferryError) -> Outcome:
    """The outcome of a failure: what could not be done, and why."""
    message = one_line(f"{what}: {error}")
    return Outcome(c.SECRET_SYNCED_ERROR, message, ready=False, error=error)


def of_resource(text: str) -> str:
    """A text about a target Secret, or one that begins so, for a target that is no Secret."""
    known = next((one for one in _ABOUT_SECRETS if text.startswith(one)), "")
    return known.replace("secret", "resource", 1) + text.removeprefix(known)


def told_of_resource(outcome: Outcome) -> Outcome:
    """The outcome in the words for a target that is no Secret. No binding: those are for Secrets."""
    binding = None if outcome.binding is None else ""
    reason = _RESOURCE_REASONS.get(outcome.reason, outcome.reason)
    return replace(outcome, reason=reason, message=of_resource(outcome.message), binding=binding)


def missing_text(missing: Sequence[str]) -> str:
    """What a message says of optional entries that were left out; empty where there are none."""
    return one_line(f"; optional keys without a value: {'; '.join(missing)}") if missing else ""


def with_trouble(message: str, trouble: str) -> str:
    """A message with what is to be said about a lease that could not be renewed so far, and nothing older."""
    message = message.partition(NOT_RENEWED)[0]
    return one_line(f"{message}{NOT_RENEWED}{trouble}") if trouble else message


def event_text(error: KeyferryError) -> str:
    """What the event about a failure says: each of several entries gets its share."""
    if not error.details:
        return str(error)
    share = MAX_MESSAGE_CHARS // len(error.details) - _NUMBERING
    if share < _LEAST_SHARE:
        return str(error)
    texts = (f"({number}) {one_line(text, share)}" for number, text in enumerate(error.details, 1))
    return f"{len(error.details)} entries failed: {'; '.join(texts)}"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str | None) -> datetime | None:
    """The time in an RFC 3339 text; None where there is none or it is malformed."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def external_secret_status(
    before: ExternalSecretStatus, outcome: Outcome, generation: int, now: datetime
) -> ExternalSecretStatus:
    """The status after a reconcile. Equal to `before` where nothing is new."""
    ready = _condition(_ready(before), outcome, generation, now)
    status = msgspec.structs.replace(before, conditions=_with_ready(before.conditions, ready))
    if outcome.refreshed_at is not None:
        status = msgspec.structs.replace(
            status,
            refresh_time=timestamp(outcome.refreshed_at),
            synced_resource_version=outcome.synced,
        )
    if outcome.binding is not None:
        status = msgspec.structs.replace(status, binding=LocalObjectReference(name=outcome.binding))
    return status


def _with_ready(conditions: tuple[C, ...], ready: C) -> tuple[C, ...]:
    """The conditions with this Ready in the place of the old one; the others as they are."""
    place = next((i for i, condition in enumerate(conditions) if condition.type == c.READY), len(conditions))
    others = tuple(condition for condition in conditions if condition.type != c.READY)
    return (*others[:place], ready, *others[place:])


def _ready(status: ExternalSecretStatus) -> ExternalSecretCondition | None:
    return next((condition for condition in status.conditions if condition.type == c.READY), None)


def is_ready(status: ExternalSecretStatus) -> bool:
    """Whether the status says that the target is as it should be."""
    ready = _ready(status)
    return ready is not None and ready.status == c.TRUE


def is_told(status: ExternalSecretStatus) -> bool:
    """Whether the status has an outcome to tell; a pause is none."""
    ready = _ready(status)
    return ready is not None and ready.reason != c.PAUSED


def paused_status(before: ExternalSecretStatus, now: datetime) -> ExternalSecretStatus:
    """The status of a paused object: what was known stays, and the message says that it is paused."""
    ready = _ready(before)
    if ready is None:
        paused = ExternalSecretCondition(
            type=c.READY,
            status=c.UNKNOWN,
            reason=c.PAUSED,
            message=MESSAGE_PAUSED,
            last_transition_time=timestamp(now),
        )
        return msgspec.structs.replace(before, conditions=(*before.conditions, paused))
    if MESSAGE_PAUSED in ready.message:
        return before
    said = msgspec.structs.replace(ready, message=f"{one_line(ready.message)}; {MESSAGE_PAUSED}")
    return msgspec.structs.replace(before, conditions=_with_ready(before.conditions, said))


def resumed_status(before: ExternalSecretStatus) -> ExternalSecretStatus:
    """The status without the words about a pause."""
    ready = _ready(before)
    if ready is None or MESSAGE_PAUSED not in ready.message:
        return before
    if ready.reason == c.PAUSED:
        others = tuple(condition for condition in before.conditions if condition.type != c.READY)
        return msgspec.structs.replace(before, conditions=others)
    said = msgspec.structs.replace(ready, message=ready.message.removesuffix(f"; {MESSAGE_PAUSED}"))
    return msgspec.structs.replace(before, conditions=_with_ready(before.conditions, said))


def _condition(
    before: ExternalSecretCondition | None, outcome: Outcome, generation: int, now: datetime
) -> ExternalSecretCondition:
    status = c.TRUE if outcome.ready else c.FALSE
    kept = before is not None and before.status == status and before.last_transition_time
    return ExternalSecretCondition(
        type=c.READY,
        status=status,
        reason=outcome.reason,
        message=outcome.message,
        last_transition_time=kept or timestamp(now),
        observed_generation=generation,
    )


def only_refresh_time_changed(before: ExternalSecretStatus, after: ExternalSecretStatus) -> bool:
    """Whether the two differ in nothing but the time of the last refresh."""
    return msgspec.structs.replace(before, refresh_time=after.refresh_time) == after


def refresh_time_is_stale(before: ExternalSecretStatus, now: datetime, limit: timedelta) -> bool:
    """Whether the refresh time in the status is older than `limit`, so that writing it alone pays."""
    written = parse_timestamp(before.refresh_time)
    return written is None or abs(now - written) >= limit


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What came of validating a store."""

    ready: bool
    reason: str
    message: str
    error: KeyferryError | None = None


def store_failed(what: str, error: KeyferryError) -> StoreOutcome:
    """The outcome of a store that cannot be used, and why."""
    return StoreOutcome(
        ready=False, reason=c.STORE_INVALID_PROVIDER_CONFIG, message=one_line(f"{what}: {error}"), error=error
    )


def store_valid() -> StoreOutcome:
    """The identity was proven."""
    return StoreOutcome(ready=True, reason=c.STORE_VALID, message=STORE_VALIDATED)


def store_unknown() -> StoreOutcome:
    """It cannot be told in general; usable all the same."""
    return StoreOutcome(ready=True, reason=c.STORE_VALIDATION_UNKNOWN, message=STORE_UNKNOWN)


def store_status(
    before: SecretStoreStatus, outcome: StoreOutcome, capabilities: str, generation: int, now: datetime
) -> SecretStoreStatus:
    """The status of a store after its validation. Equal to `before` where nothing is new."""
    old = next((condition for condition in before.conditions if condition.type == c.READY), None)
    status = c.TRUE if outcome.ready else c.FALSE
    kept = old.last_transition_time if old is not None and old.status == status else ""
    ready = Condition(
        type=c.READY,
        status=status,
        reason=outcome.reason,
        message=outcome.message,
        last_transition_time=kept or timestamp(now),
        observed_generation=generation,
    )
    return SecretStoreStatus(capabilities=capabilities, conditions=_with_ready(before.conditions, ready))
