"""Certificates made as Sprig's functions and Go's x509.CreateCertificate make them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import der, privatekeys, x509
from keyferry.gotemplate.crypto.privatekeys import DsaKey, EcKey, Ed25519Key, PrivateKey, RsaKey, X25519Key
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.values import wrap_int64

_NS_PER_S: Final = 1_000_000_000
_NS_PER_DAY: Final = 86_400 * _NS_PER_S
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SERIAL_BYTES: Final = 16
_KEY_ID_BYTES: Final = 20
_COMMON_NAME: Final = der.oid("2.5.4.3")
_ANY_SUBJECT: Final = der.sequence()
_TRUE: Final = b"\x01\x01\xff"
_SUBJECT_KEY_ID: Final = der.oid("2.5.29.14")
_KEY_USAGE: Final = der.oid("2.5.29.15")
_ALT_NAME: Final = der.oid("2.5.29.17")
_BASIC_CONSTRAINTS: Final = der.oid("2.5.29.19")
_AUTHORITY_KEY_ID: Final = der.oid("2.5.29.35")
_EXTENDED_KEY_USAGE: Final = der.oid("2.5.29.37")
_SERVER_AND_CLIENT: Final = der.sequence(
    der.identifier(der.oid("1.3.6.1.5.5.7.3.1")), der.identifier(der.oid("1.3.6.1.5.5.7.3.2"))
)
_USAGE: Final = der.bits(b"\xa0", 5)
"""Digital signature and key encipherment."""
_CA_USAGE: Final = der.bits(b"\xa4", 2)
"""The same, and signing certificates."""
_SIGNED_WITH: Final = {
    "rsa": der.algorithm(der.oid("1.2.840.113549.1.1.11"), der.NULL_VALUE),
    "sha256": der.algorithm(der.oid("1.2.840.10045.4.3.2")),
    "sha384": der.algorithm(der.oid("1.2.840.10045.4.3.3")),
    "sha512": der.algorithm(der.oid("1.2.840.10045.4.3.4")),
    "ed25519": der.algorithm(privatekeys.ED25519),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a certificate is to say.

    Args:
        addresses: 4 or 16 bytes each.
        days: how long it is valid from now on; may be below 0.
    """

    common_name: bytes
    addresses: tuple[bytes, ...] = ()
    dns_names: tuple[bytes, ...] = ()
    days: int = 0
    is_authority: bool = False


def public_key(key: PrivateKey) -> bytes:
    """The public key with its algorithm, in DER.

    Raises:
        FunctionError: Go puts no such key into a certificate.
    """
    algorithm, content = _public_parts(key)
    return der.sequence(algorithm, der.bits(content))


def _public_parts(key: PrivateKey) -> tuple[bytes, bytes]:
    if isinstance(key, RsaKey):
        content = der.sequence(der.integer(key.n), der.integer(key.e))
        return der.algorithm(privatekeys.RSA, der.NULL_VALUE), content
    if isinstance(key, EcKey):
        algorithm = der.algorithm(privatekeys.EC, der.identifier(key.curve.oid))
        return algorithm, privatekeys.point(key)
    if isinstance(key, Ed25519Key):
        from cryptography.hazmat.primitives.asymmetric import ed25519

        public = ed25519.Ed25519PrivateKey.from_private_bytes(key.seed).public_key()
        return der.algorithm(privatekeys.ED25519), public.public_bytes_raw()
    kind = "*dsa.PublicKey" if isinstance(key, DsaKey) else "*ecdh.PublicKey"
    raise FunctionError(f"x509: unsupported public key type: {kind}")


def issue(
    run: Run, request: Request, key: PrivateKey, signer: PrivateKey, parent: x509.Certificate | None = None
) -> bytes:
    """A certificate for the key, in DER, signed by the signer, whose certificate is the parent (none: its own).

    Raises:
        FunctionError: the keys do not fit, or the request cannot be written down.
    """
    if isinstance(signer, DsaKey | X25519Key):
        raise FunctionError("x509: certificate private key does not implement crypto.Signer")
    run.charge(4 * (len(request.common_name) + sum(map(len, request.dns_names))))
    serial = int.from_bytes(run.random_bytes(_SERIAL_BYTES), "big")
    algorithm = _SIGNED_WITH[_method(signer)]
    _, key_bits = _public_parts(key)
    subject = _subject(request.common_name)
    issuer = parent.subject if parent else subject
    if parent and parent.public_key is not None and parent.public_key != public_key(signer):
        raise FunctionError("x509: provided PrivateKey doesn't match parent's PublicKey")
    authority = parent.subject_key_id if parent and issuer != subject else b""
    fields = der.sequence(
        der.write(0xA0, der.integer(2)),
        der.integer(serial),
        algorithm,
        issuer,
        _validity(run.now_ns, request.days),
        subject,
        public_key(key),
        der.write(0xA3, der.sequence(*_extensions(request, subject, key_bits, authority))),
    )
    return der.sequence(fields, algorithm, der.bits(_sign(run, signer, fields)))


