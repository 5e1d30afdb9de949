"""A loopback port that can refuse connections for a while and still be ours.

Both doubles use it to play an outage: while it refuses, the port is bound and not listened on, so that
clients see "connection refused" and no other process can take it.
"""

from __future__ import annotations

import socket
import ssl

from aiohttp import web


class HeldPort:
    """A port on 127.0.0.1 for one application runner.

    Args:
        runner: the application, already set up.
        port: the port; 0 for a free one.
        tls: certificate and key; None for plain HTTP.
    """

    def __init__(self, runner: web.AppRunner, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self._runner = runner
        self._tls = tls
        self._site: web.SockSite | None = None
        self.port = port
        self._socket = self._bind()

    async def open(self) -> None:
        """Listen, if it does not yet."""
        if self._site is None:
            self._site = web.SockSite(self._runner, self._socket, ssl_context=self._tls, backlog=1024)
            await self._site.start()

    async def refuse(self) -> None:
        """Listen no more, and cut what is open."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
            self._socket = self._bind()
        self.cut_connections()

    def cut_connections(self) -> int:
        """Cut all open connections without a word; how many there were."""
        server = self._runner.server
        open_ones = [one for one in (server.connections if server else []) if one.transport is not None]
        for connection in open_ones:
            if connection.transport is not None:
                connection.transport.abort()
        return len(open_ones)

    def close(self) -> None:
        """Let go of the port. The runner's cleanup ends the listening."""
        self._socket.close()

    def _bind(self) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", self.port))
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        return bound
