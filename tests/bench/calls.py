"""Calls to the store for many ExternalSecrets of one store: at the first sync, and at each refresh after it.

    python tests/bench/calls.py [--n 1000] [--only "HashiCorp Vault"]

Each ExternalSecret has a remote secret of its own. Counted by the operator's own metrics: logins, tokens of the
ServiceAccount, reads, and whatever else it asks the store. A steady hour is one refresh of all (the usual
refreshInterval is an hour) and the logins that the lifetime of what a login gives makes necessary.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from worlds import NAMESPACE, WORLDS, Maker, World, account, remote_key

from keyferry.api import names
from keyferry.localcluster import LocalCluster, StreamProgress
from keyferry.testing.builders import entry, external_secret
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, ready_of

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0


def counted(operator: OperatorProcess, world: World) -> dict[str, int]:
    """Calls so far, by what they were."""
    found = {"logins": world.logins()}
    for sample in samples(operator):
        if sample.name == "externalsecret_provider_api_calls_count":
            label = f"{sample.labels['provider']} {sample.labels['call']}"
            found[label] = found.get(label, 0) + int(sample.value)
        elif sample.name == "keyferry_token_requests":
            found["TokenRequest"] = int(sample.value)
    return found


def ready(kube: KubeClient) -> int:
    """How many ExternalSecrets are synced."""
    found = kube.list(path_of(names.API_VERSION, "externalsecrets", namespace=NAMESPACE))
    return sum(ready_of(one).get("status") == "True" for one in found)


def samples(operator: OperatorProcess) -> Iterator[Sample]:
    """All that the operator counts."""
    for family in text_string_to_metric_families(operator.metrics()):
        yield from family.samples


def less(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """What came in between."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}


def measure(make: Maker, count: int) -> tuple[dict[str, int], dict[str, int], float]:
    """Calls of the first sync, of one refresh of all, and the lifetime of a login in seconds."""
    with LocalCluster.start(progress=StreamProgress(sys.stderr)) as cluster:
        for path in ("crds", "deploy/rbac/rbac.yaml"):
            cluster.kubectl("apply", "-f", str(ROOT / path))
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        wait_served(kube)
        kube.post(path_of("v1", "namespaces"), {"metadata": {"name": NAMESPACE}})
        tenant = Tenant(kube, NAMESPACE)
        with make(cluster, kube, count) as world:
            name, block = world.provider
            metadata = {"name": "store"}
            store = {"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": metadata}
            tenant.create(account(world), {**store, "spec": {"provider": {name: block}}})
            for number in range(count):
                one = external_secret(f"n{number}", entry("v", remote_key(number)), refreshInterval="1h")
                tenant.create(one)
            identity = cluster.service_account_kubeconfig("keyferry", "keyferry")
            with OperatorProcess(identity, world.environment, world.flags).start() as operator:
                eventually(lambda: ready(kube) == count, timeout_s=PATIENCE_S, every_s=1)
                cold = counted(operator, world)
                operator.look_again()
                return cold, less(counted(operator, world), cold), world.token_lifetime_s


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--only", choices=WORLDS)
    arguments = parser.parse_args()
    for name, make in WORLDS.items():
        if arguments.only in (None, name):
            cold, refresh, lifetime_s = measure(make, arguments.n)
            sys.stdout.write(
                f"\n{name}, {arguments.n} ExternalSecrets (a login is good for {lifetime_s:.0f} s)\n"
            )
            for title, calls in (("first sync", cold), ("one refresh of all", refresh)):
                told = ", ".join(f"{label} {count}" for label, count in sorted(calls.items()))
                sys.stdout.write(f"  {title:20}{told or 'no call'}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
