"""Cases and answers, and how they travel to the oracle and into the goldens."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keyferry.gotemplate import LimitError, Limits, ParseError, Run, TemplateError, parse
from keyferry.gotemplate.values import (
    ByteSlice,
    Int32,
    Int64,
    Ints,
    StringMap,
    Strings,
    Uint,
    Uint8,
    Uint32,
    Uint64,
)

NUMBERS: dict[type, str] = {
    int: "int",
    Int64: "int64",
    Int32: "int32",
    Uint8: "uint8",
    Uint32: "uint32",
    Uint64: "uint64",
    Uint: "uint",
    float: "float64",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A template and its data.

    Args:
        text: the template.
        data: a value as the engine sees it.
        name: the template's name.
    """

    text: bytes
    data: Any = field(default_factory=StringMap)
    name: str = "t"
    left: str = "{{"
    right: str = "}}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine makes of a case.

    Args:
        stage: where it ended: parse, execute, done; limit where ours asks for less.
        output: what came out, where it is done.
        error: the text, where it is not.
    """

    stage: str
    output: bytes = b""
    error: bytes = b""


def to_wire(case: Case) -> str:
    """The line that the oracle reads."""
    return json.dumps(
        {
            "name": as_base64(case.name.encode()),
            "text": as_base64(case.text),
            "left": as_base64(case.left.encode()),
            "right": as_base64(case.right.encode()),
            "data": describe(case.data, as_base64),
        }
    )


def from_wire(line: str) -> Answer:
    """The answer in a line that the oracle wrote."""
    wire = json.loads(line)
    return Answer(
        wire["stage"], base64.b64decode(wire.get("output", "")), base64.b64decode(wire.get("error", ""))
    )


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def describe(value: Any, text: Callable[[bytes], Any]) -> Any:
    """The value as JSON: null, or an object whose one member's name tells the type.

    Args:
        value: as the engine sees it.
        text: how a string is written.
    """
    kind = type(value)
    if value is None:
        return None
    if kind in NUMBERS:
        return {NUMBERS[kind]: repr(float(value)) if kind is float else str(int(value))}
    if kind is StringMap or kind is dict:
        name, inside = ("stringMap", text) if kind is StringMap else ("map", lambda one: describe(one, text))
        return {name: [{"key": text(key), "value": inside(one)} for key, one in value.items()]}
    makers: dict[type, tuple[str, Callable[[Any], Any]]] = {
        bool: ("bool", bool),
        bytes: ("string", text),
        ByteSlice: ("bytes", lambda value: text(bytes(value))),
        Strings: ("strings", lambda value: [text(one) for one in value]),
        Ints: ("ints", list),
        list: ("list", lambda value: [describe(one, text) for one in value]),
    }
    name, inside = makers[kind]
    return {name: inside(value)}


def ours(case: Case, limits: Limits | None = None) -> Answer:
    """What our engine makes of the case."""
    run = Run(limits or Limits(), now_ns=NOW_NS, monotonic=lambda: 0.0, random_bytes=bytes)
    try:
        template = parse(case.name, case.text, left=case.left, right=case.right)
        return Answer("done", output=template.render(case.data, run))
    except LimitError as error:
        return Answer("limit", error=as_bytes(error))
    except ParseError as error:
        return Answer("parse", error=as_bytes(error))
    except TemplateError as error:
        return Answer("execute", error=as_bytes(error))


NOW_NS = 1_767_225_600_000_000_000
"""What ours takes for now: 2026-01-01."""


def as_bytes(error: TemplateError) -> bytes:
    return error.message.encode("utf-8", "surrogateescape")
