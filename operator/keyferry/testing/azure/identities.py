"""Who there is: tenants, app registrations and managed identities, and how each may prove itself."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.testing.azure.clouds import Cloud

TOKEN_EXCHANGE: Final = "api://AzureADTokenExchange"


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret of an app, by its digest alone."""

    digest: bytes = field(repr=False)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that is registered on an app.

    Args:
        thumbprints: as `x5t` and `x5t#S256` of an assertion's header have them.
        ends: when it is no longer believed.
    """

    thumbprints: frozenset[str]
    key: rsa.RSAPublicKey = field(repr=False)
    ends: datetime

    @classmethod
    def read(cls, pem: str) -> ClientCertificate:
        """The certificate in a PEM text."""
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise TypeError("Entra ID takes RSA certificates alone")
        prints = {_text(certificate.fingerprint(kind)) for kind in (hashes.SHA1(), hashes.SHA256())}
        return cls(frozenset(prints), key, certificate.not_valid_after_utc)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.ends <= datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """Tokens of somebody else's that stand for an identity."""

    issuer: str
    subject: str
    audience: str = TOKEN_EXCHANGE


@dataclass(slots=True)
class Identity:
    """An app registration's service principal, or a managed identity.

    Args:
        kind: an app proves itself; of a managed identity a machine does (or a federated token).
        oid: the object id that permissions are granted to.
        resource_id: of managed identities.
        on_machine: whether the machine with the metadata service has it.
    """

    tenant: Tenant = field(repr=False)
    kind: Literal["app", "system", "user"]
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    oid: str = field(default_factory=lambda: str(uuid.uuid4()))
    resource_id: str = ""
    on_machine: bool = False
    disabled: bool = False
    secrets: list[ClientSecret] = field(default_factory=list)
    certificates: list[ClientCertificate] = field(default_factory=list)
    federated: list[FederatedCredential] = field(default_factory=list)


@dataclass(slots=True)
class Tenant:
    """A directory."""

    cloud: Cloud
    domain: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    identities: dict[str, Identity] = field(default_factory=dict)
    """By client id."""

    @property
    def issuer(self) -> str:
        """The `iss` of its access tokens."""
        return f"{self.cloud.issuer}/{self.id}/"


def digest_of(secret: str) -> bytes:
    """What is kept of a client secret."""
    return hashlib.sha256(secret.encode()).digest()


def _text(fingerprint: bytes) -> str:
    return base64.urlsafe_b64encode(fingerprint).decode().rstrip("=")
