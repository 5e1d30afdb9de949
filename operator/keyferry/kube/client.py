"""One thin client over aiohttp: requests, their errors, and how many at once.

It does what every caller needs and nothing else: authentication, timeouts, the API server's own wish to
slow down (429 with Retry-After is waited for, in line, because such a request was not carried out), and a
limit of requests under way that follows the server's pressure. Everything else is the callers' business:
they retry by their own schedule.
"""

from __future__ import annotations

import base64
import contextlib
import re
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
import msgspec
import orjson
from yarl import URL

from keyferry import __version__
from keyferry.errors import (
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeNotFound,
    KubeTimedOut,
    KubeUnavailable,
    after,
)
from keyferry.kube.config import ClusterConfig
from keyferry.kube.pace import Pace
from keyferry.kube.shallow import loads

CONNECT_TIMEOUT_S: Final = 10.0
REQUEST_TIMEOUT_S: Final = 30.0
LONGEST_WAIT_S: Final = 10.0
"""Longest Retry-After that is waited for in line; a longer one goes back to the caller's schedule."""
MAX_TRIES: Final = 4
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


class _StatusDetails(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Status(msgspec.Struct):
    """Kubernetes API reference, Status v1 meta: the body of every refusal."""

    kind: str = ""
    reason: str = ""
    message: str = ""
    details: _StatusDetails | None = None


_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._:~-]+)+")
"""Paths of whole segments without ".." or quoting. Names in them come from manifests: none may lead elsewhere."""
_STATUS: Final = msgspec.json.Decoder(_Status)
ERRORS: Final[dict[int, type[KubeError]]] = {
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    410: KubeGone,
    413: KubeInvalid,
    422: KubeInvalid,
    429: KubeUnavailable,
}


