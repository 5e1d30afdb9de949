"""Tokens that a Google service account has signed, for Vault's gcp method.

Google's addresses are fixed: no store chooses them. Sources: Vault's documentation of the gcp auth method (what
the tokens must say), Google Cloud's of the Security Token Service, IAM Credentials API and metadata service.
"""

from __future__ import annotations

import base64
import os
import urllib.parse
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from keyferry.clock import Clock
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import AuthFailed, ProviderError
from keyferry.ports import ClusterAccess
from keyferry.providers.outgoing import Ask, Outgoing, Reply, unreadable
from keyferry.providers.vault.identity import (
    TOKEN_LIFETIME_S,
    Google,
    GoogleInstance,
    GoogleKey,
    GoogleWorkload,
)
from keyferry.secretdata import SecretBytes

LIFETIME_S: Final = 900
"""Longest that Vault takes, unless its role says otherwise."""
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_FIELD: Final = "auth.gcp"


@dataclass(frozen=True, slots=True)
class GoogleEndpoints:
    """Where Google's services are."""

    tokens: str = "https://sts.googleapis.com"
    credentials: str = "https://iamcredentials.googleapis.com"
    metadata: str = "http://metadata.google.internal"

    @classmethod
    def from_environment(cls) -> GoogleEndpoints:
        """Google's own, with the metadata service where Google's SDKs look for it."""
        host = os.environ.get("GCE_METADATA_HOST")
        return cls(metadata=f"http://{host}") if host else cls()


class GoogleTokens:
    """Makes them.

    Args:
        clock: for when they end.
        endpoints: where Google's services are.
    """

    def __init__(self, clock: Clock, endpoints: GoogleEndpoints | None = None) -> None:
        self._clock = clock
        self._endpoints = endpoints or GoogleEndpoints.from_environment()
        hosts = [urllib.parse.urlsplit(self._endpoints.metadata).hostname or ""]
        self._outgoing = Outgoing(AddressPolicy([*hosts, "169.254.169.254"]), clock)

    async def token(self, login: Google, cluster: ClusterAccess) -> SecretBytes:
        """A token that Vault's role takes.

        Raises:
            ProviderError: Google gives none.
            KeyferryError: the cluster gave no token to exchange.
        """
        match login.source:
            case GoogleKey() as key:
                return _signed(key, self._claims(login.role, key.email))
            case GoogleWorkload() as workload:
                return await self._by_workload(login.role, workload, cluster)
            case GoogleInstance():
                return await self._by_metadata(login.role)

    def _claims(self, role: str, email: str) -> dict[str, Any]:
        now = int(self._clock.now().timestamp())
        return {"sub": email, "aud": f"vault/{role}", "iat": now, "exp": now + LIFETIME_S}

    async def _by_metadata(self, role: str) -> SecretBytes:
        query = urllib.parse.urlencode({"audience": f"http://vault/{role}", "format": "full"})
        path = f"/computeMetadata/v1/instance/service-accounts/default/identity?{query}"
        address = self._outgoing.check(self._endpoints.metadata, "", _FIELD)
        ask = Ask(
            "Google's metadata service", "Identity", address, "GET", path, {"Metadata-Flavor": "Google"}
        )
        try:
            reply = await self._outgoing.ask(ask)
        except ProviderError as error:
            failure = error
        else:
            if reply.status == 200:
                return SecretBytes(reply.body.strip())
            failure = self._outgoing.refused(reply, ask, what="an identity token")
        raise AuthFailed(
            f"the operator has no Google identity of its own: {failure.message}",
            hint="Run it on Google Cloud, or set auth.gcp.secretRef or auth.gcp.workloadIdentity",
        )

    async def _by_workload(self, role: str, who: GoogleWorkload, cluster: ClusterAccess) -> SecretBytes:
        own = await cluster.request_token(
            who.namespace, who.name, (who.pool, *who.audiences), TOKEN_LIFETIME_S
        )
        federated = await self._exchange(who, own.token)
        service = f"/v1/projects/-/serviceAccounts/{urllib.parse.quote(who.email)}"
        access = await self._ask_credentials(
            f"{service}:generateAccessToken", {"scope": [_SCOPE]}, federated, "accessToken"
        )
        claims = msgspec.json.encode(self._claims(role, who.email)).decode()
        return await self._ask_credentials(f"{service}:signJwt", {"payload": claims}, access, "signedJwt")

    async def _exchange(self, who: GoogleWorkload, token: SecretBytes) -> SecretBytes:
        body = {
            "audience": f"identitynamespace:{who.pool}:{who.provider}",
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "scope": _SCOPE,
            "subjectToken": token.reveal().decode(),
            "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
        }
        address = self._outgoing.check(self._endpoints.tokens, "", _FIELD)
        ask = Ask("Google's token service", "Exchange", address, "POST", "/v1/token", {}, body)
        return self._found(await self._outgoing.ask(ask), ask, "access_token")

    async def _ask_credentials(
        self, path: str, body: dict[str, Any], token: SecretBytes, member: str
    ) -> SecretBytes:
        address = self._outgoing.check(self._endpoints.credentials, "", _FIELD)
        headers = {"Authorization": f"Bearer {token.reveal().decode()}"}
        ask = Ask("Google IAM", path.rpartition(":")[2], address, "POST", path, headers, body)
        return self._found(await self._outgoing.ask(ask), ask, member)

    def _found(self, reply: Reply, ask: Ask, member: str) -> SecretBytes:
        if reply.status != 200:
            failure = self._outgoing.refused(
                reply, ask, what="a token", hint="Check the Google service account's IAM bindings"
            )
            raise failure
        try:
            value = msgspec.json.decode(reply.body, type=dict[str, Any]).get(member)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = None
        if not isinstance(value, str) or not value:
            raise unreadable(ask)
        return SecretBytes(value)

    async def close(self) -> None:
        """End all connections."""
        await self._outgoing.close()


def _signed(key: GoogleKey, claims: dict[str, Any]) -> SecretBytes:
    """The claims as a token, signed with the key (RS256).

    Raises:
        AuthFailed: it is no key that signs.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        private = serialization.load_pem_private_key(key.private_key.reveal(), None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise AuthFailed("the Google service account's key file holds no RSA key", hint="Make a new key")
    header = {"alg": "RS256", "typ": "JWT", "kid": key.key_id}
    text = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
    return SecretBytes(text + b"." + _base64url(private.sign(text, padding.PKCS1v15(), hashes.SHA256())))


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
