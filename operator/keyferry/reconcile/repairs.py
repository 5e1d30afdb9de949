"""How often a target is put right because somebody else changed it: at once, unless that never ends.

Two who write the same field would take turns as fast as the API server lets them, with a read of the store
each time. So each object has a few repairs at once, and then one in half a minute.
"""

from __future__ import annotations

from typing import Final

from keyferry.ports import ObjectKey

AT_ONCE: Final = 10
EVERY_S: Final = 30.0
_KEPT: Final = 1024


class Repairs:
    """The repairs that each object may still have. Kept only for those that had some lately."""

    def __init__(self) -> None:
        self._left: dict[ObjectKey, tuple[float, float]] = {}
        """How many repairs there were left, and when that was."""
        self._prune_at = _KEPT

    def wait_s(self, key: ObjectKey, now: float) -> float:
        """0 if there is a repair left, else in how many seconds there will be."""
        return max(0.0, 1 - self._now(key, now)) * EVERY_S

    def note(self, key: ObjectKey, now: float) -> None:
        """A target was put right."""
        self._left[key] = max(0.0, self._now(key, now) - 1), now
        if len(self._left) > self._prune_at:
            self._left = {one: kept for one, kept in self._left.items() if self._now(one, now) < AT_ONCE}
            self._prune_at = max(_KEPT, 2 * len(self._left))

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._left.pop(key, None)

    def _now(self, key: ObjectKey, now: float) -> float:
        left, then = self._left.get(key, (float(AT_ONCE), now))
        return min(float(AT_ONCE), left + (now - then) / EVERY_S)

    def __len__(self) -> int:
        return len(self._left)
