"""Keys and certificates: read from what a request or a test gives, and shown as Key Vault shows them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from keyferry.testing.azure.objects import Version
from keyferry.testing.azure.wire import vault_error

PKCS12: Final = "application/x-pkcs12"
PEM: Final = "application/x-pem-file"
_CURVES: Final = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "P-256K": ec.SECP256K1(),
}
_CURVE_NAMES: Final = {curve.name: name for name, curve in _CURVES.items()}
_OPERATIONS: Final = {
    "RSA": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
    "EC": ["sign", "verify"],
}
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import makes."""

    certificate: Version
    key: Version
    secret: Version


def key_version(jwk: Mapping[str, Any], *, wanted: Mapping[str, Any] | None = None) -> Version:
    """A version of a key.

    Args:
        jwk: an imported key; of its private part nothing is kept, since nothing here uses it.
        wanted: what is to be made instead: `kty`, `key_size`, `crv`.
    """
    if wanted is None:
        return Version(public_document(_read_jwk(jwk)))
    kind = str(wanted.get("kty", "")).removesuffix("-HSM")
    if kind == "RSA":
        size = int(wanted.get("key_size") or 2048)
        return Version(public_document(rsa.generate_private_key(65537, size).public_key()))
    if kind == "EC" and wanted.get("crv", "P-256") in _CURVES:
        curve = _CURVES[str(wanted.get("crv", "P-256"))]
        return Version(public_document(ec.generate_private_key(curve).public_key()))
    raise vault_error(400, "BadParameter", "Property 'kty' or 'crv' has an invalid value.")


def public_document(key: PublicKey) -> dict[str, Any]:
    """A key as a JWK, without its id."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "key_ops": _OPERATIONS["RSA"], "n": _number(numbers.n), "e": _number(numbers.e)}
    size = (key.curve.key_size + 7) // 8
    point = key.public_numbers()
    return {
        "kty": "EC",
        "key_ops": _OPERATIONS["EC"],
        "crv": _CURVE_NAMES[key.curve.name],
        "x": _number(point.x, size),
        "y": _number(point.y, size),
    }


def imported_certificate(text: str, password: str) -> Imported:
    """A certificate with its key, from base64 of PKCS#12, or from PEM.

    Raises:
        AzureError: it cannot be read.
    """
    try:
        key, certificate, content = _read(text, password)
    except (ValueError, TypeError):
        raise vault_error(400, "BadParameter", "The specified certificate cannot be read.") from None
    kind = PEM if content is text else PKCS12
    document = public_document(key.public_key())
    policy = {
        "key_props": {
            "exportable": True,
            "kty": document["kty"],
            "key_size": key.key_size,
            "reuse_key": False,
            **({"crv": document["crv"]} if "crv" in document else {}),
        },
        "secret_props": {"contentType": kind},
        "x509_props": {"subject": certificate.subject.rfc4514_string(), "ekus": [], "key_usage": []},
        "lifetime_actions": [],
        "issuer": {"name": "Unknown"},
    }
    told = Version(
        {
            "x5t": _text(certificate.fingerprint(hashes.SHA1())),
            "cer": base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode(),
            "policy": policy,
        }
    )
    told.attributes.nbf = int(certificate.not_valid_before_utc.timestamp())
    told.attributes.exp = int(certificate.not_valid_after_utc.timestamp())
    return Imported(told, Version(document), Version({"value": content, "contentType": kind}))


def _read(text: str, password: str) -> tuple[PrivateKey, x509.Certificate, str]:
    """Key, certificate and what the secret of the same name will hold."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_private_key(text.encode(), password.encode() or None)
        return _known(key), x509.load_pem_x509_certificates(text.encode())[0], text
    packed = pkcs12.load_pkcs12(base64.b64decode(text, validate=True), password.encode() or None)
    if packed.cert is None:
        raise ValueError("no certificate")
    key = _known(packed.key)
    chain = [one.certificate for one in packed.additional_certs]
    # Key Vault gives it back without a password.
    again = pkcs12.serialize_key_and_certificates(
        packed.cert.friendly_name, key, packed.cert.certificate, chain, serialization.NoEncryption()
    )
    return key, packed.cert.certificate, base64.b64encode(again).decode()


def _known(key: Any) -> PrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("Key Vault knows RSA and EC keys")
    return key


def _read_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    try:
        if str(jwk.get("kty")).startswith("RSA"):
            return rsa.RSAPublicNumbers(_value(jwk["e"]), _value(jwk["n"])).public_key()
        curve = _CURVES[str(jwk["crv"])]
        return ec.EllipticCurvePublicNumbers(_value(jwk["x"]), _value(jwk["y"]), curve).public_key()
    except (KeyError, ValueError, TypeError):
        raise vault_error(400, "BadParameter", "Property 'key' has an invalid value.") from None


def _value(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _number(value: int, size: int = 0) -> str:
    return _text(value.to_bytes(size or (value.bit_length() + 7) // 8))


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
