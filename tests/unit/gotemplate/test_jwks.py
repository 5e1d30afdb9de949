"""JSON web keys turned into PEM, looked at with another implementation."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.jwks import jwk_private_key_pem, jwk_public_key_pem
from keyferry.testing.leaks import canary

PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}


def _text(number: int | bytes, size: int | None = None) -> str:
    if isinstance(number, int):
        number = number.to_bytes(size or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(number).rstrip(b"=").decode()


def _jwk(key: object) -> dict[str, object]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        names = {"d": "d", "p": "p", "q": "q", "dp": "dmp1", "dq": "dmq1", "qi": "iqmp"}
        private = {name: _text(getattr(numbers, ours)) for name, ours in names.items()}
        public = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _text(public.n), "e": _text(public.e), **private}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        public_numbers = key.public_key().public_numbers()
        return {
            "kty": "EC",
            "crv": f"P-{key.key_size}",
            "x": _text(public_numbers.x, size),
            "y": _text(public_numbers.y, size),
            "d": _text(key.private_numbers().private_value, size),
        }
    raw = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "d": _text(raw[0]), "x": _text(raw[1])}


KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p-256": ec.generate_private_key(ec.SECP256R1()),
    "p-384": ec.generate_private_key(ec.SECP384R1()),
    "p-521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def _public(jwk: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in jwk.items() if name not in PRIVATE}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_private_key_is_written_as_openssl_writes_it(run, key):
    made = jwk_private_key_pem(run, json.dumps(_jwk(key)).encode())

    assert made == key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_public_key_is_written_as_openssl_writes_it(run, key):
    made = jwk_public_key_pem(run, json.dumps(_public(_jwk(key))).encode())

    assert made == key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_rsa_key_needs_no_shortcuts(run):
    jwk = _jwk(KEYS["rsa"])
    short = {name: value for name, value in jwk.items() if name not in {"dp", "dq", "qi"}}

    assert jwk_private_key_pem(run, json.dumps(short).encode()) == jwk_private_key_pem(
        run, json.dumps(jwk).encode()
    )


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["std", "url"])
def test_all_forms_of_base64_are_read(run, encode):
    key = KEYS["ed25519"]
    x = encode(key.public_key().public_bytes_raw()).decode()
    forms = [x, x.rstrip("=")]

    made = {
        jwk_public_key_pem(run, json.dumps({"kty": "OKP", "crv": "Ed25519", "x": one}).encode())
        for one in forms
    }

    assert len(made) == 1


def test_keys_are_read_the_way_they_are_meant(run):
    jwk = json.dumps(_jwk(KEYS["p-256"])).encode()

    with pytest.raises(FunctionError, match="it is a private key"):
        jwk_public_key_pem(run, jwk)
    with pytest.raises(FunctionError, match="it is a public key"):
        jwk_private_key_pem(run, json.dumps(_public(_jwk(KEYS["p-256"]))).encode())


def test_text_after_the_key_does_not_count(run):
    jwk = json.dumps(_public(_jwk(KEYS["p-256"]))).encode()

    assert jwk_public_key_pem(run, b" \n" + jwk + b" x") == jwk_public_key_pem(run, jwk)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kty": "oct"}, "unsupported key type"),
        ({"kty": "odd"}, "invalid key type from JSON"),
        ({"kty": 1}, "failed to unmarshal JSON into key hint"),
        ({"crv": "P-999"}, "failed to decode value for key crv"),
        ({"crv": "X25519"}, "invalid curve algorithm"),
        ({"x": "AQ"}, "the point is not on the curve"),
        ({"x": "!"}, "failed to decode value for key x"),
        ({"x": None}, "the point is not on the curve"),
        ({"x": 1}, "failed to decode value for key x"),
        ({"kid": 1}, "failed to decode value for key kid"),
        ({"x5c": "a"}, "failed to decode value for key x5c"),
        ({"d": ""}, "private key is zero or too large"),
        ({"d": _text(b"\xff" * 32)}, "private key is zero or too large"),
    ],
)
def test_wrong_field_is_told_by_its_name(run, change, error):
    jwk = {**_jwk(KEYS["p-256"]), **change}

    with pytest.raises(FunctionError, match=error):
        jwk_private_key_pem(run, json.dumps(jwk).encode())


@pytest.mark.parametrize("name", ["crv", "x", "y"])
def test_missing_field_is_told(run, name):
    jwk = _public(_jwk(KEYS["p-256"]))
    del jwk[name]

    with pytest.raises(FunctionError, match=f"required field {name} is missing"):
        jwk_public_key_pem(run, json.dumps(jwk).encode())


def test_public_part_must_be_that_of_the_private_one(run):
    jwk = {**_jwk(KEYS["ed25519"]), "x": _text(bytes(32))}

    with pytest.raises(FunctionError, match="invalid x value given d value"):
        jwk_private_key_pem(run, json.dumps(jwk).encode())


def test_x25519_is_not_written(run):
    key = x25519.X25519PrivateKey.generate()
    jwk = {**_jwk(key), "crv": "X25519"}

    for write, text in ((jwk_private_key_pem, jwk), (jwk_public_key_pem, _public(jwk))):
        with pytest.raises(FunctionError):
            write(run, json.dumps(text).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b'{"kty":NaN}',
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b'{"kty":"RSA","e":"AQAB","n":"AQAB","z":1e999999}',
        b" " * 300_000,
        pytest.param(canary("jwk").encode(), id="canary"),
    ],
)
def test_hostile_text_is_refused_without_telling_it(run, text):
    with pytest.raises(FunctionError) as caught:
        jwk_public_key_pem(run, text)

    assert canary("jwk") not in str(caught.value)
