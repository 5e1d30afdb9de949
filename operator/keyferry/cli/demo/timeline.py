"""How the demo looks: a timeline with relative times, commands, quotes; colours where they help.

Text in, lines out. Nothing here knows what is told. Colours only on a terminal, and never where NO_COLOR is
set; without them the same words stand there.
"""

from __future__ import annotations

import os
import shutil
import textwrap
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TextIO

WIDTH: Final = 100
NARROWEST: Final = 60
_LABEL: Final = 11
_TEXT_AT: Final = 10 + _LABEL
"""Where the text begins: after "  12.3 s  " and the label."""
_QUOTE_AT: Final = 6
_CLEAR: Final = "\r\x1b[K"


class Mood(Enum):
    """How an entry is coloured: as its number in ANSI."""

    PLAIN = "1"
    GOOD = "1;32"
    BAD = "1;33"


DIM: Final = "2"
COMMAND: Final = "1;36"
BLOCK: Final = "36"


class Timeline:
    """Writes the story to a stream.

    Args:
        stream: usually standard output.
        environment: NO_COLOR and TERM are read from it; the process's unless given.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        environment = os.environ if environment is None else environment
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._terminal = stream.isatty() and environment.get("TERM") != "dumb"
        self._colours = self._terminal and not environment.get("NO_COLOR")
        columns = shutil.get_terminal_size((WIDTH, 0)).columns if self._terminal else WIDTH
        self._width = max(NARROWEST, min(WIDTH, columns))
        self._passing = False
        self.told: list[str] = []

    def begin(self) -> None:
        """Times are relative to this moment."""
        self._began = self._clock()

    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def paragraph(self, text: str) -> None:
        """A paragraph without a time."""
        self._write(*wrapped(text, self._width))

    def lines(self, *lines: str) -> None:
        """Lines as they are; without any, an empty one."""
        self._write(*(lines or ("",)))

    def event(self, label: str, text: str, mood: Mood = Mood.PLAIN) -> None:
        """Something happened now."""
        first, *rest = entry(self.elapsed_s(), label, text, self._width)
        moment, name, words = first[:10], first[10:_TEXT_AT], first[_TEXT_AT:]
        self._write(self._in(DIM, moment) + self._in(mood.value, name) + words, *rest)

    def more(self, text: str) -> None:
        """More about the last event, on a line of its own."""
        self._write(*indented(text, " " * _TEXT_AT, self._width))

    def quote(self, text: str) -> None:
        """Words that stand in the cluster, below the event that is about them."""
        lines = indented(text, " " * _QUOTE_AT, self._width)
        self._write(*(self._in(Mood.BAD.value, line) for line in lines))

    def command(self, text: str) -> None:
        """A command, as one would type it: never wrapped, so that it can be copied."""
        self._write("", self._in(COMMAND, f"$ {text}"))

    def block(self, text: str) -> None:
        """A file or a command's output as it is, so that it can be copied."""
        self._write(*(self._in(BLOCK, line) for line in text.rstrip("\n").split("\n")))

    def doing(self, text: str) -> None:
        """What is awaited now: shown on a terminal until something else is."""
        if self._terminal:
            shown = textwrap.shorten(text, self._width - _TEXT_AT - 2, placeholder="…")
            self._stream.write(_CLEAR + self._in(DIM, " " * _TEXT_AT + shown + " …"))
            self._stream.flush()
            self._passing = True

    def clear(self) -> None:
        """Take away what `doing` shows."""
        if self._passing:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._passing = False

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and text.strip() else text

    def _write(self, *lines: str) -> None:
        self.clear()
        self.told += lines
        self._stream.write("".join(f"{line.rstrip()}\n" for line in lines))
        self._stream.flush()


class Passing:
    """Progress of the local control plane as the timeline's passing line; what it says stays unsaid."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def say(self, text: str) -> None:
        """See `localcluster.Progress.say`: the timeline has its own words."""

    def update(self, text: str) -> None:
        """See `localcluster.Progress.update`."""
        self._timeline.doing(text)


def entry(at_s: float, label: str, text: str, width: int = WIDTH) -> list[str]:
    """The lines of an event: `  12.3 s  label      text`, with the text's further lines below it."""
    first, *rest = indented(text, " " * _TEXT_AT, width)
    start = f"{at_s:6.1f} s  {label:<{_LABEL}}"
    return [start + first[_TEXT_AT:], *rest]


def indented(text: str, indent: str, width: int = WIDTH) -> list[str]:
    """The text in lines no wider than `width`, each with the indent; words are never broken."""
    return wrapped(text, width - len(indent), indent)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of at most `width` characters, the indent not counted."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return [indent + line for line in lines]


def duration(seconds: float) -> str:
    """`34 ms`, `1.4 s`, for people."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
