"""`python -m keyferry.testing.aws`: the AWS double as a process.

Prints one line of JSON when it is ready (`Ready`) and serves until its owner goes away (the end of
standard input, with `--owned`), SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable

import msgspec
from aiohttp import web

from keyferry.testing.aws.control import Control
from keyferry.testing.aws.front import Front
from keyferry.testing.aws.process import DEFAULT_ACCOUNT, Ready


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m keyferry.testing.aws", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, help="loopback port of the AWS endpoint; 0 for a free one"
    )
    parser.add_argument("--owned", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # moto takes these from the environment; an account or region of the user's must not leak in.
    for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
        del os.environ[name]
    asyncio.run(_serve(arguments.port, owned=arguments.owned))


async def _serve(port: int, *, owned: bool) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if owned:
        _call_at_end_of_input(lambda: loop.call_soon_threadsafe(end.set))
    front = Front(port)
    await front.start()
    token = secrets.token_urlsafe(24)
    runner = web.AppRunner(Control(front, token).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        keys = await front.door.run(front.double.administrator, DEFAULT_ACCOUNT, "aws")
        ready = Ready(
            endpoint=front.url,
            control=f"http://127.0.0.1:{runner.addresses[0][1]}",
            token=token,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
        )
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
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


if __name__ == "__main__":
    main()
