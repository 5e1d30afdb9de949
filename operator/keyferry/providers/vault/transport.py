"""The SDK behind one door: hvac, over a session whose connections are guarded. Imported when Vault is first asked.

What a name resolves to is checked right before connecting, and the connection goes to the very address that was
checked. No redirect is followed, no cookie kept, no `~/.netrc` read, no compressed body taken; proxies come from
the operator's environment alone. hvac neither retries nor waits.
"""

from __future__ import annotations

import contextvars
import http.cookiejar
import json
import socket
import ssl
import time
from typing import Any, Final

import requests
import requests.exceptions
import requests.utils
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from hvac.adapters import RawAdapter
from hvac.exceptions import VaultError
from requests.adapters import HTTPAdapter

from keyferry import __version__
from keyferry.core.addresses import AddressPolicy
from keyferry.providers.outgoing import UNKNOWN_S, Address
from keyferry.providers.vault.call import CONNECT_S, MAX_BODY_BYTES, READ_S, Call, Reply, TooMuch

_call: Final[contextvars.ContextVar[Call]] = contextvars.ContextVar("vault_call")
_CHUNK: Final = 65536
_LONGEST_REFUSAL: Final = 1 << 20
"""More than Vault says with any refusal, metadata of a deleted version included."""
_KEEP_ALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]


class Transport:
    """Connections to one server, with one trust and one client certificate. Used in threads.

    Args:
        server: its address.
        addresses: what may be connected to.
        tls: whom to believe, and what to show; the system's authorities if None.
        threads: how many calls at once.
    """

    def __init__(
        self, server: Address, addresses: AddressPolicy, tls: ssl.SSLContext | None, threads: int
    ) -> None:
        self._base, self._host, self._field = server.base, server.host, server.field
        self._addresses = addresses
        self._unknown_until = 0.0
        # Once: to look through all of the environment at each call costs a fifth of it.
        self._proxies = requests.utils.get_environ_proxies(self._base)
        self._session = session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        session.headers.update({"User-Agent": f"keyferry/{__version__}", "Accept-Encoding": "identity"})
        adapter = _Guarded(self, tls or ssl.create_default_context(), threads)
        session.mount("https://", adapter)
        session.mount("http://", adapter)

    def send(self, call: Call) -> Reply:
        """Ask, and wait for the answer.

        Raises:
            ForbiddenError: the name leads to an address that may not be connected to.
            Exception: those of hvac, requests and urllib3.
        """
        _call.set(call)
        if self._proxies:
            # The proxy resolves the name. Where we can resolve it too, what it stands for is checked.
            self._look_up()
        adapter = RawAdapter(
            base_uri=self._base,
            token=call.token.reveal().decode() if call.token is not None else None,
            namespace=call.namespace or None,
            timeout=(CONNECT_S, READ_S),  # type: ignore[arg-type,unused-ignore] # requests takes a pair
            proxies=self._proxies,
            allow_redirects=False,
            session=self._session,
        )
        method, params, headers = call.method, [*call.params], dict(call.headers)
        if method == "LIST":
            method, params = "GET", [*params, ("list", "true")]  # as every proxy lets through
        further: dict[str, Any] = {}
        if call.body is not None:
            further["data"] = call.body
            headers["Content-Type"] = "application/json"
        try:
            response = adapter.request(
                method.lower(),
                f"/v1/{call.path}",
                headers=headers,
                params=params,
                raise_exception=False,
                **further,
            )
        finally:
            call.hold(None)
        if not response.ok:
            raise _refusal(response)
        return Reply(response.status_code, call.answer_headers, response.content)

    def _look_up(self) -> None:
        """Check what the name stands for. Behind proxies there is often nobody to ask, and that takes long."""
        if self._unknown_until > time.monotonic():
            return
        try:
            found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            self._unknown_until = time.monotonic() + UNKNOWN_S
            return
        self._addresses.check_resolved({str(entry[4][0]) for entry in found}, self._host, self._field)

    def connect(self, host: str, port: int | None, timeout_s: float) -> socket.socket:
        """A connection to the first checked address that takes one.

        Raises:
            ForbiddenError: one of the addresses may not be connected to.
            OSError: none takes one.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._addresses.check_resolved([str(entry[4][0]) for entry in found], self._host, self._field)
        last: OSError = OSError("the name stands for nothing")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in _KEEP_ALIVE:
                    sock.setsockopt(*option)
                sock.settimeout(timeout_s)
                _call.get().hold(sock)
                sock.connect(address)
            except OSError as error:
                sock.close()
                last = error
            else:
                return sock
        raise last

    def close(self) -> None:
        """End all connections."""
        self._session.close()


class _Guarded(HTTPAdapter):
    """Connects through the transport, and reads bodies no further than allowed."""

    def __init__(self, transport: Transport, tls: ssl.SSLContext, threads: int) -> None:
        self._transport = transport
        self._tls = tls
        super().__init__(pool_connections=2, pool_maxsize=threads, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        super().init_poolmanager(connections, maxsize, block=block, **more)
        self.poolmanager.pool_classes_by_scheme = _pools(self._transport)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = _pools(None)
        return manager

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        cert: Any = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._tls}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the session's context knows whom to believe, and the SDK would add authorities of its own."""

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        call = _call.get()
        response = super().send(request, *args, **(more | {"stream": True}))
        call.answer_headers = {name.lower(): value for name, value in response.headers.items()}
        call.status = response.status_code
        # A redirect is an answer like others; without its target nothing in the SDK looks at it.
        response.headers.pop("Location", None)
        response.encoding = "utf-8"  # else the SDK guesses, which takes long
        response._content = _read(response, call)  # noqa: SLF001 - the one way to give it a body
        return response


