"""Hostile templates end quickly, in little memory, with an error that says so: each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("bombs.py")
SECONDS = 0.3
"""Of processor time, for what no cryptography is in."""
SLOW_SECONDS = 5.0
GROWN_KIB = 150 * 1024
ENDS = {"rendered", "ExecError", "LimitError", "ParseError"}


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    """What became of each bomb."""
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"{'slow ' if line['slow'] else ''}{line['name']}": line for line in lines}


def names() -> list[str]:
    sys.path.insert(0, str(PROGRAM.parent))
    try:
        from bombs import BOMBS, SLOW
    finally:
        sys.path.remove(str(PROGRAM.parent))
    return [*BOMBS, *(f"slow {name}" for name in SLOW)]


@pytest.mark.parametrize("name", names())
def test_a_hostile_template_ends_within_its_budget(results, name):
    result = results[name]

    assert result["outcome"] in ENDS, result
    assert result["cpu_s"] <= (SLOW_SECONDS if result["slow"] else SECONDS), result
    assert result["grown_kib"] <= GROWN_KIB, result
