"""Which Vaults the platform trusts with tokens that this cluster's API server accepts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"[\w.:-]+")
_PORTS: Final = {"https": 443, "http": 80}


class TrustedVaults:
    """See the module's docstring.

    Args:
        addresses: URLs; scheme, host, port and path count: behind one host there may be servers of others.

    Raises:
        ValueError: one of them is no URL of a server.
    """

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._origins = frozenset(_origin(address) for address in addresses)

    def includes(self, server: str) -> bool:
        """Whether a server is one of them."""
        try:
            return _origin(server) in self._origins
        except ValueError:
            return False


def _origin(address: str) -> tuple[str, str, int, str]:
    text = address.strip()
    parts = urlsplit(text if "://" in text else f"https://{text}")
    scheme, host = parts.scheme.lower(), parts.hostname
    if (
        scheme not in _PORTS
        or not host
        or _HOST.fullmatch(host) is None
        or parts.username is not None
        or parts.query
        or parts.fragment
    ):
        raise ValueError(f"{text[:200]!r} is no address of a Vault such as https://vault.example.com:8200")
    return scheme, host.rstrip(".").lower(), parts.port or _PORTS[scheme], parts.path.rstrip("/")
