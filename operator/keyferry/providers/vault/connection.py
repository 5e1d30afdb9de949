"""One login for all that ask a Vault as the same identity: made, kept, renewed, made anew, and revoked at the end.

Who uses a connection opens and releases it; the last to go ends it. Revoking a token revokes the leases that were
made with it, so a connection that is pinned keeps its token.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from keyferry.aio import TaskBag
from keyferry.errors import AuthFailed, KeyferryError, NotReadyError, ProviderError, RateLimited, Unavailable
from keyferry.metrics import count_provider_call
from keyferry.ports import ClusterAccess
from keyferry.providers.vault.answers import Answer, Token, token_of
from keyferry.providers.vault.call import Call
from keyferry.providers.vault.document import seconds
from keyferry.providers.vault.errors import (
    Asked,
    BadRequest,
    BadToken,
    Denied,
    not_logged_in,
    unreadable,
)
from keyferry.providers.vault.google import GoogleTokens
from keyferry.providers.vault.identity import Nobody, StaticToken, VaultIdentity
from keyferry.providers.vault.login import hint_of, login_request
from keyferry.providers.vault.patience import Patience
from keyferry.providers.vault.states import FORWARD, HEADER, States
from keyferry.providers.vault.way import Ways
from keyferry.providers.vault.wire import pairs, wire_path

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

CONFIRMED_S: Final = 60.0
"""So long after an answer to a token nobody asks whether Vault still knows it."""
RETRY_S: Final = 10.0
"""Pause after a renewal failed for a reason that may pass."""
FAREWELL_S: Final = 3.0
"""Longest time that revoking a token may take."""
INLINE_BYTES: Final = 16384
"""Longest answer that is worked on in the event loop: a millisecond at most."""
METRICS_NAMES: Final = {"Vault": "HashiCorp/Vault", "OpenBao": "OpenBao"}
"""How metrics name each product."""


class VaultConnection:
    """One identity's way to its Vault. See the module's docstring. Made by `Vaults.open`.

    Args:
        identity: who asks.
        cluster: for ServiceAccount tokens.
        ways: connections, shared with other identities.
        google: for Google's tokens.
    """

    def __init__(
        self, identity: VaultIdentity, cluster: ClusterAccess, ways: Ways, google: GoogleTokens
    ) -> None:
        self.identity = identity
        self.fingerprint = identity.fingerprint
        self.users = 0
        self._cluster = cluster
        self._google = google
        self._way = ways.open(identity)
        self._ways = ways
        self._states = States()
        self._token: Token | None = None
        self._flight: asyncio.Task[Token] | None = None
        self._patience = Patience()
        self._doubted = ""
        self._may_look = True
        self._renewal: asyncio.Task[KeyferryError | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = TaskBag()
        self._pins = 0
        self._closed = False

    # -- asking

    def asked(self, path: str, capability: str = "read", **more: str) -> Asked:
        """What is asked, for errors; `what` and `call` as in `Asked`."""
        identity = self.identity
        return Asked(
            identity.product,
            identity.server.host,
            identity.server.field,
            path,
            capability,
            identity.namespace,
            **more,
        )

    async def request(  # noqa: PLR0913 - all that a call may differ in
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str | Sequence[str]] | None = None,
        asked: Asked | None = None,
        token: Token | None = None,
        login: bool = False,
    ) -> Answer:
        """One call under the identity's token; logs in first where there is none.

        Args:
            method: GET, LIST, POST, PUT, DELETE or any other that Vault knows.
            path: below /v1/, as people write it.
            asked: for errors.
            token: one of `new_token` to ask with.
            login: ask in the namespace of the login, which the token is of.

        Raises:
            CredentialsExpired: Vault does not know the token any more: `renew`, and ask once more.
            AccessDenied: its policies do not allow it; the hint tells which would.
            ProviderError: Vault refuses for another reason, or cannot be reached.
            KeyferryError: there is no way to log in.
        """
        asked = asked or self.asked(path, _CAPABILITIES.get(method, "update"))
        token = token or await self.token()
        try:
            answer = await self._ask(method, path, token, asked, body=body, params=params, login=login)
        except BadToken:
            refused = None
        except Denied as error:
            refused = error
        else:
            token.confirmed_at = asyncio.get_running_loop().time()
            if path == self._doubted:
                self._doubted = ""
            return dataclasses.replace(answer, token=token)
        if refused is not None and token.value is not None and await self._is_known(token, path):
            raise refused
        self._forget(token)
        raise self._told(token)

    def _told(self, token: Token) -> ProviderError:
        """A bad token's error, where it is not ours to replace."""
        service = f"{self.identity.product} at {self.identity.server.host}"
        if token.own:
            return BadToken(f"{service} does not know the token of the login any more", hint=_RENEWED)
        if token.value is None:
            return Denied(f"{service} wants a token, and the store has no auth", hint=_NO_AUTH)
        return BadToken(f"{service} does not know the token in the store's Secret", hint=_REPLACE)

    async def _is_known(self, token: Token, path: str) -> bool:
        """Whether Vault knows the token: older servers refuse a bad token and a missing policy alike.

        Args:
            path: what was refused.
        """
        now = asyncio.get_running_loop().time()
        if now - token.confirmed_at < CONFIRMED_S:
            if path == self._doubted:
                # A token that was just made is refused like the one before: it is not the token. So Vault does
                # not let this identity look its tokens up, and to ask for that tells nothing.
                self._doubted, self._may_look = "", False
            return True
        if not self._may_look:
            return True
        try:
            await self._ask("GET", LOOKUP, token, self.asked(LOOKUP, call="LookupSelf"), login=True)
        except BadToken:
            return False
        except Denied:
            self._doubted = path if token.own else ""
            return False
        except ProviderError:
            return True
        token.confirmed_at = now
        return True

    async def _ask(  # noqa: PLR0913 - what `request` has, and who asks
        self,
        method: str,
        path: str,
        token: Token | None,
        asked: Asked,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str | Sequence[str]] | None = None,
        login: bool = False,
    ) -> Answer:
        identity = self.identity
        headers = dict(identity.headers)
        if identity.consistent and (index := self._states.header):
            headers[HEADER] = index
        if identity.forward:
            headers[FORWARD[0]] = FORWARD[1]
        call = Call(
            method,
            wire_path(path),
            token.value if token is not None else None,
            identity.login_namespace if login else identity.namespace,
            headers,
            pairs(params),
            None if body is None else msgspec.json.encode(body),
        )
        try:
            answer = await self._way.send(call, asked)
        except ProviderError:
            count_provider_call(METRICS_NAMES[identity.product], asked.call, ok=False)
            raise
        count_provider_call(METRICS_NAMES[identity.product], asked.call, ok=True)
        if identity.consistent:
            self._states.note(answer.headers)
        return answer

    async def compute(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; computed in a thread where so many bytes take long.

        Raises:
            Exception: whatever the function raises.
        """
        if size <= INLINE_BYTES:
            return function(*args, **kwargs)
        return await self._way.compute(function, *args, **kwargs)

    # -- the token

    async def token(self) -> Token:
        """The token to ask with now; logs in where there is none that is good.

        Raises:
            KeyferryError: Vault refuses the login, or cannot be asked.
        """
        now = asyncio.get_running_loop().time()
        token = self._token
        if token is None or not token.is_good(now):
            token = await asyncio.shield(self._login())
        token.used = True
        if token.renewal_in(now) == 0 and self._timer is None:
            self._start_renewal()
        return token

    def _login(self) -> asyncio.Task[Token]:
        """The one login under way."""
        if self._closed:
            raise NotReadyError("the connection to Vault has ended")
        if self._flight is None:
            self._patience.check(asyncio.get_running_loop().time())
            self._flight = asyncio.get_running_loop().create_task(self._log_in(), name="vault login")
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, task: asyncio.Task[Token]) -> None:
        self._flight = None
        if not task.cancelled():
            task.exception()  # who waits for it gets it

    async def _log_in(self) -> Token:
        try:
            token = await self.new_token()
        except KeyferryError as error:
            self._patience.failed(error, asyncio.get_running_loop().time())
            raise
        self._patience.succeeded()
        self._token = token
        self._schedule(token)
        return token

    async def new_token(self) -> Token:
        """A token that nobody else asks with, of a login of its own.

        Raises:
            KeyferryError: Vault refuses the login, or cannot be asked.
        """
        login = self.identity.login
        if isinstance(login, Nobody | StaticToken):
            return Token(login.token if isinstance(login, StaticToken) else None, own=False)
        request = await login_request(login, self._cluster, self._google)
        asked = self.asked(request.path, "update", what="a login", call="Login")
        asked = dataclasses.replace(asked, namespace=self.identity.login_namespace)
        try:
            answer = await self._ask("POST", request.path, None, asked, body=request.body, login=True)
        except ProviderError as error:
            failure: ProviderError = not_logged_in(error, asked, request.method, hint_of(login))
        else:
            token = token_of(answer.auth, asyncio.get_running_loop().time())
            if token is not None:
                return token
            failure = unreadable(asked)
            if answer.auth.get("mfa_requirement"):
                failure = AuthFailed(
                    f"the login by {request.method} wants a second factor",
                    hint="Exempt it from MFA in Vault: nobody is there to give one",
                )
        raise failure

    async def renew(self) -> None:
        """Log in anew, unless somebody has done so since the token was found to be bad.

        Raises:
            CredentialsExpired: the token is from a Secret: somebody has to write a new one.
            KeyferryError: as `token`.
        """
        if self._token is not None:
            return
        if isinstance(self.identity.login, StaticToken | Nobody):
            raise self._told(Token(getattr(self.identity.login, "token", None), own=False))
        await asyncio.shield(self._login())

    def leave(self, token: Token) -> None:
        """Have the next who asks log in anew. Leases that hang on this token are its own until it ends."""
        self._forget(token)

    def _forget(self, token: Token) -> None:
        if self._token is token:
            self._token = None
            self._stop_timer()

    # -- renewal

    def _schedule(self, token: Token) -> None:
        self._stop_timer()
        loop = asyncio.get_running_loop()
        wait_s = token.renewal_in(loop.time())
        if wait_s is not None and not self._closed:
            self._timer = loop.call_later(wait_s, self._renewal_is_due)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _renewal_is_due(self) -> None:
        self._timer = None
        token = self._token
        # One that nobody uses ends by itself; who comes late finds it due, or logs in anew.
        if token is not None and (token.used or self._pins):
            self._start_renewal()

    def _start_renewal(self) -> None:
        if self._token is not None and self._renewal is None and not self._closed:
            self._renewal = self._tasks.spawn(self._renew_token(self._token), name="vault token")
            self._renewal.add_done_callback(self._renewal_ended)

    def _renewal_ended(self, _: asyncio.Task[KeyferryError | None]) -> None:
        self._renewal = None

    async def prolong(self, token: Token) -> None:
        """Renew the token now, unless it has most of its life left: what hangs on it is to last, too.

        Raises:
            ProviderError: Vault could not be asked.
        """
        if token is not self._token or token.is_fresh(asyncio.get_running_loop().time()):
            return
        self._stop_timer()
        self._start_renewal()
        if (renewal := self._renewal) is not None:
            await asyncio.wait((renewal,))
            failure = None if renewal.cancelled() else renewal.result()
            if isinstance(failure, Unavailable | RateLimited):
                raise failure

    async def _renew_token(self, token: Token) -> KeyferryError | None:
        """Renew it; why it could not be, returned."""
        loop = asyncio.get_running_loop()
        asked = self.asked(_RENEW, "update", what="renewing its token", call="RenewSelf")
        try:
            answer = await self._ask("POST", _RENEW, token, asked, body={}, login=True)
        except (BadToken, Denied) as error:
            token.renewable = False  # it lives to its end, and then there is a new login
            log.info("a token of Vault's is not renewed: %s", error.message)
            return copy.copy(error)
        except KeyferryError as error:
            log.info("a token of Vault's could not be renewed yet: %s", error.message)
            if isinstance(error, BadRequest) or type(error) is ProviderError:
                token.renewable = False
            elif self._token is token and not self._closed:
                self._timer = loop.call_later(min(RETRY_S, token.lifetime_s / 8), self._renewal_is_due)
            return copy.copy(error)
        self._note_renewal(token, answer.auth)
        return None

    def _note_renewal(self, token: Token, auth: Mapping[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        lifetime_s = seconds(auth.get("lease_duration"))
        if not lifetime_s:
            token.renewable = False
            return
        left_s = (token.expires_at or now) - now
        token.used, token.confirmed_at = False, now
        # No longer than before: its longest life is reached.
        token.renewable = auth.get("renewable") is True and lifetime_s > left_s + 1
        token.expires_at, token.lifetime_s = now + lifetime_s, lifetime_s
        if self._token is token:
            self._schedule(token)

    # -- the end

    def pin(self) -> None:
        """Leases hang on the token: it is renewed even if nobody asks, and not revoked at the end."""
        self._pins += 1

    def unpin(self) -> None:
        """One lease less hangs on it."""
        self._pins = max(0, self._pins - 1)

    @property
    def accessor(self) -> str:
        """Of the token that calls are made with now; empty where there is none."""
        return "" if self._token is None else self._token.accessor

    async def close(self) -> None:
        """End: revoke the token, if it is ours and nothing hangs on it."""
        if self._closed:
            return
        self._closed = True
        self._stop_timer()
        await self._tasks.close()
        if self._flight is not None:
            # A login that is let go of would leave a token that nobody knows.
            await asyncio.wait((self._flight,), timeout=FAREWELL_S)
        token, self._token = self._token, None
        if token is not None and token.own and not token.batch and not self._pins:
            await self._revoke(token)
        await self._ways.release(self._way)

    async def _revoke(self, token: Token) -> None:
        asked = self.asked(_REVOKE, "update", what="revoking its token", call="RevokeSelf")
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._ask("POST", _REVOKE, token, asked, body={}, login=True)
        except (KeyferryError, TimeoutError) as error:
            told = error.message if isinstance(error, KeyferryError) else "no answer in time"
            log.info("a token of Vault's is not revoked, and ends by itself: %s", told)

    def __repr__(self) -> str:
        state = "logged in" if self._token is not None else "not logged in"
        return f"<VaultConnection {self.fingerprint[:8]} {state}, {self.users} users>"


LOOKUP: Final = "auth/token/lookup-self"
"""Where a token is told how it is."""
_RENEW: Final = "auth/token/renew-self"
_REVOKE: Final = "auth/token/revoke-self"
_CAPABILITIES: Final = {"GET": "read", "LIST": "list", "DELETE": "delete", "PATCH": "patch"}
_RENEWED: Final = "Nothing to do: Keyferry logs in anew"
_REPLACE: Final = "Write a new one, or use a login that renews itself, such as auth.kubernetes"
_NO_AUTH: Final = "Set auth, or let server lead to a proxy of Vault's that adds its own token"
