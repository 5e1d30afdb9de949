"""What the demo measured at its end: work done, memory used, and whether a secret value got out."""

from __future__ import annotations

from typing import Final

import psutil

from keyferry.cli.demo.programs import OPERATOR
from keyferry.cli.demo.stage import NAMESPACE, Stage
from keyferry.testing.leaks import LeakDetector

REQUESTS: Final = "keyferry_kube_requests"
_MIB: Final = 2**20


def told(stage: Stage) -> str:
    """API requests, store calls, memory and CPU of the operator, in one line."""
    requests = _sample(stage.programs.metrics(), REQUESTS)
    calls = [call for call in stage.aws.control.calls() if "keyferry/" in call.user_agent]
    process = psutil.Process(stage.programs.operator_pid)
    cpu = process.cpu_times()
    memory = process.memory_info().rss / _MIB
    return (
        f"Operator: {requests:.0f} API requests, {len(calls)} store calls, {memory:.0f} MiB, "
        f"{cpu.user + cpu.system:.1f} s CPU."
    )


def leaks(stage: Stage, said: str) -> list[str]:
    """Where secret values are that should not be: searched in the operator's log, statuses, events, metrics.

    Args:
        stage: what is searched.
        said: what the demo has told so far; searched too.
    """
    detector = LeakDetector()
    detector.look("the operator's log", stage.programs.log(OPERATOR).read_bytes())
    detector.look("the operator's metrics", stage.programs.metrics())
    detector.look("what this demo told", said)
    for kind in ("externalsecrets", "secretstores"):
        detector.look(f"status of {kind}", stage.cluster.kubectl("-n", NAMESPACE, "get", kind, "-o", "json"))
    detector.look("events", stage.kube.list(f"/api/v1/namespaces/{NAMESPACE}/events"))
    return [str(finding) for finding in detector.findings]


def _sample(metrics: str, name: str) -> float:
    for line in metrics.splitlines():
        if line.rpartition(" ")[0] == name:
            return float(line.rpartition(" ")[2])
    return 0.0
