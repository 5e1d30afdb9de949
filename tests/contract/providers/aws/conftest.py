"""The aws provider on the strict double: a provider of the test's own, identities, an issuer of tokens."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from keyferry.errors import KeyferryError
from keyferry.providers.aws import AWSProvider


@pytest.fixture
async def provider(aws) -> AsyncIterator[AWSProvider]:
    made = AWSProvider()
    yield made
    await made.close()


@pytest.fixture
def reader(administrator, cluster, unique):
    """A user who may read everything whose name begins with the test's own; its keys are Secret `keys`."""
    keys = administrator.create_user(f"reader-{unique}", allow=[f"{unique}*"])
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)
    return keys


@pytest.fixture
def user_arn(unique):
    """The ARN of the user that `reader` makes."""
    return f"arn:aws:iam::123456789012:user/reader-{unique}"


@pytest.fixture
def client_of(provider, connect, toolbox, reader):
    """A client with the reader's keys; keywords change the aws block."""

    async def make(**changes):
        block = toolbox.aws_block(auth=toolbox.key_auth("keys")) | changes
        return await connect(provider, toolbox.view("aws", block))

    return make


@pytest.fixture
def fail():
    """The failure that comes of one read, returned or raised."""

    async def of(client, read):
        try:
            (answer,) = await client.read([read])
        except KeyferryError as error:
            return error
        assert isinstance(answer, KeyferryError), answer
        return answer

    return of


class ScriptedAWS:
    """An HTTP endpoint that answers with what a test gives it, byte by byte, whatever is asked.

    For what no AWS says and what still arrives: cut, replaced and surprising answers.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[str] = []
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                scripted.asked.append(self.headers.get("X-Amz-Target", "").rpartition(".")[2])
                status, body = scripted.answers.pop(0) if len(scripted.answers) > 1 else scripted.answers[0]
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing to standard error."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted(monkeypatch, aws) -> Iterator[ScriptedAWS]:
    """A scripted endpoint in place of Secrets Manager and STS."""
    made = ScriptedAWS()
    for service in ("SECRETS_MANAGER", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", made.url)
    yield made
    made.close()


@pytest.fixture
async def scripted_client(scripted, connect, toolbox, cluster):
    """A client of the scripted endpoint."""
    provider = AWSProvider()
    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")
    block = toolbox.aws_block(auth=toolbox.key_auth("keys"))
    yield await connect(provider, toolbox.view("aws", block))
    await provider.close()


class Issuer:
    """An OpenID Connect issuer on loopback: discovery document and keys over TLS, tokens for ServiceAccounts."""

    def __init__(self, folder: Path) -> None:
        self.ca_pem, tls = _certificates(folder)
        self._key = rsa.generate_private_key(65537, 2048)
        self.lifetime_s = 600
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing to standard error."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def document(self, path: str) -> dict[str, object]:
        if path.endswith("openid-configuration"):
            return {"issuer": self.url, "jwks_uri": f"{self.url}/openid/v1/jwks"}
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "one", "use": "sig"}]}

    def token(self, subject: str, audiences: object) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "sub": subject, "aud": list(audiences)}
        claims |= {"iat": now, "nbf": now, "exp": now + self.lifetime_s}
        return jwt.encode(claims, self._key, "RS256", headers={"kid": "one"})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _certificates(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A CA, as PEM, and a server certificate for 127.0.0.1, as a TLS context."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test CA {uuid.uuid4().hex[:8]}")])

    def signed(name, public, extension, *, ca):
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=ca,
            crl_sign=ca,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
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
            .add_extension(usage, critical=True)
        )
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    ca = signed(ca_name, ca_key.public_key(), None, ca=True)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = signed(subject, key.public_key(), address, ca=False)
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return ca.public_bytes(serialization.Encoding.PEM).decode(), context


@pytest.fixture(scope="session")
def running_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path_factory.mktemp("issuer"))
    yield issuer
    issuer.close()


@pytest.fixture
def issuer(running_issuer, administrator, cluster) -> Issuer:
    """An issuer that AWS trusts; the cluster's tokens are its."""
    administrator.trust_cluster(running_issuer.url, running_issuer.ca_pem)
    cluster.issue = running_issuer.token
    return running_issuer


@pytest.fixture
def web_reader(issuer, administrator, cluster, unique):
    """ServiceAccount team-a/app with a role that reads what begins with the test's own name; the role's ARN."""
    role = administrator.role_for_service_account(f"app-{unique}", "team-a", "app", allow=[f"{unique}*"])
    cluster.put_service_account("team-a", "app", role=role)
    return role


@pytest.fixture
def web_client_of(provider, connect, toolbox, web_reader):
    """A client with the role of ServiceAccount team-a/app; keywords change the aws block."""

    async def make(**changes):
        block = toolbox.aws_block(auth={"jwt": {"serviceAccountRef": {"name": "app"}}}) | changes
        return await connect(provider, toolbox.view("aws", block))

    return make
