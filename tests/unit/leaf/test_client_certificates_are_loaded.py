"""A client certificate comes into a TLS context without its key in clear on any disk."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from keyferry import clientcert
from keyferry.clientcert import ClientCertificateError, load_client_certificate
from keyferry.testing.authority import Authority, Pair


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.client("somebody")


def load(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    load_client_certificate(context, certificate.encode(), key.encode())
    return context


@pytest.fixture(params=["in memory", "in a file"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the pair is written to be read: systems differ."""
    if request.param == "in a file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    return request.param


async def test_server_sees_the_certificate(authority: Authority, pair: Pair, place: str) -> None:
    serving = authority.server_context()
    serving.load_verify_locations(cadata=authority.ca_pem)
    serving.verify_mode = ssl.CERT_REQUIRED
    seen: asyncio.Future[dict] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("peercert"))
        writer.close()

    context = load(pair.certificate, pair.key)
    context.load_verify_locations(cadata=authority.ca_pem)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=context)
        shown = await asyncio.wait_for(seen, 10)
        writer.close()

    assert ((("commonName", "somebody"),),) == shown["subject"]


def test_what_is_written_holds_no_key_in_clear(pair: Pair, place: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written = []
    file = clientcert._file

    def noted(content: bytes):
        written.append(content)
        return file(content)

    monkeypatch.setattr(clientcert, "_file", noted)
    load(pair.certificate, pair.key)

    body = "".join(pair.key.splitlines()[1:-1]).encode()
    assert 1 == len(written)
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in written[0]
    assert body[10:40] not in b"".join(written[0].split())
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 2048), id="rsa"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="ed25519"),
    ],
)
def test_keys_of_every_kind_are_read_and_compared(pair: Pair, key) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

    with pytest.raises(ClientCertificateError):
        load(pair.certificate, pem)


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("key of another", "they do not belong together"),
        ("encrypted", "the private key is encrypted"),
        ("no key", "the private key is none as PEM"),
        ("no certificate", "the certificate is none as PEM"),
        ("torn certificate", "the certificate cannot be read"),
    ],
)
def test_pair_that_cannot_be_used_is_told_without_its_content(
    authority: Authority, pair: Pair, which: str, why: str
) -> None:
    certificate, key = pair.certificate, pair.key
    match which:
        case "key of another":
            key = authority.client("other").key
        case "encrypted":
            loaded = serialization.load_pem_private_key(key.encode(), None)
            how = serialization.BestAvailableEncryption(b"password")
            key = loaded.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
            ).decode()
        case "no key":
            key = "hunter2"
        case "no certificate":
            certificate = "hunter2"
        case _:
            certificate = certificate[:200] + "\n-----END CERTIFICATE-----\n"

    with pytest.raises(ClientCertificateError) as caught:
        load(certificate, key)

    assert why == str(caught.value)
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
