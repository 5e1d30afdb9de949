"""Whatever the API server accepts, the operator copes with: objects made at random of the schemas themselves."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.manifests import objects, tidied

from keyferry.api import names
from keyferry.api.generators.kinds import GENERATORS
from keyferry.errors import KubeError
from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import (
    Object,
    cluster_external_secret,
    entry,
    external_secret,
    generated,
    store,
)
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, ready_of, soon

ONE, TWO = canary("one"), canary("two")
EXTERNAL_SECRETS, STORES, CLUSTER_STORES, OF_EACH_GENERATOR, FANS = 150, 30, 15, 2, 10
SETTLED_S = 60.0
SEED = int(os.environ.get("KEYFERRY_FUZZ_SEED", "20260105"))
"""Another one makes other objects. A failure shows it: `seed 20260105`."""
REFUSALS = (400, 403, 422)


def batch(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many objects; the same seed makes the same ones."""
    made: list[Any] = []

    @seed(SEED)
    @settings(
        max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def note(one: Any) -> None:
        made.append(one)

    note()
    return made[:count]


def named(made: list[Object], prefix: str) -> list[Object]:
    return [one | {"metadata": one["metadata"] | {"name": f"{prefix}-{i}"}} for i, one in enumerate(made)]


def linked(value: Any, at: int, shared: str) -> Any:
    """The same, where the names of stores and generators are those of others of the batch."""
    if isinstance(value, list):
        return [linked(item, at, shared) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: linked(item, at, shared) for key, item in value.items()}
    for key in ("secretStoreRef", "storeRef"):
        ref = changed.get(key) or {}
        if ref.get("name") not in (None, "gone"):
            of_cluster = ref.get("kind") == names.CLUSTER_SECRET_STORE
            ours = f"{shared}-{at % CLUSTER_STORES}" if of_cluster else f"s-{at % STORES}"
            changed[key] = ref | {"name": "store" if at % 3 and not of_cluster else ours}
    ref = changed.get("generatorRef") or {}
    if ref.get("name") not in (None, "gone"):
        of_cluster = ref.get("kind") == names.CLUSTER_GENERATOR
        changed["generatorRef"] = ref | {
            "name": f"{shared if of_cluster else 'gen'}-{at % OF_EACH_GENERATOR}"
        }
    return changed


def external_secrets(shared: str) -> list[Object]:
    made = named(batch(objects(names.EXTERNAL_SECRET, "x"), EXTERNAL_SECRETS), "es")
    for at, one in enumerate(made):
        made[at] = tidied(linked(one, at, shared))
        if name := (made[at]["spec"].get("target") or {}).get("name"):
            made[at]["spec"]["target"]["name"] = f"t-{len(name) % 40}"  # some share one, none is a credential
    return made


def accepted(tenant: Tenant, objects_: list[Object]) -> list[Object]:
    """Create them; those that the API server takes, as it has stored them."""
    taken = []
    for one in objects_:
        try:
            taken.append(tenant.create(one))
        except KubeError as error:
            if error.status not in REFUSALS:
                raise
    return taken


def classes(made: list[Object]) -> set[tuple[str, str]]:
    """Kind and name of those that another controller class serves."""

    def controller(spec: Object) -> list[str]:
        inner = (spec.get("generator") or {}).values()
        return [one.get("controller", "") for one in (spec, *inner)]

    foreign = [one for one in made if set(controller(one["spec"])) - {"", "default"}]
    return {(one["kind"], one["metadata"]["name"]) for one in foreign}


def references(value: Any, kind: str) -> Iterator[tuple[str, str]]:
    """Kind and name of what an object refers to."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("secretStoreRef", "storeRef", "generatorRef") and isinstance(item, dict):
                yield item.get("kind", kind), item.get("name", "")
            yield from references(item, kind)
    elif isinstance(value, list):
        for item in value:
            yield from references(item, kind)


@pytest.fixture
def shared(tenant: Tenant) -> Iterator[str]:
    """Prefix of the names of what is in no namespace; deleted afterwards."""
    prefix = f"fuzz-{secrets.token_hex(3)}"
    yield prefix
    for kind in (names.CLUSTER_SECRET_STORE, names.CLUSTER_GENERATOR, names.CLUSTER_EXTERNAL_SECRET):
        for one in tenant.kube.list(tenant.path(kind)):
            if one["metadata"]["name"].startswith(prefix):
                tenant.delete(kind, one["metadata"]["name"])


def fans(tenant: Tenant, shared: str) -> list[Object]:
    """ClusterExternalSecrets for this one namespace."""
    of = batch(objects(names.EXTERNAL_SECRET, "x"), FANS)
    made = []
    for at, one in enumerate(of):
        spec = tidied(linked(one, at, shared))["spec"]
        fan = cluster_external_secret(f"{shared}-{at}", {"spec": spec}, namespaces=[tenant.namespace])
        fan["spec"]["externalSecretName"] = f"fan-{at}"
        made.append(fan)
    return made


def untold(tenant: Tenant, kind: str, made: list[Object], foreign: set[tuple[str, str]]) -> list[str]:
    """Names of those that are ours and have no Ready condition."""
    wanted = {
        one["metadata"]["name"]
        for one in made
        if not {(kind, one["metadata"]["name"]), *references(one["spec"], names.SECRET_STORE)} & foreign
    }
    found = [one for one in tenant.kube.list(tenant.path(kind)) if one["metadata"]["name"] in wanted]
    return sorted(one["metadata"]["name"] for one in found if not is_told(one))


def is_told(found: Object) -> bool:
    try:
        return bool(ready_of(found)["reason"])
    except LookupError:
        return False


def test_every_accepted_object_is_told_and_none_harms_the_operator(
    tenant: Tenant, operator: OperatorProcess, shared: str
) -> None:
    print(f"seed {SEED}")  # noqa: T201 - shown where the test fails
    tenant.create(store({"db": ONE, "doc": '{"a":"b"}'}))
    stores = accepted(tenant, named(batch(objects(names.SECRET_STORE, "x"), STORES), "s"))
    shared_stores = accepted(
        tenant, named(batch(objects(names.CLUSTER_SECRET_STORE, "x"), CLUSTER_STORES), shared)
    )
    generators = []
    for kind in (*(one.kind for one in GENERATORS), names.CLUSTER_GENERATOR):
        prefix = shared if kind == names.CLUSTER_GENERATOR else "gen"
        generators += accepted(tenant, named(batch(objects(kind, "x"), OF_EACH_GENERATOR), prefix))
    made = accepted(tenant, external_secrets(shared))
    spread = accepted(tenant, fans(tenant, shared))
    foreign = classes([*stores, *shared_stores, *generators])

    def all_told() -> bool:
        for kind, those in (
            (names.SECRET_STORE, stores),
            (names.CLUSTER_SECRET_STORE, shared_stores),
            (names.EXTERNAL_SECRET, made),
        ):
            if left := untold(tenant, kind, those, foreign):
                raise LookupError(f"{kind} without a condition: {left}")
        return True

    soon(all_told, SETTLED_S)
    counts = [len(part) for part in (stores, shared_stores, generators, made, spread)]
    print("accepted", counts)  # noqa: T201
    assert len(made) >= EXTERNAL_SECRETS // 2
    assert min(counts) > 0
    assert "a bug in Keyferry" not in operator.log
    assert operator.probe("healthz") == 200
    tenant.create(external_secret("witness", entry("v", "db")))
    tenant.wait_synced("witness")


# -- nested deeper than any parser here goes down: blocks without a schema take that

LEVELS = 5_000
DEEP = '{"a":' * LEVELS + "1" + "}" * LEVELS
DEEP_OBJECTS = {
    "SecretStore": ("external-secrets.io/v1", '{"provider":{"chef":%s}}'),
    "VaultDynamicSecret": (
        names.GENERATORS_API_VERSION,
        '{"path":"x","provider":{"server":"https://host.invalid"},"parameters":%s}',
    ),
    "GeneratorState": (
        names.GENERATORS_API_VERSION,
        '{"garbageCollectionDeadline":"2020-01-01T00:00:00Z","resource":{},"state":%s}',
    ),
}


@pytest.fixture
def deep(tenant: Tenant, cluster: LocalCluster, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Creates a deep object, called deep; all of them are gone afterwards, for nobody here can read them."""
    made: list[str] = []

    def create(kind: str) -> None:
        version, spec = DEEP_OBJECTS[kind]
        path = tmp_path / f"{kind}.json"
        head = f'{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"name":"deep"}},"spec":'
        path.write_text(head + spec.replace("%s", DEEP) + "}")
        cluster.kubectl("create", "--validate=false", "--namespace", tenant.namespace, "-f", str(path))
        made.append(kind)

    yield create
    for kind in made:
        cluster.kubectl("delete", "--ignore-not-found", "--namespace", tenant.namespace, kind, "deep")


@pytest.mark.restless  # the look for writes cannot read them either
@pytest.mark.parametrize("kind", DEEP_OBJECTS)
def test_object_that_is_nested_too_deep_to_be_read_hides_no_other(
    tenant: Tenant,
    operator: OperatorProcess,
    private_operator: Callable[..., OperatorProcess],
    deep: Callable[[str], None],
    kind: str,
) -> None:
    """Neither from an operator at work, nor from one that starts, nor from the look for what was missed."""
    deep(kind)
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    operator.look_again()
    tenant.create(store({"db": ONE}, name="own", controller="private"))
    tenant.create(external_secret("own", entry("v", "db"), store="own"))
    private = private_operator("--resync-interval=1s")
    tenant.wait_synced("own")
    tenant.set_store(store({"db": TWO}, name="own", controller="private"))
    tenant.label("ExternalSecret", "own", {"again": "yes"})
    tenant.wait_values("own", {"v": TWO})

    for one in (operator, private):
        assert one.probe("healthz") == 200
        assert "ended with an error" not in one.log
        assert "a bug in Keyferry" not in one.log


@pytest.mark.restless
def test_store_that_is_nested_too_deep_is_told_as_any_other(
    tenant: Tenant, operator: OperatorProcess, cluster: LocalCluster, deep: Callable[[str], None]
) -> None:
    deep("SecretStore")
    where = ["--namespace", tenant.namespace, "secretstore", "deep"]
    message = "jsonpath={.status.conditions[0].message}"

    told = soon(lambda: cluster.kubectl("get", *where, "-o", message) or None)
    assert 'provider "chef" is not available yet' in told


@pytest.mark.restless
def test_generator_that_is_nested_too_deep_fails_who_uses_it_alone(
    tenant: Tenant, operator: OperatorProcess, deep: Callable[[str], None]
) -> None:
    deep("VaultDynamicSecret")
    tenant.create(external_secret("app", generated("VaultDynamicSecret", "deep"), store=""))

    tenant.wait_failed("app", holding="VaultDynamicSecret")
