"""Access tokens: issued as Entra ID issues them, verified as its resources verify them."""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.testing.azure.identities import Identity

LIFETIME_S: Final = 3600.0
KEY_ID: Final = "entra-1"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token says."""

    oid: str
    client_id: str
    tenant: str
    uti: str


class RefusedToken(Exception):
    """A token is not accepted.

    Args:
        why: malformed, signature, expired, audience, issuer or revoked.
        found: the audience or issuer that it has instead.
    """

    def __init__(self, why: str, found: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.found = found


class Tokens:
    """Issues and verifies."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self._revoked: set[str] = set()
        self._issued: dict[str, Grant] = {}
        self.lifetime_s = LIFETIME_S
        self.issued = 0

    def key_set(self) -> dict[str, Any]:
        """The keys as Entra publishes them."""
        document = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**document, "kid": KEY_ID, "x5t": KEY_ID, "use": "sig"}]}

    def issue(self, identity: Identity, resource: str, *, proof: str) -> tuple[str, int]:
        """An access token, and for how many seconds it is good.

        Args:
            proof: how the identity proved itself: 1 for a secret, 2 for an assertion.
        """
        now = int(time.time())
        grant = Grant(identity.oid, identity.client_id, identity.tenant.id, secrets.token_urlsafe(16))
        seconds = max(1, int(self.lifetime_s))
        claims = {
            "aud": resource,
            "iss": identity.tenant.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "appid": identity.client_id,
            "appidacr": proof,
            "idp": identity.tenant.issuer,
            "idtyp": "app",
            "oid": identity.oid,
            "sub": identity.oid,
            "tid": identity.tenant.id,
            "uti": grant.uti,
            "ver": "1.0",
            "xms_cc": ["CP1"],
        }
        self._issued[grant.uti] = grant
        self.issued += 1
        token = jwt.encode(claims, self._key, "RS256", headers={"kid": KEY_ID, "x5t": KEY_ID})
        return token, seconds

    def revoke(self, oid: str = "") -> int:
        """End the tokens of an identity, or all, before their time; how many there were."""
        ended = {uti for uti, grant in self._issued.items() if oid in ("", grant.oid)} - self._revoked
        self._revoked |= ended
        return len(ended)

    def verify(self, token: str, audiences: tuple[str, ...], issuer: str) -> Grant:
        """What a token proves.

        Args:
            audiences: any of which it may be for.
            issuer: who must have issued it; empty for anybody of ours.

        Raises:
            RefusedToken: it is not accepted.
        """
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                ["RS256"],
                options={"require": ["exp", "iss", "aud", "tid", "oid"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise RefusedToken("expired") from None
        except jwt.InvalidSignatureError:
            raise RefusedToken("signature") from None
        except jwt.InvalidTokenError:
            raise RefusedToken("malformed") from None
        if str(claims["aud"]).rstrip("/") not in audiences:
            raise RefusedToken("audience", str(claims["aud"]))
        if issuer and claims["iss"] != issuer:
            raise RefusedToken("issuer", str(claims["iss"]))
        if claims["uti"] in self._revoked:
            raise RefusedToken("revoked")
        return Grant(claims["oid"], claims["appid"], claims["tid"], claims["uti"])


def claims_challenge() -> str:
    """What a resource asks for instead of a revoked token, as its challenge carries it."""
    wanted = {"access_token": {"nbf": {"essential": True, "value": str(int(time.time()))}}}
    return base64.b64encode(json.dumps(wanted).encode()).decode()
