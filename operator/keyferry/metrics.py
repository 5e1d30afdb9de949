"""Counters that any room may count up, by the names of the contract. Exposition is cli.run's business.

Plain dictionaries: a counter costs a dictionary lookup, and only what was counted exists.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

provider_calls: Final[Counter[tuple[str, str, str]]] = Counter()
"""Calls to stores by (provider, call, status): `externalsecret_provider_api_calls_count`."""


def count_provider_call(provider: str, call: str, *, ok: bool) -> None:
    """Count one call to a store.

    Args:
        provider: the contract's name of the provider, such as "AWS/SecretsManager".
        call: the API's own name of the call.
    """
    provider_calls[provider, call, "success" if ok else "error"] += 1
