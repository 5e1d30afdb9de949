"""Fake: the values that stand in its spec. For tests and demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from keyferry.api.generators.local import FakeSpec
from keyferry.api.model import Model
from keyferry.core.generator_spec import typed
from keyferry.generators.offline import Offline
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.secretdata import SecretData


class FakeGenerator(Offline):
    """See the module's docstring."""

    kind: ClassVar[str] = "Fake"
    spec: ClassVar[type[Model]] = FakeSpec

    def check(self, view: GeneratorView) -> None:
        """Any data is fine."""
        typed(view.spec, FakeSpec)

    def keys(self, view: GeneratorView) -> Sequence[str]:
        """See `ports.Generator.keys`."""
        return tuple(typed(view.spec, FakeSpec).data)

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:  # noqa: ARG002
        """See `ports.Generator.generate`."""
        return Generated(SecretData(typed(view.spec, FakeSpec).data))
