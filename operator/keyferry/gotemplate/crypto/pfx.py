"""PKCS#12 archives, read and written as go-pkcs12 does, whose format "Modern2023" is what templates get."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import der, pbe, privatekeys, x509
from keyferry.gotemplate.crypto.pbe import Password
from keyferry.gotemplate.crypto.privatekeys import PrivateKey
from keyferry.gotemplate.crypto.x509 import Certificate
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.text.characters import decoded

_DATA: Final = der.oid("1.2.840.113549.1.7.1")
_ENCRYPTED_DATA: Final = der.oid("1.2.840.113549.1.7.6")
_KEY_BAG: Final = der.oid("1.2.840.113549.1.12.10.1.1")
_SHROUDED_KEY_BAG: Final = der.oid("1.2.840.113549.1.12.10.1.2")
_CERTIFICATE_BAG: Final = der.oid("1.2.840.113549.1.12.10.1.3")
_X509: Final = der.oid("1.2.840.113549.1.9.22.1")
_FRIENDLY_NAME: Final = der.oid("1.2.840.113549.1.9.20")
_LOCAL_KEY_ID: Final = der.oid("1.2.840.113549.1.9.21")
_JAVA_TRUST: Final = der.oid("2.16.840.1.113894.746875.1.1")
_ANY_USAGE: Final = der.oid("2.5.29.37.0")
_ROUNDS: Final = 2_048
_SALT_BYTES: Final = 16
_STEPS: Final = 20
"""What looking at one part of an archive costs."""
_TWO_BYTES: Final = "\uffff"
_ODD_DATA: Final = "pkcs12: error reading P12 data"


@dataclass(frozen=True, slots=True, repr=False)
class Archive:
    """What is in an archive: one key, and certificates, of which the first is taken to be the key's."""

    key: PrivateKey
    certificates: list[Certificate]


def wide(run: Run, text: bytes) -> bytes:
    """The text with two bytes a character.

    Raises:
        FunctionError: it has characters beyond that.
    """
    characters = decoded(run, text)
    if characters and max(characters) > _TWO_BYTES:
        raise FunctionError("pkcs12: string contains characters that cannot be encoded in UCS-2")
    return characters.encode("utf-16-be")


def password_of(run: Run, text: bytes) -> Password:
    """The password of a template's text."""
    run.charge(4 * len(text))
    return Password(wide(run, text) + b"\x00\x00", decoded(run, text).encode())


