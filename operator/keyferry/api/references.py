"""All references of a store that may name a namespace of their own, found by walking the types.

Read by the admission policy (paths in the schema) and by the check in core (references in an object), so
that neither can forget one. Provider blocks that are not typed are not looked into.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from keyferry.api.meta import NamespacedReference
from keyferry.api.model import Model

ITEMS: Final = "[]"
"""Path segment that stands for every item of a list."""


def find_references(model: Model) -> Iterator[tuple[str, NamespacedReference]]:
    """The references inside an object, each with its path, such as `provider.aws.auth.jwt.serviceAccountRef`."""
    for key, name in _fields(type(model)):
        yield from _find(key, getattr(model, name))


def _find(path: str, value: Any) -> Iterator[tuple[str, NamespacedReference]]:
    if isinstance(value, NamespacedReference):
        yield path, value
    elif isinstance(value, Model):
        for inner, reference in find_references(value):
            yield f"{path}.{inner}", reference
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _find(f"{path}[{index}]", item)


@functools.cache
def _fields(model: type[Model]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True))


def reference_paths(model: type[Model]) -> Iterator[tuple[str, ...]]:
    """The wire paths of all references that objects of this type can hold; `ITEMS` marks a list."""
    hints = typing.get_type_hints(model)
    for key, name in _fields(model):
        yield from _paths((key,), hints[name])


def _paths(path: tuple[str, ...], hint: Any) -> Iterator[tuple[str, ...]]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        for option in typing.get_args(hint):
            yield from _paths(path, option)
    elif origin is tuple:
        yield from _paths((*path, ITEMS), typing.get_args(hint)[0])
    elif isinstance(hint, type) and issubclass(hint, NamespacedReference):
        yield path
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        for inner in reference_paths(typing.cast("type[Model]", hint)):
            yield path + inner
