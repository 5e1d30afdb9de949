"""Secret keys: which are valid, and how the conversion strategies make others valid.

Rules: the ExternalSecret API (conversionStrategy Default and Unicode, key validation), which takes letters
and digits as Unicode does; the API server later accepts ASCII only and its refusal is told as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from keyferry.errors import RenderError

MAX_KEY_BYTES: Final = 253
V = TypeVar("V")


def _allowed(char: str) -> bool:
    return char.isalpha() or char.isnumeric() or char in "-._"


def _underscore(char: str) -> str:
    return char if _allowed(char) else "_"


def _code_point(char: str) -> str:
    return char if _allowed(char) else f"_U{ord(char):04x}_"


_STRATEGIES: Final[dict[str, Callable[[str], str]]] = {
    "": _underscore,
    "Default": _underscore,
    "Unicode": _code_point,
}


def convert_keys(values: Mapping[str, V], strategy: str) -> dict[str, V]:
    """The same values under converted keys; order kept.

    Raises:
        RenderError: two keys become one; the message names all three.
    """
    convert = _STRATEGIES[strategy]
    converted: dict[str, V] = {}
    origin: dict[str, str] = {}
    for key, value in values.items():
        name = "".join(map(convert, key))
        if name in converted:
            raise RenderError(
                f"secret name collision during conversion: {origin[name]!r} and {key!r} both become {name!r}",
                hint="Rename one of the keys at the store, or use conversionStrategy Unicode or a rewrite",
            )
        converted[name], origin[name] = value, key
    return converted


def validate_keys(values: Mapping[str, V]) -> dict[str, V]:
    """The values whose keys a Secret can hold; an empty key is dropped, as the reference does.

    Raises:
        RenderError: a key has characters that a Secret key cannot have, or is too long.
    """
    for key in values:
        if len(key.encode()) > MAX_KEY_BYTES or not all(map(_allowed, key)):
            raise RenderError(
                "invalid secret keys (TIP: use rewrite or conversionStrategy to change keys): "
                f"{key[:80]!r} (allowed: letters, digits, '-', '_', '.', at most 253)"
            )
    return {key: value for key, value in values.items() if key}
