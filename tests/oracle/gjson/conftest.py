"""The oracle: a small Go program around tidwall/gjson."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest


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
def oracle(build_go: Callable[[Path], Path]) -> Oracle:
    return Oracle(build_go(Path(__file__).parent))
