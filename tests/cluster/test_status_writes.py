"""A status that the API server did not take is written as soon as it does, and costs the stores nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE = canary("one")
StartOperator = Callable[..., OperatorProcess]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"refreshInterval": "1h"}, id="periodic"),
        pytest.param({"refreshInterval": "0"}, id="interval-0"),
        pytest.param({"refreshPolicy": "CreatedOnce"}, id="created-once"),
    ],
)
def test_status_of_a_sync_is_written_later_without_a_second_sync(
    tenant: Tenant,
    private_operator: StartOperator,
    proxied_kubeconfig: Path,
    api_proxy: ApiProxy,
    fields: Any,
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    operator = private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_told("store", "Valid", kind="SecretStore")
    fault = api_proxy.answer(500, resource="externalsecrets/status")
    tenant.create(external_secret("app", entry("v", "db"), **fields))
    tenant.wait_values("app", {"v": ONE})
    api_proxy.wait_for_requests(2, resource="externalsecrets/status", timeout_s=SYNC_S)
    api_proxy.remove(fault)

    tenant.wait_synced("app")
    assert tenant.sync_calls(operator, "app") == 1
    assert tenant.told("app") == ("True", "SecretSynced", "secret synced")


def test_status_of_a_failure_that_only_a_change_can_mend_is_written_later(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    private_operator(kubeconfig=proxied_kubeconfig)
    fault = api_proxy.answer(500, resource="externalsecrets/status")
    tenant.create(
        store({"db": ONE}, controller="private"),
        external_secret("app", entry("v", "db"), target={"template": {"data": {"v": "{{ .none }}"}}}),
    )
    api_proxy.wait_for_requests(2, resource="externalsecrets/status", timeout_s=SYNC_S)
    api_proxy.remove(fault)

    tenant.wait_failed("app", 'map has no entry for key "none"')


def test_status_that_cannot_be_written_does_not_make_a_failing_object_ask_more_often(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    """By its own schedule it asks again in an hour, while its status is tried after 1 and 3 s."""
    tenant.create(store({"db": ONE}, controller="private"))
    operator = private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_told("store", "Valid", kind="SecretStore")
    fault = api_proxy.answer(500, resource="externalsecrets/status")
    target = {"creationPolicy": "Orphan", "deletionPolicy": "Delete"}
    tenant.create(external_secret("app", entry("v", "gone"), target=target))
    api_proxy.wait_for_requests(3, resource="externalsecrets/status", timeout_s=SYNC_S)
    api_proxy.remove(fault)

    tenant.wait_failed("app", "the target is not owned")
    assert tenant.sync_calls(operator, "app") == 1


def test_statuses_that_are_refused_for_good_are_tried_ever_more_rarely_and_logged_once_each(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    """As without the right to write them. The Secrets are synced all the same."""
    tenant.create(store({"db": ONE}, controller="private"))
    operator = private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_told("store", "Valid", kind="SecretStore")
    fault = api_proxy.answer(403, resource="externalsecrets/status")
    tenant.create(*(external_secret(f"app-{number}", entry("v", "db")) for number in range(10)))
    api_proxy.wait_for_requests(40, resource="externalsecrets/status", timeout_s=SYNC_S)  # at 0, 1, 3, 7 s
    told = [line for line in operator.log.splitlines() if "the status could not be written" in line]
    asked = [tenant.sync_calls(operator, f"app-{number}") for number in range(10)]
    api_proxy.remove(fault)

    assert sum("debug" not in line.lower() for line in told) == 10
    assert asked == [1] * 10
    tenant.wait_synced("app-9")


def test_status_of_a_store_is_written_later(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    private_operator(kubeconfig=proxied_kubeconfig)
    fault = api_proxy.answer(500, resource="secretstores/status")
    tenant.create(store({"db": ONE}, controller="private"), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    api_proxy.remove(fault)

    tenant.wait_told("store", "Valid", kind="SecretStore")


def test_status_written_by_somebody_else_meanwhile_is_no_obstacle(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """A conflict is settled at once: the object has not changed, only its version."""
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    tenant.wait_synced("app")
    for number in range(5):
        tenant.edit("ExternalSecret", "app", {"metadata": {"finalizers": [f"example.com/{number}"]}})
        tenant.edit_spec("app", data=[entry(f"v{number}", "db")])
    tenant.wait_synced("app")

    assert tenant.values("app") == {"v4": ONE}
    tenant.edit("ExternalSecret", "app", {"metadata": {"finalizers": None}})
    eventually(lambda: "finalizers" not in tenant.get("ExternalSecret", "app")["metadata"])
