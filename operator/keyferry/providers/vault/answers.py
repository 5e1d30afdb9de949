"""What Vault answers: documents, and tokens with their life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyferry.providers.vault.call import Reply
from keyferry.providers.vault.document import decode, mapping_of, seconds, text_of, whole
from keyferry.providers.vault.errors import Asked, redirected, unreadable
from keyferry.secretdata import SecretBytes

RENEW_AT: Final = 2 / 3
"""After this part of its life a token is renewed."""
LATE_S: Final = 30.0
"""So long before its end a token is not used any more, if it lives long enough."""


@dataclass(slots=True)
class Token:
    """A token of Vault's.

    Args:
        own: we have logged in for it, so that it is ours to renew and revoke.
        lifetime_s: from its last renewal to its end; 0 for one that does not end.
        renewable: whether renewing it lets it live longer.
        expires_at: time of the event loop; None for one that does not end.
        confirmed_at: when Vault answered to it last.
        uses: with how many calls it is used up, and revoked by Vault; 0 for one that is never.
    """

    value: SecretBytes | None = field(repr=False)
    own: bool
    accessor: str = ""
    lifetime_s: int = 0
    renewable: bool = False
    batch: bool = False
    expires_at: float | None = None
    confirmed_at: float = 0.0
    used: bool = False
    uses: int = 0

    def is_good(self, now: float) -> bool:
        """Whether it may still be used."""
        if self.expires_at is None:
            return True
        return self.expires_at - now > min(LATE_S, self.lifetime_s / 8)

    def renewal_in(self, now: float) -> float | None:
        """Seconds until it should be renewed; None where that is no use."""
        if not (self.own and self.renewable and self.lifetime_s) or self.batch or self.expires_at is None:
            return None
        return max(0.0, self.expires_at - (1 - RENEW_AT) * self.lifetime_s - now)

    def is_fresh(self, now: float) -> bool:
        """Whether it has most of its life left, or no more can be had."""
        wait_s = self.renewal_in(now)
        return wait_s is None or wait_s > self.lifetime_s / 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What Vault answers.

    Args:
        document: all of it; numbers are `document.Number`.
        headers: by names in lower case.
        size: of the document as text, in bytes.
        token: that it was asked with.
    """

    status: int
    document: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    size: int = 0
    token: Token | None = field(default=None, repr=False)

    @property
    def data(self) -> Mapping[str, Any]:
        """Its data; empty where there is none."""
        return mapping_of(self.document.get("data"))

    @property
    def auth(self) -> Mapping[str, Any]:
        """The token in it; empty where there is none."""
        return mapping_of(self.document.get("auth"))

    @property
    def lease_id(self) -> str:
        """The lease that it begins; empty for none."""
        return text_of(self.document.get("lease_id"))

    @property
    def lease_s(self) -> int:
        """How long the lease lasts, in seconds."""
        return seconds(self.document.get("lease_duration"))

    @property
    def renewable(self) -> bool:
        """Whether the lease can be renewed."""
        return self.document.get("renewable") is True


def token_of(auth: Mapping[str, Any], now: float) -> Token | None:
    """The token that a login gave; None where it gave none.

    Args:
        now: time of the event loop.
    """
    value = text_of(auth.get("client_token"))
    if not value:
        return None
    lifetime_s = seconds(auth.get("lease_duration"))
    return Token(
        SecretBytes(value),
        own=True,
        accessor=text_of(auth.get("accessor")),
        lifetime_s=lifetime_s,
        renewable=auth.get("renewable") is True,
        batch=text_of(auth.get("token_type")) == "batch",
        expires_at=now + lifetime_s if lifetime_s else None,
        confirmed_at=now,
        uses=max(0, whole(auth.get("num_uses"))),
    )


def answer_of(reply: Reply, asked: Asked) -> Answer:
    """A reply as a document. To be called in a thread: to decode a long one may take seconds.

    Raises:
        ProviderError: it is a redirect, or cannot be read.
    """
    if 300 <= reply.status < 400:
        raise redirected(asked, reply.status)
    try:
        return Answer(reply.status, decode(reply.body), reply.headers, len(reply.body))
    except ValueError:
        failure = unreadable(asked)
    # Raised here and not above: the decoder's error quotes the answer.
    raise failure
