"""Sprig's functions on maps. Those that change a map change the one that they are given, as in Go.

Rules: https://masterminds.github.io/sprig/dicts.html. What Go gives in random order is sorted here.
"""

from __future__ import annotations

from typing import Final, NoReturn

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.merging import Refused, merge_maps
from keyferry.gotemplate.functions.reflection import TOO_DEEP
from keyferry.gotemplate.functions.strval import strval
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.goversion import Version
from keyferry.gotemplate.values import Value, type_of

group = FunctionGroup("Maps")

Map = dict[bytes, Value]
_COMPARED_PER_STEP: Final = 4096
_FEWEST_FOR_DIG: Final = 3
_NIL_VALUE: Final = "reflect: call of reflect.Value.Type on zero Value"


@group.add("dict", "func(...interface {}) map[string]interface {}")
def dict_(run: Run, *items: Value) -> Map:
    """A map of the keys and values that follow each other: `dict "a" 1 "b" 2` is `map[a:1 b:2]`."""
    values = iter(items)
    made: Map = {}
    for key in values:
        run.spend(1)
        made[strval(run, key)] = next(values, b"")
    return made


@group.add("get", "func(map[string]interface {}, string) interface {}")
def get(run: Run, values: Map | None, key: bytes) -> Value:  # noqa: ARG001 -- every function gets the run
    """The key's value, or `""` where the map has no such key: `get (dict "a" 1) "a"` is `1`."""
    return (values or {}).get(key, b"")


@group.add("set", "func(map[string]interface {}, string, interface {}) map[string]interface {}")
def set_(run: Run, values: Map | None, key: bytes, value: Value) -> Map:
    """The same map, in which the key has this value from now on: `set (dict "a" 1) "b" 2` is `map[a:1 b:2]`."""
    if values is None:
        raise FunctionError("assignment to entry in nil map")
    run.charge_elements(1)
    values[key] = value
    return values


@group.add("unset", "func(map[string]interface {}, string) map[string]interface {}")
def unset(run: Run, values: Map | None, key: bytes) -> Map:  # noqa: ARG001 -- every function gets the run
    """The same map, without the key from now on: `unset (dict "a" 1 "b" 2) "a"` is `map[b:2]`."""
    if values is None:
        return {}
    values.pop(key, None)
    return values


