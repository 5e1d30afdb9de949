"""The first example of the page is enough, as it stands but for the namespaces' names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.kubernetes import ALL_VERBS, Source
from tests.docs.markdown import ROOT, blocks

from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

PAGE = ROOT / "docs/providers/kubernetes.md"
GRANTS, WANTS = list(blocks(PAGE, "yaml"))[:2]


def documents(text: str, tenant: Tenant, source: Source) -> list[dict[str, Any]]:
    """The objects of a block, in the namespaces of a test."""
    named = text.replace("team-a", tenant.namespace).replace(
        "remoteNamespace: shared", f"remoteNamespace: {source.namespace}"
    )
    return [document for document in yaml.safe_load_all(named) if document]


@pytest.fixture
def source(kube: KubeClient) -> Iterator[Source]:
    with Source(kube) as made:
        yield made


def test_first_example_syncs_and_is_told_of_changes(
    tenant: Tenant, operator: OperatorProcess, source: Source
) -> None:
    source.keep("db", password=canary("before"))
    grants, wants = (documents(block.text, tenant, source) for block in (GRANTS, WANTS))
    source.create(*grants)
    tenant.create(*wants)
    tenant.wait_values("db", {"password": canary("before")})
    source.set_data("db", {"password": canary("after")})

    tenant.wait_values("db", {"password": canary("after")})
    # That each of them is needed is shown in test_kubernetes_store.py.
    assert [list(ALL_VERBS)] == [rule["verbs"] for rule in grants[0]["rules"]]
    assert [["secrets"]] == [rule["resources"] for rule in grants[0]["rules"]]
