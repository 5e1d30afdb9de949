"""Objects of a vault as they go over the wire."""

from __future__ import annotations

from typing import Any, Final

from keyferry.testing.azure.objects import RECOVERABLE_DAYS, Item, Kind, Version

_DAY_S: Final = 86400


def bundle(url: str, kind: Kind, item: Item, version: Version) -> dict[str, Any]:
    """An object with all that belongs to it."""
    where = f"{url}/{kind}/{item.name}/{version.id}"
    shared: dict[str, Any] = {"attributes": version.attributes.document()}
    if version.tags:
        shared["tags"] = version.tags
    if item.managed:
        shared["managed"] = True
    if kind == "secrets":
        return {**version.content, "id": where, **shared}
    if kind == "keys":
        return {"key": {"kid": where, **version.content}, **shared}
    return {
        "id": where,
        "kid": f"{url}/keys/{item.name}/{version.id}",
        "sid": f"{url}/secrets/{item.name}/{version.id}",
        "x5t": version.content["x5t"],
        "cer": version.content["cer"],
        **shared,
        "policy": policy(url, item.name, version),
    }


def policy(url: str, name: str, version: Version) -> dict[str, Any]:
    """How a certificate is made."""
    return {
        "id": f"{url}/certificates/{name}/policy",
        **version.content["policy"],
        "attributes": {
            "enabled": True,
            "created": version.attributes.created,
            "updated": version.attributes.updated,
        },
    }


def entry(url: str, kind: Kind, item: Item, version: Version, *, versioned: bool) -> dict[str, Any]:
    """An object in a list: no value, no key, no certificate."""
    where = f"{url}/{kind}/{item.name}" + (f"/{version.id}" if versioned else "")
    found: dict[str, Any] = {
        "kid" if kind == "keys" else "id": where,
        "attributes": version.attributes.document(),
        "tags": version.tags,
    }
    if item.managed:
        found["managed"] = True
    for name in ("contentType", "x5t"):
        if name in version.content:
            found[name] = version.content[name]
    return found


def deletion(url: str, kind: Kind, item: Item) -> dict[str, Any]:
    """What a deleted object has besides."""
    return {
        "recoveryId": f"{url}/deleted{kind}/{item.name}",
        "deletedDate": item.deleted,
        "scheduledPurgeDate": item.deleted + RECOVERABLE_DAYS * _DAY_S,
    }
