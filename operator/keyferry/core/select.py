"""From a store's raw answer to the value or the map that a manifest asks for.

Which rules hold differs by provider (`ports.ReadingRules`). Value-to-bytes: a JSON string gives its text,
null gives nothing, everything else keeps its text as stored (`1.50` stays `1.50`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from keyferry import gjson
from keyferry.api.external_secret import RemoteRef
from keyferry.core.gotext import unquoted
from keyferry.errors import PropertyNotFound, RemoteSecretNotFound, RenderError
from keyferry.gjson.scan import entries
from keyferry.gjson.validate import is_valid
from keyferry.secretdata import SecretBytes, SecretData

_MAX_NAMED_KEYS: Final = 20
Selector = Callable[[SecretBytes, RemoteRef, bool], SecretBytes | Mapping[str, SecretBytes]]
"""A provider's own rule, in place of those here: see `ports.Selector`, which is the same."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_STRING: Final = msgspec.json.Decoder(str)
_SPACE: Final = b" \t\r\n"


def select_value(
    value: SecretBytes,
    property_: str,
    *,
    literal_first: bool = False,
    missing_is_absent: bool = False,
) -> SecretBytes:
    """The value itself, or the property of its JSON text.

    Args:
        value: the store's answer.
        property_: a gjson path; empty for the whole value.
        literal_first: try a property with dots as one literal key before trying it as a path.
        missing_is_absent: report a missing property as an absent remote secret.

    Raises:
        PropertyNotFound, RemoteSecretNotFound: there is no such property; the message names the keys there are.
        RenderError: the path asks for more work than it may.
    """
    if not property_:
        return value
    text = value.reveal()
    try:
        found = gjson.get(text, gjson.escape_dots(property_)) if literal_first and "." in property_ else None
        if found is None or not found.exists:
            found = gjson.get(text, property_)
    except gjson.GJSONLimitError as error:
        raise RenderError(f"property {property_[:80]!r} is too expensive: {error}") from None
    if found.exists:
        return SecretBytes(found.text())
    missing = RemoteSecretNotFound if missing_is_absent else PropertyNotFound
    raise missing(f"the remote secret has no property {property_[:200]!r}; {_what_there_is(text)}")


def _what_there_is(text: bytes) -> str:
    """The names of the top-level keys, never a value."""
    names = sorted(set(gjson.keys(text)))
    if not names:
        return "its value is not a JSON object with keys"
    named = ", ".join(repr(name[:64]) for name in names[:_MAX_NAMED_KEYS])
    more = f" and {len(names) - _MAX_NAMED_KEYS} more" if len(names) > _MAX_NAMED_KEYS else ""
    return f"it has {named}{more}"


def select_map(value: SecretBytes) -> SecretData:
    """The top-level entries of a JSON object, as `dataFrom.extract` takes them.

    Raises:
        RenderError: the value is not a JSON object.
    """
    members = select_members(value)
    if members is None:
        raise RenderError(
            "its value is not a JSON object, which extract needs",
            hint="Use data with remoteRef to take the value as it is",
        )
    return SecretData({key: _entry_bytes(raw) for key, raw in members.items()})


def select_members(value: SecretBytes) -> dict[str, bytes] | None:
    """The members of a JSON object, each as its JSON text; null has none. None where it is no object."""
    text = value.reveal()
    try:
        return {key: bytes(raw) for key, raw in (_OBJECT.decode(text) or {}).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _lenient_members(text)


def _lenient_members(text: bytes) -> dict[str, bytes] | None:
    """The same for what Go's JSON decoder takes and ours does not: invalid UTF-8, half surrogate pairs, depth."""
    text = text.strip(_SPACE)
    if not text.startswith(b"{") or not is_valid(text):
        return None
    return {unquoted(quoted): value.raw for quoted, _, value in entries(text)}


def _entry_bytes(raw: bytes) -> bytes:
    if raw == b"null":
        return b""
    if not raw.startswith(b'"'):
        return raw
    try:
        return _STRING.decode(raw).encode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return unquoted(raw).encode()
