"""Generated values: made once, kept through everything that is no reason, made anew with a word about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyferry.testing.builders import (
    Object,
    entry,
    external_secret,
    generated,
    generator,
    renamed,
    secret,
    store,
)
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
PASSWORD = generator("Password", "pw", length=32)


def _generated_events(tenant: Tenant) -> list[str]:
    return [message for _, reason, message in tenant.events("ExternalSecret", "app") if reason == "Generated"]


@pytest.fixture
def made(tenant: Tenant, operator: OperatorProcess) -> dict[str, str]:
    """The values of Secret app, with a generated password and a value of a store."""
    tenant.create(store({"db": ONE}), PASSWORD)
    tenant.create(external_secret("app", entry("v", "db"), generated("Password", "pw")))
    tenant.wait_synced("app")
    values = tenant.values("app")
    assert len(values["password"]) == 32
    return values


def test_values_are_made_once_at_creation(tenant: Tenant, made: dict[str, str]) -> None:
    """One write is all that the Secret has seen."""
    found = tenant.get("Secret", "app")

    assert {one["operation"] for one in found["metadata"]["managedFields"]} == {"Update"}
    assert [reason for _, reason, _ in tenant.events("ExternalSecret", "app")] in (["Created"], [])
    assert _generated_events(tenant) == []


EDITS: dict[str, Callable[[Tenant], object]] = {
    "label-of-the-external-secret": lambda t: t.label("ExternalSecret", "app", {"team": "a"}),
    "force-sync": lambda t: t.annotate("ExternalSecret", "app", {"external-secrets.io/force-sync": "1"}),
    "another-entry": lambda t: t.edit_spec("app", data=[entry("v", "db"), entry("w", "db")]),
    "refresh-interval": lambda t: t.edit_spec("app", refreshInterval="2h"),
    "the-generator": lambda t: t.edit("Password", "pw", {"spec": {"length": 20}}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edit_keeps_the_values(
    tenant: Tenant, operator: OperatorProcess, made: dict[str, str], edit: str
) -> None:
    looks = tenant.looks(operator, "app")
    EDITS[edit](tenant)
    tenant.label("ExternalSecret", "app", {"edited": "yes"})
    tenant.wait_looks(operator, "app", more_than=looks)
    found = tenant.wait_synced("app")
    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("edited") == "yes")

    assert tenant.values("app")["password"] == made["password"]
    assert found["status"]["conditions"][0]["message"] == "secret synced"
    assert _generated_events(tenant) == []


@pytest.mark.parametrize("what", ["labels", "annotations", "ownerReferences"])
def test_drift_of_metadata_keeps_the_values(tenant: Tenant, made: dict[str, str], what: str) -> None:
    before = tenant.get("Secret", "app")["metadata"][what]
    tenant.edit("Secret", "app", {"metadata": {what: None}})
    eventually(lambda: tenant.get("Secret", "app")["metadata"].get(what) == before)

    assert tenant.values("app") == made


def test_changed_value_of_a_store_keeps_the_generated_one(tenant: Tenant, made: dict[str, str]) -> None:
    tenant.set_store(store({"db": TWO}))
    tenant.label("ExternalSecret", "app", {"again": "yes"})

    tenant.wait_values("app", {"v": TWO, "password": made["password"]})


def test_drift_of_another_key_keeps_the_generated_one(tenant: Tenant, made: dict[str, str]) -> None:
    tenant.edit("Secret", "app", {"data": {"v": "eA=="}})

    tenant.wait_values("app", made)
    assert _generated_events(tenant) == []


def test_changed_value_is_made_anew_and_told(tenant: Tenant, made: dict[str, str]) -> None:
    tenant.edit("Secret", "app", {"data": {"password": "eA=="}})
    eventually(lambda: len(tenant.values("app")["password"]) == 32)

    assert tenant.values("app")["password"] != made["password"]
    tenant.wait_event("ExternalSecret", "app", "Generated", holding="its data had been changed")


def test_values_of_a_deleted_secret_are_made_anew_and_told(tenant: Tenant, made: dict[str, str]) -> None:
    tenant.delete("Secret", "app")
    eventually(lambda: tenant.values("app")["password"] != made["password"])

    tenant.wait_event("ExternalSecret", "app", "Generated", holding="the Secret was gone")


def test_renamed_target_takes_the_values_along(tenant: Tenant, made: dict[str, str]) -> None:
    tenant.edit_spec("app", target={"name": "other"})
    tenant.wait_synced("app")

    assert tenant.values("other") == made
    tenant.wait_gone("Secret", "app")


def test_interval_that_has_passed_makes_new_values(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(PASSWORD)
    tenant.create(external_secret("app", generated("Password", "pw"), store="", refreshInterval="2s"))
    tenant.wait_synced("app")
    first = tenant.values("app")

    eventually(lambda: tenant.values("app") != first)
    assert _generated_events(tenant) == []
    tenant.edit_spec("app", refreshInterval="1h")
    tenant.wait_synced("app")


@pytest.mark.parametrize(
    "spec", [{"refreshInterval": "0"}, {"refreshPolicy": "CreatedOnce"}, {"refreshPolicy": "OnChange"}]
)
def test_value_that_is_not_refreshed_stays_for_good(
    tenant: Tenant, operator: OperatorProcess, spec: Object
) -> None:
    tenant.create(generator("UUID", "id"))
    tenant.create(external_secret("app", generated("UUID", "id"), store="", **spec))
    tenant.wait_synced("app")
    made = tenant.values("app")
    looks = tenant.looks(operator, "app")
    tenant.label("ExternalSecret", "app", {"team": "a"})
    tenant.wait_looks(operator, "app", more_than=looks)

    assert tenant.values("app") == made


def test_edits_do_not_put_off_a_rotation(tenant: Tenant, operator: OperatorProcess) -> None:
    """refreshTime stays where it was when values were kept."""
    tenant.create(PASSWORD)
    tenant.create(external_secret("app", generated("Password", "pw"), store="", refreshInterval="1h"))
    before = tenant.wait_synced("app")["status"]
    # The next whole second, so that a new refreshTime would differ.
    eventually(lambda: tenant.create(secret(f"tick-{before['refreshTime'][-3:-1]}", {})) is not None)
    tenant.label("ExternalSecret", "app", {"team": "a"})
    eventually(
        lambda: (
            tenant.get("ExternalSecret", "app")["status"]["syncedResourceVersion"]
            != before["syncedResourceVersion"]
        )
    )

    assert tenant.get("ExternalSecret", "app")["status"]["refreshTime"] == before["refreshTime"]


def test_rewritten_keys_are_kept_too(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(generator("SSHKey", "ssh", keyType="ed25519"))
    tenant.create(external_secret("app", generated("SSHKey", "ssh", renamed("^(.*)$", "ssh-$1")), store=""))
    tenant.wait_synced("app")
    made = tenant.values("app")
    tenant.label("ExternalSecret", "app", {"team": "a"})
    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("team") == "a")

    assert sorted(made) == ["ssh-privateKey", "ssh-publicKey"]
    assert tenant.values("app") == made


def test_merged_values_are_kept_when_a_label_changes(tenant: Tenant, operator: OperatorProcess) -> None:
    """Which keys are the generator's cannot be told: all data stays."""
    tenant.create(generator("Fake", "f", data={"a": '{"x":"1"}', "b": '{"y":"2"}'}), PASSWORD)
    tenant.create(
        external_secret("app", generated("Password", "pw"), generated("Fake", "f", {"merge": {}}), store="")
    )
    tenant.wait_synced("app")
    made = tenant.values("app")
    tenant.label("ExternalSecret", "app", {"team": "a"})
    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("team") == "a")

    assert {"x": made["x"], "y": made["y"]} == {"x": "1", "y": "2"}
    assert tenant.values("app") == made


