"""JSON web keys turned into PEM."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import curves, der, issuing, pem, privatekeys
from keyferry.gotemplate.crypto.curves import Curve
from keyferry.gotemplate.crypto.privatekeys import EcKey, Ed25519Key, PrivateKey
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import runes, wrap_int64

group: Final = FunctionGroup("JSON web keys")

_MAX_BYTES: Final = 262_144
_TEXTS: Final = ("alg", "kid", "use", "x5t", "x5t#S256", "x5u")
_LISTS: Final = ("key_ops", "x5c")
_FIELDS: Final = {
    "RSA": (("n", "e"), ("d",), ("p", "q", "dp", "dq", "qi")),
    "EC": (("crv", "x", "y"), ("d",), ()),
    "OKP": (("crv", "x"), ("d",), ()),
}
"""For each type of key the fields of a public key, those that make it private, and those that may be missing."""
_CURVES: Final = frozenset({"Ed25519", "Ed448", "P-256", "P-384", "P-521", "X25519", "X448"})
_SEED: Final = 32
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LOW: Final = (1 << 64) - 1


class _Jwk:
    """A JSON web key that has the fields its type needs."""

    def __init__(self, kind: str, fields: Mapping[str, Any], *, is_private: bool) -> None:
        self.kind = kind
        self.fields = fields
        self.is_private = is_private

    def octets(self, name: str) -> bytes:
        """A field in base64, decoded; empty if it is missing."""
        value: bytes = self.fields.get(name, b"")
        return value

    def number(self, name: str) -> int:
        """A field in base64 as a number."""
        return int.from_bytes(self.octets(name), "big")


def _refuse(number: str) -> None:
    raise ValueError(len(number))


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number that is too large")
    return number


def _object(run: Run, text: bytes) -> dict[str, Any]:
    """The JSON object at the text's beginning; what stands behind it does not count, as in Go."""
    if len(text) > _MAX_BYTES:
        raise FunctionError(f"a JSON web key has more than {_MAX_BYTES} bytes")
    run.charge(20 * len(text))
    run.spend(100 + len(text) // 8)
    try:
        # Long integers cost time as such, and no field of a key is one.
        decoder = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_refuse)
        fields, _ = decoder.raw_decode(runes(text).lstrip(" \t\r\n"))
    except (ValueError, RecursionError):
        raise FunctionError("failed to unmarshal JSON into key hint") from None
    if not isinstance(fields, dict | None):
        raise FunctionError("failed to unmarshal JSON into key hint")
    return fields or {}


def _read(run: Run, text: bytes) -> _Jwk:
    fields = _object(run, text)
    kind = ""
    for name, value in fields.items():
        if name.lower() == "kty":
            if not isinstance(value, str | None):
                raise FunctionError("failed to unmarshal JSON into key hint")
            kind = kind if value is None else value
    if kind == "oct":
        raise FunctionError("x509: unsupported key type: []uint8")
    if kind not in _FIELDS:
        raise FunctionError("invalid key type from JSON: there are RSA, EC and OKP")
    is_private = any(name.lower() == "d" for name in fields)
    return _Jwk(kind, _checked(kind, fields, is_private=is_private), is_private=is_private)


def _checked(kind: str, fields: dict[str, Any], *, is_private: bool) -> dict[str, Any]:
    """The key's own fields, decoded."""
    public, private, others = _FIELDS[kind]
    needed = (*public, *private) if is_private else public
    checked: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _TEXTS and not isinstance(value, str | None):
            raise _wrong(name)
        if name in _LISTS and value is not None and not _is_texts(value):
            raise _wrong(name)
        if name in needed or (is_private and name in others):
            if not isinstance(value, str | None):
                raise _wrong(name)
            checked[name] = (value or "") if name == "crv" else _octets(name, value or "")
    for name in needed:
        if name not in checked:
            raise FunctionError(f"failed to unmarshal JSON into key: required field {name} is missing")
    if "crv" in checked and checked["crv"] not in _CURVES:
        raise _wrong("crv")
    return checked


def _wrong(name: str) -> FunctionError:
    return FunctionError(f"failed to unmarshal JSON into key: failed to decode value for key {name}")


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str | None) for one in value)


