"""The target as it should be, a Secret or an object of another kind, and the one write that makes it so.

`plan_write` compares what exists with what an ExternalSecret wants and returns a `SecretPlan`;
`kube.apply` carries it out. Ownership is decided here: a Secret of another ExternalSecret is refused.
Rules: the ExternalSecret API's creation policies.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keyferry.api import names
from keyferry.core.hashing import created_by_hash, data_hash, field_manager
from keyferry.core.manifest import Manifest, content_hash
from keyferry.core.ownership import OwnedFields, owned_fields
from keyferry.errors import ON_CHANGE, KeyferryError, OwnershipError, RenderError
from keyferry.secretdata import SecretData

MAX_SECRET_BYTES: Final = 1024 * 1024
"""Most bytes of values in one Secret (Kubernetes API reference, Secret v1)."""

_CREATES: Final = frozenset({"Owner", "Orphan", "CreateOrMerge"})
_KEEPS_FOREIGN_KEYS: Final = frozenset({"Merge", "CreateOrMerge"})


class OwnedByAnotherError(OwnershipError):
    """Another ExternalSecret owns the target; both would write it for ever."""


class ImmutableError(KeyferryError):
    """The target is immutable and holds other data; only its deletion or an edit of the spec can help."""

    reason = "TargetImmutable"
    default_retry = ON_CHANGE


class Action(enum.Enum):
    """What to do with the target Secret."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    WAIT = "wait"
    """creationPolicy Merge and no Secret yet: its creation by somebody wakes us."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The ExternalSecret behind a target Secret.

    Args:
        labels, annotations: copied to the Secret where the spec has no template.
    """

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What the spec says of its target, defaults applied."""

    name: str
    creation_policy: str = "Owner"
    deletion_policy: str = "Retain"
    immutable: bool = False
    manifest: Manifest | None = None
    """Its kind, where it is no Secret."""

    @property
    def kind(self) -> str:
        """Its kind, as texts name it."""
        return "Secret" if self.manifest is None else self.manifest.kind

    def hash_of(self, data: SecretData, existing: ExistingSecret | None) -> str:
        """The `data-hash` annotation's value for the target with this data."""
        if self.manifest is None:
            return data_hash(data)
        return content_hash(self.manifest, existing.document if existing is not None else {}, data)


@dataclass(frozen=True, slots=True)
class ExistingSecret:
    """A Secret as the API server has it, or the values of another object as if they were a Secret's.

    Args:
        metadata: its whole metadata as JSON, so that an update loses nothing of it.
        manifest: its kind, where it is no Secret.
        document: the whole of an object that is no Secret.
    """

    uid: str
    resource_version: str
    metadata: Mapping[str, Any]
    type: str
    immutable: bool
    data: SecretData
    manifest: Manifest | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def content_hash(self) -> str:
        """The `data-hash` annotation's value for what it holds now."""
        if self.manifest is None:
            return data_hash(self.data)
        return content_hash(self.manifest, self.document, self.data)

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels, never None."""
        return self.metadata.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations, never None."""
        return self.metadata.get("annotations") or {}

    @property
    def owner_references(self) -> list[Mapping[str, Any]]:
        """Its owner references, never None."""
        return list(self.metadata.get("ownerReferences") or [])


@dataclass(frozen=True, slots=True)
class SecretPlan:
    """One write, or none, with its reason.

    Args:
        data_changed: whether any value or key changes, as opposed to metadata alone.
        existing: what an update or delete starts from; its resourceVersion guards the write.
    """

    action: Action
    reason: str
    namespace: str
    name: str
    manager: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner_references: list[Mapping[str, Any]] = field(default_factory=list)
    type: str = ""
    immutable: bool = False
    data: SecretData = field(default_factory=SecretData)
    data_changed: bool = False
    existing: ExistingSecret | None = None
    manifest: Manifest | None = None


def is_intact(existing: ExistingSecret) -> bool:
    """Whether the Secret still is what was written: our label, and the hash of its data as noted on it."""
    noted = existing.annotations.get(names.ANNOTATION_DATA_HASH)
    managed = existing.labels.get(names.LABEL_MANAGED) == names.LABEL_MANAGED_VALUE
    return managed and noted == existing.content_hash


