"""Watching metadata: every object of a resource as PartialObjectMetadata, its data never transferred.

For what kopf would make expensive (Secrets above all: it would keep whole bodies and write annotations).
The watch lists in pages, then streams; after a gap that the server cannot bridge (410) it lists again and
tells what vanished meanwhile, as deletions. Its handler decides what to keep; nothing is kept here but
the version to go on from.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import aiohttp
import msgspec

from keyferry.errors import KubeError, KubeGone, KubeMalformed, KubeUnavailable
from keyferry.kube.client import KubeApi
from keyferry.kube.shallow import Decoder

log = logging.getLogger(__name__)

LIST_ACCEPT: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
WATCH_ACCEPT: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PAGE_SIZE: Final = 500
SILENCE_S: Final = 90.0
"""The server sends a bookmark about every minute: longer silence than this means a dead stream."""
PART: Final = 16 << 10
"""Most bytes of a stream that are looked at in one turn of the event loop, where somebody else's server sends it."""
_SERVER_TIMEOUT_S: Final = 300
BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SHORT_S: Final = 1.0
"""A stream that ends sooner counts as a failure, so that a server which hangs up is not hammered."""
_RELIST_AFTER: Final = 3
"""Failures in a row after which the version itself is suspected, and everything is listed again."""


class OwnerReference(msgspec.Struct, rename="camel", frozen=True):
    """Of an owner reference only what decides."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(msgspec.Struct, rename="camel", frozen=True):
    """What of an object's metadata is looked at; managedFields are skipped without being built."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None


class Partial(msgspec.Struct):
    """An object of which only the metadata was asked for; of a whole one, what is written in it as JSON."""

    metadata: ObjectMeta
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"{}")


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class PartialList(msgspec.Struct):
    """A page of metadata."""

    metadata: _ListMeta
    items: list[Partial] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _ErrorObject(msgspec.Struct):
    code: int = 0
    message: str = ""


_LIST: Final = Decoder(PartialList)
_EVENT: Final = Decoder(_Event)
_PARTIAL: Final = Decoder(Partial)
_ERROR: Final = msgspec.json.Decoder(_ErrorObject)


def read_meta(raw: bytes | msgspec.Raw) -> ObjectMeta:
    """The metadata of an object in an answer of the API server, however deep the rest is nested."""
    return _PARTIAL.decode(raw).metadata


class Change(enum.Enum):
    """What a watch says of an object."""

    LISTED = "listed"
    """It was there when the watch (re)started."""
    SET = "set"
    """It was created or changed."""
    GONE = "gone"
    """It was deleted."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One resource to watch.

    Args:
        path: its collection, e.g. "/api/v1/secrets".
        label_selector: only objects that match, chosen by the server.
        handle: called for each change, synchronously and in order.
        known: (namespace, name) of what the handler keeps; what of it is missing in a list is told as GONE.
        whole: called instead of `handle`, with whole objects, which are asked for then: for kinds of few objects.
        listed: called after each complete list.
        failed: called with each failure; whether everything has to be listed again.
    """

    path: str
    handle: Callable[[Change, ObjectMeta], None]
    known: Callable[[], Iterable[tuple[str, str]]]
    label_selector: str = ""
    whole: Callable[[Change, Partial], None] | None = None
    listed: Callable[[], None] = lambda: None
    failed: Callable[[Exception], bool] = lambda _: False


