"""Where in Vault's API a key is, by the store's path and version: the forms that manifests write all lead there.

In version 2 of the KV engine a mount has values below `data/` and metadata below `metadata/`. A key may begin
with the mount, and with `data/` after it. Without a path in the store, what comes before `/data/` is the mount,
else the key's first part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyferry.errors import SpecError

_NO_ENGINES: Final = ("auth", "cubbyhole", "identity", "sys")
"""Mounts that hold no secrets, and may show the store's own token."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remote secret is.

    Args:
        mount: of the KV engine.
        key: below it.
        versioned: whether the engine has version 2.
    """

    mount: str
    key: str
    versioned: bool

    @property
    def value(self) -> str:
        """Path of its value."""
        return self._path("data")

    @property
    def metadata(self) -> str:
        """Path of its metadata, and of lists: in version 1 there are lists alone."""
        return self._path("metadata")

    @property
    def canonical(self) -> str:
        """Mount and key."""
        return f"{self.mount}/{self.key}" if self.key else self.mount

    def _path(self, below: str) -> str:
        parts = (self.mount, below, self.key) if self.versioned else (self.mount, self.key)
        return "/".join(part for part in parts if part)


def place_of(key: str, path: str | None, *, versioned: bool) -> Place:
    """Where a key is.

    Args:
        key: as the manifest writes it.
        path: the store's; None where it has none.

    Raises:
        SpecError: it leads elsewhere than it looks, or names no secret.
    """
    parts = _parts(key)
    if path is not None:
        mount = _parts(path)
        if parts[: len(mount)] == mount and len(parts) > len(mount):
            parts = parts[len(mount) :]
            if versioned and parts[0] == "data" and len(parts) > 1:
                parts = parts[1:]
        return Place("/".join(mount), "/".join(parts), versioned)
    if parts[0] in _NO_ENGINES:
        raise SpecError(
            f'key "{key[:200]}" is in no secrets engine', hint="Set the store's path, or correct it"
        )
    if versioned and "data" in parts[1:-1]:
        at = parts.index("data", 1)
        return Place("/".join(parts[:at]), "/".join(parts[at + 1 :]), versioned)
    if len(parts) == 1:
        raise SpecError(
            f'key "{key[:200]}" names no secret: the store has no path, so its first part is the engine\'s mount',
            hint="Set spec.provider.vault.path, or write the mount before the key",
        )
    return Place(parts[0], "/".join(parts[1:]), versioned)


def folder_of(folder: str, path: str | None, *, versioned: bool) -> Place:
    """Where a folder of keys is; an empty one is all of the store.

    Raises:
        SpecError: as `place_of`, or nothing tells the mount.
    """
    plain = folder.strip("/")
    if not plain:
        if path is None:
            raise SpecError("find: path must be set, because the store has no path")
        return Place("/".join(_parts(path)), "", versioned)
    if path is None and "/" not in plain:
        if plain in _NO_ENGINES:
            raise SpecError(f'find: path "{plain}" is no secrets engine')
        return Place(_parts(plain)[0], "", versioned)
    mount = "/".join(_parts(path)) if path is not None else ""
    if path is not None and "/".join(_parts(plain)) == mount:
        return Place(mount, "", versioned)
    return place_of(plain, path, versioned=versioned)


def _parts(path: str) -> list[str]:
    """The parts of a path; empty ones do not count.

    Raises:
        SpecError: one leads elsewhere than it looks.
    """
    parts = [part for part in path.split("/") if part]
    if not parts or {".", ".."} & set(parts) or not path.isprintable():
        raise SpecError(f'"{path[:200]}" is not a path in Vault', hint="Leave out . and ..")
    return parts
