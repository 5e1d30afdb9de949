"""One Azure double for all tests here, and clients of Microsoft's SDK as the product has them: no retries."""

from __future__ import annotations

import datetime as dt
import secrets

import pytest
import requests
from azure.identity import ClientSecretCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from tests import azurefixtures

from keyferry.testing.azure import SECRETS_USER
from keyferry.testing.issuer import Issuer

azure = azurefixtures.azure
azure_environment = azurefixtures.azure_environment
running_azure = azurefixtures.running_azure

CLIENTS = {"secrets": SecretClient, "keys": KeyClient, "certificates": CertificateClient}
VAULT_SCOPE = "https://vault.azure.net/.default"


@pytest.fixture(autouse=True)
def reached(azure_environment):
    """The double is reached by the clouds' own names."""


@pytest.fixture
def unique():
    """A name that no other test has."""
    return f"t{secrets.token_hex(5)}"


@pytest.fixture
def admin(azure):
    return azure.administrator()


@pytest.fixture
def app(admin):
    """An app with a client secret."""
    return admin.create_app(with_secret=True)


@pytest.fixture
def vault(admin, app, unique):
    """The name of a vault whose secrets the app may read."""
    admin.create_vault(unique)
    admin.grant(unique, app, SECRETS_USER)
    return unique


def credential_of(app):
    return ClientSecretCredential(app.tenant, app.client_id, app.secret, retry_total=0)


@pytest.fixture
def client_for():
    """Make a client of a vault; closed with the test."""
    made = []

    def make(vault, credential, kind="secrets", url="", **options):
        if hasattr(credential, "client_id"):
            credential = credential_of(credential)
        client = CLIENTS[kind](
            url or f"https://{vault}.vault.azure.net", credential, retry_total=0, **options
        )
        made.extend((client, credential))
        return client

    yield make
    for one in made:
        one.close()


@pytest.fixture
def client(client_for, vault, app):
    return client_for(vault, app)


@pytest.fixture
def ask(azure):
    """Ask the double with a raw request; (status, body as JSON, headers)."""

    def send(method, url, **options):
        response = requests.request(method, url, timeout=10, **options)
        return response.status_code, response.json() if response.content else None, response.headers

    return send


@pytest.fixture
def ask_token(ask, admin):
    """Ask for a token with a raw request; (status, OAuth error, AADSTS code), or the token."""

    def send(*, tenant=admin.tenant, host="login.microsoftonline.com", **form):
        form = {"grant_type": "client_credentials", "scope": VAULT_SCOPE} | form
        url = f"https://{host}/{tenant}/oauth2/v2.0/token"
        status, body, _ = ask("POST", url, data={name: value for name, value in form.items() if value})
        if status == 200:
            return body["access_token"]
        return status, body["error"], body["error_codes"][0]

    return send


@pytest.fixture(scope="session")
def rsa_keys():
    """Some RSA keys: making them is slow."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(3)]


@pytest.fixture
def issuer(tmp_path, rsa_keys, admin):
    """An issuer whose documents the directory can fetch."""
    issuer = Issuer(tmp_path, rsa_keys[0])
    admin.trust_cluster(issuer.url, issuer.ca_pem)
    yield issuer
    issuer.close()


def self_signed(key, *, days=1, common_name="app.example.com"):
    """A certificate as PEM; over already if `days` is negative."""
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def make_certificate():
    return self_signed


@pytest.fixture
def pem_of():
    return private_pem


@pytest.fixture
def tls_pem():
    """Key and certificate of somebody's server, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return private_pem(key) + self_signed(key)