class MetadataWatch:
    """One watch; `run()` goes on until it is cancelled, or `gives_up`.

    Args:
        api: the connection.
        watched: what to watch, and what to do with it.
        silence_s: a stream that says nothing for so long is dead.
        pauses_s: pauses after one, two, … failures in a row; the last one stays.
    """

    def __init__(
        self,
        api: KubeApi,
        watched: Watched,
        *,
        silence_s: float = SILENCE_S,
        pauses_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        self._api = api
        self._watched = watched
        self._silence_s = silence_s
        self._pauses_s = pauses_s
        self._version = ""
        """Up to where everything has been handled; empty where a list is due."""
        self.synced = asyncio.Event()
        """Set once the first list has been handled."""
        self.last_progress = time.monotonic()
        """When the server last said anything: an event, a bookmark or a list."""
        self.signs = 0
        """Counts what the server said, refusals and failures to reach it included. A watch that was accepted
        and stays silent, without even a bookmark, counts nothing: the watchdog looks at this."""
        self.relists = 0

    list_decoder: ClassVar[Decoder[Any]] = _LIST
    object_decoder: ClassVar[Decoder[Any]] = _PARTIAL
    longest_line: ClassVar[int | None] = None
    """Most bytes of one event; None for any."""

    spend: Callable[[int], Awaitable[None]] | None = None
    """Where events may come too fast: awaited before each part of a stream is looked at, with what it takes."""

    def gives_up(self, error: KubeError) -> bool:  # noqa: ARG002 - for those who watch what they may not see
        """Whether an error ends the watch."""
        return False

    async def run(self) -> None:
        """List, then watch, for ever. A series of failures is logged once and retried with growing pauses."""
        failures = silent = 0
        while True:
            began = time.monotonic()
            try:
                if not self._version:
                    self._version = await self._list()
                    self.synced.set()
                    began = time.monotonic()
                before = self.signs
                await self._stream()
                lasted = time.monotonic() - began
                failures = 0 if lasted > _SHORT_S else failures + 1
                silent = silent + 1 if self.signs == before and lasted >= self._silence_s else 0
                if silent > 1:
                    log.info("watch of %s has to list again: not even bookmarks come", self._watched.path)
                    self._version = ""
            except (KubeError, msgspec.DecodeError, UnicodeDecodeError) as error:
                if isinstance(error, KubeError) and self.gives_up(error):
                    raise
                if self.last_progress - began > _SHORT_S:
                    failures = 0  # it went well for a while: another series
                self.tell(error, failures)
                self.signs += 1
                failures += 1
                unreached = isinstance(error, KubeError) and not error.status
                # Where nobody answers, the version is not to blame: the list would only be dearer.
                again = self._watched.failed(error) or isinstance(error, KubeGone)
                if again or (failures >= _RELIST_AFTER and not unreached):
                    self._version = ""
            if failures:
                pause = self._pauses_s[min(failures, len(self._pauses_s)) - 1]
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load

    def _note_progress(self) -> None:
        self.last_progress = time.monotonic()
        self.signs += 1

    def tell(self, error: Exception, failures: int) -> None:
        """Log the first failure of a series; of an answer that cannot be read its kind alone."""
        if failures == 0 and isinstance(error, KubeGone):
            log.info("watch of %s has to list again", self._watched.path)
        elif failures == 0:
            told = str(error) if isinstance(error, KubeError) else "the answer cannot be read"
            log.warning("watch of %s failed: %s", self._watched.path, told)

    def _handle(self, change: Change, found: Partial) -> None:
        try:
            if self._watched.whole is not None:
                self._watched.whole(change, found)
            else:
                self._watched.handle(change, found.metadata)
        except Exception:
            # One object that we cannot cope with must not end the watch of all others.
            log.exception("a bug in Keyferry")

    async def _list(self) -> str:
        """All objects, page by page; then what is no longer there."""
        seen: set[tuple[str, str]] = set()
        params = {"limit": str(PAGE_SIZE)} | self._selector()
        while True:
            page = await self._page(params)
            for item in page.items or ():
                seen.add((item.metadata.namespace, item.metadata.name))
                self._handle(Change.LISTED, item)
            self._note_progress()
            if not page.metadata.continue_:
                break
            params["continue"] = page.metadata.continue_
        for namespace, name in [key for key in self._watched.known() if key not in seen]:
            self._handle(Change.GONE, Partial(ObjectMeta(namespace=namespace, name=name)))
        self.relists += 1
        self._watched.listed()
        version: str = page.metadata.resource_version
        return version

    async def _page(self, params: dict[str, str]) -> Any:
        """A page of the list."""
        body = await self._api.request(
            "GET", self._watched.path, params=params, accept=self._accept(LIST_ACCEPT)
        )
        return self.list_decoder.decode(body)

    def _accept(self, metadata: str) -> str:
        return metadata if self._watched.whole is None else "application/json"

    def _selector(self) -> dict[str, str]:
        return {"labelSelector": self._watched.label_selector} if self._watched.label_selector else {}

    async def _stream(self) -> None:
        """Events from where we are on, until the server ends the stream.

        Raises:
            KubeGone: the version is too old.
            KubeError: the server refused, could not be reached, or sent an error event.
            msgspec.DecodeError, UnicodeDecodeError: it sent something else than events.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(_SERVER_TIMEOUT_S * random.uniform(0.8, 1.2))),  # noqa: S311
        } | self._selector()
        connected = False
        try:
            accept = self._accept(WATCH_ACCEPT)
            stream = self._api.stream(self._watched.path, params, accept, self._silence_s)
            async with stream as content:
                connected = True
                self.last_progress = time.monotonic()
                async for line in lines(content, self.longest_line, self.spend):
                    self._version = self._event(line) or self._version
        except KubeUnavailable as error:
            # Cut or silent: go on from where it was. A refusal (5xx) is for run()'s pauses.
            if error.status or not connected:
                raise

    def _event(self, line: bytes) -> str:
        """Handle one event; its resource version."""
        event = _EVENT.decode(line)
        self._note_progress()
        if event.type == "ERROR":
            error = _ERROR.decode(event.object)
            if error.code in (410, 504):  # 504: "Too large resource version" after a restore of etcd
                raise KubeGone("the watch's resource version is gone", status=error.code)
            raise KubeError(f"the watch ended with code {error.code}", status=error.code)
        found: Partial = self.object_decoder.decode(event.object)
        if event.type == "DELETED":
            self._handle(Change.GONE, found)
        elif event.type != "BOOKMARK":
            self._handle(Change.SET, found)
        return found.metadata.resource_version


async def lines(
    content: aiohttp.StreamReader,
    longest: int | None = None,
    spend: Callable[[int], Awaitable[None]] | None = None,
) -> AsyncIterator[bytes]:
    """The whole lines of a stream; a torn last one is dropped.

    Args:
        longest: most bytes of a line; None for any (aiohttp's own iteration limits it).
        spend: awaited before the lines of each part, which is small then, with how many there are: one for each
            4 KiB more.

    Raises:
        KubeMalformed: one is longer.
    """
    parts: list[bytes] = []  # of a line that has not ended: joined once, for it may come in a thousand chunks
    held = 0
    async for chunk in content.iter_any() if spend is None else content.iter_chunked(PART):
        first, *others = chunk.split(b"\n")
        if spend is not None:
            await spend(len(others) + len(chunk) // 4096)
        parts.append(first)
        held += len(first)
        for part in others:
            if line := b"".join(parts):
                yield line
            parts, held = [part], len(part)
        if longest is not None and held > longest:
            raise KubeMalformed("an event is longer than any that is read")
