"""Every ten minutes: does the API server have the objects that we have? Closes the gaps of any watch.

Metadata only, in pages. An object that we have and the server has not is forgotten (kopf tells of no
deletion that falls into a relist); one that we lack or have in another version is read. Where a gap is
known of, `soon` brings the comparison forward.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

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
_RETRY_S: Final = 10.0


class Resync:
    """Compares, for ever.

    Args:
        engine: the books and the API server to compare.
        observer: told of what differs.
        kinds: what to compare.
        interval_s: how often, give or take a tenth.
    """

    def __init__(self, engine: Engine, observer: Observer, kinds: list[str], interval_s: float) -> None:
        self._engine = engine
        self._observer = observer
        self._kinds = kinds
        self._interval_s = interval_s
        self._asked: set[str] = set()
        self._wake = asyncio.Event()

    def soon(self, kind: str) -> None:
        """Compare a kind now: something may have been missed."""
        self._asked.add(kind)
        self._wake.set()

    async def run(self) -> None:
        """Compare all kinds again and again, until cancelled; what fails is tried again after 10 s."""
        failed: set[str] = set()
        while True:
            pause_s = _RETRY_S if failed else self._interval_s
            try:
                async with asyncio.timeout(pause_s * self._engine.random.uniform(0.9, 1.1)):
                    await self._wake.wait()
            except TimeoutError:
                kinds = failed or set(self._kinds)
            else:
                kinds = failed | self._asked
            self._asked.clear()
            self._wake.clear()
            failed = {kind for kind in self._kinds if kind in kinds and not await self._compare(kind)}

    async def _compare(self, kind: str) -> bool:
        try:
            await resync(self._engine, self._observer, kind)
        except KubeError as error:
            log.warning("resync of %s failed: %s", kind, error)
            return False
        except Exception:
            log.exception("a bug in Keyferry")
            return False
        return True


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
        # The version, not the generation: that of labels and annotations stays the same.
        if record is None or (record.uid, record.resource_version) != (meta.uid, meta.resource_version):
            await reread(engine, observer, key)
    for key in before - found:
        if key not in records or await reread(engine, observer, key):
            continue
        log.info("%s is gone, and no watch had told", key)


async def reread(engine: Engine, observer: Observer, key: ObjectKey) -> bool:
    """Read one object and take it over, or forget it; whether it is there.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    try:
        body = await engine.api.read(object_path(key))
    except KubeNotFound:
        gone = {"metadata": {"namespace": key.namespace, "name": key.name}}
        observer.resource(key.kind, Change.GONE, gone)
        return False
    observer.resource(key.kind, Change.SET, body, read=True)
    return True


def collection_path(kind: str, namespace: str) -> str:
    """Where all objects of a kind are listed, in one namespace or in all."""
    scope = f"/namespaces/{namespace}" if namespace and kind != names.CLUSTER_SECRET_STORE else ""
    return f"/apis/{names.API_VERSION}{scope}/{PLURALS[kind]}"
