"""The data of generated cases: most often texts by name, as the operator gives them, else values of all types."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from keyferry.gotemplate.values import ByteSlice, Int32, Int64, Ints, StringMap, Strings, Uint, Uint8, Uint64

from . import vocabulary as words

SIZES = [0, 1, 2, 3]
FLAT = ["text", "int", "nil"]
INSIDE = ["text", "int", "float64", "bool", "nil", "list", "dict"]
FLOATS = [
    0.0, 1.0, -1.5, 0.1, 1e6, 1e20, 1e21, 1e-7, 123456.789, float("inf"), float("nan"), -0.0, 5e-324,
]  # fmt: skip
OTHERS = [Int32(-7), Uint(7), Uint64(2**64 - 1), Uint8(200), ByteSlice(b"a\xffb")]
Fields = dict[str, list[str]]
"""Names of the data's members, by their kind."""


class DataMaker:
    """Makes data.

    Args:
        source: of randomness.
    """

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def data(self) -> tuple[Any, Fields]:
        """Data, and what it has."""
        choice = self.random.random()
        if choice < 0.55:
            return self._strings_by_name()
        if choice < 0.92:
            return self._values_by_name()
        return self._value(
            self.random.choice(["text", "int", "list", "nil", "bool", "float64", "bytes", "uint8"])
        ), {}

    def _strings_by_name(self) -> tuple[Any, Fields]:
        keys = self._keys()
        named = StringMap((key.encode(), self._text()) for key in keys)
        odd = self.random.sample(words.ODD_KEYS, k=self.random.choice([0, 0, 1, 2]))
        named.update((key.encode(), self._text()) for key in odd)
        return named, {"text": keys}

    def _values_by_name(self) -> tuple[Any, Fields]:
        fields: Fields = {}
        values = {}
        for key in self._keys():
            kind = self.random.choice(
                [
                    "text",
                    "text",
                    "int",
                    "int64",
                    "float64",
                    "bool",
                    "nil",
                    "list",
                    "dict",
                    "strings",
                    "ints",
                    "stringMap",
                    "other",
                ]
            )
            values[key.encode()] = self._value(kind)
            fields.setdefault(kind, []).append(key)
        return values, fields

    def _keys(self) -> list[str]:
        return self.random.sample(words.KEYS, k=self.random.randint(1, 5))

    def _text(self) -> bytes:
        return self.random.choice(words.TEXTS).encode("utf-8", "surrogateescape")

    def _value(self, kind: str, depth: int = 2) -> Any:
        pick = self.random.choice
        makers: dict[str, Callable[[], Any]] = {
            "text": self._text,
            "int": lambda: pick(words.INTS),
            "int64": lambda: Int64(pick(words.INTS)),
            "float64": lambda: pick(FLOATS),
            "bool": lambda: pick([True, False]),
            "nil": lambda: None,
            "bytes": lambda: ByteSlice(self._text()),
            "uint8": lambda: Uint8(pick([0, 65, 255])),
            "strings": lambda: Strings(self._text() for _ in range(pick(SIZES))),
            "ints": lambda: Ints(pick(words.INTS) for _ in range(pick(SIZES))),
            "stringMap": lambda: StringMap((key.encode(), self._text()) for key in self._keys()),
            "list": lambda: [self._inner(depth) for _ in range(pick(SIZES))],
            "dict": lambda: {key.encode(): self._inner(depth) for key in self._keys()},
            "other": lambda: pick(OTHERS),
        }
        return makers[kind]()

    def _inner(self, depth: int) -> Any:
        return self._value(self.random.choice(INSIDE if depth else FLAT), depth - 1)
