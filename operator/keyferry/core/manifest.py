"""Targets that are no Secret (`spec.target.manifest`): where in such an object the values are, and what they hash to.

A ConfigMap has them under `.data`, any other kind under `.spec.data`, as text. What else is in the object is
left alone. `core.desired` plans with the values alone, by the rules that hold for Secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyferry.api import names
from keyferry.api.external_secret import Target as TargetSpec
from keyferry.core.fieldpath import content
from keyferry.core.hashing import object_hash
from keyferry.errors import RenderError, SpecError
from keyferry.secretdata import SecretBytes, SecretData

OWN_GROUPS: Final = frozenset({names.GROUP, names.GENERATORS_GROUP, names.KEYFERRY_GROUP})
"""An ExternalSecret that writes ExternalSecrets or stores would hand on the operator's rights."""
VERBS: Final = "get, list, watch, create, update and delete"

_API_VERSION: Final = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?v[a-z0-9]{1,61}")
_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The kind of a target that is no Secret."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def label(self) -> str:
        """The kind, unmistakable among those of all groups."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def is_config_map(self) -> bool:
        """Whether it is Kubernetes' own ConfigMap."""
        return (self.api_version, self.kind) == ("v1", "ConfigMap")


class Kept(SecretBytes):
    """A value of a target that is no text: not ours, and kept as it is."""

    __slots__ = ()


def manifest_of(target: TargetSpec) -> Manifest | None:
    """The kind of the target; None for a Secret, however it is written."""
    reference = target.manifest
    if reference is None or (reference.api_version, reference.kind) == ("v1", "Secret"):
        return None
    return Manifest(reference.api_version, reference.kind)


def check_manifest(target: TargetSpec, *, allowed: bool) -> None:
    """Check what can be told of a target that is no Secret without asking the cluster.

    Args:
        allowed: whether the operator may write such targets.

    Raises:
        SpecError: it may not be written; names the field.
    """
    manifest = manifest_of(target)
    if manifest is None:
        return
    if not allowed:
        raise SpecError(
            "spec.target.manifest: targets that are no Secret are switched off",
            hint="The operator's flag --unsafe-allow-generic-targets switches them on; it also needs the "
            f"rights to {VERBS} objects of the kind",
        )
    if _API_VERSION.fullmatch(manifest.api_version) is None:
        raise SpecError(
            "spec.target.manifest.apiVersion is no API version", hint='It is such as "v1" or "example.com/v1"'
        )
    if _KIND.fullmatch(manifest.kind) is None:
        raise SpecError("spec.target.manifest.kind is no kind")
    if manifest.group in OWN_GROUPS:
        raise SpecError(f"spec.target.manifest: objects of group {manifest.group} are not written")
    if target.immutable and not manifest.is_config_map:
        raise SpecError("spec.target.immutable: only Secrets and ConfigMaps can be immutable")


def read_data(manifest: Manifest, document: Mapping[str, Any]) -> SecretData:
    """The values in an object."""
    found = _place(manifest, document).get("data")
    values = found if isinstance(found, Mapping) else {}
    return SecretData(
        {
            # No text begins as a kept value does: what was a text and is a number now is seen as changed.
            key: SecretBytes(value) if isinstance(value, str) else Kept(b"\0" + json.dumps(value).encode())
            for key, value in values.items()
        }
    )


def with_data(manifest: Manifest, document: Mapping[str, Any], data: SecretData) -> dict[str, Any]:
    """The object with other values, and all else as it was.

    Raises:
        RenderError: a value is no text.
    """
    place = {**_place(manifest, document), "data": {key: _text(manifest, key, data[key]) for key in data}}
    return {**document, **place} if manifest.is_config_map else {**document, "spec": place}


def content_hash(manifest: Manifest, document: Mapping[str, Any]) -> str:
    """The `data-hash` annotation's value for an object.

    It is over the `.data` of a ConfigMap, and of others over `.spec`, else `.data`, else all that is in it.

    Raises:
        RenderError: it is nested too deep.
    """
    if manifest.is_config_map:
        return object_hash(_place(manifest, document).get("data") or {})
    place = next((name for name in ("spec", "data") if name in document), "")
    return object_hash(document[place] if place else content(document))


def fields_as_of_a_secret(
    manifest: Manifest, managed_fields: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """`metadata.managedFields` with the values' fields where a Secret has them, for `core.ownership`."""
    if manifest.is_config_map:
        return list(managed_fields)
    moved: list[Mapping[str, Any]] = []
    for entry in managed_fields:
        fields = entry.get("fieldsV1")
        spec = fields.get("f:spec") if isinstance(fields, Mapping) else None
        data = spec.get("f:data") if isinstance(spec, Mapping) else None
        metadata = fields.get("f:metadata") if isinstance(fields, Mapping) else None
        moved.append({**entry, "fieldsV1": {"f:data": data, "f:metadata": metadata}})
    return moved


def _place(manifest: Manifest, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the values are a field of."""
    place = document if manifest.is_config_map else document.get("spec")
    return place if isinstance(place, Mapping) else {}


def _text(manifest: Manifest, key: str, value: SecretBytes) -> Any:
    if isinstance(value, Kept):
        return json.loads(value.reveal()[1:])
    try:
        return value.reveal().decode()
    except UnicodeDecodeError:
        # Not chained: the other error holds the value.
        raise RenderError(
            f"the value for {key!r} is not UTF-8, and a {manifest.kind} holds text only",
            hint="Write it to a Secret, or leave it encoded at the store",
        ) from None
