"""Escaping: a key with special characters as one component of a path."""

from __future__ import annotations

import json

import pytest

from keyferry import gjson


@pytest.mark.parametrize(
    "key",
    ["a.b", "a|b", "*", "a?", "#", "@this", "@keys|x", "!true", "{a}", "[0]", "a\\b", "\\", "..", "a:b", "", "é.日", "~", " "],
)  # fmt: skip
def test_escaped_key_is_looked_up_literally(key):
    document = json.dumps({"decoy": 0, key: "found"})

    assert b"found" == gjson.get(document, gjson.escape(key)).text()


def test_plain_names_need_no_escape():
    assert "db-password_1:x é" == gjson.escape("db-password_1:x é")


def test_escaping_dots_leaves_the_rest_of_the_syntax_alone():
    assert "tls\\.crt|@this" == gjson.escape_dots("tls.crt|@this")
    assert b"1" == gjson.get('{"tls.crt":1}', gjson.escape_dots("tls.*")).text()
