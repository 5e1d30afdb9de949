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

from keyferry.errors import ForbiddenError, KubeForbidden, KubeNotFound, NotReadyError
from keyferry.kube.client import KubeApi
from keyferry.kube.watch import read_meta
from keyferry.ports import BoundToken, ObjectKey, SecretObject, ServiceAccountObject
from keyferry.secretdata import SecretBytes, SecretData


class _TokenStatus(msgspec.Struct, rename="camel"):
    token: str
    expiration_timestamp: datetime


class _TokenRequest(msgspec.Struct):
    status: _TokenStatus


_TOKEN: Final = msgspec.json.Decoder(_TokenRequest)
WELL_KNOWN_AUDIENCES: Final = frozenset(
    scheme + host
    for scheme in ("", "https://")
    for host in (
        "api",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )
)
"""Audiences that API servers usually accept, for the case that this one's cannot be learnt."""
MIN_TOKEN_LIFETIME_S: Final = 600
"""The API server issues no shorter ones (TokenRequest API)."""


class KubeAccess:
    """See the module's docstring.

    Args:
        api: the connection.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._api_audiences: frozenset[str] | None = None
        self.token_requests = 0
        """Tokens asked for so far."""

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        """See `ports.ClusterAccess.read_secret`."""
        document = await self._read("secrets", "Secret", namespace, name)
        data = {k: SecretBytes(base64.b64decode(v)) for k, v in (document.get("data") or {}).items()}
        metadata = document["metadata"]
        labels = metadata.get("labels") or {}
        return SecretObject(metadata["uid"], metadata["resourceVersion"], SecretData(data), labels)

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """See `ports.ClusterAccess.read_config_map`."""
        document = await self._read("configmaps", "ConfigMap", namespace, name)
        return document.get("data") or {}

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        """See `ports.ClusterAccess.read_service_account`."""
        metadata = (await self._read("serviceaccounts", "ServiceAccount", namespace, name))["metadata"]
        return ServiceAccountObject(
            metadata["uid"], metadata.get("annotations") or {}, metadata["resourceVersion"]
        )

    async def _read(self, plural: str, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
        try:
            document: Mapping[str, Any] = await self._api.read(
                f"/api/v1/namespaces/{namespace}/{plural}/{name}"
            )
        except KubeNotFound as error:
            raise KubeNotFound(
                f'{kind} "{namespace}/{name}" does not exist',
                status=404,
                hint="Create it, or correct the reference",
            ) from error
        return document

    async def read_namespace_labels(self, name: str) -> Mapping[str, str]:
        """A namespace's labels, where they are not watched.

        Raises:
            KubeError: it does not exist or may not be read.
        """
        body = await self._api.request("GET", f"/api/v1/namespaces/{name}")
        return read_meta(body).labels or {}

    async def own_account(self) -> ObjectKey:
        """See `ports.ClusterAccess.own_account`."""
        _, _, subject = self._api.token_subject().partition("system:serviceaccount:")
        namespace, _, name = subject.partition(":")
        if not name:
            raise NotReadyError(
                "the operator does not run as a ServiceAccount, so that it has no identity of its own to show",
                hint="Run it in the cluster, or name a ServiceAccount in the store",
            )
        return ObjectKey("ServiceAccount", namespace, name)

    async def request_token(
        self,
        namespace: str,
        name: str,
        audiences: Sequence[str],
        lifetime_s: int,
        *,
        api_server: bool = False,
    ) -> BoundToken:
        """See `ports.ClusterAccess.request_token`.

        A token that the API server itself would accept is never asked for unless the caller knows that it
        goes to nobody else: it would let a store act as the ServiceAccount.
        """
        if not api_server:
            await self._check_audiences(audiences)
        self.token_requests += 1
        spec = {"audiences": list(audiences), "expirationSeconds": max(lifetime_s, MIN_TOKEN_LIFETIME_S)}
        body = await self._api.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        status = _TOKEN.decode(body).status
        return BoundToken(SecretBytes(status.token), status.expiration_timestamp)

    async def _check_audiences(self, audiences: Sequence[str]) -> None:
        if not audiences:
            # The API server would put in its own.
            raise ForbiddenError("a ServiceAccount token without an audience is not given to a store")
        if self._api_audiences is None:
            self._api_audiences = WELL_KNOWN_AUDIENCES | await self._own_audiences()
        for audience in audiences:
            if audience in self._api_audiences:
                raise ForbiddenError(
                    f'audience "{audience[:200]}" is the API server\'s own: a token for it is not given to a store',
                    hint="Remove it from serviceAccountRef.audiences and from the ServiceAccount's annotations",
                )

    async def _own_audiences(self) -> frozenset[str]:
        """What this API server accepts: its issuer, and the audiences of the token that we use ourselves.

        Raises:
            KubeError: it could not be asked; without its answer no token is asked for either.
        """
        found = set(self._api.token_audiences())
        try:
            discovery = orjson.loads(await self._api.request("GET", "/.well-known/openid-configuration"))
        except (KubeNotFound, KubeForbidden):
            return frozenset(found)  # switched off, or not for us; the well-known names still hold
        issuer = discovery.get("issuer") if isinstance(discovery, dict) else None
        return frozenset(found | ({issuer} if isinstance(issuer, str) else set()))
