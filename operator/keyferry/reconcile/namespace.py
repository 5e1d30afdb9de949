"""One Namespace: take off what the reference operator left on it.

Its ClusterExternalSecrets put a finalizer on every namespace that they write into. Owner references do what
it is for, and a namespace that keeps it can never be deleted once that operator is gone.
"""

from __future__ import annotations

import logging
from typing import Final

from keyferry.api import names
from keyferry.errors import KubeError, KubeForbidden, KubeNotFound
from keyferry.kube.finalizers import drop_finalizers
from keyferry.kube.watch import ObjectMeta
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Claim, Lane

log = logging.getLogger(__name__)

NAMESPACE: Final = "Namespace"
RETRY_S: Final = 60.0
FORBIDDEN_S: Final = 1800.0
"""Where the right is missing, it is so for all namespaces of the cluster, and rarely given the next minute."""


def is_held(meta: ObjectMeta) -> bool:
    """Whether a namespace carries such a finalizer."""
    return any(map(_is_unwanted, meta.finalizers or ()))


def _is_unwanted(finalizer: str) -> bool:
    return finalizer.startswith(names.FINALIZER_NAMESPACE_PREFIX)


async def reconcile_namespace(engine: Engine, claim: Claim) -> None:
    """Take the finalizers off, whether or not the namespace or their ClusterExternalSecret is ending."""
    name = claim.key.name
    try:
        dropped = await drop_finalizers(engine.api, f"/api/v1/namespaces/{name}", _is_unwanted)
    except KubeNotFound:
        return
    except KubeError as error:
        known = logging.DEBUG if claim.lane is Lane.RETRY else logging.WARNING
        log.log(known, "the reference operator's finalizers stay on the namespace: %s", error)
        pause = RETRY_S
        if isinstance(error, KubeForbidden):
            pause = FORBIDDEN_S * (1 + engine.random.random())
        engine.queue.schedule(claim.key, engine.queue.now() + pause, Lane.RETRY)
        return
    if dropped:
        log.info("removed from the namespace: %s", ", ".join(dropped))
