"""PKCS#12 archives: keys and certificates out of them, and into them."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import pem, pfx, privatekeys, x509
from keyferry.gotemplate.crypto.privatekeys import PrivateKey
from keyferry.gotemplate.crypto.x509 import Certificate
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup

group: Final = FunctionGroup("PKCS#12")

_ONE: Final = "func(string) (string, error)"
_TWO: Final = "func(string, string) (string, error)"
_THREE: Final = "func(string, string, string) (string, error)"


def _decoded(run: Run, password: bytes, archive: bytes, what: str) -> pfx.Archive:
    try:
        return pfx.decode(run, archive, pfx.password_of(run, password))
    except FunctionError as exc:
        raise FunctionError(f"unable to decode {what} with password: {exc}") from None


@group.add("pkcs12keyPass", _TWO)
def pkcs12_key_pass(run: Run, password: bytes, archive: bytes) -> bytes:
    """The private key of a PKCS#12 archive, in PEM (PKCS#8): `{{ .archive | pkcs12keyPass .password }}`.

    The archive is taken as it is: decode it first where it is in base64.
    """
    key = _decoded(run, password, archive, "pkcs12").key
    return pem.encode(run, pem.PRIVATE_KEY, privatekeys.pkcs8(key))


@group.add("pkcs12key", _ONE)
def pkcs12_key(run: Run, archive: bytes) -> bytes:
    """The private key of a PKCS#12 archive without password, in PEM: `{{ .archive | b64dec | pkcs12key }}`."""
    return pkcs12_key_pass(run, b"", archive)


@group.add("pkcs12certPass", _TWO)
def pkcs12_cert_pass(run: Run, password: bytes, archive: bytes) -> bytes:
    """All certificates of a PKCS#12 archive in PEM, from the leaf to the root where they make one chain.

    `{{ .archive | pkcs12certPass .password }}`
    """
    certificates = _decoded(run, password, archive, "pkcs12 certificate").certificates
    # Several chains, or none: they stay in the archive's order.
    with suppress(FunctionError):
        certificates = x509.chain(certificates)
    return b"".join(pem.encode(run, pem.CERTIFICATE, one.raw) for one in certificates)


@group.add("pkcs12cert", _ONE)
def pkcs12_cert(run: Run, archive: bytes) -> bytes:
    """All certificates of a PKCS#12 archive without password: `{{ .archive | b64dec | pkcs12cert }}`."""
    return pkcs12_cert_pass(run, b"", archive)


def _first(run: Run, text: bytes, at: int, what: str) -> tuple[bytes, int]:
    block, at = pem.decode(run, text, at)
    if block is None:
        raise FunctionError(f"no PEM block where there must be {what}")
    return block.payload, at


def _certificates(run: Run, text: bytes, at: int = 0) -> list[Certificate]:
    """All certificates from there on; anything else, a line end too, is an error as it is in Go."""
    certificates = []
    while at < len(text):
        content, at = _first(run, text, at, "a certificate")
        certificates.append(x509.parse(run, content))
    return certificates


def _archive(run: Run, key: bytes, certificates: list[Certificate], password: bytes) -> bytes:
    content, _ = _first(run, key, 0, "a private key")
    parsed: PrivateKey = privatekeys.parse(run, content)
    archive = pfx.encode(run, parsed, certificates, pfx.password_of(run, password))
    return base64.b64encode(archive)


@group.add("pemToPkcs12Pass", _THREE)
def pem_to_pkcs12_pass(run: Run, certificate: bytes, key: bytes, password: bytes) -> bytes:
    """A PKCS#12 archive, in base64, of the first certificate and key in PEM, with a password.

    `{{ pemToPkcs12Pass .cert .key .password | b64dec }}`
    """
    content, _ = _first(run, certificate, 0, "a certificate")
    return _archive(run, key, [x509.parse(run, content)], password)


@group.add("pemToPkcs12", _TWO)
def pem_to_pkcs12(run: Run, certificate: bytes, key: bytes) -> bytes:
    """A PKCS#12 archive, in base64, of the first certificate and key in PEM, with an empty password."""
    return pem_to_pkcs12_pass(run, certificate, key, b"")


@group.add("fullPemToPkcs12Pass", _THREE)
def full_pem_to_pkcs12_pass(run: Run, certificates: bytes, key: bytes, password: bytes) -> bytes:
    """A PKCS#12 archive, in base64, of a key and all certificates in PEM, the key's own one first.

    `{{ fullPemToPkcs12Pass .chain .key .password | b64dec }}`
    """
    content, rest = _first(run, certificates, 0, "a certificate")
    several = [x509.parse(run, content), *_certificates(run, certificates, rest)]
    return _archive(run, key, several, password)


@group.add("fullPemToPkcs12", _TWO)
def full_pem_to_pkcs12(run: Run, certificates: bytes, key: bytes) -> bytes:
    """A PKCS#12 archive, in base64, of a key and all certificates in PEM, with an empty password."""
    return full_pem_to_pkcs12_pass(run, certificates, key, b"")


@group.add("pemTruststoreToPKCS12Pass", _TWO)
def pem_truststore_to_pkcs12_pass(run: Run, certificates: bytes, password: bytes) -> bytes:
    """A Java trust store (PKCS#12, in base64) of all certificates in PEM, with a password.

    `{{ pemTruststoreToPKCS12Pass .authorities .password | b64dec }}`
    """
    several = _certificates(run, certificates)
    archive = pfx.encode_trust_store(run, several, pfx.password_of(run, password))
    return base64.b64encode(archive)


@group.add("pemTruststoreToPKCS12", _ONE)
def pem_truststore_to_pkcs12(run: Run, certificates: bytes) -> bytes:
    """A Java trust store (PKCS#12, in base64) of all certificates in PEM, with an empty password."""
    return pem_truststore_to_pkcs12_pass(run, certificates, b"")
