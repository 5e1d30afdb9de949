"""Leases of what generators made: renewed in time; where that fails, new values are made.

What is known of a lease stands in an annotation of its GeneratorState, which the watch of metadata brings: after
a restart, or where another replica goes on, all due times are known without asking anybody. Each is one time in
the work queue, under the state's key. To renew costs the state a read and a write, and nothing else: neither the
Secret nor the ExternalSecret's status is touched. The ExternalSecret is looked at when a lease has come to its
end, and then makes new values by the way that it always makes them; and when an end is near, to say so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.core.backoff import refresh_delay, retry_delay
from keyferry.core.lease import Term, catch_up_s, next_term, retry_s, term_of, text_of
from keyferry.core.summarize import NOT_RENEWED
from keyferry.errors import (
    AccessDenied,
    InternalError,
    KeyferryError,
    KubeError,
    KubeNotFound,
    LeaseLost,
    SpecError,
    TimedOut,
    one_line,
)
from keyferry.kube.client import MERGE_PATCH
from keyferry.kube.events import WARNING
from keyferry.kube.watch import ObjectMeta
from keyferry.lease import AtTheEnd
from keyferry.ports import LeasingGenerator, ObjectKey
from keyferry.reconcile.aside import aside_if_slow
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generators import generator_path
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.state_index import Use
from keyferry.reconcile.state_source import generator_of

log = logging.getLogger(__name__)

CALL_S: Final = 40.0
"""Longest time for one renewal."""
REMIND_S: Final = 600.0
"""So often an ExternalSecret is looked at again whose lease is over: what is in its way may have gone."""
_MOST_KEYS: Final = 1000

TIME_TO_REPLACE: Final = "they end, and cannot be renewed"
MADE_ANEW: Final = "there are new ones where they are from"
ENDED: Final = "they ended before they could be renewed"
DELETED: Final = "their GeneratorState was deleted, and what they opened was closed with it"


def annotations_of(term: Term | None, keys: tuple[str, ...] | None) -> dict[str, str]:
    """What a state's annotations tell of its lease, and of its keys where only they tell."""
    made = {}
    if term is not None:
        made[names.ANNOTATION_LEASE] = text_of(term)
    if keys is not None:
        made[names.ANNOTATION_KEYS] = msgspec.json.encode(keys).decode()
    return made


def use_of(meta: ObjectMeta, uid: str, owner: str, entry: str) -> Use:
    """A state in use, as its metadata tells of it."""
    found = meta.annotations or {}
    term = term_of(found.get(names.ANNOTATION_LEASE))
    return Use(uid, owner, entry, term, _keys(found.get(names.ANNOTATION_KEYS)))


def _keys(text: str | None) -> tuple[str, ...] | None:
    try:
        keys = msgspec.json.decode(text, type=tuple[str, ...]) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return keys if keys is None or len(keys) <= _MOST_KEYS else None


# -- when


def expect(engine: Engine, key: ObjectKey, use: Use, *, at_start: bool = False) -> None:
    """Come back when the lease is due, if that is not decided yet.

    Args:
        at_start: it was found when this process began to look.
    """
    if use.term is None or use.resume_at:
        return
    now = engine.clock.now()
    spread = engine.random.random() if at_start else 0.0
    _resume(engine, key, use, catch_up_s(use.term, now, spread))


def _resume(engine: Engine, key: ObjectKey, use: Use, wait_s: float) -> None:
    use.resume_at = engine.queue.now() + wait_s
    engine.queue.schedule(key, use.resume_at, Lane.EVENT)


def in_peace(engine: Engine, key: ObjectKey) -> Use | None:
    """The use of a state to which nothing is to be done but, maybe, to renew it; None where it has to be read."""
    use = engine.books.generator_states.get((key.namespace, key.name))
    if use is None or key in engine.books.generator_states.deadlines or key.namespace in engine.books.ending:
        return None
    owner = engine.books.external_secrets.get(_owner(key, use))
    return use if owner is not None and owner.uid == use.uid else None


def _owner(key: ObjectKey, use: Use) -> ObjectKey:
    return ObjectKey(names.EXTERNAL_SECRET, key.namespace, use.owner)


# -- what is done


async def keep(engine: Engine, key: ObjectKey, use: Use) -> None:
    """Renew the lease if it is due; where it cannot be, have new values made.

    Raises:
        KubeNotFound: the state is gone.
    """
    term, now = use.term, engine.clock.now()
    if term is None:
        return
    if engine.queue.now() < use.resume_at:
        engine.queue.schedule(key, use.resume_at, Lane.EVENT)
    elif use.over:
        _end(engine, key, use, use.over)
    elif now < term.due_at:
        _resume(engine, key, use, (term.due_at - now).total_seconds())
    elif term.lease.at_the_end is AtTheEnd.READ_AGAIN:
        _end(engine, key, use, MADE_ANEW)
    elif term.lease.at_the_end is AtTheEnd.REPLACE:
        _end(engine, key, use, TIME_TO_REPLACE)
    elif now >= term.lease.ends_at:
        _end(engine, key, use, f"{ENDED}: {use.trouble}" if use.trouble else ENDED)
    else:
        body = await engine.api.request("GET", generator_path(key))
        await _try(engine, key, use, term, body)


