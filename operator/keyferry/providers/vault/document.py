"""Vault's answers as data, and as Go's encoding/json writes them.

Numbers keep the text that Vault sent: a secret must not lose digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from keyferry.core.gotext import go_object, go_string

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
MAX_DEPTH: Final = 200
"""Deepest nesting of a remote secret."""
MAX_PARTS: Final = 250_000
"""Most members and elements that an answer may have: while more are decoded, no other thread gets its turn."""
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
LONGEST_S: Final = 36500 * 86400
"""Nothing lasts longer, whatever a server says."""


class Number(str):
    """A JSON number, as its text."""

    __slots__ = ()


def decode(body: bytes) -> Mapping[str, Any]:
    """The object that a body holds; an empty body holds an empty one.

    Raises:
        ValueError: it is no JSON object, or one that is nested too deep or has too many parts.
    """
    if not body.strip():
        return {}
    if body.count(b",") > MAX_PARTS and _STRING.sub(b"", body).count(b",") > MAX_PARTS:
        raise ValueError("too many parts")
    try:
        document = json.loads(
            body.decode("utf-8", "replace"), parse_int=_number, parse_float=_number, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(document, dict):
        raise ValueError("no object")  # noqa: TRY004 - of the text's value, not of an argument's type
    return document


def _number(text: str) -> Number:
    """In Python, and not the class itself: so the decoder lets others have their turn."""
    return Number(text)


def _refuse(_: str) -> NoReturn:
    raise ValueError("no JSON number")


def go_text(value: Any) -> str:
    """A part of a document as JSON text: compact, keys sorted, numbers as they came.

    Raises:
        ValueError: it is nested too deep.
    """
    return _SURROGATES.sub("\ufffd", _written(value, 0))


def _written(value: Any, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    match value:
        case Number():
            return str(value)
        case str():
            return go_string(value)
        case Mapping():
            return go_object({key: _written(inner, depth + 1) for key, inner in value.items()})
        case list():
            return f"[{','.join(_written(inner, depth + 1) for inner in value)}]"
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
    return json.dumps(value)


def whole(value: Any) -> int:
    """A number as an integer; 0 for what is none."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, Number) and _INTEGER.fullmatch(value) else 0


def seconds(value: Any) -> int:
    """A number as a time to come; 0 for what is none."""
    return max(0, min(whole(value), LONGEST_S))


def text_of(value: Any) -> str:
    """A text; empty for what is none."""
    return str(value) if isinstance(value, str) and not isinstance(value, Number) else ""


def mapping_of(value: Any) -> Mapping[str, Any]:
    """An object; an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}
