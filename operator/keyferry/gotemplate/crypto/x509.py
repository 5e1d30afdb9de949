"""Certificates read as Go's crypto/x509 does, as far as templates see them, and ordered into chains.

No signature, date or purpose is looked at here: this is for taking certificates apart, not for trusting them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import curves, der, pem, privatekeys
from keyferry.gotemplate.errors import FunctionError

_EXTENSION_ARC: Final = der.oid("2.5.29.0")[:-1]
_SUBJECT_KEY_ID: Final = 14
_KEY_USAGE: Final = 15
_ALT_NAME: Final = 17
_BASIC_CONSTRAINTS: Final = 19
_AUTHORITY_KEY_ID: Final = 35
_EXTENDED_KEY_USAGE: Final = 37
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
_STEPS: Final = 120
"""What reading a certificate costs, beside its bytes."""
_BYTES_PER_STEP: Final = 32
_PRINTABLE: Final = re.compile(rb"[A-Za-z0-9'()*+,\-./ :=?&]*")
_NUMERIC: Final = re.compile(rb"[0-9 ]*")
_UTC: Final = re.compile(r"(\d\d)(\d\d\d\d\d\d\d\d)(\d\d)?(?:Z|([+-])(\d\d)(\d\d))", re.ASCII)
_GENERALIZED: Final = re.compile(r"(\d\d\d\d)(\d\d\d\d\d\d\d\d)(\d\d)(?:Z|([+-])(\d\d)(\d\d))", re.ASCII)

Name = tuple[tuple[str, str], ...]
"""A subject: dotted attribute type and value, in the order of the certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What templates may know of a certificate.

    Args:
        raw: all of it, in DER.
        subject: in DER.
        public_key: algorithm and key, in DER; None for an algorithm that Go does not know.
        authority_key_id: None where there is none, which is not the same as an empty one.
    """

    raw: bytes
    subject: bytes
    name: Name
    public_key: bytes | None
    subject_key_id: bytes = b""
    authority_key_id: bytes | None = None
    dns_names: tuple[bytes, ...] = ()
    addresses: tuple[bytes, ...] = ()
    emails: tuple[bytes, ...] = ()
    uris: tuple[bytes, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether nobody else has signed it, going by its key identifiers."""
        return self.authority_key_id is None or self.authority_key_id == self.subject_key_id


def parse(run: Run, content: bytes) -> Certificate:
    """The one certificate that these bytes are.

    Raises:
        FunctionError: they are none, or more than one.
    """
    reader = der.Reader(content)
    certificate = _parse(run, reader)
    if reader.more():
        raise FunctionError("x509: trailing data")
    return certificate


def parse_several(run: Run, content: bytes) -> list[Certificate]:
    """The certificates that stand one after the other in these bytes."""
    reader = der.Reader(content)
    certificates = []
    while reader.more():
        certificates.append(_parse(run, reader))
    return certificates


def parse_blocks(run: Run, text: bytes) -> list[Certificate]:
    """The certificates of all PEM blocks; a block of another kind is an error."""
    return [parse(run, block.payload) for block in pem.decode_all(run, text)]


