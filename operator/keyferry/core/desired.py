"""The target Secret as it should be, and the one write that makes it so.

`plan_write` compares what exists with what an ExternalSecret wants and returns a `SecretPlan`;
`kube.apply` carries it out. Ownership is decided here: a Secret of another ExternalSecret is refused.
Rules: the ExternalSecret API's creation policies.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyferry.api import names
from keyferry.core.hashing import created_by_hash, data_hash, field_manager
from keyferry.core.ownership import owned_fields
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


@dataclass(frozen=True, slots=True)
class ExistingSecret:
    """A Secret as the API server has it.

    Args:
        metadata: its whole metadata as JSON, so that an update loses nothing of it.
    """

    uid: str
    resource_version: str
    metadata: Mapping[str, Any]
    type: str
    immutable: bool
    data: SecretData

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


def is_intact(existing: ExistingSecret) -> bool:
    """Whether the Secret still is what was written: our label, and the hash of its data as noted on it."""
    return existing.labels.get(names.LABEL_MANAGED) == names.LABEL_MANAGED_VALUE and existing.annotations.get(
        names.ANNOTATION_DATA_HASH
    ) == data_hash(existing.data)


def plan_write(owner: Owner, target: Target, existing: ExistingSecret | None, data: SecretData) -> SecretPlan:
    """The write that brings the resolved data into the target.

    Raises:
        OwnershipError: another ExternalSecret, or for policy Owner another controller, owns the Secret.
        ImmutableError: it is immutable and holds other data, without that being what the spec asks for.
        RenderError: the data is larger than a Secret may be.
    """
    if target.creation_policy == "None":
        return _plan(owner, target, Action.NOTHING, "creationPolicy is None")
    if existing is None:
        if target.creation_policy not in _CREATES:
            return _plan(owner, target, Action.WAIT, "no Secret to merge with")
        _check_size(data)
        return _planned_create(owner, target, data)
    owned = owned_fields(existing.metadata.get("managedFields") or [], field_manager(owner.name))
    wanted = data
    if target.creation_policy in _KEEPS_FOREIGN_KEYS:
        kept = {key: value for key, value in existing.data.items() if key not in owned.data}
        wanted = SecretData({**kept, **data})
    if existing.immutable and dict(wanted) != dict(existing.data):
        # Asked for by the spec, data that we wrote stays as it was and counts as right; metadata follows.
        ours = existing.annotations.get(names.ANNOTATION_DATA_HASH) == data_hash(existing.data)
        # Before the data is called somebody's: whose Secret it is decides first.
        plan = _planned_update(owner, target, existing, existing.data)
        if target.immutable and ours:
            return plan
        raise ImmutableError(
            f'Secret "{owner.namespace}/{target.name}" is immutable and holds other data',
            hint="Delete it, or use another spec.target.name",
        )
    _check_size(wanted)
    return _planned_update(owner, target, existing, wanted)


def plan_metadata(owner: Owner, target: Target, existing: ExistingSecret) -> SecretPlan:
    """The write that puts labels, annotations and ownership right and leaves the data as it is.

    For a Secret whose data is known to be right, so that nothing has to be fetched.

    Raises:
        OwnershipError: as `plan_write`.
    """
    return _planned_update(owner, target, existing, existing.data)


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
            f'Secret "{owner.namespace}/{target.name}" is not controlled by this ExternalSecret',
            hint="Delete it by hand if it is no longer needed",
        )
    return _plan(owner, target, Action.DELETE, reason, existing=existing)


def controller_of(references: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The owner reference that is the controller, if any."""
    return next((reference for reference in references if reference.get("controller")), None)


def _plan(
    owner: Owner, target: Target, action: Action, reason: str, existing: ExistingSecret | None = None
) -> SecretPlan:
    return SecretPlan(
        action, reason, owner.namespace, target.name, field_manager(owner.name), existing=existing
    )


def _check_size(data: SecretData) -> None:
    if (size := data.size()) > MAX_SECRET_BYTES:
        raise RenderError(
            f"the Secret would hold {size} bytes, and Kubernetes allows {MAX_SECRET_BYTES}",
            hint="Split it into several ExternalSecrets, or select properties instead of whole values",
        )


def _planned_create(owner: Owner, target: Target, data: SecretData) -> SecretPlan:
    labels, annotations = _wanted_metadata(owner, target, {}, {}, data)
    references = [_owner_reference(owner)] if target.creation_policy == "Owner" else []
    return SecretPlan(
        Action.CREATE,
        "the Secret does not exist",
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
    )


def _planned_update(owner: Owner, target: Target, existing: ExistingSecret, wanted: SecretData) -> SecretPlan:
    references = _wanted_owner_references(owner, target, existing)
    owned = owned_fields(existing.metadata.get("managedFields") or [], field_manager(owner.name))
    labels, annotations = _wanted_metadata(
        owner,
        target,
        {k: v for k, v in existing.labels.items() if k not in owned.labels},
        {k: v for k, v in existing.annotations.items() if k not in owned.annotations},
        wanted,
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
        "the Secret is right" if unchanged else f"its {'data' if data_changed else 'metadata'} changed",
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
    )


def _wanted_metadata(
    owner: Owner,
    target: Target,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    data: SecretData,
) -> tuple[dict[str, str], dict[str, str]]:
    """Others' labels and annotations, then the ExternalSecret's, then ours."""
    wanted_labels = {**labels, **owner.labels}
    if target.creation_policy == "Owner":
        wanted_labels[names.LABEL_CREATED_BY] = created_by_hash(owner.namespace, owner.name)
    else:
        wanted_labels.pop(names.LABEL_CREATED_BY, None)
    wanted_labels[names.LABEL_MANAGED] = names.LABEL_MANAGED_VALUE
    return wanted_labels, {**annotations, **owner.annotations, names.ANNOTATION_DATA_HASH: data_hash(data)}


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
    where = f'Secret "{owner.namespace}/{target.name}"'
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
