"""One ExternalSecret, from key to Secret and status: guards, then hand-overs, read from top to bottom.

    load → due? → resolve (planner) → plan → apply → finish

Whatever happens, `finish` runs once and says what came of it. Failures are exceptions of the tree in
`errors`; a bug is one too, told as such.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from keyferry.api import conditions as c
from keyferry.core import summarize
from keyferry.core.backoff import refresh_delay, restart_spread_s
from keyferry.core.desired import (
    Owner,
    SecretPlan,
)
from keyferry.core.due import (
    TEMPLATE_CHANGED,
    Due,
    RefreshState,
    asked_due,
    heeds_changes,
    refresh_due,
    rotation_due,
)
from keyferry.core.stores import is_paused
from keyferry.core.summarize import Outcome, failed
from keyferry.errors import (
    InternalError,
    KeyferryError,
    KubeConflict,
    TimedOut,
)
from keyferry.kube.events import NORMAL
from keyferry.ports import ObjectKey
from keyferry.reconcile import leases
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.finish import (
    finish,
    is_as_known,
    retry_status,
    schedule_refresh,
    schedule_retry,
    write_behind,
    write_pending,
)
from keyferry.reconcile.generation import NoTarget
from keyferry.reconcile.generators import NotOurs
from keyferry.reconcile.generic_target import apply_plan
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.remote import SOURCE_CHANGED, follow, heed
from keyferry.reconcile.repairs import EVERY_S
from keyferry.reconcile.resolve import resolve
from keyferry.reconcile.steps import StepError, step
from keyferry.reconcile.stores import Unsettled
from keyferry.reconcile.takeover import release
from keyferry.reconcile.targets import (
    TargetState,
    check_target,
    note_written,
)
from keyferry.reconcile.templates import is_changed, read_sources, source_keys
from keyferry.reconcile.work import Work, is_generic, load
from keyferry.reconcile.writing import done, last_refresh, tell, write

log = logging.getLogger(__name__)

UNSETTLED_RETRY_S: Final = 15.0
"""A store's validation wakes its dependents; this is for the case that it never ends."""
CONFLICTS_TOLD: Final = 3
"""So many conflicts in a row are no coincidence any more: something answers so each time."""


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
    except StepError as step:
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
    stores = list(map(str, work.stores))
    error = TimedOut(
        f"no complete answer from {', '.join(stores)} {within}",
        hint="Look at the store's load, and at the network between",
    )
    return failed(what, error)


async def _sync(engine: Engine, work: Work, claim: Claim) -> Outcome | None:
    record = work.record
    asked, noticed = record.asked, record.noticed
    try:
        return await _sync_if_due(engine, work, claim, asked=asked)
    except BaseException:
        # Or the next try would find nothing to do, and tell that all is well.
        record.asked |= asked
        record.noticed |= noticed
        raise


async def _sync_if_due(engine: Engine, work: Work, claim: Claim, *, asked: bool) -> Outcome | None:
    started = engine.clock.now()
    work.record.asked = False
    state = await _refresh_state(engine, work)
    over = leases.over(engine, work.owner.uid)
    due = heed(work, _due(state, started, over, asked=asked), started)
    by_source = due.why == SOURCE_CHANGED
    with step(summarize.FAILED_UPDATE):
        check = await check_target(engine, work.owner, work.target, work.record, work.status)
    may_be_gone = check.state is not TargetState.VALID or leases.lost(engine, work.owner.uid)
    if may_be_gone and work.status.synced_resource_version:
        # The watch may be late: what the garbage collector has taken must not be made again.
        with step(summarize.FAILED_UPDATE):
            if not await is_as_known(engine, work.key, work.record):
                work.record.asked |= asked
                work.record.noticed |= by_source
                return None
    mending = not due.now and check.state is not TargetState.VALID
    by_target = not asked and due.why == TEMPLATE_CHANGED and _is_made_from_target(engine, work)
    if (mending or by_target or by_source) and _has_to_wait(engine, work, due):
        work.record.noticed |= by_source
        return None
    if not due.now and (check.state is TargetState.VALID or check.repair is not None):
        with step(summarize.FAILED_UPDATE):
            await _repair(engine, work, check.repair)
        outcome = _rest(engine, work, due)
        follow(engine, work)
        return outcome
    if (
        due.now
        and check.state is TargetState.VALID
        and not state.template_changed
        and not over
        and not by_source
        and _is_overdue_after_start(work, claim)
    ):
        delay = engine.random.random() * restart_spread_s(work.interval.total_seconds())
        engine.queue.schedule(work.key, engine.queue.now() + delay, Lane.PERIODIC)
        return None
    work.record.sync_calls += 1
    log.debug("sync: %s, target %s", due.why, check.state.value)
    before = work.record.data_hash
    try:
        outcome = await _resolve_and_write(engine, work, claim, state, started)
    except NoTarget:
        return done(c.SECRET_MISSING, summarize.MESSAGE_MISSING, started, work.current)
    finally:
        in_vain = work.record.data_hash == before
        if by_source and (not in_vain or claim.lane is Lane.EVENT):  # other lanes have pauses of their own
            engine.vain.note(work.key, engine.queue.now(), in_vain=in_vain)
    if mending or by_target or (by_source and not in_vain):
        engine.repairs.note(work.key, engine.queue.now())
    return outcome


