"""Random values: of the right form, of the run's randomness, and equally likely."""

from __future__ import annotations

import base64
import hashlib
import string
import uuid
from collections import Counter

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.randoms import group


class Source:
    """Bytes that look random, the same with each run."""

    def __init__(self):
        self.drawn = 0

    def __call__(self, count):
        self.drawn += 1
        return hashlib.shake_128(self.drawn.to_bytes(8, "big")).digest(count)


def new_run(source=None, **limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=source or Source())


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


@pytest.mark.parametrize(
    ("name", "chars"),
    [
        ("randAlphaNum", string.ascii_letters + string.digits),
        ("randAlpha", string.ascii_letters),
        ("randNumeric", string.digits),
        ("randAscii", "".join(map(chr, range(32, 127)))),
    ],
)
def test_all_characters_are_drawn_equally_often(name, chars):
    counts = Counter(call(name, 200_000).decode())
    expected = 200_000 / len(chars)

    assert set(chars) == counts.keys()
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counts.values())


@pytest.mark.parametrize("name", ["randAlphaNum", "randAlpha", "randNumeric", "randAscii"])
def test_bytes_that_would_prefer_some_characters_are_drawn_again(name):
    answers = iter([b"\xff" * 100, b"\x00" * 100])
    run = new_run(lambda count: (next(answers) * 10)[:count])

    assert 3 == len(call(name, 3, run=run))
    with pytest.raises(StopIteration):
        next(answers)


@pytest.mark.parametrize("count", [0, -1, -(1 << 63)])
def test_no_characters_are_none(count):
    assert b"" == call("randAlphaNum", count)


@pytest.mark.parametrize("name", ["randAlphaNum", "randAlpha", "randNumeric", "randAscii", "randBytes"])
def test_too_many_characters_are_refused_before_they_are_drawn(name):
    source = Source()

    with pytest.raises(Exhausted):
        call(name, 1 << 40, run=new_run(source))

    assert 0 == source.drawn


def test_random_bytes_are_base64():
    assert 12 == len(base64.b64decode(call("randBytes", 12), validate=True))
    assert b"" == call("randBytes", 0)


@pytest.mark.parametrize("count", [-1, 1 << 62])
def test_an_impossible_count_of_bytes_is_an_error(count):
    with pytest.raises(FunctionError) as raised:
        call("randBytes", count)

    assert "runtime error: makeslice: len out of range" == str(raised.value)


def test_numbers_are_between_their_limits_and_equally_likely():
    run = new_run()
    counts = Counter(call("randInt", -2, 3, run=run) for _ in range(5000))

    assert {-2, -1, 0, 1, 2} == counts.keys()
    assert all(abs(count - 1000) < 200 for count in counts.values())


def test_numbers_that_would_prefer_some_are_drawn_again():
    answers = iter([b"\xff" * 8, b"\x07" + bytes(7)])

    assert 7 == call("randInt", 0, 10, run=new_run(lambda _: next(answers)))


@pytest.mark.parametrize(("low", "high"), [(3, 3), (3, 0), (-(1 << 63), (1 << 63) - 1)])
def test_no_numbers_between_the_limits_is_an_error(low, high):
    with pytest.raises(FunctionError) as raised:
        call("randInt", low, high)

    assert "invalid argument to Intn" == str(raised.value)


def test_limits_wrap_around_as_in_go():
    assert -(1 << 63) <= call("randInt", (1 << 63) - 1, -5) < 1 << 63


def test_uuids_are_of_version_4():
    found = uuid.UUID(call("uuidv4").decode())

    assert (4, uuid.RFC_4122) == (found.version, found.variant)


def test_shuffling_keeps_the_characters_in_all_orders_equally_often():
    run = new_run()
    counts = Counter(call("shuffle", "aé日".encode(), run=run).decode() for _ in range(3000))

    assert 6 == len(counts)
    assert all("aé日" == "".join(sorted(order)) for order in counts)
    assert all(abs(count - 500) < 130 for count in counts.values())


@pytest.mark.parametrize(("text", "expected"), [(b"", b""), (b"a", b"a"), (b"\xff", b"\xef\xbf\xbd")])
def test_there_is_one_order_of_one_character(text, expected):
    assert expected == call("shuffle", text)


def test_bytes_that_would_prefer_some_order_are_drawn_again():
    answers = iter([b"\xff" * 16, bytes(8), bytes(8)])

    assert 3 == len(call("shuffle", b"abc", run=new_run(lambda _: next(answers))))


def test_long_texts_are_charged():
    with pytest.raises(Exhausted):
        call("shuffle", b"x" * (4 << 20))
