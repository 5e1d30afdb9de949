"""From what proves an identity to a token: the proof is had anew for each exchange, and not kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from keyferry.errors import AuthFailed
from keyferry.ports import ClusterAccess
from keyferry.providers.azure.identity import (
    TOKEN_FILE_VARIABLE,
    AzureIdentity,
    ClientCertificate,
    ClientSecret,
    FederatedAccount,
    OwnAccount,
)
from keyferry.providers.azure.sdk import AzureSdk
from keyferry.providers.azure.tokens import Token
from keyferry.providers.outgoing import Address
from keyferry.secretdata import SecretBytes

TOKEN_LIFETIME_S: Final = 600
"""The ServiceAccount token is used once, at once."""


class IdentityExchange:
    """See `tokens.Exchange`.

    Args:
        identity: who asks.
        authority: who gives the token.
        sdk: the SDK.
        cluster: for ServiceAccount tokens.
    """

    def __init__(
        self, identity: AzureIdentity, authority: Address, sdk: AzureSdk, cluster: ClusterAccess
    ) -> None:
        self._identity = identity
        self._authority = authority
        self._sdk = sdk
        self._cluster = cluster

    async def __call__(self, scope: str, claims: str) -> Token:
        """See `tokens.Exchange`."""
        proof = await self._proof()
        return await self._sdk.token(self._identity.source, proof, self._authority, scope, claims)

    async def _proof(self) -> SecretBytes:
        match self._identity.source:
            case ClientSecret(secret=secret):
                return secret
            case ClientCertificate(pem=pem):
                return pem
            case FederatedAccount() as account:
                bound = await self._cluster.request_token(
                    account.namespace, account.name, account.audiences, TOKEN_LIFETIME_S
                )
                return bound.token
            case OwnAccount(token_file=path):
                return await asyncio.to_thread(_read, path)
        return SecretBytes(b"")


def _read(path: str) -> SecretBytes:
    """The token that the kubelet keeps fresh in a file.

    Raises:
        AuthFailed: it cannot be read.
    """
    try:
        found = Path(path).read_bytes().strip()
    except OSError:
        found = b""
    if not found:
        raise AuthFailed(
            f"there is no token in the file that {TOKEN_FILE_VARIABLE} names",
            hint="Check the projected volume that the workload identity webhook adds to the operator's pod",
        )
    return SecretBytes(found)
