"""Stores say whether they can be used, and who waits for one is served the moment it can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import cluster_store, entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE, TWO = canary("one"), canary("two")
VALIDATION_SAYS_NO = (
    "unable to validate store: unable to validate: spec.provider.fake.validationResult says so"
)


VERDICTS = {
    "unset": (None, "Normal", ("True", "Valid", "store validated")),
    "ready": (0, "Normal", ("True", "Valid", "store validated")),
    "unknown": (1, "Normal", ("True", "ValidationUnknown", "could not determine validation status")),
    "error": (2, "Warning", ("False", "InvalidProviderConfig", VALIDATION_SAYS_NO)),
}


@pytest.mark.parametrize("kind", ["SecretStore", "ClusterSecretStore"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_store_says_what_its_validation_found(
    tenant: Tenant, operator: OperatorProcess, shared_store: str, kind: str, verdict: str
) -> None:
    cluster = kind == "ClusterSecretStore"
    result, type_, told = VERDICTS[verdict]
    tenant.create(store({"db": ONE}, name=shared_store, cluster=cluster, validation_result=result))
    found = tenant.wait_told(shared_store, told[1], kind=kind)

    assert tenant.told(shared_store, kind) == told
    assert found["status"]["capabilities"] == "ReadWrite"
    assert found["status"]["conditions"][0]["observedGeneration"] == 1
    raised = tenant.wait_event(kind, shared_store, told[1])
    assert (raised["type"], raised["message"], raised["count"]) == (type_, told[2], 1)
    assert raised["source"]["component"] == ("cluster-secret-store" if cluster else "secret-store")


@pytest.mark.parametrize(
    ("result", "ready"),
    [
        pytest.param(0, True, id="ready"),
        pytest.param(1, True, id="unknown"),
        pytest.param(2, False, id="error"),
    ],
)
def test_only_a_ready_store_is_asked(
    tenant: Tenant, operator: OperatorProcess, result: int, ready: bool
) -> None:
    tenant.create(store({"db": ONE}, validation_result=result), external_secret("app", entry("v", "db")))

    if ready:
        tenant.wait_synced("app")
        assert tenant.values("app") == {"v": ONE}
        return
    tenant.wait_failed("app")
    where = f'SecretStore "store" is not ready: {VALIDATION_SAYS_NO}'
    assert tenant.told("app") == (
        "False",
        "SecretSyncedError",
        f"could not get secret data from provider: {where}",
    )
    assert tenant.find("Secret", "app") is None


@pytest.mark.parametrize("kind", ["SecretStore", "ClusterSecretStore"])
def test_missing_store_is_told(
    tenant: Tenant, operator: OperatorProcess, shared_store: str, kind: str
) -> None:
    ref = {"name": shared_store, "kind": kind}
    tenant.create(external_secret("app", entry("v", "db"), store=ref))

    tenant.wait_failed("app")
    where = f'"{tenant.namespace}/{shared_store}"' if kind == "SecretStore" else f'"{shared_store}"'
    cause = f"{kind} {where} does not exist. Create it, or correct secretStoreRef"
    assert tenant.told("app") == (
        "False",
        "SecretSyncedError",
        f"could not get secret data from provider: {cause}",
    )


def test_who_waits_for_a_store_is_served_the_moment_it_is_ready(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    """By then the next try of their own is more than three seconds away."""
    tenant.create(
        store({"db": ONE}, name="broken", validation_result=2),
        external_secret("waits-for-missing", entry("v", "db"), store="missing"),
        external_secret("waits-for-cluster", entry("v", "db"), store=cluster_store(shared_store)),
        external_secret("waits-for-broken", entry("v", "db"), store="broken"),
    )
    waiting = ("waits-for-missing", "waits-for-cluster", "waits-for-broken")

    def failed_three_times(name: str) -> bool:
        return tenant.metric(operator, "externalsecret_sync_calls_error", name) >= 3

    for name in waiting:
        eventually(lambda name=name: failed_three_times(name), timeout_s=SYNC_S)
    started = time.monotonic()
    tenant.create(store({"db": ONE}, name="missing"), store({"db": ONE}, name=shared_store, cluster=True))
    tenant.set_store(store({"db": ONE}, name="broken"))
    for name in waiting:
        tenant.wait_synced(name)

    assert time.monotonic() - started < 3
    assert [tenant.values(name) for name in waiting] == [{"v": ONE}] * 3


def test_store_that_is_no_longer_ready_leaves_the_last_good_secret(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    tenant.wait_synced("app")
    tenant.set_store(store({"db": TWO}, validation_result=2))
    tenant.wait_failed("app", "is not ready: unable to validate store")
    held = tenant.values("app")
    tenant.set_store(store({"db": TWO}))
    tenant.wait_synced("app")

    assert held == {"v": ONE}
    assert tenant.values("app") == {"v": TWO}


def test_deleted_store_is_told_at_the_next_refresh_and_missed_by_nobody_before(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"db": ONE}),
        external_secret("soon", entry("v", "db"), refreshInterval="300ms"),
        external_secret("late", entry("v", "db"), refreshInterval="1h"),
    )
    tenant.wait_synced("soon")
    tenant.wait_synced("late")
    tenant.delete("SecretStore", "store")
    tenant.wait_failed("soon", "does not exist")
    late = tenant.told("late")
    tenant.create(store({"db": TWO}))
    tenant.wait_synced("soon")

    assert late == ("True", "SecretSynced", "secret synced")
    assert tenant.values("soon") == {"v": TWO}
    assert tenant.values("late") == {"v": ONE}


def test_changed_store_is_used_from_the_next_refresh_on(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    tenant.wait_values("app", {"v": ONE})
    tenant.set_store(store({"db": TWO}))

    tenant.wait_values("app", {"v": TWO})


def test_store_condition_keeps_its_transition_time_while_its_status_stays(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}))
    first = tenant.wait_told("store", "Valid", kind="SecretStore")["status"]["conditions"][0]
    eventually(lambda: _now() > first["lastTransitionTime"])
    tenant.set_store(store({"db": ONE}, validation_result=1))
    second = tenant.wait_told("store", "ValidationUnknown", kind="SecretStore")["status"]["conditions"][0]
    tenant.set_store(store({"db": ONE}, validation_result=2))
    third = tenant.wait_told("store", "InvalidProviderConfig", kind="SecretStore")["status"]["conditions"][0]

    assert second["lastTransitionTime"] == first["lastTransitionTime"]
    assert third["lastTransitionTime"] > first["lastTransitionTime"]
    assert [one["observedGeneration"] for one in (first, second, third)] == [1, 2, 3]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def validations(tenant: Tenant, operator: OperatorProcess) -> int:
    return operator.log.count(
        f"validated again: nothing new kind=SecretStore namespace={tenant.namespace} name=store"
    )


@pytest.mark.parametrize("interval", [pytest.param(1, id="seconds"), pytest.param("1s", id="duration")])
def test_store_is_validated_again_after_its_own_interval(
    tenant: Tenant, operator: OperatorProcess, interval: Any
) -> None:
    """Which nobody hears of while nothing changes. An edit counts at once, though a longer pause had begun."""
    tenant.create(store({"db": ONE}, refreshInterval="1h"))
    tenant.wait_told("store", "Valid", kind="SecretStore")
    tenant.set_store(store({"db": ONE}, refreshInterval=interval))
    version = tenant.wait_told("store", "Valid", kind="SecretStore")["metadata"]["resourceVersion"]
    eventually(lambda: validations(tenant, operator) >= 2, timeout_s=SYNC_S)

    assert tenant.version("SecretStore", "store") == version
    counts = [(one["reason"], one["count"]) for one in tenant.raw_events("SecretStore", "store")]
    assert counts in ([("Valid", 1)], [("Valid", 2)])


def test_store_is_validated_again_after_the_flags_interval(
    tenant: Tenant, private_operator: Callable[..., OperatorProcess]
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    operator = private_operator("--store-requeue-interval=1s")

    eventually(lambda: validations(tenant, operator) >= 2, timeout_s=SYNC_S)


def test_stores_entry_without_a_value_is_told_by_its_place(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store([{"key": "db", "value": ONE}, {"key": "empty", "value": ""}]))

    tenant.wait_told("store", "InvalidProviderConfig", kind="SecretStore")
    message = "unable to validate store: spec.provider.fake.data[1]: at least one value must be set"
    assert tenant.told("store", "SecretStore") == ("False", "InvalidProviderConfig", message)


def test_changed_store_is_read_anew_by_those_who_use_it_and_nobody_else(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    """Else a store and an ExternalSecret applied together could leave the old store's values for an hour."""
    tenant, old, new = app.tenant, f"{app.namespace}/old/", f"{app.namespace}/new/"
    app.put("old/db", ONE)
    app.put("new/db", TWO)
    app.move_in(prefix=old)
    tenant.create(app.store(name="other", prefix=old))
    tenant.create(external_secret("of-it", entry("v", "db")))
    tenant.create(external_secret("of-both", entry("v", "db"), entry("w", "db", store="other")))
    tenant.create(external_secret("of-other", entry("v", "db"), store="other"))
    tenant.create(external_secret("once", entry("v", "db"), refreshInterval="0"))
    for name in ("of-it", "of-both", "of-other", "once"):
        tenant.wait_synced(name)
    calls = tenant.sync_calls(operator, "of-other")
    tenant.set_store(app.store(prefix=new))
    tenant.wait_values("of-it", {"v": TWO})
    tenant.wait_values("of-both", {"v": TWO, "w": ONE})

    assert tenant.sync_calls(operator, "of-other") == calls
    assert tenant.values("once") == {"v": ONE}
