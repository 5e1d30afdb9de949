"""The functions that are Go's own: comparison, logic, index, len, print and the escaping ones.

Rules: https://pkg.go.dev/text/template#hdr-Functions. Go's `slice` is missing, since Sprig's hides it.
"""

from __future__ import annotations

import re
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import STRUCT_FIELDS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text import fmt
from keyferry.gotemplate.text.fmt_unicode import chunks, escaped, is_printable
from keyferry.gotemplate.values import (
    INT_KINDS,
    NILS,
    UINT_KINDS,
    ByteSlice,
    StringMap,
    Uint8,
    Value,
    is_true,
    kind_of,
    type_of,
    wrap_int64,
)

group: Final = FunctionGroup("Built in")

_BAD_TYPE: Final = "invalid type for comparison"
_LENGTH_KINDS: Final = frozenset({"string", "slice", "map"})
_ORDERED: Final = frozenset({"string", "float", "int", "uint"})
_BASIC: Final = {
    "bool": "bool",
    "float64": "float",
    "string": "string",
    **dict.fromkeys(INT_KINDS, "int"),
    **dict.fromkeys(UINT_KINDS, "uint"),
}


@group.add("and", "func(reflect.Value, ...reflect.Value) reflect.Value")
def and_(_run: Run, first: Value, *others: Value) -> Value:
    """The first argument that is empty, or else the last one: `and 1 0 2` is `0`. Those after it are not evaluated."""
    for value in (first, *others):
        if not is_true(value):
            return value
    return others[-1] if others else first


@group.add("or", "func(reflect.Value, ...reflect.Value) reflect.Value")
def or_(_run: Run, first: Value, *others: Value) -> Value:
    """The first argument that is not empty, or else the last one: `or "" "a"` is `a`. Those after it are not evaluated."""
    for value in (first, *others):
        if is_true(value):
            return value
    return others[-1] if others else first


@group.add("not", "func(reflect.Value) bool")
def not_(_run: Run, value: Value) -> bool:
    """Whether the value is empty: false, 0, nil, or a string, list or map of length 0: `not ""` is `true`."""
    return not is_true(value)


@group.add("len", "func(reflect.Value) (int, error)")
def len_(_run: Run, value: Value) -> int:
    """The number of elements of a list or map, or of bytes of a string: `len "é"` is `2`."""
    if kind_of(value) in _LENGTH_KINDS:
        return len(value)
    if value is None:
        raise FunctionError("len of nil pointer")
    raise FunctionError(f"len of type {_pointed_type(value)}")


@group.add("index", "func(reflect.Value, ...reflect.Value) (reflect.Value, error)")
def index(_run: Run, item: Value, *indexes: Value) -> Value:
    """The element at an index of a list or with a key of a map; with more indexes, the element within that.

    `index .list 0`, `index . "key-with-dash"`, `index (fromJson .json) "users" 0 "name"`. A key that is not there
    gives an empty value, an index that is not there an error.
    """
    if item is None:
        raise FunctionError("index of untyped nil")
    for one in indexes:
        if item is None:
            raise FunctionError("index of nil pointer")
        kind = kind_of(item)
        if kind == "map":
            item = _entry(item, one)
        elif kind in _LENGTH_KINDS:
            item = _element(item, one)
        else:
            raise FunctionError(f"can't index item of type {_pointed_type(item)}")
    return item


def _entry(item: dict[bytes, Value], key: Value) -> Value:
    if key is None:
        raise FunctionError("value is nil; should be of type string")
    if kind_of(key) != "string":
        raise FunctionError(f"value has type {type_of(key)}; should be string")
    return item.get(key, b"" if isinstance(item, StringMap) else None)


def _element(item: Value, at: Value) -> Value:
    kind = kind_of(at)
    if kind not in INT_KINDS and kind not in UINT_KINDS:
        what = "nil" if at is None else f"type {type_of(at)}"
        raise FunctionError(f"cannot index slice/array with {what}")
    number = wrap_int64(int(at))
    if not 0 <= number < len(item):
        # Go names the index, which is a value.
        raise FunctionError(f"index out of range: the length is {len(item)}")
    one = item[number]
    return Uint8(one) if isinstance(item, bytes | ByteSlice) else one


