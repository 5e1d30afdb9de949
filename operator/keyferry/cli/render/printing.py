"""What `keyferry render` prints: manifests of the Secrets, or what would be in them without a value."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from keyferry.cli.render.outcome import OWN, Outcome
from keyferry.core.desired import SecretPlan
from keyferry.secretdata import SecretBytes


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, as people write them."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not any(line.endswith((" ", "\t")) for line in text.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def as_yaml(outcomes: Sequence[Outcome], *, values: bool) -> str:
    """One document for each object that would be written."""
    return yaml.dump_all(
        _objects(outcomes, values=values),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        explicit_start=True,
        width=1 << 20,
    )


def as_json(outcomes: Sequence[Outcome], *, values: bool) -> str:
    """A List of the objects that would be written."""
    items = _objects(outcomes, values=values)
    return (
        json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2, ensure_ascii=False) + "\n"
    )


def _objects(outcomes: Sequence[Outcome], *, values: bool) -> list[dict[str, Any]]:
    return [_object(one.plan, values=values) for one in outcomes if one.plan is not None]


def _object(plan: SecretPlan, *, values: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": plan.name, "namespace": plan.namespace}
    for field, texts in (("labels", plan.labels), ("annotations", plan.annotations)):
        if own := {key: text for key, text in texts.items() if not key.startswith(OWN)}:
            metadata[field] = own
    if plan.finalizers:
        metadata["finalizers"] = list(plan.finalizers)
    if plan.manifest is not None:
        return _other(plan, metadata, values=values)
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": plan.type}
    if plan.immutable:
        body["immutable"] = True
    return body | (_data(plan.data) if values else {"data": _told(plan.data)})


def _other(plan: SecretPlan, metadata: dict[str, Any], *, values: bool) -> dict[str, Any]:
    assert plan.manifest is not None  # noqa: S101 -- the caller has looked
    head = {"apiVersion": plan.manifest.api_version, "kind": plan.manifest.kind, "metadata": metadata}
    if not values:
        return head | {"data": _told(plan.data)}
    content = {key: value for key, value in plan.document.items() if key not in head}
    return head | content


def _data(data: Mapping[str, SecretBytes]) -> dict[str, Any]:
    """Text as text, so that it can be read; the rest as base64."""
    texts: dict[str, str] = {}
    others: dict[str, str] = {}
    for key in sorted(data):
        value = data[key].reveal()
        try:
            texts[key] = value.decode()
        except UnicodeDecodeError:
            others[key] = base64.b64encode(value).decode()
    return {name: part for name, part in (("stringData", texts), ("data", others)) if part}


def _told(data: Mapping[str, SecretBytes]) -> dict[str, str]:
    """Lengths alone: a hash of a short value would tell it to whoever tries them all."""
    return {key: f"({len(data[key])} bytes)" for key in sorted(data)}
