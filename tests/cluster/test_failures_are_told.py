"""`kubectl describe externalsecret` alone is enough: which entry, of which store, why, and what to do.

What it says stays the same however often it is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import (
    Object,
    cluster_store,
    entry,
    external_secret,
    extract,
    find,
    generated,
    generator,
    renamed,
    store,
)
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
STORE = 'SecretStore "{ns}/store"'
VALUES = {
    "db": ONE,
    "app/base": f'{{"mode":"{ONE}","user":"{ONE}"}}',
    "app/more": f'{{"mode":"{TWO}"}}',
}


@dataclass(frozen=True)
class Told:
    """A failure, or what else there is to tell.

    Args:
        source: the ExternalSecret, named app.
        message: what its condition must say: entry, store or generator, key, cause, what to do.
        event: reason of the event that says the same; or `said` where its words are others.
        others: what is created besides.
        reason: of the condition.
    """

    source: Object
    message: tuple[str, ...]
    event: str = "UpdateFailed"
    said: tuple[str, ...] = ()
    others: tuple[Object, ...] = ()
    reason: str = "SecretSyncedError"


def app(*entries: Object, **fields: Any) -> Object:
    return external_secret("app", *entries, **fields)


WINDOW = {"schedule": "0 25 * * *", "duration": "1h"}
CASES = {
    "a-search-by-what-is-no-expression": Told(
        app(find("db(")),
        ("spec.dataFrom[0].find", STORE, "'db(' is no regular expression (RE2): missing )"),
    ),
    "a-search-by-nothing": Told(
        app({"find": {}}), ("spec.dataFrom[0].find", STORE, "find: name or path must be set")
    ),
    "a-rewrite-by-what-is-no-expression": Told(
        app(find("db", rewrite=[renamed("x", "y"), renamed("(", "y")])),
        ("spec.dataFrom[0].find", STORE, "rewrite[1]: '(' is no regular expression (RE2)"),
    ),
    "a-merge-of-what-is-there-twice": Told(
        app(find("^app/", rewrite=[{"merge": {}}])),
        (
            *(
                "spec.dataFrom[0].find",
                STORE,
                "rewrite[0]",
                "'mode' is in the values of 'app/base' and 'app/more'",
            ),
            "Set conflictPolicy to Ignore",
        ),
    ),
    "keys-that-become-one": Told(
        app(find("^app/", rewrite=[renamed("app/.*", "same")])),
        ("secret synced",),
        event="KeyCollision",
        said=("spec.dataFrom[0].find", "'app/base'", "'app/more'", "'same'"),
        reason="SecretSynced",
    ),
    "a-generator-that-is-not-there": Told(
        app(generated("Password", "gone"), store=""),
        (
            'spec.dataFrom[0].sourceRef.generatorRef, err: Password "{ns}/gone" does not exist',
            "Create it, or correct sourceRef.generatorRef",
        ),
    ),
    "a-generator-that-is-not-available": Told(
        app(generated("Grafana", "x"), store=""),
        (
            *("spec.dataFrom[0].sourceRef.generatorRef", 'Grafana "{ns}/x"'),
            "generators of kind Grafana are not available yet in this version of Keyferry",
        ),
    ),
    "a-generator-whose-spec-cannot-be-used": Told(
        app(generated("Password", "endless"), store=""),
        (
            "spec.dataFrom[0].sourceRef.generatorRef",
            'Password "{ns}/endless"',
            "spec.length",
            "shorter length",
        ),
        others=(generator("Password", "endless", length=10**9, allowRepeat=True),),
    ),
    "a-generator-whose-secret-is-not-there": Told(
        app(generated("MFA", "code"), store=""),
        ("spec.dataFrom[0].sourceRef.generatorRef", 'MFA "{ns}/code"', 'Secret "{ns}/seed"', "Create it"),
        others=(generator("MFA", "code", secret={"name": "seed", "key": "seed"}),),
    ),
    "a-store-that-is-not-there": Told(
        app(entry("v", "db"), store="gone"),
        ('SecretStore "{ns}/gone" does not exist', "Create it, or correct secretStoreRef"),
    ),
    "optional-keys-that-are-missing": Told(
        app(
            entry("v", "db"),
            entry("licence", "shop/licence"),
            metadata={"annotations": {"keyferry.io/optional-keys": "licence"}},
        ),
        ("secret synced; optional keys without a value: spec.data[1] (key: shop/licence)",),
        event="Created",
        said=("secret created",),
        reason="SecretSynced",
    ),
    "a-window-that-never-opens-for-its-schedule-means-nothing": Told(
        app(entry("v", "db"), syncWindows={"kind": "allow", "windows": [WINDOW]}),
        ('spec.syncWindows.windows[0].schedule "0 25 * * *"', "It is a cron schedule in UTC"),
    ),
    "a-target-that-is-no-secret": Told(
        app(entry("v", "db"), target={"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}),
        ("spec.target.manifest", "--unsafe-allow-generic-targets", "create, update and delete"),
        reason="ResourceSyncedError",
    ),
    "several-entries-that-fail": Told(
        app(
            *(entry("a", "gone/a"), entry("b", "db"), entry("c", "db", decodingStrategy="Base64")),
            *(extract("db"), find("(")),
        ),
        ("4 entries failed, the first", "spec.dataFrom[0].extract (key: db)", STORE, "is not a JSON object"),
        said=(
            "4 entries failed: (1) error processing spec.dataFrom[0].extract (key: db)",
            "(2) error processing spec.dataFrom[1].find",
            "(3) error processing spec.data[0] (key: gone/a)",
            "(4) error processing spec.data[2] (key: db)",
        ),
    ),
}


def described(cluster: LocalCluster, tenant: Tenant) -> tuple[str, str]:
    """What `kubectl describe` says: of the status, and of the events; without line breaks and ages."""
    text = cluster.kubectl("describe", "externalsecret", "app", "--namespace", tenant.namespace)
    head, _, events = text.partition("\nEvents:")
    told = [" ".join(line.split()) for line in events.splitlines()]
    return " ".join(head.split()), "\n".join(told)


def assert_is_told_and_stays_so(
    cluster: LocalCluster, tenant: Tenant, operator: OperatorProcess, wanted: Told
) -> None:
    def named(words: tuple[str, ...]) -> list[str]:
        return [one.replace("{ns}", tenant.namespace) for one in words]

    tenant.wait_told("app", wanted.reason, holding=named(wanted.message)[0])
    tenant.wait_event("ExternalSecret", "app", wanted.event)
    status, events = described(cluster, tenant)
    versions = tenant.version("ExternalSecret", "app"), tenant.raw_events("ExternalSecret", "app")
    for _ in range(2):
        looks = tenant.looks(operator, "app")
        operator.look_again()
        tenant.wait_looks(operator, "app", more_than=looks)

    assert [one for one in named(wanted.message) if one not in status] == []
    assert f"Reason: {wanted.reason}" in status
    assert [one for one in named(wanted.said or wanted.message) if one not in events] == []
    assert (tenant.version("ExternalSecret", "app"), tenant.raw_events("ExternalSecret", "app")) == versions


@pytest.mark.parametrize("case", CASES)
def test_describe_tells_what_is_wrong_and_what_to_do(
    tenant: Tenant, operator: OperatorProcess, cluster: LocalCluster, case: str
) -> None:
    wanted = CASES[case]
    tenant.create(store(VALUES), *wanted.others, wanted.source)

    assert_is_told_and_stays_so(cluster, tenant, operator, wanted)


def test_describe_tells_of_a_search_that_is_denied(
    app: AWSTenant, operator: OperatorProcess, cluster: LocalCluster
) -> None:
    app.move_in()
    app.tenant.create(external_secret("app", find("^db")))

    wanted = Told({}, ("spec.dataFrom[0].find", STORE, "secretsmanager:ListSecrets"))
    assert_is_told_and_stays_so(cluster, app.tenant, operator, wanted)


def test_describe_tells_of_a_store_that_does_not_let_the_namespace_in(
    tenant: Tenant, operator: OperatorProcess, cluster: LocalCluster, shared_store: str
) -> None:
    tenant.create(store(VALUES, name=shared_store, cluster=True, conditions=[{"namespaces": ["other"]}]))
    tenant.create(external_secret("app", entry("v", "db"), store=cluster_store(shared_store)))

    where = f'using cluster store "{shared_store}" is not allowed from namespace "{tenant.namespace}"'
    assert_is_told_and_stays_so(cluster, tenant, operator, Told({}, (where, "denied by spec.condition")))
