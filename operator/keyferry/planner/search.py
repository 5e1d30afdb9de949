"""From what a search found to the values: asked for in slices, and no more than a Secret could ever hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from keyferry.errors import AuthFailed, ProviderError, RateLimited, RemoteSecretNotFound
from keyferry.planner.cache import Answer, Findings
from keyferry.ports import Found, Read
from keyferry.secretdata import SecretBytes

LetIn = Callable[[Found], bool]
"""Whether somebody may have one of those found."""
FoundValues = tuple[tuple[str, SecretBytes], ...]
"""Name and value of what a search found, in the store's order."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""Names and values together. A Secret holds 1 MiB; templates and merging may make less of more."""

_TURN: Final = 200
"""So many are looked at before others have their turn."""


async def chosen(found: Findings, let_in: LetIn) -> Findings:
    """Those that are let in."""
    kept = []
    for number, one in enumerate(found, 1):
        if let_in(one):
            kept.append(one)
        if number % _TURN == 0:
            await asyncio.sleep(0)
    return tuple(kept)


async def search(
    found: Findings, read: Callable[[Read], Awaitable[Answer]], most_at_once: Callable[[], int]
) -> FoundValues | ProviderError:
    """The values of what was found, or the failure of the first that cannot be had.

    Args:
        found: what the store's search gave.
        read: asks the store for one value; failures are returned.
        most_at_once: how many questions may be asked at the same time, looked at before each slice.
    """

    async def value_of(one: Found) -> Answer:
        return await read(one.answer) if isinstance(one.answer, Read) else one.answer

    values: list[tuple[str, SecretBytes]] = []
    size = sum(len(one.name) for one in found)
    begin = 0
    while begin < len(found) and size <= MOST_BYTES:
        part = found[begin : begin + max(1, most_at_once())]
        begin += len(part)
        for one, answer in zip(part, await asyncio.gather(*map(value_of, part)), strict=True):
            if isinstance(answer, RemoteSecretNotFound):
                continue  # it was there a moment ago
            if isinstance(answer, ProviderError):
                return _named(one, answer)
            values.append((one.name, answer.value))
            size += len(answer.value)
    if size > MOST_BYTES:
        return ProviderError(
            f"the search finds more than {MOST_BYTES // 1024**2} MiB",
            hint="Narrow it by path, name or tags: a Secret holds 1 MiB",
        )
    return tuple(values)


def _named(one: Found, failure: ProviderError) -> ProviderError:
    """The failure, with the name of the remote secret where that is what failed."""
    if isinstance(failure, AuthFailed | RateLimited) or f'"{one.name}"' in failure.message:
        return failure
    told = failure.within(f'found remote secret "{one.name}"')
    told.__cause__ = None
    return told if isinstance(told, ProviderError) else failure
