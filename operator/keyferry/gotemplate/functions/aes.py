"""AES encryption of texts."""

from __future__ import annotations

import base64
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import pem
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup

group: Final = FunctionGroup("Encryption")

_KEY: Final = 32
_BLOCK: Final = 16


def _key(password: bytes) -> bytes:
    return password[:_KEY].ljust(_KEY, b"\x00")


@group.add("encryptAES", "func(string, string) (string, error)")
def encrypt_aes(run: Run, password: bytes, text: bytes) -> bytes:
    """The text encrypted with AES-256 in CBC mode, in base64; the key is the password's first 32 bytes.

    It is another text in every render.
    """
    if not text:
        return b""
    run.charge(4 * len(text))
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    vector = run.random_bytes(_BLOCK)
    padding = _BLOCK - len(text) % _BLOCK
    cipher = Cipher(algorithms.AES(_key(password)), modes.CBC(vector)).encryptor()
    return base64.b64encode(vector + cipher.update(text + bytes((padding,)) * padding) + cipher.finalize())


@group.add("decryptAES", "func(string, string) (string, error)")
def decrypt_aes(run: Run, password: bytes, text: bytes) -> bytes:
    """What encryptAES has encrypted with the same password."""
    if not text:
        return b""
    run.charge(2 * len(text))
    content = pem.decode_base64(text)
    if content is None:
        raise FunctionError("illegal base64 data")
    if len(content) <= _BLOCK:
        raise FunctionError(f"runtime error: {len(content)} bytes are too few to decrypt")
    if len(content) % _BLOCK:
        raise FunctionError("crypto/cipher: input not full blocks")
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(_key(password)), modes.CBC(content[:_BLOCK])).decryptor()
    plain = cipher.update(content[_BLOCK:]) + cipher.finalize()
    padding = plain[-1]
    if padding > len(plain):
        raise FunctionError("runtime error: the padding is longer than the text: is the password right?")
    # Sprig looks at nothing but the last byte, so that a wrong password mostly gives garbage.
    return plain[: len(plain) - padding]
