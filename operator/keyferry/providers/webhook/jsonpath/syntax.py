"""A path, parsed: expressions, and the steps of paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Const:
    """A number, a text, true or false."""

    value: Any


@dataclass(frozen=True, slots=True)
class Negate:
    """`-x`."""

    inner: Expression


@dataclass(frozen=True, slots=True)
class Compare:
    """`a == b` or `a != b`."""

    left: Expression
    right: Expression
    equal: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """`a.b[0]` without a `$`: what the document has there, and nothing where it has nothing."""

    keys: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`f(x)`: there are no functions, so that it fails when it is reached."""


@dataclass(frozen=True, slots=True)
class Path:
    """`$` or `@` with its steps."""

    current: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Direct:
    """`.x` or `[x]`: one element, which must be there."""

    key: Expression


@dataclass(frozen=True, slots=True)
class Script:
    """`(x)`: an expression in place of the element."""

    inner: Expression


@dataclass(frozen=True, slots=True)
class Several:
    """`[x, y]`: those elements that are there."""

    keys: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """`.*` or `[*]`: all elements."""


@dataclass(frozen=True, slots=True)
class Descend:
    """`..`: the value itself and all that is in it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?x]`: the elements for which an expression is true."""

    condition: Expression


@dataclass(frozen=True, slots=True)
class Slice:
    """`[first:last:step]` of a list."""

    first: Expression
    last: Expression
    step: Expression


Expression = Const | Negate | Compare | Variable | Call | Path
Step = Direct | Script | Several | Every | Descend | Filter | Slice
PLAIN = (Direct, Script)
"""Steps that give one value; after any other one the result is a list."""
