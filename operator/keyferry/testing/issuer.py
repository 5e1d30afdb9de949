"""An OpenID Connect issuer on loopback, as a cluster is one: its documents over TLS, tokens for ServiceAccounts."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer:
    """See the module's docstring. Runs until `close`.

    Args:
        folder: for its certificate.
        key: its first key, "rsa-1".
    """

    def __init__(self, folder: Path, key: rsa.RSAPrivateKey) -> None:
        self.ca_pem, tls = certificates(folder)
        self.keys: dict[str, Key] = {}
        """What it publishes, by key id."""
        self.fetches: list[str] = []
        """Paths that were asked for."""
        self.served_issuer = ""
        """What its discovery document calls itself instead of its URL."""
        self.rsa = key
        self.add_key("rsa-1", key)
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches.append(self.path)
                content = issuer.document(self.path)
                body = json.dumps(content).encode()
                self.send_response(200 if content else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing to standard error."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def document(self, path: str) -> dict[str, Any]:
        """What stands at a path; empty for nothing."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.served_issuer or self.url, "jwks_uri": f"{self.url}/openid/v1/jwks"}
        if path == "/openid/v1/jwks":
            return {"keys": [_published(key_id, key) for key_id, key in self.keys.items()]}
        return {}

    def add_key(self, key_id: str, key: Key) -> None:
        """Publish one more key."""
        self.keys[key_id] = key

    def claims(self, subject: str, **changes: Any) -> dict[str, Any]:
        """The claims of a token for AWS, good for ten minutes; a change to None leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": ["sts.amazonaws.com"],
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self,
        subject: str,
        audiences: Sequence[str] = ("sts.amazonaws.com",),
        *,
        key_id: str = "rsa-1",
        key: Key | None = None,
        algorithm: str = "RS256",
        **changes: Any,
    ) -> str:
        """A signed token.

        Args:
            key: signs in place of the published one.
            changes: as for `claims`.
        """
        claims = self.claims(subject, **{"aud": list(audiences)} | changes)
        return jwt.encode(claims, key or self.keys[key_id], algorithm, headers={"kid": key_id})

    def public_pem(self, key_id: str = "rsa-1") -> bytes:
        """A published key."""
        public = self.keys[key_id].public_key()
        return public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def _published(key_id: str, key: Key) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        document = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        document = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**document, "kid": key_id, "use": "sig"}


def certificates(directory: Path) -> tuple[str, ssl.SSLContext]:
    """A CA and a server certificate for 127.0.0.1; the CA as PEM, the server side as a TLS context."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test CA {uuid.uuid4().hex[:8]}")])

    def build(
        name: x509.Name, public: ec.EllipticCurvePublicKey, extension: x509.ExtensionType, *, ca: bool
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .add_extension(extension, critical=ca)
            .sign(ca_key, hashes.SHA256())
        )

    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    ca = build(ca_name, ca_key.public_key(), usage, ca=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = build(subject, key.public_key(), names, ca=False)
    pem = directory / f"{uuid.uuid4().hex}.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return ca.public_bytes(serialization.Encoding.PEM).decode(), context
