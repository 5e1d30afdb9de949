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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.api.external_secret import ExternalSecretSpec, ExternalSecretStatus
from keyferry.api.model import decode
from keyferry.core import summarize
from keyferry.core.backoff import refresh_delay, restart_spread_s
from keyferry.core.desired import (
    Action,
    ImmutableError,
    OwnedByAnotherError,
    Owner,
    SecretPlan,
    Target,
    plan_delete,
)
from keyferry.core.due import Due, RefreshState, refresh_due
from keyferry.core.sources import (
    Answered,
    Assembled,
    Question,
    assemble,
    check_available,
    check_policies,
    is_heavy,
    questions,
    store_refs,
)
from keyferry.core.stores import is_our_class, is_paused
from keyferry.core.summarize import Outcome, failed, parse_timestamp
from keyferry.duration import parse_go_duration
from keyferry.errors import (
    InternalError,
    KeyferryError,
    KubeConflict,
    OwnershipError,
    SpecError,
    TimedOut,
)
from keyferry.kube.apply import apply, read_secret
from keyferry.kube.events import NORMAL
from keyferry.planner.cache import Freshness
from keyferry.planner.health import Deferred
from keyferry.ports import ObjectKey, Read, RemoteValue
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.finish import (
    finish,
    is_as_known,
    record_event,
    retry_status,
    schedule_retry,
    write_behind,
    write_pending,
)
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.stores import StoreUse, Unsettled, store_key, use_store
from keyferry.reconcile.targets import (
    TargetState,
    check_target,
    delete_renamed,
    is_unchanged,
    note_written,
    write_target,
)

log = logging.getLogger(__name__)

UNSETTLED_RETRY_S: Final = 15.0
"""A store's validation wakes its dependents; this is for the case that it never ends."""
SLOW_S: Final = 0.5
"""A store that takes longer holds nobody else back."""
NEGATIVE_AGE_S: Final = 5.0
"""So old may a remembered "absent" or "denied" be when an object is tried again."""
PERIODIC_AGE_S: Final = 0.5
"""So old may a value be at a periodic refresh: objects that are due together share a read."""
CONFLICTS_TOLD: Final = 3
"""So many conflicts in a row are no coincidence any more: something answers so each time."""
MESSAGE_CREATED: Final = "secret created"
MESSAGE_UPDATED: Final = "secret updated"
MESSAGE_ORPHANED: Final = "secret deleted because it was orphaned"


@dataclass(frozen=True, slots=True)
class Work:
    """An ExternalSecret, decoded and checked."""

    key: ObjectKey
    record: ExternalSecretRecord
    spec: ExternalSecretSpec
    status: ExternalSecretStatus
    owner: Owner
    target: Target
    interval: timedelta


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
        raise _StepError(summarize.FAILED_OWNERSHIP, error) from error
    except KeyferryError as error:
        raise _StepError(what, error) from error


async def reconcile_external_secret(engine: Engine, claim: Claim) -> None:
    """Bring one ExternalSecret's target and status in line with its spec and stores."""
    key = claim.key
    record = engine.books.external_secrets.get(key)
    if record is None or record.deleting:
        return  # owner references do what is left to do
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
        await finish(engine, key, record, failed(summarize.FAILED_FETCH, error), timedelta(0))
        return
    if work is None:
        record.waiting = True  # its store may become ours
        log.debug("left alone: another controller class or kind of store")
        return
    outcome = await _attempt(engine, work, claim)
    record.settled = True
    if outcome is not None:
        await finish(engine, key, record, outcome, work.interval)


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


def load(engine: Engine, key: ObjectKey, record: ExternalSecretRecord, owner: Owner) -> Work | None:
    """Decode and check; None where the object is not ours to serve.

    Raises:
        SpecError: the spec cannot be used, whatever stores and target hold; names the field.
    """
    try:
        spec = decode(record.spec, ExternalSecretSpec)
    except msgspec.DecodeError as error:
        raise SpecError(f"the spec is invalid: {error}") from None
    stores = sorted(store_refs(spec))
    target = Target(
        spec.target.name or key.name,
        spec.target.creation_policy,
        spec.target.deletion_policy,
        spec.target.immutable,
    )
    needs = [ObjectKey("Secret", key.namespace, target.name)]
    for kind, name in stores:
        namespace = "" if kind == names.CLUSTER_SECRET_STORE else key.namespace
        needs.append(ObjectKey(kind, namespace, name))
    engine.books.dependents.link(key, tuple(needs), record.depends_on)
    record.depends_on = tuple(needs)
    if not _is_ours(engine, needs[1:]):
        return None
    # Before the target is even looked at: what we cannot make, another operator may have made.
    check_available(spec)
    check_policies(spec)
    interval = parse_go_duration(spec.refresh_interval or "1h")
    return Work(key, record, spec, record.read_status(), owner, target, interval)


