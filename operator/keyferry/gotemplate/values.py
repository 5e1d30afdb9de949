"""Values as a Go template sees them, in Python.

=========================  =====================================================
Go                         here
=========================  =====================================================
string                     `bytes`: Go's strings are bytes, and so are lengths, cuts and comparisons
bool                       `bool`
int                        `int` (exactly)
int64, int32, uint8, …     `Int64`, `Int32`, `Uint8`, …: subclasses of int
float64                    `float`
nil, and no value at all   `None`
[]byte                     `ByteSlice` (a `bytearray`)
[]interface {}             `list` (exactly)
[]string, []int, …         `Strings`, `Ints`, …: subclasses of list
map[string]interface {}    `dict` (exactly), keys are `bytes`
map[string]string          `StringMap`, a subclass of dict
time.Time, Duration, …     classes with `go_type` and `go_kind`, made known by `register`
=========================  =====================================================

Nothing here looks at attributes of Python objects for a template: a type's fields and methods are those of the
tables in `objects`, and there are no others.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

GoString = bytes
Value = Any
"""A value of one of the types above."""

MIN_INT64: Final = -(1 << 63)
MAX_INT64: Final = (1 << 63) - 1
_WRAP: Final = 1 << 64


class Sized(int):
    """An integer of a Go type that is not `int`."""

    __slots__ = ()
    go_type: ClassVar[str] = ""
    go_kind: ClassVar[str] = ""
    bits: ClassVar[int] = 64
    signed: ClassVar[bool] = True


class Int64(Sized):
    """int64."""

    __slots__ = ()
    go_type = go_kind = "int64"


class Int32(Sized):
    """int32, also a rune."""

    __slots__ = ()
    go_type = go_kind = "int32"
    bits = 32


class Uint8(Sized):
    """uint8, also a byte: what indexing a string gives."""

    __slots__ = ()
    go_type = go_kind = "uint8"
    bits = 8
    signed = False


class Uint32(Sized):
    """uint32."""

    __slots__ = ()
    go_type = go_kind = "uint32"
    bits = 32
    signed = False


class Uint64(Sized):
    """uint64."""

    __slots__ = ()
    go_type = go_kind = "uint64"
    signed = False


class Uint(Sized):
    """uint."""

    __slots__ = ()
    go_type = go_kind = "uint"
    signed = False


class ByteSlice(bytearray):
    """[]uint8."""

    __slots__ = ()
    go_type: ClassVar[str] = "[]uint8"
    go_kind: ClassVar[str] = "slice"


class TypedList(list[Any]):
    """A slice whose elements have one type.

    Attributes:
        element: that type, as Go writes it.
    """

    __slots__ = ()
    element: ClassVar[str] = "interface {}"
    go_type: ClassVar[str] = "[]interface {}"
    go_kind: ClassVar[str] = "slice"


class Strings(TypedList):
    """[]string."""

    __slots__ = ()
    element = "string"
    go_type = "[]string"


class Ints(TypedList):
    """[]int."""

    __slots__ = ()
    element = "int"
    go_type = "[]int"


class Lists(TypedList):
    """[][]interface {}."""

    __slots__ = ()
    element = "[]interface {}"
    go_type = "[][]interface {}"


class NilList(TypedList):
    """A nil []interface {}: like an empty one in all things, but JSON and YAML write it as null."""

    __slots__ = ()


class NilStrings(Strings):
    """A nil []string: the same for it."""

    __slots__ = ()


class StringMap(dict[bytes, Any]):
    """map[string]string."""

    __slots__ = ()
    element: ClassVar[str] = "string"
    go_type: ClassVar[str] = "map[string]string"
    go_kind: ClassVar[str] = "map"


class NamedString(bytes):
    """A string of a named type, such as sprig.HashAlgorithm: only a literal becomes one."""

    __slots__ = ()
    go_type: ClassVar[str] = "string"
    go_kind: ClassVar[str] = "string"


_TYPES: Final[dict[type, tuple[str, str]]] = {
    type(None): ("<nil>", "invalid"),
    bytes: ("string", "string"),
    bool: ("bool", "bool"),
    int: ("int", "int"),
    float: ("float64", "float64"),
    NilList: ("[]interface {}", "slice"),
    NilStrings: ("[]string", "slice"),
    list: ("[]interface {}", "slice"),
    dict: ("map[string]interface {}", "map"),
}


def register(cls: Any) -> Any:
    """Make a class of values known, by its `go_type` and `go_kind`; a class decorator."""
    _TYPES[cls] = (cls.go_type, cls.go_kind)
    return cls


for _cls in (Int64, Int32, Uint8, Uint32, Uint64, Uint, ByteSlice, Strings, Ints, Lists, StringMap):
    register(_cls)


def type_of(value: Value) -> str:
    """The value's type as Go's %T prints it."""
    return _TYPES[type(value)][0]


def kind_of(value: Value) -> str:
    """The value's kind as reflect.Kind prints it: string, int, slice, map, ptr, struct, …; invalid for nil."""
    return _TYPES[type(value)][1]


