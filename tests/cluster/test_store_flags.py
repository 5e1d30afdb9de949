"""Flags that say which stores are validated and served, and whether who waits for them is held back."""

from __future__ import annotations

import time
from collections.abc import Callable

from keyferry.testing.builders import cluster_store, entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE, TWO = canary("one"), canary("two")
StartOperator = Callable[..., OperatorProcess]
READY = {"type": "Ready", "status": "True", "reason": "Valid", "message": "checked by somebody else"}
NOT_READY = {**READY, "status": "False", "reason": "InvalidProviderConfig"}


def test_without_flood_gate_a_store_is_asked_though_it_is_not_ready(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    private_operator("--enable-flood-gate=false")
    tenant.create(store({"db": ONE}, controller="private", validation_result=2))
    tenant.wait_told("store", "InvalidProviderConfig", kind="SecretStore")
    tenant.create(external_secret("app", entry("v", "db")))

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": ONE}


def test_without_secret_store_reconciler_the_condition_of_somebody_else_counts(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    """At once: by then the object's own next try would be more than three seconds away."""
    operator = private_operator("--enable-secret-store-reconciler=false")
    tenant.create(
        store({"db": ONE}, controller="private"),
        external_secret("app", entry("v", "db"), refreshInterval="300ms"),
    )
    tenant.wait_failed("app", "is not ready: it has no Ready condition")
    eventually(
        lambda: tenant.metric(operator, "externalsecret_sync_calls_error", "app") >= 3, timeout_s=SYNC_S
    )
    started = time.monotonic()
    tenant.set_status("SecretStore", "store", {"conditions": [READY]})
    tenant.wait_synced("app")
    waited = time.monotonic() - started
    tenant.set_status("SecretStore", "store", {"conditions": [NOT_READY]})
    tenant.wait_failed("app", "is not ready: checked by somebody else")

    assert waited < 2.5
    assert tenant.get("SecretStore", "store")["status"] == {"conditions": [NOT_READY]}
    assert tenant.raw_events("SecretStore", "store") == []
    assert tenant.values("app") == {"v": ONE}


def test_without_cluster_store_reconciler_what_uses_one_is_left_alone(
    tenant: Tenant, private_operator: StartOperator, shared_store: str
) -> None:
    operator = private_operator("--enable-cluster-store-reconciler=false")
    tenant.create(
        store({"db": ONE}, name=shared_store, cluster=True, controller="private"),
        store({"db": TWO}, controller="private"),
        external_secret("app", entry("v", "db"), store=cluster_store(shared_store)),
        external_secret("mixed", entry("v", "db"), entry("w", "db", store=cluster_store(shared_store))),
        external_secret("witness", entry("v", "db")),
    )
    tenant.wait_synced("witness")
    for name in ("app", "mixed"):
        tenant.wait_looks(operator, name)

    assert "status" not in tenant.get("ClusterSecretStore", shared_store)
    for name in ("app", "mixed"):
        assert "status" not in tenant.get("ExternalSecret", name)
        assert tenant.find("Secret", name) is None
