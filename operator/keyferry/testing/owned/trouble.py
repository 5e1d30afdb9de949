"""What a fault does to the connection and the body, whatever the service is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import web

_ENDLESS_CHUNK: Final = b" " * 65536
"""White space: JSON and XML parsers wait for more of it."""


def cut(request: web.Request) -> web.Response:
    """End the connection; what is returned goes nowhere."""
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


async def broken_body(
    request: web.Request, begin: bytes, content_type: str, endless: asyncio.Event | None
) -> web.StreamResponse:
    """A success whose body ends within, or never.

    Args:
        begin: of the body.
        endless: ends a body that does not end by itself; None for one that is cut at once.
    """
    response = web.StreamResponse(headers={"Content-Type": content_type})
    if endless is None:
        response.content_length = 4096
    await response.prepare(request)
    await response.write(begin)
    with contextlib.suppress(ConnectionError):
        while endless is not None and not endless.is_set():
            if request.transport is None or request.transport.is_closing():
                break  # over TLS, writing to a lost connection neither fails nor waits
            await response.write(_ENDLESS_CHUNK)
            await asyncio.sleep(0)
    cut(request)
    return response
