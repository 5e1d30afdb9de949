"""`spec.provider.fake`: fixed values, for tests and demonstrations."""

from __future__ import annotations

from keyferry.api.model import Model


class FakeProviderData(Model, frozen=True, kw_only=True):
    """One remote secret."""

    key: str
    """Its name."""
    value: str
    """Its value."""
    version: str = ""
    """Its version; a reference must name the same one."""


class FakeProvider(Model, frozen=True, kw_only=True):
    """A store that is its own manifest. Its values are as open to read as the store."""

    data: tuple[FakeProviderData, ...]
    """The remote secrets."""
    validation_result: int | None = None
    """What checking the store finds: 0 ready, 1 unknown, 2 an error."""
