"""Secret values in memory: bytes that do not show themselves.

A `SecretBytes` redacts `repr`, `str` and `format`; `.reveal()` is the one way to the bytes, and only a few
modules may use it: those that select, decode, hash and apply values, and those that prove an identity to a
store (a test holds the list, and reads the code for others). There is no `__dict__`, no pickling and no
iteration by accident.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from typing import Final, NoReturn

REDACTED: Final = "[redacted]"


class SecretBytes:
    """One secret value.

    Args:
        value: the bytes; text is taken as UTF-8.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves. See the module's docstring for who may ask."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((SecretBytes, self._value))

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return REDACTED

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret value is not pickled")

    __getstate__ = __reduce__


class SecretData(Mapping[str, SecretBytes]):
    """Secret values by key, in the order in which they were given.

    Args:
        values: the values by key; bytes and text are wrapped.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, SecretBytes | bytes | str] | None = None) -> None:
        self._values: dict[str, SecretBytes] = {
            k: v if isinstance(v, SecretBytes) else SecretBytes(v) for k, v in (values or {}).items()
        }

    def __getitem__(self, key: str) -> SecretBytes:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SecretData({{{', '.join(f'{k!r}: {REDACTED}' for k in self._values)}}})"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("secret values are not pickled")

    __getstate__ = __reduce__

    def size(self) -> int:
        """Bytes of all values together, which the API server's limit of 1 MiB counts."""
        return sum(map(len, self._values.values()))
