"""spec.target.template: from the values that were read to what the target is made of.

Pure: the clock, the randomness and the budget come with the `Renderer`. Rules: the ExternalSecret API's
templates. Every template sees the values as they were read, none the output of another; what is named later
wins: values that pass, then templateFrom in its order, then data, and metadata over templateFrom.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyferry.api.external_secret import Template, TemplateFrom, TemplateItem
from keyferry.core.decode import decode
from keyferry.core.fieldpath import Fields, Path, leaves, parse_path
from keyferry.core.manifest import Manifest
from keyferry.core.template_error import (
    OverBudgetError,
    Place,
    TemplateFailedError,
    listed,
    told,
)
from keyferry.core.template_spec import (
    ANNOTATIONS,
    DATA,
    LABELS,
    Source,
    check_metadata,
    check_rendered,
    fills_data,
    passes_values,
    references,
    target_of,
)
from keyferry.errors import RenderError
from keyferry.gotemplate import LimitError, Run, StringMap, TemplateError
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.template import LEFT, RIGHT, Cache
from keyferry.secretdata import SecretBytes, SecretData

FIELD: Final = "spec.target.template"
_WHOLE: Final = "\0"
"""Name of a template that makes keys and values: none that a `define` in it could have."""
_KEY: Final = re.compile(r"(?!\.\.|\.\Z)[-._a-zA-Z0-9]{1,253}")
_EXACT: Final = 2.0**53
"""Below it every float without a fraction is one integer."""


class Renderer:
    """Renders texts within one budget.

    Args:
        run: the budget, clock and randomness for all that is rendered with it.
        cache: parsed templates.
        left, right: what begins and ends an action.
    """

    def __init__(self, run: Run, cache: Cache, left: str = LEFT, right: str = RIGHT) -> None:
        self.run = run
        self.exceeded = False
        """Whether something took more than the budget: with a larger one it may go well."""
        self._cache = cache
        self._left = left
        self._right = right

    def render(self, place: Place, name: str, text: str | bytes, data: StringMap) -> bytes:
        """The output of a template.

        Raises:
            TemplateFailedError: it cannot be read or run; an OverBudgetError where it takes too much.
            SlowFunction: it asks for costly work, and the Run does not allow it.
        """
        # What is a Secret's stays in memory no longer than it is needed.
        cache = Cache(0) if place.is_secret else self._cache
        limits = self.run.limits
        try:
            template = cache.parse(name, text, left=self._left, right=self._right, limits=limits)
            return template.render(data, self.run)
        except TemplateError as error:
            failure = self._told(place, error, data)
        # Out here it is not chained: the other's frames hold values.
        raise failure

    def new_key(self, place: Place, text: str, key: str) -> str:
        """What a template makes of a key: a rewrite's transform. A field that is missing is no value there.

        Raises:
            TemplateFailedError, SlowFunction: as `render`; or it is no text.
        """
        data = StringMap({b"value": key.encode()})
        try:
            template = self._cache.parse(_WHOLE, text, missing_key_error=False, limits=self.run.limits)
            return template.render(data, self.run).decode()
        except TemplateError as error:
            raise self._told(place, error, data) from None
        except UnicodeDecodeError:
            raise TemplateFailedError(f"{place.field}: the new key is not UTF-8") from None

    def over_budget(self, what: str) -> OverBudgetError:
        """What to raise for work besides templates that took too much."""
        self.exceeded = True
        return OverBudgetError(what)

    def _told(self, place: Place, error: TemplateError, data: StringMap) -> TemplateFailedError:
        self.exceeded = self.exceeded or isinstance(error, LimitError)
        return told(place, error, [_text(key) for key in data])


@dataclass(frozen=True, slots=True)
class Texts:
    """What was read of a ConfigMap or Secret with templates.

    Args:
        texts: by key; of those that are needed.
        keys: all that there are.
    """

    texts: Mapping[str, SecretBytes]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the target is made of.

    Args:
        data: its values.
        labels, annotations: those that the template gives it.
        fields: where it is no Secret and is not filled by `data`: what to set in it.
    """

    data: SecretData
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    fields: Fields | None = field(default=None, repr=False)


