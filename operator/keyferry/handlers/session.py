"""kopf's connection: an aiohttp session of its own, whose token is fresh at every request.

kopf owns the session and closes it at its end, so it is not the one that our writes go through. Every
request that passes tells the watchdog that kopf is alive.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import kopf

from keyferry import __version__
from keyferry.kube.config import ClusterConfig


def kopf_session(config: ClusterConfig, progress: Callable[[str], None]) -> kopf.AiohttpSession:
    """The session for kopf's login handler.

    Args:
        progress: called with the path of each request.
    """

    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        progress(request.url.path)
        if config.tokens is not None:
            request.headers["Authorization"] = f"Bearer {config.tokens.token()}"
        response = await handler(request)
        if response.status == 401 and config.tokens is not None:
            config.tokens.token(fresh=True)
        return response

    tls = config.ssl_context()
    headers = {"User-Agent": f"keyferry/{__version__} (watch)"}
    if config.basic is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(*config.basic)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls if tls is not None else True),
        headers=headers,
        middlewares=(authorize,),
        proxy=config.proxy_url(),
    )
    return kopf.AiohttpSession(
        server=config.server, aiohttp_session=session, default_namespace=config.namespace
    )
