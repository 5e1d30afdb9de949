"""StorePolicies: in force as soon as they are told of, those concerned are woken, and each has a status.

What they let in is decided in `core.store_policy`, and asked in `stores` before anything else.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.api.conditions import Condition
from keyferry.api.store_policy import StorePolicyStatus
from keyferry.core.store_policy import Difference, admission, depends_on_labels
from keyferry.core.summarize import timestamp
from keyferry.errors import KubeError, KubeForbidden, KubeNotFound
from keyferry.kube.watch import Change, Partial
from keyferry.ports import ObjectKey
from keyferry.reconcile.debts import Debt, put_status
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.policies import PolicyRecord
from keyferry.reconcile.queue import Claim, Lane
from keyferry.reconcile.secret_store import users, wake

log = logging.getLogger(__name__)

MESSAGE_UNUSED: Final = "selects no ClusterSecretStore"
_CONFLICT_S: Final = 1.0
"""Pause before a status is written again that somebody else was quicker with."""


# -- what the watch tells


def observe_policy(engine: Engine, change: Change, found: Partial) -> None:
    """An event about a StorePolicy: in force before the next event."""
    key = ObjectKey(names.STORE_POLICY, "", found.metadata.name)
    policies = engine.books.policies
    before = policies.records.get(key)
    if change is Change.GONE:
        engine.debts.store_policies.pop(key, None)
        engine.queue.forget(key)
        if policies.forget(key):
            log.info("%s is gone", key)
            _tell_all(engine, before)
    elif policies.note(key, found):
        engine.debts.store_policies.pop(key, None)
        engine.queue.add(key, Lane.STORE)
        _tell_all(engine, before, policies.records[key])


def policies_listed(engine: Engine) -> None:
    """All policies have been told: what waited for that goes on."""
    policies = engine.books.policies
    if policies.known:
        return
    policies.listed()
    _tell_all(engine)
    _wake_all(engine)


def policies_unserved(engine: Engine) -> None:
    """The API server says that there is no such kind."""
    if not engine.books.policies.known:
        engine.books.policies.unserved()
        _wake_all(engine)


def policies_failed(engine: Engine, error: Exception) -> bool:
    """Policies could not be listed or watched; whether they have to be listed again.

    Being refused closes all ClusterSecretStores. While nobody answers, what was known stays in force: no
    Secret can be written then either.
    """
    if not isinstance(error, KubeForbidden):
        return False
    policies = engine.books.policies
    if policies.known:
        log.warning("StorePolicies may not be read any more: no ClusterSecretStore is read until they may")
    policies.refused(error)
    return True


def store_changed(engine: Engine, store: ObjectKey) -> None:
    """A store was told of: other policies may select it now."""
    if not store.namespace and engine.books.policies.known:
        _tell(engine, store)


def limits_by_labels(
    engine: Engine, namespace: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Callable[[ObjectKey], bool]:
    """Whether policies about a store mean something else for a namespace whose labels have changed."""
    policies, stores = engine.books.policies, engine.books.stores

    @functools.cache
    def differs(store: ObjectKey) -> bool:
        record = stores.get(store)
        chosen = policies.of(store, record.labels) if record is not None and not store.namespace else ()
        if not depends_on_labels(chosen):
            return False
        return not admission(chosen, namespace, before).lets_in_as(admission(chosen, namespace, after))

    return differs


def stores_listed(engine: Engine) -> None:
    """All stores have been told: each policy can count its own."""
    engine.books.complete.add(names.CLUSTER_SECRET_STORE)
    for key in engine.books.policies.records:
        engine.queue.add(key, Lane.STORE)


def _wake_all(engine: Engine) -> None:
    for store in engine.books.stores:
        if not store.namespace:
            wake(engine, store)


def _tell_all(engine: Engine, *changed: PolicyRecord | None) -> None:
    """Look at all ClusterSecretStores, and at those who use the ones concerned.

    Args:
        changed: a policy as it was and as it is, if it is only one: other stores than these select are left out.
    """
    if not engine.books.policies.known:
        return
    selecting = [record.policy for record in changed if record is not None]
    for store in dict.fromkeys((*engine.books.stores, *engine.books.policies.told)):
        if store.namespace:
            continue
        record = engine.books.stores.get(store)
        if (
            not selecting
            or record is None
            or any(one.selects(store.name, record.labels) for one in selecting)
        ):
            _tell(engine, store)


def _tell(engine: Engine, store: ObjectKey) -> None:
    """Look again at those users of a store for whose namespace its policies mean something else now.

    Those who came to nothing may be told so in other words now; they are looked at, and not read anew.
    """
    policies, record = engine.books.policies, engine.books.stores.get(store)
    was = policies.told.get(store, ())
    now = policies.of(store, record.labels) if record is not None else ()
    if was == now:
        return
    if now:
        policies.told[store] = now
    else:
        policies.told.pop(store, None)
    for name in {one.name for one in was} ^ {one.name for one in now}:
        if (key := ObjectKey(names.STORE_POLICY, "", name)) in policies.records:
            engine.queue.add(key, Lane.STORE)  # its count of stores is another
    difference = Difference(was, now)
    concerned: dict[str, bool] = {}
    for dependent, secret in users(engine, store):
        namespace = dependent.namespace
        if namespace not in concerned:
            labels = engine.books.namespaces.get(namespace)
            concerned[namespace] = difference.concerns(namespace, labels)
        if concerned[namespace]:
            secret.asked = True
        if concerned[namespace] or secret.waiting:
            engine.queue.add(dependent, Lane.EVENT)


# -- the status


async def reconcile_store_policy(engine: Engine, claim: Claim) -> None:
    """Say whether a policy can be used, and how many stores it limits."""
    key = claim.key
    record = engine.books.policies.records.get(key)
    if record is None:
        return
    if engine.settings.namespace or not engine.settings.cluster_stores:
        return  # whoever serves all namespaces and their stores says it
    if names.CLUSTER_SECRET_STORE not in engine.books.complete:
        return  # looked at again when all stores are known
    after = _status(engine, record)
    debt = engine.debts.store_policies.get(key)
    due = debt is None or engine.queue.now() >= debt.not_before
    if after != record.read_status() and due:
        await _write(engine, key, record, after)
    if (debt := engine.debts.store_policies.get(key)) is not None:
        engine.queue.schedule(key, debt.not_before, Lane.RETRY)


def _status(engine: Engine, record: PolicyRecord) -> StorePolicyStatus:
    before, policy = record.read_status(), record.policy
    count = sum(
        policy.selects(key.name, store.labels)
        for key, store in engine.books.stores.items()
        if not key.namespace
    )
    message = f"limits {count} ClusterSecretStore{'s' if count != 1 else ''}" if count else MESSAGE_UNUSED
    status, reason = c.TRUE, c.STORE_VALID
    if policy.problem:
        status, reason = c.FALSE, c.STORE_POLICY_INVALID
        message = f"the policy cannot be used and lets nothing in: {policy.problem}"
    old = next((one for one in before.conditions if one.type == c.READY), None)
    kept = old.last_transition_time if old is not None and old.status == status else ""
    ready = Condition(
        type=c.READY,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=kept or timestamp(engine.clock.now()),
        observed_generation=record.generation,
    )
    return StorePolicyStatus(stores=count, conditions=(ready,))


async def _write(engine: Engine, key: ObjectKey, record: PolicyRecord, after: StorePolicyStatus) -> None:
    async def catch_up() -> bool:
        # Somebody wrote at the same moment: the watch tells of it.
        engine.queue.schedule(key, engine.queue.now() + _CONFLICT_S, Lane.RETRY)
        return False

    try:
        written = await put_status(engine.api, key, record, msgspec.json.encode(after), catch_up)
    except KubeNotFound:
        return  # its watch will tell
    except KubeError as error:
        debt = engine.debts.store_policies.setdefault(key, Debt())
        debt.refused(error, engine.queue.now(), engine.random.random())
    else:
        engine.debts.store_policies.pop(key, None)
        if written:
            _log(record)


def _log(record: PolicyRecord) -> None:
    problem = record.policy.problem
    log.log(logging.WARNING if problem else logging.INFO, "%s", problem or "in force")
