"""Hand-chosen documents and paths with the answers of Go's gjson, for machines without Go.

`golden.json` has, for each document and path, the type, `.Raw`, and `.String()` where it is not the raw text;
a case without a type is one where nothing exists. The tests beside the Go oracle compare the file with Go.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from keyferry import gjson

GROUPS = json.loads(Path(__file__).with_name("golden.json").read_text())


def as_bytes(text):
    """Text as it is in the file: a string, or base64 where it is no UTF-8."""
    return text.encode() if isinstance(text, str) else base64.b64decode(text["base64"])


def expected_answer(case):
    if "type" not in case:
        return case["path"], False, "Null", b"", b""
    raw = as_bytes(case["raw"])
    return case["path"], True, case["type"], raw, as_bytes(case["string"]) if "string" in case else raw


@pytest.mark.parametrize("group", [pytest.param(g, id=f"{g['topic']}-{n}") for n, g in enumerate(GROUPS)])
def test_answers_are_those_of_go(group):
    document = as_bytes(group["document"])

    expected = [expected_answer(case) for case in group["cases"]]
    actual = []
    for case in group["cases"]:
        result = gjson.get(document, case["path"])
        actual.append((case["path"], result.exists, result.kind.value, result.raw, result.text()))

    assert expected == actual


def test_table_is_not_empty():
    assert sum(len(group["cases"]) for group in GROUPS) > 1000
