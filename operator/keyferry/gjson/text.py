"""JSON strings and path components: unescaping and escaping, on bytes, with gjson's leniency."""

from __future__ import annotations

import re
from typing import Final

_PIECE: Final = re.compile(rb'[^\\\x00-\x1f]++|\\(?:(["\\/bfnrt])|u(.{4}))', re.DOTALL)
_SECOND_UNIT: Final = re.compile(rb"\\u(.{4})", re.DOTALL)
_HEX: Final = re.compile(rb"[0-9a-fA-F]{4}")
_SHORT: Final = {
    b'"': b'"',
    b"\\": b"\\",
    b"/": b"/",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
}
_REPLACEMENT: Final = "\ufffd"

_QUOTED: Final = {
    **{code: f"\\u{code:04x}" for code in range(0x20)},
    **{ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"},
    **{ord(char): f"\\{letter}" for char, letter in zip('\b\f\n\r\t"\\', 'bfnrt"\\', strict=True)},
    # Bytes that are no UTF-8, as "surrogateescape" decodes them.
    **dict.fromkeys(range(0xDC80, 0xDD00), "\\ufffd"),
}
_INVALID_BYTES: Final = dict.fromkeys(range(0xDC80, 0xDD00), _REPLACEMENT)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_SPACE: Final = (
    rb"(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)"
)
_LEADING_SPACE: Final = re.compile(_SPACE + rb"*")
_LAST_SPACE: Final = re.compile(_SPACE + rb"\Z")
_CONTROL_AND_SPACE: Final = bytes(range(0x21))
_UNSAFE_IN_PATH: Final = re.compile(r"[!-,./;-@\[-^`{-~]")


def unescape(body: bytes) -> bytes:
    r"""What a JSON string's body means. It ends early at a control character or an escape that is none.

    Four characters after `\u` that are no hexadecimal number count as zero, and half a surrogate pair
    becomes U+FFFD; the second half is taken for granted if another `\u` follows.
    """
    out = []
    at = 0
    while (piece := _PIECE.match(body, at)) is not None:
        at = piece.end()
        if piece.lastindex is None:
            out.append(piece[0])
        elif piece.lastindex == 1:
            out.append(_SHORT[piece[1]])
        else:
            code = _code_unit(piece[2])
            if 0xD800 <= code < 0xE000:
                second = _SECOND_UNIT.match(body, at)
                if second is not None:
                    at = second.end()
                code = _surrogate_pair(code, 0 if second is None else _code_unit(second[1]))
            out.append(chr(code).encode())
    return b"".join(out)


def _code_unit(digits: bytes) -> int:
    return int(digits, 16) if _HEX.fullmatch(digits) else 0


def _surrogate_pair(high: int, low: int) -> int:
    if high < 0xDC00 and 0xDC00 <= low < 0xE000:
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    return ord(_REPLACEMENT)


def quote(text: bytes) -> bytes:
    """The text as a JSON string, with `<`, `>` and `&` escaped, and bytes that are no UTF-8 as U+FFFD."""
    return f'"{text.decode("utf-8", "surrogateescape").translate(_QUOTED)}"'.encode()


def runes(text: bytes) -> str:
    """The text as Go ranges over it: each byte that is no UTF-8 is one U+FFFD."""
    if text.isascii():
        return text.decode()
    return text.decode("utf-8", "surrogateescape").translate(_INVALID_BYTES)


def to_bytes(text: str) -> bytes:
    """UTF-8; half a surrogate pair becomes U+FFFD, as in Go's JSON decoder."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_REPLACEMENT, text).encode()


def trim(text: bytes) -> bytes:
    """Without control characters and spaces around it."""
    return text.strip(_CONTROL_AND_SPACE)


def trim_space(text: bytes) -> bytes:
    """Without white space of any script around it, as Go's TrimSpace."""
    leading = _LEADING_SPACE.match(text)
    start = leading.end() if leading else 0
    end = len(text)
    while end > start and (last := _LAST_SPACE.search(text, max(start, end - 3), end)) is not None:
        end = last.start()
    return text[start:end]


def escape(component: str) -> str:
    """The path component that looks this key up literally, whatever characters it has.

    That holds for keys of objects; in a path through an array a component is an index or a query. The AWS
    provider of the reference operator escapes only dots, and so is to use `escape_dots`.
    """
    return _UNSAFE_IN_PATH.sub(r"\\\g<0>", component)


def escape_dots(component: str) -> str:
    """The component with each dot escaped, and everything else (wildcards, pipes, …) left as it is."""
    return component.replace(".", "\\.")
