"""The keys that a message about a missing property may name."""

from __future__ import annotations

import pytest

from keyferry import gjson


def test_keys_come_in_their_order_and_once():
    assert ["b", "a", "é"] == gjson.keys(' {"b":{"x":1},"a":[{"y":2}],"b":2,"\\u00e9":"{\\"z\\":1}"} ')


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("", id="empty"),
        pytest.param("[1]", id="array"),
        pytest.param('"{"', id="string"),
        pytest.param("{}", id="no-keys"),
        pytest.param("canary", id="plain-text"),
        pytest.param('{"user" "x", "canary": 1}', id="no-colon"),
        pytest.param('{"user":,"canary":"x"}', id="no-value"),
        pytest.param('{"user":"x"}{"canary":1}', id="two-documents"),
        pytest.param('{"user":"x', id="cut-off"),
    ],
)
def test_text_that_is_no_valid_object_names_no_keys(document):
    """In a broken document a value could be taken for a key, and shown."""
    assert [] == gjson.keys(document)


def test_bytes_that_are_no_text_are_replaced_in_keys():
    assert ["a\ufffd"] == gjson.keys(b'{"a\xff":1}')


def test_keys_are_found_in_deep_documents():
    deep = '{"a":' + "[" * 60_000 + "]" * 60_000 + ',"b":1}'

    assert ["a", "b"] == gjson.keys(deep)
