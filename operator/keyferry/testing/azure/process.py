"""The Azure double's process, from its owner's side: addresses, environment, administrators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from keyferry.testing.azure.administrator import Administrator
from keyferry.testing.azure.client import AzureControl
from keyferry.testing.owned.process import OwnedProcess


class Ready(msgspec.Struct):
    """What the process says when it serves.

    Args:
        port: of all services with host names, and of Entra ID of the local cloud.
        machine: address of the metadata service.
        proxy: address of the proxy that leads to it.
        identity_header: what App Service's clients must send.
        ca_pem, ca_file: the CA of its certificates, and a file with it.
        control, token: the control API's address, and what it asks for.
    """

    port: int
    machine: str
    proxy: str
    identity_header: str
    ca_pem: str
    ca_file: str
    control: str
    token: str


class StrictAzure(OwnedProcess[Ready]):
    """An Azure on this machine: Entra ID, Key Vault, container registries, managed identities.

    Every proof of identity, token and permission is checked. The process ends with its owner, however that ends.

    Args:
        port: the TLS port; 0 for a free one.
        log: where the process's standard error goes; the owner's own if left out.
    """

    double = "Azure"
    module = "keyferry.testing.azure"
    says = Ready

    @property
    def ca_pem(self) -> str:
        """The CA of its certificates."""
        return self.ready.ca_pem

    @property
    def ca_file(self) -> Path:
        """A file with the CA, while it runs."""
        return Path(self.ready.ca_file)

    @property
    def proxy(self) -> str:
        """The proxy that leads to it under the clouds' own host names, and nowhere else."""
        return self.ready.proxy

    @property
    def login_url(self) -> str:
        """Address of Entra ID of the local cloud."""
        return f"https://127.0.0.1:{self.ready.port}"

    @property
    def custom_cloud(self) -> dict[str, Any]:
        """`customCloudConfig` of a store in the local cloud, whose services are on loopback ports."""
        return {
            "activeDirectoryEndpoint": f"{self.login_url}/",
            "keyVaultEndpoint": "https://vault.local.example",
            "keyVaultDNSSuffix": "vault.local.example",
            "resourceManagerEndpoint": "https://management.local.example",
        }

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead a client to it: proxy, CA and metadata service, without any credentials."""
        return {
            "HTTPS_PROXY": self.proxy,
            "NO_PROXY": "127.0.0.1,localhost,::1",
            "SSL_CERT_FILE": str(self.ca_file),
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": self.ready.machine,
        }

    @property
    def site_environment(self) -> dict[str, str]:
        """Environment variables of a workload of App Service, besides `environment`."""
        return {
            "IDENTITY_ENDPOINT": f"{self.ready.machine}/msi/token",
            "IDENTITY_HEADER": self.ready.identity_header,
        }

    @property
    def control(self) -> AzureControl:
        """Faults, outages, expiry, the call log."""
        return AzureControl(self.ready.control, self.ready.token)

    def administrator(self, cloud: str = "PublicCloud") -> Administrator:
        """One who may do everything in a new directory, and in the vaults that are made there.

        Args:
            cloud: PublicCloud, USGovernmentCloud, ChinaCloud, GermanCloud, AzureStackCloud, or LocalCloud, whose
                vaults are on loopback ports.
        """
        return Administrator(self.control, cloud)
