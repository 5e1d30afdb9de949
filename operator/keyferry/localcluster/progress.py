"""Progress for people: what happens, how far it is, how long it takes.

On a terminal one line that changes; elsewhere (a CI log, a file) a plain line now and then. Used by
the commands, the demo and the tests' fixtures; the rest of localcluster only calls it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Protocol, TextIO

PLAIN_EVERY_S = 15.0
TERMINAL_EVERY_S = 0.1


class Progress(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """A fact that stays readable: something began or ended."""
        ...

    def update(self, text: str) -> None:
        """How far it is now; may be called often, and may show nothing."""
        ...


class Silent:
    """Progress that nobody reads."""

    def say(self, text: str) -> None:
        """See `Progress.say`."""

    def update(self, text: str) -> None:
        """See `Progress.update`."""


class StreamProgress:
    """Progress on a text stream.

    Args:
        stream: usually standard error.
        clock: monotonic seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._every_s = TERMINAL_EVERY_S if self._terminal else PLAIN_EVERY_S
        self._next = clock() if self._terminal else clock() + PLAIN_EVERY_S
        self._passing = False

    def say(self, text: str) -> None:
        """See `Progress.say`."""
        self._clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def update(self, text: str) -> None:
        """See `Progress.update`."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + self._every_s
        if self._terminal:
            # The last column stays free: some terminals break the line when it is filled.
            width = shutil.get_terminal_size().columns - 1
            shown = text if len(text) <= width else text[: width - 1] + "…"
            self._stream.write(f"\r\x1b[K{shown}")
            self._passing = True
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def _clear(self) -> None:
        if self._passing:
            self._stream.write("\r\x1b[K")
            self._passing = False


def minutes(seconds: float) -> str:
    """`75` as `1:15`, for people who wait."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02}"
