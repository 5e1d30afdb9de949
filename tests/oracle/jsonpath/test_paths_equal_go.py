"""The same paths and documents to Go's jsonpath and to ours: the same values and members, byte for byte.

By default the same 20,000 generated cases each time. For more, or others, set in the environment
JSONPATH_FUZZ_CASES (how many) and JSONPATH_FUZZ_SEED (where to begin).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyferry.core.select import select_map
from keyferry.errors import KeyferryError
from keyferry.providers.webhook import jsonpath
from keyferry.providers.webhook.result import members_of, value_of
from keyferry.secretdata import SecretBytes

from .generator import Generator

CASES = int(os.environ.get("JSONPATH_FUZZ_CASES", "20000"))
SEED = int(os.environ.get("JSONPATH_FUZZ_SEED", "1"))
MOST_SHOWN = 10
GOLDEN = Path(__file__).parents[2] / "unit" / "providers" / "json_paths.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path gives; None where there is nothing."""

    parses: bool
    value: str | None
    members: dict[str, str] | None


Ask = Callable[[Iterable[tuple[str, str]]], list[Answer | None]]


@pytest.fixture(scope="session")
def theirs(build_go) -> Ask:
    """What Go answers; None where its own order of maps decides."""
    program = build_go(Path(__file__).parent)

    def answers(cases: Iterable[tuple[str, str]]) -> list[Answer | None]:
        lines = [json.dumps({"path": path, "document": document}) for path, document in cases]
        done = subprocess.run(
            [program], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=170
        )
        found = [_answer(json.loads(line)) for line in done.stdout.splitlines()]
        assert len(lines) == len(found)
        return found

    return answers


def _answer(wire: dict) -> Answer | None:
    if wire["unstable"]:
        return None
    members = wire["members"]
    return Answer(
        wire["parses"],
        None if wire["value"] is None else _text(wire["value"]),
        None if members is None else {key: _text(value) for key, value in members.items()},
    )


def _text(encoded: str | None) -> str:
    return base64.b64decode(encoded or "").decode()


def ours(path: str, document: str) -> Answer:
    try:
        jsonpath.parse(path)
    except jsonpath.PathSyntaxError:
        return Answer(parses=False, value=None, members=None)
    try:
        value = value_of(document.encode(), path, "path").decode()
    except KeyferryError:
        value = None
    try:
        found = select_map(SecretBytes(members_of(document.encode(), path, "path")))
        members = {key: one.reveal().decode() for key, one in found.items()}
    except KeyferryError:
        members = None
    return Answer(parses=True, value=value, members=members)


def is_meant_to_differ(path: str, expected: Answer) -> bool:
    """Texts in single quotes may be longer than one character here; Go's are characters."""
    return "'" in path and not expected.parses


def test_generated_cases_give_the_same_as_in_go(theirs: Ask):
    cases = list(Generator(SEED).cases(CASES))

    different = [
        (case, expected, actual)
        for case, expected in zip(cases, theirs(cases), strict=True)
        if expected is not None
        and (actual := ours(*case)) != expected
        and not is_meant_to_differ(case[0], expected)
    ]

    assert [] == different[:MOST_SHOWN]


def test_generator_makes_cases_of_every_kind(theirs: Ask):
    """Else the comparison would compare nothing."""
    answers = theirs(Generator(SEED).cases(5000))
    kinds = Counter(
        "unstable" if one is None else (one.parses, one.value is not None, one.members is not None)
        for one in answers
    )

    assert {
        "unstable",
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    } == set(kinds)
    assert min(kinds.values()) > 20


def test_golden_answers_are_those_of_go(theirs: Ask):
    """The table that is tested without Go stays true to it."""
    cases = json.loads(GOLDEN.read_text("utf-8"))

    answers = theirs((case["path"], case["document"]) for case in cases)

    assert answers == [Answer(case["parses"], case["value"], case["members"]) for case in cases]