def _parse(run: Run, reader: der.Reader) -> Certificate:
    try:
        raw = reader.element(der.SEQUENCE)
        run.spend(_STEPS + len(raw) // _BYTES_PER_STEP)
        outer = der.Reader(raw).read(der.SEQUENCE)
        fields = outer.read(der.SEQUENCE)
        version = _version(fields)
        if fields.integer() < 0:
            raise FunctionError("x509: negative serial number")
        signed_with = fields.content(der.SEQUENCE)
        if outer.content(der.SEQUENCE) != signed_with:
            raise FunctionError("x509: inner and outer signature algorithm identifiers don't match")
        der.Reader(signed_with).oid()
        _name(fields.element(der.SEQUENCE))
        _validity(fields.read(der.SEQUENCE))
        subject = fields.element(der.SEQUENCE)
        name = _name(subject)
        public_key = _public_key(fields.element(der.SEQUENCE))
        certificate = Certificate(raw, subject, name, public_key)
        if version == 3:
            certificate = _with_extensions(certificate, fields)
        outer.bit_string()
    except der.DerError:
        raise FunctionError("x509: malformed certificate") from None
    return certificate


def _version(fields: der.Reader) -> int:
    explicit = fields.optional(0xA0)
    version = 1 if explicit is None else explicit.small_integer() + 1
    if not 1 <= version <= 3:
        raise FunctionError("x509: invalid version")
    return version


def _name(content: bytes) -> Name:
    pairs: list[tuple[str, str]] = []
    names = der.Reader(content).read(der.SEQUENCE)
    while names.more():
        one = names.read(der.SET)
        while one.more():
            pair = one.read(der.SEQUENCE)
            kind = der.dotted(pair.oid())
            pairs.append((kind, _text(*pair.any())))
    return tuple(pairs)


def _text(tag: int, value: bytes) -> str:
    if tag == der.UTF8_STRING:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise der.DerError("not UTF-8") from None
    if tag == der.PRINTABLE_STRING:
        good = _PRINTABLE.fullmatch(value) is not None
    elif tag == der.NUMERIC_STRING:
        good = _NUMERIC.fullmatch(value) is not None
    elif tag == der.IA5_STRING:
        good = value.isascii()
    elif tag == der.BMP_STRING:
        return _bmp(value)
    else:
        good = tag == der.T61_STRING
    if not good:
        raise der.DerError("a string of the wrong characters or type")
    return value.decode("latin-1")


def _bmp(value: bytes) -> str:
    if len(value) % 2:
        raise der.DerError("half a character")
    try:
        text = value.removesuffix(b"\x00\x00").decode("utf-16-be")
    except UnicodeDecodeError:
        raise der.DerError("half a character") from None
    for char in text:
        if char >= "\ufffe" or "\ufdd0" <= char <= "\ufdef":
            raise der.DerError("no character")
    return text


def _validity(fields: der.Reader) -> None:
    for _ in range(2):
        tag, value = fields.any()
        pattern = {der.UTC_TIME: _UTC, der.GENERALIZED_TIME: _GENERALIZED}.get(tag)
        found = pattern.fullmatch(value.decode("latin-1")) if pattern else None
        if found is None:
            raise der.DerError("no time")
        year, rest, second, sign, hours, minutes = found.groups()
        month, day, hour, minute = (int(rest[at : at + 2]) for at in (0, 2, 4, 6))
        full_year = int(year) if len(year) == 4 else 2000 + int(year)
        try:
            datetime(full_year or 4, month, day, hour, minute, int(second or 0))  # noqa: DTZ001  only the calendar
        except ValueError:
            raise der.DerError("no time") from None
        if sign and (int(hours) >= 24 or int(minutes) >= 60 or not int(hours + minutes)):
            raise der.DerError("no time zone")


def _public_key(content: bytes) -> bytes | None:
    """The key's algorithm and bits; what Go refuses is refused, algorithms that Go does not know are None."""
    fields = der.Reader(content).read(der.SEQUENCE)
    algorithm = fields.read(der.SEQUENCE)
    kind = algorithm.oid()
    parameters = algorithm.any_element() if algorithm.more() else b""
    key = fields.bit_string()
    if kind == privatekeys.RSA:
        good = parameters == der.NULL_VALUE and _is_rsa(der.Reader(key))
    elif kind == privatekeys.EC:
        good = _is_point(der.Reader(parameters).oid(), key)
    elif kind == privatekeys.ED25519:
        good = not parameters and len(key) == 32
    elif kind == privatekeys.DSA:
        numbers = der.Reader(parameters).read(der.SEQUENCE)
        good = min(der.Reader(key).integer(), *(numbers.integer() for _ in range(3))) > 0
    else:
        return None
    if not good:
        raise FunctionError("x509: invalid public key")
    return content


def _is_rsa(reader: der.Reader) -> bool:
    numbers = reader.read(der.SEQUENCE)
    return numbers.integer() > 0 and numbers.small_integer() > 0


def _is_point(curve_oid: bytes, key: bytes) -> bool:
    curve = curves.BY_OID.get(curve_oid)
    if curve is None or len(key) != 2 * curve.size + 1 or key[0] != 4:
        return False
    half = curve.size + 1
    return curve.has(int.from_bytes(key[1:half], "big"), int.from_bytes(key[half:], "big"))


def _with_extensions(certificate: Certificate, fields: der.Reader) -> Certificate:
    for tag in (0x81, 0x82):
        fields.optional(tag)
    wrapped = fields.optional(0xA3)
    if wrapped is None:
        return certificate
    seen: set[bytes] = set()
    found: dict[int, der.Reader] = {}
    several = wrapped.read(der.SEQUENCE)
    while several.more():
        extension = several.read(der.SEQUENCE)
        kind = extension.oid()
        if kind in seen:
            raise FunctionError("x509: certificate contains duplicate extension")
        seen.add(kind)
        critical = extension.peek() == der.BOOLEAN and extension.boolean()
        value = extension.content(der.OCTET_STRING)
        if len(kind) == 3 and kind.startswith(_EXTENSION_ARC):
            if critical and kind[2] in {_SUBJECT_KEY_ID, _AUTHORITY_KEY_ID}:
                raise FunctionError("x509: a key identifier is incorrectly marked critical")
            found[kind[2]] = der.Reader(value)
    return _read_extensions(certificate, found)


def _read_extensions(certificate: Certificate, found: dict[int, der.Reader]) -> Certificate:
    names: dict[int, list[bytes]] = {_EMAIL: [], _DNS: [], _URI: [], _IP: []}
    if (reader := found.get(_ALT_NAME)) is not None:
        _alt_names(reader.read(der.SEQUENCE), names)
    if (reader := found.get(_KEY_USAGE)) is not None:
        reader.bit_string()
    if (reader := found.get(_BASIC_CONSTRAINTS)) is not None:
        _check_constraints(reader.read(der.SEQUENCE))
    if (reader := found.get(_EXTENDED_KEY_USAGE)) is not None:
        usages = reader.read(der.SEQUENCE)
        while usages.more():
            usages.oid()
    own = b"" if (reader := found.get(_SUBJECT_KEY_ID)) is None else reader.content(der.OCTET_STRING)
    authority = None
    if (reader := found.get(_AUTHORITY_KEY_ID)) is not None:
        inner = reader.read(der.SEQUENCE)
        authority = inner.content(0x80) if inner.peek() == 0x80 else None
    return Certificate(
        certificate.raw,
        certificate.subject,
        certificate.name,
        certificate.public_key,
        own,
        authority,
        tuple(names[_DNS]),
        tuple(names[_IP]),
        tuple(names[_EMAIL]),
        tuple(names[_URI]),
    )


def _check_constraints(reader: der.Reader) -> None:
    if reader.peek() == der.BOOLEAN:
        reader.boolean()
    if reader.peek() == der.INTEGER and reader.small_integer() < 0:
        raise der.DerError("a negative length of the path")


def _alt_names(several: der.Reader, names: dict[int, list[bytes]]) -> None:
    while several.more():
        tag, value = several.any()
        if tag == _IP and len(value) not in {4, 16}:
            raise FunctionError(f"x509: cannot parse IP address of length {len(value)}")
        if tag in names:
            if tag != _IP and not value.isascii():
                raise FunctionError("x509: a subject alternative name is malformed")
            names[tag].append(value)


def chain(certificates: Iterable[Certificate]) -> list[Certificate]:
    """The certificates from the leaf to the root, by their key identifiers.

    Raises:
        FunctionError: they make no single chain.
    """
    several = list(certificates)
    by_key: dict[bytes, list[int]] = {}
    for at, one in enumerate(several):
        # The first is everybody's parent, the second is the first one's: more are never asked for.
        same = by_key.setdefault(one.subject_key_id, [])
        if len(same) < 2:
            same.append(at)
    parents: list[int | None] = []
    for at, one in enumerate(several):
        candidates = by_key.get(one.authority_key_id or b"", ())
        parents.append(next((other for other in candidates if other != at), None))
    leaves = set(range(len(several))).difference(one for one in parents if one is not None)
    if len(leaves) > 1:
        raise FunctionError("found multiple leaf or disjunct certificates")
    if not leaves:
        raise FunctionError("no leaf certificate found")
    ordered: list[Certificate] = []
    at_: int | None = leaves.pop()
    while at_ is not None:
        if len(ordered) == len(several):
            raise FunctionError("constructing chain resulted in cycle")
        ordered.append(several[at_])
        at_ = parents[at_]
    return ordered


_SHORT_NAMES: Final = {
    "2.5.4.6": "C",
    "2.5.4.8": "ST",
    "2.5.4.7": "L",
    "2.5.4.9": "STREET",
    "2.5.4.17": "POSTALCODE",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.3": "CN",
    "2.5.4.5": "SERIALNUMBER",
}
"""Attribute types in the order in which Go puts them together."""
_SINGLE: Final = frozenset({"2.5.4.3", "2.5.4.5"})
_ESCAPED: Final = frozenset(',+"\\<>;')


def name_text(name: Name) -> str:
    """A subject as Go's pkix.Name prints it: the last part first, the usual types by their short names."""
    parts = [f"{kind}=#{_any_text(value).hex()}" for kind, value in name if kind not in _SHORT_NAMES]
    for kind, short in _SHORT_NAMES.items():
        values = [value for one, value in name if one == kind]
        if kind in _SINGLE:
            values = [one for one in values[-1:] if one]
        if values:
            parts.append("+".join(f"{short}={_escaped(value)}" for value in values))
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    out: list[str] = []
    at, last = 0, len(value.encode()) - 1
    for char in value:
        if char in _ESCAPED or (char == " " and at in {0, last}) or (char == "#" and at == 0):
            out.append("\\")
        out.append(char)
        at += len(char.encode())
    return "".join(out)


_PLAIN: Final = re.compile(r"[A-Za-z0-9'()+,\-./ :=?]*")


def _any_text(value: str) -> bytes:
    """A string as Go's asn1.Marshal writes it: PrintableString where it can be one."""
    tag = der.PRINTABLE_STRING if _PLAIN.fullmatch(value) else der.UTF8_STRING
    return der.write(tag, value.encode())


def printable(value: str) -> bytes:
    """A string of a name, in DER."""
    return _any_text(value)
