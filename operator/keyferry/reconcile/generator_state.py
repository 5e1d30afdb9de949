"""GeneratorState: what generators made elsewhere, and its end.

A state is created as soon as something was made, with a finalizer. When the Secret holds newer values it
gets a deadline, a grace period away, because somebody may still use the old ones. When the deadline has
passed, or its ExternalSecret is gone, or its namespace ends, it is deleted; what was made is taken back, and
the finalizer goes.

`leases.py` renews what ends by itself, `state_source.py` says how far a state is believed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
import orjson

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.core.backoff import retry_delay
from keyferry.core.hashing import hash_text
from keyferry.core.lease import Term
from keyferry.core.summarize import parse_timestamp, timestamp
from keyferry.errors import (
    InternalError,
    KeyferryError,
    KubeConflict,
    KubeError,
    KubeNotFound,
    NotReadyError,
    RetryKind,
    SpecError,
    one_line,
)
from keyferry.kube.client import MERGE_PATCH
from keyferry.kube.events import WARNING
from keyferry.kube.finalizers import drop_finalizers
from keyferry.kube.status import object_path
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import Generator, GeneratorView, ObjectKey
from keyferry.reconcile import leases
from keyferry.reconcile.aside import aside_if_slow
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generators import generator_path
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.state_index import Use
from keyferry.reconcile.state_source import generator_of
from keyferry.reconcile.work import Work

log = logging.getLogger(__name__)

PATIENCE: Final = 100
"""So many tries while the server may come back: about half a day, for what is not taken back is good for ever."""
PATIENCE_WITHOUT_HOPE: Final = 10
"""So many where only a change of some object could help, such as the auth Secret's return."""
PATIENCE_AT_THE_END: Final = 5
"""So many while the namespace ends, which waits for it."""
_RETRY_S: Final = 60.0
_UNDO_S: Final = 10.0


@dataclass(slots=True)
class Made:
    """What was made elsewhere in this reconcile.

    Args:
        generator, view, state: what takes it back.
        entry: what it was made for, as `entry_key` names it.
        term: how long it is good; None for as long as nobody takes it back.
        keys: what was made, where only this tells.
        key: the state that stands for it; None where none could be, or need be, written.
    """

    generator: Generator
    view: GeneratorView
    state: bytes
    entry: str
    term: Term | None = None
    keys: tuple[str, ...] | None = None
    key: ObjectKey | None = None


def entry_key(work: Work, source: ObjectKey, *identity: str) -> str:
    """What the states of one entry of one ExternalSecret have in common, whatever its place in the spec.

    Args:
        work: the ExternalSecret.
        source: the generator.
        identity: what tells the entry from others of the same generator.
    """
    of = (work.key.namespace, work.key.name, source.kind, source.name, *identity)
    return hash_text(msgspec.json.encode(of))


