"""Remote keys of Key Vault: which kind of object, and its name."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
"""As far as it can stand in an address; those of Key Vault have 32 hexadecimal digits."""


class Kind(enum.Enum):
    """A kind of object. The value is how Key Vault names it."""

    SECRET = "secrets"  # noqa: S105 - a kind of object
    KEY = "keys"
    CERTIFICATE = "certificates"


_PREFIXES: Final = {"secret": Kind.SECRET, "key": Kind.KEY, "cert": Kind.CERTIFICATE}


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """An object of a vault."""

    kind: Kind
    name: str

    @property
    def canonical(self) -> str:
        """The one form of all that mean it: vaults know no case, and a secret needs no prefix."""
        name = self.name.lower()
        prefix = next(prefix for prefix, kind in _PREFIXES.items() if kind is self.kind)
        return name if self.kind is Kind.SECRET else f"{prefix}/{name}"


def parse(key: str) -> RemoteKey | str:
    """What a remote key of a manifest means, or why it means nothing, as a sentence goes on."""
    prefix, slash, name = key.partition("/")
    if not slash:
        prefix, name = "secret", key
    kind = _PREFIXES.get(prefix)
    if kind is None:
        return "it begins with none of secret/, key/ and cert/"
    if _NAME.fullmatch(name) is None:
        return "no object of Key Vault can have that name"
    return RemoteKey(kind, name)


def is_version(version: str) -> bool:
    """Whether a version is empty, which is the current one, or can be one of a vault."""
    return not version or _VERSION.fullmatch(version) is not None
