"""The same patterns, texts and replacements to Go's regexp and to ours: the same answers.

By default the same 30,000 generated cases each time. For more, or others, set in the environment
RE2_FUZZ_CASES (how many) and RE2_FUZZ_SEED (where to begin).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from keyferry.core.patterns import MAX_PATTERN_CHARS, Pattern
from keyferry.errors import SpecError

from .cases import BROKEN, CLASSES, REPLACEMENTS, TEXTS, Answer, Case, Generator
from .conftest import Oracle

CASES = int(os.environ.get("RE2_FUZZ_CASES", "30000"))
SEED = int(os.environ.get("RE2_FUZZ_SEED", "1"))
BATCH = 15_000
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """Where ours differs from Go.

    Args:
        example: a pattern of which it is true; none where that depends on Go's release.
    """

    reason: str
    holds: Callable[[str, Answer, Answer], bool]
    example: str = ""


DIFFERENCES = [
    Difference(
        "RE2 reads braces with a number of ten digits and more as plain text, where Go reads a repetition and "
        "refuses it. Nobody means such a number.",
        lambda pattern, theirs, ours: "invalid repeat count" in theirs.why and is_long_number(pattern),
        "a{1000000000}",
    ),
    Difference(
        "Go since 1.25 has more names for classes, such as \\p{Letter} or \\p{greek}. RE2 has those of its table.",
        lambda pattern, theirs, ours: theirs.is_pattern and "character class range: \\" in ours.why,
    ),
    Difference(
        "A pattern that needs more than 8 MiB is refused: one tenant's must not take the memory of all.",
        lambda pattern, theirs, ours: theirs.is_pattern and "pattern too large" in ours.why,
        r"\pL{1000}",
    ),
    Difference(
        "Go refuses parentheses that are nested 1,000 deep; RE2 takes as many as our limit of characters has room for.",
        lambda pattern, theirs, ours: "nests too deeply" in theirs.why,
        "(" * 1000 + "a" + ")" * 1000,
    ),
    Difference(
        "A pattern may have 2,048 characters. Go has no such limit.",
        lambda pattern, theirs, ours: theirs.is_pattern and len(pattern) > MAX_PATTERN_CHARS,
        "a" * (MAX_PATTERN_CHARS + 1),
    ),
]


def is_long_number(pattern: str) -> bool:
    return re.search(r"[{,]\d{10}", pattern) is not None


def ours(case: Case) -> Answer:
    try:
        pattern = Pattern(case.pattern)
    except SpecError as error:
        return Answer(is_pattern=False, why=error.message)
    return Answer(
        is_pattern=True,
        matches=pattern.matches(case.text),
        replaced=pattern.replace(case.text, case.replacement),
    )


def different(oracle: Oracle, cases: list[Case]) -> list[tuple[Case, Answer, Answer]]:
    """What differs for a reason that is not in the list."""
    return [
        (case, theirs, mine)
        for case, theirs, mine in zip(cases, oracle.answers(cases), map(ours, cases), strict=True)
        if theirs != mine and not any(known.holds(case.pattern, theirs, mine) for known in DIFFERENCES)
    ]


@pytest.mark.parametrize("batch", range(0, CASES, BATCH))
def test_generated_cases_give_the_same_as_in_go(oracle: Oracle, batch):
    cases = list(Generator(SEED + batch // BATCH).cases(min(BATCH, CASES - batch)))

    assert [] == different(oracle, cases)[:MOST_SHOWN]


def test_patterns_that_may_be_none_are_refused_where_go_refuses_them(oracle: Oracle):
    """Each alone: in a longer pattern one that is refused hides another."""
    cases = [Case(pattern, text, "<$0>") for pattern in (*BROKEN, *CLASSES) for text in ("", "a", "aéb")]

    assert [] == different(oracle, cases)[:MOST_SHOWN]


def test_replacements_are_read_as_in_go(oracle: Oracle):
    patterns = [
        "a",
        "(a)",
        "(a)|(b)",
        "(?P<name>a)(?P<n>b)?",
        "",
        "(?P<1st>a)(?P<_>b*)",
        "()",
        "(?P<01>a)|(?P<x1>.)",
    ]
    cases = [
        Case(pattern, text, replacement)
        for pattern in patterns
        for replacement in REPLACEMENTS
        for text in ("ab", "aéb\n", "")
    ]

    assert [] == different(oracle, cases)[:MOST_SHOWN]


@pytest.mark.parametrize("known", [known for known in DIFFERENCES if known.example])
def test_known_difference_is_there(oracle: Oracle, known: Difference):
    """Else the list would hide others."""
    case = Case(known.example, "aa", "")

    (theirs,), mine = oracle.answers([case]), ours(case)

    assert theirs != mine
    assert known.holds(case.pattern, theirs, mine)


def test_generator_makes_cases_of_every_kind(oracle: Oracle):
    """Else the comparison would compare nothing."""
    cases = list(Generator(SEED).cases(6000))
    answers = oracle.answers(cases)

    refused = [case for case, answer in zip(cases, answers, strict=True) if not answer.is_pattern]
    matched = [case for case, answer in zip(cases, answers, strict=True) if answer.matches]

    assert 0.05 < len(refused) / len(cases) < 0.45
    assert 0.3 < len(matched) / len(cases) < 0.8
    assert {case.text for case in matched} > set(TEXTS)
    assert {case.replacement for case in matched} > set(REPLACEMENTS)


def test_generator_gives_the_same_cases_for_the_same_seed():
    assert list(Generator(7).cases(200)) == list(Generator(7).cases(200))
    assert list(Generator(7).cases(200)) != list(Generator(8).cases(200))
