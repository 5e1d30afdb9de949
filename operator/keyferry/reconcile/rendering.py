"""Rendering templates without holding anybody up: at once where it is little, in threads where it is much.

Most templates are done in the blink of an eye, on the event loop, within a small budget. One that takes more
begins anew in a thread, and one that asks for costly cryptography in another pool of threads. There are few of
both, and they are handed out to the namespaces in turn: whoever has many waits for himself.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar

from keyferry.aio import FairDoor
from keyferry.core.template import Renderer
from keyferry.errors import KeyferryError, after
from keyferry.gotemplate import Limits, Run, SlowFunction
from keyferry.gotemplate.template import LEFT, RIGHT, Cache
from keyferry.planner.health import Deferred

T = TypeVar("T")

INLINE: Final = Limits(
    steps=2_000, tokens=1_500, memory_bytes=256 * 1024, output_bytes=1024 * 1024, seconds=0.05
)
"""What is rendered on the event loop: a few milliseconds of it."""
INLINE_CHARS: Final = 16 * 1024
"""Longer templates take too long to read there."""
SLOTS: Final = 2
"""Threads of each pool; a namespace has all but one of them at most."""
_COME_BACK_S: Final = 15.0
THREAD_CACHE_BYTES: Final = 8 * 1024 * 1024
"""Parsed templates that a thread keeps."""


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """What the flags say about templates."""

    left: str = LEFT
    right: str = RIGHT
    limits: Limits = field(default_factory=Limits)


class Waiting(Deferred):
    """The turn has not come: other templates of the namespace are rendered first."""

    reason = "TemplatesWait"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for something to be rendered.

    Args:
        namespace: whose it is.
        now: the time that its templates see.
        chars: of all its templates together.
        aside: called when it is going to take longer.
    """

    namespace: str
    now: datetime
    chars: int
    aside: Callable[[], None]


class Rendering:
    """Renders what reconciles ask for.

    Args:
        settings: delimiters and limits.
    """

    def __init__(self, settings: RenderSettings | None = None) -> None:
        self.settings = settings if settings is not None else RenderSettings()
        self._cache = Cache()
        self._of_thread = threading.local()
        self._long = FairDoor("render", SLOTS)
        self._slow = FairDoor("render slowly", SLOTS)
        limits = self.settings.limits
        self._small = replace(
            limits,
            **{
                name: min(getattr(INLINE, name), getattr(limits, name))
                for name in ("steps", "tokens", "memory_bytes", "output_bytes", "seconds")
            },
        )

    async def run(self, asked: Asked, work: Callable[[Renderer], T]) -> T:
        """The result of the work.

        Args:
            asked: who asks.
            work: gets a renderer and does no more than that allows; it may be called more than once.

        Raises:
            KeyferryError: what the work raises.
            Waiting: the namespace's turn has not come for long.
        """
        door = self._long
        if asked.chars <= INLINE_CHARS:
            renderer = self._renderer(self._small, asked.now, self._cache)
            try:
                return work(renderer)
            except SlowFunction:
                door = self._slow
            except KeyferryError:
                if not renderer.exceeded:
                    raise
        asked.aside()
        try:
            if door is self._long:
                with contextlib.suppress(SlowFunction):
                    return await self._in_thread(door, asked, work)
            return await self._in_thread(self._slow, asked, work)
        except TimeoutError:
            raise Waiting(
                "other templates of the namespace are rendered first", retry=after(_COME_BACK_S)
            ) from None

    async def _in_thread(self, door: FairDoor, asked: Asked, work: Callable[[Renderer], T]) -> T:
        def rendered() -> T:
            cache: Cache | None = getattr(self._of_thread, "cache", None)
            if cache is None:
                cache = self._of_thread.cache = Cache(THREAD_CACHE_BYTES)
            limits = self.settings.limits
            return work(self._renderer(limits, asked.now, cache, slow=door is self._slow))

        return await door.run(asked.namespace, rendered)

    def _renderer(self, limits: Limits, now: datetime, cache: Cache, *, slow: bool = False) -> Renderer:
        run = Run(
            limits,
            now_ns=int(now.timestamp() * 1_000_000) * 1_000,
            monotonic=time.monotonic,
            random_bytes=os.urandom,
            allows_slow=slow,
        )
        return Renderer(run, cache, self.settings.left, self.settings.right)

    def close(self) -> None:
        """Let go of the threads."""
        self._long.close()
        self._slow.close()
