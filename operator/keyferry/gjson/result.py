"""What a path selects: `Result`, and reading one from the start of a text, as gjson's Parse does."""

from __future__ import annotations

import enum
import re
from typing import Final

from keyferry.gjson.number import int_of, number_text, parse_float, parse_int
from keyferry.gjson.text import unescape


class Kind(enum.Enum):
    """The type of a result; the values are gjson's names."""

    NULL = "Null"
    FALSE = "False"
    NUMBER = "Number"
    STRING = "String"
    TRUE = "True"
    JSON = "JSON"
    """An object or an array."""


_NULL, _NUMBER, _STRING, _JSON = Kind.NULL, Kind.NUMBER, Kind.STRING, Kind.JSON
LITERALS: Final = {b"t": Kind.TRUE, b"f": Kind.FALSE, b"n": Kind.NULL}


class Result:
    """A value in a JSON text, or nothing. It does not show itself: its bytes may be secret.

    Args:
        kind: its type; `Kind.NULL` with no raw text if there is no such value.
        raw: its text as it stands in the document, with spacing and quotes.
        string: for a string, what it means.
    """

    __slots__ = ("_string", "kind", "raw")

    def __init__(self, kind: Kind, raw: bytes, string: bytes = b"") -> None:
        self.kind = kind
        self.raw = raw
        self._string = string

    @property
    def exists(self) -> bool:
        """True if the path selects something, be it null."""
        return self.kind is not _NULL or self.raw != b""

    def text(self) -> bytes:
        """The value as gjson's String() gives it.

        A string without quotes and escapes; an object or array as it stands; a number as it stands if it
        is digits only (with a minus, or not), else printed anew (`1.50` becomes `1.5`, `1e6` 1000000);
        `true`, `false`; nothing for null.
        """
        kind = self.kind
        if kind is _STRING:
            return self._string
        if kind is _JSON:
            return self.raw
        if kind is _NUMBER:
            return number_text(self.raw)
        return b"" if kind is _NULL else kind.value.lower().encode()

    def __repr__(self) -> str:
        return f"<Result {self.kind.value}>" if self.exists else "<Result of nothing>"


NOTHING: Final = Result(Kind.NULL, b"")

STRING_BODY: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
"""What stands between a string's quotes. To be compiled with DOTALL, as the patterns below."""
LITERAL: Final = rb"n(?=u|\Z)[a-z]*+|[tf][a-z]*+"
NUMBER: Final = rb"[n+\-0-9iIN][^\x00- ,\]}]*+"

_START: Final = re.compile(
    rb'[\x00- ]*+(?:(?P<json>[{\[])|"(?P<string>' + STRING_BODY + rb')(?P<end>"|\\?\Z)'
    rb"|(?P<literal>" + LITERAL + rb")|(?P<number>" + NUMBER + rb"))",
    re.DOTALL,
)


def parse(json: bytes) -> Result:
    """The value that the text starts with; of an object or array the whole rest of the text."""
    start = _START.match(json)
    if start is None:
        return NOTHING
    if start["json"] is not None:
        return Result(_JSON, json[start.start("json") :])
    if start["string"] is not None:
        body = start["string"]
        begin = start.start("string")
        if start["end"] != b'"':
            body = json[begin:]
        return Result(_STRING, json[begin - 1 : start.end()], unescape(body) if b"\\" in body else body)
    if start["literal"] is not None:
        raw = start["literal"]
        return Result(LITERALS[raw[:1]], raw)
    return Result(_NUMBER, start["number"])


def is_object(value: Result) -> bool:
    """True for a JSON object."""
    return value.kind is _JSON and value.raw.startswith(b"{")


def is_array(value: Result) -> bool:
    """True for a JSON array."""
    return value.kind is _JSON and value.raw.startswith(b"[")


def parse_bool(text: bytes) -> bool | None:
    """A truth value as Go reads it from lower-cased text; None if it is none."""
    lowered = text.lower()
    if lowered in (b"1", b"t", b"true"):
        return True
    return False if lowered in (b"0", b"f", b"false") else None


def to_bool(value: Result) -> bool:
    """What gjson's Bool() gives: true, a string that says so, or a number that is not zero."""
    if value.kind is _NUMBER:
        return parse_float(value.raw) != 0
    return value.kind is Kind.TRUE or (value.kind is _STRING and parse_bool(value.text()) is True)


def to_int(value: Result) -> int:
    """What gjson's Int() gives, a signed 64-bit number; 0 for what is none."""
    if value.kind is _NUMBER:
        return int_of(value.raw)
    if value.kind is _STRING:
        return parse_int(value.text()) or 0
    return 1 if value.kind is Kind.TRUE else 0
