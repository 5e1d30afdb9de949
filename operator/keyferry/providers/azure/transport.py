"""The SDK's transport: what it sends goes by `Outgoing`, and so under the rules for all addresses.

Imported only where the SDK is needed, for its classes derive from the SDK's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.utils import case_insensitive_dict

from keyferry.errors import KeyferryError, Malformed
from keyferry.providers.outgoing import Address, Ask, Outgoing, Reply

_PORTS: Final = {"https": 443, "http": 80}

Judge = Callable[[Reply, Ask], KeyferryError | None]
"""Says what an answer means that the SDK would not understand; None for one that it does."""


class Response(AsyncHttpResponse):
    """An answer, read to its end, as the SDK wants it."""

    def __init__(self, request: HttpRequest, reply: Reply) -> None:
        self._request = request
        self._reply = reply
        self._headers: MutableMapping[str, str] = case_insensitive_dict(reply.headers)

    @property
    def reply(self) -> Reply:
        """The answer as it came."""
        return self._reply

    @property
    def request(self) -> HttpRequest:
        """What was asked."""
        return self._request

    @property
    def status_code(self) -> int:
        """The status."""
        return self._reply.status

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers, found in any case."""
        return self._headers

    @property
    def reason(self) -> str:
        """The server's word for the status, which nobody needs."""
        return ""

    @property
    def content_type(self) -> str | None:
        """What the body is."""
        return self._reply.headers.get("content-type")

    @property
    def is_closed(self) -> bool:
        """The connection is another's already."""
        return True

    @property
    def is_stream_consumed(self) -> bool:
        """The body is read."""
        return True

    @property
    def encoding(self) -> str | None:
        """All that Azure answers is UTF-8."""
        return "utf-8"

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        pass

    @property
    def url(self) -> str:
        """Where it was asked."""
        return self._request.url

    @property
    def content(self) -> bytes:
        """The body."""
        return self._reply.body

    def text(self, encoding: str | None = None) -> str:  # noqa: ARG002 - the SDK's signature
        """The body as text."""
        return self._reply.body.decode("utf-8-sig", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self._reply.body.decode("utf-8-sig"))

    def raise_for_status(self) -> None:
        """See the SDK.

        Raises:
            HttpResponseError: the answer is no success.
        """
        if self._reply.status >= 400:
            raise HttpResponseError(response=self)

    async def read(self) -> bytes:
        """The body."""
        return self._reply.body

    async def iter_raw(self, **kwargs: Any) -> AsyncIterator[bytes]:  # noqa: ARG002 - the SDK's signature
        """The body, in one piece."""
        yield self._reply.body

    async def iter_bytes(self, **kwargs: Any) -> AsyncIterator[bytes]:  # noqa: ARG002 - the SDK's signature
        """The body, in one piece."""
        yield self._reply.body

    async def close(self) -> None:
        """There is nothing to close."""

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""

    def __repr__(self) -> str:
        """Without its body."""
        return f"<Response {self._reply.status}>"


class OutgoingTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Sends the SDK's requests to one server and to no other.

    Args:
        outgoing: the way out.
        address: the server.
        service: how errors name it.
        judge: see `Judge`.
    """

    def __init__(
        self, outgoing: Outgoing, address: Address, service: str, judge: Judge = lambda *_: None
    ) -> None:
        self._outgoing = outgoing
        self._address = address
        self._service = service
        self._judge = judge

    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:  # noqa: ARG002 - the SDK's signature
        """The answer to a request.

        Raises:
            KeyferryError: there is none, or none that the SDK would understand.
        """
        ask = Ask(
            self._service,
            "",
            self._address,
            request.method,
            self._path(request.url),
            dict(request.headers),
            _body(request),
        )
        reply = await self._outgoing.ask(ask)
        if (failure := self._judge(reply, ask)) is not None:
            raise failure
        return Response(request, reply)

    def _path(self, url: str) -> str:
        """What follows the server in an address.

        Raises:
            Malformed: it is another server's: the link to a list's next page is the server's word.
        """
        asked, ours = urlsplit(url), urlsplit(self._address.base)
        ports = [one.port or _PORTS.get(one.scheme) for one in (asked, ours)]
        if (asked.scheme, asked.hostname, ports[0]) != (ours.scheme, ours.hostname, ports[1]):
            raise Malformed(
                f"{self._service} at {self._address} leads to another host, which is not followed",
                hint=f"Check {self._address.field}: something else than {self._service} may answer there",
            )
        path = asked.path.removeprefix(ours.path) if ours.path else asked.path
        return f"{path}?{asked.query}" if asked.query else path

    async def open(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        """Connections are shared."""

    async def __aenter__(self) -> Self:
        """See `open`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""


def _body(request: HttpRequest) -> bytes | None:
    content = request.content
    if isinstance(content, dict):
        return urlencode(content).encode()
    if isinstance(content, str):
        return content.encode()
    return bytes(content) if content else None
