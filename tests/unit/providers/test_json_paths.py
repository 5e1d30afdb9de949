"""`result.jsonPath`: the answers of Go's library, and what hostile paths may cost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.core.select import select_map
from keyferry.errors import KeyferryError
from keyferry.providers.webhook import jsonpath
from keyferry.providers.webhook.jsonpath import NothingThereError, PathLimitError, PathSyntaxError
from keyferry.providers.webhook.result import members_of, value_of
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import LeakDetector, canary

GOLDEN = json.loads((Path(__file__).parent / "json_paths.json").read_text("utf-8"))


def or_none(take, *arguments):
    try:
        return take(*arguments)
    except KeyferryError:
        return None


def in_clear(members):
    return {key: value.reveal().decode() for key, value in select_map(SecretBytes(members)).items()}


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['path']} in {case['document'][:20]}")
def test_answer_is_that_of_the_library(case):
    """A comparison with Go itself keeps the table true (tests/oracle/jsonpath)."""
    document, path = case["document"].encode(), case["path"]
    try:
        jsonpath.parse(path)
        parses = True
    except PathSyntaxError:
        parses = False

    value = or_none(value_of, document, path, "path")
    members = or_none(members_of, document, path, "path")

    assert case["parses"] == parses
    assert case["value"] == (None if value is None else value.decode())
    assert case["members"] == (None if members is None else in_clear(members))


def found(path, document):
    return jsonpath.get(path, jsonpath.document_of(json.dumps(document).encode()))


def test_members_of_an_object_come_in_the_order_of_their_keys():
    """Whatever the server's order is: else a Secret would change by itself."""
    one = {"b": {"k": 2}, "a": {"k": 1}, "c": {"k": 3}}
    other = dict(reversed(one.items()))

    assert [1, 2, 3] == found("$.*.k", one) == found("$.*.k", other) == found("$..k", other)


@pytest.mark.parametrize("path", ["$['data']['user']", "$.data['user']", "$['data'].user", "$['da\\'ta']"])
def test_names_may_be_in_single_quotes(path):
    assert "app" == found(path, {"data": {"user": "app"}, "da'ta": "app"})


def test_numbers_keep_their_digits():
    """Where a float does not hold them; Go's library loses them."""
    text = '{"id": 12345678901234567890, "pi": 3.14159265358979323846264}'

    assert b"12345678901234567890" == value_of(text.encode(), "$.id", "path")
    assert b"3" == value_of(text.encode(), "$.pi", "path")
    assert {"id": "12345678901234567890", "pi": "3.14159265358979323846264"} == in_clear(
        members_of(text.encode(), "", "path")
    )


def test_bytes_that_are_no_text_become_replacement_characters():
    assert "a\ufffdb".encode() == value_of(b'{"k": "a\xffb"}', "$.k", "path")
    assert "a\ufffdb".encode() == value_of(b'{"k": "a\\ud800b"}', "$.k", "path")


NESTED = [[[[[0] * 8] * 8] * 8] * 8] * 8
WIDE = {str(number): {"a": number} for number in range(20_000)}
BOMBS = [
    pytest.param("$..*..*..*..*", NESTED, id="all-below-all"),
    pytest.param("$[*][*][*][*][*]..*..*", NESTED, id="stars"),
    pytest.param("$[?($..* == $..*)]", NESTED, id="comparisons"),
    pytest.param("$[?($[?($[?(1==1)] == 1)] == 1)]", WIDE, id="filters"),
    pytest.param("$[($)]", WIDE, id="key-of-everything"),
    pytest.param("$[*][?($ == $)]", WIDE, id="everything-each-time"),
    pytest.param(f"$[{'*].*,' * 10}0]", NESTED, id="no-path"),
    pytest.param(f"$[{','.join(['$..*'] * 500)}]", NESTED, id="many-keys"),
    pytest.param("(" * 3000, 1, id="parentheses"),
    pytest.param("-" * 3000 + "1", 1, id="signs"),
    pytest.param("$" + "[$" * 1500, 1, id="brackets"),
    pytest.param("$" + "..*" * 1000, NESTED, id="steps"),
    pytest.param("$" + ".a" * 3000, 1, id="too-long"),
    pytest.param("/*" * 2000, 1, id="comments"),
    pytest.param('"' + "\\" * 4001, 1, id="escapes"),
    pytest.param("1" + "_" * 4000, 1, id="digits"),
    pytest.param("$" + "[0:1:1]" * 64, [[]], id="slices"),
]


@pytest.mark.parametrize(("path", "document"), BOMBS)
def test_hostile_path_comes_to_an_end_soon(path, document):
    parsed = jsonpath.document_of(json.dumps(document).encode())
    told = ""
    began = time.process_time()
    try:
        jsonpath.get(path, parsed)
    except (PathSyntaxError, PathLimitError, NothingThereError) as error:
        told = str(error)

    assert len(told) < 200
    assert time.process_time() - began < 2.0  # a third of a second, on a machine that does nothing else


def test_limit_is_told_as_one():
    with pytest.raises(PathLimitError, match="too much work"):
        jsonpath.get("$..*..*..*..*", NESTED)
    with pytest.raises(PathSyntaxError, match="nests deeper than"):
        jsonpath.parse("(" * 100)
    with pytest.raises(PathSyntaxError, match="more than 64 steps"):
        jsonpath.parse("$" + ".a" * 65)
    with pytest.raises(PathSyntaxError, match="longer than 4096"):
        jsonpath.parse("$" + " " * 4096)


@pytest.mark.parametrize(
    ("path", "cheap"),
    [("$", True), ("$.a[0].b", True), ("$[*]", False), ("$..a", False), ("$[(1)]", True), ("$[$.a]", False)],
)
def test_path_that_only_follows_names_is_cheap(path, cheap):
    assert cheap is jsonpath.is_cheap(path)


def test_no_value_is_in_an_error():
    leaks = LeakDetector()
    secret = {canary("key"): [canary("value")], "list": [canary("value")]}
    body = json.dumps(secret).encode()

    for path in (
        "$.none",
        "$.list[7]",
        "$.list.x",
        "-$.list[0]",
        "$.list[0].x",
        "$.list[$.list]",
        "a.b.c",
        "f(1)",
    ):
        for take in (value_of, members_of):
            with pytest.raises(KeyferryError) as failure:
                take(body, path, "path")
            assert [] == leaks.look_at_error(path, failure.value)


PIECES = st.sampled_from(
    [
        "$",
        "@",
        ".",
        "..",
        "*",
        "[",
        "]",
        "(",
        ")",
        "?",
        ":",
        ",",
        "'",
        '"',
        "==",
        "!=",
        "-",
        "a",
        "0",
        "1.5",
        " ",
    ]
)
PATHS = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=20).map("".join))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab0"), inner, max_size=3),
    max_leaves=8,
)


@given(path=PATHS, document=VALUES)
@settings(max_examples=300, deadline=None)
def test_any_path_gives_a_value_or_an_error_of_ours(path, document):
    body = json.dumps(document).encode()

    for take in (value_of, members_of):
        answer = or_none(take, body, path, "path")
        assert answer is None or isinstance(answer, bytes)


@given(body=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_body_gives_a_value_or_an_error_of_ours(body):
    for path in ("", "$", "$.a"):
        answer = or_none(members_of, body, path, "path")
        assert answer is None or isinstance(answer, bytes)
