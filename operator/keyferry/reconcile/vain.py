"""How soon an ExternalSecret heeds the next notice of its store, where those before told of nothing new.

Somebody who writes labels or annotations of a source again and again changes no value. Who reads it cannot know
before he has looked; so he looks at once, and after the second look in vain each time a little later. The first
one tells nothing: a watch that begins names all that was written lately.
"""

from __future__ import annotations

from typing import Final

from keyferry.ports import ObjectKey

FIRST_S: Final = 1.0
"""The pause after two looks in vain; each further one doubles it."""
LONGEST_S: Final = 60.0
FORGOTTEN_S: Final = 120.0
"""So long after a look in vain it does not matter any more."""
_KEPT: Final = 1024


class VainLooks:
    """Looks that found nothing new, by who looked. Kept only for those that had some lately."""

    def __init__(self) -> None:
        self._last: dict[ObjectKey, tuple[float, float]] = {}
        """The pause, and when it began."""
        self._prune_at = _KEPT

    def wait_s(self, key: ObjectKey, now: float) -> float:
        """0 if it may look, else in how many seconds."""
        pause, then = self._last.get(key, (0.0, now))
        return max(0.0, then + pause - now)

    def note(self, key: ObjectKey, now: float, *, in_vain: bool) -> None:
        """It has looked because of a notice."""
        last = self._last.pop(key, None)
        if not in_vain:
            return
        pause = 0.0
        if last is not None and now - last[1] < FORGOTTEN_S:
            pause = min(max(FIRST_S, 2 * last[0]), LONGEST_S)
        self._last[key] = pause, now
        if len(self._last) > self._prune_at:
            self._last = {one: last for one, last in self._last.items() if now - last[1] < FORGOTTEN_S}
            self._prune_at = max(_KEPT, 2 * len(self._last))

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._last.pop(key, None)

    def __len__(self) -> int:
        return len(self._last)
