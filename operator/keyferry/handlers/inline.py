"""A shorter way for events: kopf's watch stream straight to the observer.

kopf's stock path makes a task, a queue, loggers and a patch for each event, which costs 0.45 ms and twice
that with our status echoes; the observer needs 0.03 ms. This replaces kopf's private `queueing.watcher`
for our resources by a loop over kopf's own lists and streams, which keeps its authentication, retries and
timeouts. It closes these holes on the way: a watch ERROR starts the stream anew instead of ending the
operator; what vanished during a relist is told as deleted; a first stream (WatchList: a third of the API
server's work of a list in pages) that was cut is begun again instead of being believed complete; and a
stream that stays silent twice is replaced by a list.

The function replaced is private: `fits` checks everything that is relied on, and where anything differs
kopf is left as it is. Then `watch.py` does the work, on the public API.
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

from keyferry.handlers.settings import EndlessBackoff
from keyferry.handlers.watch import KINDS, Observe, hand_over
from keyferry.kube.watch import Change

log = logging.getLogger(__name__)

_PARAMETERS: Final = {
    "watcher": {
        "namespace",
        "settings",
        "resource",
        "processor",
        "operator_paused",
        "operator_indexed",
        "resource_indexed",
    },
    "stream": {"settings", "resource", "namespace", "since", "operator_pause_waiter"},
    "list": {"settings", "resource", "namespace", "logger"},
}
_CALM_S: Final = 5.0
"""A stream that lasted so long, or told of anything, ends a series of failures."""
_NO_STREAMING_LISTS: Final = (400, 422)
"""How an API server refuses `sendInitialEvents` that does not know it (API concepts, streaming lists)."""
_LISTING_GIVES_UP: Final = 2
"""So many streaming lists that do not come to their end, one after the other, mean one in pages."""

Known = Callable[[str], Iterable[tuple[str, str]]]
"""(namespace, name) of all objects of a kind that are known."""
Place = tuple[str, str]


def fits() -> str:
    """Why this kopf cannot be used inline; empty if it can."""
    try:
        from kopf._cogs.clients import errors, fetching, watching
        from kopf._core.reactor import orchestration, queueing
    except ImportError as error:
        return f"kopf has no module {error.name}"
    version = importlib.metadata.version("kopf")
    if not version.startswith("1.45."):
        return f"kopf is {version}"
    for what, module, name in (
        ("watcher", queueing, "watcher"),
        ("stream", watching, "watch_objs"),
        ("list", fetching, "fetch_objs"),
    ):
        function = getattr(module, name, None)
        if function is None or set(inspect.signature(function).parameters) != _PARAMETERS[what]:
            return f"kopf's {what} takes other parameters"
    if not hasattr(errors.APIClientError, "status"):
        return "kopf's errors have no status"
    if getattr(orchestration, "queueing", None) is not queueing:
        return "kopf starts its watchers otherwise"
    return ""


def install(observe: Observe, known: Known, listed: Callable[[str], None]) -> Callable[[], None]:
    """Replace kopf's watcher for our resources; the result puts the original back.

    Args:
        observe: takes each event.
        known: to tell what vanished during a relist.
        listed: called with the resource's plural when everything there is has been told.
    """
    from kopf._core.reactor import queueing

    original = queueing.watcher

    async def watcher(**arguments: Any) -> None:
        resource = arguments["resource"]
        if resource.plural not in KINDS:
            await original(**arguments)
            return
        stream = _Stream(observe, known, listed, arguments)
        await stream.run()

    def restore() -> None:
        queueing.watcher = original

    queueing.watcher = watcher
    return restore


class _Restart(Exception):
    """The stream has to begin with everything there is; the text says why."""


class _Stream:
    """One resource's stream, for ever."""

    def __init__(
        self, observe: Observe, known: Known, listed: Callable[[str], None], arguments: dict[str, Any]
    ) -> None:
        self._observe = observe
        self._known = known
        self._listed = listed
        self._resource = arguments["resource"]
        self._namespace = arguments["namespace"]
        self._settings = copy.copy(arguments["settings"])
        self._settings.watching = dataclasses.replace(self._settings.watching, initial_streaming=True)
        self._plural: str = self._resource.plural
        self._kind = KINDS[self._plural]
        self._streaming_lists = True
        """Whether the API server is believed to know them."""
        self._seen: set[Place] | None = set()
        """What a streaming list has told so far; None once it is complete."""
        self._torn_lists = 0
        self._silent = 0
        """Streams one after the other that ended by our own timeout without a word."""
        self._heard = False
        """Whether the present stream has told anything."""
        self._told = ""

    async def run(self) -> None:
        """List, then stream, for ever; whatever ends a stream for good, the next begins with everything."""
        pauses = iter(EndlessBackoff())
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._from_the_start()
            except _Restart as why:
                log.info("watch of %s begins anew: %s", self._plural, why)
            except Exception as error:  # noqa: BLE001 - stock kopf would end the operator here
                self._failed(error)
            if asyncio.get_running_loop().time() - began > _CALM_S:
                pauses = iter(EndlessBackoff())
            await asyncio.sleep(next(pauses))

    def _failed(self, error: Exception) -> None:
        """Log a failure, once until events come again. Its type only: its text may quote an object."""
        kind = type(error).__name__
        if kind != self._told:
            log.warning("watch of %s ended with an error, going on: %s", self._plural, kind)
        self._told = kind

    async def _from_the_start(self) -> None:
        """Everything there is, then what happens.

        Raises:
            _Restart: everything has to be told once more.
            Exception: whatever kopf's client raises.
        """
        version = None
        self._seen, self._silent = set(), 0
        if not self._streaming_lists or self._torn_lists >= _LISTING_GIVES_UP:
            version = await self._list()
        pauses = iter(EndlessBackoff())
        while True:
            began = asyncio.get_running_loop().time()
            version = await self._stream(version)
            if self._seen is not None:
                self._torn_lists += 1
                raise _Restart("the streaming list was cut")
            lasted = asyncio.get_running_loop().time() - began
            self._count_silence(lasted)
            if self._heard or lasted > _CALM_S:
                pauses = iter(EndlessBackoff())
            await asyncio.sleep(next(pauses))

    def _count_silence(self, lasted: float) -> None:
        """A stream has ended; a second one in a row without a word is not believed any more."""
        silent = not self._heard and lasted >= self._settings.watching.inactivity_timeout
        self._silent = self._silent + 1 if silent else 0
        if self._silent > 1:
            self._torn_lists = _LISTING_GIVES_UP  # a streaming list would be as silent
            raise _Restart("not even bookmarks come")

    async def _list(self) -> str:
        """Everything in pages; the version to go on from."""
        from kopf._cogs.clients import fetching

        seen: set[Place] = set()
        version = ""
        async for page, version in fetching.fetch_objs(  # noqa: B007 - the last one is returned
            logger=log, settings=self._settings, resource=self._resource, namespace=self._namespace
        ):
            for body in page:
                seen.add(_place(body))
                self._tell(Change.LISTED, body)
        self._torn_lists = 0
        self._complete(seen)
        return version

    async def _stream(self, version: str | None) -> str | None:
        """Events from a version on, or from a streaming list, until the stream ends; where to go on from.

        Raises:
            _Restart: the version is gone.
            Exception: whatever kopf's client raises.
        """
        from kopf._cogs.clients import errors, watching

        self._heard = False
        events: Any = watching.watch_objs(
            settings=self._settings,
            resource=self._resource,
            namespace=self._namespace,
            since=version,
            operator_pause_waiter=asyncio.get_running_loop().create_future(),
        )
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self._heard = True
                    version = self._event(event["type"], event["object"]) or version
        except errors.APIClientError as error:
            if error.status == 410:
                raise _Restart("its version is gone") from None
            if version is None and error.status in _NO_STREAMING_LISTS:
                self._streaming_lists = False
                raise _Restart("the API server knows no streaming lists") from None
            raise
        except ValueError as error:
            self._failed(error)  # a line torn in two, for example by a proxy: it comes again
        return version

    def _event(self, type_: str, body: Any) -> str | None:
        """Handle one event; its version, None where it has none.

        Raises:
            _Restart: everything has to be told once more.
        """
        if type_ == "ERROR":
            code = body.get("code")
            raise _Restart("its version is gone" if code == 410 else f"it ended with code {code}")
        if type_ == "BOOKMARK":
            self._bookmark(body)
        elif type_ in ("ADDED", "MODIFIED", "DELETED"):
            self._change(type_, body)
        version: str | None = (body.get("metadata") or {}).get("resourceVersion")
        return version

    def _change(self, type_: str, body: Any) -> None:
        if type_ == "DELETED":
            if self._seen is not None:
                self._seen.discard(_place(body))
            self._tell(Change.GONE, body)
            return
        if self._seen is not None:
            self._seen.add(_place(body))
        self._tell(Change.LISTED if self._seen is not None and type_ == "ADDED" else Change.SET, body)

    def _bookmark(self, body: Any) -> None:
        """A bookmark; one of them ends a streaming list, and kopf would take the first for it."""
        if self._seen is None:
            return
        annotations = (body.get("metadata") or {}).get("annotations") or {}
        if annotations.get("k8s.io/initial-events-end") != "true":
            # It has begun to stream and does not say when the list is over: an API server of old.
            self._streaming_lists = False
            raise _Restart("the API server knows no streaming lists")
        self._torn_lists = 0
        self._complete(self._seen)

    def _complete(self, seen: set[Place]) -> None:
        """After a list: what was known and is not in it was deleted unseen."""
        self._seen = None
        for namespace, name in [place for place in self._known(self._kind) if place not in seen]:
            self._tell(Change.GONE, {"metadata": {"namespace": namespace, "name": name}})
        self._listed(self._plural)

    def _tell(self, change: Change, body: Any) -> None:
        self._told = ""
        hand_over(self._observe, self._kind, change, body)


def _place(body: Any) -> Place:
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
