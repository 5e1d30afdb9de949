"""Merging maps into each other, as dario.cat/mergo does it without options, or with overwriting.

Rules: the merge of two maps of interface {}. Maps in maps are merged in place, so that others who hold them see it;
lists are taken whole. What is empty in the target counts as missing.
"""

from __future__ import annotations

from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.values import StringMap, Value, kind_of

_COMPARED_PER_STEP: Final = 4096
_NEVER_EMPTY: Final = frozenset({"struct", "ptr", "func"})


class Refused(FunctionError):
    """The maps have values in the same place that cannot be merged."""


def merge_maps(
    run: Run, target: dict[bytes, Value], source: dict[bytes, Value], *, overwrite: bool, depth: int = 0
) -> None:
    """Merge the source into the target.

    Raises:
        Refused: two values cannot be merged.
        FunctionError: they nest too deeply.
    """
    if depth > run.limits.value_depth:
        raise FunctionError("the value nests too deeply")
    run.charge_elements(len(source))
    run.spend(sum(map(len, source)) // _COMPARED_PER_STEP)
    # A copy: the source may be the target itself, or within it.
    for key, new in list(source.items()):
        run.spend(1)
        old = target.get(key)
        if new is None:
            if overwrite:
                _put(target, key, None, source)
            continue
        if isinstance(new, dict) and isinstance(old, dict):
            merge_maps(run, old, new, overwrite=overwrite, depth=depth + 1)
            if old:
                continue
        elif kind_of(old) == "ptr" and not overwrite and kind_of(new) in {"map", "struct"}:
            raise Refused("src and dst must be of same type")
        if overwrite or not _is_filled(old):
            _put(target, key, new, source)


def _is_filled(value: Value) -> bool:
    return bool(value) if kind_of(value) not in _NEVER_EMPTY else value is not None


def _put(target: dict[bytes, Value], key: bytes, value: Value, source: dict[bytes, Value]) -> None:
    if type(target) is StringMap and type(source) is not StringMap:
        raise FunctionError(
            "reflect.Value.SetMapIndex: value of type interface {} is not assignable to type string"
        )
    target[key] = value
