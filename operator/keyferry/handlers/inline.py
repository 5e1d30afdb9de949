"""A shorter way for events: kopf's watch stream straight to the observer.

kopf's stock path makes a task, a queue, loggers and a patch for each event, which costs 0.45 ms and twice
that with our status echoes; the observer needs 0.03 ms. This replaces kopf's private `queueing.watcher`
for our resources by a loop over kopf's own stream, which keeps its authentication, paging, retries and
reconnects. It closes three holes on the way: a watch ERROR restarts the stream instead of ending the
operator, what vanished during a relist is told as deleted, and a first stream (WatchList: a third of the
API server's work of a list in pages) that was cut is started anew.

The function replaced is private: `install` checks everything that it relies on and leaves kopf as it is
where anything differs. Then `watch.py` does the work, on the public API.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from keyferry.handlers.watch import KINDS, Observe, change_of
from keyferry.kube.watch import Change

log = logging.getLogger(__name__)

_WATCHER_PARAMETERS: Final = {
    "namespace",
    "settings",
    "resource",
    "processor",
    "operator_paused",
    "operator_indexed",
    "resource_indexed",
}
_STREAM_PARAMETERS: Final = {"settings", "resource", "namespace", "operator_paused", "_iterations"}
_PAUSE_S: Final = 1.0

Known = Callable[[str], Iterable[tuple[str, str]]]
"""(namespace, name) of all objects of a kind that are known."""


def fits() -> str:
    """Why this kopf cannot be used inline; empty if it can."""
    try:
        from kopf._cogs.clients import watching
        from kopf._core.reactor import orchestration, queueing
    except ImportError as error:
        return f"kopf has no module {error.name}"
    version = importlib.metadata.version("kopf")
    if not version.startswith("1.45."):
        return f"kopf is {version}"
    if set(inspect.signature(queueing.watcher).parameters) != _WATCHER_PARAMETERS:
        return "kopf's watcher takes other parameters"
    if set(inspect.signature(watching.infinite_watch).parameters) != _STREAM_PARAMETERS:
        return "kopf's stream takes other parameters"
    if not hasattr(watching.Bookmark, "LISTED") or not hasattr(watching, "WatchingError"):
        return "kopf's stream has other marks"
    if getattr(orchestration, "queueing", None) is not queueing:
        return "kopf starts its watchers otherwise"
    return ""


def install(observe: Observe, known: Known, progress: Callable[[str], None]) -> Callable[[], None]:
    """Replace kopf's watcher for our resources; the result puts the original back.

    Args:
        observe: takes each event.
        known: to tell what vanished during a relist.
        progress: called with the resource's plural at each sign of life.
    """
    from kopf._core.reactor import queueing

    original = queueing.watcher

    async def watcher(**arguments: Any) -> None:
        resource = arguments["resource"]
        if resource.plural not in KINDS:
            await original(**arguments)
            return
        stream = _Stream(observe, known, progress, arguments)
        await stream.run()

    def restore() -> None:
        queueing.watcher = original

    queueing.watcher = watcher
    return restore


class _Stream:
    """One resource's stream, for ever."""

    def __init__(
        self, observe: Observe, known: Known, progress: Callable[[str], None], arguments: dict[str, Any]
    ) -> None:
        self._observe = observe
        self._known = known
        self._progress = progress
        self._arguments = arguments
        self._settings = copy.copy(arguments["settings"])
        self._settings.watching = dataclasses.replace(self._settings.watching, initial_streaming=True)
        self._plural: str = arguments["resource"].plural
        self._kind = KINDS[self._plural]

    async def run(self) -> None:
        """Stream for ever; whatever ends a stream, the next begins with everything there is."""
        from kopf._cogs.clients import errors, watching

        while True:
            try:
                await self._once()
            except errors.APIClientError as error:
                if not self._settings.watching.initial_streaming:
                    log.warning("watch of %s is refused: %s", self._plural, type(error).__name__)
                # An API server without WatchList says no: list in pages from now on.
                self._settings.watching.initial_streaming = False
            except (watching.WatchingError, errors.APIError) as error:
                # Stock kopf would end the operator here.
                log.warning(
                    "watch of %s ended with an error, starting it anew: %s",
                    self._plural,
                    type(error).__name__,
                )
            await asyncio.sleep(_PAUSE_S)

    async def _once(self) -> None:
        from kopf._cogs.clients import watching

        listing: set[tuple[str, str]] = set()
        stream: Any = watching.infinite_watch(
            settings=self._settings,
            resource=self._arguments["resource"],
            namespace=self._arguments["namespace"],
            operator_paused=self._arguments.get("operator_paused"),
        )
        listed_at_bookmark = False
        async with contextlib.aclosing(stream):
            async for raw in stream:
                self._progress(self._plural)
                if raw is watching.Bookmark.LISTED:
                    if self._settings.watching.initial_streaming:
                        listed_at_bookmark = True  # the bookmark itself comes next and tells the truth
                    else:
                        self._tell_vanished(listing)
                        listing = set()
                    continue
                event: Any = raw
                if event["type"] == "BOOKMARK":
                    if listed_at_bookmark:
                        listed_at_bookmark = False
                        if not _ends_initial_events(event["object"]):
                            log.info("the first stream of %s was cut, starting it anew", self._plural)
                            return
                        self._tell_vanished(listing)
                        listing = set()
                    continue
                if event["type"] is None:
                    metadata = event["object"]["metadata"]
                    listing.add((metadata.get("namespace", ""), metadata["name"]))
                self._observe(self._kind, change_of(event["type"]), event["object"])

    def _tell_vanished(self, listing: set[tuple[str, str]]) -> None:
        """After a list: what was known and is not in it was deleted unseen."""
        for namespace, name in [place for place in self._known(self._kind) if place not in listing]:
            self._observe(self._kind, Change.GONE, {"metadata": {"namespace": namespace, "name": name}})


def _ends_initial_events(bookmark: Any) -> bool:
    """Whether a bookmark is the one that ends the initial events (Kubernetes API concepts, streaming lists).

    kopf takes the first bookmark for it. If the stream was cut before, kopf goes on from the last object's
    version and never sees the others: then the first bookmark is a plain one.
    """
    annotations = (bookmark.get("metadata") or {}).get("annotations") or {}
    return bool(annotations.get("k8s.io/initial-events-end") == "true")
