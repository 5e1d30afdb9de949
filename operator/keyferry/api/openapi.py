"""Structural OpenAPI schemas, made of the typed models.

Types, defaults and `Meta` become keywords, `schema_rules` the rules of an object, and the string literal
after a field its description, read from the source with `ast`. Runs when CRDs are generated, never in the
operator. A type that has no form here is an error, so that nothing is left out by mistake.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import types
import typing
from typing import Any

import msgspec

from keyferry.api.model import CelRule, Model, SchemaRules

Schema = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
}
_META_KEYWORDS = (("min_length", "min"), ("max_length", "max"))


class UnknownTypeError(TypeError):
    """A field's type has no schema."""


def object_schema(model: type[Model]) -> Schema:
    """The schema of objects of this type, described by its docstring.

    Raises:
        UnknownTypeError: a field's type has no schema.
        LookupError: a field has no description.
    """
    hints = typing.get_type_hints(model, include_extras=True)
    descriptions = field_descriptions(model)
    properties = {}
    required = []
    for field in msgspec.structs.fields(model):
        described = {"description": descriptions[field.name]}
        properties[field.encode_name] = described | type_schema(hints[field.name])
        if field.required:
            required.append(field.encode_name)
    schema: Schema = {"description": one_paragraph(model.__doc__), "type": "object"}
    if properties:  # the API server drops an empty map, and kubectl would apply it again each time
        schema["properties"] = dict(sorted(properties.items()))
    if required:
        schema["required"] = sorted(required)
    return schema | _rules(model.schema_rules)


def type_schema(hint: Any) -> Schema:
    """The schema of values of this type, without a description.

    Raises:
        UnknownTypeError: the type has no schema.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        schema = type_schema(arguments[0])
        for meta in arguments[1:]:
            schema |= _meta(meta, schema)
        return schema
    if origin in (typing.Union, types.UnionType):
        return _union([option for option in arguments if option is not types.NoneType])
    if origin is typing.Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _item(arguments[0])}
    if origin is dict and arguments == (str, Any):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": type_schema(arguments[1])}
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if isinstance(hint, type) and issubclass(hint, Model):
        schema = object_schema(hint)
        del schema["description"]
        return schema
    raise UnknownTypeError(f"no schema for {hint!r}")


def _item(hint: Any) -> Schema:
    schema = type_schema(hint)
    if isinstance(hint, type) and issubclass(hint, Model):
        schema = {"description": one_paragraph(hint.__doc__), **schema}
    return schema


def _union(options: list[Any]) -> Schema:
    if len(options) == 1:
        return type_schema(options[0])
    if set(options) == {int, str}:
        return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    raise UnknownTypeError(f"no schema for a union of {options!r}")


def _meta(meta: msgspec.Meta, schema: Schema) -> Schema:
    unit = "Items" if schema.get("type") == "array" else "Length"
    keywords: Schema = {
        keyword + unit: value
        for attribute, keyword in _META_KEYWORDS
        if (value := getattr(meta, attribute)) is not None
    }
    if meta.pattern is not None:
        keywords["pattern"] = meta.pattern
    return keywords | (meta.extra_json_schema or {})


def _rules(rules: SchemaRules) -> Schema:
    schema: Schema = {}
    if rules.min_properties:
        schema["minProperties"] = rules.min_properties
    if rules.max_properties:
        schema["maxProperties"] = rules.max_properties
    if rules.atomic:
        schema["x-kubernetes-map-type"] = "atomic"
    if rules.cel:
        schema["x-kubernetes-validations"] = [_cel(rule) for rule in rules.cel]
    return schema


def _cel(rule: CelRule) -> Schema:
    schema = {"rule": rule.rule, "message": rule.message}
    if rule.message_expression:
        schema["messageExpression"] = rule.message_expression
    return schema


def field_descriptions(model: type[Model]) -> dict[str, str]:
    """The descriptions of a type's fields, by their Python names, inherited ones included.

    Raises:
        LookupError: a field has none.
    """
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, Model):
            found |= _class_literals(base.__module__).get(base.__qualname__, {})
    if missing := [name for name in model.__struct_fields__ if name not in found]:
        raise LookupError(f"{model.__qualname__} has fields without a docstring: {', '.join(missing)}")
    return {name: found[name] for name in model.__struct_fields__}


@functools.cache
def _class_literals(module: str) -> dict[str, dict[str, str]]:
    """By class and field of a module: the string literal that follows the field."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    literals = {}
    for definition in ast.walk(tree):
        if not isinstance(definition, ast.ClassDef):
            continue
        own = literals[definition.name] = dict[str, str]()
        for field, literal in zip(definition.body, definition.body[1:], strict=False):
            match field, literal:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    own[name] = one_paragraph(text)
    return literals


def without_descriptions(schema: Any) -> Any:
    """The same schema, bare: what nobody is shown needs no texts."""
    if isinstance(schema, list):
        return [without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {}
    for key, value in schema.items():
        if key == "properties":  # its keys are names of fields, and a field may be called description
            bare[key] = {name: without_descriptions(item) for name, item in value.items()}
        elif key != "description":
            bare[key] = without_descriptions(value)
    return bare


def one_paragraph(text: str | None) -> str:
    """A docstring as one line."""
    return " ".join((text or "").split())
