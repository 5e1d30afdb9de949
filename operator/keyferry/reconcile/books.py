"""What the watches told us: one small record per object, never a secret value.

Handlers and watches write here and learn which keys that concerns; reconcilers read. Specs are kept as the
bytes they are decoded from, because decoded ones cost ten times the memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from keyferry.api import names
from keyferry.api.cluster_external_secret import ClusterExternalSecretSpec, ClusterExternalSecretStatus
from keyferry.api.external_secret import ExternalSecretStatus
from keyferry.api.model import convert, decode
from keyferry.api.secret_store import SecretStoreSpec, SecretStoreStatus
from keyferry.core.fanout import Selection, load
from keyferry.core.hashing import synced_resource_version
from keyferry.core.stores import answers_otherwise
from keyferry.errors import KeyferryError
from keyferry.kube.watch import ObjectMeta
from keyferry.ports import ObjectKey, StoreView
from keyferry.reconcile.multimap import Multimap
from keyferry.reconcile.policies import StorePolicies
from keyferry.reconcile.remote_index import Reading, RemoteReaders
from keyferry.reconcile.state_index import GeneratorStates

Metadata = tuple[dict[str, str], dict[str, str]]
_METADATA: Final = msgspec.msgpack.Decoder(tuple[dict[str, str], dict[str, str]])


def _packed_json(value: object) -> bytes:
    """A part of a body as JSON, to be kept."""
    try:
        encoded = orjson.dumps(value or {})
    except TypeError:  # an integer beyond 64 bits, in an object older than the schema
        encoded = json.dumps(value).encode()
    return _exact(encoded)


def _exact(encoded: bytes) -> bytes:
    """A copy of just its size: what encoders return holds half as much again (msgspec) or 4 KiB (orjson)."""
    return bytes(memoryview(encoded))


def _answers_otherwise(before: StoreView | None, after: StoreView | None) -> bool:
    """Whether a store may give other answers since its spec was edited."""
    return before is None or after is None or answers_otherwise(before.spec, after.spec)


def _controller(metadata: Mapping[str, Any]) -> str:
    """The uid of the ClusterExternalSecret that controls an ExternalSecret; empty where none does."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller") and reference.get("kind") == names.CLUSTER_EXTERNAL_SECRET:
            return sys.intern(str(reference.get("uid", "")))
    return ""


@dataclass(slots=True)
class ExternalSecretRecord:
    """An ExternalSecret as last seen, and what this process knows of its syncs.

    Args:
        metadata: labels and annotations, packed.
        status: the status' JSON, as last seen or written.
        refreshed_at: when this process last read its stores, seconds of the epoch; 0 before.
        spread: this object's random number from 0 to 1, for jitter; drawn anew at each refresh.
        failures: tries in a row that failed.
        waiting: whether its last try came to nothing, so that a store which recovers concerns it.
        asked: whether somebody asked for a refresh now.
        settled: whether this process has looked at it before (after a start, overdue ones are spread).
        data_hash: of the data last written, as bytes; empty where this process has not written.
        unwritten: a status that could not be written yet; goes before `status`.
        resume_at: while there is one, when the object's own work is due, by the queue's clock; inf for never.
        depends_on: the objects whose change concerns it.
        reads: what it reads of which stores.
        noticed: whether a store has told that something of it changed, since it was asked last.
        noted: what its last sync had to tell in events, which are not told again.
        rendered: digest of the ConfigMaps' and Secrets' texts that its target was made from; empty for none.
        controller: uid of the ClusterExternalSecret that made it; empty where nobody did.
        finalizer: where among its finalizers the reference operator's is, which we do not need; -1 for nowhere.
    """

    uid: str
    generation: int
    resource_version: str
    spec: bytes
    metadata: bytes
    status: bytes
    deleting: bool = False
    refreshed_at: float = 0.0
    spread: float = 0.0
    failures: int = 0
    waiting: bool = False
    asked: bool = False
    settled: bool = False
    data_hash: bytes = b""
    unwritten: bytes = b""
    resume_at: float = 0.0
    depends_on: tuple[ObjectKey, ...] = ()
    reads: tuple[Reading, ...] = ()
    noticed: bool = False
    noted: tuple[str, ...] = ()
    rendered: bytes = b""
    controller: str = ""
    finalizer: int = -1
    sync_calls: int = 0
    sync_errors: int = 0
    duration_s: float = 0.0

    def labels_and_annotations(self) -> Metadata:
        """Its labels and annotations."""
        return _METADATA.decode(self.metadata)

    def read_status(self) -> ExternalSecretStatus:
        """Its status; an unreadable one counts as empty."""
        try:
            return decode(self.unwritten or self.status, ExternalSecretStatus)
        except msgspec.DecodeError:
            return ExternalSecretStatus()

    def current(self) -> str:
        """What `status.syncedResourceVersion` would say of the object as it is now."""
        labels, annotations = self.labels_and_annotations()
        return synced_resource_version(self.generation, annotations, labels)


