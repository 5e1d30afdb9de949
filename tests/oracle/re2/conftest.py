"""The oracle: a small Go program around Go's own package regexp."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from .cases import Answer, Case


class Oracle:
    """The built program.

    Args:
        program: where it is.
    """

    def __init__(self, program: Path) -> None:
        self.program = program

    def answers(self, cases: Iterable[Case]) -> list[Answer]:
        """What Go says to each case; one process for all of them."""
        lines = [json.dumps(asdict(case)) for case in cases]
        done = subprocess.run(
            [self.program], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=170
        )
        answers = [_answer(json.loads(line)) for line in done.stdout.splitlines()]
        assert len(lines) == len(answers)
        return answers


def _answer(wire: dict) -> Answer:
    if wire["error"]:
        return Answer(is_pattern=False, why=wire["error"])
    return Answer(is_pattern=True, matches=wire["matches"], replaced=wire["replaced"])


@pytest.fixture(scope="session")
def oracle(build_go: Callable[[Path], Path]) -> Oracle:
    return Oracle(build_go(Path(__file__).parent))
