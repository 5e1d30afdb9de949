"""From the entries of a spec to the data of the target: stores are asked all at once, generators last.

A generator runs only when everything else is there, so that no value is made and thrown away; and not at
all where its values still are in the Secret and are not due (`core.generated`).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keyferry import ports
from keyferry.api.external_secret import Find, RemoteRef
from keyferry.core.sources import (
    Answered,
    Assembled,
    Question,
    assemble,
    has_templates,
    is_heavy,
    optional_keys,
    questions,
)
from keyferry.errors import ForbiddenError, KeyferryError, RenderError, SpecError
from keyferry.planner.cache import Freshness
from keyferry.planner.health import Deferred, own_copy
from keyferry.ports import Generator, GeneratorView, ObjectKey, Read, ReadingRules, RemoteValue
from keyferry.reconcile.aside import aside_if_slow
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generation import Generation, Loaded, WholeSecretKept
from keyferry.reconcile.generators import generator_key, load_generator
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.rendering import INLINE_CHARS
from keyferry.reconcile.stores import KeyGate, StoreUse, check_still_lets_in, store_key, use_store
from keyferry.reconcile.templates import with_renderer
from keyferry.reconcile.work import Work

NEGATIVE_AGE_S: Final = 5.0
"""So old may a remembered "absent" or "denied" be when an object is tried again."""
PERIODIC_AGE_S: Final = 0.5
"""So old may a value be at a periodic refresh: objects that are due together share a read."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The data of the target, and what was generated for it.

    Args:
        generation: the part of the generators; None where the spec names none.
        whole: whether the data is what the target holds already, and none to render.
    """

    assembled: Assembled
    generation: Generation | None = None
    whole: bool = False


async def resolve(engine: Engine, work: Work, claim: Claim, *, rotate: bool, anew: bool = False) -> Resolved:
    """Ask the stores, all at once, and put the answers together.

    Args:
        rotate: generated values are due, too.
        anew: the target has to be made anew of all values.

    Raises:
        KeyferryError: the first entry that failed, or why a store cannot be asked.
        NoTarget: nothing was made, for there is nothing to write into.
    """
    asked = questions(work.spec, optional_keys(work.owner.annotations))
    generators = await _load_generators(engine, work, asked)
    uses: dict[ObjectKey, StoreUse] = {}
    reads = [question for question in asked if question.generator is None]
    for question in reads:
        key = store_key(question.store, work.key.namespace)
        if key not in uses:
            admit = functools.partial(_admit, work, reads, key)
            uses[key] = await use_store(engine, question.store, work.key.namespace, admit)
            engine.planner.follow(uses[key].binding)
    need, namespace = _freshness(work, claim), work.key.namespace
    with aside_if_slow(engine, work.key):
        answers = await asyncio.gather(
            *(_ask(question, uses[store_key(question.store, namespace)], need, work) for question in reads)
        )
    for use in uses.values():
        check_still_lets_in(engine, use, namespace)
    for answered in answers:
        if isinstance(answered.value, Deferred):
            raise answered.value
    assembled = await _assemble(engine, work, answers)
    if len(reads) == len(asked):
        return Resolved(assembled)
    generation = Generation(engine, work, generators, rotate=rotate, anew=anew)
    return await _with_generated(generation, asked, answers)


def _admit(work: Work, reads: Sequence[Question], store: ObjectKey, gate: KeyGate) -> None:
    """Check all that an object wants of a store, before it is asked for any of it.

    Raises:
        KeyferryError: the first entry that is not let in, with how many more there are.
    """
    refused: list[Answered] = []
    for question in reads:
        if store_key(question.store, work.key.namespace) != store:
            continue
        try:
            if question.remote is not None:
                gate.check(question.remote.key)
            else:
                gate.check_any()
        except KeyferryError as error:
            refused.append(Answered(question, str(store), error))
    if refused:
        assemble(refused, work.target.deletion_policy)


async def _load_generators(engine: Engine, work: Work, asked: Sequence[Question]) -> Loaded:
    """All generators of the spec, each once, before stores are asked and others of them make values in vain.

    Raises:
        KeyferryError: the first that cannot be used.
        NotOurs: one is of another controller class.
    """
    loaded: dict[ObjectKey, tuple[Generator, GeneratorView]] = {}
    failed: list[Answered] = []
    for question in asked:
        if question.generator is None or work.target.creation_policy == "None":
            continue
        key = generator_key(question.generator, work.key.namespace)
        try:
            if key not in loaded:
                loaded[key] = await load_generator(engine, key, work.key.namespace)
        except KeyferryError as error:
            failed.append(Answered(question, str(key), error))
    if failed:
        assemble(failed, work.target.deletion_policy)
    return loaded


async def _with_generated(generation: Generation, asked: list[Question], answers: list[Answered]) -> Resolved:
    """The same with the generators' values, each in its entry's place."""
    given = iter(answers)
    try:
        complete = [
            next(given) if question.generator is None else await generation.answer(question)
            for question in asked
        ]
        return Resolved(await _assemble(generation.engine, generation.work, complete), generation)
    except WholeSecretKept as whole:
        await generation.undo()
        generation.kept = generation.untouched = True
        return Resolved(Assembled(whole.data), generation, whole=True)
    except BaseException:
        await generation.undo()
        raise


async def _assemble(engine: Engine, work: Work, answers: Sequence[Answered]) -> Assembled:
    policy = work.target.deletion_policy
    if has_templates(answers):
        # What is too much for the event loop is so by the length that it is taken to have.
        chars = INLINE_CHARS + 1 if is_heavy(answers) else 0
        return await with_renderer(
            engine, work.key, lambda renderer: assemble(answers, policy, renderer), chars
        )
    if is_heavy(answers):
        return await engine.heavy.run(assemble, answers, policy)
    return assemble(answers, policy)


def _freshness(work: Work, claim: Claim) -> Freshness:
    values_from = claim.fresh_from
    if claim.lane is Lane.PERIODIC:
        values_from -= min(PERIODIC_AGE_S, work.interval.total_seconds() / 100)
    patient = claim.lane in (Lane.RETRY, Lane.PERIODIC)
    return Freshness(values_from, claim.fresh_from - (NEGATIVE_AGE_S if patient else 0.0))


async def _find(question: Question, wanted: Find, use: StoreUse, need: Freshness, deletion: str) -> Answered:
    search = ports.Find(
        path=wanted.path,
        name=wanted.name.regexp if wanted.name is not None else None,
        tags=tuple(sorted(wanted.tags.items())),
    )
    let_in = use.gate.lets_in if use.gate is not None else None
    found = await use.binding.session.find(search, need, use.binding.retries, let_in)
    if isinstance(found, KeyferryError):
        return Answered(question, str(use.key), found)
    if use.gate is not None and not found and deletion != "Retain":
        # What is gone and what is no longer let in look the same, or searches would tell of others' secrets.
        return Answered(question, str(use.key), _nothing_let_in(deletion))
    return Answered(question, str(use.key), dict(found))


def _nothing_let_in(deletion: str) -> ForbiddenError:
    return ForbiddenError(
        f"the search finds nothing that StorePolicies let in, and deletionPolicy={deletion} does not count that as gone",
        hint="If it is gone, delete the ExternalSecret; with deletionPolicy=Retain its Secret stays without this failure",
    )


async def _ask(question: Question, use: StoreUse, need: Freshness, work: Work) -> Answered:
    namespace = work.key.namespace
    if question.find is not None:
        return await _find(question, question.find, use, need, work.target.deletion_policy)
    rules = use.provider.reading
    try:
        answer = await use.binding.session.read(_read(question, namespace, rules), need, use.binding.retries)
    except (SpecError, ForbiddenError, RenderError) as error:
        # Of this question alone: what it asks with makes a request that cannot be sent.
        return Answered(question, str(use.key), own_copy(error))
    return Answered(
        question,
        str(use.key),
        answer.value if isinstance(answer, RemoteValue) else answer,
        literal_first=rules.literal_property_first,
        missing_is_absent=rules.missing_property_is_absent,
        final=rules.asks_with_all,
        select=rules.select,
    )


def _read(question: Question, namespace: str, rules: ReadingRules) -> Read:
    remote = question.remote or RemoteRef(key="")
    if rules.asks_with_all:
        members = not question.secret_key
        return Read(
            remote.key, remote.version, property=remote.property, namespace=namespace, members=members
        )
    return Read(remote.key, remote.version, metadata=remote.metadata_policy == "Fetch")
