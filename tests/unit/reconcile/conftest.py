"""Bodies as kopf hands them over, and an engine for them.

The bodies are dictionaries fresh from JSON, sharing nothing with each other.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from keyferry.core.summarize import timestamp
from keyferry.kube.access import KubeAccess
from keyferry.kube.client import KubeApi
from keyferry.kube.events import EventRecorder
from keyferry.planner.planner import Planner
from keyferry.ports import ObjectKey
from keyferry.providers.fake import FakeProvider
from keyferry.reconcile.books import Books, ExternalSecretRecord
from keyferry.reconcile.engine import Engine, Settings
from keyferry.reconcile.queue import Lane, WorkQueue
from keyferry.reconcile.secret_store import outage_ended
from keyferry.testing.clock import FakeClock

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


@dataclass(frozen=True)
class Bench:
    """An engine on a scripted API server, at a time that stands still, with the fake provider."""

    engine: Engine
    clock: FakeClock
    key: ObjectKey
    record: ExternalSecretRecord

    def change_settings(self, **changes: Any) -> None:
        self.engine.settings = dataclasses.replace(self.engine.settings, **changes)

    async def taken(self) -> list[tuple[ObjectKey, Lane]]:
        """The keys that wait, in their order; none of them is done."""
        found = []
        while any(self.engine.queue.depth(lane) for lane in Lane):
            claim = await self.engine.queue.take()
            found.append((claim.key, claim.lane))
        return found

    def due_in(self, key: ObjectKey | None = None) -> float | None:
        """In how many seconds the key is due; None for never."""
        due = self.engine.queue.due_at(key or self.key)
        return None if due is None else due - self.engine.queue.now()


@pytest.fixture
async def bench(
    open_api: Callable[..., KubeApi], external_secret: Callable[..., dict[str, Any]]
) -> AsyncIterator[Bench]:
    """One ExternalSecret is known: `orders-0` in `team-0`, in sync since noon."""
    clock, api, books = FakeClock(), open_api(), Books()
    access = KubeAccess(api)
    queue = WorkQueue(8, clock.monotonic)
    providers = {"fake": FakeProvider()}
    engine = Engine(
        settings=Settings(),
        clock=clock,
        api=api,
        access=access,
        books=books,
        queue=queue,
        planner=Planner(providers, access, recovered=lambda store: outage_ended(engine, store)),
        events=EventRecorder(api, lambda: True),
        providers=providers,
        random=random.Random(1),
    )
    body = external_secret(status__refreshTime=timestamp(clock.now()))
    key = ObjectKey("ExternalSecret", body["metadata"]["namespace"], body["metadata"]["name"])
    books.note_external_secret(key, body)
    books.policies.listed()
    yield Bench(engine, clock, key, books.external_secrets[key])
    queue.close()
    await engine.planner.close()
    engine.heavy.close()
