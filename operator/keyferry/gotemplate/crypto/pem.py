"""PEM, as Go's encoding/pem reads and writes it, byte for byte."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from keyferry.gotemplate.budget import Run

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"\n-----END "
_DASHES: Final = b"-----"
_LINE: Final = 64
_STEPS: Final = 15
"""What looking for one block costs, beside its bytes."""
_BYTES_PER_STEP: Final = 256
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

CERTIFICATE: Final = b"CERTIFICATE"
PRIVATE_KEY: Final = b"PRIVATE KEY"
PUBLIC_KEY: Final = b"PUBLIC KEY"


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """One PEM block.

    Args:
        type: what stands behind BEGIN.
        payload: the bytes, no longer in base64.
    """

    type: bytes
    payload: bytes
    headers: dict[bytes, bytes] = field(default_factory=dict)


def decode_base64(text: bytes) -> bytes | None:
    """What Go's base64.StdEncoding makes of the text: line ends do not count, padding must be there; else None."""
    text = text.translate(None, b"\r\n")
    padding = text.translate(None, _ALPHABET)
    if len(text) % 4 or padding not in {b"", b"=", b"=="} or not text.endswith(padding):
        return None
    return binascii.a2b_base64(text)


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    """The line that begins there, without spaces at its end, and where the next one begins."""
    stop = data.find(b"\n", at)
    if stop < 0:
        return data[at:].rstrip(b" \t"), len(data)
    after = stop + 1
    if stop > at and data[stop - 1] == 0x0D:
        stop -= 1
    return data[at:stop].rstrip(b" \t"), after


def decode(run: Run, data: bytes, start: int = 0) -> tuple[Block | None, int]:
    """The first block from there on, and where the rest begins; with no block, all of it is rest."""
    at = trailer = start
    while at <= trailer <= len(data):
        at = trailer
        end = data.find(_END, at)
        run.spend(_STEPS + ((len(data) if end < 0 else end) - at) // _BYTES_PER_STEP)
        if end < 0:
            break
        trailer = end + len(_END)
        begin = data.rfind(_BEGIN, at, end)
        if begin < 0 or (begin > at and data[begin - 1] != 0x0A):
            continue
        kind, at = _line(data, begin + len(_BEGIN))
        if not kind.endswith(_DASHES):
            continue
        headers, at = _headers(run, data, at)
        if at >= len(data):
            break
        if headers and end < at:
            continue
        run.charge(max(end - at, 0))
        payload = _payload(data, at, end, kind)
        if payload is not None:
            return Block(kind[: -len(_DASHES)], payload, headers), _line(data, end + len(_END) - 1)[1]
    return None, start


def _headers(run: Run, data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    headers: dict[bytes, bytes] = {}
    while at < len(data):
        line, after = _line(data, at)
        key, colon, value = line.partition(b":")
        if not colon:
            break
        run.spend(2)
        run.charge(len(line))
        headers[key.strip()] = value.strip()
        at = after
    return headers, at


def _payload(data: bytes, at: int, end: int, kind: bytes) -> bytes | None:
    """The bytes in base64 between here and the END line; None unless that line is of the same type."""
    trailer = end + len(_END)
    closing = data[trailer : trailer + len(kind)]
    if closing != kind or _line(data, trailer + len(kind))[0]:
        return None
    return decode_base64(data[at:end].translate(None, b" \t")) if end > at else b""


def decode_all(run: Run, data: bytes) -> list[Block]:
    """All blocks up to the first place where there is none."""
    blocks: list[Block] = []
    at = 0
    while True:
        block, at = decode(run, data, at)
        if block is None:
            return blocks
        blocks.append(block)


def encode(run: Run, kind: bytes, payload: bytes, headers: dict[bytes, bytes] | None = None) -> bytes:
    """The block as text; headers are sorted, Proc-Type first."""
    run.charge(len(payload) + len(payload) // 2)
    parts = [_BEGIN, kind, b"-----\n"]
    if headers:
        for key in sorted(headers, key=lambda one: (one != b"Proc-Type", one)):
            parts += (key, b": ", headers[key], b"\n")
        parts.append(b"\n")
    text = base64.b64encode(payload)
    for at in range(0, len(text), _LINE):
        parts += (text[at : at + _LINE], b"\n")
    parts += (_END[1:], kind, b"-----\n")
    return b"".join(parts)
