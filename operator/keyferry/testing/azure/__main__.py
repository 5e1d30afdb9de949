"""`python -m keyferry.testing.azure`: the Azure double as a process.

Prints one line of JSON when it is ready (`Ready`) and serves until its owner goes away (the end of standard
input, with `--owned`), SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

from keyferry.testing.authority import Authority
from keyferry.testing.azure.clouds import certificate_names
from keyferry.testing.azure.control import Control
from keyferry.testing.azure.front import Front
from keyferry.testing.azure.process import Ready
from keyferry.testing.azure.world import World
from keyferry.testing.owned.serve import serve


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
    world = World()
    front = Front(world, authority.server_context(certificate_names()), port)

    async def ready(control: str, token: str) -> Ready:
        return Ready(
            port=front.port,
            machine=f"http://127.0.0.1:{front.machine_port}",
            proxy=front.proxy.url,
            identity_header=world.machine.header,
            ca_pem=authority.ca_pem,
            ca_file=str(ca_file),
            control=control,
            token=token,
        )

    await serve(front, lambda token: Control(front, token), ready, owned=owned)


if __name__ == "__main__":
    main()
