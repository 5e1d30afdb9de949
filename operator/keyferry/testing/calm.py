"""After a test: a second look at an unchanged world makes no write at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keyferry.api import names
from keyferry.errors import KubeError
from keyferry.testing.kubeclient import path_of
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

LOOKS: Final = 5
"""So often may the world still be settling, for example because an outage has just ended."""
WRITTEN: Final = (
    ("v1", "secrets"),
    ("v1", "configmaps"),
    ("v1", "events"),
    (names.API_VERSION, "externalsecrets"),
    (names.API_VERSION, "secretstores"),
    (names.GENERATORS_API_VERSION, "generatorstates"),
)
"""What operators write in a namespace."""


def assert_calm(tenant: Tenant, operators: Iterable[OperatorProcess]) -> None:
    """Have each operator look again until one look has written nothing in the namespace.

    Raises:
        AssertionError: each of several looks has written something; names what.
    """
    for process in operators:
        if process.exit_code is not None or process.probe("readyz") != 200:
            continue
        process.look_again()
        written = [_written_by_a_look(tenant, process)]
        while written[-1] and len(written) < LOOKS:
            written.append(_written_by_a_look(tenant, process))
        if written[-1]:
            raise AssertionError(f"each look at an unchanged world writes, at last {written[-1]}")


def _written_by_a_look(tenant: Tenant, process: OperatorProcess) -> list[str]:
    before = _versions(tenant)
    process.look_again()
    after = _versions(tenant)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _versions(tenant: Tenant) -> dict[str, str]:
    """The version of everything in the namespace that an operator may write."""
    versions = {}
    for version, plural in WRITTEN:
        try:
            found = tenant.kube.list(path_of(version, plural, namespace=tenant.namespace))
        except KubeError:  # the kind is not installed
            continue
        for one in found:
            versions[f"{plural}/{one['metadata']['name']}"] = one["metadata"]["resourceVersion"]
    return versions
