"""An ExternalSecret as a reconcile works on it: its spec decoded and checked, what it depends on noted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from keyferry.api import names
from keyferry.api.external_secret import ExternalSecretSpec, ExternalSecretStatus
from keyferry.api.external_secret import Target as TargetSpec
from keyferry.api.model import decode
from keyferry.core.desired import Owner, Target
from keyferry.core.manifest import check_manifest, manifest_of
from keyferry.core.sources import check_policies, store_refs
from keyferry.core.stores import is_our_class
from keyferry.core.template_spec import check_template
from keyferry.core.windows import Windows, parse_windows
from keyferry.duration import parse_go_duration
from keyferry.errors import SpecError
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generic_target import target_key
from keyferry.reconcile.remote import readings, telling
from keyferry.reconcile.templates import source_keys

_STORES: Final = frozenset({names.SECRET_STORE, names.CLUSTER_SECRET_STORE})


class _SpecOfTarget(msgspec.Struct):
    target: TargetSpec = TargetSpec()


@dataclass(frozen=True, slots=True)
class Work:
    """An ExternalSecret, decoded and checked.

    Args:
        current: what `status.syncedResourceVersion` would say of it. The record may have gone on since.
    """

    key: ObjectKey
    record: ExternalSecretRecord
    spec: ExternalSecretSpec
    status: ExternalSecretStatus
    owner: Owner
    target: Target
    interval: timedelta
    windows: Windows | None
    generation: int
    current: str

    @property
    def stores(self) -> list[ObjectKey]:
        """The stores that it names."""
        return [need for need in self.record.depends_on if need.kind in _STORES]


def load(engine: Engine, key: ObjectKey, record: ExternalSecretRecord, owner: Owner) -> Work | None:
    """Decode and check; None where the object is not ours to serve.

    Raises:
        SpecError: the spec cannot be used, whatever stores and target hold; names the field.
    """
    try:
        spec = decode(record.spec, ExternalSecretSpec)
    except msgspec.DecodeError as error:
        raise SpecError(f"the spec is invalid: {error}") from None
    stores = sorted(store_refs(spec))
    target = Target(
        spec.target.name or key.name,
        spec.target.creation_policy,
        spec.target.deletion_policy,
        spec.target.immutable,
        manifest_of(spec.target),
        spec.target.template,
        engine.rendering.settings.left,
    )
    used = [
        ObjectKey(kind, "" if kind == names.CLUSTER_SECRET_STORE else key.namespace, name)
        for kind, name in stores
    ]
    sources = source_keys(target.template, key.namespace)
    # Each once: a target may be a source of its own templates.
    needs = tuple(dict.fromkeys((target_key(key.namespace, target), *used, *sources)))
    engine.books.dependents.link(key, needs, record.depends_on)
    record.depends_on = needs
    ours = _is_ours(engine, used)
    reads = readings(spec, key.namespace, telling(engine, used)) if ours else ()
    engine.books.remote.link(key, reads, record.reads)
    record.reads = reads
    if not ours:
        engine.sources.release(engine, key)
        return None
    engine.sources.use(engine, key, sources)
    # Before the target is even looked at: what we cannot make, another operator may have made.
    check_policies(spec)
    check_template(spec.target)
    check_manifest(spec.target, allowed=engine.settings.generic_targets)
    interval = parse_go_duration(spec.refresh_interval or "1h")
    windows = parse_windows(spec.sync_windows)
    return Work(
        *(key, record, spec, record.read_status(), owner, target, interval, windows),
        generation=record.generation,
        current=record.current(),
    )


def is_generic(record: ExternalSecretRecord) -> bool:
    """Whether the target is no Secret, told from a spec that may be of no use otherwise."""
    try:
        return manifest_of(decode(record.spec, _SpecOfTarget).target) is not None
    except msgspec.DecodeError:
        return False


def _is_ours(engine: Engine, stores: list[ObjectKey]) -> bool:
    """Whether no store belongs to another controller class or to a kind that is switched off."""
    for key in stores:
        if not key.namespace and not engine.settings.cluster_stores:
            return False
        record = engine.books.stores.get(key)
        if record is not None and not is_our_class(record.controller, engine.settings.controller_class):
            return False
    return True
