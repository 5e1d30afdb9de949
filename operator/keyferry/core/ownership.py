"""Which fields of a Secret an ExternalSecret wrote: read from `metadata.managedFields`.

The API server keeps, per field manager, the set of fields it wrote. What our manager owns and the spec no
longer wants is pruned; what anybody else wrote stays.
Source: Kubernetes documentation, Server-Side Apply, "Field management" (FieldsV1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keyferry.api import names


@dataclass(frozen=True, slots=True)
class OwnedFields:
    """Names of data keys, labels, annotations and finalizers that one field manager owns."""

    data: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset()
    finalizers: frozenset[str] = frozenset()


def owned_fields(managed_fields: Iterable[Mapping[str, Any]], manager: str) -> OwnedFields:
    """What `manager` owns, over all its entries. Entries of a shape we do not know own nothing."""
    data: set[str] = set()
    labels: set[str] = set()
    annotations: set[str] = set()
    finalizers: set[str] = set()
    for entry in managed_fields:
        if not isinstance(entry, Mapping) or entry.get("manager") != manager:
            continue
        fields = entry.get("fieldsV1")
        if not isinstance(fields, dict):
            continue
        data |= _names(fields.get("f:data"))
        metadata = fields.get("f:metadata")
        if isinstance(metadata, dict):
            labels |= _names(metadata.get("f:labels"))
            annotations |= _names(metadata.get("f:annotations"))
            finalizers |= _elements(metadata.get("f:finalizers"))
    return OwnedFields(frozenset(data), frozenset(labels), frozenset(annotations), frozenset(finalizers))


def owned_by_siblings(managed_fields: Iterable[Mapping[str, Any]], manager: str) -> frozenset[str]:
    """The data keys that other ExternalSecrets wrote, told by the names of their field managers."""
    entries = [entry for entry in managed_fields if isinstance(entry, Mapping)]
    siblings = {
        name
        for entry in entries
        if isinstance(name := entry.get("manager"), str)
        and name.startswith(names.FIELD_MANAGER_PREFIX)
        and name != manager
    }
    return frozenset().union(*(owned_fields(entries, sibling).data for sibling in siblings))


def _names(fields: object) -> set[str]:
    if not isinstance(fields, dict):
        return set()
    return {name[2:] for name in fields if isinstance(name, str) and name.startswith("f:")}


def _elements(fields: object) -> set[str]:
    """The texts in a list whose elements are owned one by one: `v:"text"`."""
    if not isinstance(fields, dict):
        return set()
    found = set()
    for name in fields:
        if isinstance(name, str) and name.startswith("v:"):
            try:
                found.add(str(json.loads(name[2:])))
            except ValueError:
                continue
    return found
