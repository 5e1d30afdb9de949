"""`python -m keyferry.testing.azure`: the Azure double as a process.

Prints one line of JSON when it is ready (`Ready`) and serves until its owner goes away (the end of standard
input, with `--owned`), SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from keyferry.testing.authority import Authority
from keyferry.testing.azure.clouds import certificate_names
from keyferry.testing.azure.control import Control
from keyferry.testing.azure.front import Front
from keyferry.testing.azure.process import Ready
from keyferry.testing.azure.world import World


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m keyferry.testing.azure", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port of all services; 0 for a free one")
    parser.add_argument("--owned", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # What it fetches (the documents of issuers) is on this machine, and no proxy of the user's is asked.
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        del os.environ[name]
    # Here and not at the owner's: an owner that is killed could not tidy up.
    with tempfile.TemporaryDirectory(prefix="keyferry-azure-") as folder:
        ca_file, authority = Path(folder) / "ca.pem", Authority()
        ca_file.write_text(authority.ca_pem)
        asyncio.run(_serve(arguments.port, authority, ca_file, owned=arguments.owned))


async def _serve(port: int, authority: Authority, ca_file: Path, *, owned: bool) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if owned:
        _call_at_end_of_input(lambda: loop.call_soon_threadsafe(end.set))
    world = World()
    front = Front(world, authority.server_context(certificate_names()), port)
    await front.start()
    token = secrets.token_urlsafe(24)
    runner = web.AppRunner(Control(front, token).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready = Ready(
            port=front.port,
            machine=f"http://127.0.0.1:{front.machine_port}",
            proxy=front.proxy.url,
            identity_header=world.machine.header,
            ca_pem=authority.ca_pem,
            ca_file=str(ca_file),
            control=f"http://127.0.0.1:{runner.addresses[0][1]}",
            token=token,
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
