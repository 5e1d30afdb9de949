"""Client certificates for TLS, without a private key in clear on any disk.

Python's ssl reads key pairs from files only. The file holds the key encrypted by a password that was made for
this one reading and is in memory alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from typing import Final

_PEM: Final = b"-----BEGIN"
_OPEN_FILES: Final = "/proc/self/fd"


class ClientCertificateError(ValueError):
    """The pair cannot be used; the text says why in a few words, and holds nothing of it."""


def load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Have the context show this certificate to servers that ask for one.

    Costs some 10 ms: the key is encrypted and decrypted.

    Args:
        certificate: as PEM; those that vouch for it may follow.
        key: its private key as PEM, not encrypted.

    Raises:
        ClientCertificateError: one of them cannot be read, or they do not belong together.
    """
    if _PEM not in certificate:
        raise ClientCertificateError("the certificate is none as PEM")
    password = secrets.token_hex(32)
    with _file(certificate.rstrip() + b"\n" + _encrypted(key, password)) as name:
        try:
            context.load_cert_chain(name, password=password)
        except ssl.SSLError as error:
            why = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else ""
        except (OSError, ValueError):
            why = ""
        else:
            return
    raise ClientCertificateError(why or "the certificate cannot be read")


def _encrypted(key: bytes, password: str) -> bytes:
    """The same key, readable for who has the password."""
    # Not before it is needed: most processes never show a certificate.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    why = "the private key is none as PEM"
    try:
        loaded = serialization.load_pem_private_key(key, password=None)
        return loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
    except TypeError:
        why = "the private key is encrypted"
    except (ValueError, UnsupportedAlgorithm):
        pass
    # Raised here and not above: what the library raises may hold the key.
    raise ClientCertificateError(why)


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    """The path of a file with this content: in memory where the system can, else a private one that is deleted."""
    if hasattr(os, "memfd_create") and os.access(_OPEN_FILES, os.X_OK):
        descriptor = os.memfd_create("keyferry")
        try:
            os.write(descriptor, content)
            yield f"{_OPEN_FILES}/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(content)
        file.flush()
        yield file.name
