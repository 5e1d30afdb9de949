"""Taking over from the reference operator: the finalizer that it puts on every ExternalSecret.

Owner references do what it is for, so it only stands in the way of deletions. It is removed when the
object is looked at, by one patch that changes nothing else. Where it is put back, the reference is alive and
serves the object too: that wakes nobody, or both would take turns for ever. A deletion does.
"""

from __future__ import annotations

import logging

from keyferry.api import names
from keyferry.errors import KubeConflict, KubeError, KubeForbidden, KubeInvalid, KubeNotFound
from keyferry.kube.client import JSON_PATCH
from keyferry.kube.finalizers import removal
from keyferry.kube.status import object_path
from keyferry.kube.watch import read_meta
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.engine import Engine

log = logging.getLogger(__name__)


async def release(engine: Engine, key: ObjectKey, record: ExternalSecretRecord) -> None:
    """Take the finalizer off, if it is there. What fails is tried at the next look."""
    if record.finalizer < 0:
        return
    same = {"op": "test", "path": "/metadata/uid", "value": record.uid}
    patch = [same, *removal({record.finalizer: names.FINALIZER_EXTERNAL_SECRET})]
    try:
        body = await engine.api.request("PATCH", object_path(key), body=patch, content_type=JSON_PATCH)
    except (KubeNotFound, KubeConflict, KubeInvalid):
        return  # it is gone, or its finalizers are others by now: the watch tells
    except KubeForbidden as error:
        log.warning("the reference operator's finalizer stays: %s", error)
        return
    except KubeError as error:
        # A webhook that nobody answers stays until somebody removes it; all else passes.
        level = logging.WARNING if "webhook" in error.message else logging.DEBUG
        log.log(level, "the reference operator's finalizer stays for now: %s", error)
        return
    record.finalizer = -1
    if not record.deleting:
        record.resource_version = read_meta(body).resource_version
    log.info("the reference operator's finalizer removed")
