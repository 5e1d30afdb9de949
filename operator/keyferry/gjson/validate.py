"""Whether a text is valid JSON, without parsing it and without recursion. UTF-8 is not checked, as in gjson."""

from __future__ import annotations

import re
from typing import Final

_SPACE: Final = rb"[ \t\n\r]*+"
_STRING: Final = rb'"([^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_EMPTY: Final = rb"\{" + _SPACE + rb"\}|\[" + _SPACE + rb"\]"
_VALUE: Final = re.compile(
    _SPACE + rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null|" + _EMPTY + rb"|([{\[]))"
)
_ESCAPE: Final = re.compile(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_KEY: Final = re.compile(_SPACE + _STRING + _SPACE + rb":")
_NEXT: Final = re.compile(_SPACE + rb"([,}\]])")
_END: Final = re.compile(_SPACE + rb"\Z")
_CLOSER: Final = {b"{": b"}", b"[": b"]"}


def is_valid(json: bytes) -> bool:
    """True if the text is one JSON value, with only white space around it."""
    closers: list[bytes] = []  # of the objects and arrays that are open
    at = 0
    while (value := _VALUE.match(json, at)) is not None:
        at = value.end()
        if _has_bad_escape(value[1]):
            return False
        if value[2] is not None:
            closers.append(_CLOSER[value[2]])
            comma = True  # in front of the first key, as it were
        else:
            at, comma = _close(json, at, closers)
        if not closers:
            return _END.match(json, at) is not None
        if not comma:
            return False
        if closers[-1] == b"}":
            key = _KEY.match(json, at)
            if key is None or _has_bad_escape(key[1]):
                return False
            at = key.end()
    return False


def _close(json: bytes, at: int, closers: list[bytes]) -> tuple[int, bool]:
    """Take the brackets that close after a value: where that ends, and whether a comma asks for one more."""
    while closers and (after := _NEXT.match(json, at)) is not None:
        if after[1] == b",":
            return after.end(), True
        if after[1] != closers[-1]:
            break
        closers.pop()
        at = after.end()
    return at, False


def _has_bad_escape(body: bytes | None) -> bool:
    return body is not None and b"\\" in body and b"\\" in _ESCAPE.sub(b"", body)
