"""May this ExternalSecret use this store? Class, conditions and references, checked for each object.

The API server's admission policy checks the same where it can; policies can be absent and old objects
predate them, so what matters for security is decided here again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from keyferry.api import names
from keyferry.api.meta import LabelSelector, LabelSelectorRequirement, NamespacedReference
from keyferry.api.model import Model
from keyferry.api.references import find_references
from keyferry.api.secret_store import ClusterSecretStoreCondition, SecretStoreSpec
from keyferry.core.patterns import Pattern
from keyferry.errors import ForbiddenError, SpecError


def is_our_class(controller: str, controller_class: str) -> bool:
    """Whether a store is ours to serve: its spec.controller names no class, or ours."""
    return controller in ("", controller_class)


def check_namespace(
    spec: SecretStoreSpec, store_name: str, namespace: str, labels: Mapping[str, str] | None
) -> None:
    """Check a ClusterSecretStore's conditions for a namespace.

    Args:
        labels: of the namespace; None where they are not known, which fits no selector.

    Raises:
        ForbiddenError: no condition lets the namespace in. An entry without any field lets nobody in.
        SpecError: a regular expression of the conditions is malformed.
    """
    if not spec.conditions or any(_lets_in(c, namespace, labels) for c in spec.conditions):
        return
    raise ForbiddenError(
        f'using cluster store "{store_name}" is not allowed from namespace "{namespace}": denied by spec.condition',
        hint="Ask the store's owner to add the namespace to spec.conditions",
    )


def _lets_in(
    condition: ClusterSecretStoreCondition, namespace: str, labels: Mapping[str, str] | None
) -> bool:
    selector = condition.namespace_selector
    if selector is not None and labels is not None and selects(selector, labels):
        return True
    if namespace in condition.namespaces:
        return True
    return any(_matches(pattern, namespace) for pattern in condition.namespace_regexes)


@functools.lru_cache(maxsize=1024)
def _matches(pattern: str, text: str) -> bool:
    try:
        return Pattern(pattern).matches(text)
    except SpecError:
        raise SpecError(f"spec.conditions: {pattern[:80]!r} is not a valid RE2 regular expression") from None


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes an object with these labels; an empty selector takes every one.

    Raises:
        SpecError: a requirement is malformed, even if others decide already: a malformed NotIn would let
            everybody in.
    """
    for requirement in selector.match_expressions:
        _check_requirement(requirement)
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    return all(_meets(requirement, labels) for requirement in selector.match_expressions)


_COMPARING: Final = ("In", "NotIn")


def _check_requirement(requirement: LabelSelectorRequirement) -> None:
    operator = requirement.operator
    if operator not in (*_COMPARING, "Exists", "DoesNotExist"):
        raise SpecError(f"a label selector has the unknown operator {operator[:80]!r}")
    if (operator in _COMPARING) != bool(requirement.values):
        must = "must" if operator in _COMPARING else "must not"
        raise SpecError(
            f"a label selector with operator {operator} {must} have values (key {requirement.key[:80]!r})"
        )


def _meets(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    key = requirement.key
    if requirement.operator == "In":
        return key in labels and labels[key] in requirement.values
    if requirement.operator == "NotIn":
        return key not in labels or labels[key] not in requirement.values
    return (key in labels) is (requirement.operator == "Exists")


def check_references(block: Any, store_namespace: str, path: str = "spec.provider") -> None:
    """Check that a namespaced store's references stay in its namespace.

    Args:
        block: the typed provider block.
        store_namespace: empty for a ClusterSecretStore, whose references may go anywhere.
        path: where the block stands in the store, for the error.

    Raises:
        ForbiddenError: one does not; the message names the field.
    """
    if not store_namespace:
        return
    for place, reference in references(block, path):
        if reference.namespace not in ("", store_namespace):
            raise ForbiddenError(
                f'{place}.namespace is "{reference.namespace}": namespace should either be empty or match the '
                "namespace of the SecretStore for a namespaced SecretStore",
                hint="Use a ClusterSecretStore, or keep the object in the store's namespace",
            )


def references(block: Any, path: str = "spec.provider") -> Iterable[tuple[str, NamespacedReference]]:
    """All references in a typed block that may name a namespace, with the path of each; none in an untyped one."""
    if isinstance(block, Model):
        for inner, reference in find_references(block):
            yield f"{path}.{inner}", reference


def effective_namespace(reference: NamespacedReference, store_namespace: str, referent: str) -> str:
    """Where a reference points: a cluster store's own word, else the store's or the ExternalSecret's namespace."""
    if store_namespace:
        return store_namespace
    return reference.namespace or referent


def is_referent(block: Any) -> bool:
    """Whether a ClusterSecretStore's block leaves a namespace open, so that each ExternalSecret fills it in."""
    return any(not reference.namespace for _, reference in references(block))


def answers_otherwise(before: SecretStoreSpec, after: SecretStoreSpec) -> bool:
    """Whether a store with this spec may give other answers than before, or not to the same namespaces.

    Its pace does not matter, nor do the data of a fake store: those are its remote secrets, and wait for
    their refresh as at any store.
    """
    return _what_counts(before) != _what_counts(after)


def _what_counts(spec: SecretStoreSpec) -> SecretStoreSpec:
    provider = spec.provider
    if provider.fake is not None:
        provider = msgspec.structs.replace(provider, fake=msgspec.structs.replace(provider.fake, data=()))
    return msgspec.structs.replace(spec, provider=provider, refresh_interval=0, retry_settings=None)


def is_paused(annotations: Mapping[str, str]) -> bool:
    """Whether somebody stopped work on the object."""
    return annotations.get(names.ANNOTATION_PAUSED) == names.PAUSED_VALUE
