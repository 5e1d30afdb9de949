"""The target as it should be, a Secret or an object of another kind, and the one write that makes it so.

`plan_write` compares what exists with what an ExternalSecret wants and returns a `SecretPlan`;
`kube.apply` carries it out. Ownership is decided here: a Secret of another ExternalSecret is refused.
Rules: the ExternalSecret API's creation policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keyferry.api import names
from keyferry.core.fieldpath import Fields, content, with_fields, without_former
from keyferry.core.hashing import created_by_hash, data_hash, field_manager
from keyferry.core.manifest import content_hash, read_data, with_data
from keyferry.core.ownership import OwnedFields, owned_fields
from keyferry.core.target import Action, ExistingSecret, Owner, SecretPlan, Target, is_intact
from keyferry.errors import ON_CHANGE, KeyferryError, OwnershipError, RenderError, SpecError
from keyferry.secretdata import SecretData

__all__ = [
    "Action",
    "ExistingSecret",
    "ImmutableError",
    "OwnedByAnotherError",
    "Owner",
    "SecretPlan",
    "Target",
    "controller_of",
    "is_intact",
    "lacks_rendered",
    "plan_delete",
    "plan_metadata",
    "plan_write",
]

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


@dataclass(frozen=True, slots=True)
class _Contents:
    """What the target is to hold, and whether it holds something else; `document` as in a plan."""

    data: SecretData
    hashed: str
    changed: bool
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)


def plan_write(
    owner: Owner,
    target: Target,
    existing: ExistingSecret | None,
    data: SecretData | None,
    sharers: frozenset[str] = frozenset(),
    *,
    fields: Fields | None = None,
) -> SecretPlan:
    """The write that brings the resolved data into the target.

    Args:
        owner, target: what is wanted.
        existing: what there is.
        data: the values that are wanted; None for those that there are.
        fields: what is wanted instead of `data` where the target is no Secret and its template has places of
            its own.
        sharers: names of other ExternalSecrets that merge into the same target. Labels and annotations that
            they wrote stay: else each would replace the other's for ever.

    Raises:
        OwnershipError: another ExternalSecret, or for policy Owner another controller, owns the Secret.
        ImmutableError: it is immutable and holds other data, without that being what the spec asks for.
        RenderError: the data is larger than a Secret may be.
        SpecError: the Secret is of another type than the spec says, or holds another account's token.
    """
    if target.creation_policy == "None":
        return _plan(owner, target, Action.NOTHING, "creationPolicy is None")
    if existing is None:
        if target.creation_policy not in _CREATES:
            return _plan(owner, target, Action.WAIT, f"no {target.kind} to merge with")
        wanted = _contents(owner, target, None, data, fields)
        _check_size(target, wanted.data)
        return _planned_create(owner, target, wanted)
    others = frozenset(map(field_manager, sharers))
    wanted = _contents(owner, target, existing, data, fields)
    if existing.immutable and wanted.changed:
        # Asked for by the spec, data that we wrote stays as it was and counts as right; metadata follows.
        ours = existing.annotations.get(names.ANNOTATION_DATA_HASH) == existing.content_hash
        # Before the data is called somebody's: whose Secret it is decides first.
        plan = _planned_update(owner, target, existing, _as_it_is(existing), others.__contains__)
        if target.immutable and ours:
            return plan
        raise ImmutableError(
            f'{target.kind} "{owner.namespace}/{target.name}" is immutable and holds other data',
            hint="Delete it, or use another spec.target.name",
        )
    _check_size(target, wanted.data)
    plan = _planned_update(owner, target, existing, wanted, others.__contains__)
    if target.type and existing.type != target.type:
        raise SpecError(
            f'{target.kind} "{owner.namespace}/{target.name}" has type "{existing.type}", and '
            f'spec.target.template.type is "{target.type}": the type of a Secret cannot change',
            hint="Delete it, or use another spec.target.name",
        )
    return _with_finalizers(plan, target, existing)


def plan_metadata(owner: Owner, target: Target, existing: ExistingSecret) -> SecretPlan:
    """The write that puts labels, annotations and ownership right and leaves the data as it is.

    For a Secret whose data is known to be right, so that nothing has to be fetched. What any other
    ExternalSecret wrote on a target that is merged into stays until a refresh, and so does what a template
    makes of values.

    Raises:
        OwnershipError, SpecError: as `plan_write`.
    """
    known = _without_values(owner, target, existing)
    return _planned_update(known, target, existing, _as_it_is(existing), _is_external_secrets)


def lacks_rendered(target: Target, existing: ExistingSecret) -> bool:
    """Whether a label or annotation is gone that a template makes of values, which `plan_metadata` cannot make."""
    fixed = target.fixed
    return fixed is not None and not (
        fixed.rendered_labels <= existing.labels.keys()
        and fixed.rendered_annotations <= existing.annotations.keys()
    )


def _without_values(owner: Owner, target: Target, existing: ExistingSecret) -> Owner:
    """The owner with the metadata of its template, as far as it can be told; the rest as it is on the target."""
    fixed = target.fixed
    if fixed is None:
        return owner
    owned = owned_fields(existing.metadata.get("managedFields") or [], field_manager(owner.name))
    labels = fixed.rendered_labels | (owned.labels if fixed.open_labels else frozenset())
    annotations = fixed.rendered_annotations | (owned.annotations if fixed.open_annotations else frozenset())
    return replace(
        owner,
        labels={**{k: v for k, v in existing.labels.items() if k in labels}, **fixed.labels},
        annotations={
            **{k: v for k, v in existing.annotations.items() if k in annotations},
            **fixed.annotations,
        },
    )


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


def _contents(
    owner: Owner,
    target: Target,
    existing: ExistingSecret | None,
    data: SecretData | None,
    fields: Fields | None,
) -> _Contents:
    """What the target is to hold, by its policies."""
    if data is None and existing is not None:
        return _as_it_is(existing)
    data = data if data is not None else SecretData()
    manager, wanted, manifest = field_manager(owner.name), data, target.manifest
    before = existing.document if existing is not None else {}
    if manifest is not None and fields is not None:
        managed = (before.get("metadata") or {}).get("managedFields") or []
        document = with_fields(without_former(before, managed, manager, fields), fields)
        changed = content(document) != content(before)
        made, hashed = read_data(manifest, document), content_hash(manifest, document)
        return _Contents(made, hashed, changed, document)
    if existing is not None and target.creation_policy in _KEEPS_FOREIGN_KEYS:
        owned = owned_fields(existing.metadata.get("managedFields") or [], manager)
        kept = {key: value for key, value in existing.data.items() if key not in owned.data}
        wanted = SecretData({**kept, **data})
    changed = existing is None or dict(wanted) != dict(existing.data)
    if manifest is None:
        return _Contents(wanted, data_hash(wanted), changed)
    document = with_data(manifest, before, wanted)
    return _Contents(wanted, content_hash(manifest, document), changed, document)


def _as_it_is(existing: ExistingSecret) -> _Contents:
    return _Contents(existing.data, existing.content_hash, changed=False, document=existing.document)


def _with_finalizers(plan: SecretPlan, target: Target, existing: ExistingSecret) -> SecretPlan:
    """The plan with the finalizers that the spec names, and without those that it named before.

    Only with a write of the whole: whoever is done with a finalizer takes it off, and must not find it again.
    """
    before = tuple(existing.metadata.get("finalizers") or ())
    owned = owned_fields(existing.metadata.get("managedFields") or [], plan.manager).finalizers
    if existing.metadata.get("deletionTimestamp"):
        return plan  # what is being deleted takes no new ones
    kept = tuple(one for one in before if one in target.finalizers or one not in owned)
    wanted = (*kept, *(one for one in target.finalizers if one not in kept))
    if wanted == before:
        return plan
    action, reason = plan.action, plan.reason
    if action is Action.NOTHING:
        action, reason = Action.UPDATE, "its metadata changed"
    return replace(plan, action=action, reason=reason, finalizers=wanted)


def _planned_create(owner: Owner, target: Target, wanted: _Contents) -> SecretPlan:
    labels, annotations = _wanted_metadata(owner, target, {}, {}, wanted.hashed)
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
        type=target.type or "Opaque",
        immutable=target.immutable,
        data=wanted.data,
        data_changed=True,
        manifest=target.manifest,
        document=wanted.document,
        by_fields=target.by_fields,
        finalizers=target.finalizers or None,
    )


def _planned_update(
    owner: Owner,
    target: Target,
    existing: ExistingSecret,
    wanted: _Contents,
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
        wanted.hashed,
    )
    _check_token(owner, existing, annotations)
    immutable = target.immutable or existing.immutable
    unchanged = (
        not wanted.changed
        and labels == dict(existing.labels)
        and annotations == dict(existing.annotations)
        and references == existing.owner_references
        and immutable == existing.immutable
    )
    return SecretPlan(
        Action.NOTHING if unchanged else Action.UPDATE,
        f"the {target.kind} is right"
        if unchanged
        else f"its {'data' if wanted.changed else 'metadata'} changed",
        owner.namespace,
        target.name,
        field_manager(owner.name),
        labels=labels,
        annotations=annotations,
        owner_references=references,
        type=existing.type,
        immutable=immutable,
        data=wanted.data,
        data_changed=wanted.changed,
        existing=existing,
        manifest=target.manifest,
        document=wanted.document,
        by_fields=target.by_fields,
    )


def _check_token(owner: Owner, existing: ExistingSecret, annotations: Mapping[str, str]) -> None:
    """Check that an account's token stays that account's, and that nobody lets nodes join the cluster.

    Raises:
        SpecError: it is a token for nodes, or the cluster would put another account's token into it.
    """
    if existing.type == names.BOOTSTRAP_TOKEN_TYPE:
        raise SpecError(
            f'Secret "{owner.namespace}/{existing.metadata.get("name", "")}" has the type '
            f'"{names.BOOTSTRAP_TOKEN_TYPE}": it lets nodes join the cluster, and is not written',
            hint="Use another spec.target.name",
        )
    if existing.type != names.SERVICE_ACCOUNT_TOKEN_TYPE:
        return
    for name in (names.SERVICE_ACCOUNT_NAME_ANNOTATION, names.SERVICE_ACCOUNT_UID_ANNOTATION):
        if annotations.get(name) != existing.annotations.get(name):
            raise SpecError(
                f'Secret "{owner.namespace}/{existing.metadata.get("name", "")}" holds the token of a '
                f'ServiceAccount, and its annotation "{name}" would change: it would be another account\'s',
                hint="Use another spec.target.name, or leave the annotation out",
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
