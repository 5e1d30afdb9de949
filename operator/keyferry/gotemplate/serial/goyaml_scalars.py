"""What a YAML scalar means: YAML 1.1 as go.yaml.in/yaml/v2 understands it.

Rules: that package's resolve.go, which knows no base 60 and reads timestamps, but keeps them as texts.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import math
import re
from typing import Final

from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.serial.gonumbers import parse_float, parse_int

_PREFIX: Final = "tag:yaml.org,2002:"
STR, BOOL, INT, FLOAT, NULL, TIMESTAMP, BINARY, MERGE = (
    _PREFIX + name for name in ("str", "bool", "int", "float", "null", "timestamp", "binary", "merge")
)
_RESOLVABLE: Final = frozenset({None, "", STR, BOOL, INT, FLOAT, NULL, TIMESTAMP})

Scalar = str | bool | int | float | bytes | None
"""Text, or what a text without quotes means; bytes are those of a !!binary."""


class YAMLError(FunctionError):
    """The text is no YAML, or none that JSON can hold."""


class NotOfTag(ValueError):
    """The text cannot be what its tag says; the text names the two kinds."""


_WORDS: Final[dict[str, tuple[str, Scalar]]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), (BOOL, True)),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), (BOOL, False)
    ),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (NULL, None)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (FLOAT, math.nan)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (FLOAT, math.inf)),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (FLOAT, -math.inf)),
}
_HINTS: Final = frozenset("+-.0123456789yYnNtTfFoO~")
_NUMERIC: Final = frozenset("+-0123456789")
_FLOAT_STYLE: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIME: Final = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?"
_TIMESTAMP: Final = re.compile(
    rf"([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})"
    rf"(?:[Tt]{_TIME}(?:Z|[+-]([0-9]{{2}}):([0-9]{{2}}))| +{_TIME})?"
)
_LONGEST_WORD: Final = 5


def resolve(text: str) -> tuple[str, Scalar]:
    """The tag and the value of a text without quotes and without a tag."""
    if text and text[0] not in _HINTS:
        return STR, text
    if len(text) <= _LONGEST_WORD and (word := _WORDS.get(text)):
        return word
    if not text:
        return NULL, None
    if text[0] == ".":
        number = parse_float(text)
        return (STR, text) if number is None else (FLOAT, number)
    if text[0] not in _NUMERIC:
        return STR, text
    if _is_timestamp(text):
        return TIMESTAMP, text
    found = _number(text.replace("_", ""))
    if found is None:
        return STR, text
    return (FLOAT if isinstance(found, float) else INT), found


def _number(plain: str) -> int | float | None:
    whole = parse_int(plain)
    if whole is None:
        whole = parse_int(plain, unsigned=True)
    if whole is not None:
        return whole
    if _FLOAT_STYLE.fullmatch(plain) and (number := parse_float(plain)) is not None:
        return number
    if plain.startswith("0b"):
        whole = parse_int(plain[2:], 2)
        return parse_int(plain[2:], 2, unsigned=True) if whole is None else whole
    return parse_int("-" + plain[3:], 2) if plain.startswith("-0b") else None


def _is_timestamp(text: str) -> bool:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return False
    year, month, day = (int(one) for one in found.groups()[:3])
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year or 4, month)[1]:
        return False
    zoned, zone, local = found.groups()[3:6], found.groups()[6:8], found.groups()[8:11]
    clock = zoned if zoned[0] is not None else local
    if clock[0] is not None and not (int(clock[0]) < 24 and int(clock[1]) < 60 and int(clock[2]) < 60):
        return False
    return zone[0] is None or (int(zone[0]) <= 24 and int(zone[1]) <= 60)


def resolve_tagged(tag: str | None, text: str) -> Scalar:
    """The value of a text with a tag, or of one without quotes.

    Raises:
        NotOfTag: the text is nothing of the kind.
    """
    if tag == BINARY:
        return _binary(text)
    if tag not in _RESOLVABLE or tag == STR:
        return text
    found, value = resolve(text)
    if tag and found == TIMESTAMP and tag != TIMESTAMP:
        # With another tag it is no timestamp, and may be a number.
        number = _number(text.replace("_", ""))
        found, value = (
            (STR, text) if number is None else (FLOAT if isinstance(number, float) else INT, number)
        )
    if tag in {None, "", found}:
        return value
    if tag == FLOAT and isinstance(value, int) and not isinstance(value, bool) and value < 1 << 63:
        return float(value)
    short = [one.replace(_PREFIX, "!!") for one in (found, str(tag))]
    raise NotOfTag(f"cannot decode {short[0]} as a {short[1]}")


def _binary(text: str) -> bytes:
    try:
        compact = text.replace("\n", "").replace("\r", "").encode("ascii")
        decoded = base64.b64decode(compact, validate=True)
    except (ValueError, binascii.Error):
        raise NotOfTag("!!binary value contains invalid base64 data") from None
    if len(compact) % 4:
        raise NotOfTag("!!binary value contains invalid base64 data")
    return decoded
