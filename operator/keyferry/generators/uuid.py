"""UUID: a random one (version 4)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import ClassVar

from keyferry.api.generators.local import UUIDSpec
from keyferry.api.model import Model
from keyferry.generators.offline import Offline
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.secretdata import SecretData


class UUIDGenerator(Offline):
    """See the module's docstring."""

    kind: ClassVar[str] = "UUID"
    spec: ClassVar[type[Model]] = UUIDSpec

    def check(self, view: GeneratorView) -> None:
        """There is nothing to check."""

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("uuid",)

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:  # noqa: ARG002
        """See `ports.Generator.generate`. `uuid4` takes the operating system's randomness."""
        return Generated(SecretData({"uuid": str(uuid.uuid4())}))
