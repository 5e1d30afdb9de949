"""A namespace that the reference operator has synced, before Keyferry, under it, and back again.

All objects are made once, by a double of what the reference leaves; then an operator is started, and each
test looks at one of them. What is right is not written: the API server is asked through a proxy that counts.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import look_for_leaks, through

from keyferry.api import names
from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import (
    Object,
    entry,
    external_secret,
    extract,
    generated,
    generator,
    secret,
    store,
)
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.reference import Reference, Verdict
from keyferry.testing.tenant import Tenant, soon

pytestmark = pytest.mark.long

NAMESPACE = "takeover"
VALUE, FOREIGN, OLD = canary("takeover"), canary("takeover foreign"), canary("takeover old")
DATA = {"v": VALUE}
LONG = "an-external-secret-with-a-name-that-is-long"
SYNCED, RETAINED, DELETED, MISSING = (
    ("True", "SecretSynced", "secret synced"),
    ("True", "SecretSynced", "secret retained due to DeletionPolicy=Retain"),
    ("True", "SecretDeleted", "secret deleted due to DeletionPolicy=Delete"),
    ("True", "SecretMissing", "secret will not be created due to CreationPolicy=Merge"),
)


@dataclass(frozen=True)
class Right:
    """An object that needs nothing.

    Args:
        target, fields: of its spec.
        metadata: its labels, annotations and further finalizers.
        values: what the reference has written.
        there: a Secret of the target's name that was there before it.
        age: how long ago the reference has synced.
        told: what its condition says, before and after.
        name: if it counts.
    """

    target: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=lambda: DATA)
    there: bool = False
    age: timedelta = timedelta(minutes=5)
    told: tuple[str, str, str] = SYNCED
    name: str = ""
    entries: tuple[Object, ...] = (entry("v", "db"),)


AGES = timedelta(days=400)
ABSENT = (extract("nothing"),)
RIGHT = {
    "owner": Right(),
    "owner-with-deletion-policy-delete": Right({"deletionPolicy": "Delete"}),
    "owner-with-deletion-policy-merge": Right({"deletionPolicy": "Merge"}),
    "owner-of-a-secret-of-another-name": Right({"name": "another-name"}),
    "owner-of-a-secret-that-was-there": Right(there=True),
    "orphan": Right({"creationPolicy": "Orphan"}),
    "orphan-with-deletion-policy-merge": Right({"creationPolicy": "Orphan", "deletionPolicy": "Merge"}),
    "merge": Right({"creationPolicy": "Merge"}, there=True),
    "create-or-merge": Right({"creationPolicy": "CreateOrMerge"}),
    "create-or-merge-into-a-secret": Right({"creationPolicy": "CreateOrMerge"}, there=True),
    "none": Right({"creationPolicy": "None"}),
    "none-beside-a-secret": Right({"creationPolicy": "None"}, there=True),
    "immutable": Right({"immutable": True}),
    "created-once": Right(fields={"refreshPolicy": "CreatedOnce"}, age=AGES),
    "on-change": Right(fields={"refreshPolicy": "OnChange"}, age=AGES),
    "interval-0": Right(fields={"refreshInterval": "0s"}, age=AGES),
    "outside-its-window": Right(
        fields={
            "syncWindows": {"kind": "deny", "windows": [{"schedule": "* * * * *", "duration": "2m"}]},
        },
        age=timedelta(hours=3),
    ),
    "long-name": Right(name=LONG),
    "labels-and-annotations": Right(
        metadata={"labels": {"team": "a"}, "annotations": {"example.com/note": "b\nc"}}
    ),
    "further-finalizer": Right(metadata={"finalizers": ["example.com/hold"]}),
    "nothing-at-the-store-and-retained": Right(values={}, told=RETAINED, entries=ABSENT),
    "nothing-at-the-store-and-deleted": Right(
        {"deletionPolicy": "Delete"}, values={}, told=DELETED, entries=ABSENT
    ),
    "nothing-to-merge-with": Right({"creationPolicy": "Merge"}, told=MISSING),
    "generated": Right(
        values={"password": canary("takeover generated")}, entries=(generated("Password", "password"),)
    ),
}


@dataclass
class World:
    """The namespace, and what was seen of it before and after.

    Args:
        before, after: objects by kind and name: as the reference left them, and as they were when the operator
            had looked at all of them.
        verdicts: the reference's, before and at the end.
    """

    tenant: Tenant
    reference: Reference
    operator: OperatorProcess
    proxy: ApiProxy
    before: dict[tuple[str, str], Object] = field(default_factory=dict)
    after: dict[tuple[str, str], Object] = field(default_factory=dict)
    verdicts: dict[str, tuple[Verdict, Verdict]] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)

    def look(self) -> dict[tuple[str, str], Object]:
        """All ExternalSecrets and Secrets as they are now."""
        return {
            (kind, one["metadata"]["name"]): one
            for kind in ("ExternalSecret", "Secret")
            for one in self.tenant.kube.list(self.tenant.path(kind))
        }


def name_of(case: str) -> str:
    return RIGHT[case].name or case


def make_right(world: World) -> None:
    tenant, reference = world.tenant, world.reference
    for case, one in RIGHT.items():
        target = one.target.get("name", name_of(case))
        if one.there:
            tenant.create(secret(target, {"foreign": FOREIGN}))
        manifest = external_secret(
            name_of(case), *one.entries, target=one.target, metadata=one.metadata, **one.fields
        )
        reference.sync(manifest, one.values, age=one.age)


@pytest.fixture(scope="module")
def world(
    cluster: LocalCluster,
    kube: KubeClient,
    operator_kubeconfig: Path,
    leaks: LeakDetector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    kube.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    tenant = Tenant(kube, NAMESPACE)
    with ExitStack() as stack:
        tls = ssl.create_default_context(cadata=cluster.ca_pem)
        proxy = stack.enter_context(ApiProxy(cluster.server, tls=tls))
        kubeconfig = through(proxy, operator_kubeconfig, tmp_path_factory.mktemp("own") / "kubeconfig")
        flags = ["--controller-class=takeover", f"--namespace={NAMESPACE}", "--loglevel=debug"]
        world = World(tenant, Reference(tenant), OperatorProcess(kubeconfig, {}, flags), proxy)
        world.reference.store(store({"db": VALUE}, controller="takeover"))
        tenant.create(generator("Password", "password"))
        make_right(world)
        world.before = world.look()
        first = {name_of(case): world.reference.verdict(name_of(case)) for case in RIGHT}
        stack.enter_context(world.operator.start())
        for case in RIGHT:
            soon(lambda case=case: f" name={name_of(case)}\n" in nothing_to_do(world.operator))
        world.after = world.look()
        world.calls = {case: tenant.sync_calls(world.operator, name_of(case)) for case in RIGHT}
        world.operator.look_again()
        world.operator.stop()
        world.verdicts = {name: (verdict, world.reference.verdict(name)) for name, verdict in first.items()}
        yield world
    leaks.look("log of the operator that took over", world.operator.log)
    look_for_leaks(kube, leaks, NAMESPACE)
    kube.delete(path_of("v1", "namespaces", name=NAMESPACE))


def nothing_to_do(operator: OperatorProcess) -> str:
    return "".join(f"{line}\n" for line in operator.log.splitlines() if "nothing to do: " in line)


@pytest.mark.parametrize("case", RIGHT)
def test_secret_that_is_right_is_not_written(world: World, case: str) -> None:
    """Not when it is taken over, and not when its values are read anew and are the same."""
    place = ("Secret", RIGHT[case].target.get("name", name_of(case)))

    assert world.after.get(place) == world.before.get(place)
    assert world.look().get(place) == world.before.get(place)


@pytest.mark.parametrize("case", RIGHT)
def test_only_the_finalizer_goes_from_an_object_that_is_right(world: World, case: str) -> None:
    before, after = (look["ExternalSecret", name_of(case)] for look in (world.before, world.after))
    others = [one for one in before["metadata"]["finalizers"] if one != names.FINALIZER_EXTERNAL_SECRET]

    assert after["metadata"].get("finalizers", []) == others
    for kept in ("generation", "labels", "annotations"):
        assert after["metadata"].get(kept) == before["metadata"].get(kept)
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    assert world.calls[case] == 0


@pytest.mark.parametrize("case", RIGHT)
def test_reference_that_comes_back_decides_as_before(world: World, case: str) -> None:
    before, after = world.verdicts[name_of(case)]

    assert after == before
