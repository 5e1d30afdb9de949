"""Hashes and names are read back by other operators and by people's scripts: bit-exact, or Secrets are rewritten."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.hashing import (
    created_by_hash,
    data_hash,
    field_manager,
    hash_text,
    synced_resource_version,
)
from keyferry.secretdata import SecretData


def _data(encoded):
    return SecretData({key: base64.b64decode(value or "") for key, value in encoded.items()})


def test_data_hash_is_the_reference_operators():
    """The vector of the contract, taken from a Secret that it wrote."""
    data = SecretData({"foo": "value1", "bar": "value2"})

    assert data_hash(data) == "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64"


def test_data_hashes_are_those_of_go(vectors):
    cases = vectors("hashes")["data"]

    assert [data_hash(_data(case["data"])) for case in cases] == [case["hash"] for case in cases]


def test_synced_resource_versions_are_those_of_go(vectors):
    cases = vectors("hashes")["versions"]

    assert [
        synced_resource_version(case["generation"], case["annotations"] or {}, case["labels"] or {})
        for case in cases
    ] == [case["version"] for case in cases]


def test_labels_and_annotations_are_told_apart():
    assert synced_resource_version(1, {"a": "b"}, {}) != synced_resource_version(1, {}, {"a": "b"})


def test_created_by_hashes_are_those_of_go(vectors):
    cases = vectors("hashes")["created_by"]

    assert [created_by_hash(case["namespace"], case["name"]) for case in cases] == [
        case["hash"] for case in cases
    ]


def test_field_managers_are_those_of_go_and_the_prefix_counts(vectors):
    cases = vectors("hashes")["field_managers"]

    assert [field_manager(case["name"]) for case in cases] == [case["manager"] for case in cases]
    assert [len(field_manager("b" * length)) for length in (27, 28)] == [63, 97]


def test_created_by_fits_into_a_label():
    assert len(created_by_hash("n" * 63, "m" * 253)) == 56


def test_text_and_its_bytes_have_one_hash():
    assert hash_text("é") == hash_text("é".encode())


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.binary()), st.randoms())
def test_data_hash_does_not_depend_on_the_order(values, random):
    shuffled = list(values.items())
    random.shuffle(shuffled)

    assert data_hash(SecretData(dict(shuffled))) == data_hash(SecretData(values))


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.binary()), st.data())
def test_data_hash_changes_with_any_byte(values, data):
    key = data.draw(st.sampled_from([*values, "new"]))
    changed = values | {key: values.get(key, b"") + b"x"}

    assert data_hash(SecretData(changed)) != data_hash(SecretData(values))
