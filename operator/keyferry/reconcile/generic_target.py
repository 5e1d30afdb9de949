"""Targets that are no Secret, in a reconcile: which resource their kind is, and a watch of it while it is used.

A watch of metadata for each kind begins with the first ExternalSecret that writes it, and ends with the last.
It tells of managed objects only, so that a kind with many objects costs nothing. What a watch cannot tell
(an object that somebody creates, for creationPolicy Merge) is found at the next refresh.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from keyferry.aio import TaskBag
from keyferry.api import names
from keyferry.core.desired import ExistingSecret, Owner, SecretPlan, Target
from keyferry.core.hashing import created_by_hash
from keyferry.core.manifest import Manifest
from keyferry.errors import KubeNotFound, KubeUnavailable, NotReadyError, SpecError
from keyferry.kube.apply import WrittenSecret, apply, delete_object, read_secret
from keyferry.kube.listing import list_metadata
from keyferry.kube.manifests import (
    Resource,
    apply_object,
    collection,
    read_object,
    served_kinds,
)
from keyferry.kube.watch import Change, MetadataWatch, ObjectMeta, Watched
from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import Lane

if TYPE_CHECKING:
    from keyferry.reconcile.engine import Engine

log = logging.getLogger(__name__)

MAX_WATCHES: Final = 32
"""Of kinds beyond these, objects are repaired at their refresh only."""
SERVED_S: Final = 300.0
"""So long the API server's word on which resource a kind is holds."""
UNSERVED_S: Final = 5.0
"""So long its word holds that there is no such kind."""
_MANAGED: Final = f"{names.LABEL_MANAGED}={names.LABEL_MANAGED_VALUE}"


@dataclass(slots=True)
class _Watch:
    task: asyncio.Task[None]
    users: set[ObjectKey] = field(default_factory=set)


class GenericTargets:
    """What is known of targets that are no Secrets."""

    def __init__(self) -> None:
        self._served: dict[str, tuple[float, Mapping[str, Resource]]] = {}
        self._intact: dict[ObjectKey, str] = {}
        """Versions at which targets were known to be right."""
        self._altered: dict[ObjectKey, tuple[str, str]] = {}
        """Versions at which targets held what the API server had made of values, and the hash of those."""
        self._watches: dict[Manifest, _Watch] = {}
        self._used: dict[ObjectKey, tuple[Manifest, ObjectKey]] = {}
        """By ExternalSecret."""
        self._tasks = TaskBag()
        self._full = False

    async def resource(self, engine: Engine, manifest: Manifest) -> Resource:
        """The resource that a kind is.

        Raises:
            NotReadyError: the cluster has no such kind.
            SpecError: its objects belong to no namespace.
            KubeError: the API server refuses or cannot be asked.
        """
        now = engine.queue.now()
        until, kinds = self._served.get(manifest.api_version, (0.0, {}))
        if until <= now or (manifest.kind not in kinds and until <= now + SERVED_S - UNSERVED_S):
            try:
                kinds = await served_kinds(engine.api, manifest.api_version)
            except msgspec.DecodeError:
                raise KubeUnavailable("the API server's list of kinds cannot be read") from None
            self._served[manifest.api_version] = (now + SERVED_S, kinds)
        found = kinds.get(manifest.kind)
        if found is None:
            raise NotReadyError(
                f'spec.target.manifest: the cluster has no kind "{manifest.kind}" in "{manifest.api_version}"',
                hint="Install its definition, or correct apiVersion and kind",
            )
        if not found.namespaced:
            raise SpecError(
                f"spec.target.manifest: objects of kind {manifest.kind} belong to no namespace",
                hint="A target is in the namespace of its ExternalSecret",
            )
        return found

    def forget_resource(self, manifest: Manifest) -> None:
        """Ask again which resource a kind is: it is not where it was."""
        self._served.pop(manifest.api_version, None)

    # -- watches

    @property
    def watched(self) -> frozenset[Manifest]:
        """The kinds that are watched."""
        return frozenset(self._watches)

    def follow(
        self, engine: Engine, user: ObjectKey, manifest: Manifest, resource: Resource, target: ObjectKey
    ) -> None:
        """Have an ExternalSecret looked at whenever its target changes, until `release`."""
        if self._used.get(user) != (manifest, target):
            self.release(user)
            self._used[user] = (manifest, target)
        watch = self._watches.get(manifest)
        if watch is None:
            if len(self._watches) >= MAX_WATCHES:
                if not self._full:
                    log.warning(
                        "targets of more than %d kinds: those of %s are repaired at their refresh only",
                        MAX_WATCHES,
                        manifest.label,
                    )
                self._full = True
                return
            watch = self._watches[manifest] = _Watch(self._start(engine, manifest, resource))
        watch.users.add(user)

    def _start(self, engine: Engine, manifest: Manifest, resource: Resource) -> asyncio.Task[None]:
        watched = Watched(
            collection(manifest, resource, engine.settings.namespace),
            functools.partial(self._changed, engine, manifest),
            functools.partial(self._known, manifest),
            label_selector=_MANAGED,
        )
        name = f"watch {resource.plural}"
        return self._tasks.spawn(MetadataWatch(engine.api, watched).run(), name=name)

    def _known(self, manifest: Manifest) -> Iterator[tuple[str, str]]:
        label = manifest.label
        return iter([(key.namespace, key.name) for key in self._intact if key.kind == label])

    def _changed(self, engine: Engine, manifest: Manifest, change: Change, meta: ObjectMeta) -> None:
        key = ObjectKey(manifest.label, meta.namespace, meta.name)
        if change is not Change.GONE and self._intact.get(key) == meta.resource_version:
            return
        for dependent in engine.books.dependents.of(key):
            engine.queue.add(dependent, Lane.EVENT)

    def release(self, user: ObjectKey) -> None:
        """An ExternalSecret is gone, or has another target."""
        used = self._used.pop(user, None)
        if used is None:
            return
        manifest, target = used
        self._intact.pop(target, None)
        self._altered.pop(target, None)
        watch = self._watches.get(manifest)
        if watch is not None:
            watch.users.discard(user)
            if not watch.users:
                watch.task.cancel()
                del self._watches[manifest]

    def note_intact(self, target: ObjectKey, version: str) -> None:
        """Remember that this version of a target is right."""
        self._intact[target] = version

    def note_altered(self, target: ObjectKey, version: str, hashed: str) -> None:
        """Remember that this version of a target is what the API server makes of values with this hash."""
        self._altered[target] = version, hashed

    def is_target(self, key: ObjectKey) -> bool:
        """Whether some ExternalSecret writes an object."""
        return key in self._intact

    def is_all_there_is_to_get(self, target: ObjectKey, version: str, hashed: str) -> bool:
        """Whether this version of a target is known to be what becomes of values with this hash."""
        return self._altered.get(target) == (version, hashed)

    async def close(self) -> None:
        """End all watches."""
        await self._tasks.close()