def digest_of(sources: Mapping[Source, Texts]) -> bytes:
    """A hash by which the same templates are known again."""
    hashed = hashlib.blake2b(digest_size=16)
    for source in sorted(sources):
        texts = sources[source].texts
        for key in sorted(texts):
            part = texts[key].reveal()
            head = f"{source.kind}\0{source.name}\0{key}\0{len(part)}\0"
            hashed.update(head.encode() + part)
    return hashed.digest()


def render_target(
    template: Template,
    manifest: Manifest | None,
    values: SecretData,
    sources: Mapping[Source, Texts],
    renderer: Renderer,
) -> Rendered:
    """Render all of a template.

    Args:
        manifest: the target's kind, where it is no Secret.
        values: what was read.
        sources: what `template_spec.sources_of` asks for.

    Raises:
        RenderError: a template fails, or a ConfigMap or Secret lacks a key; names the field.
        SpecError: the result may not be made.
        SlowFunction: as `Renderer.render`.
    """
    made = _Making(template, manifest, values, renderer)
    for index, entry in enumerate(template.template_from):
        made.add_entry(index, entry, sources)
    for key, text in template.data.items():
        place = Place(f'{FIELD}.data["{key}"]')
        made.put(DATA, key, made.rendered(place, key, text), place)
    for target, texts in ((LABELS, template.metadata.labels), (ANNOTATIONS, template.metadata.annotations)):
        for key, text in texts.items():
            place = Place(f'{FIELD}.metadata.{target}["{key}"]')
            made.put(target, key, made.rendered(place, key, text), place)
    check_metadata(made.labels, made.annotations, named=template.metadata.labels)
    check_rendered(template, made.annotations)
    return Rendered(
        SecretData(made.data), made.labels, made.annotations, None if made.is_flat else tuple(made.fields)
    )


