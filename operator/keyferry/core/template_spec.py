"""What a template says without being rendered: whether it may, what it needs, which metadata it fixes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from keyferry.api import names
from keyferry.api.external_secret import Target as TargetSpec
from keyferry.api.external_secret import Template, TemplateFrom, TemplateRef
from keyferry.core.fieldpath import parse_path
from keyferry.core.manifest import Manifest, manifest_of
from keyferry.errors import RenderError, SpecError, one_line

SourceKind = Literal["ConfigMap", "Secret"]
DATA: Final = "data"
LABELS: Final = "labels"
ANNOTATIONS: Final = "annotations"
_WELL_KNOWN: Final = frozenset({DATA, LABELS, ANNOTATIONS, "spec"})

MAX_LABEL_CHARS: Final = 63
MAX_PREFIX_CHARS: Final = 253
MAX_ANNOTATIONS_BYTES: Final = 256 * 1024
"""Limits of the API server, which would quote the value in its refusal."""
_LABEL_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A ConfigMap or Secret of the ExternalSecret's namespace that holds templates."""

    kind: SourceKind
    name: str


def target_of(source: TemplateFrom) -> str:
    """Where a source's output goes: data, labels, annotations or spec; or the text of a path, its case kept."""
    lowered = source.target.lower()
    return lowered if lowered in _WELL_KNOWN else source.target or DATA


def sources_of(template: Template) -> dict[Source, tuple[str, ...]]:
    """The objects whose texts a template needs, each with the keys that are rendered of it."""
    found: dict[Source, dict[str, None]] = {}
    for entry in template.template_from:
        for source, ref in references(entry):
            found.setdefault(source, {}).update(dict.fromkeys(item.key for item in ref.items))
    return {source: tuple(keys) for source, keys in found.items()}


def place_of(template: Template, source: Source) -> str:
    """The first entry of templateFrom that names an object, as errors name it."""
    entries = enumerate(template.template_from)
    index = next(index for index, entry in entries if source in dict(references(entry)))
    return f"spec.target.template.templateFrom[{index}]"


def references(entry: TemplateFrom) -> Iterator[tuple[Source, TemplateRef]]:
    """The objects that one entry of templateFrom names, in the order in which they are rendered."""
    if entry.config_map is not None:
        yield Source("ConfigMap", entry.config_map.name), entry.config_map
    if entry.secret is not None:
        yield Source("Secret", entry.secret.name), entry.secret


def check_template(target: TargetSpec) -> None:
    """Check what admission checks too, for objects older than its rules: a template gets nobody more rights.

    Raises:
        SpecError: it asks for what it may not have; names the field.
    """
    template = target.template
    if template is None:
        return
    where = "spec.target.template"
    targets = [target_of(entry) for entry in template.template_from]
    _check_type(template.type, template.metadata.annotations, annotated=ANNOTATIONS in targets)
    to_secret = manifest_of(target) is None
    for index, name in enumerate(targets):
        field = f"{where}.templateFrom[{index}].target"
        if to_secret and name not in _WELL_KNOWN - {"spec"}:
            raise SpecError(
                f"{field}={one_line(name, 80)!r} is not allowed when targeting a Secret",
                hint='It must be one of "Data", "Annotations" or "Labels"',
            )
        if name not in _WELL_KNOWN:
            try:
                parse_path(name)
            except ValueError as error:
                raise SpecError(f"{field}={one_line(name, 80)!r} is no path: {error}") from None
    if not to_secret and template.type:
        raise SpecError(f"{where}.type: only a Secret has a type")


def check_rendered(template: Template, annotations: Mapping[str, str]) -> None:
    """Check once more when it is known what the Secret will carry.

    Raises:
        SpecError: it would be made a ServiceAccount's token.
    """
    _check_type(template.type, annotations, annotated=False)


def _check_type(type_: str, annotations: Mapping[str, str], *, annotated: bool) -> None:
    where = f"spec.target.template.type={type_!r}"
    if type_ == names.BOOTSTRAP_TOKEN_TYPE:
        raise SpecError(f"{where} is not allowed: such a Secret lets nodes join the cluster")
    if type_ != names.SERVICE_ACCOUNT_TOKEN_TYPE:
        return
    if names.SERVICE_ACCOUNT_NAME_ANNOTATION in annotations:
        raise SpecError(
            f'{where} with annotation "{names.SERVICE_ACCOUNT_NAME_ANNOTATION}" is not allowed: '
            "the cluster would put an account's token into it"
        )
    if annotated:
        raise SpecError(f'{where} with templateFrom target="Annotations" is not allowed')


