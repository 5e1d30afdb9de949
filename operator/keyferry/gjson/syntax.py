"""How the text of a path falls apart: queries, multipaths, modifiers, literals, pipes. Text only, no documents.

Each function reads one construct and gives its parts as they stand, with gjson's own treatment of what is
malformed. Who calls it: `path`, which gives the parts their meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from keyferry.gjson.scan import skip, squash
from keyferry.gjson.text import trim, unescape

MODIFIERS: Final = frozenset(
    b"pretty ugly reverse this flatten join valid keys values tostr fromstr group dig".split()
)

_ESCAPED: Final = rb"\\.?"
_QUOTED: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_QUERY_TOKEN: Final = re.compile(_ESCAPED + rb"|" + _QUOTED + rb"|[!=<>%\[\](){}]", re.DOTALL)
_OPERATOR: Final = re.compile(rb"!=|!%|<=|>=|==|[<>=%]|!\Z")
_SELECTOR_TOKEN: Final = re.compile(_ESCAPED + rb"|" + _QUOTED + rb"|(?<=[.|])@|[:,\[\](){}]", re.DOTALL)
_PIPE_TOKEN: Final = re.compile(_ESCAPED + rb"|\.#.?|\|", re.DOTALL)
_BALANCE_TOKEN: Final = re.compile(_ESCAPED + rb"|" + _QUOTED + rb"|[\[\]()]", re.DOTALL)
_ARGUMENT_TOKEN: Final = re.compile(rb'[|{\["(]')
_MODIFIER: Final = re.compile(rb"@([^.|:]*+)(:?)")
_STATIC_WORD: Final = re.compile(rb"!([^.|]*+)")
_STATIC_WORDS: Final = frozenset((b"true", b"false", b"null", b"nan", b"inf"))
_STATIC_STARTS: Final = frozenset(b'{["+-0123456789')
_UP_TO_LAST_NAME: Final = re.compile(rb".*(?<!\\)[|.]", re.DOTALL)
_UNSIMPLE: Final = re.compile(rb"[\x00-\x1f\[\]{}()#|!]")


@dataclass(frozen=True, slots=True)
class QueryText:
    """The parts of `#(path operator value)`, and where it ends in the text that it was read from."""

    path: bytes
    operator: bytes
    value: bytes
    end: int


def read_query(text: bytes) -> QueryText | None:
    """The query that the text, which starts with `#(` or `#[`, begins with; None if it does not end."""
    depth, operator_at, escapes, at = 1, 0, False, 2
    while depth:
        token = _QUERY_TOKEN.search(text, at)
        if token is None:
            return None
        at = token.end()
        sign = token[0]
        if sign in b"[(":
            depth += 1
        elif sign in b"])":
            depth -= 1
        elif sign.startswith(b'"'):
            escapes = escapes or b"\\" in sign
        elif depth == 1 and not operator_at and sign in b"!=<>%":
            operator_at = token.start()
    if not operator_at:
        return QueryText(trim(text[2 : at - 1]), b"", b"", at)
    operator, value = _split_operator(trim(text[operator_at : at - 1]))
    if len(value) >= 2 and value.startswith(b'"') and value.endswith(b'"'):
        value = unescape(value[1:-1]) if escapes else value[1:-1]
    return QueryText(trim(text[2:operator_at]), operator, value, at)


def _split_operator(comparison: bytes) -> tuple[bytes, bytes]:
    operator = _OPERATOR.match(comparison)
    if operator is None:
        return b"", comparison
    return operator[0].replace(b"==", b"="), trim(comparison[operator.end() :])


@dataclass(frozen=True, slots=True)
class SelectorText:
    """One `name:path` of a multipath; the name is as it stands, and may be empty."""

    name: bytes
    path: bytes


def read_multipath(text: bytes) -> tuple[list[SelectorText], bytes] | None:
    """The parts of the multipath that the text, which starts with `{` or `[`, begins with, and what follows it.

    None if it does not end. A colon names a part unless a modifier came before it.
    """
    parts: list[SelectorText] = []
    depth, begin, colon, modified, at = 1, 1, 0, False, 1
    while depth:
        token = _SELECTOR_TOKEN.search(text, at)
        if token is None:
            return None
        at = token.end()
        sign = token[0]
        if sign == b"@":
            modified = True
        elif sign == b":":
            if depth == 1 and not modified and not colon:
                colon = token.start()
        elif sign in b"[({":
            depth += 1
        elif sign in b"])}":
            depth -= 1
        if depth == 0 or (depth == 1 and sign == b","):
            name, path_begin = (text[begin:colon], colon + 1) if colon else (b"", begin)
            parts.append(SelectorText(name, text[path_begin : at - 1]))
            begin, colon, modified = at, 0, False
    return parts, text[at:]


def read_modifier(text: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Name, argument, and what follows, of the modifier that the text begins with; None if it is none."""
    head = _MODIFIER.match(text)
    if head is None or head[1] not in MODIFIERS:
        return None
    rest = text[head.end() :]
    if not head[2] or not rest:
        return head[1], b"", rest
    end = len(squash(rest)) if rest[:1] in b'{["' else _argument_end(rest)
    return head[1], rest[:end], rest[end:]


