"""What a reference takes out of an answer of Key Vault: the API's rules for this kind of store.

A property is a path first, and one literal key if that leads nowhere. Metadata (tags, and four moments under
names of their own) is asked for by name, and then by a path into the tag's JSON; as members, each name has the
object's in front, and tags that are JSON objects of texts are taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from keyferry import gjson
from keyferry.api.external_secret import RemoteRef
from keyferry.core.gotext import go_object, go_string
from keyferry.core.select import select_map, select_value
from keyferry.errors import KeyferryError, PropertyNotFound
from keyferry.providers.azure.remote_keys import RemoteKey, parse
from keyferry.secretdata import SecretBytes

_MAX_NAMED: Final = 20
_TEXTS: Final = msgspec.json.Decoder(dict[str, str])


def metadata(tags: Mapping[str, str], moments: Mapping[str, datetime | None]) -> SecretBytes:
    """The metadata of an object, as JSON: its tags, and its moments as `attribute.` and their name."""
    named = {
        f"attribute.{name}": f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        for name, moment in moments.items()
        if moment is not None
    }
    return SecretBytes(go_object({name: go_string(text) for name, text in {**tags, **named}.items()}))


def select(value: SecretBytes, remote: RemoteRef, members: bool) -> SecretBytes | Mapping[str, SecretBytes]:
    """See `ports.ReadingRules.select`."""
    if remote.metadata_policy == "Fetch":
        found = _TEXTS.decode(value.reveal())
        return _metadata_members(found, remote) if members else _of_metadata(found, value, remote.property)
    selected = _property(value, remote.property)
    return select_map(selected) if members else selected


def _property(value: SecretBytes, property_: str) -> SecretBytes:
    try:
        return select_value(value, property_)
    except PropertyNotFound as error:
        missing: KeyferryError = error
    if "." in property_:
        try:
            return select_value(value, gjson.escape_dots(property_))
        except PropertyNotFound:
            pass
    raise missing


def _of_metadata(found: Mapping[str, str], whole: SecretBytes, property_: str) -> SecretBytes:
    if not property_:
        return whole
    if property_ in found:
        return SecretBytes(found[property_])
    tag, dot, path = property_.partition(".")
    if dot and tag in found:
        return _property(SecretBytes(found[tag]), path)
    named = ", ".join(repr(name[:64]) for name in sorted(found)[:_MAX_NAMED])
    raise PropertyNotFound(f"the remote secret has no tag {property_[:200]!r}; it has {named or 'none'}")


def _metadata_members(found: Mapping[str, str], remote: RemoteRef) -> Mapping[str, SecretBytes]:
    key = parse(remote.key)
    name = key.name if isinstance(key, RemoteKey) else remote.key
    if remote.property:
        one = _of_metadata(found, SecretBytes(b""), remote.property)
        return {f"{name}_{remote.property}": one}
    members: dict[str, SecretBytes] = {}
    for tag, text in found.items():
        texts = None if tag.startswith("attribute.") else _texts(text)
        if texts is None:
            members[f"{name}_{tag}"] = SecretBytes(text)
        else:
            members |= {f"{name}_{tag}_{inner}": SecretBytes(one) for inner, one in texts.items()}
    return members


def _texts(text: str) -> dict[str, str] | None:
    """A JSON object of texts; None where the text is something else."""
    try:
        return _TEXTS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
