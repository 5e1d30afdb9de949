"""RSA decryption of what another implementation has encrypted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyferry.gotemplate.crypto import der, pem
from keyferry.gotemplate.errors import FunctionError, SlowFunction
from keyferry.gotemplate.functions.keys import gen_private_key
from keyferry.gotemplate.functions.rsas import rsa_decrypt
from keyferry.testing.leaks import canary

KEY = rsa.generate_private_key(65537, 2048)
FORMS = {
    "pkcs1": serialization.PrivateFormat.TraditionalOpenSSL,
    "pkcs8": serialization.PrivateFormat.PKCS8,
}


def _pem(form: str = "pkcs8") -> bytes:
    return KEY.private_bytes(serialization.Encoding.PEM, FORMS[form], serialization.NoEncryption())


def _encrypted(text: bytes, kind: type[hashes.HashAlgorithm]) -> bytes:
    return KEY.public_key().encrypt(text, padding.OAEP(padding.MGF1(kind()), kind(), None))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"SHA1", hashes.SHA1),
        (b"SHA256", hashes.SHA256),
        (b"SHA512", hashes.SHA512),
        (b"None", hashes.SHA256),
        (b"odd", hashes.SHA256),
    ],
)
def test_text_is_decrypted(run, name, kind, form):
    text = canary("rsa").encode() + b"\x00\xff"

    assert rsa_decrypt(run, b"RSA-OAEP", name, _encrypted(text, kind), _pem(form)) == text


def test_scheme_none_gives_the_text(run):
    assert rsa_decrypt(run, b"None", b"", b"as it is", b"") == b"as it is"


def test_other_hash_or_text_is_told_with_gos_sentence(run):
    encrypted = _encrypted(b"a", hashes.SHA256)

    for name, text in ((b"SHA1", encrypted), (b"SHA256", encrypted[:-1]), (b"SHA256", encrypted + b"x")):
        with pytest.raises(FunctionError) as caught:
            rsa_decrypt(run, b"RSA-OAEP", name, text, _pem())
        assert str(caught.value) == "error decrypting data with RSA: crypto/rsa: decryption error"


@pytest.mark.parametrize(
    ("scheme", "key", "error"),
    [
        (b"odd", b"", "decryption scheme is not supported"),
        (b"RSA-OAEP", b"", "failed to decode PEM block"),
        (b"RSA-OAEP", b"-----BEGIN A-----\nAA==\n-----END A-----\n", "could not parse private key: "),
    ],
)
def test_what_cannot_be_used_is_told_with_gos_sentence(run, scheme, key, error):
    with pytest.raises(FunctionError, match=error):
        rsa_decrypt(run, scheme, b"SHA256", b"x", key)


def test_key_of_another_kind_is_told(run):
    with pytest.raises(FunctionError, match="could not parse RSA private key"):
        rsa_decrypt(run, b"RSA-OAEP", b"SHA256", b"x", gen_private_key(run, b"ecdsa"))


def test_key_below_1024_bits_is_refused(run):
    numbers = (  # The package makes none so small: p and q are the primes behind 2^255 and 2^254.
        (1 << 255) + 95,
        (1 << 254) + 79,
    )
    p, q = numbers
    d = pow(65537, -1, (p - 1) * (q - 1))
    key = pem.encode(run, b"A", der.sequence(*(der.integer(one) for one in (0, p * q, 65537, d, p, q))))

    with pytest.raises(FunctionError, match="510-bit keys are insecure"):
        rsa_decrypt(run, b"RSA-OAEP", b"SHA256", b"x", key)


def test_nothing_is_decrypted_where_nothing_slow_is_allowed(new_run):
    with pytest.raises(SlowFunction):
        rsa_decrypt(
            new_run(allows_slow=False),
            b"RSA-OAEP",
            b"SHA256",
            _encrypted(b"a", hashes.SHA256),
            _pem(),
        )
