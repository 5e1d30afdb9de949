"""What a server's status means. Nothing of an answer is repeated but its status.

==============================  ===============================================================
Status                          Becomes
==============================  ===============================================================
2xx                             the answer
301, 302, 303, 307, 308         followed on the same host, else `ProviderError`
304                             `ProviderError`: nobody asked on a condition, but for a header
401, 403                        `AccessDenied`, for this question alone: what is sent may depend on it
404                             `RemoteSecretNotFound`, which deletionPolicy speaks of; of a generator
                                `ProviderError`, for nothing in particular was asked for
429; 403, 503 with Retry-After  `RateLimited`, with the pause that the server asks for
408, 5xx                        `Unavailable`: tried again, and perhaps an outage
all others                      `ProviderError`
==============================  ===============================================================
"""

from __future__ import annotations

from typing import Final

from keyferry.errors import (
    AccessDenied,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    Retry,
    Unavailable,
)
from keyferry.providers.outgoing import Address, Reply

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_SHOWN: Final = 300


def refused(reply: Reply, address: Address, what: str, pause: Retry | None) -> ProviderError:
    """The error for an answer that is no success.

    Args:
        what: was asked for, such as `remote secret "db"`; empty where it has no name.
        pause: what Retry-After asks for.
    """
    status, asked = reply.status, what or "the request"
    server = f"the server at {address}"
    if status == 429 or (status in (403, 503) and "retry-after" in reply.headers):
        return RateLimited(
            f"{server} asks for fewer calls (status {status})",
            hint="Nothing to do now; for good, raise refreshInterval",
            retry=pause,
        )
    if status == 404 and what:
        return RemoteSecretNotFound(
            f"{server} has no {what} (status 404)",
            hint=f"Create it there, or correct the reference or {address.field}",
        )
    if status in (401, 403):
        return AccessDenied(
            f"{server} refuses {asked} (status {status})",
            hint="Check the headers and the Secrets that they are made of",
        )
    if status == 304:
        return ProviderError(
            f"{server} says that {what or 'the answer'} is not modified (status 304)",
            hint="Send no header that makes the request conditional, such as If-None-Match",
        )
    if 300 <= status < 400:
        return ProviderError(
            f"{server} sends {asked} elsewhere (status {status}), which is not followed",
            hint=f"Set {address.field} to the address that it leads to",
        )
    if status == 408 or status >= 500:
        return Unavailable(
            f"{server} failed at its own side (status {status})",
            hint="Nothing to do here but to look at that server",
        )
    return ProviderError(
        f"{server} does not take {asked} (status {status})",
        hint="Look at the store's or generator's spec, and at what the server's own log tells",
    )


def named(key: str, version: str) -> str:
    """How errors name a remote secret."""
    of_version = f' in version "{version[:_MAX_SHOWN]}"' if version else ""
    return f'remote secret "{key[:_MAX_SHOWN]}"{of_version}'