# -- which values pass as they are


def passes_values(template: Template) -> bool:
    """Whether the values that were read are in the target as they are, but where a template says otherwise."""
    return template.merge_policy == "Merge" or not (template.data or template.template_from)


def fills_data(template: Template, manifest: Manifest | None) -> bool:
    """Whether the target's data is all that is set: as of a Secret, or where values go without a template."""
    if manifest is None:
        return True
    targets = {target_of(entry) for entry in template.template_from} - {LABELS, ANNOTATIONS}
    if manifest.is_config_map:
        return targets <= {DATA}
    return not targets and not template.data


def keeps_keys(template: Template | None, keys: tuple[str, ...]) -> bool:
    """Whether the target holds the values of these keys as they were read."""
    if template is None:
        return True
    renamed = any(target_of(entry) not in (LABELS, ANNOTATIONS) for entry in template.template_from)
    return passes_values(template) and not renamed and template.data.keys().isdisjoint(keys)


# -- metadata


@dataclass(frozen=True, slots=True)
class FixedMetadata:
    """What a template says of the target's labels and annotations without being rendered.

    Args:
        labels, annotations: those whose text is no template.
        rendered_labels, rendered_annotations: names of those whose text is one.
        open_labels, open_annotations: whether templateFrom may add others.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    rendered_labels: frozenset[str]
    rendered_annotations: frozenset[str]
    open_labels: bool
    open_annotations: bool

    @property
    def is_all(self) -> bool:
        """Whether there is nothing that has to be rendered."""
        rendered = self.rendered_labels or self.rendered_annotations
        return not (rendered or self.open_labels or self.open_annotations)


def fixed_metadata(template: Template, left: str) -> FixedMetadata:
    """See `FixedMetadata`.

    Args:
        left: the delimiter that begins an action.
    """
    metadata = template.metadata
    targets = {target_of(entry) for entry in template.template_from}
    return FixedMetadata(
        labels={key: text for key, text in metadata.labels.items() if left not in text},
        annotations={key: text for key, text in metadata.annotations.items() if left not in text},
        # Whose target it is, is ours to say whatever a template makes: it must not be looked for.
        rendered_labels=frozenset(
            key for key, text in metadata.labels.items() if left in text and key != names.LABEL_CREATED_BY
        ),
        rendered_annotations=frozenset(key for key, text in metadata.annotations.items() if left in text),
        open_labels=LABELS in targets,
        open_annotations=ANNOTATIONS in targets,
    )


def check_metadata(
    labels: Mapping[str, str], annotations: Mapping[str, str], *, named: Collection[str] = ()
) -> None:
    """Check what the API server checks, whose refusal would quote the values.

    Args:
        named: labels whose names stand in the spec; others may be made of values, and are not told.

    Raises:
        RenderError: it would refuse them; names the field, and its name where that is one.
    """
    for field, values in ((LABELS, labels), (ANNOTATIONS, annotations)):
        for key in values:
            if not _is_name(key if field == LABELS else key.lower()):
                # Not named: the template may have made it of a value.
                raise RenderError(
                    f"spec.target.template makes a key of {field} that is no valid name",
                    hint="A name has letters, digits, '-', '_' and '.', at most 63, perhaps after a domain and '/'",
                )
    for key, value in labels.items():
        if len(value) > MAX_LABEL_CHARS or _LABEL_VALUE.fullmatch(value) is None:
            which = f'label "{key}"' if key in named else "a label"
            raise RenderError(
                f"spec.target.template: the value of {which} is no valid one",
                hint="It has letters, digits, '-', '_' and '.', at most 63, and begins and ends with a letter or digit",
            )
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > MAX_ANNOTATIONS_BYTES:
        raise RenderError(
            f"spec.target.template: the annotations would have {size} bytes, and Kubernetes allows "
            f"{MAX_ANNOTATIONS_BYTES}"
        )


def _is_name(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > MAX_PREFIX_CHARS or _PREFIX.fullmatch(prefix) is None):
        return False
    return _NAME.fullmatch(name) is not None
