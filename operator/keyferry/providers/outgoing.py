"""The one way out over HTTP to addresses that tenants choose, for providers without an SDK.

An address is checked as it is written, and again for what its name resolves to at the moment of
connecting: the connection goes to the very addresses that were checked, so that a name which changes its
meaning in between helps nobody. No redirects, no cookies, no compressed bodies, limits of time and size.
Nothing of an answer is repeated in an error but its status.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import email.utils
import re
import socket
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from keyferry import __version__
from keyferry.clock import Clock
from keyferry.core.addresses import AddressPolicy, host_of
from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    ForbiddenError,
    KeyferryError,
    Malformed,
    ProviderError,
    RateLimited,
    Retry,
    SpecError,
    TimedOut,
    Unavailable,
    after,
)
from keyferry.metrics import count_provider_call

TOTAL_S: Final = 25.0
"""Longest call, from the first look-up of the name to the last byte."""
CONNECT_S: Final = 10.0
LOOK_UP_S: Final = 2.0
"""Longest look-up of a name that a proxy resolves, too."""
UNKNOWN_S: Final = 60.0
"""So long such a name is not looked up again that nobody here knows."""
_MOST_UNKNOWN: Final = 1024
MAX_BODY_BYTES: Final = 1 << 20
CONNECTIONS: Final = 512
"""So many that the silent servers of a few tenants do not use up what all share."""
CONNECTIONS_PER_HOST: Final = 8

_USER_AGENT: Final = f"keyferry/{__version__}"
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_field: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("address_field", default="the address")
"""The field that names the address, for who resolves it: the library asks for a name in the caller's context."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, checked as it is written.

    Args:
        base: scheme, host and path, without a slash at its end.
        host: the host alone.
        field: where the manifest has it, for errors.
        shown: how errors name the host, where it must not be shown itself.
    """

    base: str
    host: str
    field: str
    shown: str = ""

    def __str__(self) -> str:
        """The host, for errors."""
        return self.shown or self.host

    def refusal(self, error: ForbiddenError) -> ForbiddenError:
        """Why it may not be connected to; without its host, where that must not be shown."""
        if not self.shown:
            return error
        return ForbiddenError(f"{self.field}: {self.shown} is none that may be connected to", hint=error.hint)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a server.

    Args:
        service: how errors and metrics name it, such as "GitHub".
        call: the call's own name, for metrics; empty where the caller counts its calls itself.
        method: GET, POST or DELETE, or any other where the caller's user says so.
        path: below the address's base, as it goes over the wire.
        headers: those that prove who asks are in here.
        body: becomes JSON; bytes go as they are, and then no header is added that says what they are; None
            for none.
        tls: whom to believe; the system's authorities if None.
        timeout_s: for the whole call; `TOTAL_S` if None.
        ca_field: where the manifest may say whom to believe; empty where it cannot.
    """

    service: str
    call: str
    address: Address
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    timeout_s: float | None = None
    ca_field: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer, whatever its status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Outgoing:
    """The way out. One per process.

    Args:
        addresses: what may be connected to.
        clock: to understand moments in answers.
        per_host: most connections to one server.
    """

    def __init__(self, addresses: AddressPolicy, clock: Clock, per_host: int = CONNECTIONS_PER_HOST) -> None:
        self._addresses = addresses
        self._clock = clock
        self._per_host = per_host
        self._unknown_until: dict[str, float] = {}
        self._direct: aiohttp.ClientSession | None = None
        self._by_proxy: aiohttp.ClientSession | None = None

    def check(self, url: str, default: str, where: str) -> Address:
        """The address that a spec names, without asking anybody.

        Args:
            url: as the manifest has it, https where it names no scheme; empty for the default.
            default: the service's own address.
            where: the field.

        Raises:
            SpecError: it is no address.
            ForbiddenError: it is none that may be connected to.
        """
        text = url.strip() or default
        if "://" not in text:
            text = f"https://{text}"
        host = host_of(text, where)
        _check_parts(urlsplit(text), text, where)
        self.check_host(host, where)
        return Address(text.rstrip("/"), host, where)

    def check_host(self, host: str, where: str) -> None:
        """Check a host as it is written.

        Raises:
            ForbiddenError: it is none that may be connected to.
        """
        self._addresses.check_host(host, where)

    async def ask(self, ask: Ask) -> Reply:
        """The server's answer.

        Raises:
            ForbiddenError: its name leads to an address that may not be connected to.
            ProviderError: it cannot be reached, or gave no answer that can be read.
        """
        failure: KeyferryError
        try:
            reply = await self._ask(ask)
        except ForbiddenError as error:
            failure = ask.address.refusal(error)
        except (aiohttp.ClientError, OSError, UnicodeError, _TooMuchError) as error:
            failure = _unreached(error, ask)
        else:
            _count(ask, ok=reply.status < 400)
            return reply
        _count(ask, ok=False)
        # Raised here and not above: what the library raises may hold the request, and with it a token.
        raise failure

    async def _ask(self, ask: Ask) -> Reply:
        url = f"{ask.address.base}{ask.path}"
        _field.set(ask.address.field)
        proxy = _proxy_for(url, ask.address.host)
        if proxy is not None:
            # The proxy resolves the name. Where we can resolve it too, what it stands for is checked.
            await self._look_up(ask.address)
        session = self._session(direct=proxy is None)
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"} | dict(ask.headers)
        if proxy is not None and url.startswith("http:"):
            headers |= proxy.login  # no tunnel is asked for, so that the request itself tells who we are
        data, further = None if ask.body == b"" else ask.body, _further(ask)
        if data is not None and not isinstance(data, bytes):
            data = msgspec.json.encode(data)
            headers["Content-Type"] = "application/json"
        async with session.request(
            ask.method,
            URL(url, encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            proxy=proxy.url if proxy is not None else None,
            proxy_headers=proxy.login if proxy is not None else None,
            **further,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(65536):
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _TooMuchError
            found = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, found, bytes(body))

    async def _look_up(self, address: Address) -> None:
        """Check what a name stands for that a proxy resolves.

        Behind proxies there is often nobody here to ask, and that may take long to find out.
        """
        loop = asyncio.get_running_loop()
        if self._unknown_until.get(address.host, 0.0) > loop.time():
            return
        try:
            async with asyncio.timeout(LOOK_UP_S):
                found = await loop.getaddrinfo(address.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            if len(self._unknown_until) >= _MOST_UNKNOWN:
                self._unknown_until.clear()
            self._unknown_until[address.host] = loop.time() + UNKNOWN_S
            return
        self._addresses.check_resolved({str(entry[4][0]) for entry in found}, address.host, address.field)

    async def reach(self, address: Address, service: str) -> None:
        """Open a connection to a server, or to the proxy that leads there, and close it.

        Raises:
            ForbiddenError: its name leads to an address that may not be connected to.
            Unavailable: it cannot be reached.
        """
        probe = Ask(service, "Connect", address, "GET", "", {})
        failure: KeyferryError
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connect(address)
        except ForbiddenError as error:
            failure = address.refusal(error)
        except (OSError, UnicodeError) as error:
            failure = _unreached(error, probe)
        else:
            return
        raise failure

    async def _connect(self, address: Address) -> None:
        proxy = _proxy_for(address.base, address.host)
        if proxy is not None:
            await self._look_up(address)
            await _open([proxy.url.host or ""], proxy.url.port)
            return
        found = await asyncio.get_running_loop().getaddrinfo(address.host, None, type=socket.SOCK_STREAM)
        # To the very addresses that are checked: a second look-up might give others.
        hosts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        self._addresses.check_resolved(hosts, address.host, address.field)
        await _open(hosts, URL(address.base, encoded=True).port)

    def _session(self, *, direct: bool) -> aiohttp.ClientSession:
        found = self._direct if direct else self._by_proxy
        if found is None:
            # Without the library's own trust in the environment: it would send what ~/.netrc holds.
            found = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_Guarded(self._addresses) if direct else None,
                    use_dns_cache=not direct,
                    limit=CONNECTIONS,
                    limit_per_host=self._per_host,
                    ssl=ssl.create_default_context(),
                ),
                timeout=aiohttp.ClientTimeout(total=TOTAL_S, connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
            if direct:
                self._direct = found
            else:
                self._by_proxy = found
        return found

    def refused(self, reply: Reply, ask: Ask, *, what: str, hint: str = "") -> ProviderError:
        """The error for an answer that is no success.

        Args:
            what: was wanted, such as "a token of installation 7".
            hint: what to do where the server knows who asks, and refuses.
        """
        status, host = reply.status, ask.address
        text = f"{ask.service} at {host} refuses {what} (status {status})"
        if status == 429 or (status in (403, 503) and "retry-after" in reply.headers):
            return RateLimited(
                f"{ask.service} at {host} asks for fewer calls (status {status})",
                hint="Nothing to do now; for good, raise refreshInterval",
                retry=self.pause(reply),
            )
        if status == 401:
            return AuthFailed(text, hint=hint or "Check the credentials that the generator names")
        hint = hint or "Look at the generator's spec, and at what the server's own log tells"
        if status == 403:
            return AccessDenied(text, hint=hint)
        if 300 <= status < 400:
            return ProviderError(
                f"{ask.service} at {host} answers with a redirect (status {status}), which is not followed",
                hint=f"Set {ask.address.field} to the address that it leads to",
            )
        if status >= 500:
            return Unavailable(
                f"{ask.service} at {host} failed at its own side (status {status})",
                hint="Nothing to do here but to look at that server",
            )
        return ProviderError(text, hint=hint)

    def pause(self, reply: Reply) -> Retry | None:
        """What Retry-After asks for: seconds or a moment; None where it cannot be read."""
        text = reply.headers.get("retry-after", "")
        if re.fullmatch(r"[0-9]{1,9}", text):
            return after(float(text))
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        return after(max(0.0, (_aware(moment) - self._clock.now()).total_seconds()))

    async def close(self) -> None:
        """End all connections."""
        for session in (self._direct, self._by_proxy):
            if session is not None:
                await session.close()
        self._direct = self._by_proxy = None


def decoded(reply: Reply, ask: Ask, type_: Any) -> Any:
    """A successful answer as its type.

    Raises:
        Malformed: it is something else.
    """
    try:
        return msgspec.json.decode(reply.body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        failure = unreadable(ask)
    # Raised here and not above: the decoder's error may quote the answer, which holds a token.
    raise failure


def unreadable(ask: Ask) -> Malformed:
    """The answer is not what the API promises."""
    return Malformed(
        f"{ask.service} at {ask.address} gave an answer that cannot be read",
        hint=f"Check {ask.address.field}: something else than {ask.service} may answer there",
    )


class _TooMuchError(Exception):
    """The answer is longer than any that the API gives."""


@dataclass(frozen=True, slots=True)
class _Proxy:
    url: URL
    login: dict[str, str] = field(repr=False)


class _Guarded(AbstractResolver):
    """Resolves names, and lets only addresses through that may be connected to."""

    def __init__(self, addresses: AddressPolicy) -> None:
        self._addresses = addresses
        self._resolver: AbstractResolver | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._resolver is None:
            self._resolver = aiohttp.ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        self._addresses.check_resolved([entry["host"] for entry in found], host, _field.get())
        return found

    async def close(self) -> None:
        if self._resolver is not None:
            await self._resolver.close()


def _check_parts(parts: SplitResult, text: str, where: str) -> None:
    if parts.scheme.lower() not in ("https", "http"):
        raise SpecError(f"{where} must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise SpecError(f"{where} must not hold credentials", hint="Keep them in a Secret, and name it")
    try:
        URL(text, encoded=True)
    except ValueError:
        raise SpecError(f"{where} is not an address that can be read") from None
    if parts.query or parts.fragment or "?" in text or "#" in text or _CONTROL.search(text):
        raise SpecError(f"{where} must be an address without query and fragment")


def _proxy_for(url: str, host: str) -> _Proxy | None:
    """The proxy that the operator's environment names for an address."""
    found = urllib.request.getproxies().get(urlsplit(url).scheme)
    if not found or urllib.request.proxy_bypass(host):
        return None
    proxy = URL(found if "://" in found else f"http://{found}")
    login = {}
    if proxy.user:
        pair = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        login = {"Proxy-Authorization": f"Basic {pair}"}
    return _Proxy(proxy.with_user(None), login)


def _further(ask: Ask) -> dict[str, Any]:
    """What the library is told only where the question says so."""
    further: dict[str, Any] = {}
    if isinstance(ask.body, bytes):
        further["skip_auto_headers"] = ("Accept", "Content-Type")
    if ask.tls is not None:
        further["ssl"] = ask.tls
    if ask.timeout_s is not None:
        connect_s = min(CONNECT_S, ask.timeout_s)
        further["timeout"] = aiohttp.ClientTimeout(total=ask.timeout_s, connect=connect_s)
    return further


def _count(ask: Ask, *, ok: bool) -> None:
    if ask.call:
        count_provider_call(ask.service, ask.call, ok=ok)


async def _open(hosts: Sequence[str], port: int | None) -> None:
    """Open a connection to the first host that takes one, and close it."""
    for number, host in enumerate(hosts, 1):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            if number == len(hosts):
                raise
        else:
            writer.close()
            return


def _unreached(error: Exception, ask: Ask) -> KeyferryError:
    """Why there was no answer."""
    service = f"{ask.service} at {ask.address}"
    match error:
        case _TooMuchError():
            return Malformed(
                f"{service} gave an answer of more than {MAX_BODY_BYTES >> 10} KiB",
                hint=f"Check {ask.address.field}: something else than {ask.service} may answer there",
            )
        case TimeoutError():
            return TimedOut(f"{service} did not answer in time", hint=_NETWORK)
        case aiohttp.ClientConnectorCertificateError():
            return Unavailable(
                f"the certificate of {service} is not trusted",
                hint=f"Give its CA {f'in {ask.ca_field}, or ' if ask.ca_field else ''}to the operator with SSL_CERT_FILE",
            )
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Unavailable(
                f"{service} cannot be reached through the proxy",
                hint="Check HTTPS_PROXY and NO_PROXY of the operator",
            )
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return Unavailable(f"the name of {service} cannot be resolved", hint=f"Check {ask.address.field}")
        case aiohttp.InvalidURL() | UnicodeError():
            return SpecError(f"{ask.address.field} is not an address that can be read")
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return unreadable(ask)
        case aiohttp.ClientConnectionError() | OSError():
            return Unavailable(f"{service} cannot be reached, or ended the connection", hint=_NETWORK)
    return unreadable(ask)


_NETWORK: Final = "Check the address, network policies and firewalls between the operator and it"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
