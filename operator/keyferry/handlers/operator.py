"""Running kopf: registry, settings, session, and starting it again where it gives up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import kopf

from keyferry.handlers import inline
from keyferry.handlers.session import kopf_session
from keyferry.handlers.settings import watch_only_settings
from keyferry.handlers.watch import Observe, register
from keyferry.kube.config import ClusterConfig

log = logging.getLogger(__name__)

RESTART_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Watching:
    """What kopf is to watch, and for whom.

    Args:
        plurals: the resources.
        namespace: the only namespace; empty for all.
        observe: takes each event.
        known: what is known of a kind, to tell what vanished.
        progress: called at each sign of life, with a path or plural.
        take_signals: called when kopf has installed its signal handlers, to install ours over them.
        prefer_inline: use the shorter path where this kopf fits.
    """

    plurals: list[str]
    namespace: str
    observe: Observe
    known: inline.Known
    progress: Callable[[str], None]
    take_signals: Callable[[], None]
    prefer_inline: bool = True


async def run_kopf(config: ClusterConfig, watching: Watching, stop: asyncio.Event) -> None:
    """Run kopf until `stop`; start it anew where it ends by itself."""
    restore = _install_inline(watching)
    try:
        while not stop.is_set():
            try:
                await _run_once(config, watching, stop)
            except Exception as error:  # noqa: BLE001 - kopf dies of many things, and none may end us
                log.warning("the watches ended (%s), starting them anew", type(error).__name__)
                await asyncio.sleep(RESTART_PAUSE_S)
            else:
                return
    finally:
        restore()


async def _run_once(config: ClusterConfig, watching: Watching, stop: asyncio.Event) -> None:
    ready = asyncio.Event()

    async def take_signals() -> None:
        # kopf would end everything at once on a signal; ours lets the work under way end first.
        await ready.wait()
        watching.take_signals()

    taking = asyncio.get_running_loop().create_task(take_signals(), name="take signals")
    try:
        await kopf.operator(
            registry=_registry(config, watching),
            settings=watch_only_settings(),
            standalone=True,
            clusterwide=not watching.namespace,
            namespaces=[watching.namespace] if watching.namespace else [],
            stop_flag=stop,
            ready_flag=ready,
        )
    finally:
        taking.cancel()


def _install_inline(watching: Watching) -> Callable[[], None]:
    misfit = inline.fits() if watching.prefer_inline else "asked not to"
    if misfit:
        log.info("events come by kopf's public path: %s", misfit)
        return lambda: None
    return inline.install(watching.observe, watching.known, watching.progress)


def _registry(config: ClusterConfig, watching: Watching) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf_session(config, watching.progress)

    register(registry, watching.plurals, watching.observe)
    return registry
