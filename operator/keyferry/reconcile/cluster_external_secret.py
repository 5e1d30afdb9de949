"""One ClusterExternalSecret: the same ExternalSecret in every namespace that it selects.

    read → compare, in memory → read again before a write → write → status

Namespaces and ExternalSecrets are known from their watches, so that where all is right nothing is asked.
Its watch brings metadata alone: an object that is new or changed is read. There are no finalizers: owner
references let the garbage collector do what is left to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import orjson

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.api.cluster_external_secret import ClusterExternalSecretStatus
from keyferry.core.backoff import JITTER, PATIENCE, retry_delay
from keyferry.core.fanout import (
    DEFAULT_PAUSE_S,
    Fit,
    Seen,
    Wanted,
    correction,
    document,
    fit,
    is_controlled,
    is_same_spec,
    obsolete,
    pause_s,
    ready_message,
    refused_status,
    spread_status,
    wanted,
)
from keyferry.errors import (
    KeyferryError,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeNotFound,
    NotReadyError,
    OwnershipError,
    SpecError,
    one_line,
)
from keyferry.kube.events import NORMAL, WARNING
from keyferry.kube.finalizers import drop_finalizers
from keyferry.kube.status import FIELD_MANAGER, object_path
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import Books, ClusterExternalSecretRecord
from keyferry.reconcile.debts import Debt, put_status
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.namespace import NAMESPACE
from keyferry.reconcile.queue import Claim, Lane

log = logging.getLogger(__name__)

NEEDED: Final = frozenset({names.EXTERNAL_SECRET, NAMESPACE})
"""Kinds that have to be known completely before anything is created or deleted."""
CONCURRENCY: Final = 8
"""Namespaces written at the same time for one object: others want to write too."""
PAUSE_EACH_S: Final = 0.1
"""For each namespace that fails and goes on failing: a right that is missing fails in thousands."""
_TRIES: Final = 3
T = TypeVar("T")
_PARAMS: Final = {"fieldManager": FIELD_MANAGER}


@dataclass(slots=True)
class _Work:
    """What has to be done for one object, and what came of it.

    Args:
        generation: of the object that it is done for.
        selected: the namespaces that should have an ExternalSecret.
        open: those of them where it is not right.
        provisioned, failed: the others, and those where it was brought right or could not be.
        told: namespaces by what was done there, for events.
    """

    key: ObjectKey
    record: ClusterExternalSecretRecord
    want: Wanted
    generation: int
    selected: set[str]
    open: list[str]
    provisioned: set[str]
    failed: dict[str, KeyferryError] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)

    def tell(self, what: str, namespace: str) -> None:
        """Note what was done in a namespace."""
        self.told.setdefault(what, []).append(namespace)


async def reconcile_cluster_external_secret(engine: Engine, claim: Claim) -> None:
    """Bring the ExternalSecrets of one ClusterExternalSecret, and its status, in line with its spec."""
    record = engine.books.cluster_external_secrets.get(claim.key)
    if record is None:
        return
    if claim.lane is Lane.USER:
        engine.debts.cluster_external_secrets.pop(claim.key, None)  # it may be accepted of what it is now
    if claim.lane is Lane.PERIODIC:
        record.altered.clear()  # admission may let it pass by now
    try:
        await _look(engine, claim.key, record)
    except KubeError as error:
        # Nothing could be found out: what was true stays true.
        log.log(logging.DEBUG if record.failures else logging.WARNING, "cannot be read: %s", error)
        _schedule(engine, claim.key, record, [error])


async def _look(engine: Engine, key: ObjectKey, record: ClusterExternalSecretRecord) -> None:
    fresh = record.is_outdated
    if fresh:
        await _read(engine, key)
    while (found := engine.books.cluster_external_secrets.get(key)) is not None:
        if found.finalizer and (found.deleting or not found.released):
            held = await _release(engine, key, found)
            if held is not None and found.deleting:
                _schedule(engine, key, found, [held])
        if found.deleting or not engine.books.complete >= NEEDED:
            return  # the garbage collector does the rest; or it is worked on when all is known
        if found.spec is None:
            error = SpecError(found.problem)
            await _finish(
                engine, key, found, refused_status(found.read_status(), error, _told(engine, found))
            )
            _schedule(engine, key, found, [error])
            return
        work = _compare(engine.books, key, found)
        if (work.open or _obsolete(engine.books, work)) and not fresh:
            # Before a write: what is gone must not be made anew because its watch is late.
            await _read(engine, key)
            fresh = True
            continue
        await _carry_out(engine, work)
        return


async def _read(engine: Engine, key: ObjectKey) -> None:
    """Take over the object as it is now; forget it where it is gone.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    told = _told_of(engine, key)
    try:
        body = await engine.api.read(object_path(key))
    except KubeNotFound:
        forget_cluster_external_secret(engine, key)
        return
    meanwhile = _told_of(engine, key)
    record = engine.books.note_cluster_external_secret(key, body)
    if meanwhile not in ("", told):
        # It may be later than what was read: if it is another one, there is a next time to read.
        record.version = meanwhile


