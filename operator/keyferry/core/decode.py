"""decodingStrategy and nullBytePolicy: from the store's bytes to the Secret's bytes."""

from __future__ import annotations

import base64
import re
from typing import Final

from keyferry.errors import RenderError
from keyferry.secretdata import SecretBytes


def _padded(letters: str) -> re.Pattern[bytes]:
    """What RFC 4648 calls well-formed, padding required, over the alphabet whose last letters are given."""
    one = f"[A-Za-z0-9{letters}]"
    return re.compile(f"(?:{one}{{4}})*(?:{one}{{2}}==|{one}{{3}}=)?".encode())


_STANDARD: Final = _padded("+/")
_URL_SAFE: Final = _padded(r"\-_")


def _base64(value: bytes, alphabet: re.Pattern[bytes]) -> bytes | None:
    """The decoded bytes, or None. Line breaks are skipped, as Go's decoders do."""
    text = value.replace(b"\r", b"").replace(b"\n", b"")
    if alphabet.fullmatch(text) is None:
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
