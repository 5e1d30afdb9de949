"""A certificate authority for tests: certificates of servers on loopback, and of clients."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str = field(repr=False)


class Authority:
    """Signs certificates; its own is `ca_pem`."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        # A name of its own: two of them in one trust store must not be taken for one.
        self._name = _name(f"test CA {uuid.uuid4().hex[:8]}")
        usage = _usage(signs_certificates=True)
        certificate = self._build(self._name, self._key.public_key(), ca=True).add_extension(
            usage, critical=True
        )
        signed = certificate.sign(self._key, hashes.SHA256())
        self.ca_pem = signed.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, common_name: str = "localhost", names: Sequence[str] = ()) -> Pair:
        """For a server on this machine: 127.0.0.1, ::1, localhost; and for further names."""
        addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
        all_names = [*(x509.DNSName(name) for name in ("localhost", *names)), *addresses]
        return self._issue(common_name, ExtendedKeyUsageOID.SERVER_AUTH, all_names)

    def client(self, common_name: str) -> Pair:
        """For a client of that name."""
        return self._issue(common_name, ExtendedKeyUsageOID.CLIENT_AUTH, [x509.DNSName(common_name)])

    def server_context(self, names: Sequence[str] = ()) -> ssl.SSLContext:
        """The server side of TLS with a new certificate, see `server`."""
        pair = self.server(names=names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="keyferry-tls-") as folder:  # ssl reads files only
            path = Path(folder) / "server.pem"
            path.write_text(pair.key + pair.certificate)
            context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """The client side of TLS: trusts this authority alone."""
        return ssl.create_default_context(cadata=self.ca_pem)

    def _issue(self, common_name: str, purpose: x509.ObjectIdentifier, names: list[x509.GeneralName]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._build(_name(common_name), key.public_key(), ca=False)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(signed.public_bytes(serialization.Encoding.PEM).decode(), private.decode())

    def _build(
        self, name: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
