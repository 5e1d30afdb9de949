"""The oracle: a small Go program around tidwall/gjson, built once per run where there is a Go."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyferry.localcluster.errors import LocalClusterError
from keyferry.localcluster.progress import Silent
from keyferry.localcluster.toolchain import Go, GoVersion, go_in_path, obtain_go

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Answer:
    """What gjson makes of a document and a path; all fields are empty where it panics."""

    exists: bool
    kind: str
    raw: bytes
    text: bytes
    panics: bool = False


class Oracle:
    """The built program.

    Args:
        program: where it is.
    """

    def __init__(self, program: Path) -> None:
        self.program = program

    def answers(self, cases: Iterable[tuple[bytes, str]]) -> list[Answer]:
        """What Go says to each document and path; one process for all of them."""
        lines = [
            json.dumps({"json": _base64(document), "path": _base64(path.encode())})
            for document, path in cases
        ]
        done = subprocess.run(
            [self.program], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=170
        )
        answers = [_answer(json.loads(line)) for line in done.stdout.splitlines()]
        assert len(lines) == len(answers)
        return answers


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _answer(wire: dict) -> Answer:
    if wire.get("panic"):
        return Answer(exists=False, kind="", raw=b"", text=b"", panics=True)
    raw, text = (base64.b64decode(wire[name] or "") for name in ("raw", "string"))
    return Answer(wire["exists"], wire["type"], raw, text)


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Skips where there is no Go or no way to the Go modules, but not in CI: there it must run."""
    folder = tmp_path_factory.mktemp("gjson-oracle")
    try:
        return Oracle(_build(_go(), folder))
    except LocalClusterError as error:
        reason = f"no Go oracle: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _go() -> Go:
    """The Go in PATH; in CI, another where that is missing or too old."""
    found = re.search(r"^go (\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    if os.environ.get("CI") == "true":
        return obtain_go(found[1], Silent())
    go = go_in_path()
    least = GoVersion.parse(found[1])
    if go is None or least is None or go.version < least:
        raise LocalClusterError(f"there is no Go {found[1]} or newer in PATH")
    return go


def _build(go: Go, folder: Path) -> Path:
    program = folder / "oracle"
    environment = go.environment(folder)
    environment["GOFLAGS"] += " -mod=readonly"
    done = subprocess.run(
        [go.command, "build", "-trimpath", "-o", program, "."],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise LocalClusterError(f"go build says: {last[0]}")
    return program
