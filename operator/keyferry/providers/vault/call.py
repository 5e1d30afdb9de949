"""One call to Vault: what is asked, within which limits, and how it is ended from outside."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from keyferry.secretdata import SecretBytes

CONNECT_S: Final = 5.0
READ_S: Final = 15.0
TOTAL_S: Final = 25.0
"""Longest call, from the first look-up of the name to the last byte."""
MAX_BODY_BYTES: Final = 8 << 20
"""Above what a Secret can hold, in Vault's JSON, and room for long lists."""


class TooMuch(Exception):
    """The answer is longer than any that is of use."""


@dataclass(slots=True)
class Call:
    """A call on its way. Made in the event loop, carried out in a thread.

    Args:
        path: below /v1/, as it goes over the wire.
        body: JSON; None for none.
    """

    method: str
    path: str
    token: SecretBytes | None = field(default=None, repr=False)
    namespace: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Sequence[tuple[str, str]] = ()
    body: bytes | None = field(default=None, repr=False)
    status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline: float = field(default_factory=lambda: time.monotonic() + TOTAL_S)
    ended: bool = False
    _socket: socket.socket | None = field(default=None, repr=False)

    def hold(self, sock: socket.socket | None) -> None:
        """Remember the socket that the call uses now; None once it uses none any more.

        Raises:
            TimeoutError: the call was ended meanwhile.
        """
        self._socket = sock
        if self.ended and sock is not None:
            raise TimeoutError("the call was ended")

    def end(self) -> None:
        """End the call from outside: its thread, if it waits for the server, goes on at once and fails."""
        self.ended = True
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                # Of the plain socket: an orderly end of TLS would wait for the other side.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Reply:
    """The server's answer, where it is no refusal."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
