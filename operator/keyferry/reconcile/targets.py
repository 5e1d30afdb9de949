"""The target in a reconcile: is it as it should be, and carrying out what core planned."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass, replace

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.api.external_secret import ExternalSecretStatus
from keyferry.core.desired import (
    Action,
    ExistingSecret,
    Owner,
    SecretPlan,
    Target,
    controller_of,
    is_intact,
    lacks_rendered,
    plan_metadata,
    plan_write,
)
from keyferry.core.fieldpath import fingerprint
from keyferry.core.hashing import created_by_hash, data_hash
from keyferry.core.manifest import Manifest
from keyferry.core.summarize import MESSAGE_RETAINED, of_resource
from keyferry.core.template import Rendered
from keyferry.errors import KubeConflict
from keyferry.kube.apply import WrittenSecret, delete_by_uid, read_secret
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ExternalSecretRecord, SecretRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generic_target import (
    apply_plan,
    delete_renamed_objects,
    follow_target,
    read_target,
    target_key,
)
from keyferry.secretdata import SecretData

log = logging.getLogger(__name__)
_CONFLICT_TRIES = 4


class TargetState(enum.Enum):
    """What a look at the target found."""

    VALID = "valid"
    MISSING = "missing"
    DRIFTED = "drifted"
    """Its data is not what was written."""
    METADATA_DRIFTED = "metadata drifted"
    """Its data is right, and our labels, annotations or ownership are not."""


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """The state, and for a metadata drift the write that mends it."""

    state: TargetState
    repair: SecretPlan | None = None


def _is_expected_absent(target: Target, status: ExternalSecretStatus) -> bool:
    """Whether we left it absent on purpose: deleted by policy, nothing to merge with, nothing to write."""
    ready = next((condition for condition in status.conditions if condition.type == c.READY), None)
    if ready is None or ready.status != c.TRUE:
        return False
    return (
        ready.reason in (c.SECRET_DELETED, c.RESOURCE_DELETED)
        or (ready.reason in (c.SECRET_MISSING, c.RESOURCE_MISSING) and target.creation_policy == "Merge")
        or ready.message.startswith((MESSAGE_RETAINED, of_resource(MESSAGE_RETAINED)))
    )


async def check_target(
    engine: Engine,
    owner: Owner,
    target: Target,
    record: ExternalSecretRecord,
    status: ExternalSecretStatus,
) -> TargetCheck:
    """Look at the target, from memory where its version is known to be right.

    Raises:
        KeyferryError: it has to be read and cannot be.
    """
    if target.manifest is None or target.creation_policy in ("None", "Orphan"):
        engine.generic.release(ObjectKey(names.EXTERNAL_SECRET, owner.namespace, owner.name))
    if target.creation_policy in ("None", "Orphan"):
        # By contract: None has no target, an Orphan is only looked at when its refresh is due.
        return TargetCheck(TargetState.VALID)
    if target.manifest is not None:
        return await _check_object(engine, owner, target, record, status, manifest=target.manifest)
    known = engine.books.secrets.get((owner.namespace, target.name))
    if known is not None and known.intact_version == known.resource_version:
        return TargetCheck(TargetState.VALID)
    if known is None and not status.synced_resource_version:
        return TargetCheck(TargetState.MISSING)
    existing = await _read(engine, owner.namespace, target.name, known)
    if existing is None:
        missing = not _is_expected_absent(target, status)
        return TargetCheck(TargetState.MISSING if missing else TargetState.VALID)
    synced = status.synced_resource_version
    return _compare(engine, owner, target, record, existing=existing, synced=synced)


async def _check_object(
    engine: Engine,
    owner: Owner,
    target: Target,
    record: ExternalSecretRecord,
    status: ExternalSecretStatus,
    *,
    manifest: Manifest,
) -> TargetCheck:
    """The same for a target that is no Secret: it is read at each look, for looks at it are rare."""
    await follow_target(engine, owner, target, manifest)
    existing = await read_target(engine, owner.namespace, target.name, manifest)
    if existing is None:
        missing = not (status.synced_resource_version and _is_expected_absent(target, status))
        return TargetCheck(TargetState.MISSING if missing else TargetState.VALID)
    synced = status.synced_resource_version
    return _compare(engine, owner, target, record, existing=existing, synced=synced)


async def _read(
    engine: Engine, namespace: str, name: str, known: SecretRecord | None
) -> ExistingSecret | None:
    """The Secret, from the API server's cache if that is as new as what the watch told."""
    if known is not None:
        cached = await read_secret(engine.api, namespace, name, from_cache=True)
        if cached is not None and cached.resource_version == known.resource_version:
            return cached
    return await read_secret(engine.api, namespace, name)


