"""Somebody who works in one namespace: creates and edits objects, and looks at what becomes of them.

Through the tests' own client, as an administrator. Waiting for what the operator does is `eventually`'s
business; what is waited for over and over has a method here.
"""

from __future__ import annotations

import base64
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from keyferry.api import names
from keyferry.api.external_secret import GeneratorKind
from keyferry.testing.builders import Object, encoded
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Objects, path_of
from keyferry.testing.operator import OperatorProcess

KINDS: Final = {
    "ConfigMap": ("v1", "configmaps"),
    "Event": ("v1", "events"),
    "Secret": ("v1", "secrets"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    names.EXTERNAL_SECRET: (names.API_VERSION, "externalsecrets"),
    names.SECRET_STORE: (names.API_VERSION, "secretstores"),
    names.CLUSTER_SECRET_STORE: (names.API_VERSION, "clustersecretstores"),
    names.CLUSTER_EXTERNAL_SECRET: (names.API_VERSION, "clusterexternalsecrets"),
    names.STORE_POLICY: (names.KEYFERRY_API_VERSION, "storepolicies"),
} | {
    kind: (names.GENERATORS_API_VERSION, f"{kind.lower()}s")
    for kind in (*typing.get_args(GeneratorKind), names.GENERATOR_STATE)
}
CLUSTER_KINDS: Final = frozenset(
    {names.CLUSTER_SECRET_STORE, names.CLUSTER_EXTERNAL_SECRET, names.CLUSTER_GENERATOR, names.STORE_POLICY}
)
SYNC_S: Final = 40.0
"""How long a sync may take on a busy machine."""
COLLECTED_S: Final = 60.0
"""How long an object may stay: Kubernetes' garbage collector looks for new kinds only every half minute."""

EAGER_S: Final = 0.4

T = TypeVar("T")
Told = tuple[str, str, str]
"""Status, reason and message of a Ready condition."""


class Tenant:
    """See the module's docstring. Names are those of objects in the namespace, or of cluster-scoped ones.

    Args:
        kube: the client.
        namespace: where.
    """

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        """Where objects of a kind, or one of them, are."""
        version, plural = KINDS[kind]
        namespace = "" if kind in CLUSTER_KINDS else self.namespace
        return path_of(version, plural, namespace=namespace, name=name, subresource=subresource)

    # -- doing

    def create(self, *objects: Object) -> Object:
        """Create the objects in their order; the last one as the server has stored it."""
        created: Object = {}
        for one in objects:
            created = self.kube.post(self.path(one["kind"]), one)
        return created

    def edit(self, kind: str, name: str, changes: Mapping[str, Any]) -> Object:
        """Merge changes into an object (null removes a field); as the server has stored it."""
        return self.kube.patch(self.path(kind, name), changes)

    def edit_spec(self, name: str, kind: str = names.EXTERNAL_SECRET, **fields: Any) -> Object:
        """Merge fields into an object's spec."""
        return self.edit(kind, name, {"spec": fields})

    def annotate(self, kind: str, name: str, annotations: Mapping[str, str | None]) -> Object:
        """Set annotations; None removes one."""
        return self.edit(kind, name, {"metadata": {"annotations": annotations}})

    def label(self, kind: str, name: str, labels: Mapping[str, str | None]) -> Object:
        """Set labels; None removes one."""
        return self.edit(kind, name, {"metadata": {"labels": labels}})

    def set_store(self, of: Object) -> Object:
        """Replace a store's spec by another's, as `builders.store` makes it."""
        path = self.path(of["kind"], of["metadata"]["name"])

        def replace() -> Object:
            return self.kube.put(path, self.kube.get(path) | {"spec": of["spec"]})

        return eventually(replace)  # again where somebody else wrote at the same moment

    def set_data(self, name: str, data: Mapping[str, str | bytes]) -> Object:
        """Replace a Secret's data."""
        path = self.path("Secret", name)

        def replace() -> Object:
            return self.kube.put(path, self.kube.get(path) | {"data": encoded(data)})

        return eventually(replace)  # again where somebody else wrote at the same moment

    def set_status(self, kind: str, name: str, status: Object) -> Object:
        """Replace an object's status, as another operator would."""
        return self.kube.patch(self.path(kind, name, "status"), {"status": status})

    def delete(self, kind: str, name: str, **query: str) -> None:
        """Delete an object."""
        self.kube.delete(self.path(kind, name), **query)

    # -- looking

    def get(self, kind: str, name: str) -> Object:
        """An object as it is. KubeNotFound where there is none."""
        return self.kube.get(self.path(kind, name))

    def find(self, kind: str, name: str) -> Object | None:
        """The same, None where there is none."""
        return self.kube.find(self.path(kind, name))

    def version(self, kind: str, name: str) -> str:
        """An object's resourceVersion: the same one means that nobody has written."""
        version: str = self.get(kind, name)["metadata"]["resourceVersion"]
        return version

    def values(self, name: str) -> dict[str, str]:
        """A Secret's data as text. KubeNotFound where there is none."""
        data = self.get("Secret", name).get("data") or {}
        return {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in data.items()}

    def ready(self, name: str, kind: str = names.EXTERNAL_SECRET) -> Object:
        """An object's Ready condition. LookupError where it has none."""
        return ready_of(self.get(kind, name))

    def told(self, name: str, kind: str = names.EXTERNAL_SECRET) -> Told:
        """Status, reason and message of the Ready condition. LookupError where it has none."""
        condition = self.ready(name, kind)
        return condition["status"], condition["reason"], condition["message"]

    def events(self, kind: str, name: str) -> list[Told]:
        """Type, reason and message of the events about an object, in the order of their creation."""
        return [(event["type"], event["reason"], event["message"]) for event in self.raw_events(kind, name)]

    def raw_events(self, kind: str, name: str) -> Objects:
        """The events about an object, in the order of their creation."""
        namespace = "default" if kind in CLUSTER_KINDS else self.namespace
        found = self.kube.list(
            path_of("v1", "events", namespace=namespace),
            fieldSelector=f"involvedObject.kind={kind},involvedObject.name={name}",
        )
        return sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))

    # -- waiting

    def wait_told(
        self, name: str, reason: str, kind: str = names.EXTERNAL_SECRET, holding: str = ""
    ) -> Object:
        """Wait until the Ready condition speaks of the object's present spec and has the reason; the object.

        Args:
            name, kind: which object.
            reason: the reason to wait for.
            holding: what the message must hold.
        """

        def is_told() -> Object:
            found = self.get(kind, name)
            ready = ready_of(found)
            fits = ready["reason"] == reason and holding in ready["message"]
            current = ready.get("observedGeneration") == found["metadata"]["generation"]
            if not (fits and current):
                raise LookupError(f"{ready} at generation {found['metadata']['generation']}")
            return found

        return soon(is_told)

    def wait_synced(self, name: str) -> Object:
        """Wait until an ExternalSecret is synced as it is now; the object."""
        return self.wait_told(name, "SecretSynced")

    def wait_failed(self, name: str, holding: str = "") -> Object:
        """Wait until an ExternalSecret's present spec has failed, with these words in its condition; the object."""
        return self.wait_told(name, "SecretSyncedError", holding=holding)

    def wait_values(self, name: str, expected: Mapping[str, str], timeout_s: float = SYNC_S) -> None:
        """Wait until a Secret holds exactly these values."""

        def is_so() -> bool:
            held = self.values(name)
            # Not the values: what fails is printed.
            wrong = sorted(key for key in held.keys() | expected.keys() if held.get(key) != expected.get(key))
            if wrong:
                raise LookupError(f"the values of {wrong} are not as expected, there are {sorted(held)}")
            return True

        soon(is_so, timeout_s)

    def wait_gone(self, kind: str, name: str, timeout_s: float = COLLECTED_S) -> None:
        """Wait until an object is no longer there."""
        soon(lambda: self.find(kind, name) is None, timeout_s)

    def wait_event(self, kind: str, name: str, reason: str, holding: str = "") -> Object:
        """Wait for an event about an object with this reason and these words; the event."""

        def is_there() -> Object:
            found = self.raw_events(kind, name)
            fitting = [one for one in found if one["reason"] == reason and holding in one["message"]]
            if not fitting:
                raise LookupError(str([(one["reason"], one["message"]) for one in found]))
            return fitting[0]

        return soon(is_there)

    # -- what the operator did

    def metric(self, operator: OperatorProcess, metric: str, name: str, **labels: str) -> float:
        """An object's sample of one of the operator's metrics."""
        pairs = sorted({"name": name, "namespace": self.namespace, **labels}.items())
        inside = ",".join(f'{key}="{value}"' for key, value in pairs)
        return operator.metric(f"{metric}{{{inside}}}")

    def sync_calls(self, operator: OperatorProcess, name: str) -> float:
        """How often the operator has asked stores for this ExternalSecret."""
        return self.metric(operator, "externalsecret_sync_calls_total", name)

    def wait_refreshes(self, operator: OperatorProcess, name: str, calls: float) -> None:
        """Wait until the operator has asked stores so many times for this ExternalSecret."""
        soon(lambda: self.sync_calls(operator, name) >= calls)

    def looks(self, operator: OperatorProcess, name: str) -> int:
        """How many lines its log (at level debug) has about an ExternalSecret: each look at it writes one."""
        about = f" kind=ExternalSecret namespace={self.namespace} name={name}\n"
        return f"{operator.log}\n".count(about)

    def wait_looks(self, operator: OperatorProcess, name: str, more_than: int = 0) -> None:
        """Wait for a look at an ExternalSecret after those that `looks` has counted before."""
        soon(lambda: self.looks(operator, name) > more_than)


def ready_of(found: Object) -> Object:
    """The Ready condition of an object. LookupError where it has none."""
    conditions = (found.get("status") or {}).get("conditions") or []
    ready: Object = next(iter([one for one in conditions if one["type"] == "Ready"]), {})
    if not ready:
        raise LookupError(f"{found['kind']} {found['metadata']['name']} has no Ready condition")
    return ready


def soon(condition: Callable[[], T], timeout_s: float = SYNC_S) -> T:
    """`eventually`, for what usually takes the blink of an eye: asked often at first, then seldom."""
    try:
        return eventually(condition, timeout_s=EAGER_S, every_s=0.02)
    except AssertionError:
        return eventually(condition, timeout_s=timeout_s - EAGER_S, every_s=0.1)