def plan_write(
    owner: Owner,
    target: Target,
    existing: ExistingSecret | None,
    data: SecretData,
    sharers: frozenset[str] = frozenset(),
) -> SecretPlan:
    """The write that brings the resolved data into the target.

    Args:
        owner, target, data: what is wanted.
        existing: what there is.
        sharers: names of other ExternalSecrets that merge into the same target. Labels and annotations that
            they wrote stay: else each would replace the other's for ever.

    Raises:
        OwnershipError: another ExternalSecret, or for policy Owner another controller, owns the Secret.
        ImmutableError: it is immutable and holds other data, without that being what the spec asks for.
        RenderError: the data is larger than a Secret may be.
    """
    if target.creation_policy == "None":
        return _plan(owner, target, Action.NOTHING, "creationPolicy is None")
    if existing is None:
        if target.creation_policy not in _CREATES:
            return _plan(owner, target, Action.WAIT, f"no {target.kind} to merge with")
        _check_size(target, data)
        return _planned_create(owner, target, data)
    owned = owned_fields(existing.metadata.get("managedFields") or [], field_manager(owner.name))
    others = frozenset(map(field_manager, sharers))
    wanted = data
    if target.creation_policy in _KEEPS_FOREIGN_KEYS:
        kept = {key: value for key, value in existing.data.items() if key not in owned.data}
        wanted = SecretData({**kept, **data})
    if existing.immutable and dict(wanted) != dict(existing.data):
        # Asked for by the spec, data that we wrote stays as it was and counts as right; metadata follows.
        ours = existing.annotations.get(names.ANNOTATION_DATA_HASH) == existing.content_hash
        # Before the data is called somebody's: whose Secret it is decides first.
        plan = _planned_update(owner, target, existing, existing.data, others.__contains__)
        if target.immutable and ours:
            return plan
        raise ImmutableError(
            f'{target.kind} "{owner.namespace}/{target.name}" is immutable and holds other data',
            hint="Delete it, or use another spec.target.name",
        )
    _check_size(target, wanted)
    return _planned_update(owner, target, existing, wanted, others.__contains__)


def plan_metadata(owner: Owner, target: Target, existing: ExistingSecret) -> SecretPlan:
    """The write that puts labels, annotations and ownership right and leaves the data as it is.

    For a Secret whose data is known to be right, so that nothing has to be fetched. What any other
    ExternalSecret wrote on a target that is merged into stays until a refresh.

    Raises:
        OwnershipError: as `plan_write`.
    """
    return _planned_update(owner, target, existing, existing.data, _is_external_secrets)


def plan_delete(owner: Owner, target: Target, existing: ExistingSecret | None, reason: str) -> SecretPlan:
    """The deletion of a target Secret that is controlled by this ExternalSecret; nothing if there is none.

    Raises:
        OwnershipError: it exists and is not ours to delete.
    """
    if existing is None:
        return _plan(owner, target, Action.NOTHING, reason)
    controller = controller_of(existing.owner_references)
    if controller is None or not _is_same_owner(controller, owner):
        raise OwnershipError(
            f'{target.kind} "{owner.namespace}/{target.name}" is not controlled by this ExternalSecret',
            hint="Delete it by hand if it is no longer needed",
        )
    return _plan(owner, target, Action.DELETE, reason, existing=existing)


