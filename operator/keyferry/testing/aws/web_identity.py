"""Web identity tokens, verified as STS does: by the keys that their issuer publishes.

See `keyferry.testing.issuerkeys` for how these are fetched. Whether a role trusts the identity is `sts`'s question.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import jwt

from keyferry.testing.aws.wire import AwsError
from keyferry.testing.issuerkeys import ALGORITHMS, IssuerKeys, IssuerUnreachable, UnknownKey

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


async def key_of(issuers: IssuerKeys, claim: Claim) -> jwt.PyJWK:
    """The key that a token names.

    Raises:
        AwsError: the algorithm is not accepted, the issuer has no such key or cannot be reached.
    """
    if claim.algorithm not in ALGORITHMS:
        raise _invalid(_NOT_VALID)
    try:
        return await issuers.key(claim.issuer, claim.key_id)
    except IssuerUnreachable:
        raise AwsError("IDPCommunicationError", verbatim=True) from None
    except UnknownKey:
        raise _invalid(_NO_KEY) from None
