"""Providers that the API has and this version does not: named in the condition, and the store is kept as it is."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE = canary("one")
# 192.0.2.0/24 is for documentation: nobody is asked for it.
TOKEN = {"name": "token", "key": "token"}
PROVIDERS: dict[str, dict[str, Any]] = {
    "gcpsm": {"projectID": "x", "location": "europe-west3"},
    "gitlab": {"url": "https://192.0.2.1", "projectID": "1", "auth": {"SecretRef": {"accessToken": TOKEN}}},
    "doppler": {
        "auth": {"secretRef": {"dopplerToken": TOKEN}},
        "unknown": {"deep": [1, {"a": None, "b": 1.5}]},
    },
    "onepasswordSDK": {"vault": "x", "auth": {"serviceAccountSecretRef": TOKEN}},
}
HINT = "The store is kept as it is; another operator may serve it under its own controller class"


@pytest.mark.parametrize("kind", ["SecretStore", "ClusterSecretStore"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_that_is_not_available_is_named_and_its_store_survives(
    tenant: Tenant, operator: OperatorProcess, shared_store: str, provider: str, kind: str
) -> None:
    cluster = kind == "ClusterSecretStore"
    spec = {"provider": {provider: PROVIDERS[provider]}, "refreshInterval": "5m"}
    created = tenant.create(store(name=shared_store, cluster=cluster, **spec))
    tenant.wait_told(shared_store, "InvalidProviderConfig", kind=kind)
    found = tenant.get(kind, shared_store)

    message = (
        f'unable to create client: provider "{provider}" is not available yet in this version of Keyferry'
    )
    assert tenant.told(shared_store, kind) == ("False", "InvalidProviderConfig", f"{message}. {HINT}")
    assert found["spec"] == created["spec"]
    assert found["spec"]["provider"][provider] == created["spec"]["provider"][provider]
    assert "finalizers" not in found["metadata"]


@pytest.mark.parametrize("provider", ["gitlab", "doppler"])
def test_object_of_a_provider_that_is_not_available_keeps_its_secret(
    tenant: Tenant, operator: OperatorProcess, provider: str
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), refreshInterval="300ms"))
    tenant.wait_synced("app")
    tenant.set_store(store(provider={provider: PROVIDERS[provider]}))
    tenant.wait_failed("app")

    message = f'provider "{provider}" is not available yet in this version of Keyferry'
    assert message in tenant.told("app")[2]
    assert tenant.values("app") == {"v": ONE}
    tenant.set_store(store({"db": ONE}))
    tenant.wait_synced("app")
