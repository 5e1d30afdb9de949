"""JSON in and out."""

from __future__ import annotations

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.serial.gojson import JSONError, NumberOverflow, marshal, unmarshal
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import Value

group = FunctionGroup("JSON and YAML")


@group.add("fromJson", "func(string) interface {}")
def from_json(run: Run, text: bytes) -> Value:
    """The value that the JSON is, nil where it is none: `fromJson "[1, 2]"` is `[1 2]`. All numbers are float64."""
    try:
        return unmarshal(run, text)
    except NumberOverflow as error:
        return error.value
    except JSONError:
        return None


@group.add("mustFromJson", "func(string) (interface {}, error)")
def must_from_json(run: Run, text: bytes) -> Value:
    """Like fromJson, but an error where the text is no JSON."""
    return unmarshal(run, text)


@group.add("toJson", "func(interface {}) string")
def to_json(run: Run, value: Value) -> bytes:
    """The value as JSON, keys sorted: `toJson (dict "a" 1)` is `{"a":1}`. `<`, `>` and `&` are escaped."""
    try:
        return marshal(run, value)
    except JSONError:
        return b""


@group.add("mustToJson", "func(interface {}) (string, error)")
def must_to_json(run: Run, value: Value) -> bytes:
    """Like toJson, but an error where JSON cannot hold the value."""
    return marshal(run, value)


@group.add("toPrettyJson", "func(interface {}) string")
def to_pretty_json(run: Run, value: Value) -> bytes:
    """The value as JSON on several lines, indented by two spaces."""
    try:
        return marshal(run, value, indent="  ")
    except JSONError:
        return b""


@group.add("mustToPrettyJson", "func(interface {}) (string, error)")
def must_to_pretty_json(run: Run, value: Value) -> bytes:
    """Like toPrettyJson, but an error where JSON cannot hold the value."""
    return marshal(run, value, indent="  ")


@group.add("toRawJson", "func(interface {}) string")
def to_raw_json(run: Run, value: Value) -> bytes:
    """The value as JSON, in which `<`, `>` and `&` stay as they are: `toRawJson "<a>"` is `"<a>"`."""
    return marshal(run, value, html=False)


@group.add("mustToRawJson", "func(interface {}) (string, error)")
def must_to_raw_json(run: Run, value: Value) -> bytes:
    """Like toRawJson."""
    return marshal(run, value, html=False)
