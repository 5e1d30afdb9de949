"""What Vault has lent, kept: leases and tokens, and the token that they hang on.

By id and accessor, under whatever login there is: so another process goes on where one has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import msgspec

from keyferry.clock import Clock
from keyferry.core.summarize import timestamp
from keyferry.errors import CredentialsExpired, KeyferryError, LeaseLost, ProviderError, RemoteSecretNotFound
from keyferry.lease import AtTheEnd, Lease
from keyferry.providers.vault.answers import Answer, Token
from keyferry.providers.vault.connection import LOOKUP, VaultConnection
from keyferry.providers.vault.document import seconds, text_of
from keyferry.providers.vault.errors import BadRequest
from keyferry.providers.vault.leasing import LentState, Parent, lease_of, within

T = TypeVar("T")

GIVE_BACK_S: Final = 10.0
"""Longest time that giving back may take what nobody will use."""
_MOST_KNOWN: Final = 4096
"""So many identities and former logins are remembered."""

_RENEW: Final = "sys/leases/renew"
_REVOKE: Final = "sys/leases/revoke"
_RENEW_TOKEN: Final = "auth/token/renew-accessor"  # noqa: S105 - a path
_REVOKE_TOKEN: Final = "auth/token/revoke-accessor"  # noqa: S105 - a path


@dataclass(slots=True)
class _TokenLife:
    """A token as something that others hang on.

    Args:
        parent: what a state notes of it.
        ends_at: when it ends, as things are; None for never.
    """

    parent: Parent
    ends_at: datetime | None


class Lending:
    """See the module's docstring.

    Args:
        clock: for when leases end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._former: OrderedDict[str, tuple[datetime, datetime | None]] = OrderedDict()
        """Tokens of former logins, by accessor: when they were renewed last, and when they end."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._lives: OrderedDict[str, int] = OrderedDict()
        """By identity, the longest life that a token of its was given, in seconds."""

    async def borrowed(
        self, connection: VaultConnection, state: LentState, answer: Answer, began_at: datetime
    ) -> tuple[Lease | None, LentState]:
        """How long it stays good, and what its state is to tell of that besides."""
        lease = lease_of(answer, began_at)
        if not state.is_lent:
            return lease, state
        orphan = not answer.lease_id and answer.auth.get("orphan") is True
        life = _TokenLife(Parent(), None) if orphan else await self._life(connection, answer.token)
        if lease is not None:
            lease = within(lease, life.ends_at, fixed=not life.parent.accessor)
        renewable = lease is not None and lease.at_the_end is AtTheEnd.RENEW
        return lease, msgspec.structs.replace(state, renewable=renewable, parent=life.parent)

    async def token_for(self, connection: VaultConnection) -> Token | None:
        """The token to borrow with; None for the connection's own. What is lent ends with it.

        A token that is used up after some calls lends once, for itself alone: others would use it up. One that
        nears an end that cannot be put off is left, one that is not fresh is renewed.

        Raises:
            KeyferryError: there is none, or Vault cannot be asked.
        """
        token = await connection.token()
        if token.own and token.uses:
            return await connection.new_token()
        self._leave_if_late(connection, token)
        await connection.prolong(token)
        return None

    def _leave_if_late(self, connection: VaultConnection, token: Token) -> None:
        if not token.own or token.expires_at is None:
            return
        longest = self._lives[connection.fingerprint] = max(
            token.lifetime_s, self._lives.pop(connection.fingerprint, 0)
        )
        while len(self._lives) > _MOST_KNOWN:
            self._lives.popitem(last=False)
        last = not token.renewable or token.batch or token.lifetime_s < longest / 2
        if last and token.expires_at - asyncio.get_running_loop().time() < longest / 2:
            connection.leave(token)

    async def _life(self, connection: VaultConnection, token: Token | None) -> _TokenLife:
        """Of the token that was asked with; None where nobody was asked."""
        if token is None:
            return _TokenLife(Parent(), None)
        if token.own:
            ends_at = self._end_of(token)
            if ends_at is None:
                return _TokenLife(Parent(), None)
            if token.accessor and token.renewable and not token.batch:
                return _TokenLife(Parent(token.accessor), ends_at)
            return _TokenLife(Parent(ends_at=timestamp(ends_at)), ends_at)
        # From a Secret: whoever wrote it renews it. What is lent to it now ends by then at the latest.
        ends_at = await self._end_of_foreign(connection)
        return _TokenLife(Parent(ends_at=timestamp(ends_at)) if ends_at else Parent(), ends_at)

    def _end_of(self, token: Token) -> datetime | None:
        if token.expires_at is None:
            return None
        return self._clock.now() + timedelta(seconds=token.expires_at - asyncio.get_running_loop().time())

    async def _end_of_foreign(self, connection: VaultConnection) -> datetime | None:
        """When a token from a Secret ends; None for never, and where it may not even look at itself."""
        now = self._clock.now()
        try:
            found = await connection.request("GET", LOOKUP, login=True)
        except ProviderError:
            return None
        left_s = seconds(found.data.get("ttl"))
        return now + timedelta(seconds=left_s) if left_s else None

    async def renew(self, connection: VaultConnection, lent: LentState) -> Lease:
        """The lease or token for more time, and the token that it hangs on.

        Raises:
            LeaseLost: Vault knows it no more.
            KeyferryError: Vault refuses, or cannot be asked.
        """
        began_at = self._clock.now()
        life_s = await _renewed(connection, lent)
        lease = Lease(began_at, began_at + timedelta(seconds=life_s))
        return await self._with_parent(connection, lent.parent, lease)

    async def _with_parent(self, connection: VaultConnection, parent: Parent, lease: Lease) -> Lease:
        """The lease, with the token renewed that it hangs on."""
        if not parent.accessor:
            ends_at = parent.end
            if ends_at is not None and not (await connection.token()).own:
                # It is from a Secret, and whoever wrote it may have renewed it.
                ends_at = max(ends_at, await self._end_of_foreign(connection) or ends_at)
            return within(lease, ends_at, fixed=True)
        token = await connection.token()
        if token.accessor == parent.accessor:
            await connection.prolong(token)
            return within(lease, self._end_of(token), fixed=False)
        return within(lease, await self._end_of_former(connection, parent.accessor), fixed=False)

    async def _end_of_former(self, connection: VaultConnection, accessor: str) -> datetime | None:
        """When the token of a former login ends, after it was renewed; once for all leases that hang on it."""
        lock = self._locks.setdefault(accessor, asyncio.Lock())
        async with lock:
            now = self._clock.now()
            renewed_at, ends_at = self._former.get(accessor) or (None, None)
            if renewed_at is None or (ends_at is not None and now > renewed_at + (ends_at - renewed_at) / 3):
                ends_at = await self._renew_former(connection, accessor, now)
            return ends_at

    async def _renew_former(
        self, connection: VaultConnection, accessor: str, now: datetime
    ) -> datetime | None:
        asked = connection.asked(_RENEW_TOKEN, "update", call="RenewAccessor")
        try:
            answer = await again(
                connection,
                lambda: connection.request("POST", _RENEW_TOKEN, body={"accessor": accessor}, asked=asked),
            )
        except (BadRequest, RemoteSecretNotFound):
            raise LeaseLost(
                f"{asked.service} does not renew the token any more that this was lent to"
            ) from None
        life_s = seconds(answer.auth.get("lease_duration"))
        ends_at = now + timedelta(seconds=life_s) if life_s else None
        self._former[accessor] = now, ends_at
        self._former.move_to_end(accessor)
        while len(self._former) > _MOST_KNOWN:
            self._former.popitem(last=False)
        return ends_at


def lent_by(connection: VaultConnection, path: str, answer: Answer, began_at: datetime) -> LentState:
    """What was lent, as far as the answer alone tells."""
    identity, auth = connection.identity, answer.auth
    return LentState(
        identity.server.base,
        path,
        identity.namespace,
        lease_id=answer.lease_id,
        accessor="" if answer.lease_id else text_of(auth.get("accessor")),
        duration=answer.lease_s if answer.lease_id else seconds(auth.get("lease_duration")),
        issued_at=timestamp(began_at),
    )


async def again(connection: VaultConnection, ask: Callable[[], Awaitable[T]]) -> T:
    """The answer; once more with a new login, where Vault does not know the token any more."""
    try:
        return await ask()
    except CredentialsExpired:
        await connection.renew()
    return await ask()


async def _renewed(connection: VaultConnection, lent: LentState) -> int:
    """For how many seconds the lease or token lasts now.

    Raises:
        LeaseLost: Vault knows it no more, or gives no more time.
    """
    if lent.lease_id:
        method, path, name = "PUT", _RENEW, {"lease_id": lent.lease_id}
    else:
        method, path, name = "POST", _RENEW_TOKEN, {"accessor": lent.accessor}
    asked = connection.asked(path, "update", call="Renew")
    body: Mapping[str, Any] = name | {"increment": lent.duration}
    try:
        answer = await again(connection, lambda: connection.request(method, path, body=body, asked=asked))
    except (BadRequest, RemoteSecretNotFound):
        raise LeaseLost(f"{asked.service} does not renew it any more: it was revoked, or has ended") from None
    return answer.lease_s if lent.lease_id else seconds(answer.auth.get("lease_duration"))


async def revoke(connection: VaultConnection, lent: LentState) -> None:
    """End it; what is gone already is fine.

    Raises:
        KeyferryError: Vault refuses, or cannot be asked.
    """
    if lent.lease_id:
        method, path, body = "PUT", _REVOKE, {"lease_id": lent.lease_id}
    else:
        method, path, body = "POST", _REVOKE_TOKEN, {"accessor": lent.accessor}
    asked = connection.asked(path, "update", call="Revoke")
    with contextlib.suppress(BadRequest, RemoteSecretNotFound):
        await again(connection, lambda: connection.request(method, path, body=body, asked=asked))


async def give_back(connection: VaultConnection, lent: LentState) -> None:
    """Nobody will ever use it."""
    with contextlib.suppress(KeyferryError, TimeoutError):
        async with asyncio.timeout(GIVE_BACK_S):
            await revoke(connection, lent)
