"""Which fields we wrote: read from managedFields, whatever shape they have."""

from __future__ import annotations

import pytest

from keyferry.core.ownership import OwnedFields, owned_fields

FIELDS = {
    "f:data": {".": {}, "f:a": {}, "f:b.c": {}, "f:": {}, "f:f:x": {}, "k:{}": {}},
    "f:metadata": {
        "f:labels": {".": {}, "f:app.kubernetes.io/name": {}},
        "f:annotations": {"f:note": {}},
        "f:ownerReferences": {'k:{"uid":"1"}': {}},
    },
    "f:type": {},
}


def test_keys_labels_and_annotations_of_our_manager_are_ours():
    assert owned_fields([{"manager": "me", "fieldsV1": FIELDS}], "me") == OwnedFields(
        frozenset({"a", "b.c", "", "f:x"}), frozenset({"app.kubernetes.io/name"}), frozenset({"note"})
    )


def test_all_entries_of_our_manager_count():
    """An update and an apply under one name are two entries."""
    entries = [
        {"manager": "me", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
        {"manager": "me", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}}}},
        {"manager": "you", "operation": "Update", "fieldsV1": {"f:data": {"f:c": {}}}},
    ]

    assert owned_fields(entries, "me").data == {"a", "b"}


@pytest.mark.parametrize(
    "entry",
    [
        {"manager": "you", "fieldsV1": FIELDS},
        {"manager": "me/", "fieldsV1": FIELDS},
        {"fieldsV1": FIELDS},
        {"manager": "me"},
        {"manager": "me", "fieldsV1": None},
        {"manager": "me", "fieldsV1": "f:data"},
        {"manager": "me", "fieldsV1": ["f:data"]},
        {"manager": "me", "fieldsV1": {"f:data": None, "f:metadata": None}},
        {"manager": "me", "fieldsV1": {"f:data": ["f:a"], "f:metadata": {"f:labels": "f:a"}}},
        {"manager": "me", "fieldsV1": {"data": {"f:a": {}}, "f:metadata": {"labels": {"f:a": {}}}}},
        {"manager": "me", "fieldsV1": {"f:data": {"a": {}, ".": {}, 1: {}}}},
        None,
        "me",
        ["me"],
    ],
)
def test_entries_of_others_and_of_unknown_shape_own_nothing(entry):
    assert owned_fields([entry], "me") == OwnedFields()


def test_no_entries_own_nothing():
    assert owned_fields([], "me") == OwnedFields()
