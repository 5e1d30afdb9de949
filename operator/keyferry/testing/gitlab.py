"""GitLab's deploy tokens: made and revoked by holders of an access token.

Checked as GitLab documents it: the access token, its scope, the role in the project or group, the body. The
tokens that it gives are canaries, so that the leak detector finds them.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from keyferry.testing.httpdouble import Answer, Asked, HttpDouble, Refusal
from keyferry.testing.leaks import canary

SCOPES: Final = frozenset(
    {
        "read_repository",
        "read_registry",
        "write_registry",
        "read_package_registry",
        "write_package_registry",
        "read_virtual_registry",
        "write_virtual_registry",
    }
)
_PROJECTS_ALONE: Final = frozenset({"read_virtual_registry", "write_virtual_registry"})
_PATH: Final = re.compile(r"/api/v4/(projects|groups)/([^/]+)/deploy_tokens(?:/([0-9]+))?")
_ROLES: Final = ("guest", "reporter", "developer", "maintainer", "owner")
_NEEDED: Final = {"projects": "maintainer", "groups": "owner"}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Who asks: what the token is for, and the role in each project or group that it sees.

    Args:
        roles: by place, such as "projects/7".
    """

    scopes: frozenset[str]
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeployToken:
    """A deploy token that is good."""

    id: int
    place: str
    name: str
    username: str
    value: str = field(repr=False)
    scopes: tuple[str, ...]
    expires_at: datetime | None


class GitlabDouble(HttpDouble):
    """See the module's docstring."""

    def __init__(self, **options: Any) -> None:
        self._paths: dict[str, str] = {}
        self._access: dict[str, AccessToken] = {}
        self._ids = itertools.count(1)
        self.tokens: dict[int, DeployToken] = {}
        """Deploy tokens that are not revoked."""
        super().__init__(**options)

    def create(self, kind: str, number: int, path: str) -> str:
        """A project ("projects") or group ("groups"); its place."""
        place = f"{kind}/{number}"
        self._paths[place] = self._paths[f"{kind}/{path}"] = place
        return place

    def let_in(self, token: str, *, scopes: tuple[str, ...] = ("api",), **roles: str) -> None:
        """Know an access token; `roles` are given as `**{place: role}`."""
        self._access[token] = AccessToken(frozenset(scopes), roles)

    def answer(self, asked: Asked) -> Answer:
        """See `HttpDouble.answer`."""
        found = _PATH.fullmatch(asked.path)
        if (
            found is None
            or asked.method not in ("POST", "DELETE")
            or (asked.method == "DELETE") != bool(found[3])
        ):
            raise Refusal(404, {"error": "404 Not Found"})
        kind, name, number = found[1], unquote(found[2]), found[3]
        access = self._access.get(asked.headers.get("private-token", ""))
        if access is None:
            raise Refusal(401, {"message": "401 Unauthorized"})
        if "api" not in access.scopes:
            described = "The request requires higher privileges than provided by the access token."
            raise Refusal(
                403, {"error": "insufficient_scope", "error_description": described, "scope": "api"}
            )
        place = self._paths.get(f"{kind}/{name}", "")
        role = access.roles.get(place, "")
        if not role:
            raise Refusal(404, {"message": f"404 {kind.capitalize()[:-1]} Not Found"})
        if _ROLES.index(role) < _ROLES.index(_NEEDED[kind]):
            raise Refusal(403, {"message": "403 Forbidden"})
        if asked.method == "POST":
            return self._make(place, asked.json())
        if int(number) not in self.tokens or self.tokens[int(number)].place != place:
            raise Refusal(404, {"message": "404 Deploy Token Not Found"})
        del self.tokens[int(number)]
        return Answer(204)

    def _make(self, place: str, wanted: Mapping[str, Any]) -> Answer:
        for needed in ("name", "scopes"):
            if not wanted.get(needed):
                raise Refusal(400, {"error": f"{needed} is missing"})
        scopes = tuple(wanted["scopes"])
        allowed = SCOPES if place.startswith("projects/") else SCOPES - _PROJECTS_ALONE
        if not set(scopes) <= allowed:
            raise Refusal(400, {"error": "scopes does not have a valid value"})
        ends = None
        if "expires_at" in wanted:
            try:
                ends = datetime.fromisoformat(str(wanted["expires_at"]))
            except ValueError:
                raise Refusal(400, {"error": "expires_at is invalid"}) from None
            if ends.tzinfo is None or ends <= datetime.now(UTC):
                raise Refusal(400, {"message": {"expires_at": ["must be in the future"]}})
        number = next(self._ids)
        username = str(wanted.get("username") or f"gitlab+deploy-token-{number}")
        value = f"gldt-{canary(f'gitlab-{secrets.token_hex(4)}')}"
        made = DeployToken(number, place, str(wanted["name"]), username, value, scopes, ends)
        self.tokens[number] = made
        return Answer(
            201,
            {
                "id": number,
                "name": made.name,
                "username": username,
                "expires_at": ends.isoformat() if ends else None,
                "token": value,
                "revoked": False,
                "expired": False,
                "scopes": list(scopes),
            },
        )
