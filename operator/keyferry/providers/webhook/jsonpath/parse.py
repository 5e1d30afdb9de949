"""From a path's text to its expression. The grammar is that of PaesslerAG/jsonpath over gval's base language."""

from __future__ import annotations

import functools
import re
from typing import Final

from keyferry.providers.webhook.jsonpath.syntax import (
    Call,
    Compare,
    Const,
    Descend,
    Direct,
    Every,
    Expression,
    Filter,
    Negate,
    Path,
    Script,
    Several,
    Slice,
    Step,
    Variable,
)
from keyferry.providers.webhook.jsonpath.tokens import (
    CHAR,
    END,
    FLOAT,
    IDENT,
    NUMBER,
    RAW,
    STRING,
    Scanner,
)
from keyferry.providers.webhook.jsonpath.values import are_equal, parse_float, to_float

MAX_CHARS: Final = 4096
"""Longest path."""
MAX_NESTING: Final = 32
"""Most parentheses, brackets and signs within each other."""
MAX_STEPS: Final = 64
"""Most steps of one path."""

_LAST: Final = float(2**31 - 1)
_OPERATORS: Final = frozenset(
    {"??", "||", "&&", "==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"}
    | {"^", "&", "|", "<<", ">>", "+", "-", "*", "/", "%", "**"}
)
"""All that the grammar knows, though only == and != mean something."""
_SYMBOLS: Final = frozenset("".join(_OPERATORS))
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_CONTROL: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


