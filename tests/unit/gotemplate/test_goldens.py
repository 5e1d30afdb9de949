"""What Go makes of several hundred templates, checked in: ours makes the same of them, also where there is no Go.

The tests beside the Go oracle write these files, and compare them with Go.
"""

from __future__ import annotations

import base64
import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from keyferry.gotemplate import Limits, Run, TemplateError, parse
from keyferry.gotemplate.functions.table import FUNCTIONS
from keyferry.gotemplate.values import ByteSlice, Int64, Ints, StringMap, Strings, Uint8

FOLDER = Path(__file__).parent / "goldens"
MATERIAL = "material"
NOW_NS = 1_767_225_600_000_000_000


def as_bytes(text: str | dict[str, str]) -> bytes:
    return text.encode() if isinstance(text, str) else base64.b64decode(text["base64"])


def value(description: dict[str, Any] | None) -> Any:
    """The value that a description means."""
    if description is None:
        return None
    ((kind, inside),) = description.items()
    if kind in {"int", "int64", "uint8", "float64"}:
        return {"int": int, "int64": Int64, "uint8": Uint8, "float64": float}[kind](inside)
    match kind:
        case "string":
            return as_bytes(inside)
        case "bytes":
            return ByteSlice(as_bytes(inside))
        case "strings":
            return Strings(map(as_bytes, inside))
        case "ints":
            return Ints(inside)
        case "list":
            return [value(one) for one in inside]
        case "map":
            return {as_bytes(one["key"]): value(one["value"]) for one in inside}
        case "stringMap":
            return StringMap((as_bytes(one["key"]), as_bytes(one["value"])) for one in inside)
    return inside


@functools.cache
def topic(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def goldens() -> list[Any]:
    names = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != MATERIAL)
    return [
        pytest.param(name, number, id=f"{name}-{number}")
        for name in names
        for number in range(len(topic(name)["cases"]))
    ]


def render(text: str, data: Any) -> dict[str, bytes]:
    run = Run(Limits(), now_ns=NOW_NS, monotonic=lambda: 0.0, random_bytes=os.urandom)
    try:
        return {"output": parse("t", text).render(data, run)}
    except TemplateError as error:
        return {"error": error.message.encode("utf-8", "surrogateescape")}


@pytest.mark.parametrize(("name", "number"), goldens())
def test_template_gives_what_go_gives(name: str, number: int):
    """Or what the golden says that ours gives instead, with the reason's name."""
    case = topic(name)["cases"][number]
    used = case["data"]
    data = value(topic(MATERIAL) if used == MATERIAL else topic(name)["data"][used])
    expected = case.get("ours", case)

    actual = render(case["template"], data)

    assert {key: as_bytes(expected[key]) for key in ("output", "error") if key in expected} == actual


def test_every_function_has_a_golden_that_renders():
    rendered = " ".join(
        case["template"]
        for path in FOLDER.glob("*.json")
        if path.stem != MATERIAL
        for case in topic(path.stem)["cases"]
        if "output" in case
    )

    words = set(rendered.replace("(", " ").replace("{{", " ").replace(")", " ").split())

    assert {"call"} == FUNCTIONS.keys() - words
