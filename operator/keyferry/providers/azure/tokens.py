"""Tokens of one identity: asked for once for all, kept until shortly before they end, renewed in the background."""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from keyferry.clock import Clock
from keyferry.errors import AuthFailed, KeyferryError
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

EARLY: Final = timedelta(minutes=10)
"""So long before their end tokens are renewed in the background, where they live long enough."""
LATE: Final = timedelta(seconds=60)
"""So long before their end they are not used any more."""
FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(minutes=2)
"""Bounds of the pause after a renewal in the background failed: the old token still serves."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and when it ends (UTC)."""

    value: SecretBytes = field(repr=False)
    expires_at: datetime


class Exchange(Protocol):
    """Gets one token from Azure."""

    async def __call__(self, scope: str, claims: str) -> Token:
        """A new token.

        Args:
            claims: what a service that took back its trust in the last one wants to see in it; may be empty.

        Raises:
            KeyferryError: there is none.
        """
        ...


@dataclass(slots=True)
class _Kept:
    """What is known of one scope."""

    token: Token | None = None
    lifetime: timedelta = timedelta(0)
    renewal: asyncio.Task[Token] | None = None
    pause: timedelta = timedelta(0)
    not_before: datetime | None = None
    failure: KeyferryError | None = None
    failed_at: float = 0.0


class TokenSession:
    """The tokens of one identity, by scope.

    Args:
        exchange: gets a new one.
        clock: to know when they end.
    """

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._scopes: dict[str, _Kept] = {}
        self._claims: dict[str, str] = {}

    async def token(self, scope: str, claims: str = "", since: float = math.inf) -> SecretBytes:
        """A token that serves now; asked for first where there is none that lasts.

        Args:
            claims: what the service wants to see in it: none that is kept will do.
            since: when the caller's own work began, by the event loop's time. What has failed since then, was
                asked for it, too: those who come at the same time ask once, and not one after the other.

        Raises:
            ProviderError: Azure gives none.
            KeyferryError: the cluster gives no proof.
        """
        kept = self._scopes.setdefault(scope, _Kept())
        if kept.token is None and kept.failure is not None and kept.failed_at >= since:
            raise copy.copy(kept.failure)
        if claims and claims != self._claims.get(scope):
            self._claims[scope] = claims
            kept.token = None
        if kept.token is None:
            return (await asyncio.shield(self._renew(scope, kept))).value
        left = kept.token.expires_at - self._clock.now()
        if left <= min(LATE, kept.lifetime / 8):
            return (await asyncio.shield(self._renew(scope, kept))).value
        if left <= min(EARLY, kept.lifetime / 4) and not self._is_pausing(kept):
            self._renew(scope, kept)
        return kept.token.value

    def _is_pausing(self, kept: _Kept) -> bool:
        return kept.not_before is not None and self._clock.now() < kept.not_before

    def forget(self) -> None:
        """Somebody does not accept the token: the next one who asks gets a new one."""
        for kept in self._scopes.values():
            kept.token = None

    async def renew(self) -> None:
        """The vault does not accept the token: get new ones for what was used so far. Raises as `token`."""
        self.forget()
        for scope in list(self._scopes):
            await self.token(scope)

    def _renew(self, scope: str, kept: _Kept) -> asyncio.Task[Token]:
        """The one renewal of a scope that is under way."""
        if kept.renewal is None:
            getting = self._get(scope, kept)
            kept.renewal = asyncio.get_running_loop().create_task(getting, name="azure token")
            kept.renewal.add_done_callback(functools.partial(self._renewed, kept))
        return kept.renewal

    def _renewed(self, kept: _Kept, task: asyncio.Task[Token]) -> None:
        # Only here, not as soon as the task is done: who asks in between would not know of the pause yet.
        kept.renewal = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            kept.pause, kept.not_before, kept.failure = timedelta(0), None, None
            return
        kept.failed_at = asyncio.get_running_loop().time()
        kept.failure = copy.copy(error) if isinstance(error, KeyferryError) else None
        # In the background nobody awaits it: whoever needs the result next will ask again.
        kept.pause = min(max(2 * kept.pause, FIRST_PAUSE), LONGEST_PAUSE)
        kept.not_before = self._clock.now() + kept.pause
        if kept.token is not None:
            told = str(error) if isinstance(error, KeyferryError) else type(error).__name__
            log.warning("an Azure token could not be renewed yet: %s", told)

    async def _get(self, scope: str, kept: _Kept) -> Token:
        token = await self._exchange(scope, self._claims.get(scope, ""))
        lifetime = token.expires_at - self._clock.now()
        if lifetime <= timedelta(0):
            raise AuthFailed(
                "the token that Azure gave has ended already", hint="Check the clock of the operator's node"
            )
        kept.token, kept.lifetime = token, lifetime
        return token

    async def close(self) -> None:
        """Forget all tokens, and end renewals under way."""
        renewals = [kept.renewal for kept in self._scopes.values() if kept.renewal is not None]
        self._scopes.clear()
        for renewal in renewals:
            renewal.cancel()
        await asyncio.gather(*renewals, return_exceptions=True)
