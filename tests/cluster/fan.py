"""A ClusterExternalSecret and the namespaces that it may select, for one test."""

from __future__ import annotations

import contextlib
from typing import Any

from keyferry.errors import KubeNotFound
from keyferry.testing.builders import (
    Object,
    cluster_external_secret,
    cluster_store,
    entry,
    external_secret,
    store,
)
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.tenant import Tenant, ready_of, soon

KIND = "ClusterExternalSecret"
CES = ("external-secrets.io/v1", "clusterexternalsecrets")


GROUP = "external-secrets.io"
FOR_FAN_OUT = {
    *((GROUP, "clusterexternalsecrets", verb) for verb in ("get", "list", "watch", "patch")),
    (GROUP, "clusterexternalsecrets/status", "update"),
    *((GROUP, "externalsecrets", verb) for verb in ("create", "update", "delete")),
    ("", "namespaces", "patch"),
}
"""What the role grants for this kind alone: group, resource, verb. Proven to be used where no other operator
does the same work (test_cluster_external_secret_taken_over.py)."""


class Fan:
    """See the module's docstring.

    Args:
        kube: the client.
        name: of the ClusterExternalSecret, and of the ClusterSecretStore that it reads; the label `fan` of
            namespaces that it selects.
        values: what the store holds.
    """

    def __init__(self, kube: KubeClient, name: str, values: dict[str, str]) -> None:
        self.kube = kube
        self.name = name
        self.path = path_of(*CES, name=name)
        self.namespaces: list[str] = []
        self.spec = external_secret("x", entry("v", "db"), store=cluster_store(name))
        self.selector = {"matchLabels": {"fan": name}}
        self._stores = path_of("external-secrets.io/v1", "clustersecretstores")
        kube.post(self._stores, store(values, name=name, cluster=True))

    def close(self) -> None:
        """Delete all that the test has made."""
        namespaces = [path_of("v1", "namespaces", name=name) for name in self.namespaces]
        for path in (self.path, f"{self._stores}/{self.name}", *namespaces):
            with contextlib.suppress(KubeNotFound):
                self.kube.patch(path, {"metadata": {"finalizers": None}})
                self.kube.delete(path)

    # -- doing

    def namespace(self, suffix: str, *, selected: bool = True, **metadata: Any) -> Tenant:
        """A namespace, with the label that is selected or without; one who works there."""
        name = f"{self.name}-{suffix}"
        labels = {"fan": self.name} if selected else {}
        labels |= metadata.pop("labels", {})
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels, **metadata}})
        self.namespaces.append(name)
        return Tenant(self.kube, name)

    def relabel(self, tenant: Tenant, **labels: str | None) -> None:
        """Set labels of a namespace; None removes one."""
        self.edit_namespace(tenant, {"labels": labels})

    def edit_namespace(self, tenant: Tenant, metadata: dict[str, Any]) -> None:
        """Merge changes into a namespace's metadata."""
        self.kube.patch(path_of("v1", "namespaces", name=tenant.namespace), {"metadata": metadata})

    def create(self, metadata: dict[str, Any] | None = None, **spec: Any) -> Object:
        """Create the ClusterExternalSecret; it selects by the label unless told otherwise."""
        if not {"namespaceSelectors", "namespaceSelector", "namespaces"} & set(spec):
            spec["namespaceSelectors"] = [self.selector]
        body = cluster_external_secret(self.name, self.spec, **spec)
        body["metadata"] |= metadata or {}
        return self.kube.post(path_of(*CES), body)

    def edit(self, **spec: Any) -> None:
        """Merge fields into its spec."""
        self.kube.patch(self.path, {"spec": spec})

    def annotate(self, **annotations: str | None) -> None:
        """Set its force-sync annotation, or others; None removes one."""
        named = {
            key.replace("force_sync", "external-secrets.io/force-sync"): value
            for key, value in annotations.items()
        }
        self.kube.patch(self.path, {"metadata": {"annotations": named}})

    # -- looking

    def get(self) -> Object:
        """It as it is."""
        return self.kube.get(self.path)

    def wait(self, *tenants: Tenant, failed: dict[str, str] | None = None) -> Object:
        """Wait until its status speaks of its present spec and names these namespaces, and no others.

        Args:
            tenants: who must have the ExternalSecret.
            failed: where there must be none, by namespace with the beginning of the reason.
        """
        expected = sorted(tenant.namespace for tenant in tenants)

        def is_so() -> Object:
            found = self.get()
            status = found.get("status") or {}
            told = {one["namespace"]: one["reason"] for one in status.get("failedNamespaces", [])}
            fits = (
                status.get("provisionedNamespaces", []) == expected
                and set(told) == set(failed or {})
                and all(told[name].startswith(reason) for name, reason in (failed or {}).items())
                and ready_of(found)["status"] == ("False" if failed else "True")
                and ready_of(found)["observedGeneration"] == found["metadata"]["generation"]
            )
            if not fits:
                raise LookupError(str(status))
            return found

        return soon(is_so)

    def wait_corrected(self, tenant: Tenant, **spec: Any) -> None:
        """Wait until the ExternalSecret of a namespace has these fields in its spec."""

        def is_so() -> bool:
            found = tenant.get("ExternalSecret", self.name)["spec"]
            if {key: found.get(key) for key in spec} != spec:
                raise LookupError(str(found))
            return True

        soon(is_so)
