"""The keys that issuers of tokens publish, as the clouds' token exchanges fetch them.

Discovery document and key set are fetched over TLS, with the CA that the test or demo names for that issuer, and
kept until a token names a key that is not among them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import jwt

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""Only asymmetric ones: neither `none` nor an HMAC over a public key can pass."""
FETCH_TIMEOUT_S: Final = 5.0


class UnknownKey(Exception):
    """The issuer publishes no such key, or nothing that can be read."""


class IssuerUnreachable(Exception):
    """The issuer's documents cannot be fetched."""


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

    async def key(self, issuer: str, key_id: str) -> jwt.PyJWK:
        """The key that a token names.

        Raises:
            UnknownKey: there is none.
            IssuerUnreachable: it cannot be asked.
        """
        async with self._lock:
            if key_id not in self._keys.get(issuer, {}):
                self._keys[issuer] = await self._fetch(issuer)
        try:
            return self._keys[issuer][key_id]
        except KeyError:
            raise UnknownKey from None

    async def _fetch(self, issuer: str) -> dict[str, jwt.PyJWK]:
        context = self._contexts.get(issuer) or ssl.create_default_context()
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http:
                where = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                discovery = await _get(http, where, context)
                if discovery.get("issuer") != issuer:
                    raise UnknownKey
                found = await _get(http, str(discovery.get("jwks_uri", "")), context)
        except (aiohttp.ClientConnectorError, TimeoutError):
            raise IssuerUnreachable from None
        except (aiohttp.ClientError, ValueError):
            raise UnknownKey from None
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
