"""JSON of the API server that is nested deeper than can be read here, cut to what can.

Wherever a schema leaves a block open, the API server takes objects nested ten thousand levels deep, and
repeats the nesting in `managedFields`. The parsers here end at a thousand levels, and one line of a watch
or one page of a list that cannot be parsed hides everybody's objects. What lies deeper than `MAX_DEPTH` is
left out: nothing that is typed, and so nothing that is worked with, is a tenth as deep.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, Final, Generic, TypeVar

import msgspec
import orjson

MAX_DEPTH: Final = 200
"""Below the limits of all that reads and writes JSON here: orjson writes 254 levels."""

_STRING: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_STRINGS: Final = re.compile(_STRING)
_STRINGS_AND_BRACKETS: Final = re.compile(_STRING + rb"|[][{}]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

T = TypeVar("T")


def is_deep(raw: bytes) -> bool:
    """Whether a JSON text is nested deeper than `MAX_DEPTH`. Next to nothing to ask for most."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    brackets = _STRINGS.sub(b"", raw).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH


def shallow(raw: bytes) -> bytes:
    """The text itself, or where it is too deep with null in the place of what is."""
    if not is_deep(raw):
        return raw
    parts, depth, kept = [], 0, 0
    for found in _STRINGS_AND_BRACKETS.finditer(raw):
        step = _STEPS.get(raw[found.start()], 0)
        depth += step
        if step > 0 and depth == MAX_DEPTH + 1:
            parts += [raw[kept : found.start()], b"null"]
        elif step < 0 and depth == MAX_DEPTH:
            kept = found.end()
    return b"".join([*parts, raw[kept:]])


def loads(raw: bytes) -> Any:
    """An object of the API server, cut where it is too deep."""
    return orjson.loads(shallow(raw))


class Decoder(Generic[T]):
    """A decoder for a part of objects, to which the depth of the rest does not matter.

    Args:
        type_: of the part.
    """

    def __init__(self, type_: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(type_)

    def decode(self, raw: bytes | msgspec.Raw) -> T:
        """The typed object.

        Raises:
            msgspec.DecodeError: the text is none.
        """
        try:
            return self._decoder.decode(raw)
        except RecursionError:
            return self._decoder.decode(shallow(bytes(raw)))
