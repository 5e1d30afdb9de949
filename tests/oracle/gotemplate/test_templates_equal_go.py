"""The same templates and data to Go's text/template with Sprig and to ours: the same bytes, or the same error.

By default the same 24,000 generated templates each time. For more, or others, set in the environment
GOTEMPLATE_FUZZ_CASES (how many) and GOTEMPLATE_FUZZ_SEED (where to begin).
"""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest

from . import goldens
from .cases import Answer, Case, ours
from .conftest import Oracle
from .differences import DIFFERENCES, Difference, explained
from .generator import Generator
from .vocabulary import LEFT_OUT

CASES = int(os.environ.get("GOTEMPLATE_FUZZ_CASES", "24000"))
SEED = int(os.environ.get("GOTEMPLATE_FUZZ_SEED", "1"))
MOST_SHOWN = 10


@pytest.fixture(scope="session")
def signatures(oracle: Oracle) -> dict[str, str]:
    return {name: signature["type"] for name, signature in oracle.signatures().items()}


@pytest.fixture(scope="session")
def compared(oracle: Oracle, signatures: dict[str, str]) -> list[tuple[Case, Answer, Answer]]:
    """The cases, what Go makes of each, and what ours does."""
    cases = list(Generator(SEED, signatures).cases(CASES))
    return list(zip(cases, oracle.answers(cases), map(ours, cases), strict=True))


def test_generated_templates_give_the_same_as_in_go(compared: list[tuple[Case, Answer, Answer]]):
    different = [
        (case, theirs, mine)
        for case, theirs, mine in compared
        if theirs != mine and not explained(case, theirs, mine)
    ]

    assert [] == different[:MOST_SHOWN]


def test_limits_and_deliberate_differences_are_rare(compared: list[tuple[Case, Answer, Answer]]):
    """Else they would hide what is not compared."""
    outcomes = Counter(
        theirs.stage == mine.stage and theirs.output == mine.output for _, theirs, mine in compared
    )

    assert outcomes[False] < 0.01 * len(compared)


def test_generator_makes_templates_of_every_kind(
    compared: list[tuple[Case, Answer, Answer]], signatures: dict[str, str]
):
    """Else the comparison would compare nothing: most run to their end, and every function is called."""
    stages = Counter(theirs.stage for _, theirs, _ in compared)
    done = b"\n".join(case.text for case, theirs, _ in compared if theirs.stage == "done")

    never = {name for name in signatures.keys() - LEFT_OUT if name.encode() not in done}

    assert 0.5 < stages["done"] / len(compared) < 0.8
    assert 0.1 < stages["parse"] / len(compared) < 0.3
    assert 0.1 < stages["execute"] / len(compared) < 0.3
    assert set() == never


def test_generator_gives_the_same_cases_for_the_same_seed(signatures: dict[str, str]):
    one, same, other = (list(map(repr, Generator(seed, signatures).cases(200))) for seed in (7, 7, 8))

    assert one == same
    assert one != other


@pytest.mark.parametrize("known", [pytest.param(known, id=known.name) for known in DIFFERENCES])
def test_known_difference_is_there(oracle: Oracle, known: Difference):
    """Else the list would hide others."""
    (theirs,), mine = oracle.answers([known.example]), ours(known.example)

    assert theirs != mine
    assert known.holds(known.example, theirs, mine)
    assert known.name == explained(known.example, theirs, mine)


def test_goldens_are_those_of_go(oracle: Oracle):
    """The examples that are tested without Go stay true to it; tests.oracle.gotemplate.goldens writes them."""
    expected = goldens.contents(oracle)

    actual = {path: path.read_text() for path in goldens.FOLDER.glob("*.json") if path != goldens.MATERIAL}

    assert expected == actual


def test_where_a_golden_differs_from_go_the_list_says_why():
    reasons = {known.name for known in DIFFERENCES}

    named = {
        case["why"]
        for path in goldens.FOLDER.glob("*.json")
        if path != goldens.MATERIAL
        for case in json.loads(path.read_text())["cases"]
        if "ours" in case
    }

    assert named <= reasons