def controller_of(references: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The owner reference that is the controller, if any."""
    return next((reference for reference in references if reference.get("controller")), None)


def _plan(
    owner: Owner, target: Target, action: Action, reason: str, existing: ExistingSecret | None = None
) -> SecretPlan:
    manager = field_manager(owner.name)
    return SecretPlan(
        action, reason, owner.namespace, target.name, manager, existing=existing, manifest=target.manifest
    )


def _check_size(target: Target, data: SecretData) -> None:
    if (size := data.size()) > MAX_SECRET_BYTES:
        raise RenderError(
            f"the {target.kind} would hold {size} bytes, and Kubernetes allows {MAX_SECRET_BYTES}",
            hint="Split it into several ExternalSecrets, or select properties instead of whole values",
        )


def _planned_create(owner: Owner, target: Target, data: SecretData) -> SecretPlan:
    labels, annotations = _wanted_metadata(owner, target, {}, {}, target.hash_of(data, None))
    references = [_owner_reference(owner)] if target.creation_policy == "Owner" else []
    return SecretPlan(
        Action.CREATE,
        f"the {target.kind} does not exist",
        owner.namespace,
        target.name,
        field_manager(owner.name),
        labels=labels,
        annotations=annotations,
        owner_references=references,
        type="Opaque",
        immutable=target.immutable,
        data=data,
        data_changed=True,
        manifest=target.manifest,
    )


def _planned_update(
    owner: Owner,
    target: Target,
    existing: ExistingSecret,
    wanted: SecretData,
    is_other: Callable[[str], bool],
) -> SecretPlan:
    references = _wanted_owner_references(owner, target, existing)
    fields = existing.metadata.get("managedFields") or []
    owned = owned_fields(fields, field_manager(owner.name))
    theirs = _fields_of_others(owner, target, fields, is_other)
    labels, annotations = _wanted_metadata(
        replace(
            owner,
            labels={k: v for k, v in owner.labels.items() if k not in theirs.labels},
            annotations={k: v for k, v in owner.annotations.items() if k not in theirs.annotations},
        ),
        target,
        {k: v for k, v in existing.labels.items() if k not in owned.labels - theirs.labels},
        {k: v for k, v in existing.annotations.items() if k not in owned.annotations - theirs.annotations},
        target.hash_of(wanted, existing),
    )
    immutable = target.immutable or existing.immutable
    data_changed = dict(wanted) != dict(existing.data)
    unchanged = (
        not data_changed
        and labels == dict(existing.labels)
        and annotations == dict(existing.annotations)
        and references == existing.owner_references
        and immutable == existing.immutable
    )
    return SecretPlan(
        Action.NOTHING if unchanged else Action.UPDATE,
        f"the {target.kind} is right"
        if unchanged
        else f"its {'data' if data_changed else 'metadata'} changed",
        owner.namespace,
        target.name,
        field_manager(owner.name),
        labels=labels,
        annotations=annotations,
        owner_references=references,
        type=existing.type,
        immutable=immutable,
        data=wanted,
        data_changed=data_changed,
        existing=existing,
        manifest=target.manifest,
    )


def _is_external_secrets(manager: str) -> bool:
    return manager.startswith(names.FIELD_MANAGER_PREFIX)


def _fields_of_others(
    owner: Owner, target: Target, fields: list[Any], is_other: Callable[[str], bool]
) -> OwnedFields:
    """What of a target that is merged into is written by others who merge into it."""
    if target.creation_policy not in _KEEPS_FOREIGN_KEYS:
        return OwnedFields()
    writers = {str(entry.get("manager", "")) for entry in fields if isinstance(entry, Mapping)}
    found = [owned_fields(fields, one) for one in writers - {field_manager(owner.name)} if is_other(one)]
    return OwnedFields(
        labels=frozenset().union(*(one.labels for one in found)),
        annotations=frozenset().union(*(one.annotations for one in found)),
    )


def _wanted_metadata(
    owner: Owner,
    target: Target,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    hashed: str,
) -> tuple[dict[str, str], dict[str, str]]:
    """Others' labels and annotations, then the ExternalSecret's, then ours."""
    wanted_labels = {**labels, **owner.labels}
    if target.creation_policy == "Owner":
        wanted_labels[names.LABEL_CREATED_BY] = created_by_hash(owner.namespace, owner.name)
    else:
        wanted_labels.pop(names.LABEL_CREATED_BY, None)
    wanted_labels[names.LABEL_MANAGED] = names.LABEL_MANAGED_VALUE
    return wanted_labels, {**annotations, **owner.annotations, names.ANNOTATION_DATA_HASH: hashed}


def _owner_reference(owner: Owner) -> Mapping[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EXTERNAL_SECRET,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _is_external_secret(reference: Mapping[str, Any]) -> bool:
    # The version may change over time, the group does not.
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return group == names.GROUP and reference.get("kind") == names.EXTERNAL_SECRET


def _is_same_owner(reference: Mapping[str, Any], owner: Owner) -> bool:
    # By name, not uid: a Secret that outlived its ExternalSecret is taken over by the next of that name.
    return _is_external_secret(reference) and reference.get("name") == owner.name


def _wanted_owner_references(
    owner: Owner, target: Target, existing: ExistingSecret
) -> list[Mapping[str, Any]]:
    references = existing.owner_references
    controller = controller_of(references)
    where = f'{target.kind} "{owner.namespace}/{target.name}"'
    if controller is not None and not _is_same_owner(controller, owner):
        if _is_external_secret(controller):
            raise OwnedByAnotherError(
                f"{where} is owned by ExternalSecret {controller.get('name')!r}",
                hint="Give one of the two another spec.target.name",
            )
        if target.creation_policy == "Owner":
            raise OwnershipError(
                f"{where} is controlled by {controller.get('kind')} {controller.get('name')!r}",
                hint="Use another spec.target.name, or creationPolicy Merge",
            )
    others = [r for r in references if not _is_same_owner(r, owner)]
    if target.creation_policy != "Owner":
        return others if controller is not None and _is_same_owner(controller, owner) else references
    # In the place of our first reference, if there is one; the API server takes only one controller.
    place = next((i for i, r in enumerate(references) if _is_same_owner(r, owner)), len(others))
    return [*others[:place], _owner_reference(owner), *others[place:]]
