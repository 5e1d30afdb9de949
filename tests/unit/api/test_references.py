"""References that may name a namespace: none is missed, neither in a type nor in an object."""

from __future__ import annotations

import msgspec
import pytest

from keyferry.api.crd import KINDS
from keyferry.api.generators.kinds import GENERATORS
from keyferry.api.model import convert
from keyferry.api.references import find_references, reference_paths
from keyferry.api.secret_store import SecretStoreSpec

SPECS = {kind.kind: kind.spec for kind in KINDS}
WITHOUT_REFERENCES = frozenset(["ExternalSecret", "ClusterExternalSecret", "GeneratorState"])
UNTYPED = frozenset(["BeyondtrustWorkloadCredentialsDynamicSecret"])
"""Their references are known to nobody but their server's documentation."""


def test_every_reference_of_the_samples_is_found_with_its_path(samples):
    """The samples give every reference a namespace; Vault's own namespaces are none of Kubernetes."""
    for sample in samples:
        if sample["kind"] in WITHOUT_REFERENCES | UNTYPED:
            continue
        found = {
            path: reference.namespace
            for path, reference in find_references(convert(sample["spec"], SPECS[sample["kind"]]))
        }

        assert dict(_namespaced(sample["spec"])) == found


@pytest.mark.parametrize(
    "spec", [SecretStoreSpec, *(one.spec for one in GENERATORS)], ids=lambda spec: spec.__name__
)
def test_paths_of_a_type_are_those_that_its_objects_have(samples, spec):
    in_objects = {
        ".".join(_without_indexes(path))
        for sample in samples
        if SPECS[sample["kind"]] is spec
        for path, _ in find_references(convert(sample["spec"], spec))
    }

    assert in_objects == {".".join(path).replace(".[]", "[]") for path in reference_paths(spec)}


def test_a_reference_in_a_list_is_found_under_its_index():
    spec = msgspec.convert(
        {
            "provider": {
                "webhook": {
                    "url": "https://example.com",
                    "secrets": [
                        {"name": "a", "secretRef": {}},
                        {"name": "b", "secretRef": {"namespace": "x"}},
                    ],
                }
            }
        },
        SecretStoreSpec,
    )

    assert [(path, reference.namespace) for path, reference in find_references(spec)] == [
        ("provider.webhook.secrets[0].secretRef", ""),
        ("provider.webhook.secrets[1].secretRef", "x"),
    ]


def _namespaced(value, path=""):
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _namespaced(item, f"{path}[{index}]")
    if isinstance(value, dict):
        if {"name", "namespace"} <= set(value):
            yield path, value["namespace"]
        elif path in REFERENCES_WITHOUT_NAMESPACE:
            yield path, ""
        for key, item in value.items():
            yield from _namespaced(item, f"{path}.{key}".lstrip("."))


REFERENCES_WITHOUT_NAMESPACE: frozenset[str] = frozenset()


def _without_indexes(path):
    return ["".join(c for c in part if not c.isdigit()) if "[" in part else part for part in path.split(".")]
