"""keyferry.io/paused: "true" stops all work on one ExternalSecret, and says so; removing it resumes."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant, Told

ONE, TWO = canary("one"), canary("two")
PAUSED = "paused by annotation keyferry.io/paused: nothing is read or written until it is removed"
ON: Any = {"keyferry.io/paused": "true"}
OFF: Any = {"keyferry.io/paused": None}
SYNCED = ("True", "SecretSynced", "secret synced")


def wait_is(tenant: Tenant, told: Told) -> None:
    eventually(lambda: tenant.told("app") == told, timeout_s=SYNC_S)


def test_paused_object_keeps_its_state_and_says_that_it_is_paused(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    before = tenant.ready("app")
    tenant.annotate("ExternalSecret", "app", ON)
    wait_is(tenant, ("True", "SecretSynced", f"secret synced; {PAUSED}"))
    event = tenant.wait_event("ExternalSecret", "app", "Paused")

    assert (event["type"], event["message"], event["count"]) == ("Normal", PAUSED, 1)
    assert tenant.ready("app")["lastTransitionTime"] == before["lastTransitionTime"]
    assert tenant.values("app") == {"v": ONE}


def test_nothing_is_done_while_paused_and_all_of_it_afterwards(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"db": ONE}),
        external_secret("app", entry("v", "db"), refreshInterval="300ms"),
        external_secret("witness", entry("v", "db"), refreshInterval="300ms"),
    )
    tenant.wait_synced("app")
    tenant.annotate("ExternalSecret", "app", ON)
    wait_is(tenant, ("True", "SecretSynced", f"secret synced; {PAUSED}"))
    calls = tenant.sync_calls(operator, "app")
    tenant.set_store(store({"db": TWO}))
    tenant.set_data("app", {"v": "by hand"})
    tenant.edit_spec("app", data=[entry("w", "db")])
    tenant.wait_values("witness", {"v": TWO})
    tenant.wait_refreshes(operator, "witness", tenant.sync_calls(operator, "witness") + 2)
    held = tenant.values("app"), tenant.sync_calls(operator, "app")
    tenant.annotate("ExternalSecret", "app", OFF)
    tenant.wait_synced("app")

    assert held == ({"v": "by hand"}, calls)
    assert tenant.values("app") == {"w": TWO}
    assert tenant.told("app") == SYNCED
    assert "keyferry.io/paused" not in tenant.get("Secret", "app")["metadata"]["annotations"]


def test_object_created_paused_is_not_begun(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), metadata={"annotations": ON}))
    wait_is(tenant, ("Unknown", "Paused", PAUSED))
    secret = tenant.find("Secret", "app")
    tenant.annotate("ExternalSecret", "app", OFF)
    tenant.wait_synced("app")

    assert secret is None
    assert tenant.values("app") == {"v": ONE}
    assert tenant.told("app") == SYNCED


def test_failing_object_is_not_tried_while_paused(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"other": ONE}), external_secret("app", entry("v", "db")))
    message = tenant.wait_failed("app")["status"]["conditions"][0]["message"]
    tenant.annotate("ExternalSecret", "app", ON)
    wait_is(tenant, ("False", "SecretSyncedError", f"{message}; {PAUSED}"))
    calls = tenant.sync_calls(operator, "app")
    tenant.create(external_secret("witness", entry("v", "other"), refreshInterval="300ms"))
    tenant.wait_refreshes(operator, "witness", 3)
    tried = tenant.sync_calls(operator, "app")
    tenant.set_store(store({"db": ONE}))
    tenant.annotate("ExternalSecret", "app", OFF)
    tenant.wait_synced("app")

    assert tried == calls
    assert tenant.told("app") == SYNCED


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"refreshInterval": "0"}, id="interval-0"),
        pytest.param({"refreshPolicy": "CreatedOnce"}, id="created-once"),
        pytest.param({"refreshInterval": "1h"}, id="periodic"),
    ],
)
def test_words_about_the_pause_go_with_it_though_there_is_nothing_to_do(
    tenant: Tenant, operator: OperatorProcess, fields: Any
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), **fields))
    tenant.wait_synced("app")
    tenant.annotate("ExternalSecret", "app", ON)
    wait_is(tenant, ("True", "SecretSynced", f"secret synced; {PAUSED}"))
    tenant.edit(
        "ExternalSecret", "app", {"metadata": {"annotations": OFF, "labels": {"changed": "meanwhile"}}}
    )

    wait_is(tenant, SYNCED)


def test_secret_deleted_while_paused_comes_back_with_the_resumption(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    tenant.annotate("ExternalSecret", "app", ON)
    wait_is(tenant, ("True", "SecretSynced", f"secret synced; {PAUSED}"))
    looks = tenant.looks(operator, "app")
    tenant.delete("Secret", "app")
    tenant.wait_looks(operator, "app", more_than=looks)
    held = tenant.find("Secret", "app")
    tenant.annotate("ExternalSecret", "app", OFF)

    tenant.wait_values("app", {"v": ONE})
    assert held is None


@pytest.mark.parametrize("value", ["false", "True", "yes", ""])
def test_other_values_of_the_annotation_pause_nothing(
    tenant: Tenant, operator: OperatorProcess, value: str
) -> None:
    annotations = {"keyferry.io/paused": value}
    tenant.create(
        store({"db": ONE}), external_secret("app", entry("v", "db"), metadata={"annotations": annotations})
    )

    tenant.wait_synced("app")
    assert tenant.told("app") == SYNCED
