"""Fields that the API has and this version does not do: named in the condition, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.testing.builders import entry, external_secret, extract, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
TRANSFORM = [{"transform": {"template": "{{ .value }}"}}]

FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "template": ({"target": {"template": {"data": {"v": "{{ .v }}"}}}}, "spec.target.template is"),
    "empty-template": ({"target": {"template": {}}}, "spec.target.template is"),
    "transform": (
        {"dataFrom": [extract("doc") | {"rewrite": TRANSFORM}]},
        "spec.dataFrom[0].rewrite[0].transform is",
    ),
    "several": (
        {"target": {"template": {}}, "dataFrom": [extract("doc") | {"rewrite": TRANSFORM}]},
        "spec.target.template, spec.dataFrom[0].rewrite[0].transform are",
    ),
}


def told(named: str) -> tuple[str, str, str]:
    message = (
        f"could not get secret data from provider: {named} not available yet in this version of Keyferry"
    )
    return "False", "SecretSyncedError", message


@pytest.mark.parametrize("case", FIELDS)
def test_field_that_is_not_available_is_named_and_nothing_is_written(
    tenant: Tenant, operator: OperatorProcess, case: str
) -> None:
    fields, named = FIELDS[case]
    tenant.create(store({"db": ONE, "doc": f'{{"a":"{ONE}"}}'}))
    tenant.create(external_secret("app", entry("v", "db"), **fields))

    tenant.wait_failed("app")
    assert tenant.told("app") == told(named)
    assert tenant.find("Secret", "app") is None
    assert tenant.find("ConfigMap", "app") is None


@pytest.mark.parametrize("case", FIELDS)
def test_field_that_is_not_available_leaves_the_last_good_secret(
    tenant: Tenant, operator: OperatorProcess, case: str
) -> None:
    fields, named = FIELDS[case]
    tenant.create(store({"db": ONE, "doc": f'{{"a":"{ONE}"}}'}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    version = tenant.version("Secret", "app")
    tenant.edit_spec("app", **fields)
    tenant.wait_failed("app")
    # Not even its labels, of which a template would have its own idea.
    looks = tenant.looks(operator, "app")
    tenant.label("ExternalSecret", "app", {"team": "a"})
    tenant.wait_looks(operator, "app", more_than=looks)

    assert tenant.told("app") == told(named)
    assert tenant.version("Secret", "app") == version
    assert tenant.values("app") == {"v": ONE}


def test_removed_field_is_forgotten_at_once(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db"), target={"template": {}}))
    tenant.wait_failed("app")
    tenant.edit_spec("app", target={"template": None})

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": ONE}
