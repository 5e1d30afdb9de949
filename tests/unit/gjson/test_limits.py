"""Hostile documents and paths end soon and in little memory: with a result, or with `GJSONLimitError`.

A document of 64 KiB is what one key of AWS Secrets Manager holds.
"""

from __future__ import annotations

import inspect
import sys
import time
import tracemalloc

import pytest

from keyferry import gjson

SIZE = 65_536
MOST_SECONDS = 5.0
"""Far above what any of these takes (half a second of CPU at most on a slow machine), far below a bomb."""
MOST_BYTES = 64 * 1024 * 1024

DOCUMENTS = {
    "open-arrays": b"[" * SIZE,
    "open-objects": b'{"a":' * (SIZE // 5),
    "nested-arrays": b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
    "many-numbers": b"[" + b"1," * (SIZE // 2) + b"1]",
    "many-objects": b"[" + b'{"a":1},' * (SIZE // 8) + b"{}]",
    "many-keys": b"{" + b'"":0,' * (SIZE // 5) + b'"b":1}',
    "repeated-key": b'{"' + b"k" * (SIZE // 2) + b'":[' + b"1," * (SIZE // 4) + b"1]}",
    "long-string": b'["' + b"a" * SIZE + b'"]',
    "quotes": b'"' * SIZE,
    "backslashes": b'{"a":"' + b"\\" * SIZE,
    "commas": b"[" + b"," * SIZE,
    "digits": b"[" + b"1" * SIZE + b".5]",
    "deep-rows": b"[" + b",".join([b"[" * 60 + b"1" + b"]" * 60] * 500) + b"]",
}
PATHS = {
    "indexes": "0." * 2000 + "0",
    "wildcards": "*." * 60 + "x",
    "wildcard-key": "*a" * 1900 + "b*",
    "wildcard-value": '#(%"' + "*a?" * 1000 + '*b*")#',
    "each": "#." * 60 + "a",
    "queries": "#(" * 60 + "a" + ")" * 60,
    "unclosed-queries": "#(" * 2000,
    "query-all": '#(="a")#',
    "same-multipath": "[" + ",".join(["#.a"] * 900) + "]",
    "nested-multipath": "{" * 4000,
    "doubling": "|".join(["[@this,@this]"] * 60),
    "quoting": "|".join(["@tostr"] * 100),
    "pretty": "@pretty",
    "pretty-wide": '@pretty:{"sortKeys":true,"width":100000000}',
    "pretty-indent": "|".join(['@pretty:{"indent":"' + "\\t" * 400 + '"}'] * 4),
    "dig": "@dig:a",
    "dig-in-dig": "@dig:@dig:@dig:a",
    "dig-literal": '@dig:!"' + "x" * 4000 + '"',
    "flatten": '@flatten:{"deep":true}',
    "flatten-often": "|".join(['@flatten:{"deep":true}'] * 100),
    "reverse-often": "|".join(["@reverse"] * 300),
    "group": "@group",
    "pipes": "|" * 4000,
    "lines": "..#(a)#.a",
}


def outcome(document, path):
    try:
        return len(gjson.get(document, path).text())
    except gjson.GJSONLimitError as error:
        return str(error)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_path_takes_long(document):
    took = {}
    for name, path in PATHS.items():
        begun = time.process_time()
        outcome(DOCUMENTS[document], path)
        took[name] = time.process_time() - begun

    assert {} == {name: seconds for name, seconds in took.items() if seconds > MOST_SECONDS}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("many-numbers", "doubling"),
        ("many-keys", "quoting"),
        ("deep-rows", "pretty-indent"),
        ("repeated-key", "group"),
        ("many-objects", "dig-literal"),
        ("backslashes", "same-multipath"),
        ("long-string", "wildcard-value"),
        ("open-arrays", "flatten"),
    ],
)
def test_no_path_takes_much_memory(document, path):
    tracemalloc.start()
    try:
        outcome(DOCUMENTS[document], PATHS[path])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MOST_BYTES


@pytest.mark.parametrize(
    ("document", "path"),
    [
        pytest.param(b"[]", "a" * (gjson.MAX_PATH_BYTES + 1), id="long-path"),
        pytest.param(b"[]", "é" * (gjson.MAX_PATH_BYTES // 2 + 1), id="long-path-in-bytes"),
        pytest.param(b"[" * 100, "0." * gjson.MAX_DEPTH + "0", id="many-components"),
        pytest.param(
            b"[]", "[" * (gjson.MAX_DEPTH + 1) + "]" * (gjson.MAX_DEPTH + 1), id="nested-multipaths"
        ),
        pytest.param(b"[" * 100 + b"]" * 100, "@pretty", id="deep-pretty"),
        pytest.param(b"[" * 100 + b"]" * 100, "@dig:a", id="deep-dig"),
        pytest.param(b"[" * 100 + b"]" * 100, '@flatten:{"deep":true}', id="deep-flatten"),
        pytest.param(b"[1]", "|".join(["[@this,@this]"] * 40), id="doubling"),
    ],
)
def test_beyond_a_limit_is_an_error(document, path):
    with pytest.raises(gjson.GJSONLimitError):
        gjson.get(document, path)


def test_caller_with_little_stack_left_gets_the_limit_error_too():
    def call(frames_left):
        if frames_left:
            return call(frames_left - 1)
        return gjson.get(b"[" * 60, "0." * 60 + "0")

    with pytest.raises(gjson.GJSONLimitError):
        call(sys.getrecursionlimit() - len(inspect.stack(0)) - 50)


def test_up_to_the_limits_there_is_a_result():
    deep = b"[" * (gjson.MAX_DEPTH - 1) + b"7" + b"]" * (gjson.MAX_DEPTH - 1)

    assert b"7" == gjson.get(deep, ".".join(["0"] * (gjson.MAX_DEPTH - 1))).text()
    assert not gjson.get(b"{}", "a" * gjson.MAX_PATH_BYTES).exists


def test_depth_of_the_document_alone_is_no_limit():
    deep = b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b',"b":1}'

    assert b"1" == gjson.get(deep, "b").text()
    assert 60_000 == len(gjson.get(deep, "a").raw)
    assert deep == gjson.get(deep, "@valid").raw


def test_large_documents_have_room_for_ordinary_work():
    rows = b",".join(b'{"name":"n%d","value":"%s"}' % (n, b"v" * 500) for n in range(4000))
    document = b'{"rows":[' + rows + b"]}"

    assert b"n3999" == gjson.get(document, 'rows.#(name=="n3999").name').text()
    assert b"4000" == gjson.get(document, "rows.#.value|#").text()
    assert gjson.get(document, "@pretty").exists
