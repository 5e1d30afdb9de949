"""The azurekv provider on the strict double: a vault, an app that may read its secrets, an issuer of tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from tests.contract.providers.backends.azurekv import azure_block

from keyferry.core.addresses import AddressPolicy
from keyferry.errors import KeyferryError
from keyferry.ports import AmbientIdentity, Read
from keyferry.providers.azure import AzureKVProvider
from keyferry.testing.azure import SECRETS_USER
from keyferry.testing.clock import MovableClock
from keyferry.testing.issuer import Issuer

ACCOUNT: dict[str, Any] = {
    "authType": "WorkloadIdentity",
    "serviceAccountRef": {"name": "app"},
    "tenantId": None,
    "authSecretRef": None,
}
"""Changes of a block that let a ServiceAccount ask."""


def pem_of(key):
    """A certificate that its own key has signed, and the key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@pytest.fixture(scope="session")
def pem() -> tuple[str, str]:
    """A certificate and its RSA key."""
    return pem_of(rsa.generate_private_key(65537, 2048))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def make_provider(azure_environment, clock) -> AsyncIterator[Any]:
    """Makes providers; they are closed with the test."""
    made = []

    def make(ambient=AmbientIdentity.ALL, allowed=()):
        made.append(AzureKVProvider(ambient, AddressPolicy(allowed), clock))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def provider(make_provider):
    return make_provider()


@pytest.fixture
def vault(azure_administrator, unique) -> str:
    """The name of a vault that nobody may read yet."""
    name = f"kv-{unique}"
    azure_administrator.create_vault(name)
    return name


@pytest.fixture
def url(vault) -> str:
    return f"https://{vault}.vault.azure.net"


@pytest.fixture
def app(azure_administrator, cluster, vault):
    """An app that may read the vault's secrets; its id and client secret are Secret `azure`."""
    made = azure_administrator.create_app(with_secret=True)
    azure_administrator.grant(vault, made, SECRETS_USER)
    cluster.put_secret("team-a", "azure", id=made.client_id, secret=made.secret)
    return made


@pytest.fixture(scope="session")
def azure_issuer(tmp_path_factory) -> Iterator[Issuer]:
    key = rsa.generate_private_key(65537, 2048)
    made = Issuer(tmp_path_factory.mktemp("azure-issuer"), key)
    yield made
    made.close()


@pytest.fixture
def account(azure_issuer, azure_administrator, cluster, vault):
    """An app that may read the vault's secrets, for which ServiceAccount `app` of the namespace stands."""
    azure_administrator.trust_cluster(azure_issuer.url, azure_issuer.ca_pem)
    cluster.issue = azure_issuer.token
    made = azure_administrator.app_for_service_account(azure_issuer.url, "team-a", "app")
    azure_administrator.grant(vault, made, SECRETS_USER)
    cluster.put_service_account("team-a", "app", client=made.client_id, tenant=made.tenant)
    return made


@pytest.fixture
def view_of(toolbox, url, azure_administrator):
    """A store for the vault; keywords change its block."""

    def make(*, namespace="team-a", **changes):
        return toolbox.view(
            "azurekv", azure_block(url, azure_administrator.tenant, **changes), namespace=namespace
        )

    return make


@pytest.fixture
def client_of(provider, connect, view_of, app):
    """A client of the app; keywords change the azurekv block."""

    async def make(**changes):
        return await connect(provider, view_of(**changes))

    return make


@pytest.fixture
def account_client_of(provider, connect, view_of, account):
    """A client of the ServiceAccount's app; keywords change the azurekv block."""

    async def make(**changes):
        return await connect(provider, view_of(**{**ACCOUNT, **changes}))

    return make


@pytest.fixture
def fail():
    """The failure that comes of one read, returned or raised."""

    async def of(client, key="db", version="", **read):
        try:
            (answer,) = await client.read([Read(key, version, **read)])
        except KeyferryError as error:
            return error
        assert isinstance(answer, KeyferryError), answer
        return answer

    return of


@pytest.fixture
def value():
    """The value that comes of one read, as text."""

    async def of(client, key="db", version="", **read):
        (answer,) = await client.read([Read(key, version, **read)])
        if isinstance(answer, KeyferryError):
            raise answer
        return answer.value.reveal().decode()

    return of
