"""One ExternalSecret, from key to Secret and status: guards, then hand-overs, read from top to bottom.

    load → due? → resolve (planner) → plan → apply → finish

Whatever happens, `finish` runs once and says what came of it. Failures are exceptions of the tree in
`errors`; a bug is one too, told as such.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from keyferry.api import conditions as c
from keyferry.core import summarize
from keyferry.core.backoff import refresh_delay, restart_spread_s
from keyferry.core.desired import (
    Action,
    ImmutableError,
    OwnedByAnotherError,
    Owner,
    SecretPlan,
    plan_delete,
)
from keyferry.core.due import Due, RefreshState, asked_due, refresh_due, rotation_due
from keyferry.core.sources import Assembled
from keyferry.core.stores import is_paused
from keyferry.core.summarize import Outcome, failed, parse_timestamp
from keyferry.errors import (
    InternalError,
    KeyferryError,
    KubeConflict,
    KubeUnavailable,
    OwnershipError,
    SpecError,
    TimedOut,
)
from keyferry.kube.events import NORMAL
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.finish import (
    finish,
    is_as_known,
    record_event,
    retry_status,
    schedule_refresh,
    schedule_retry,
    write_behind,
    write_pending,
)
from keyferry.reconcile.generation import Generation, NoTarget, settle
from keyferry.reconcile.generators import NotOurs
from keyferry.reconcile.generic_target import apply_plan, read_target
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.repairs import EVERY_S
from keyferry.reconcile.resolve import Resolved, resolve
from keyferry.reconcile.stores import Unsettled
from keyferry.reconcile.takeover import release
from keyferry.reconcile.targets import (
    TargetState,
    check_target,
    delete_renamed,
    is_unchanged,
    note_written,
    write_target,
)
from keyferry.reconcile.work import Work, is_generic, load

log = logging.getLogger(__name__)

UNSETTLED_RETRY_S: Final = 15.0
"""A store's validation wakes its dependents; this is for the case that it never ends."""
LOOK_AFTER_S: Final = 5.0
"""So long the target is asked for after a write that nobody answered."""
COLLISIONS_TOLD: Final = 20
"""So many keys that got lost have an event each; a rewrite may map thousands to one."""
CONFLICTS_TOLD: Final = 3
"""So many conflicts in a row are no coincidence any more: something answers so each time."""


class _StepError(Exception):
    """A step failed; `what` is the contract's short message for it."""

    def __init__(self, what: str, error: KeyferryError) -> None:
        super().__init__(what)
        self.what = what
        self.error = error


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError as stopped:
        stopped.add_note(what)  # it becomes the cause of the deadline's TimeoutError
        raise
    except Unsettled:
        raise
    except ImmutableError as error:
        raise _StepError(summarize.FAILED_IMMUTABLE, error) from error
    except OwnedByAnotherError as error:
        raise _StepError(summarize.FAILED_OWNED, error) from error
    except OwnershipError as error:
        deleting = what == summarize.FAILED_DELETE  # nobody wants to own what is to go
        raise _StepError(what if deleting else summarize.FAILED_OWNERSHIP, error) from error
    except KeyferryError as error:
        raise _StepError(what, error) from error


async def reconcile_external_secret(engine: Engine, claim: Claim) -> None:
    """Bring one ExternalSecret's target and status in line with its spec and stores."""
    key = claim.key
    record = engine.books.external_secrets.get(key)
    if record is None:
        return
    if record.deleting:
        await _let_go(engine, key, record)
        return
    if claim.lane is Lane.USER:
        engine.debts.external_secrets.pop(key, None)  # what was refused may be accepted of what it is now
    if record.unwritten and await write_behind(engine, claim, record):
        return
    await _look(engine, claim, record)
    retry_status(engine, key, record)


async def _look(engine: Engine, claim: Claim, record: ExternalSecretRecord) -> None:
    """The guards, one try, and its end."""
    key = claim.key
    labels, annotations = record.labels_and_annotations()
    if is_paused(annotations):
        await _pause(engine, key, record)
        return
    try:
        work = load(engine, key, record, Owner(key.namespace, key.name, record.uid, labels, annotations))
    except KeyferryError as error:
        outcome = failed(summarize.FAILED_FETCH, error)
        told = summarize.told_of_resource(outcome) if is_generic(record) else outcome
        await finish(engine, key, record, told, timedelta(0))
        return
    if work is None:
        record.waiting = True  # its store may become ours
        log.debug("left alone: another controller class or kind of store")
        return
    await release(engine, key, record)
    result = await _attempt(engine, work, claim)
    record.settled = True
    if result is not None:
        told = summarize.told_of_resource(result) if work.target.manifest is not None else result
        await finish(engine, key, record, told, work.interval, generation=work.generation)


