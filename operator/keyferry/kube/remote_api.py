"""The operator's HTTP client at other API servers, as somebody else.

Tenants choose the address. It is checked as it is written, and for what its name stands for whenever a
connection is made; answers are bounded; nothing of their text is repeated; nothing is tried again in line.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from keyferry import __version__
from keyferry.clientcert import ClientCertificateError, load_client_certificate
from keyferry.clusters import Bearer, ClusterTarget
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import (
    KubeError,
    KubeMalformed,
    KubeNotFound,
    KubeUnavailable,
    KubeUnresolved,
    KubeUntrusted,
    after,
)
from keyferry.kube.client import CONNECT_TIMEOUT_S, ERRORS, JSON, KubeApi, unreachable
from keyferry.kube.config import ClusterConfig
from keyferry.kube.pace import Pace

TIMEOUT_S: Final = 25.0
MAX_BODY_BYTES: Final = 8 << 20
"""Most of an answer: a Secret has at most 1.5 MiB, which are 2 MiB in base64."""
CONNECTIONS: Final = 16
"""Most requests at once to one server, watches apart."""


class TooLongError(KubeMalformed):
    """An answer is longer than any that is read."""

    def __init__(self) -> None:
        super().__init__(f"the API server's answer has more than {MAX_BODY_BYTES >> 20} MiB")


class _Details(msgspec.Struct, rename="camel"):
    name: str = ""
    kind: str = ""
    retry_after_seconds: int = 0


class _Status(msgspec.Struct):
    """Kubernetes API reference, Status v1 meta."""

    kind: str = ""
    reason: str = ""
    details: _Details | None = None


_STATUS: Final = msgspec.json.Decoder(_Status)


class Pool:
    """Connections to one server, for all who ask it by the same TLS settings.

    Args:
        config: where, and whom to believe.
        target: the first who asks.
        addresses: what may be connected to.

    Raises:
        KubeError: CA or client certificate cannot be used.
        ForbiddenError: the server may not be connected to.
    """

    def __init__(self, config: ClusterConfig, target: ClusterTarget, addresses: AddressPolicy) -> None:
        self.config = config
        self.users = 0
        self.pace = Pace(CONNECTIONS)
        self._host = urlsplit(config.server).hostname or ""
        self._is_own = not target.server
        self._field = target.field
        self._addresses = addresses
        self._proxy = config.proxy_url()
        if not self._is_own:
            addresses.check_host(self._host, self._field)
        tls = _tls(config, target)
        self.session = self._new_session(tls, CONNECTIONS)
        # Watches live long: they must not take connections away from requests.
        self.streams = self._new_session(tls, 0)

    def _new_session(self, tls: ssl.SSLContext | None, limit: int) -> aiohttp.ClientSession:
        guarded = not self._is_own and self._proxy is None
        connector = aiohttp.TCPConnector(
            limit=limit,
            ssl=tls if tls is not None else True,
            resolver=_Guarded(self._addresses, self._field) if guarded else None,
            keepalive_timeout=60,
        )
        return aiohttp.ClientSession(
            connector=connector,
            # No compressed answers: how long they are would be seen too late.
            headers={"User-Agent": f"keyferry/{__version__}", "Accept": JSON, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._proxy,
            auto_decompress=False,
            trust_env=False,
        )

    async def check(self) -> None:
        """Where a proxy resolves the server's name: check what it stands for, as far as that can be told here.

        Raises:
            ForbiddenError: an address that may not be connected to.
        """
        if self._proxy is None or self._is_own:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        self._addresses.check_resolved({str(entry[4][0]) for entry in found}, self._host, self._field)

    async def close(self) -> None:
        """End all connections."""
        await self.session.close()
        await self.streams.close()


@functools.cache
def _system() -> ssl.SSLContext:
    """The system's authorities: a megabyte, once for all who say nothing else."""
    return ssl.create_default_context()


def _tls(config: ClusterConfig, target: ClusterTarget) -> ssl.SSLContext | None:
    pair = target.certificate
    if target.server and not config.ca_pem and pair is None:
        return _system()
    tls = config.ssl_context()
    if tls is None or pair is None:
        return tls
    try:
        load_client_certificate(tls, pair.certificate, pair.key.reveal())
    except ClientCertificateError as error:
        why = str(error)
    else:
        return tls
    raise KubeError(f"the client certificate cannot be used: {why}")


class _Guarded(AbstractResolver):
    """Resolves names, and lets only addresses through that may be connected to."""

    def __init__(self, addresses: AddressPolicy, field: str) -> None:
        self._addresses = addresses
        self._field = field
        self._resolver: AbstractResolver | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._resolver is None:
            self._resolver = aiohttp.ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        self._addresses.check_resolved([entry["host"] for entry in found], host, self._field)
        return found

    async def close(self) -> None:
        if self._resolver is not None:
            await self._resolver.close()


class RemoteApi(KubeApi):
    """See the module's docstring.

    Args:
        pool: the connections; others use them too.
        bearer: whose token is shown; None where the certificate tells who asks.
    """

    def __init__(self, pool: Pool, bearer: Bearer | None) -> None:
        super().__init__(pool.config, pool.pace, timeout_s=TIMEOUT_S, tries=1)
        self._pool = pool
        self._bearer = bearer

    async def open(self) -> None:
        """See `KubeApi.open`."""
        if self._closed:
            raise KubeUnavailable("the connection to the API server has been closed")
        self._session, self._streams = self._pool.session, self._pool.streams

    async def close(self) -> None:
        """Use the pool no more; who made it closes it."""
        self._closed = True
        self._session = self._streams = None

    async def _authorization(self, *, fresh: bool) -> dict[str, str]:
        await self._pool.check()
        if self._bearer is None:
            return {}
        if fresh:
            self._bearer.refused()
            return {}
        token = await self._bearer.token()
        return {"Authorization": f"Bearer {token.reveal().decode('ascii')}"}

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise TooLongError
        return bytes(body)

    def _unreached(self, error: BaseException, method: str, path: str) -> KubeError:
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return KubeUntrusted("the API server's certificate is not trusted")
            case aiohttp.ClientConnectorDNSError() | socket.gaierror():
                return KubeUnresolved("the API server's name cannot be resolved")
            case aiohttp.ClientResponseError():
                return KubeMalformed("the API server's answer cannot be read")
        return unreachable(error, method, path)

    def _refused(self, status: int, text: bytes, method: str, path: str, wait_s: float = 0.0) -> KubeError:
        try:
            told = _STATUS.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = _Status()
        details = told.details if told.kind == "Status" and told.details is not None else _Details()
        message = f"the API server answered {status} to {method} {path}"
        if status == 404:
            # Whoever answers there: a missing page is no missing Secret, which may end what was made of it.
            meant = (told.reason, details.kind, details.name) == (
                "NotFound",
                "secrets",
                path.rpartition("/")[2],
            )
            return (KubeNotFound if meant else KubeMalformed)(message, status=status)
        kind = ERRORS.get(status, KubeUnavailable if status >= 500 else KubeError)
        wait_s = wait_s or details.retry_after_seconds
        retry = after(wait_s) if wait_s and kind is KubeUnavailable else None
        return kind(message, status=status, retry=retry)
