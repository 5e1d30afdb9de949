"""JSON that is nested too deep to be parsed is cut, and nothing else of it changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.kube.shallow import MAX_DEPTH, Decoder, is_deep, loads, shallow

LEVELS = [MAX_DEPTH + 1, 255, 1_000, 5_000, 10_000]
TEXTS = st.sampled_from(["", '"', "\\", '\\"', "{" * 300, '"}' * 200, "\\u0022", "é", "[{]}"])
VALUES = st.recursive(TEXTS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


def nested(levels: int, inside: str = "1") -> str:
    """Objects and lists in turn."""
    opening, closing = '{"a":[', "]}"
    return (
        opening * (levels // 2) + "[" * (levels % 2) + inside + "]" * (levels % 2) + closing * (levels // 2)
    )


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(VALUES)
def test_what_is_not_deep_stays_as_it_is(value: Any) -> None:
    raw = json.dumps(value).encode()

    assert not is_deep(raw)
    assert shallow(raw) is raw


def test_limit_is_exact() -> None:
    assert not is_deep(nested(MAX_DEPTH).encode())
    assert is_deep(nested(MAX_DEPTH + 1).encode())


def test_many_brackets_side_by_side_are_not_deep() -> None:
    raw = json.dumps([{"a": [{}]}] * 1_000).encode()

    assert shallow(raw) is raw


@pytest.mark.parametrize("levels", LEVELS)
@settings(max_examples=15)
@given(before=VALUES, after=VALUES, inside=VALUES)
def test_what_is_deep_is_cut_and_all_around_stays(levels: int, before: Any, after: Any, inside: Any) -> None:
    deep = nested(levels, json.dumps(inside))
    raw = f'{{"before":{json.dumps(before)},"deep":{deep},"after":{json.dumps(after)}}}'.encode()
    found = loads(raw)

    assert (found["before"], found["after"]) == (before, after)
    assert depth(found) == MAX_DEPTH
    assert orjson.dumps(found)


class Part(msgspec.Struct):
    name: str


@pytest.mark.parametrize("levels", LEVELS)
def test_part_of_a_deep_object_is_decoded(levels: int) -> None:
    raw = f'{{"rest":{nested(levels)},"name":"x"}}'.encode()

    assert Decoder(Part).decode(raw) == Part("x")
    assert Decoder(Part).decode(msgspec.Raw(raw)) == Part("x")


def test_text_that_is_no_json_is_refused_as_such() -> None:
    with pytest.raises(msgspec.DecodeError):
        Decoder(Part).decode(b'{"name":')
