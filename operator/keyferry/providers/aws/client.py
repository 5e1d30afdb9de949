"""What the clients of all services have in common: one identity's calls, and the proof that it is known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from keyferry import metrics
from keyferry.errors import AuthFailed, Malformed, ProviderError, RateLimited, TimedOut, Unavailable
from keyferry.ports import Verdict
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.credentials import CredentialSession
from keyferry.providers.aws.errors import translated
from keyferry.providers.aws.sdk import CALLS_PER_IDENTITY, STS, AwsSdk, Signer

log = logging.getLogger(__name__)

REFUSED_S: Final = 3600.0
"""How long what was denied is not tried again: a policy may have changed meanwhile."""
PROOF_S: Final = 5.0
"""How long the proof of an identity may take before it is done without."""
UNPROVEN_S: Final = 3600.0
"""How long an identity is taken as good where STS, which could prove it, does not answer."""


class AwsClient:
    """One identity's way to a service.

    Args:
        sdk: the SDK.
        credentials: of the identity; the client owns them.
        service: the SDK's name of it.
        metrics_name: its name in metrics.
        region: where.
    """

    max_concurrency = CALLS_PER_IDENTITY

    def __init__(
        self, sdk: AwsSdk, credentials: CredentialSession, *, service: str, metrics_name: str, region: str
    ) -> None:
        self.region = region
        self._sdk = sdk
        self._credentials = credentials
        self._service = service
        self._metrics_name = metrics_name
        self._gate = asyncio.Semaphore(CALLS_PER_IDENTITY)
        self._proven_until = 0.0

    async def call(self, operation: str, asked: Asked, **arguments: Any) -> dict[str, Any]:
        """One call to the service, counted.

        Args:
            operation: the SDK's method.
            asked: the same for people; its action is the operation's.

        Raises:
            ProviderError: it failed.
        """
        signer = await self._credentials.signer()
        async with self._gate:
            # First, so that calls which wait for the SDK's start do not go out as one.
            await self._prepare(asked)
            await self._wait_turn()
            return await self._counted(operation, asked, signer, arguments)

    async def _prepare(self, asked: Asked) -> None:
        try:
            await self._sdk.prepare(self._service, self.region)
        except Exception as error:  # noqa: BLE001 - told, or raised again if it is a bug
            failure = translated(error, asked)
        else:
            return
        raise failure

    async def _counted(
        self, operation: str, asked: Asked, signer: Signer, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        action = asked.action.partition(":")[2]
        try:
            answer = await self._sdk.call(self._service, self.region, operation, signer, **arguments)
        except Exception as error:  # noqa: BLE001 - told, or raised again if it is a bug
            metrics.count_provider_call(self._metrics_name, action, ok=False)
            failure = translated(error, asked)
        else:
            metrics.count_provider_call(self._metrics_name, action, ok=True)
            return answer
        # Raised here and not above: the SDK's exception may quote the answer.
        raise failure

    async def _wait_turn(self) -> None:
        """Wait until the service's quota has room; a service without a low one takes calls at once."""

    async def validate(self) -> Verdict:
        """Prove the identity without reading: the credentials can be had, and AWS knows them.

        Roles have been proven by being assumed. Plain keys are shown to STS, which answers everybody whom
        it knows. Where STS cannot be reached, as in a network with an endpoint for the service alone, they
        count as good until a read says otherwise.
        """
        signer = await self._credentials.signer()
        now = asyncio.get_running_loop().time()
        if self._credentials.assumes_roles or now < self._proven_until:
            return Verdict.READY
        asked = Asked("sts:GetCallerIdentity", self.region)
        try:
            async with asyncio.timeout(PROOF_S):
                await self._sdk.call(STS, self.region, "get_caller_identity", signer)
        except TimeoutError:
            failure: ProviderError = TimedOut("AWS STS did not answer in time")
        except Exception as error:  # noqa: BLE001 - told, or raised again if it is a bug
            failure = translated(error, asked)
        else:
            self._proven_until = now + UNPROVEN_S
            return Verdict.READY
        if isinstance(failure, AuthFailed | RateLimited):
            raise failure
        log.info("AWS credentials are taken as good: %s", failure.message)
        self._proven_until = now + UNPROVEN_S
        return Verdict.READY

    async def renew(self) -> None:
        """See `ports.StoreClient.renew`."""
        self._proven_until = 0.0
        await self._credentials.renew()

    async def close(self) -> None:
        """See `ports.StoreClient.close`."""
        await self._credentials.close()


def concerns_the_store(error: object) -> bool:
    """Whether a failure is the store's and not the remote secret's."""
    return isinstance(error, RateLimited | Unavailable | AuthFailed | Malformed)