class PathSyntaxError(ValueError):
    """The text is no path. The message tells what was met, never more of the path than a word."""


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """The expression of a path.

    Raises:
        PathSyntaxError: it is none.
    """
    if len(text) > MAX_CHARS:
        raise PathSyntaxError(f"it is longer than {MAX_CHARS} characters")
    parser = _Parser(text)
    found = parser.expression()
    if parser.scan() != END:
        raise parser.unexpected("behind the path")
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._scanner = Scanner(text)
        self._depth = 0
        self.scan = self._scanner.next
        self._give_back = self._scanner.give_back

    def unexpected(self, where: str) -> PathSyntaxError:
        kind = self._scanner.kind
        what = kind if len(kind) > 1 else repr(kind)
        return PathSyntaxError(f"unexpected {what} {where}")

    # -- expressions

    def expression(self) -> Expression:
        """One with its operators, of which there are == and !=; both bind alike, from the left."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PathSyntaxError(f"it nests deeper than {MAX_NESTING} levels")
        left = self._operand()
        while (operator := self._operator()) is not None:
            left = _compared(left, self._operand(), equal=operator == "==")
        self._depth -= 1
        return left

    def _operator(self) -> str | None:
        if self.scan() not in _SYMBOLS:
            self._give_back()
            return None
        operator, longer = self._scanner.text, False
        while (char := self._scanner.peek()) in _SYMBOLS and _is_beginning(operator + char):
            operator += self._scanner.take()
            longer = True
        if operator in ("==", "!="):
            return operator
        if longer:
            raise PathSyntaxError(f"there is no operator {operator!r}")
        self._give_back()
        return None

    def _operand(self) -> Expression:
        kind, text = self.scan(), self._scanner.text
        match kind:
            case "$" | "@":
                return self._path(current=kind == "@")
            case "(":
                inner = self.expression()
                self._expect(")")
                return inner
            case "-":
                return self._negated()
            case _ if kind in (NUMBER, FLOAT):
                number = parse_float(text)
                if number is None:
                    raise PathSyntaxError("a number cannot be read")
                return Const(number)
            case _ if kind in (STRING, CHAR, RAW):
                return Const(_unquoted(text))
            case _ if kind == IDENT:
                return Const(text == "true") if text in ("true", "false") else self._variable(text)
        raise self.unexpected("where a value begins")

    def _negated(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PathSyntaxError(f"it nests deeper than {MAX_NESTING} levels")
        inner = self._operand()
        self._depth -= 1
        if not isinstance(inner, Const):
            return Negate(inner)
        number = to_float(inner.value)
        if number is None:
            raise PathSyntaxError("a sign before what is no number")
        return Const(-number)

    def _variable(self, name: str) -> Expression:
        keys: list[Expression] = [Const(name)]
        while True:
            match self.scan():
                case ".":
                    if self.scan() != IDENT:
                        raise self.unexpected("where a name begins")
                    keys.append(Const(self._scanner.text))
                case "(":
                    self._arguments()
                    return Call()
                case "[":
                    keys.append(self.expression())
                    self._expect("]")
                case _:
                    self._give_back()
                    return Variable(tuple(keys))

    def _arguments(self) -> None:
        if self.scan() == ")":
            return
        self._give_back()
        while True:
            self.expression()
            match self.scan():
                case ")":
                    return
                case ",":
                    continue
            raise self.unexpected("among arguments")

    def _expect(self, kind: str) -> None:
        if self.scan() != kind:
            raise self.unexpected(f"where {kind!r} belongs")

    # -- paths

    def _path(self, *, current: bool) -> Path:
        steps: list[Step] = []
        while (step := self._step()) is not None:
            steps.append(step)
            if isinstance(step, Descend):
                steps.append(self._below())
            if len(steps) > MAX_STEPS:
                raise PathSyntaxError(f"it has more than {MAX_STEPS} steps")
        return Path(current, tuple(steps))

    def _step(self) -> Step | None:
        match self.scan():
            case ".":
                kind = self.scan()
                if kind == IDENT:
                    return Direct(Const(self._scanner.text))
                if kind == "*":
                    return Every()
                if kind == ".":
                    return Descend()
                raise self.unexpected("behind a dot")
            case "[":
                return self._bracket()
            case "(":
                return self._script()
        self._give_back()
        return None

    def _below(self) -> Step:
        """The step that stands right behind `..`."""
        kind = self.scan()
        if kind == IDENT:
            return Direct(Const(self._scanner.text))
        if kind == "*":
            return Every()
        if kind == "(":
            return self._script()
        if kind == "[":
            step = self._bracket()
            if isinstance(step, Slice):
                raise PathSyntaxError("'..' cannot be followed by a range")
            # One key is looked for in all that there is, and may be missing.
            return Several((step.key,)) if isinstance(step, Direct) else step
        raise self.unexpected("behind '..'")

    def _script(self) -> Script:
        inner = self.expression()
        self._expect(")")
        return Script(inner)

    def _bracket(self) -> Step:
        keys, separator = self._keys()
        if separator == ":":
            if len(keys) > 3:
                raise PathSyntaxError("a range has at most a first, a last and a step")
            rest = (Const(0.0), Const(_LAST), Const(1.0))[len(keys) :]
            return Slice(*keys, *rest)
        if separator == "?":
            if len(keys) != 1:
                raise PathSyntaxError("a filter has one condition")
            return Filter(keys[0])
        if len(keys) == 1:
            return Direct(keys[0])
        return Several(tuple(keys)) if keys else Every()

    def _keys(self) -> tuple[list[Expression], str]:
        """What is between brackets, and what separates it."""
        keys: list[Expression] = []
        separator = ""
        while True:
            kind = self.scan()
            if kind == "*":
                self._expect("]")
                return [], ""
            if kind == ":":
                keys.append(Const(_LAST if len(keys) == 1 else 0.0))
            elif kind != "?" and not (kind == "]" and separator == ":"):
                self._give_back()
                keys.append(self.expression())
                kind = self.scan()
            separator = separator or kind
            if kind == "]":
                return keys, separator
            if kind not in (":", ",", "?") or (kind == "?" and keys):
                raise self.unexpected("in brackets")
            if separator != kind:
                raise PathSyntaxError(f"{separator!r} and {kind!r} are mixed in brackets")


def _compared(left: Expression, right: Expression, *, equal: bool) -> Expression:
    if isinstance(left, Const) and isinstance(right, Const):
        return Const(are_equal(left.value, right.value) is equal)
    return Compare(left, right, equal)


def _is_beginning(text: str) -> bool:
    return any(operator.startswith(text) for operator in _OPERATORS)


def _unquoted(token: str) -> str:
    """The text of a literal, with Go's escapes."""
    quote, inner = token[0], token[1:-1]
    if len(token) < 2 or token[-1] != quote:
        raise PathSyntaxError("a text has no end")
    if quote == "`":
        return inner.replace("\r", "")
    text = _ESCAPE.sub(lambda found: _unescaped(found, quote), inner)
    # Escaped bytes may make a character together.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _unescaped(found: re.Match[str], quote: str) -> str:
    simple, octal, *hexadecimal, other = found.groups()
    if other is not None or (simple in ("'", '"') and simple != quote):
        raise PathSyntaxError("a text has an escape that there is not")
    if simple is not None:
        return _CONTROL.get(simple, simple)
    number = int(octal, 8) if octal else int(next(one for one in hexadecimal if one), 16)
    is_byte = octal is not None or hexadecimal[0] is not None
    if (is_byte and number > 0xFF) or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise PathSyntaxError("a text has an escape that is no character")
    return chr(0xDC00 + number) if is_byte and number > 0x7F else chr(number)