async def _try(engine: Engine, key: ObjectKey, use: Use, term: Term, body: bytes) -> None:
    try:
        with aside_if_slow(engine, key):
            async with asyncio.timeout(CALL_S):
                renewed = await _renew(engine, key, term, body)
    except TimeoutError:
        _failed(engine, key, use, term, TimedOut(f"no answer within {CALL_S:.0f} s"))
    except (LeaseLost, AccessDenied) as error:
        _end(engine, key, use, str(error))
    except KeyferryError as error:
        _failed(engine, key, use, term, error)
    except Exception as error:
        log.exception("a bug in Keyferry")
        _failed(engine, key, use, term, InternalError.of(error))
    else:
        await _note(engine, key, use, renewed)


async def _renew(engine: Engine, key: ObjectKey, term: Term, body: bytes) -> Term:
    """The next term, as the generator got it.

    Args:
        body: the state.

    Raises:
        KeyferryError: it got none.
    """
    try:
        spec: dict[str, Any] = orjson.loads(body).get("spec") or {}
    except orjson.JSONDecodeError:
        raise SpecError(f"{key} cannot be read: it is nested too deep") from None
    generator, view = await generator_of(engine, key, spec)
    if not isinstance(generator, LeasingGenerator):
        raise LeaseLost(f"{view.key} makes nothing that can be renewed")
    lease = await generator.renew(view, orjson.dumps(spec.get("state") or {}), engine.access)
    return next_term(term, lease, engine.random.random())


async def _note(engine: Engine, key: ObjectKey, use: Use, renewed: Term) -> None:
    """Take over the next term, and write it down for those who come after."""
    use.term, use.failures, use.resume_at = renewed, 0, 0.0
    expect(engine, key, use)
    if use.trouble:
        use.trouble = ""
        engine.queue.add(_owner(key, use), Lane.EVENT)
    log.debug("%s: renewed", key)
    patch = {"metadata": {"annotations": annotations_of(renewed, None)}}
    try:
        await engine.api.request("PATCH", generator_path(key), body=patch, content_type=MERGE_PATCH)
    except KubeNotFound:
        raise
    except KubeError as error:
        # What this process knows is enough; the next one would renew it once more.
        log.debug("%s: the renewal could not be noted: %s", key, error)


def _failed(engine: Engine, key: ObjectKey, use: Use, term: Term, error: KeyferryError) -> None:
    """Try again, and say so on the ExternalSecret when the end is near."""
    now = engine.clock.now()
    use.failures += 1
    pause = retry_delay(error, use.failures, 0.0, engine.random.random())
    _resume(engine, key, use, retry_s(term, now, pause))
    log.debug("%s could not be renewed: %s", key, error)
    if now < term.endangered_at or use.trouble == str(error):
        return
    if not use.trouble:
        told = one_line(f"{NOT_RENEWED.removeprefix('; ')}{error}")
        engine.events.record(_owner(key, use), use.uid, WARNING, c.EVENT_LEASE_NOT_RENEWED, told)
        log.warning("%s: %s", key, told)
    use.trouble = str(error)
    engine.queue.add(_owner(key, use), Lane.EVENT)


def _end(engine: Engine, key: ObjectKey, use: Use, why: str) -> None:
    """The values are over, or will be soon: the ExternalSecret makes new ones."""
    if not use.over:
        log.info("%s: new values are needed: %s", key, why)
    use.over, use.trouble = why, ""
    engine.queue.add(_owner(key, use), Lane.EVENT)
    _resume(engine, key, use, refresh_delay(REMIND_S, engine.random.random()))


def has_ended(engine: Engine, metadata: Mapping[str, Any]) -> bool:
    """Whether what a state stands for has ended by itself, as far as is written there."""
    term = term_of((metadata.get("annotations") or {}).get(names.ANNOTATION_LEASE))
    return term is not None and term.lease.ends_at < engine.clock.now()


# -- what the ExternalSecret is told


def over(engine: Engine, uid: str) -> str:
    """Why some of an ExternalSecret's generated values have to be made anew; empty where none."""
    uses = engine.books.generator_states.of(uid).values()
    return next((use.over for use in uses if use.over), "") or lost(engine, uid)


def lost(engine: Engine, uid: str) -> str:
    """The same, where there is no state any more that could say so."""
    return engine.books.generator_states.lost.get(uid, "")


def trouble(engine: Engine, uid: str) -> str:
    """Why the lease of some of an ExternalSecret's values could not be renewed, if its end is near."""
    return next((use.trouble for use in engine.books.generator_states.of(uid).values() if use.trouble), "")
