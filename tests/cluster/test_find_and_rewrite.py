"""dataFrom as a whole: searches, rewrites, several stores, and the order in which all of it counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import (
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

ONE, TWO, THREE, FOUR = canary("one"), canary("two"), canary("three"), canary("four")
STORE = {"shop/db": ONE, "shop/token": TWO, "other": THREE}
CONFIG = {
    "app/base": json.dumps({"user": ONE, "mode": TWO}),
    "app/override": json.dumps({"mode": THREE}),
}
MERGED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "later-keys-win": ({"conflictPolicy": "Ignore"}, {"user": ONE, "mode": THREE}),
    "priority-wins": (
        {"conflictPolicy": "Ignore", "priority": ["app/base"]},
        {"user": ONE, "mode": TWO},
    ),
    "absent-priority-may-be-ignored": (
        {"conflictPolicy": "Ignore", "priority": ["x"], "priorityPolicy": "IgnoreNotFound"},
        {"user": ONE, "mode": THREE},
    ),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "conflict": ({}, "'mode'"),
    "absent-priority": ({"conflictPolicy": "Ignore", "priority": ["x"]}, "'x'"),
    "json-without-into": ({"conflictPolicy": "Ignore", "strategy": "JSON"}, "into"),
}


def test_search_by_name_gives_a_key_for_each(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store(STORE), external_secret("app", find("^shop/")))
    tenant.wait_synced("app")

    assert tenant.values("app") == {"shop_db": ONE, "shop_token": TWO}


def test_search_that_finds_nothing_keeps_the_secret(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store(STORE), external_secret("app", find("^shop/")))
    tenant.wait_synced("app")
    tenant.edit_spec("app", dataFrom=[find("^none/")])
    tenant.wait_synced("app")

    assert tenant.told("app")[2] == "secret retained due to DeletionPolicy=Retain"
    assert tenant.values("app") == {"shop_db": ONE, "shop_token": TWO}


def test_key_that_is_found_no_more_is_pruned(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store(STORE), external_secret("app", find("^shop/")))
    tenant.wait_synced("app")
    tenant.set_store(store({"shop/db": ONE}))
    tenant.label("ExternalSecret", "app", {"again": "yes"})

    tenant.wait_values("app", {"shop_db": ONE})


def test_expression_that_is_none_is_named(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store(STORE), external_secret("app", find("(?=x)")))

    tenant.wait_failed("app", holding="spec.dataFrom[0].find")


@pytest.mark.parametrize("case", MERGED)
def test_values_are_merged(tenant: Tenant, operator: OperatorProcess, case: str) -> None:
    merge, expected = MERGED[case]
    tenant.create(store(CONFIG), external_secret("app", find("^app/", rewrite=[{"merge": merge}])))
    tenant.wait_synced("app")

    assert tenant.values("app") == expected


def test_merged_json_is_put_beside_the_others(tenant: Tenant, operator: OperatorProcess) -> None:
    merge = {"strategy": "JSON", "into": "all", "conflictPolicy": "Ignore"}
    steps = [renamed("^app/", ""), {"merge": merge}]
    tenant.create(store(CONFIG), external_secret("app", find("^app/", rewrite=steps)))
    tenant.wait_synced("app")
    values = tenant.values("app")

    assert sorted(values) == ["all", "base", "override"]
    assert values["all"] == f'{{"mode":"{THREE}","user":"{ONE}"}}'


@pytest.mark.parametrize("case", REFUSED)
def test_merge_that_cannot_be_is_told_with_its_place(
    tenant: Tenant, operator: OperatorProcess, case: str
) -> None:
    merge, named = REFUSED[case]
    tenant.create(store(CONFIG), external_secret("app", find("^app/", rewrite=[{"merge": merge}])))
    tenant.wait_failed("app", holding="spec.dataFrom[0].find")
    message = tenant.told("app")[2]

    assert "rewrite[0]" in message
    assert named in message
    assert tenant.find("Secret", "app") is None


def test_steps_follow_one_another(tenant: Tenant, operator: OperatorProcess) -> None:
    steps = [renamed("^shop/(?P<name>.*)$", "${name}"), renamed("(.+)", "DB_${1}_X")]
    tenant.create(store(STORE), external_secret("app", find("^shop/", rewrite=steps)))
    tenant.wait_synced("app")

    assert tenant.values("app") == {"DB_db_X": ONE, "DB_token_X": TWO}


def test_lost_key_is_told_and_always_the_same(tenant: Tenant, operator: OperatorProcess) -> None:
    steps = [renamed(".*/.*", "same")]
    tenant.create(store(STORE), external_secret("app", find("^shop/", rewrite=steps)))
    tenant.wait_synced("app")

    assert tenant.values("app") == {"same": TWO}
    tenant.wait_event("ExternalSecret", "app", "KeyCollision", holding="'same'")


def test_everything_counts_in_its_order(tenant: Tenant, operator: OperatorProcess, shared_store: str) -> None:
    """Entries of dataFrom one after the other, then data; from two stores and a generator."""
    tenant.create(store({"a": ONE, "b": ONE, "c": ONE, "doc": f'{{"d":"{TWO}","a":"{TWO}"}}'}))
    tenant.create(store({"b": THREE}, name=shared_store, cluster=True))
    tenant.create(generator("Fake", "f", data={"c": FOUR, "e": FOUR}))
    shared = cluster_store(shared_store)
    tenant.create(
        external_secret(
            "app",
            find("^[abc]$"),
            extract("doc"),
            find(".", store=shared),
            generated("Fake", "f"),
            entry("e", "a"),
        )
    )
    tenant.wait_synced("app")

    assert tenant.values("app") == {"a": TWO, "b": THREE, "c": FOUR, "d": TWO, "e": ONE}


def test_search_at_aws_takes_what_has_the_tags(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put("db", ONE, tags={"team": app.namespace})
    app.put("token", TWO, tags={"team": f"{app.namespace}-too"})
    app.move_in(find=True)
    tags = {"team": app.namespace}
    app.tenant.create(external_secret("app", find(tags=tags, rewrite=[renamed(".*/", "")])))
    app.tenant.wait_synced("app")

    assert app.tenant.values("app") == {"db": ONE}


def test_search_that_is_denied_says_what_is_missing(app: AWSTenant, operator: OperatorProcess) -> None:
    app.move_in()
    app.tenant.create(external_secret("app", find("^x")))

    app.tenant.wait_failed("app", holding="secretsmanager:ListSecrets")
