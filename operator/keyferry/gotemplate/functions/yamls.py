"""YAML in and out, as the reference operator has it."""

from __future__ import annotations

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.serial.gojson import JSONError
from keyferry.gotemplate.serial.goyaml import YAMLError, dump, load_map
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import Value

group = FunctionGroup("JSON and YAML")


@group.add("toYaml", "func(interface {}) string")
def to_yaml(run: Run, value: Value) -> bytes:
    """The value as YAML, keys sorted, without a line's end after it: `toYaml (dict "a" 1)` is `a: 1`. An empty text where YAML cannot hold it."""
    try:
        return dump(run, value).removesuffix(b"\n")
    except JSONError:
        return b""


@group.add("fromYaml", "func(string) map[string]interface {}")
def from_yaml(run: Run, text: bytes) -> dict[bytes, Value]:
    """The map that the YAML is: `(fromYaml "a: b").a` is `b`. Where it is none, a map with what is wrong under the key Error. Numbers are float64."""
    try:
        return load_map(run, text)
    except YAMLError as error:
        return {b"Error": str(error).encode()}
