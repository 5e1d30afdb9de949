"""A request: rendered for one question, checked, sent, and its answer read.

The address is checked after rendering, for a key can name any host: its scheme and host here, and what the
host's name stands for when the connection is made. Redirects are followed on the same host alone.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from yarl import URL

from keyferry.api.providers.webhook import WebhookRequest
from keyferry.core.addresses import host_of
from keyferry.duration import parse_go_duration_nanos
from keyferry.errors import ForbiddenError, KeyferryError, NotAvailableError, RenderError, SpecError
from keyferry.gotemplate import Run
from keyferry.providers.outgoing import TOTAL_S, Address, Ask, Outgoing, Reply
from keyferry.providers.webhook.errors import REDIRECTS, refused
from keyferry.providers.webhook.material import Material
from keyferry.providers.webhook.templates import Data, check_templates, render, templates_of

SERVICE: Final = "Webhook"
CALL: Final = "HTTPRequest"
"""How metrics name a call, as the established operator does."""
LONGEST_TIMEOUT_S: Final = 35.0
"""`timeout` is no longer than this, however long it is: the planner's own deadline comes after it."""
MOST_REDIRECTS: Final = 10

_SHORTEST_TIMEOUT_S: Final = 0.001
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_HEADERS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_IN_ADDRESSES: Final = re.compile(r"[\x00-\x1f\x7f]")
_SERVER: Final = re.compile(r"[^{}/]+://[^{}/?#]+")
_NOT_IN_LOGINS: Final = re.compile(r"[^A-Za-z0-9\-._:~!$&'()*+,;=%@]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/%:@!$&'()*+,;=~._\[\]-]*")
_QUERY: Final = "/%:@!$&'()*+,;=~-._[]?\"<>\\^`{|}"
_HOST_AND_PORT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=-]+)(?::[0-9]*)?")
OURS: Final = frozenset(
    {
        *("Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "Te"),
        *("Upgrade", "Expect", "Proxy-Authorization", "Proxy-Connection"),
    }
)
"""Headers that belong to the connection: a manifest's are left out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's success.

    Args:
        body: what it sent.
        path: the JSONPath to take the value by, rendered; empty for none.
    """

    body: bytes
    path: str


def check_request(spec: WebhookRequest, path: str, outgoing: Outgoing, *, in_result: bool) -> None:
    """Check a request without asking anybody.

    Args:
        path: of the block that holds it.
        in_result: whether its JSONPath is a template.

    Raises:
        SpecError, NotAvailableError, ForbiddenError: a field is wrong; the message names it.
    """
    if spec.auth is not None:
        raise NotAvailableError(f"{path}.auth.ntlm is not available yet in this version of Keyferry")
    method = spec.method or "GET"
    if not _TOKEN.fullmatch(method) or method.upper() == "CONNECT":
        raise SpecError(f"{path}.method is no HTTP method")
    for name in spec.headers:
        if not _TOKEN.fullmatch(name):
            raise SpecError(f"{path}.headers: {name[:80]!r} is no name of a header")
    check_templates(templates_of(spec, path, in_result=in_result))
    if not spec.url.strip():
        raise SpecError(f"{path}.url must be set")
    if host := host_of(spec.url, f"{path}.url", templated=True):
        outgoing.check_host(host, f"{path}.url")
    if "{{" not in spec.url:
        try:
            split_url(spec.url, f"{path}.url")
        except AddressError as error:
            raise SpecError(f"{path}.url {error}") from None


def written_address(spec: WebhookRequest, path: str) -> Address | None:
    """The server that the manifest names as it stands; None where a template makes it."""
    server = _SERVER.match(spec.url.strip())
    if server is None or not host_of(spec.url, f"{path}.url", templated=True):
        return None
    try:
        return split_url(server[0], f"{path}.url")[0]
    except AddressError as error:
        raise SpecError(f"{path}.url {error}") from None


class Caller:
    """Sends requests made of one material.

    Args:
        outgoing: the way out.
        material: the request and its Secrets.
        in_result: whether the JSONPath is a template.
    """

    def __init__(self, outgoing: Outgoing, material: Material, *, in_result: bool) -> None:
        self._outgoing = outgoing
        self._material = material
        self._in_result = in_result
        spec, path = material.spec, material.path
        # What a template puts there may be a secret value.
        self._shown = "" if written_address(spec, path) else f"the host that {path}.url makes"

    async def call(
        self, reference: Mapping[str, str] | None, run: Run, what: str, *, escaped: Mapping[str, str] | None
    ) -> Answer:
        """The answer to a question.

        Args:
            reference: `remoteRef` of the templates; None for a generator.
            run: their budget.
            what: is asked for, for errors.
            escaped: `remoteRef` as it stands in an address.

        Raises:
            KeyferryError: a template fails, the address is refused, or the answer is no success.
        """
        spec, path = self._material.spec, self._material.path
        data = self._material.data(reference)
        address, ask = self._ask(data, self._material.data(escaped), run)
        json_path = spec.result.json_path
        if self._in_result:
            field = f"{path}.result.jsonPath"
            json_path = _text(render(field, json_path, data, run), field)
        reply = await self._send(ask)
        if not 200 <= reply.status < 300:
            raise refused(reply, address, what, self._outgoing.pause(reply))
        return Answer(reply.body, json_path)

    def _ask(self, data: Data, escaped: Data, run: Run) -> tuple[Address, Ask]:
        spec, path = self._material.spec, self._material.path
        field = f"{path}.url"
        address, target, login = self._split(_text(render(field, spec.url, escaped, run), field), field)
        headers = self._headers(data, run)
        if login and "Authorization" not in headers:
            headers["Authorization"] = login
        body = render(f"{path}.body", spec.body, data, run)
        ask = Ask(
            SERVICE,
            CALL,
            address,
            spec.method.upper() or "GET",
            target,
            headers,
            body,
            tls=self._material.tls,
            timeout_s=timeout_of(spec),
            ca_field=f"{path}.caBundle or caProvider",
        )
        return address, ask

    def _split(self, url: str, field: str) -> tuple[Address, str, str]:
        failure: KeyferryError
        try:
            address, target, login = split_url(url, field, shown=self._shown)
        except AddressError as error:
            failure = RenderError(f"{field}: what the template makes {error}")
        else:
            try:
                self._outgoing.check_host(address.host, field)
            except ForbiddenError as error:
                failure = address.refusal(error)
            else:
                return address, target, login
        # Raised here and not above: the frames of the failure hold the address.
        raise failure

    def _headers(self, data: Data, run: Run) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, template in self._material.spec.headers.items():
            field = f"{self._material.path}.headers.{name}"
            value = _text(render(field, template, data, run), field)
            if _NOT_IN_HEADERS.search(value):
                raise RenderError(
                    f"{field}: the header would hold a line break or another control character",
                    hint="If the Secret's value ends in a line break, use {{ trim … }}",
                )
            canonical = "-".join(part.capitalize() for part in name.split("-"))
            if canonical not in OURS:
                found[canonical] = f"{found[canonical]}, {value}" if canonical in found else value
        return found

    async def _send(self, ask: Ask) -> Reply:
        """The answer, after redirects on the same host."""
        reply = await self._outgoing.ask(ask)
        for _ in range(MOST_REDIRECTS):
            further = self._redirected(reply, ask) if reply.status in REDIRECTS else None
            if further is None:
                break
            ask = further
            reply = await self._outgoing.ask(ask)
        return reply

    def _redirected(self, reply: Reply, ask: Ask) -> Ask | None:
        """The request that a redirect asks for; None where it leads elsewhere, or nowhere."""
        location = reply.headers.get("location", "")
        if not location:
            return None
        field = ask.address.field
        try:
            url = urljoin(f"{ask.address.base}{ask.path}", location)
            address, target, _ = split_url(url, field, shown=self._shown)
        except ValueError:
            return None
        if not _is_same_server(ask.address, address):
            return None
        if reply.status in (307, 308) or ask.method in ("GET", "HEAD"):
            return replace(ask, address=address, path=target)
        headers = {name: value for name, value in ask.headers.items() if name != "Content-Type"}
        return replace(ask, address=address, path=target, method="GET", headers=headers, body=b"")


def _is_same_server(before: Address, after: Address) -> bool:
    """Whether a redirect stays where it was: same scheme, host and port, or from http to https."""
    one, other = urlsplit(before.base), urlsplit(after.base)
    if one.hostname != other.hostname:
        return False
    if one.scheme == other.scheme:
        return one.port == other.port
    return (one.scheme, other.scheme) == ("http", "https") and one.port is other.port is None


def timeout_of(spec: WebhookRequest) -> float:
    """How long a call may take, in seconds."""
    if not spec.timeout:
        return TOTAL_S
    seconds = parse_go_duration_nanos(spec.timeout) / 1e9
    # Nothing is no limit, as Go has it.
    return TOTAL_S if seconds == 0 else min(max(seconds, _SHORTEST_TIMEOUT_S), LONGEST_TIMEOUT_S)


def query_escaped(text: str) -> str:
    """The text as Go's url.QueryEscape writes it."""
    return quote(text.encode("utf-8", "replace"), safe="~-._ ").replace(" ", "+")


class AddressError(ValueError):
    """A text is no address. The message goes on behind the field's name, and does not quote the text."""


def split_url(url: str, field: str, *, shown: str = "") -> tuple[Address, str, str]:
    """A rendered URL: the server's address, what goes over the wire below it, and the login that it holds.

    Blanks and what is not ASCII are escaped; a fragment is left out.

    Args:
        shown: how errors name the host, where it must not be shown.

    Raises:
        AddressError: it is no address.
    """
    if _NOT_IN_ADDRESSES.search(url):
        raise AddressError("holds a line break or another control character")
    text, _, _ = url.partition("#")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise AddressError("does not begin with https:// or http://")
    end = re.search(r"[/?]", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    login, _, server = authority.rpartition("@")
    path, question, query = tail.partition("?")
    base = f"{scheme.lower()}://{server}"
    host = _host(base, server, field)
    if not host or _BAD_ESCAPE.search(path) or _BAD_ESCAPE.search(login) or _NOT_IN_LOGINS.search(login):
        raise AddressError("is not an address that can be read")
    target = f"{_escaped_path(path) or '/'}{question}{quote(query, safe=_QUERY)}"
    return Address(base, host, field, shown), target, _basic(login)


def _host(base: str, server: str, field: str) -> str:
    """The host, where all who look at it see the same one; else empty."""
    if not _HOST_AND_PORT.fullmatch(server):
        return ""
    try:
        host = host_of(base, field)
        connected_to = URL(base, encoded=True).host or ""
    except (SpecError, ValueError):
        return ""
    return host if host.lower() == connected_to.lower() else ""


def _escaped_path(path: str) -> str:
    """The path as Go sends it: as it is where it may stand so, else read and written anew."""
    if _PLAIN_PATH.fullmatch(path):
        return path
    return quote(unquote_to_bytes(path), safe="$&+,/:;=@-_.~")


def _basic(login: str) -> str:
    """The header for a name and password that stand in an address; empty for none."""
    if not login:
        return ""
    user, _, password = login.partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return f"Basic {base64.b64encode(pair).decode()}"


def _text(rendered: bytes, field: str) -> str:
    try:
        return rendered.decode()
    except UnicodeDecodeError:
        failure = RenderError(f"{field}: what the template makes is no text in UTF-8")
    raise failure
