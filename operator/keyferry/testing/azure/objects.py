"""What a vault holds: secrets, keys and certificates with their versions, alive or deleted and recoverable.

Names are found in any case. Pure: who may do what is in `permissions`, what goes over the wire in `vaults`.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from keyferry.testing.azure.wire import AzureError, vault_error

Kind = Literal["secrets", "keys", "certificates"]
KINDS: Final[tuple[Kind, ...]] = ("secrets", "keys", "certificates")
SINGULAR: Final = {"secrets": "Secret", "keys": "Key", "certificates": "Certificate"}
RECOVERABLE_DAYS: Final = 90
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Attributes:
    """What is told of every version; moments in seconds since the epoch.

    Args:
        nbf, exp: None for no such bound.
    """

    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    updated: int = field(default_factory=lambda: int(time.time()))

    def document(self) -> dict[str, Any]:
        """As it goes over the wire."""
        bounds = {name: value for name, value in (("nbf", self.nbf), ("exp", self.exp)) if value is not None}
        return {
            "enabled": self.enabled,
            **bounds,
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": RECOVERABLE_DAYS,
        }

    def change(self, wanted: dict[str, Any]) -> None:
        """Take over what a request wants to be changed."""
        self.enabled = bool(wanted.get("enabled", self.enabled))
        self.nbf = wanted.get("nbf", self.nbf)
        self.exp = wanted.get("exp", self.exp)
        self.updated = int(time.time())


@dataclass(slots=True)
class Version:
    """One version of an object.

    Args:
        content: what only objects of its kind have, as it goes over the wire.
    """

    content: dict[str, Any] = field(repr=False)
    attributes: Attributes = field(default_factory=Attributes)
    tags: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(slots=True)
class Item:
    """A named object.

    Args:
        versions: the newest last: it is the current one, enabled or not.
        managed: whether it belongs to a certificate of the same name.
        deleted: when it was deleted.
    """

    name: str
    versions: list[Version] = field(default_factory=list)
    managed: bool = False
    deleted: int = 0

    @property
    def current(self) -> Version:
        """The newest version."""
        return self.versions[-1]


class Shelf:
    """All objects of one kind in a vault."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._items: dict[str, Item] = {}
        self._deleted: dict[str, Item] = {}

    def items(self, *, deleted: bool = False) -> list[Item]:
        """What there is, by name."""
        found = self._deleted if deleted else self._items
        return [found[name] for name in sorted(found)]

    def find(self, name: str) -> Item:
        """An object.

        Raises:
            AzureError: there is none, or only a deleted one.
        """
        check_name(name)
        try:
            return self._items[name.lower()]
        except KeyError:
            raise self.absent(name) from None

    def find_deleted(self, name: str) -> Item:
        """A deleted object.

        Raises:
            AzureError: there is none.
        """
        check_name(name)
        try:
            return self._deleted[name.lower()]
        except KeyError:
            raise vault_error(
                404, f"{self._word}NotFound", f"Deleted {self._word} not found: {name}"
            ) from None

    def version(self, name: str, version: str = "") -> Version:
        """A version of an object, the current one where none is named.

        Raises:
            AzureError: there is no such version.
        """
        item = self.find(name)
        if not version:
            return item.current
        if _VERSION.fullmatch(version) is None:
            raise _bad_name(version)
        for one in item.versions:
            if one.id == version:
                return one
        raise self.absent(f"{name}/{version}")

    def absent(self, shown: str) -> AzureError:
        """There is no such object."""
        word = self._word
        return vault_error(
            404,
            f"{word}NotFound",
            f"A {word.lower()} with (name/id) {shown} was not found in this key vault. If you recently deleted this "
            f"{word.lower()} you may be able to recover it using the correct recovery command. For help resolving "
            "this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182",
        )

    def add(self, name: str, version: Version, *, managed: bool = False) -> Version:
        """Create an object, or give it a new version.

        Raises:
            AzureError: its name is no name, or that of a deleted object.
        """
        check_name(name)
        if name.lower() in self._deleted:
            word = self._word
            raise vault_error(
                409,
                "Conflict",
                f"{word} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in "
                f"this state, the {word.lower()} can only be recovered or purged.",
                "ObjectIsDeletedButRecoverable",
            )
        item = self._items.setdefault(name.lower(), Item(name, managed=managed))
        item.versions.append(version)
        return version

    def delete(self, name: str) -> Item:
        """Delete an object; it can be recovered."""
        item = self.find(name)
        del self._items[name.lower()]
        item.deleted = int(time.time())
        self._deleted[name.lower()] = item
        return item

    def recover(self, name: str) -> Item:
        """Bring a deleted object back."""
        item = self.find_deleted(name)
        del self._deleted[name.lower()]
        item.deleted = 0
        self._items[name.lower()] = item
        return item

    def purge(self, name: str) -> None:
        """Forget a deleted object."""
        self.find_deleted(name)
        del self._deleted[name.lower()]

    def holds(self, name: str, *, deleted: bool = False) -> bool:
        """Whether there is such an object."""
        return name.lower() in (self._deleted if deleted else self._items)

    @property
    def _word(self) -> str:
        return SINGULAR[self.kind]


def check_name(name: str) -> None:
    """Check that an object may have this name.

    Raises:
        AzureError: it may not.
    """
    if _NAME.fullmatch(name) is None:
        raise _bad_name(name)


def tags_of(content: dict[str, Any]) -> dict[str, str]:
    """The tags in a request.

    Raises:
        AzureError: they are more than 15, or no texts.
    """
    tags = content.get("tags") or {}
    if len(tags) > 15 or not _texts(tags.values()):
        raise vault_error(400, "BadParameter", "The specified tags are not valid.")
    return dict(tags)


def _texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and len(value) <= 256 for value in values)


def _bad_name(name: str) -> AzureError:
    return vault_error(400, "BadParameter", f"The request URI contains an invalid name: {name}")
