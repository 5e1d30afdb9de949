"""One ExternalSecret for many namespaces: which ones, what each should hold, and what the status says of it.

An ExternalSecret is compared twice. First by what is kept of it in memory, which tells that it is right or
that it has to be looked at; then, read whole, by who wrote which label, which tells what to write. So
nothing is asked or written where all is right, and labels and annotations of others stay.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.api.cluster_external_secret import (
    ClusterExternalSecretSpec,
    ClusterExternalSecretStatus,
    FailedNamespace,
)
from keyferry.api.conditions import Condition
from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.api.meta import LabelSelector
from keyferry.api.model import decode
from keyferry.core.ownership import OwnedFields, owned_fields
from keyferry.core.stores import selects
from keyferry.core.summarize import timestamp
from keyferry.duration import parse_go_duration
from keyferry.errors import KeyferryError, NotReadyError, OwnershipError, SpecError, one_line

MESSAGE_FAILED: Final = "one or more namespaces failed"
MESSAGE_CLASH: Final = "external secret already exists in namespace"
MESSAGE_ENDING: Final = "external secret is being deleted"
WRITERS: Final = ("keyferry", "external-secrets")
"""Field managers of ours and of the reference operator: what they wrote and is not wanted any more is removed."""
DEFAULT_PAUSE_S: Final = 3600.0
"""Between two checks of all namespaces, where the spec names no pause."""
SHORTEST_PAUSE_S: Final = 1.0
REASON_CHARS: Final = 256
"""Longest reason of a failed namespace."""
ALL_REASONS_CHARS: Final = 400_000
"""Of all reasons together: those of ten thousand namespaces must fit into what etcd takes, 1.5 MiB."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which namespaces a ClusterExternalSecret is for: those with a name, and those that fit any selector."""

    selectors: tuple[LabelSelector, ...]
    names: frozenset[str]

    @classmethod
    def of(cls, spec: ClusterExternalSecretSpec) -> Selection:
        """The selection of a spec.

        Raises:
            SpecError: a selector is malformed; the message names the field.
        """
        named = [(f"spec.namespaceSelectors[{i}]", one) for i, one in enumerate(spec.namespace_selectors)]
        if spec.namespace_selector is not None:
            named.append(("spec.namespaceSelector", spec.namespace_selector))
        for place, selector in named:
            try:
                selects(selector, {})
            except SpecError as error:
                raise error.within(place) from error
        return cls(tuple(selector for _, selector in named), frozenset(spec.namespaces))

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a namespace is one of them."""
        return name in self.names or any(selects(selector, labels) for selector in self.selectors)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ExternalSecret that each namespace should have.

    Args:
        name: its name.
        owner, uid: the ClusterExternalSecret.
        spec: its spec, to compare by.
        raw: the same as JSON, to write; fields that we do not know are kept.
    """

    name: str
    owner: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: ExternalSecretSpec
    raw: Mapping[str, Any]

    @property
    def reference(self) -> dict[str, Any]:
        """The owner reference, by which the garbage collector ends what the ClusterExternalSecret leaves."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.CLUSTER_EXTERNAL_SECRET,
            "name": self.owner,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def wanted(
    owner: str,
    uid: str,
    annotations: Mapping[str, str],
    spec: ClusterExternalSecretSpec,
    raw: Mapping[str, Any],
) -> Wanted:
    """What a ClusterExternalSecret wants in each namespace.

    Args:
        owner, uid, annotations: of the ClusterExternalSecret; its force-sync annotation is passed on.
        spec: its spec.
        raw: what stands in its spec.externalSecretSpec, as JSON.
    """
    forced = {name: value for name, value in annotations.items() if name == names.ANNOTATION_FORCE_SYNC}
    metadata = spec.external_secret_metadata
    return Wanted(
        name=spec.external_secret_name or owner,
        owner=owner,
        uid=uid,
        labels=metadata.labels,
        annotations={**metadata.annotations, **forced},
        spec=spec.external_secret_spec,
        raw=raw,
    )


class Fit(enum.Enum):
    """How an ExternalSecret fits, by what is kept of it in memory."""

    RIGHT = "right"
    FURTHER = "further"
    """Right, with further labels or annotations: only what is read whole tells who wrote them."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Seen:
    """Of an ExternalSecret what is kept in memory.

    Args:
        controller: uid of the ClusterExternalSecret that controls it; empty for none.
        same_spec: whether its spec is the wanted one.
    """

    controller: str
    deleting: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    same_spec: bool


