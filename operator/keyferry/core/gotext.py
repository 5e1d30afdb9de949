"""JSON as Go's package encoding/json writes it: the bytes of a Secret, and so its hash, depend on it.

Compact, keys sorted, `<`, `>` and `&` escaped unless told otherwise. Numbers are those of Go's float64 where
that holds the number; where it does not (integers beyond 2**53, more digits than 17) they keep their text, for
a secret must not lose digits.
"""

from __future__ import annotations

import decimal
import json
import math
import re
from collections.abc import Mapping
from typing import Final

from keyferry.errors import RenderError

MAX_DEPTH: Final = 500
"""Deepest nesting that is written anew."""
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|[^\s"{}\[\],:]++', re.DOTALL)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_SEPARATORS: Final = {ord(char): f"\\u{ord(char):04x}" for char in "\u2028\u2029"}
_HTML: Final = _SEPARATORS | {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}
_SPECIAL: Final = re.compile("[\u2028\u2029<>&]")


def unquoted(raw: bytes) -> str:
    """The text of a JSON string. Each byte that is no UTF-8, and each half of a surrogate pair, is U+FFFD."""
    text: str = json.loads(raw.decode("utf-8", "surrogateescape"))
    return _SURROGATES.sub("\ufffd", text)


def go_string(text: str, *, html: bool = True) -> str:
    """The text as a JSON string; `html` escapes the characters that HTML gives a meaning."""
    plain = json.dumps(text, ensure_ascii=False)
    # Most texts have none, and to look for them costs a hundredth of what putting them in does.
    return plain.translate(_HTML if html else _SEPARATORS) if _SPECIAL.search(plain) else plain


def go_object(members: Mapping[str, str], *, html: bool = True) -> str:
    """A JSON object of values that are JSON already."""
    return "{" + ",".join(f"{go_string(key, html=html)}:{members[key]}" for key in sorted(members)) + "}"


def go_number(text: str, *, exponents: bool = True) -> str:
    """A JSON number; without exponents as strconv.FormatFloat(…, 'f', -1, 64) has it."""
    value = float(text)
    if not (math.isfinite(value) and _is_exact(value, text)):
        return text
    if exponents and value != 0 and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace("e-0", "e-")
    fixed = format(decimal.Decimal(repr(value)), "f")
    return fixed.rstrip("0").rstrip(".") if "." in fixed else fixed


def _is_exact(value: float, text: str) -> bool:
    try:
        return decimal.Decimal(repr(value)) == decimal.Decimal(text)
    except decimal.InvalidOperation:  # an exponent beyond all bounds
        return False


def go_json(raw: bytes, *, html: bool = True) -> str:
    """A valid JSON text, decoded and encoded again. Of members with the same key the last one stays.

    Raises:
        RenderError: it is nested too deep.
    """
    document: list[str] = []
    open_: list[list[str]] = [document]  # what was found in each of the containers that are open
    is_object = [False]
    for token in _TOKEN.findall(raw):
        found = open_[-1]
        if token in (b"{", b"["):
            if len(open_) > MAX_DEPTH:
                raise RenderError(f"a JSON value is nested deeper than {MAX_DEPTH} levels")
            open_.append([])
            is_object.append(token == b"{")
        elif token == b"}":
            members = dict(zip(found[::2], found[1::2], strict=True))
            _close(open_, is_object, go_object(members, html=html))
        elif token == b"]":
            _close(open_, is_object, f"[{','.join(found)}]")
        elif token.startswith(b'"'):
            text = unquoted(token)
            is_key = is_object[-1] and len(found) % 2 == 0
            found.append(text if is_key else go_string(text, html=html))
        else:
            text = token.decode()
            found.append(text if text in ("null", "true", "false") else go_number(text))
    return document[0]


def _close(open_: list[list[str]], is_object: list[bool], text: str) -> None:
    open_.pop()
    is_object.pop()
    open_[-1].append(text)
