"""Which kinds a run of the operator serves, by its flags."""

from __future__ import annotations

import pytest

from keyferry.cli.process import Process, RunOptions
from keyferry.kube.config import ClusterConfig


@pytest.mark.parametrize(
    ("flags", "served"),
    [
        pytest.param({}, True, id="by-default"),
        pytest.param({"enable_cluster_external_secret_reconciler": False}, False, id="switched-off"),
        pytest.param({"namespace": "team-a"}, False, id="one-namespace-only"),
    ],
)
async def test_cluster_external_secrets_are_served_where_all_namespaces_are(flags, served):
    """White box: the parts are wired as for a run, and nothing is started."""
    engine = Process(RunOptions(**flags), ClusterConfig("https://127.0.0.1:1", ""))._wire()

    assert engine.settings.cluster_external_secrets is served
