"""PEM texts taken apart: blocks of one type, parts of a chain, names in a certificate."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.crypto import pem, x509
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.urls import url_join, url_parse
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import runes

group: Final = FunctionGroup("PEM and certificate chains")

_START: Final = b"-----BEGIN"
_PLAIN_URI: Final = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.\-]*:)([A-Za-z0-9\-._~!$&'()*+,;=:/?]*)(#[A-Za-z0-9\-._~$&+,;=:@/?!()*]+)?#?"
)
"""URIs that are the same when they are taken apart and put together again, but for the scheme."""
_WIDEST: Final = 4


def _without_junk(text: bytes) -> bytes:
    """The text from its first BEGIN on, if there is one."""
    return text[max(text.find(_START), 0) :]


def _equal_fold(one: bytes, other: bytes) -> bool:
    # A text is looked at once for each block: one that cannot be a block's type must not cost its length.
    if not len(one) <= _WIDEST * len(other) <= _WIDEST**2 * len(one):
        return False
    if one.isascii() and other.isascii():
        return one.lower() == other.lower()
    pairs = list(zip(left := runes(one), right := runes(other), strict=False))
    return len(left) == len(right) and all(
        a == b or a.lower() == b.lower() or a.upper() == b.upper() for a, b in pairs
    )


@group.add("filterPEM", "func(string, string) (string, error)")
def filter_pem(run: Run, kind: bytes, text: bytes) -> bytes:
    """The PEM blocks of one type: `{{ .bundle | filterPEM "CERTIFICATE" }}`; upper and lower case are the same."""
    text = _without_junk(text)
    parts: list[bytes] = []
    at = 0
    while True:
        block, at = pem.decode(run, text, at)
        if block is None:
            break
        if _equal_fold(block.type, kind):
            parts.append(pem.encode(run, block.type, block.payload, block.headers))
    if not parts and at < len(text):
        raise FunctionError("error filtering pem: found junk")
    return b"".join(parts)


@group.add("filterCertChain", "func(string, string) (string, error)")
def filter_cert_chain(run: Run, part: bytes, text: bytes) -> bytes:
    """One part of a certificate chain in PEM: leaf, intermediate or root; an empty text where it has none.

    `{{ .bundle | filterCertChain "leaf" }}`
    """
    ordered = x509.chain(x509.parse_blocks(run, text))
    chosen: list[x509.Certificate] = []
    if part == b"leaf" and not ordered[0].is_root:
        chosen = ordered[:1]
    elif part == b"root" and ordered[-1].is_root:
        chosen = ordered[-1:]
    elif part == b"intermediate":
        for one in ordered[1:]:
            if one.is_root:
                break
            chosen.append(one)
    return b"".join(pem.encode(run, pem.CERTIFICATE, one.raw) for one in chosen)


@group.add("certSANs", "func(string) ([]string, error)")
def cert_sans(run: Run, text: bytes) -> list[bytes]:
    """The alternative names of the first certificate in PEM: DNS names, IP addresses, e-mail addresses, URIs.

    `{{ join "," (certSANs .cert) }}`
    """
    block, _ = pem.decode(run, _without_junk(text))
    if block is None:
        raise FunctionError("failed to decode PEM block")
    try:
        certificate = x509.parse(run, block.payload)
    except FunctionError as exc:
        raise FunctionError(f"failed to parse certificate: {exc}") from None
    addresses = [_address(one) for one in certificate.addresses]
    uris = [_uri(run, one) for one in certificate.uris]
    names = [*certificate.dns_names, *addresses, *certificate.emails, *uris]
    run.charge_elements(len(names))
    run.charge(sum(len(name) for name in names))
    return names


def _uri(run: Run, text: bytes) -> bytes:
    """The URI as Go's url.URL writes it: mostly as it stands."""
    if found := _PLAIN_URI.fullmatch(text):
        return found[1].lower() + found[2] + (found[3] or b"")
    try:
        return url_join(run, url_parse(run, text))
    except FunctionError:
        raise FunctionError("failed to parse certificate: x509: cannot parse URI") from None


def _address(packed: bytes) -> bytes:
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address).encode()
