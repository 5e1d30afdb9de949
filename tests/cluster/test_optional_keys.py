"""keyferry.io/optional-keys: what may be missing at the store, and what is told of it."""

from __future__ import annotations

import pytest

from keyferry.testing.builders import Object, entry, external_secret, extract, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
NOTE = "secret synced; optional keys without a value: "
MISSING: dict[str, tuple[str, Object]] = {
    "named-by-its-key-of-the-secret": ("license", entry("license", "shop/license")),
    "named-by-its-remote-key": ("shop/license", entry("x", "shop/license")),
    "named-by-its-property": ("trial", entry("x", "doc", property="trial")),
    "extract-named-by-its-remote-key": ("shop/license", extract("shop/license")),
}


def optional(names: str) -> Object:
    return {"annotations": {"keyferry.io/optional-keys": names}}


@pytest.mark.parametrize("case", MISSING)
def test_missing_entry_is_left_out_and_named(tenant: Tenant, operator: OperatorProcess, case: str) -> None:
    names, missing = MISSING[case]
    tenant.create(store({"db": ONE, "doc": "{}"}))
    tenant.create(external_secret("app", entry("v", "db"), missing, metadata=optional(f"other, {names}")))
    tenant.wait_synced("app")
    status, _, message = tenant.told("app")

    assert tenant.values("app") == {"v": ONE}
    assert status == "True"
    assert message.startswith(NOTE)
    assert ("shop/license" in message) or ("'trial'" in message)


def test_optional_entry_that_is_there_is_written(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}))
    tenant.create(external_secret("app", entry("v", "db"), metadata=optional("v")))
    tenant.wait_synced("app")

    assert tenant.told("app")[2] == "secret synced"


def test_entry_that_comes_to_be_is_written_and_no_longer_named(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}))
    tenant.create(external_secret("app", entry("v", "db"), entry("w", "late"), metadata=optional("w")))
    tenant.wait_synced("app")
    tenant.set_store(store({"db": ONE, "late": TWO}))
    tenant.label("ExternalSecret", "app", {"again": "yes"})
    tenant.wait_values("app", {"v": ONE, "w": TWO})

    tenant.wait_told("app", "SecretSynced")
    assert tenant.told("app")[2] == "secret synced"


def test_other_entries_must_be_there(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}))
    tenant.create(external_secret("app", entry("v", "gone"), entry("w", "db"), metadata=optional("w")))

    tenant.wait_failed("app", holding="spec.data[0] (key: gone)")


def test_store_that_is_not_ready_is_no_missing_key(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}, validation_result=2))
    tenant.create(external_secret("app", entry("v", "db"), metadata=optional("v")))

    tenant.wait_failed("app", holding="is not ready")


def test_object_of_which_everything_is_missing_keeps_its_secret(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}))
    tenant.create(external_secret("app", entry("v", "db"), metadata=optional("v")))
    tenant.wait_synced("app")
    tenant.set_store(store({"x": ONE}))
    tenant.label("ExternalSecret", "app", {"again": "yes"})
    tenant.wait_told("app", "SecretSynced", holding="secret retained due to DeletionPolicy=Retain; optional")

    assert tenant.values("app") == {"v": ONE}