class _Making:
    """What has been made so far."""

    def __init__(
        self, template: Template, manifest: Manifest | None, values: SecretData, renderer: Renderer
    ) -> None:
        self._renderer = renderer
        self._is_secret = manifest is None
        self._input = StringMap({key.encode(): value.reveal() for key, value in values.items()})
        self.is_flat = fills_data(template, manifest)
        self.data: dict[str, SecretBytes] = {}
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.fields: list[tuple[Path, Any]] = []
        if not passes_values(template):
            return
        if self.is_flat:
            self.data.update(values)
        else:
            place: Path = ("data",) if manifest is not None and manifest.is_config_map else ("spec", "data")
            for key, value in values.items():
                self.fields.append(((*place, key), _utf8(value.reveal(), f"the value of {key!r}")))

    def rendered(self, place: Place, name: str, text: str | bytes) -> bytes:
        return self._renderer.render(place, name, text, self._input)

    def add_entry(self, index: int, entry: TemplateFrom, sources: Mapping[Source, Texts]) -> None:
        """Render one entry of templateFrom."""
        where, target = f"{FIELD}.templateFrom[{index}]", target_of(entry)
        strategy = entry.values_decoding_strategy
        for source, ref in references(entry):
            for item in ref.items:
                secret = source.kind == "Secret"
                place = Place(f'{where} {source.kind} "{source.name}" key "{item.key}"', is_secret=secret)
                text = _text_of(place, item, sources.get(source))
                if item.template_as == "Values":
                    value = self._decoded(self.rendered(place, item.key, text.reveal()), strategy, place)
                    self.put(target, item.key, value, place)
                else:
                    self._put_all(target, text.reveal(), strategy, place)
        if entry.literal is not None:
            self._put_all(target, entry.literal.encode(), strategy, Place(f"{where}.literal"))

    def _put_all(self, target: str, text: bytes, strategy: str, place: Place) -> None:
        """Render a text into keys and values, and put each in its place."""
        output = self.rendered(place, _WHOLE, text)
        if target not in (DATA, LABELS, ANNOTATIONS):
            self._put_tree(target, output, strategy, place)
            return
        for number, (key, value) in enumerate(self._keys_and_values(output, place).items(), 1):
            name = _text(key)
            if target == DATA and (self._is_secret or self.is_flat) and _KEY.fullmatch(name) is None:
                # Not named: the template may have made it of a value.
                raise TemplateFailedError(
                    f"{place.field}: key number {number} is no valid key",
                    hint="A key has letters, digits, '-', '_' and '.', at most 253, and does not begin with '..'",
                )
            self.put(target, name, self._decoded(value, strategy, place), place)

    def put(self, target: str, key: str, value: bytes, place: Place) -> None:
        """Put a value where the target says; a later one wins."""
        if target == LABELS:
            self.labels[key] = _utf8(value, place.field)
        elif target == ANNOTATIONS:
            self.annotations[key] = _utf8(value, place.field)
        elif target == DATA and self.is_flat:
            self.data[key] = SecretBytes(value)
        elif target in (DATA, "spec"):
            self.fields.append(((target, key), _utf8(value, place.field)))
        else:
            self.fields += leaves(parse_path(target), self._tree_or_text(value, place))

    def _put_tree(self, target: str, output: bytes, strategy: str, place: Place) -> None:
        tree = self._decoded_tree(self._tree(output, place), strategy, place)
        self.fields += leaves(parse_path(target), tree)

    def _decoded(self, value: bytes, strategy: str, place: Place) -> bytes:
        if strategy in ("", "None"):
            return value
        return decode(SecretBytes(value), strategy, f"the output of {place.field}").reveal()

    def _decoded_tree(self, tree: Any, strategy: str, place: Place) -> Any:
        if strategy in ("", "None"):
            return tree
        if isinstance(tree, dict):
            return {key: self._decoded_tree(one, strategy, place) for key, one in tree.items()}
        if isinstance(tree, list):
            return [self._decoded_tree(one, strategy, place) for one in tree]
        if isinstance(tree, str):
            return _utf8(self._decoded(tree.encode(), strategy, place), place.field)
        return tree

    # -- YAML

    def _keys_and_values(self, output: bytes, place: Place) -> Mapping[bytes, bytes]:
        from keyferry.gotemplate.serial.goyaml import load_string_map

        try:
            return load_string_map(self._renderer.run, output)
        except FunctionError as error:
            raise TemplateFailedError(
                f"{place.field}: the output is no YAML of keys and texts: {error}",
                hint="Quote values that are no text, for example with the function quote",
            ) from None
        except Exhausted as error:
            raise self._renderer.over_budget(f"{place.field}: reading the output as YAML: {error}") from None

    def _tree(self, output: bytes, place: Place) -> Any:
        from keyferry.gotemplate.serial.goyaml import load

        try:
            return _json(load(self._renderer.run, output), place)
        except FunctionError as error:
            raise TemplateFailedError(f"{place.field}: the output is no YAML: {error}") from None
        except Exhausted as error:
            raise self._renderer.over_budget(f"{place.field}: reading the output as YAML: {error}") from None

    def _tree_or_text(self, output: bytes, place: Place) -> Any:
        try:
            return self._tree(output, place)
        except OverBudgetError:
            raise
        except TemplateFailedError:
            return _utf8(output, place.field)


def _text_of(place: Place, item: TemplateItem, found: Texts | None) -> SecretBytes:
    texts: Mapping[str, SecretBytes] = found.texts if found is not None else {}
    text = texts.get(item.key)
    if text is None:
        keys = sorted(found.keys) if found is not None else []
        hint = f"It has {listed(keys)}" if keys else "It has no keys at all"
        raise TemplateFailedError(f"{place.field}: there is no such key", hint=hint)
    return text


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _utf8(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        # Not chained: the other error holds the value.
        raise RenderError(f"{what}: the output is not UTF-8, and this place holds text only") from None


def _json(value: Any, place: Place) -> Any:
    """A value of the engine as JSON has it: reading YAML has made sure that it is finite."""
    if isinstance(value, dict):
        return {_utf8(key, place.field): _json(one, place) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one, place) for one in value]
    if isinstance(value, bytes):
        return _utf8(value, place.field)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    return value
