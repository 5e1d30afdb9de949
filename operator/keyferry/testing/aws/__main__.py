"""`python -m keyferry.testing.aws`: the AWS double as a process.

Prints one line of JSON when it is ready (`Ready`) and serves until its owner goes away (the end of
standard input, with `--owned`), SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

from keyferry.testing.aws.control import Control
from keyferry.testing.aws.front import Front
from keyferry.testing.aws.process import DEFAULT_ACCOUNT, Ready
from keyferry.testing.owned.serve import serve


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
    front = Front(port)

    async def ready(control: str, token: str) -> Ready:
        keys = await front.door.run(front.double.administrator, DEFAULT_ACCOUNT, "aws")
        return Ready(
            endpoint=front.url,
            control=control,
            token=token,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
        )

    await serve(front, lambda token: Control(front, token), ready, owned=owned)


if __name__ == "__main__":
    main()