def _argument_end(text: bytes) -> int:
    at = 0
    while (token := _ARGUMENT_TOKEN.search(text, at)) is not None:
        if token[0] == b"|":
            return token.start()
        at = token.start() + len(squash(text[token.start() :]))
    return len(text)


def read_static(text: bytes) -> tuple[bytes, bytes] | None:
    """The literal that the text, which starts with `!`, begins with, and what follows; None if it is none."""
    if len(text) > 1 and text[1] in _STATIC_STARTS:
        end = skip(text, 2)
        return text[1:end], text[end:]
    word = _STATIC_WORD.match(text)
    # Go lower-cases the dotted capital I of Turkish to a plain i.
    if word is None or word[1].lower().replace("\u0130".encode(), b"i") not in _STATIC_WORDS:
        return None
    return word[1], text[word.end() :]


def starts_pipe(text: bytes) -> bool:
    """True if what follows a dot is a modifier or a multipath, so that the dot means a pipe."""
    if text.startswith(b"@"):
        head = _MODIFIER.match(text)
        return head is not None and head[1] in MODIFIERS
    return text[:1] in (b"[", b"{")


def split_pipe(text: bytes) -> tuple[bytes, bytes] | None:
    """The text before and after its first pipe outside of queries; None if there is none.

    As in gjson, a pipe right after `.#` is none, and of a text that starts with `{` only what follows the
    first balanced part is looked at.
    """
    if b"|" not in text:
        return None
    if text.startswith(b"{"):
        end = len(squash(text[1:])) + 1
        return (text[:end], text[end + 1 :]) if text[end : end + 1] == b"|" else None
    at = 0
    while (token := _PIPE_TOKEN.search(text, at)) is not None:
        at = token.end()
        if token[0] == b"|":
            return text[: token.start()], text[at:]
        if token[0] in (b".#[", b".#("):
            at = _balanced_end(text, at)
    return None


def _balanced_end(text: bytes, at: int) -> int:
    """Where the bracket just before this position is closed by one of its own sort."""
    opener = text[at - 1 : at]
    closer = b"]" if opener == b"[" else b")"
    depth = 1
    while depth and (token := _BALANCE_TOKEN.search(text, at)) is not None:
        at = token.end()
        depth += (token[0] == opener) - (token[0] == closer)
    return len(text) if depth else at


def last_name(text: bytes) -> bytes:
    """The last component of a path if it can name a value, else `_`."""
    before = _UP_TO_LAST_NAME.match(text)
    name = text if before is None else text[before.end() :]
    return b"_" if _UNSIMPLE.search(name) else name
