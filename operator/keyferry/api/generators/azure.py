"""ACRAccessToken: a login for Azure Container Registry."""

from __future__ import annotations

from typing import Annotated

from keyferry.api.meta import SecretKeySelector, ServiceAccountSelector
from keyferry.api.model import Model, schema
from keyferry.api.providers.azurekv import AzureEnvironmentType


class AzureACRServicePrincipalSecretRef(Model, frozen=True, kw_only=True):
    """Credentials of a service principal, kept in Secrets."""

    client_id: SecretKeySelector | None = None
    """Client id of the service principal."""
    client_secret: SecretKeySelector | None = None
    """Its client secret."""


class AzureACRServicePrincipalAuth(Model, frozen=True, kw_only=True):
    """A service principal."""

    secret_ref: AzureACRServicePrincipalSecretRef
    """Its credentials, kept in Secrets."""


class AzureACRManagedIdentityAuth(Model, frozen=True, kw_only=True):
    """A managed identity of the operator's pod."""

    identity_id: str = ""
    """Id of the identity, where the pod has several."""


class AzureACRWorkloadIdentityAuth(Model, frozen=True, kw_only=True):
    """A ServiceAccount that stands for an identity of Azure."""

    service_account_ref: ServiceAccountSelector | None = None
    """The ServiceAccount; the operator's own if unset."""


class ACRAuth(Model, frozen=True, kw_only=True):
    """How to authenticate at Azure. One method is set."""

    service_principal: AzureACRServicePrincipalAuth | None = None
    """A service principal."""
    managed_identity: AzureACRManagedIdentityAuth | None = None
    """A managed identity of the operator's pod."""
    workload_identity: AzureACRWorkloadIdentityAuth | None = None
    """A ServiceAccount that stands for an identity of Azure."""


class ACRAccessTokenSpec(Model, frozen=True, kw_only=True):
    """A login for Azure Container Registry, under the keys username and password.

    The password is a refresh token with all that the identity may do, or with scope an access token.
    """

    auth: ACRAuth
    """How to authenticate at Azure. One method is set."""
    tenant_id: str = ""
    """Tenant to ask; needed with servicePrincipal."""
    registry: str
    """Host of the registry, such as example.azurecr.io."""
    scope: str = ""
    """What an access token may do, such as repository:my-repository:pull,push."""
    environment_type: Annotated[AzureEnvironmentType, schema(default="PublicCloud")] = "PublicCloud"
    """The cloud of Azure."""