async def _resolve_and_write(
    engine: Engine, work: Work, claim: Claim, state: RefreshState, started: datetime
) -> Outcome:
    # Before the stores are asked: what is missing here costs no call there.
    with step(summarize.FAILED_UPDATE):
        sources = await read_sources(engine, work.key, work.target.template)
    with step(summarize.FAILED_FETCH):
        rotate = rotation_due(state, started)
        # What another process rendered is known by its time alone: no reason for new generated values.
        anew = state.template_changed and bool(work.record.rendered)
        resolved = await resolve(engine, work, claim, rotate=rotate, anew=anew)
    return await write(engine, work, resolved, sources, started)


def _due(state: RefreshState, now: datetime, over: str, *, asked: bool) -> Due:
    """Whether to sync now.

    Args:
        over: why generated values have come to their end, if any have.
        asked: whether somebody asked for it.
    """
    due = refresh_due(state, now)
    if asked:
        due = asked_due(due)
    if over and not due.now:
        # Whatever policy and windows say: a credential that has ended serves nobody.
        return Due(now=True, why=f"generated values have to be made anew: {over}")
    return due


def _has_to_wait(engine: Engine, work: Work, due: Due) -> bool:
    """Whether the target was put right so often that the next time has to wait; then that is scheduled."""
    wait = engine.repairs.wait_s(work.key, engine.queue.now())
    if not wait:
        return False
    level = logging.WARNING if wait > EVERY_S - 1 else logging.DEBUG  # told of already
    log.log(level, "its target or a template changes again and again: it is put right more rarely")
    if due.next_at is not None:
        wait = min(wait, max(0.0, (due.next_at - engine.clock.now()).total_seconds()))
    engine.queue.schedule(work.key, engine.queue.now() + wait, Lane.RETRY)
    return True


def _is_made_from_target(engine: Engine, work: Work) -> bool:
    """Whether a text of its template is in a target: two that are made from each other's would never end."""
    for need in source_keys(work.target.template, work.key.namespace):
        known = engine.books.secrets.get((need.namespace, need.name)) if need.kind == "Secret" else None
        if engine.generic.is_target(need) or (known is not None and known.managed):
            return True
    return False


async def _refresh_state(engine: Engine, work: Work) -> RefreshState:
    """What decides whether a refresh is due; of texts that the template is made from, whether they changed."""
    record, status = work.record, work.status
    pause = refresh_delay(work.interval.total_seconds(), record.spread)
    state = RefreshState(
        policy=work.spec.refresh_policy,
        interval=work.interval,
        pause=timedelta(seconds=pause),
        current=work.current,
        synced=status.synced_resource_version,
        refreshed_at=last_refresh(work),
        windows=work.windows,
    )
    if not heeds_changes(state):
        return state
    with step(summarize.FAILED_UPDATE):
        sources = await read_sources(engine, work.key, work.target.template)
    changed = is_changed(record.rendered, status, sources)
    if not changed and sources is not None:
        record.rendered = sources.digest  # by another process, maybe: from now on, a change is known as one
    return replace(state, template_changed=changed)


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
    trouble = leases.trouble(engine, work.owner.uid)
    if ready is not None and (ready.status == c.TRUE or due.held):  # what is held back may still fail
        message = summarize.with_trouble(ready.message, trouble)
        told = Outcome(ready.reason, message, ready=ready.status == c.TRUE)
        return None if said == work.status and message == ready.message else told
    return Outcome(c.SECRET_SYNCED, summarize.with_trouble(summarize.MESSAGE_SYNCED, trouble), ready=True)


async def _repair(engine: Engine, work: Work, plan: SecretPlan | None) -> None:
    """Put labels, annotations or ownership right, if they are not; the data is, so nothing is fetched."""
    if plan is None:
        return
    written = await apply_plan(engine, plan)
    note_written(engine, work.record, plan, written)
    if written is None:
        return
    engine.repairs.note(work.key, engine.queue.now())
    message = tell(engine, work, c.EVENT_UPDATED, summarize.MESSAGE_UPDATED)
    log.info("%s: labels, annotations or owner put right", message)
