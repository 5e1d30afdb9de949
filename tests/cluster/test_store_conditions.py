"""spec.conditions of a ClusterSecretStore: which namespaces may use it, asked for each ExternalSecret."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.testing.builders import cluster_store, entry, external_secret, store
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
LABELS = {"team": "a", "stage": "prod"}
NAMESPACE = "<the test's>"


def selector(**fields: Any) -> dict[str, Any]:
    return {"namespaceSelector": fields}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return selector(matchExpressions=[{"key": key, "operator": operator, "values": list(values)}])


OTHERS = {"namespaces": ["others"]}
ALLOWED: dict[str, list[dict[str, Any]]] = {
    "no-conditions": [],
    "name": [{"namespaces": ["others", NAMESPACE]}],
    "regex": [{"namespaceRegexes": ["^namespace-that.*"]}],
    "regex-anywhere-in-the-name": [{"namespaceRegexes": ["that-fits"]}],
    "label": [selector(matchLabels={"team": "a"})],
    "all-labels": [selector(matchLabels=LABELS)],
    "label-in": [expression("team", "In", "a", "b")],
    "label-not-in": [expression("team", "NotIn", "b")],
    "label-exists": [expression("team", "Exists")],
    "label-does-not-exist": [expression("absent", "DoesNotExist")],
    "label-not-in-where-absent": [expression("absent", "NotIn", "b")],
    "empty-selector": [selector()],
    "any-entry": [OTHERS, {}, selector(matchLabels={"team": "a"})],
    "any-field": [{**OTHERS, "namespaceRegexes": ["^namespace-"], **selector(matchLabels={"team": "b"})}],
}
DENIED: dict[str, list[dict[str, Any]]] = {
    "empty-entry": [{}],
    "other-name": [OTHERS],
    "other-regex": [{"namespaceRegexes": ["^others", "fits$"]}],
    "other-label": [selector(matchLabels={"team": "b"})],
    "not-all-labels": [selector(matchLabels={"team": "a", "stage": "test"})],
    "label-not-in": [expression("team", "NotIn", "a")],
    "label-does-not-exist": [expression("team", "DoesNotExist")],
    "label-and-expression": [
        selector(
            matchLabels={"team": "a"},
            matchExpressions=[{"key": "stage", "operator": "In", "values": ["test"]}],
        )
    ],
}


def conditions_for(namespace: str, conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conditions with the test's namespace put in."""
    return [
        one | {"namespaces": [namespace if name == NAMESPACE else name for name in one["namespaces"]]}
        if "namespaces" in one
        else one
        for one in conditions
    ]


def relabel(kube: KubeClient, namespace: str, labels: dict[str, str | None]) -> None:
    kube.patch(path_of("v1", "namespaces", name=namespace), {"metadata": {"labels": labels}})


def denial(shared_store: str, namespace: str) -> str:
    cause = f'using cluster store "{shared_store}" is not allowed from namespace "{namespace}": denied by spec.condition'
    return (
        f"could not get secret data from provider: {cause}. "
        "Ask the store's owner to add the namespace to spec.conditions"
    )


@pytest.mark.parametrize("case", ALLOWED)
def test_namespace_that_fits_any_entry_is_let_in(
    tenant: Tenant, operator: OperatorProcess, shared_store: str, case: str
) -> None:
    relabel(tenant.kube, tenant.namespace, {**LABELS})
    conditions = conditions_for(tenant.namespace, ALLOWED[case])
    shared = store({"db": ONE}, name=shared_store, cluster=True, conditions=conditions)
    tenant.create(shared, external_secret("app", entry("v", "db"), store=cluster_store(shared_store)))

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": ONE}


@pytest.mark.parametrize("case", DENIED)
def test_namespace_that_fits_no_entry_is_kept_out(
    tenant: Tenant, operator: OperatorProcess, shared_store: str, case: str
) -> None:
    relabel(tenant.kube, tenant.namespace, {**LABELS})
    shared = store({"db": ONE}, name=shared_store, cluster=True, conditions=DENIED[case])
    tenant.create(shared, external_secret("app", entry("v", "db"), store=cluster_store(shared_store)))

    tenant.wait_failed("app", "denied by spec.condition")
    assert tenant.told("app") == ("False", "SecretSyncedError", denial(shared_store, tenant.namespace))
    assert tenant.find("Secret", "app") is None


def test_relabelled_namespace_is_let_in_at_once_and_kept_out_at_the_next_refresh(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    conditions = [selector(matchLabels={"team": "a"})]
    tenant.create(store({"db": ONE}, name=shared_store, cluster=True, conditions=conditions))
    tenant.create(
        external_secret("app", entry("v", "db"), store=cluster_store(shared_store), refreshInterval="300ms")
    )
    tenant.wait_failed("app", "denied by spec.condition")
    relabel(tenant.kube, tenant.namespace, {"team": "a"})
    tenant.wait_synced("app")
    relabel(tenant.kube, tenant.namespace, {"team": None})
    tenant.wait_failed("app", "denied by spec.condition")

    assert tenant.values("app") == {"v": ONE}


def test_changed_conditions_let_in_at_once(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    tenant.create(store({"db": ONE}, name=shared_store, cluster=True, conditions=[{}]))
    tenant.create(external_secret("app", entry("v", "db"), store=cluster_store(shared_store)))
    tenant.wait_failed("app", "denied by spec.condition")
    tenant.set_store(
        store({"db": ONE}, name=shared_store, cluster=True, conditions=[{"namespaces": [tenant.namespace]}])
    )

    tenant.wait_synced("app")


def test_conditions_hold_for_every_store_of_an_object(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    """Also where the default store lets the namespace in, and somebody else has just read the same value."""
    tenant.create(store({"db": ONE}), store({"db": TWO}, name=shared_store, cluster=True, conditions=[{}]))
    tenant.create(
        external_secret("app", entry("a", "db"), entry("b", "db", store=cluster_store(shared_store)))
    )

    tenant.wait_failed("app", "denied by spec.condition")
    assert tenant.find("Secret", "app") is None


def test_regular_expression_that_is_none_is_told_by_its_place(
    tenant: Tenant, operator: OperatorProcess, shared_store: str
) -> None:
    conditions = [{"namespaceRegexes": ["(unclosed"]}]
    tenant.create(store({"db": ONE}, name=shared_store, cluster=True, conditions=conditions))
    tenant.create(external_secret("app", entry("v", "db"), store=cluster_store(shared_store)))

    tenant.wait_failed("app", "spec.conditions: '(unclosed' is not a valid RE2 regular expression")
