"""Templates in a reconcile: what they are read from, whether that has changed, and rendering them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from keyferry.api.external_secret import ExternalSecretStatus, Template
from keyferry.core.summarize import parse_timestamp
from keyferry.core.template import Rendered, Renderer, Texts, digest_of, render_target
from keyferry.core.template_spec import Source, place_of, sources_of
from keyferry.errors import KeyferryError
from keyferry.ports import ObjectKey
from keyferry.reconcile.rendering import Asked
from keyferry.secretdata import SecretData

if TYPE_CHECKING:
    from keyferry.reconcile.engine import Engine
    from keyferry.reconcile.work import Work

T = TypeVar("T")
_CHARS_PER_TEMPLATE = 64
"""What each template counts for besides its text."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The texts that a template needs, as they are now.

    Args:
        texts: by where they are from.
        digest: by which they are known again.
        modified: when one of them was last written; None where nobody can say.
    """

    texts: Mapping[Source, Texts]
    digest: bytes
    modified: datetime | None


def source_keys(template: Template | None, namespace: str) -> list[ObjectKey]:
    """The ConfigMaps and Secrets that a template of a namespace needs, all of them in it."""
    if template is None:
        return []
    return [ObjectKey(source.kind, namespace, source.name) for source in sources_of(template)]


async def read_sources(engine: Engine, key: ObjectKey, template: Template | None) -> Sources | None:
    """What a template is read from, now; None where that is its own text alone.

    Raises:
        NotReadyError: an object is not there.
        KubeError: the API server refuses or cannot be asked.
    """
    if template is None or not (wanted := sources_of(template)):
        return None
    texts, modified = {}, []
    for source, keys in wanted.items():
        need = ObjectKey(source.kind, key.namespace, source.name)
        try:
            one = await engine.sources.read(engine, need, keys)
        except KeyferryError as error:
            raise error.within(place_of(template, source)) from None
        texts[source] = Texts({name: one.texts[name] for name in keys if name in one.texts}, one.keys)
        if one.modified is not None:
            modified.append(one.modified)
    return Sources(texts, digest_of(texts), max(modified, default=None))


def is_changed(rendered: bytes, status: ExternalSecretStatus, sources: Sources | None) -> bool:
    """Whether the target was made from other texts than those that there are now.

    Args:
        rendered: the digest of what it was made from; empty where another process has made it, whose time
            tells then.
    """
    if sources is None or rendered == sources.digest:
        return False
    refreshed = parse_timestamp(status.refresh_time)
    if rendered or sources.modified is None or refreshed is None:
        return bool(rendered)
    return sources.modified >= refreshed


async def with_renderer(engine: Engine, key: ObjectKey, work: Callable[[Renderer], T], chars: int) -> T:
    """The result of work that renders; others go on meanwhile where it takes longer.

    Args:
        key: whose templates they are.
        chars: of all templates together.

    Raises:
        KeyferryError: as `Rendering.run`.
    """
    asked = Asked(key.namespace, engine.clock.now(), chars, functools.partial(engine.queue.set_aside, key))
    try:
        return await engine.rendering.run(asked, work)
    finally:
        engine.queue.take_back(key)


async def render(engine: Engine, work: Work, data: SecretData, sources: Sources | None) -> Rendered:
    """What the target is made of: the values as they are, or what the spec's template makes of them.

    Raises:
        RenderError, SpecError: the template fails, or what it makes may not be made.
    """
    template = work.target.template
    if template is None:
        return Rendered(data, work.owner.labels, work.owner.annotations)
    texts = sources.texts if sources is not None else {}
    return await with_renderer(
        engine,
        work.key,
        lambda renderer: render_target(template, work.target.manifest, data, texts, renderer),
        _chars(template, texts),
    )


def _chars(template: Template, texts: Mapping[Source, Texts]) -> int:
    own = [
        *template.data.values(),
        *template.metadata.labels.values(),
        *template.metadata.annotations.values(),
    ]
    own += [entry.literal for entry in template.template_from if entry.literal is not None]
    lengths = [len(text) for text in own]
    lengths += [len(text) for one in texts.values() for text in one.texts.values()]
    return sum(lengths) + _CHARS_PER_TEMPLATE * len(lengths)
