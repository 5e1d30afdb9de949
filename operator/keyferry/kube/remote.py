"""API servers as somebody else than the operator: `clusters.Clusters` on the operator's own HTTP client.

This cluster is told by the operator's own configuration, and asked at the operator's own address. Those who ask
the same server share its connections.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import msgspec

from keyferry.clusters import ClusterTarget
from keyferry.core.addresses import AddressPolicy
from keyferry.kube.config import ClusterConfig
from keyferry.kube.remote_api import Pool, RemoteApi
from keyferry.kube.remote_secrets import Gate, RemoteKube

OWN_NAMES: Final = frozenset(
    f"kubernetes{rest}" for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local")
)
"""Names of an API server in its own cluster."""
_HTTPS_PORT: Final = 443

_Origin = tuple[str, int, str]
"""Host, port and path."""


class RemoteClusters:
    """See the module's docstring. One per process.

    Args:
        own: how the operator reaches its own API server.
        addresses: what may be connected to elsewhere.
    """

    def __init__(self, own: ClusterConfig, addresses: AddressPolicy) -> None:
        self._own = own
        self._addresses = addresses
        self._pools: dict[str, Pool] = {}
        self._gate = Gate()

    def is_own(self, url: str) -> bool:
        """See `clusters.Clusters.is_own`."""
        origin = _origin(url)
        if origin is None:
            return False
        by_name = origin[0] in OWN_NAMES and origin[1:] == (_HTTPS_PORT, "")
        return by_name or origin == _origin(self._own.server)

    async def connect(self, target: ClusterTarget) -> RemoteKube:
        """See `clusters.Clusters.connect`."""
        key = _key(target)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(self._config(target), target, self._addresses)
        pool.users += 1
        api = RemoteApi(pool, target.bearer)
        return RemoteKube(api, self._gate, target, functools.partial(self._release, key))

    def _config(self, target: ClusterTarget) -> ClusterConfig:
        ca_pem = target.ca_pem.decode("ascii", "replace")
        if target.server:
            return ClusterConfig(target.server, ca_pem)
        # The operator's own way there, and nothing of who it is.
        return replace(
            self._own,
            ca_pem=ca_pem or self._own.ca_pem,
            insecure=self._own.insecure and not ca_pem,
            tokens=None,
            client_certificate=None,
            basic=None,
        )

    async def _release(self, key: str) -> None:
        pool = self._pools.get(key)
        if pool is not None:
            pool.users -= 1
            if not pool.users:
                del self._pools[key]
                await pool.close()

    async def close(self) -> None:
        """See `clusters.Clusters.close`."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.close()


def _key(target: ClusterTarget) -> str:
    """By which those are told who may share connections: not by their tokens, which go with each request."""
    pair = target.certificate
    secret = (pair.certificate, pair.key.reveal()) if pair is not None else ()
    parts = (target.server, target.field, target.ca_pem, secret)
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


def _origin(url: str) -> _Origin | None:
    """Where an address leads, whatever way it is written; None where it is none that an API server has."""
    text = url.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or parts.username or parts.query or parts.fragment or not host:
        return None
    default = _HTTPS_PORT if parts.scheme == "https" else -1  # without TLS it is no name of this cluster
    return host.rstrip("."), port or default, parts.path.rstrip("/")
