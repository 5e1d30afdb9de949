"""What a path means: each text of a path is read at most once, and only as far as a document needs it.

A `Path` is compiled lazily because the same text means one thing in an object and another in an array, and
because a hostile path may nest a thousand levels of which no document reaches the second. Who calls it:
`evaluate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from keyferry.gjson.number import parse_float, parse_uint, signed
from keyferry.gjson.syntax import (
    QueryText,
    last_name,
    read_modifier,
    read_multipath,
    read_query,
    read_static,
    split_pipe,
    starts_pipe,
)
from keyferry.gjson.text import quote
from keyferry.gjson.validate import is_valid

_DOT, _PIPE, _HASH, _BACKSLASH = b".|#\\"
_WILDCARDS: Final = frozenset(b"*?")


@dataclass(frozen=True, slots=True)
class Modifier:
    """`@name:argument`: the document is changed as a whole."""

    name: bytes
    argument: bytes


@dataclass(frozen=True, slots=True)
class Static:
    """`!text`: the document is replaced."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Multipath:
    """`{name:path,…}` or `[path,…]`: a new object or array. Names are JSON strings, empty in an array."""

    brackets: bytes
    parts: tuple[tuple[bytes, Path], ...]


@dataclass(frozen=True, slots=True)
class Act:
    """A path that first does something to the document as a whole.

    Args:
        rest: the path to follow in what comes out; None if that is the result.
    """

    action: Modifier | Static | Multipath
    rest: Path | None


@dataclass(frozen=True, slots=True)
class Walk:
    """A path that leads into the document.

    Args:
        lines: the document is a row of values, one a line, and taken as an array.
    """

    path: Path
    lines: bool


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """A path in an object: which key, and then either the value itself or what lies deeper in it.

    Args:
        key: the key or, with `wild`, the pattern.
        deeper: the path inside the value; None if the value is what is looked for.
        pipe: the path to follow with the result, whatever it is.
    """

    key: bytes
    wild: bool
    deeper: Path | None
    pipe: Path | None


@dataclass(frozen=True, slots=True)
class Query:
    """`#(path operator value)`: which elements of an array are meant.

    Args:
        tilde: the word after `~`, by which values count as true, false or null; None if there is none.
        every: all elements are meant, not only the first.
    """

    path: Path
    operator: bytes
    value: bytes
    number: float
    tilde: bytes | None
    every: bool


@dataclass(frozen=True, slots=True)
class ArrayStep:
    """A path in an array: an index, a query, or `#`; `deeper` and `pipe` as in `ObjectStep`.

    Args:
        index: which element; None or negative for none.
        count: the number of elements is meant or, with `each`, that path in each of them.
        inner_pipe: a pipe inside `deeper` or `each`. It holds for the whole result, but only once there is one.
    """

    index: int | None = None
    query: Query | None = None
    count: bool = False
    each: Path | None = None
    deeper: Path | None = None
    pipe: Path | None = None
    inner_pipe: Path | None = None


