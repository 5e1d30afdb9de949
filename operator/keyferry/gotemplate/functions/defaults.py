"""What stands in for values that are empty, and choices between values."""

from __future__ import annotations

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import Failed
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import Value, is_true

group = FunctionGroup("Defaults")


@group.add("default", "func(interface {}, ...interface {}) interface {}")
def default(run: Run, instead: Value, *given: Value) -> Value:  # noqa: ARG001 -- every function gets the run
    """The second value, or the first where the second is empty: `"" | default "8080"` is `8080`. A key that is missing is an error all the same."""
    return given[0] if given and is_true(given[0]) else instead


@group.add("empty", "func(interface {}) bool")
def empty(run: Run, value: Value) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the value is the empty one of its type: an empty text, 0, false, nil, a list or map with nothing in it: `empty ""` is `true`."""
    return not is_true(value)


@group.add("coalesce", "func(...interface {}) interface {}")
def coalesce(run: Run, *values: Value) -> Value:  # noqa: ARG001 -- every function gets the run
    """The first value that is not empty: `coalesce "" 0 "a"` is `a`."""
    return next((one for one in values if is_true(one)), None)


@group.add("all", "func(...interface {}) bool")
def all_(run: Run, *values: Value) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether none of the values is empty: `all 1 "a"` is `true`."""
    return all(map(is_true, values))


@group.add("any", "func(...interface {}) bool")
def any_(run: Run, *values: Value) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether one of the values is not empty: `any 0 "a"` is `true`."""
    return any(map(is_true, values))


@group.add("ternary", "func(interface {}, interface {}, bool) interface {}")
def ternary(run: Run, if_true: Value, if_false: Value, condition: bool) -> Value:  # noqa: ARG001 -- every function gets the run
    """The first value if the last one is true, else the second: `ternary "yes" "no" true` is `yes`."""
    return if_true if condition else if_false


@group.add("fail", "func(string) (string, error)")
def fail(run: Run, message: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """End the template with this message, which should be a literal: `fail "a password is needed"`."""
    raise Failed(message)
