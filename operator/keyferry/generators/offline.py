"""What generators that ask nobody have in common: nothing to take back, nothing to close."""

from __future__ import annotations

from typing import ClassVar

from keyferry.ports import ClusterAccess, GeneratorView


class Offline:
    """Base of generators without a trace anywhere else."""

    stateful: ClassVar[bool] = False

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """Nothing was made elsewhere."""

    async def close(self) -> None:
        """Nothing is shared."""
