"""Values that paths look at, and how the language turns one type into another.

A JSON document is made of dict, list, str, bool, None and `Number`. Numbers are floats, as the established
operator has them, and remember how they were written: a secret must not lose digits.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn, Self

MAX_DEPTH: Final = 200
"""Deepest nesting of a document."""
_ESCAPED: Final = re.compile("[\udc80-\udcff]")
_DIGITS: Final = "[0-9]+(?:_[0-9]+)*"
_DECIMAL: Final = re.compile(
    rf"[+-]?(?:(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_HEX_DIGITS: Final = "[0-9a-f]+(?:_[0-9a-f]+)*"
_HEX: Final = re.compile(
    rf"[+-]?0x_?(?:{_HEX_DIGITS}(?:\.(?:{_HEX_DIGITS})?)?|\.{_HEX_DIGITS})p[+-]?{_DIGITS}", re.IGNORECASE
)
_MIN_INT: Final = -(1 << 63)
_MAX_INT: Final = 1 << 63
_FIXED_FROM: Final = -4
_FIXED_BELOW: Final = 21
"""Decimal exponents of numbers that Go prints without one."""


class Number(float):
    """A JSON number: its value, and its text."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        """Read the text.

        Raises:
            ValueError: the number is too large.
        """
        number = super().__new__(cls, text)
        if math.isinf(number):
            raise ValueError("a number is too large")
        number.text = text
        return number


def document_of(body: bytes) -> Any:
    """A JSON text as values. Each byte that is no UTF-8 is U+FFFD.

    Raises:
        ValueError: it is no JSON, a number is too large, or it nests deeper than `MAX_DEPTH`. The text may
            quote the document.
    """
    text = _ESCAPED.sub("\ufffd", body.decode("utf-8", "surrogateescape"))
    try:
        found = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_no_number)
    except RecursionError:
        found, deep = None, True
    else:
        deep = _is_deep(found)
    if deep:
        raise ValueError("the document nests too deeply")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        if not inner:
            return False
        level = inner
    return True


def parse_float(text: str) -> float | None:
    """A number as Go's strconv.ParseFloat reads it; None where it is none, or is too large."""
    if _DECIMAL.fullmatch(text):
        number = float(text)
        return None if math.isinf(number) and "i" not in text.lower() else number
    if _HEX.fullmatch(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except OverflowError:
            return None
    return None


def to_float(value: Any) -> float | None:
    """The value as a number; texts that are numbers count. None where it is none."""
    if isinstance(value, float):
        return value
    return parse_float(value) if isinstance(value, str) else None


def to_int(value: Any) -> int | None:
    """The value as an index: its number without the fraction, as a 64 bit machine has it."""
    number = to_float(value)
    if number is None:
        return None
    if math.isnan(number) or not _MIN_INT <= number < _MAX_INT:
        return _MIN_INT
    return int(number)


def to_bool(value: Any) -> bool | None:
    """The value as a condition; None where it is none, such as most texts, lists and objects."""
    if isinstance(value, bool):
        return value
    if value is None or value in ("false", "FALSE"):
        return False
    if value in ("true", "TRUE"):
        return True
    number = to_float(value)
    return None if number is None else number != 0


def to_text(value: Any) -> str:
    """The value as Go's fmt prints it with %v: so expressions become keys."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, list):
        return f"[{' '.join(map(to_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{to_text(value[key])}' for key in sorted(value))}]"
    return _float_text(value)


def _float_text(number: float) -> str:
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    digits, exponent = _shortest(abs(float(number)))
    if number == 0:
        return f"{sign}0"
    if not _FIXED_FROM <= exponent < _FIXED_BELOW:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _shortest(number: float) -> tuple[str, int]:
    """The fewest digits that tell the number, and its decimal exponent."""
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = whole + fraction
    shift = len(whole) - 1 + int(exponent or "0")
    leading = len(digits) - len(digits.lstrip("0"))
    return digits.lstrip("0").rstrip("0") or "0", shift - leading


def are_equal(left: Any, right: Any) -> bool:
    """Whether two values are of one type and equal, deeply. No value equals one of another type."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(are_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(are_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def weight(value: Any, most: int) -> int:
    """How much there is to look at in a value: its elements, and a part of its texts. More than `most` is enough."""
    total, left = 0, [value]
    while left and total <= most:
        one = left.pop()
        total += 1
        if isinstance(one, str):
            total += len(one) >> 6
        elif isinstance(one, list):
            left.extend(one)
        elif isinstance(one, dict):
            total += len(one)
            left.extend(one.values())
    return total
