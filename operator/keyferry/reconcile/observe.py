"""From what watches tell to keys in the queue. Synchronous, tiny, and never O(all objects) on an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyferry.api import names
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import ObjectKey
from keyferry.reconcile.cluster_external_secret import NEEDED, forget_cluster_external_secret
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.finish import forget
from keyferry.reconcile.generator_state import wake_states
from keyferry.reconcile.namespace import NAMESPACE, is_held
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.secret_store import forget_store, wake
from keyferry.reconcile.store_policy import limits_by_labels, store_changed


class Observer:
    """What happens on each event. Called by kopf's handlers and by our own watches.

    Args:
        engine: the books to write into, and the queue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started = engine.queue.now()
        self._listed = False

    def list_is_complete(self, kind: str) -> None:
        """Everything there is of a kind has been told; what a later list brings has come up since."""
        self._listed = self._listed or kind == names.EXTERNAL_SECRET
        complete = self._engine.books.complete
        if kind in NEEDED and kind not in complete:
            complete.add(kind)
            for key in self._engine.books.cluster_external_secrets:
                self._engine.queue.add(key, Lane.USER)

    def resource(self, kind: str, change: Change, body: Mapping[str, Any], *, read: bool = False) -> None:
        """An event about one of our kinds.

        Args:
            read: the body was just read; else an event may tell of what is over.
        """
        metadata = body["metadata"]
        key = ObjectKey(kind, metadata.get("namespace", ""), metadata["name"])
        late = change is Change.SET and not read and self._engine.books.is_past(key, metadata)
        if late:
            return
        if kind == names.EXTERNAL_SECRET:
            self._external_secret(key, change, body)
        else:
            self._store(key, change, body)

    def _external_secret(self, key: ObjectKey, change: Change, body: Mapping[str, Any]) -> None:
        engine = self._engine
        before = engine.books.external_secrets.get(key)
        was = before.controller if before is not None else ""
        if change is Change.GONE:
            forget(engine, key)
            self._tell_controllers(key, was)
            return
        known = before is not None
        changed = engine.books.note_external_secret(key, body)
        controller = engine.books.external_secrets[key].controller
        if changed or controller != was:
            self._tell_controllers(key, was, controller)
        if not changed:
            return
        if known or change is not Change.LISTED:
            engine.queue.add(key, Lane.USER)  # also where a list after a gap tells of a change
            return
        # Found at the start: what was synced before can wait, and every answer from now on is fresh.
        synced = (body.get("status") or {}).get("syncedResourceVersion")
        fresh_from = None if self._listed else self._started
        engine.queue.add(key, Lane.PERIODIC if synced else Lane.USER, fresh_from=fresh_from)

    def _tell_controllers(self, key: ObjectKey, *uids: str) -> None:
        """An ExternalSecret has changed: whose it is or was, and in whose way, looks at it."""
        controllers = self._engine.books.controllers
        for uid in filter(None, set(uids)):
            if uid in controllers:
                self._engine.queue.add(controllers[uid], Lane.EVENT)
        self._wake(key)

    def cluster_external_secret(self, change: Change, meta: ObjectMeta) -> None:
        """A ClusterExternalSecret's metadata: a version that was not read yet is work."""
        key = ObjectKey(names.CLUSTER_EXTERNAL_SECRET, "", meta.name)
        if change is Change.GONE:
            forget_cluster_external_secret(self._engine, key)
        elif self._engine.books.note_told_of(key, meta):
            self._engine.queue.add(key, Lane.USER)

    def _store(self, key: ObjectKey, change: Change, body: Mapping[str, Any]) -> None:
        engine = self._engine
        before = engine.books.stores.get(key)
        told = before.status if before is not None else b""
        if change is Change.GONE:
            forget_store(engine, key)
        elif engine.books.note_store(key, body):
            engine.planner.drop(key)
            engine.queue.add(key, Lane.STORE)
        elif not engine.settings.secret_stores and engine.books.stores[key].status != told:
            wake(engine, key)  # somebody else validates, and has found something out
        store_changed(engine, key)

    def secret(self, change: Change, meta: ObjectMeta) -> None:
        """A Secret's metadata: a target that drifted, or auth material that changed."""
        engine, place = self._engine, (meta.namespace, meta.name)
        key = ObjectKey("Secret", *place)
        auth = engine.planner.uses(key)
        told = engine.sources.changed(key, "" if change is Change.GONE else meta.resource_version)
        if change is Change.GONE:
            engine.books.forget_secret(place)
            self._wake(key)
        elif engine.books.note_secret(meta, auth=auth):
            self._wake(key)
        elif told:
            # As it should be, for we wrote it: news only for those whose templates are in it.
            for user in engine.books.dependents.of(key):
                if engine.sources.uses(user, key):
                    engine.queue.add(user, Lane.EVENT)
        if auth:
            self.auth_changed(key, change, meta)

    def service_account(self, change: Change, meta: ObjectMeta) -> None:
        """A ServiceAccount's metadata: its role annotation may have changed."""
        key = ObjectKey("ServiceAccount", meta.namespace, meta.name)
        if self._engine.planner.uses(key):
            self.auth_changed(key, change, meta)

    def auth_changed(self, need: ObjectKey, change: Change, meta: ObjectMeta) -> None:
        """What an identity was made from may have changed.

        If it has, its stores are validated again, and who failed by them is looked at. A list tells of
        what changed in a gap of the watch, and of all that did not.
        """
        version = "" if change is Change.GONE else meta.resource_version
        for store in self._engine.planner.changed(need, version):
            self._engine.queue.add(store, Lane.STORE)
            wake(self._engine, store)

    def namespace(self, change: Change, meta: ObjectMeta) -> None:
        """A namespace's labels: conditions of ClusterSecretStores may decide otherwise now, and selectors."""
        books = self._engine.books
        before = books.namespaces.get(meta.name)
        self._membership(change, meta)
        if change is Change.GONE:
            books.namespaces.pop(meta.name, None)
            return
        labels = meta.labels or {}
        books.namespaces[meta.name] = labels
        if before == labels:
            return
        limited_otherwise = limits_by_labels(self._engine, meta.name, before or {}, labels)
        for key in books.by_namespace.get(meta.name, ()):
            record = books.external_secrets[key]
            if before is None and not record.waiting:
                continue  # it got along without; at the start these are all
            if any(map(limited_otherwise, record.depends_on)):
                record.asked = True
            if any(need.kind == names.CLUSTER_SECRET_STORE for need in record.depends_on):
                self._engine.queue.add(key, Lane.EVENT)

    def _membership(self, change: Change, meta: ObjectMeta) -> None:
        """Wake the ClusterExternalSecrets that select a namespace now and did not before, or the other way.

        And the GeneratorStates in one that begins to end.
        """
        books, name = self._engine.books, meta.name
        before = None if name in books.ending else books.namespaces.get(name)
        ending = change is not Change.GONE and meta.deletion_timestamp is not None
        after = None if ending or change is Change.GONE else meta.labels or {}
        if ending and name not in books.ending:
            # At once, before the namespace's Secrets go: what revokes a token may be among them.
            wake_states(self._engine, books.generator_states.within(name))
        books.ending.discard(name)
        if ending:
            books.ending.add(name)
        if not self._engine.settings.cluster_external_secrets:
            return
        if before != after:
            for key, record in books.cluster_external_secrets.items():
                if record.takes(name, before) != record.takes(name, after):
                    self._engine.queue.add(key, Lane.EVENT)
        # Once, and when it ends: who puts a finalizer back is alive, and would do so for ever.
        if is_held(meta) and (ending or name not in books.namespaces):
            self._engine.queue.add(ObjectKey(NAMESPACE, "", name), Lane.EVENT)

    def _wake(self, need: ObjectKey) -> None:
        for dependent in self._engine.books.dependents.of(need):
            self._engine.queue.add(dependent, Lane.EVENT)


def look_again(engine: Engine) -> int:
    """Look at all stores and ExternalSecrets, and read anew what is refreshed at all; how many there are."""
    for key in engine.books.stores:
        engine.queue.add(key, Lane.STORE)
    for key in (*engine.books.cluster_external_secrets, *engine.books.policies.records):
        engine.queue.add(key, Lane.PERIODIC)
    for key, record in engine.books.external_secrets.items():
        record.asked = True
        engine.queue.add(key, Lane.PERIODIC)
    return len(engine.books.stores) + len(engine.books.external_secrets)
