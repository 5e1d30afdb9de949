"""The engines for key/value secrets, versions 1 and 2, as far as they are read, listed, written and deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from keyferry.testing.vault.front import Response
from keyferry.testing.vaultdouble.answers import Asked, Refusal, document

DEFAULT_LEASE_S: Final = 2_764_800
_WRONG_FORM: Final = (
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. "
    "If using the Vault CLI, use 'vault kv {}' for this operation."
)
_VERBS: Final = {"read": "get", "list": "list", "update": "put", "patch": "patch", "delete": "delete"}


class KvV1:
    """Version 1: a path and its fields."""

    version = 1

    def __init__(self) -> None:
        self._secrets: dict[str, dict[str, Any]] = {}

    def answer(self, asked: Asked) -> Response:
        """What the engine answers."""
        match asked.operation:
            case "read":
                if asked.path not in self._secrets:
                    raise Refusal(404)
                return document(self._secrets[asked.path], lease_s=DEFAULT_LEASE_S, mount="kv")
            case "list":
                return listed(self._secrets, asked.path)
            case "update":
                if not asked.body:
                    raise Refusal(400, "missing data fields")
                self._secrets[asked.path] = asked.body
                return Response(204)
            case "delete":
                self._secrets.pop(asked.path, None)
                return Response(204)
        raise Refusal(405, "1 error occurred:\n\t* unsupported operation\n\n")

    def exists(self, path: str) -> bool:
        """Whether there is something at a path: a write there is an update."""
        return path in self._secrets


@dataclass(slots=True)
class Version:
    """One version of a secret."""

    data: dict[str, Any] | None
    created: str
    deleted: str = ""
    destroyed: bool = False


@dataclass(slots=True)
class Versioned:
    """A secret with its versions, by number."""

    created: str
    updated: str
    versions: dict[int, Version] = field(default_factory=dict)
    custom: dict[str, str] | None = None
    cas_required: bool = False
    max_versions: int = 0

    @property
    def current(self) -> int:
        """The number of the newest version; 0 for none."""
        return max(self.versions, default=0)


class KvV2:
    """Version 2: `data`, `metadata`, `delete`, `undelete`, `destroy` below the mount."""

    version = 2

    def __init__(self) -> None:
        self._secrets: dict[str, Versioned] = {}

    def answer(self, asked: Asked) -> Response:
        """What the engine answers."""
        part, _, key = asked.path.partition("/")
        below = Asked(asked.operation, key, asked.query, asked.body)
        if part == "metadata":
            return self._metadata(below)
        if key and part == "data":
            return self._data(below)
        if key and part in {"delete", "undelete", "destroy"} and asked.operation == "update":
            return self._change(part, below)
        warning = _WRONG_FORM.format(_VERBS[asked.operation])
        return document(status=404, warnings=[warning])

    def exists(self, path: str) -> bool:
        """Whether there is something at a path: a write there is an update."""
        return path.partition("/")[2] in self._secrets

    def _data(self, asked: Asked) -> Response:
        if asked.operation == "read":
            return self._read(asked)
        if asked.operation == "update":
            return self._write(asked.path, asked.body)
        if asked.operation == "delete":
            secret = self._secrets.get(asked.path)
            if secret is not None and secret.current:
                secret.versions[secret.current].deleted = _now()
            return Response(204)
        raise Refusal(405, "1 error occurred:\n\t* unsupported operation\n\n")

    def _read(self, asked: Asked) -> Response:
        secret = self._secrets.get(asked.path)
        wanted = asked.query.get("version", "0") or "0"
        if not wanted.lstrip("-").isdigit():
            raise Refusal(
                400, f'Field validation failed: error converting input {wanted} for field "version"'
            )
        number = int(wanted) or (secret.current if secret else 0)
        if secret is None or number not in secret.versions:
            raise Refusal(404)
        version = secret.versions[number]
        gone = bool(version.deleted) or version.destroyed
        told = {"data": None if gone else version.data, "metadata": _told(number, version, secret.custom)}
        return document(told, status=404) if gone else document(told, mount="kv")

    def _write(self, key: str, body: dict[str, Any]) -> Response:
        if not isinstance(body.get("data"), dict):
            raise Refusal(400, "no data provided")
        now = _now()
        secret = self._secrets.get(key) or Versioned(now, now)
        cas = (body.get("options") or {}).get("cas")
        if cas is None and secret.cas_required:
            raise Refusal(400, "check-and-set parameter required for this call")
        if cas is not None and int(cas) != secret.current:
            raise Refusal(400, "check-and-set parameter did not match the current version")
        self._secrets[key] = secret
        number = secret.current + 1
        secret.versions[number] = version = Version(dict(body["data"]), now)
        secret.updated = now
        for old in sorted(secret.versions)[: -(secret.max_versions or 10)]:
            del secret.versions[old]
        return document(_told(number, version, secret.custom), mount="kv")

    def _change(self, part: str, asked: Asked) -> Response:
        numbers = [int(number) for number in asked.body.get("versions") or []]
        if not numbers:
            raise Refusal(400, "No version number provided")
        secret = self._secrets.get(asked.path)
        for number in numbers:
            version = secret.versions.get(number) if secret else None
            if version is None or version.destroyed:
                continue
            if part == "delete":
                version.deleted = version.deleted or _now()
            elif part == "undelete":
                version.deleted = ""
            else:
                version.destroyed, version.data = True, None
        return Response(204)

    def _metadata(self, asked: Asked) -> Response:
        secret = self._secrets.get(asked.path)
        match asked.operation:
            case "list":
                return listed(self._secrets, asked.path)
            case "read":
                if secret is None:
                    raise Refusal(404)
                return document(_metadata_of(secret), mount="kv")
            case "update":
                now = _now()
                secret = self._secrets.setdefault(asked.path, Versioned(now, now))
                if "custom_metadata" in asked.body:
                    secret.custom = asked.body["custom_metadata"]
                secret.cas_required = asked.body.get("cas_required", secret.cas_required)
                secret.max_versions = asked.body.get("max_versions", secret.max_versions)
                return Response(204)
            case "delete":
                self._secrets.pop(asked.path, None)
                return Response(204)
        raise Refusal(405, "1 error occurred:\n\t* unsupported operation\n\n")


Engine = KvV1 | KvV2


def listed(secrets: dict[str, Any], path: str) -> Response:
    """Names and folders right below a path.

    Raises:
        Refusal: there are none.
    """
    folder = f"{path.rstrip('/')}/" if path.strip("/") else ""
    below = [key.removeprefix(folder) for key in secrets if key.startswith(folder)]
    names = {name + ("/" if slash else "") for name, slash, _ in (key.partition("/") for key in below)}
    if not names:
        raise Refusal(404)
    return document({"keys": sorted(names)}, mount="kv")


def _metadata_of(secret: Versioned) -> dict[str, Any]:
    return {
        "cas_required": secret.cas_required,
        "created_time": secret.created,
        "current_version": secret.current,
        "custom_metadata": secret.custom,
        "delete_version_after": "0s",
        "max_versions": secret.max_versions,
        "oldest_version": 0,
        "updated_time": secret.updated,
        "versions": {str(number): _state(version) for number, version in secret.versions.items()},
    }


def _state(version: Version) -> dict[str, Any]:
    return {
        "created_time": version.created,
        "deletion_time": version.deleted,
        "destroyed": version.destroyed,
    }


def _told(number: int, version: Version, custom: dict[str, str] | None) -> dict[str, Any]:
    return {**_state(version), "custom_metadata": custom, "version": number}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
