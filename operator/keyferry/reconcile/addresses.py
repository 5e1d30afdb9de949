"""The addresses that a store names, resolved and checked, before anything is sent there."""

from __future__ import annotations

import asyncio
import socket

from keyferry.core.addresses import AddressPolicy, addresses_of
from keyferry.ports import StoreView


async def check_addresses(policy: AddressPolicy, store: StoreView) -> None:
    """Check every address in a store's block, as written and as resolved.

    Raises:
        ForbiddenError: one of them is not for stores.
        SpecError: one is no address.
    """
    for field, host in addresses_of(store.provider, store.block):
        policy.check_host(host, field)
        policy.check_resolved(await _resolve(host), host, field)


async def _resolve(host: str) -> list[str]:
    """What the name stands for now; nothing where it does not resolve, which the connection will tell."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter for what cannot be a name at all
        return []
    return sorted({str(entry[4][0]) for entry in found})
