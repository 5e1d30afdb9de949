"""From its creation to its end: what becomes of a Secret when its ExternalSecret is renamed, moved or deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import entry, external_secret, owner_reference, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ONE, TWO = canary("one"), canary("two")
COLLECTED_S = 90.0
"""The cluster's garbage collector learns of new kinds every 30 s."""


@pytest.mark.parametrize("deletion", ["Retain", "Delete"])
def test_owned_secret_is_collected_with_its_external_secret(
    tenant: Tenant, operator: OperatorProcess, deletion: str
) -> None:
    target = {"deletionPolicy": deletion}
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), target=target))
    tenant.wait_synced("app")
    tenant.delete("ExternalSecret", "app")

    assert tenant.find("ExternalSecret", "app") is None
    tenant.wait_gone("Secret", "app", timeout_s=COLLECTED_S)


@pytest.mark.parametrize("policy", ["Orphan", "Merge", "CreateOrMerge"])
def test_secret_that_is_not_owned_survives_its_external_secret(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"db": ONE}), secret("app", {"v": TWO}))
    tenant.create(
        external_secret("app", entry("v", "db"), target={"creationPolicy": policy}),
        external_secret("witness", entry("v", "db")),
    )
    tenant.wait_synced("app")
    tenant.wait_synced("witness")
    version = tenant.version("Secret", "app")
    tenant.delete("ExternalSecret", "app")
    tenant.delete("ExternalSecret", "witness")
    tenant.wait_gone("Secret", "witness", timeout_s=COLLECTED_S)

    assert tenant.values("app") == {"v": ONE}
    assert tenant.version("Secret", "app") == version


def test_external_secret_made_anew_takes_its_secret_over(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    tenant.delete("ExternalSecret", "app")
    tenant.create(external_secret("app", entry("w", "db")))
    new = tenant.wait_synced("app")

    def is_taken_over() -> bool:
        metadata = tenant.get("Secret", "app")["metadata"]
        return bool(metadata["ownerReferences"] == [owner_reference(new)])

    eventually(is_taken_over, timeout_s=SYNC_S)
    assert tenant.values("app") == {"w": ONE}


def test_who_waits_for_a_name_takes_it_when_it_is_free(tenant: Tenant, operator: OperatorProcess) -> None:
    target = {"name": "app"}
    tenant.create(store({"db": ONE}), external_secret("first", entry("v", "db"), target=target))
    tenant.wait_synced("first")
    tenant.create(external_secret("second", entry("w", "db"), target=target))
    tenant.wait_failed("second", "is owned by ExternalSecret 'first'")
    tenant.delete("ExternalSecret", "first")

    tenant.wait_values("app", {"w": ONE}, timeout_s=COLLECTED_S)
    tenant.wait_synced("second")


def test_renamed_target_replaces_the_old_secret(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), target={"name": "old"}))
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"name": "new"})
    tenant.wait_synced("app")

    tenant.wait_gone("Secret", "old")
    assert tenant.values("new") == {"v": ONE}
    assert tenant.get("ExternalSecret", "app")["status"]["binding"] == {"name": "new"}
    event = tenant.wait_event("ExternalSecret", "app", "Deleted")
    assert (event["type"], event["message"]) == ("Normal", "secret deleted because it was orphaned")


def test_target_renamed_before_its_watch_has_told_of_it_is_replaced_too(
    tenant: Tenant,
    private_operator: Callable[..., OperatorProcess],
    proxied_kubeconfig: Path,
    api_proxy: ApiProxy,
) -> None:
    tenant.create(store({"db": ONE}, controller="private"))
    private_operator(kubeconfig=proxied_kubeconfig)
    api_proxy.stall_watches("secrets")
    tenant.create(external_secret("app", entry("v", "db"), target={"name": "old"}))
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"name": "new"})
    tenant.wait_synced("app")

    assert tenant.find("Secret", "old") is None
    assert tenant.values("new") == {"v": ONE}


def test_old_secret_stays_until_the_new_one_is_there(tenant: Tenant, operator: OperatorProcess) -> None:
    """The new name is taken by another ExternalSecret: a rename that fails must leave something behind."""
    tenant.create(
        store({"db": ONE}),
        external_secret("other", entry("v", "db"), target={"name": "taken"}),
        external_secret("app", entry("v", "db"), target={"name": "old"}),
    )
    tenant.wait_synced("other")
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"name": "taken"})
    tenant.wait_failed("app", "target is owned by another ExternalSecret")
    held = tenant.values("old")
    tenant.edit_spec("app", target={"name": "free"})
    tenant.wait_synced("app")

    assert held == {"v": ONE}
    assert tenant.values("free") == {"v": ONE}
    tenant.wait_gone("Secret", "old")


def test_renamed_target_leaves_secrets_that_only_look_like_its_own(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Labels can be copied by anybody; the owner reference decides."""
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), target={"name": "old"}))
    tenant.wait_synced("app")
    labels = tenant.get("Secret", "old")["metadata"]["labels"]
    tenant.create(secret("copy", {"v": TWO}, labels=labels))
    tenant.edit_spec("app", target={"name": "new"})
    tenant.wait_gone("Secret", "old")

    assert tenant.values("copy") == {"v": TWO}


@pytest.mark.parametrize("policy", ["Orphan", "Merge", "CreateOrMerge"])
def test_renamed_target_that_is_not_owned_stays(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(store({"db": ONE}), secret("old", {"v": TWO}), secret("new", {"v": TWO}))
    target = {"creationPolicy": policy}
    tenant.create(external_secret("app", entry("v", "db"), target={"name": "old", **target}))
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"name": "new", **target})
    tenant.wait_synced("app")

    assert tenant.values("old") == tenant.values("new") == {"v": ONE}


def test_nothing_is_done_for_an_external_secret_that_is_being_deleted(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Somebody else's finalizer holds it: its Secret may be gone for good reason."""
    tenant.create(
        store({"db": ONE}),
        external_secret("app", entry("v", "db"), metadata={"finalizers": ["example.com/hold"]}),
        external_secret("witness", entry("v", "db")),
    )
    tenant.wait_synced("app")
    tenant.delete("ExternalSecret", "app")
    tenant.delete("Secret", "app")
    tenant.wait_synced("witness")
    tenant.delete("Secret", "witness")
    tenant.wait_values("witness", {"v": ONE})

    assert tenant.find("Secret", "app") is None
    tenant.edit("ExternalSecret", "app", {"metadata": {"finalizers": None}})
    tenant.wait_gone("ExternalSecret", "app")
