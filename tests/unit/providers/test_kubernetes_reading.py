"""What of a Secret a reference means: keys, paths, labels and annotations, as the established operator takes them."""

from __future__ import annotations

import base64
import json

import pytest

from keyferry.api.external_secret import RemoteRef
from keyferry.clusters import RemoteSecret
from keyferry.errors import Malformed, PropertyNotFound, RenderError
from keyferry.providers.kubernetes.reading import metadata_answer, select, whole_answer
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import LeakDetector, canary

PASSWORD = canary("kubernetes-password")
DATA = {
    "password": PASSWORD.encode(),
    "config.json": b'{"user": {"name": "app", "roles": ["a", "b"]}, "tls": true, "ratio": 1.50}',
    "config": b'{"a": {"b": "inner"}, "html": "<&>", "big": 12345678901234567890, "none": null}',
    "list": b"[1, 2]",
    "store": bytes(range(256)),
}
LABELS = {"app.kubernetes.io/name": "shop", "tier": "gold", "made": '{"by": {"x": "y"}}'}


def answer(data=DATA) -> SecretBytes:
    return SecretBytes(json.dumps({key: base64.b64encode(value).decode() for key, value in data.items()}))


def fetched(labels=LABELS, annotations=None) -> SecretBytes:
    return metadata_answer(RemoteSecret("db", "7", answer(), labels, annotations))


def taken(property_="", *, members=False, of=None, metadata=False):
    remote = RemoteRef(key="db", property=property_, metadata_policy="Fetch" if metadata else "None")
    found = select(of or (fetched() if metadata else answer()), remote, members)
    if isinstance(found, SecretBytes):
        return found.reveal()
    return {key: value.reveal() for key, value in found.items()}


@pytest.mark.parametrize(
    ("property_", "expected"),
    [
        pytest.param("password", PASSWORD.encode(), id="key"),
        pytest.param("store", bytes(range(256)), id="binary"),
        pytest.param("config.json", DATA["config.json"], id="key-with-a-dot-before-a-path"),
        pytest.param("config.a.b", b"inner", id="path-below-a-key"),
        pytest.param("config.a", b'{"b": "inner"}', id="object-below-a-key"),
        pytest.param("config.big", b"12345678901234567890", id="number-keeps-its-digits"),
        pytest.param("list.1", b"2", id="element-of-a-list"),
        pytest.param("config.none", b"", id="null"),
    ],
)
def test_property_is_a_key_or_a_path_below_one(property_, expected) -> None:
    assert expected == taken(property_)


@pytest.mark.parametrize(
    "property_", ["absent", "password.x", "config.x", "config.", ".config", "config.json.user"]
)
def test_property_that_there_is_not_is_told_with_the_names_that_there_are(property_) -> None:
    with pytest.raises(PropertyNotFound) as missing:
        taken(property_)

    assert repr(property_) in missing.value.message
    assert "'store'" in missing.value.message or "in '" in missing.value.message
    assert [] == LeakDetector().look_at_error("failure", missing.value)


def test_without_a_property_all_keys_are_one_object_of_texts() -> None:
    """Sorted, as Go writes it, and without escapes for HTML: the bytes decide whether a Secret is rewritten."""
    found = taken(of=answer({"b": b"<a&b>", "a": "Grüße\u2028\n".encode(), "bad": b"x\xff\xc3y"}))

    assert rb'{"a":"Gr' in found
    assert '{"a":"Grüße\\u2028\\n","b":"<a&b>","bad":"x\\ufffd\\ufffdy"}'.encode() == found
    assert (
        found
        == whole_answer(answer({"b": b"<a&b>", "a": "Grüße\u2028\n".encode(), "bad": b"x\xff\xc3y"})).reveal()
    )
    assert b"{}" == taken(of=answer({}))


def test_extract_takes_all_keys_with_their_bytes() -> None:
    assert DATA == taken(members=True)
    assert {} == taken(members=True, of=answer({}))


def test_extract_of_a_property_takes_the_members_of_its_json_as_json() -> None:
    """With the quotes of strings, as the established operator has them."""
    assert {
        "a": b'{"b":"inner"}',
        "html": b'"<&>"',
        "big": b"12345678901234567890",
        "none": b"null",
    } == taken("config", members=True)
    assert {"b": b'"inner"'} == taken("config.a", members=True)


@pytest.mark.parametrize("property_", ["password", "list", "config.html"])
def test_extract_of_what_is_no_object_is_told(property_) -> None:
    with pytest.raises(RenderError, match="is not a JSON object") as refused:
        taken(property_, members=True)

    assert [] == LeakDetector().look_at_error("failure", refused.value)


@pytest.mark.parametrize(
    ("property_", "expected"),
    [
        pytest.param(
            "",
            b'{"annotations":null,"labels":{"app.kubernetes.io/name":"shop","made":"{\\"by\\": {\\"x\\": \\"y\\"}}",'
            b'"tier":"gold"}}',
            id="both",
        ),
        pytest.param("annotations", b"null", id="none"),
        pytest.param("labels.tier", b"gold", id="label"),
        pytest.param("labels.app.kubernetes.io/name", b"shop", id="label-with-dots"),
        pytest.param("labels.made.by.x", b"y", id="path-below-a-label"),
    ],
)
def test_metadata_is_labels_and_annotations(property_, expected) -> None:
    assert expected == taken(property_, metadata=True)


def test_metadata_can_be_extracted() -> None:
    both = taken(metadata=True, members=True)
    assert ({"labels", "annotations"}, b"null", LABELS) == (
        set(both),
        both["annotations"],
        json.loads(both["labels"]),
    )
    assert {"tier": b'"gold"', "app.kubernetes.io/name": b'"shop"'}.items() <= taken(
        "labels", metadata=True, members=True
    ).items()
    assert {} == taken("annotations", metadata=True, members=True)


@pytest.mark.parametrize("property_", ["labels.absent", "annotations.x", "spec", "password", "labels.tier.x"])
def test_metadata_that_there_is_not_is_told(property_) -> None:
    with pytest.raises(PropertyNotFound):
        taken(property_, metadata=True)


@pytest.mark.parametrize("raw", [b"[]", b'{"a": 1}', b'{"a": "%%%"}', b'{"a"', b'{"a": "\xff"}'])
def test_data_that_no_secret_has_is_told_without_its_content(raw) -> None:
    with pytest.raises(Malformed) as refused:
        taken(of=SecretBytes(raw))

    assert (None, None) == (refused.value.__cause__, refused.value.__context__)
