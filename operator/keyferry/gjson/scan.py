"""Values inside a JSON text, found without parsing what lies around them, and without recursion.

The text may be broken. gjson reads over everything that cannot start what it looks for, so that each
pattern here begins with what is read over. All patterns are possessive, so that none ever goes back.

Beware: CPython before 3.11.5 takes text as matched that a possessive *group* had consumed before it failed
(gh-106052). A group may be possessive only where that cannot be noticed, as in `STRING_BODY`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from keyferry.gjson.result import LITERAL, LITERALS, NUMBER, STRING_BODY, Kind, Result
from keyferry.gjson.text import unescape

_VALUE: Final = (
    rb'(?:"(?P<string>' + STRING_BODY + rb')"|(?P<open>[{\[])'
    rb"|(?P<literal>" + LITERAL + rb")|(?P<number>" + NUMBER + rb")"
)
_TO_VALUE: Final = rb'[^"{\[ntf+\-0-9iIN]*+'
_KEY: Final = rb'"(?P<key>' + STRING_BODY + rb')"'

VALUE: Final = re.compile(_TO_VALUE + _VALUE + rb")", re.DOTALL)
"""The next value anywhere. Its kind is the last group's name: string, open, literal or number."""

MEMBER: Final = re.compile(rb'[^"}]*+' + _KEY + _TO_VALUE + _VALUE + rb")", re.DOTALL)
"""The next key and value of an object that is not closed before them; `key` is the key's body."""

_ELEMENT: Final = re.compile(rb'[^"{\[\]ntf+\-0-9iIN]*+' + _VALUE + rb"|(?P<close>\]|\Z))", re.DOTALL)

_ENTRY: Final = re.compile(rb'[^"]*+' + _KEY + _TO_VALUE + _VALUE + rb")", re.DOTALL)

FIRST_BRACKET: Final = re.compile(rb"[{\[]")
_QUOTE_OR_CLOSE: Final = re.compile(rb'["}]')
_BRACKETS: Final = re.compile(
    rb'[^"\[\](){}]*+(?:"' + STRING_BODY + rb'"[^"\[\](){}]*+)*+(?:([\[({]++)|([\])}]++))', re.DOTALL
)
_STRING: Final = re.compile(rb'"' + STRING_BODY + rb'(?:"|\\?(\Z))', re.DOTALL)
_BODY: Final = re.compile(STRING_BODY, re.DOTALL)


def skip(text: bytes, at: int) -> int:
    """Where the brackets end that are open once, just before this position.

    If they never do, that is the text's end, or one beyond it if a string does not end either: gjson treats
    what holds such brackets differently. Any bracket closes any other: gjson counts, and does not compare.
    """
    depth = 1
    while (run := _BRACKETS.match(text, at)) is not None:
        at = run.end()
        if run.lastindex == 1:
            depth += at - run.start(1)
        else:
            closing = at - run.start(2)
            if closing >= depth:
                return run.start(2) + depth
            depth -= closing
    endless = any(string.lastindex for string in _STRING.finditer(text, at))
    return len(text) + endless


def squash(text: bytes) -> bytes:
    """The string or the balanced brackets that the text starts with."""
    if not text.startswith(b'"'):
        return text[: skip(text, 1)]
    body = _BODY.match(text, 1)
    return text if body is None else text[: body.end() + 1]


def end_of(match: re.Match[bytes]) -> int:
    """Where the value ends that one of the patterns found."""
    return skip(match.string, match.end()) if match.lastgroup == "open" else match.end()


def next_element(text: bytes, at: int) -> re.Match[bytes] | None:
    """The next value of an array, or with the group `close` its end, which the end of the text is too.

    None if a string never ends, here or in what came before.
    """
    return _ELEMENT.match(text, at) if at <= len(text) else None


def value_of(match: re.Match[bytes]) -> tuple[Result, int]:
    """The value that one of the patterns found, and where it ends."""
    kind = match.lastgroup
    end = match.end()
    if kind == "string":
        body: bytes = match["string"]
        raw = match.string[match.start("string") - 1 : end]
        return Result(Kind.STRING, raw, unescape(body) if b"\\" in body else body), end
    if kind == "open":
        end = skip(match.string, end)
        return Result(Kind.JSON, match.string[match.start("open") : end]), end
    if kind == "literal":
        raw = match["literal"]
        return Result(LITERALS[raw[:1]], raw), end
    return Result(Kind.NUMBER, match["number"]), end


def end_of_object(text: bytes, at: int) -> int:
    """Where an object ends in which there is no further member from this position on."""
    found = _QUOTE_OR_CLOSE.search(text, at)
    return found.end() if found is not None and found[0] == b"}" else max(at, len(text))


def entries(raw: bytes) -> Iterator[tuple[bytes, bytes, Result]]:
    """Key as it stands, key as it is meant, and value, of an object. Its end is not looked at."""
    at = 1
    while (match := _ENTRY.match(raw, at)) is not None:
        body = match["key"]
        value, end = value_of(match)
        yield b'"%b"' % body, unescape(body) if b"\\" in body else body, value
        at = end + 1


def elements(raw: bytes) -> Iterator[Result]:
    """The values of an array. Its end is not looked at."""
    at = 1
    while (match := VALUE.match(raw, at)) is not None:
        value, end = value_of(match)
        yield value
        at = end + 1


def object_keys(text: bytes) -> Iterator[bytes]:
    """The keys of the object that a valid JSON text is; none if it is something else."""
    at = len(text) - len(text.lstrip())
    if text[at : at + 1] != b"{":
        return
    at += 1
    while (match := MEMBER.match(text, at)) is not None:
        yield unescape(match["key"])
        at = end_of(match)