async def _let_go(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> None:
    """A deleted object: owner references do what is left to do, and the reference's finalizer must not hold it."""
    try:
        ours = load(engine, key, record, Owner(key.namespace, key.name, record.uid)) is not None
    except KeyferryError:
        ours = True
    if ours:
        await release(engine, key, record)


async def _pause(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> None:
    """Say that the object is paused, and let it rest."""
    log.debug("left alone: paused")
    engine.queue.unschedule(key)
    before = record.read_status()
    paused = summarize.paused_status(before, engine.clock.now())
    if paused != before:
        record.unwritten = msgspec.json.encode(paused)
        await write_pending(engine, key, record)
        engine.events.record(key, record.uid, NORMAL, c.PAUSED, summarize.MESSAGE_PAUSED)


async def _attempt(engine: Engine, work: Work, claim: Claim) -> Outcome | None:
    """What came of one try; None where there was nothing to do, or nothing to say yet."""
    try:
        async with asyncio.timeout(engine.settings.deadline_s):
            return await _sync(engine, work, claim)
    except _StepError as step:
        if isinstance(step.error, KubeConflict) and work.record.failures + 1 < CONFLICTS_TOLD:
            # Somebody writes the Secret at the same time: not a failure, look again.
            work.record.failures += 1
            schedule_retry(engine, work.key, work.record, step.error, work.interval)
            return None
        return failed(step.what, step.error)
    except NotOurs:
        work.record.waiting = True
        log.debug("left alone: a generator of another controller class")
        schedule_refresh(engine, work.key, work.record, engine.clock.now(), work.interval)
    except Unsettled:
        work.record.waiting = True
        engine.queue.schedule(work.key, engine.queue.now() + UNSETTLED_RETRY_S, Lane.RETRY)
    except TimeoutError as late:
        return _too_late(engine, work, late)
    except KeyferryError as error:
        return failed(summarize.FAILED_UPDATE, error)
    except Exception as error:
        log.exception("a bug in Keyferry")
        return failed(summarize.FAILED_UPDATE, InternalError.of(error))
    return None


def _too_late(engine: Engine, work: Work, late: TimeoutError) -> Outcome:
    """The outcome where the deadline has passed: which step it was, who did not answer, what to do."""
    what = next(iter(getattr(late.__cause__, "__notes__", ())), summarize.FAILED_FETCH)
    within = f"within {engine.settings.deadline_s:.0f} s"
    if what != summarize.FAILED_FETCH:
        error = TimedOut(
            f"the API server did not answer {within}", hint="Look at its load, and at the network between"
        )
        return failed(what, error)
    stores = [str(need) for need in work.record.depends_on[1:]]
    error = TimedOut(
        f"no complete answer from {', '.join(stores)} {within}",
        hint="Look at the store's load, and at the network between",
    )
    return failed(what, error)


async def _sync(engine: Engine, work: Work, claim: Claim) -> Outcome | None:
    started, state = engine.clock.now(), _refresh_state(work)
    due = refresh_due(state, started)
    asked, work.record.asked = work.record.asked, False
    if asked:
        due = asked_due(due)
    with _step(summarize.FAILED_UPDATE):
        check = await check_target(engine, work.owner, work.target, work.record, work.status)
    if check.state is not TargetState.VALID and work.status.synced_resource_version:
        # The watch may be late: what the garbage collector has taken must not be made again.
        with _step(summarize.FAILED_UPDATE):
            if not await is_as_known(engine, work.key, work.record):
                return None
    mending = not due.now and check.state is not TargetState.VALID
    if mending and _has_to_wait(engine, work, due):
        return None
    if not due.now and (check.state is TargetState.VALID or check.repair is not None):
        with _step(summarize.FAILED_UPDATE):
            await _repair(engine, work, check.repair)
        return _rest(engine, work, due)
    if due.now and check.state is TargetState.VALID and _is_overdue_after_start(work, claim):
        delay = engine.random.random() * restart_spread_s(work.interval.total_seconds())
        engine.queue.schedule(work.key, engine.queue.now() + delay, Lane.PERIODIC)
        return None
    work.record.sync_calls += 1
    log.debug("sync: %s, target %s", due.why, check.state.value)
    try:
        with _step(summarize.FAILED_FETCH):
            resolved = await resolve(engine, work, claim, rotate=rotation_due(state, started))
        outcome = await _write(engine, work, resolved, started)
    except NoTarget:
        return _done(c.SECRET_MISSING, summarize.MESSAGE_MISSING, started, work.current)
    except BaseException:
        # Or the next try would find nothing to do, and tell that all is well.
        work.record.asked = work.record.asked or asked
        raise
    if mending:
        engine.repairs.note(work.key, engine.queue.now())
    return outcome


def _has_to_wait(engine: Engine, work: Work, due: Due) -> bool:
    """Whether the target was put right so often that the next time has to wait; then that is scheduled."""
    wait = engine.repairs.wait_s(work.key, engine.queue.now())
    if not wait:
        return False
    level = logging.WARNING if wait > EVERY_S - 1 else logging.DEBUG  # told of already
    log.log(level, "somebody else changes the target again and again: it is put right more rarely")
    if due.next_at is not None:
        wait = min(wait, max(0.0, (due.next_at - engine.clock.now()).total_seconds()))
    engine.queue.schedule(work.key, engine.queue.now() + wait, Lane.RETRY)
    return True


def _refresh_state(work: Work) -> RefreshState:
    record, status = work.record, work.status
    refreshed_at = parse_timestamp(status.refresh_time)
    if record.refreshed_at:
        refreshed_at = datetime.fromtimestamp(record.refreshed_at, UTC)
    pause = refresh_delay(work.interval.total_seconds(), record.spread)
    return RefreshState(
        policy=work.spec.refresh_policy,
        interval=work.interval,
        pause=timedelta(seconds=pause),
        current=work.current,
        synced=status.synced_resource_version,
        refreshed_at=refreshed_at,
        windows=work.windows,
    )


def _is_overdue_after_start(work: Work, claim: Claim) -> bool:
    """Whether only time made it due, and before this process looked at it for the first time."""
    return (
        claim.lane is Lane.PERIODIC
        and not work.record.settled
        and summarize.is_ready(work.status)
        and work.status.synced_resource_version == work.current
    )


def _rest(engine: Engine, work: Work, due: Due) -> Outcome | None:
    """Nothing to do: set the clock for the next refresh, and take back what is no longer true."""
    if due.next_at is not None:
        delay = (due.next_at - engine.clock.now()).total_seconds()
        engine.queue.schedule(work.key, engine.queue.now() + max(0.0, delay), Lane.PERIODIC)
    log.debug("nothing to do: %s", due.why)
    if not work.status.synced_resource_version:
        return None
    said = summarize.resumed_status(work.status)
    ready = next((condition for condition in said.conditions if condition.type == c.READY), None)
    if ready is not None and (ready.status == c.TRUE or due.held):  # what is held back may still fail
        told = Outcome(ready.reason, ready.message, ready=ready.status == c.TRUE)
        return None if said == work.status else told
    return Outcome(c.SECRET_SYNCED, summarize.MESSAGE_SYNCED, ready=True)


async def _repair(engine: Engine, work: Work, plan: SecretPlan | None) -> None:
    """Put labels, annotations or ownership right, if they are not; the data is, so nothing is fetched."""
    if plan is None:
        return
    written = await apply_plan(engine, plan)
    note_written(engine, work.record, plan, written)
    if written is None:
        return
    engine.repairs.note(work.key, engine.queue.now())
    message = _tell(engine, work, c.EVENT_UPDATED, summarize.MESSAGE_UPDATED)
    log.info("%s: labels, annotations or owner put right", message)


# -- write


async def _write(engine: Engine, work: Work, resolved: Resolved, started: datetime) -> Outcome:
    """Bring the data into the target by the policies; the outcome.

    Raises:
        _StepError: it could not be done.
    """
    refreshed_at = _refreshed_at(work, resolved, started)
    try:
        outcome = await _write_target(engine, work, resolved.assembled, refreshed_at)
    except BaseException as error:
        if resolved.generation is not None:
            written = False if _was_refused(error) else await _is_written(engine, work, resolved.assembled)
            if written:
                _hold(engine, work, resolved.generation, refreshed_at)
            elif written is not None:
                await resolved.generation.undo()
        raise
    _hold(engine, work, resolved.generation, refreshed_at)
    if outcome.binding is not None and work.target.creation_policy == "Owner":
        await _remove_former(engine, work)
    return outcome


def _was_refused(error: BaseException) -> bool:
    """Whether a failure says that nothing was written. No answer says nothing: the write may have been carried out."""
    return isinstance(error, _StepError) and not isinstance(error.error, KubeUnavailable)


async def _is_written(engine: Engine, work: Work, assembled: Assembled) -> bool | None:
    """Whether the target holds the data after a write without an answer; None where that cannot be told."""
    target = work.target
    try:
        async with asyncio.timeout(LOOK_AFTER_S):
            found = await read_target(engine, work.key.namespace, target.name, target.manifest)
    except (KeyferryError, TimeoutError):
        return None
    return found is not None and all(found.data.get(key) == value for key, value in assembled.data.items())


def _hold(engine: Engine, work: Work, generation: Generation | None, refreshed_at: datetime) -> None:
    """The target holds the data: what was made for it is in use, even if something else fails from here on."""
    if generation is not None:
        # Not only in the status, which a failure leaves as it is: each retry would make new values.
        work.record.refreshed_at = refreshed_at.timestamp()
        for note in generation.notes:
            record_event(engine, work.key, work.record, c.EVENT_GENERATED, note)
            log.info("%s", note)
    settle(engine, work, generation)


def _refreshed_at(work: Work, resolved: Resolved, started: datetime) -> datetime:
    """When the target's data is from: where generated values were kept, their time goes on to count.

    Unless it lies in the future, where it would keep them for ever.
    """
    generation = resolved.generation
    if generation is None or not generation.kept:
        return started
    return min(_refresh_state(work).refreshed_at or started, started)


async def _write_target(engine: Engine, work: Work, assembled: Assembled, started: datetime) -> Outcome:
    _tell_notes(engine, work, assembled)
    synced = work.current  # of the spec that was read, should it have changed meanwhile
    if not assembled.data and work.target.deletion_policy == "Delete":
        await _delete(engine, work)
        return _done(c.SECRET_DELETED, summarize.MESSAGE_DELETED, started, synced)
    missing = summarize.missing_text(assembled.missing)
    if not assembled.data and work.target.deletion_policy == "Retain":
        return _done(c.SECRET_SYNCED, summarize.MESSAGE_RETAINED + missing, started, synced)
    message = summarize.MESSAGE_SYNCED + missing
    if work.target.creation_policy == "None":
        return _done(c.SECRET_SYNCED, message, started, synced)
    before = work.status.synced_resource_version
    if not is_unchanged(engine, work.owner, work.target, work.record, data=assembled.data, synced=before):
        with _step(summarize.FAILED_UPDATE):
            plan = await write_target(engine, work.owner, work.target, work.record, assembled.data)
        if plan.action is Action.WAIT:
            return _done(c.SECRET_MISSING, summarize.MESSAGE_MISSING + missing, started, synced)
        _tell_written(engine, work, plan)
    return _done(c.SECRET_SYNCED, message, started, synced, binding=work.target.name)


async def _remove_former(engine: Engine, work: Work) -> None:
    """Delete what the object wrote under another target name."""
    edited = work.status.synced_resource_version != work.current
    with _step(summarize.FAILED_ORPHANED):
        for name in await delete_renamed(engine, work.owner, work.target, edited=edited):
            _tell(engine, work, c.EVENT_DELETED, summarize.MESSAGE_ORPHANED)
            log.info('deleted the former target "%s"', name)


def _tell_notes(engine: Engine, work: Work, assembled: Assembled) -> None:
    """An event for what is new since the last sync: a remote secret that became absent, a key that got lost."""
    before, record = work.record.noted, work.record
    absent = [f"secret does not exist at provider using {question.event}" for question in assembled.absent]
    collisions = assembled.collisions[:COLLISIONS_TOLD]
    record.noted = (*absent, *collisions)
    for note in absent:
        if note not in before:
            record_event(engine, work.key, record, c.EVENT_MISSING_PROVIDER_SECRET, note)
    for note in collisions:
        if note not in before:
            record_event(engine, work.key, record, c.EVENT_KEY_COLLISION, note)


def _done(reason: str, message: str, started: datetime, synced: str, binding: str | None = None) -> Outcome:
    return Outcome(reason, message, ready=True, refreshed_at=started, synced=synced, binding=binding)


def _tell(engine: Engine, work: Work, reason: str, message: str) -> str:
    """An event about the target; its message in the words for the target's kind."""
    told = message if work.target.manifest is None else summarize.of_resource(message)
    record_event(engine, work.key, work.record, reason, told)
    return told


def _tell_written(engine: Engine, work: Work, plan: SecretPlan) -> None:
    if plan.action is Action.CREATE:
        message = _tell(engine, work, c.EVENT_CREATED, summarize.MESSAGE_CREATED)
        log.info("%s", message)
    elif plan.action is Action.UPDATE:
        message = _tell(engine, work, c.EVENT_UPDATED, summarize.MESSAGE_UPDATED)
        log.info("%s: %s", message, plan.reason)


async def _delete(engine: Engine, work: Work) -> None:
    """Delete the target because the store has nothing left of it, and deletionPolicy says so."""
    with _step(summarize.FAILED_DELETE):
        if work.target.creation_policy != "Owner":
            raise SpecError(
                f"deletionPolicy=Delete with creationPolicy={work.target.creation_policy}: the target is not owned",
                hint="Please set creationPolicy=Owner",
            )
        target = work.target
        existing = await read_target(engine, work.key.namespace, target.name, target.manifest)
        plan = plan_delete(work.owner, target, existing, "the store has none of its values")
        await apply_plan(engine, plan)
    if plan.action is Action.DELETE:
        message = _tell(engine, work, c.EVENT_DELETED, summarize.MESSAGE_DELETED)
        log.info("%s", message)
