"""The base of all API types, and how bytes become one.

A type here is a frozen msgspec Struct and at the same time the source of its OpenAPI schema: type,
default and `Meta` say what the API server checks, the class variable `schema_rules` what needs more than
one field, and the string literal after a field is its description. Decoding ignores unknown fields.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")


class CelRule(NamedTuple):
    """A rule that the API server checks (`x-kubernetes-validations`).

    Args:
        rule: CEL over `self`, the object that carries the rule; true means valid.
        message: what the user reads.
        message_expression: CEL that makes the message, where it should quote a value; empty for none.
    """

    rule: str
    message: str
    message_expression: str = ""


class SchemaRules(NamedTuple):
    """What the schema says of an object as a whole.

    Args:
        min_properties: fewest fields that may be set; 0 for no limit.
        max_properties: most fields that may be set; 0 for no limit.
        atomic: server-side apply replaces the object instead of merging its fields.
        cel: rules over several fields.
    """

    min_properties: int = 0
    max_properties: int = 0
    atomic: bool = False
    cel: tuple[CelRule, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """Base of all API types: immutable, camelCase on the wire, defaults left out when encoded.

    Subclasses repeat `kw_only=True`, which msgspec does not inherit, and `frozen=True` for type checkers.
    """

    schema_rules: ClassVar[SchemaRules] = SchemaRules()


def schema(**keywords: Any) -> msgspec.Meta:
    """OpenAPI keywords that the API server checks and decoding does not, `default` among them."""
    return msgspec.Meta(extra_json_schema=keywords)


def decode(raw: bytes | str, type_: type[T]) -> T:
    """The typed object in a JSON text. A null counts as an absent field, as it does in the API server.

    Raises:
        msgspec.ValidationError: the object breaks a rule; the text names the field.
        msgspec.DecodeError: the text is no JSON.
    """
    try:
        decoder: msgspec.json.Decoder[T] = _decoder(type_)  # type: ignore[arg-type]  # a type is hashable
        return decoder.decode(raw)
    except RecursionError:
        raise msgspec.ValidationError("Object is nested too deep") from None
    except msgspec.ValidationError:
        value = msgspec.json.decode(raw)
        pruned = _without_nulls(value)
        if pruned == value:
            raise
        return msgspec.convert(pruned, type_)


def convert(value: Any, type_: type[T]) -> T:
    """The typed object in parsed JSON or YAML; nulls and errors as in `decode`."""
    return msgspec.convert(_without_nulls(value), type_)


@functools.cache
def _decoder(type_: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
