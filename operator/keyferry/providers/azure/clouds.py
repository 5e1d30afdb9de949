"""The clouds of Azure: where tokens are issued, what the names of vaults and registries end with.

Stores name vaults, generators name registries: a token goes nowhere but to a name that belongs to the cloud for
whose services it was issued. A cloud of one's own (`customCloudConfig`) says itself what belongs to it.

Sources: Azure documentation, "Authentication, requests and responses" of Key Vault (vault and Managed HSM DNS
suffixes), "Compare Azure Government and global Azure", "Azure operated by 21Vianet: developer guide"; for the
German cloud, which has ended, the constants of go-autorest, which the reference operator uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from keyferry.api.providers.azurekv import AzureCustomCloudConfig, AzureEnvironmentType
from keyferry.errors import ForbiddenError, SpecError

_NAME: Final = re.compile(r"[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?")
_SCOPE: Final = "/.default"
"""Follows a resource in what the SDK asks Entra ID for: all that the identity was granted there."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where the services of a cloud are.

    Args:
        name: as a manifest has it.
        authority: where tokens are issued, without a slash at its end.
        vaults: what the names of vaults end with, without a dot; the token's resource is made of it. Empty for
            a cloud that does not say: then it is what the vault's own name ends with.
        resource: whom a token for vaults is for, where a cloud of one's own says so.
        management: whom a token for the resource manager is for; empty where there is none.
        registries: what the names of registries end with.
        custom: whether the manifest says where tokens are issued.
    """

    name: str
    authority: str
    vaults: tuple[str, ...]
    resource: str = ""
    management: str = ""
    registries: tuple[str, ...] = ()
    custom: bool = False

    def check_vault(self, host: str, where: str) -> None:
        """Check that a vault's name belongs to the cloud.

        Args:
            where: the field, for the error.

        Raises:
            ForbiddenError: it does not: a token for all vaults of the cloud would go there.
        """
        if self.vaults and not any(_is_below(host, suffix) for suffix in self.vaults):
            raise ForbiddenError(
                f'{where}: "{host[:200]}" is no vault of {self.name}, whose names end with .{self.vaults[0]}',
                hint="Correct it or environmentType, or describe a cloud of your own with customCloudConfig",
            )

    def check_registry(self, host: str, where: str) -> None:
        """Check that a registry's name belongs to the cloud. Raises as `check_vault`."""
        if not any(_is_below(host, suffix) for suffix in self.registries):
            ends = f", whose names end with .{self.registries[0]}" if self.registries else ""
            raise ForbiddenError(
                f'{where}: "{host[:200]}" is no registry of {self.name}{ends}',
                hint="Correct it or environmentType: a token for Azure goes to registries of Azure alone",
            )

    def vault_scope(self, host: str) -> str:
        """What to ask Entra ID for to be let into a vault; empty where only the vault itself can tell."""
        if self.resource:
            return self.resource + _SCOPE
        suffix = next((suffix for suffix in self.vaults if _is_below(host, suffix)), "")
        return f"https://{suffix}{_SCOPE}" if suffix else ""

    def is_for_vault(self, scope: str, host: str) -> bool:
        """Whether a scope that a vault asks for is one for it: its own, or that of a domain it lies in.

        A vault that asked for another would get a token that opens more than itself.
        """
        wanted = self.vault_scope(host)
        if scope == wanted:
            return True
        asked = urlsplit(scope)
        if asked.scheme != "https" or not asked.hostname or (self.vaults and not self.custom):
            return False
        inside = host.lower().rstrip(".").endswith(f".{asked.hostname}")
        return inside or asked.hostname == urlsplit(self.resource).hostname

    @property
    def management_scope(self) -> str:
        """What to ask Entra ID for to act as somebody at the resource manager."""
        return self.management + _SCOPE


def _is_below(host: str, suffix: str) -> bool:
    """Whether a host is named by one word in a domain, as all vaults and registries are."""
    name, dot, domain = host.lower().rstrip(".").partition(".")
    return bool(dot) and domain == suffix and _NAME.fullmatch(name) is not None


CLOUDS: Final[Mapping[AzureEnvironmentType, Cloud]] = {
    "PublicCloud": Cloud(
        "PublicCloud",
        "https://login.microsoftonline.com",
        ("vault.azure.net", "managedhsm.azure.net"),
        management="https://management.azure.com",
        registries=("azurecr.io",),
    ),
    "USGovernmentCloud": Cloud(
        "USGovernmentCloud",
        "https://login.microsoftonline.us",
        ("vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net"),
        management="https://management.usgovcloudapi.net",
        registries=("azurecr.us",),
    ),
    "ChinaCloud": Cloud(
        "ChinaCloud",
        "https://login.chinacloudapi.cn",
        ("vault.azure.cn", "managedhsm.azure.cn"),
        management="https://management.chinacloudapi.cn",
        registries=("azurecr.cn",),
    ),
    "GermanCloud": Cloud(
        "GermanCloud",
        "https://login.microsoftonline.de",
        ("vault.microsoftazure.de",),
        management="https://management.microsoftazure.de",
        registries=("azurecr.de",),
    ),
}
_STACK: Final = "AzureStackCloud"


def cloud_of(environment: AzureEnvironmentType, custom: AzureCustomCloudConfig | None, path: str) -> Cloud:
    """The cloud that a manifest means.

    Args:
        custom: what the manifest says about it, if anything.
        path: of the block that holds both, for errors.

    Raises:
        SpecError: it is described by halves.
    """
    known = CLOUDS.get(environment)
    if custom is None:
        if known is None:
            raise SpecError(
                f"{path}.customCloudConfig must be set where environmentType is {_STACK}",
                hint="Set activeDirectoryEndpoint there",
            )
        return known
    resource = (custom.key_vault_endpoint or "").rstrip("/")
    suffix = (custom.key_vault_dns_suffix or "").strip(".").lower()
    if suffix:
        vaults: tuple[str, ...] = (suffix,)
    else:
        vaults = known.vaults if known is not None and not resource else ()
    return Cloud(
        environment,
        custom.active_directory_endpoint.rstrip("/"),
        vaults,
        resource=resource,
        management=(custom.resource_manager_endpoint or "").rstrip("/")
        or (known.management if known else ""),
        custom=True,
    )
