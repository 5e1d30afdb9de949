"""Who asks Vault, for a store or generator and a namespace, with the auth material that proves it.

The result is a description with a fingerprint; `login.py` turns it into a request, `connection.py` into a token.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import msgspec

from keyferry.providers.outgoing import Address
from keyferry.providers.vault.lent import AwsLogin
from keyferry.secretdata import SecretBytes

DEFAULT_AUDIENCE: Final = "vault"
"""Audience of ServiceAccount tokens where the manifest names none."""
TOKEN_LIFETIME_S: Final = 600
"""A ServiceAccount token is used once, at once."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """No token at all: a proxy of Vault's own adds one."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that somebody else has made. It is neither renewed nor revoked."""

    token: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppRole:
    """A role id and a secret id."""

    mount: str
    role_id: SecretBytes = field(repr=False)
    secret_id: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Password:
    """A user's name and password.

    Args:
        method: userpass or ldap.
    """

    method: str
    mount: str
    username: str
    password: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Jwt:
    """A signed token from a Secret.

    Args:
        method: jwt or kubernetes.
    """

    method: str
    mount: str
    role: str
    token: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountToken:
    """A ServiceAccount's token, made for each login.

    Args:
        method: jwt or kubernetes.
        uid: of the ServiceAccount; empty for the operator's own.
        audiences: of the token; none for the API server's own.
        api_server: the platform trusts this Vault with tokens that the API server accepts.
        defaulted: the audience is ours, because the manifest names none.
    """

    method: str
    mount: str
    role: str
    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]
    lifetime_s: int = TOKEN_LIFETIME_S
    api_server: bool = False
    defaulted: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """The client certificate of the connection."""

    mount: str
    role: str


@dataclass(frozen=True, slots=True)
class AwsIam:
    """A signed request to AWS STS, which Vault sends on.

    Args:
        source: gives the credentials that sign it.
        server_id: value of X-Vault-AWS-IAM-Server-ID.
    """

    mount: str
    role: str
    region: str
    server_id: str
    source: AwsLogin = field(repr=False)


@dataclass(frozen=True, slots=True)
class GoogleKey:
    """A Google service account, by its key."""

    email: str
    key_id: str
    private_key: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GoogleWorkload:
    """A ServiceAccount that stands for a Google service account.

    Args:
        email: of the Google service account, by the ServiceAccount's annotation.
        provider: the identity provider's name, as Google's token exchange wants it.
    """

    namespace: str
    name: str
    uid: str
    email: str
    pool: str
    provider: str
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoogleInstance:
    """The operator's own Google identity, by the metadata service."""


@dataclass(frozen=True, slots=True)
class Google:
    """A token that a Google service account has signed."""

    mount: str
    role: str
    source: GoogleKey | GoogleWorkload | GoogleInstance


Login = Nobody | StaticToken | AppRole | Password | Jwt | AccountToken | Certificate | AwsIam | Google


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What the connection shows of us."""

    certificate: bytes
    key: SecretBytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VaultIdentity:
    """Who asks which server. Equal fingerprints share a login.

    Args:
        product: how errors name the server: Vault or OpenBao.
        server: where it is.
        ca: whom to believe, as PEM; empty for the system's authorities.
        namespace: of requests.
        login_namespace: of the login.
        headers: added to each request.
        consistent: requests after a write say which state they need to see.
        forward: a standby that has not seen it yet asks the active node.
        path: of the block in its manifest, for errors.
    """

    product: str
    server: Address
    ca: bytes
    certificate: ClientCertificate | None
    namespace: str
    login_namespace: str
    headers: tuple[tuple[str, str], ...]
    consistent: bool
    forward: bool
    login: Login
    path: str

    @property
    def fingerprint(self) -> str:
        """Hash over all that decides what may be read, but for where the KV engine is."""
        certificate = self.certificate
        parts = (
            "vault",
            self.server.base,
            self.ca,
            (certificate.certificate, certificate.key.reveal()) if certificate is not None else None,
            self.namespace,
            self.login_namespace,
            self.headers,
            self.consistent,
            self.forward,
            _parts(self.login),
        )
        return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()

    @property
    def way(self) -> tuple[str, bytes, bytes]:
        """What decides whether two identities may share connections."""
        shown = self.certificate
        digest = hashlib.sha256(shown.certificate + b"\0" + shown.key.reveal()).digest() if shown else b""
        return self.server.base, self.ca, digest


def _parts(login: Login) -> tuple[object, ...]:
    """All of a login that its proof depends on."""
    match login:
        case StaticToken(token):
            return ("token", token.reveal())
        case AppRole(mount, role_id, secret_id):
            return ("approle", mount, role_id.reveal(), secret_id.reveal())
        case Password(method, mount, username, password):
            return (method, mount, username, password.reveal())
        case Jwt(method, mount, role, token):
            return (method, mount, role, token.reveal())
        case AwsIam():
            return ("iam", login.mount, login.role, login.region, login.server_id, login.source.fingerprint)
        case Google(mount, role, GoogleKey(email, key_id, private_key)):
            return ("gcp", mount, role, email, key_id, private_key.reveal())
    return (type(login).__name__, msgspec.to_builtins(login))