class KubeApi:
    """The connection to one API server.

    Args:
        config: where and who.
        pace: how many requests at once and how fast.
        timeout_s: longest time for one request, its answer included.
        tries: how often a request is made that the server did not carry out.
    """

    def __init__(
        self,
        config: ClusterConfig,
        pace: Pace,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        tries: int = MAX_TRIES,
    ) -> None:
        self._config = config
        self._pace = pace
        self._timeout_s = timeout_s
        self._tries = tries
        self._session: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._closed = False
        self.requests = 0
        """Requests sent so far."""

    async def open(self) -> None:
        """Make the connection pools; needs the running loop. Idempotent.

        Raises:
            KubeError: the certificates of the configuration cannot be used, or `close` was called.
        """
        if self._closed:
            raise KubeUnavailable("the connection to the API server has been closed")
        if self._session is not None:
            return
        tls = self._config.ssl_context()
        headers = {"User-Agent": f"keyferry/{__version__}", "Accept": JSON}
        if self._config.basic is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(*self._config.basic)
        self._session = self._new_session(tls, headers, self._pace.limit)
        # Watches live long: they must not take connections away from requests.
        self._streams = self._new_session(tls, headers, 0)

    def _new_session(self, tls: Any, headers: Mapping[str, str], limit: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=limit, ssl=tls if tls is not None else True, keepalive_timeout=60
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            proxy=self._config.proxy_url(),
            auto_decompress=True,
        )

    def token_audiences(self) -> frozenset[str]:
        """The audiences of the token that we use, as far as it is a JWT: the API server accepts them."""
        audience = self._token_claims().get("aud") or []
        return frozenset([audience] if isinstance(audience, str) else audience)

    def token_subject(self) -> str:
        """Whose token we use, such as `system:serviceaccount:keyferry:keyferry`; empty where that cannot be told."""
        subject = self._token_claims().get("sub")
        return subject if isinstance(subject, str) else ""

    def _token_claims(self) -> Mapping[str, Any]:
        token = self._config.tokens.token() if self._config.tokens is not None else ""
        try:
            payload = token.split(".")[1]
            claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError):
            return {}
        return claims if isinstance(claims, dict) else {}

    async def close(self) -> None:
        """Close all connections, for good."""
        self._closed = True
        sessions, self._session, self._streams = (self._session, self._streams), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    async def request(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = "",
        ahead: bool = False,
    ) -> bytes:
        """The body of the answer.

        Args:
            path: from the first slash, without the query.
            body: what to send, as JSON; bytes are sent as they are.
            accept: the wanted representation, where it is not plain JSON.
            ahead: it ends a piece of work, and goes before requests that begin one.

        Raises:
            KubeError: by the tree in `errors`; the text is the server's own message, which names the object.
        """
        check_path(path)
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        # Paths hold names that need no quoting; a ready URL saves parsing and quoting at every request.
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        url = URL(f"{self._config.server}{path}{query}", encoded=True)
        headers = {"Content-Type": content_type} if data is not None else {}
        if accept:
            headers["Accept"] = accept
        for attempt in range(1, self._tries + 1):
            async with self._pace.ahead if ahead else self._pace:
                headers |= await self._authorization(fresh=attempt > 1)
                status, text, wait_s = await self._once(method, url, data, headers)
            if status < 300:
                return text
            if status == 401 and attempt == 1 < self._tries:
                continue  # the token may have rotated since it was read
            if status != 429 or attempt == self._tries or wait_s > LONGEST_WAIT_S:
                raise self._refused(status, text, method, path, wait_s)
            self._pace.slow_down(wait_s)
        raise AssertionError("unreachable")

    async def read(self, path: str) -> Any:
        """One object as it is now; what lies too deep in it to be read is cut. Raises as `request`."""
        return loads(await self.request("GET", path))

    async def _once(
        self, method: str, url: URL, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, float]:
        """One try: status, body, and for how many seconds the server wants peace."""
        if self._session is None:
            await self.open()
        assert self._session is not None  # noqa: S101 - open() made it
        self.requests += 1
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                text = await self._body(response)
                return response.status, text, _retry_after(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = self._unreached(error, method, url.path)
        # Raised here and not above: the library's exception may hold the request, and with it the token.
        raise failure

    # -- what differs where somebody else than the operator asks

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body of an answer."""
        return await response.read()

    def _unreached(self, error: BaseException, method: str, path: str) -> KubeError:
        """The error where there was no answer."""
        return unreachable(error, method, path)

    def _refused(self, status: int, text: bytes, method: str, path: str, wait_s: float = 0.0) -> KubeError:
        """The error for an answer of 300 and above."""
        return refusal(status, text, method, path, wait_s)

    async def _authorization(self, *, fresh: bool) -> dict[str, str]:
        tokens = self._config.tokens
        if tokens is None:
            return {}
        try:
            return {"Authorization": f"Bearer {tokens.token(fresh=fresh)}"}
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise KubeUnavailable(f"the API token cannot be read: {why}") from None

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], accept: str, idle_s: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """A long answer to be read as it comes, for watches.

        Args:
            idle_s: how long it may be silent before `TimeoutError`-like `KubeUnavailable` is raised.

        Raises:
            KubeError: as `request`, also while reading.
        """
        check_path(path)
        if self._streams is None:
            await self.open()
        assert self._streams is not None  # noqa: S101 - open() made it
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=idle_s)
        try:
            async with self._streams.get(
                self._config.server + path,
                params=params,
                headers={"Accept": accept} | await self._authorization(fresh=False),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status >= 300:
                    text = await self._body(response)
                    if response.status == 401:
                        await self._authorization(fresh=True)  # for the next try
                    raise self._refused(response.status, text, "GET", path, _retry_after(response))
                yield response.content
                return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = self._unreached(error, "GET", path)
        raise failure


def _retry_after(response: aiohttp.ClientResponse) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:
        return 1.0


def check_path(path: str) -> None:
    """Refuse a path that would not lead where its caller meant.

    Raises:
        KubeInvalid: a segment is empty, is "..", or has characters that no name has.
    """
    if _PATH.fullmatch(path) is None:
        raise KubeInvalid(f"{path[:300]!r} holds something that is no name of an object")


def unreachable(error: BaseException, method: str, path: str) -> KubeUnavailable:
    """No answer at all. The cause's own text is left out: it is not stable between retries."""
    if isinstance(error, TimeoutError):
        return KubeTimedOut(f"the API server did not answer in time ({method} {path})")
    return KubeUnavailable(f"the API server cannot be reached ({method} {path})")


def refusal(status: int, text: bytes, method: str, path: str, wait_s: float = 0.0) -> KubeError:
    """The error for an answer of 300 and above. What is no Status (a proxy's page) is not repeated."""
    try:
        told = _STATUS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Status()
    if told.kind != "Status":
        told = _Status()
    kind = ERRORS.get(status, KubeUnavailable if status >= 500 else KubeError)
    message = told.message or f"the API server answered {status} to {method} {path}"
    wait_s = wait_s or (told.details.retry_after_seconds if told.details else 0)
    retry = after(wait_s) if wait_s and kind is KubeUnavailable else None
    return kind(message, status=status, retry=retry)
