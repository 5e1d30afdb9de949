"""`make bench`: the measuring instruments against `keyferry run` on a fresh local control plane.

    python tests/bench/run.py [--n 1000 10000] [--idle 60] [--json FILE]

For each size a new control plane, the aws-standin (10 ms a call) and sync.py as they are: cold sync, idle
minute, bulk apply of 300 more, rotation with a short refresh interval, and in the same run the ceiling that a
bare client reaches with the same writes. Prints what was reached beside what is wanted. Machines differ and
are noisy: the ratio to the ceiling is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keyferry.localcluster import LocalCluster, StreamProgress
from keyferry.localcluster.toolchain import obtain_go
from keyferry.testing.operator import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GO_AT_LEAST = "1.22.0"


def build_standin(folder: Path) -> Path:
    """The instrument, built from source."""
    go = obtain_go(GO_AT_LEAST, StreamProgress(sys.stderr))
    out = folder / "aws-standin"
    subprocess.run(
        [go.command, "build", "-o", str(out), "."],
        cwd=HERE / "aws-standin",
        env=os.environ | go.environment(folder),
        check=True,
    )
    return out


@contextmanager
def standin(binary: Path, secrets: int) -> Iterator[str]:
    """The instrument at work; its address."""
    port = free_port()
    process = subprocess.Popen(
        [str(binary), "-addr", f"127.0.0.1:{port}", "-secrets", str(secrets), "-latency", "10ms"]
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def measure(binary: Path, folder: Path, n: int, *flags: str) -> dict[str, Any]:
    """One run of sync.py on a control plane of its own."""
    with (
        LocalCluster.start(progress=StreamProgress(sys.stderr)) as cluster,
        standin(binary, max(n * 2, 2000)) as url,
    ):
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        time.sleep(2)  # the instrument takes the kinds for served
        command = [
            sys.executable,
            str(HERE / "sync.py"),
            "--name=keyferry",
            f"--cmd={sys.executable} -m keyferry run --metrics-addr=0 --live-addr=127.0.0.1:{free_port()}",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--n={n}",
            f"--endpoint={url}",
            f"--log={folder / 'operator.log'}",
            *flags,
        ]
        environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def rows(result: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what, reached, wanted) of one run."""
    n, cold = result["n"], result["cold"]
    ceiling = result.get("ceiling_s")
    if ceiling:
        ratio = (cold["ready_s"] or float("nan")) / ceiling
        yield (
            f"cold sync of {n}",
            f"{cold['ready_s']} s = {ratio:.2f} x the bare client's {ceiling} s",
            "<= 1.6 x",
        )
    api = sum(
        count for verb, count in cold["api"].items() if not verb.startswith(("LIST", "WATCH", "PUT leases"))
    )
    yield (
        "API requests per first sync",
        f"{(api + (n - cold['api'].get('POST events', 0))) / n:.2f} with its event",
        "<= 3",
    )
    yield "CPU per first sync, start included", f"{cold['cpu_s'] / n * 1000:.2f} ms", "<= 2.5 ms"
    calls = sum(count for name, count in cold["provider"].items() if name != "max_in_flight")
    yield "store calls", f"{calls} for {result['distinct']} secrets", f"<= {result['distinct'] // 10}"
    yield "peak memory", f"{result['peak_mib']} MiB", "<= 200 MiB at 10,000"
    if "bulk" in result:
        yield (
            "bulk of 300 ready",
            f"{result['bulk']['ready_s']} s (applied in {result['bulk']['applied_s']} s)",
            "<= 1 s",
        )
    if "idle" in result:
        idle = result["idle"]
        calls = sum(count for name, count in idle["provider"].items() if name != "max_in_flight")
        yield (
            f"idle for {idle['seconds']:.0f} s",
            f"{idle['cpu_s']} s CPU, {calls} store calls, {sum(idle['api'].values())} API requests",
            "only what is still to be told",
        )
    if result.get("rotate_s") is not None:
        yield f"rotation, interval {result['refresh']}", f"{result['rotate_s']} s", "<= interval + 1 s"


def show(title: str, result: dict[str, Any]) -> None:
    """A table of one run."""
    print(f"\n{title}")
    for what, reached, wanted in rows(result):
        print(f"  {what:36} {reached:58} wanted {wanted}")


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--rotation", type=int, default=200, help="objects of the rotation run; 0: none")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="keyferry-bench-") as name:
        folder = Path(name)
        binary = build_standin(folder)
        for n in arguments.n:
            flags = [f"--distinct={n}", "--bulk=300", f"--idle={arguments.idle}", "--ceiling", "--limit=600"]
            results.append(measure(binary, folder, n, *flags))
            show(f"{n} ExternalSecrets, {n} remote secrets", results[-1])
        if arguments.rotation:
            flags = [f"--distinct={arguments.rotation}", "--refresh=10s", "--rotate=30"]
            results.append(measure(binary, folder, arguments.rotation, *flags))
            show(f"{arguments.rotation} ExternalSecrets that refresh every 10 s", results[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
