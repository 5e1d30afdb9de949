"""kopf's settings for an operator that only watches. Reasons and measurements: docs/decisions/0002."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import Any, Final

import kopf

from keyferry.kube.watch import SILENCE_S

PAGE_SIZE: Final = 500
_LONGEST_BACKOFF_S: Final = 30.0


class EndlessBackoff:
    """Pauses between kopf's tries, growing to half a minute, without end: kopf dies when they run out."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.2
        while True:
            yield pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
            pause = min(pause * 1.6, _LONGEST_BACKOFF_S)


class _NoDiffs(kopf.DiffBaseStorage):
    """Keeps nothing on objects, and saves kopf the work of computing what to keep."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:  # noqa: ARG002
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Nothing is stored."""


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing on objects: there is no progress to keep."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:  # noqa: ARG002
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is stored."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is purged."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: Any) -> None:
        """Nothing is touched."""

    def clear(self, *, essence: Any) -> Any:
        return essence


def watch_only_settings(silence_s: float = SILENCE_S) -> kopf.OperatorSettings:
    """Settings under which kopf writes nothing, keeps nothing and never gives up.

    Args:
        silence_s: a stream that says nothing for so long, not even by a bookmark, is dead.
    """
    settings = kopf.OperatorSettings()
    # Whenever it ends by itself, kopf would kill the process ten minutes later, long after we have started
    # it anew.
    settings.process.ultimate_exiting_timeout = None
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.queueing.idle_timeout = 0.05
    settings.queueing.exit_timeout = 1.0
    settings.watching.chunk_size = PAGE_SIZE
    settings.watching.reconnect_backoff = 0.1
    settings.watching.inactivity_timeout = silence_s
    # Typed as a collection, used as an iterable: one without end.
    endless: Collection[float] = EndlessBackoff()  # type: ignore[assignment]  # kopf only iterates over it
    settings.networking.error_backoffs = endless
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 10.0
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = _NoProgress()
    return settings
