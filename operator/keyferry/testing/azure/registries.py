"""Container registries: an Entra token for a refresh token, that for access tokens. No images."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from keyferry.testing.azure.clouds import REGISTRY_RESOURCE
from keyferry.testing.azure.identities import Tenant
from keyferry.testing.azure.tokens import RefusedToken, Tokens
from keyferry.testing.azure.wire import AzureError, Request, registry_error
from keyferry.testing.httpdouble import Answer

REFRESH_S: Final = 3 * 3600
ACCESS_S: Final = 75 * 60
_SCOPE: Final = re.compile(r"(repository|registry):([^:\s]+):([^:\s]+)")


@dataclass(slots=True)
class Registry:
    """A registry.

    Args:
        host, port: where it is.
        roles: by oid, what it may do in all repositories: pull, push, delete, metadata_read, catalog.
        arm_tokens: whether tokens for the resource manager are taken, which is the default.
    """

    name: str
    tenant: Tenant
    host: str
    port: int
    roles: dict[str, set[str]] = field(default_factory=dict)
    arm_tokens: bool = True

    @property
    def service(self) -> str:
        """How it calls itself."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


class Registries:
    """All registries.

    Args:
        tokens: verifies what callers bring.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._key = secrets.token_bytes(32)
        self.by_host: dict[tuple[str, int], Registry] = {}

    def answer(self, request: Request, registry: Registry, note: Callable[[str], None]) -> Answer:
        """The answer to a request.

        Raises:
            AzureError: as the registry tells it.
        """
        match request.method, request.parts:
            case "POST", ["oauth2", "exchange"]:
                return self._exchange(request.form(), registry, note)
            case "POST", ["oauth2", "token"]:
                return self._token(request.form(), registry, note)
            case "GET", ["v2"] | ["v2", "_catalog"]:
                return self._catalog(request, registry, note)
        raise registry_error(404, "NOT_FOUND", "not found")

    def _exchange(self, form: dict[str, str], registry: Registry, note: Callable[[str], None]) -> Answer:
        if form.get("grant_type") != "access_token":
            raise registry_error(400, "UNSUPPORTED", "grant_type is not supported")
        if form.get("service") != registry.service:
            raise registry_error(400, "BAD_REQUEST", "service does not match the registry")
        tenant = registry.tenant
        if form.get("tenant") not in (None, "", tenant.id, tenant.domain):
            raise _unauthorized(registry)
        audiences = (REGISTRY_RESOURCE, *(tenant.cloud.management if registry.arm_tokens else ()))
        try:
            grant = self._tokens.verify(form.get("access_token", ""), audiences, tenant.issuer)
        except RefusedToken:
            raise _unauthorized(registry) from None
        note(grant.oid)
        if not registry.roles.get(grant.oid):
            raise _unauthorized(registry)
        return Answer(200, {"refresh_token": self._sign(registry, grant.oid, "refresh_token", REFRESH_S)})

    def _token(self, form: dict[str, str], registry: Registry, note: Callable[[str], None]) -> Answer:
        if form.get("grant_type") != "refresh_token":
            raise registry_error(400, "UNSUPPORTED", "grant_type is not supported")
        if form.get("service") != registry.service:
            raise registry_error(400, "BAD_REQUEST", "service does not match the registry")
        oid = self._read(form.get("refresh_token", ""), registry, "refresh_token")["sub"]
        note(oid)
        granted = []
        for scope in form.get("scope", "").split():
            found = _SCOPE.fullmatch(scope)
            if found is None:
                raise registry_error(400, "BAD_REQUEST", "scope is not valid")
            # What may not be done is left out of the token without a word, as registries do.
            may = [one for one in found[3].split(",") if one in self._may(registry, oid, found[1])]
            granted.append({"type": found[1], "name": found[2], "actions": may})
        if not granted:
            raise registry_error(400, "BAD_REQUEST", "scope is missing")
        token = self._sign(registry, oid, "access_token", ACCESS_S, access=granted)
        return Answer(200, {"access_token": token})

    def _catalog(self, request: Request, registry: Registry, note: Callable[[str], None]) -> Answer:
        oid = self._read(request.bearer, registry, "access_token")["sub"]
        note(oid)
        return Answer(200, {"repositories": []})

    @staticmethod
    def _may(registry: Registry, oid: str, kind: str) -> set[str]:
        roles = registry.roles.get(oid, set())
        return roles if kind == "repository" else ({"*"} if "catalog" in roles else set())

    def _sign(self, registry: Registry, oid: str, kind: str, seconds: int, **more: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": "Azure Container Registry",
            "aud": registry.service,
            "sub": oid,
            "grant_type": kind,
            "iat": now,
            "exp": now + seconds,
            "jti": secrets.token_urlsafe(8),
            "tenant": registry.tenant.id,
            **more,
        }
        return jwt.encode(claims, self._key, "HS256")

    def _read(self, token: str, registry: Registry, kind: str) -> dict[str, Any]:
        """The claims of a token of the registry's own."""
        try:
            claims: dict[str, Any] = jwt.decode(token, self._key, ["HS256"], audience=registry.service)
        except jwt.InvalidTokenError:
            raise _unauthorized(registry) from None
        if claims["grant_type"] != kind:
            raise _unauthorized(registry)
        return claims

    def access_of(self, token: str, registry: Registry) -> list[dict[str, Any]]:
        """What an access token is good for, for tests.

        Raises:
            AzureError: it is none of this registry.
        """
        access: list[dict[str, Any]] = self._read(token, registry, "access_token")["access"]
        return access

    def subject_of(self, token: str, registry: Registry) -> str:
        """The oid behind a refresh token, for tests.

        Raises:
            AzureError: it is none of this registry.
        """
        return str(self._read(token, registry, "refresh_token")["sub"])


def _unauthorized(registry: Registry) -> AzureError:
    challenge = f'Bearer realm="https://{registry.service}/oauth2/token",service="{registry.service}"'
    text = "authentication required, visit https://aka.ms/acr/authorization for more information."
    return registry_error(401, "UNAUTHORIZED", text, **{"WWW-Authenticate": challenge})
