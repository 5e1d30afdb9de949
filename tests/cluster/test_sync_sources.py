"""Entries from several remote secrets and stores become one Secret, in the API's order."""

from __future__ import annotations

import json

import pytest

from keyferry.testing.builders import cluster_store, entry, external_secret, extract, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO, THREE = canary("one"), canary("two"), canary("three")


def test_target_has_the_external_secrets_name_unless_it_names_one(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"db": ONE}),
        external_secret("plain", entry("v", "db")),
        external_secret("named", entry("v", "db"), target={"name": "other"}),
    )

    tenant.wait_synced("plain")
    tenant.wait_synced("named")
    assert tenant.values("plain") == {"v": ONE}
    assert tenant.values("other") == {"v": ONE}
    assert tenant.find("Secret", "named") is None


def test_later_entries_win_and_data_wins_over_data_from(tenant: Tenant, operator: OperatorProcess) -> None:
    documents = {
        "first": json.dumps({"a": ONE, "b": ONE, "c": ONE}),
        "second": json.dumps({"b": TWO, "c": TWO}),
        "third": THREE,
    }
    tenant.create(
        store(documents), external_secret("app", entry("c", "third"), extract("first"), extract("second"))
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {"a": ONE, "b": TWO, "c": THREE}


def test_same_secret_key_twice_takes_the_last(tenant: Tenant, operator: OperatorProcess) -> None:
    """Refused at admission where deletionPolicy is Retain, as the established webhook does."""
    twice = external_secret("app", entry("v", "a"), entry("v", "b"), target={"deletionPolicy": "Merge"})
    tenant.create(store({"a": ONE, "b": TWO}), twice)

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": TWO}


def test_each_entry_may_name_its_own_store(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    tenant.create(
        store({"db": ONE, "doc": json.dumps({"x": ONE})}),
        store({"db": TWO, "doc": json.dumps({"y": TWO})}, name="second"),
        store({"db": THREE, "doc": json.dumps({"z": THREE})}, name=shared_store, cluster=True),
        external_secret(
            "app",
            entry("from-default", "db"),
            entry("from-second", "db", store="second"),
            entry("from-shared", "db", store=cluster_store(shared_store)),
            extract("doc"),
            extract("doc", store="second"),
            extract("doc", store=cluster_store(shared_store)),
        ),
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {
        "from-default": ONE,
        "from-second": TWO,
        "from-shared": THREE,
        "x": ONE,
        "y": TWO,
        "z": THREE,
    }


def test_no_default_store_is_needed_where_every_entry_names_one(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"a": ONE}, name="left"),
        store({"b": TWO}, name="right"),
        external_secret("app", entry("a", "a", store="left"), entry("b", "b", store="right"), store=""),
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {"a": ONE, "b": TWO}


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        pytest.param([entry("v", "db")], "spec.data[0] (key: db)", id="data"),
        pytest.param([extract("db")], "spec.dataFrom[0].extract (key: db)", id="extract"),
    ],
)
def test_entry_without_any_store_is_told(
    tenant: Tenant, operator: OperatorProcess, entries: list[dict[str, object]], where: str
) -> None:
    tenant.create(external_secret("app", *entries, store=""))

    tenant.wait_failed("app")
    cause = f"{where} names no store: set spec.secretStoreRef.name or the entry's sourceRef.storeRef"
    told = f"could not get secret data from provider: {cause}"
    assert tenant.told("app") == ("False", "SecretSyncedError", told)


def test_one_failing_entry_leaves_the_last_good_secret_and_recovers(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"a": ONE, "b": ONE}),
        external_secret("app", entry("a", "a"), entry("b", "b"), refreshInterval="300ms"),
    )
    tenant.wait_synced("app")
    tenant.set_store(store({"a": TWO}))
    tenant.wait_failed("app", "there is no remote secret 'b'")
    held = tenant.values("app")
    tenant.set_store(store({"a": TWO, "b": TWO}))
    tenant.wait_synced("app")

    assert held == {"a": ONE, "b": ONE}
    assert tenant.values("app") == {"a": TWO, "b": TWO}


def test_thousand_keys_in_one_secret_are_synced(tenant: Tenant, operator: OperatorProcess) -> None:
    document = {f"key-{number}": f"{ONE}{number}" for number in range(1000)}
    tenant.create(store({"doc": json.dumps(document)}), external_secret("app", extract("doc")))

    tenant.wait_synced("app")
    assert tenant.values("app") == document
