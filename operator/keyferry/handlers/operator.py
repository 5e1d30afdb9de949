"""Running kopf: registry, settings, session, and starting it again where it gives up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final

import kopf

from keyferry.aio import TaskBag, unless
from keyferry.handlers import inline
from keyferry.handlers.session import WatchSigns, kopf_session
from keyferry.handlers.settings import EndlessBackoff, watch_only_settings
from keyferry.handlers.watch import Observe, register
from keyferry.kube.config import ClusterConfig
from keyferry.kube.watch import SILENCE_S

log = logging.getLogger(__name__)

_CALM_S: Final = 60.0
"""A run of kopf that lasted so long was well: the next pause is a short one."""
_WATCHER: Final = "watcher for "
"""How the names of kopf's tasks begin that watch a resource."""
_ORPHAN_S: Final = 2.0
"""A watcher of kopf's waits up to a second (`exit_timeout`) for events that are still being handled."""
_ORPHAN_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Watching:
    """What kopf is to watch, and for whom.

    Args:
        plurals: the resources.
        namespace: the only namespace; empty for all.
        observe: takes each event.
        known: what is known of a kind, to tell what vanished.
        listed: called with a plural when everything there is of it has been told; again after each relist.
        relisted: called with a plural in its stead after a relist on the public path, which does not tell
            what vanished meanwhile.
        served: waits until the API server serves all resources: kopf looks for them once.
        take_signals: called when kopf has installed its signal handlers, to install ours over them.
        prefer_inline: use the shorter path where this kopf fits.
        silence_s: a stream that says nothing for so long is dead.
    """

    plurals: list[str]
    namespace: str
    observe: Observe
    known: inline.Known
    listed: Callable[[str], None]
    relisted: Callable[[str], None]
    served: Callable[[], Coroutine[Any, Any, None]]
    take_signals: Callable[[], None]
    prefer_inline: bool = True
    silence_s: float = SILENCE_S


class Watches:
    """kopf, run for us.

    Args:
        config: the API server, and who we are there.
        watching: see `Watching`.
    """

    def __init__(self, config: ClusterConfig, watching: Watching) -> None:
        self._config = config
        self._watching = watching
        self._listed: set[str] = set()
        self._inline = False
        self.signs = WatchSigns(watching.plurals, self._list_is_complete)
        """Signs of life, for the watchdog."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run kopf until `stop`; start it anew where it ends by itself."""
        restore = self._install_inline()
        _overlook_failures_of_watchers()
        pauses = iter(EndlessBackoff())
        tasks = TaskBag()
        try:
            while not stop.is_set():
                began = asyncio.get_running_loop().time()
                try:
                    await self._run_once(stop, tasks)
                except Exception as error:  # noqa: BLE001 - kopf dies of many things, and none may end us
                    log.warning("the watches ended (%s), starting them anew", type(error).__name__)
                if asyncio.get_running_loop().time() - began > _CALM_S:
                    pauses = iter(EndlessBackoff())
                await unless(stop, asyncio.sleep(next(pauses)))
        finally:
            restore()
            await tasks.close()

    async def _run_once(self, stop: asyncio.Event, tasks: TaskBag) -> None:
        await unless(stop, self._watching.served())
        if stop.is_set():
            return
        # kopf's own flag: set at the end of this run in any case, so that no waiter of kopf's stays behind.
        flag = asyncio.Event()
        forwarding = tasks.spawn(_forward(stop, flag), name="stop kopf")
        try:
            spawned = await kopf.spawn_tasks(
                registry=self._registry(),
                settings=watch_only_settings(self._watching.silence_s),
                standalone=True,
                clusterwide=not self._watching.namespace,
                namespaces=[self._watching.namespace] if self._watching.namespace else [],
                stop_flag=flag,
            )
            # kopf would end everything at once on a signal; ours lets the work under way end first.
            self._watching.take_signals()
            await kopf.run_tasks(spawned, ignored=_EVERYTHING)
        finally:
            flag.set()
            forwarding.cancel()
            await _end_orphans()

    def _install_inline(self) -> Callable[[], None]:
        watching = self._watching
        misfit = inline.fits() if watching.prefer_inline else "asked not to use another"
        if misfit:
            log.info("events come by kopf's public path: %s", misfit)
            return lambda: None
        self._inline = True
        return inline.install(watching.observe, watching.known, watching.listed)

    def _list_is_complete(self, plural: str) -> None:
        """A list in pages has come to its end. The inline path tells of its lists itself."""
        if self._inline:
            return
        if plural in self._listed:
            self._watching.relisted(plural)
        self._listed.add(plural)
        self._watching.listed(plural)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            return kopf_session(self._config, self.signs)

        register(registry, self._watching.plurals, self._watching.observe)
        return registry


class _Everything(Collection[Any]):
    """What kopf may not touch at its end: all that runs besides its own root tasks.

    It would wait for every task of the loop that is younger than itself, and then cancel it: reads of
    stores under way, reconciles, the very task that stops it.
    """

    def __contains__(self, task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


_EVERYTHING: Final = _Everything()


def _overlook_failures_of_watchers() -> None:
    """Tell no more of kopf's watchers that nobody has taken notice of their failure.

    kopf tells of each failure itself, takes notice of the first, and dies of it. For the loop's whole life:
    the others are complained of when their memory is freed, which may be at the very end.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task = context.get("future")
        if isinstance(task, asyncio.Task) and task.get_name().startswith(_WATCHER):
            return
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(tell)


async def _end_orphans() -> None:
    """End the watchers that kopf leaves behind when it dies of a failure of one of them.

    They would try for ever with a connection that has been closed, and cannot even be ended by ending all
    tasks at once, as a loop does at its end: kopf takes the end of the task that tells a watcher to pause for
    a reason to go on. So these alone; each ends its own helpers.
    """
    orphans = {task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCHER)}
    for _ in range(_ORPHAN_TRIES):
        for task in orphans:
            task.cancel()
        if orphans:
            _, orphans = await asyncio.wait(orphans, timeout=_ORPHAN_S)
    if orphans:
        log.warning("%d watches of kopf's do not end", len(orphans))


async def _forward(stop: asyncio.Event, flag: asyncio.Event) -> None:
    await stop.wait()
    flag.set()
