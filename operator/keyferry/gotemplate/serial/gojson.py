"""JSON as Go's encoding/json writes it and reads it into interface {}.

Rules: https://pkg.go.dev/encoding/json#Marshal and #Unmarshal. Numbers are float64, strings are bytes of UTF-8:
what is none becomes U+FFFD on the way in and out.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import FIELDS
from keyferry.gotemplate.serial.gonumbers import json_float
from keyferry.gotemplate.text.characters import decoded
from keyferry.gotemplate.values import NILS, Value, from_runes, type_of

MARSHALERS: Final[dict[type, Callable[[Any], Value]]] = {}
"""What is written in place of objects that are not written as their fields."""

TOO_DEEP: Final = "the value nests too deeply"
_SAFE: Final = re.compile(rb"[ !#-%\'-;=?-\[\]-\x7f]*")
_SAFE_RAW: Final = re.compile(rb"[ !#-\[\]-\x7f]*")
_COMMON_RAW: Final = (
    ("\\", "\\\\"),
    ('"', '\\"'),
    ("\n", "\\n"),
    ("\t", "\\t"),
    ("\r", "\\r"),
    ("\b", "\\b"),
    ("\f", "\\f"),
)
"""The backslash first: the other escapes have one."""
_COMMON: Final = (*_COMMON_RAW, ("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))
_RARE: Final = re.compile("[\x00-\x1f\u2028\u2029\udc80-\udcff]")
_RARE_PER_STEP: Final = 3
_FIRST_NO_UTF8: Final = "\udc80"
_BYTES_OF_ELEMENT: Final = 64
_BYTES_OF_MAP: Final = 232
_READ_PER_STEP: Final = 48
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_HUGE: Final = re.compile(r"[0-9][eE]\+?[0-9]{2}|[0-9]{300}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class JSONError(FunctionError):
    """The value cannot be written, or the text is no JSON."""


class NumberOverflow(JSONError):
    """A number is beyond the greatest float64; all else could be read.

    Args:
        value: what was read, with nil in the number's place.
    """

    def __init__(self, value: Value) -> None:
        super().__init__("json: cannot unmarshal number into Go value of type float64")
        self.value = value


def plain(value: Value) -> Value:
    """The value as one of nil, bool, int, float, string, list or map, its elements as they are.

    Raises:
        JSONError: it is of a type that JSON has nothing for.
    """
    if isinstance(value, NILS):
        return None
    if isinstance(value, bytes | list | dict | bool | float) or value is None:
        return value
    if isinstance(value, bytearray):
        return base64.b64encode(value)
    if marshal_object := MARSHALERS.get(type(value)):
        return marshal_object(value)
    if isinstance(value, int):
        return int(value)
    if fields := FIELDS.get(type(value)):
        return {name.encode(): read(value) for name, read in fields.items()}
    raise JSONError(f"json: unsupported type: {type_of(value)}")


def quoted(run: Run, text: bytes, *, html: bool = True) -> str:
    """The text as a JSON string, with escapes also for <, > and & unless told otherwise."""
    if (_SAFE if html else _SAFE_RAW).fullmatch(text):
        return f'"{text.decode("ascii")}"'
    chars = text.decode("utf-8", "surrogateescape")
    for char, escape in _COMMON if html else _COMMON_RAW:
        if char in chars:
            chars = chars.replace(char, escape)
    if _RARE.search(chars):
        run.spend((len(chars) - len(_RARE.sub("", chars))) // _RARE_PER_STEP)
        chars = _RARE.sub(_escape, chars)
    return f'"{chars}"'


def _escape(found: re.Match[str]) -> str:
    # A byte that is no UTF-8 is written as an escape, where U+FFFD itself stays as it is.
    return f"\\u{0xFFFD if found[0] >= _FIRST_NO_UTF8 else ord(found[0]):04x}"


class Nesting:
    """How deep a walk over values is, and through which lists and maps it came.

    Args:
        run: is charged for each of them, also for those that are there more than once.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._above: set[int] = set()

    def enter(self, value: Value) -> None:
        """Go into a list or map.

        Raises:
            JSONError: it is in itself.
            FunctionError: it is too deep.
        """
        if id(value) in self._above:
            raise JSONError(f"json: unsupported value: encountered a cycle via {type_of(value)}")
        if len(self._above) >= self._run.limits.value_depth:
            raise FunctionError(TOO_DEEP)
        self._run.charge_elements(len(value))
        self._run.spend(1 + len(value))
        self._above.add(id(value))

    def leave(self, value: Value) -> None:
        """And out of it."""
        self._above.discard(id(value))


