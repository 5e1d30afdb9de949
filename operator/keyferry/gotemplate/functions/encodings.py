"""Sprig's encodings and checksums.

Rules: Go's packages encoding/base64, encoding/base32 and encoding/hex. What cannot be decoded gives the text of
Go's error as the result, so that text is Go's to the letter.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import re
import zlib
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.fmt_unicode import is_printable

group = FunctionGroup("Encodings and checksums")

_READ_PER_STEP: Final = 256
_NEWLINES: Final = b"\r\n"
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_NOT_NEWLINE: Final = re.compile(rb"[^\r\n]")
_NOT_BASE32: Final = re.compile(rb"[^A-Z2-7]")
_NOT_HEX: Final = re.compile(rb"[^0-9A-Fa-f]")
_BASE32: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE32_DIGITS: Final = bytes.maketrans(_BASE32, b"0123456789abcdefghijklmnopqrstuv")
_PAIRS: Final = tuple(bytes((first, second)) for first in _BASE32 for second in _BASE32)
_BASE32_CHARS: Final = (0, 2, 4, 5, 7, 8)
"""Characters for so many bytes of a group; padding makes them eight."""


@group.add("b64enc", "func(string) string")
def b64enc(run: Run, text: bytes) -> bytes:
    """The text in base64: `b64enc "hello"` is `aGVsbG8=`."""
    run.spend(len(text) // _READ_PER_STEP)
    return binascii.b2a_base64(text, newline=False)


@group.add("b64dec", "func(string) string")
def b64dec(run: Run, text: bytes) -> bytes:
    """What the base64 stands for; if it is none, the text of an error: `b64dec "aGVsbG8="` is `hello`."""
    run.spend(len(text) // _READ_PER_STEP)
    stripped = text.translate(None, _NEWLINES)
    if len(stripped) % 4 == 0 and not stripped.endswith(b"==="):  # which Python takes
        with contextlib.suppress(binascii.Error):
            return binascii.a2b_base64(stripped, strict_mode=True)
    wrong = _first_wrong_base64(text)
    if wrong is not None:
        return b"illegal base64 data at input byte %d" % wrong
    return binascii.a2b_base64(stripped)


def _first_wrong_base64(text: bytes) -> int | None:
    """Where Go finds the first fault; None if there is none."""
    bad = _NOT_BASE64.search(text)
    end = len(text) if bad is None else bad.start()
    newlines = text.count(b"\n", 0, end) + text.count(b"\r", 0, end)
    in_group = (end - newlines) % 4
    if bad is None:
        return end - in_group if in_group else None
    if bad[0] != b"=" or in_group < 2:
        return end
    at = end + 1
    if in_group == 2:
        second = _NOT_NEWLINE.search(text, at)
        if second is None:
            return len(text)
        at = second.end()
        if second[0] != b"=":
            return at - 2
    garbage = _NOT_NEWLINE.search(text, at)
    return garbage.start() if garbage else None


@group.add("b32enc", "func(string) string")
def b32enc(run: Run, text: bytes) -> bytes:
    """The text in base32: `b32enc "hello"` is `NBSWY3DP`."""
    run.charge(2 * len(text))
    run.spend(len(text) // 4)
    missing = -len(text) % 5
    encoded = bytearray()
    for at in range(0, len(text), 5):
        number = int.from_bytes(text[at : at + 5].ljust(5, b"\0"), "big")
        encoded += _PAIRS[number >> 30] + _PAIRS[number >> 20 & 1023]
        encoded += _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]
    if missing:
        padding = 8 - _BASE32_CHARS[5 - missing]
        encoded[-padding:] = b"=" * padding
    return bytes(encoded)


@group.add("b32dec", "func(string) string")
def b32dec(run: Run, text: bytes) -> bytes:
    """What the base32 stands for; if it is none, the text of an error: `b32dec "NBSWY3DP"` is `hello`."""
    run.spend(len(text) // _READ_PER_STEP)
    stripped = text.translate(None, _NEWLINES)
    bad = _NOT_BASE32.search(stripped)
    end = len(stripped) if bad is None else bad.start()
    wrong = _first_wrong_base32(stripped, end)
    if wrong is not None:
        return b"illegal base32 data at input byte %d" % wrong
    if not end:
        return b""
    number = int(stripped[:end].translate(_BASE32_DIGITS), 32)
    return (number >> (end * 5 % 8)).to_bytes(end * 5 // 8, "big")


def _first_wrong_base32(text: bytes, end: int) -> int | None:
    """Where Go finds the first fault, if what is no digit begins there; None if there is none."""
    in_group = end % 8
    if end == len(text):
        return end - in_group if in_group else None
    after = len(text) - end - 1
    if text[end] != 0x3D or in_group < 2 or after >= 8:
        return end
    missing = 7 - in_group
    if after < missing:
        return len(text)
    for more in range(missing):
        if text[end + 1 + more] != 0x3D:
            return end + more
    return end if in_group in {3, 6} else None


@group.add("hexdec", "func(string) string")
def hexdec(run: Run, text: bytes) -> bytes:
    """What the hexadecimal digits stand for; if they are none, the text of an error: `hexdec "6869"` is `hi`."""
    run.spend(len(text) // _READ_PER_STEP)
    bad = _NOT_HEX.search(text)
    if bad is not None:
        code = bad[0][0]
        shown = f" '{chr(code)}'" if is_printable(code) else ""
        return f"encoding/hex: invalid byte: U+{code:04X}{shown}".encode()
    if len(text) % 2:
        return b"encoding/hex: odd length hex string"
    return binascii.unhexlify(text)


@group.add("sha1sum", "func(string) string")
def sha1sum(run: Run, text: bytes) -> bytes:
    """The text's SHA-1 checksum, in hexadecimal: `sha1sum "a" | trunc 8` is `86f7e437`."""
    run.spend(len(text) // _READ_PER_STEP)
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


@group.add("sha256sum", "func(string) string")
def sha256sum(run: Run, text: bytes) -> bytes:
    """The text's SHA-256 checksum, in hexadecimal: `sha256sum "a" | trunc 8` is `ca978112`."""
    run.spend(len(text) // _READ_PER_STEP)
    return hashlib.sha256(text).hexdigest().encode()


@group.add("sha512sum", "func(string) string")
def sha512sum(run: Run, text: bytes) -> bytes:
    """The text's SHA-512 checksum, in hexadecimal: `sha512sum "a" | trunc 8` is `1f40fc92`."""
    run.spend(len(text) // _READ_PER_STEP)
    return hashlib.sha512(text).hexdigest().encode()


@group.add("adler32sum", "func(string) string")
def adler32sum(run: Run, text: bytes) -> bytes:
    """The text's Adler-32 checksum, in decimal: `adler32sum "a"` is `6422626`."""
    run.spend(len(text) // _READ_PER_STEP)
    return b"%d" % zlib.adler32(text)
