"""The `azurekv` provider: Azure Key Vault, with the workload's own identity, and what else Azure gives.

`clouds.py` knows which cloud has which addresses, `identity.py` finds out who asks, `tokens.py` gets and renews
what proves it, `key_vault.py` reads, `errors.py` translates what Azure says; only `sdk.py`, with `transport.py`,
touches the SDK.
"""

from keyferry.providers.azure.provider import AzureKVProvider

__all__ = ["AzureKVProvider"]
