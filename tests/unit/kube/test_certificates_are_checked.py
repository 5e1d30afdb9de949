from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyferry.errors import KubeError, KubeUnavailable
from keyferry.kube.client import KubeApi
from keyferry.kube.config import ClusterConfig
from keyferry.kube.pace import Pace

PATH = "/version"


@dataclass
class Issued:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str
    encrypted_key: str


class Authority:
    """A CA as some clusters have it: without key identifiers."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        made = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.pem = _pem(made.sign(self._key, hashes.SHA256()))

    def issue(self, name: str) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = self._builder(subject, key).add_extension(address, critical=False)
        return Issued(
            _pem(made.sign(self._key, hashes.SHA256())),
            _key_pem(key, serialization.NoEncryption()),
            _key_pem(key, serialization.BestAvailableEncryption(b"password")),
        )

    def _builder(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key, encryption) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def client(authority) -> Issued:
    return authority.issue("somebody")


@pytest.fixture
async def tls_server(authority, play, tmp_path):
    """A server that wants a client certificate of its CA."""
    issued = authority.issue("api")
    (tmp_path / "server.pem").write_text(issued.certificate + issued.key)
    (tmp_path / "ca.pem").write_text(authority.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(tmp_path / "server.pem")
    async with play.serving(context) as server:

        async def who(request):
            peer = request.transport.get_extra_info("peercert") or {}
            names = [
                value for part in peer.get("subject", ()) for name, value in part if name == "commonName"
            ]
            return await play.says(200, {"names": names})(request)

        server.otherwise = who
        yield server


async def ask(server, **config) -> bytes:
    api = KubeApi(ClusterConfig(server.url, **config), Pace(), timeout_s=5.0)
    try:
        return await api.request("GET", PATH)
    finally:
        await api.close()


async def test_certificate_of_the_clusters_ca_is_accepted(tls_server, authority) -> None:
    """Also without key identifiers, which Python's strict default of 3.13 would refuse."""
    assert b'{"names": []}' == await ask(tls_server, ca_pem=authority.pem)


def test_strictness_is_off_for_the_clusters_ca_alone(authority) -> None:
    context = ClusterConfig("https://x", ca_pem=authority.pem).ssl_context()

    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert (True, ssl.CERT_REQUIRED) == (context.check_hostname, context.verify_mode)
    public = ClusterConfig("https://x").ssl_context()
    assert (sys.version_info >= (3, 13)) == bool(public.verify_flags & ssl.VERIFY_X509_STRICT)


async def test_client_certificate_is_shown(tls_server, authority, client) -> None:
    answer = await ask(tls_server, ca_pem=authority.pem, client_certificate=(client.certificate, client.key))

    assert b'{"names": ["somebody"]}' == answer


@pytest.mark.parametrize("ca", ["another", "the system's"])
async def test_server_of_another_ca_is_refused(tls_server, ca) -> None:
    with pytest.raises(KubeUnavailable, match=r"^the API server cannot be reached \(GET /version\)$"):
        await ask(tls_server, ca_pem=Authority().pem if ca == "another" else "")
    assert [] == tls_server.seen


async def test_insecure_checks_nothing(tls_server) -> None:
    assert b'{"names": []}' == await ask(tls_server, insecure=True)


async def test_key_of_another_certificate_is_told(tls_server, authority, client) -> None:
    with pytest.raises(KubeError, match="certificates for the API server cannot be used") as caught:
        await ask(
            tls_server,
            ca_pem=authority.pem,
            client_certificate=(client.certificate, authority.issue("other").key),
        )
    assert "BEGIN" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(client, capfd) -> None:
    config = ClusterConfig("https://x", client_certificate=(client.certificate, client.encrypted_key))

    with pytest.raises(KubeError, match="cannot be used"):
        config.ssl_context()
    assert ("", "") == tuple(capfd.readouterr())


@pytest.mark.parametrize(
    "ca", ["hunter2", "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----", "ü"]
)
def test_unreadable_ca_is_told_without_its_content(ca) -> None:
    with pytest.raises(KubeError) as caught:
        ClusterConfig("https://x", ca_pem=ca).ssl_context()

    assert "hunter2" not in f"{caught.value!r}{caught.value}"


def test_plain_server_needs_no_certificates() -> None:
    assert ClusterConfig("http://x", ca_pem="unread").ssl_context() is None


def test_key_pair_stays_in_no_file(client, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ClusterConfig("https://x", client_certificate=(client.certificate, client.key)).ssl_context()

    assert [] == list(Path(tmp_path).iterdir())
