"""The ways to servers: connections and threads, shared by all identities that ask the same server alike."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from keyferry.aio import ThreadDoor
from keyferry.clientcert import ClientCertificateError, load_client_certificate
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import KeyferryError, NotAvailableError, SpecError
from keyferry.providers.trust import context_of
from keyferry.providers.vault.answers import Answer, answer_of
from keyferry.providers.vault.call import TOTAL_S, Call
from keyferry.providers.vault.errors import Asked, translated
from keyferry.providers.vault.identity import VaultIdentity

if TYPE_CHECKING:
    from keyferry.providers.vault.transport import Transport

P = ParamSpec("P")
T = TypeVar("T")

CALLS_PER_IDENTITY: Final = 8
THREADS: Final = 2 * CALLS_PER_IDENTITY
"""Threads per server. More than one identity can hold: a store whose calls hang leaves room for others."""


class Way:
    """The way to one server. Made by `Ways.open`.

    Args:
        identity: whose server, trust and client certificate count.
        addresses: what may be connected to.
    """

    def __init__(self, identity: VaultIdentity, addresses: AddressPolicy) -> None:
        self.key = identity.way
        self.users = 0
        self._identity = identity
        self._addresses = addresses
        self._door = ThreadDoor("vault", THREADS)
        self._starting = threading.Lock()
        self._transport: Transport | None = None

    async def send(self, call: Call, asked: Asked) -> Answer:
        """Ask, in a thread, and wait for the answer.

        Raises:
            KeyferryError: there is none, it is a refusal, or it cannot be read.
        """
        ending = asyncio.get_running_loop().call_later(TOTAL_S, call.end)
        try:
            outcome = await self._door.run(self._carry, call, asked)
        except asyncio.CancelledError:
            call.end()
            raise
        finally:
            ending.cancel()
        if isinstance(outcome, KeyferryError):
            raise outcome
        return outcome

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in one of the threads: the event loop has others to serve.

        Raises:
            Exception: whatever the function raises.
        """
        return await self._door.run(function, *args, **kwargs)

    def _carry(self, call: Call, asked: Asked) -> Answer | KeyferryError:
        """The answer, or our error for why there is none.

        Returned and not raised: the SDK's exceptions hold the request, and with it a token.
        """
        try:
            return answer_of(self._started().send(call), asked)
        except Exception as error:  # noqa: BLE001 - told, or raised again if it is a bug
            return translated(error, asked, call)

    def _started(self) -> Transport:
        with self._starting:
            if self._transport is None:
                with _importing_sdk(self._identity.product):
                    from keyferry.providers.vault.transport import Transport
                self._transport = Transport(self._identity.server, self._addresses, self._context(), THREADS)
            return self._transport

    def _context(self) -> ssl.SSLContext | None:
        """Whom to believe, and what to show.

        Raises:
            SpecError: authorities or certificate cannot be used.
        """
        identity = self._identity
        context = context_of(identity.ca, f"{identity.path}.caBundle")
        shown = identity.certificate
        if shown is None:
            return context
        context = context or ssl.create_default_context()
        try:
            load_client_certificate(context, shown.certificate, shown.key.reveal())
        except ClientCertificateError as error:
            raise SpecError(
                f"{identity.path}: the client certificate cannot be used: {error}",
                hint="Certificate and private key must be PEM, belong together, and have no password",
            ) from None
        return context

    def close(self) -> None:
        """Let go of threads and connections."""
        self._door.close()
        if self._transport is not None:
            self._transport.close()


class Ways:
    """The ways that are in use.

    Args:
        addresses: what may be connected to.
    """

    def __init__(self, addresses: AddressPolicy) -> None:
        self._addresses = addresses
        self._ways: dict[tuple[str, bytes, bytes], Way] = {}

    def open(self, identity: VaultIdentity) -> Way:
        """The way of an identity, shared by all that open it. Nobody is asked yet."""
        way = self._ways.get(identity.way)
        if way is None:
            way = self._ways[identity.way] = Way(identity, self._addresses)
        way.users += 1
        return way

    async def release(self, way: Way) -> None:
        """Its user needs it no more."""
        way.users -= 1
        if not way.users and self._ways.get(way.key) is way:
            del self._ways[way.key]
            way.close()

    def close(self) -> None:
        """Let go of all of them."""
        for way in self._ways.values():
            way.close()
        self._ways.clear()


@contextlib.contextmanager
def _importing_sdk(product: str) -> Iterator[None]:
    """Around the first import of the SDK: tell its absence as what it is.

    Raises:
        NotAvailableError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
    else:
        return
    raise NotAvailableError(
        f"{product} as a store needs the package {package}", hint="Install keyferry[vault]"
    )
