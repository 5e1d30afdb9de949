"""Namespaces whose Secrets are remote secrets, with Roles for who may read them: for tests of kubernetes stores."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import Object, secret, store
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.tenant import Tenant

RBAC = "rbac.authorization.k8s.io/v1"
ALL_VERBS = ("get", "list", "watch")
READER = "reader"


class Source(Tenant):
    """One who keeps Secrets in a namespace, and says who may read them.

    Args:
        kube: the client.
        namespace: where; a new one if empty, which ends with it.
    """

    def __init__(self, kube: KubeClient, namespace: str = "") -> None:
        super().__init__(kube, namespace or f"source-{secrets.token_hex(4)}")
        if not namespace:
            kube.post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def keep(self, name: str, **data: str | bytes) -> None:
        """Create a Secret."""
        self.create(secret(name, data))

    def let_read(
        self, *subjects: Object, verbs: Sequence[str] = ALL_VERBS, names: Sequence[str] = ()
    ) -> None:
        """Grant these verbs on Secrets, all or those with these names; what was granted before is over."""
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs)}
        rule |= {"resourceNames": list(names)} if names else {}
        self._apply("roles", {"metadata": {"name": READER}, "rules": [rule]})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": READER}
        self._apply(
            "rolebindings", {"metadata": {"name": READER}, "subjects": list(subjects), "roleRef": reference}
        )

    def _apply(self, plural: str, body: Object) -> None:
        kind = {"roles": "Role", "rolebindings": "RoleBinding"}[plural]
        path = path_of(RBAC, plural, namespace=self.namespace, name=body["metadata"]["name"])
        self.kube.patch(
            path, {"apiVersion": RBAC, "kind": kind, **body}, kind="apply", fieldManager="tests", force="true"
        )

    def close(self) -> None:
        """Delete the namespace."""
        self.kube.delete(path_of("v1", "namespaces", name=self.namespace))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def account(namespace: str, name: str = READER) -> Object:
    """A ServiceAccount as a RoleBinding names it."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def user(name: str) -> Object:
    """A user as a RoleBinding names it."""
    return {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


def service_account(name: str = READER) -> Object:
    """The ServiceAccount itself."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def kubernetes_store(
    source: Source | str, *, name: str = "store", controller: str = "", **block: Any
) -> Object:
    """A store that reads a namespace's Secrets; by the ServiceAccount `reader` unless the block says who."""
    namespace = source if isinstance(source, str) else source.namespace
    who = {} if {"auth", "authRef"} & set(block) else {"auth": {"serviceAccount": {"name": READER}}}
    spec: dict[str, Any] = {"provider": {"kubernetes": {"remoteNamespace": namespace, **who, **block}}}
    return store(name=name, **spec, **({"controller": controller} if controller else {}))


def server(cluster: LocalCluster) -> Object:
    """What a store says of a cluster's API server."""
    return {"url": cluster.server, "caBundle": base64.b64encode(cluster.ca_pem.encode()).decode()}
