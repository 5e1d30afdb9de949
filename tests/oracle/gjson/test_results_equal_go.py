"""The same documents and paths to Go's gjson and to ours: the same answers, byte for byte.

By default the same 40,000 generated cases each time. For more, or others, set in the environment
GJSON_FUZZ_CASES (how many) and GJSON_FUZZ_SEED (where to begin).
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyferry import gjson

from .conftest import Answer, Oracle
from .generator import Generator

CASES = int(os.environ.get("GJSON_FUZZ_CASES", "40000"))
SEED = int(os.environ.get("GJSON_FUZZ_SEED", "1"))
BATCH = 20_000
MOST_SHOWN = 10
GOLDEN = Path(__file__).parents[2] / "unit" / "gjson" / "golden.json"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where ours differs from Go on purpose."""

    reason: str
    holds: Callable[[bytes, str], bool]


DIFFERENCES = [
    Difference(
        "@pretty with sortKeys orders members of the same key by value. With NaN among these, which is no "
        "JSON, there is no order, and what Go gives depends on how its sort works inside.",
        lambda document, path: "sortKeys" in path and b"nan" in document.lower(),
    ),
    # And the limits: where ours raises GJSONLimitError, Go goes on. No case here comes near them.
]


def ours(document: bytes, path: str) -> Answer:
    result = gjson.get(document, path)
    return Answer(result.exists, result.kind.value, result.raw, result.text())


def is_meant_to_differ(document: bytes, path: str) -> bool:
    return any(difference.holds(document, path) for difference in DIFFERENCES)


@pytest.mark.parametrize("batch", range(0, CASES, BATCH))
def test_generated_cases_give_the_same_as_in_go(oracle: Oracle, batch):
    cases = list(Generator(SEED + batch // BATCH).cases(min(BATCH, CASES - batch)))
    answers = oracle.answers(cases)

    actual = [ours(document, path) for document, path in cases]
    different = [
        (document, path, theirs, mine)
        for (document, path), theirs, mine in zip(cases, answers, actual, strict=True)
        if theirs != mine and not is_meant_to_differ(document, path)
    ]

    assert [] == different[:MOST_SHOWN]


def test_generator_makes_cases_of_every_kind(oracle: Oracle):
    """Else the comparison would compare nothing."""
    answers = oracle.answers(Generator(SEED).cases(5000))

    kinds = Counter(answer.kind for answer in answers if answer.exists)

    assert {kind.value for kind in gjson.Kind} == set(kinds)
    assert min(kinds.values()) > 20
    assert kinds.total() > 1500
    assert not any(answer.panics for answer in answers)


def test_generator_gives_the_same_cases_for_the_same_seed():
    assert list(Generator(7).cases(200)) == list(Generator(7).cases(200))
    assert list(Generator(7).cases(200)) != list(Generator(8).cases(200))


def test_golden_answers_are_those_of_go(oracle: Oracle):
    """The table that is tested without Go stays true to it."""
    groups = json.loads(GOLDEN.read_text())
    cases = [(as_bytes(group["document"]), case["path"]) for group in groups for case in group["cases"]]

    expected = oracle.answers(cases)
    actual = [golden(case) for group in groups for case in group["cases"]]

    assert list(zip(cases, expected, strict=True)) == list(zip(cases, actual, strict=True))


def as_bytes(text: str | dict[str, str]) -> bytes:
    return text.encode() if isinstance(text, str) else base64.b64decode(text["base64"])


def golden(case: dict) -> Answer:
    if "type" not in case:
        return Answer(exists=False, kind="Null", raw=b"", text=b"")
    raw = as_bytes(case["raw"])
    return Answer(
        exists=True, kind=case["type"], raw=raw, text=as_bytes(case["string"]) if "string" in case else raw
    )
