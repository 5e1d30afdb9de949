"""Using a store from an ExternalSecret: every guard that must hold before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keyferry.api import names
from keyferry.api.external_secret import SecretStoreRef
from keyferry.core.stores import check_namespace, check_references, is_our_class
from keyferry.errors import (
    BACKOFF,
    ForbiddenError,
    KubeForbidden,
    KubeNotFound,
    NotAvailableError,
    NotReadyError,
    SpecError,
)
from keyferry.kube.status import object_path
from keyferry.planner.planner import Binding
from keyferry.ports import ObjectKey, Provider, StoreView
from keyferry.reconcile.addresses import check_addresses
from keyferry.reconcile.books import StoreRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Lane


class Unsettled(NotReadyError):
    """The store has not been validated yet since we started: its turn comes first, ours right after."""

    reason = "Unsettled"


@dataclass(frozen=True, slots=True)
class StoreUse:
    """A store that may be asked, and how."""

    key: ObjectKey
    provider: Provider
    binding: Binding


def store_key(ref: SecretStoreRef, namespace: str) -> ObjectKey:
    """The key of the store that a reference in a namespace means."""
    if ref.kind == names.CLUSTER_SECRET_STORE:
        return ObjectKey(names.CLUSTER_SECRET_STORE, "", ref.name)
    return ObjectKey(names.SECRET_STORE, namespace, ref.name)


async def use_store(engine: Engine, ref: SecretStoreRef, namespace: str) -> StoreUse:
    """The store for an ExternalSecret of a namespace, after every check.

    Raises:
        Unsettled: its first validation is still under way.
        NotReadyError: it does not exist, or is not ready; the message has the cause.
        ForbiddenError: its conditions do not let the namespace in.
        SpecError, NotAvailableError: its spec cannot be used.
        KeyferryError: its identity cannot be gathered.
    """
    key = store_key(ref, namespace)
    record = engine.books.stores.get(key) or await _look_for(engine, key)
    if not is_our_class(record.controller, engine.settings.controller_class):
        # Found a moment ago, ahead of its watch: the next look leaves the ExternalSecret alone.
        raise Unsettled(f"{key} is of another controller class")
    if record.view is None:
        raise SpecError(f"{key} has an invalid spec: {record.problem}")
    provider = engine.providers.get(record.view.provider)
    if provider is None:
        raise unavailable_provider(record.view.provider)
    if record.view.cluster_scoped:
        await _check_namespace(engine, record.view, namespace)
    if engine.settings.flood_gate:
        _check_ready(engine, key, record)
    else:
        await check_store(engine, record.view)
    return StoreUse(key, provider, await engine.planner.bind(record.view, namespace))


async def check_store(engine: Engine, store: StoreView) -> None:
    """Check what holds for every provider: references stay in the namespace, addresses are for stores.

    Raises:
        ForbiddenError: one does not, or is not.
        SpecError: an address cannot be read.
    """
    check_references(store.block, store.key.namespace, f"spec.provider.{store.provider}")
    await check_addresses(engine.settings.addresses, store)


def unavailable_provider(name: str) -> NotAvailableError:
    """What is told of a provider that the API has and we do not yet."""
    return NotAvailableError(
        f'provider "{name}" is not available yet in this version of Keyferry',
        hint="The store is kept as it is; another operator may serve it under its own controller class",
    )


async def _look_for(engine: Engine, key: ObjectKey) -> StoreRecord:
    """A store that the watch has not told of: it may have been created a moment ago, or not at all."""
    try:
        body = await engine.api.read(object_path(key))
    except KubeNotFound:
        raise NotReadyError(f"{key} does not exist", hint="Create it, or correct secretStoreRef") from None
    engine.books.note_store(key, body)
    engine.queue.add(key, Lane.STORE)
    return engine.books.stores[key]


def _check_ready(engine: Engine, key: ObjectKey, record: StoreRecord) -> None:
    ready, cause = record.ready, record.cause
    if not engine.settings.validates(key):
        # Somebody else validates stores: the condition on the object is what we know.
        condition = next((c for c in record.read_status().conditions if c.type == "Ready"), None)
        ready = condition is not None and condition.status == "True"
        cause = condition.message if condition is not None else "it has no Ready condition"
    if ready is None:
        raise Unsettled(f"{key} has not been validated yet")
    if not ready:
        raise NotReadyError(f'{key.kind} "{key.name}" is not ready: {cause}')


async def _check_namespace(engine: Engine, store: StoreView, namespace: str) -> None:
    """Check that a store's conditions let the namespace in.

    Raises:
        ForbiddenError: they do not.
        SpecError: they cannot be read.
        KubeError: the API server cannot be asked for the namespace's labels: no answer is no denial.
    """
    by_label = any(condition.namespace_selector is not None for condition in store.spec.conditions)
    labels = await _namespace_labels(engine, namespace) if by_label else None
    try:
        check_namespace(store.spec, store.key.name, namespace, labels)
    except ForbiddenError as error:
        if by_label and engine.settings.namespace:
            error.retry = BACKOFF  # namespaces are not watched then: nobody tells of new labels
        raise


async def _namespace_labels(engine: Engine, namespace: str) -> Mapping[str, str] | None:
    """The namespace's labels, read only where no watch has told; None where there are none to be had."""
    watched = engine.books.namespaces
    if (labels := watched.get(namespace)) is not None:
        return labels
    try:
        labels = await engine.access.read_namespace_labels(namespace)
    except (KubeNotFound, KubeForbidden):
        labels = None
    # What the watch has told meanwhile it goes on to tell of; what was read, it does not.
    return watched.get(namespace, labels)
