"""Sprig's functions on lists. They leave their arguments as they are, and take lists of any type of elements.

Rules: https://masterminds.github.io/sprig/lists.html, and Go's reflection over slices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.convert import to_int64
from keyferry.gotemplate.functions.reflection import deep_equal
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import (
    ByteSlice,
    Int64,
    Lists,
    NilList,
    Uint8,
    Value,
    is_true,
    kind_of,
)

group = FunctionGroup("Lists")

NIL_POINTER: Final = "runtime error: invalid memory address or nil pointer dereference"
_HASHED: Final = frozenset({bytes, int, bool, Int64, Uint8, type(None)})
_HASHED_PER_STEP: Final = 1024


def _elements(run: Run, value: Value, failure: str) -> Sequence[Value]:
    """The elements of a list, for reading only; of what is none, the failure."""
    if isinstance(value, list):
        return value
    if isinstance(value, bytearray):
        run.charge_elements(2 * len(value))
        return [Uint8(one) for one in value]
    if value is None:
        raise FunctionError(NIL_POINTER)
    raise FunctionError(f"{failure} {kind_of(value)}")


@group.add("list tuple", "func(...interface {}) []interface {}")
def list_(run: Run, *values: Value) -> list[Value]:  # noqa: ARG001 -- every function gets the run
    """A list of the values: `list 1 "a"` is `[1 a]`."""
    return list(values)


@group.add(
    "append push",
    "func(interface {}, interface {}) []interface {}",
)
def append(run: Run, values: Value, last: Value) -> list[Value]:
    """A new list with one more element at its end: `append (list 1 2) 3` is `[1 2 3]`."""
    elements = _elements(run, values, "Cannot push on type")
    run.charge_elements(len(elements) + 1)
    return [*elements, last]


@group.add("mustAppend mustPush", "func(interface {}, interface {}) ([]interface {}, error)")
def must_append(run: Run, values: Value, last: Value) -> list[Value]:
    """Like append."""
    return append(run, values, last)


@group.add("prepend", "func(interface {}, interface {}) []interface {}")
def prepend(run: Run, values: Value, first: Value) -> list[Value]:
    """A new list with one more element at its front: `prepend (list 1 2) 0` is `[0 1 2]`."""
    elements = _elements(run, values, "Cannot prepend on type")
    run.charge_elements(len(elements) + 1)
    return [first, *elements]


@group.add("mustPrepend", "func(interface {}, interface {}) ([]interface {}, error)")
def must_prepend(run: Run, values: Value, first: Value) -> list[Value]:
    """Like prepend."""
    return prepend(run, values, first)


@group.add("first", "func(interface {}) interface {}")
def first(run: Run, values: Value) -> Value:
    """The first element, or nil of an empty list: `first (list 1 2 3)` is `1`."""
    elements = _elements(run, values, "Cannot find first on type")
    return elements[0] if elements else None


@group.add("mustFirst", "func(interface {}) (interface {}, error)")
def must_first(run: Run, values: Value) -> Value:
    """Like first."""
    return first(run, values)


@group.add("last", "func(interface {}) interface {}")
def last(run: Run, values: Value) -> Value:
    """The last element, or nil of an empty list: `last (list 1 2 3)` is `3`."""
    elements = _elements(run, values, "Cannot find last on type")
    return elements[-1] if elements else None


@group.add("mustLast", "func(interface {}) (interface {}, error)")
def must_last(run: Run, values: Value) -> Value:
    """Like last."""
    return last(run, values)


def _part(run: Run, elements: Sequence[Value], start: int, stop: int) -> list[Value]:
    """Of an empty list it is a nil one, as Go has it."""
    run.charge_elements(len(elements))
    return list(elements[start:stop]) if elements else NilList()


@group.add("rest", "func(interface {}) []interface {}")
def rest(run: Run, values: Value) -> list[Value]:
    """The list without its first element: `rest (list 1 2 3)` is `[2 3]`."""
    elements = _elements(run, values, "Cannot find rest on type")
    return _part(run, elements, 1, len(elements))


@group.add("mustRest", "func(interface {}) ([]interface {}, error)")
def must_rest(run: Run, values: Value) -> list[Value]:
    """Like rest."""
    return rest(run, values)


@group.add("initial", "func(interface {}) []interface {}")
def initial(run: Run, values: Value) -> list[Value]:
    """The list without its last element: `initial (list 1 2 3)` is `[1 2]`."""
    elements = _elements(run, values, "Cannot find initial on type")
    return _part(run, elements, 0, len(elements) - 1)


@group.add("mustInitial", "func(interface {}) ([]interface {}, error)")
def must_initial(run: Run, values: Value) -> list[Value]:
    """Like initial."""
    return initial(run, values)


@group.add("reverse", "func(interface {}) []interface {}")
def reverse(run: Run, values: Value) -> list[Value]:
    """The list from its end to its front: `reverse (list 1 2 3)` is `[3 2 1]`."""
    elements = _elements(run, values, "Cannot find reverse on type")
    run.charge_elements(len(elements))
    return list(reversed(elements))


@group.add("mustReverse", "func(interface {}) ([]interface {}, error)")
def must_reverse(run: Run, values: Value) -> list[Value]:
    """Like reverse."""
    return reverse(run, values)


@group.add("compact", "func(interface {}) []interface {}")
def compact(run: Run, values: Value) -> list[Value]:
    """The list without its empty elements: `compact (list 1 "" 0 "a")` is `[1 a]`."""
    elements = _elements(run, values, "Cannot compact on type")
    run.charge_elements(len(elements))
    return [one for one in elements if is_true(one)]


@group.add("mustCompact", "func(interface {}) ([]interface {}, error)")
def must_compact(run: Run, values: Value) -> list[Value]:
    """Like compact."""
    return compact(run, values)


class _Known:
    """Values to compare others with: the simple ones by hash, the others one by one."""

    def __init__(self, run: Run, values: Iterable[Value] = ()) -> None:
        self._run = run
        self._hashed: set[tuple[type, Value]] = set()
        self._others: list[Value] = []
        for one in values:
            self.add(one)

    def add(self, value: Value) -> None:
        """From now on it is one of them."""
        kind = type(value)
        if kind in _HASHED:
            self._hashed.add((kind, value))
        else:
            self._others.append(value)

    def has(self, value: Value) -> bool:
        """Whether one of them is deeply equal."""
        kind = type(value)
        self._run.spend(1)
        if kind in _HASHED:
            if kind is bytes:
                self._run.spend(len(value) // _HASHED_PER_STEP)
            return (kind, value) in self._hashed
        self._run.spend(len(self._others) // 2)
        return any(deep_equal(self._run, value, one) for one in self._others)


@group.add("uniq", "func(interface {}) []interface {}")
def uniq(run: Run, values: Value) -> list[Value]:
    """The list without elements that were there before: `uniq (list 1 2 1)` is `[1 2]`."""
    elements = _elements(run, values, "Cannot find uniq on type")
    run.charge_elements(len(elements))
    known, kept = _Known(run), []
    for one in elements:
        if not known.has(one):
            known.add(one)
            kept.append(one)
    return kept


@group.add("mustUniq", "func(interface {}) ([]interface {}, error)")
def must_uniq(run: Run, values: Value) -> list[Value]:
    """Like uniq."""
    return uniq(run, values)


@group.add("without", "func(interface {}, ...interface {}) []interface {}")
def without(run: Run, values: Value, *omitted: Value) -> list[Value]:
    """The list without the elements that equal one of these: `without (list 1 2 3) 2` is `[1 3]`."""
    elements = _elements(run, values, "Cannot find without on type")
    run.charge_elements(len(elements))
    known = _Known(run, omitted)
    return [one for one in elements if not known.has(one)]


@group.add("mustWithout", "func(interface {}, ...interface {}) ([]interface {}, error)")
def must_without(run: Run, values: Value, *omitted: Value) -> list[Value]:
    """Like without."""
    return without(run, values, *omitted)


@group.add("has", "func(interface {}, interface {}) bool")
def has(run: Run, wanted: Value, values: Value) -> bool:
    """Whether the list has an element of the same type and value: `has 2 (list 1 2)` is `true`."""
    if values is None:
        return False
    elements = _elements(run, values, "Cannot find has on type")
    run.spend(len(elements) // 2)
    return any(deep_equal(run, wanted, one) for one in elements)


@group.add("mustHas", "func(interface {}, interface {}) (bool, error)")
def must_has(run: Run, wanted: Value, values: Value) -> bool:
    """Like has."""
    return has(run, wanted, values)


@group.add("slice", "func(interface {}, ...interface {}) interface {}")
def slice_(run: Run, values: Value, *bounds: Value) -> Value:
    """The elements from one index to before another: `slice (list 1 2 3) 1 2` is `[2]`. A list's type stays."""
    elements: Value = values if isinstance(values, ByteSlice) else _elements(run, values, _NO_SLICE)
    if not elements:
        return None
    start = to_int64(run, bounds[0]) if bounds else 0
    stop = to_int64(run, bounds[1]) if len(bounds) > 1 else len(elements)
    if not 0 <= start <= stop <= len(elements):
        raise FunctionError("reflect.Value.Slice: slice index out of bounds")
    run.charge_elements(stop - start)
    return type(elements)(elements[start:stop])


