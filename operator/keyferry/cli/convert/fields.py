"""Which fields of an old manifest the present version has no more: read off its types."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any, Final

import yaml

from keyferry.api.model import Model

MERGE_KEY: Final = "<<"
TEMPLATED: Final = "{{"
"""Marks a value that a template makes: what it will be cannot be told here."""

_ENGINE: Final = (
    "template engine v1 is gone: write the templates for v2, where values are text and functions such as "
    "toString are not needed, and set v2"
)
_ADVICE: Final = {
    "FakeProviderData.valueMap": "write the map as JSON into value",
    "SecretStoreProvider": "there is no such provider any more",
}
_NOTHING: Final = "remove it, or see what took its place"


def outdated(node: yaml.Node, model: type[Model], path: str) -> Iterator[tuple[int, str]]:
    """Where a field is that the type does not have, or a value that it does not take, and what to do.

    Args:
        node: the field's value.
        model: its type.
        path: its path, such as `spec`.
    """
    yield from _walk(node, model, path, set())


def _walk(node: yaml.Node, model: type[Model], path: str, seen: set[int]) -> Iterator[tuple[int, str]]:
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    hints = typing.get_type_hints(model)
    known = dict(zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True))
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == MERGE_KEY or TEMPLATED in key.value:
            continue
        here = f"{path}.{key.value}"
        if key.value in known:
            yield from _value(value, hints[known[key.value]], here, seen)
        else:
            advice = _ADVICE.get(f"{model.__name__}.{key.value}") or _ADVICE.get(model.__name__, _NOTHING)
            yield key.start_mark.index, f"{here} is no field of the present version: {advice}"


def _value(node: yaml.Node, hint: Any, path: str, seen: set[int]) -> Iterator[tuple[int, str]]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            yield from _value(node, option, path, seen)
    elif origin is tuple and isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _value(item, arguments[0], f"{path}[{index}]", seen)
    elif origin is typing.Literal and isinstance(node, yaml.ScalarNode):
        if node.value not in arguments and _is_text(node):
            yield node.start_mark.index, _refused(path, node.value, arguments)
    elif isinstance(hint, type) and issubclass(hint, Model):
        yield from _walk(node, hint, path, seen)


def _is_text(node: yaml.ScalarNode) -> bool:
    return node.tag == "tag:yaml.org,2002:str" and TEMPLATED not in node.value


def _refused(path: str, value: str, allowed: tuple[str, ...]) -> str:
    if path.endswith(".engineVersion"):
        return f"{path}: {_ENGINE}"
    return f"{path} cannot be {value[:40]!r} in the present version, only {' or '.join(allowed)}"
