"""What the oracles share: small Go programs, each built once per run where there is a Go."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.progress import Silent
from keyferry.localcluster.toolchain import Go, GoVersion, go_in_path, obtain_go


@pytest.fixture(scope="session")
def build_go(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Builds the Go program in a folder and gives its path.

    Skips where there is no Go or no way to the Go modules, but not in CI: there it must run.
    """

    def build(source: Path) -> Path:
        folder = tmp_path_factory.mktemp(f"{source.name}-oracle")
        try:
            return _build(_go(source), source, folder)
        except LocalClusterError as error:
            reason = f"no Go oracle: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return build


def _go(source: Path) -> Go:
    """The Go in PATH; in CI, another where that is missing or too old."""
    found = re.search(r"^go (\S+)$", (source / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    if os.environ.get("CI") == "true":
        return obtain_go(found[1], Silent())
    go = go_in_path()
    least = GoVersion.parse(found[1])
    if go is None or least is None or go.version < least:
        raise LocalClusterError(f"there is no Go {found[1]} or newer in PATH")
    return go


def _build(go: Go, source: Path, folder: Path) -> Path:
    program = folder / "oracle"
    environment = go.environment(folder)
    environment["GOFLAGS"] += " -mod=readonly"
    done = subprocess.run(
        [go.command, "build", "-trimpath", "-o", program, "."],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise LocalClusterError(f"go build says: {last[0]}")
    return program
