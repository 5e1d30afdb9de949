"""decodingStrategy and nullBytePolicy: from the store's bytes to the Secret's bytes."""

from __future__ import annotations

import base64
import re
from typing import Final

from keyferry.errors import RenderError
from keyferry.secretdata import SecretBytes

_STANDARD: Final = re.compile(rb"[A-Za-z0-9+/]*+={0,2}")
_URL_SAFE: Final = re.compile(rb"[A-Za-z0-9\-_]*+={0,2}")
"""The alphabets of RFC 4648; whether the padding is right, the length tells."""


def _base64(value: bytes, alphabet: re.Pattern[bytes]) -> bytes | None:
    """The decoded bytes, or None. Padding is required and line breaks are skipped, as Go's decoders do."""
    text = value.replace(b"\r", b"").replace(b"\n", b"")
    if len(text) % 4 or alphabet.fullmatch(text) is None:
        return None
    return base64.urlsafe_b64decode(text) if alphabet is _URL_SAFE else base64.b64decode(text)


def _decoded(value: bytes, strategy: str) -> bytes | None:
    if strategy == "Base64":
        return _base64(value, _STANDARD)
    if strategy == "Base64URL":
        return _base64(value, _URL_SAFE)
    # Auto: standard, else URL-safe, else as it is. A plain text that happens to be well-formed base64
    # ("test1234") is decoded, as the reference does; docs/migration.md tells.
    for alphabet in (_STANDARD, _URL_SAFE):
        if (decoded := _base64(value, alphabet)) is not None:
            return decoded
    return value


def decode(value: SecretBytes, strategy: str, what: str) -> SecretBytes:
    """The value decoded by strategy None, Base64, Base64URL or Auto.

    Args:
        value: the bytes as the store gave them.
        strategy: empty means None.
        what: the entry's name, for the error.

    Raises:
        RenderError: the value is not of that encoding.
    """
    if strategy in ("", "None"):
        return value
    decoded = _decoded(value.reveal(), strategy)
    if decoded is None:
        raise RenderError(
            f"could not decode {what}: the value is not valid {strategy}",
            hint="Set decodingStrategy to None if the value is stored as it is",
        )
    return SecretBytes(decoded)


def check_null_bytes(value: SecretBytes, policy: str, what: str) -> None:
    """Refuse a value with a zero byte where nullBytePolicy is Fail.

    Raises:
        RenderError: there is one.
    """
    if policy == "Fail" and b"\0" in value.reveal():
        raise RenderError(
            f"{what} contains a null byte and nullBytePolicy is Fail",
            hint="Check how the value was stored, or set nullBytePolicy to Ignore",
        )
