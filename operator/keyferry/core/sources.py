"""What an ExternalSecret asks of which store, and what the answers make: from spec to `SecretData` and back.

`questions` lists the reads; `assemble` turns the answers into data, in the API's order: dataFrom entries
one after the other, then data, later ones win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.api.external_secret import DataFrom, ExternalSecretSpec, RemoteRef, SecretStoreRef
from keyferry.core.decode import check_null_bytes, decode
from keyferry.core.keys import convert_keys, validate_keys
from keyferry.core.select import select_map, select_value
from keyferry.errors import KeyferryError, NotAvailableError, RemoteSecretNotFound, SpecError, one_line
from keyferry.secretdata import SecretBytes, SecretData

MAX_KEY_CHARS: Final = 300
"""Most of a remote key that an error shows: a longer one would push the cause out of the message."""


@dataclass(frozen=True, slots=True)
class Question:
    """One entry of the spec: what it asks of which store.

    Args:
        where: the entry, as errors name it: "spec.data[0] (key: db)".
        event: the entry, as the event about a missing remote secret names it.
        secret_key: for a data entry, its key in the Secret; empty for an extract.
    """

    where: str
    event: str
    store: SecretStoreRef
    remote: RemoteRef
    secret_key: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer: a value, or the failure that stands for it.

    Args:
        store: how errors name the store.
        literal_first, missing_is_absent: the provider's reading rules.
    """

    question: Question
    store: str
    value: SecretBytes | KeyferryError
    literal_first: bool = False
    missing_is_absent: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """The data of the target, and the entries that were left out because the store has no such secret."""

    data: SecretData
    absent: tuple[Question, ...] = ()


def check_available(spec: ExternalSecretSpec) -> None:
    """Refuse what the API has and this version does not do, by name: nothing is ignored silently.

    Raises:
        NotAvailableError: at least one such field is set.
    """
    found = [
        field
        for field, value in (
            ("spec.target.template", spec.target.template),
            ("spec.target.manifest", spec.target.manifest),
            ("spec.syncWindows", spec.sync_windows),
        )
        if value is not None
    ]
    for index, data in enumerate(spec.data):
        if data.source_ref is not None and data.source_ref.generator_ref is not None:
            found.append(f"spec.data[{index}].sourceRef.generatorRef")
    for index, source in enumerate(spec.data_from):
        found.extend(f"spec.dataFrom[{index}].{field}" for field in _unavailable(source))
    if found:
        verb = "is" if len(found) == 1 else "are"
        raise NotAvailableError(f"{', '.join(found)} {verb} not available yet in this version of Keyferry")


def _unavailable(source: DataFrom) -> list[str]:
    fields = []
    if source.find is not None:
        fields.append("find")
    if source.rewrite:
        fields.append("rewrite")
    if source.source_ref is not None and source.source_ref.generator_ref is not None:
        fields.append("sourceRef.generatorRef")
    return fields


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


def questions(spec: ExternalSecretSpec) -> list[Question]:
    """All reads that the spec asks for, in the order in which their answers are applied.

    Raises:
        SpecError: an entry names no store.
    """
    asked = []
    for index, source in enumerate(spec.data_from):
        if source.extract is None:
            raise SpecError(
                f"spec.dataFrom[{index}]: either extract, find, or sourceRef must be set to dataFrom"
            )
        own = source.source_ref.store_ref if source.source_ref is not None else None
        key = one_line(source.extract.key, MAX_KEY_CHARS)
        where = f"spec.dataFrom[{index}].extract (key: {key})"
        asked.append(Question(where, f"spec.dataFrom[{index}]", _store(spec, own, where), source.extract))
    for index, data in enumerate(spec.data):
        own = data.source_ref.store_ref if data.source_ref is not None else None
        key = one_line(data.remote_ref.key, MAX_KEY_CHARS)
        where = f"spec.data[{index}] (key: {key})"
        event = f"spec.dataFrom[{index}] (key={key})"
        asked.append(
            Question(where, event, _store(spec, own, where), data.remote_ref, secret_key=data.secret_key)
        )
    return asked