async def note(engine: Engine, work: Work, made: Made) -> None:
    """Keep what is needed to take back what was just made, before anything else is done with it.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    if not engine.settings.generator_state:
        return
    source, kind = made.view.key, made.view.kind
    key = ObjectKey(names.GENERATOR_STATE, work.key.namespace, f"{kind.lower()}-{secrets.token_hex(8)}")
    scope = {"namespace": source.namespace} if source.namespace else {}
    resource = {
        "apiVersion": names.GENERATORS_API_VERSION,
        "kind": kind,
        "metadata": {"name": source.name} | scope,
        "spec": made.view.spec,
    }
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.EXTERNAL_SECRET,
        "name": work.key.name,
        "uid": work.owner.uid,
    }
    document = {
        "apiVersion": names.GENERATORS_API_VERSION,
        "kind": names.GENERATOR_STATE,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {names.LABEL_GENERATOR_OWNER: made.entry},
            "annotations": {names.ANNOTATION_CONTROLLER_CLASS: engine.settings.controller_class}
            | leases.annotations_of(made.term, made.keys),
            "finalizers": [names.FINALIZER_GENERATOR_STATE],
            "ownerReferences": [owner],
        },
        "spec": {"resource": resource, "state": msgspec.Raw(made.state)},
    }
    await engine.api.request(
        "POST", generator_path(key).rpartition("/")[0], body=msgspec.json.encode(document)
    )
    made.key = key
    use = Use(work.owner.uid, work.key.name, made.entry, made.term, made.keys)
    leases.expect(engine, key, engine.books.generator_states.use((key.namespace, key.name), use))


def supersede(
    engine: Engine, work: Work, current: Collection[str], made: Collection[Made], *, kept: bool
) -> None:
    """Have a deadline set on the states that the target, as just written, no longer needs.

    Args:
        engine: shared by all.
        work: the ExternalSecret.
        current: the keys of all entries that the spec has.
        made: what was made now.
        kept: whether any generated value was kept; a state whose entry is not known may be its.
    """
    states = engine.books.generator_states
    states.lost.pop(work.owner.uid, None)
    new, renewed = {one.key for one in made}, {one.entry for one in made}
    deadline = engine.clock.now() + timedelta(seconds=engine.settings.generator_grace_s)
    uses = {place: use.entry for place, use in states.of(work.owner.uid).items()}
    for place, entry in sorted(uses.items()):
        key = ObjectKey(names.GENERATOR_STATE, *place)
        over = entry in renewed or entry not in current if entry else not kept
        if over and key not in new:
            states.release(place)
            states.deadlines[key] = deadline
            engine.queue.add(key, Lane.EVENT)


async def discard(engine: Engine, work: Work, made: Made) -> None:
    """What was made will never be used: take it back now, by way of its state or without one."""
    if made.key is not None:
        states = engine.books.generator_states
        states.discarded.add(made.key)
        states.release((made.key.namespace, made.key.name))
        try:
            await engine.api.request("DELETE", generator_path(made.key))
        except KeyferryError as error:
            log.debug("%s cannot be deleted: %s", made.key, error)
            states.deadlines[made.key] = engine.clock.now()
            engine.queue.add(made.key, Lane.RETRY)
        else:
            engine.queue.add(made.key, Lane.EVENT)
            return
    try:
        with aside_if_slow(engine, work.key):
            async with asyncio.timeout(_UNDO_S):
                await made.generator.cleanup(made.view, made.state, engine.access)
    except (KeyferryError, TimeoutError) as error:
        log.warning("%s made what nobody uses, and it could not be taken back: %s", made.view.key, error)


# -- what there is


def observe_state(engine: Engine, change: Change, meta: ObjectMeta) -> None:
    """What a watch tells of a state."""
    key, states = ObjectKey(names.GENERATOR_STATE, meta.namespace, meta.name), engine.books.generator_states
    if change is Change.GONE:
        states.forget(key)
        engine.queue.forget(key)
        return
    ours = engine.settings.controller_class
    noted_by = (meta.annotations or {}).get(names.ANNOTATION_CONTROLLER_CLASS)
    if noted_by not in (None, ours):
        return  # of an operator of another class
    place = (meta.namespace, meta.name)
    owner = next((one for one in meta.owner_references or () if one.kind == names.EXTERNAL_SECRET), None)
    states.note(place)
    in_use = meta.generation <= 1 and meta.deletion_timestamp is None and key not in states.discarded
    if in_use and owner is not None:
        # Of the first generation: a deadline has not been set. The established operator names entries otherwise.
        entry = (meta.labels or {}).get(names.LABEL_GENERATOR_OWNER, "") if noted_by else ""
        use = states.use(place, leases.use_of(meta, owner.uid, owner.name, entry))
        leases.expect(engine, key, use, at_start=change is Change.LISTED)
    else:
        states.release(place)
    engine.queue.add(key, Lane.PERIODIC)


def wake_states(engine: Engine, places: Collection[tuple[str, str]]) -> None:
    """What these states depend on is going or gone."""
    for place in places:
        engine.queue.add(ObjectKey(names.GENERATOR_STATE, *place), Lane.EVENT)


async def reconcile_generator_state(engine: Engine, claim: Claim) -> None:
    """Delete a state whose time is over; take back what a deleted one stands for; renew what is in use."""
    key = claim.key
    try:
        if (use := leases.in_peace(engine, key)) is not None:
            await leases.keep(engine, key, use)
        else:
            await _look(engine, key)
    except KubeNotFound:
        engine.books.generator_states.forget(key)
        engine.queue.forget(key)
    except KubeConflict:
        engine.queue.add(key, Lane.RETRY)
    except KeyferryError as error:
        log.warning("%s", error)
        engine.queue.schedule(key, engine.queue.now() + _RETRY_S, Lane.RETRY)


async def _look(engine: Engine, key: ObjectKey) -> None:
    body = await _read(engine, key)
    if "deletionTimestamp" in body["metadata"]:
        await _end(engine, key, body)
        return
    deadline = parse_timestamp((body.get("spec") or {}).get("garbageCollectionDeadline"))
    wait_s = max(0.0, (deadline - engine.clock.now()).total_seconds()) if deadline is not None else None
    if wait_s == 0 or key.namespace in engine.books.ending or await _is_abandoned(engine, key, body):
        await engine.api.request("DELETE", generator_path(key))
        engine.queue.add(key, Lane.EVENT)
    elif wait_s is not None:
        engine.queue.schedule(key, engine.queue.now() + wait_s, Lane.PERIODIC)


async def _read(engine: Engine, key: ObjectKey) -> Mapping[str, Any]:
    """The state, after its deadline was written if one is to be."""
    deadline = engine.books.generator_states.deadlines.get(key)
    if deadline is None:
        body = await engine.api.request("GET", generator_path(key))
    else:
        patch = {"spec": {"garbageCollectionDeadline": timestamp(deadline)}}
        body = await engine.api.request("PATCH", generator_path(key), body=patch, content_type=MERGE_PATCH)
        engine.books.generator_states.deadlines.pop(key, None)
    try:
        found: Mapping[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise SpecError(f"{key} cannot be read: it is nested too deep") from None
    return found


async def _is_abandoned(engine: Engine, key: ObjectKey, body: Mapping[str, Any]) -> bool:
    """Whether its ExternalSecret is gone. The garbage collector would come later, maybe after the auth Secret went.

    A state without an owner was orphaned together with the Secret that holds what was made.
    """
    owner = _owner_of(body["metadata"])
    if owner is None:
        return False
    owner_key = ObjectKey(names.EXTERNAL_SECRET, key.namespace, owner["name"])
    known = engine.books.external_secrets.get(owner_key)
    if known is not None and known.uid == owner["uid"]:
        return False
    try:
        found = await engine.api.read(object_path(owner_key))
    except KubeNotFound:
        return True
    return bool(found["metadata"]["uid"] != owner["uid"])


# -- the end


async def _end(engine: Engine, key: ObjectKey, body: Mapping[str, Any]) -> None:
    """Take back what was made, then let the object go."""
    if names.FINALIZER_GENERATOR_STATE not in (body["metadata"].get("finalizers") or ()):
        return
    states = engine.books.generator_states
    states.release((key.namespace, key.name))
    if key not in states.failures:
        _tell_loss(engine, key, body)
    try:
        await _take_back(engine, key, body.get("spec") or {})
    except Exception as error:  # noqa: BLE001 - told, with its place in the log if it is a bug
        told = _told(error)
        failures = states.failures[key] = states.failures.get(key, 0) + 1
        patience = 0 if leases.has_ended(engine, body["metadata"]) else _patience(engine, key, told)
        if patience:
            await _tell(engine, key, body, told, given_up=failures >= patience)
        if failures < patience:
            delay = retry_delay(told, failures, _RETRY_S, engine.random.random()) or _RETRY_S
            if key.namespace in engine.books.ending:
                delay = min(delay, _RETRY_S)
            engine.queue.schedule(key, engine.queue.now() + delay, Lane.RETRY)
            return
    states.failures.pop(key, None)
    await drop_finalizers(engine.api, generator_path(key), lambda one: one == names.FINALIZER_GENERATOR_STATE)


def _tell_loss(engine: Engine, key: ObjectKey, body: Mapping[str, Any]) -> None:
    """Somebody has deleted the state of values that are in use: have their ExternalSecret make new ones."""
    states, metadata = engine.books.generator_states, body["metadata"]
    owner = _owner_of(metadata)
    has_deadline = "garbageCollectionDeadline" in (body.get("spec") or {})
    if owner is None or has_deadline or key in states.discarded or key.namespace in engine.books.ending:
        return
    owner_key = ObjectKey(names.EXTERNAL_SECRET, key.namespace, owner["name"])
    record = engine.books.external_secrets.get(owner_key)
    if record is None or record.uid != owner["uid"] or record.deleting:
        return
    entry = (metadata.get("labels") or {}).get(names.LABEL_GENERATOR_OWNER, "")
    if any(use.entry == entry for use in states.of(record.uid).values()):
        return  # of values that came before, or after
    log.info("%s: new values are needed: %s", key, leases.DELETED)
    states.lost[record.uid] = leases.DELETED
    engine.queue.add(owner_key, Lane.EVENT)


def _owner_of(metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references: list[dict[str, Any]] = metadata.get("ownerReferences") or []
    return next((one for one in references if one["kind"] == names.EXTERNAL_SECRET), None)


def _told(error: Exception) -> KeyferryError:
    """The error as people are told it; a bug by its type alone."""
    if isinstance(error, KeyferryError):
        return error
    log.error("a bug in Keyferry", exc_info=error)
    return InternalError.of(error)


def _patience(engine: Engine, key: ObjectKey, error: KeyferryError) -> int:
    """So many failures end the attempts."""
    hopeless = error.retry.kind is RetryKind.ON_CHANGE or isinstance(error, KubeNotFound | NotReadyError)
    if key.namespace in engine.books.ending:
        return 1 if hopeless else PATIENCE_AT_THE_END
    # Who serves one namespace alone is not told that it ends.
    return PATIENCE_WITHOUT_HOPE if hopeless or engine.settings.namespace else PATIENCE


async def _take_back(engine: Engine, key: ObjectKey, spec: Mapping[str, Any]) -> None:
    """Have the generator undo what the state stands for.

    Raises:
        KeyferryError: it could not.
    """
    generator, view = await generator_of(engine, key, spec)
    with aside_if_slow(engine, key):
        await generator.cleanup(view, orjson.dumps(spec.get("state") or {}), engine.access)


async def _tell(
    engine: Engine, key: ObjectKey, body: Mapping[str, Any], error: KeyferryError, *, given_up: bool
) -> None:
    """A condition, an event and a line of the log, if this is new."""
    what = "what was made stays where it is" if given_up else "what was made could not be taken back"
    message = one_line(f"{what}: {error}")
    before = (body.get("status") or {}).get("conditions") or []
    if any(condition.get("message") == message for condition in before):
        return
    log.warning("%s: %s", key, message)
    engine.events.record(key, body["metadata"]["uid"], WARNING, c.EVENT_CLEANUP_FAILED, message)
    ready = {
        "type": c.READY,
        "status": c.FALSE,
        "reason": c.EVENT_CLEANUP_FAILED,
        "message": message,
        "lastTransitionTime": timestamp(engine.clock.now()),
    }
    patch = {"status": {"conditions": [ready]}}
    try:
        await engine.api.request(
            "PATCH", f"{generator_path(key)}/status", body=patch, content_type=MERGE_PATCH
        )
    except KubeError as refused:
        log.debug("the status could not be written: %s", refused)
