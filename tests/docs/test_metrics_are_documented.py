"""Each metric that is exposed is on the page, and no other."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from keyferry.cli.exposition import exposition
from keyferry.cli.process import Process, RunOptions
from keyferry.kube.config import ClusterConfig

from .markdown import ROOT, table

PAGE = ROOT / "docs/operations.md"


async def test_table_has_every_metric_that_is_exposed():
    """White box: the operator's parts are wired as for a run, and nothing is started."""
    engine = Process(RunOptions(), ClusterConfig("https://127.0.0.1:1", ""))._wire()
    text = b"".join([piece async for piece in exposition(engine)]).decode()
    exposed = {family.name for family in text_string_to_metric_families(text)}
    documented = {name.strip("`") for name, _, _ in table(PAGE, "Metric", "Labels", "Meaning")}

    assert documented == {name for name in exposed if not name.startswith("process_")}