_NO_SLICE: Final = "list should be type of slice or array but"


@group.add("mustSlice", "func(interface {}, ...interface {}) (interface {}, error)")
def must_slice(run: Run, values: Value, *bounds: Value) -> Value:
    """Like slice."""
    return slice_(run, values, *bounds)


@group.add("concat", "func(...interface {}) interface {}")
def concat(run: Run, *lists: Value) -> list[Value]:
    """One list of the elements of all: `concat (list 1) (list 2 3)` is `[1 2 3]`."""
    joined: list[Value] = []
    for one in lists:
        if one is not None and not isinstance(one, list | bytearray):
            raise FunctionError(f"Cannot concat type {kind_of(one)} as list")
        elements = _elements(run, one, "")
        run.charge_elements(len(elements))
        joined += elements
    return joined or NilList()


@group.add("chunk", "func(int, interface {}) [][]interface {}")
def chunk(run: Run, size: int, values: Value) -> Lists:
    """The list in pieces of so many elements: `chunk 2 (list 1 2 3)` is `[[1 2] [3]]`."""
    elements = _elements(run, values, "Cannot chunk type")
    count = len(elements)
    # Go computes with a negative size too, and few lists survive it.
    if size <= 0 and not (0 < count - 1 <= -size or (count == 1 and size < -1)):
        raise FunctionError("runtime error: makeslice: len out of range")
    if size < 0:
        return Lists([list(elements)] if count == 1 else [])
    run.charge_elements(count + 4 * math.ceil(count / size))
    return Lists([list(elements[at : at + size]) for at in range(0, count, size)])


@group.add("mustChunk", "func(int, interface {}) ([][]interface {}, error)")
def must_chunk(run: Run, size: int, values: Value) -> Lists:
    """Like chunk."""
    return chunk(run, size, values)
