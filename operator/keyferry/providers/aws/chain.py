"""The operator's own credentials, by the SDK's default chain: looked for by one, in threads of their own.

The chain reads files and asks endpoints, which may hang. So nobody else waits behind it: neither the start of
a client, nor the calls of stores with credentials of their own.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from typing import Any, Final

from keyferry.aio import ThreadDoor
from keyferry.errors import AuthFailed
from keyferry.providers.aws.errors import chain_failed
from keyferry.providers.aws.settings import AwsCredentials, client_config
from keyferry.secretdata import SecretBytes

THREADS: Final = 4
"""More than one only where the operator's surroundings name no region: then each region asks its own STS,
so that a store's region that does not answer fails the stores there alone."""
_REGION_VARIABLES: Final = ("AWS_DEFAULT_REGION", "AWS_REGION")

_Flight = asyncio.Task[tuple[Any, AwsCredentials]]


class DefaultChain:
    """The SDK's default chain. One per process."""

    def __init__(self) -> None:
        self._door = ThreadDoor("aws-chain", THREADS)
        self._found: Any = None
        self._flights: dict[str, _Flight] = {}

    async def credentials(self, region: str) -> AwsCredentials:
        """What the chain gives now; asked once for all who want it meanwhile.

        Args:
            region: whose STS the chain asks where the operator's surroundings name no region; may be empty.

        Raises:
            ProviderError: it gave nothing.
        """
        shared = self._found is not None or any(map(os.environ.get, _REGION_VARIABLES))
        key = "" if shared else region
        flight = self._flights.get(key)
        if flight is None:
            asking = self._door.run(_ask, self._found, region)
            flight = asyncio.get_running_loop().create_task(asking, name="aws default chain")
            self._flights[key] = flight
            flight.add_done_callback(functools.partial(self._landed, key))
        _, credentials = await asyncio.shield(flight)
        return credentials

    def _landed(self, key: str, flight: _Flight) -> None:
        failed = flight.cancelled() or flight.exception() is not None
        if self._flights.get(key) is not flight:
            return  # forgotten meanwhile
        del self._flights[key]
        # What failed is not asked again: it may stand for a region that another store named.
        self._found = None if failed else flight.result()[0]

    def forget(self) -> None:
        """AWS called the credentials expired: look for them anew."""
        self._found = None
        self._flights.clear()

    def close(self) -> None:
        """Let go of the threads; nobody gets an answer any more."""
        for flight in self._flights.values():
            flight.cancel()
        self._door.close()


def _ask(found: Any, region: str) -> tuple[Any, AwsCredentials]:
    """What the chain has found, and the credentials that it gives now; it renews them itself when due."""
    if found is None:
        found = _from_chain(lambda: _look(region), region)
    frozen = _from_chain(found.get_frozen_credentials, region)
    token = SecretBytes(frozen.token) if frozen.token else None
    # Keys from files and variables have no end. Of others the SDK shows it to nobody; without it they would
    # be renewed as soon as AWS calls them expired.
    expires_at = getattr(found, "_expiry_time", None)
    return found, AwsCredentials(frozen.access_key, SecretBytes(frozen.secret_key), token, expires_at)


def _look(region: str) -> Any:
    import botocore.session

    session = botocore.session.get_session()
    session.set_default_client_config(client_config())
    if not session.get_config_variable("region"):
        # The SDK for Python alone does not know AWS_REGION.
        session.set_config_variable("region", os.environ.get("AWS_REGION") or region or None)
    found = session.get_credentials()
    if found is None:
        raise AuthFailed(
            "the SDK's default chain found no AWS credentials in the operator's surroundings",
            hint="Annotate the operator's ServiceAccount for IRSA or use EKS Pod Identity, "
            "or give the store an auth block",
        )
    return found


def _from_chain(get: Callable[[], Any], region: str) -> Any:
    """What the SDK's default chain gives; whatever it raises means that it gives nothing.

    The chain reads files and asks endpoints, and lets their failures through as they are.

    Raises:
        ProviderError: it gave nothing.
    """
    try:
        return get()
    except Exception as error:  # noqa: BLE001 - told by its kind
        failure = chain_failed(error, region)
    # Raised here and not above: what the chain raises may quote a file or an answer.
    raise failure
