"""What AWS has refused is not asked for again at once: neither denied calls, nor batches that a denied one spoils."""

from __future__ import annotations

import asyncio
from typing import Final

from keyferry.providers.aws.client import REFUSED_S

MOST: Final = 1024
"""Refusals kept, the oldest first to go: each is no more than a call that was made in vain."""


class Refusals:
    """What was refused, each for an hour. Used within a running loop."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __contains__(self, what: str) -> bool:
        until = self._until.get(what)
        if until is None:
            return False
        if until > asyncio.get_running_loop().time():
            return True
        del self._until[what]
        return False

    def add(self, what: str) -> None:
        """It was refused just now."""
        self._until.pop(what, None)
        self._until[what] = asyncio.get_running_loop().time() + REFUSED_S
        if len(self._until) > MOST:
            del self._until[next(iter(self._until))]

    def discard(self, what: str) -> None:
        """It was not, this time."""
        self._until.pop(what, None)
