"""Records for the tests of core: built, never mocked, for core takes plain values only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from keyferry.api import names
from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.api.model import convert
from keyferry.core.desired import ExistingSecret, Owner
from keyferry.core.hashing import field_manager
from keyferry.core.template import Renderer
from keyferry.gotemplate import Cache, Limits, Run
from keyferry.secretdata import SecretData

VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture
def vectors():
    """What Go's standard library makes of inputs; written by `oracle/main.go`."""
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


@pytest.fixture
def owner():
    return Owner("team-a", "db", "uid-of-db", {"app": "shop"}, {"note": "hello"})


@pytest.fixture
def spec():
    """An ExternalSecret's spec from its JSON."""

    def build(**fields):
        return convert({"secretStoreRef": {"name": "aws"}, **fields}, ExternalSecretSpec)

    return build


@pytest.fixture
def renderer():
    """Renders within the limits given; at one moment, and with bytes that are not random."""

    def build(*, left="{{", right="}}", slow=True, **limits):
        run = Run(
            Limits(**limits),
            now_ns=1_767_225_600_000_000_000,
            monotonic=lambda: 0.0,
            random_bytes=bytes,
            allows_slow=slow,
        )
        return Renderer(run, Cache(), left, right)

    return build


@pytest.fixture
def secret():
    """A Secret as the API server has it. `ours` names what the manager of ExternalSecret db owns."""

    def build(
        data: Mapping[str, bytes] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        references: list[Mapping[str, object]] | None = None,
        immutable: bool = False,
        ours: Mapping[str, set[str]] | None = None,
    ) -> ExistingSecret:
        fields = {"data": {}, "labels": {}, "annotations": {}} | dict(ours or {})
        metadata = {
            "name": "db",
            "managedFields": [
                {
                    "manager": field_manager("db"),
                    "operation": "Update",
                    "fieldsV1": {
                        "f:data": {".": {}, **{f"f:{key}": {} for key in fields["data"]}},
                        "f:metadata": {
                            f"f:{kind}": {f"f:{key}": {} for key in fields[kind]}
                            for kind in ("labels", "annotations")
                        },
                    },
                }
            ],
        }
        if labels is not None:
            metadata["labels"] = dict(labels)
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        if references is not None:
            metadata["ownerReferences"] = references
        return ExistingSecret("uid-1", "7", metadata, "Opaque", immutable, SecretData(data or {}))

    return build


@pytest.fixture
def reference():
    """An owner reference, by default the one that ExternalSecret db writes."""

    def build(name="db", **changes):
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.EXTERNAL_SECRET,
            "name": name,
            "uid": f"uid-of-{name}",
            "controller": True,
            "blockOwnerDeletion": True,
        } | changes

    return build
