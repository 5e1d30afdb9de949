"""The oracle: a small Go program around Go's own text/template, with Sprig."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from .cases import Answer, Case, from_wire, to_wire


class Oracle:
    """The built program.

    Args:
        program: where it is.
    """

    def __init__(self, program: Path) -> None:
        self.program = program

    def answers(self, cases: Iterable[Case]) -> list[Answer]:
        """What Go says to each case; one process for all of them."""
        lines = [to_wire(case) for case in cases]
        answers = [from_wire(line) for line in self.ask("render", "\n".join(lines)).splitlines()]
        assert len(lines) == len(answers)
        return answers

    def signatures(self) -> dict[str, dict[str, str]]:
        """Of each function its type, and what the engine says of how many arguments it wants."""
        return json.loads(self.ask("signatures", ""))

    def ask(self, command: str, questions: str) -> str:
        done = subprocess.run(
            [self.program, command],
            input=questions,
            capture_output=True,
            text=True,
            check=True,
            timeout=170,
            env=os.environ | {"TZ": "UTC", "GOMEMLIMIT": "1GiB"},
        )
        return done.stdout


@pytest.fixture(scope="session")
def oracle(build_go: Callable[[Path], Path]) -> Oracle:
    return Oracle(build_go(Path(__file__).parent))
