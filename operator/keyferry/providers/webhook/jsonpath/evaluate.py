"""What a path finds in a document. Paths come from tenants: the work is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keyferry.providers.webhook.jsonpath.syntax import (
    PLAIN,
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
from keyferry.providers.webhook.jsonpath.values import (
    are_equal,
    to_bool,
    to_float,
    to_int,
    to_text,
    weight,
)

MOST_WORK: Final = 300_000
"""Elements looked at; about a microsecond each."""
_INDEX: Final = re.compile(r"[+-]?[0-9]{1,18}")


class NothingThereError(ValueError):
    """The document has nothing where the path looks. The text holds no value."""


class PathLimitError(ValueError):
    """The path asks for more work than it may."""


class Work:
    """What is left of the work that one evaluation may do."""

    __slots__ = ("left",)

    def __init__(self, most: int = MOST_WORK) -> None:
        self.left = most

    def spend(self, amount: int) -> None:
        """Take this much.

        Raises:
            PathLimitError: there is not that much left.
        """
        self.left -= amount
        if self.left < 0:
            raise PathLimitError("it asks for too much work on this document")


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where an expression is evaluated: the whole document, what `@` stands for, the work that is left."""

    root: Any
    current: Any
    work: Work

    def at(self, current: Any) -> _Scope:
        return _Scope(self.root, current, self.work)


def evaluate(expression: Expression, document: Any, work: Work) -> Any:
    """The value of a path, or the list of all that it finds where it may find several.

    Raises:
        NothingThereError: there is nothing.
        PathLimitError: it asks for too much work.
    """
    return _value(expression, _Scope(document, None, work))


def _value(expression: Expression, scope: _Scope) -> Any:
    scope.work.spend(1)
    match expression:
        case Const(value):
            return value
        case Path():
            return _path(expression, scope)
        case Compare(left, right, equal):
            one, other = _value(left, scope), _value(right, scope)
            for side in (one, other):
                scope.work.spend(weight(side, scope.work.left))
            return are_equal(one, other) is equal
        case Negate(inner):
            number = to_float(_value(inner, scope))
            if number is None:
                raise NothingThereError("what has a sign is no number")
            return -number
        case Variable(keys):
            return _variable(keys, scope)
        case Call():
            raise NothingThereError("there are no functions")


def _key_text(key: Expression, scope: _Scope) -> str:
    value = _value(key, scope)
    scope.work.spend(weight(value, scope.work.left))
    return to_text(value)


def _variable(keys: Sequence[Expression], scope: _Scope) -> Any:
    texts = [_key_text(key, scope) for key in keys]
    value = scope.root
    for text in texts:
        if isinstance(value, dict):
            value = value.get(text)
        elif isinstance(value, list):
            # As the library has it: an index that there is not leaves the list in place.
            index = int(text) if _INDEX.fullmatch(text) else -1
            value = value[index] if 0 <= index < len(value) else value
        else:
            raise NothingThereError("a name leads below what has no members")
    return value


# -- paths


def _path(path: Path, scope: _Scope) -> Any:
    values = [scope.current if path.current else scope.root]
    if all(isinstance(step, PLAIN) for step in path.steps):
        for step in path.steps:
            values = [_plain(step, values[0], scope)]
        return values[0]
    for step in path.steps:
        if isinstance(step, PLAIN):
            values = list(_there(step, values, scope))
            continue
        found: list[Any] = []
        for value in values:
            some = _several(step, value, scope)
            scope.work.spend(len(some) + 1)
            found.extend(some)
        values = found
    return values


def _plain(step: Step, value: Any, scope: _Scope) -> Any:
    match step:
        case Direct(key):
            return _member(key, value, scope)
        case Script(inner):
            return _value(inner, scope.at(value))
    raise TypeError(step)


def _there(step: Step, values: Iterable[Any], scope: _Scope) -> Iterable[Any]:
    """What a plain step gives for each value where it gives something."""
    for value in values:
        try:
            found = _plain(step, value, scope)
        except NothingThereError:
            continue
        yield found


def _member(key: Expression, value: Any, scope: _Scope) -> Any:
    inside = scope.at(value)
    if isinstance(value, list):
        index = to_int(_value(key, inside))
        if index is None:
            raise NothingThereError("a list is asked for a member by what is no number")
        if not 0 <= index < len(value):
            raise NothingThereError(f"a list has {len(value)} elements, and number {index} is asked for")
        return value[index]
    if isinstance(value, dict):
        name = _key_text(key, inside)
        if name not in value:
            raise NothingThereError("an object has no such member")
        return value[name]
    raise NothingThereError("a member is asked for of what is neither an object nor a list")


def _several(step: Step, value: Any, scope: _Scope) -> Sequence[Any]:
    match step:
        case Every():
            return _elements(value)
        case Descend():
            return _all_below(value, scope)
        case Several(keys):
            return [found for key in keys for found in _there(Direct(key), (value,), scope)]
        case Filter(condition):
            return [one for one in _elements(value) if _holds(condition, one, scope)]
        case Slice():
            return _slice(step, value, scope)
    raise TypeError(step)


def _elements(value: Any) -> Sequence[Any]:
    """Those of an object in the order of their keys: the same each time, whatever the server sends."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else ()


def _all_below(value: Any, scope: _Scope) -> Sequence[Any]:
    """The value, then each element with all that is in it."""
    found: list[Any] = []
    left = [value]
    while left:
        one = left.pop()
        scope.work.spend(1)
        found.append(one)
        left.extend(reversed(_elements(one)))
    return found


def _holds(condition: Expression, value: Any, scope: _Scope) -> bool:
    """Whether a condition is true. One that fails, or is no condition, is not."""
    try:
        return to_bool(_value(condition, scope.at(value))) is True
    except NothingThereError:
        return False


def _slice(step: Slice, value: Any, scope: _Scope) -> Sequence[Any]:
    if not isinstance(value, list):
        return ()
    inside = scope.at(value)
    try:
        bounds = [to_int(_value(one, inside)) for one in (step.first, step.last, step.step)]
    except NothingThereError:
        return ()
    first, last, stride = bounds
    if first is None or last is None or stride is None or first > last:
        return ()
    size = len(value)
    first, last = _within(first, size), _within(last, size)
    indexes = range(first, last, stride or 1) if stride >= 0 else range(last - 1, first - 1, stride)
    return [value[index] for index in indexes]


def _within(index: int, size: int) -> int:
    """The index inside a list; a negative one counts from the end."""
    return max(size + index, 0) if index < 0 else min(index, size)
