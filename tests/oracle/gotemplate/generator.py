"""Templates for the comparison with Go: made by a grammar, then often broken. Deterministic by seed.

Every expression is made for a kind of value (a string, a list, …), from literals, variables, fields and calls of
the functions whose signature gives that kind; now and then for a wrong kind. So most templates run to their end,
and the others fail in many ways.

Two things must not come out, since Go does not survive them: a map within itself, and a range over a huge number.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from keyferry.gotemplate.values import StringMap

from . import vocabulary as words
from .cases import Case
from .data import DataMaker
from .expressions import ANY, Expressions
from .literals import as_bytes

ITERABLE = ("list", "strings", "ints", "lists", "dict", "stringMap", "size", "list", "dict")
ELEMENTS = {"strings": "text", "stringMap": "text", "ints": "int", "size": "int", "lists": "list"}
DELIMITERS = [("<<", ">>"), ("[[", "]]"), ("{%", "%}"), ("$(", ")"), ("{{{", "}}}"), ("<", ">"), ("é", "ü")]
SPACES = ["", " ", " ", " ", " ", " ", " ", "  ", "\n", "\t"]


class Generator(Expressions):
    """An endless row of cases.

    Args:
        seed: the same seed gives the same cases.
        signatures: of each function, as Go's reflection prints it.
    """

    def __init__(self, seed: int, signatures: Mapping[str, str]) -> None:
        super().__init__(random.Random(seed), signatures)
        self.maker = DataMaker(self.random)
        self.templates: list[tuple[str, str]] = []
        self.loops = 0

    def cases(self, count: int) -> Iterator[Case]:
        """So many cases."""
        for _ in range(count):
            yield self.case()

    def case(self) -> Case:
        """A template with its data: well formed, broken, or made of tokens only."""
        self.scopes, self.templates, self.loops = [[]], [], 0
        data, self.fields = self.maker.data()
        self.dot = self.root = {StringMap: "stringMap", dict: "dict"}.get(type(data), "any")
        choice = self.random.random()
        if choice < 0.04:
            text = "".join(self._some(words.SOUP, 12))
        elif choice < 0.08:
            text = "{{ print " + self._constant() + " }}"
        elif choice < 0.2:
            text = self.random.choice(words.ODD)
            if self.random.random() < 0.6:
                text = self._text() + text + self._nodes(1)
        else:
            text = self._nodes(self.random.choice([0, 1, 1, 2, 2, 3]))
        if self.random.random() < 0.1:
            text = self._broken(text)
        left, right = "{{", "}}"
        if self.random.random() < 0.04:
            left, right = self.random.choice(DELIMITERS)
            text = text.replace("{{", left).replace("}}", right)
        name = text if self.random.random() < 0.01 else self.random.choice(words.NAMES)
        return Case(as_bytes(text), data, as_bytes(name).decode(errors="replace"), left, right)

    def _constant(self) -> str:
        """A number, a character or a string, or nearly one."""
        form = self.random.choice(words.CONSTANTS)
        inside = "".join(self._some(form.pieces, 7))
        return form.mark + inside + form.mark

    def _some(self, of: list[str], most: int) -> list[str]:
        return self.random.choices(of, k=self.random.randint(1, most))

    def _broken(self, text: str) -> str:
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            at = self.random.randint(0, len(text))
            choice = self.random.randrange(5)
            if choice == 0:
                text = text[:at] + text[at + self.random.randint(1, 4) :]
            elif choice == 1:
                text = text[:at]
            elif choice == 2:
                other = self.random.randint(0, len(text))
                text = text[:at] + text[other : other + 8] + text[at:]
            else:
                text = text[:at] + self.random.choice(words.SOUP) + text[at:]
        return text

    def _nodes(self, depth: int) -> str:
        count = self.random.choice([1, 1, 2, 2, 3, 4]) if depth else 1
        return "".join(self._node(depth) for _ in range(count))

    def _text(self) -> str:
        return self.random.choice(
            ["", "", " ", "\n", "a", "x: ", "\n  ", " b ", "é", "}", "{", "\t\n", "a\nb\n", "}}", "\udcff"]
        )

    def _node(self, depth: int) -> str:
        choice = self.random.random()
        if choice < 0.15:
            return self._text() + self.random.choice(["z", " ", "\n"])
        if choice < 0.5 or depth == 0:
            return self._text() + self._action(self._shown(depth))
        if choice < 0.6:
            return self._declaration(depth)
        if choice < 0.66:
            return self.random.choice(["{{/* c */}}", "{{- /* c */ -}}", "{{/* {{ */}}", "{{- /* a\nb */}}"])
        if choice < 0.72 and self.loops:
            return self._action(self.random.choice(["break", "continue"]))
        if choice < 0.8:
            return self._template(depth)
        return self._block(depth)

    def _shown(self, depth: int) -> str:
        """A pipeline of a kind that prints, mostly."""
        return self._pipeline(self.random.choice(["text", "text", "any", self.random.choice(ANY)]), depth + 1)

    def _action(self, inside: str) -> str:
        left = self.random.choices(["{{", "{{- "], [9, 1])[0]
        right = self.random.choices(["}}", " -}}"], [9, 1])[0]
        return left + self.random.choice(SPACES) + inside + self.random.choice(SPACES) + right

    def _declaration(self, depth: int) -> str:
        known = [one for scope in self.scopes for one in scope if self._visible(*one)]
        if known and self.random.random() < 0.4:
            name, kind = self.random.choice(known)
            return self._action(f"${name} = {self._exact(kind, depth)}")
        kind = self.random.choice(ANY)
        text = self._exact(kind, depth)
        name = self.random.choice("xyz")
        if any(name == other and kind != its for scope in self.scopes for other, its in scope):
            name = f"v{sum(map(len, self.scopes))}"
        self.scopes[-1].append((name, kind))
        return self._action(f"${name} := {text}")

    def _template(self, depth: int) -> str:
        if self.templates and self.random.random() < 0.6:
            name, kind = self.random.choice(self.templates)
            argument = " " + self._pipeline(kind, 1) if self.random.random() < 0.9 else ""
            return self._action(f'template "{name}"{argument}')
        name = f"{self.random.choice('pqr')}{len(self.templates)}"
        kind = self.random.choice(ANY)
        block = len(self.scopes) == 1 and self.random.random() < 0.3
        argument = self._exact(kind, 1) if block else ""
        before = self.scopes, self.dot, self.root, self.loops
        self.scopes, self.dot, self.root, self.loops = [[]], kind, kind, 0
        body = self._nodes(depth - 1)
        self.scopes, self.dot, self.root, self.loops = before
        if block:
            return self._action(f'block "{name}" {argument}') + body + self._action("end")
        if len(self.scopes) > 1:
            return body  # a definition stands at the top only
        self.templates.append((name, kind))
        return self._action(f'define "{name}"') + body + self._action("end")

    def _block(self, depth: int) -> str:
        choice = self.random.random()
        if choice < 0.4:
            return self._if(depth)
        return self._with(depth) if choice < 0.6 else self._range(depth)

    def _if(self, depth: int) -> str:
        text = self._action("if " + self._pipeline(self.random.choice(["bool", "any"]), depth)) + self._body(
            depth
        )
        while self.random.random() < 0.2:
            text += self._action("else if " + self._pipeline("bool", depth)) + self._body(depth)
        return text + self._ending(depth)

    def _with(self, depth: int) -> str:
        kind = self.random.choice(ANY)
        pipeline = self._exact(kind, depth)
        text, scope = self._action(f"with {pipeline}"), []
        if self.random.random() < 0.3:
            text, scope = self._action(f"with $w := {pipeline}"), [("w", kind)]
        text += self._body(depth, kind, scope)
        if self.random.random() < 0.15:
            kind = self.random.choice(ANY)
            text += self._action("else with " + self._exact(kind, depth)) + self._body(depth, kind)
        return text + self._ending(depth)

    def _range(self, depth: int) -> str:
        kind = self.random.choice(ITERABLE)
        pipeline = self._exact(kind, depth)
        element = ELEMENTS.get(kind, "any")
        choice = self.random.random()
        declared, scope = "", []
        if choice < 0.3:
            declared, scope = "$e := ", [("e", element)]
        elif choice < 0.6 and kind != "size":
            index = "text" if kind in {"dict", "stringMap"} else "int"
            declared, scope = "$i, $e := ", [("i", index), ("e", element)]
        self.loops += 1
        text = self._action(f"range {declared}{pipeline}") + self._body(depth, element, scope)
        self.loops -= 1
        return text + self._ending(depth)

    def _body(self, depth: int, dot: str = "", scope: list[tuple[str, str]] | None = None) -> str:
        before, self.dot = self.dot, dot or self.dot
        self.scopes.append(scope or [])
        body = self._nodes(depth - 1)
        self.scopes.pop()
        self.dot = before
        return body

    def _ending(self, depth: int) -> str:
        other = self._action("else") + self._body(depth) if self.random.random() < 0.3 else ""
        return other + self._action("end")