def test_two_generators_in_one_object(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(PASSWORD, generator("UUID", "id"))
    tenant.create(external_secret("app", generated("Password", "pw"), generated("UUID", "id"), store=""))
    tenant.wait_synced("app")

    assert sorted(tenant.values("app")) == ["password", "uuid"]


def test_nothing_is_generated_while_a_store_fails(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({}), PASSWORD)
    tenant.create(external_secret("app", entry("v", "db"), generated("Password", "pw")))
    tenant.wait_failed("app", holding="spec.data[0] (key: db)")

    assert tenant.find("Secret", "app") is None


def test_generator_that_does_not_exist_is_named_and_waited_for(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(external_secret("app", generated("Password", "pw"), store=""))
    tenant.wait_failed("app", holding="does not exist. Create it, or correct sourceRef.generatorRef")
    tenant.create(PASSWORD)

    tenant.wait_synced("app")


@pytest.mark.parametrize("kind", ["Grafana", "GCRAccessToken"])
def test_kind_that_is_not_available_says_so(tenant: Tenant, operator: OperatorProcess, kind: str) -> None:
    tenant.create(external_secret("app", generated(kind, "g"), store=""))

    tenant.wait_failed("app", holding=f"generators of kind {kind} are not available yet")


def test_cluster_generator_serves_every_namespace(tenant: Tenant, operator: OperatorProcess) -> None:
    name = f"pw-{tenant.namespace}"[-60:].strip("-")
    tenant.create(
        generator("ClusterGenerator", name, kind="Password", generator={"passwordSpec": {"length": 11}})
    )
    tenant.create(external_secret("app", generated("ClusterGenerator", name), store=""))
    tenant.wait_synced("app")
    tenant.delete("ClusterGenerator", name)

    assert len(tenant.values("app")["password"]) == 11
