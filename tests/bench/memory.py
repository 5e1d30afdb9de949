"""`make bench-memory`: memory of `keyferry run` with no store in use, and with one store of each kind.

    python tests/bench/memory.py [--n 10] [--only "HashiCorp Vault"]

For each a new operator on one local control plane, with one SecretStore and n ExternalSecrets on as many remote
secrets. Looked at when all are synced and everything has been looked at once more: the resident set of the
process in MiB, as `ps` tells it, and which of the SDKs' packages it has loaded.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from worlds import NAMESPACE, WORLDS, Maker, World, account, remote_key

from keyferry.api import names
from keyferry.localcluster import LocalCluster, StreamProgress
from keyferry.testing.builders import entry, external_secret, fake_provider
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, ready_of

ROOT = Path(__file__).parents[2]
FAKE = "fake"
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Measured:
    """The operator's memory in MiB: ready without any object, and with all of them synced."""

    started: float
    used: float


@contextmanager
def control_plane() -> Iterator[tuple[LocalCluster, KubeClient]]:
    """One with all that the operator needs."""
    with LocalCluster.start(progress=StreamProgress(sys.stderr)) as cluster:
        for path in ("crds", "deploy/rbac/rbac.yaml"):
            cluster.kubectl("apply", "-f", str(ROOT / path))
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        wait_served(kube)
        kube.post(path_of("v1", "namespaces"), {"metadata": {"name": NAMESPACE}})
        yield cluster, kube


def resident(operator: OperatorProcess) -> float:
    """The process's resident set in MiB."""
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(operator.pid)], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(told.stdout) / 1024


def measure(cluster: LocalCluster, kube: KubeClient, make: Maker | None, count: int) -> Measured:
    """The memory with a store in use; without a maker one that has no server."""
    tenant = Tenant(kube, NAMESPACE)
    identity = cluster.service_account_kubeconfig("keyferry", "keyferry")
    values = fake_provider({remote_key(number): "value" for number in range(count)})
    fake = World(("fake", values["fake"]))
    with make(cluster, kube, count) if make else nullcontext(fake) as world:
        name, block = world.provider
        store = {"apiVersion": names.API_VERSION, "kind": "SecretStore", "metadata": {"name": "store"}}
        objects = [account(world), {**store, "spec": {"provider": {name: block}}}]
        objects += [external_secret(f"n{n}", entry("v", remote_key(n))) for n in range(count)]
        with OperatorProcess(identity, world.environment, world.flags).start() as operator:
            operator.look_again()
            started = resident(operator)
            tenant.create(*objects)
            eventually(lambda: ready(kube) == count, timeout_s=PATIENCE_S, every_s=0.2)
            operator.look_again()
            measured = Measured(started, resident(operator))
        for one in objects:
            tenant.delete(one["kind"], one["metadata"]["name"])
    return measured


def ready(kube: KubeClient) -> int:
    """How many ExternalSecrets are synced."""
    found = kube.list(path_of(names.API_VERSION, "externalsecrets", namespace=NAMESPACE))
    return sum(bool(one.get("status")) and ready_of(one).get("status") == "True" for one in found)


def main() -> None:
    """Measure, and print a line for each kind of store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--only", choices=[FAKE, *WORLDS])
    arguments = parser.parse_args()
    kinds: dict[str, Maker | None] = {FAKE: None, **WORLDS}
    with control_plane() as (cluster, kube):
        for name, make in kinds.items():
            if arguments.only in (None, name):
                measured = measure(cluster, kube, make, arguments.n)
                sys.stdout.write(
                    f"{name:24}{measured.used:6.0f} MiB, {measured.started:.0f} MiB with no store in use\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
