"""JSON laid out for reading, as tidwall/pretty does it for the modifier @pretty. Broken JSON passes as it may.

A short array of plain values stands on one line, everything else on a line of its own. Who calls it:
`modifiers`.
"""

from __future__ import annotations

import json as json_module
import re
from dataclasses import dataclass
from typing import Final

from keyferry.gjson.limits import Work
from keyferry.gjson.number import parse_float
from keyferry.gjson.result import STRING_BODY
from keyferry.gjson.text import runes, to_bytes, trim_space

_VALUE: Final = re.compile(
    rb'[^"{\[ntf+\-0-9iIN]*+(?:(?P<open>[{\[])|(?P<string>"' + STRING_BODY + rb'(?:"|\\?\Z))'
    rb"|(?P<null>n(?=u|\Z))|(?P<true>t)|(?P<false>f)|(?P<number>[n+\-0-9iIN][^\x00- ,:\]}]*+))",
    re.DOTALL,
)
_STRING: Final = re.compile(rb'"' + STRING_BODY + rb'(?:"|\\?\Z)', re.DOTALL)
_MEMBER: Final = re.compile(rb'[^"}]*+(?:"|\})')
_ELEMENT: Final = re.compile(rb"[\x00- ]*+[^\x00- ]")
_WORDS: Final = {"null": b"null", "true": b"true", "false": b"false"}
_RANKS: Final = {b"": 0, b"n": 0, b"f": 1, b'"': 3, b"t": 4, b"[": 5, b"{": 5}
_NUMBER_RANK: Final = 2
_STRING_RANK: Final = 3
_LEAST_ROOM: Final = 3
_ITEM_COST: Final = 16
_SORT_COST: Final = 2


@dataclass(slots=True)
class Style:
    """How to lay out: the settings of @pretty and their defaults.

    Args:
        width: columns up to which an array may stand on one line; 0 or less for never.
        prefix: what each line starts with.
        indent: what each line starts with for every level.
        sort_keys: order the members of an object by key.
    """

    width: int = 80
    prefix: bytes = b""
    indent: bytes = b"  "
    sort_keys: bool = False


def pretty(json: bytes, style: Style, work: Work) -> bytes:
    """The first value of the text laid out, with a line break at the end; nothing if there is none."""
    layout = _Layout(json, style, work)
    layout.out += style.prefix
    layout.value(0, 0, 0)
    if layout.out:
        layout.out += b"\n"
    return bytes(layout.out)


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of an object that is to be sorted: its key, and where it stands in the output."""

    key: bytes
    begin: int
    end: int


class _Layout:
    __slots__ = ("json", "out", "style", "work")

    def __init__(self, json: bytes, style: Style, work: Work) -> None:
        self.json = json
        self.style = style
        self.work = work
        self.out = bytearray()

    def value(self, at: int, level: int, line: int) -> int:
        """Write the next value and return where it ends in the text; `line` is where its line starts."""
        match = _VALUE.match(self.json, at)
        if match is None:
            return len(self.json)
        text, at = _token(match)
        if match["open"] is None:
            self.out += text
            return at
        if text == b"[":
            single, end = self._single_line(at, line)
            if single is not None:
                self.out += single
                return end
        self.work.descend()
        end = self._composite(text, at, level)
        self.work.ascend()
        return end

    def _composite(self, opener: bytes, at: int, level: int) -> int:
        json, out = self.json, self.out
        out += opener
        closer = b"]" if opener == b"[" else b"}"
        members: list[_Member] = []
        items = 0
        while (item := (_ELEMENT if opener == b"[" else _MEMBER).match(json, at)) is not None:
            if json[item.end() - 1 : item.end()] == closer:
                self._sort(members)
                if items:
                    self._break_line()
                if out[-1:] != opener:
                    self._indent(level)
                out += closer
                return item.end()
            if items:
                out += b", " if opener == b"[" and self.style.width != -1 else b","
            line = self._break_line()
            begin, at = len(out), item.end() - 1
            self._indent(level + 1)
            key = b"" if opener == b"[" else self._key(at)
            at = self.value(at + len(key), level + 1, line)
            if key and self.style.sort_keys:
                members.append(_Member(key, begin, len(out)))
            items += 1
        return len(json)

    def _key(self, at: int) -> bytes:
        match = _STRING.match(self.json, at)
        key = b"" if match is None else match[0]
        self.out += key + b": "
        return key

    def _break_line(self) -> int:
        """End the line, in place of a space that it ends with, and return where."""
        end = len(self.out)
        if self.out.endswith(b" "):
            self.out[-1:] = b"\n"
        else:
            self.out += b"\n"
        return end

    def _indent(self, level: int) -> None:
        style = self.style
        self.work.spend(_ITEM_COST + len(style.prefix) + level * len(style.indent))
        self.out += style.prefix + style.indent * level

    def _single_line(self, at: int, line: int) -> tuple[bytes | None, int]:
        """The array that opens before this position on one line, and where it ends; None if it does not fit."""
        room = self.style.width - (len(self.out) - line)
        if self.style.width <= 0 or room <= _LEAST_ROOM:
            return None, at
        begin = at
        out = bytearray(b"[")
        items = [0]  # of each array that is open
        while items and len(out) <= room:
            item = _ELEMENT.match(self.json, at)
            if item is not None and item[0].endswith(b"]"):
                out += b"]"
                items.pop()
                at = item.end()
                continue
            if items[-1] and item is not None:
                out += b", "
            items[-1] += 1
            match = item and _VALUE.match(self.json, item.end() - 1)
            if match is None:
                at = len(self.json)
                break
            text, at = _token(match)
            if text == b"{":
                room = 0
            elif text == b"[":
                items.append(0)
            out += text
        self.work.spend(at - begin)
        return (bytes(out), at) if len(out) <= room else (None, at)

    def _sort(self, members: list[_Member]) -> None:
        """Put the members into the order of their keys; those of one key into the order of their values."""
        if not members:
            return
        self.work.spend(_SORT_COST * (len(self.out) - members[0].begin))
        order = sorted(members, key=self._rank)
        parts = [bytes(self.out[member.begin : member.end]) for member in order]
        self.out[members[0].begin :] = b",\n".join(parts)

    def _rank(self, member: _Member) -> tuple[bytes, int, bytes | float]:
        value = trim_space(bytes(self.out[member.begin : member.end]))
        if len(value) > len(member.key):
            value = trim_space(value[len(member.key) + 1 :])
        rank = _RANKS.get(value[:1], _NUMBER_RANK)
        if rank == _NUMBER_RANK:
            return _meaning(member.key), rank, parse_float(value)
        return _meaning(member.key), rank, _meaning(value) if rank == _STRING_RANK else value


def _token(match: re.Match[bytes]) -> tuple[bytes, int]:
    """What to write for a match of `_VALUE`, and where it ends in the text."""
    kind = match.lastgroup or ""
    word = _WORDS.get(kind)
    # A word's length counts, whatever follows its first letter.
    return (match[kind], match.end()) if word is None else (word, match.start(kind) + len(word))


def _meaning(string: bytes) -> bytes:
    """What a string with its quotes means; nothing if it is broken."""
    body, quote, _ = string[1:].partition(b'"')
    if b"\\" not in body:
        return body if quote else b""
    try:
        return to_bytes(json_module.loads(runes(string)))
    except ValueError:
        return b""
