"""ExternalSecret: what to read from a store, and which Secret to make of it.

Data of the wire. Defaults that say `schema(default=…)` are written into the object by the API server,
all others are ours alone. The rules here are what the API server can check; core checks again what
matters for security, because an object may be older than a rule.
"""

# ruff: noqa: S105 - these constants are CEL, no passwords

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, field

from keyferry.api import names
from keyferry.api.conditions import ExternalSecretCondition
from keyferry.api.meta import (
    GoDuration,
    LocalObjectReference,
    ObjectName,
    SecretKey,
    check_duration,
)
from keyferry.api.model import CelRule, Model, SchemaRules, schema

StoreKind = Literal["SecretStore", "ClusterSecretStore"]
CreationPolicy = Literal["Owner", "Orphan", "Merge", "None", "CreateOrMerge"]
DeletionPolicy = Literal["Delete", "Merge", "Retain"]
RefreshPolicy = Literal["CreatedOnce", "Periodic", "OnChange"]
MetadataPolicy = Literal["None", "Fetch"]
ConversionStrategy = Literal["Default", "Unicode"]
DecodingStrategy = Literal["Auto", "Base64", "Base64URL", "None"]
NullBytePolicy = Literal["Ignore", "Fail"]
GeneratorKind = Literal[
    "ACRAccessToken",
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "ClusterGenerator",
    "CloudsmithAccessToken",
    "ECRAuthorizationToken",
    "Fake",
    "GCRAccessToken",
    "GithubAccessToken",
    "GitlabDeployToken",
    "QuayAccessToken",
    "Password",
    "SSHKey",
    "STSSessionToken",
    "UUID",
    "VaultDynamicSecret",
    "Webhook",
    "Grafana",
    "MFA",
]

CRON_PATTERN: Final = (
    r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|@every [^\s]+.*|[^\s]+( [^\s]+){4})$"
)
MAX_ENTRIES: Final = 65_536
"""Bound of dataFrom, whose entries carry rules: about what fits into an object of the API server at all."""
MAX_TEMPLATE_SOURCES: Final = 8_192
MAX_TEMPLATE_TARGET_CHARS: Final = 1_024
"""Bounds of templateFrom: the API server refuses a rule whose cost has no bound."""


class SecretStoreRef(Model, frozen=True, kw_only=True):
    """The store to read from."""

    name: ObjectName = ""
    """Name of the store."""
    kind: StoreKind = "SecretStore"
    """SecretStore, in the same namespace and the one meant where this is unset, or ClusterSecretStore."""


class GeneratorRef(Model, frozen=True, kw_only=True):
    """A generator that makes values instead of a store."""

    api_version: Annotated[str, schema(default=names.GENERATORS_API_VERSION)] = names.GENERATORS_API_VERSION
    """API version of the generator."""
    kind: GeneratorKind
    """Kind of the generator."""
    name: ObjectName
    """Name of the generator."""


class RemoteRef(Model, frozen=True, kw_only=True):
    """A remote secret, or a part of it."""

    key: str
    """The remote secret, as its store names it."""
    property: str = ""
    """One value inside a remote secret that holds several; a gjson path in most stores."""
    version: str = ""
    """Version of the remote secret, as its store names it; the current one if unset."""
    metadata_policy: MetadataPolicy = "None"
    """Fetch reads the remote secret's tags or labels instead of its value. None if unset."""
    conversion_strategy: ConversionStrategy = "Default"
    """How characters that no key of a Secret may have are replaced: by an underscore (Default), or by
    their code point (Unicode). Default if unset."""
    decoding_strategy: DecodingStrategy = "None"
    """How the value is decoded: Base64, Base64URL, Auto (tries both, else leaves it), or None. None if
    unset."""
    null_byte_policy: NullBytePolicy = "Ignore"
    """What to do with a value that holds NUL bytes: keep it (Ignore) or report an error (Fail). Ignore if
    unset."""


