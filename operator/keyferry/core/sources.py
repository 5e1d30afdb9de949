"""What an ExternalSecret asks of which store, and what the answers make: from spec to `SecretData` and back.

`questions` lists what is read, searched and generated; `assemble` turns the answers into data, in the
API's order: dataFrom entries one after the other, then data, later ones win.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from keyferry.api import names
from keyferry.api.external_secret import (
    DataFrom,
    ExternalSecretSpec,
    Find,
    GeneratorRef,
    RemoteRef,
    Rewrite,
    SecretStoreRef,
)
from keyferry.core.decode import check_null_bytes, decode
from keyferry.core.keys import convert_keys, validate_keys
from keyferry.core.rewrite import Rewritten, rewrite
from keyferry.core.select import Selector, select_map, select_value
from keyferry.core.template import Renderer
from keyferry.errors import (
    KeyferryError,
    PropertyNotFound,
    RemoteSecretNotFound,
    SpecError,
    one_line,
)
from keyferry.secretdata import SecretBytes, SecretData

MAX_KEY_CHARS: Final = 300
"""Most of a remote key that an error shows: a longer one would push the cause out of the message."""


_NO_STORE: Final = SecretStoreRef()


@dataclass(frozen=True, slots=True)
class Question:
    """One entry of the spec: what it asks of which store, or of which generator.

    Exactly one of `remote`, `find` and `generator` is set.

    Args:
        where: the entry, as errors name it: "spec.data[0] (key: db)".
        event: the entry, as the event about a missing remote secret names it.
        store: unset for a generator.
        secret_key: for a data entry, its key in the Secret; empty for all others.
        rewrite: what a dataFrom entry does to its keys.
        optional: whether its remote secret or property may be missing without failing the object.
    """

    where: str
    event: str
    store: SecretStoreRef = _NO_STORE
    remote: RemoteRef | None = None
    find: Find | None = None
    generator: GeneratorRef | None = None
    secret_key: str = ""
    rewrite: tuple[Rewrite, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer: a value or a map of values, or the failure that stands for it.

    Args:
        source: how errors name the store or generator.
        literal_first, missing_is_absent, final: the provider's reading rules; `final` is `asks_with_all`.
        select: takes what the entry wants out of the value, where the provider has a rule of its own: of value,
            reference, and whether members are wanted.
        rewritten: whether the map already has the keys of the target: it was kept, not generated.
    """

    question: Question
    source: str
    value: SecretBytes | Mapping[str, SecretBytes] | KeyferryError
    literal_first: bool = False
    missing_is_absent: bool = False
    final: bool = False
    select: Selector | None = None
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """The data of the target, and what there is to tell of it.

    Args:
        absent: the entries that were left out because the store has no such secret.
        missing: the optional entries that were left out, each with what is missing.
        collisions: keys that a rewrite made equal, so that one value was lost.
    """

    data: SecretData
    absent: tuple[Question, ...] = ()
    missing: tuple[str, ...] = ()
    collisions: tuple[str, ...] = ()


def check_policies(spec: ExternalSecretSpec) -> None:
    """Check the combinations that the schema refuses too, for objects older than its rules.

    Raises:
        SpecError: deletionPolicy and creationPolicy contradict each other.
    """
    target = spec.target
    if target.deletion_policy == "Delete" and target.creation_policy in ("Merge", "None", "CreateOrMerge"):
        raise SpecError(
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret",
            hint="Please set creationPolicy=Owner",
        )
    if target.deletion_policy == "Merge" and target.creation_policy == "None":
        raise SpecError(
            "deletionPolicy=Merge must not be used with creationPolicy=None",
            hint="There is no Secret to merge with",
        )


def questions(spec: ExternalSecretSpec, optional: Collection[str] = ()) -> list[Question]:
    """All that the spec asks for, in the order in which the answers are applied.

    Args:
        optional: names of entries that may be missing: a key of the Secret, a remote key or a property.

    Raises:
        SpecError: an entry names no store, or nothing to read.
    """
    asked = [_data_from(spec, index, source, optional) for index, source in enumerate(spec.data_from)]
    for index, data in enumerate(spec.data):
        own = data.source_ref
        if own is not None and own.generator_ref is not None:
            raise SpecError(
                f"spec.data[{index}].sourceRef.generatorRef is not supported",
                hint="Use spec.dataFrom with sourceRef.generatorRef",
            )
        remote, key = data.remote_ref, one_line(data.remote_ref.key, MAX_KEY_CHARS)
        where = f"spec.data[{index}] (key: {key})"
        asked.append(
            Question(
                where,
                f"spec.dataFrom[{index}] (key={key})",
                _store(spec, own.store_ref if own is not None else None, where),
                remote=remote,
                secret_key=data.secret_key,
                optional=not {data.secret_key, remote.key, remote.property}.isdisjoint(optional),
            )
        )
    return asked


