"""A target and what there is of it, as records: whose it is, what the spec says, what exists, what to do.

`core.desired` plans with them; all that touches targets speaks in them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keyferry.api import names
from keyferry.api.external_secret import Template
from keyferry.core.hashing import data_hash
from keyferry.core.manifest import Manifest, content_hash
from keyferry.core.template_spec import FixedMetadata, fills_data, fixed_metadata
from keyferry.secretdata import SecretData


class Action(enum.Enum):
    """What to do with the target Secret."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    WAIT = "wait"
    """creationPolicy Merge and no Secret yet: its creation by somebody wakes us."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The ExternalSecret behind a target Secret.

    Args:
        labels, annotations: what the Secret gets: copies of its own, or where the spec has a template, what
            that makes.
    """

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What the spec says of its target, defaults applied."""

    name: str
    creation_policy: str = "Owner"
    deletion_policy: str = "Retain"
    immutable: bool = False
    manifest: Manifest | None = None
    """Its kind, where it is no Secret."""
    template: Template | None = None
    left: str = "{{"
    """The delimiter that begins an action in a template."""

    @property
    def kind(self) -> str:
        """Its kind, as texts name it."""
        return "Secret" if self.manifest is None else self.manifest.kind

    @property
    def type(self) -> str:
        """The Secret's type, where the spec names one."""
        return self.template.type if self.template is not None else ""

    @property
    def finalizers(self) -> tuple[str, ...]:
        """Finalizers that the spec names."""
        return self.template.metadata.finalizers if self.template is not None else ()

    @property
    def by_fields(self) -> bool:
        """Whether its values are at places of their own in it, and not in its data."""
        return self.template is not None and not fills_data(self.template, self.manifest)

    @property
    def fixed(self) -> FixedMetadata | None:
        """What its template says of its metadata without values; None where there is no template."""
        return fixed_metadata(self.template, self.left) if self.template is not None else None


@dataclass(frozen=True, slots=True)
class ExistingSecret:
    """A Secret as the API server has it, or the values of another object as if they were a Secret's.

    Args:
        metadata: its whole metadata as JSON, so that an update loses nothing of it.
        manifest: its kind, where it is no Secret.
        document: the whole of an object that is no Secret.
    """

    uid: str
    resource_version: str
    metadata: Mapping[str, Any]
    type: str
    immutable: bool
    data: SecretData
    manifest: Manifest | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def content_hash(self) -> str:
        """The `data-hash` annotation's value for what it holds now."""
        if self.manifest is None:
            return data_hash(self.data)
        return content_hash(self.manifest, self.document)

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels, never None."""
        return self.metadata.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations, never None."""
        return self.metadata.get("annotations") or {}

    @property
    def owner_references(self) -> list[Mapping[str, Any]]:
        """Its owner references, never None."""
        return list(self.metadata.get("ownerReferences") or [])


@dataclass(frozen=True, slots=True)
class SecretPlan:
    """One write, or none, with its reason.

    Args:
        data_changed: whether any value or key changes, as opposed to metadata alone.
        existing: what an update or delete starts from; its resourceVersion guards the write.
        document: of an object that is no Secret, the whole but for its metadata.
        by_fields: as `Target.by_fields`.
        finalizers: None leaves them as they are.
    """

    action: Action
    reason: str
    namespace: str
    name: str
    manager: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner_references: list[Mapping[str, Any]] = field(default_factory=list)
    type: str = ""
    immutable: bool = False
    data: SecretData = field(default_factory=SecretData)
    data_changed: bool = False
    existing: ExistingSecret | None = None
    manifest: Manifest | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    by_fields: bool = False
    finalizers: tuple[str, ...] | None = None


def is_intact(existing: ExistingSecret) -> bool:
    """Whether the Secret still is what was written: our label, and the hash of its data as noted on it."""
    noted = existing.annotations.get(names.ANNOTATION_DATA_HASH)
    managed = existing.labels.get(names.LABEL_MANAGED) == names.LABEL_MANAGED_VALUE
    return managed and noted == existing.content_hash
