"""Go's quoted texts, both ways: `strconv.Quote`, `strconv.Unquote` and what `%#U` prints.

Rules: https://pkg.go.dev/strconv#Quote and https://go.dev/ref/spec#String_literals.
"""

from __future__ import annotations

import re
from typing import Final

from keyferry.gotemplate.text import fmt_quote
from keyferry.gotemplate.text.fmt_unicode import is_printable


def quote(text: bytes) -> str:
    """The text between double quotes, with escapes for what cannot be printed, as error texts have it."""
    return fmt_quote.quote(text).decode()


def unicode_point(char: str) -> str:
    """The character as `%#U` shows it: U+002D '-'."""
    shown = f" '{char}'" if is_printable(ord(char)) else ""
    return f"U+{ord(char):04X}{shown}"


class QuotingError(ValueError):
    """The text is no quoted text."""


_ESCAPE: Final = re.compile(
    rb"\\(?:(?P<simple>[abfnrtv\\'\"])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})"
    rb"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_UNSIMPLE: Final = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
}
_MAX_BYTE: Final = 0xFF
_MAX_RUNE: Final = 0x10FFFF


def unquote(text: bytes) -> bytes:
    """What a quoted or raw string literal stands for.

    Raises:
        QuotingError: it is none.
    """
    if text[:1] == b"`":
        return text[1:-1].replace(b"\r", b"")
    inside = text[1:-1]
    if b"\\" not in inside:
        return inside if inside.isascii() else _clean(inside)
    parts: list[bytes] = []
    at = 0
    while (escape := inside.find(b"\\", at)) >= 0:
        parts.append(_clean(inside[at:escape]))
        found = _ESCAPE.match(inside, escape)
        if found is None or found["simple"] == b"'":
            raise QuotingError
        parts.append(_unescaped(found)[0])
        at = found.end()
    parts.append(_clean(inside[at:]))
    return b"".join(parts)


def unquote_character(text: bytes) -> int:
    r"""The code of a character constant, such as 'a' or '\n'.

    Raises:
        QuotingError: it is none; the text says how, or is empty for a mere syntax error.
    """
    inside = text[1:]
    if inside.startswith(b"\\"):
        found = _ESCAPE.match(inside)
        if found is None or found["simple"] == b'"':
            raise QuotingError
        code, end = _unescaped(found)[1], found.end()
    else:
        if inside[:1] == b"'":
            raise QuotingError
        char = inside.decode("utf-8", "surrogateescape")[0]
        end = len(char.encode("utf-8", "surrogateescape"))
        code = 0xFFFD if "\udc80" <= char <= "\udcff" else ord(char)
    if inside[end:] != b"'":
        raise QuotingError("malformed character constant: " + text.decode("utf-8", "replace"))
    return code


def _unescaped(found: re.Match[bytes]) -> tuple[bytes, int]:
    """What an escape stands for: its bytes, and its code."""
    if simple := found["simple"]:
        return _UNSIMPLE[simple], _UNSIMPLE[simple][0]
    if (digits := found["hex"]) is not None:
        return bytes([int(digits, 16)]), int(digits, 16)
    if (digits := found["octal"]) is not None:
        code = int(digits, 8)
        if code > _MAX_BYTE:
            raise QuotingError
        return bytes([code]), code
    code = int(found["short"] or found["long"], 16)
    if code > _MAX_RUNE or 0xD800 <= code < 0xE000:
        raise QuotingError
    return chr(code).encode(), code


def _clean(text: bytes) -> bytes:
    """The text as characters: each byte that is no UTF-8 becomes U+FFFD."""
    if text.isascii():
        return text
    decoded = text.decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", "\ufffd", decoded).encode()
