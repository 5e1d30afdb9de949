"""Go's quoted texts as fmt prints them for %q: `strconv.Quote` and its relatives.

Rules: https://pkg.go.dev/strconv#Quote.
"""

from __future__ import annotations

import re
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.text.fmt_unicode import escaped, is_printable

REPLACEMENT: Final = 0xFFFD
MAX_RUNE: Final = 0x10FFFF
_SIMPLE: Final = {
    0x07: "\\a",
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0B: "\\v",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}
_PLAIN: Final = re.compile(rb"[ !#-\[\]-~]*")
_NOT_RAW: Final = re.compile("[\0-\x08\n-\x1f`\x7f\ufeff\udc80-\udcff]")
_MAX_BMP: Final = 0xFFFF


def quote(text: bytes, *, ascii_only: bool = False, run: Run | None = None) -> bytes:
    """The text between double quotes, with escapes for what is not printed.

    Args:
        text: any bytes.
        ascii_only: whether all characters beyond ASCII get an escape.
        run: pays for the work, if it is given.
    """
    if not _PLAIN.fullmatch(text):
        text = escaped(text, _escape_to_ascii if ascii_only else _escape, run)
    return b'"%b"' % text


def _escape(code: int) -> str | None:
    """What stands for the character between double quotes; None if it does itself."""
    return None if is_printable(code) and code not in {0x22, 0x5C} else _escaped_code(code)


def _escape_to_ascii(code: int) -> str | None:
    return _escaped_code(code) if code > 0x7F else _escape(code)


def _escaped_code(code: int) -> str:
    if simple := _SIMPLE.get(code):
        return simple
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _MAX_BMP else f"\\U{code:08x}"


def quote_rune(code: int, *, ascii_only: bool = False) -> bytes:
    """The character between single quotes; the code is that of a valid character."""
    if code == 0x27:
        return b"'\\''"
    escape = _escape_to_ascii(code) if ascii_only else _escape(code)
    if escape is None or code == 0x22:
        return b"'%b'" % chr(code).encode()
    return b"'%b'" % escape.encode()


def valid_rune(code: int) -> int:
    """The character with that code, or U+FFFD where there is none."""
    return code if 0 <= code < 0xD800 or 0xE000 <= code <= MAX_RUNE else REPLACEMENT


def can_backquote(text: bytes) -> bool:
    """Whether a raw string literal of one line can hold the text."""
    return _NOT_RAW.search(text.decode("utf-8", "surrogateescape")) is None
