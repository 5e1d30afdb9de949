"""The AWS SDK behind one door: lazily imported, one client per service and region, calls in threads.

Clients are expensive (memory, 0.1 s of CPU) and do not depend on who asks; credentials do. So all
identities of a region share one client, and each call is signed with the credentials of its own context
(a context variable that the SDK's signer reads). Without credentials in the context nothing is signed.
"""

from __future__ import annotations

import contextvars
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from keyferry.aio import ThreadDoor
from keyferry.errors import AuthFailed, ProviderError, SpecError
from keyferry.providers.aws.chain import DefaultChain
from keyferry.providers.aws.errors import AnswerUnreadable, is_known
from keyferry.providers.aws.settings import AwsCredentials, client_config, importing_sdk

CALLS_PER_IDENTITY: Final = 8
THREADS: Final = 4 * CALLS_PER_IDENTITY
"""Threads per service and region. More than one identity can hold: a store whose calls hang leaves room
for the others, until its breaker opens."""
MAX_CLIENTS: Final = 48
"""Clients kept, least recently used first to go: whoever writes stores also writes regions."""
MAX_UNLISTED_CLIENTS: Final = 8
"""The same for regions that the SDK does not list: new ones, and what somebody made up."""

SECRETS_MANAGER: Final = "secretsmanager"
SSM: Final = "ssm"
STS: Final = "sts"
ECR: Final = "ecr"
ECR_PUBLIC: Final = "ecr-public"
_ENDPOINT_VARIABLES: Final = {
    SECRETS_MANAGER: "AWS_SECRETSMANAGER_ENDPOINT",
    SSM: "AWS_SSM_ENDPOINT",
    STS: "AWS_STS_ENDPOINT",
    ECR: "AWS_ECR_ENDPOINT",
    ECR_PUBLIC: "AWS_ECR_PUBLIC_ENDPOINT",
}
"""The reference operator's names; the SDK's own (AWS_ENDPOINT_URL_…) it reads by itself."""
_SDK_ENDPOINT_VARIABLES: Final = {
    SECRETS_MANAGER: ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
    SSM: ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM"),
    STS: ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"),
    ECR: ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"),
    ECR_PUBLIC: ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR_PUBLIC"),
}


Signer = Callable[[], Any]
"""Gives the credentials to sign a request with, in the SDK's own form; called in a thread, at each request."""
_current: contextvars.ContextVar[Signer | None] = contextvars.ContextVar("aws_signer", default=None)


class _ContextCredentials:
    """What the SDK takes for its credentials: those of the calling context."""

    method = "keyferry"
    account_id = None

    def load_credentials(self) -> _ContextCredentials:
        """The SDK's way to ask a chain of credentials for some."""
        return self

    def get_frozen_credentials(self) -> Any:
        """The credentials to sign with, asked for by the SDK at each request."""
        frozen = _current.get()
        if frozen is None:
            raise AuthFailed("an AWS request had no credentials to be signed with")
        return frozen()

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """The SDK's way to ask for the account id, which no endpoint of ours needs."""
        return lambda: getattr(self, name, None)

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")


@dataclass(slots=True)
class _Client:
    client: Any
    door: ThreadDoor
    listed: bool
    busy: int = 0

    def close(self) -> None:
        self.door.close()
        self.client.close()


def endpoint_of(service: str) -> str:
    """The endpoint that the operator's environment sets for a service; empty for AWS's own."""
    return os.environ.get(_ENDPOINT_VARIABLES[service], "")


class _Regions:
    """The regions that the SDK knows, of all partitions.

    Args:
        data: the SDK's list of partitions.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        partitions = data["partitions"]
        self._listed = frozenset(region for partition in partitions for region in partition["regions"])
        self._patterns = [re.compile(partition["regionRegex"]) for partition in partitions]

    def is_listed(self, region: str, service: str) -> bool:
        """Whether the region is in the list; one that is not may be newer than the SDK.

        Raises:
            SpecError: no partition names its regions like that.
        """
        if region in self._listed:
            return True
        if not any(pattern.fullmatch(region) for pattern in self._patterns) and not _has_endpoint(service):
            raise SpecError(f'region: "{region}" is a region of no AWS partition', hint="Correct it")
        return False


def _read_regions() -> _Regions:
    with importing_sdk():
        from botocore.loaders import create_loader

    # Not a session's loader: it fails where the settings of the operator's surroundings contradict each other.
    return _Regions(create_loader(os.environ.get("AWS_DATA_PATH")).load_data("partitions"))


def _has_endpoint(service: str) -> bool:
    """Whether the operator's environment names an endpoint: what stands there calls its regions as it likes."""
    return any(map(os.environ.get, (_ENDPOINT_VARIABLES[service], *_SDK_ENDPOINT_VARIABLES[service])))


