"""Kubernetes objects as they change, with the moment at which each change arrived: the demo's stopwatch.

A watch tells the moment of a change to the millisecond, which asking again and again cannot. Nothing here
knows what the demo waits for.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from keyferry.cli.demo.failure import DemoFailed

Object = Mapping[str, Any]

CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
WAIT_S: Final = 30.0
"""Longest wait for one change. What the demo waits for takes two seconds at most."""
_AGAIN_S: Final = 0.1
LOOK_S: Final = 0.5
"""How often a wait asks whether everything still runs."""


@dataclass(frozen=True, slots=True)
class Sight:
    """An object as it was seen.

    Args:
        at: when the change arrived, in monotonic seconds.
        body: the object; None once it is gone. May hold secret values: never print it.
    """

    at: float
    body: Object | None

    def __repr__(self) -> str:
        return f"Sight(at={self.at})"


class Watch:
    """Watches some collections from now on; a context manager that ends the watches.

    Args:
        kubeconfig: one with an inline CA and a token, such as the local control plane's.
        collections: name of the collection, as `wait` takes it, to its URL path.
        check: called now and then during a wait; raises if waiting has no point any more.
    """

    def __init__(
        self, kubeconfig: Path, collections: Mapping[str, str], check: Callable[[], None] = lambda: None
    ) -> None:
        self._check = check
        self._changed = threading.Condition()
        self._seen: dict[tuple[str, str], list[Sight]] = {}
        self._ended = ""
        self._connections: list[http.client.HTTPSConnection] = []
        self._readers: list[threading.Thread] = []
        access = _Access(kubeconfig)
        try:
            for collection, path in collections.items():
                self._begin(collection, *_begin(access, collection, path))
        except BaseException:
            self.close()
            raise

    def _begin(
        self, collection: str, connection: http.client.HTTPSConnection, answer: http.client.HTTPResponse
    ) -> None:
        reader = threading.Thread(target=self._read, args=(collection, answer), daemon=True)
        self._connections.append(connection)
        self._readers.append(reader)
        reader.start()

    def _read(self, collection: str, answer: http.client.HTTPResponse) -> None:
        try:
            for line in answer:
                event = json.loads(line)
                self._note(collection, event["type"], event["object"])
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the same as an end
        finally:
            answer.close()
        with self._changed:
            self._ended = self._ended or collection
            self._changed.notify_all()

    def _note(self, collection: str, kind: str, body: Object) -> None:
        name = body.get("metadata", {}).get("name", "")
        sight = Sight(time.monotonic(), None if kind == "DELETED" else body)
        with self._changed:
            self._seen.setdefault((collection, name), []).append(sight)
            self._changed.notify_all()

    def wait(
        self,
        collection: str,
        name: str,
        condition: Callable[[Object | None], bool],
        *,
        after: float = 0.0,
        timeout_s: float = WAIT_S,
    ) -> Sight:
        """The first sight of the object, not before `after`, that fulfils the condition.

        Args:
            collection: one of those that are watched.
            name: the object's name.
            condition: asked about the object, or None where it was deleted.
            after: monotonic seconds.
            timeout_s: longest wait.

        Raises:
            DemoFailed: it does not come in time, or the watch ended.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for sight in self._seen.get((collection, name), ()):
                    if sight.at >= after and condition(sight.body):
                        return sight
                self._check()
                if self._ended:
                    raise DemoFailed(f"the watch of {self._ended} has ended")
                if time.monotonic() > deadline:
                    raise DemoFailed(
                        f'the change of "{name}" in {collection} did not come in {timeout_s:g} s'
                    )
                self._changed.wait(LOOK_S)

    def latest(self, collection: str, name: str) -> Object | None:
        """The object as it was seen last; None where there is none."""
        with self._changed:
            seen = self._seen.get((collection, name))
            return seen[-1].body if seen else None

    def all_latest(self, collection: str) -> list[Object]:
        """All objects of a collection that are there."""
        with self._changed:
            last = [seen[-1].body for (of, _), seen in sorted(self._seen.items()) if of == collection]
        return [body for body in last if body is not None]

    def close(self) -> None:
        """End the watches."""
        for connection in self._connections:
            if connection.sock is not None:
                with contextlib.suppress(OSError):  # the server was faster
                    connection.sock.shutdown(socket.SHUT_RDWR)
        for reader in self._readers:
            reader.join(CLOSE_TIMEOUT_S)
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Access:
    """How to ask the API server of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=ca_pem)
        self._address = urllib.parse.urlsplit(cluster["server"]).netloc
        token = config["users"][0]["user"]["token"]
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def connect(self) -> http.client.HTTPSConnection:
        """A connection, not open yet."""
        return http.client.HTTPSConnection(self._address, context=self._context, timeout=CONNECT_TIMEOUT_S)


def _begin(
    access: _Access, collection: str, path: str
) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
    """Begin a watch. A kind that was installed just now is answered with 429 until it can be served."""
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while True:
        connection = access.connect()
        connection.request("GET", f"{path}?watch=1", headers=access.headers)
        answer = connection.getresponse()
        if answer.status == 200:
            if connection.sock is not None:
                connection.sock.settimeout(None)
            return connection, answer
        answer.close()
        connection.close()
        if answer.status != 429 or time.monotonic() > deadline:
            raise DemoFailed(f"the API server refuses to watch {collection}: {answer.status}")
        time.sleep(_AGAIN_S)
