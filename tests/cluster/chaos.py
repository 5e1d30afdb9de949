"""The scene of the chaos tests: a namespace, a fake store, an operator behind a faulty way to the API server.

A test says what should be, disturbs, and ends with `settle`: the one check that nothing was lost, nothing
done twice, and nothing is left over.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from keyferry.errors import KubeNotFound
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.apiproxy_engine import RequestRecord
from keyferry.testing.builders import Object, entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

ES: Final = "externalsecrets"
STATUS: Final = "externalsecrets/status"
PATHS: Final = ("inline", "stock")
"""The two ways that events take into the operator; a test of both is parametrised with `path`."""
REMOTE: Final = {f"key-{n}": canary(f"value-{n}") for n in range(10)}
NOISE: Final = (
    "a bug in Keyferry",
    "Task was destroyed",
    "never retrieved",
    "never awaited",
    "Unclosed",
    "Hung",
    "hung",
)


class Scene:
    """See the module's docstring.

    Args:
        tenant: who works in the namespace, past the proxy.
        proxy: the operator's way.
        kubeconfig: the operator's identity by that way.
        launch: starts an operator, as the fixture `private_operator` does.
        path: the operator's event path.
    """

    def __init__(
        self,
        tenant: Tenant,
        proxy: ApiProxy,
        kubeconfig: Path,
        launch: Callable[..., OperatorProcess],
        path: str = "inline",
    ) -> None:
        self.tenant = tenant
        self.proxy = proxy
        self.wanted: dict[str, str] = {}
        """Names of ExternalSecrets, and the remote key that each should hold."""
        self._kubeconfig = kubeconfig
        self._launch = launch
        self._path = path
        self._operator: OperatorProcess | None = None

    # -- doing

    def start(self, *flags: str, wait: bool = True) -> OperatorProcess:
        """An operator; where it is waited for, all its watches are open."""
        self._operator = self._launch(
            *flags, kubeconfig=self._kubeconfig, environment={"KEYFERRY_WATCH": self._path}, wait=wait
        )
        if wait:
            self.wait_watching()
            assert self.on_path()
        return self._operator

    def on_path(self) -> bool:
        """Whether the events come by the path that was asked for."""
        return ("public path" in self.operator.log) is (self._path == "stock")

    @property
    def operator(self) -> OperatorProcess:
        """The operator that was started last."""
        assert self._operator is not None
        return self._operator

    def open_store(self) -> None:
        """A store with the values of `REMOTE`."""
        self.tenant.create(store(REMOTE, controller="private"))

    def create(self, *names: str, key: str = "key-0", **more: Any) -> None:
        """Create ExternalSecrets, each of which wants the value of a remote key.

        Args:
            more: fields of the spec, or `metadata`.
        """
        for name in names:
            self.tenant.create(external_secret(name, entry("v", key), **more))
            self.wanted[name] = key

    def change(self, name: str, key: str) -> None:
        """Let an ExternalSecret want the value of another key."""
        self.tenant.edit_spec(name, data=[entry("v", key)])
        self.wanted[name] = key

    def delete(self, *names: str) -> None:
        """Delete ExternalSecrets, and their Secrets in the garbage collector's stead.

        In a cluster that has just been made it would take a minute: it looks for new kinds every 30 s.
        """
        for name in names:
            self.tenant.delete("ExternalSecret", name)
            del self.wanted[name]
            with contextlib.suppress(KubeNotFound):
                self.tenant.delete("Secret", name)

    def spoil(self, name: str) -> None:
        """Change a target by hand."""
        self.tenant.set_data(name, {"v": canary("spoilt"), "more": "x"})

    # -- waiting

    def wait_watching(self) -> None:
        """Wait until the operator watches ExternalSecrets and Secrets by the proxy."""
        for resource in (ES, "secretstores", "secrets"):
            self.proxy.wait_for_watches(1, resource)

    def wait_synced(self, *names: str) -> None:
        """Wait until these ExternalSecrets, or all, are as wanted."""
        for name in names or tuple(self.wanted):
            self.tenant.wait_values(name, {"v": REMOTE[self.wanted[name]]}, timeout_s=2 * SYNC_S)
            self.tenant.wait_synced(name)

    def gap(self, *resources: str) -> Callable[[], None]:
        """From now on the operator sees nothing of these resources; the result ends that.

        Its watches are cut, and the next lists and watches are not answered before.
        """
        faults = [
            self.proxy.hold(verb=verb, resource=resource)
            for resource in resources
            for verb in ("list", "watch")
        ]
        for resource in resources:
            self.proxy.cut_watches(resource)
            self.proxy.wait_for_no_watches(resource)

        def end() -> None:
            for fault in faults:
                self.proxy.remove(fault)

        return end

    # -- looking

    def statuses_written(self, name: str = "*") -> int:
        """How often the operator has tried to write a status since the last reset."""
        return self.proxy.count(verb="update", resource=STATUS, name=name)

    def secrets_created(self) -> int:
        """How many Secrets the operator has created by the proxy since the last reset."""
        return sum(one.status == 201 for one in self.proxy.requests(verb="create", resource="secrets"))

    def written(self, verb: str, resource: str) -> Counter[str]:
        """By name, how often the API server has taken such a write of the operator's since the last reset."""
        records = self.proxy.requests(verb=verb, resource=resource)
        return Counter(_name_in(one) for one in records if one.status in (200, 201))

    def secrets(self) -> dict[str, str]:
        """The uids of all Secrets, by name."""
        return {name: one["metadata"]["uid"] for name, one in self._found("Secret").items()}

    def synced(self) -> dict[str, tuple[str, str]]:
        """Of the ExternalSecrets whose status says so: their versions and those of their Secrets, by name."""
        targets = self._found("Secret")
        return {
            name: (one["metadata"]["resourceVersion"], targets[name]["metadata"]["resourceVersion"])
            for name, one in self._found("ExternalSecret").items()
            if (one.get("status") or {}).get("syncedResourceVersion")
        }

    def _found(self, kind: str) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in self.tenant.kube.list(self.tenant.path(kind))}

    def is_forgotten(self, name: str) -> bool:
        """Whether the operator keeps nothing of an ExternalSecret that its metrics would show."""
        return f'name="{name}"' not in self.operator.metrics()

    # -- the end

    def settle(self) -> None:
        """Wait until all is as wanted, end the operator, and find that it had nothing left to do."""
        self.wait_synced()
        eventually(self._is_idle, timeout_s=SYNC_S)
        eventually(self._secrets_are_those_wanted, timeout_s=SYNC_S)
        before = self._versions()
        for name in self.wanted:
            self._check(name)

        self.end()
        assert self._versions() == before

    def end(self) -> None:
        """End the operator by SIGTERM; it does so in order and without noise."""
        assert self.operator.stop() == 0
        noise = [line for line in self.operator.log.splitlines() if any(word in line for word in NOISE)]
        assert noise == [], noise

    def _is_idle(self) -> bool:
        depths = [
            float(line.rpartition(" ")[2])
            for line in self.operator.metrics().splitlines()
            if line.startswith(("keyferry_queue_depth", "keyferry_queue_out"))
        ]
        assert len(depths) > 1
        return not any(depths)

    def _secrets_are_those_wanted(self) -> bool:
        assert self.secrets().keys() == self.wanted.keys()
        return True

    def _versions(self) -> dict[str, str]:
        return {
            f"{kind} {name}": one["metadata"]["resourceVersion"]
            for kind in ("ExternalSecret", "SecretStore", "Secret")
            for name, one in self._found(kind).items()
        }

    def _check(self, name: str) -> None:
        found, target = self.tenant.get("ExternalSecret", name), self.tenant.get("Secret", name)
        assert self.tenant.values(name) == {"v": REMOTE[self.wanted[name]]}
        assert self.tenant.told(name) == ("True", "SecretSynced", "secret synced")
        assert [found["metadata"].get("finalizers"), target["metadata"].get("finalizers")] == [None, None]
        assert [owner["uid"] for owner in target["metadata"]["ownerReferences"]] == [found["metadata"]["uid"]]
        assert _managers([found], "status") == {"keyferry"}
        assert f"externalsecrets.external-secrets.io/{name}" in _managers([target], "")


def _name_in(record: RequestRecord) -> str:
    """The name of what a write is about; of a Secret to be created, the field manager's."""
    manager = parse_qs(record.query).get("fieldManager", [""])[0]
    return record.request.name or manager.rpartition("/")[2]


def _managers(objects: Iterable[Object], subresource: str) -> set[str]:
    return {
        field["manager"]
        for one in objects
        for field in one["metadata"]["managedFields"]
        if field.get("subresource", "") == subresource
    }