def _data_from(spec: ExternalSecretSpec, index: int, source: DataFrom, optional: Collection[str]) -> Question:
    event = f"spec.dataFrom[{index}]"
    own = source.source_ref.store_ref if source.source_ref is not None else None
    generator = source.source_ref.generator_ref if source.source_ref is not None else None
    # The schema lets only one of them be set; of an older object's, the reference takes find first.
    if source.find is not None:
        where = f"{event}.find"
        store = _store(spec, own, where)
        return Question(where, event, store, find=source.find, rewrite=source.rewrite)
    if source.extract is not None:
        remote = source.extract
        where = f"{event}.extract (key: {one_line(remote.key, MAX_KEY_CHARS)})"
        store = _store(spec, own, where)
        may_miss = not {remote.key, remote.property}.isdisjoint(optional)
        return Question(where, event, store, remote=remote, rewrite=source.rewrite, optional=may_miss)
    if generator is not None:
        where = f"{event}.sourceRef.generatorRef"
        return Question(where, event, generator=generator, rewrite=source.rewrite)
    raise SpecError(f"{event}: either extract, find, or sourceRef must be set to dataFrom")


def _store(spec: ExternalSecretSpec, own: SecretStoreRef | None, where: str) -> SecretStoreRef:
    store = own if own is not None and own.name else spec.secret_store_ref
    if not store.name:
        raise SpecError(
            f"{where} names no store: set spec.secretStoreRef.name or the entry's sourceRef.storeRef"
        )
    return store


def optional_keys(annotations: Mapping[str, str]) -> frozenset[str]:
    """The names that the ExternalSecret's annotation lists, parted by commas."""
    text = annotations.get(names.ANNOTATION_OPTIONAL_KEYS, "")
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def store_refs(spec: ExternalSecretSpec) -> set[tuple[str, str]]:
    """(kind, name) of every store that the spec names anywhere."""
    refs = [spec.secret_store_ref]
    refs += [d.source_ref.store_ref for d in spec.data if d.source_ref and d.source_ref.store_ref]
    refs += [d.source_ref.store_ref for d in spec.data_from if d.source_ref and d.source_ref.store_ref]
    return {(ref.kind, ref.name) for ref in refs if ref.name}


def has_templates(answers: Sequence[Answered]) -> bool:
    """Whether some entry renames its keys by a template."""
    return any(step.transform is not None for answered in answers for step in answered.question.rewrite)


HEAVY_BYTES: Final = 128 * 1024
"""More than this to look through, and the event loop would wait for it."""
_COSTLY: Final = frozenset("*?#@{[|(~!")
_COSTLY_FACTOR: Final = 16


def is_heavy(answers: Sequence[Answered]) -> bool:
    """Whether putting the answers together may take long enough that others would notice.

    Paths and patterns come from tenants: one with wildcards, queries or modifiers looks at a text many
    times, and a rewrite at every key.
    """
    total = 0
    for answered in answers:
        question, value = answered.question, answered.value
        if isinstance(value, SecretBytes):
            remote = question.remote
            costly = remote is not None and not _COSTLY.isdisjoint(remote.property)
            total += len(value) * (_COSTLY_FACTOR if costly else 1) * _growth(question.rewrite)
        elif not isinstance(value, KeyferryError):
            size = sum(len(key) + len(one) for key, one in value.items())
            total += size * _growth(question.rewrite)
    return total > HEAVY_BYTES


def _growth(steps: Sequence[Rewrite]) -> int:
    """How many times over a rewrite may look at a text: each step at what the one before made longer."""
    factor = 1
    for step in steps:
        factor *= _COSTLY_FACTOR + (len(step.regexp.target) if step.regexp is not None else 0)
    return factor