def target_key(namespace: str, target: Target) -> ObjectKey:
    """The target, as dependents name it."""
    kind = "Secret" if target.manifest is None else target.manifest.label
    return ObjectKey(kind, namespace, target.name)


async def read_target(
    engine: Engine, namespace: str, name: str, manifest: Manifest | None
) -> ExistingSecret | None:
    """The target as it is, whatever its kind; None if there is none.

    Raises:
        KeyferryError: its kind cannot be a target, or the API server refuses or cannot be asked.
    """
    if manifest is None:
        return await read_secret(engine.api, namespace, name)
    resource = await engine.generic.resource(engine, manifest)
    return await read_object(engine.api, manifest, resource, namespace, name)


async def apply_plan(engine: Engine, plan: SecretPlan) -> WrittenSecret | None:
    """Carry out a plan, whatever the target's kind; None where that changed nothing.

    Raises:
        KeyferryError: as `read_target`; KubeConflict where the plan is for what is no longer there.
    """
    if plan.manifest is None:
        return await apply(engine.api, plan)
    resource = await engine.generic.resource(engine, plan.manifest)
    try:
        return await apply_object(engine.api, plan.manifest, resource, plan)
    except KubeNotFound:
        engine.generic.forget_resource(plan.manifest)
        raise


async def follow_target(engine: Engine, owner: Owner, target: Target, manifest: Manifest) -> None:
    """Have the ExternalSecret looked at whenever its target changes. Raises as `read_target`."""
    resource = await engine.generic.resource(engine, manifest)
    user = ObjectKey(names.EXTERNAL_SECRET, owner.namespace, owner.name)
    engine.generic.follow(engine, user, manifest, resource, target_key(owner.namespace, target))


async def delete_renamed_objects(
    engine: Engine, owner: Owner, target: Target, manifest: Manifest
) -> list[str]:
    """Delete the objects of the target's kind that this ExternalSecret created under former names; their names.

    Only what is really controlled by it: a label alone can be copied by anybody. Raises as `read_target`.
    """
    resource = await engine.generic.resource(engine, manifest)
    path = collection(manifest, resource, owner.namespace)
    created_by = f"{names.LABEL_CREATED_BY}={created_by_hash(owner.namespace, owner.name)}"
    former = [meta async for meta in list_metadata(engine.api, path, created_by) if meta.name != target.name]
    deleted = []
    for meta in sorted(former, key=lambda meta: meta.name):
        controller = next((one for one in meta.owner_references or () if one.controller), None)
        if controller is not None and controller.uid == owner.uid:
            await delete_object(engine.api, f"{path}/{meta.name}", meta.uid)
            deleted.append(meta.name)
    return deleted
