"""New certificates: authorities, self-signed ones and signed ones."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import ClassVar, Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import issuing, pem, x509
from keyferry.gotemplate.crypto.issuing import Request
from keyferry.gotemplate.crypto.privatekeys import PrivateKey
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.keys import from_pem, new_rsa, to_pem
from keyferry.gotemplate.objects import FIELDS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import Value, register, type_of

group: Final = FunctionGroup("Keys and certificates")

_BITS: Final = 2_048


@register
@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """sprig.certificate: a certificate and its private key, both in PEM."""

    cert: bytes = b""
    key: bytes = b""
    go_type: ClassVar[str] = "sprig.certificate"
    go_kind: ClassVar[str] = "struct"


FIELDS[Certificate] = {"Cert": lambda value: value.cert, "Key": lambda value: value.key}


@group.add("buildCustomCert", "func(string, string) (sprig.certificate, error)")
def build_custom_cert(run: Run, certificate: bytes, key: bytes) -> Certificate:
    """A certificate object of a certificate and its key, both PEM in base64, to sign others with.

    `{{ $ca := buildCustomCert (.cert | b64enc) (.key | b64enc) }}`
    """
    run.charge(len(certificate) + len(key))
    cert_text = pem.decode_base64(certificate)
    if cert_text is None:
        raise FunctionError("unable to decode base64 certificate")
    key_text = pem.decode_base64(key)
    if key_text is None:
        raise FunctionError("unable to decode base64 private key")
    _parsed_certificate(run, cert_text, "decodedCert")
    _parsed_key(run, key_text)
    return Certificate(cert_text, key_text)


def _parsed_certificate(run: Run, text: bytes, name: str) -> x509.Certificate:
    block, _ = pem.decode(run, text)
    if block is None:
        raise FunctionError("unable to decode certificate")
    try:
        return x509.parse(run, block.payload)
    except FunctionError as exc:
        raise FunctionError(f"error parsing certificate: {name}.Bytes: {exc}") from None


def _parsed_key(run: Run, text: bytes) -> PrivateKey:
    try:
        return from_pem(run, text)
    except FunctionError as exc:
        raise FunctionError(f"error parsing private key: {exc}") from None


def _given_key(run: Run, text: bytes) -> PrivateKey:
    try:
        return from_pem(run, text)
    except FunctionError as exc:
        raise FunctionError(f"parsing private key: {exc}") from None


def _addresses(run: Run, values: list[Value] | None) -> tuple[bytes, ...]:
    run.spend(10 * len(values or ()))
    return tuple(_address(value) for value in values or ())


def _address(value: Value) -> bytes:
    """The address's 4 or 16 bytes; an IPv4 address within IPv6 has 4, as in Go."""
    if type(value) is not bytes:
        raise FunctionError(f"error parsing ip: a value of type {type_of(value)} is not a string")
    try:
        # Zones are Python's extension: Go's ParseIP has none.
        address = ipaddress.ip_address("?" if b"%" in value else value.decode("ascii"))
    except ValueError:
        raise FunctionError(f"error parsing ip: a text of {len(value)} bytes is no address") from None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).packed


def _names(run: Run, values: list[Value] | None) -> tuple[bytes, ...]:
    run.spend(4 * len(values or ()))
    for value in values or ():
        if type(value) is not bytes:
            raise FunctionError(
                f"error processing alternate dns name: a value of type {type_of(value)} is not a string"
            )
    return tuple(values or ())


def _made(
    run: Run,
    request: Request,
    key: PrivateKey,
    signer: PrivateKey | None = None,
    parent: x509.Certificate | None = None,
) -> Certificate:
    try:
        content = issuing.issue(run, request, key, signer or key, parent)
        made = Certificate(pem.encode(run, pem.CERTIFICATE, content), to_pem(run, key))
    except FunctionError as exc:
        raise FunctionError(f"error creating certificate: {exc}") from None
    run.charge(len(made.cert) + len(made.key))
    return made


@group.add("genCA", "func(string, int) (sprig.certificate, error)")
def gen_ca(run: Run, name: bytes, days: int) -> Certificate:
    """A new certificate authority of this name, valid for so many days, with a new RSA key.

    `{{ $ca := genCA "example" 365 }}{{ $ca.Cert }}{{ $ca.Key }}`
    """
    return _made(run, Request(name, days=days, is_authority=True), new_rsa(run, _BITS))


@group.add("genCAWithKey", "func(string, int, string) (sprig.certificate, error)")
def gen_ca_with_key(run: Run, name: bytes, days: int, key: bytes) -> Certificate:
    """A new certificate authority as genCA makes one, with a key given in PEM."""
    return _made(run, Request(name, days=days, is_authority=True), _given_key(run, key))


_ALTERNATIVES: Final = "func(string, []interface {}, []interface {}, int"


@group.add("genSelfSignedCert", f"{_ALTERNATIVES}) (sprig.certificate, error)")
def gen_self_signed_cert(
    run: Run, name: bytes, ips: list[Value] | None, names: list[Value] | None, days: int
) -> Certificate:
    """A new self-signed certificate of a common name, lists of IP addresses and DNS names, and days.

    `{{ $cert := genSelfSignedCert "example.com" (list "10.0.0.1") (list "www.example.com") 365 }}`
    """
    key = new_rsa(run, _BITS)
    return _made(run, Request(name, _addresses(run, ips), _names(run, names), days), key)


@group.add("genSelfSignedCertWithKey", f"{_ALTERNATIVES}, string) (sprig.certificate, error)")
def gen_self_signed_cert_with_key(  # noqa: PLR0917  these are Sprig's arguments
    run: Run, name: bytes, ips: list[Value] | None, names: list[Value] | None, days: int, key: bytes
) -> Certificate:
    """A new self-signed certificate as genSelfSignedCert makes one, with a key given in PEM."""
    given = _given_key(run, key)
    return _made(run, Request(name, _addresses(run, ips), _names(run, names), days), given)


@group.add("genSignedCert", f"{_ALTERNATIVES}, sprig.certificate) (sprig.certificate, error)")
def gen_signed_cert(  # noqa: PLR0917  these are Sprig's arguments
    run: Run, name: bytes, ips: list[Value] | None, names: list[Value] | None, days: int, ca: Certificate
) -> Certificate:
    """A new certificate that an authority, as genCA or buildCustomCert gives one, has signed.

    `{{ $cert := genSignedCert "example.com" (list) (list "www.example.com") 90 $ca }}`
    """
    return _signed(run, (name, ips, names, days), ca, new_rsa(run, _BITS))


@group.add("genSignedCertWithKey", f"{_ALTERNATIVES}, sprig.certificate, string) (sprig.certificate, error)")
def gen_signed_cert_with_key(  # noqa: PLR0913, PLR0917  these are Sprig's arguments
    run: Run,
    name: bytes,
    ips: list[Value] | None,
    names: list[Value] | None,
    days: int,
    ca: Certificate,
    key: bytes,
) -> Certificate:
    """A new signed certificate as genSignedCert makes one, with a key given in PEM."""
    return _signed(run, (name, ips, names, days), ca, _given_key(run, key))


def _signed(
    run: Run,
    wanted: tuple[bytes, list[Value] | None, list[Value] | None, int],
    ca: Certificate,
    key: PrivateKey,
) -> Certificate:
    parent = _parsed_certificate(run, ca.cert, "decodedSignerCert")
    signer = _parsed_key(run, ca.key)
    name, ips, names, days = wanted
    return _made(run, Request(name, _addresses(run, ips), _names(run, names), days), key, signer, parent)
