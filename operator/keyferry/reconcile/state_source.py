"""The generator that a GeneratorState names, with no more rights than it gives to the state's namespace.

Whoever may write states could forge one. What it says is therefore believed only as far as it leads nowhere
that its namespace could not go itself: references stay in the namespace, and of a ClusterGenerator the
present spec counts, never the one that the state brings along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from keyferry.api import names
from keyferry.api.meta import ObjectName
from keyferry.errors import SpecError
from keyferry.ports import Generator, GeneratorView, ObjectKey
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.generators import NotOurs, load_generator, view_of


class _ResourceMeta(msgspec.Struct):
    name: ObjectName
    namespace: str = ""


class _Resource(msgspec.Struct):
    """The generator as its state has noted it; a ClusterGenerator has no namespace."""

    kind: str
    metadata: _ResourceMeta
    spec: dict[str, Any] = {}


async def generator_of(
    engine: Engine, key: ObjectKey, spec: Mapping[str, Any]
) -> tuple[Generator, GeneratorView]:
    """The generator that made what a state stands for.

    Args:
        key: the state.
        spec: the state's.

    Raises:
        SpecError: it names none that made it.
        KeyferryError: it cannot be read any more.
    """
    try:
        resource = msgspec.convert(spec.get("resource"), _Resource)
    except (msgspec.ValidationError, RecursionError):
        raise SpecError(f"{key}: spec.resource is no generator that can be asked") from None
    kind, name = resource.kind, resource.metadata.name
    if resource.metadata.namespace:
        # Never another namespace than the state's own, whatever is written there.
        return view_of(engine, ObjectKey(kind, key.namespace, name), kind, key.namespace, resource.spec)
    source = ObjectKey(names.CLUSTER_GENERATOR, "", name)
    try:
        generator, view = await load_generator(engine, source, key.namespace)
    except NotOurs:
        raise SpecError(f"{source} is of another controller class now") from None
    if view.kind != kind:
        raise SpecError(f"{source} makes {view.kind} now, and no {kind[:80]}")
    return generator, view
