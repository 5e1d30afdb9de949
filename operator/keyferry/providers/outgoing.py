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
from collections.abc import Mapping
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
MAX_BODY_BYTES: Final = 1 << 20
CONNECTIONS: Final = 32
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
    """

    base: str
    host: str
    field: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a server.

    Args:
        service: how errors and metrics name it, such as "GitHub".
        call: the call's own name, for metrics.
        method: GET, POST or DELETE.
        path: below the address's base, as it goes over the wire.
        headers: those that prove who asks are in here.
        body: becomes JSON; None for none.
    """

    service: str
    call: str
    address: Address
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(default=None, repr=False)


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
    """

    def __init__(self, addresses: AddressPolicy, clock: Clock) -> None:
        self._addresses = addresses
        self._clock = clock
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
        self._addresses.check_host(host, where)
        return Address(text.rstrip("/"), host, where)

    async def ask(self, ask: Ask) -> Reply:
        """The server's answer.

        Raises:
            ForbiddenError: its name leads to an address that may not be connected to.
            ProviderError: it cannot be reached, or gave no answer that can be read.
        """
        try:
            reply = await self._ask(ask)
        except (aiohttp.ClientError, OSError, UnicodeError, _TooMuchError) as error:
            failure = _unreached(error, ask)
        else:
            count_provider_call(ask.service, ask.call, ok=reply.status < 400)
            return reply
        count_provider_call(ask.service, ask.call, ok=False)
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
        data = None
        if ask.body is not None:
            data = msgspec.json.encode(ask.body)
            headers["Content-Type"] = "application/json"
        async with session.request(
            ask.method,
            URL(url, encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            proxy=proxy.url if proxy is not None else None,
            proxy_headers=proxy.login if proxy is not None else None,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(65536):
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _TooMuchError
            found = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, found, bytes(body))

    async def _look_up(self, address: Address) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(address.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        self._addresses.check_resolved({str(entry[4][0]) for entry in found}, address.host, address.field)

    def _session(self, *, direct: bool) -> aiohttp.ClientSession:
        found = self._direct if direct else self._by_proxy
        if found is None:
            # Without the library's own trust in the environment: it would send what ~/.netrc holds.
            found = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_Guarded(self._addresses) if direct else None,
                    use_dns_cache=not direct,
                    limit=CONNECTIONS,
                    limit_per_host=CONNECTIONS_PER_HOST,
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
        status, host = reply.status, ask.address.host
        text = f"{ask.service} at {host} refuses {what} (status {status})"
        if status == 429 or (status in (403, 503) and "retry-after" in reply.headers):
            return RateLimited(
                f"{ask.service} at {host} asks for fewer calls (status {status})",
                hint="Nothing to do now; for good, raise refreshInterval",
                retry=self._pause(reply),
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

    def _pause(self, reply: Reply) -> Retry | None:
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
        f"{ask.service} at {ask.address.host} gave an answer that cannot be read",
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


def _unreached(error: Exception, ask: Ask) -> KeyferryError:
    """Why there was no answer."""
    service = f"{ask.service} at {ask.address.host}"
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
                hint="Give its CA to the operator with SSL_CERT_FILE",
            )
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Unavailable(
                f"{service} cannot be reached through the proxy",
                hint="Check HTTPS_PROXY and NO_PROXY of the operator",
            )
        case aiohttp.ClientConnectorDNSError():
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
