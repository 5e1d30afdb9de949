"""Numeric constants as Go's templates read them.

Rules: https://go.dev/ref/spec#Integer_literals and text/template/parse (newNumber). Complex constants are
refused: nothing in a Secret needs them.
"""

from __future__ import annotations

import math
import re
from typing import Final

from keyferry.gotemplate.language.nodes import Number
from keyferry.gotemplate.language.quoting import quote, unquote_character
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64

MAX_UINT64: Final = (1 << 64) - 1
MAX_DIGITS: Final = 64
MAX_CHARS: Final = 1000
_INTEGER: Final = re.compile(
    r"(?P<sign>[+-]?)(?:"
    r"0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[oO](?P<octal>(?:_?[0-7])+)|0[bB](?P<binary>(?:_?[01])+)"
    r"|(?P<old>0(?:_?[0-7])+)|(?P<decimal>0|[1-9](?:_?[0-9])*))\Z"
)
_BASES: Final = {"hex": 16, "octal": 8, "binary": 2, "old": 8, "decimal": 10}
_FLOAT: Final = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?\Z"
)
_HEX_FLOAT: Final = re.compile(
    r"[+-]?0[xX](?:(?:_?[0-9a-fA-F])+\.?(?:[0-9a-fA-F](?:_?[0-9a-fA-F])*)?|\.[0-9a-fA-F](?:_?[0-9a-fA-F])*)"
    r"[pP][+-]?[0-9](?:_?[0-9])*\Z"
)


class NumberError(ValueError):
    """The text is no number that a template can use; the text says why."""


def character(position: int, literal: bytes) -> Number:
    """Of a character constant.

    Raises:
        QuotingError: it is none.
    """
    code = unquote_character(literal)
    return Number(position, literal.decode("utf-8", "replace"), code, code, float(code))


def number(position: int, literal: bytes) -> Number:
    """Of a number.

    Raises:
        NumberError: it is none.
    """
    text = literal.decode()
    if len(text) > MAX_CHARS:
        raise NumberError(f"illegal number syntax: {quote(literal[:MAX_CHARS])}...")
    if text.endswith("i"):
        raise NumberError(f"complex constants are not supported: {quote(literal)}")
    if (value := _integer(text)) is not None:
        whole = value if MIN_INT64 <= value <= MAX_INT64 else None
        unsigned = value if 0 <= value <= MAX_UINT64 and text[0] not in "+-" else None
        if whole == 0:
            unsigned = 0
        if whole is not None or unsigned is not None:
            return Number(position, text, whole, unsigned, float(value))
    real = _real(text)
    if real is None:
        raise NumberError(f"illegal number syntax: {quote(literal)}")
    if not any(char in text for char in ".eEpP"):
        raise NumberError(f"integer overflow: {quote(literal)}")
    whole = int(real) if real.is_integer() and MIN_INT64 <= real < MAX_INT64 else None
    unsigned = int(real) if real.is_integer() and 0 <= real < MAX_UINT64 else None
    return Number(position, text, whole, unsigned, real)


def _integer(text: str) -> int | None:
    found = _INTEGER.match(text)
    if found is None:
        return None
    base = next(name for name in _BASES if found[name] is not None)
    digits = found[base].replace("_", "").lstrip("0") or "0"
    # No 64 bits hold more; and a number of a million digits takes long to read.
    value = int(digits, _BASES[base]) if len(digits) <= MAX_DIGITS else 1 << 65
    return -value if found["sign"] == "-" else value


def _real(text: str) -> float | None:
    if _HEX_FLOAT.match(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except OverflowError:
            return None
    if not _FLOAT.match(text):
        return None
    value = float(text.replace("_", ""))
    return None if math.isinf(value) else value
