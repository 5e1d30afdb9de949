"""`ports.ClusterAccess` on the real cluster: auth material for providers.

Answers are not cached: the planner asks once per identity, and again when a watch tells of a change.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson

from keyferry.errors import KubeNotFound
from keyferry.kube.client import KubeApi
from keyferry.kube.watch import ObjectMeta
from keyferry.ports import BoundToken, SecretObject, ServiceAccountObject
from keyferry.secretdata import SecretBytes, SecretData


class _TokenStatus(msgspec.Struct, rename="camel"):
    token: str
    expiration_timestamp: datetime


class _TokenRequest(msgspec.Struct):
    status: _TokenStatus


class _Bare(msgspec.Struct):
    metadata: ObjectMeta


_TOKEN: Final = msgspec.json.Decoder(_TokenRequest)
_BARE: Final = msgspec.json.Decoder(_Bare)
MIN_TOKEN_LIFETIME_S: Final = 600
"""The API server issues no shorter ones (TokenRequest API)."""


class KubeAccess:
    """See the module's docstring.

    Args:
        api: the connection.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        """See `ports.ClusterAccess.read_secret`."""
        document = await self._read("secrets", "Secret", namespace, name)
        data = {k: SecretBytes(base64.b64decode(v)) for k, v in (document.get("data") or {}).items()}
        metadata = document["metadata"]
        return SecretObject(metadata["uid"], metadata["resourceVersion"], SecretData(data))

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """See `ports.ClusterAccess.read_config_map`."""
        document = await self._read("configmaps", "ConfigMap", namespace, name)
        return document.get("data") or {}

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        """See `ports.ClusterAccess.read_service_account`."""
        metadata = (await self._read("serviceaccounts", "ServiceAccount", namespace, name))["metadata"]
        return ServiceAccountObject(metadata["uid"], metadata.get("annotations") or {})

    async def _read(self, plural: str, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
        try:
            body = await self._api.request("GET", f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        except KubeNotFound as error:
            raise KubeNotFound(
                f'{kind} "{namespace}/{name}" does not exist',
                status=404,
                hint="Create it, or correct the reference",
            ) from error
        document: Mapping[str, Any] = orjson.loads(body)
        return document

    async def read_namespace_labels(self, name: str) -> Mapping[str, str]:
        """A namespace's labels, where they are not watched.

        Raises:
            KubeError: it does not exist or may not be read.
        """
        body = await self._api.request("GET", f"/api/v1/namespaces/{name}")
        return _BARE.decode(body).metadata.labels or {}

    async def request_token(
        self, namespace: str, name: str, audiences: Sequence[str], lifetime_s: int
    ) -> BoundToken:
        """See `ports.ClusterAccess.request_token`."""
        spec = {"audiences": list(audiences), "expirationSeconds": max(lifetime_s, MIN_TOKEN_LIFETIME_S)}
        body = await self._api.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        status = _TOKEN.decode(body).status
        return BoundToken(SecretBytes(status.token), status.expiration_timestamp)
