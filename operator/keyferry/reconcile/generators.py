"""Generator objects: from a reference to the code that makes values and its checked spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from keyferry.api import names
from keyferry.api.external_secret import GeneratorRef
from keyferry.api.generators.cluster import BLOCKS
from keyferry.api.generators.kinds import plural_of
from keyferry.api.model import convert
from keyferry.core.stores import check_references, is_our_class
from keyferry.errors import KubeNotFound, NotAvailableError, NotReadyError, SpecError
from keyferry.kube.shallow import MAX_DEPTH, is_deep
from keyferry.ports import Generator, GeneratorView, ObjectKey
from keyferry.reconcile.engine import Engine


class NotOurs(Exception):
    """A generator is of another controller class: its ExternalSecret is left alone."""


def generator_key(ref: GeneratorRef, namespace: str) -> ObjectKey:
    """The generator that a reference in a namespace means."""
    cluster = ref.kind == names.CLUSTER_GENERATOR
    return ObjectKey(ref.kind, "" if cluster else namespace, ref.name)


def generator_path(key: ObjectKey) -> str:
    """Where the API server has a generator."""
    scope = f"/namespaces/{key.namespace}" if key.namespace else ""
    return f"/apis/{names.GENERATORS_API_VERSION}{scope}/{plural_of(key.kind)}/{key.name}"


async def load_generator(engine: Engine, key: ObjectKey, namespace: str) -> tuple[Generator, GeneratorView]:
    """The generator as it is now, after every check.

    Raises:
        NotOurs: it is of another controller class.
        NotReadyError: it does not exist.
        NotAvailableError: its kind is not available yet.
        SpecError, ForbiddenError: its spec cannot be used.
        KubeError: the API server refuses or cannot be asked.
    """
    if key.kind != names.CLUSTER_GENERATOR and key.kind not in engine.generators:
        raise _unavailable(key.kind)
    try:
        raw = await engine.api.request("GET", generator_path(key))
    except KubeNotFound:
        raise NotReadyError(
            f"{key} does not exist", hint="Create it, or correct sourceRef.generatorRef"
        ) from None
    if is_deep(raw):
        raise SpecError(f"{key} is nested deeper than {MAX_DEPTH} levels")
    kind, spec = key.kind, orjson.loads(raw).get("spec") or {}
    if kind == names.CLUSTER_GENERATOR:
        kind, spec = _inner(key, spec)
    if not is_our_class(str(spec.get("controller") or ""), engine.settings.controller_class):
        raise NotOurs
    return view_of(engine, key, kind, namespace, spec)


def view_of(
    engine: Engine, key: ObjectKey, kind: str, namespace: str, spec: Mapping[str, Any]
) -> tuple[Generator, GeneratorView]:
    """A generator's code and its checked, typed spec.

    Raises:
        NotAvailableError: its kind is not available yet.
        SpecError, ForbiddenError: its spec cannot be used.
    """
    generator = engine.generators.get(kind)
    if generator is None:
        raise _unavailable(kind)
    try:
        typed = convert(spec, generator.spec)
    except msgspec.ValidationError as error:
        raise SpecError(f"{key} has an invalid spec: {error}") from None
    view = GeneratorView(key, kind, namespace, typed)
    check_references(typed, key.namespace, "spec")
    generator.check(view)
    return generator, view


def _inner(key: ObjectKey, spec: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The kind inside a ClusterGenerator, and its spec."""
    kind = str(spec.get("kind") or "")
    blocks = spec.get("generator") or {}
    inner = blocks.get(BLOCKS.get(kind, ""))
    if inner is None:
        raise SpecError(
            f"{key}: spec.kind is {kind[:80]!r}, and spec.generator has no spec of that kind",
            hint="Set the one field of spec.generator that belongs to spec.kind",
        )
    return kind, inner


def _unavailable(kind: str) -> NotAvailableError:
    return NotAvailableError(
        f"generators of kind {kind[:80]} are not available yet in this version of Keyferry",
        hint="The objects are kept as they are; another operator may serve them",
    )
