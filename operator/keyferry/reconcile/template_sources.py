"""ConfigMaps and Secrets with templates: read once for all who use them, and told of when they change.

Secrets are watched anyway. A watch of ConfigMaps, of their metadata, begins with the first ExternalSecret that
uses one and ends with the last. What was read is kept while somebody uses it and a watch would tell of a
change; of a Secret that are the keys with templates alone. A version that a watch tells of and that is not the
one which was read is read again by whoever needs it next.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from keyferry.aio import TaskBag
from keyferry.kube.texts import TextObject, read_texts
from keyferry.kube.watch import SILENCE_S, Change, MetadataWatch, ObjectMeta, Watched
from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import Lane

if TYPE_CHECKING:
    from keyferry.reconcile.engine import Engine

CONFIG_MAP: Final = "ConfigMap"
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of all texts that are kept."""
FIRST_LIST_S: Final = 5.0
"""So long readers wait for the first list of ConfigMaps; without the right to it, each reads for himself."""
_OVERHEAD_BYTES: Final = 1024


@dataclass(slots=True)
class _Kept:
    """An object that somebody uses.

    Args:
        told: the version that a watch has told of since it is used; None before, empty where it is gone.
        found: what was read last.
        wanted: the keys that were looked for then.
        asked: whether it was asked for: only then can a change concern anybody.
        reading: holds while it is read, so that it is read once for all.
    """

    told: str | None = None
    found: TextObject | None = None
    wanted: frozenset[str] = frozenset()
    asked: bool = False
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def holds(self, wanted: frozenset[str]) -> bool:
        """Whether what was read is what there is."""
        if self.found is None or not wanted <= self.wanted:
            return False
        return self.told is None or self.told == self.found.version

    @property
    def size(self) -> int:
        """What it counts for in the budget, in bytes."""
        texts = self.found.texts.values() if self.found is not None else ()
        return _OVERHEAD_BYTES + sum(map(len, texts))


