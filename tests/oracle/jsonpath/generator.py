"""Random paths over random documents: made of what the grammar has, and sometimes broken."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

KEYS = ["a", "b", "c", "name", "token", "x y", "0", "1", "é", "_z"]
NAMES = ["a", "b", "c", "name", "token", "_z", "é"]
NUMBERS = [
    "0",
    "1",
    "2",
    "-1",
    "1.5",
    "2.5",
    "0.5",
    "-0.3",
    "-0",
    "1e3",
    "1E2",
    "100000",
    "1e21",
    "1e20",
    "1e-5",
    "0.0001",
    "123456789",
    "9007199254740992",
    "3.14159",
    "1e6",
    "-2.50",
    "0.1",
]
TEXTS = ["", "v", "true", "false", "1", "0", "2.5", "abc", "<&>", "é", "TRUE", "null", "\u2028"]
TEXTS += ['{"q":1,"r":"s","t":null,"u":[1.50]}']
LITERALS = [
    '"a"',
    '"name"',
    '"token"',
    "`b`",
    '"x\\u0020y"',
    "'a'",
    "'0'",
    "1",
    "0",
    "2",
    "-1",
    "1.5",
    "0x10",
    "1e1",
    "true",
    "false",
    '"1"',
    '"abc"',
    '"v"',
    '""',
    '-"1"',
    '-"x"',
    ".5",
    '"\\u00e9"',
    '"\\x41"',
    "1_0",
    "010",
    "-0",
    '"1_0"',
    '"0x1p3"',
    '"inf"',
    "3",
    "-2",
]
BROKEN = [*list(".[]()$@*?:,'\"= !-/#{}|<0a "), "/*x*/", "//"]


class Generator:
    """Cases of a seed.

    Args:
        seed: the same one gives the same cases.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._any = self._random.choice

    def cases(self, count: int) -> Iterator[tuple[str, str]]:
        """(path, document)."""
        for _ in range(count):
            yield self._top(), self._document()

    def _chance(self, of: float) -> bool:
        return self._random.random() < of

    def _document(self, depth: int = 0) -> str:
        roll = self._random.random()
        if depth > 3 or roll < 0.35:
            return self._any([self._any(NUMBERS), json.dumps(self._any(TEXTS)), "true", "false", "null"])
        size = self._random.randint(0, 4)
        inner = [self._document(depth + 1) for _ in range(size)]
        if roll < 0.65:
            return f"[{','.join(inner)}]"
        keys = self._random.sample(KEYS, size)
        return "{" + ",".join(f"{json.dumps(key)}:{one}" for key, one in zip(keys, inner, strict=True)) + "}"

    def _top(self) -> str:
        roll = self._random.random()
        if roll < 0.85:
            path = self._path()
        elif roll < 0.95:
            path = self._expression()
        else:
            path = self._any(["a", "a.b", "name", "a[0].b", "a['b']", "$", "@", "a.b.c.d", "a[5]", "true"])
        if self._chance(0.03):
            at = self._random.randint(0, len(path))
            path = path[:at] + self._any(BROKEN) + path[at:]
        return path.replace(".", " . ", 1) if self._chance(0.02) else path

    def _path(self, depth: int = 0, root: str = "$") -> str:
        steps = range(self._random.randint(0, 4 if depth == 0 else 2))
        return root + "".join(self._step(depth) for _ in steps)

    def _step(self, depth: int) -> str:
        roll = self._random.random()
        if roll < 0.4:
            return f".{self._any(NAMES)}"
        if roll < 0.5:
            return ".*"
        if roll < 0.62:
            below = ["a", "b", "*", "[*]", "['a']", '["a","b"]', "[0]", "[?(@.a==1)]", "(@.a)", "[0:1]"]
            return f"..{self._any(below)}"
        return self._bracket(depth) if roll < 0.95 else f"({self._expression(depth + 1)})"

    def _bracket(self, depth: int) -> str:
        roll = self._random.random()
        if roll < 0.25:
            return f"[{self._any(LITERALS)}]"
        if roll < 0.35:
            return "[*]"
        if roll < 0.55:
            condition = self._expression(depth + 1)
            return f"[?({condition})]" if self._chance(0.5) else f"[?{condition}]"
        if roll < 0.7:
            return f"[{','.join(self._any(LITERALS) for _ in range(self._random.randint(1, 3)))}]"
        if roll < 0.9:
            bounds = ["", "0", "1", "2", "-1", "-2", "3", "10", "1.9", '"1"', '"x"', "@.a"]
            stride = self._any(["", ":", ":1", ":2", ":-1", ":0", ":-2"])
            return f"[{self._any(bounds)}:{self._any(bounds)}{stride}]"
        return f"[{self._expression(depth + 1)}]"

    def _expression(self, depth: int = 0) -> str:
        roll = self._random.random()
        if depth > 2 or roll < 0.3:
            return self._any(LITERALS)
        if roll < 0.55:
            return self._path(depth + 1, self._any("$@@"))
        if roll < 0.8:
            operator = self._any(["==", "!=", " == "] if self._chance(0.95) else [">", "&&", "=~", "+", "??"])
            return self._expression(depth + 1) + operator + self._expression(depth + 1)
        if roll < 0.9:
            return f"({self._expression(depth + 1)})"
        if roll < 0.94:
            return f"-{self._expression(depth + 1)}"
        return self._any(["a", "name", "token.a", "a[0]", "a[@.b]", "f(1)", "true", "a.b.c", "b[1].a"])