def _is_ours(engine: Engine, stores: list[ObjectKey]) -> bool:
    """Whether no store belongs to another controller class or to a kind that is switched off."""
    for key in stores:
        if not key.namespace and not engine.settings.cluster_stores:
            return False
        record = engine.books.stores.get(key)
        if record is not None and not is_our_class(record.controller, engine.settings.controller_class):
            return False
    return True


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
    except Unsettled:
        work.record.waiting = True
        engine.queue.schedule(work.key, engine.queue.now() + UNSETTLED_RETRY_S, Lane.RETRY)
    except TimeoutError as late:
        return _too_late(engine, work, late)
    except KeyferryError as error:
        return failed(summarize.FAILED_UPDATE, error)
    except Exception as error:
        log.exception("a bug in Keyferry")
        told = InternalError(
            f"internal error ({type(error).__name__})",
            hint="The operator's log has the place; please report it",
        )
        return failed(summarize.FAILED_UPDATE, told)
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
    stores = [str(need) for need in work.record.depends_on if need.kind != "Secret"]
    error = TimedOut(
        f"no complete answer from {', '.join(stores)} {within}",
        hint="Look at the store's load, and at the network between",
    )
    return failed(what, error)


async def _sync(engine: Engine, work: Work, claim: Claim) -> Outcome | None:
    started = engine.clock.now()
    due = refresh_due(_refresh_state(work), started)
    with _step(summarize.FAILED_UPDATE):
        check = await check_target(engine, work.owner, work.target, work.record, work.status)
    if check.state is not TargetState.VALID and work.status.synced_resource_version:
        # The watch may be late: what the garbage collector has taken must not be made again.
        with _step(summarize.FAILED_UPDATE):
            if not await is_as_known(engine, work.key, work.record):
                return None
    if not due.now and check.state is TargetState.METADATA_DRIFTED and check.repair is not None:
        with _step(summarize.FAILED_UPDATE):
            await _repair(engine, work, check.repair)
        return _rest(engine, work, due)
    if not due.now and check.state is TargetState.VALID:
        return _rest(engine, work, due)
    if due.now and check.state is TargetState.VALID and _is_overdue_after_start(work, claim):
        delay = engine.random.random() * restart_spread_s(work.interval.total_seconds())
        engine.queue.schedule(work.key, engine.queue.now() + delay, Lane.PERIODIC)
        return None
    work.record.sync_calls += 1
    log.debug("sync: %s, target %s", due.why, check.state.value)
    with _step(summarize.FAILED_FETCH):
        assembled = await _resolve(engine, work, claim)
    return await _write(engine, work, assembled, started)


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
        current=record.current(),
        synced=status.synced_resource_version,
        refreshed_at=refreshed_at,
    )


