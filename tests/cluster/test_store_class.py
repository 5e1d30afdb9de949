"""spec.controller: a store of another class, and all that uses it, is left to its own controller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")


@pytest.mark.parametrize("kind", ["SecretStore", "ClusterSecretStore"])
def test_store_of_another_class_and_its_objects_are_left_alone(
    tenant: Tenant, operator: OperatorProcess, shared_store: str, kind: str
) -> None:
    foreign = store({"db": ONE}, name=shared_store, cluster=kind == "ClusterSecretStore", controller="other")
    tenant.create(foreign, store({"db": TWO}, name="ours"))
    tenant.create(
        external_secret("app", entry("v", "db"), store={"name": shared_store, "kind": kind}),
        external_secret(
            "mixed",
            entry("v", "db", store="ours"),
            entry("w", "db", store={"name": shared_store, "kind": kind}),
            store="ours",
        ),
        external_secret("witness", entry("v", "db"), store="ours"),
    )
    tenant.wait_synced("witness")
    for name in ("app", "mixed"):
        tenant.wait_looks(operator, name)

    assert "status" not in tenant.get(kind, shared_store)
    for name in ("app", "mixed"):
        assert "status" not in tenant.get("ExternalSecret", name)
        assert tenant.find("Secret", name) is None
    assert tenant.raw_events(kind, shared_store) == []


def test_store_that_comes_into_our_class_is_served_at_once(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}, controller="other"), external_secret("app", entry("v", "db")))
    tenant.wait_looks(operator, "app")
    tenant.set_store(store({"db": ONE}, controller="default"))

    tenant.wait_synced("app")
    tenant.wait_told("store", "Valid", kind="SecretStore")


def test_store_that_leaves_our_class_is_no_longer_served(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"db": ONE}),
        store({"db": ONE}, name="ours"),
        external_secret("app", entry("v", "db"), refreshInterval="300ms"),
        external_secret("witness", entry("v", "db"), store="ours", refreshInterval="300ms"),
    )
    tenant.wait_synced("app")
    tenant.wait_synced("witness")
    tenant.set_store(store({"db": TWO}, controller="other"))
    tenant.set_store(store({"db": TWO}, name="ours"))
    tenant.wait_values("witness", {"v": TWO})
    calls = tenant.sync_calls(operator, "witness")
    tenant.wait_refreshes(operator, "witness", calls + 2)
    tenant.delete("Secret", "app")
    tenant.delete("Secret", "witness")
    tenant.wait_values("witness", {"v": TWO})

    assert tenant.find("Secret", "app") is None
    assert tenant.told("app") == ("True", "SecretSynced", "secret synced")


def test_two_operators_share_a_namespace_by_their_classes(
    tenant: Tenant, operator: OperatorProcess, private_operator: Callable[..., OperatorProcess]
) -> None:
    tenant.create(store({"db": ONE}, name="theirs", controller="private"), store({"db": TWO}, name="ours"))
    private = private_operator()
    tenant.create(
        external_secret("their-app", entry("v", "db"), store="theirs"),
        external_secret("our-app", entry("v", "db"), store="ours"),
    )
    tenant.wait_synced("their-app")
    tenant.wait_synced("our-app")

    assert tenant.values("their-app") == {"v": ONE}
    assert tenant.values("our-app") == {"v": TWO}
    assert tenant.sync_calls(operator, "their-app") == 0
    assert tenant.sync_calls(private, "their-app") >= 1


def test_store_found_ahead_of_its_watch_is_not_used_if_it_is_of_another_class(
    tenant: Tenant,
    private_operator: Callable[..., OperatorProcess],
    proxied_kubeconfig: Path,
    api_proxy: ApiProxy,
) -> None:
    """The watch is silent, so that the store is looked up; and no flood gate holds the object back."""
    operator = private_operator("--enable-flood-gate=false", kubeconfig=proxied_kubeconfig)
    tenant.create(external_secret("app", entry("v", "db")))
    tenant.wait_failed("app", "does not exist")
    api_proxy.stall_watches("secretstores")
    api_proxy.reset_requests()
    tenant.create(store({"db": ONE}, controller="other"))
    api_proxy.wait_for_requests(1, verb="get", resource="secretstores", name="store")
    eventually(
        lambda: any(one.status == 200 for one in api_proxy.requests(verb="get", resource="secretstores"))
    )
    looks = tenant.looks(operator, "app")
    tenant.annotate("ExternalSecret", "app", {"look": "again"})
    tenant.wait_looks(operator, "app", more_than=looks)

    assert tenant.find("Secret", "app") is None