def _compare(
    engine: Engine,
    owner: Owner,
    target: Target,
    record: ExternalSecretRecord,
    *,
    existing: ExistingSecret,
    synced: str,
) -> TargetCheck:
    right = is_intact(existing)
    noted = existing.annotations.get(names.ANNOTATION_DATA_HASH)
    if noted != existing.content_hash and record.data_hash.hex() != data_hash(existing.data):
        return TargetCheck(TargetState.DRIFTED)
    if synced == record.current():
        if lacks_rendered(target, existing):
            return TargetCheck(TargetState.DRIFTED)
        plan = plan_metadata(owner, target, existing)
        if plan.action is not Action.NOTHING:
            return TargetCheck(TargetState.METADATA_DRIFTED, plan)
    elif not right:
        return TargetCheck(TargetState.DRIFTED)
    if target.manifest is None:
        note_intact(engine, owner.namespace, target.name, existing.uid, existing.resource_version)
    else:
        engine.generic.note_intact(target_key(owner.namespace, target), existing.resource_version)
    return TargetCheck(TargetState.VALID)


def note_intact(engine: Engine, namespace: str, name: str, uid: str, version: str) -> None:
    """Remember that this version of a Secret is right."""
    known = engine.books.secrets.get((namespace, name))
    if known is None:
        # The watch has not told of it yet; when it does, this version is known.
        known = SecretRecord(uid, version, managed=True, created_by="", data_hash="")
        engine.books.secrets[namespace, name] = known
    if known.uid == uid:
        known.intact_version = version


def is_unchanged(
    engine: Engine,
    owner: Owner,
    target: Target,
    record: ExternalSecretRecord,
    *,
    data: SecretData,
    synced: str,
) -> bool:
    """Whether the target is known to hold just this data and metadata, so that it need not even be read."""
    if (
        target.manifest is not None
        or target.creation_policy not in ("Owner", "Orphan")
        or synced != record.current()
        or (target.fixed is not None and not target.fixed.is_all)
    ):
        return False
    known = engine.books.secrets.get((owner.namespace, target.name))
    if known is None or known.intact_version != known.resource_version:
        return False
    return data_hash(data) == (known.data_hash or record.data_hash.hex())


async def write_target(
    engine: Engine,
    owner: Owner,
    target: Target,
    record: ExternalSecretRecord,
    made: Rendered | None,
) -> SecretPlan:
    """Bring the data into the target; the plan that was carried out, with no action where it changed nothing.

    Where the API server makes something else of the data, with defaults or by admission, it is not written
    again and again.

    Args:
        owner: with the labels and annotations to give.
        made: what it is to hold; None for what it holds already, where a template made that.

    Raises:
        OwnershipError, RenderError, SpecError: as `core.desired.plan_write`.
        KubeError: the API server refuses or cannot be asked.
    """
    known = engine.books.secrets.get((owner.namespace, target.name))
    existing = None
    if made is None or known is not None or target.manifest is not None or target.creation_policy == "Merge":
        existing = await read_target(engine, owner.namespace, target.name, target.manifest)
    place = target_key(owner.namespace, target)
    hashed = _hash_of(made) if made is not None and target.manifest is not None else ""
    for attempt in range(_CONFLICT_TRIES):
        version = existing.resource_version if existing is not None else ""
        got = existing is not None and engine.generic.is_all_there_is_to_get(place, version, hashed)
        plan = _planned(owner, target, existing, made, _sharers(engine, owner, target), got=got)
        try:
            written = await apply_plan(engine, plan)
        except KubeConflict:
            if attempt == _CONFLICT_TRIES - 1:
                raise
            existing = await read_target(engine, owner.namespace, target.name, target.manifest)
            continue
        break
    note_written(engine, record, plan, written)
    if written is None and plan.action is Action.UPDATE:
        return replace(plan, action=Action.NOTHING)
    if written is not None and written.altered:
        engine.generic.note_altered(place, written.resource_version, hashed)
    return plan


