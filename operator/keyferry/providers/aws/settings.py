"""What all use of the SDK has in common: its limits, and the shape of credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from keyferry import __version__
from keyferry.errors import NotAvailableError
from keyferry.secretdata import SecretBytes

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 15


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


def client_config(**more: Any) -> Any:
    """The SDK's settings for a client: limits of time, and one attempt.

    Args:
        more: further settings.
    """
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        # The planner retries: a thread that sleeps is a thread that is missing.
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra=f"keyferry/{__version__}",
        **more,
    )


@contextmanager
def importing_sdk() -> Iterator[None]:
    """Around the first import of the SDK: tell its absence as what it is.

    Raises:
        NotAvailableError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise NotAvailableError(
            f"provider aws needs the package {package}", hint="Install keyferry[aws]"
        ) from error
