"""Hashes and names that other operators, dashboards and we ourselves read back: bit-exact by contract.

The reference operator hashes Go's `%+v` text of a value with SHA3-224. The texts are rebuilt here; the
tests hold vectors taken from Secrets that it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha3_224
from typing import Any, Final

from keyferry.api import names
from keyferry.errors import RenderError
from keyferry.secretdata import SecretData

_DECIMAL: Final = [str(number) for number in range(256)]
_MOST_INT64: Final = 2**63 - 1
_MAX_DEPTH: Final = 200


def hash_text(text: str | bytes) -> str:
    """SHA3-224 of a text, in hex: 56 characters."""
    return sha3_224(text.encode() if isinstance(text, str) else text).hexdigest()


def _sorted_like_go(keys: Mapping[str, object]) -> list[str]:
    """Map keys in the order in which Go's fmt prints them: by their UTF-8 bytes."""
    return sorted(keys, key=lambda key: key.encode())


def data_hash(data: SecretData) -> str:
    """The `data-hash` annotation's value for a Secret's data: hash of `map[key:[1 2 3] …]`."""
    parts = []
    for key in _sorted_like_go(data):
        # Go prints bytes as decimal numbers parted by blanks. A table is the fastest way to them here.
        numbers = " ".join(map(_DECIMAL.__getitem__, data[key].reveal()))
        parts.append(f"{key}:[{numbers}]")
    return hash_text(f"map[{' '.join(parts)}]")


def object_hash(value: Any) -> str:
    """The `data-hash` annotation's value for a part of an object that is no Secret, as JSON has it.

    Raises:
        RenderError: it is nested too deep.
    """
    return hash_text(_go_text(value, 0))


def _go_text(value: Any, depth: int) -> str:
    """What Go's fmt prints for a decoded JSON value with `%+v`."""
    if depth > _MAX_DEPTH:
        raise RenderError(f"the target is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _go_map({key: _go_text(item, depth + 1) for key, item in value.items()})
    if isinstance(value, list):
        return f"[{' '.join(_go_text(item, depth + 1) for item in value)}]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -_MOST_INT64 - 1 <= value <= _MOST_INT64:
        return str(value)
    return _go_float(float(value))


def _go_float(value: float) -> str:
    number = Decimal(repr(value))
    exponent = number.adjusted()
    if number and not -4 <= exponent < 6:
        digits = "".join(map(str, number.normalize().as_tuple().digits))
        point = "." if len(digits) > 1 else ""
        return f"{'-' if value < 0 else ''}{digits[0]}{point}{digits[1:]}e{exponent:+03d}"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def created_by_hash(namespace: str, name: str) -> str:
    """The `created-by` label's value: hash of "namespace/name" of the ExternalSecret."""
    return hash_text(f"{namespace}/{name}")


def _go_map(values: Mapping[str, str]) -> str:
    return f"map[{' '.join(f'{key}:{values[key]}' for key in _sorted_like_go(values))}]"


def synced_resource_version(
    generation: int, annotations: Mapping[str, str], labels: Mapping[str, str]
) -> str:
    """`status.syncedResourceVersion`: what of the ExternalSecret was synced. Any label or annotation counts."""
    meta = hash_text(f"{{annotations:{_go_map(annotations)} labels:{_go_map(labels)}}}")
    return f"{generation}-{meta}"


def field_manager(name: str) -> str:
    """The field manager under which an ExternalSecret's writes are made. Pruning finds our fields by it."""
    plain = f"{names.FIELD_MANAGER_PREFIX}{name}"
    if len(plain.encode()) <= names.FIELD_MANAGER_MAX_CHARS:
        return plain
    return f"{names.FIELD_MANAGER_HASH_PREFIX}{hash_text(name)}"
