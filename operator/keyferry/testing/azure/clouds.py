"""The clouds: which host names their services have, and what tokens for them are issued to.

`LOCAL` is one that a store describes by `customCloudConfig`: its services are reached on loopback ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud.

    Args:
        name: as `environmentType` has it.
        login_hosts: hosts of Entra ID, the usual one first.
        issuer: what begins the `iss` of its access tokens.
        vault_suffix, registry_suffix: what names of vaults and registries end with.
        management: the resource of the resource manager, in all its spellings.
    """

    name: str
    login_hosts: tuple[str, ...]
    issuer: str
    vault_suffix: str
    registry_suffix: str
    management: tuple[str, ...]

    @property
    def vault_resource(self) -> str:
        """The resource that tokens for vaults are for."""
        return f"https://{self.vault_suffix}"

    @property
    def resources(self) -> tuple[str, ...]:
        """All that tokens can be asked for."""
        return (self.vault_resource, *self.management, REGISTRY_RESOURCE)


REGISTRY_RESOURCE: Final = "https://containerregistry.azure.net"
PUBLIC: Final = Cloud(
    "PublicCloud",
    ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"),
    "https://sts.windows.net",
    "vault.azure.net",
    "azurecr.io",
    ("https://management.azure.com", "https://management.core.windows.net"),
)
US_GOVERNMENT: Final = Cloud(
    "USGovernmentCloud",
    ("login.microsoftonline.us",),
    "https://sts.windows.net",
    "vault.usgovcloudapi.net",
    "azurecr.us",
    ("https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net"),
)
CHINA: Final = Cloud(
    "ChinaCloud",
    ("login.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
    "https://sts.chinacloudapi.cn",
    "vault.azure.cn",
    "azurecr.cn",
    ("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"),
)
GERMAN: Final = Cloud(
    "GermanCloud",
    ("login.microsoftonline.de",),
    "https://sts.microsoftonline.de",
    "vault.microsoftazure.de",
    "azurecr.de",
    ("https://management.microsoftazure.de", "https://management.core.cloudapi.de"),
)
STACK: Final = Cloud(
    "AzureStackCloud",
    ("login.azurestack.example",),
    "https://sts.azurestack.example",
    "vault.azurestack.example",
    "azurecr.azurestack.example",
    ("https://management.azurestack.example",),
)
LOCAL: Final = Cloud(
    "LocalCloud",
    ("127.0.0.1",),
    "https://sts.local.example",
    "vault.local.example",
    "azurecr.local.example",
    ("https://management.local.example",),
)
CLOUDS: Final = {cloud.name: cloud for cloud in (PUBLIC, US_GOVERNMENT, CHINA, GERMAN, STACK, LOCAL)}
LOOPBACK: Final = ("127.0.0.1", "localhost")


def certificate_names() -> list[str]:
    """The names that the double's certificate is for, besides those of this machine."""
    names = []
    for cloud in CLOUDS.values():
        names += [host for host in cloud.login_hosts if host not in LOOPBACK]
        names += [f"*.{cloud.vault_suffix}", f"*.{cloud.registry_suffix}"]
    return names
