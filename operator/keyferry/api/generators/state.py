"""GeneratorState: what a generator has made elsewhere, kept so that it can be taken back."""

from __future__ import annotations

from typing import Annotated, Any

from keyferry.api.conditions import Condition
from keyferry.api.model import Model, schema


class GeneratorStateSpec(Model, frozen=True, kw_only=True):
    """What was made, and by which generator."""

    garbage_collection_deadline: Annotated[str | None, schema(format="date-time")] = None
    """When it is taken back and this object deleted. Not at all if unset."""
    resource: dict[str, Any]
    """The generator's manifest at that time; it is read again to take back what was made."""
    state: dict[str, Any]
    """What the generator needs to take it back."""


class GeneratorStateStatus(Model, frozen=True, kw_only=True):
    """Whether it could be taken back."""

    conditions: tuple[Condition, ...] = ()
    """Whether what was made is in use or could be taken back, and if not, why."""