@group.add("hasKey", "func(map[string]interface {}, string) bool")
def has_key(run: Run, values: Map | None, key: bytes) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the map has the key: `hasKey (dict "a" 1) "a"` is `true`."""
    return key in (values or {})


@group.add("pluck", "func(string, ...map[string]interface {}) []interface {}")
def pluck(run: Run, key: bytes, *maps: Map | None) -> list[Value]:
    """The key's values in all of the maps that have it: `pluck "a" (dict "a" 1) (dict "a" 2)` is `[1 2]`."""
    run.spend(len(maps) * (1 + len(key) // _COMPARED_PER_STEP))
    return [one[key] for one in maps if one and key in one]


@group.add("keys", "func(...map[string]interface {}) []string")
def keys(run: Run, *maps: Map | None) -> list[Value]:
    """The keys of the maps, those of each sorted: `keys (dict "b" 1 "a" 2)` is `[a b]`."""
    run.charge_elements(sum(len(one) for one in maps if one))
    return [key for one in maps if one for key in run.sorted_keys(one)]


@group.add("values", "func(map[string]interface {}) []interface {}")
def values(run: Run, items: Map | None) -> list[Value]:
    """The map's values, in the order of its keys: `values (dict "b" 1 "a" 2)` is `[2 1]`."""
    items = items or {}
    run.charge_elements(len(items))
    return [items[key] for key in run.sorted_keys(items)]


@group.add("pick", "func(map[string]interface {}, ...string) map[string]interface {}")
def pick(run: Run, items: Map | None, *wanted: bytes) -> Map:
    """A map of only these keys: `pick (dict "a" 1 "b" 2) "a"` is `map[a:1]`."""
    items = items or {}
    run.spend(len(wanted))
    return {key: items[key] for key in wanted if key in items}


@group.add("omit", "func(map[string]interface {}, ...string) map[string]interface {}")
def omit(run: Run, items: Map | None, *unwanted: bytes) -> Map:
    """A map without these keys: `omit (dict "a" 1 "b" 2) "a"` is `map[b:2]`."""
    items = items or {}
    run.charge_elements(len(items))
    without = frozenset(unwanted)
    return {key: value for key, value in items.items() if key not in without}


def _merged(run: Run, target: Map | None, sources: tuple[Map | None, ...], *, overwrite: bool) -> Value:
    merged: Map = {} if target is None else target
    for source in sources:
        if source:
            merge_maps(run, merged, source, overwrite=overwrite)
    return merged


@group.add("merge", "func(map[string]interface {}, ...map[string]interface {}) interface {}")
def merge(run: Run, target: Map | None, *sources: Map | None) -> Value:
    """The first map, with what it lacks taken from the others; maps in maps are merged too, into the first one's.

    `merge (dict "a" 1) (dict "a" 2 "b" 3)` is `map[a:1 b:3]`.
    """
    try:
        return _merged(run, target, sources, overwrite=False)
    except Refused:
        return b""


@group.add("mustMerge", "func(map[string]interface {}, ...map[string]interface {}) (interface {}, error)")
def must_merge(run: Run, target: Map | None, *sources: Map | None) -> Value:
    """Like merge, but an error where types do not fit."""
    return _merged(run, target, sources, overwrite=False)


@group.add("mergeOverwrite", "func(map[string]interface {}, ...map[string]interface {}) interface {}")
def merge_overwrite(run: Run, target: Map | None, *sources: Map | None) -> Value:
    """The first map, with the values of the others put over its own; maps in maps are merged, lists replaced.

    `mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3)` is `map[a:2 b:3]`.
    """
    try:
        return _merged(run, target, sources, overwrite=True)
    except Refused:
        return b""


@group.add(
    "mustMergeOverwrite", "func(map[string]interface {}, ...map[string]interface {}) (interface {}, error)"
)
def must_merge_overwrite(run: Run, target: Map | None, *sources: Map | None) -> Value:
    """Like mergeOverwrite, but an error where types do not fit."""
    return _merged(run, target, sources, overwrite=True)


def _no_such_type(value: Value, wanted: str) -> NoReturn:
    found = "nil" if value is None else type_of(value)
    raise FunctionError(f"interface conversion: interface {{}} is {found}, not {wanted}")


@group.add("dig", "func(...interface {}) (interface {}, error)")
def dig(run: Run, *arguments: Value) -> Value:
    """What is under these keys in maps within a map, or the default before it: `dig "a" "b" "none" (dict "a" (dict "b" 1))` is `1`."""
    if len(arguments) < _FEWEST_FOR_DIG:
        raise FunctionError("dig needs at least three arguments")
    *path, instead, value = arguments
    run.spend(len(path))
    if type(value) is not dict:
        _no_such_type(value, "map[string]interface {}")
    for key in path:
        if type(key) is not bytes:
            _no_such_type(key, "string")
    for number, key in enumerate(path):
        if number and type(value) is not dict:
            _no_such_type(value, "map[string]interface {}")
        if key not in value:
            return instead
        value = value[key]
    return value


@group.add("deepCopy", "func(interface {}) interface {}")
def deep_copy(run: Run, value: Value) -> Value:
    """A copy that shares no map and no list with the value."""
    if value is None:
        raise FunctionError(_NIL_VALUE)
    return _copied(run, value, 0)


@group.add("mustDeepCopy", "func(interface {}) (interface {}, error)")
def must_deep_copy(run: Run, value: Value) -> Value:
    """Like deepCopy."""
    return deep_copy(run, value)


def _copied(run: Run, value: Value, depth: int) -> Value:
    if isinstance(value, Version):
        # Go's copy leaves out fields that have no capital letter, and a version has no others.
        return type(value)((0, 0, 0), b"", b"", b"")
    if not isinstance(value, list | dict | bytearray):
        return value
    if depth > run.limits.value_depth:
        raise FunctionError(TOO_DEEP)
    if isinstance(value, bytearray):
        run.charge(len(value))
        return type(value)(value)
    # A map or list that many others refer to is copied as often, with the memory of each.
    run.charge_elements(4 + len(value))
    run.spend(1 + len(value))
    if isinstance(value, dict):
        return type(value)({key: _copied(run, one, depth + 1) for key, one in value.items()})
    return type(value)([_copied(run, one, depth + 1) for one in value])
