"""The path syntax of the Go library tidwall/gjson, to take a `property` out of a remote secret.

Results are byte for byte those of gjson 1.18.0, the release that the reference operator is built with,
on any input: gjson does not validate, so what it makes of broken JSON is part of the contract, and tests
compare both on generated documents and paths. Where the two differ on purpose: `GJSONLimitError`.

Who calls it: core, for `remoteRef.property` and the like. A leaf: it imports nothing of ours, and does no
I/O. Inside, from the bottom up: `limits`, `number`, `text`, `wildcard`, `validate`, `result`, `scan`
(values in a text), `syntax` and `path` (what a path means), `pretty` and `modifiers` (`@name`),
`evaluate` (walks a text along a path).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from keyferry.gjson.evaluate import evaluate
from keyferry.gjson.limits import MAX_DEPTH, MAX_PATH_BYTES, GJSONLimitError, Work
from keyferry.gjson.path import Path
from keyferry.gjson.result import Kind, Result
from keyferry.gjson.scan import object_keys
from keyferry.gjson.text import escape, escape_dots, to_bytes
from keyferry.gjson.validate import is_valid

__all__ = [
    "MAX_DEPTH",
    "MAX_PATH_BYTES",
    "GJSONLimitError",
    "Kind",
    "Result",
    "escape",
    "escape_dots",
    "get",
    "keys",
]

_MAX_CACHED_PATH: Final = 256
"""Longer paths are compiled each time, so that the cache stays small whatever tenants write."""


def get(json: bytes | str, path: str) -> Result:
    """What the path selects from the JSON text, as Go's `gjson.Get(json, path)`.

    Args:
        json: any bytes; text is taken as UTF-8. It need not be valid JSON.
        path: a gjson path. An empty path looks for the key "" and is not "the whole document" (`@this` is).

    Raises:
        GJSONLimitError: the path is too long or nests too deeply, or asks for too much work.
    """
    text = json if isinstance(json, bytes) else to_bytes(json)
    compiled = _cached_path(path) if len(path) <= _MAX_CACHED_PATH else _new_path(path)
    try:
        return evaluate(text, compiled, Work(len(text)))
    except RecursionError:
        raise GJSONLimitError("it nests too deeply") from None


def keys(json: bytes | str) -> list[str]:
    """The top-level keys of a JSON object in their order, each once; empty if the text is no valid JSON object.

    For messages that say which properties there are. Only valid JSON is read: in a broken text a value
    could pass for a key, and be shown.
    """
    text = json if isinstance(json, bytes) else to_bytes(json)
    if not is_valid(text):
        return []
    return list(dict.fromkeys(key.decode("utf-8", "replace") for key in object_keys(text)))


def _new_path(path: str) -> Path:
    text = to_bytes(path)
    if len(text) > MAX_PATH_BYTES:
        raise GJSONLimitError(f"it is longer than {MAX_PATH_BYTES} bytes")
    return Path(text)


@lru_cache(maxsize=512)
def _cached_path(path: str) -> Path:
    return _new_path(path)