def _told_of(engine: Engine, key: ObjectKey) -> str:
    """The version that the watch has told of last; empty for none."""
    record = engine.books.cluster_external_secrets.get(key)
    return record.version if record is not None else ""


def forget_cluster_external_secret(engine: Engine, key: ObjectKey) -> None:
    """An object is gone: nothing of it stays here, and the garbage collector ends its ExternalSecrets."""
    engine.books.forget_cluster_external_secret(key)
    engine.debts.cluster_external_secrets.pop(key, None)
    engine.queue.forget(key)


async def _release(engine: Engine, key: ObjectKey, record: ClusterExternalSecretRecord) -> KubeError | None:
    """Take the reference operator's finalizer off the object; why it stays, which stops nothing else."""
    unwanted = names.FINALIZER_CLUSTER_EXTERNAL_SECRET
    try:
        dropped = await drop_finalizers(engine.api, object_path(key), lambda name: name == unwanted)
    except KubeNotFound:
        forget_cluster_external_secret(engine, key)
        return None
    except KubeError as error:
        log.warning("the reference operator's finalizer stays: %s", error)
        return error
    record.finalizer, record.released = False, True
    if dropped:
        log.info("the reference operator's finalizer removed")
    return None


# -- compare


def _compare(books: Books, key: ObjectKey, record: ClusterExternalSecretRecord) -> _Work:
    """What is to be done, by what is known."""
    assert record.spec is not None  # noqa: S101 - the caller has looked
    want = wanted(key.name, record.uid, record.annotations(), record.spec, record.raw)
    selected = {
        namespace
        for namespace, labels in books.namespaces.items()
        if namespace not in books.ending and record.takes(namespace, labels)
    }
    same: dict[bytes, bool] = {}  # most specs are the very same bytes
    right = {
        namespace
        for namespace in selected
        if _is_right(books, record, want, ObjectKey(names.EXTERNAL_SECRET, namespace, want.name), same)
    }
    return _Work(key, record, want, record.generation, selected, sorted(selected - right), right)


def _is_right(
    books: Books,
    record: ClusterExternalSecretRecord,
    want: Wanted,
    key: ObjectKey,
    same: dict[bytes, bool],
) -> bool:
    known = books.external_secrets.get(key)
    if known is None:
        return False
    if known.spec not in same:
        same[known.spec] = is_same_spec(want.spec, known.spec)
    labels, annotations = known.labels_and_annotations()
    found = fit(want, Seen(known.controller, known.deleting, labels, annotations, same[known.spec]))
    if found is Fit.RIGHT or (found is Fit.FURTHER and record.foreign.get(key) == known.metadata):
        return True
    ours = known.controller == want.uid and not known.deleting
    return ours and record.altered.get(key) == (known.spec, known.metadata)


def _obsolete(books: Books, work: _Work) -> list[ObjectKey]:
    """The ExternalSecrets to delete; not those whose namespace is ending or not known, or that are being deleted."""
    ours = (
        (key.namespace, key.name)
        for key in books.controlled.get(work.record.uid, ())
        if key.namespace in books.namespaces
        and key.namespace not in books.ending
        and not books.external_secrets[key].deleting
    )
    places = obsolete(work.want.name, work.selected, work.provisioned, ours)
    return [ObjectKey(names.EXTERNAL_SECRET, *place) for place in places]


def _is_current(engine: Engine, work: _Work) -> bool:
    """Whether the work is still for the object as it is known now."""
    record = engine.books.cluster_external_secrets.get(work.key)
    return record is work.record and record.generation == work.generation and not record.deleting


# -- write


async def _carry_out(engine: Engine, work: _Work) -> None:
    """Do what is to be done, write the status, and say when to look again."""
    await _each(work.open, lambda namespace: _provide(engine, work, namespace))
    await _each(_obsolete(engine.books, work), lambda key: _remove(engine, work, key))
    if not _is_current(engine, work):
        engine.queue.add(work.key, Lane.USER)
        return
    _wait_for_clashes(engine, work)
    _tell_done(engine, work)
    before = work.record.read_status()
    told = _told(engine, work.record)
    await _finish(
        engine,
        work.key,
        work.record,
        spread_status(before, work.want.name, work.provisioned, work.failed, told),
    )
    _schedule(engine, work.key, work.record, work.failed.values())


