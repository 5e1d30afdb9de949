"""What all generators ask of their spec: where its fields stand, and what its references lead to."""

from __future__ import annotations

from typing import Any, TypeVar

from keyferry.api.generators.cluster import BLOCKS
from keyferry.api.meta import NamespacedReference, SecretKeySelector
from keyferry.api.model import Model
from keyferry.core.stores import check_references, effective_namespace, references
from keyferry.errors import AuthFailed, ForbiddenError, SpecError
from keyferry.secretdata import SecretBytes, SecretData

Spec = TypeVar("Spec", bound=Model)


def spec_path(kind: str, *, cluster_scoped: bool) -> str:
    """Where the spec of a kind stands in its object: a ClusterGenerator holds it among others."""
    if not cluster_scoped:
        return "spec"
    return f"spec.generator.{BLOCKS[kind]}"


def typed(spec: Any, of: type[Spec]) -> Spec:
    """The spec as its type.

    Raises:
        SpecError: it is another kind's.
    """
    if not isinstance(spec, of):
        raise SpecError(f"the generator's spec is no {of.__name__}")
    return spec


def check_selectors(spec: Model, namespace: str, path: str) -> None:
    """Check that references stay at home, and that selectors of Secrets have all that they need.

    Args:
        namespace: of the generator; empty for a ClusterGenerator.
        path: as `spec_path` tells.

    Raises:
        ForbiddenError, SpecError: one does not; the message names the field.
    """
    check_references(spec, namespace, path)
    for place, reference in references(spec, path):
        if isinstance(reference, SecretKeySelector) and not (reference.name and reference.key):
            raise SpecError(f"{place} must have a name and a key", hint="Name a Secret and one of its keys")


def where(reference: NamespacedReference, own: str, referent: str) -> str:
    """The namespace of what a reference leads to.

    Args:
        own: namespace of the generator; empty for a ClusterGenerator.
        referent: namespace of the ExternalSecret.

    Raises:
        ForbiddenError: there is none.
    """
    found = effective_namespace(reference, own, referent)
    if not found:
        raise ForbiddenError(
            "a reference without a namespace is one into the ExternalSecret's, and there is none"
        )
    return found


def value_of(data: SecretData, selector: SecretKeySelector, namespace: str) -> SecretBytes:
    """The value that a selector means.

    Args:
        data: of the Secret.
        namespace: of the Secret.

    Raises:
        AuthFailed: the Secret has no such key, or nothing is there.
    """
    value = data.get(selector.key)
    if not value:
        raise AuthFailed(
            f'Secret "{namespace}/{selector.name}" has no value under the key "{selector.key}"',
            hint="Add it, or correct the generator",
        )
    return value
