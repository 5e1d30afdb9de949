"""Quay's robot federation: a ServiceAccount's token is exchanged for one of the robot that trusts it.

The token is verified by the keys that its issuer publishes over TLS; issuer, subject and, where it is set,
audience must be those of the robot's federation.
"""

from __future__ import annotations

import base64
import binascii
import json
import ssl
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from keyferry.testing.httpdouble import Answer, Asked, HttpDouble, Refusal

PATH: Final = "/oauth2/federation/robot/token"
LIFETIME_S: Final = 3600
FETCH_TIMEOUT_S: Final = 5.0
_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]


@dataclass(frozen=True, slots=True)
class Federation:
    """Whom a robot trusts.

    Args:
        audience: of the token; empty for any.
    """

    issuer: str
    subject: str
    audience: str = ""


class QuayDouble(HttpDouble):
    """See the module's docstring."""

    def __init__(self, **options: Any) -> None:
        self._robots: dict[str, Federation] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._given = 0
        super().__init__(**options)

    def trust_issuer(self, issuer: str, ca_pem: str) -> None:
        """Believe this CA for an issuer's documents, as the administrator of a private Quay would."""
        self._contexts[issuer] = ssl.create_default_context(cadata=ca_pem)

    def federate(self, robot: str, federation: Federation) -> None:
        """Let a robot trust a ServiceAccount."""
        self._robots[robot] = federation

    def is_own(self, token: str, robot: str) -> bool:
        """Whether a token is one that this Quay gave for the robot, and still good."""
        try:
            claims = jwt.decode(token, self._key.public_key(), ["ES256"])
        except jwt.InvalidTokenError:
            return False
        return bool(claims["sub"] == robot)

    def answer(self, asked: Asked) -> Answer:
        """See `HttpDouble.answer`."""
        if asked.path != PATH or asked.method != "GET":
            raise Refusal(404, {"error": "not_found"})
        robot, token = _login(asked)
        federation = self._robots.get(robot)
        if federation is None or not self._proves(token, federation):
            raise Refusal(401, {"error": "Could not validate the federated token"})
        self._given += 1
        now = int(time.time())
        claims = {"sub": robot, "iat": now, "exp": now + LIFETIME_S, "jti": str(self._given)}
        return Answer(200, {"token": jwt.encode(claims, self._key, "ES256")})

    def _proves(self, token: str, federation: Federation) -> bool:
        try:
            header = jwt.get_unverified_header(token)
            if str(jwt.decode(token, options={"verify_signature": False})["iss"]) != federation.issuer:
                return False
            claims = jwt.decode(
                token,
                self._published(federation.issuer, str(header.get("kid", ""))),
                _ALGORITHMS,
                issuer=federation.issuer,
                audience=federation.audience or None,
                options={"require": ["exp", "iss", "sub"], "verify_aud": bool(federation.audience)},
            )
        except (jwt.PyJWTError, KeyError, OSError, TypeError, ValueError):
            return False
        return bool(claims["sub"] == federation.subject)

    def _published(self, issuer: str, key_id: str) -> jwt.PyJWK:
        context = self._contexts[issuer]
        discovery = _fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration", context)
        if discovery["issuer"] != issuer:
            raise ValueError("the issuer calls itself something else")
        keys = _fetch(discovery["jwks_uri"], context)["keys"]
        return jwt.PyJWK({one.get("kid"): one for one in keys}[key_id])


def _login(asked: Asked) -> tuple[str, str]:
    scheme, _, encoded = asked.headers.get("authorization", "").partition(" ")
    try:
        robot, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        scheme = robot = token = ""
    if scheme.lower() != "basic" or not robot or not token:
        raise Refusal(401, {"error": "Invalid robot credentials"})
    return robot, token


def _fetch(url: str, context: ssl.SSLContext) -> dict[str, Any]:
    if not url.startswith("https://"):
        raise ValueError("an issuer's documents are served over TLS")
    # No proxy: the issuer is on this machine.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(url, timeout=FETCH_TIMEOUT_S) as response:
        content = json.load(response)
    if not isinstance(content, dict):
        raise TypeError("not the document that was asked for")
    return content
