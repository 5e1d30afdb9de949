"""PKCS#12: archives of Go, OpenSSL and keytool are read, and ours are read by another implementation."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12 as library

from keyferry.gotemplate.crypto import der, pbe
from keyferry.gotemplate.errors import Exhausted, FunctionError, SlowFunction
from keyferry.gotemplate.functions.pkcs12 import (
    full_pem_to_pkcs12,
    full_pem_to_pkcs12_pass,
    pem_to_pkcs12,
    pem_to_pkcs12_pass,
    pem_truststore_to_pkcs12,
    pem_truststore_to_pkcs12_pass,
    pkcs12_cert,
    pkcs12_cert_pass,
    pkcs12_key,
    pkcs12_key_pass,
)

ARCHIVES = range(11)
DATA = der.oid("1.2.840.113549.1.7.1")
SHA1 = der.oid("1.3.14.3.2.26")


@pytest.fixture(scope="session")
def chain(keystores) -> bytes:
    return "".join(keystores[name] for name in ("leaf", "intermediate", "root")).encode()


@pytest.fixture(scope="session")
def key(keystores) -> bytes:
    return keystores["leaf_key"].encode()


def test_every_archive_of_the_file_is_tried(keystores):
    assert len(keystores["archives"]) == len(ARCHIVES)


@pytest.mark.parametrize("at", ARCHIVES)
def test_archives_of_others_are_read(run, keystores, chain, at):
    archive = keystores["archives"][at]
    content, password = base64.b64decode(archive["base64"]), archive["password"].encode()

    assert pkcs12_key_pass(run, password, content) == keystores["leaf_key_pkcs8"].encode()
    assert pkcs12_cert_pass(run, password, content) == chain


def test_wrong_password_is_told_with_gos_sentence(run, keystores):
    archive = base64.b64decode(keystores["archives"][2]["base64"])

    with pytest.raises(FunctionError) as caught:
        pkcs12_key_pass(run, b"wrong", archive)
    assert str(caught.value) == "unable to decode pkcs12 with password: pkcs12: decryption password incorrect"


@pytest.mark.parametrize("at", ARCHIVES)
@pytest.mark.parametrize("cut", [0, 1, 30, -1])
def test_archive_that_is_cut_short_is_refused(run, keystores, at, cut):
    archive = keystores["archives"][at]

    with pytest.raises(FunctionError, match="unable to decode pkcs12 certificate with password: "):
        pkcs12_cert_pass(run, archive["password"].encode(), base64.b64decode(archive["base64"])[:cut])


@pytest.mark.parametrize("password", [b"", b"secret", "pässword".encode(), b"x" * 300])
def test_archive_of_a_chain_is_read_by_others_and_by_us(run, keystores, chain, key, password):
    made = base64.b64decode(full_pem_to_pkcs12_pass(run, chain, key, password))

    read = library.load_pkcs12(made, password)
    assert read.key.private_numbers() == serialization.load_pem_private_key(key, None).private_numbers()
    certificates = [read.cert.certificate, *(one.certificate for one in read.additional_certs)]
    assert chain == b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    assert pkcs12_cert_pass(run, password, made) == chain
    assert pkcs12_key_pass(run, password, made) == keystores["leaf_key_pkcs8"].encode()


def test_archive_of_one_certificate_has_no_other(run, keystores, chain, key):
    made = base64.b64decode(pem_to_pkcs12_pass(run, chain, key, b"pw"))

    assert pkcs12_cert_pass(run, b"pw", made) == keystores["leaf"].encode()


def test_functions_without_password_take_the_empty_one(run, keystores, chain, key):
    for write in (pem_to_pkcs12, full_pem_to_pkcs12):
        made = base64.b64decode(write(run, chain, key))

        assert pkcs12_key(run, made) == keystores["leaf_key_pkcs8"].encode()
        assert pkcs12_cert(run, made).startswith(keystores["leaf"].encode())


def test_trust_store_has_its_certificates_by_their_subjects(run, keystores):
    text = (keystores["root"] + keystores["intermediate"]).encode()

    made = base64.b64decode(pem_truststore_to_pkcs12_pass(run, text, b"secret"))

    read = library.load_pkcs12(made, b"secret")
    assert read.key is None
    assert {one.friendly_name.decode() for one in read.additional_certs} == set(keystores["names"][:2])
    library.load_pkcs12(base64.b64decode(pem_truststore_to_pkcs12(run, text)), b"")


def test_certificates_that_make_no_chain_stay_in_their_order(run, keystores, key):
    several = (keystores["root"] + keystores["leaf"]).encode()

    made = base64.b64decode(full_pem_to_pkcs12(run, several, key))

    assert pkcs12_cert(run, made) == several


@pytest.mark.parametrize(
    ("certificates", "private_key"),
    [(b"", None), (None, b""), (b"\n", None)],
    ids=["no-certificate", "no-key", "nothing"],
)
def test_missing_pem_block_is_told(run, chain, key, certificates, private_key):
    with pytest.raises(FunctionError, match="no PEM block where there must be a"):
        full_pem_to_pkcs12(
            run,
            chain if certificates is None else certificates,
            key if private_key is None else private_key,
        )


def test_line_after_the_last_certificate_is_an_error_as_in_go(run, chain, key):
    with pytest.raises(FunctionError, match="no PEM block where there must be a certificate"):
        full_pem_to_pkcs12(run, chain + b"\n", key)


def test_name_beyond_two_bytes_a_character_is_refused(run, chain, key):
    with pytest.raises(FunctionError, match="cannot be encoded in UCS-2"):
        full_pem_to_pkcs12_pass(run, chain, key, "\U0001f600".encode())


def _archive(rounds: int, *, salt: bytes = b"salt", mac: bytes | None = None) -> bytes:
    algorithm = mac or der.algorithm(SHA1)
    return der.sequence(
        der.integer(3),
        der.sequence(der.identifier(DATA), der.write(0xA0, der.octets(der.sequence()))),
        der.sequence(der.sequence(algorithm, der.octets(bytes(20))), der.octets(salt), der.integer(rounds)),
    )


@pytest.mark.parametrize("rounds", [1 << 31, 5_000_001, (1 << 63) - 1])
def test_archive_that_asks_for_endless_work_is_refused_before_it_begins(run, rounds):
    before = run.crypto

    with pytest.raises(FunctionError, match="more than 5000000 rounds"):
        pkcs12_key(run, _archive(rounds))
    assert run.crypto == before


def test_rounds_are_charged_before_they_are_done(run):
    with pytest.raises(Exhausted):
        pkcs12_key(run, _archive(4_999_999))


def test_newer_code_is_charged_by_rounds_and_size_of_its_key(run):
    derivation = der.sequence(
        der.octets(b"s"), der.integer(1_000_000), der.integer(1024), der.algorithm(pbe.HMAC_SHA256)
    )
    parameters = der.sequence(der.algorithm(pbe.PBKDF2, derivation), der.algorithm(pbe.HMAC_SHA256))

    with pytest.raises(Exhausted):
        pkcs12_key(run, _archive(1, mac=der.algorithm(pbe.PBMAC1, parameters)))


def test_long_salt_is_work(run):
    with pytest.raises(Exhausted):
        pkcs12_key(run, _archive(1, salt=bytes(10_000_000)))


def test_archive_is_not_opened_where_nothing_slow_is_allowed(new_run, keystores):
    with pytest.raises(SlowFunction):
        pkcs12_key_pass(
            new_run(allows_slow=False), b"changeit", base64.b64decode(keystores["archives"][2]["base64"])
        )
