"""Manifests survive the models: what is read is what would be written."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from keyferry.api.crd import KINDS, Kind
from keyferry.api.generators.cluster import BLOCKS, ClusterGeneratorBlocks
from keyferry.api.generators.kinds import BY_KIND as GENERATORS
from keyferry.api.model import Model, decode
from keyferry.api.secret_store import SecretStoreProvider

BY_KIND: dict[str, Kind] = {kind.kind: kind for kind in KINDS}


def _models(hint: Any) -> list[type[Model]]:
    if isinstance(hint, type) and not typing.get_origin(hint) and issubclass(hint, Model):
        return [hint]
    if typing.get_origin(hint) in (tuple, typing.Union, types.UnionType, typing.Annotated):
        return [model for argument in typing.get_args(hint) for model in _models(argument)]
    return []


def test_each_sample_round_trips(samples):
    for sample in samples:
        spec = BY_KIND[sample["kind"]].spec

        assert _round_trip(sample["spec"], spec) == sample["spec"]


def test_status_round_trips(samples):
    held = [sample for sample in samples if "status" in sample]

    for sample in held:
        status = BY_KIND[sample["kind"]].status
        assert status is not None
        assert _round_trip(sample["status"], status) == sample["status"]
    assert held


def test_samples_use_every_field_under_its_wire_name(samples):
    """The samples are written by hand: a misspelt wire name in a model shows here."""
    used, known = set(), set()
    for sample in samples:
        for part in ("spec", "status"):
            model = getattr(BY_KIND[sample["kind"]], part)
            if model is None:
                continue
            used |= set(_used(sample.get(part, {}), model))
            known |= set(_known(model))

    kept = {f"SecretStoreProvider.{name}" for name in UNTYPED}
    # The only engine version there is is its default, which is left out when written.
    assert known - used - kept == {"Template.engineVersion"}


def test_a_cluster_generator_has_a_field_for_each_kind_of_generator():
    fields = {
        field.encode_name: _models(field.type)[0] for field in msgspec.structs.fields(ClusterGeneratorBlocks)
    }

    assert {key: GENERATORS[kind].spec for kind, key in BLOCKS.items()} == fields
    assert BLOCKS.keys() == GENERATORS.keys()


UNTYPED = {
    field.encode_name
    for field in msgspec.structs.fields(SecretStoreProvider)
    if not list(_models(field.type))
}


def _round_trip(value: Any, model: type[Model]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(decode(msgspec.json.encode(value), model)))


def _known(model: type[Model]) -> Iterator[str]:
    for field in msgspec.structs.fields(model):
        yield f"{model.__name__}.{field.encode_name}"
        for inner in _models(field.type):
            yield from _known(inner)


def _used(value: Any, model: type[Model]) -> Iterator[str]:
    for field in msgspec.structs.fields(model):
        if field.encode_name not in value:
            continue
        yield f"{model.__name__}.{field.encode_name}"
        item = value[field.encode_name]
        for inner in _models(field.type):
            for element in item if isinstance(item, list) else [item]:
                yield from _used(element, inner)