def _octets(name: str, text: str) -> bytes:
    """Base64 of any of the four kinds: with + and / or - and _, padded or not."""
    padded = text.endswith("=")
    encoded = text.encode("utf-8", "replace").translate(None, b"\r\n")
    if b"+" in encoded or b"/" in encoded:
        if b"-" in encoded or b"_" in encoded:
            raise _wrong(name)
        encoded = encoded.translate(bytes.maketrans(b"+/", b"-_"))
    if padded:
        if len(encoded) % 4:
            raise _wrong(name)
        encoded = encoded.removesuffix(b"=").removesuffix(b"=")
        if len(encoded) % 4 < 2:
            raise _wrong(name)
    if len(encoded) % 4 == 1 or encoded.translate(None, _ALPHABET):
        raise _wrong(name)
    return base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))


def _curve(jwk: _Jwk) -> Curve:
    curve = curves.BY_NAME.get(jwk.fields["crv"])
    if curve is None:
        raise FunctionError("failed to build public key: invalid curve algorithm")
    return curve


def _point(jwk: _Jwk, curve: Curve) -> tuple[int, int]:
    x, y = jwk.number("x"), jwk.number("y")
    if not curve.has(x, y):
        raise FunctionError("ecdsa: invalid public key: the point is not on the curve")
    return x, y


@group.add("jwkPublicKeyPem", "func(string) (string, error)")
def jwk_public_key_pem(run: Run, text: bytes) -> bytes:
    """A public JSON web key (RSA, EC or Ed25519) in PEM; a private key is refused."""
    jwk = _read(run, text)
    if jwk.is_private:
        raise FunctionError("x509: unsupported public key type: it is a private key")
    if jwk.kind == "RSA":
        low = jwk.number("e") & _LOW
        exponent = wrap_int64(low)
        content = der.sequence(der.integer(jwk.number("n")), _signed(exponent))
        algorithm = der.algorithm(privatekeys.RSA, der.NULL_VALUE)
    elif jwk.kind == "EC":
        curve = _curve(jwk)
        content = privatekeys.point(EcKey(curve, 0, *_point(jwk, curve)))
        algorithm = der.algorithm(privatekeys.EC, der.identifier(curve.oid))
    elif jwk.fields["crv"] == "Ed25519":
        content, algorithm = jwk.octets("x"), der.algorithm(privatekeys.ED25519)
    else:
        raise FunctionError("x509: unsupported public key type: only Ed25519 of the OKP keys is one")
    return pem.encode(run, pem.PUBLIC_KEY, der.sequence(algorithm, der.bits(content)))


def _signed(number: int) -> bytes:
    return der.write(
        der.INTEGER, number.to_bytes(((number + (number < 0)).bit_length() + 8) // 8, "big", signed=True)
    )


@group.add("jwkPrivateKeyPem", "func(string) (string, error)")
def jwk_private_key_pem(run: Run, text: bytes) -> bytes:
    """A private JSON web key (RSA, EC or Ed25519) in PEM (PKCS#8)."""
    jwk = _read(run, text)
    if not jwk.is_private:
        raise FunctionError("x509: unknown key type while marshaling PKCS#8: it is a public key")
    return pem.encode(run, pem.PRIVATE_KEY, privatekeys.pkcs8(_private(run, jwk)))


def _private(run: Run, jwk: _Jwk) -> PrivateKey:
    if jwk.kind == "RSA":
        names = ["n", "e", "d", "p", "q"]
        if all(jwk.octets(name) for name in ("dp", "dq", "qi")):
            names += ("dp", "dq", "qi")
        return privatekeys.rsa_key([jwk.number(name) for name in names])
    if jwk.kind == "EC":
        curve, d = _curve(jwk), jwk.number("d")
        x, y = _point(jwk, curve)
        if not 0 < d < curve.n:
            raise FunctionError("ecdsa: private key is zero or too large")
        return EcKey(curve, d, x, y)
    return _octet_pair(run, jwk)


def _octet_pair(run: Run, jwk: _Jwk) -> PrivateKey:
    seed, name = jwk.octets("d"), jwk.fields["crv"]
    if name not in {"Ed25519", "X25519"}:
        raise FunctionError("failed to build public key: invalid curve algorithm")
    if len(seed) != _SEED:
        raise FunctionError("failed to build public key: wrong private key size")
    if name == "X25519":
        raise FunctionError("x509: unknown key type while marshaling PKCS#8: x25519.PrivateKey")
    run.spend_crypto(1)
    key = Ed25519Key(seed)
    if not issuing.public_key(key).endswith(jwk.octets("x")) or len(jwk.octets("x")) != _SEED:
        raise FunctionError("failed to build public key: invalid x value given d value")
    return key