class TemplateSources:
    """See the module's docstring.

    Args:
        max_bytes: of all texts that are kept; those used longest ago make room.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._objects: dict[ObjectKey, _Kept] = {}
        self._held: OrderedDict[ObjectKey, _Kept] = OrderedDict()
        """Those with texts, the one used longest ago first."""
        self._bytes = 0
        self._used: dict[ObjectKey, tuple[ObjectKey, ...]] = {}
        self._users: dict[ObjectKey, int] = {}
        self._config_maps = 0
        self._watch: MetadataWatch | None = None
        self._began = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._tasks = TaskBag()

    # -- who uses what

    def use(self, engine: Engine, user: ObjectKey, needs: Sequence[ObjectKey]) -> None:
        """Note what an ExternalSecret uses now, and no longer what it used before; nothing for an empty list."""
        before, now = self._used.get(user, ()), tuple(needs)
        if before == now:
            return
        for need in now:
            self._users[need] = self._users.get(need, 0) + 1
            if need not in self._objects:
                self._objects[need] = _Kept()
                self._bytes += self._objects[need].size
                self._config_maps += need.kind == CONFIG_MAP
        for need in before:
            self._users[need] -= 1
            if not self._users[need]:
                del self._users[need]
                self._bytes -= self._objects.pop(need).size
                self._held.pop(need, None)
                self._config_maps -= need.kind == CONFIG_MAP
        if now:
            self._used[user] = now
        else:
            self._used.pop(user, None)
        self._follow(engine)

    def release(self, engine: Engine, user: ObjectKey) -> None:
        """An ExternalSecret is gone."""
        self.use(engine, user, ())

    def _follow(self, engine: Engine) -> None:
        """Watch ConfigMaps while there are any that are used."""
        wanted = self._config_maps > 0
        if wanted and self._watching is None:
            namespace = engine.settings.namespace
            scope = f"/namespaces/{namespace}" if namespace else ""

            def changed(change: Change, meta: ObjectMeta) -> None:
                key = ObjectKey(CONFIG_MAP, meta.namespace, meta.name)
                if self.changed(key, "" if change is Change.GONE else meta.resource_version):
                    for user in engine.books.dependents.of(key):
                        engine.queue.add(user, Lane.EVENT)

            watched = Watched(f"/api/v1{scope}/configmaps", changed, lambda: self.places(CONFIG_MAP))
            self._watch, self._began = MetadataWatch(engine.api, watched), time.monotonic()
            self._watching = self._tasks.spawn(self._watch.run(), name="watch configmaps")
        elif not wanted and self._watching is not None:
            self._watching.cancel()
            self._watch = self._watching = None

    # -- what watches tell

    def changed(self, need: ObjectKey, version: str) -> bool:
        """A watch tells of an object; whether somebody knows, or is about to know, another version.

        Args:
            version: empty where it is gone.
        """
        kept = self._objects.get(need)
        if kept is None:
            return False
        kept.told = version
        return kept.asked and (kept.found is None or kept.found.version != version)

    def uses(self, user: ObjectKey, need: ObjectKey) -> bool:
        """Whether an ExternalSecret has templates from an object."""
        return need in self._used.get(user, ())

    def places(self, kind: str) -> Iterator[tuple[str, str]]:
        """Where the objects of a kind are that somebody uses."""
        return iter([(need.namespace, need.name) for need in self._objects if need.kind == kind])

    # -- reading

    async def read(self, engine: Engine, need: ObjectKey, keys: Iterable[str]) -> TextObject:
        """The object as it is now, with the texts under these keys that there are.

        Raises:
            NotReadyError: it does not exist.
            KubeError: the API server refuses or cannot be asked.
        """
        wanted = frozenset(keys)
        kept = self._objects.get(need)
        if kept is None:  # its user was forgotten meanwhile
            return await read_texts(engine.api, need, wanted)
        async with kept.reading:
            await self._until_watched(need)
            if kept.found is not None and kept.holds(wanted) and self._is_watched(need):
                self._held.move_to_end(need)
                return kept.found
            both = wanted | kept.wanted
            self._set(need, kept, None, both)
            kept.asked, kept.told = True, None  # from now on: what a watch tells while it is read counts
            found = await read_texts(engine.api, need, both)
            self._set(need, kept, found, both)
            return found

    def _set(self, need: ObjectKey, kept: _Kept, found: TextObject | None, wanted: frozenset[str]) -> None:
        """Keep what was read, or nothing; the texts used longest ago make room."""
        if self._objects.get(need) is not kept:
            return  # nobody uses it any more
        self._bytes -= kept.size
        kept.found, kept.wanted = found, wanted
        self._bytes += kept.size
        self._held.pop(need, None)
        if found is None:
            return
        self._held[need] = kept
        # Those without texts are not passed by each time: of ten thousand objects most may be such.
        while self._bytes > self._max_bytes and len(self._held) > 1:
            _, old = self._held.popitem(last=False)
            self._bytes -= old.size
            old.found, old.wanted = None, frozenset()
            self._bytes += old.size

    def _is_watched(self, need: ObjectKey) -> bool:
        """Whether a change would be told of: not before the first list, nor while the API server refuses."""
        if need.kind != CONFIG_MAP:
            return True
        watch = self._watch
        if watch is None or not watch.synced.is_set():
            return False
        return time.monotonic() - watch.last_progress < 2 * SILENCE_S

    async def _until_watched(self, need: ObjectKey) -> None:
        """Give the watch of ConfigMaps a moment to begin, so that a thousand objects share what one reads."""
        watch = self._watch
        if need.kind != CONFIG_MAP or watch is None or watch.synced.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._began + FIRST_LIST_S - time.monotonic()):
                await watch.synced.wait()

    async def close(self) -> None:
        """End the watch."""
        await self._tasks.close()
