"""Vault's HTTP API as tests speak it: plain requests, so that no SDK is trusted to be right about itself."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import weakref
from typing import Any, Final
from urllib.parse import quote, urlsplit

TIMEOUT_S: Final = 60.0


class VaultRefused(Exception):
    """Vault says no.

    Attributes:
        status: of the answer.
        errors: what it says.
    """

    def __init__(self, method: str, path: str, status: int, errors: list[str]) -> None:
        super().__init__(f"{method} {path}: {status} {'; '.join(errors)}".rstrip())
        self.status = status
        self.errors = errors


class Api:
    """Requests to one Vault, with one token. Usable from several threads.

    Args:
        url: the server's.
        ca_pem: its certificate authority.
        token: sent with each request; empty for none.
        namespace: sent with each request; empty for none.
    """

    def __init__(self, url: str, ca_pem: str, token: str = "", *, namespace: str = "") -> None:
        self.url = url
        self.ca_pem = ca_pem
        self.token = token
        self.namespace = namespace
        self._context = ssl.create_default_context(cadata=ca_pem)
        self._lock = threading.Lock()
        self._connection: http.client.HTTPSConnection | None = None

    def with_token(self, token: str) -> Api:
        """The same for another token."""
        return Api(self.url, self.ca_pem, token, namespace=self.namespace)

    def request(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer's document; empty where it has none.

        Args:
            method: also LIST.
            path: below `/v1/`; with a query where it has one.
            body: goes as JSON.
            headers: more of them.

        Raises:
            VaultRefused: by status.
        """
        status, content = self.send(method, path, body, headers=headers)
        document = json.loads(content) if content else {}
        answered: dict[str, Any] = document if isinstance(document, dict) else {}
        if status >= 400:
            raise VaultRefused(method, path, status, [str(text) for text in answered.get("errors") or []])
        return answered

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer, whatever they are."""
        sent = {"X-Vault-Request": "true", "Content-Type": "application/json", **(headers or {})}
        if self.token:
            sent["X-Vault-Token"] = self.token
        if self.namespace:
            sent["X-Vault-Namespace"] = self.namespace
        content = None if body is None else json.dumps(body).encode()
        with self._lock:
            for again in (True, False):
                connection = self._connected()
                try:
                    connection.request(method, f"/v1/{quote(path, safe='/?=&%')}", content, sent)
                    answer = connection.getresponse()
                    return answer.status, answer.read()
                except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError):
                    self._close()  # an idle connection that the server has ended
                    if not again:
                        raise
                except BaseException:
                    self._close()
                    raise
        raise AssertionError("not reached")

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._close()

    def _connected(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            where = urlsplit(self.url)
            self._connection = http.client.HTTPSConnection(
                where.hostname or "", where.port, timeout=TIMEOUT_S, context=self._context
            )
            weakref.finalize(self, self._connection.close)  # so that nobody has to close one of these
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
