"""A cluster as providers and generators see it, in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from keyferry.api import names
from keyferry.errors import ForbiddenError, KubeNotFound, NotReadyError
from keyferry.ports import BoundToken, ObjectKey, SecretObject, ServiceAccountObject
from keyferry.secretdata import SecretBytes, SecretData

if TYPE_CHECKING:
    from keyferry.ports import ClusterAccess

T = TypeVar("T")


class Cluster:
    """`ports.ClusterAccess` in memory. Every write gives an object a new version, like the API server."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], SecretObject] = {}
        self.config_maps: dict[tuple[str, str], dict[str, str]] = {}
        self.service_accounts: dict[tuple[str, str], ServiceAccountObject] = {}
        self.tokens: list[tuple[str, str, tuple[str, ...], int]] = []
        """(namespace, name, audiences, lifetime) of the tokens that were asked for."""
        self.issue: Callable[[str, Sequence[str]], str] = lambda subject, audiences: "no token"  # noqa: ARG005
        """Makes a token for (subject, audiences)."""
        self.own: tuple[str, str] | None = ("keyferry", "keyferry")
        """Namespace and name of the operator's own ServiceAccount, if it has one."""
        self.audience = "https://kubernetes.default.svc"
        """The API server's own."""
        self._version = 0

    def put_secret(self, namespace: str, name: str, **data: str | bytes) -> None:
        """Create a Secret, or change it."""
        before = self.secrets.get((namespace, name))
        self._version += 1
        uid = before.uid if before else str(uuid.uuid4())
        labels = before.labels if before else {}
        self.secrets[namespace, name] = SecretObject(uid, str(self._version), SecretData(data), labels)

    def label_secret(self, namespace: str, name: str, **labels: str) -> None:
        """Give a Secret these labels and no others: `type` is that of webhooks."""
        self._version += 1
        named = {{"type": names.LABEL_TYPE}.get(key, key): value for key, value in labels.items()}
        before = self.secrets[namespace, name]
        self.secrets[namespace, name] = replace(before, resource_version=str(self._version), labels=named)

    def put_config_map(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Create a ConfigMap, or change it."""
        self.config_maps[namespace, name] = dict(data)

    def put_service_account(self, namespace: str, name: str, **annotations: str) -> None:
        """Create a ServiceAccount, or change it: `role` and `audience` of AWS, `client` and `tenant` of Azure."""
        known = {
            "role": "eks.amazonaws.com/role-arn",
            "audience": "eks.amazonaws.com/audience",
            "client": "azure.workload.identity/client-id",
            "tenant": "azure.workload.identity/tenant-id",
        }
        before = self.service_accounts.get((namespace, name))
        uid = before.uid if before else str(uuid.uuid4())
        values = {known[key]: value for key, value in annotations.items()}
        self.service_accounts[namespace, name] = ServiceAccountObject(uid, values)

    async def read_secret(self, namespace: str, name: str) -> SecretObject:
        """See `ports.ClusterAccess.read_secret`."""
        return _found(self.secrets, "Secret", namespace, name)

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """See `ports.ClusterAccess.read_config_map`."""
        return _found(self.config_maps, "ConfigMap", namespace, name)

    async def read_service_account(self, namespace: str, name: str) -> ServiceAccountObject:
        """See `ports.ClusterAccess.read_service_account`."""
        return _found(self.service_accounts, "ServiceAccount", namespace, name)

    async def own_account(self) -> ObjectKey:
        """See `ports.ClusterAccess.own_account`."""
        if self.own is None:
            raise NotReadyError("the operator does not run as a ServiceAccount")
        return ObjectKey("ServiceAccount", *self.own)

    async def request_token(
        self,
        namespace: str,
        name: str,
        audiences: Sequence[str],
        lifetime_s: int,
        *,
        api_server: bool = False,
    ) -> BoundToken:
        """See `ports.ClusterAccess.request_token`."""
        if not (api_server or audiences) or (not api_server and self.audience in audiences):
            raise ForbiddenError("a token that the API server would accept is not given to a store")
        audiences = audiences or (self.audience,)
        _found(self.service_accounts, "ServiceAccount", namespace, name)
        self.tokens.append((namespace, name, tuple(audiences), lifetime_s))
        token = self.issue(f"system:serviceaccount:{namespace}:{name}", audiences)
        return BoundToken(SecretBytes(token), datetime.now(UTC) + timedelta(seconds=lifetime_s))


def _found(objects: Mapping[tuple[str, str], T], kind: str, namespace: str, name: str) -> T:
    if (namespace, name) not in objects:
        raise KubeNotFound(f'{kind} "{namespace}/{name}" does not exist', status=404)
    return objects[namespace, name]


if TYPE_CHECKING:
    _: ClusterAccess = Cluster()
