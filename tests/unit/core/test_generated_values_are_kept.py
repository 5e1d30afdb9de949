"""Which generated values a Secret still holds as they were written."""

from __future__ import annotations

import pytest

from keyferry.core.desired import ExistingSecret, Owner
from keyferry.core.generated import kept_values
from keyferry.core.hashing import created_by_hash, data_hash, field_manager
from keyferry.secretdata import SecretBytes, SecretData

OWNER = Owner("team-a", "db", "uid-1")


def _secret(*, owned=(), hashed=None, created_by=OWNER, managed=True, **data):
    values = SecretData({key: SecretBytes(text) for key, text in data.items()})
    labels = {"reconcile.external-secrets.io/managed": "true"} if managed else {}
    if created_by is not None:
        labels["reconcile.external-secrets.io/created-by"] = created_by_hash(
            created_by.namespace, created_by.name
        )
    fields = {"f:data": {f"f:{key}": {} for key in owned}}
    return ExistingSecret(
        uid="uid-2",
        resource_version="1",
        metadata={
            "labels": labels,
            "annotations": {"reconcile.external-secrets.io/data-hash": hashed or data_hash(values)},
            "managedFields": [{"manager": field_manager(OWNER.name), "fieldsV1": fields}],
        },
        type="Opaque",
        immutable=False,
        data=values,
    )


def _kept(existing, *keys):
    kept = kept_values(existing, OWNER, keys)
    return None if kept is None else {key: value.reveal() for key, value in kept.items()}


def test_values_of_an_untouched_secret_are_kept():
    assert _kept(_secret(password="x", other="y"), "password") == {"password": b"x"}


def test_key_that_nobody_else_wrote_is_kept_although_another_changed():
    assert _kept(_secret(password="x", other="y", hashed="old", owned=["password"]), "password") == {
        "password": b"x"
    }


def test_key_that_somebody_else_wrote_is_made_anew():
    assert _kept(_secret(password="x", other="y", hashed="old", owned=["other"]), "password") is None


@pytest.mark.parametrize("keys", [("gone",), ("password", "gone")])
def test_key_that_is_gone_is_made_anew(keys):
    assert _kept(_secret(password="x", owned=["password", "gone"]), *keys) is None


def test_restored_secret_without_managed_fields_is_kept_if_its_hash_is_right():
    assert _kept(_secret(password="x", owned=[]), "password") == {"password": b"x"}


def test_value_in_somebody_elses_secret_is_not_taken_for_ours():
    other = Owner("team-a", "other", "uid-9")

    assert _kept(_secret(password="x", created_by=other), "password") is None


def test_restored_secret_of_nobody_is_kept_if_its_hash_is_right():
    """With Orphan, Merge and CreateOrMerge nothing on it says whose it is."""
    assert _kept(_secret(password="x", created_by=None), "password") == {"password": b"x"}
    assert _kept(_secret(password="x", created_by=None, hashed="old"), "password") is None


@pytest.mark.parametrize(("key", "kept"), [("password", None), ("mine", {"mine": b"y"})])
def test_key_that_another_external_secret_wrote_is_not_taken_for_ours(key, kept):
    shared = _secret(password="x", mine="y", created_by=None)
    shared.metadata["managedFields"].append(
        {"manager": field_manager("other"), "fieldsV1": {"f:data": {"f:password": {}}}}
    )
    shared.metadata["managedFields"] += ["junk", {"manager": 7}]

    assert _kept(shared, key) == kept


def test_secret_that_is_not_managed_is_not_taken_for_ours():
    assert _kept(_secret(password="x", managed=False), "password") is None
