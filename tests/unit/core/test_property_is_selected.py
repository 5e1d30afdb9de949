"""remoteRef.property: a value out of the store's answer."""

from __future__ import annotations

import json

import pytest

from keyferry.core.select import select_value
from keyferry.errors import PropertyNotFound, RemoteSecretNotFound, RenderError
from keyferry.secretdata import SecretBytes

DOCUMENT = SecretBytes(
    b'{"user": "admin", "db": {"port": 5432, "n": 1.50}, "a.b": "literal", "a": {"b": "path", "c": 1}, "none": null}'
)


def test_whole_value_is_taken_without_a_property():
    assert select_value(DOCUMENT, "") is DOCUMENT


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("user", b"admin"),
        ("db.port", b"5432"),
        ("db.n", b"1.5"),
        ("db", b'{"port": 5432, "n": 1.50}'),
        ("none", b""),
        ("a.b", b"path"),
        (r"a\.b", b"literal"),
    ],
)
def test_property_is_a_path(path, expected):
    assert select_value(DOCUMENT, path).reveal() == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("a.b", b"literal"), ("a.c", b"1"), ("user", b"admin"), ("db.port", b"5432")]
)
def test_key_with_dots_goes_before_the_path_where_the_provider_says_so(path, expected):
    assert select_value(DOCUMENT, path, literal_first=True).reveal() == expected


def test_missing_property_names_the_keys_and_no_value():
    with pytest.raises(PropertyNotFound) as caught:
        select_value(DOCUMENT, "nope")

    assert (
        caught.value.message
        == "the remote secret has no property 'nope'; it has 'a', 'a.b', 'db', 'none', 'user'"
    )


def test_missing_property_counts_as_absent_where_the_provider_says_so():
    with pytest.raises(RemoteSecretNotFound):
        select_value(DOCUMENT, "nope", missing_is_absent=True)


@pytest.mark.parametrize(
    "value",
    [b"hunter2", b'"hunter2"', b'{"hunter2', b'{"a" "hunter2"}', b"[]", b"{}", b""],
    ids=["text", "string", "unfinished", "broken", "array", "empty-object", "empty"],
)
def test_value_without_keys_is_not_shown(value):
    with pytest.raises(PropertyNotFound) as caught:
        select_value(SecretBytes(value), "nope")

    assert (
        caught.value.message
        == "the remote secret has no property 'nope'; its value is not a JSON object with keys"
    )


@pytest.mark.parametrize(
    ("count", "end"), [(20, ", 'k19'"), (21, "'k19' and 1 more"), (25, "'k19' and 5 more")]
)
def test_of_many_keys_the_first_are_named(count, end):
    value = SecretBytes(json.dumps({f"k{i:02}": 1 for i in range(count)}))

    with pytest.raises(PropertyNotFound) as caught:
        select_value(value, "nope")

    assert caught.value.message.endswith(end)


def test_long_names_are_cut():
    with pytest.raises(PropertyNotFound) as caught:
        select_value(SecretBytes(json.dumps({"k" * 300: 1})), "n" * 300)

    assert caught.value.message == f"the remote secret has no property {'n' * 200!r}; it has {'k' * 64!r}"


def test_names_cannot_break_the_line():
    with pytest.raises(PropertyNotFound) as caught:
        select_value(SecretBytes(b'{"a\\nb\\u001b[31m":1}'), "no\npe")

    assert caught.value.message.isprintable()


def test_path_that_asks_for_too_much_is_an_error_of_the_manifest():
    with pytest.raises(RenderError) as caught:
        select_value(SecretBytes(b'{"a":"hunter2"}'), "x" * 100_000)

    assert "too expensive" in caught.value.message
    assert "hunter2" not in str(caught.value)
