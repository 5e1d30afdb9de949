"""When values are read again: refreshPolicy, refreshInterval, and what counts as a change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from keyferry.testing.builders import entry, external_secret, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE, TWO, THREE = canary("one"), canary("two"), canary("three")

FOLLOWING: dict[str, Any] = {
    "periodic": {"refreshInterval": "1h"},
    "periodic-by-name": {"refreshPolicy": "Periodic", "refreshInterval": "1h"},
    "on-change": {"refreshPolicy": "OnChange"},
    "on-change-with-interval-0": {"refreshPolicy": "OnChange", "refreshInterval": "0"},
}
ONCE: dict[str, Any] = {
    "created-once": {"refreshPolicy": "CreatedOnce"},
    "interval-0": {"refreshInterval": "0"},
    "interval-0s": {"refreshInterval": "0s"},
    "interval-negative": {"refreshInterval": "-1h"},
}
CHANGES: dict[str, Callable[[Tenant], object]] = {
    "spec": lambda tenant: tenant.edit_spec("app", data=[entry("v", "db"), entry("w", "db")]),
    "label": lambda tenant: tenant.label("ExternalSecret", "app", {"team": "b"}),
    "annotation": lambda tenant: tenant.annotate("ExternalSecret", "app", {"force-sync": "1700000000"}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("policy", FOLLOWING)
def test_change_of_the_object_reads_again_at_once(
    tenant: Tenant, operator: OperatorProcess, policy: str, change: str
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), **FOLLOWING[policy]))
    before = tenant.wait_synced("app")["status"]
    tenant.set_store(store({"db": TWO}))
    tenant.wait_told("store", "Valid", kind="SecretStore")  # its watch is another than the object's
    CHANGES[change](tenant)
    expected = {"v": TWO, "w": TWO} if change == "spec" else {"v": TWO}
    tenant.wait_values("app", expected)

    eventually(
        lambda: (
            tenant.get("ExternalSecret", "app")["status"]["syncedResourceVersion"]
            != before["syncedResourceVersion"]
        )
    )


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("policy", ONCE)
def test_change_of_the_object_is_ignored_by_what_reads_once(
    tenant: Tenant, operator: OperatorProcess, policy: str, change: str
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), **ONCE[policy]))
    before = tenant.wait_synced("app")["status"]
    looks, calls = tenant.looks(operator, "app"), tenant.sync_calls(operator, "app")
    tenant.set_store(store({"db": TWO}))
    CHANGES[change](tenant)
    tenant.wait_looks(operator, "app", more_than=looks)

    assert tenant.values("app") == {"v": ONE}
    assert tenant.get("ExternalSecret", "app")["status"] == before
    assert tenant.sync_calls(operator, "app") == calls


@pytest.mark.parametrize("policy", ONCE)
def test_edit_of_the_secret_is_repaired_also_by_what_reads_once(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), **ONCE[policy]))
    tenant.wait_synced("app")
    tenant.set_data("app", {"v": TWO})
    tenant.wait_values("app", {"v": ONE})
    tenant.delete("Secret", "app")

    tenant.wait_values("app", {"v": ONE})


WAITING: dict[str, Any] = {
    "on-change": {"refreshPolicy": "OnChange", "refreshInterval": "300ms"},
    "created-once": {"refreshPolicy": "CreatedOnce", "refreshInterval": "300ms"},
    "interval-0": {"refreshInterval": "0"},
    "interval-not-over": {"refreshInterval": "1h"},
}


def test_value_that_changes_at_the_store_waits_for_its_turn(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}))
    for name, fields in WAITING.items():
        tenant.create(external_secret(name, entry("v", "db"), **fields))
    tenant.create(external_secret("witness", entry("v", "db"), refreshInterval="300ms"))
    for name in (*WAITING, "witness"):
        tenant.wait_synced(name)
    tenant.set_store(store({"db": TWO}))
    tenant.wait_values("witness", {"v": TWO})
    calls = tenant.sync_calls(operator, "witness")
    tenant.wait_refreshes(operator, "witness", calls + 2)

    assert [tenant.values(name) for name in WAITING] == [{"v": ONE}] * len(WAITING)


@pytest.mark.parametrize(
    "fields",
    [pytest.param({}, id="unset"), pytest.param({"refreshInterval": None}, id="null")],
)
def test_interval_is_an_hour_where_none_is_given(
    tenant: Tenant, operator: OperatorProcess, fields: Any
) -> None:
    tenant.create(store({"db": ONE}))
    created = tenant.create(external_secret("app", entry("v", "db"), **fields))

    tenant.wait_synced("app")
    assert created["spec"]["refreshInterval"] == "1h0m0s"


def test_rotation_is_seen_within_the_interval_and_a_second(tenant: Tenant, operator: OperatorProcess) -> None:
    """The store is edited right after a refresh, which makes the longest wait there is.

    The better of two: others may hold the machine for a moment, an operator that is late is so each time.
    """
    tenant.create(store({"db": "0"}), external_secret("app", entry("v", "db"), refreshInterval="2s"))
    tenant.wait_values("app", {"v": "0"})
    waits = []
    for value in (ONE, TWO):
        tenant.set_store(store({"db": value}))
        edited = time.monotonic()
        tenant.wait_values("app", {"v": value})
        waits.append(time.monotonic() - edited)

    assert min(waits) > 1.0, "the interval was not waited for"
    assert min(waits) <= 3.0


def test_shorter_interval_counts_from_its_edit_on(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), refreshInterval="1h"))
    tenant.wait_synced("app")
    tenant.edit_spec("app", refreshInterval="300ms")
    tenant.wait_synced("app")
    tenant.set_store(store({"db": TWO}))
    tenant.wait_values("app", {"v": TWO})
    tenant.edit_spec("app", refreshInterval="0")
    calls = tenant.sync_calls(operator, "app")
    tenant.set_store(store({"db": THREE}))
    tenant.create(external_secret("witness", entry("v", "db"), refreshInterval="300ms"))
    tenant.wait_refreshes(operator, "witness", 3)

    assert tenant.values("app") == {"v": TWO}
    assert tenant.sync_calls(operator, "app") <= calls + 1


def test_spec_that_changes_while_it_fails_is_tried_at_once(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "typo")))
    tenant.wait_failed("app")
    eventually(lambda: tenant.sync_calls(operator, "app") >= 3, timeout_s=SYNC_S)
    tenant.edit_spec("app", data=[entry("v", "db")])

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": ONE}


def test_remote_secret_that_appears_is_found_by_a_retry(tenant: Tenant, operator: OperatorProcess) -> None:
    """Long before its interval, and though nothing of the object changes."""
    tenant.create(store({"other": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_failed("app")
    tenant.set_store(store({"db": ONE}))

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": ONE}


# The status is written for its refreshTime alone no more often than --refresh-status-interval.


def test_refresh_that_finds_nothing_new_writes_nothing(tenant: Tenant, operator: OperatorProcess) -> None:
    policies = ("owner", "orphan", "merge", "create-or-merge", "none")
    tenant.create(store({"db": ONE}), secret("merge", {"theirs": TWO}))
    for name in policies:
        target = {
            "creationPolicy": "".join(word.capitalize() if word != "or" else "Or" for word in name.split("-"))
        }
        tenant.create(external_secret(name, entry("v", "db"), target=target, refreshInterval="300ms"))
    for name in policies:
        tenant.wait_synced(name)
    for name in ("owner", "merge"):
        tenant.wait_event("ExternalSecret", name, "Updated" if name == "merge" else "Created")

    def versions() -> list[str]:
        objects = [tenant.get("ExternalSecret", name) for name in policies]
        objects += [tenant.get("Secret", name) for name in policies if name != "none"]
        objects += [event for name in policies for event in tenant.raw_events("ExternalSecret", name)]
        return [one["metadata"]["resourceVersion"] for one in objects]

    before = versions()
    calls = {name: tenant.sync_calls(operator, name) for name in policies}
    for name in policies:
        tenant.wait_refreshes(operator, name, calls[name] + 3)

    assert versions() == before


def test_refresh_time_is_written_as_often_as_the_flag_says(
    tenant: Tenant, private_operator: Callable[..., OperatorProcess]
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    tenant.create(external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    operator = private_operator("--refresh-status-interval=1s")
    tenant.wait_synced("app")
    calls = tenant.sync_calls(operator, "app")
    times = []

    def three_times() -> bool:
        seen = tenant.get("ExternalSecret", "app")["status"]["refreshTime"]
        if seen not in times:
            times.append(seen)
        return len(times) == 3

    eventually(three_times, timeout_s=SYNC_S)
    refreshes = tenant.sync_calls(operator, "app") - calls
    assert refreshes > len(times), "every refresh was written"
    assert times == sorted(times)
    assert tenant.ready("app")["lastTransitionTime"] <= times[0]