class Path:
    """A path or the rest of one.

    Args:
        text: as it stands.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text

    @cached_property
    def start(self) -> Act | Walk:
        """The path at the start of a document."""
        text = self.text
        if len(text) > 1:
            if text.startswith(b"@"):
                return _modifier(text) or _walk(self)
            if text.startswith(b"!"):
                return _static(text) or _walk(self)
            if text[:1] in (b"[", b"{"):
                return _multipath(text)
        return _walk(self)

    @cached_property
    def in_object(self) -> ObjectStep:
        """The path inside an object."""
        return _object_step(self.text)

    @cached_property
    def in_array(self) -> ArrayStep:
        """The path inside an array."""
        return _array_step(self.text)


def _walk(path: Path) -> Walk:
    lines = path.text.startswith(b"..")
    return Walk(Path(path.text[2:]) if lines else path, lines)


def _following(text: bytes) -> Path | None:
    """What follows a modifier or literal: a path after a dot or pipe; anything else is not looked at."""
    return Path(text[1:]) if text[:1] in (b".", b"|") else None


def _modifier(text: bytes) -> Act | None:
    found = read_modifier(text)
    return found and Act(Modifier(found[0], found[1]), _following(found[2]))


def _static(text: bytes) -> Act | None:
    found = read_static(text)
    return found and Act(Static(found[0]), _following(found[1]))


def _multipath(text: bytes) -> Act | Walk:
    """A multipath, or what gjson makes of one that does not end, or that something strange follows."""
    found = read_multipath(text)
    if found is None:
        return _walk(Path(b""))
    selectors, rest = found
    if rest and rest[0] not in (_DOT, _PIPE):
        return _walk(Path(rest))
    named = text.startswith(b"{")
    parts = tuple((_label(part.name, part.path) if named else b"", Path(part.path)) for part in selectors)
    return Act(Multipath(b"{}" if named else b"[]", parts), _following(rest))


def _label(name: bytes, path: bytes) -> bytes:
    if not name:
        return quote(last_name(path))
    return name if name.startswith(b'"') and is_valid(name) else quote(name)


def _object_step(text: bytes) -> ObjectStep:
    key = bytearray()
    wild = False
    at = 0
    while at < len(text):
        sign = text[at]
        if sign == _PIPE:
            return ObjectStep(bytes(key), wild, None, Path(text[at + 1 :]))
        if sign == _DOT:
            deeper, pipe = _after_dot(text[at + 1 :])
            return ObjectStep(bytes(key), wild, deeper, pipe)
        if sign == _BACKSLASH:
            at += 1
            key += text[at : at + 1]
        else:
            wild = wild or sign in _WILDCARDS
            key.append(sign)
        at += 1
    return ObjectStep(bytes(key), wild, None, None)


def _after_dot(rest: bytes) -> tuple[Path | None, Path | None]:
    """The rest of a path as (deeper, pipe)."""
    return (None, Path(rest)) if starts_pipe(rest) else (Path(rest), None)


def _array_step(text: bytes) -> ArrayStep:
    if text.startswith(b"#."):
        each, inner_pipe = _split(text[2:])
        return ArrayStep(count=True, each=each, inner_pipe=inner_pipe)
    query_text: QueryText | None = None
    begin = 0
    if text[:2] in (b"#(", b"#["):
        query_text = read_query(text)
        if query_text is None:
            # gjson takes one that does not end for one that selects every plain value.
            return ArrayStep(query=_query(QueryText(b"", b"", b"", 0), every=False))
        begin = query_text.end
    end = begin
    while end < len(text) and text[end] not in (_DOT, _PIPE):
        end += 1
    part, sign, rest = text[:end], text[end : end + 1], text[end + 1 :]
    query = None if query_text is None else _query(query_text, every=text[begin : begin + 1] == b"#")
    index = None if query or _HASH in part else _index(part)
    deeper = pipe = inner_pipe = None
    if sign == b"|":
        pipe = Path(rest)
    elif sign and (_HASH in part or not starts_pipe(rest)):
        deeper, inner_pipe = _split(rest) if query else (Path(rest), None)
    elif sign:
        pipe = Path(rest)
    return ArrayStep(index, query, count=part == b"#", deeper=deeper, pipe=pipe, inner_pipe=inner_pipe)


def _index(part: bytes) -> int | None:
    number = parse_uint(part)
    return None if number is None else signed(number)


def _split(text: bytes) -> tuple[Path, Path | None]:
    parts = split_pipe(text)
    return (Path(text), None) if parts is None else (Path(parts[0]), Path(parts[1]))


def _query(text: QueryText, *, every: bool) -> Query:
    value = text.value
    return Query(
        path=Path(text.path),
        operator=text.operator,
        value=value,
        number=parse_float(value),
        tilde=value[1:] if value.startswith(b"~") else None,
        every=every,
    )
