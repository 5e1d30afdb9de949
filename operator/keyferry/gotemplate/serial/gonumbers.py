"""Numbers in texts as Go's strconv reads them, and floats as JSON, YAML and map keys write them.

Rules: https://pkg.go.dev/strconv#ParseInt, #ParseFloat, #FormatFloat, and encoding/json's encoder of floats.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Final

from keyferry.gotemplate.text.fmt_number import float_text, shortest_digits
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64

MAX_UINT64: Final = (1 << 64) - 1
_MANY_DIGITS: Final = 70
"""No 64 bits hold a number of more digits, in any base."""
_EXPONENT_DIGITS: Final = 9
_LONGEST: Final = 1 << 16
"""Longer texts are taken for no number: matching them would cost much memory."""

_LITERAL: Final = re.compile(
    r"([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[bB]((?:_?[01])+)|0[oO]((?:_?[0-7])+)|0((?:_?[0-7])*)"
    r"|([1-9](?:_?[0-9])*))"
)
_BASES: Final = (16, 2, 8, 8, 10)
_PLAIN: Final = {8: re.compile(r"[+-]?[0-7]+"), 10: re.compile(r"[+-]?[0-9]+"), 2: re.compile(r"[+-]?[01]+")}
_DIGITS: Final = r"[0-9](?:_?[0-9])*"
_FLOAT: Final = re.compile(
    rf"([+-]?)((?:{_DIGITS})?)(\.?)((?:{_DIGITS})?)(?:[eE]([+-]?{_DIGITS}))?", re.ASCII
)
_HEX: Final = r"[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_HEX_FLOAT: Final = re.compile(rf"[+-]?0[xX]_?(?:{_HEX}\.?(?:{_HEX})?|\.{_HEX})[pP][+-]?{_DIGITS}", re.ASCII)
_SPECIAL: Final = re.compile(r"([+-]?)inf(?:inity)?|nan", re.ASCII | re.IGNORECASE)


def parse_int(text: str, base: int = 0, *, unsigned: bool = False) -> int | None:
    """The 64-bit integer that the text is, or None; base 0 reads Go's literals: 0x1f, 0b1, 0o7, 017, 1_000."""
    if len(text) > _LONGEST:
        return None
    if base == 0:
        found = _LITERAL.fullmatch(text)
        if found is None:
            return None
        sign, *forms = found.groups()
        index = next(at for at, form in enumerate(forms) if form is not None)
        digits, base = forms[index].replace("_", "") or "0", _BASES[index]
    else:
        if _PLAIN[base].fullmatch(text) is None:
            return None
        sign = text[0] if text[0] in "+-" else ""
        digits = text[len(sign) :]
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MANY_DIGITS or (unsigned and sign):
        return None
    value = int(digits, base)
    value = -value if sign == "-" else value
    low, high = (0, MAX_UINT64) if unsigned else (MIN_INT64, MAX_INT64)
    return value if low <= value <= high else None


def parse_float(text: str) -> float | None:
    """The float64 that the text is; None where it is none, or beyond the greatest."""
    if len(text) > _LONGEST:
        return None
    if special := _SPECIAL.fullmatch(text):
        if special[1] is None:
            return math.nan
        return -math.inf if special[1] == "-" else math.inf
    if found := _FLOAT.fullmatch(text):
        return _decimal(found)
    if _HEX_FLOAT.fullmatch(text) is None:
        return None
    try:
        return float.fromhex(text.replace("_", ""))
    except OverflowError:
        return None


def _decimal(found: re.Match[str]) -> float | None:
    sign, whole, point, fraction, exponent = found.groups()
    if not whole and not fraction:
        return None
    power = (exponent or "0").replace("_", "")
    # Go counts no further than ten thousand either.
    power = power[:1].strip("0123456789") + (power.lstrip("+-0") or "0")[:_EXPONENT_DIGITS]
    value = float(f"{sign}{whole}{point}{fraction}".replace("_", "") + "e" + power)
    return None if math.isinf(value) else value


def json_float(value: float) -> str:
    """The number as encoding/json writes it; it is neither infinite nor NaN."""
    size = abs(value)
    if size and not 1e-6 <= size < 1e21:
        text = float_text(value, "e", None)
        return text[:-2] + text[-1] if text[-4:-1] == "e-0" else text
    return float_text(value, "f", None)


def general_float(value: float) -> str:
    """The number as fmt's %v and YAML's encoder write it: 1e+06, 0.1, +Inf."""
    return float_text(value, "g", None)


def general_float32(value: float) -> str:
    """The same, in the fewest digits that tell it from other float32 values."""
    if not math.isfinite(value):
        return float_text(value, "g", None)
    try:
        packed = struct.pack("f", value)
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"
    single = struct.unpack("f", packed)[0]
    if not single:
        return "-0" if math.copysign(1, single) < 0 else "0"
    short = next(
        text for digits in range(9) if struct.pack("f", float(text := f"{single:.{digits}e}")) == packed
    )
    return float_text(float(short), "g", None)


__all__ = [
    "MAX_UINT64",
    "general_float",
    "general_float32",
    "json_float",
    "parse_float",
    "parse_int",
    "shortest_digits",
]
