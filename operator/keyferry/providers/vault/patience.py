"""How often a login is tried that fails: many wait for it, and each of them would try it for itself."""

from __future__ import annotations

import copy
from typing import Final

from keyferry.errors import KeyferryError, RetryKind

FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0
"""Bounds of the pause after a login that failed. After the first failure there is none: it may be a hiccup."""


class Patience:
    """Remembers how logging in failed last."""

    def __init__(self) -> None:
        self._failure: KeyferryError | None = None
        self._failures = 0
        self._until = 0.0

    def check(self, now: float) -> None:
        """Raise the last failure while it is too early for another try.

        Raises:
            KeyferryError: as the last try did.
        """
        if self._failure is not None and now < self._until:
            # Without traceback and cause: frames hold what the login proves itself with.
            raise copy.copy(self._failure)

    def failed(self, error: KeyferryError, now: float) -> None:
        """A login has failed."""
        self._failures += 1
        self._failure = copy.copy(error)
        pause = FIRST_S * 2.0 ** min(self._failures - 2, 16) if self._failures > 1 else 0.0
        if error.retry.kind is RetryKind.AFTER:
            pause = max(pause, error.retry.seconds)
        self._until = now + min(pause, LONGEST_S)

    def succeeded(self) -> None:
        """A login has succeeded."""
        self._failure, self._failures = None, 0
