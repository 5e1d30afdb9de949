"""An HTTP API for webhook stores and generators, as somebody might have written one.

It is strict: each path takes one method, each question exactly its parameters, and everybody shows a token or a password.

- `GET /secrets?key=…&version=…`: the value itself, as bytes.
- `POST /lookup` with `{"key", "version", "property", "namespace"}`: `{"asked": …, "items": […], "data": …}`, where
  `data` is the value as JSON if it is JSON, and else as text, and each item has the value of one version.
- `POST /tokens`: a new token each time, `{"result": {"token": …, "number": …, "scopes": […]}}`.
- `/moved?…`, by any method: a redirect, to where `redirect` says.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, Final
from urllib.parse import parse_qsl

from keyferry.testing.httpdouble import Answer, Asked, HttpDouble, Refusal
from keyferry.testing.leaks import canary

_ASKED: Final = {"key", "version", "property", "namespace"}


class WebhookDouble(HttpDouble):
    """See the module's docstring."""

    def __init__(self, **options: Any) -> None:
        self._logins: set[str] = set()
        self._values: dict[str, dict[str, bytes]] = {}
        self.asked: list[Asked] = []
        """Requests that were let in."""
        self.given: list[str] = []
        """Tokens that it made."""
        self.denied: set[str] = set()
        """Secrets that nobody may read."""
        self.redirect = Answer(302, headers={"Location": "/secrets"})
        """What `/moved` answers; the query goes along where the location has none."""
        super().__init__(**options)

    def let_in(self, token: str) -> None:
        """Take a token as good."""
        self._logins.add(f"Bearer {token}")

    def let_in_as(self, user: str, password: str) -> None:
        """Take a user's password as good."""
        self._logins.add(f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")

    def put(self, key: str, value: str | bytes) -> str:
        """Give a secret a new current value; the name of its version."""
        versions = self._values.setdefault(key, {})
        version = f"v{len(versions) + 1}"
        versions[version] = value if isinstance(value, bytes) else value.encode()
        return version

    def remove(self, key: str) -> None:
        """Take a secret away."""
        del self._values[key]

    def answer(self, asked: Asked) -> Answer:
        """See `HttpDouble.answer`."""
        if asked.headers.get("authorization", "") not in self._logins:
            raise Refusal(401, {"error": "who asks?"})
        self.asked.append(asked)
        match asked.method, asked.path:
            case "GET", "/secrets":
                wanted = self._query(asked)
                return Answer(200, self._value(wanted["key"], wanted["version"]))
            case "POST", "/lookup":
                return self._lookup(asked)
            case "POST", "/tokens":
                return self._token(asked)
            case _, "/moved":
                location = self.redirect.headers["Location"]
                further = location if "?" in location else f"{location}?{asked.query}"
                return Answer(self.redirect.status, headers={"Location": further})
        raise Refusal(405 if asked.path in ("/secrets", "/lookup", "/tokens") else 404, {"error": "no"})

    def _query(self, asked: Asked) -> dict[str, str]:
        pairs = parse_qsl(asked.query, keep_blank_values=True, strict_parsing=True)
        if sorted(name for name, _ in pairs) != ["key", "version"] or asked.body:
            raise Refusal(400, {"error": "a key and a version are asked for, and nothing else"})
        return dict(pairs)

    def _value(self, key: str, version: str) -> bytes:
        if key in self.denied:
            raise Refusal(403, {"error": "not for you"})
        versions = self._values.get(key, {})
        found = versions.get(version or f"v{len(versions)}")
        if found is None:
            raise Refusal(404, {"error": "there is no such secret"})
        return found

    def _lookup(self, asked: Asked) -> Answer:
        if asked.headers.get("content-type") != "application/json" or asked.query:
            raise Refusal(415, {"error": "JSON is spoken here"})
        try:
            wanted = asked.json()
        except ValueError:
            raise Refusal(400, {"error": "this is no JSON"}) from None
        if set(wanted) != _ASKED or not all(isinstance(one, str) for one in wanted.values()):
            raise Refusal(400, {"error": "the question is not what it should be"})
        value = self._value(wanted["key"], wanted["version"])
        items = [{"name": name, "value": one.decode()} for name, one in self._values[wanted["key"]].items()]
        return Answer(200, {"asked": wanted, "items": items, "data": _as_json(value)})

    def _token(self, asked: Asked) -> Answer:
        if set(asked.json()) - {"scopes"}:
            raise Refusal(400, {"error": "scopes may be asked for, and nothing else"})
        token = canary(f"webhook-{secrets.token_hex(4)}")
        self.given.append(token)
        scopes = asked.json().get("scopes", [])
        return Answer(200, {"result": {"token": token, "number": len(self.given), "scopes": scopes}})


def _as_json(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value.decode()