def _is_overdue_after_start(work: Work, claim: Claim) -> bool:
    """Whether only time made it due, and before this process looked at it for the first time."""
    return (
        claim.lane is Lane.PERIODIC
        and not work.record.settled
        and summarize.is_ready(work.status)
        and work.status.synced_resource_version == work.record.current()
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
    if ready is not None and ready.status == c.TRUE:
        return None if said == work.status else Outcome(ready.reason, ready.message, ready=True)
    return Outcome(c.SECRET_SYNCED, summarize.MESSAGE_SYNCED, ready=True)


async def _repair(engine: Engine, work: Work, plan: SecretPlan) -> None:
    """Put labels, annotations or ownership right; the data is, so nothing is fetched."""
    written = await apply(engine.api, plan)
    note_written(engine, work.record, plan, written)
    record_event(engine, work.key, work.record, c.EVENT_UPDATED, MESSAGE_UPDATED)
    log.info("%s: labels, annotations or owner put right", MESSAGE_UPDATED)


# -- resolve


async def _resolve(engine: Engine, work: Work, claim: Claim) -> Assembled:
    """Ask the stores, all at once, and put the answers together.

    Raises:
        KeyferryError: the first entry that failed, or why a store cannot be asked.
    """
    asked = questions(work.spec)
    uses: dict[ObjectKey, StoreUse] = {}
    for question in asked:
        key = store_key(question.store, work.key.namespace)
        if key not in uses:
            uses[key] = await use_store(engine, question.store, work.key.namespace)
    need = _freshness(work, claim)
    with _aside_if_slow(engine, work.key):
        answers = await asyncio.gather(
            *(_ask(question, uses[store_key(question.store, work.key.namespace)], need) for question in asked)
        )
    for answered in answers:
        if isinstance(answered.value, Deferred):
            raise answered.value
    if is_heavy(answers):
        return await engine.heavy.run(assemble, answers, work.target.deletion_policy)
    return assemble(answers, work.target.deletion_policy)


@contextlib.contextmanager
def _aside_if_slow(engine: Engine, key: ObjectKey) -> Iterator[None]:
    """Do not count the key as worked on while its store takes long: those of other stores go on."""
    timer = asyncio.get_running_loop().call_later(SLOW_S, engine.queue.set_aside, key)
    try:
        yield
    finally:
        timer.cancel()
        engine.queue.take_back(key)


def _freshness(work: Work, claim: Claim) -> Freshness:
    values_from = claim.fresh_from
    if claim.lane is Lane.PERIODIC:
        values_from -= min(PERIODIC_AGE_S, work.interval.total_seconds() / 100)
    patient = claim.lane in (Lane.RETRY, Lane.PERIODIC)
    return Freshness(values_from, claim.fresh_from - (NEGATIVE_AGE_S if patient else 0.0))


async def _ask(question: Question, use: StoreUse, need: Freshness) -> Answered:
    remote = question.remote
    read = Read(remote.key, remote.version, metadata=remote.metadata_policy == "Fetch")
    answer = await use.binding.session.read(read, need, use.binding.retries)
    return Answered(
        question,
        str(use.key),
        answer.value if isinstance(answer, RemoteValue) else answer,
        literal_first=use.provider.reading.literal_property_first,
        missing_is_absent=use.provider.reading.missing_property_is_absent,
    )


# -- write


async def _write(engine: Engine, work: Work, assembled: Assembled, started: datetime) -> Outcome:
    """Bring the data into the target by the policies; the outcome.

    Raises:
        _StepError: it could not be done.
    """
    _tell_absent(engine, work, assembled)
    synced = work.record.current()
    if not assembled.data and work.target.deletion_policy == "Delete":
        await _delete(engine, work)
        return _done(c.SECRET_DELETED, summarize.MESSAGE_DELETED, started, synced)
    if not assembled.data and work.target.deletion_policy == "Retain":
        return _done(c.SECRET_SYNCED, summarize.MESSAGE_RETAINED, started, synced)
    if work.target.creation_policy == "None":
        return _done(c.SECRET_SYNCED, summarize.MESSAGE_SYNCED, started, synced)
    before = work.status.synced_resource_version
    if not is_unchanged(engine, work.owner, work.target, work.record, data=assembled.data, synced=before):
        with _step(summarize.FAILED_UPDATE):
            plan = await write_target(engine, work.owner, work.target, work.record, assembled.data)
        if plan.action is Action.WAIT:
            return _done(c.SECRET_MISSING, summarize.MESSAGE_MISSING, started, synced)
        _tell_written(engine, work, plan)
    if work.target.creation_policy == "Owner":
        with _step(summarize.FAILED_ORPHANED):
            for name in await delete_renamed(engine, work.owner, work.target):
                record_event(engine, work.key, work.record, c.EVENT_DELETED, MESSAGE_ORPHANED)
                log.info('deleted Secret "%s": the target has another name now', name)
    return _done(c.SECRET_SYNCED, summarize.MESSAGE_SYNCED, started, synced, binding=work.target.name)


def _tell_absent(engine: Engine, work: Work, assembled: Assembled) -> None:
    """An event for each entry whose remote secret has become absent since the last sync."""
    before = work.record.absent
    work.record.absent = tuple(question.event for question in assembled.absent)
    for place in work.record.absent:
        if place not in before:
            message = f"secret does not exist at provider using {place}"
            record_event(engine, work.key, work.record, c.EVENT_MISSING_PROVIDER_SECRET, message)


def _done(reason: str, message: str, started: datetime, synced: str, binding: str | None = None) -> Outcome:
    return Outcome(reason, message, ready=True, refreshed_at=started, synced=synced, binding=binding)


def _tell_written(engine: Engine, work: Work, plan: SecretPlan) -> None:
    if plan.action is Action.CREATE:
        record_event(engine, work.key, work.record, c.EVENT_CREATED, MESSAGE_CREATED)
        log.info(MESSAGE_CREATED)
    elif plan.action is Action.UPDATE:
        record_event(engine, work.key, work.record, c.EVENT_UPDATED, MESSAGE_UPDATED)
        log.info("%s: %s", MESSAGE_UPDATED, plan.reason)


async def _delete(engine: Engine, work: Work) -> None:
    """Delete the target because the store has nothing left of it, and deletionPolicy says so."""
    with _step(summarize.FAILED_DELETE):
        if work.target.creation_policy != "Owner":
            raise SpecError(
                f"deletionPolicy=Delete with creationPolicy={work.target.creation_policy}: the Secret is not owned",
                hint="Please set creationPolicy=Owner",
            )
        existing = await read_secret(engine.api, work.key.namespace, work.target.name)
        plan = plan_delete(work.owner, work.target, existing, "the store has none of its values")
        await apply(engine.api, plan)
    if plan.action is Action.DELETE:
        record_event(engine, work.key, work.record, c.EVENT_DELETED, summarize.MESSAGE_DELETED)
        log.info(summarize.MESSAGE_DELETED)
