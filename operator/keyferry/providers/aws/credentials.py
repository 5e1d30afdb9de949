"""Credentials of one identity: exchanged, kept until shortly before they end, renewed in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from keyferry.clock import Clock
from keyferry.errors import AuthFailed, CredentialsExpired, KeyferryError
from keyferry.ports import ClusterAccess
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.errors import assume_failed, unreadable
from keyferry.providers.aws.identity import Ambient, AwsIdentity, StaticKeys, WebIdentity
from keyferry.providers.aws.sdk import STS, AwsSdk, Signer, signing
from keyferry.providers.aws.settings import AwsCredentials
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

TOKEN_LIFETIME_S: Final = 600
"""The ServiceAccount token is used once, at once."""
EARLY: Final = timedelta(minutes=10)
"""So long before their end credentials are renewed in the background, where they live long enough."""
LATE: Final = timedelta(seconds=60)
"""So long before their end they are not used any more."""
FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(minutes=2)
"""Bounds of the pause after a renewal in the background failed: the old credentials still serve."""
WEB_IDENTITY_SESSION: Final = "external-secrets-provider-aws"
"""The session name of the reference operator: trust policies and audit queries know it."""
ROLE_SESSION: Final = "keyferry"


class CredentialSession:
    """The credentials of one identity.

    Args:
        identity: who.
        sdk: for STS.
        cluster: for ServiceAccount tokens.
        clock: to know when they end.
    """

    def __init__(self, identity: AwsIdentity, sdk: AwsSdk, cluster: ClusterAccess, clock: Clock) -> None:
        self._identity = identity
        self._sdk = sdk
        self._cluster = cluster
        self._clock = clock
        self._signer: Signer | None = None
        self._expires_at: datetime | None = None
        self._lifetime = timedelta(0)
        self._renewal: asyncio.Task[Signer] | None = None
        self._pause = timedelta(0)
        self._not_before: datetime | None = None

    @property
    def assumes_roles(self) -> bool:
        """Whether getting these credentials proves them: STS gave them for a role."""
        return isinstance(self._identity.source, WebIdentity) or bool(self._identity.roles)

    async def signer(self) -> Signer:
        """What signs a request now; exchanged first where there is none that lasts.

        Raises:
            ProviderError: the exchange failed at AWS.
            KeyferryError: the cluster gave no token.
        """
        left = self._left()
        if self._signer is None or left <= min(LATE, self._lifetime / 8):
            return await asyncio.shield(self._renew())
        if left <= min(EARLY, self._lifetime / 4) and not self._is_pausing():
            self._renew()
        return self._signer

    def _left(self) -> timedelta:
        return self._expires_at - self._clock.now() if self._expires_at is not None else timedelta.max

    def _is_pausing(self) -> bool:
        return self._not_before is not None and self._clock.now() < self._not_before

    async def renew(self) -> None:
        """AWS called them expired: get new ones.

        Raises:
            CredentialsExpired: they cannot be renewed: somebody has to write new ones.
            KeyferryError: as `signer`.
        """
        self._signer = None
        match self._identity.source:
            case StaticKeys() if not self._identity.roles:
                raise CredentialsExpired(
                    "the session token from the store's Secret has expired",
                    hint="Write a new one, or use auth.jwt.serviceAccountRef, which renews itself",
                )
            case Ambient():
                self._sdk.forget_ambient()
        await self.signer()

    def _renew(self) -> asyncio.Task[Signer]:
        """The one renewal under way."""
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_task(self._exchange(), name="aws credentials")
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    def _renewed(self, task: asyncio.Task[Signer]) -> None:
        # Only here, not as soon as the task is done: who asks in between would not know of the pause yet.
        self._renewal = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._pause, self._not_before = timedelta(0), None
            return
        # In the background nobody awaits it: whoever needs the result next will ask again.
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
        self._not_before = self._clock.now() + self._pause
        if self._signer is not None:
            told = str(error) if isinstance(error, KeyferryError) else type(error).__name__
            log.warning("AWS credentials could not be renewed yet: %s", told)

    async def _exchange(self) -> Signer:
        signer, expires_at = await self._first()
        who = self._who()
        for position, role in enumerate(self._identity.roles):
            last = position == len(self._identity.roles) - 1
            credentials = await self._assume(role, signer, who, last=last)
            signer, expires_at, who = signing(credentials), credentials.expires_at, f"role {role}"
        lifetime = expires_at - self._clock.now() if expires_at is not None else timedelta(0)
        if expires_at is not None and lifetime <= timedelta(0):
            raise AuthFailed(
                "the credentials that AWS gave have ended already",
                hint="Check the clock of the operator's node",
            )
        self._signer, self._expires_at, self._lifetime = signer, expires_at, lifetime
        return signer

    async def _first(self) -> tuple[Signer, datetime | None]:
        match self._identity.source:
            case StaticKeys() as keys:
                return signing(AwsCredentials(keys.access_key, keys.secret_key, keys.token)), None
            case Ambient():
                credentials = await self._sdk.ambient(self._identity.region)
                return signing(credentials), credentials.expires_at
            case WebIdentity() as source:
                credentials = await self._web_identity(source)
                return signing(credentials), credentials.expires_at

    async def _web_identity(self, source: WebIdentity) -> AwsCredentials:
        token = await self._cluster.request_token(
            source.namespace, source.name, source.audiences, TOKEN_LIFETIME_S
        )
        return await self._ask(
            "assume_role_with_web_identity",
            None,
            source.subject,
            RoleArn=source.role,
            RoleSessionName=WEB_IDENTITY_SESSION,
            WebIdentityToken=token.token.reveal().decode(),
        )

    async def _assume(self, role: str, signer: Signer, who: str, *, last: bool) -> AwsCredentials:
        arguments: dict[str, Any] = {"RoleArn": role, "RoleSessionName": ROLE_SESSION}
        if last and self._identity.external_id:
            arguments["ExternalId"] = self._identity.external_id
        if last and self._identity.tags:
            arguments["Tags"] = [{"Key": key, "Value": value} for key, value in self._identity.tags]
        if last and self._identity.transitive:
            arguments["TransitiveTagKeys"] = list(self._identity.transitive)
        return await self._ask("assume_role", signer, who, **arguments)

    async def _ask(
        self, operation: str, signer: Callable[[], Any] | None, who: str, **arguments: Any
    ) -> AwsCredentials:
        """One question to STS; the credentials that it gave.

        Raises:
            ProviderError: it gave none.
        """
        action = "AssumeRole" if operation == "assume_role" else "AssumeRoleWithWebIdentity"
        asked = Asked(f"sts:{action}", self._identity.region)
        try:
            answer = await self._sdk.call(STS, self._identity.region, operation, signer, **arguments)
        except Exception as error:  # noqa: BLE001 - told, or raised again if it is a bug
            failure = assume_failed(error, asked, arguments["RoleArn"], who)
        else:
            given = answer.get("Credentials") or {}
            if {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"} <= given.keys():
                return AwsCredentials(
                    given["AccessKeyId"],
                    SecretBytes(given["SecretAccessKey"]),
                    SecretBytes(given["SessionToken"]),
                    given["Expiration"],
                )
            failure = unreadable(asked)
        # Raised here and not above: the SDK's exception may quote the answer, which holds credentials.
        raise failure

    def _who(self) -> str:
        match self._identity.source:
            case WebIdentity() as source:
                return f"role {source.role}"
            case StaticKeys():
                return "the owner of the access key"
            case _:
                return "the operator's own identity"

    async def close(self) -> None:
        """End a renewal under way."""
        self._signer = None
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