class StoreSourceRef(Model, frozen=True, kw_only=True):
    """Another source for one entry of data."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    store_ref: SecretStoreRef | None = None
    """The store to read this entry from."""
    generator_ref: GeneratorRef | None = None
    """Not supported in data; use dataFrom. Deprecated."""


class Data(Model, frozen=True, kw_only=True):
    """One key of the target Secret."""

    secret_key: SecretKey
    """Key in the target Secret."""
    remote_ref: RemoteRef
    """Where its value comes from."""
    source_ref: StoreSourceRef | None = None
    """Reads this entry from another store than spec.secretStoreRef."""


class FindName(Model, frozen=True, kw_only=True):
    """Remote secrets by their name."""

    regexp: str = ""
    """Regular expression (RE2) that the name must match."""


class Find(Model, frozen=True, kw_only=True):
    """Many remote secrets at once. Each becomes one key."""

    path: str | None = None
    """Where in the store to look; what a path is depends on the store."""
    name: FindName | None = None
    """Takes remote secrets by name."""
    tags: dict[str, str] = field(default_factory=dict)
    """Takes remote secrets that carry all these tags."""
    conversion_strategy: ConversionStrategy = "Default"
    """How characters that no key of a Secret may have are replaced; see remoteRef. Default if unset."""
    decoding_strategy: DecodingStrategy = "None"
    """How values are decoded; see remoteRef. None if unset."""
    null_byte_policy: NullBytePolicy = "Ignore"
    """What to do with values that hold NUL bytes; see remoteRef. Ignore if unset."""


class RewriteRegexp(Model, frozen=True, kw_only=True):
    """Renames keys by a regular expression."""

    source: str
    """Regular expression (RE2) that keys are searched for."""
    target: str
    """What each match becomes; ${1} or ${name} stands for a group."""


class RewriteTransform(Model, frozen=True, kw_only=True):
    """Renames keys by a template."""

    template: str
    """Template whose output is the new key; {{ .value }} is the old one."""


class RewriteMerge(Model, frozen=True, kw_only=True):
    """Merges values that are JSON objects."""

    into: Annotated[str, schema(default="")] = ""
    """Key that receives the merged JSON. Needed by strategy JSON, ignored by Extract."""
    priority: tuple[str, ...] = ()
    """Keys merged last, in this order, so that they win; all others come before, sorted."""
    priority_policy: Annotated[Literal["IgnoreNotFound", "Strict"], schema(default="Strict")] = "Strict"
    """Whether a key of priority that does not exist is an error (Strict) or skipped (IgnoreNotFound)."""
    conflict_policy: Annotated[Literal["Ignore", "Error"], schema(default="Error")] = "Error"
    """Whether the same key in two values is an error (Error) or the later value wins (Ignore)."""
    strategy: Annotated[Literal["Extract", "JSON"], schema(default="Extract")] = "Extract"
    """Extract makes one key of each member; JSON puts one JSON object under the key of into."""


class Rewrite(Model, frozen=True, kw_only=True):
    """One step that changes keys."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    regexp: RewriteRegexp | None = None
    """Renames keys by a regular expression."""
    transform: RewriteTransform | None = None
    """Renames keys by a template."""
    merge: RewriteMerge | None = None
    """Merges values that are JSON objects."""


class StoreGeneratorSourceRef(Model, frozen=True, kw_only=True):
    """Another source for one entry of dataFrom."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    store_ref: SecretStoreRef | None = None
    """The store to read this entry from, together with extract or find."""
    generator_ref: GeneratorRef | None = None
    """The generator that makes the values; excludes extract and find."""


class DataFrom(Model, frozen=True, kw_only=True):
    """Many keys of the target Secret from one source."""

    schema_rules = SchemaRules(
        cel=(
            CelRule(
                "!(has(self.extract) && has(self.find)) && !((has(self.extract) || has(self.find)) && "
                "has(self.sourceRef) && has(self.sourceRef.generatorRef))",
                "extract, find, or generatorRef cannot be set at the same time",
            ),
            CelRule(
                "has(self.extract) || has(self.find) || has(self.sourceRef)",
                "either extract, find, or sourceRef must be set to dataFrom",
            ),
            CelRule(
                "!has(self.sourceRef) || has(self.sourceRef.storeRef) || has(self.sourceRef.generatorRef)",
                "generatorRef or storeRef must be set when using sourceRef in dataFrom",
            ),
        )
    )

    extract: RemoteRef | None = None
    """Makes one key of each member of one remote secret."""
    find: Find | None = None
    """Makes one key of each remote secret found."""
    rewrite: tuple[Rewrite, ...] = ()
    """Changes the keys, step by step, before they reach the target."""
    source_ref: StoreGeneratorSourceRef | None = None
    """Reads from another store than spec.secretStoreRef, or from a generator."""


class TemplateItem(Model, frozen=True, kw_only=True):
    """One template in a ConfigMap or Secret."""

    key: SecretKey
    """Key in the ConfigMap or Secret."""
    template_as: Annotated[Literal["Values", "KeysAndValues"], schema(default="Values")] = "Values"
    """Values renders the text into one value under the same key; KeysAndValues renders YAML that holds
    keys and values."""


class TemplateRef(Model, frozen=True, kw_only=True):
    """Templates in a ConfigMap or Secret of the same namespace."""

    name: ObjectName
    """Name of the ConfigMap or Secret."""
    items: tuple[TemplateItem, ...]
    """The keys to render."""


class TemplateFrom(Model, frozen=True, kw_only=True):
    """One source of templates."""

    config_map: TemplateRef | None = None
    """Templates in a ConfigMap."""
    secret: TemplateRef | None = None
    """Templates in a Secret."""
    target: Annotated[str, schema(default="Data", maxLength=MAX_TEMPLATE_TARGET_CHARS)] = "Data"
    """Where the output goes: Data, Annotations or Labels. With target.manifest also a path into the object,
    such as spec.config."""
    literal: str | None = None
    """A template written right here; its output is YAML that holds keys and values."""
    values_decoding_strategy: DecodingStrategy = "None"
    """How rendered values are decoded. None if unset."""


class TemplateMetadata(Model, frozen=True, kw_only=True):
    """Metadata of the target."""

    annotations: dict[str, str] = field(default_factory=dict)
    """Annotations; values may be templates."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels; values may be templates."""
    finalizers: tuple[str, ...] = ()
    """Finalizers."""


