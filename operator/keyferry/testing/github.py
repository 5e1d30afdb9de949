"""GitHub's side of a GitHub App: tokens for installations, asked for by the App itself.

Checked as GitHub documents it: the headers, the App's JSON Web Token (RS256 by the App's key, who, when, ten
minutes at most), the installation, and that repositories and permissions are among the installation's. The
tokens that it gives are canaries, so that the leak detector finds them.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.testing.httpdouble import Answer, Asked, HttpDouble, Refusal
from keyferry.testing.leaks import canary

LONGEST_S: Final = 600
LIFETIME_S: Final = 3600
_PATH: Final = re.compile(r"/app/installations/([^/]+)/access_tokens")
_LEVELS: Final = ("read", "write", "admin")


@dataclass(slots=True)
class Installation:
    """An App in an organization."""

    app_id: str
    repositories: frozenset[str]
    permissions: Mapping[str, str]
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was given, and what it opens."""

    value: str = field(repr=False)
    installation: str
    repositories: frozenset[str]
    permissions: Mapping[str, str]


class GithubDouble(HttpDouble):
    """See the module's docstring."""

    def __init__(self, **options: Any) -> None:
        self._apps: dict[str, rsa.RSAPublicKey] = {}
        self.installations: dict[str, Installation] = {}
        self.tokens: list[Token] = []
        super().__init__(**options)

    def register(self, app_id: str, public_pem: bytes) -> None:
        """An App with its public key."""
        key = serialization.load_pem_public_key(public_pem)
        if not isinstance(key, rsa.RSAPublicKey):
            raise TypeError("the key of an App is an RSA key")
        self._apps[app_id] = key

    def install(
        self, app_id: str, install_id: str, *, repositories: Iterable[str], permissions: Mapping[str, str]
    ) -> Installation:
        """Install an App."""
        made = Installation(app_id, frozenset(repositories), dict(permissions))
        self.installations[install_id] = made
        return made

    def answer(self, asked: Asked) -> Answer:
        """See `HttpDouble.answer`."""
        if not asked.headers.get("user-agent"):
            raise _refused(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            )
        accepts = asked.headers.get("accept", "")
        if accepts not in ("*/*", "application/json") and not accepts.startswith("application/vnd.github"):
            raise _refused(415, "Must accept 'application/json'")
        found = _PATH.fullmatch(asked.path)
        if found is None or asked.method != "POST":
            raise _refused(404, "Not Found")
        app_id = self._caller(asked)
        installation = self.installations.get(found[1])
        if installation is None or installation.app_id != app_id:
            raise _refused(404, "Not Found")
        if installation.suspended:
            raise _refused(403, "This installation has been suspended")
        return self._give(found[1], installation, asked.json())

    def _caller(self, asked: Asked) -> str:
        scheme, _, proof = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise _refused(401, "A JSON web token could not be decoded")
        try:
            app_id = str(jwt.decode(proof, options={"verify_signature": False})["iss"])
        except (jwt.InvalidTokenError, KeyError):
            raise _refused(401, "A JSON web token could not be decoded") from None
        if app_id not in self._apps:
            raise _refused(404, "Integration not found")
        try:
            claims = jwt.decode(
                proof, self._apps[app_id], ["RS256"], options={"require": ["exp", "iat", "iss"]}
            )
        except jwt.ExpiredSignatureError:
            raise _refused(
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            ) from None
        except jwt.ImmatureSignatureError:
            raise _refused(
                401,
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            ) from None
        except jwt.InvalidTokenError:
            raise _refused(401, "A JSON web token could not be decoded") from None
        if claims["exp"] > time.time() + LONGEST_S:
            raise _refused(401, "'Expiration time' claim ('exp') is too far in the future")
        return app_id

    def _give(self, install_id: str, installation: Installation, wanted: Mapping[str, Any]) -> Answer:
        repositories = frozenset(wanted.get("repositories") or installation.repositories)
        if not repositories <= installation.repositories:
            raise _refused(
                422,
                "There is at least one repository that does not exist or is not accessible to the parent installation.",
            )
        permissions = dict(wanted.get("permissions") or installation.permissions)
        for name, level in permissions.items():
            granted = installation.permissions.get(name)
            if granted is None or level not in _LEVELS or _LEVELS.index(level) > _LEVELS.index(granted):
                raise _refused(422, "The permissions requested are not granted to this installation.")
        token = Token(
            f"ghs_{canary(f'github-{secrets.token_hex(4)}')}", install_id, repositories, permissions
        )
        self.tokens.append(token)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFETIME_S))
        return Answer(
            201,
            {
                "token": token.value,
                "expires_at": ends,
                "permissions": permissions,
                "repository_selection": "selected" if wanted.get("repositories") else "all",
            },
        )


def _refused(status: int, message: str) -> Refusal:
    return Refusal(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})