def _hash_of(made: Rendered) -> str:
    return data_hash(made.data) if made.fields is None else fingerprint(made.fields)


def _planned(
    owner: Owner,
    target: Target,
    existing: ExistingSecret | None,
    made: Rendered | None,
    sharers: frozenset[str],
    *,
    got: bool,
) -> SecretPlan:
    """The plan for what was made; where that is None, for what the target holds.

    Args:
        got: whether the target is known to hold what becomes of it.
    """
    if made is not None:
        labelled = replace(owner, labels=made.labels, annotations=made.annotations)
        data = None if got else made.data
        return plan_write(labelled, target, existing, data, sharers, fields=made.fields)
    if existing is None:
        raise KubeConflict("the target is gone")  # a moment ago it was there: look again
    return plan_metadata(owner, target, existing)


def _sharers(engine: Engine, owner: Owner, target: Target) -> frozenset[str]:
    """Names of the other ExternalSecrets with this target."""
    place, known = target_key(owner.namespace, target), engine.books.external_secrets
    return frozenset(
        key.name
        for key in engine.books.dependents.of(place)
        if key in known and key.name != owner.name and known[key].depends_on[:1] == (place,)
    )


def note_written(
    engine: Engine, record: ExternalSecretRecord, plan: SecretPlan, written: WrittenSecret | None
) -> None:
    """Remember what the target holds now."""
    if plan.action is Action.WAIT:
        return
    if plan.manifest is not None:
        # What is beside the data is not ours; where the values are in places of their own, all is looked at.
        record.data_hash = b"" if plan.by_fields else bytes.fromhex(data_hash(plan.data))
        version = written.resource_version if written is not None else ""
        version = version or (plan.existing.resource_version if plan.existing is not None else "")
        engine.generic.note_intact(ObjectKey(plan.manifest.label, plan.namespace, plan.name), version)
        return
    record.data_hash = bytes.fromhex(plan.annotations[names.ANNOTATION_DATA_HASH])
    if written is not None:
        note_intact(engine, plan.namespace, plan.name, written.uid, written.resource_version)
        created_by = plan.labels.get(names.LABEL_CREATED_BY, "")
        engine.books.note_created((plan.namespace, plan.name), created_by)
    elif plan.existing is not None:
        note_intact(engine, plan.namespace, plan.name, plan.existing.uid, plan.existing.resource_version)


async def delete_renamed(engine: Engine, owner: Owner, target: Target, *, edited: bool) -> list[str]:
    """Delete what this ExternalSecret created under former target names; the names.

    Only what is really controlled by it: a label alone can be copied by anybody.

    Args:
        edited: whether the ExternalSecret has changed since its last sync: Secrets are known, others are
            looked for.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    created_by = created_by_hash(owner.namespace, owner.name)
    deleted = []
    if target.manifest is not None and edited:
        deleted += await delete_renamed_objects(engine, owner, target, target.manifest)
    kept = {target.name} if target.manifest is None else set()
    for name in sorted(set(engine.books.owned.get((owner.namespace, created_by))) - kept):
        existing = await read_secret(engine.api, owner.namespace, name)
        controller = controller_of(existing.owner_references) if existing is not None else None
        if existing is None or controller is None or controller.get("uid") != owner.uid:
            continue
        await delete_by_uid(engine.api, owner.namespace, name, existing.uid)
        deleted.append(name)
    return deleted
