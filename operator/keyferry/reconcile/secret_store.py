"""One SecretStore or ClusterSecretStore: prove its identity, say so, and wake those who wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

import msgspec

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.core import summarize
from keyferry.core.backoff import retry_delay
from keyferry.core.stores import is_our_class
from keyferry.core.summarize import StoreOutcome, store_failed, store_status
from keyferry.duration import parse_go_duration
from keyferry.errors import (
    InternalError,
    KeyferryError,
    KubeError,
    KubeInvalid,
    KubeNotFound,
    SpecError,
    TimedOut,
)
from keyferry.kube.events import NORMAL, WARNING
from keyferry.kube.status import object_path
from keyferry.ports import Maintenance, ObjectKey, Verdict
from keyferry.reconcile.books import ExternalSecretRecord, StoreRecord
from keyferry.reconcile.debts import StoreDebt, put_status
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.stores import check_store, unavailable_provider

log = logging.getLogger(__name__)

VALIDATION_DEADLINE_S: Final = 30.0


async def reconcile_store(engine: Engine, claim: Claim) -> None:
    """Validate one store, write its status if that is news, and come back after its interval.

    A status that was not taken comes back in lane `RETRY`, to be written and for nothing else.
    """
    key = claim.key
    record = engine.books.stores.get(key)
    if record is None:
        return
    debt = engine.debts.stores.get(key)
    if debt is not None and debt.record is not record:
        del engine.debts.stores[key]  # of yesterday's spec
    elif debt is not None and claim.lane is Lane.RETRY:
        if await _write_owed(engine, key, record, debt):
            _come_back(engine, key, debt.resume_at)
        return
    record.ours = _is_ours(engine, key, record)
    if record.ours:
        await _look_at(engine, key, record)
    engine.store_settled.set()


async def _look_at(engine: Engine, key: ObjectKey, record: StoreRecord) -> None:
    outcome, capabilities = await _validate(engine, key, record)
    if engine.books.stores.get(key) is not record:
        return  # its spec changed meanwhile: the next claim is on its way
    _tell_maintenance(engine, key, record)
    was = record.ready
    record.ready, record.cause = outcome.ready, "" if outcome.ready else outcome.message
    record.failures = 0 if outcome.ready else record.failures + 1
    if was is None or (outcome.ready and not was):
        wake(engine, key)
    if outcome.ready and record.changed:
        record.changed = False
        _refresh(engine, key)
    if await _write(engine, key, record, outcome, capabilities):
        _schedule(engine, key, record, outcome)


def _tell_maintenance(engine: Engine, key: ObjectKey, record: StoreRecord) -> None:
    """An event where nobody looks after this kind of store, once for each spec, unless the store waves it off."""
    provider = engine.providers.get(record.view.provider) if record.view is not None else None
    if provider is None or provider.maintenance is Maintenance.MAINTAINED:
        return
    seen = any(one.observed_generation == record.generation for one in record.read_status().conditions)
    waved_off = record.annotations.get(names.ANNOTATION_IGNORE_MAINTENANCE) == "true"
    if seen or waved_off:
        return
    unmaintained = provider.maintenance is Maintenance.UNMAINTAINED
    reason = c.EVENT_STORE_UNMAINTAINED if unmaintained else c.EVENT_STORE_DEPRECATED
    told = "is not maintained" if unmaintained else "is deprecated and will be removed"
    message = f'provider "{provider.name}" {told}; annotation {names.ANNOTATION_IGNORE_MAINTENANCE}: "true" ends this event'
    engine.events.record(key, record.uid, WARNING, reason, message)


def wake(engine: Engine, store: ObjectKey) -> None:
    """Look again at what uses a store and came to nothing so far."""
    for dependent, record in users(engine, store):
        if record.waiting:
            engine.queue.add(dependent, Lane.EVENT)


def _refresh(engine: Engine, store: ObjectKey) -> None:
    """Read anew what uses a store whose spec changed: it may answer otherwise, or not to everybody any more."""
    for dependent, record in users(engine, store):
        record.asked = True
        engine.queue.add(dependent, Lane.EVENT)


def users(engine: Engine, store: ObjectKey) -> Iterator[tuple[ObjectKey, ExternalSecretRecord]]:
    """The ExternalSecrets that use a store."""
    for dependent in engine.books.dependents.of(store):
        record = engine.books.external_secrets.get(dependent)
        if record is not None:
            yield dependent, record


def outage_began(engine: Engine, store: ObjectKey) -> None:
    """Say so on the store."""
    engine.queue.add(store, Lane.STORE)


def outage_ended(engine: Engine, store: ObjectKey) -> None:
    """Say so on the store, and look again at what failed by it."""
    engine.queue.add(store, Lane.STORE)
    wake(engine, store)


def _is_ours(engine: Engine, key: ObjectKey, record: StoreRecord) -> bool:
    settings = engine.settings
    return settings.validates(key) and is_our_class(record.controller, settings.controller_class)


async def _validate(engine: Engine, key: ObjectKey, record: StoreRecord) -> tuple[StoreOutcome, str]:
    """The outcome, and the capabilities to show."""
    if record.view is None:
        return store_failed(summarize.STORE_REFUSED, SpecError(record.problem)), ""
    capabilities = ""
    try:
        async with asyncio.timeout(VALIDATION_DEADLINE_S):
            await check_store(engine, record.view)
            provider = engine.providers.get(record.view.provider)
            if provider is None:
                error = unavailable_provider(record.view.provider)
                return store_failed(summarize.STORE_NO_CLIENT, error), capabilities
            capabilities = provider.capabilities.value
            provider.check(record.view)
            if record.view.cluster_scoped and provider.referent(record.view):
                # Each ExternalSecret brings its own identity: nothing to prove here.
                return summarize.store_unknown(), capabilities
            binding = await engine.planner.bind(record.view, key.namespace)
            engine.planner.follow(binding)
            verdict = await binding.session.client.validate()
            if (failure := binding.session.failure) is not None:
                # The identity is proven, and the store does not answer. Shared by all, so never raised.
                return store_failed(summarize.STORE_REFUSED, failure), capabilities
    except SpecError as error:
        return store_failed(summarize.STORE_REFUSED, error), capabilities
    except KeyferryError as error:
        what = summarize.STORE_NO_CLIENT if isinstance(error, KubeError) else summarize.STORE_REFUSED
        return store_failed(what, error), capabilities
    except TimeoutError:
        late = TimedOut(f"no answer after {VALIDATION_DEADLINE_S:.0f} s")
        return store_failed(summarize.STORE_REFUSED, late), capabilities
    except Exception as error:
        log.exception("a bug in Keyferry")
        told = InternalError(f"internal error ({type(error).__name__})")
        return store_failed(summarize.STORE_REFUSED, told), capabilities
    unknown = verdict is Verdict.UNKNOWN
    return summarize.store_unknown() if unknown else summarize.store_valid(), capabilities


async def _write(
    engine: Engine, key: ObjectKey, record: StoreRecord, outcome: StoreOutcome, capabilities: str
) -> bool:
    """Write the status if it is news; False where the store is gone or another one now."""
    debt = engine.debts.stores.get(key)
    owed = debt.status if debt is not None else None
    before = record.read_status() if owed is None else owed
    after = store_status(before, outcome, capabilities, record.generation, engine.clock.now())
    if after == before and owed is None:
        log.debug("validated again: nothing new")
        return True
    debt = debt or StoreDebt(record=record)
    debt.status, debt.outcome = after, outcome
    return await _write_owed(engine, key, record, debt)


async def _write_owed(engine: Engine, key: ObjectKey, record: StoreRecord, debt: StoreDebt) -> bool:
    """Write a status, if it may be tried yet; what fails stays owed. False as `_write`."""
    if engine.queue.now() < debt.not_before or debt.status is None:
        return True
    status = msgspec.json.encode(debt.status)
    try:
        if not await put_status(engine.api, key, record, status, lambda: _catch_up(engine, key, record)):
            return False
    except KubeNotFound:
        forget_store(engine, key)
        return False
    except KubeError as error:
        if isinstance(error, KubeInvalid):
            debt.status = None  # a store older than the schema's rules: no try will be taken
        debt.refused(error, engine.queue.now(), engine.random.random())
        engine.debts.stores[key] = debt
    else:
        engine.debts.stores.pop(key, None)
        _tell(engine, key, record, debt.outcome)
    return True


async def _catch_up(engine: Engine, key: ObjectKey, record: StoreRecord) -> bool:
    """After a conflict: take over the store as it is now. Whether the verdict still speaks of it."""
    try:
        body = await engine.api.read(object_path(key))
    except KubeNotFound:
        forget_store(engine, key)
        return False
    except KubeError:
        return True
    if engine.books.note_store(key, body):
        # Ahead of its watch, and the same as when the watch tells.
        engine.planner.drop(key)
        engine.queue.add(key, Lane.STORE)
    return engine.books.stores.get(key) is record


def _tell(engine: Engine, key: ObjectKey, record: StoreRecord, outcome: StoreOutcome | None) -> None:
    if outcome is None:
        return
    type_ = NORMAL if outcome.ready else WARNING
    if key.namespace or not engine.settings.namespace:
        # Events about cluster-scoped objects are kept in the namespace "default", which is not ours then.
        engine.events.record(key, record.uid, type_, outcome.reason, outcome.message)
    log.log(logging.INFO if outcome.ready else logging.WARNING, "%s", outcome.message)


def forget_store(engine: Engine, key: ObjectKey) -> None:
    """A store is gone: its sessions end, and those who use it learn it."""
    engine.books.stores.pop(key, None)
    engine.debts.stores.pop(key, None)
    engine.queue.forget(key)
    engine.planner.drop(key)
    wake(engine, key)


def _schedule(engine: Engine, key: ObjectKey, record: StoreRecord, outcome: StoreOutcome) -> None:
    interval_s = _interval_s(engine, record)
    delay: float | None = interval_s * (1 - 0.1 * engine.random.random())
    if outcome.error is not None:
        delay = retry_delay(outcome.error, record.failures, interval_s, engine.random.random())
        delay = interval_s if delay is None else min(delay, interval_s)
    _come_back(engine, key, engine.queue.now() + (delay or 0.0))


def _come_back(engine: Engine, key: ObjectKey, at: float) -> None:
    """Validate at this time; before, where a status is owed, come back for that alone."""
    debt = engine.debts.stores.get(key)
    if debt is not None and debt.status is not None and debt.not_before < at:
        debt.resume_at = at
        engine.queue.schedule(key, debt.not_before, Lane.RETRY)
    else:
        engine.queue.schedule(key, at, Lane.STORE)


def _interval_s(engine: Engine, record: StoreRecord) -> float:
    default = engine.settings.store_requeue_interval_s
    if record.view is None:
        return default
    value = record.view.spec.refresh_interval
    seconds = float(value) if isinstance(value, int) else parse_go_duration(value or "0").total_seconds()
    return seconds if seconds > 0 else default


def store_kinds() -> tuple[str, ...]:
    """The kinds that this file serves."""
    return (names.SECRET_STORE, names.CLUSTER_SECRET_STORE)
