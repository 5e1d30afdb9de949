"""The second half of a reconcile: render what was read, bring it into the target, tell what happened."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from keyferry.api import conditions as c
from keyferry.core import summarize
from keyferry.core.desired import Action, SecretPlan, plan_delete
from keyferry.core.sources import Assembled
from keyferry.core.summarize import Outcome, parse_timestamp
from keyferry.core.template import Rendered
from keyferry.errors import KeyferryError, KubeUnavailable, SpecError
from keyferry.reconcile import leases
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.finish import record_event
from keyferry.reconcile.generation import Generation, settle
from keyferry.reconcile.generic_target import apply_plan, read_target
from keyferry.reconcile.resolve import Resolved
from keyferry.reconcile.steps import StepError, step
from keyferry.reconcile.targets import delete_renamed, is_unchanged, write_target
from keyferry.reconcile.templates import Sources, render
from keyferry.reconcile.work import Work

log = logging.getLogger(__name__)

LOOK_AFTER_S: Final = 5.0
"""So long the target is asked for after a write that nobody answered."""
COLLISIONS_TOLD: Final = 20
"""So many keys that got lost have an event each; a rewrite may map thousands to one."""


def last_refresh(work: Work) -> datetime | None:
    """When data was last read from the stores; None if never."""
    if work.record.refreshed_at:
        return datetime.fromtimestamp(work.record.refreshed_at, UTC)
    return parse_timestamp(work.status.refresh_time)


async def write(
    engine: Engine, work: Work, resolved: Resolved, sources: Sources | None, started: datetime
) -> Outcome:
    """Render the data and bring it into the target by the policies; the outcome.

    Raises:
        StepError: it could not be done.
    """
    refreshed_at = _refreshed_at(work, resolved, started)
    made: Rendered | None = None
    try:
        if _is_rendered(work, resolved):
            with step(summarize.FAILED_UPDATE):
                made = await render(engine, work, resolved.assembled.data, sources)
        outcome = await _write_target(engine, work, resolved.assembled, made, refreshed_at)
    except BaseException as error:
        if resolved.generation is not None:
            written = False if _was_refused(error) else await _is_written(engine, work, made)
            if written:
                _hold(engine, work, resolved.generation, refreshed_at)
            elif written is not None:
                await resolved.generation.undo()
        raise
    _hold(engine, work, resolved.generation, refreshed_at)
    work.record.rendered = sources.digest if sources is not None else b""
    if outcome.binding is not None and work.target.creation_policy == "Owner":
        await _remove_former(engine, work)
    trouble = leases.trouble(engine, work.owner.uid)
    return replace(outcome, message=summarize.with_trouble(outcome.message, trouble))


def _is_rendered(work: Work, resolved: Resolved) -> bool:
    """Whether something is to be written that is not in the target already."""
    if work.target.creation_policy == "None" or (resolved.whole and work.target.template is not None):
        return False
    return bool(resolved.assembled.data) or work.target.deletion_policy == "Merge"


def _was_refused(error: BaseException) -> bool:
    """Whether a failure says that nothing was written. No answer says nothing: the write may have been carried out."""
    return isinstance(error, StepError) and not isinstance(error.error, KubeUnavailable)


async def _is_written(engine: Engine, work: Work, made: Rendered | None) -> bool | None:
    """Whether the target holds the data after a write without an answer; None where that cannot be told."""
    target = work.target
    if made is None or made.fields is not None:
        return None
    try:
        async with asyncio.timeout(LOOK_AFTER_S):
            found = await read_target(engine, work.key.namespace, target.name, target.manifest)
    except (KeyferryError, TimeoutError):
        return None
    return found is not None and all(found.data.get(key) == value for key, value in made.data.items())


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
    return min(last_refresh(work) or started, started)


async def _write_target(
    engine: Engine, work: Work, assembled: Assembled, made: Rendered | None, started: datetime
) -> Outcome:
    _tell_notes(engine, work, assembled)
    synced = work.current  # of the spec that was read, should it have changed meanwhile
    if not assembled.data and work.target.deletion_policy == "Delete":
        await _delete(engine, work)
        return done(c.SECRET_DELETED, summarize.MESSAGE_DELETED, started, synced)
    missing = summarize.missing_text(assembled.missing)
    if not assembled.data and work.target.deletion_policy == "Retain":
        return done(c.SECRET_SYNCED, summarize.MESSAGE_RETAINED + missing, started, synced)
    message = summarize.MESSAGE_SYNCED + missing
    if work.target.creation_policy == "None":
        return done(c.SECRET_SYNCED, message, started, synced)
    before = work.status.synced_resource_version
    if made is None or not is_unchanged(
        engine, work.owner, work.target, work.record, data=made.data, synced=before
    ):
        with step(summarize.FAILED_UPDATE):
            plan = await write_target(engine, work.owner, work.target, work.record, made)
        if plan.action is Action.WAIT:
            return done(c.SECRET_MISSING, summarize.MESSAGE_MISSING + missing, started, synced)
        _tell_written(engine, work, plan)
    return done(c.SECRET_SYNCED, message, started, synced, binding=work.target.name)


async def _remove_former(engine: Engine, work: Work) -> None:
    """Delete what the object wrote under another target name."""
    edited = work.status.synced_resource_version != work.current
    with step(summarize.FAILED_ORPHANED):
        for name in await delete_renamed(engine, work.owner, work.target, edited=edited):
            tell(engine, work, c.EVENT_DELETED, summarize.MESSAGE_ORPHANED)
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


def done(reason: str, message: str, started: datetime, synced: str, binding: str | None = None) -> Outcome:
    """The outcome where all went well."""
    return Outcome(reason, message, ready=True, refreshed_at=started, synced=synced, binding=binding)


def tell(engine: Engine, work: Work, reason: str, message: str) -> str:
    """An event about the target; its message in the words for the target's kind."""
    told = message if work.target.manifest is None else summarize.of_resource(message)
    record_event(engine, work.key, work.record, reason, told)
    return told


def _tell_written(engine: Engine, work: Work, plan: SecretPlan) -> None:
    if plan.action is Action.CREATE:
        message = tell(engine, work, c.EVENT_CREATED, summarize.MESSAGE_CREATED)
        log.info("%s", message)
    elif plan.action is Action.UPDATE:
        message = tell(engine, work, c.EVENT_UPDATED, summarize.MESSAGE_UPDATED)
        log.info("%s: %s", message, plan.reason)


async def _delete(engine: Engine, work: Work) -> None:
    """Delete the target because the store has nothing left of it, and deletionPolicy says so."""
    with step(summarize.FAILED_DELETE):
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
        message = tell(engine, work, c.EVENT_DELETED, summarize.MESSAGE_DELETED)
        log.info("%s", message)
