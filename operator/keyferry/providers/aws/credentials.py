"""Credentials of one identity: exchanged, kept until shortly before they end, renewed in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from keyferry.aio import TaskBag
from keyferry.clock import Clock
from keyferry.errors import ProviderError
from keyferry.ports import ClusterAccess
from keyferry.providers.aws.errors import Asked, assume_failed
from keyferry.providers.aws.identity import Ambient, AwsIdentity, StaticKeys, WebIdentity
from keyferry.providers.aws.sdk import STS, AwsCredentials, AwsSdk, frozen
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

TOKEN_LIFETIME_S: Final = 600
"""The ServiceAccount token is used once, at once."""
EARLY: Final = timedelta(minutes=10)
"""So long before their end credentials are renewed in the background, where they live long enough."""
LATE: Final = timedelta(seconds=60)
"""So long before their end they are not used any more."""
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
        self._signer: Callable[[], Any] | None = None
        self._expires_at: datetime | None = None
        self._lifetime = timedelta(0)
        self._renewal: asyncio.Task[None] | None = None
        self._tasks = TaskBag()

    async def signer(self) -> Callable[[], Any]:
        """What signs a request now; exchanged first where there is none that lasts.

        Raises:
            ProviderError: the exchange failed.
        """
        now = self._clock.now()
        if self._signer is None or (self._expires_at is not None and self._expires_at - now <= self._late()):
            await asyncio.shield(self._renew())
        elif self._expires_at is not None and self._expires_at - now <= min(EARLY, self._lifetime / 4):
            self._renew()
        if self._signer is None:
            raise ProviderError("no AWS credentials could be had")
        return self._signer

    def _late(self) -> timedelta:
        return min(LATE, self._lifetime / 8)

    def drop(self) -> None:
        """AWS called them expired: the next call gets new ones."""
        self._signer = None

    def _renew(self) -> asyncio.Task[None]:
        """The one renewal under way."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._exchange(), name="aws credentials")
            # In the background nobody awaits it: whoever needs the result next will ask again.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._renewal

    async def _exchange(self) -> None:
        signer, expires_at = await self._first()
        for position, role in enumerate(self._identity.roles):
            last = position == len(self._identity.roles) - 1
            credentials = await self._assume(role, signer, last=last)
            signer, expires_at = _signing(credentials), credentials.expires_at
        self._signer, self._expires_at = signer, expires_at
        self._lifetime = expires_at - self._clock.now() if expires_at is not None else timedelta(0)

    async def _first(self) -> tuple[Callable[[], Any], datetime | None]:
        source = self._identity.source
        if isinstance(source, StaticKeys):
            keys = AwsCredentials(source.access_key, source.secret_key, source.token)
            return _signing(keys), None
        if isinstance(source, Ambient):
            try:
                return await self._sdk.ambient(), None
            except Exception as error:
                raise self._failed(error, "", "the operator") from error
        credentials = await self._web_identity(source)
        return _signing(credentials), credentials.expires_at

    async def _web_identity(self, source: WebIdentity) -> AwsCredentials:
        token = await self._cluster.request_token(
            source.namespace, source.name, source.audiences, TOKEN_LIFETIME_S
        )
        try:
            answer = await self._sdk.call(
                STS,
                self._identity.region,
                "assume_role_with_web_identity",
                None,
                RoleArn=source.role,
                RoleSessionName=WEB_IDENTITY_SESSION,
                WebIdentityToken=token.token.reveal().decode(),
            )
        except Exception as error:
            asked = Asked("sts:AssumeRoleWithWebIdentity", self._identity.region)
            raise assume_failed(error, asked, source.role, source.subject) from error
        return _credentials(answer)

    async def _assume(self, role: str, signer: Callable[[], Any], *, last: bool) -> AwsCredentials:
        arguments: dict[str, Any] = {"RoleArn": role, "RoleSessionName": ROLE_SESSION}
        if last and self._identity.external_id:
            arguments["ExternalId"] = self._identity.external_id
        if last and self._identity.tags:
            arguments["Tags"] = [{"Key": key, "Value": value} for key, value in self._identity.tags]
        if last and self._identity.transitive:
            arguments["TransitiveTagKeys"] = list(self._identity.transitive)
        try:
            answer = await self._sdk.call(STS, self._identity.region, "assume_role", signer, **arguments)
        except Exception as error:
            raise self._failed(error, role, self._who()) from error
        return _credentials(answer)

    def _who(self) -> str:
        match self._identity.source:
            case WebIdentity() as source:
                return f"role {source.role}"
            case StaticKeys():
                return "the owner of the access key"
            case _:
                return "the operator's own identity"

    def _failed(self, error: Exception, role: str, who: str) -> ProviderError:
        return assume_failed(error, Asked("sts:AssumeRole", self._identity.region), role, who)

    async def close(self) -> None:
        """End a renewal under way."""
        if self._renewal is not None:
            self._renewal.cancel()
        await self._tasks.close()


def _signing(credentials: AwsCredentials) -> Callable[[], Any]:
    return lambda: frozen(credentials)


def _credentials(answer: dict[str, Any]) -> AwsCredentials:
    given = answer["Credentials"]
    return AwsCredentials(
        given["AccessKeyId"],
        SecretBytes(given["SecretAccessKey"]),
        SecretBytes(given["SessionToken"]),
        given["Expiration"],
    )