INT_KINDS: Final = frozenset({"int", "int8", "int16", "int32", "int64"})
UINT_KINDS: Final = frozenset({"uint", "uint8", "uint16", "uint32", "uint64", "uintptr"})


def is_true(value: Value) -> bool:
    """Whether `if` takes the value for true: not the zero of its type; structs and set pointers are true."""
    if isinstance(value, bytes | bytearray | list | dict | int | float):
        return bool(value)
    return value is not None


def wrap_int64(number: int) -> int:
    """The number as 64 bits hold it, with Go's wrap-around."""
    if MIN_INT64 <= number <= MAX_INT64:
        return number
    return (number - MIN_INT64) % _WRAP + MIN_INT64


_ESCAPED: Final = re.compile("[\udc80-\udcff]")


def runes(text: bytes) -> str:
    """The text's characters as Go's `[]rune(s)` or `range` sees them: each byte that is no UTF-8 is U+FFFD."""
    if text.isascii():
        return text.decode("ascii")
    decoded = text.decode("utf-8", "surrogateescape")
    return _ESCAPED.sub("\ufffd", decoded)


def from_runes(text: str) -> bytes:
    """The characters as Go's `string([]rune)` writes them; half surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text).encode()


def to_go(value: Any, depth: int = 100) -> Value:
    """Python data as a template's data: str and bytes become strings, dicts maps with interface {} elements.

    Raises:
        TypeError: a value of another type, or nested too deeply.
    """
    if value is None or isinstance(value, bool | bytes | float) or type(value) is int:
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if type(value) in _TYPES and type(value) not in {list, dict}:
        return value
    if depth == 0:
        raise TypeError("the data nests too deeply")
    if isinstance(value, list | tuple):
        return [to_go(one, depth - 1) for one in value]
    if isinstance(value, dict):
        return {to_go(key, depth - 1): to_go(one, depth - 1) for key, one in value.items()}
    raise TypeError(f"a template cannot use a {type(value).__name__}")


def copied(value: Value) -> Value:
    """The value with lists and maps of its own, so that nobody else sees what functions change in them."""
    if isinstance(value, StringMap):
        return StringMap(value)
    if isinstance(value, dict):
        return {key: copied(one) for key, one in value.items()}
    if isinstance(value, list):
        return type(value)(map(copied, value))
    return value


NILS: Final = (NilList, NilStrings)
"""Classes of slices that are nil; their Go type is that of another class."""
_CLASSES: Final[dict[str, type]] = {}


def class_of(go_type: str) -> type:
    """The Python class of the values of a Go type."""
    if go_type not in _CLASSES:
        _CLASSES.update({name: cls for cls, (name, _) in _TYPES.items() if cls not in NILS})
    return _CLASSES[go_type]
