"""Types become structural schemas; what has no schema is an error."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest

from keyferry.api.crd import KINDS
from keyferry.api.model import CelRule, Model, SchemaRules, schema
from keyferry.api.openapi import UnknownTypeError, object_schema, type_schema, without_descriptions


class Inner(Model, frozen=True, kw_only=True):
    """An inner object."""

    schema_rules = SchemaRules(atomic=True)

    ID: str = msgspec.field(name="theID", default="")
    """An id."""


class Outer(Model, frozen=True, kw_only=True):
    """An outer object."""

    schema_rules = SchemaRules(
        min_properties=1, max_properties=2, cel=(CelRule("self.a == 'x'", "a must be x", "self.a"),)
    )

    some_name: Annotated[str, msgspec.Meta(min_length=1, max_length=9, pattern="^a$")]
    """A name,
    told in two lines."""
    inner: tuple[Inner, ...] = ()
    """Objects."""


class Silent(Model, frozen=True, kw_only=True):
    """A field of it is not described."""

    told: str = ""
    """Described."""
    untold: str = ""


def test_an_object_has_its_fields_rules_and_descriptions():
    assert object_schema(Outer) == {
        "description": "An outer object.",
        "type": "object",
        "required": ["someName"],
        "minProperties": 1,
        "maxProperties": 2,
        "x-kubernetes-validations": [
            {"rule": "self.a == 'x'", "message": "a must be x", "messageExpression": "self.a"}
        ],
        "properties": {
            "inner": {
                "description": "Objects.",
                "type": "array",
                "items": {
                    "description": "An inner object.",
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"theID": {"description": "An id.", "type": "string"}},
                },
            },
            "someName": {
                "description": "A name, told in two lines.",
                "type": "string",
                "minLength": 1,
                "maxLength": 9,
                "pattern": "^a$",
            },
        },
    }


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        pytest.param(bool, {"type": "boolean"}, id="bool"),
        pytest.param(int | None, {"type": "integer"}, id="optional"),
        pytest.param(Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, id="enum"),
        pytest.param(
            dict[str, str], {"type": "object", "additionalProperties": {"type": "string"}}, id="map"
        ),
        pytest.param(
            dict[str, Any],
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            id="preserved",
        ),
        pytest.param(
            int | str,
            {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
            id="int-or-string",
        ),
        pytest.param(
            Annotated[tuple[str, ...], msgspec.Meta(min_length=1)],
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            id="list",
        ),
        pytest.param(
            Annotated[int | None, schema(format="int32", default=3)],
            {"type": "integer", "format": "int32", "default": 3},
            id="keywords",
        ),
    ],
)
def test_a_type_has_a_schema(hint, expected):
    assert expected == type_schema(hint)


@pytest.mark.parametrize("hint", [float, bytes, str | bool, set[str]])
def test_a_type_without_a_schema_is_an_error(hint):
    with pytest.raises(UnknownTypeError):
        type_schema(hint)


def test_a_field_without_a_description_is_an_error():
    with pytest.raises(LookupError, match="untold"):
        object_schema(Silent)


def test_only_descriptions_are_left_out_of_a_bare_schema():
    described = {
        "description": "x",
        "properties": {"description": {"description": "y", "type": "string"}},
        "anyOf": [{"description": "z", "type": "string"}],
    }

    assert without_descriptions(described) == {
        "properties": {"description": {"type": "string"}},
        "anyOf": [{"type": "string"}],
    }


def test_defaults_in_the_schema_are_those_of_the_models():
    """An object reads the same whether the API server has written its defaults into it or not."""
    compared = 0
    for model in {model for kind in KINDS for part in (kind.spec, kind.status) for model in _models(part)}:
        properties = object_schema(model).get("properties", {})
        for field in msgspec.structs.fields(model):
            if "default" not in properties[field.encode_name]:
                continue
            default = properties[field.encode_name]["default"]
            assert field.default == msgspec.convert(default, field.type), f"{model.__name__}.{field.name}"
            compared += 1

    assert compared > 20


def _models(hint: Any) -> Iterator[type[Model]]:
    if isinstance(hint, type) and not typing.get_origin(hint) and issubclass(hint, Model):
        yield hint
        for inner in typing.get_type_hints(hint).values():
            yield from _models(inner)
    for argument in typing.get_args(hint):
        yield from _models(argument)
