"""How long the build still takes: a measured guess first, then more and more what this machine shows."""

from __future__ import annotations

import time
from collections.abc import Callable

TRUST = 4.0
"""After a quarter of a part, its own speed decides alone."""


class Estimate:
    """Time spent, and time left over several parts that run one after the other.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._part_began = clock()
        self._expected_s: dict[str, float] = {}
        self._part = ""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def expect(self, part: str, seconds: float) -> None:
        """This part comes after those told before, and should take so long."""
        self._expected_s[part] = seconds

    def enter(self, part: str) -> None:
        """This part begins now, and those before it are done. Of no effect for the part under way."""
        while self._part != part:
            self._expected_s.pop(self._part, None)
            self._part = next(iter(self._expected_s))
            self._part_began = self._clock()

    def left_s(self, fraction: float = 0.0) -> float:
        """Seconds left, with `fraction` of the part under way done; never negative."""
        later = sum(seconds for part, seconds in self._expected_s.items() if part != self._part)
        if not self._part:
            return later
        spent = self._clock() - self._part_began
        whole = self._expected_s[self._part]
        if fraction > 0:
            trust = min(1.0, fraction * TRUST)
            whole = (1 - trust) * whole + trust * spent / fraction
        return max(0.0, whole - spent) + later