def decode(run: Run, content: bytes, password: Password) -> Archive:
    """The archive's key and certificates, in the archive's order.

    Raises:
        FunctionError: it is none, the password is wrong, or there is not exactly one key and some certificate.
    """
    run.spend(_STEPS + len(content) // 64)
    try:
        parts, password = _opened(run, content, password)
        bags: list[tuple[bytes, bytes]] = []
        for kind, part in parts:
            bags += _bags(run, _plain(run, kind, part, password))
        return _archive(run, bags, password)
    except der.DerError:
        raise FunctionError(_ODD_DATA) from None


def _opened(run: Run, content: bytes, password: Password) -> tuple[list[tuple[bytes, der.Reader]], Password]:
    """The parts of the archive, and the password that is its."""
    outer = der.Reader(content)
    fields = outer.read(der.SEQUENCE)
    version = fields.small_integer()
    safe = fields.read(der.SEQUENCE)
    kind, wrapped = safe.oid(), safe.read(0xA0)
    has_mac = fields.peek() == der.SEQUENCE
    if outer.more():
        raise FunctionError("pkcs12: error reading P12 data: pkcs12: trailing data found")
    if version != 3:
        raise FunctionError("pkcs12: can only decode v3 PFX PDU's")
    if kind != _DATA:
        raise FunctionError("pkcs12: only password-protected PFX is implemented")
    message = _only(wrapped, der.OCTET_STRING)
    if has_mac:
        password = _verified(run, fields.element(der.SEQUENCE), password, message)
    elif len(password.wide) != 2:
        raise FunctionError("pkcs12: no MAC in data")
    return _parts(message), password


def _only(reader: der.Reader, tag: int) -> bytes:
    """The content of the only value there."""
    content = reader.content(tag)
    if reader.more():
        raise FunctionError("pkcs12: trailing data found")
    return content


def _verified(run: Run, mac_data: bytes, password: Password, message: bytes) -> Password:
    # The empty password has two forms, and only the code tells which of them the writer took.
    for attempt in (password, pbe.EMPTY) if len(password.wide) == 2 else (password,):
        fields = der.Reader(mac_data).read(der.SEQUENCE)
        digest = fields.read(der.SEQUENCE)
        algorithm, expected = digest.element(der.SEQUENCE), digest.content(der.OCTET_STRING)
        salt = fields.content(der.OCTET_STRING)
        rounds = fields.small_integer() if fields.peek() == der.INTEGER else 1
        if hmac.compare_digest(
            pbe.mac(run, pbe.MacParameters(algorithm, salt, rounds), attempt, message), expected
        ):
            return attempt
    raise FunctionError("pkcs12: decryption password incorrect")


def _parts(message: bytes) -> list[tuple[bytes, der.Reader]]:
    reader = der.Reader(message)
    several = reader.read(der.SEQUENCE)
    if reader.more():
        raise FunctionError("pkcs12: trailing data found")
    parts = []
    while several.more():
        one = several.read(der.SEQUENCE)
        parts.append((one.oid(), one.read(0xA0)))
        if len(parts) > 2:
            break
    if not 1 <= len(parts) <= 2:
        raise FunctionError("pkcs12: expected between 1 and 2 items in the authenticated safe")
    return parts


def _plain(run: Run, kind: bytes, part: der.Reader, password: Password) -> bytes:
    if kind == _DATA:
        return _only(part, der.OCTET_STRING)
    if kind != _ENCRYPTED_DATA:
        raise FunctionError(
            "pkcs12: only data and encryptedData content types are supported in authenticated safe"
        )
    fields = part.read(der.SEQUENCE)
    if part.more():
        raise FunctionError("pkcs12: trailing data found")
    if fields.small_integer() != 0:
        raise FunctionError("pkcs12: only version 0 of EncryptedData is supported")
    info = fields.read(der.SEQUENCE)
    info.oid()
    algorithm = info.read(der.SEQUENCE)
    text = info.content(0x80) if info.peek() == 0x80 else b""
    return pbe.decrypt(run, algorithm, password, text)


def _bags(run: Run, content: bytes) -> list[tuple[bytes, bytes]]:
    reader = der.Reader(content)
    several = reader.read(der.SEQUENCE)
    if reader.more():
        raise FunctionError("pkcs12: trailing data found")
    bags = []
    while several.more():
        run.spend(_STEPS)
        bag = several.read(der.SEQUENCE)
        bags.append((bag.oid(), bag.content(0xA0)))
    return bags


def _archive(run: Run, bags: Sequence[tuple[bytes, bytes]], password: Password) -> Archive:
    certificates: list[Certificate] = []
    key: PrivateKey | None = None
    for kind, content in bags:
        if kind == _CERTIFICATE_BAG:
            certificates.append(_certificate(run, content))
        elif kind in {_KEY_BAG, _SHROUDED_KEY_BAG}:
            if key is not None:
                raise FunctionError("pkcs12: expected exactly one key bag")
            key = privatekeys.parse_pkcs8(
                run, content if kind == _KEY_BAG else _unshrouded(run, content, password)
            )
    if not certificates:
        raise FunctionError("pkcs12: certificate missing")
    if key is None:
        raise FunctionError("pkcs12: private key missing")
    return Archive(key, certificates)


def _certificate(run: Run, content: bytes) -> Certificate:
    bag = der.Reader(content).read(der.SEQUENCE)
    if bag.oid() != _X509:
        raise FunctionError("pkcs12: only X509 certificates are supported in cert bags")
    several = x509.parse_several(run, bag.read(0xA0).content(der.OCTET_STRING))
    if len(several) != 1:
        raise FunctionError("pkcs12: expected exactly one certificate in the certBag")
    return several[0]


def _unshrouded(run: Run, content: bytes, password: Password) -> bytes:
    reader = der.Reader(content)
    fields = reader.read(der.SEQUENCE)
    algorithm, text = fields.read(der.SEQUENCE), fields.content(der.OCTET_STRING)
    if reader.more():
        raise FunctionError("pkcs12: error decoding PKCS#8 shrouded key bag: pkcs12: trailing data found")
    try:
        plain = pbe.decrypt(run, algorithm, password, text)
    except FunctionError as exc:
        raise FunctionError(f"pkcs12: error decrypting PKCS#8 shrouded key bag: {exc}") from None
    inner = der.Reader(plain)
    inner.any()
    if inner.more():
        raise FunctionError("pkcs12: error unmarshaling decrypted private key: pkcs12: trailing data found")
    return plain


def encode(run: Run, key: PrivateKey, certificates: Sequence[Certificate], password: Password) -> bytes:
    """An archive of the key and certificates, the key's own one first."""
    key_id = der.octets(hashlib.sha1(certificates[0].raw, usedforsecurity=False).digest())
    attribute = _attribute(_LOCAL_KEY_ID, key_id)
    bags = [
        _bag(_CERTIFICATE_BAG, _certificate_value(one), b"" if at else attribute)
        for at, one in enumerate(certificates)
    ]
    algorithm, text = pbe.encrypt(
        run, password, privatekeys.pkcs8(key), rounds=_ROUNDS, salt_bytes=_SALT_BYTES
    )
    key_bag = _bag(_SHROUDED_KEY_BAG, der.sequence(algorithm, der.octets(text)), attribute)
    return _sealed(
        run,
        password,
        _encrypted(run, bags, password),
        _content_info(_DATA, der.octets(der.sequence(key_bag))),
    )


def encode_trust_store(run: Run, certificates: Sequence[Certificate], password: Password) -> bytes:
    """An archive of certificates only, which Java takes for a trust store; their names are their subjects."""
    trust = _attribute(_JAVA_TRUST, der.identifier(_ANY_USAGE))
    bags = []
    for one in certificates:
        name = der.write(der.BMP_STRING, wide(run, x509.name_text(one.name).encode()))
        attributes = sorted((trust, _attribute(_FRIENDLY_NAME, name)))
        bags.append(_bag(_CERTIFICATE_BAG, _certificate_value(one), b"".join(attributes)))
    return _sealed(run, password, _encrypted(run, bags, password))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(der.identifier(kind), der.write(der.SET, value))


def _bag(kind: bytes, value: bytes, attributes: bytes) -> bytes:
    return der.sequence(der.identifier(kind), der.write(0xA0, value), der.write(der.SET, attributes))


def _certificate_value(certificate: Certificate) -> bytes:
    return der.sequence(der.identifier(_X509), der.write(0xA0, der.octets(certificate.raw)))


def _content_info(kind: bytes, content: bytes) -> bytes:
    return der.sequence(der.identifier(kind), der.write(0xA0, content))


def _encrypted(run: Run, bags: Sequence[bytes], password: Password) -> bytes:
    algorithm, text = pbe.encrypt(run, password, der.sequence(*bags), rounds=_ROUNDS, salt_bytes=_SALT_BYTES)
    info = der.sequence(der.identifier(_DATA), algorithm, der.write(0x80, text))
    return _content_info(_ENCRYPTED_DATA, der.sequence(der.integer(0), info))


def _sealed(run: Run, password: Password, *parts: bytes) -> bytes:
    message = der.sequence(*parts)
    run.charge(3 * len(message))
    salt, algorithm = run.random_bytes(_SALT_BYTES), der.algorithm(pbe.SHA256)
    code = pbe.mac(run, pbe.MacParameters(algorithm, salt, _ROUNDS), password, message)
    digest = der.sequence(algorithm, der.octets(code))
    return der.sequence(
        der.integer(3),
        _content_info(_DATA, der.octets(message)),
        der.sequence(digest, der.octets(salt), der.integer(_ROUNDS)),
    )
