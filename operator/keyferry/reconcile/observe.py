"""From what watches tell to keys in the queue. Synchronous, tiny, and never O(all objects) on an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyferry.api import names
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import ObjectKey
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.finish import forget
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.secret_store import forget_store, wake


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
        if change is Change.GONE:
            forget(engine, key)
            return
        known = key in engine.books.external_secrets
        if not engine.books.note_external_secret(key, body):
            return
        if known or change is not Change.LISTED:
            engine.queue.add(key, Lane.USER)  # also where a list after a gap tells of a change
            return
        # Found at the start: what was synced before can wait, and every answer from now on is fresh.
        synced = (body.get("status") or {}).get("syncedResourceVersion")
        fresh_from = None if self._listed else self._started
        engine.queue.add(key, Lane.PERIODIC if synced else Lane.USER, fresh_from=fresh_from)

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

    def secret(self, change: Change, meta: ObjectMeta) -> None:
        """A Secret's metadata: a target that drifted, or auth material that changed."""
        engine, place = self._engine, (meta.namespace, meta.name)
        key = ObjectKey("Secret", *place)
        auth = engine.planner.uses(key)
        if change is Change.GONE:
            engine.books.forget_secret(place)
            self._wake(key)
        elif engine.books.note_secret(meta, auth=auth):
            self._wake(key)
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
        """A namespace's labels: conditions of ClusterSecretStores may decide otherwise now."""
        books = self._engine.books
        before = books.namespaces.get(meta.name)
        if change is Change.GONE:
            books.namespaces.pop(meta.name, None)
            return
        labels = meta.labels or {}
        books.namespaces[meta.name] = labels
        if before == labels:
            return
        for key in books.by_namespace.get(meta.name, ()):
            record = books.external_secrets[key]
            if before is None and not record.waiting:
                continue  # it got along without; at the start these are all
            if any(need.kind == names.CLUSTER_SECRET_STORE for need in record.depends_on):
                self._engine.queue.add(key, Lane.EVENT)

    def _wake(self, need: ObjectKey) -> None:
        for dependent in self._engine.books.dependents.of(need):
            self._engine.queue.add(dependent, Lane.EVENT)
