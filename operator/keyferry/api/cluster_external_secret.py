"""ClusterExternalSecret: one ExternalSecret for many namespaces.

What it embeds is an ExternalSecret's own spec, with the same rules and defaults.
"""

from __future__ import annotations

from msgspec import field

from keyferry.api.conditions import Condition
from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.api.meta import GoDuration, LabelSelector, Namespace, ObjectName, check_duration
from keyferry.api.model import Model


class ExternalSecretMetadata(Model, frozen=True, kw_only=True):
    """Metadata of the ExternalSecrets."""

    annotations: dict[str, str] = field(default_factory=dict)
    """Annotations that each of them carries."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels that each of them carries."""


class ClusterExternalSecretSpec(Model, frozen=True, kw_only=True):
    """Which ExternalSecret to create, and in which namespaces."""

    external_secret_spec: ExternalSecretSpec
    """Spec of the ExternalSecrets."""
    external_secret_name: ObjectName = ""
    """Name of the ExternalSecrets; the ClusterExternalSecret's own name if unset."""
    external_secret_metadata: ExternalSecretMetadata = ExternalSecretMetadata()
    """Labels and annotations of the ExternalSecrets."""
    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels. Deprecated: use namespaceSelectors."""
    namespace_selectors: tuple[LabelSelector, ...] = ()
    """Namespaces by their labels; one selector that fits is enough."""
    namespaces: tuple[Namespace, ...] = ()
    """Namespaces by name, besides those that are selected. Deprecated: use namespaceSelectors with the label
    kubernetes.io/metadata.name."""
    refresh_time: GoDuration = ""
    """Pause between two checks of all namespaces, such as 30m; an hour if unset. Changes are seen at once
    without it."""

    def __post_init__(self) -> None:
        """Check the pause."""
        check_duration("refreshTime", self.refresh_time)


class FailedNamespace(Model, frozen=True, kw_only=True):
    """A namespace that is selected and lacks its ExternalSecret."""

    namespace: str
    """Name of the namespace."""
    reason: str = ""
    """Why there is no ExternalSecret, or an outdated one."""


class ClusterExternalSecretStatus(Model, frozen=True, kw_only=True):
    """What came of it."""

    external_secret_name: str = ""
    """Name of the ExternalSecrets."""
    failed_namespaces: tuple[FailedNamespace, ...] = ()
    """Namespaces that are selected and lack their ExternalSecret, and why."""
    provisioned_namespaces: tuple[str, ...] = ()
    """Namespaces that have their ExternalSecret."""
    conditions: tuple[Condition, ...] = ()
    """Whether all namespaces have their ExternalSecret, and if not, why."""
