"""The end of every reconcile of an ExternalSecret: status, event, next time. The only writer of its status."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from keyferry.api import conditions as c
from keyferry.api.external_secret import ExternalSecretStatus
from keyferry.core.backoff import DEFAULT_INTERVAL_S, refresh_delay, retry_delay, status_delay
from keyferry.core.summarize import (
    Outcome,
    event_text,
    external_secret_status,
    is_told,
    only_refresh_time_changed,
    refresh_time_is_stale,
)
from keyferry.errors import KeyferryError, KubeError, KubeInvalid, KubeNotFound
from keyferry.kube.events import NORMAL, WARNING
from keyferry.kube.status import object_path
from keyferry.planner.health import Deferred
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.debts import Debt, put_status
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generator_state import wake_states
from keyferry.reconcile.queue import Claim, Lane

log = logging.getLogger(__name__)


async def finish(
    engine: Engine,
    key: ObjectKey,
    record: ExternalSecretRecord,
    outcome: Outcome,
    interval: timedelta,
    *,
    generation: int | None = None,
) -> None:
    """Write the status if it says anything new, tell an event if it does, and say when to look again.

    Args:
        generation: of the object that the outcome is for, where it may have changed since.
    """
    before = record.read_status()
    error = outcome.error
    record.waiting = error is not None
    deferred = isinstance(error, Deferred)
    if error is not None and deferred and is_told(before):
        # Its turn has not come: what was true stays true, and what was wrong is more than that.
        schedule_retry(engine, key, record, error, interval)
        return
    now = engine.clock.now()
    generation = record.generation if generation is None else generation
    after = external_secret_status(before, outcome, generation, now)
    if error is None:
        record.failures = 0
    elif not deferred:
        record.failures += 1
        record.sync_errors += 1
    if await _write_if_new(engine, key, record, before, after):
        _tell(engine, key, record, before, outcome)
    elif error is not None:
        log.debug("sync failed as before")
    if error is not None:
        schedule_retry(engine, key, record, error, interval)
    elif outcome.refreshed_at is not None:
        record.refreshed_at = outcome.refreshed_at.timestamp()
        record.spread = engine.random.random()
        schedule_refresh(engine, key, record, outcome.refreshed_at, interval)


def _tell(
    engine: Engine,
    key: ObjectKey,
    record: ExternalSecretRecord,
    before: ExternalSecretStatus,
    outcome: Outcome,
) -> None:
    """An event and a log line for a failure that is new. Writes tell of themselves."""
    old = next((condition for condition in before.conditions if condition.type == c.READY), None)
    if old is not None and (old.reason, old.message) == (outcome.reason, outcome.message):
        return
    if outcome.error is not None and not isinstance(outcome.error, Deferred):
        engine.events.record(key, record.uid, WARNING, c.EVENT_UPDATE_FAILED, event_text(outcome.error))
        log.warning("sync failed: %s", outcome.message)
    else:
        log.debug("%s", outcome.message)


async def _write_if_new(
    engine: Engine,
    key: ObjectKey,
    record: ExternalSecretRecord,
    before: ExternalSecretStatus,
    after: ExternalSecretStatus,
) -> bool:
    """Write the status unless it says what the object says already; whether it is new."""
    if after == before and not record.unwritten:
        return False
    now = engine.clock.now()
    only_time = only_refresh_time_changed(before, after) and not record.unwritten
    if only_time and not refresh_time_is_stale(before, now, engine.settings.refresh_status_every):
        return False
    record.unwritten = msgspec.json.encode(after)
    await write_pending(engine, key, record)
    return True


async def write_behind(engine: Engine, claim: Claim, record: ExternalSecretRecord) -> bool:
    """Write the status that could not be written before; whether the claim was for that alone."""
    key, now = claim.key, engine.queue.now()
    await write_pending(engine, key, record)
    if claim.lane is not Lane.RETRY or record.resume_at <= now:
        return False
    if record.resume_at < math.inf:
        engine.queue.schedule(key, record.resume_at, Lane.RETRY if record.waiting else Lane.PERIODIC)
    _schedule_status(engine, key, record)
    return True


def retry_status(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> None:
    """At the end of a look: try later to write the status that could not be written, and nothing else then."""
    if record.unwritten:
        due = engine.queue.due_at(key)
        record.resume_at = math.inf if due is None else due
        _schedule_status(engine, key, record)


def _schedule_status(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> None:
    """Come back for the status alone, unless the object's own work is due before: the status goes with it."""
    debt = engine.debts.external_secrets.get(key)
    at = debt.not_before if debt is not None else engine.queue.now() + status_delay(1, engine.random.random())
    if record.unwritten and at < record.resume_at:
        engine.queue.schedule(key, at, Lane.RETRY)


