"""What failures of vaults and of token services have in common: whose they are, and what was answered."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

from keyferry.errors import KeyferryError, RateLimited, Retry, Unavailable
from keyferry.providers.azure.codes import SDK_ERRORS
from keyferry.providers.outgoing import Reply

VAULT: Final = "Azure Key Vault"
ENTRA: Final = "Microsoft Entra ID"

SURROUNDINGS: Final = (
    "Check that the operator's machine or pod has this identity, or use serviceAccountRef with authType "
    "WorkloadIdentity"
)

Pause = Callable[[Reply], Retry | None]
"""What an answer asks for by Retry-After."""


class AnswerUnreadable(Exception):
    """The SDK stumbled over an answer that is no Azure's: a list for an object, a number for a text."""


def name_of(error: BaseException) -> str:
    """The class in the table that an exception of the SDK is one of; empty for one that is not the SDK's."""
    if not any(cls.__module__.partition(".")[0] in ("azure", "msal") for cls in type(error).__mro__):
        return ""
    return next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in SDK_ERRORS), "AzureError")


def is_known(error: BaseException) -> bool:
    """Whether an exception is the SDK's own, or ours."""
    return isinstance(error, KeyferryError) or bool(name_of(error))


def ours_in(error: BaseException) -> KeyferryError | None:
    """Our own error, where it is one or was wrapped by the SDK; without frames, which hold the request."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyferryError):
            return copy.copy(seen)
        seen = seen.__cause__
    return None


def reply_of(error: BaseException) -> Reply | None:
    """The answer that an exception of the SDK is about; None where there is none, or it is a success."""
    response = getattr(error, "response", None)
    if response is None:
        return None
    reply = getattr(response, "reply", None)
    if not isinstance(reply, Reply):  # of the SDK's own transport
        headers = {str(name).lower(): str(text) for name, text in response.headers.items()}
        reply = Reply(int(response.status_code or 0), headers, b"")
    # What failed although the answer is a success, failed for what stands in it.
    return reply if reply.status >= 300 else None


def stumbled(error: BaseException) -> bool:
    """Whether an exception comes of the SDK's code, or of what that calls, and is none of its own.

    Then it is the answer that it stumbled over. All else is a bug of ours, and stays one.
    """
    trace, last = error.__traceback__, ""
    while trace is not None:
        last = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return last.partition(".")[0] != "keyferry"


def throttled(where: str, wait: Retry | None) -> RateLimited:
    """Azure asks for fewer calls, and perhaps for a pause."""
    return RateLimited(
        f"{where} asks for fewer calls",
        hint="Nothing to do now; for good, raise refreshInterval",
        retry=wait,
    )


def server_side(where: str, name: str) -> Unavailable:
    """Azure's own failure."""
    return Unavailable(
        f"{where} failed at its own side ({name})",
        hint="Nothing to do here; Azure Service Health tells about outages",
    )
