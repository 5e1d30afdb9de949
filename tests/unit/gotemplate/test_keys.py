"""New private keys, and keys read back from PEM."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from keyferry.gotemplate.crypto import curves, der, privatekeys
from keyferry.gotemplate.crypto.privatekeys import EcKey, RsaKey
from keyferry.gotemplate.errors import Exhausted, FunctionError, SlowFunction
from keyferry.gotemplate.functions.keys import from_pem, gen_private_key, to_pem


def _rsa(bits: int = 2048) -> RsaKey:
    numbers = rsa.generate_private_key(65537, bits).private_numbers()
    return RsaKey(numbers.public_numbers.n, 65537, numbers.d, numbers.p, numbers.q)


@pytest.mark.parametrize(
    ("kind", "title", "cls", "bits"),
    [
        (b"rsa", b"RSA PRIVATE KEY", rsa.RSAPrivateKey, 4096),
        (b"dsa", b"DSA PRIVATE KEY", dsa.DSAPrivateKey, 2048),
        (b"ecdsa", b"EC PRIVATE KEY", ec.EllipticCurvePrivateKey, 256),
        (b"ed25519", b"PRIVATE KEY", ed25519.Ed25519PrivateKey, 0),
    ],
)
def test_new_key_can_be_read(run, kind, title, cls, bits):
    text = gen_private_key(run, kind)

    assert text.startswith(b"-----BEGIN " + title + b"-----\n")
    key = serialization.load_pem_private_key(text, None)
    assert isinstance(key, cls)
    assert bits == (key.key_size if bits else 0)
    assert to_pem(run, from_pem(run, text)) == text


def test_unknown_kind_gives_gos_text_as_the_result(run):
    assert gen_private_key(run, b"odd") == b"Unknown type odd"


def test_fourth_large_key_is_more_than_a_render_may_have(run):
    run.spend_crypto(run.crypto - 999)

    with pytest.raises(Exhausted):
        gen_private_key(run, b"")


def test_key_is_not_made_where_nothing_slow_is_allowed(new_run):
    with pytest.raises(SlowFunction):
        gen_private_key(new_run(allows_slow=False), b"ecdsa")


@pytest.mark.parametrize("name", ["P-224", "P-256", "P-384", "P-521"])
def test_keys_of_each_curve_are_written_as_openssl_writes_them(run, name):
    curve = next(one for one in curves.BY_OID.values() if one.name == name)
    key = ec.generate_private_key(curve.library())
    forms = {
        form: key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
        for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
    }

    parsed = [privatekeys.parse(run, content) for content in forms.values()]

    assert parsed[0] == parsed[1]
    assert [privatekeys.pkcs8(parsed[0]), privatekeys.sec1(parsed[1], named=True)] == list(forms.values())


@pytest.mark.parametrize("name", ["P-224", "P-256", "P-384", "P-521"])
def test_largest_number_of_each_curve_is_a_key_and_the_next_is_none(run, name):
    curve = next(one for one in curves.BY_OID.values() if one.name == name)

    key = privatekeys.ec_key(run, curve, curve.n - 1)

    assert curve.has(key.x, key.y)
    assert not curve.has(key.x, key.y + 1)
    with pytest.raises(FunctionError):
        privatekeys.ec_key(run, curve, curve.n)


def test_key_without_leading_zeros_is_taken_and_written_with_them(run):
    content = der.sequence(
        der.integer(1), der.octets(b"\x05"), der.write(0xA0, der.identifier(curves.P256.oid))
    )

    key = privatekeys.parse_sec1(run, content)

    assert isinstance(key, EcKey)
    assert key.d == 5
    assert bytes(31) + b"\x05" in privatekeys.sec1(key, named=True)


def test_rsa_key_without_its_shortcuts_gets_them(run):
    key = _rsa()
    bare = der.sequence(*(der.integer(one) for one in (0, key.n, key.e, key.d, key.p, key.q)))

    assert privatekeys.pkcs1(privatekeys.parse_pkcs1(bare)) == privatekeys.pkcs1(key)


def _numbers(key: RsaKey, **other: int) -> list[int]:
    return [
        other.get(name, value)
        for name, value in zip("nedpq", (key.n, key.e, key.d, key.p, key.q), strict=True)
    ]


@pytest.mark.parametrize("name", list("nedpq"))
@pytest.mark.parametrize("change", [-2, 2, None], ids=["less", "more", "negative"])
def test_rsa_key_whose_numbers_do_not_fit_is_refused(name, change):
    key = _rsa(1024)
    value = {"n": key.n, "e": key.e, "d": key.d, "p": key.p, "q": key.q}[name]

    with pytest.raises(FunctionError):
        privatekeys.rsa_key(_numbers(key, **{name: -value if change is None else value + change}))


@pytest.mark.parametrize("name", list("nedpq"))
def test_rsa_key_with_a_huge_number_is_refused_before_it_is_multiplied(name):
    with pytest.raises(FunctionError, match="more than 8192 bits"):
        privatekeys.rsa_key(_numbers(_rsa(1024), **{name: 1 << 10_000_000 | 1}))


def test_rsa_key_of_three_primes_is_refused(run):
    key = _rsa(1024)
    content = privatekeys.pkcs1(key)
    numbers = der.Reader(content).read(der.SEQUENCE).rest()

    with pytest.raises(FunctionError, match="more than two primes"):
        privatekeys.parse_pkcs1(der.sequence(numbers, der.sequence(der.integer(7))))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "no PEM data in input"),
        (b"-----BEGIN X-----\nAA==\n-----END X-----\n", "no private key data in PEM block"),
        (b"-----BEGIN X PRIVATE KEY-----\nAA==\n-----END X PRIVATE KEY-----\n", "invalid private key type"),
        (
            b"-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n",
            "parsing RSA private key",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "decoding PEM as PKCS#8: "),
    ],
)
def test_what_is_no_key_is_told_with_gos_sentence(run, text, error):
    with pytest.raises(FunctionError, match=error):
        from_pem(run, text)


@pytest.mark.parametrize(
    "content", [b"", b"\x30", b"\x30\x80\x00\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30\x81\x01\x00"]
)
def test_what_is_no_der_is_no_key(run, content):
    with pytest.raises(FunctionError, match="unable to parse private key type"):
        privatekeys.parse(run, content)