@dataclass(slots=True)
class _Encoder:
    run: Run
    html: bool
    indent: str | None
    nesting: Nesting
    out: list[str]

    def write(self, value: Value, margin: str) -> None:
        kind = type(value)
        if kind is bytes:
            self._text(value)
            return
        value = plain(value)
        if value is None:
            self.out.append("null")
        elif isinstance(value, bool):
            self.out.append("true" if value else "false")
        elif isinstance(value, int):
            self.out.append(str(value))
        elif isinstance(value, float):
            self.out.append(checked_float(value))
        elif isinstance(value, bytes):
            self._text(value)
        elif isinstance(value, list):
            self._list(value, margin)
        else:
            self._map(value, margin)

    def _text(self, text: bytes) -> None:
        self.run.charge(len(text))
        self.out.append(quoted(self.run, text, html=self.html))

    def _list(self, values: list[Value], margin: str) -> None:
        self.nesting.enter(values)
        inner, between, end = self._margins(margin, len(values))
        self.out.append("[" + inner)
        for number, one in enumerate(values):
            if number:
                self.out.append(between)
            self.write(one, inner)
        self.out.append(end + "]")
        self.nesting.leave(values)

    def _map(self, values: dict[bytes, Value], margin: str) -> None:
        self.nesting.enter(values)
        inner, between, end = self._margins(margin, len(values))
        colon = ":" if self.indent is None else ": "
        self.out.append("{" + inner)
        for number, key in enumerate(self.run.sorted_keys(values)):
            if number:
                self.out.append(between)
            self._text(key)
            self.out.append(colon)
            self.write(values[key], inner)
        self.out.append(end + "}")
        self.nesting.leave(values)

    def _margins(self, margin: str, count: int) -> tuple[str, str, str]:
        """What stands before the first element, between two, and after the last."""
        if self.indent is None or not count:
            return "", ",", ""
        inner = (margin or "\n") + self.indent
        self.run.charge(len(inner) * count)
        return inner, "," + inner, margin or "\n"


def checked_float(value: float) -> str:
    """The number's text.

    Raises:
        JSONError: JSON has none for it.
    """
    if not math.isfinite(value):
        raise JSONError("json: unsupported value: a float64 that is infinite or no number")
    return json_float(value)


def marshal(run: Run, value: Value, *, html: bool = True, indent: str | None = None) -> bytes:
    """The value as JSON, keys sorted.

    Raises:
        JSONError: JSON cannot hold it.
        FunctionError: it nests too deeply.
    """
    encoder = _Encoder(run, html, indent, Nesting(run), [])
    encoder.write(value, "")
    return "".join(encoder.out).encode()


# -- reading

_SYNTAX: Final = (
    ("Expecting value", "invalid character looking for beginning of value"),
    ("Expecting property name", "invalid character looking for beginning of object key string"),
    ("Expecting ':'", "invalid character after object key"),
    ("Expecting ','", "invalid character after an element or a key:value pair"),
    ("Illegal trailing comma", "invalid character looking for beginning of value"),
    ("Invalid control character", "invalid character in string literal"),
    ("Invalid \\u", "invalid character in \\u hexadecimal character escape"),
    ("Invalid \\", "invalid character in string escape code"),
    ("Extra data", "invalid character after top-level value"),
)
_END: Final = "unexpected end of JSON input"


def unmarshal(run: Run, text: bytes) -> Value:
    """The value that the JSON is.

    Raises:
        JSONError: it is none; the text says what is wrong, where, and nothing of the content.
        FunctionError: it nests too deeply.
    """
    run.spend(1 + len(text) // _READ_PER_STEP)
    lists, maps = text.count(b"["), text.count(b"{")
    run.charge((text.count(b",") + lists) * _BYTES_OF_ELEMENT + maps * _BYTES_OF_MAP)
    run.spend(text.count(b",") + lists + maps)
    chars = decoded(run, text)
    overflows: list[str] = []
    try:
        loaded = _decoder(chars, overflows).decode(chars)
    except json.JSONDecodeError as error:
        raise _syntax_error(error, chars) from None
    except RecursionError:
        raise FunctionError(TOO_DEEP) from None
    value = _read(loaded, run.limits.value_depth)
    if overflows:
        raise NumberOverflow(value)
    return value


def _decoder(text: str, overflows: list[str]) -> json.JSONDecoder:
    """Python's, with the hooks that this text needs."""
    huge, surrogates = _HUGE.search(text), _SURROGATE_ESCAPE.search(text)
    if not huge and not surrogates:
        return _DECODER

    def to_number(number: str) -> float | None:
        value = float(number)
        if math.isinf(value):
            overflows.append("")
            return None
        return value

    return json.JSONDecoder(
        parse_int=to_number,
        parse_float=to_number,
        parse_constant=_no_constant,
        object_pairs_hook=_pairs if surrogates else None,
    )


def _no_constant(name: str) -> NoReturn:
    del name
    raise JSONError(_SYNTAX[0][1])


_DECODER: Final = json.JSONDecoder(parse_int=float, parse_constant=_no_constant)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two keys that are the same once half surrogates are U+FFFD, the later one counts."""
    return {_SURROGATE.sub("\ufffd", key): value for key, value in pairs}


def _syntax_error(error: json.JSONDecodeError, text: str) -> JSONError:
    if error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip(" \t\r\n")):
        return JSONError(_END)
    found = next((ours for theirs, ours in _SYNTAX if error.msg.startswith(theirs)), "invalid character")
    return JSONError(f"{found} (line {error.lineno}, column {error.colno})")


def _read(value: Any, depth: int) -> Value:
    """The value of what Python's reader gives."""
    if isinstance(value, str):
        return from_runes(value)
    if not isinstance(value, list | dict):
        return value
    if depth <= 0:
        raise FunctionError(TOO_DEEP)
    if isinstance(value, list):
        return [_read(one, depth - 1) for one in value]
    return {from_runes(key): _read(one, depth - 1) for key, one in value.items()}