_TOKEN: Final = names.SERVICE_ACCOUNT_TOKEN_TYPE
_BOOTSTRAP: Final = names.BOOTSTRAP_TOKEN_TYPE
_ACCOUNT: Final = names.SERVICE_ACCOUNT_NAME_ANNOTATION


class Template(Model, frozen=True, kw_only=True):
    """How the target is made of the values that were read."""

    schema_rules = SchemaRules(
        cel=(
            CelRule(
                f"!has(self.type) || self.type != '{_BOOTSTRAP}'",
                f'template.type="{_BOOTSTRAP}" is not allowed',
            ),
            CelRule(
                f"!(has(self.type) && self.type == '{_TOKEN}' && has(self.metadata) && "
                f"has(self.metadata.annotations) && '{_ACCOUNT}' in self.metadata.annotations)",
                f'template.type="{_TOKEN}" with annotation "{_ACCOUNT}" is not allowed',
            ),
            CelRule(
                f"!(has(self.type) && self.type == '{_TOKEN}' && has(self.templateFrom) && "
                "self.templateFrom.exists(t, has(t.target) && t.target.lowerAscii() == 'annotations'))",
                f'template.type="{_TOKEN}" with templateFrom target="Annotations" is not allowed',
            ),
        )
    )

    type: str = ""
    """Type of the Secret; Opaque if unset. A Secret's type cannot change later."""
    engine_version: Annotated[Literal["v2"], schema(default="v2")] = "v2"
    """Version of the template language."""
    metadata: TemplateMetadata = TemplateMetadata()
    """Labels, annotations and finalizers of the target. With a template, those of the ExternalSecret are not
    copied."""
    merge_policy: Annotated[Literal["Replace", "Merge"], schema(default="Replace")] = "Replace"
    """Whether values that no template names are left out (Replace) or kept (Merge)."""
    data: dict[str, str] = field(default_factory=dict)
    """Templates by key of the target."""
    template_from: Annotated[tuple[TemplateFrom, ...], schema(maxItems=MAX_TEMPLATE_SOURCES)] = ()
    """Templates kept elsewhere; data wins over them."""


class ManifestReference(Model, frozen=True, kw_only=True):
    """Kind of a target that is no Secret."""

    api_version: Annotated[str, Meta(min_length=1)]
    """API version of the target, such as v1 for a ConfigMap."""
    kind: Annotated[str, Meta(min_length=1)]
    """Kind of the target."""


_SECRET_FIELDS: Final = "['', 'data', 'annotations', 'labels']"