def _pointed_type(value: Value) -> str:
    """The type's name, of a pointer that of what it points to."""
    return type_of(value).removeprefix("*")


@group.add("call", "func(reflect.Value, ...reflect.Value) reflect.Value")
def call(_run: Run, function: Value, *_arguments: Value) -> Value:
    """Call a value that is a function; no value is one here, so this always fails."""
    if function is None:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function of type {type_of(function)}")


@group.add("print", "func(...interface {}) string")
def print_(run: Run, *values: Value) -> bytes:
    """The values as text, with spaces between those of which neither is a string: `print "a" 1 2` is `a1 2`."""
    return fmt.sprint(run, values)


@group.add("printf", "func(string, ...interface {}) string")
def printf(run: Run, format: bytes, *values: Value) -> bytes:  # noqa: A002 -- Go's word
    """The format with values in place of its verbs: `printf "%s:%d" "db" 5432` is `db:5432`.

    The verbs are those of Go: `%s` text, `%q` quoted text, `%d` whole number, `%.2f` float, `%x` hexadecimal, `%v`
    anything, `%T` its type. A verb that does not suit the value prints `%!d(string=…)`.
    """
    return fmt.sprintf(run, format, values)


@group.add("println", "func(...interface {}) string")
def println(run: Run, *values: Value) -> bytes:
    """The values as text with spaces between them, and a line's end."""
    return fmt.sprintln(run, values)


# Comparison


@group.add("eq", "func(reflect.Value, ...reflect.Value) (bool, error)")
def eq(run: Run, first: Value, *others: Value) -> bool:
    """Whether the first value equals one of the others: `eq "b" "a" "b"` is `true`.

    Both must be of one kind: all integers compare with each other, but an integer does not compare with a float.
    """
    if not others:
        raise FunctionError("missing argument for comparison")
    kind = _BASIC.get(kind_of(first))
    for other in others:  # noqa: SIM110 -- the usual case is one other, and a generator costs more than that
        if _equal(run, first, kind, other):
            return True
    return False


def _equal(run: Run, first: Value, kind: str | None, other: Value) -> bool:
    other_kind = _BASIC.get(kind_of(other))
    if kind == other_kind:
        if kind == "string":
            _pay_comparison(run, first, other)
        return bool(first == other) if kind else _equal_objects(first, other)
    if {kind, other_kind} == {"int", "uint"}:
        return bool(first == other)
    if first is None or other is None:
        return False
    raise FunctionError(f"incompatible types for comparison: {type_of(first)} and {type_of(other)}")


def _pay_comparison(run: Run, first: bytes, other: bytes) -> None:
    run.spend(min(len(first), len(other)) >> 8)


def _equal_objects(first: Value, other: Value) -> bool:
    """Compare values that are no numbers or texts: with nil, or structs."""
    if first is None or other is None:
        return _is_nil(first) and _is_nil(other)
    kind = kind_of(first)
    if kind != kind_of(other):
        raise FunctionError(f"non-comparable types {type_of(first)}, {type_of(other)}")
    if _is_nil(first) or _is_nil(other):
        return _is_nil(first) and _is_nil(other)
    if kind in _LENGTH_KINDS:
        raise FunctionError(f"non-comparable type {type_of(other)}")
    if kind == "ptr":
        return first is other
    if type(first) is not type(other):
        return False
    if fields := STRUCT_FIELDS.get(type(first)):
        return all(field(first) == field(other) for field in fields.values())
    return bool(first == other)


def _is_nil(value: Value) -> bool:
    return value is None or isinstance(value, NILS)


@group.add("ne", "func(reflect.Value, reflect.Value) (bool, error)")
def ne(run: Run, first: Value, second: Value) -> bool:
    """Whether the values differ: `ne "a" "b"` is `true`."""
    return not eq(run, first, second)