def assemble(
    answers: Sequence[Answered], deletion_policy: str, renderer: Renderer | None = None
) -> Assembled:
    """The target's data.

    An absent remote secret is left out where deletionPolicy is not Retain, a missing optional one always;
    every other failure is the object's failure.

    Args:
        renderer: needed where `has_templates`.

    Raises:
        KeyferryError: the first entry that failed, told with its place and how many more there are; its
            `details` name all.
        SlowFunction: a template asks for costly work, and the renderer's budget has none.
    """
    data: dict[str, SecretBytes] = {}
    absent: list[Question] = []
    missing: list[str] = []
    collisions: list[str] = []
    failures: list[KeyferryError] = []
    for answered in answers:
        question, entry = answered.question, _entry(answered, renderer)
        if isinstance(entry, Rewritten):
            data.update(entry.values)
            collisions += [f"{question.where}: {collision}" for collision in entry.collisions]
        elif question.optional and isinstance(entry, RemoteSecretNotFound | PropertyNotFound):
            missing.append(f"{question.where}: {entry.message}")
        elif isinstance(entry, RemoteSecretNotFound) and deletion_policy != "Retain":
            absent.append(question)
        else:
            place = f"error processing {question.where}, err"
            named = entry.message.startswith(f"{answered.source} ")
            failures.append(entry.within(place if named else f"{place}: {answered.source}"))
    if failures:
        raise _together(failures)
    return Assembled(SecretData(data), tuple(absent), tuple(missing), tuple(collisions))


def _together(failures: list[KeyferryError]) -> KeyferryError:
    """The first failure, how many there are, and the text of each. Takes the list's content.

    A list that stayed in the raising frame would form a cycle with the error, and values would stay in
    memory until the garbage collector comes by.
    """
    first, texts = failures[0], tuple(map(str, failures))
    failures.clear()
    if len(texts) == 1:
        return first
    told = first.within(f"{len(texts)} entries failed, the first")
    told.details = texts
    return told


def _entry(answered: Answered, renderer: Renderer | None) -> Rewritten | KeyferryError:
    """The keys and values that one entry gives, or why it gives none.

    A store's failure is passed on and never raised: it is shared by all who asked, and each raise would
    add to its traceback, and keep the values alive that the frames hold.
    """
    if isinstance(answered.value, KeyferryError):
        return answered.value
    try:
        return _selected(answered, answered.value, renderer)
    except KeyferryError as error:
        return error


def _selected(
    answered: Answered, value: SecretBytes | Mapping[str, SecretBytes], renderer: Renderer | None
) -> Rewritten:
    """The keys and values that one entry makes of its answer.

    Raises:
        KeyferryError: the value is not what the entry needs.
    """
    question, remote = answered.question, answered.question.remote
    if remote is not None and isinstance(value, SecretBytes):
        selected = _taken(answered, value, remote)
        if isinstance(selected, SecretBytes):
            if key := question.secret_key:
                return Rewritten({key: _decoded(selected, remote, f"the value for {key!r}")})
            selected = select_map(selected)
        value = selected
    entries = cast("Mapping[str, SecretBytes]", value)
    if answered.rewritten:
        return Rewritten(dict(entries))
    policies = remote or question.find
    if question.rewrite or policies is None:
        result = rewrite(entries, question.rewrite, renderer)
    else:
        result = Rewritten(convert_keys(entries, policies.conversion_strategy))
    valid = validate_keys(result.values)
    if policies is not None:
        valid = {name: _decoded(one, policies, f"the value of {name!r}") for name, one in valid.items()}
    return Rewritten(valid, result.collisions)


def _taken(
    answered: Answered, value: SecretBytes, remote: RemoteRef
) -> SecretBytes | Mapping[str, SecretBytes]:
    """What a reference wants out of an answer. Raises as `_selected`."""
    if answered.select is not None:
        return answered.select(value, remote, not answered.question.secret_key)
    return select_value(
        value,
        "" if answered.final else remote.property,
        literal_first=answered.literal_first,
        missing_is_absent=answered.missing_is_absent,
    )


def _decoded(value: SecretBytes, policies: RemoteRef | Find, what: str) -> SecretBytes:
    decoded = decode(value, policies.decoding_strategy, what)
    check_null_bytes(decoded, policies.null_byte_policy, what)
    return decoded
