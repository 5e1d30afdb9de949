"""Types and kinds of values, and whether two values are the same in all their parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import STRUCT_FIELDS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.goversion import Version
from keyferry.gotemplate.values import Value, kind_of, type_of

group = FunctionGroup("Types")

_COMPARED_PER_STEP: Final = 1024
TOO_DEEP: Final = "the value nests too deeply"


@group.add("typeOf", "func(interface {}) string")
def type_of_(run: Run, value: Value) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The value's type: `typeOf 1` is `int`, `typeOf (dict)` is `map[string]interface {}`."""
    return type_of(value).encode()


@group.add("typeIs", "func(string, interface {}) bool")
def type_is(run: Run, name: bytes, value: Value) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the value is of that type: `typeIs "string" "a"` is `true`."""
    return name == type_of(value).encode()


@group.add("typeIsLike", "func(string, interface {}) bool")
def type_is_like(run: Run, name: bytes, value: Value) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the value is of that type, or points to one: `typeIsLike "semver.Version" (semver "1.2.3")` is `true`."""
    return type_of(value).encode() in {name, b"*" + name}


@group.add("kindOf", "func(interface {}) string")
def kind_of_(run: Run, value: Value) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The value's kind: string, bool, int, int64, float64, slice, map, struct, ptr, or invalid for nil: `kindOf (list)` is `slice`."""
    return kind_of(value).encode()


@group.add("kindIs", "func(string, interface {}) bool")
def kind_is(run: Run, name: bytes, value: Value) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the value is of that kind: `kindIs "map" (dict)` is `true`."""
    return name == kind_of(value).encode()


@group.add("deepEqual", "func(interface {}, interface {}) bool")
def deep_equal_(run: Run, first: Value, second: Value) -> bool:
    """Whether the values are of the same type and equal in all their parts: `deepEqual 1 1.0` is `false`."""
    return deep_equal(run, first, second)


def deep_equal(run: Run, first: Value, second: Value, depth: int = 0) -> bool:
    """What reflect.DeepEqual says.

    Raises:
        FunctionError: they nest too deeply.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, list):
        return first is second or (
            len(first) == len(second)
            and _all_equal(run, zip(first, second, strict=True), len(first), depth + 1)
        )
    if isinstance(first, dict):
        if first is second:
            return True
        run.spend(sum(map(len, first)) // _COMPARED_PER_STEP)
        return (
            len(first) == len(second)
            and all(key in second for key in first)
            and _all_equal(run, ((one, second[key]) for key, one in first.items()), len(first), depth + 1)
        )
    if isinstance(first, bytes | bytearray):
        run.spend(len(first) // _COMPARED_PER_STEP)
    if isinstance(first, Version):
        return all(read(first) == read(second) for read in STRUCT_FIELDS[type(first)].values())
    return bool(first == second)


def _all_equal(run: Run, pairs: Iterable[tuple[Value, Value]], count: int, depth: int) -> bool:
    if depth > run.limits.value_depth:
        raise FunctionError(TOO_DEEP)
    run.spend(count // 3 + 1)
    return all(deep_equal(run, one, other, depth) for one, other in pairs)
