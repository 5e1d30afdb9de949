"""The Secret and its metadata are what the contract says, bit for bit: other programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha3_224

import pytest

from keyferry.testing.builders import Object, entry, external_secret, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
MANAGER = "externalsecrets.external-secrets.io/"


def hashed(text: str) -> str:
    return sha3_224(text.encode()).hexdigest()


def go_map(values: Mapping[str, str]) -> str:
    return "map[" + " ".join(f"{key}:{values[key]}" for key in sorted(values)) + "]"


def data_hash(data: Mapping[str, str]) -> str:
    """The contract's formula, written down a second time."""
    numbers = {key: "[" + " ".join(str(byte) for byte in value.encode()) + "]" for key, value in data.items()}
    return hashed(go_map(numbers))


def managers(found: Object) -> list[tuple[str, str]]:
    return [(entry["manager"], entry["operation"]) for entry in found["metadata"]["managedFields"]]


def test_data_hash_is_that_of_the_established_operator(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"a": "value1", "b": "value2"}), external_secret("app", entry("foo", "a"), entry("bar", "b"))
    )

    tenant.wait_synced("app")
    annotations = tenant.get("Secret", "app")["metadata"]["annotations"]
    assert annotations == {DATA_HASH: "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64"}


def test_owned_secret_carries_exactly_what_the_contract_says(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    own = {"labels": {"team": "a", "z": "last"}, "annotations": {"note": "Ünïcode", "example.com/x": ""}}
    tenant.create(
        store({"db": ONE}),
        external_secret("app", entry("b", "db"), entry("a", "db"), metadata=own),
    )

    source = tenant.wait_synced("app")
    found = tenant.get("Secret", "app")
    assert found["metadata"]["labels"] == {
        "team": "a",
        "z": "last",
        MANAGED: "true",
        CREATED_BY: hashed(f"{tenant.namespace}/app"),
    }
    assert found["metadata"]["annotations"] == {
        "note": "Ünïcode",
        "example.com/x": "",
        DATA_HASH: data_hash({"a": ONE, "b": ONE}),
    }
    assert found["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "name": "app",
            "uid": source["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert found["type"] == "Opaque"
    assert managers(found) == [(f"{MANAGER}app", "Update")]
    assert "immutable" not in found
    assert "finalizers" not in found["metadata"]


@pytest.mark.parametrize("policy", ["Orphan", "CreateOrMerge"])
def test_secret_without_owner_has_no_trace_of_one(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    tenant.create(
        store({"db": ONE}), external_secret("app", entry("v", "db"), target={"creationPolicy": policy})
    )

    tenant.wait_synced("app")
    metadata = tenant.get("Secret", "app")["metadata"]
    assert metadata["labels"] == {MANAGED: "true"}
    assert metadata["annotations"] == {DATA_HASH: data_hash({"v": ONE})}
    assert "ownerReferences" not in metadata


@pytest.mark.parametrize(
    ("name", "manager"),
    [
        pytest.param("a" * 27, f"{MANAGER}{'a' * 27}", id="27-characters"),
        pytest.param("a" * 28, f"{MANAGER}sha3/{hashed('a' * 28)}", id="28-characters-hashed"),
        pytest.param("a" * 253, f"{MANAGER}sha3/{hashed('a' * 253)}", id="253-characters-hashed"),
    ],
)
def test_field_manager_is_the_name_or_its_hash(
    tenant: Tenant, operator: OperatorProcess, name: str, manager: str
) -> None:
    tenant.create(store({"db": ONE}), external_secret(name, entry("v", "db"), target={"name": "app"}))
    tenant.wait_synced(name)
    tenant.set_store(store({"db": TWO}))
    tenant.annotate("ExternalSecret", name, {"force-sync": "1"})
    tenant.wait_values("app", {"v": TWO})

    assert managers(tenant.get("Secret", "app")) == [(manager, "Update")]


def test_status_names_what_was_synced(tenant: Tenant, operator: OperatorProcess) -> None:
    own = {"labels": {"b": "2", "a": "1"}, "annotations": {"note": "x y"}}
    tenant.create(
        store({"db": ONE}), external_secret("app", entry("v", "db"), metadata=own, target={"name": "target"})
    )

    status = tenant.wait_synced("app")["status"]
    meta = hashed("{annotations:map[note:x y] labels:map[a:1 b:2]}")
    assert status["syncedResourceVersion"] == f"1-{meta}"
    assert status["binding"] == {"name": "target"}
    assert status["refreshTime"].endswith("Z")


def test_external_secret_is_never_given_a_finalizer(tenant: Tenant, operator: OperatorProcess) -> None:
    policies = [("Owner", "Retain"), ("Owner", "Delete"), ("Orphan", "Retain"), ("CreateOrMerge", "Merge")]
    tenant.create(store({"db": ONE}))
    for creation, deletion in policies:
        target = {"creationPolicy": creation, "deletionPolicy": deletion}
        name = f"{creation}-{deletion}".lower()
        tenant.create(external_secret(name, entry("v", "db"), target=target))

    for creation, deletion in policies:
        found = tenant.wait_synced(f"{creation}-{deletion}".lower())
        assert "finalizers" not in found["metadata"]
        assert "ownerReferences" not in found["metadata"]


def test_labels_and_annotations_follow_the_external_secret(tenant: Tenant, operator: OperatorProcess) -> None:
    own = {
        "labels": {"stays": "1", "changes": "old", "goes": "x"},
        "annotations": {"note": "old", "gone": "x"},
    }
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), metadata=own))
    tenant.wait_synced("app")
    tenant.label("Secret", "app", {"foreign": "label"})
    tenant.annotate("Secret", "app", {"foreign": "annotation"})
    tenant.edit(
        "ExternalSecret",
        "app",
        {
            "metadata": {
                "labels": {"changes": "new", "goes": None, "comes": "y"},
                "annotations": {"note": "new", "gone": None},
            }
        },
    )

    def followed() -> bool:
        metadata = tenant.get("Secret", "app")["metadata"]
        assert metadata["labels"] == {
            "stays": "1",
            "changes": "new",
            "comes": "y",
            "foreign": "label",
            MANAGED: "true",
            CREATED_BY: hashed(f"{tenant.namespace}/app"),
        }
        assert metadata["annotations"] == {
            "note": "new",
            "foreign": "annotation",
            DATA_HASH: data_hash({"v": ONE}),
        }
        return True

    eventually(followed)


@pytest.mark.parametrize("policy", ["Owner", "Orphan", "Merge", "CreateOrMerge"])
def test_keys_that_the_spec_no_longer_wants_are_pruned(
    tenant: Tenant, operator: OperatorProcess, policy: str
) -> None:
    """Ours by the Secret's managed fields; where the policy keeps foreign keys, those stay."""
    foreign = {"theirs": TWO} if policy in ("Merge", "CreateOrMerge") else {}
    tenant.create(secret("app", {"theirs": TWO}), store({"db": ONE}))
    tenant.create(
        external_secret("app", entry("a", "db"), entry("b", "db"), target={"creationPolicy": policy})
    )
    tenant.wait_synced("app")
    before = tenant.values("app")
    tenant.edit_spec("app", data=[entry("b", "db"), entry("c", "db")])
    tenant.wait_synced("app")

    assert before == {"a": ONE, "b": ONE, **foreign}
    assert tenant.values("app") == {"b": ONE, "c": ONE, **foreign}
    assert tenant.get("Secret", "app")["metadata"]["annotations"] == {
        DATA_HASH: data_hash({"b": ONE, "c": ONE, **foreign})
    }


def test_immutable_target_keeps_its_data_and_its_metadata_follows(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), target={"immutable": True}))
    tenant.wait_synced("app")
    tenant.set_store(store({"db": TWO}))
    tenant.label("ExternalSecret", "app", {"team": "b"})

    eventually(lambda: tenant.get("Secret", "app")["metadata"]["labels"].get("team") == "b")
    found = tenant.get("Secret", "app")
    assert tenant.wait_synced("app")["status"]["conditions"][0]["message"] == "secret synced"
    assert found["immutable"] is True
    assert tenant.values("app") == {"v": ONE}
    assert found["metadata"]["annotations"] == {DATA_HASH: data_hash({"v": ONE})}


def test_type_of_an_existing_secret_is_left_as_it_is(tenant: Tenant, operator: OperatorProcess) -> None:
    tls = secret("app", {"tls.crt": "-", "tls.key": "-"}) | {"type": "kubernetes.io/tls"}
    tenant.create(tls, store({"db": ONE}))
    tenant.create(external_secret("app", entry("tls.crt", "db"), entry("tls.key", "db")))

    tenant.wait_synced("app")
    assert tenant.get("Secret", "app")["type"] == "kubernetes.io/tls"
    assert tenant.values("app") == {"tls.crt": ONE, "tls.key": ONE}
