"""The AWS SDK behind one door: lazily imported, one client per service and region, calls in threads.

Clients are expensive (memory, 0.1 s of CPU) and do not depend on who asks; credentials do. So all
identities of a region share one client, and each call is signed with the credentials of its own context
(a context variable that the SDK's signer reads). Without credentials in the context nothing is signed.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn

from keyferry import __version__
from keyferry.aio import ThreadDoor
from keyferry.errors import AuthFailed, ProviderError
from keyferry.providers.aws.errors import AnswerUnreadable, chain_failed, is_known
from keyferry.secretdata import SecretBytes

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 15
CALLS_PER_IDENTITY: Final = 8
THREADS: Final = 4 * CALLS_PER_IDENTITY
"""Threads per service and region. More than one identity can hold: a store whose calls hang leaves room
for the others, until its breaker opens."""
MAX_CLIENTS: Final = 48
"""Clients kept, least recently used first to go: whoever writes stores also writes regions."""

SECRETS_MANAGER: Final = "secretsmanager"
STS: Final = "sts"
_ENDPOINT_VARIABLES: Final = {
    SECRETS_MANAGER: "AWS_SECRETSMANAGER_ENDPOINT",
    STS: "AWS_STS_ENDPOINT",
}
"""The reference operator's names; the SDK's own (AWS_ENDPOINT_URL_…) it reads by itself."""


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """What signs a request.

    Args:
        expires_at: when they end; None for keys that do not.
    """

    access_key: str
    secret_key: SecretBytes = field(repr=False)
    token: SecretBytes | None = field(repr=False)
    expires_at: datetime | None = None


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
    busy: int = 0

    def close(self) -> None:
        self.door.close()
        self.client.close()


def endpoint_of(service: str) -> str:
    """The endpoint that the operator's environment sets for a service; empty for AWS's own."""
    return os.environ.get(_ENDPOINT_VARIABLES[service], "")


class AwsSdk:
    """All use of the SDK. One per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: OrderedDict[tuple[str, str], _Client] = OrderedDict()
        self._starting = ThreadDoor("aws-start", 1)
        self._ambient: Any = None

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

    async def _client(self, service: str, region: str) -> _Client:
        key = (service, region)
        entry = self._clients.get(key)
        if entry is None:
            made = await self._starting.run(self._start, service, region)
            entry = self._clients.setdefault(key, made)
            if entry is not made:
                made.close()  # somebody else asked for the same one meanwhile
            self._make_room()
        self._clients.move_to_end(key)
        return entry

    def _make_room(self) -> None:
        for key in [key for key, entry in self._clients.items() if not entry.busy]:
            if len(self._clients) <= MAX_CLIENTS:
                return
            self._clients.pop(key).close()

    def _start(self, service: str, region: str) -> _Client:
        """Make a client; in a thread, one at a time, because making them is not thread-safe."""
        with self._lock:
            from botocore.config import Config

            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                # The planner retries: a thread that sleeps is a thread that is missing.
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=THREADS,
                user_agent_extra=f"keyferry/{__version__}",
                parameter_validation=False,
            )
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
            return _Client(client, ThreadDoor(f"aws-{service}-{region}", THREADS))

    def _sdk_session(self) -> Any:
        if self._session is None:
            import botocore.session

            self._session = botocore.session.get_session()
            self._session.register_component("credential_provider", _ContextCredentials())
        return self._session

    async def ambient(self, region: str) -> Signer:
        """The operator's own credentials by the SDK's default chain; they renew themselves.

        Args:
            region: whose STS the chain asks where the operator's environment names no region.

        Raises:
            AuthFailed: the chain found none.
        """
        found = self._ambient or await self._starting.run(self._find_ambient, region)
        return lambda: _from_chain(found.get_frozen_credentials, region)

    def _find_ambient(self, region: str) -> Any:
        with self._lock:
            if self._ambient is None:
                self._ambient = _from_chain(lambda: _default_chain(region), region)
            return self._ambient

    def forget_ambient(self) -> None:
        """AWS called the operator's own credentials expired: look for them anew."""
        self._ambient = None

    def close(self) -> None:
        """Let go of threads and connections."""
        self._starting.close()
        for entry in self._clients.values():
            entry.close()
        self._clients.clear()


def _default_chain(region: str) -> Any:
    import botocore.session

    session = botocore.session.get_session()
    if not session.get_config_variable("region"):
        session.set_config_variable("region", region)
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


def signing(credentials: AwsCredentials) -> Signer:
    """What signs with these credentials."""
    return lambda: _frozen(credentials)


def _frozen(credentials: AwsCredentials) -> Any:
    from botocore.credentials import ReadOnlyCredentials

    token = credentials.token.reveal().decode() if credentials.token is not None else None
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key.reveal().decode(), token)