class Target(Model, frozen=True, kw_only=True):
    """The object to write."""

    schema_rules = SchemaRules(
        cel=(
            CelRule(
                "!(has(self.deletionPolicy) && self.deletionPolicy == 'Delete' && has(self.creationPolicy) && "
                "self.creationPolicy in ['Merge', 'None', 'CreateOrMerge'])",
                "deletionPolicy=Delete must not be used when the controller doesn't own the secret. "
                "Please set creationPolicy=Owner",
            ),
            CelRule(
                "!(has(self.deletionPolicy) && self.deletionPolicy == 'Merge' && has(self.creationPolicy) && "
                "self.creationPolicy == 'None')",
                "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with",
            ),
            CelRule(
                "!has(self.template) || !has(self.template.templateFrom) || (has(self.manifest) && "
                "!(self.manifest.apiVersion == 'v1' && self.manifest.kind == 'Secret')) || "
                "self.template.templateFrom.all(t, !has(t.target) || "
                f"t.target.lowerAscii() in {_SECRET_FIELDS})",
                "templateFrom target is not allowed when targeting a Secret, must be one of "
                '"Data", "Annotations" or "Labels"',
                # Mapped, not filtered: the cost of what filter finds cannot be estimated.
                "'templateFrom target=\"' + self.template.templateFrom.map(t, has(t.target) && "
                f"!(t.target.lowerAscii() in {_SECRET_FIELDS}), t.target)[0] + '\" is not allowed when "
                'targeting a Secret, must be one of "Data", "Annotations" or "Labels"\'',
            ),
        )
    )

    name: ObjectName = ""
    """Name of the target; the ExternalSecret's own name if unset."""
    creation_policy: Annotated[CreationPolicy, schema(default="Owner")] = "Owner"
    """Owner creates the target and has it deleted with the ExternalSecret. Orphan creates it and leaves it
    behind. Merge only adds to a target that exists. CreateOrMerge creates it or adds to it, and leaves it
    behind. None writes nothing."""
    deletion_policy: Annotated[DeletionPolicy, schema(default="Retain")] = "Retain"
    """What to do when the store no longer has the remote secrets. Retain keeps the target and reports an
    error. Delete deletes it once all are gone. Merge removes the keys that are gone."""
    template: Template | None = None
    """How the target is made of the values; they are copied as they are if unset."""
    manifest: ManifestReference | None = None
    """Writes an object of this kind instead of a Secret. Its values are as open to read as that object."""
    immutable: bool = False
    """Makes the Secret immutable: its data is never changed again."""


class SyncWindow(Model, frozen=True, kw_only=True):
    """One window of time."""

    schedule: Annotated[str, Meta(min_length=1, pattern=CRON_PATTERN)]
    """When the window opens: five cron fields in UTC, or a shorthand such as @daily or @every 6h."""
    duration: GoDuration
    """How long it stays open, such as 8h."""

    def __post_init__(self) -> None:
        """Check the duration."""
        check_duration("duration", self.duration)


class SyncWindows(Model, frozen=True, kw_only=True):
    """When periodic refreshes may run."""

    kind: Literal["allow", "deny"]
    """Whether refreshes run only inside the windows (allow) or only outside (deny)."""
    windows: Annotated[tuple[SyncWindow, ...], Meta(min_length=1)]
    """The windows; they may overlap."""


_TARGET_DEFAULT: Final = {"creationPolicy": "Owner", "deletionPolicy": "Retain"}


class ExternalSecretSpec(Model, frozen=True, kw_only=True):
    """What to read, and which Secret to make of it."""

    schema_rules = SchemaRules(
        cel=(
            CelRule(
                "(has(self.data) && size(self.data) > 0) || (has(self.dataFrom) && size(self.dataFrom) > 0)",
                "either data or dataFrom should be specified",
            ),
        )
    )

    secret_store_ref: SecretStoreRef = SecretStoreRef()
    """The store to read from. May be left out where every entry names its own source."""
    target: Annotated[Target, schema(default=_TARGET_DEFAULT)] = Target()
    """The Secret to write."""
    refresh_policy: RefreshPolicy = "Periodic"
    """Periodic reads again every refreshInterval, and at once when the spec changes. OnChange reads only when
    the spec, a label or an annotation changes. CreatedOnce reads once. Periodic if unset."""
    refresh_interval: Annotated[GoDuration, schema(default="1h0m0s")] = "1h0m0s"
    """Pause between two reads with refreshPolicy Periodic, such as 15m, 1h or 1h30m. Units are ns, us, ms, s,
    m and h. 0 reads once."""
    sync_windows: SyncWindows | None = None
    """Limits periodic refreshes to certain hours."""
    data: tuple[Data, ...] = ()
    """Keys of the target, one by one. They win over dataFrom."""
    data_from: Annotated[tuple[DataFrom, ...], schema(maxItems=MAX_ENTRIES)] = ()
    """Many keys of the target at once; later entries win."""

    def __post_init__(self) -> None:
        """Check the interval: objects older than the schema's pattern fail alone, with a clear text."""
        check_duration("refreshInterval", self.refresh_interval)


class ExternalSecretStatus(Model, frozen=True, kw_only=True):
    """What came of it."""

    refresh_time: Annotated[str | None, schema(format="date-time", nullable=True)] = None
    """When the values were last read and the target was brought in line."""
    synced_resource_version: str = ""
    """What was synced: the generation, and a hash of the labels and annotations."""
    conditions: tuple[ExternalSecretCondition, ...] = ()
    """Whether the target holds what the store holds, and if not, why."""
    binding: LocalObjectReference = LocalObjectReference()
    """The Secret, for tools that speak servicebinding.io."""
