"""Every ten minutes: does the API server have the objects that we have? Closes the gaps of any watch.

Metadata only, in pages. An object that we have and the server has not is forgotten (kopf tells of no
deletion that falls into a relist); one that we lack or that has another generation is read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import orjson

from keyferry.api import names
from keyferry.errors import KubeError, KubeNotFound
from keyferry.kube.listing import list_metadata
from keyferry.kube.status import PLURALS, object_path
from keyferry.kube.watch import Change
from keyferry.ports import ObjectKey
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.observe import Observer

log = logging.getLogger(__name__)

INTERVAL_S: Final = 600.0


async def run_resync(engine: Engine, observer: Observer, kinds: list[str], interval_s: float) -> None:
    """Compare all kinds again and again, until cancelled."""
    while True:
        await asyncio.sleep(interval_s * engine.random.uniform(0.9, 1.1))
        for kind in kinds:
            try:
                await resync(engine, observer, kind)
            except KubeError as error:
                log.warning("resync of %s failed: %s", kind, error)


async def resync(engine: Engine, observer: Observer, kind: str) -> None:
    """Compare one kind.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    records = engine.books.external_secrets if kind == names.EXTERNAL_SECRET else engine.books.stores
    before = {key for key in records if key.kind == kind}
    found: set[ObjectKey] = set()
    async for meta in list_metadata(engine.api, collection_path(kind, engine.settings.namespace)):
        key = ObjectKey(kind, meta.namespace, meta.name)
        found.add(key)
        record = records.get(key)
        if record is None or (record.uid, record.generation) != (meta.uid, meta.generation):
            await reread(engine, observer, key)
    for key in before - found:
        if await reread(engine, observer, key):
            continue
        log.info("%s is gone, and no watch had told", key)


async def reread(engine: Engine, observer: Observer, key: ObjectKey) -> bool:
    """Read one object and take it over, or forget it; whether it is there."""
    try:
        body = orjson.loads(await engine.api.request("GET", object_path(key)))
    except KubeNotFound:
        gone = {"metadata": {"namespace": key.namespace, "name": key.name}}
        observer.resource(key.kind, Change.GONE, gone)
        return False
    observer.resource(key.kind, Change.SET, body)
    return True


def collection_path(kind: str, namespace: str) -> str:
    """Where all objects of a kind are listed, in one namespace or in all."""
    scope = f"/namespaces/{namespace}" if namespace and kind != names.CLUSTER_SECRET_STORE else ""
    return f"/apis/{names.API_VERSION}{scope}/{PLURALS[kind]}"
