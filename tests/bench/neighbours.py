"""Hostile templates of some tenants: how long another tenant's plain ExternalSecret takes meanwhile.

    python tests/bench/neighbours.py [--samples 40]

A control plane of its own, one operator, four namespaces whose templates take all that they may at every second,
and one that creates plain ExternalSecrets one after the other. Printed is the time from creation to the Secret,
alone and under attack: machines differ, so the ratio is what counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyferry.localcluster import LocalCluster, StreamProgress
from keyferry.testing.builders import Object, entry, external_secret, store
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ROOT = Path(__file__).parents[2]
ATTACKS = {
    "steps": '{{ define "a" }}{{ range until 1000 }}{{ template "b" . }}{{ end }}{{ end }}'
    '{{ define "b" }}{{ range until 1000 }}{{ end }}{{ end }}{{ template "a" . }}',
    "memory": '{{ range until 1000 }}{{ $x := repeat 1000000 "x" }}{{ end }}',
    "lists": "{{ range until 10000 }}{{ $y := until 5000 | toYaml }}{{ end }}",
    "cryptography": '{{ range until 1000 }}{{ $x := genPrivateKey "rsa" }}{{ end }}',
}
EACH = 3
"""Hostile objects of a namespace."""


def attack(tenant: Tenant) -> None:
    """Create the hostile objects of a namespace."""
    tenant.create(store({"db": "value"}))
    for kind, text in ATTACKS.items():
        for number in range(EACH):
            one = external_secret(
                f"{kind}-{number}",
                entry("v", "db"),
                refreshInterval="1s",
                target={"template": {"data": {"a": text}}},
            )
            tenant.create(one)


def latencies(tenant: Tenant, prefix: str, samples: int) -> list[float]:
    """Milliseconds from the creation of an ExternalSecret to its Secret, one after the other."""
    found = []
    for number in range(samples):
        name = f"{prefix}-{number}"
        began = time.perf_counter()
        tenant.create(external_secret(name, entry("v", "db")))
        eventually(lambda name=name: tenant.find("Secret", name), timeout_s=60, every_s=0.002)
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(0.1)  # as people do; else the creations themselves would be the load
    return found


def line(what: str, found: list[float]) -> str:
    """A row of the table."""
    ordered = sorted(found)
    ninety = ordered[int(len(ordered) * 0.9)]
    return f"{what:<14}{statistics.median(ordered):>10.0f}{ninety:>10.0f}{ordered[-1]:>10.0f}"


@contextmanager
def running() -> Iterator[KubeClient]:
    """A control plane with the operator at work."""
    with LocalCluster.start(progress=StreamProgress(sys.stderr)) as cluster:
        for path in ("crds", "deploy/rbac/rbac.yaml"):
            cluster.kubectl("apply", "-f", str(ROOT / path))
        kube = KubeClient(cluster.server, cluster.ca_pem, cluster.token)
        wait_served(kube)
        identity = cluster.service_account_kubeconfig("keyferry", "keyferry")
        with OperatorProcess(identity, {}, []).start():
            yield kube


def namespace(kube: KubeClient, name: str) -> Tenant:
    """One who works in a namespace of their own."""
    body: Object = {"metadata": {"name": name}}
    kube.post(path_of("v1", "namespaces"), body)
    return Tenant(kube, name)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=40)
    samples = parser.parse_args().samples
    with running() as kube:
        plain = namespace(kube, "plain")
        plain.create(store({"db": "value"}))
        latencies(plain, "warm", 5)
        alone = latencies(plain, "alone", samples)
        for number in range(4):
            attack(namespace(kube, f"hostile-{number}"))
        attacked = latencies(plain, "attacked", samples)
    table = [f"{'ms':<14}{'median':>10}{'p90':>10}{'max':>10}", line("alone", alone)]
    sys.stdout.write("\n".join([*table, line("under attack", attacked), ""]))


if __name__ == "__main__":
    main()