def _refusal(response: requests.Response) -> VaultError:
    """The SDK's exception for an answer that is no success. The SDK itself takes any JSON for an object of Vault's."""
    error = VaultError.from_status(response.status_code)
    try:
        error.json = json.loads(response.content) if len(response.content) <= _LONGEST_REFUSAL else None
    except (ValueError, RecursionError):
        error.json = None
    return error


def _read(response: requests.Response, call: Call) -> bytes:
    """The whole body.

    Raises:
        TooMuch: it is longer than allowed.
        requests.exceptions.RequestException: it cannot be read.
    """
    try:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise requests.exceptions.ContentDecodingError
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise TooMuch
            if time.monotonic() > call.deadline:
                raise requests.exceptions.ReadTimeout
    except BaseException:
        response.close()
        raise
    return bytes(body)


def _pools(transport: Transport | None) -> dict[str, type[urllib3.connectionpool.HTTPConnectionPool]]:
    """The SDK's connection pools with our connections; without a transport those to a proxy."""

    class _Held:
        """Tells the call which socket it uses, so that it can be ended from outside."""

        def request(self, *args: Any, **more: Any) -> Any:
            _call.get().hold(getattr(self, "sock", None))
            return super().request(*args, **more)  # type: ignore[misc]

        def connect(self) -> None:
            super().connect()  # type: ignore[misc]
            _call.get().hold(getattr(self, "sock", None))

    class _Direct(_Held):
        def _new_conn(self) -> socket.socket:
            if transport is None:
                sock: socket.socket = super()._new_conn()  # type: ignore[misc]
                _call.get().hold(sock)
                return sock
            connection: Any = self
            try:
                return transport.connect(connection._dns_host, connection.port, CONNECT_S)  # noqa: SLF001 - the name as it is resolved
            except socket.gaierror as error:
                raise urllib3.exceptions.NameResolutionError(connection.host, connection, error) from error
            except TimeoutError as error:
                raise urllib3.exceptions.ConnectTimeoutError(connection, "timed out") from error
            except OSError as error:
                raise urllib3.exceptions.NewConnectionError(connection, "not connected") from error

    class _Plain(_Direct, urllib3.connection.HTTPConnection):
        pass

    class _Secure(_Direct, urllib3.connection.HTTPSConnection):
        pass

    class _PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = _Plain

    class _SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = _Secure

    return {"http": _PlainPool, "https": _SecurePool}
