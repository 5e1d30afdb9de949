"""`spec.provider.azurekv`: Azure Key Vault."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field

from keyferry.api.meta import SecretKeySelector, ServiceAccountSelector
from keyferry.api.model import Model, schema

AzureAuthType = Literal["ServicePrincipal", "ManagedIdentity", "WorkloadIdentity"]
AzureEnvironmentType = Literal[
    "PublicCloud", "USGovernmentCloud", "ChinaCloud", "GermanCloud", "AzureStackCloud"
]


class AzureKVAuth(Model, frozen=True, kw_only=True):
    """Credentials kept in Secrets."""

    client_id: SecretKeySelector | None = None
    """Client id of the service principal or managed identity."""
    tenant_id: SecretKeySelector | None = None
    """Tenant of the identity."""
    client_secret: SecretKeySelector | None = None
    """Client secret of the service principal."""
    client_certificate: SecretKeySelector | None = None
    """Certificate and key of the service principal, as PEM."""


class AzureCustomCloudConfig(Model, frozen=True, kw_only=True):
    """Endpoints of a cloud that is not one of the known ones."""

    active_directory_endpoint: str
    """Where tokens are issued."""
    key_vault_endpoint: str | None = None
    """Where vaults are reached."""
    key_vault_dns_suffix: str | None = field(name="keyVaultDNSSuffix", default=None)
    """What the host names of vaults end with."""
    resource_manager_endpoint: str | None = None
    """Where resources are managed."""
    audience: str | None = None
    """Audience of the ServiceAccount token for WorkloadIdentity."""


class AzureKVProvider(Model, frozen=True, kw_only=True):
    """A store in Azure Key Vault."""

    auth_type: Annotated[AzureAuthType, schema(default="ServicePrincipal")] = "ServicePrincipal"
    """Who asks: a service principal, the managed identity of the operator's machine, or a ServiceAccount
    that Entra ID trusts (WorkloadIdentity)."""
    vault_url: str
    """Address of the vault, such as https://name.vault.azure.net."""
    tenant_id: str | None = None
    """Tenant to ask for tokens. Needed for ServicePrincipal."""
    environment_type: Annotated[AzureEnvironmentType, schema(default="PublicCloud")] = "PublicCloud"
    """The Azure cloud."""
    auth_secret_ref: AzureKVAuth | None = None
    """Credentials kept in Secrets. Needed for ServicePrincipal."""
    service_account_ref: ServiceAccountSelector | None = None
    """ServiceAccount for WorkloadIdentity."""
    identity_id: str | None = None
    """Which of several managed identities to use."""
    use_azure_sdk: Annotated[bool, schema(default=False)] = field(name="useAzureSDK", default=False)
    """Accepted for compatibility."""
    custom_cloud_config: AzureCustomCloudConfig | None = None
    """Endpoints of a cloud that is not one of the known ones; needed for AzureStackCloud."""
