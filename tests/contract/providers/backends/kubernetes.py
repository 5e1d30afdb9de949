"""Secrets of a real control plane, read by a ServiceAccount's token; what goes wrong is made in front of it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.contract.providers.backends.base import RETRY_AFTER_S, Trouble, make_view
from tests.contract.providers.backends.flat import FlatNames, flat
from tests.contract.providers.backends.members import PROPERTY, OneMember

from keyferry.clock import SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import KubeNotFound
from keyferry.kube.config import ClusterConfig
from keyferry.kube.remote import RemoteClusters
from keyferry.localcluster import LocalCluster
from keyferry.ports import Provider, StoreView
from keyferry.providers.kubernetes import KubernetesProvider
from keyferry.providers.outgoing import Outgoing
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import encoded
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of

READER = "reader"
RBAC = "rbac.authorization.k8s.io/v1"
AUTHORIZATION = "authorization.k8s.io/v1"


class SourceNamespace:
    """A namespace of the control plane whose Secrets are remote secrets, and one who may read them."""

    def __init__(self, cluster: LocalCluster, name: str = "contract") -> None:
        self.cluster = cluster
        self.name = name
        self.kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
        self.kube.post(self._core("serviceaccounts"), {"metadata": {"name": READER}})
        self.let_read()
        subject = {"kind": "ServiceAccount", "name": READER, "namespace": name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": READER}
        binding = {"metadata": {"name": READER}, "subjects": [subject], "roleRef": role}
        self.kube.post(path_of(RBAC, "rolebindings", namespace=name), binding)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        self.token = self.kube.post(f"{self._core('serviceaccounts', READER)}/token", body)["status"]["token"]

    def _core(self, plural: str, name: str = "") -> str:
        return path_of("v1", plural, namespace=self.name, name=name)

    def let_read(self, names: Sequence[str] = (), *, verbs: Sequence[str] = ("get", "list", "watch")) -> None:
        """Grant rights on Secrets: all, or with names reads of these and lists of all."""
        rule: dict[str, Any] = {"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs)}
        rules = [rule]
        if names:
            rules = [
                rule | {"verbs": ["get"], "resourceNames": sorted(names)},
                rule | {"verbs": ["list", "watch"]},
            ]
        path = path_of(RBAC, "roles", namespace=self.name, name=READER)
        body = {"apiVersion": RBAC, "kind": "Role", "metadata": {"name": READER}, "rules": rules}
        self.kube.patch(path, body, kind="apply", fieldManager="tests", force="true")

    def may(self, verb: str, name: str = "") -> bool:
        """Whether the authorizer lets the reader do so by now."""
        wanted = {"namespace": self.name, "verb": verb, "resource": "secrets", "name": name}
        body = {
            "apiVersion": AUTHORIZATION,
            "kind": "SubjectAccessReview",
            "spec": {"user": f"system:serviceaccount:{self.name}:{READER}", "resourceAttributes": wanted},
        }
        told = self.kube.post(f"/apis/{AUTHORIZATION}/subjectaccessreviews", body)
        return bool(told["status"]["allowed"])

    def keep(self, secret: str, labels: dict[str, str] | None = None, **data: str | bytes) -> str:
        """Create or replace a Secret; its version."""
        metadata = {"name": secret, "labels": labels or {}}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded(data)}
        try:
            made["metadata"]["resourceVersion"] = self.kube.get(self._core("secrets", secret))["metadata"][
                "resourceVersion"
            ]
            found = self.kube.put(self._core("secrets", secret), made)
        except KubeNotFound:
            found = self.kube.post(self._core("secrets"), made)
        return str(found["metadata"]["resourceVersion"])

    def drop(self, secret: str) -> None:
        """Delete a Secret."""
        with contextlib.suppress(KubeNotFound):
            self.kube.delete(self._core("secrets", secret))

    def behind(self, proxy: ApiProxy) -> Provider:
        """The provider, with this control plane as its own, asked by way of a proxy."""
        clusters = RemoteClusters(ClusterConfig(proxy.url), AddressPolicy())
        return KubernetesProvider(clusters, Outgoing(AddressPolicy(), SystemClock()), SystemClock())

    def view(self, **changes: Any) -> StoreView:
        """A store of this namespace."""
        auth = {"token": {"bearerToken": {"name": READER, "key": "token"}}}
        return make_view("kubernetes", {"remoteNamespace": self.name, "auth": auth, **changes})


@contextlib.contextmanager
def proxied(cluster: LocalCluster) -> Iterator[ApiProxy]:
    with ApiProxy(cluster.server, tls=ssl.create_default_context(cadata=cluster.ca_pem)) as proxy:
        yield proxy


class KubernetesBackend:
    keeps_bytes = True
    finds = False  # by names and labels alone, see the provider's own tests
    denies = True
    names_pause = True
    largest = 65536
    versions = False

    def __init__(self, cluster: Cluster, source: SourceNamespace, proxy: ApiProxy) -> None:
        self.provider = FlatNames(OneMember(source.behind(proxy)))
        self.cluster = cluster
        self.source = source
        self.proxy = proxy
        self._names: set[str] = set()
        self._denied = False
        cluster.put_secret("team-a", READER, token=source.token)

    def put(self, key: str, value: str | bytes) -> str:
        self._names.add(flat(key))
        return self.source.keep(flat(key), **{PROPERTY: value})

    def view(self) -> StoreView:
        return self.source.view()

    def deny(self, key: str) -> None:
        self._denied = True
        self._names.remove(flat(key))
        self.source.let_read(sorted(self._names))
        eventually(lambda: not self.source.may("get", flat(key)))

    def trouble(self, kind: Trouble) -> None:
        match kind:
            case Trouble.THROTTLED:
                self.proxy.answer(429, retry_after_s=RETRY_AFTER_S)
            case Trouble.FAILING:
                self.proxy.answer(500)
            case Trouble.CUT:
                self.proxy.lose_answers()
            case Trouble.HELD:
                self.proxy.reset_requests()
                self.proxy.hold()

    def wait_held(self) -> None:
        self.proxy.wait_for_requests(1)

    def relieve(self) -> None:
        self.proxy.clear()
        if self._denied:
            self._denied = False
            self.source.let_read()
            eventually(lambda: self.source.may("get", "anything"))


def make(request: pytest.FixtureRequest, cluster: Cluster) -> KubernetesBackend:
    return KubernetesBackend(
        cluster, request.getfixturevalue("source_namespace"), request.getfixturevalue("api_proxy")
    )
