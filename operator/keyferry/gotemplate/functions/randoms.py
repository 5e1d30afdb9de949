"""Sprig's functions with random results. All draw from the run's randomness, without bias.

They give another result with each render: whoever wants a password that stays uses a generator.
"""

from __future__ import annotations

import binascii
import string
import struct
import uuid
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.characters import decoded
from keyferry.gotemplate.values import from_runes, wrap_int64

group = FunctionGroup("Random values")

_MAX_SLICE: Final = (1 << 48) - 1
_WORD: Final = 1 << 64


class _Alphabet:
    """Characters to draw from.

    Attributes:
        table: which character each value of a byte stands for.
        unused: values of a byte that are drawn again, so that all characters are equally likely.
    """

    def __init__(self, chars: str) -> None:
        fair = 256 - 256 % len(chars)
        self.table = bytes(ord(chars[one % len(chars)]) for one in range(256))
        self.unused = bytes(range(fair, 256))

    def draw(self, run: Run, count: int) -> bytes:
        """So many characters; none for a negative count, as Sprig drops goutils' error."""
        if count <= 0:
            return b""
        run.charge(count)
        drawn = bytearray()
        while len(drawn) < count:
            missing = count - len(drawn)
            drawn += run.random_bytes(missing + missing // 4 + 8).translate(self.table, self.unused)[:missing]
        return bytes(drawn)


_ALPHA: Final = _Alphabet(string.ascii_letters)
_ALPHANUM: Final = _Alphabet(string.ascii_letters + string.digits)
_NUMERIC: Final = _Alphabet(string.digits)
_ASCII: Final = _Alphabet("".join(map(chr, range(32, 127))))


@group.add("randAlphaNum", "func(int) string")
def rand_alpha_num(run: Run, count: int) -> bytes:
    """So many random letters and digits."""
    return _ALPHANUM.draw(run, count)


@group.add("randAlpha", "func(int) string")
def rand_alpha(run: Run, count: int) -> bytes:
    """So many random letters."""
    return _ALPHA.draw(run, count)


@group.add("randNumeric", "func(int) string")
def rand_numeric(run: Run, count: int) -> bytes:
    """So many random digits."""
    return _NUMERIC.draw(run, count)


@group.add("randAscii", "func(int) string")
def rand_ascii(run: Run, count: int) -> bytes:
    """So many random printable characters of ASCII."""
    return _ASCII.draw(run, count)


@group.add("randBytes", "func(int) (string, error)")
def rand_bytes(run: Run, count: int) -> bytes:
    """So many random bytes, in base64."""
    if not 0 <= count <= _MAX_SLICE:
        raise FunctionError("runtime error: makeslice: len out of range")
    run.charge(2 * count)
    return binascii.b2a_base64(run.random_bytes(count), newline=False)


@group.add("randInt", "func(int, int) int")
def rand_int(run: Run, low: int, high: int) -> int:
    """A random number from the first up to, but not including the second."""
    span = wrap_int64(high - low)
    if span <= 0:
        raise FunctionError("invalid argument to Intn")
    while True:
        (drawn,) = struct.unpack("<Q", run.random_bytes(8))
        if drawn < _WORD - _WORD % span:
            return wrap_int64(drawn % span + low)


@group.add("uuidv4", "func() string")
def uuidv4(run: Run) -> bytes:
    """A random UUID."""
    return str(uuid.UUID(bytes=run.random_bytes(16), version=4)).encode()


@group.add("shuffle", "func(string) string")
def shuffle(run: Run, text: bytes) -> bytes:
    """The text's characters in a random order."""
    run.spend(len(text) // 2)
    chars = list(decoded(run, text))
    run.charge(16 * len(chars))
    last = len(chars) - 1
    draws = struct.unpack(f"<{max(last, 0)}Q", run.random_bytes(8 * max(last, 0)))
    for at, drawn in zip(range(last, 0, -1), draws, strict=True):
        other = drawn % (at + 1) if drawn < _WORD - _WORD % (at + 1) else rand_int(run, 0, at + 1)
        chars[at], chars[other] = chars[other], chars[at]
    return from_runes("".join(chars))