def _subject(common_name: bytes) -> bytes:
    if not common_name:
        return _ANY_SUBJECT
    try:
        value = x509.printable(common_name.decode())
    except UnicodeDecodeError:
        raise FunctionError("asn1: string not valid UTF-8") from None
    return der.sequence(der.write(der.SET, der.sequence(der.identifier(_COMMON_NAME), value)))


def _validity(now_ns: int, days: int) -> bytes:
    # A Duration holds 292 years: more days than that wrap around, as in Go.
    after_ns = now_ns + wrap_int64(_NS_PER_DAY * days)
    return der.sequence(_time(now_ns), _time(after_ns))


def _time(ns: int) -> bytes:
    moment = _EPOCH + timedelta(seconds=ns // _NS_PER_S)
    text = f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode()
    if 1950 <= moment.year < 2050:
        return der.write(der.UTC_TIME, text[2:])
    return der.write(der.GENERALIZED_TIME, text)


def _extension(kind: bytes, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(der.identifier(kind), _TRUE if critical else b"", der.octets(value))


def _extensions(request: Request, subject: bytes, key_bits: bytes, authority: bytes) -> list[bytes]:
    is_authority = request.is_authority
    extensions = [
        _extension(_KEY_USAGE, _CA_USAGE if is_authority else _USAGE, critical=True),
        _extension(_EXTENDED_KEY_USAGE, _SERVER_AND_CLIENT),
        _extension(_BASIC_CONSTRAINTS, der.sequence(_TRUE if is_authority else b""), critical=True),
    ]
    if is_authority:
        key_id = hashlib.sha256(key_bits).digest()[:_KEY_ID_BYTES]
        extensions.append(_extension(_SUBJECT_KEY_ID, der.octets(key_id)))
    if authority:
        extensions.append(_extension(_AUTHORITY_KEY_ID, der.sequence(der.write(0x80, authority))))
    names = _alt_names(request)
    if names:
        value = der.sequence(*names)
        extensions.append(_extension(_ALT_NAME, value, critical=subject == _ANY_SUBJECT))
    return extensions


def _alt_names(request: Request) -> list[bytes]:
    for name in request.dns_names:
        if not name.isascii():
            raise FunctionError(f"x509: a DNS name of {len(name)} bytes cannot be encoded as an IA5String")
    names = [der.write(0x82, name) for name in request.dns_names]
    return names + [der.write(0x87, address) for address in request.addresses]


def _method(key: PrivateKey) -> str:
    if isinstance(key, RsaKey):
        return "rsa"
    return key.curve.hash_name if isinstance(key, EcKey) else "ed25519"


def _sign(run: Run, key: PrivateKey, message: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, EcKey):
        run.spend_crypto(1)
        kinds: dict[str, Callable[[], hashes.HashAlgorithm]] = {
            "sha256": hashes.SHA256,
            "sha384": hashes.SHA384,
            "sha512": hashes.SHA512,
        }
        kind = kinds[key.curve.hash_name]()
        return ec.derive_private_key(key.d, key.curve.library()).sign(message, ec.ECDSA(kind))
    if isinstance(key, Ed25519Key):
        run.spend_crypto(1)
        return ed25519.Ed25519PrivateKey.from_private_bytes(key.seed).sign(message)
    if not isinstance(key, RsaKey):
        raise FunctionError("x509: only RSA, ECDSA and Ed25519 keys supported")
    return _sign_with_rsa(privatekeys.usable_rsa(run, key), message)


def _sign_with_rsa(usable: object, message: bytes) -> bytes:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    if not isinstance(usable, rsa.RSAPrivateKey):
        raise TypeError("no RSA key")
    try:
        signature = usable.sign(message, padding.PKCS1v15(), hashes.SHA256())
        usable.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        # The key's numbers fit each other, but p or q is no prime.
        raise FunctionError("x509: signature returned by signer is invalid") from None
    return signature
