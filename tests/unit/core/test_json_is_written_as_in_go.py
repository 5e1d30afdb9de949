"""JSON that is written anew has the bytes that Go's encoding/json gives it."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.gotext import MAX_DEPTH, go_json, go_number
from keyferry.errors import RenderError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("html", [True, False], ids=["with-escapes-for-html", "without-them"])
def test_every_text_is_written_as_go_writes_it(html, vectors):
    """Spacing, order, duplicates, escapes, broken UTF-8, half surrogates, numbers of all sizes."""
    different = {}
    for case in vectors("marshalled"):
        text = base64.b64decode(case["input"])
        expected = base64.b64decode(case["html" if html else "plain"])
        if (actual := go_json(text, html=html).encode()) != expected:
            different[text] = (actual, expected)

    assert different == {}


def test_numbers_without_exponents_are_those_of_go(vectors):
    numbers = [case for case in vectors("marshalled") if "fixed" in case]
    expected = {base64.b64decode(case["input"]).decode(): case["fixed"] for case in numbers}

    assert {number: go_number(number, exponents=False) for number in expected} == expected
    assert len(expected) > 400


@pytest.mark.parametrize(
    "number",
    [
        "9007199254740993",
        "-12345678901234567890",
        "0.12345678901234567890",
        "1e400",
        "-1e-400",
        "1e99999999999999999999",
        "1e-99999999999999999999",
    ],
)
def test_number_that_go_would_change_keeps_its_text(number):
    assert go_number(number) == number
    assert go_number(number, exponents=False) == number
    assert go_json(f'{{"a":[{number}]}}'.encode()) == f'{{"a":[{number}]}}'


def test_value_may_be_nested_deep_but_not_without_end():
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    assert go_json(deepest) == deepest.decode()
    with pytest.raises(RenderError, match="nested deeper"):
        go_json(b"[" + deepest + b"]")


def _exactly(text):
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


@given(JSON, st.booleans(), st.booleans())
def test_values_mean_what_they_meant(value, ascii_only, html):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1).encode("utf-8", "surrogatepass")
    if any(0xD800 <= ord(char) < 0xE000 for char in json.dumps(value, ensure_ascii=False)):
        go_json(text, html=html)
        return

    written = go_json(text, html=html)

    assert _exactly(written) == _exactly(text)
    assert go_json(written.encode(), html=html) == written
