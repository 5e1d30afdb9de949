"""What many kinds share: names, durations, selectors, references to Secrets and ServiceAccounts.

Every reference that may name a namespace of its own is a `NamespacedReference`: by that type the
admission policy and core find all of them.
"""

# ruff: noqa: S105 - these constants are patterns, no passwords

from __future__ import annotations

import functools
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from keyferry.api.model import Model, SchemaRules, schema
from keyferry.duration import PATTERN as DURATION_PATTERN
from keyferry.duration import parse_go_duration_nanos

DNS_NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
NAMESPACE_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SECRET_KEY_PATTERN: Final = r"^[-._a-zA-Z0-9]+$"

ObjectName = Annotated[str, Meta(min_length=1, max_length=253, pattern=DNS_NAME_PATTERN)]
"""Name of an object, as the API server takes it."""
Namespace = Annotated[str, Meta(min_length=1, max_length=63, pattern=NAMESPACE_PATTERN)]
"""Name of a namespace."""
SecretKey = Annotated[str, Meta(min_length=1, max_length=253, pattern=SECRET_KEY_PATTERN)]
"""A key of a Secret or ConfigMap."""
GoDuration = Annotated[str, schema(pattern=DURATION_PATTERN)]
"""A duration as Go writes it. Types that hold one check it with `check_duration`, whose text is clearer."""
Base64 = Annotated[str, schema(format="byte")]
"""Bytes as base64 text, left as they are: the reader decodes."""

_SHOWN_CHARS: Final = 64


def check_duration(field: str, text: str) -> None:
    """Check a duration of the wire; an empty one is an absent one.

    Raises:
        ValueError: the text is no duration; names the field. msgspec makes a ValidationError of it.
    """
    if not text:
        return
    try:
        # Most objects have one of a few; the cache holds no long texts.
        (_parsed if len(text) <= _SHOWN_CHARS else parse_go_duration_nanos)(text)
    except ValueError as exc:
        raise ValueError(f'{field} "{text[:_SHOWN_CHARS]}": {exc}') from None


_parsed = functools.lru_cache(maxsize=1024)(parse_go_duration_nanos)


class NamespacedReference(Model, frozen=True, kw_only=True):
    """Base of references that may point into another namespace."""

    namespace: Namespace = ""
    """Namespace of the object. Only cluster-scoped stores and generators may name one; without it the
    namespace of the ExternalSecret counts there. In namespaced ones it is empty or their own."""


class SecretKeySelector(NamespacedReference, frozen=True, kw_only=True):
    """One key of a Secret."""

    name: ObjectName = ""
    """Name of the Secret."""
    key: SecretKey = ""
    """Key in the Secret. Some references have a default, others need one."""


class LocalSecretKeySelector(Model, frozen=True, kw_only=True):
    """One key of a Secret, in the namespace of whoever uses it."""

    name: ObjectName = ""
    """Name of the Secret."""
    key: SecretKey = ""
    """Key in the Secret."""


class ServiceAccountSelector(NamespacedReference, frozen=True, kw_only=True):
    """A ServiceAccount whose token stands for the store's identity."""

    name: ObjectName
    """Name of the ServiceAccount."""
    audiences: tuple[str, ...] = ()
    """Further audiences of the token, besides those that the provider asks for by itself."""


class CAProvider(NamespacedReference, frozen=True, kw_only=True):
    """Where the certificate authority of a server is kept."""

    type: Literal["Secret", "ConfigMap"]
    """Kind of the object that holds the certificates."""
    name: ObjectName
    """Name of the Secret or ConfigMap."""
    key: SecretKey = ""
    """Key in it that holds the certificates as PEM."""


class LabelSelectorRequirement(Model, frozen=True, kw_only=True):
    """One condition on a label."""

    key: str
    """The label."""
    operator: str
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[str, ...], schema(**{"x-kubernetes-list-type": "atomic"})] = ()
    """Values to compare with; empty for Exists and DoesNotExist."""


class LabelSelector(Model, frozen=True, kw_only=True):
    """Objects by their labels; all conditions must hold. An empty selector takes every object."""

    schema_rules = SchemaRules(atomic=True)

    match_labels: dict[str, str] = field(default_factory=dict)
    """Labels that the object must have with these values."""
    match_expressions: Annotated[
        tuple[LabelSelectorRequirement, ...], schema(**{"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Conditions on labels."""


class LocalObjectReference(Model, frozen=True, kw_only=True):
    """An object in the same namespace, by name."""

    schema_rules = SchemaRules(atomic=True)

    name: Annotated[str, schema(default="")] = ""
    """Name of the object."""
