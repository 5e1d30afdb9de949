"""A double's process, from within: it says that it is ready, and serves until its owner goes away."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from aiohttp import web

from keyferry.testing.owned.control import ControlApi


class _Front(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def serve(
    front: _Front,
    control: Callable[[str], ControlApi],
    ready: Callable[[str, str], Awaitable[msgspec.Struct]],
    *,
    owned: bool,
) -> None:
    """Serve until SIGTERM, Ctrl-C or, if it is owned, the end of standard input.

    Args:
        front: the services.
        control: makes the control API for a token.
        ready: what is said when all is served, of the control API's address and that token.
    """
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if owned:
        _call_at_end_of_input(lambda: loop.call_soon_threadsafe(end.set))
    await front.start()
    token = secrets.token_urlsafe(24)
    runner = web.AppRunner(control(token).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        said = await ready(f"http://127.0.0.1:{runner.addresses[0][1]}", token)
        sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
        sys.stdout.flush()
        await end.wait()
    finally:
        await runner.cleanup()
        await front.stop()


def _call_at_end_of_input(ended: Callable[[], object]) -> None:
    def watch() -> None:
        # Not sys.stdin: a thread within its lock would disturb the interpreter's end.
        while os.read(0, 4096):
            pass
        ended()

    threading.Thread(target=watch, name="owner-watch", daemon=True).start()
