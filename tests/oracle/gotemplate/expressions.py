"""Expressions: operands, calls and pipelines that give a value of a kind."""

from __future__ import annotations

import random
from collections.abc import Mapping

from . import vocabulary as words
from .literals import Literals, quoted

RESULTS = {
    "string": "text",
    "bool": "bool",
    "int": "int",
    "int64": "int64",
    "float64": "float64",
    "interface {}": "any",
    "reflect.Value": "any",
    "[]interface {}": "list",
    "[]string": "strings",
    "[]int": "ints",
    "[][]interface {}": "lists",
    "map[string]interface {}": "dict",
    "map[string]string": "stringMap",
    "time.Time": "time",
    "*semver.Version": "semver",
    "uint32": "int",
    "sprig.certificate": "any",
}
"""Kinds of values by their Go type."""
ANY = (
    "text",
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
    "time",
    "semver",
    "lists",
)
PLAIN = ("text", "text", "int", "float64", "int64", "bool", "nil", "list", "dict", "strings", "ints")
"""Whose insides fmt does not print by address."""
WRONG = 0.02


class Expressions(Literals):
    """Writes expressions.

    Args:
        source: of randomness.
        signatures: of each function, as Go's reflection prints it.
    """

    def __init__(self, source: random.Random, signatures: Mapping[str, str]) -> None:
        super().__init__(source)
        self.signatures = {name: text for name, text in signatures.items() if name not in words.LEFT_OUT}
        self.by_result: dict[str, list[str]] = {}
        for name in sorted(self.signatures):
            result = self.signatures[name].rpartition("func(")[2].partition(")")[2].strip(" (").split(",")[0]
            self.by_result.setdefault(RESULTS[result.rstrip(")")], []).append(name)
        self.scopes: list[list[tuple[str, str]]] = [[]]
        self.fields: dict[str, list[str]] = {}
        self.dot = "any"
        self.root = "any"
        self.fresh = False

    def _exact(self, kind: str, depth: int) -> str:
        """A pipeline that certainly has the kind: a range may rely on it."""
        before, self.exact = self.exact, True
        text = self._pipeline(kind, depth)
        self.exact = before
        return text

    def _pipeline(self, kind: str, depth: int) -> str:
        choice = self.random.random()
        if depth <= 0 or choice < 0.3:
            return self._operand(kind, depth)
        call = self._call(kind, depth)
        if call is None:
            return self._operand(kind, depth)
        if choice < 0.55 and not call.endswith(")") and " " in call and not self.exact:
            head, _, last = call.rpartition(" ")
            if '"' not in last and "`" not in last and "'" not in last and "(" not in head:
                return f"{last} {self.random.choice(['|', '|', '| '])} {head}"
        return call

    def _operand(self, kind: str, depth: int) -> str:
        """What may stand as an argument."""
        if not self.exact and self.random.random() < WRONG:
            kind = self.random.choice(ANY)
        if kind == "any":
            kind = self.random.choice(ANY)
        choice = self.random.random()
        if choice < 0.55 and not self.fresh and (places := self._places(kind)):
            return self.random.choice(places)
        if depth > 0 and choice < 0.8 and (call := self._call(kind, depth - 1)) is not None:
            return f"({call})"
        return self.literal(kind)

    def _places(self, kind: str) -> list[str]:
        """Variables and fields of the kind."""
        places = [
            f"${name}"
            for scope in self.scopes
            for name, its in scope
            if its == kind and self._visible(name, its)
        ]
        if self.dot == kind:
            places.append(".")
        if kind == self.root:
            places.append("$")
        for name in self.fields.get(kind, ()):
            if self.root in {"stringMap", "dict"}:
                if self.dot == self.root:
                    places.append(f".{name}")
                places.append(f"$.{name}")
        return places

    def _visible(self, name: str, kind: str) -> bool:
        """Not hidden by another of the same name."""
        return (
            next(its for scope in reversed(self.scopes) for other, its in reversed(scope) if other == name)
            == kind
        )

    def _call(self, kind: str, depth: int) -> str | None:
        if kind == "any" and not self.exact:
            kind = self.random.choice(["any", *self.by_result])
        names = self.by_result.get(kind)
        if kind == "semver" or (kind == "time" and self.random.random() < 0.6):
            return self._made(kind)
        if not self.exact and not self.fresh and self.random.random() < 0.03:
            return self._method()
        if names is None:
            return None
        name = self.random.choice(names)
        if name in words.FAILING and self.random.random() < 0.7:
            name = self.random.choice(names)
        fresh = self.fresh
        arguments = []
        for number, one in enumerate(self._wanted(name)):
            self.fresh = fresh or (name in words.MUTATORS and number > 0)
            arguments.append(self._argument(one, depth))
        self.fresh = fresh
        if not self.exact and self.random.random() < 0.02:
            arguments = (
                arguments[:-1] if self.random.random() < 0.5 else [*arguments, self._operand("any", 0)]
            )
        return " ".join([name, *arguments])

    def _argument(self, wanted: str, depth: int) -> str:
        if wanted in {"instant", "span"}:
            return self._moment(wanted)
        if wanted == "urldict":
            keys = self.random.sample(
                ["scheme", "host", "path", "query", "fragment", "userinfo", "opaque", "x"],
                k=self.random.randint(0, 5),
            )
            return "(dict " + " ".join(f'"{key}" {self._operand("text", 0)}' for key in keys) + ")"
        if wanted == "plain":
            wanted = self.random.choice(PLAIN)
        if wanted == "container":
            wanted = self.random.choice(["dict", "stringMap", "list", "strings", "text", "lists"])
        if wanted == "number":
            wanted = self.random.choice(["int", "int64", "float64", "text", "int", "bool"])
        if wanted in words.POOLS and wanted != "text" and (wanted == "yaml" or self.random.random() < 0.85):
            if wanted == "key" and self.random.random() < 0.2:
                return quoted(self.random.choice(words.ODD_KEYS), self.random)
            return quoted(self._word(words.POOLS[wanted]), self.random)
        if wanted in words.POOLS:
            wanted = "text"
        return self.literal("size") if wanted == "size" else self._operand(wanted, depth)

    def _moment(self, wanted: str) -> str:
        """Never a wrong kind: Go takes that for now."""
        choice = self.random.random()
        if wanted == "span" and choice < 0.5:
            return quoted(self.random.choice(words.DURATIONS), self.random)
        if wanted == "instant" and choice < 0.6:
            return f"({self._made('time')})"
        return (
            f"(int64 {self.random.choice(words.INTS)})"
            if choice < 0.9 or wanted == "span"
            else self.literal("size")
        )

    def _method(self) -> str:
        if self.random.random() < 0.5:
            return f"({self._made('time')}).{self.random.choice(words.TIME_CALLS)}"
        return f"({self._made('semver')}).{self.random.choice(words.VERSION_CALLS)}"

    def _wanted(self, name: str) -> list[str]:
        """What the arguments shall be, as many as the signature allows."""
        wanted = words.ARGUMENTS.get(name)
        params = self.signatures[name].removeprefix("func(").partition(")")[0]
        types = [one.strip() for one in params.split(",")] if params else []
        if wanted is None:
            wanted = tuple(
                self._kind(name, number, one.removeprefix("...")) for number, one in enumerate(types)
            )
            if types and types[-1].startswith("..."):
                wanted = (*wanted[:-1], *[wanted[-1]] * 3)
        if types and types[-1].startswith("..."):
            wanted = wanted[: self.random.randint(min(len(types) - 1, len(wanted)), len(wanted))]
        return list(wanted)

    def _kind(self, name: str, number: int, type_name: str) -> str:
        if name in words.NUMERIC:
            return "number"
        plain = name.removeprefix("must")
        if number == 0 and plain[:1].lower() + plain[1:] in words.LISTS:
            return "list"
        return RESULTS[type_name]
