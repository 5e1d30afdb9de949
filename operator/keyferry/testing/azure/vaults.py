"""Key Vault's data plane: the challenge, the token, the firewall, the permission, then the operation."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from keyferry.testing.azure import bundles
from keyferry.testing.azure.clouds import STACK
from keyferry.testing.azure.material import key_version
from keyferry.testing.azure.objects import KINDS, Item, Kind, Shelf, Version, check_name, tags_of
from keyferry.testing.azure.permissions import Operation
from keyferry.testing.azure.tokens import Grant, RefusedToken, Tokens, claims_challenge
from keyferry.testing.azure.vault import Vault, delete, purge, put_certificate, recover
from keyferry.testing.azure.wire import AzureError, Request, vault_error
from keyferry.testing.httpdouble import Answer

API_VERSIONS: Final = frozenset(
    {"2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"}
)
STACK_API_VERSIONS: Final = frozenset({"2016-10-01"})
"""Azure Stack Hub has stayed there."""
PAGE: Final = 25
MAX_VALUE_BYTES: Final = 25 * 1024


class Vaults:
    """All vaults.

    Args:
        tokens: verifies what callers bear.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.by_host: dict[tuple[str, int], Vault] = {}

    def answer(self, request: Request, vault: Vault, note: Callable[[str], None]) -> Answer:
        """The answer to a request.

        Args:
            note: is told the oid of who asks.

        Raises:
            AzureError: as Key Vault tells it.
        """
        grant = self._authenticate(request, vault)
        note(grant.oid)
        known = STACK_API_VERSIONS if vault.tenant.cloud is STACK else API_VERSIONS
        if request.query.get("api-version") not in known:
            raise vault_error(
                400,
                "BadParameter",
                "The specified version is not recognized. Consider using the latest supported version.",
            )
        if vault.firewall:
            raise vault_error(
                403,
                "Forbidden",
                "Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1"
                f"\r\nCaller: appid={grant.client_id};oid={grant.oid};iss={vault.tenant.issuer}\r\n"
                f"Vault: {vault.name};location=westeurope",
                "ForbiddenByFirewall",
            )
        _throttle(vault)
        return _Desk(vault, request, grant).answer()

    def _authenticate(self, request: Request, vault: Vault) -> Grant:
        tenant = vault.tenant
        resource = vault.challenge_resource or tenant.cloud.vault_resource
        challenge = f'Bearer authorization="{vault.login}/{tenant.id}", resource="{resource}"'
        challenge = vault.raw_challenge or challenge
        if not request.bearer:
            raise _unauthorized(challenge, "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            return self._tokens.verify(request.bearer, (tenant.cloud.vault_resource,), tenant.issuer)
        except RefusedToken as refused:
            why, found = refused.why, refused.found
        match why:
            case "audience":
                text = f"AKV10022: Invalid audience. Expected {resource}, found: {found}."
            case "issuer":
                text = f"AKV10032: Invalid issuer. Expected one of {tenant.issuer}, found {found}."
            case "revoked":
                challenge += f', error="insufficient_claims", claims="{claims_challenge()}"'
                text = "AKV10151: Continuous access evaluation resulted in challenge."
            case _:
                challenge += ', error="invalid_token", error_description="AKV10001: Error validating token"'
                text = (
                    "[TokenExpired] Error validating token: 'S2S12086'."
                    if why == "expired"
                    else "AKV10001: Error validating token."
                )
        raise _unauthorized(challenge, text)


def _unauthorized(challenge: str, text: str) -> AzureError:
    return vault_error(401, "Unauthorized", text, **{"WWW-Authenticate": challenge})


def _throttle(vault: Vault) -> None:
    if vault.limit is None:
        return
    calls, seconds = vault.limit
    now = time.monotonic()
    while vault.served and vault.served[0] <= now - seconds:
        vault.served.popleft()
    if len(vault.served) >= calls:
        wait = max(1, round(vault.served[0] + seconds - now))
        raise throttled(str(wait))
    vault.served.append(now)


def throttled(retry_after: str) -> AzureError:
    """Too many calls."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return vault_error(
        429,
        "Throttled",
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
        **headers,
    )


class _Desk:
    """One request's way through a vault."""

    def __init__(self, vault: Vault, request: Request, grant: Grant) -> None:
        self._vault = vault
        self._request = request
        self._grant = grant

    def answer(self) -> Answer:
        parts = self._request.parts
        first = parts[0].lower() if parts else ""
        for kind in KINDS:
            if first == kind:
                return self._living(kind, self._request.method, parts[1:])
            if first == f"deleted{kind}":
                return self._deleted(kind, self._request.method, parts[1:])
        raise vault_error(404, "NotFound", "The resource was not found.")

    def _may(self, kind: Kind, operation: Operation, name: str = "") -> Shelf:
        self._vault.permissions.check(self._grant, self._vault.tenant.issuer, kind, operation, name)
        return self._vault.shelves[kind]

    # Living objects

    def _living(self, kind: Kind, method: str, rest: list[str]) -> Answer:
        if method == "GET":
            return self._read(kind, rest)
        match method, rest:
            case "PUT", [name] if kind == "secrets":
                return self._set(name)
            case "PUT", [name] if kind == "keys":
                self._may(kind, "import", name)
                return self._add_key(name, key_version(self._request.json().get("key") or {}))
            case "POST", [name, "create"] if kind == "keys":
                self._may(kind, "create", name)
                return self._add_key(name, key_version({}, wanted=self._request.json()))
            case "POST", [name, "import"] if kind == "certificates":
                return self._import(name)
            case "PATCH", [name] | [name, _]:
                return self._update(kind, name, rest[1] if len(rest) > 1 else "")
            case "DELETE", [name]:
                self._may(kind, "delete", name)
                return self._deleted_bundle(kind, delete(self._vault, kind, name))
        raise vault_error(405, "MethodNotAllowed", "The method is not allowed.")

    def _read(self, kind: Kind, rest: list[str]) -> Answer:
        match rest:
            case []:
                return self._list(kind, self._may(kind, "list").items())
            case [name, "versions"]:
                return self._list_versions(kind, name)
            case [name, "policy"] if kind == "certificates":
                version = self._may(kind, "get", name).version(name)
                return Answer(200, bundles.policy(self._vault.url, name, version))
            case [name] | [name, _]:
                return self._get(kind, name, rest[1] if len(rest) > 1 else "")
        raise vault_error(404, "NotFound", "The resource was not found.")

    def _get(self, kind: Kind, name: str, version: str) -> Answer:
        check_name(name)
        found = self._may(kind, "get", name).version(name, version)
        if kind == "secrets" and not found.attributes.enabled:
            # Keys and certificates are shown all the same, and a secret out of its time is read like any other.
            raise vault_error(
                403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"
            )
        return Answer(200, self._bundle(kind, self._vault.shelves[kind].find(name), found))

    def _set(self, name: str) -> Answer:
        shelf = self._may("secrets", "set", name)
        content = self._request.json()
        value = content.get("value")
        if not isinstance(value, str):
            raise vault_error(400, "BadParameter", "The specified secret value is null or is not a string.")
        if len(value.encode()) > MAX_VALUE_BYTES:
            raise vault_error(400, "BadParameter", "The specified secret value has more than 25k bytes.")
        told = {"value": value} | (
            {"contentType": content["contentType"]} if content.get("contentType") else {}
        )
        version = Version(told, tags=tags_of(content))
        version.attributes.change(content.get("attributes") or {})
        shelf.add(name, version)
        return Answer(200, self._bundle("secrets", shelf.find(name), version))

    def _add_key(self, name: str, version: Version) -> Answer:
        content = self._request.json()
        version.tags = tags_of(content)
        version.attributes.change(content.get("attributes") or {})
        shelf = self._vault.shelves["keys"]
        shelf.add(name, version)
        return Answer(200, self._bundle("keys", shelf.find(name), version))

    def _import(self, name: str) -> Answer:
        self._may("certificates", "import", name)
        content = self._request.json()
        version = put_certificate(
            self._vault,
            name,
            str(content.get("value", "")),
            password=str(content.get("pwd") or ""),
            tags=tags_of(content),
        )
        return Answer(
            200, self._bundle("certificates", self._vault.shelves["certificates"].find(name), version)
        )

    def _update(self, kind: Kind, name: str, version: str) -> Answer:
        found = self._may(kind, "update", name).version(name, version)
        content = self._request.json()
        if "tags" in content:
            found.tags = tags_of(content)
        if "contentType" in content:
            found.content["contentType"] = content["contentType"]
        found.attributes.change(content.get("attributes") or {})
        bundle = self._bundle(kind, self._vault.shelves[kind].find(name), found)
        bundle.pop("value", None)  # a change of attributes does not show it
        return Answer(200, bundle)

    # Deleted objects

    def _deleted(self, kind: Kind, method: str, rest: list[str]) -> Answer:
        match method, rest:
            case "GET", []:
                return self._list(kind, self._may(kind, "list").items(deleted=True), deleted=True)
            case "GET", [name]:
                return self._deleted_bundle(kind, self._may(kind, "get", name).find_deleted(name))
            case "POST", [name, "recover"]:
                self._may(kind, "recover", name)
                item = recover(self._vault, kind, name)
                bundle = self._bundle(kind, item, item.current)
                bundle.pop("value", None)
                return Answer(200, bundle)
            case "DELETE", [name]:
                self._may(kind, "purge", name)
                purge(self._vault, kind, name)
                return Answer(204)
        raise vault_error(405, "MethodNotAllowed", "The method is not allowed.")

    def _deleted_bundle(self, kind: Kind, item: Item) -> Answer:
        bundle = self._bundle(kind, item, item.current) | bundles.deletion(self._vault.url, kind, item)
        bundle.pop("value", None)
        return Answer(200, bundle)

    # Lists

    def _list(self, kind: Kind, items: list[Item], *, deleted: bool = False) -> Answer:
        url = self._vault.url
        entries = []
        for item in items:
            entry = bundles.entry(url, kind, item, item.current, versioned=False)
            entries.append(
                (item.name.lower(), entry | (bundles.deletion(url, kind, item) if deleted else {}))
            )
        return self._page(entries)

    def _list_versions(self, kind: Kind, name: str) -> Answer:
        # In the order of their ids, which says nothing about their age.
        item = self._may(kind, "list").find(name)
        ordered = sorted(item.versions, key=lambda version: version.id)
        url = self._vault.url
        return self._page([(one.id, bundles.entry(url, kind, item, one, versioned=True)) for one in ordered])

    def _page(self, entries: list[tuple[str, dict[str, Any]]]) -> Answer:
        """At most 25, and a link to what follows."""
        query = self._request.query
        wanted = query.get("maxresults", str(PAGE))
        if not wanted.isdigit() or not 1 <= int(wanted) <= PAGE:
            raise vault_error(400, "BadParameter", f"maxresults must be between 1 and {PAGE}.")
        after = _decoded(query.get("$skiptoken", ""))
        if self._vault.endless or (self._vault.sparse and not after):
            return Answer(200, {"value": [], "nextLink": self._next(" ", wanted)})
        left = [(name, entry) for name, entry in entries if name > after.strip() or not after.strip()]
        page = left[: int(wanted)]
        more = self._next(page[-1][0], wanted) if len(left) > len(page) else None
        return Answer(200, {"value": [entry for _, entry in page], "nextLink": more})

    def _next(self, after: str, wanted: str) -> str:
        # With the port, as Key Vault writes it.
        token = base64.urlsafe_b64encode(after.encode()).decode()
        version = self._request.query.get("api-version", "")
        host = self._vault.next_host or f"{self._vault.host}:{self._vault.port}"
        where = f"https://{host}{self._request.path}"
        return f"{where}?api-version={version}&$skiptoken={token}&maxresults={wanted}"

    def _bundle(self, kind: Kind, item: Item, version: Version) -> dict[str, Any]:
        return bundles.bundle(self._vault.url, kind, item, version)


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise vault_error(400, "BadParameter", "The skiptoken is not valid.") from None


def headers_of(request: Request) -> dict[str, str]:
    """The headers that every answer of a vault has."""
    headers = {
        "x-ms-keyvault-region": "westeurope",
        "x-ms-keyvault-service-version": "1.9.2784.1",
        "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
        "x-ms-request-id": str(uuid.uuid4()),
        "Date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    if "x-ms-client-request-id" in request.headers:
        headers["x-ms-client-request-id"] = request.headers["x-ms-client-request-id"]
    return headers
