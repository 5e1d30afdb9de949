"""StorePolicy: which remote keys of ClusterSecretStores a namespace may read."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from keyferry.api.conditions import Condition
from keyferry.api.meta import LabelSelector, Namespace, ObjectName
from keyferry.api.model import CelRule, Model, SchemaRules, schema

MAX_PATTERN_CHARS: Final = 256
MAX_PLACEHOLDERS: Final = 4
"""Of one pattern. With them put in, it still is a regular expression that is not refused as too long."""
LABEL_CHARS: Final = "A-Za-z0-9/._-"
"""What the name of a label is made of."""

_PLACEHOLDER: Final = rf"\{{(namespace|label:[{LABEL_CHARS}]+)\}}"
_LITERAL: Final = r"[^{}\x00-\x1f]"
KEY_PATTERN: Final = rf"^{_LITERAL}*({_PLACEHOLDER}{_LITERAL}*){{0,{MAX_PLACEHOLDERS}}}$"

KeyPattern = Annotated[str, Meta(min_length=1, max_length=MAX_PATTERN_CHARS), schema(pattern=KEY_PATTERN)]
"""A pattern of remote keys; core takes it apart, with a clearer text than the schema's."""
RegularExpression = Annotated[str, Meta(min_length=1, max_length=MAX_PATTERN_CHARS)]


# An expression that does not compile is an error on both sides, and an error refuses the object.
_REGEXES_COMPILE: Final = CelRule(
    "!has(self.namespaceRegexes) || self.namespaceRegexes.all(r, 'x'.matches(r) || !'x'.matches(r))",
    "namespaceRegexes must be regular expressions (RE2)",
)


class PolicyStoreRef(Model, frozen=True, kw_only=True):
    """ClusterSecretStores that the policy limits: one by its name, or all that have certain labels."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    name: ObjectName = ""
    """Name of a ClusterSecretStore."""
    label_selector: LabelSelector | None = None
    """ClusterSecretStores by their labels; {} takes every one."""


class StorePolicyRule(Model, frozen=True, kw_only=True):
    """Remote keys, and the namespaces that may read them: those that fit any field; all if none is set."""

    schema_rules = SchemaRules(cel=(_REGEXES_COMPILE,))

    namespaces: Annotated[tuple[Namespace, ...], Meta(min_length=1, max_length=256)] = ()
    """Namespaces by name."""
    namespace_regexes: Annotated[tuple[RegularExpression, ...], Meta(min_length=1, max_length=32)] = ()
    """Namespaces by regular expression (RE2), which may fit anywhere in the name."""
    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels."""
    keys: Annotated[tuple[KeyPattern, ...], Meta(min_length=1, max_length=128)]
    """Patterns of remote keys, from the first character to the last. A star stands for anything but a slash, two
    stars for anything, {namespace} for the name of the ExternalSecret's namespace and {label:NAME} for its label
    of that name; all else for itself."""


class StorePolicySpec(Model, frozen=True, kw_only=True):
    """What namespaces may read of ClusterSecretStores: of one that any policy selects, only what some policy lets in."""

    store_refs: Annotated[tuple[PolicyStoreRef, ...], Meta(min_length=1, max_length=64)]
    """The ClusterSecretStores that the policy limits."""
    rules: Annotated[tuple[StorePolicyRule, ...], Meta(max_length=64)] = ()
    """What is let in. Nothing if there is no rule."""


class StorePolicyStatus(Model, frozen=True, kw_only=True):
    """Whether the policy is in force."""

    stores: Annotated[int | None, schema(format="int32")] = None
    """How many ClusterSecretStores it limits now."""
    conditions: tuple[Condition, ...] = ()
    """Whether the policy can be used, and if not, why. One that cannot be used lets nothing in."""
