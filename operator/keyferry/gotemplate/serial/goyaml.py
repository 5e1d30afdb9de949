"""YAML in and out, as sigs.k8s.io/yaml does it: YAML 1.1 to JSON to values, and values to JSON to YAML.

Only the first document of a stream is read. Errors have line and column, and nothing of the content.
"""

from __future__ import annotations

from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.serial.gonumbers import general_float32
from keyferry.gotemplate.serial.goyaml_emitter import Emitter
from keyferry.gotemplate.serial.goyaml_scalars import YAMLError
from keyferry.gotemplate.values import Value

__all__ = ["YAMLError", "dump", "load", "load_map", "load_string_map"]

_DECODING: Final = "error unmarshaling JSON: while decoding JSON: "


def load(run: Run, text: bytes, *, native: bool | None = None) -> Value:
    """The value of the first document; all numbers are float64.

    Raises:
        YAMLError: it is none.
        FunctionError: it nests too deeply.
    """
    return _document(run, text, native=native, keeps_numbers=False)


def load_map(run: Run, text: bytes, *, native: bool | None = None) -> dict[bytes, Value]:
    """The same where it must be a map; a document with nothing in it is an empty one.

    Raises:
        YAMLError: it is none, or something else.
        FunctionError: it nests too deeply.
    """
    return _as_map(load(run, text, native=native), "map[string]interface {}")


def load_string_map(run: Run, text: bytes, *, native: bool | None = None) -> dict[bytes, bytes]:
    """The first document as a map[string]string: numbers and booleans become text, null becomes "".

    Raises:
        YAMLError: it is no map, or one of its values is a list or map.
        FunctionError: it nests too deeply.
    """
    found = _as_map(_document(run, text, native=native, keeps_numbers=True), "map[string]string")
    return {key: _as_text(number, value) for number, (key, value) in enumerate(found.items(), 1)}


def dump(run: Run, value: Value) -> bytes:
    """The value as YAML, with the line's end that it ends with.

    Raises:
        JSONError: JSON or YAML cannot hold it.
        FunctionError: it nests too deeply.
    """
    return Emitter(run).document(value)


def _document(run: Run, text: bytes, *, native: bool | None, keeps_numbers: bool) -> Value:
    # PyYAML is loaded when it is needed: few templates read YAML.
    from keyferry.gotemplate.serial.goyaml_loader import Loader

    return Loader(run, text, native=native, keeps_numbers=keeps_numbers).document()


def _as_map(value: Value, wanted: str) -> dict[bytes, Value]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise YAMLError(
            f"{_DECODING}json: cannot unmarshal {_json_type(value)} into Go value of type {wanted}"
        )
    return value


def _json_type(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, bytes):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _as_text(number: int, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        return general_float32(value).encode()
    # The key is not named: what made the text may have made it of a value.
    raise YAMLError(
        f"{_DECODING}json: cannot unmarshal {_json_type(value)} into Go value of type string "
        f"(key number {number})"
    )