class AwsSdk:
    """All use of the SDK. One per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: OrderedDict[tuple[str, str], _Client] = OrderedDict()
        self._starting = ThreadDoor("aws-start", 1)
        # Regions that somebody made up wait for each other, and nobody else waits for more than one.
        self._starting_unlisted = ThreadDoor("aws-start-unlisted", 1)
        self._regions: _Regions | None = None
        self._chain = DefaultChain()

    async def call(
        self,
        service: str,
        region: str,
        operation: str,
        credentials: Signer | None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """One API call, in a thread.

        Args:
            operation: the client's method, such as "get_secret_value".
            credentials: gives what signs the request; None for an unsigned operation.

        Raises:
            ProviderError: no client can be made, or the credentials cannot be had.
            SpecError: no partition has such a region.
            NotAvailableError: the SDK is not installed.
            Exception: botocore's, which `errors.translated` maps.
        """
        entry = await self._client(service, region)
        _current.set(credentials)
        method = getattr(entry.client, operation)
        entry.busy += 1
        try:
            answer: dict[str, Any] = await entry.door.run(method, **arguments)
        except Exception as error:
            if is_known(error):
                raise
            stumbled = AnswerUnreadable(type(error).__name__)
        else:
            return answer
        finally:
            entry.busy -= 1
        # Raised here and not above: what made the SDK stumble holds the answer.
        raise stumbled

    async def prepare(self, service: str, region: str) -> None:
        """Make sure that there is a client: the next call goes out at once. Raises as `call`."""
        await self._client(service, region)

    async def _client(self, service: str, region: str) -> _Client:
        key = (service, region)
        entry = self._clients.get(key)
        if entry is None:
            listed = await self._is_listed(region, service)
            door = self._starting if listed else self._starting_unlisted
            made = await door.run(self._start, service, region, listed=listed)
            entry = self._clients.setdefault(key, made)
            if entry is not made:
                made.close()  # somebody else asked for the same one meanwhile
            self._make_room(key)
        self._clients.move_to_end(key)
        return entry

    async def _is_listed(self, region: str, service: str) -> bool:
        if self._regions is None:
            self._regions = await self._starting.run(_read_regions)
        return self._regions.is_listed(region, service)

    def _make_room(self, new: tuple[str, str]) -> None:
        """Close what is one too many; clients of unlisted regions never push out others."""
        listed = self._clients[new].listed
        peers = [key for key, entry in self._clients.items() if entry.listed is listed]
        idle = [key for key in peers if key != new and not self._clients[key].busy]
        for key in idle[: max(0, len(peers) - (MAX_CLIENTS if listed else MAX_UNLISTED_CLIENTS))]:
            self._clients.pop(key).close()

    def _start(self, service: str, region: str, *, listed: bool) -> _Client:
        """Make a client; in a thread, one at a time, because making them is not thread-safe."""
        with self._lock:
            config = client_config(max_pool_connections=THREADS, parameter_validation=False)
            endpoint = endpoint_of(service)
            try:
                client = self._sdk_session().create_client(
                    service, region_name=region, endpoint_url=endpoint or None, config=config
                )
            except ValueError as error:
                if not endpoint or type(error) is not ValueError:
                    raise
                raise ProviderError(
                    f"{_ENDPOINT_VARIABLES[service]} in the operator's environment is no URL",
                    hint="Correct or remove it",
                ) from None
            return _Client(client, ThreadDoor(f"aws-{service}-{region}", THREADS), listed)

    def _sdk_session(self) -> Any:
        if self._session is None:
            import botocore.session

            self._session = botocore.session.get_session()
            self._session.register_component("credential_provider", _ContextCredentials())
        return self._session

    async def ambient(self, region: str) -> AwsCredentials:
        """The operator's own credentials by the SDK's default chain, before their end renewed ones.

        Args:
            region: whose STS the chain asks where the operator's surroundings name no region.

        Raises:
            ProviderError: the chain gave none.
            SpecError, NotAvailableError: as `call`.
        """
        return await self._chain.credentials(region if await self._is_listed(region, STS) else "")

    def forget_ambient(self) -> None:
        """AWS called the operator's own credentials expired: look for them anew."""
        self._chain.forget()

    def close(self) -> None:
        """Let go of threads and connections."""
        self._chain.close()
        self._starting.close()
        self._starting_unlisted.close()
        for entry in self._clients.values():
            entry.close()
        self._clients.clear()


def signing(credentials: AwsCredentials) -> Signer:
    """What signs with these credentials."""
    return lambda: _frozen(credentials)


def _frozen(credentials: AwsCredentials) -> Any:
    from botocore.credentials import ReadOnlyCredentials

    token = credentials.token.reveal().decode() if credentials.token is not None else None
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key.reveal().decode(), token)