async def _each(items: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do it for all items, a few at a time."""
    waiting = iter(items)

    async def some() -> None:
        for item in waiting:
            await do(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONCURRENCY):
            tasks.create_task(some())


async def _provide(engine: Engine, work: _Work, namespace: str) -> None:
    """Create the ExternalSecret of a namespace, or bring it right."""
    if not _is_current(engine, work):
        return
    key = ObjectKey(names.EXTERNAL_SECRET, namespace, work.want.name)
    try:
        done = await _bring_right(engine, work, key)
    except KeyferryError as error:
        if isinstance(error, KubeForbidden | KubeNotFound) and await _is_ending(engine, namespace):
            return
        work.failed[namespace] = error
        return
    work.provisioned.add(namespace)
    if done:
        work.tell(done, namespace)


async def _bring_right(engine: Engine, work: _Work, key: ObjectKey) -> str:
    """Create or update one ExternalSecret; what was done, empty for nothing.

    Raises:
        KeyferryError: it is not ours, is being deleted, or the API server says no.
    """
    there = key in engine.books.external_secrets
    for attempt in range(1, _TRIES + 1):
        try:
            return await (_correct if there else _create)(engine, work, key)
        except (KubeConflict, KubeNotFound) as error:
            if attempt == _TRIES:
                raise
            there = isinstance(error, KubeConflict)
    raise AssertionError("unreachable")


async def _create(engine: Engine, work: _Work, key: ObjectKey) -> str:
    path = object_path(key).rpartition("/")[0]
    body = document(work.want, key.namespace)
    made = orjson.loads(await engine.api.request("POST", path, params=_PARAMS, body=body))
    if key not in engine.books.external_secrets:
        _take_over(engine, key, made)
    return c.EVENT_CREATED


async def _correct(engine: Engine, work: _Work, key: ObjectKey) -> str:
    books = engine.books
    known = books.external_secrets.get(key)
    versions = [known.resource_version] if known is not None else []
    unmoved = False
    existing = await engine.api.read(object_path(key))
    version = existing["metadata"]["resourceVersion"]
    body = correction(work.want, existing)
    if body is not None:
        made = orjson.loads(await engine.api.request("PUT", object_path(key), params=_PARAMS, body=body))
        if made["metadata"]["resourceVersion"] != version:
            known = books.external_secrets.get(key)
            if known is not None and known.resource_version in {*versions, version}:
                _take_over(engine, key, made)  # ahead of its watch, and nothing later was told
            return c.EVENT_UPDATED
        unmoved = True
    if not books.is_past(key, existing["metadata"]):
        _take_over(engine, key, existing)
    known = books.external_secrets.get(key)
    if known is not None and known.resource_version == version:
        if unmoved:
            work.record.altered[key] = known.spec, known.metadata
        else:
            work.record.foreign[key] = known.metadata
    return ""


def _take_over(engine: Engine, key: ObjectKey, body: dict[str, Any]) -> None:
    """Note an ExternalSecret ahead of its watch, whose event is then an echo."""
    if engine.books.note_external_secret(key, body):
        engine.queue.add(key, Lane.USER)


async def _is_ending(engine: Engine, namespace: str) -> bool:
    """Whether a namespace is being deleted, or gone, and its watch has not told."""
    try:
        found = await engine.api.read(f"/api/v1/namespaces/{namespace}")
    except KubeNotFound:
        return True
    except KubeError:
        return False
    return "deletionTimestamp" in found["metadata"]


async def _remove(engine: Engine, work: _Work, key: ObjectKey) -> None:
    """Delete an ExternalSecret that is not wanted any more, if it still is the object's own."""
    if not _is_current(engine, work):
        return
    try:
        deleted = await _delete(engine, work, key)
    except KubeError as error:
        work.provisioned.discard(key.namespace)
        work.failed[key.namespace] = error.within(f'cannot delete ExternalSecret "{key.name}"')
        return
    if deleted:
        work.tell(c.EVENT_DELETED, key.namespace)


async def _delete(engine: Engine, work: _Work, key: ObjectKey) -> bool:
    for attempt in range(1, _TRIES + 1):
        try:
            existing = await engine.api.read(object_path(key))
            metadata = existing["metadata"]
            if not is_controlled(existing, work.record.uid):
                return False
            guards = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            await engine.api.request("DELETE", object_path(key), body={"preconditions": guards})
        except KubeNotFound:
            return False
        except KubeConflict:
            if attempt == _TRIES:
                raise
        else:
            return True
    raise AssertionError("unreachable")


# -- finish


def _wait_for_clashes(engine: Engine, work: _Work) -> None:
    """Look again as soon as an ExternalSecret that is in the way changes or goes."""
    needs = tuple(
        ObjectKey(names.EXTERNAL_SECRET, namespace, work.want.name)
        for namespace, error in sorted(work.failed.items())
        if isinstance(error, OwnershipError | NotReadyError)
    )
    engine.books.dependents.link(work.key, needs, work.record.waits_for)
    work.record.waits_for = needs


def _tell_done(engine: Engine, work: _Work) -> None:
    """One event for all namespaces in which the same was done."""
    for what, namespaces in sorted(work.told.items()):
        count = "1 namespace" if len(namespaces) == 1 else f"{len(namespaces)} namespaces"
        text = f"external secret {what.lower()} in {count}: {', '.join(sorted(namespaces))}"
        engine.events.record(work.key, work.record.uid, NORMAL, what, text)
        log.info("%s", one_line(text))


def _told(engine: Engine, record: ClusterExternalSecretRecord) -> tuple[int, datetime]:
    return record.generation, engine.clock.now()


async def _finish(
    engine: Engine, key: ObjectKey, record: ClusterExternalSecretRecord, after: ClusterExternalSecretStatus
) -> None:
    """Write the status if it is news; what the API server does not take is tried again."""
    before = record.read_status()
    debts = engine.debts.cluster_external_secrets
    if after == before:
        log.debug("nothing to do")
        debts.pop(key, None)
        return
    debt = debts.get(key)
    if debt is not None and engine.queue.now() < debt.not_before:
        return
    status = msgspec.json.encode(after)
    try:
        written = await put_status(engine.api, key, record, status, lambda: _catch_up(engine, key, record))
    except KubeNotFound:
        forget_cluster_external_secret(engine, key)
    except KubeError as error:
        debt = debts.setdefault(key, Debt())
        debt.refused(error, engine.queue.now(), engine.random.random())
    else:
        debts.pop(key, None)
        if written:
            _tell_outcome(engine, key, record, before, after)
        else:
            engine.queue.add(key, Lane.USER)  # it is another one by now


async def _catch_up(engine: Engine, key: ObjectKey, record: ClusterExternalSecretRecord) -> bool:
    """After a conflict: take over the object as it is now; whether the status still speaks of it."""
    known = (record.generation, record.metadata)
    try:
        await _read(engine, key)
    except KubeError:
        return True
    current = engine.books.cluster_external_secrets.get(key)
    return current is record and (record.generation, record.metadata) == known and not record.deleting


def _tell_outcome(
    engine: Engine,
    key: ObjectKey,
    record: ClusterExternalSecretRecord,
    before: ClusterExternalSecretStatus,
    after: ClusterExternalSecretStatus,
) -> None:
    """An event and a line for a failure that is new."""
    was, message = ready_message(before), ready_message(after)
    if message and message != was:
        engine.events.record(key, record.uid, WARNING, c.EVENT_UPDATE_FAILED, message)
        log.warning("%s", message)
    elif was and not message:
        log.info("all namespaces have their external secret")


def _schedule(
    engine: Engine,
    key: ObjectKey,
    record: ClusterExternalSecretRecord,
    errors: Iterable[KeyferryError],
) -> None:
    """Come back after the object's own pause, or sooner where something may be better then."""
    if engine.books.cluster_external_secrets.get(key) is not record:
        return
    pause = DEFAULT_PAUSE_S if record.spec is None else pause_s(record.spec)
    spread = engine.random.random()
    tries = (retry_delay(one, record.failures + 1, pause or DEFAULT_PAUSE_S, spread) for one in errors)
    delays = [delay for delay in tries if delay is not None]
    if delays and record.failures >= PATIENCE:
        delays = [max(min(delays), PAUSE_EACH_S * len(delays))]
    record.failures = record.failures + 1 if delays else 0
    now = engine.queue.now()
    if (debt := engine.debts.cluster_external_secrets.get(key)) is not None:
        delays.append(max(0.0, debt.not_before - now))
    lane = Lane.RETRY if delays else Lane.PERIODIC
    if pause is not None:
        delays.append(pause * (1 - JITTER * spread))
    if delays:
        engine.queue.schedule(key, now + min(delays), lane)
    else:
        engine.queue.unschedule(key)