def _refused(engine: Engine, key: ObjectKey, error: KubeError) -> None:
    debt = engine.debts.external_secrets.setdefault(key, Debt())
    debt.refused(error, engine.queue.now(), engine.random.random())


async def write_pending(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> None:
    """Write the status that waits to be written, if it may be tried yet; what fails stays waiting."""
    debts = engine.debts.external_secrets
    if (debt := debts.get(key)) is not None and engine.queue.now() < debt.not_before:
        return
    try:
        written = await put_status(
            engine.api, key, record, record.unwritten, lambda: _catch_up(engine, key, record)
        )
    except KubeNotFound:
        forget(engine, key)
    except KubeError as error:
        if isinstance(error, KubeInvalid):
            # An object older than the schema's rules: no try will be taken, and the event has told.
            record.unwritten = b""
        _refused(engine, key, error)
    else:
        if written:
            record.unwritten = b""
            debts.pop(key, None)


async def _catch_up(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> bool:
    """After a conflict: take over the object as it is now. Whether our status still speaks of it.

    If its spec or metadata changed, the reconcile was for yesterday's object: it starts again.
    """
    try:
        same = await is_as_known(engine, key, record)
    except KubeError:
        return True
    if not same:
        record.unwritten = b""
    return same


async def is_as_known(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> bool:
    """Take over the object as it is now; whether all that counts of it is as the reconcile has it.

    If not, it is forgotten where it is gone, else worked on again.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    try:
        body: Mapping[str, Any] = await engine.api.read(object_path(key))
    except KubeNotFound:
        forget(engine, key)
        return False
    known = (record.generation, record.metadata, record.deleting)
    engine.books.note_external_secret(key, body)
    current = engine.books.external_secrets.get(key)
    if current is record and (record.generation, record.metadata, record.deleting) == known:
        return True
    engine.queue.add(key, Lane.USER)
    return False


def forget(engine: Engine, key: ObjectKey) -> None:
    """An object is gone: nothing of it stays, also of what generators made for it elsewhere."""
    if (record := engine.books.external_secrets.get(key)) is not None:
        wake_states(engine, engine.books.generator_states.of(record.uid))
        engine.books.generator_states.lost.pop(record.uid, None)
    engine.books.forget_external_secret(key)
    engine.debts.external_secrets.pop(key, None)
    engine.generic.release(key)
    engine.sources.release(engine, key)
    engine.repairs.forget(key)
    engine.vain.forget(key)
    engine.queue.forget(key)


def schedule_refresh(
    engine: Engine, key: ObjectKey, record: ExternalSecretRecord, refreshed_at: datetime, interval: timedelta
) -> None:
    """Come back when the interval has passed; never where there is none."""
    if interval <= timedelta(0):
        engine.queue.unschedule(key)
        return
    due = refreshed_at.timestamp() + refresh_delay(interval.total_seconds(), record.spread)
    delay = due - engine.clock.now().timestamp()
    engine.queue.schedule(key, _loop_time(engine, delay), Lane.PERIODIC)


def schedule_retry(
    engine: Engine,
    key: ObjectKey,
    record: ExternalSecretRecord,
    error: KeyferryError,
    interval: timedelta,
) -> None:
    """Come back when the error's own word says so.

    Args:
        interval: 0 where the object is not refreshed, or where its own spec is all that is wrong.
    """
    interval_s = interval.total_seconds() or DEFAULT_INTERVAL_S
    # Who was not asked at all has not failed once more: no patience is lost by waiting.
    failures = 1 if isinstance(error, Deferred) else max(record.failures, 1)
    delay = retry_delay(error, failures, interval_s, engine.random.random())
    if delay is not None:
        engine.queue.schedule(key, _loop_time(engine, delay), Lane.RETRY)
    elif interval > timedelta(0):
        # A change may mend it, and nobody tells of a change at the store: the refresh finds it.
        delay = refresh_delay(interval_s, engine.random.random())
        engine.queue.schedule(key, _loop_time(engine, delay), Lane.PERIODIC)
    else:
        engine.queue.unschedule(key)


def _loop_time(engine: Engine, delay_s: float) -> float:
    return engine.queue.now() + max(0.0, delay_s)


def record_event(
    engine: Engine, key: ObjectKey, record: ExternalSecretRecord, reason: str, message: str
) -> None:
    """A normal event about an ExternalSecret: something was done."""
    engine.events.record(key, record.uid, NORMAL, reason, message)
