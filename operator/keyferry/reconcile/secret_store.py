"""One SecretStore or ClusterSecretStore: prove its identity, say so, and wake those who wait for it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from keyferry.api import names
from keyferry.core import summarize
from keyferry.core.backoff import retry_delay
from keyferry.core.summarize import StoreOutcome, store_failed, store_status
from keyferry.duration import parse_go_duration
from keyferry.errors import (
    InternalError,
    KeyferryError,
    KubeConflict,
    KubeError,
    KubeNotFound,
    SpecError,
    TimedOut,
)
from keyferry.kube.events import NORMAL, WARNING
from keyferry.kube.status import write_status
from keyferry.ports import ObjectKey, Verdict
from keyferry.reconcile.books import StoreRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.stores import check_store, unavailable_provider

log = logging.getLogger(__name__)

VALIDATION_DEADLINE_S: Final = 30.0


async def reconcile_store(engine: Engine, claim: Claim) -> None:
    """Validate one store, write its status if that is news, and come back after its interval."""
    key = claim.key
    record = engine.books.stores.get(key)
    if record is None:
        return
    record.ours = _is_ours(engine, key, record)
    if record.ours:
        await _look_at(engine, key, record)
    engine.store_settled.set()


async def _look_at(engine: Engine, key: ObjectKey, record: StoreRecord) -> None:
    outcome, capabilities = await _validate(engine, key, record)
    if engine.books.stores.get(key) is not record:
        return  # its spec changed meanwhile: the next claim is on its way
    was = record.ready
    record.ready, record.cause = outcome.ready, "" if outcome.ready else outcome.message
    record.failures = 0 if outcome.ready else record.failures + 1
    if was is None or (outcome.ready and not was):
        wake(engine, key)
    if await _write(engine, key, record, outcome, capabilities):
        _schedule(engine, key, record, outcome)


def wake(engine: Engine, store: ObjectKey) -> None:
    """Look again at what uses a store and came to nothing so far."""
    for dependent in engine.books.dependents.of(store):
        record = engine.books.external_secrets.get(dependent)
        if record is not None and record.waiting:
            engine.queue.add(dependent, Lane.EVENT)


def outage_began(engine: Engine, store: ObjectKey) -> None:
    """Say so on the store."""
    engine.queue.add(store, Lane.STORE)


def outage_ended(engine: Engine, store: ObjectKey) -> None:
    """Say so on the store, and look again at what failed by it."""
    engine.queue.add(store, Lane.STORE)
    wake(engine, store)


def _is_ours(engine: Engine, key: ObjectKey, record: StoreRecord) -> bool:
    enabled = engine.settings.secret_stores if key.namespace else engine.settings.cluster_stores
    return enabled and record.controller in ("", engine.settings.controller_class)


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
    """Write the status if it is news; False where the store has gone, or the write is to be tried again."""
    before = record.read_status()
    after = store_status(before, outcome, capabilities, record.generation, engine.clock.now())
    if after == before:
        log.debug("validated again: nothing new")
        return True
    status = msgspec.json.encode(after)
    try:
        version = await write_status(
            engine.api, key, record.resource_version, record.uid, msgspec.Raw(status)
        )
    except KubeNotFound:
        forget_store(engine, key)
        return False
    except KubeConflict:
        engine.queue.schedule(key, engine.queue.now() + 0.2, Lane.STORE)
        return False
    except KubeError as error:
        log.warning("the store's status could not be written: %s", error)
        engine.queue.schedule(key, engine.queue.now() + 2.0, Lane.STORE)
        return False
    record.resource_version, record.status = version, status
    type_ = NORMAL if outcome.ready else WARNING
    if key.namespace or not engine.settings.namespace:
        # Events about cluster-scoped objects are kept in the namespace "default", which is not ours then.
        engine.events.record(key, record.uid, type_, outcome.reason, outcome.message)
    log.log(logging.INFO if outcome.ready else logging.WARNING, "%s", outcome.message)
    return True


def forget_store(engine: Engine, key: ObjectKey) -> None:
    """A store is gone: its sessions end, and those who use it learn it."""
    engine.books.stores.pop(key, None)
    engine.queue.forget(key)
    engine.planner.drop(key)
    wake(engine, key)


def _schedule(engine: Engine, key: ObjectKey, record: StoreRecord, outcome: StoreOutcome) -> None:
    interval_s = _interval_s(engine, record)
    delay: float | None = interval_s * (1 - 0.1 * engine.random.random())
    if outcome.error is not None:
        delay = retry_delay(outcome.error, record.failures, interval_s, engine.random.random())
        delay = interval_s if delay is None else min(delay, interval_s)
    engine.queue.schedule(key, engine.queue.now() + (delay or 0.0), Lane.STORE)


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
