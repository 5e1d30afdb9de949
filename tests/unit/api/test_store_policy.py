"""The definition of StorePolicy, our own kind."""

from __future__ import annotations

import re

import pytest

from keyferry.api.crd import KINDS, Kind, crd
from keyferry.api.store_policy import KEY_PATTERN, StorePolicySpec


def definition():
    return crd(next(kind for kind in KINDS if kind.kind == "StorePolicy"))


def test_it_is_of_our_group_and_of_the_whole_cluster():
    found = definition()

    assert "storepolicies.keyferry.io" == found["metadata"]["name"]
    assert "Cluster" == found["spec"]["scope"]
    assert ("storepolicies", "storepolicy", ["stp"]) == tuple(
        found["spec"]["names"][one] for one in ("plural", "singular", "shortNames")
    )
    assert [("v1alpha1", True, True)] == [
        (one["name"], one["served"], one["storage"]) for one in found["spec"]["versions"]
    ]


def test_it_needs_a_spec_and_stores_in_it():
    """One without would limit all stores and let nothing in."""
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    assert ["spec"] == schema["required"]
    assert ["storeRefs"] == schema["properties"]["spec"]["required"]
    assert 1 == schema["properties"]["spec"]["properties"]["storeRefs"]["minItems"]


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("StorePolicy", "storepolicies"),
        ("SSHKey", "sshkeys"),
        ("PushSecret", "pushsecrets"),
        ("Story", "stories"),
    ],
)
def test_plurals_are_english(kind, plural):
    made = Kind(kind, "Cluster", (), "", StorePolicySpec, None, ())

    assert plural == made.plural


@pytest.mark.parametrize("key", ["{namespace}/**", "a", "*", "{label:a.b/c-d_e}-{namespace}", "ключ", "a b"])
def test_schema_takes_good_patterns(key):
    assert re.fullmatch(KEY_PATTERN, key)


@pytest.mark.parametrize("key", ["{", "}", "{x}", "{label:}", "{{namespace}}", "a\nb", "{namespace}" * 5])
def test_schema_takes_no_others(key):
    assert not re.fullmatch(KEY_PATTERN, key)
