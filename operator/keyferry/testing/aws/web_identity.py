"""Web identity tokens, verified as STS does: by the keys that their issuer publishes.

The issuer's discovery document and key set are fetched over TLS, with the CA that the test or demo
names for that issuer, and kept until a token names a key that is not among them. Only asymmetric
algorithms are accepted: neither `none` nor an HMAC over a public key can pass. Whether a role trusts
the identity is `sts`'s question.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import jwt

from keyferry.testing.aws.wire import AwsError

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
FETCH_TIMEOUT_S: Final = 5.0

_NO_KEY: Final = (
    "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements"
)
_NOT_VALID: Final = (
    "The web identity token that was passed could not be validated by AWS. Get a new identity token from "
    "the identity provider and then retry the request."
)
_NOT_A_JWT: Final = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says of itself, unproven."""

    issuer: str
    key_id: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """Whom a verified token is about."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]

    @property
    def host(self) -> str:
        """The issuer as ARNs and condition keys write it: without scheme and trailing slash."""
        return self.issuer.removeprefix("https://").rstrip("/")


def read_claim(token: str) -> Claim:
    """What a token says of itself.

    Raises:
        AwsError: it is no JSON Web Token.
    """
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        issuer = claims["iss"]
    except (jwt.InvalidTokenError, KeyError):
        raise _invalid(_NOT_A_JWT) from None
    return Claim(str(issuer), str(header.get("kid", "")), str(header.get("alg", "")))


def verify(token: str, claim: Claim, key: jwt.PyJWK, known_audiences: frozenset[str]) -> WebIdentity:
    """The identity that a token proves.

    Args:
        token: the token.
        claim: what it says of itself.
        key: the issuer's key that it names.
        known_audiences: the client ids of the account's OIDC provider.

    Raises:
        AwsError: InvalidIdentityToken or ExpiredTokenException.
    """
    try:
        claims = jwt.decode(
            token,
            key=key,
            algorithms=list(ALGORITHMS),
            issuer=claim.issuer,
            options={"require": ["exp", "iat", "iss", "sub", "aud"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError:
        ended = jwt.decode(token, options={"verify_signature": False})["exp"]
        raise AwsError(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(time.time())} must be before the expiration date/time{ended}",
            verbatim=True,
        ) from None
    except jwt.InvalidTokenError:
        raise _invalid(_NOT_VALID) from None
    audiences = tuple(claims["aud"]) if isinstance(claims["aud"], list) else (claims["aud"],)
    if not known_audiences.intersection(audiences):
        raise _invalid("Incorrect token audience")
    return WebIdentity(claim.issuer, claims["sub"], audiences)


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidIdentityToken", message, verbatim=True)


class IssuerKeys:
    """The keys that issuers publish, fetched when they are needed."""

    def __init__(self) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._keys: dict[str, dict[str, jwt.PyJWK]] = {}
        self._lock = asyncio.Lock()

    def trust(self, issuer: str, ca_pem: str) -> None:
        """Believe this CA for this issuer's documents, and forget keys fetched before."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=ca_pem)
        self._contexts[issuer] = context
        self._keys.pop(issuer, None)

    async def key(self, claim: Claim) -> jwt.PyJWK:
        """The key that a token names.

        Raises:
            AwsError: the algorithm is not accepted, the issuer has no such key or cannot be reached.
        """
        if claim.algorithm not in ALGORITHMS:
            raise _invalid(_NOT_VALID)
        async with self._lock:
            if claim.key_id not in self._keys.get(claim.issuer, {}):
                self._keys[claim.issuer] = await self._fetch(claim.issuer)
        try:
            return self._keys[claim.issuer][claim.key_id]
        except KeyError:
            raise _invalid(_NO_KEY) from None

    async def _fetch(self, issuer: str) -> dict[str, jwt.PyJWK]:
        context = self._contexts.get(issuer) or ssl.create_default_context()
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http:
                discovery = await _get(
                    http, f"{issuer.rstrip('/')}/.well-known/openid-configuration", context
                )
                if discovery.get("issuer") != issuer:
                    raise _invalid(_NO_KEY)
                found = await _get(http, str(discovery.get("jwks_uri", "")), context)
        except (aiohttp.ClientConnectorError, TimeoutError):
            raise AwsError("IDPCommunicationError", verbatim=True) from None
        except (aiohttp.ClientError, ValueError):
            raise _invalid(_NO_KEY) from None
        keys = {}
        for one in found.get("keys", []):
            if one.get("use", "sig") == "sig" and one.get("kty") in {"RSA", "EC"}:
                keys[str(one.get("kid", ""))] = jwt.PyJWK(one)
        return keys


async def _get(http: aiohttp.ClientSession, url: str, context: ssl.SSLContext) -> Mapping[str, Any]:
    if not url.startswith("https://"):
        raise ValueError("an issuer's documents are served over TLS")
    async with http.get(url, ssl=context, allow_redirects=False) as response:
        response.raise_for_status()
        content = json.loads(await response.read())
    if response.status != 200 or not isinstance(content, dict):
        raise ValueError("not the document that was asked for")
    return content
