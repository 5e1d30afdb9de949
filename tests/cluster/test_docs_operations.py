"""The labels of the metrics on the operations page, read from a running operator."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families
from tests.docs.markdown import ROOT, table

from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import Object, entry, external_secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

PAGE = ROOT / "docs/operations.md"


def test_metrics_carry_the_labels_that_the_page_tells(
    app: AWSTenant, operator: OperatorProcess, shared_store: str
) -> None:
    app.put("db", canary("docs-metrics"))
    app.move_in()
    app.tenant.create(store({}, name=shared_store, cluster=True))
    app.tenant.create(external_secret("db", entry("v", app.key("db"))))
    app.tenant.wait_synced("db")
    app.tenant.wait_told(shared_store, "Valid", kind="ClusterSecretStore")
    nowhere: Object = external_secret(shared_store, entry("v", "db"))
    nowhere["kind"] = "ClusterExternalSecret"
    nowhere["spec"] = {
        "externalSecretSpec": nowhere["spec"],
        "namespaceSelectors": [{"matchLabels": {"nowhere": shared_store}}],
    }
    app.tenant.create(nowhere)
    eventually(lambda: "clusterexternalsecret_status_condition" in _exposed(operator))
    exposed = _exposed(operator)
    told = {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1]))
        for row in table(PAGE, "Metric", "Labels", "Meaning")
    }

    app.tenant.delete("ClusterExternalSecret", shared_store)

    assert exposed == told


def _exposed(operator: OperatorProcess) -> dict[str, set[str]]:
    """The labels of each metric that has a sample: some are declared long before they have one."""
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(operator.metrics())
        for sample in family.samples
        if not sample.name.startswith("process_")
    }
