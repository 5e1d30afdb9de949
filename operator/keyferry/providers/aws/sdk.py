"""The AWS SDK behind one door: lazily imported, one client per service and region, calls in threads.

Clients are expensive (memory, 0.1 s of CPU) and do not depend on who asks; credentials do. So all
identities of a region share one client, and each call is signed with the credentials of its own context
(a context variable that the SDK's signer reads). Without credentials in the context nothing is signed.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn

from keyferry import __version__
from keyferry.aio import ThreadDoor
from keyferry.errors import AuthFailed
from keyferry.secretdata import SecretBytes

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 15
THREADS: Final = 8
"""Threads per service and region: a dead region holds no more than these."""

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


_current: contextvars.ContextVar[Callable[[], Any] | None] = contextvars.ContextVar(
    "aws_signer", default=None
)


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


def endpoint_of(service: str) -> str:
    """The endpoint that the operator's environment sets for a service; empty for AWS's own."""
    return os.environ.get(_ENDPOINT_VARIABLES[service], "")


class AwsSdk:
    """All use of the SDK. One per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], _Client] = {}
        self._starting = ThreadDoor("aws-start", 1)
        self._ambient: Any = None

    async def call(
        self,
        service: str,
        region: str,
        operation: str,
        credentials: Callable[[], Any] | None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """One API call, in a thread.

        Args:
            operation: the client's method, such as "get_secret_value".
            credentials: gives what signs the request; None for an unsigned operation.

        Raises:
            botocore's exceptions, which `errors.translated` maps.
        """
        entry = self._clients.get((service, region))
        if entry is None:
            entry = await self._starting.run(self._start, service, region)
        _current.set(credentials)
        method = getattr(entry.client, operation)
        answer: dict[str, Any] = await entry.door.run(method, **arguments)
        return answer

    def _start(self, service: str, region: str) -> _Client:
        """Make a client; in a thread, one at a time, because making them is not thread-safe."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
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
                client = self._sdk_session().create_client(
                    service, region_name=region, endpoint_url=endpoint_of(service) or None, config=config
                )
                self._clients[key] = _Client(client, ThreadDoor(f"aws-{service}-{region}", THREADS))
            return self._clients[key]

    def _sdk_session(self) -> Any:
        if self._session is None:
            import botocore.session

            self._session = botocore.session.get_session()
            self._session.register_component("credential_provider", _ContextCredentials())
        return self._session

    async def ambient(self) -> Callable[[], Any]:
        """The operator's own credentials by the SDK's default chain; they renew themselves.

        Raises:
            AuthFailed: the chain found none.
        """
        found = self._ambient or await self._starting.run(self._find_ambient)
        freeze: Callable[[], Any] = found.get_frozen_credentials
        return freeze

    def _find_ambient(self) -> Any:
        with self._lock:
            if self._ambient is None:
                import botocore.session

                found = botocore.session.get_session().get_credentials()
                if found is None:
                    raise AuthFailed(
                        "the SDK's default chain found no AWS credentials in the operator's surroundings",
                        hint="Annotate the operator's ServiceAccount for IRSA or use EKS Pod Identity, "
                        "or give the store an auth block",
                    )
                self._ambient = found
            return self._ambient

    def close(self) -> None:
        """Let go of threads and connections."""
        self._starting.close()
        for entry in self._clients.values():
            entry.door.close()
        self._clients.clear()


def frozen(credentials: AwsCredentials) -> Any:
    """Credentials in the SDK's own form, for signing."""
    from botocore.credentials import ReadOnlyCredentials

    token = credentials.token.reveal().decode() if credentials.token is not None else None
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key.reveal().decode(), token)
