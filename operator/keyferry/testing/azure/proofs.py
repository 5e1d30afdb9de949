"""How an identity proves itself to Entra ID: a client secret, an assertion of its own, or a federated token."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt

from keyferry.testing.azure.identities import FederatedCredential, Identity, digest_of
from keyferry.testing.azure.wire import AzureError, Request, entra_error
from keyferry.testing.issuerkeys import ALGORITHMS, IssuerKeys, IssuerUnreachable, UnknownKey

_CHECK: Final = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_LONGEST_ASSERTION_S: Final = 24 * 3600


async def check_assertion(request: Request, assertion: str, identity: Identity, issuers: IssuerKeys) -> str:
    """Check a JWT that shall prove an identity.

    Returns:
        The subject of a federated token; empty for an assertion of the app's own.

    Raises:
        AzureError: it proves nothing.
    """
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise entra_error(400, "invalid_request", 50027, "JWT token is invalid or malformed.") from None
    if claims.get("iss") == identity.client_id:
        _check_own(request, assertion, header, identity)
        return ""
    credential = _matching(claims, identity)
    await _check_federated(assertion, header, credential, issuers)
    return credential.subject


async def _check_federated(
    assertion: str, header: Mapping[str, Any], credential: FederatedCredential, issuers: IssuerKeys
) -> None:
    if header.get("alg") not in ALGORITHMS:
        raise _unproven("The algorithm of the token's signature is not supported.")
    try:
        key = await issuers.key(credential.issuer, str(header.get("kid", "")))
    except IssuerUnreachable:
        raise entra_error(
            400, "invalid_request", 90061, "Request to External OIDC endpoint failed."
        ) from None
    except UnknownKey:
        raise _unproven("The key was not found.") from None
    try:
        jwt.decode(
            assertion,
            key=key,
            algorithms=list(ALGORITHMS),
            issuer=credential.issuer,
            audience=credential.audience,
            options={"require": ["exp", "iat", "iss", "sub", "aud"]},
        )
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise _out_of_time(assertion) from None
    except jwt.InvalidTokenError:
        raise _unproven("The signature does not verify.") from None


def base_of(request: Request) -> str:
    """The address that a request was made to, without its path."""
    return f"https://{request.host}" if request.port == 443 else f"https://{request.authority}"


def check_secret(secret: str, identity: Identity) -> None:
    """Check a client secret.

    Raises:
        AzureError: it is wrong, or over.
    """
    digest = digest_of(secret)
    found = [one for one in identity.secrets if hmac.compare_digest(one.digest, digest)]
    if any(one.ended for one in found):
        raise entra_error(
            401,
            "invalid_client",
            7000222,
            f"The provided client secret keys for app '{identity.client_id}' are expired. Visit the Azure portal to "
            "create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate "
            "credentials for added security: https://aka.ms/certCreds.",
        )
    if not found:
        raise entra_error(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
            f"value, not the client secret ID, for a secret added to app '{identity.client_id}'.",
        )


def _check_own(request: Request, assertion: str, header: Mapping[str, Any], identity: Identity) -> None:
    """Check an assertion that the app signed with a certificate of its own."""
    prints = {str(header.get(name, "")).rstrip("=") for name in ("x5t", "x5t#S256")} - {""}
    found = [one for one in identity.certificates if prints & one.thumbprints]
    if not found or found[0].ended:
        reason = "The certificate has expired." if found else "The key was not found."
        raise entra_error(
            401,
            "invalid_client",
            700027,
            "The certificate with identifier used to sign the client assertion is not registered on "
            f"application. [Reason - {reason}]",
        )
    audiences = [f"{base_of(request)}{request.path}", f"{base_of(request)}/{identity.tenant.id}/v2.0"]
    try:
        claims = jwt.decode(
            assertion,
            key=found[0].key,
            algorithms=["RS256", "PS256"],
            audience=audiences,
            options={"require": ["exp", "iss", "sub", "aud", "jti"]},
        )
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise _out_of_time(assertion) from None
    except jwt.InvalidAudienceError:
        raise entra_error(
            401,
            "invalid_client",
            700023,
            f"Client assertion audience claim does not match Realm issuer '{audiences[0]}'.",
        ) from None
    except jwt.InvalidTokenError:
        raise entra_error(
            401, "invalid_client", 700027, "Client assertion failed signature validation."
        ) from None
    if claims["sub"] != identity.client_id:
        raise entra_error(
            401,
            "invalid_client",
            700021,
            "Client assertion application identifier doesn't match 'client_id'.",
        )
    if claims["exp"] - time.time() > _LONGEST_ASSERTION_S:
        raise _out_of_time(assertion)


def _matching(claims: Mapping[str, Any], identity: Identity) -> FederatedCredential:
    """The federated credential that a token's claims, yet unproven, match to the letter."""
    if not identity.federated:
        raise entra_error(
            401,
            "invalid_client",
            70025,
            f"The client '{identity.client_id}' has no configured federated identity credentials.",
        )
    issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
    audience = claims.get("aud", "")
    audiences = [str(one) for one in audience] if isinstance(audience, list) else [str(audience)]
    found = [one for one in identity.federated if one.issuer == issuer]
    if not found:
        raise _unmatched(700211, f"issuer '{issuer}'. {_CHECK}")
    found_subjects = [one for one in found if one.subject == subject]
    if not found_subjects:
        if any(one.subject.lower() == subject.lower() for one in found):
            told = "The subject matches with case-insensitive comparison, but not with case-sensitive comparison."
            raise _unmatched(7002138, f"subject '{subject}'. {told} {_CHECK}")
        raise _unmatched(700213, f"subject '{subject}'. {_CHECK}")
    matching = [one for one in found_subjects if one.audience in audiences]
    if not matching:
        raise _unmatched(700212, f"audience '{', '.join(audiences)}'. {_CHECK}")
    return matching[0]


def _unmatched(code: int, text: str) -> AzureError:
    return entra_error(
        401,
        "invalid_client",
        code,
        f"No matching federated identity record found for presented assertion {text}",
    )


def _unproven(reason: str) -> AzureError:
    return entra_error(
        401, "invalid_client", 50013, f"Assertion failed signature validation. [Reason - {reason}]"
    )


def _out_of_time(assertion: str) -> AzureError:
    claims = jwt.decode(assertion, options={"verify_signature": False})
    return entra_error(
        401,
        "invalid_client",
        700024,
        f"Client assertion is not within its valid time range. Current time: {int(time.time())}, assertion valid "
        f"from {claims.get('nbf')}, expiry time of assertion {claims.get('exp')}.",
    )
