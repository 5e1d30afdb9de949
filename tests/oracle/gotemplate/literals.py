"""Literals: texts, numbers, and calls that make a new value of them alone."""

from __future__ import annotations

import random
from collections.abc import Callable

from . import vocabulary as words

MOST_MIXED = 60
JOINED = ["", "", "", " ", ",", "-", "\n", "é", "."]


class Literals:
    """Writes literals.

    Args:
        source: of randomness.
    """

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.exact = False
        """Whether what is made must certainly be of its kind."""
        pick = self.random.choice
        self.makers: dict[str, Callable[[], str]] = {
            "text": lambda: self._quoted(words.TEXTS),
            "int": self._int,
            "size": lambda: str(pick(words.SIZES)),
            "int64": lambda: f"(int64 {self._int()})",
            "float64": self._float,
            "bool": lambda: pick(["true", "false"]),
            "nil": lambda: "nil",
            "time": lambda: f"({self._made('time')})",
            "semver": lambda: f"({self._made('semver')})",
            "strings": lambda: f"(splitList {self._quoted(words.CUTS)} {self._quoted(words.TEXTS)})",
            "stringMap": lambda: f"(split {self._quoted(words.CUTS)} {self._quoted(words.TEXTS)})",
            "ints": lambda: f"(until {pick(words.SIZES)})",
            "lists": lambda: f"(chunk {pick([1, 2, 3])} {self._list()})",
            "dict": self._dict,
        }

    def literal(self, kind: str) -> str:
        """A literal, or a call that makes a new value of literals; a list for kinds that have no other."""
        return self.makers.get(kind, self._list)()

    def _quoted(self, pool: list[str]) -> str:
        return quoted(self._word(pool), self.random)

    def _word(self, pool: list[str]) -> str:
        """One of the pool, or two together, or with a character less: most kinds of text have broken neighbours."""
        word = self.random.choice(pool)
        choice = self.random.random()
        if len(word) > MOST_MIXED or pool is words.YAMLS or choice < 0.75:
            return word
        if choice < 0.9:
            return word + self.random.choice(JOINED) + self.random.choice(pool)[:MOST_MIXED]
        at = self.random.randint(0, len(word))
        return word[:at] + word[at + 1 :]

    def _int(self) -> str:
        choice = self.random.random()
        if choice < 0.75:
            return str(self.random.choice(words.INTS))
        if choice < 0.85 and not self.exact:
            return self.random.choice(words.INT_LITERALS)
        return str(self.random.choice([1, -1]) * self.random.getrandbits(self.random.randint(1, 63)))

    def _float(self) -> str:
        if self.random.random() < 0.7:
            return self.random.choice(words.FLOATS)
        number = self.random.uniform(-1, 1) * 10.0 ** self.random.randint(-30, 30)
        return repr(round(number, self.random.randint(0, 6)) if self.random.random() < 0.5 else number)

    def _scalar(self) -> str:
        return self.literal(
            self.random.choice(["text", "text", "int", "float64", "bool", "nil", "int64", "list", "dict"])
            if self.random.random() < 0.5
            else "text"
        )

    def _list(self) -> str:
        return (
            "("
            + " ".join(["list", *(self._scalar() for _ in range(self.random.choice([0, 1, 2, 2, 3])))])
            + ")"
        )

    def _dict(self) -> str:
        keys = self.random.choices(words.KEYS, k=self.random.choice([0, 1, 2, 2, 3]))
        return (
            "(" + " ".join(["dict", *(f"{quoted(key, self.random)} {self._scalar()}" for key in keys)]) + ")"
        )

    def _made(self, kind: str) -> str:
        if kind == "semver":
            return f"semver {self._quoted(words.VERSIONS)}"
        if self.random.random() < 0.5:
            return f'toDate "2006-01-02" "20{self.random.randint(10, 30)}-0{self.random.randint(1, 9)}-1{self.random.randint(0, 9)}"'
        return f"toDate {self._quoted(words.LAYOUTS)} {self._quoted(words.DATES)}"


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


ESCAPES: dict[str, str] = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\x00": "\\x00"}


def quoted(text: str, choose: random.Random) -> str:
    """The text as a literal: in quotation marks with escapes, or raw."""
    if "`" not in text and not any("\udc80" <= sign <= "\udcff" for sign in text) and choose.random() < 0.25:
        return f"`{text}`"
    signs = []
    for sign in text:
        if "\udc80" <= sign <= "\udcff":
            signs.append(f"\\x{ord(sign) - 0xDC00:02x}")
        elif sign in ESCAPES:
            signs.append(ESCAPES[sign])
        elif sign > "\x7f" and choose.random() < 0.2:
            signs.append(f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}")
        else:
            signs.append(sign)
    return '"' + "".join(signs) + '"'
