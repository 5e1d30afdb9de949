"""A strict Azure for tests and the demo: Entra ID, Key Vault, container registries, managed identities.

`StrictAzure` runs it as a process that ends with its owner; `.control` orders faults and reads the call log,
`.administrator()` sets up directories, identities, vaults and what is in them. Wire-true: Microsoft's SDK finds no
difference, and nothing of the SDK is used here.

Reached in two ways. By the clouds' own host names (`NAME.vault.azure.net`, `login.microsoftonline.com`, …) through
its proxy, which leads nowhere else: `.environment` has the variables; the SDK's check that a challenge asks for a
token of the vault's own domain stays on. Or on loopback ports as a cloud that `customCloudConfig` describes
(`administrator("LocalCloud")`, `.custom_cloud`): each vault has a port of its own, and since an address belongs to
no domain, that check of the SDK cannot hold there.

Checked: client secrets, assertions by registered certificates, ServiceAccount tokens by their issuer's keys
(federated credentials: issuer, subject and audience to the letter), access tokens (signature, audience, issuer,
expiry, revocation), roles and access policies, firewall.

Not as Azure: what is granted holds at once; registries have no images; keys and certificates have no private
operations; a vault that does not exist is a host that the proxy does not know.
"""

from keyferry.testing.azure.administrator import SECRETS_USER, Administrator, Principal
from keyferry.testing.azure.calls import CallFilter, CallRecord
from keyferry.testing.azure.client import AzureControl
from keyferry.testing.azure.faults import Fault
from keyferry.testing.azure.process import StrictAzure

__all__ = [
    "SECRETS_USER",
    "Administrator",
    "AzureControl",
    "CallFilter",
    "CallRecord",
    "Fault",
    "Principal",
    "StrictAzure",
]
