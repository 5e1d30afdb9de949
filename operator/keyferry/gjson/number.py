"""Numbers as Go reads and prints them: strconv.ParseFloat, FormatFloat(f, 'f', -1, 64) and whole numbers."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

_WHOLE: Final = rb"[0-9]+(?:_[0-9]+)*"
_HEX_WHOLE: Final = rb"[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_DECIMAL: Final = re.compile(
    rb"([+-]?(?:%b(?:\.(?:%b)?)?|\.%b))(?:[eE]([+-]?)(%b))?" % (_WHOLE, _WHOLE, _WHOLE, _WHOLE)
)
_HEX: Final = re.compile(
    rb"[+-]?0[xX](?:_?%b(?:\.(?:%b)?)?|\.%b)[pP][+-]?%b" % (_HEX_WHOLE, _HEX_WHOLE, _HEX_WHOLE, _WHOLE)
)
_SPECIAL: Final = re.compile(rb"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9]++")
_PLAIN: Final = re.compile(rb"-?[0-9]*+")
_EXPONENT_DIGITS: Final = 5
_WORD: Final = 1 << 64
_WORD_DIGITS: Final = 64
"""2**64 divides 10**64: of a longer whole number only so many last digits count, modulo 2**64."""
_LARGEST_EXACT: Final = 9007199254740991
_LOWEST: Final = -(1 << 63)


def parse_float(text: bytes) -> float:
    """The float64 that the text spells in Go's syntax; 0 if it spells none, infinity if it is too large."""
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        # Go looks at no more of an exponent: beyond that everything is zero or infinite anyway.
        exponent = (match[3] or b"0").replace(b"_", b"").lstrip(b"0")[:_EXPONENT_DIGITS]
        return float(match[1] + b"e" + (match[2] or b"") + (exponent or b"0"))
    if _HEX.fullmatch(text):
        try:
            return float.fromhex(text.replace(b"_", b"").decode())
        except OverflowError:
            return -math.inf if text.startswith(b"-") else math.inf
    return float(text) if _SPECIAL.fullmatch(text) else 0.0


def format_float(number: float) -> bytes:
    """The shortest digits that read back as this number, without an exponent."""
    if math.isnan(number):
        return b"NaN"
    if math.isinf(number):
        return b"+Inf" if number > 0 else b"-Inf"
    digits = format(Decimal(repr(number)), "f")
    return digits.removesuffix(".0").encode()


def number_text(raw: bytes) -> bytes:
    """What gjson's String() makes of a number: digits stay as they are, everything else is printed anew."""
    return raw if _PLAIN.fullmatch(raw) else format_float(parse_float(raw))


def parse_uint(text: bytes) -> int | None:
    """A whole number of digits only, modulo 2**64 as gjson's own reader counts; None if it is no such thing."""
    return int(text[-_WORD_DIGITS:]) % _WORD if _DIGITS.fullmatch(text) else None


def parse_int(text: bytes) -> int | None:
    """As `parse_uint` with an optional minus, as a signed 64-bit number."""
    number = parse_uint(text.removeprefix(b"-"))
    if number is None:
        return None
    return signed(-number if text.startswith(b"-") else number)


def signed(number: int) -> int:
    """A whole number as the signed 64-bit number with the same lowest bits."""
    return (number - _LOWEST) % _WORD + _LOWEST


def int_of(raw: bytes) -> int:
    """A JSON number as gjson's Int() gives it: exact where a float64 or the digits are, else cut off."""
    number = parse_float(raw)
    if abs(number) <= _LARGEST_EXACT:
        return int(number)
    exact = parse_int(raw)
    if exact is not None:
        return exact
    # Go leaves this conversion to the machine: the answer of amd64.
    return int(number) if _LOWEST <= number < -_LOWEST else _LOWEST
