"""The error tree: what went wrong, why, what to do, and when to try again.

Every failure that a user should read is a `KeyferryError`. It carries its own schedule (`Retry`);
only `core.summarize` and `core.backoff` read it, nothing else decides about retries. Texts are one
line, stable between retries (no timestamps, no request ids, sorted collections) and never hold a
secret value. Bugs are not mapped into this tree: they surface as themselves.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

MAX_RETRY_AFTER_S = 3600.0
"""Longest pause that another side can ask for: an absurd Retry-After must not stop an object for ever."""
MAX_MESSAGE_CHARS = 1024
"""Longest text of an error, so that a condition stays readable and far from the API's 32 KiB."""


class RetryKind(enum.Enum):
    """How a failure is tried again."""

    ON_CHANGE = "on-change"
    """Only a change of an object involved can help."""
    BACKOFF = "backoff"
    """Later, with growing pauses."""
    AFTER = "after"
    """Not before a given number of seconds: the other side said so."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again: the kind, and for `AFTER` the pause in seconds."""

    kind: RetryKind
    seconds: float = 0.0


ON_CHANGE = Retry(RetryKind.ON_CHANGE)
BACKOFF = Retry(RetryKind.BACKOFF)


def after(seconds: float) -> Retry:
    """Try again, but not before `seconds` have passed; more than an hour is nobody's to ask."""
    return Retry(RetryKind.AFTER, min(seconds, MAX_RETRY_AFTER_S))


def one_line(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """The text as one line of at most `limit` characters, as conditions and events need it.

    Characters that steer a terminal, turn the reading direction or cannot be encoded become U+FFFD.
    """
    text = " ".join(text.split())
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class KeyferryError(Exception):
    """Base of all failures that are told to users.

    Args:
        message: what failed and why, one line, quoting names, without any secret value.
        hint: what the reader can do about it; one sentence.
        retry: overrides the class's own schedule.
    """

    reason: ClassVar[str] = "Error"
    default_retry: ClassVar[Retry] = BACKOFF

    def __init__(self, message: str, *, hint: str = "", retry: Retry | None = None) -> None:
        self.message = one_line(message)
        self.hint = one_line(hint)
        self.retry = self.default_retry if retry is None else retry
        self.details: tuple[str, ...] = ()
        """Where one failure stands for several: the text of each."""
        super().__init__(self.message)

    def __str__(self) -> str:
        """The message and, where there is one, the hint."""
        return f"{self.message}. {self.hint}" if self.hint else self.message

    def within(self, doing: str) -> KeyferryError:
        """The same failure, told by a caller that knows more: `doing: message`. Keeps type and schedule."""
        told = type(self).__new__(type(self))
        told.__dict__.update(self.__dict__)
        told.message = one_line(f"{doing}: {self.message}")
        told.args = (told.message,)
        told.__cause__ = self
        return told


class SpecError(KeyferryError):
    """The object itself is wrong; the message names the field. Only an edit can help."""

    reason = "InvalidSpec"
    default_retry = ON_CHANGE


class NotAvailableError(SpecError):
    """A field, kind or provider that the API knows and this version of Keyferry does not do yet."""

    reason = "NotAvailable"


class InternalError(KeyferryError):
    """A bug of ours, told by its type alone: the text of a foreign exception may quote anything."""

    reason = "InternalError"

    @classmethod
    def of(cls, error: Exception) -> InternalError:
        """What people are told of an exception that nobody foresaw."""
        return cls(
            f"internal error ({type(error).__name__})",
            hint="The operator's log has the place; please report it",
        )


class NotReadyError(KeyferryError):
    """Something else (a store, a namespace) is not there or not ready yet; its change wakes the object."""

    reason = "NotReady"
    default_retry = BACKOFF


class ForbiddenError(KeyferryError):
    """A trust boundary says no: a reference across namespaces, a store's conditions, an address."""

    reason = "Forbidden"
    default_retry = ON_CHANGE


class OwnershipError(KeyferryError):
    """The target Secret belongs to somebody else."""

    reason = "NotOwned"
    default_retry = ON_CHANGE


class RenderError(KeyferryError):
    """Data could not be selected, decoded, converted or rendered; a change of spec or value can help."""

    reason = "RenderFailed"
    default_retry = BACKOFF


class ProviderError(KeyferryError):
    """The store said no, or could not be asked."""

    reason = "ProviderError"


class RemoteSecretNotFound(ProviderError):
    """The remote secret (or this version of it) does not exist. Drives deletionPolicy."""

    reason = "RemoteSecretNotFound"


class PropertyNotFound(ProviderError):
    """The remote secret exists and lacks the property asked for."""

    reason = "PropertyNotFound"


class AccessDenied(ProviderError):
    """The store knows who asks and does not allow it."""

    reason = "AccessDenied"


class AuthFailed(ProviderError):
    """No identity could be proven to the store: wrong, missing or refused credentials."""

    reason = "AuthFailed"


class CredentialsExpired(AuthFailed):
    """The credentials were good and are no longer: a renewal is due. The planner renews and asks once more."""

    reason = "CredentialsExpired"


class LeaseLost(ProviderError):
    """What was lent has ended before its time, or cannot be asked for any more: only new values help."""

    reason = "LeaseLost"


class RateLimited(ProviderError):
    """The store asks for fewer calls; `retry` may carry its own word for how long to wait."""

    reason = "RateLimited"


class Unavailable(ProviderError):
    """The store cannot be reached or answers with a failure of its own."""

    reason = "Unavailable"


class TimedOut(Unavailable):
    """The store did not answer in time."""

    reason = "TimedOut"


class Malformed(ProviderError):
    """The store answered with something that is not what its API promises."""

    reason = "Malformed"


class KubeError(KeyferryError):
    """The API server said no, or could not be asked.

    Args:
        message: as in the base class.
        status: the HTTP status, 0 where there was no answer.
    """

    reason = "KubernetesAPIError"

    def __init__(self, message: str, *, status: int = 0, hint: str = "", retry: Retry | None = None) -> None:
        super().__init__(message, hint=hint, retry=retry)
        self.status = status


class KubeConflict(KubeError):
    """The object was changed or created by somebody else meanwhile: read again, then write."""

    reason = "Conflict"


class KubeNotFound(KubeError):
    """No such object."""

    reason = "NotFound"


class KubeForbidden(KubeError):
    """RBAC or an admission policy refuses us."""

    reason = "Forbidden"


class KubeInvalid(KubeError):
    """The API server finds the object invalid (422), for example a Secret over the size limit."""

    reason = "Invalid"
    default_retry = ON_CHANGE


class KubeUnavailable(KubeError):
    """The API server cannot be reached, answers 5xx, or asks to slow down (429)."""

    reason = "APIServerUnavailable"


class KubeTimedOut(KubeUnavailable):
    """The API server did not answer in time."""


class KubeUntrusted(KubeUnavailable):
    """The API server's certificate is not vouched for by the authorities that are believed."""


class KubeUnresolved(KubeUnavailable):
    """The API server's name cannot be resolved."""


class KubeMalformed(KubeError):
    """What answers is no API server, or its answer is longer than any that is read."""


class KubeLimit(KubeError):
    """A bound of ours, which the message names: it is not done, and not before there is less of it."""


class KubeGone(KubeError):
    """The resource version is too old (410): list again."""

    reason = "Gone"
