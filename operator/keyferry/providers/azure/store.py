"""The `azurekv` block of a store: whether it can be served, which vault it means, and who asks it."""

from __future__ import annotations

from typing import Final

from keyferry.api.providers.azurekv import AzureKVAuth
from keyferry.api.providers.azurekv import AzureKVProvider as AzureKVBlock
from keyferry.core.stores import check_references
from keyferry.errors import ForbiddenError, SpecError
from keyferry.ports import AmbientIdentity, ClusterAccess, StoreView
from keyferry.providers.azure.clouds import Cloud, cloud_of
from keyferry.providers.azure.identity import (
    AzureIdentity,
    Finder,
    ManagedIdentity,
    OwnAccount,
    Source,
    check_id,
    check_identity_id,
    check_selector,
    in_own_pod,
    own_account,
)
from keyferry.providers.outgoing import Address, Outgoing

PATH: Final = "spec.provider.azurekv"
_CUSTOM: Final = f"{PATH}.customCloudConfig"


def block_of(store: StoreView) -> AzureKVBlock:
    """The store's azurekv block.

    Raises:
        SpecError: it has none.
    """
    if not isinstance(store.block, AzureKVBlock):
        raise SpecError(f"{store.key} is no azurekv store")
    return store.block


def vault_address(block: AzureKVBlock, outgoing: Outgoing) -> Address:
    """Where the vault is.

    Raises:
        SpecError: vaultUrl is no address of a vault.
        ForbiddenError: it is none that may be connected to, or none of the store's cloud.
    """
    address = _https(block.vault_url, f"{PATH}.vaultUrl", outgoing)
    if address.base.count("/") > 2:
        raise SpecError(
            f"{PATH}.vaultUrl must be the address of the vault alone", hint="Remove what follows the host"
        )
    cloud_of_block(block).check_vault(address.host, address.field)
    return address


def authority_address(cloud: Cloud, outgoing: Outgoing, path: str = PATH) -> Address:
    """Where the cloud issues tokens. Raises as `vault_address`."""
    field = "customCloudConfig.activeDirectoryEndpoint" if cloud.custom else "environmentType"
    return _https(cloud.authority, f"{path}.{field}", outgoing)


def cloud_of_block(block: AzureKVBlock) -> Cloud:
    """The store's cloud. Raises as `clouds.cloud_of`."""
    return cloud_of(block.environment_type, block.custom_cloud_config, PATH)


def _https(url: str, field: str, outgoing: Outgoing) -> Address:
    address = outgoing.check(url, "", field)
    if not address.base.lower().startswith("https://"):
        raise SpecError(
            f"{field} must begin with https://", hint="Azure gives and takes tokens over TLS alone"
        )
    return address


def check(store: StoreView, ambient: AmbientIdentity, outgoing: Outgoing) -> None:
    """Check the block without asking anybody.

    Raises:
        SpecError, ForbiddenError: see `ports.Provider.check`.
    """
    block = block_of(store)
    check_references(block, store.key.namespace, PATH)
    vault_address(block, outgoing)
    cloud = cloud_of_block(block)
    authority_address(cloud, outgoing)
    if cloud.resource:
        _https(cloud.resource, f"{_CUSTOM}.keyVaultEndpoint", outgoing)
    if block.tenant_id is not None:
        check_id(block.tenant_id, f"{PATH}.tenantId")
    check_identity_id(block.identity_id or "", f"{PATH}.identityId")
    if block.auth_type == "ServicePrincipal":
        _check_principal(block)
    elif block.auth_type == "WorkloadIdentity" and block.auth_secret_ref is not None:
        check_selector(block.auth_secret_ref.client_id, f"{PATH}.authSecretRef.clientId")
        if block.auth_secret_ref.tenant_id is not None:
            check_selector(block.auth_secret_ref.tenant_id, f"{PATH}.authSecretRef.tenantId")
    if _is_ambient(block):
        _check_ambient(store, cloud, ambient)


def _check_principal(block: AzureKVBlock) -> None:
    if not block.tenant_id:
        raise SpecError(
            f"{PATH}.tenantId must be set for authType ServicePrincipal",
            hint="Set the id of the tenant in which the application is registered",
        )
    auth = block.auth_secret_ref or AzureKVAuth()
    path = f"{PATH}.authSecretRef"
    check_selector(auth.client_id, f"{path}.clientId")
    proofs = [
        (f"{path}.clientSecret", auth.client_secret),
        (f"{path}.clientCertificate", auth.client_certificate),
    ]
    given = [(field, selector) for field, selector in proofs if selector is not None]
    if len(given) != 1:
        raise SpecError(
            f"{path} must have one of clientSecret and clientCertificate, and not both",
            hint="Name the Secret that keeps it, or use authType WorkloadIdentity, which needs none",
        )
    check_selector(given[0][1], given[0][0])


def _is_ambient(block: AzureKVBlock) -> bool:
    """Whether the operator itself is who asks."""
    if block.auth_type == "WorkloadIdentity":
        return block.service_account_ref is None
    return block.auth_type == "ManagedIdentity"


def _check_ambient(store: StoreView, cloud: Cloud, ambient: AmbientIdentity) -> None:
    own = "Set serviceAccountRef with authType WorkloadIdentity"
    if not ambient.allows(cluster_scoped=store.cluster_scoped):
        raise ForbiddenError(
            f"{PATH}.authType asks for the operator's own identity, and --ambient-identity={ambient.value} does "
            "not let the store use it",
            hint=own,
        )
    if cloud.custom and not store.cluster_scoped:
        raise ForbiddenError(
            f"{_CUSTOM}: the operator's own identity is not shown to a cloud that a namespace describes",
            hint=f"{own}, or let a platform owner make it a ClusterSecretStore",
        )


async def gather(
    store: StoreView, namespace: str, cluster: ClusterAccess, outgoing: Outgoing
) -> AzureIdentity:
    """The identity for a namespace, with its auth material read. The block is checked already.

    Raises:
        KeyferryError: material is missing or refused.
    """
    block = block_of(store)
    cloud = cloud_of_block(block)
    source = await _source(block, Finder(store.key, namespace, cluster))
    if isinstance(source, OwnAccount):
        cloud = in_own_pod(cloud)
    return AzureIdentity(source, cloud, vault_address(block, outgoing).base.lower())


async def _source(block: AzureKVBlock, finder: Finder) -> Source:
    auth = block.auth_secret_ref or AzureKVAuth()
    if block.auth_type == "ManagedIdentity":
        return ManagedIdentity(block.identity_id or "")
    if block.auth_type == "WorkloadIdentity":
        if block.service_account_ref is None:
            return own_account()
        tenant = await finder.id(auth.tenant_id) if auth.tenant_id is not None else block.tenant_id
        custom = block.custom_cloud_config
        return await finder.account_of(
            block.service_account_ref,
            client=await finder.id(auth.client_id) if auth.client_id is not None else "",
            tenant=tenant or "",
            audience=(custom.audience if custom is not None else None) or "",
        )
    if auth.client_id is not None and auth.client_secret is not None:
        return await finder.secret_of(block.tenant_id or "", auth.client_id, auth.client_secret)
    if auth.client_id is not None and auth.client_certificate is not None:
        return await finder.certificate_of(block.tenant_id or "", auth.client_id, auth.client_certificate)
    raise SpecError(f"{PATH}.authSecretRef must have clientId, and clientSecret or clientCertificate")