def _store(spec: ExternalSecretSpec, own: SecretStoreRef | None, where: str) -> SecretStoreRef:
    store = own if own is not None and own.name else spec.secret_store_ref
    if not store.name:
        raise SpecError(
            f"{where} names no store: set spec.secretStoreRef.name or the entry's sourceRef.storeRef"
        )
    return store


def store_refs(spec: ExternalSecretSpec) -> set[tuple[str, str]]:
    """(kind, name) of every store that the spec names anywhere."""
    refs = [spec.secret_store_ref]
    refs += [d.source_ref.store_ref for d in spec.data if d.source_ref and d.source_ref.store_ref]
    refs += [d.source_ref.store_ref for d in spec.data_from if d.source_ref and d.source_ref.store_ref]
    return {(ref.kind, ref.name) for ref in refs if ref.name}


HEAVY_BYTES: Final = 128 * 1024
"""More than this to look through, and the event loop would wait for it."""
_COSTLY: Final = frozenset("*?#@{[|(~!")


def is_heavy(answers: Sequence[Answered]) -> bool:
    """Whether putting the answers together may take long enough that others would notice.

    Paths come from tenants: one with wildcards, queries or modifiers looks at a text many times.
    """
    total = 0
    for answered in answers:
        if isinstance(answered.value, SecretBytes):
            costly = not _COSTLY.isdisjoint(answered.question.remote.property)
            total += len(answered.value) * (16 if costly else 1)
    return total > HEAVY_BYTES


def assemble(answers: Sequence[Answered], deletion_policy: str) -> Assembled:
    """The target's data.

    An absent remote secret is left out where deletionPolicy is not Retain; every other failure is the
    object's failure.

    Raises:
        KeyferryError: the first entry that failed, told with its place and how many more there are.
    """
    data: dict[str, SecretBytes] = {}
    absent: list[Question] = []
    failures: list[KeyferryError] = []
    for answered in answers:
        entry = _entry(answered)
        if not isinstance(entry, KeyferryError):
            data.update(entry)
        elif isinstance(entry, RemoteSecretNotFound) and deletion_policy != "Retain":
            absent.append(answered.question)
        else:
            place = f"error processing {answered.question.where}, err: {answered.store}"
            failures.append(entry.within(place))
    if failures:
        raise _together(failures)
    return Assembled(SecretData(data), tuple(absent))


def _together(failures: list[KeyferryError]) -> KeyferryError:
    """The first failure, and how many there are. Takes the list's content.

    A list that stayed in the raising frame would form a cycle with the error, and values would stay in
    memory until the garbage collector comes by.
    """
    first, count = failures[0], len(failures)
    failures.clear()
    return first.within(f"{count} entries failed, the first") if count > 1 else first


def _entry(answered: Answered) -> Mapping[str, SecretBytes] | KeyferryError:
    """The keys and values that one entry gives, or why it gives none.

    A store's failure is passed on and never raised: it is shared by all who asked, and each raise would
    add to its traceback, and keep the values alive that the frames hold.
    """
    if isinstance(answered.value, KeyferryError):
        return answered.value
    try:
        return _selected(answered, answered.value)
    except KeyferryError as error:
        return error


def _selected(answered: Answered, raw: SecretBytes) -> Mapping[str, SecretBytes]:
    """The keys and values that one entry takes from a store's answer.

    Raises:
        KeyferryError: the value is not what the entry needs.
    """
    remote, key = answered.question.remote, answered.question.secret_key
    selected = select_value(
        raw,
        remote.property,
        literal_first=answered.literal_first,
        missing_is_absent=answered.missing_is_absent,
    )
    if key:
        value = decode(selected, remote.decoding_strategy, f"the value for {key!r}")
        check_null_bytes(value, remote.null_byte_policy, f"the value for {key!r}")
        return {key: value}
    entries = validate_keys(convert_keys(select_map(selected), remote.conversion_strategy))
    decoded = {k: decode(v, remote.decoding_strategy, f"the value of {k!r}") for k, v in entries.items()}
    for name, value in decoded.items():
        check_null_bytes(value, remote.null_byte_policy, f"the value of {name!r}")
    return decoded