@group.add("lt", "func(reflect.Value, reflect.Value) (bool, error)")
def lt(run: Run, first: Value, second: Value) -> bool:
    """Whether the first value is less than the second: numbers by size, texts by their bytes: `lt 1 2` is `true`."""
    kind = _BASIC.get(kind_of(first))
    other_kind = _BASIC.get(kind_of(second))
    if kind is None or other_kind is None:
        raise FunctionError(_BAD_TYPE)
    if kind != other_kind and {kind, other_kind} != {"int", "uint"}:
        raise FunctionError(f"incompatible types for comparison: {type_of(first)} and {type_of(second)}")
    if kind not in _ORDERED:
        raise FunctionError(_BAD_TYPE)
    if kind == "string":
        _pay_comparison(run, first, second)
    return bool(first < second)


@group.add("le", "func(reflect.Value, reflect.Value) (bool, error)")
def le(run: Run, first: Value, second: Value) -> bool:
    """Whether the first value is less than the second or equals it: `le 2 2` is `true`."""
    return lt(run, first, second) or eq(run, first, second)


@group.add("gt", "func(reflect.Value, reflect.Value) (bool, error)")
def gt(run: Run, first: Value, second: Value) -> bool:
    """Whether the first value is greater than the second: `gt 1 2` is `false`."""
    return not le(run, first, second)


@group.add("ge", "func(reflect.Value, reflect.Value) (bool, error)")
def ge(run: Run, first: Value, second: Value) -> bool:
    """Whether the first value is greater than the second or equals it: `ge 1 2` is `false`."""
    return not lt(run, first, second)


# Escaping

_HTML: Final = (
    (b"&", b"&amp;"),
    (b'"', b"&#34;"),
    (b"'", b"&#39;"),
    (b"<", b"&lt;"),
    (b">", b"&gt;"),
    (b"\0", b"\xef\xbf\xbd"),
)
_JS: Final = {
    0x5C: "\\\\",
    0x27: "\\'",
    0x22: '\\"',
    0x3C: "\\u003C",
    0x3E: "\\u003E",
    0x26: "\\u0026",
    0x3D: "\\u003D",
}
_JS_ASCII_PLAIN: Final = re.compile(rb"[^\\'\"<>&=\x00-\x1f\x80-\xff]*")
_URL_ESCAPED: Final = re.compile(b"[^A-Za-z0-9_.~ -]+")


def _text(run: Run, values: tuple[Value, ...]) -> bytes:
    """What the escaping functions escape."""
    if len(values) == 1 and type(values[0]) is bytes:
        return values[0]
    return fmt.sprint(run, [fmt.printable(one) for one in values])


@group.add("html", "func(...interface {}) string")
def html(run: Run, *values: Value) -> bytes:
    """The values as text in which `<`, `>`, `&` and both quotes are written as HTML wants it: `html "<a>"` is `&lt;a&gt;`."""
    text = _text(run, values)
    grown = sum(text.count(sign) * (len(written) - 1) for sign, written in _HTML)
    if grown:
        run.charge(len(text) + grown)
        for sign, written in _HTML:
            text = text.replace(sign, written)
    return text


@group.add("js", "func(...interface {}) string")
def js(run: Run, *values: Value) -> bytes:
    r"""The values as text with escapes, so that it can stand in a string of JavaScript: `js "<a>"` is `\u003Ca\u003E`."""
    text = _text(run, values)
    if _JS_ASCII_PLAIN.fullmatch(text):
        return text
    return escaped(text, _escape_js, run)


def _escape_js(code: int) -> str | None:
    if code < 0x20:
        return f"\\u{code:04X}"
    # Bytes that are no UTF-8 stay as they are.
    if is_printable(code) or code == 0x7F or 0xDC80 <= code <= 0xDCFF:
        return _JS.get(code)
    return f"\\u{code:04X}"


@group.add("urlquery", "func(...interface {}) string")
def urlquery(run: Run, *values: Value) -> bytes:
    """The values as text that can stand in the query of a URL: `urlquery "a b&c"` is `a+b%26c`."""
    text = _text(run, values)
    parts = []
    size = 0
    for chunk in chunks(text):
        piece, count = _URL_ESCAPED.subn(_escape_url, chunk)
        parts.append(piece.replace(b" ", b"+"))
        size += len(piece)
        run.spend(1 + count)
        if size > min(run.memory, run.limits.value_bytes):
            run.charge(size)
    return b"".join(parts)


def _escape_url(found: re.Match[bytes]) -> bytes:
    return b"%" + found[0].hex("%").upper().encode()
