"""SecretStore and ClusterSecretStore: where remote secrets are kept, and how to get in.

Both kinds share one spec. A provider whose block is typed here may be implemented or not (the registry of
the providers knows); all others are kept as they are, so that nobody's store is pruned.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import field

from keyferry.api.conditions import Condition
from keyferry.api.meta import LabelSelector, Namespace, check_duration
from keyferry.api.model import Model, SchemaRules, schema
from keyferry.api.providers.aws import AWSProvider
from keyferry.api.providers.azurekv import AzureKVProvider
from keyferry.api.providers.fake import FakeProvider
from keyferry.api.providers.gcpsm import GCPSMProvider
from keyferry.api.providers.gitlab import GitlabProvider
from keyferry.api.providers.kubernetes import KubernetesProvider
from keyferry.api.providers.vault import VaultProvider
from keyferry.api.providers.webhook import WebhookProvider
from keyferry.duration import PATTERN as DURATION_PATTERN

OPTIONAL_DURATION_PATTERN: Final = f"^$|{DURATION_PATTERN}"

Untyped = dict[str, Any]
"""A provider block that this version keeps and does not read."""


class SecretStoreProvider(Model, frozen=True, kw_only=True):
    """The kind of store. Exactly one of the fields is set."""

    schema_rules = SchemaRules(min_properties=1, max_properties=1)

    aws: AWSProvider | None = None
    """AWS Secrets Manager or Systems Manager Parameter Store."""
    azurekv: AzureKVProvider | None = None
    """Azure Key Vault."""
    fake: FakeProvider | None = None
    """Fixed values, for tests."""
    gcpsm: GCPSMProvider | None = None
    """Google Cloud Secret Manager."""
    gitlab: GitlabProvider | None = None
    """GitLab CI/CD variables."""
    kubernetes: KubernetesProvider | None = None
    """Secrets of a Kubernetes cluster."""
    open_bao: VaultProvider | None = None
    """OpenBao, KV engine."""
    vault: VaultProvider | None = None
    """HashiCorp Vault, KV engine."""
    webhook: WebhookProvider | None = None
    """Any HTTP API that answers with JSON."""

    akeyless: Untyped | None = None
    """Akeyless Vault."""
    barbican: Untyped | None = None
    """OpenStack Barbican."""
    beyondtrust: Untyped | None = None
    """BeyondTrust Password Safe."""
    beyondtrustworkloadcredentials: Untyped | None = None
    """BeyondTrust Workload Credentials."""
    bitwardensecretsmanager: Untyped | None = None
    """Bitwarden Secrets Manager."""
    chef: Untyped | None = None
    """Chef server."""
    cloudrusm: Untyped | None = None
    """Cloud.ru Secret Manager."""
    conjur: Untyped | None = None
    """CyberArk Conjur."""
    crd: Untyped | None = None
    """Any resource of a Kubernetes cluster."""
    delinea: Untyped | None = None
    """Delinea DevOps Secrets Vault."""
    doppler: Untyped | None = None
    """Doppler."""
    dvls: Untyped | None = None
    """Devolutions Server."""
    fortanix: Untyped | None = None
    """Fortanix Data Security Manager."""
    github: Untyped | None = None
    """GitHub Actions secrets; write-only."""
    ibm: Untyped | None = None
    """IBM Cloud Secrets Manager."""
    infisical: Untyped | None = None
    """Infisical."""
    keepersecurity: Untyped | None = None
    """Keeper Secrets Manager."""
    nebiusmysterybox: Untyped | None = None
    """Nebius MysteryBox."""
    ngrok: Untyped | None = None
    """ngrok vaults; write-only."""
    onboardbase: Untyped | None = None
    """Onboardbase."""
    onepassword: Untyped | None = None
    """1Password Connect server."""
    onepassword_sdk: Untyped | None = field(name="onepasswordSDK", default=None)
    """1Password service accounts."""
    oracle: Untyped | None = None
    """Oracle Cloud Infrastructure Vault."""
    ovh: Untyped | None = None
    """OVHcloud."""
    passbolt: Untyped | None = None
    """Passbolt."""
    passworddepot: Untyped | None = None
    """Password Depot."""
    previder: Untyped | None = None
    """Previder Vault."""
    pulumi: Untyped | None = None
    """Pulumi ESC."""
    scaleway: Untyped | None = None
    """Scaleway Secret Manager."""
    secretserver: Untyped | None = None
    """Delinea Secret Server."""
    senhasegura: Untyped | None = None
    """senhasegura DevOps Secrets Management."""
    volcengine: Untyped | None = None
    """Volcengine."""
    yandexcertificatemanager: Untyped | None = None
    """Yandex Certificate Manager."""
    yandexlockbox: Untyped | None = None
    """Yandex Lockbox."""

    def __post_init__(self) -> None:
        """Check that exactly one provider is set."""
        found = [name for name, _ in self._set()]
        if len(found) != 1:
            told = ", ".join(found) or "none"
            raise ValueError(f"exactly one provider must be set, found {told}")

    def chosen(self) -> tuple[str, Model | Untyped]:
        """The one provider that is set: its key on the wire, and its block (a dict where it is untyped)."""
        return self._set()[0]

    def _set(self) -> list[tuple[str, Model | Untyped]]:
        fields = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        return [(key, block) for key, name in fields if (block := getattr(self, name)) is not None]


class RetrySettings(Model, frozen=True, kw_only=True):
    """How failed calls to the store are repeated within one sync."""

    max_retries: Annotated[int | None, schema(format="int32")] = None
    """How often a call is repeated."""
    retry_interval: str | None = None
    """Pause between two calls, such as 10s."""


class ClusterSecretStoreCondition(Model, frozen=True, kw_only=True):
    """Namespaces that may use a ClusterSecretStore. One field that fits is enough."""

    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels."""
    namespaces: tuple[Namespace, ...] = ()
    """Namespaces by name."""
    namespace_regexes: tuple[str, ...] = ()
    """Namespaces by regular expression (RE2)."""


class SecretStoreSpec(Model, frozen=True, kw_only=True):
    """Where remote secrets are kept, and how to get in."""

    controller: str = ""
    """Class of the controller that serves this store; another one leaves it alone. Every controller does if
    unset."""
    provider: SecretStoreProvider
    """The kind of store, with its address and credentials."""
    retry_settings: RetrySettings | None = None
    """How failed calls to the store are repeated."""
    refresh_interval: Annotated[int | str, schema(pattern=OPTIONAL_DURATION_PATTERN)] = 0
    """Pause between two checks of the store: seconds, or a duration such as 5m. The controller's own setting
    if unset or 0."""
    conditions: tuple[ClusterSecretStoreCondition, ...] = ()
    """Who may use a ClusterSecretStore: a namespace that fits any entry. Everybody if unset."""

    def __post_init__(self) -> None:
        """Check the interval."""
        if isinstance(self.refresh_interval, str):
            check_duration("refreshInterval", self.refresh_interval)


class SecretStoreStatus(Model, frozen=True, kw_only=True):
    """Whether the store can be used."""

    capabilities: str = ""
    """What the store can do: ReadOnly, WriteOnly or ReadWrite."""
    conditions: tuple[Condition, ...] = ()
    """Whether the store can be used, and if not, why."""