def fit(want: Wanted, seen: Seen) -> Fit:
    """How an ExternalSecret of the wanted name fits."""
    if seen.controller != want.uid or seen.deleting or not seen.same_spec:
        return Fit.WRONG
    if not (want.labels.items() <= seen.labels.items()):
        return Fit.WRONG
    if not (want.annotations.items() <= seen.annotations.items()):
        return Fit.WRONG
    same = len(want.labels) == len(seen.labels) and len(want.annotations) == len(seen.annotations)
    return Fit.RIGHT if same else Fit.FURTHER


def is_same_spec(spec: ExternalSecretSpec, encoded: bytes) -> bool:
    """Whether a spec as JSON means the same. What the API server has put in by default is no difference."""
    try:
        return decode(encoded, ExternalSecretSpec) == spec
    except msgspec.DecodeError:
        return False


def document(want: Wanted, namespace: str) -> dict[str, Any]:
    """The ExternalSecret to create."""
    metadata = {
        "name": want.name,
        "namespace": namespace,
        "labels": dict(want.labels),
        "annotations": dict(want.annotations),
        "ownerReferences": [want.reference],
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EXTERNAL_SECRET,
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": want.raw,
    }


def correction(want: Wanted, existing: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to put in the place of an ExternalSecret of the wanted name; None where it is right.

    Args:
        existing: the whole object, as it was just read. Its resourceVersion guards the write.

    Raises:
        OwnershipError: it is not ours.
        NotReadyError: it is being deleted.
    """
    metadata = existing["metadata"]
    references = [dict(one) for one in metadata.get("ownerReferences") or ()]
    ours = [one for one in references if _is_ours(want, one)]
    if not ours:
        raise OwnershipError(MESSAGE_CLASH, hint="Delete it, or set another spec.externalSecretName")
    if "deletionTimestamp" in metadata:
        raise NotReadyError(MESSAGE_ENDING)
    owned = _owned(metadata)
    changed = {
        "labels": _merged(metadata.get("labels"), want.labels, owned.labels),
        "annotations": _merged(metadata.get("annotations"), want.annotations, owned.annotations),
        "ownerReferences": [*(one for one in references if one not in ours), want.reference],
    }
    same = (
        changed["labels"] == (metadata.get("labels") or {})
        and changed["annotations"] == (metadata.get("annotations") or {})
        and ours == [want.reference]
    )
    if same and is_same_spec(want.spec, msgspec.json.encode(existing.get("spec"))):
        return None
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    return {**existing, "metadata": kept | changed, "spec": want.raw}


def is_controlled(existing: Mapping[str, Any], uid: str) -> bool:
    """Whether an ExternalSecret, as it was just read, is controlled by the ClusterExternalSecret of this uid."""
    references = existing["metadata"].get("ownerReferences") or ()
    return any(one.get("controller") is True and one.get("uid") == uid for one in references)


def _is_ours(want: Wanted, reference: Mapping[str, Any]) -> bool:
    """Whether it leads to the ClusterExternalSecret, or to one of its name that was there before it."""
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return (
        reference.get("controller") is True
        and group == names.GROUP
        and reference.get("kind") == names.CLUSTER_EXTERNAL_SECRET
        and reference.get("name") == want.owner
    )


def _owned(metadata: Mapping[str, Any]) -> OwnedFields:
    fields = metadata.get("managedFields") or ()
    found = [owned_fields(fields, writer) for writer in WRITERS]
    return OwnedFields(
        labels=frozenset().union(*(one.labels for one in found)),
        annotations=frozenset().union(*(one.annotations for one in found)),
    )


def _merged(
    existing: Mapping[str, str] | None, want: Mapping[str, str], owned: Collection[str]
) -> dict[str, str]:
    """What is wanted, and what others wrote."""
    others = {name: value for name, value in (existing or {}).items() if name not in owned}
    return {**others, **want}


Place = tuple[str, str]
"""Namespace and name."""


def obsolete(
    name: str, selected: Collection[str], provisioned: Collection[str], ours: Iterable[Place]
) -> list[Place]:
    """The ExternalSecrets of ours to delete.

    One of a former name stays until its namespace has the new one.

    Args:
        name: of those that are wanted.
        selected: the namespaces that should have one.
        provisioned: those of them that have it.
        ours: all that the ClusterExternalSecret controls, where anything can be deleted.
    """
    return sorted(
        (namespace, of)
        for namespace, of in ours
        if namespace not in selected or (of != name and namespace in provisioned)
    )


def pause_s(spec: ClusterExternalSecretSpec) -> float | None:
    """Seconds between two checks of all namespaces; None for never."""
    if not spec.refresh_time:
        return DEFAULT_PAUSE_S
    seconds = parse_go_duration(spec.refresh_time).total_seconds()
    return max(seconds, SHORTEST_PAUSE_S) if seconds > 0 else None


def spread_status(
    before: ClusterExternalSecretStatus,
    name: str,
    provisioned: Collection[str],
    failed: Mapping[str, KeyferryError],
    told: tuple[int, datetime],
) -> ClusterExternalSecretStatus:
    """The status after all namespaces were looked at. Equal to `before` where nothing is new.

    Args:
        name: of the ExternalSecrets.
        provisioned: the namespaces that have theirs.
        failed: those that do not, and why.
        told: the generation that it speaks of, and the time.
    """
    message = ""
    if failed:
        first = min(failed)
        count = f"{len(failed)} of {len(failed) + len(provisioned)}"
        message = one_line(f'{MESSAGE_FAILED} ({count}): namespace "{first}": {failed[first]}')
    share = min(REASON_CHARS, ALL_REASONS_CHARS // max(1, len(failed)))
    return ClusterExternalSecretStatus(
        external_secret_name=name,
        failed_namespaces=tuple(
            FailedNamespace(namespace=namespace, reason=one_line(failed[namespace].message, share))
            for namespace in sorted(failed)
        ),
        provisioned_namespaces=tuple(sorted(provisioned)),
        conditions=_conditions(before, message, *told),
    )


def refused_status(
    before: ClusterExternalSecretStatus, error: KeyferryError, told: tuple[int, datetime]
) -> ClusterExternalSecretStatus:
    """The status where the spec cannot be used: what is there stays as it is."""
    return msgspec.structs.replace(before, conditions=_conditions(before, str(error), *told))


def ready_message(status: ClusterExternalSecretStatus) -> str:
    """What is wrong, as a status says it; empty where all is well or nothing is told."""
    return next((one.message for one in status.conditions if one.type == c.READY), "")


def _conditions(
    before: ClusterExternalSecretStatus, message: str, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions with a Ready that has this message; none means that all is well."""
    old = next((one for one in before.conditions if one.type == c.READY), None)
    status = c.FALSE if message else c.TRUE
    kept = old.last_transition_time if old is not None and old.status == status else ""
    ready = Condition(
        type=c.READY,
        status=status,
        message=message,
        last_transition_time=kept or timestamp(now),
        observed_generation=generation,
    )
    return (*(one for one in before.conditions if one.type != c.READY), ready)


def load(spec: bytes) -> tuple[ClusterExternalSecretSpec, dict[str, Any]]:
    """The spec of a ClusterExternalSecret, and what stands in its externalSecretSpec as JSON.

    Raises:
        SpecError: the spec cannot be used; the message names the field.
    """
    try:
        typed = decode(spec, ClusterExternalSecretSpec)
    except msgspec.DecodeError as error:
        raise SpecError(f"the spec is invalid: {error}") from None
    return typed, msgspec.json.decode(spec)["externalSecretSpec"]
