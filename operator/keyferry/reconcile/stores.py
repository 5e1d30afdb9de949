"""Using a store from an ExternalSecret: every guard that must hold before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keyferry.api import names
from keyferry.api.external_secret import SecretStoreRef
from keyferry.core.store_policy import Admission, depends_on_labels
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
from keyferry.ports import Found, ObjectKey, Provider, StoreView
from keyferry.reconcile.addresses import check_addresses
from keyferry.reconcile.books import StoreRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Lane


class Unsettled(NotReadyError):
    """The store has not been validated yet since we started: its turn comes first, ours right after."""

    reason = "Unsettled"


@dataclass(frozen=True, slots=True)
class KeyGate:
    """What StorePolicies let a namespace have of a store.

    Args:
        labels: of the namespace; None where they are not known or do not matter.
        changes_unseen: whether nobody tells when those change.
    """

    store: StoreView
    provider: Provider
    admission: Admission
    labels: Mapping[str, str] | None = None
    changes_unseen: bool = False

    def check(self, key: str) -> None:
        """Check a remote key as a manifest names it.

        Raises:
            ForbiddenError: it is not let in.
            SpecError: it leads elsewhere than it looks.
        """
        try:
            self.admission.check(self.provider.canonical(self.store, key), key)
        except ForbiddenError as error:
            raise self._in_time(error) from None

    def check_any(self) -> None:
        """Check that anything at all can be let in.

        Raises:
            ForbiddenError: no pattern is for the namespace.
        """
        try:
            self.admission.check_any()
        except ForbiddenError as error:
            raise self._in_time(error) from None

    def lets_in(self, found: Found) -> bool:
        """Whether something that a search found is let in."""
        try:
            key = self.provider.canonical(self.store, found.remote_key)
        except SpecError:
            return False
        return self.admission.lets_in(key)

    def _in_time(self, error: ForbiddenError) -> ForbiddenError:
        if self.changes_unseen:
            error.retry = BACKOFF
        return error


@dataclass(frozen=True, slots=True)
class StoreUse:
    """A store that may be asked, and how.

    Args:
        gate: which remote keys it may be asked for; None for all.
    """

    key: ObjectKey
    provider: Provider
    binding: Binding
    gate: KeyGate | None = None


def store_key(ref: SecretStoreRef, namespace: str) -> ObjectKey:
    """The key of the store that a reference in a namespace means."""
    if ref.kind == names.CLUSTER_SECRET_STORE:
        return ObjectKey(names.CLUSTER_SECRET_STORE, "", ref.name)
    return ObjectKey(names.SECRET_STORE, namespace, ref.name)


def store_ref(key: ObjectKey) -> SecretStoreRef:
    """A reference that means the store, from its own namespace where it has one."""
    if key.kind == names.CLUSTER_SECRET_STORE:
        return SecretStoreRef(name=key.name, kind="ClusterSecretStore")
    return SecretStoreRef(name=key.name)


async def use_store(
    engine: Engine,
    ref: SecretStoreRef,
    namespace: str,
    admit: Callable[[KeyGate], None] = lambda _: None,
) -> StoreUse:
    """The store for an ExternalSecret of a namespace, after every check.

    Args:
        admit: called where StorePolicies limit the store, before anybody is asked anything; raises where
            something is wanted that they do not let in.

    Raises:
        Unsettled: its first validation is still under way.
        NotReadyError: it does not exist, or is not ready, or StorePolicies are not known; the message has the cause.
        ForbiddenError: its conditions do not let the namespace in, or StorePolicies what it wants.
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
    gate = None
    if record.view.cluster_scoped:
        await _check_namespace(engine, record.view, namespace)
        gate = await _gate(engine, record.view, record.labels, namespace, provider)
        if gate is not None:
            admit(gate)
    if engine.settings.flood_gate:
        _check_ready(engine, key, record)
    else:
        await check_store(engine, record.view)
    return StoreUse(key, provider, await engine.planner.bind(record.view, namespace), gate)


async def _gate(
    engine: Engine, store: StoreView, labels: Mapping[str, str], namespace: str, provider: Provider
) -> KeyGate | None:
    """What StorePolicies say of a ClusterSecretStore and a namespace; None where none selects the store.

    Raises:
        NotReadyError: they are not known.
        KubeError: the API server cannot be asked for the namespace's labels.
    """
    policies = engine.books.policies
    policies.check_known()
    chosen = policies.of(store.key, labels)
    if not chosen:
        return None
    by_label = depends_on_labels(chosen)
    known = await _namespace_labels(engine, namespace) if by_label else None
    admission = policies.admission(store.key, chosen, namespace, known)
    return KeyGate(store, provider, admission, known, by_label and bool(engine.settings.namespace))


def check_still_lets_in(engine: Engine, use: StoreUse, namespace: str) -> None:
    """Check that policies have not changed while the store was asked: a slow answer outlives no denial.

    Raises:
        Unsettled: they have; who is concerned has been told to look again.
    """
    policies, record = engine.books.policies, engine.books.stores.get(use.key)
    if use.key.namespace or record is None:
        return
    chosen = policies.of(use.key, record.labels)
    now = before = use.gate.admission if use.gate is not None else None
    if chosen:
        labels = use.gate.labels if use.gate is not None else None
        if depends_on_labels(chosen):
            labels = engine.books.namespaces.get(namespace, labels)
        now = policies.admission(use.key, chosen, namespace, labels)
    same = now is before or (now is not None and before is not None and now.lets_in_as(before))
    if not policies.known or not same:
        raise Unsettled(f"what StorePolicies let in of {use.key} has changed meanwhile")


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
