"""What of a Secret is wanted: a key, a member of the JSON under a key, labels, annotations, or all of it. Pure.

A read answers with the Secret's `data` as the API server has it, values in base64; with `metadataPolicy: Fetch`
with its labels and annotations. From there on these are the rules, which differ from those of other stores.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Final

import msgspec

from keyferry.api.external_secret import RemoteRef
from keyferry.clusters import RemoteSecret
from keyferry.core.gotext import go_json, go_object, go_string
from keyferry.core.select import select_members, select_value
from keyferry.errors import Malformed, PropertyNotFound, RenderError
from keyferry.secretdata import SecretBytes

LABELS: Final = "labels"
ANNOTATIONS: Final = "annotations"
_NAMED: Final = 20
_DATA: Final = msgspec.json.Decoder(dict[str, str])
_METADATA: Final = msgspec.json.Decoder(dict[str, dict[str, str] | None])
_STRAY: Final = re.compile("[\udc80-\udcff]")


def metadata_answer(found: RemoteSecret) -> SecretBytes:
    """The answer to a read of metadata: labels and annotations as one JSON object; null where there are none."""
    return SecretBytes(go_object({LABELS: _json_of(found.labels), ANNOTATIONS: _json_of(found.annotations)}))


def whole_answer(data: SecretBytes) -> SecretBytes:
    """All keys and values as one JSON object of texts. Bytes that are no text are lost in it.

    Raises:
        Malformed: it is no Secret's data.
    """
    return SecretBytes(_as_json(_values(data)))


def select(answer: SecretBytes, remote: RemoteRef, members: bool) -> SecretBytes | Mapping[str, SecretBytes]:
    """What a reference wants of an answer; see `ports.Selector`.

    Raises:
        PropertyNotFound: there is no such key; the message names those that there are.
        RenderError: it has no members.
        Malformed: the answer is no Secret's data.
    """
    fetched = remote.metadata_policy == "Fetch"
    if members:
        values = _metadata_values(answer) if fetched else _values(answer)
        if not remote.property:
            return {key: SecretBytes(value) for key, value in values.items()}
        return _members_of(SecretBytes(_value(values, remote.property)))
    if not remote.property:
        return answer if fetched else whole_answer(answer)
    if fetched:
        return SecretBytes(_metadata_value(answer, remote.property))
    return SecretBytes(_value(_values(answer), remote.property))


def _values(data: SecretBytes) -> dict[str, bytes]:
    try:
        return {key: b64decode(value, validate=True) for key, value in _DATA.decode(data.reveal()).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, RecursionError):
        pass
    # Raised here and not above: the decoder's error may quote the answer.
    raise Malformed("the remote secret's data is not what a Secret has")


def _value(values: Mapping[str, bytes], property_: str) -> bytes:
    """The value under a key; else what a path finds in the JSON under the key before the first dot."""
    if property_ in values:
        return values[property_]
    key, _, path = property_.partition(".")
    if path and key in values:
        try:
            return select_value(SecretBytes(values[key]), path).reveal()
        except PropertyNotFound as error:
            told = error.message.partition("; ")[2]
        raise PropertyNotFound(f"the remote secret has no property {property_[:200]!r}: in {key!r} {told}")
    raise PropertyNotFound(f"the remote secret has no property {property_[:200]!r}; {_named(values)}")


def _metadata_value(answer: SecretBytes, property_: str) -> bytes:
    """`labels`, `annotations`, one of them by its name, or what a path finds in its value."""
    kinds = _METADATA.decode(answer.reveal())
    kind, dot, name = property_.partition(".")
    if kind not in (LABELS, ANNOTATIONS):
        raise PropertyNotFound(
            f"the remote secret's metadata has no property {property_[:200]!r}",
            hint=f"Begin with {LABELS}. or {ANNOTATIONS}.",
        )
    found = kinds.get(kind)
    if not dot:
        return _json_of(found).encode()
    try:
        return _value({key: value.encode() for key, value in (found or {}).items()}, name)
    except PropertyNotFound:
        named = _named(found or {})
    raise PropertyNotFound(f"the remote secret's {kind} have no {name[:200]!r}; {named}")


def _metadata_values(answer: SecretBytes) -> dict[str, bytes]:
    return {kind: _json_of(found).encode() for kind, found in _METADATA.decode(answer.reveal()).items()}


def _members_of(value: SecretBytes) -> dict[str, SecretBytes]:
    """The members of a JSON object, each as its JSON text, with a string's quotes."""
    found = select_members(value)
    if found is None:
        raise RenderError(
            "the property's value is not a JSON object, which extract needs",
            hint="Use data with remoteRef to take the value as it is",
        )
    return {key: SecretBytes(go_json(raw, html=False)) for key, raw in found.items()}


def _json_of(texts: Mapping[str, str] | None) -> str:
    if texts is None:
        return "null"
    return go_object({key: go_string(text, html=False) for key, text in texts.items()}, html=False)


def _as_json(values: Mapping[str, bytes]) -> str:
    return go_object({key: _go_text(value) for key, value in values.items()}, html=False)


def _go_text(value: bytes) -> str:
    """Bytes as Go writes them as a JSON string: each that is no UTF-8 becomes an escaped U+FFFD."""
    return _STRAY.sub(r"\\ufffd", go_string(value.decode("utf-8", "surrogateescape"), html=False))


def _named(values: Mapping[str, object]) -> str:
    """The names that there are, never a value."""
    if not values:
        return "it has none"
    names = sorted(values)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"it has {', '.join(repr(name[:64]) for name in names[:_NAMED])}{more}"
