"""A front before a real Vault: it passes on what no fault strikes, and remembers what was asked."""

from __future__ import annotations

import http.client
import threading
from typing import Final
from urllib.parse import urlsplit

from keyferry.testing.authority import Authority
from keyferry.testing.vault.front import Front, Request, Response

TIMEOUT_S: Final = 60.0
_OWN: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "accept-encoding"})


class VaultProxy(Front):
    """See the module's docstring. TLS ends here: a client certificate does not reach Vault.

    Args:
        upstream: Vault's address.
        authority: signed Vault's certificate, and signs this one's.
    """

    def __init__(self, upstream: str, authority: Authority) -> None:
        super().__init__(authority)
        self._where = urlsplit(upstream)
        self._trust = authority.client_context()
        self._own = threading.local()

    def answer(self, request: Request) -> Response:
        """What Vault answers."""
        headers = {name: value for name, value in request.headers.items() if name not in _OWN}
        for again in (True, False):
            connection = self._connection()
            try:
                connection.request(request.method, request.target, request.body or None, headers)
                answer = connection.getresponse()
                return Response(answer.status, answer.read(), dict(answer.headers))
            except (ConnectionError, http.client.HTTPException):
                self.gone()  # an idle one that Vault has ended
                if not again:
                    raise
        raise AssertionError("not reached")

    def gone(self) -> None:
        """End this thread's connection to Vault."""
        connection: http.client.HTTPSConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            self._own.connection = None
            connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        """The one of this thread, which serves one client's connection."""
        connection: http.client.HTTPSConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(
                self._where.hostname or "", self._where.port, timeout=TIMEOUT_S, context=self._trust
            )
            self._own.connection = connection
        return connection
