"""deletionPolicy decides what becomes of the Secret when the store no longer has what it is made of."""

from __future__ import annotations

import pytest

from keyferry.testing.builders import entry, external_secret, extract, secret, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
DELETED = ("True", "SecretDeleted", "secret deleted due to DeletionPolicy=Delete")
RETAINED = ("True", "SecretSynced", "secret retained due to DeletionPolicy=Retain")
SYNCED = ("True", "SecretSynced", "secret synced")


def missing(where: str) -> tuple[str, str, str]:
    return "Normal", "MissingProviderSecret", f"secret does not exist at provider using spec.{where}"


@pytest.mark.parametrize("policy", ["Owner", "Orphan", "Merge", "CreateOrMerge"])
def test_retain_keeps_the_last_good_secret_and_reports_what_is_gone(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"a": ONE, "b": ONE}), secret("app", {"theirs": TWO}))
    tenant.create(
        external_secret(
            "app",
            entry("a", "a"),
            entry("b", "b"),
            target={"creationPolicy": policy},
            refreshInterval="300ms",
        )
    )
    tenant.wait_synced("app")
    before = tenant.values("app"), tenant.version("Secret", "app")
    tenant.set_store(store({"a": TWO}))
    tenant.wait_failed("app", "spec.data[1] (key: b)")

    assert (tenant.values("app"), tenant.version("Secret", "app")) == before
    assert [one for one in tenant.events("ExternalSecret", "app") if one[1] == "MissingProviderSecret"] == []


def test_retain_keeps_the_secret_where_the_remote_secret_has_become_empty(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"doc": f'{{"v":"{ONE}"}}'}), external_secret("app", extract("doc"), refreshInterval="300ms")
    )
    tenant.wait_synced("app")
    tenant.set_store(store({"doc": "{}"}))
    tenant.wait_told("app", "SecretSynced", holding="retained")

    assert tenant.told("app") == RETAINED
    assert tenant.values("app") == {"v": ONE}


def test_empty_remote_secret_makes_no_secret_under_retain(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"doc": "{}"}), external_secret("app", extract("doc")))

    tenant.wait_synced("app")
    assert tenant.told("app") == RETAINED
    assert tenant.find("Secret", "app") is None


def test_delete_removes_the_secret_once_all_is_gone_and_makes_it_again(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"a": ONE, "b": ONE}))
    tenant.create(
        external_secret(
            "app",
            entry("a", "a"),
            entry("b", "b"),
            target={"deletionPolicy": "Delete"},
            refreshInterval="300ms",
        )
    )
    tenant.wait_synced("app")
    tenant.set_store(store({"b": ONE}))
    tenant.wait_values("app", {"b": ONE})
    partly = tenant.told("app")
    tenant.set_store(store({}))
    tenant.wait_told("app", "SecretDeleted")
    entirely = tenant.told("app"), tenant.find("Secret", "app")
    tenant.wait_event("ExternalSecret", "app", "Deleted")
    tenant.set_store(store({"a": TWO, "b": TWO}))
    tenant.wait_values("app", {"a": TWO, "b": TWO})
    tenant.wait_synced("app")

    assert partly == SYNCED
    assert entirely == (DELETED, None)
    events = tenant.events("ExternalSecret", "app")
    assert ("Normal", "Deleted", "secret deleted due to DeletionPolicy=Delete") in events
    assert missing("dataFrom[0] (key=a)") in events
    assert missing("dataFrom[1] (key=b)") in events


def test_missing_remote_secret_to_extract_is_told_by_its_place(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"a": ONE}),
        external_secret("app", entry("a", "a"), extract("doc"), target={"deletionPolicy": "Merge"}),
    )
    tenant.wait_synced("app")
    tenant.wait_event("ExternalSecret", "app", "MissingProviderSecret")

    assert missing("dataFrom[0]") in tenant.events("ExternalSecret", "app")
    assert tenant.values("app") == {"a": ONE}


