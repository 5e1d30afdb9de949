"""DER: what keys, certificates and keystores are written in. Nothing here knows what the values mean.

Reading is as strict as Go's: lengths and integers in their shortest form, no indefinite lengths. Object
identifiers stay in their encoded form, and are compared so.
"""

from __future__ import annotations

from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
NUMERIC_STRING: Final = 0x12
PRINTABLE_STRING: Final = 0x13
T61_STRING: Final = 0x14
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
BMP_STRING: Final = 0x1E
SEQUENCE: Final = 0x30
SET: Final = 0x31
_LONG: Final = 0x80
_HIGH_TAG: Final = 0x1F
_MAX_ARC: Final = (1 << 31) - 1

NULL_VALUE: Final = b"\x05\x00"


class DerError(Exception):
    """The bytes are not DER, or not of the shape asked for."""


class Reader:
    """Reads one value after the other from a part of the bytes, without copying them."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def more(self) -> bool:
        """Whether anything is left."""
        return self.at < self.end

    def peek(self) -> int:
        """The next value's tag, or -1."""
        return self.data[self.at] if self.at < self.end else -1

    def _next(self) -> tuple[int, int, int]:
        data, at, end = self.data, self.at, self.end
        if end - at < 2:
            raise DerError("cut short")
        tag, length = data[at], data[at + 1]
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise DerError("a tag of several bytes")
        begin = at + 2
        if length >= _LONG:
            count = length - _LONG
            if not 0 < count <= 4 or end - begin < count:
                raise DerError("a length that is not DER")
            length = int.from_bytes(data[begin : begin + count], "big")
            if length < _LONG or length >> (8 * (count - 1)) == 0:
                raise DerError("a length that is not in its shortest form")
            begin += count
        if length > end - begin:
            raise DerError("cut short")
        self.at = begin + length
        return tag, begin, begin + length

    def any(self) -> tuple[int, bytes]:
        """The next value's tag and content."""
        tag, begin, end = self._next()
        return tag, self.data[begin:end]

    def read(self, tag: int) -> Reader:
        """A reader of the next value's content, which must be of this tag."""
        start = self.at
        found, begin, end = self._next()
        if found != tag:
            self.at = start
            raise DerError("another tag than expected")
        return Reader(self.data, begin, end)

    def content(self, tag: int) -> bytes:
        """The next value's content, which must be of this tag."""
        inner = self.read(tag)
        return self.data[inner.at : inner.end]

    def element(self, tag: int) -> bytes:
        """The next value with its tag and length."""
        start = self.at
        self.read(tag)
        return self.data[start : self.at]

    def any_element(self) -> bytes:
        """The next value with its tag and length, whatever it is."""
        start = self.at
        self._next()
        return self.data[start : self.at]

    def rest(self) -> bytes:
        """What is left."""
        return self.data[self.at : self.end]

    def optional(self, tag: int) -> Reader | None:
        """A reader of the next value's content if it is of this tag; else nothing is read."""
        return self.read(tag) if self.peek() == tag else None

    def integer(self) -> int:
        """The next value, an INTEGER."""
        return as_integer(self.content(INTEGER))

    def small_integer(self) -> int:
        """The next value, an INTEGER that fits into 64 bits."""
        number = self.integer()
        if number.bit_length() >= 64:
            raise DerError("an integer that is too large")
        return number

    def oid(self) -> bytes:
        """The next value, an OBJECT IDENTIFIER, in its encoded form."""
        encoded = self.content(OID)
        _arcs(encoded)
        return encoded

    def bit_string(self) -> bytes:
        """The next value, a BIT STRING, of whole bytes or padded on the left to such."""
        content = self.content(BIT_STRING)
        if not content:
            raise DerError("an empty bit string")
        unused, value = content[0], content[1:]
        if unused > 7 or (unused and not value) or (value and value[-1] & ((1 << unused) - 1)):
            raise DerError("wrong padding of a bit string")
        return (int.from_bytes(value, "big") >> unused).to_bytes(len(value), "big") if unused else value

    def boolean(self) -> bool:
        """The next value, a BOOLEAN."""
        content = self.content(BOOLEAN)
        if content not in {b"\x00", b"\xff"}:
            raise DerError("a boolean that is neither true nor false")
        return content == b"\xff"


def as_integer(content: bytes) -> int:
    """An INTEGER's content as a number.

    Raises:
        DerError: it is not in its shortest form.
    """
    if not content:
        raise DerError("an empty integer")
    if len(content) > 1 and (
        (content[0] == 0 and content[1] < _LONG) or (content[0] == 0xFF and content[1] >= _LONG)
    ):
        raise DerError("an integer that is not in its shortest form")
    return int.from_bytes(content, "big", signed=True)


def _arcs(encoded: bytes) -> list[int]:
    if not encoded or encoded[-1] >= _LONG:
        raise DerError("an object identifier that is cut short")
    numbers: list[int] = []
    value, fresh = 0, True
    for byte in encoded:
        if fresh and byte == _LONG:
            raise DerError("an object identifier that is not in its shortest form")
        value = value << 7 | byte & 0x7F
        if value > _MAX_ARC:
            raise DerError("an object identifier with too large a number")
        fresh = byte < _LONG
        if fresh:
            numbers.append(value)
            value = 0
    return numbers


def dotted(encoded: bytes) -> str:
    """An encoded object identifier as people write it: `2.5.4.3`."""
    first, *others = _arcs(encoded)
    root = min(first // 40, 2)
    return ".".join(str(one) for one in (root, first - 40 * root, *others))


def oid(text: str) -> bytes:
    """An object identifier's encoded form, of its usual one."""
    root, second, *others = (int(one) for one in text.split("."))
    out = bytearray()
    for number in (40 * root + second, *others):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | _LONG)
        out += bytes(reversed(groups))
    return bytes(out)


def write(tag: int, *parts: bytes) -> bytes:
    """A value of this tag, with the parts as its content."""
    content = b"".join(parts)
    length = len(content)
    if length < _LONG:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, _LONG | size)) + length.to_bytes(size, "big") + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE."""
    return write(SEQUENCE, *parts)


def integer(number: int) -> bytes:
    """An INTEGER; not below 0."""
    return write(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """An OCTET STRING."""
    return write(OCTET_STRING, content)


def bits(content: bytes, unused: int = 0) -> bytes:
    """A BIT STRING, with so many unused bits at its end."""
    return write(BIT_STRING, bytes((unused,)), content)


def identifier(encoded: bytes) -> bytes:
    """An OBJECT IDENTIFIER, of its encoded form."""
    return write(OID, encoded)


def algorithm(encoded: bytes, *parameters: bytes) -> bytes:
    """An AlgorithmIdentifier."""
    return sequence(identifier(encoded), *parameters)
