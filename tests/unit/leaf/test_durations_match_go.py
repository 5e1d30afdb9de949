"""Go durations, as Go's package time reads and prints them. The vectors are written by ../core/oracle/main.go."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.duration import (
    PATTERN,
    format_go_duration,
    parse_go_duration,
    parse_go_duration_nanos,
)

VECTORS = json.loads((Path(__file__).parent / "vectors/durations.json").read_text("utf-8"))
MICROS = st.integers(-(2**63) // 1000 + 1, 2**63 // 1000 - 1)


def _nanos(text):
    try:
        return parse_go_duration_nanos(text)
    except ValueError:
        return None


def _cases():
    for case in VECTORS["parsed"]:
        text = base64.b64decode(case["text"]).decode()
        yield text, None if case["nanos"] is None else int(case["nanos"])


def test_every_text_is_read_as_in_go():
    different = {text: (_nanos(text), nanos) for text, nanos in _cases() if _nanos(text) != nanos}

    assert different == {}


def test_vectors_hold_both_kinds_of_texts():
    nanos = [nanos for _, nanos in _cases()]

    assert nanos.count(None) > 100
    assert len(nanos) - nanos.count(None) > 100


def test_durations_are_printed_as_in_go():
    assert [format_go_duration(timedelta(microseconds=case["micros"])) for case in VECTORS["printed"]] == [
        case["text"] for case in VECTORS["printed"]
    ]


def test_schemas_pattern_takes_what_go_takes():
    """It cannot count, so what is only too long passes it, and is refused when it is read."""
    pattern = re.compile(PATTERN.removesuffix("$") + r"\Z")
    for text, nanos in _cases():
        fits = pattern.match(text) is not None
        if fits and nanos is None:
            with pytest.raises(ValueError, match="longer than 292 years"):
                parse_go_duration_nanos(text)
        else:
            assert (text, fits) == (text, nanos is not None)


@pytest.mark.parametrize("text", ["5", "1h0", "00", "1h-2m", "1h\n", "1d", "often", "", "\u0661h"])
def test_refusal_does_not_repeat_the_text(text):
    with pytest.raises(ValueError, match=r'^not a duration such as "1h", "30m" or "1h30m0s"$'):
        parse_go_duration_nanos(text)


@given(MICROS)
def test_what_is_printed_is_read_back(micros):
    value = timedelta(microseconds=micros)

    assert parse_go_duration(format_go_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1ns", 1),
        ("-1ns", -1),
        ("1000ns", 1),
        ("1001ns", 2),
        ("-1001ns", -2),
        ("0.5ns", 0),
        ("0", 0),
        ("1.5h", 5_400_000_000),
    ],
)
def test_part_of_a_microsecond_counts_as_one(text, micros):
    """Only zero may become zero: as a refreshInterval it means "never again"."""
    assert parse_go_duration(text) == timedelta(microseconds=micros)


@given(st.text(alphabet="0123456789.hmsuµn-+ ", max_size=12))
def test_any_text_is_a_duration_or_the_one_error(text):
    nanos = _nanos(text)

    assert nanos is None or -(2**63) <= nanos < 2**63


def test_long_texts_take_no_time():
    """Linear: a pattern that goes back would take hours."""
    for text in ("1" * 100_000, "1h" * 50_000 + "x", "." * 100_000, "1." * 50_000, "9" * 100_000 + "h"):
        assert _nanos(text) is None