def test_what_is_missing_is_told_once_and_not_at_each_refresh(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"a": ONE}))
    tenant.create(
        external_secret(
            "app",
            entry("a", "a"),
            entry("b", "gone"),
            target={"deletionPolicy": "Delete"},
            refreshInterval="300ms",
        )
    )
    tenant.wait_synced("app")
    tenant.wait_event("ExternalSecret", "app", "MissingProviderSecret")
    calls = tenant.sync_calls(operator, "app")
    tenant.wait_refreshes(operator, "app", calls + 3)

    counts = [(one["reason"], one["count"]) for one in tenant.raw_events("ExternalSecret", "app")]
    assert sorted(counts) == [("Created", 1), ("MissingProviderSecret", 1)]


def test_missing_property_counts_as_missing_in_the_fake_store(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"doc": f'{{"a":"{ONE}"}}'}))
    tenant.create(
        external_secret(
            "app",
            entry("a", "doc", property="a"),
            entry("b", "doc", property="b"),
            target={"deletionPolicy": "Merge"},
        )
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {"a": ONE}


def test_delete_of_a_secret_that_is_not_owned_fails_at_run_time(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Orphan passes admission, as in the established operator."""
    target = {"deletionPolicy": "Delete", "creationPolicy": "Orphan"}
    tenant.create(
        store({"db": ONE}), external_secret("app", entry("v", "db"), target=target, refreshInterval="300ms")
    )
    tenant.wait_synced("app")
    tenant.set_store(store({}))
    tenant.wait_failed("app")

    cause = "deletionPolicy=Delete with creationPolicy=Orphan: the target is not owned"
    message = f"could not delete secret: {cause}. Please set creationPolicy=Owner"
    assert tenant.told("app") == ("False", "SecretSyncedError", message)
    assert tenant.values("app") == {"v": ONE}


def test_delete_never_takes_a_secret_that_is_somebody_elses(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({}), secret("app", {"theirs": TWO}))
    tenant.create(external_secret("app", entry("v", "gone"), target={"deletionPolicy": "Delete"}))

    tenant.wait_failed("app", "is not controlled by this ExternalSecret")
    assert tenant.values("app") == {"theirs": TWO}


def test_secret_that_somebody_puts_in_the_place_of_a_deleted_one_is_left_alone(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({}), external_secret("app", entry("v", "gone"), target={"deletionPolicy": "Delete"}))
    tenant.wait_told("app", "SecretDeleted")
    tenant.create(secret("app", {"theirs": TWO}))
    tenant.wait_failed("app", "is not controlled by this ExternalSecret")
    held = tenant.values("app")
    tenant.delete("Secret", "app")
    tenant.wait_told("app", "SecretDeleted")

    assert held == {"theirs": TWO}


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        pytest.param("Owner", {}, id="owner-leaves-an-empty-secret"),
        pytest.param("Orphan", {}, id="orphan-leaves-an-empty-secret"),
        pytest.param("Merge", {"theirs": TWO}, id="merge-leaves-others-keys"),
        pytest.param("CreateOrMerge", {"theirs": TWO}, id="create-or-merge-leaves-others-keys"),
    ],
)
def test_merge_removes_only_the_keys_that_are_gone(
    tenant: Tenant, operator: OperatorProcess, policy: str, left: dict[str, str]
) -> None:
    tenant.create(store({"a": ONE, "b": ONE}), secret("app", {"theirs": TWO}))
    tenant.create(
        external_secret(
            "app",
            entry("a", "a"),
            entry("b", "b"),
            target={"creationPolicy": policy, "deletionPolicy": "Merge"},
            refreshInterval="300ms",
        )
    )
    tenant.wait_values("app", {"a": ONE, "b": ONE, **left})
    tenant.set_store(store({"b": ONE}))
    tenant.wait_values("app", {"b": ONE, **left})
    tenant.set_store(store({}))
    tenant.wait_values("app", left)

    assert tenant.told("app") == SYNCED


def test_merge_makes_no_secret_of_nothing_where_it_may_not_create(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    target = {"creationPolicy": "Merge", "deletionPolicy": "Merge"}
    tenant.create(store({}), external_secret("app", entry("v", "gone"), target=target))

    tenant.wait_told("app", "SecretMissing")
    assert tenant.find("Secret", "app") is None
