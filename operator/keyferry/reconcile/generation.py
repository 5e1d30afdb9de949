"""Generators in a reconcile: find the object, keep the values that there are, else make new ones.

What a generator made elsewhere (a token at a server) is noted in a GeneratorState before the Secret is
written, so that nothing is forgotten; `generator_state.py` takes it back when it is no longer needed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from keyferry.core.desired import Action, ExistingSecret, plan_write
from keyferry.core.generated import is_whole, kept_values
from keyferry.core.lease import first_term
from keyferry.core.rewrite import renamed_keys
from keyferry.core.sources import Answered, Question
from keyferry.core.stores import is_our_class
from keyferry.core.template_spec import keeps_keys
from keyferry.errors import KeyferryError, KubeNotFound, SpecError
from keyferry.kube.apply import apply
from keyferry.kube.status import object_path
from keyferry.ports import Generated, Generator, GeneratorView, ObjectKey
from keyferry.reconcile import generator_state, leases
from keyferry.reconcile.aside import aside_if_slow
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generator_state import entry_key
from keyferry.reconcile.generators import NotOurs, generator_key
from keyferry.reconcile.generic_target import read_target
from keyferry.reconcile.state_index import Use
from keyferry.reconcile.work import Work
from keyferry.secretdata import SecretBytes, SecretData

log = logging.getLogger(__name__)


_OPAQUE: Final = "Opaque"
"""The type of Secret that may hold anything."""
_PROBE: Final = SecretData({"keyferry-probe": b"-"})
"""Other data than any Secret holds."""


NOT_KEPT: Final = (
    "what it made ends with its lease, which nobody renews or revokes while GeneratorStates are switched off"
)

Loaded = Mapping[ObjectKey, tuple[Generator, GeneratorView]]
"""Generators by their objects, and their checked specs."""


class WholeSecretKept(Exception):
    """All data of the target stays as it is.

    Because what a generator made cannot be told apart in it, or because it is immutable.

    Args:
        data: the target's data.
    """

    def __init__(self, data: SecretData) -> None:
        super().__init__()
        self.data = data


class NoTarget(Exception):
    """There is no object to merge into, so that nobody would see new values."""


class Generation:
    """The generators' part of one reconcile.

    Args:
        engine: shared by all.
        work: the ExternalSecret.
        generators: those that its spec names.
        rotate: new values are due, whatever the Secret holds.
        anew: the target is to be made anew of all values, because a text has changed that it is made from.
    """

    def __init__(
        self, engine: Engine, work: Work, generators: Loaded, *, rotate: bool, anew: bool = False
    ) -> None:
        self.engine = engine
        self.work = work
        self._generators = generators
        self._rotate = rotate
        self._anew = anew
        self._existing: ExistingSecret | None = None
        self._looked = False
        self._made: list[generator_state.Made] = []
        self._entries: set[str] = set()
        self.kept = False
        """Whether some values were kept: the sync was no refresh of theirs."""
        self.untouched = False
        """Whether all of the target's data stays, so that nothing that was made before is over."""
        self.notes: list[str] = []
        """What was made anew although its time had not come, and why."""

    async def answer(self, question: Question) -> Answered:
        """The values of one entry, kept or new; a failure is part of the answer.

        Raises:
            NotOurs: the ExternalSecret is of another controller class.
            WholeSecretKept: all of the target's data stays as it is.
            NoTarget: there is nothing to write into.
        """
        ref = question.generator
        if ref is None:
            raise SpecError(f"{question.where} names no generator")
        source = generator_key(ref, self.work.key.namespace)
        if self.work.target.creation_policy == "None":
            self.untouched = True
            return Answered(question, str(source), {}, rewritten=True)  # nobody would see the values
        try:
            generator, view = self._generators[source]
            told = generator.keys(view)
            keys = _renamed(told, question)
            entry = self._entry(source, question, keys)
            if told is None:
                keys = _renamed(self._noted_keys(entry), question)
            kept = await self._keep(keys) if self._is_alive(generator, entry) else None
            if kept is not None:
                self.kept = True
                return Answered(question, str(source), kept, rewritten=True)
            return Answered(question, str(source), await self._make(generator, view, entry, keys or ()))
        except KeyferryError as error:
            return Answered(question, str(source), error)

    def _entry(self, source: ObjectKey, question: Question, keys: Sequence[str] | None) -> str:
        """The entry's own name: by the keys that it fills, for its place may change while its values stay."""
        identity = keys if keys is not None else [msgspec.json.encode(question.rewrite).decode()]
        number = 0
        while (entry := entry_key(self.work, source, *identity, str(number))) in self._entries:
            number += 1  # the same entry twice
        self._entries.add(entry)
        return entry

    def _is_alive(self, generator: Generator, entry: str) -> bool:
        """Whether what the Secret may hold is still good where it was made, as far as states tell.

        A value whose state is another entry's, or went with another object, has ended or is about to.
        """
        states = self.engine.books.generator_states
        if not (generator.stateful and self.engine.settings.generator_state and states.complete):
            return True
        # The established operator's states do not tell which entry they are of.
        return any(use.entry in (entry, "") and not use.over for use in self._uses())

    def _uses(self) -> Collection[Use]:
        """What is known of the states that are in use."""
        return self.engine.books.generator_states.of(self.work.owner.uid).values()

    def _noted_keys(self, entry: str) -> Sequence[str] | None:
        """The keys that a generator made which cannot tell them before, as its state tells them."""
        return next((use.keys for use in self._uses() if use.entry == entry), None)

    async def _keep(self, keys: Sequence[str] | None) -> Mapping[str, SecretBytes] | None:
        """The values that the Secret holds, under the target's keys; None where they are to be made.

        Args:
            keys: the entry's; None where they cannot be told. Nor can their values where a template makes
                other ones of them.
        """
        if self._rotate:
            return None
        existing = await self._read_existing()
        if existing is None:
            return None
        if keys is not None and keeps_keys(self.work.target.template, tuple(keys)):
            return kept_values(existing, self.work.owner, keys)
        record = self.work.record
        synced = self.work.status.synced_resource_version
        if self._anew or leases.over(self.engine, self.work.owner.uid):
            return None
        if synced.startswith(f"{record.generation}-") and is_whole(existing, self.work.owner):
            self.kept = True
            raise WholeSecretKept(existing.data)
        return None

    async def _read_existing(self) -> ExistingSecret | None:
        """The target; after a rename the former one, whose values move along."""
        if not self._looked:
            self._looked = True
            namespace = self.work.key.namespace
            former = self.work.status.binding.name if self.work.status.binding is not None else ""
            for name in dict.fromkeys((self.work.target.name, former)):
                if name and self._existing is None:
                    manifest = self.work.target.manifest
                    self._existing = await read_target(self.engine, namespace, name, manifest)
        return self._existing

    async def _check_class(self) -> None:
        """Make nothing for an object of another class: its store may be newer than what the watch told.

        Raises:
            NotOurs: it is of another class.
            KubeError: the API server refuses or cannot be asked.
        """
        for key in self.work.stores:
            if key in self.engine.books.stores:
                continue
            try:
                body = await self.engine.api.read(object_path(key))
            except KubeNotFound:
                continue
            if not is_our_class(body["spec"].get("controller", ""), self.engine.settings.controller_class):
                raise NotOurs

    async def _check_writable(self) -> None:
        """Make nothing for a target that will not take it.

        Raises:
            OwnershipError: it is another's, or immutable and holds other data than ours.
            WholeSecretKept: it is immutable, as the spec has it.
            NoTarget: there is none to merge into.
        """
        work, existing = self.work, await self._read_existing()
        if existing is not None and existing.metadata.get("name") != work.target.name:
            existing = None
        plan = plan_write(work.owner, work.target, existing, _PROBE)
        if plan.action is Action.WAIT:
            raise NoTarget
        if existing is not None and plan.action is not Action.CREATE and not plan.data_changed:
            raise WholeSecretKept(existing.data)
        if work.record.failures and work.target.manifest is None and plan.type == _OPAQUE:
            # It may have been refused before: values that are made first would be taken back each time.
            await apply(self.engine.api, plan, only_try=True)

    async def _make(
        self, generator: Generator, view: GeneratorView, entry: str, keys: Sequence[str]
    ) -> Mapping[str, SecretBytes]:
        await self._check_class()
        await self._check_writable()
        why = self._why(entry, keys)
        with aside_if_slow(self.engine, self.work.key):
            generated = await generator.generate(view, self.engine.access)
        if generated.state:
            made = self._as_made(generator, view, generated, entry)
            self._made.append(made)  # before it is noted: what cannot be noted is taken back
            try:
                await generator_state.note(self.engine, self.work, made)
            except KeyferryError as error:
                raise error.within("what was made could not be noted in a GeneratorState") from None
        if generated.lease is not None and not self.engine.settings.generator_state:
            self.notes.append(f"{view.key}: {NOT_KEPT}")
        if why and not self._rotate:
            self.notes.append(f"new values made by {view.key}: {why}")
        log.debug("values made by %s", view.key)
        return generated.data

    def _as_made(
        self, generator: Generator, view: GeneratorView, generated: Generated, entry: str
    ) -> generator_state.Made:
        """What a state is to tell of it."""
        spread = self.engine.random.random()
        term = first_term(generated.lease, spread) if generated.lease is not None else None
        keys = tuple(generated.data) if generator.keys(view) is None else None
        return generator_state.Made(generator, view, generated.state, entry, term, keys)

    def _why(self, entry: str, keys: Sequence[str]) -> str:
        """Why values are made before their time; empty where it is the first time."""
        uses = [use for use in self._uses() if use.entry == entry]
        if over := next((use.over for use in uses if use.over), ""):
            return over
        if not uses and (lost := leases.lost(self.engine, self.work.owner.uid)):
            return lost
        synced, existing = self.work.status.synced_resource_version, self._existing
        if not synced:
            return ""
        if existing is None:
            return "the Secret was gone"
        if self._anew:
            return "a text of its template was changed"
        edited = not synced.startswith(f"{self.work.record.generation}-")
        if edited and keys and not any(key in existing.data for key in keys):
            return ""  # a new entry
        return "its entry was changed" if edited else "its data had been changed"

    async def undo(self) -> None:
        """The Secret is not written: nobody will ever use what was made."""
        made, self._made = self._made, []
        for one in made:
            await generator_state.discard(self.engine, self.work, one)

    def settle(self) -> None:
        """The target is written: what was made before and is not in it any more has a deadline from now on."""
        if not self.untouched:
            generator_state.supersede(self.engine, self.work, self._entries, self._made, kept=self.kept)


def settle(engine: Engine, work: Work, generation: Generation | None) -> None:
    """The same for a reconcile in which no generator may have had a part: maybe one had before."""
    if generation is None:
        generator_state.supersede(engine, work, (), (), kept=False)
    else:
        generation.settle()


def _renamed(keys: Sequence[str] | None, question: Question) -> Sequence[str] | None:
    """The keys as the target has them; None where they cannot be told."""
    return None if keys is None else renamed_keys(keys, question.rewrite)
