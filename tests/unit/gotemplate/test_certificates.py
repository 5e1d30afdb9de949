"""New certificates, looked at with another implementation."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.certificates import (
    Certificate,
    build_custom_cert,
    gen_ca,
    gen_ca_with_key,
    gen_self_signed_cert,
    gen_self_signed_cert_with_key,
    gen_signed_cert,
    gen_signed_cert_with_key,
)
from keyferry.gotemplate.functions.keys import gen_private_key
from keyferry.gotemplate.objects import FIELDS
from keyferry.gotemplate.values import kind_of, type_of
from keyferry.testing.leaks import canary

END_OF_2025 = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)


def _read(made: Certificate) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificate(made.cert)
    key = serialization.load_pem_private_key(made.key, None)
    assert key.public_key() == certificate.public_key()
    return certificate


@pytest.fixture
def key(new_run):
    return gen_private_key(new_run(), b"ecdsa")


def test_authority_signs_itself_and_others(run, key):
    ca = gen_ca_with_key(run, b"ca", 10, key)
    made = gen_signed_cert_with_key(run, b"leaf", None, [b"a.example"], 5, ca, key)

    root, leaf = _read(ca), _read(made)
    root.verify_directly_issued_by(root)
    leaf.verify_directly_issued_by(root)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    own = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own


def test_certificate_says_what_was_asked_for(run, key):
    made = _read(
        gen_self_signed_cert_with_key(
            run,
            b"example.com",
            [b"10.0.0.1", b"::1", b"::ffff:1.2.3.4"],
            [b"a.example", b"*.b.example"],
            30,
            key,
        )
    )

    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert made.subject.rfc4514_string() == made.issuer.rfc4514_string() == "CN=example.com"
    assert names.value.get_values_for_type(x509.DNSName) == ["a.example", "*.b.example"]
    assert names.value.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(one) for one in ("10.0.0.1", "::1", "1.2.3.4")
    ]
    assert not names.critical
    assert made.not_valid_before_utc == END_OF_2025
    assert made.not_valid_after_utc == END_OF_2025 + timedelta(days=30)
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_names_of_a_certificate_without_subject_are_critical(run, key):
    made = _read(gen_self_signed_cert_with_key(run, b"", None, [b"a.example"], 1, key))

    assert made.subject.rfc4514_string() == ""
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize(
    ("days", "year"), [(40_000, 2135), (-30_000, 1943), (200_000, 1989)], ids=["far", "past", "wraps"]
)
def test_days_are_counted_as_go_counts_them(run, key, days, year):
    assert _read(gen_ca_with_key(run, b"ca", days, key)).not_valid_after_utc.year == year


@pytest.mark.parametrize("kind", [b"rsa", b"ed25519"])
def test_every_kind_of_key_signs(new_run, kind):
    ca = gen_ca_with_key(new_run(), b"ca", 10, gen_private_key(new_run(), kind))
    made = gen_signed_cert_with_key(
        new_run(), b"leaf", None, None, 5, ca, gen_private_key(new_run(), b"ed25519")
    )

    _read(made).verify_directly_issued_by(_read(ca))


def test_keys_of_their_own_are_made_where_none_is_given(new_run):
    ca = gen_ca(new_run(), b"ca", 1)
    made = [
        gen_self_signed_cert(new_run(), b"a", None, None, 1),
        gen_signed_cert(new_run(), b"b", None, None, 1, ca),
    ]

    assert {_read(one).public_key().key_size for one in (ca, *made)} == {2048}
    assert len({one.key for one in (ca, *made)}) == 3


def test_serial_numbers_differ(run, key):
    assert len({_read(gen_ca_with_key(run, b"ca", 1, key)).serial_number for _ in range(3)}) == 3


def test_custom_certificate_is_that_of_its_texts(run, key):
    ca = gen_ca_with_key(run, b"ca", 1, key)

    assert build_custom_cert(run, base64.b64encode(ca.cert), base64.b64encode(ca.key)) == ca


def test_certificate_is_a_struct_with_two_fields(run, key):
    made = gen_ca_with_key(run, b"ca", 1, key)

    assert (type_of(made), kind_of(made)) == ("sprig.certificate", "struct")
    assert {name: read(made) for name, read in FIELDS[Certificate].items()} == {"Cert": made.cert, "Key": key}


def test_authority_must_have_the_key_of_its_certificate(run, key):
    ca = Certificate(gen_ca_with_key(run, b"ca", 1, key).cert, gen_private_key(run, b"ecdsa"))

    with pytest.raises(FunctionError, match="provided PrivateKey doesn't match parent's PublicKey"):
        gen_signed_cert_with_key(run, b"leaf", None, None, 1, ca, key)


@pytest.mark.parametrize(
    ("ips", "names", "error"),
    [
        ([canary("ip").encode()], None, "error parsing ip"),
        ([b"1.2.3.04"], None, "error parsing ip"),
        ([b"fe80::1%eth0"], None, "error parsing ip"),
        ([1], None, "error parsing ip: a value of type int is not a string"),
        (None, [None], "error processing alternate dns name: a value of type <nil> is not a string"),
        (None, ["ä".encode()], "cannot be encoded as an IA5String"),
    ],
)
def test_names_that_no_certificate_can_have_are_told_without_them(run, key, ips, names, error):
    with pytest.raises(FunctionError, match=error) as caught:
        gen_self_signed_cert_with_key(run, b"a", ips, names, 1, key)

    assert canary("ip") not in str(caught.value)


def test_subject_must_be_utf8(run, key):
    with pytest.raises(FunctionError, match="asn1: string not valid UTF-8"):
        gen_ca_with_key(run, b"\xff", 1, key)


@pytest.mark.parametrize(
    ("certificate", "private_key", "error"),
    [
        (b"!", b"", "unable to decode base64 certificate"),
        (b"AAAA", b"!", "unable to decode base64 private key"),
        (b"AAAA", b"", "unable to decode certificate"),
        (
            base64.b64encode(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
            b"",
            "error parsing certificate: decodedCert.Bytes: ",
        ),
    ],
)
def test_custom_certificate_that_is_none_is_told_with_gos_sentence(run, certificate, private_key, error):
    with pytest.raises(FunctionError, match=error):
        build_custom_cert(run, certificate, private_key)


def test_dsa_key_signs_nothing(new_run):
    key = gen_private_key(new_run(), b"dsa")

    with pytest.raises(FunctionError, match=r"does not implement crypto\.Signer"):
        gen_ca_with_key(new_run(), b"ca", 1, key)
