"""Conversions between types of numbers, as Sprig's functions do them to each of their arguments.

Rules: github.com/spf13/cast, whose failures are all 0, and Go's conversions between types of numbers.
"""

from __future__ import annotations

import math
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.functions.strval import strval
from keyferry.gotemplate.serial.gonumbers import parse_float, parse_int
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import (
    MAX_INT64,
    MIN_INT64,
    Int32,
    Int64,
    Sized,
    Uint,
    Uint8,
    Uint32,
    Uint64,
    Value,
    type_of,
    wrap_int64,
)

group = FunctionGroup("Numbers")

_NUMBERS: Final = frozenset({int, bool, Int64, Int32, Uint8, Uint32, Uint64, Uint})
_NAMED_INTS: Final = frozenset({"time.Month", "time.Weekday"})
_READ_PER_STEP: Final = 20


def to_int64(run: Run, value: Value) -> int:
    """The value as an int64: of a number without its fraction, of a text that is an integer, else 0."""
    kind = type(value)
    if kind in _NUMBERS:
        return wrap_int64(int(value))
    if kind is float:
        return float_to_int64(value)
    if kind is bytes:
        return _text_to_int64(run, value)
    return int(value) if isinstance(value, int) and type_of(value) in _NAMED_INTS else 0


def float_to_int64(value: float) -> int:
    """The number without its fraction; the least one where 64 bits cannot hold it, as on amd64."""
    if math.isfinite(value) and -(2.0**63) <= value < 2.0**63:
        return int(value)
    return MIN_INT64


def _text_to_int64(run: Run, text: bytes) -> int:
    run.spend(len(text) // _READ_PER_STEP)
    if not text.isascii():
        return 0
    tail = text[: len(text.rstrip(b".0")) - len(text) - 1 : -1]
    point = tail.find(b".", tail.find(b"0")) if b"0" in tail else -1
    return parse_int(text[: len(text) - 1 - point if point >= 0 else None].decode("ascii")) or 0


def to_float64(run: Run, value: Value) -> float:
    """The value as a float64: of a number, or of a text that is one; else 0."""
    kind = type(value)
    if kind is float:
        return float(value)
    if kind in _NUMBERS:
        return float(int(value))
    if kind is bytes:
        run.spend(len(value) // _READ_PER_STEP)
        number = parse_float(value.decode("ascii")) if value.isascii() else None
        return 0.0 if number is None else number
    return float(int(value)) if isinstance(value, int) and type_of(value) in _NAMED_INTS else 0.0


@group.add("atoi", "func(string) int")
def atoi(run: Run, text: bytes) -> int:
    """The decimal integer that the text is, else 0: `atoi "042"` is `42`. Of one that is too big, the biggest."""
    run.spend(len(text) // _READ_PER_STEP)
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    if not digits.isdigit():
        return 0
    value = parse_int(text.decode("ascii"), 10)
    if value is None:
        return MIN_INT64 if text[:1] == b"-" else MAX_INT64
    return value


@group.add("int", "func(interface {}) int")
def int_(run: Run, value: Value) -> int:
    """The value as an int: a number without its fraction, a text that is an integer, else 0: `int "42"` is `42`."""
    return to_int64(run, value)


@group.add("int64", "func(interface {}) int64")
def int64(run: Run, value: Value) -> int:
    """The value as an int64: a number without its fraction, a text that is an integer, else 0: `int64 "0x1f"` is `31`."""
    return Int64(to_int64(run, value))


@group.add("float64", "func(interface {}) float64")
def float64(run: Run, value: Value) -> float:
    """The value as a float64: a number, or a text that is one, else 0: `float64 "1.5"` is `1.5`."""
    return to_float64(run, value)


@group.add("toDecimal", "func(interface {}) int64")
def to_decimal(run: Run, value: Value) -> int:
    """The number whose octal digits these are, else 0: `toDecimal "0777"` is `511`."""
    kind = type(value)
    if kind is bytes:
        text = value
    elif kind is float or isinstance(value, Sized) or kind is int:
        text = strval(run, value)
    else:
        return Int64(0)
    run.spend(len(text) // _READ_PER_STEP)
    return Int64((parse_int(text.decode("ascii"), 8) or 0) if text.isascii() else 0)
