"""How paths and queries go over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from keyferry.errors import SpecError


def wire_path(path: str) -> str:
    """A path as it goes over the wire.

    Raises:
        SpecError: it leads elsewhere than it looks.
    """
    parts = path.strip("/").split("/")
    if {"", ".", ".."} & set(parts):
        raise SpecError(f'"{path[:200]}" is not a path in Vault', hint="Leave out empty parts, . and ..")
    try:
        return "/".join(quote(part, safe="") for part in parts)
    except UnicodeEncodeError:
        raise SpecError(f'"{path[:200]!r}" is not a path in Vault') from None


def pairs(params: Mapping[str, str | Sequence[str]] | None) -> list[tuple[str, str]]:
    """The query's parameters, one by one."""
    return [
        (name, value)
        for name, values in (params or {}).items()
        for value in ([values] if isinstance(values, str) else values)
    ]