@dataclass(slots=True)
class StoreRecord:
    """A store as last seen, and what this process found out about it.

    Args:
        view: its decoded spec; None where the spec cannot be used, `problem` says why.
        ready: whether its identity was proven; None before the first validation.
        ours: whether its class and kind are ours to serve; only known once it was looked at.
        cause: why it is not ready.
        changed: whether it asks another store or otherwise than those who use it know; until they are told.
    """

    uid: str
    generation: int
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    status: bytes
    controller: str
    view: StoreView | None
    problem: str = ""
    ready: bool | None = None
    ours: bool = True
    cause: str = ""
    changed: bool = False
    failures: int = 0
    duration_s: float = 0.0

    def read_status(self) -> SecretStoreStatus:
        """Its status; an unreadable one counts as empty."""
        try:
            return decode(self.status, SecretStoreStatus)
        except msgspec.DecodeError:
            return SecretStoreStatus()


@dataclass(slots=True)
class ClusterExternalSecretRecord:
    """A ClusterExternalSecret as last read. There are few, so the spec is kept decoded.

    Args:
        version: the resourceVersion that its watch told of last; another than that read means to read again.
        spec, raw: its spec, and what stands in its externalSecretSpec; None where the spec cannot be used,
            `problem` says why.
        selection: the namespaces that it is for; None with the spec.
        finalizer: whether it carries the reference operator's finalizer.
        released: whether that was taken off before; who puts it back is alive, and would do so for ever.
        foreign: the ExternalSecrets of its own that carry labels or annotations which others wrote, and the
            metadata by which that was found.
        altered: those that a write did not change, because admission puts something else in the place of what
            is written; their spec and metadata by which that was found.
        waits_for: the ExternalSecrets of others that are in its way.
    """

    uid: str
    version: str = ""
    resource_version: str = ""
    generation: int = 0
    metadata: bytes = b""
    status: bytes = b""
    spec: ClusterExternalSecretSpec | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    selection: Selection | None = None
    problem: str = ""
    deleting: bool = False
    finalizer: bool = False
    released: bool = False
    foreign: dict[ObjectKey, bytes] = field(default_factory=dict)
    altered: dict[ObjectKey, tuple[bytes, bytes]] = field(default_factory=dict)
    waits_for: tuple[ObjectKey, ...] = ()
    failures: int = 0
    duration_s: float = 0.0

    @property
    def is_outdated(self) -> bool:
        """Whether the watch has told of another version than was read."""
        return self.version != self.resource_version

    def takes(self, namespace: str, labels: Mapping[str, str] | None) -> bool:
        """Whether it is for a namespace with these labels; None for one that is not there."""
        return labels is not None and self.selection is not None and self.selection.takes(namespace, labels)

    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return _METADATA.decode(self.metadata)[1]

    def read_status(self) -> ClusterExternalSecretStatus:
        """Its status; an unreadable one counts as empty."""
        try:
            return decode(self.status, ClusterExternalSecretStatus)
        except msgspec.DecodeError:
            return ClusterExternalSecretStatus()


