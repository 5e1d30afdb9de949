"""Bodies as kopf hands them over: dictionaries fresh from JSON, sharing nothing with each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

FIELDS = {
    "f:spec": {
        ".": {},
        "f:data": {},
        "f:refreshInterval": {},
        "f:secretStoreRef": {".": {}, "f:kind": {}, "f:name": {}},
        "f:target": {".": {}, "f:creationPolicy": {}, "f:deletionPolicy": {}, "f:name": {}},
    }
}
STATUS_FIELDS = {
    "f:status": {"f:binding": {}, "f:conditions": {}, "f:refreshTime": {}, "f:syncedResourceVersion": {}}
}


@pytest.fixture
def external_secret() -> Callable[..., dict[str, Any]]:
    """Makes a typical ExternalSecret in sync; see `_external_secret`."""
    return _external_secret


def _external_secret(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A typical ExternalSecret in sync, with all that the API server puts in.

    Args:
        number: makes name, uid and versions its own.
        changes: values by place, dots as double underscores: `metadata__generation=2`.
    """
    name, namespace = f"orders-{number}", f"team-{number % 10}"
    body: dict[str, Any] = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{number:08x}-0000-4000-8000-000000000000",
            "generation": 1,
            "resourceVersion": str(100_000 + number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop"},
            "annotations": {
                "argocd.argoproj.io/tracking-id": f"shop:external-secrets.io/ExternalSecret:{namespace}/{name}"
            },
            "managedFields": [
                _managed("argocd-controller", "Apply", FIELDS),
                _managed("keyferry", "Update", STATUS_FIELDS),
            ],
        },
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws"},
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [
                _entry(f"prod/shop/{name}", key) for key in ("username", "password", "host", "port", "name")
            ],
        },
        "status": {
            "binding": {"name": name},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "SecretSynced",
                    "message": "secret synced",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ],
            "refreshTime": "2026-01-01T00:00:00Z",
            "syncedResourceVersion": "1-" + "5f" * 28,
        },
    }
    for place, value in changes.items():
        *parents, last = place.split("__")
        part = body
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
    fresh: dict[str, Any] = json.loads(json.dumps(body))
    return fresh


def _managed(manager: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "external-secrets.io/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _entry(key: str, property_: str) -> dict[str, Any]:
    return {
        "secretKey": property_,
        "remoteRef": {
            "key": key,
            "property": property_,
            "conversionStrategy": "Default",
            "decodingStrategy": "None",
            "metadataPolicy": "None",
            "nullBytePolicy": "Ignore",
        },
    }
