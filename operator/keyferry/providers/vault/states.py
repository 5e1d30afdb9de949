"""What a cluster of Vault servers has told us to have seen: sent along, so that no standby answers from before.

Source of the format: Vault's documentation on eventual consistency. A state is base64 of
`v1:cluster:local:replicated:signature`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

HEADER: Final = "x-vault-index"
FORWARD: Final = ("X-Vault-Inconsistent", "forward-active-node")
_MOST: Final = 8
"""More clusters than anybody has behind one address."""
_LONGEST: Final = 512


class States:
    """The newest state of each cluster that has answered."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    def note(self, headers: Mapping[str, str]) -> None:
        """Remember what an answer's headers say; what cannot be read says nothing."""
        for text in headers.get(HEADER, "").split(","):
            parsed = _parsed(text.strip())
            if parsed is None:
                continue
            cluster, position = parsed
            before = self._known.get(cluster)
            if before is None or position >= before[0]:
                self._known.pop(cluster, None)
                self._known[cluster] = (position, text.strip())
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    @property
    def header(self) -> str:
        """What is sent along; empty while there is nothing."""
        return ", ".join(text for _, text in self._known.values())


def _parsed(text: str) -> tuple[str, tuple[int, int]] | None:
    if not 0 < len(text) <= _LONGEST:
        return None
    try:
        parts = base64.b64decode(text, validate=True).decode("ascii").split(":")
        version, cluster, local, replicated = parts[:4]
        return (cluster, (int(local), int(replicated))) if version == "v1" and len(parts) == 5 else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