@dataclass(slots=True)
class SecretRecord:
    """A Secret that somebody of ours depends on, by its metadata.

    Args:
        intact_version: the resourceVersion at which its data was known to match its hash; empty for never.
    """

    uid: str
    resource_version: str
    managed: bool
    created_by: str
    data_hash: str
    intact_version: str = ""


class Dependents:
    """Who depends on what: from an object to the keys that a change of it concerns. O(1) per event."""

    def __init__(self) -> None:
        self._of: Multimap[ObjectKey, ObjectKey] = Multimap()

    def link(self, dependent: ObjectKey, needs: tuple[ObjectKey, ...], before: tuple[ObjectKey, ...]) -> None:
        """Note what a key depends on now, and no longer on what it depended before."""
        if needs == before:
            return
        for need in before:
            if need not in needs:
                self._of.discard(need, dependent)
        for need in needs:
            if need not in before:
                self._of.add(need, dependent)

    def of(self, need: ObjectKey) -> tuple[ObjectKey, ...]:
        """The keys that depend on an object."""
        return tuple(self._of.get(need))

    def __contains__(self, need: ObjectKey) -> bool:
        return need in self._of

    def __len__(self) -> int:
        return len(self._of)


@dataclass(slots=True)
class Books:
    """All records, by key."""

    external_secrets: dict[ObjectKey, ExternalSecretRecord] = field(default_factory=dict)
    stores: dict[ObjectKey, StoreRecord] = field(default_factory=dict)
    secrets: dict[tuple[str, str], SecretRecord] = field(default_factory=dict)
    owned: Multimap[tuple[str, str], str] = field(default_factory=Multimap)
    """Names of the Secrets that carry a created-by label, by (namespace, label)."""
    by_namespace: dict[str, set[ObjectKey]] = field(default_factory=dict)
    """The ExternalSecrets of each namespace."""
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of the namespaces; empty where they are not watched."""
    ending: set[str] = field(default_factory=set)
    """The namespaces that are being deleted."""
    cluster_external_secrets: dict[ObjectKey, ClusterExternalSecretRecord] = field(default_factory=dict)
    controllers: dict[str, ObjectKey] = field(default_factory=dict)
    """The ClusterExternalSecrets by uid."""
    controlled: dict[str, set[ObjectKey]] = field(default_factory=dict)
    """The ExternalSecrets that a ClusterExternalSecret made, by its uid."""
    complete: set[str] = field(default_factory=set)
    """The kinds of which everything there is has been told."""
    dependents: Dependents = field(default_factory=Dependents)
    remote: RemoteReaders = field(default_factory=RemoteReaders)
    """Who reads which remote secret."""
    generator_states: GeneratorStates = field(default_factory=GeneratorStates)
    policies: StorePolicies = field(default_factory=StorePolicies)

    def is_past(self, key: ObjectKey, metadata: Mapping[str, Any]) -> bool:
        """Whether we know a later spec of the same object: read by us, ahead of the watch."""
        record = self.external_secrets.get(key) or self.stores.get(key)
        return (
            record is not None
            and record.uid == metadata["uid"]
            and metadata.get("generation", 0) < record.generation
        )

    def note_external_secret(self, key: ObjectKey, body: Mapping[str, Any]) -> bool:
        """Take over what a watch says of an ExternalSecret; whether there is anything to work on.

        Echoes of our own status writes change nothing that counts: uid, generation, labels, annotations,
        deletion.
        """
        metadata = body["metadata"]
        record = self.external_secrets.get(key)
        if record is not None and record.resource_version == metadata.get("resourceVersion"):
            return False
        packed = _exact(
            msgspec.msgpack.encode((metadata.get("labels") or {}, metadata.get("annotations") or {}))
        )
        status = _packed_json(body.get("status"))
        generation, deleting = metadata.get("generation", 0), "deletionTimestamp" in metadata
        controller = _controller(metadata)
        finalizers = metadata.get("finalizers") or []
        ours = names.FINALIZER_EXTERNAL_SECRET
        finalizer = finalizers.index(ours) if ours in finalizers else -1
        if record is None or record.uid != metadata["uid"]:
            before = record.depends_on if record is not None else ()
            reads = record.reads if record is not None else ()
            self.external_secrets[key] = ExternalSecretRecord(
                uid=metadata["uid"],
                generation=generation,
                resource_version=metadata.get("resourceVersion", ""),
                spec=_packed_json(body.get("spec")),
                metadata=packed,
                status=status,
                deleting=deleting,
                depends_on=before,
                reads=reads,
                controller=controller,
                finalizer=finalizer,
            )
            self.by_namespace.setdefault(key.namespace, set()).add(key)
            self._control(key, record.controller if record is not None else "", controller)
            return True
        same = record.generation == generation and record.metadata == packed and record.deleting == deleting
        self._control(key, record.controller, controller)
        record.controller, record.finalizer = controller, finalizer
        record.resource_version = metadata.get("resourceVersion", "")
        record.status = status
        if same:
            return False
        record.generation, record.metadata, record.deleting = generation, packed, deleting
        record.spec = _packed_json(body.get("spec"))
        record.failures = 0
        return True

    def forget_external_secret(self, key: ObjectKey) -> None:
        """An ExternalSecret is gone."""
        record = self.external_secrets.pop(key, None)
        if record is not None:
            self.dependents.link(key, (), record.depends_on)
            self.remote.link(key, (), record.reads)
            self._control(key, record.controller, "")
            keys = self.by_namespace.get(key.namespace, set())
            keys.discard(key)
            if not keys:
                self.by_namespace.pop(key.namespace, None)

    def _control(self, key: ObjectKey, before: str, after: str) -> None:
        """Note which ClusterExternalSecret controls an ExternalSecret now, by uid, and which one did."""
        if before and before != after:
            keys = self.controlled.get(before, set())
            keys.discard(key)
            if not keys:
                self.controlled.pop(before, None)
        if after:
            self.controlled.setdefault(after, set()).add(key)

    def note_told_of(self, key: ObjectKey, meta: ObjectMeta) -> bool:
        """Take over what a watch says of a ClusterExternalSecret; whether it has to be looked at.

        Not where its status alone changed: another operator that is alive writes its own words into it, and both
        would take turns for ever. The next look reads it.
        """
        record = self.cluster_external_secrets.get(key)
        if record is None or record.uid != meta.uid:
            self.forget_cluster_external_secret(key)
            record = self.cluster_external_secrets[key] = ClusterExternalSecretRecord(meta.uid)
        record.version = meta.resource_version
        packed = msgspec.msgpack.encode((meta.labels or {}, meta.annotations or {}))
        deleting = meta.deletion_timestamp is not None
        finalizer = names.FINALIZER_CLUSTER_EXTERNAL_SECRET in (meta.finalizers or ())
        known = (record.generation, record.metadata, record.deleting, record.finalizer)
        return record.is_outdated and known != (meta.generation, packed, deleting, finalizer)

    def note_cluster_external_secret(
        self, key: ObjectKey, body: Mapping[str, Any]
    ) -> ClusterExternalSecretRecord:
        """Take over a ClusterExternalSecret that was just read; its record."""
        metadata = body["metadata"]
        record = self.cluster_external_secrets.get(key)
        if record is None or record.uid != metadata["uid"]:
            self.forget_cluster_external_secret(key)
            record = self.cluster_external_secrets[key] = ClusterExternalSecretRecord(metadata["uid"])
        packed = _exact(
            msgspec.msgpack.encode((metadata.get("labels") or {}, metadata.get("annotations") or {}))
        )
        record.version = record.resource_version = metadata.get("resourceVersion", "")
        record.status = _packed_json(body.get("status"))
        record.deleting = "deletionTimestamp" in metadata
        record.finalizer = names.FINALIZER_CLUSTER_EXTERNAL_SECRET in (metadata.get("finalizers") or ())
        if (record.generation, record.metadata) == (metadata.get("generation", 0), packed):
            return record
        record.generation, record.metadata = metadata.get("generation", 0), packed
        record.failures, record.problem = 0, ""
        record.foreign.clear()
        record.altered.clear()
        try:
            record.spec, record.raw = load(_packed_json(body.get("spec")))
            record.selection = Selection.of(record.spec)
        except KeyferryError as error:
            record.spec = record.selection = None
            record.problem = str(error)
        self.controllers[record.uid] = key
        return record

    def forget_cluster_external_secret(self, key: ObjectKey) -> None:
        """A ClusterExternalSecret is gone."""
        record = self.cluster_external_secrets.pop(key, None)
        if record is not None:
            self.dependents.link(key, (), record.waits_for)
            self.controllers.pop(record.uid, None)

    def note_store(self, key: ObjectKey, body: Mapping[str, Any]) -> bool:
        """Take over what a watch says of a store; whether its spec changed or it is new."""
        metadata = body["metadata"]
        record = self.stores.get(key)
        if record is not None and record.uid == metadata["uid"]:
            record.resource_version = metadata.get("resourceVersion", "")
            record.status = _packed_json(body.get("status"))
            record.labels = metadata.get("labels") or {}
            record.annotations = metadata.get("annotations") or {}
            if record.generation == metadata.get("generation", 0):
                return False
        spec = body.get("spec") or {}
        view, problem = None, ""
        try:
            # Not by way of JSON: a block without a schema may hold numbers that orjson does not write.
            view = StoreView.of(key, convert(spec, SecretStoreSpec))
        except (msgspec.DecodeError, KeyferryError) as error:
            problem = str(error)
        self.stores[key] = StoreRecord(
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            resource_version=metadata.get("resourceVersion", ""),
            labels=metadata.get("labels") or {},
            annotations=metadata.get("annotations") or {},
            status=_packed_json(body.get("status")),
            controller=str(spec.get("controller") or ""),
            view=view,
            problem=problem,
            changed=record is not None and (record.changed or _answers_otherwise(record.view, view)),
        )
        return True

    def note_secret(self, meta: ObjectMeta, *, auth: bool) -> bool:
        """Take over a Secret's metadata; whether it is a version that is not known to be intact.

        Kept are only Secrets that are managed or that somebody depends on.

        Args:
            auth: some store's identity was made from it.
        """
        labels = meta.labels or {}
        managed = labels.get(names.LABEL_MANAGED) == names.LABEL_MANAGED_VALUE
        place = (meta.namespace, meta.name)
        if not managed and not auth and ObjectKey("Secret", *place) not in self.dependents:
            self.forget_secret(place)
            return False
        before = self.secrets.get(place)
        record = SecretRecord(
            uid=meta.uid,
            resource_version=meta.resource_version,
            managed=managed,
            created_by=labels.get(names.LABEL_CREATED_BY, ""),
            data_hash=(meta.annotations or {}).get(names.ANNOTATION_DATA_HASH, ""),
            intact_version=before.intact_version if before is not None and before.uid == meta.uid else "",
        )
        if before is not None and before.created_by != record.created_by:
            self._disown(place, before)
        self.secrets[place] = record
        if record.created_by:
            self.owned.add((meta.namespace, record.created_by), meta.name)
        return record.intact_version != record.resource_version

    def note_created(self, place: tuple[str, str], created_by: str) -> None:
        """Take over whose Secret we have just written, ahead of the watch."""
        record = self.secrets.get(place)
        if created_by and record is not None and not record.created_by:
            record.created_by = created_by
            self.owned.add((place[0], created_by), place[1])

    def forget_secret(self, place: tuple[str, str]) -> bool:
        """A Secret is gone, or concerns nobody any more; whether it was known."""
        record = self.secrets.pop(place, None)
        if record is None:
            return False
        self._disown(place, record)
        return True

    def _disown(self, place: tuple[str, str], record: SecretRecord) -> None:
        self.owned.discard((place[0], record.created_by), place[1])

    def known_secrets(self) -> Iterator[tuple[str, str]]:
        """Where the kept Secrets are."""
        return iter(list(self.secrets))
