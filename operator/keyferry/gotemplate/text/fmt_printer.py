"""How fmt prints one value: `Printer`, Go's `pp`.

Rules: https://pkg.go.dev/fmt. Two things are other than in Go: an address (%p) is always the same one, since one
that changes with each run would change the Secret, and a value in itself, which Go follows until it dies, is an
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import FIELDS, GO_STRINGERS, STRINGERS, STRUCT_FIELDS
from keyferry.gotemplate.text.fmt_number import (
    EXACT_DIGITS,
    Flags,
    character,
    floating,
    integer,
    quoted_character,
    unicode_point,
)
from keyferry.gotemplate.text.fmt_quote import can_backquote, quote
from keyferry.gotemplate.text.fmt_unicode import first_runes
from keyferry.gotemplate.values import INT_KINDS, NILS, UINT_KINDS, Uint8, Value, kind_of, type_of

_NIL: Final = b"<nil>"
_ADDRESS: Final = 0xC000012000
_FIRST_CHARGE: Final = 1 << 12
_STRINGABLE: Final = frozenset("vsxXq")
_HAVE_ADDRESS: Final = frozenset({"slice", "map", "ptr"})
_SIMPLE_TYPES: Final = frozenset({"bool", "float64", "string", "[]uint8"}) | INT_KINDS | UINT_KINDS
_FLOAT_VERBS: Final[dict[str, tuple[str, int | None]]] = {
    "v": ("g", None),
    **{verb: (verb, None) for verb in "bgGxX"},
    **{verb: (verb, 6) for verb in "feE"},
    "F": ("f", 6),
}
_BASES: Final = {"v": 10, "d": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_NO_FLAGS: Final = Flags()
_BYTE_TEXTS: Final = tuple(b"%d" % one for one in range(256))


class Printer:
    """Go's `pp`: what is printed so far, and the flags of the verb at hand.

    Text is charged as it comes, a few KiB at once; what is shorter is left to the caller, who charges results.
    """

    __slots__ = ("charged", "erroring", "flags", "next_charge", "parts", "run", "size")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.flags = Flags()
        self.parts: list[bytes] = []
        self.size = 0
        self.charged = 0
        self.next_charge = _FIRST_CHARGE
        self.erroring = False

    def text(self) -> bytes:
        """Everything printed."""
        return b"".join(self.parts)

    def write(self, text: bytes) -> None:
        """Add text."""
        self.parts.append(text)
        self.size += len(text)
        if self.size >= self.next_charge:
            self.reserve(0)

    def reserve(self, count: int) -> None:
        """Charge what is written and so many bytes that are about to be."""
        total = self.size + count
        if total > self.run.limits.value_bytes:
            self.run.charge(total)
        if total > self.charged:
            self.run.charge(total - self.charged)
            self.charged = total
        self.next_charge = self.charged + _FIRST_CHARGE

    def argument(self, value: Value, verb: str) -> None:
        """Print an argument."""
        self.run.spend(1)
        if type(value) is bytes and verb != "T":
            self._string(value, verb)
        elif value is None:
            if verb in "Tv":
                self.write(self.flags.pad(_NIL))
            else:
                self.bad_verb(value, verb)
        elif verb == "T":
            self._plain_string(type_of(value).encode())
        elif verb == "p":
            self._pointer(value, verb)
        elif verb == "w" and type_of(value) not in _SIMPLE_TYPES:
            self.bad_verb(value, verb)
        elif not self._by_method(value, verb):
            self._value(value, verb, 0)

    def bad_verb(self, value: Value, verb: str) -> None:
        """Say that the verb is none for the value."""
        self.erroring = True
        self.write(b"%!" + verb.encode() + b"(")
        if value is None:
            self.write(_NIL)
        else:
            self.write(type_of(value).encode() + b"=")
            self._value(value, "v", 0)
        self.write(b")")
        self.erroring = False

    def _by_method(self, value: Value, verb: str) -> bool:
        """Print what the value's String, Error or GoString method returns, if it has one for the verb."""
        if self.erroring:
            return False
        if self.flags.sharp_v:
            if (go_string := GO_STRINGERS.get(type(value))) is None:
                return False
            self._plain_string(go_string(value))
            return True
        if verb not in _STRINGABLE or (stringer := STRINGERS.get(type(value))) is None:
            return False
        self._string(stringer(value), verb)
        return True

    def _value(self, value: Value, verb: str, depth: int) -> None:
        """Print a value by its kind."""
        kind = kind_of(value)
        if (method := self._by_kind.get(kind)) is not None:
            method(self, value, verb, depth)
        elif kind in INT_KINDS:
            self._integer(int(value), verb, value, signed=True)
        else:
            self._integer(int(value), verb, value, signed=False)

    def _element(self, value: Value, verb: str, depth: int) -> None:
        """Print what is in a list, map or struct."""
        self.run.spend(1)
        if depth > self.run.limits.value_depth:
            raise FunctionError("the value nests too deeply")
        if value is None:
            self.write(b"interface {}(nil)" if self.flags.sharp_v else _NIL)
        elif type(value) is bytes:
            self._string(value, verb)
        elif not self._by_method(value, verb):
            self._value(value, verb, depth)

    def _plain_string(self, text: bytes) -> None:
        precision = self.flags.precision
        self.write(self.flags.pad(text if precision is None else first_runes(text, precision)))

    def _string(self, text: bytes, verb: str) -> None:
        if verb == "s" or (verb == "v" and not self.flags.sharp_v):
            self._plain_string(text)
        elif verb in "qv":
            self._quoted(text)
        elif verb in "xX":
            self._hex(text, verb)
        else:
            self.bad_verb(text, verb)

    def _quoted(self, text: bytes) -> None:
        flags = self.flags
        if flags.precision is not None:
            text = first_runes(text, flags.precision)
        if flags.sharp and can_backquote(text):
            self.write(flags.pad(b"`" + text + b"`"))
        else:
            self.write(flags.pad(quote(text, ascii_only=flags.plus, run=self.run)))

    def _hex(self, text: bytes, verb: str) -> None:
        """The bytes in base 16; with the space flag apart from each other, with the sharp one after 0x."""
        flags = self.flags
        if flags.precision is not None:
            text = text[: flags.precision]
        if not text:
            self.write(flags.pad(b""))
            return
        self.reserve(len(text) * (5 if flags.space and flags.sharp else 3 if flags.space else 2))
        if flags.space:
            digits = text.hex(" ").replace(" ", " 0x") if flags.sharp else text.hex(" ")
        else:
            digits = text.hex()
        if flags.sharp:
            digits = "0x" + digits
        self.write(flags.pad((digits.upper() if verb == "X" else digits).encode()))

    def _integer(self, number: int, verb: str, value: Value, *, signed: bool) -> None:
        flags = self.flags
        if verb == "v" and flags.sharp_v and not signed:
            self.write(self._hex_number(number, prefix=True))
        elif (base := _BASES.get(verb)) is not None:
            self.write(integer(flags, number, base, verb=verb, upper=verb == "X"))
        elif verb == "c":
            self.write(character(flags, number))
        elif verb == "q":
            self.write(quoted_character(flags, number))
        elif verb == "U":
            self.write(unicode_point(flags, number))
        else:
            self.bad_verb(value, verb)

    def _hex_number(self, number: int, *, prefix: bool) -> bytes:
        sharp, self.flags.sharp = self.flags.sharp, prefix
        text = integer(self.flags, number, 16)
        self.flags.sharp = sharp
        return text

    def _bool(self, value: Value, verb: str, _depth: int) -> None:
        if verb in "tv":
            self.write(self.flags.pad(b"true" if value else b"false"))
        else:
            self.bad_verb(value, verb)

    def _float(self, value: Value, verb: str, _depth: int) -> None:
        if (how := _FLOAT_VERBS.get(verb)) is not None:
            self.run.spend(min(self.flags.precision or 0, EXACT_DIGITS) // 16)
            self.write(floating(self.flags, value, how[0], how[1]))
        else:
            self.bad_verb(value, verb)

    def _text(self, value: Value, verb: str, _depth: int) -> None:
        self._string(bytes(value), verb)

    def _slice(self, value: Value, verb: str, depth: int) -> None:
        if isinstance(value, bytearray):
            self._bytes(value, verb, depth)
            return
        go_syntax = self.flags.sharp_v
        if go_syntax and isinstance(value, NILS):
            self.write(type_of(value).encode() + b"(nil)")
            return
        self.write(type_of(value).encode() + b"{" if go_syntax else b"[")
        for number, one in enumerate(value):
            if number:
                self.write(b", " if go_syntax else b" ")
            self._element(one, verb, depth + 1)
        self.write(b"}" if go_syntax else b"]")

    def _bytes(self, value: bytearray, verb: str, depth: int) -> None:
        flags = self.flags
        if verb in "sqxX":
            if verb == "s":
                self._plain_string(bytes(value))
            else:
                self._string(bytes(value), verb)
            return
        go_syntax = flags.sharp_v
        if verb in "vd" and flags == _NO_FLAGS:
            self.reserve(4 * len(value))
            self.run.spend(len(value) // 16)
            self.write(b"[" + b" ".join(map(_BYTE_TEXTS.__getitem__, value)) + b"]")
            return
        name = "[]byte" if depth == 0 and verb in "vd" else "[]uint8"
        self.write(name.encode() + b"{" if go_syntax else b"[")
        for number, one in enumerate(value):
            self.run.spend(1)
            if number:
                self.write(b", " if go_syntax else b" ")
            self._integer(one, verb, Uint8(one), signed=False)
        self.write(b"}" if go_syntax else b"]")

    def _map(self, value: Value, verb: str, depth: int) -> None:
        go_syntax = self.flags.sharp_v
        self.run.spend(len(value))
        self.write(type_of(value).encode() + b"{" if go_syntax else b"map[")
        for number, key in enumerate(self.run.sorted_keys(value)):
            if number:
                self.write(b", " if go_syntax else b" ")
            self._element(key, verb, depth + 1)
            self.write(b":")
            self._element(value[key], verb, depth + 1)
        self.write(b"}" if go_syntax else b"]")

    def _struct(self, value: Value, verb: str, depth: int) -> None:
        flags = self.flags
        if flags.sharp_v:
            self.write(type_of(value).removeprefix("*").encode())
        self.write(b"{")
        fields = STRUCT_FIELDS.get(type(value)) or FIELDS.get(type(value)) or {}
        for number, (name, field) in enumerate(fields.items()):
            if number:
                self.write(b", " if flags.sharp_v else b" ")
            if flags.plus_v or flags.sharp_v:
                self.write(name.encode() + b":")
            inside = field(value)
            if inside is None:
                self._nil_pointer(verb)
            else:
                self._element(inside, verb, depth + 1)
        self.write(b"}")

    def _nil_pointer(self, verb: str) -> None:
        """The one that there is: the location of a time in UTC."""
        if verb in "bodxX":
            self._integer(0, verb, 0, signed=False)
        elif verb in "vp":
            self.write(
                self.flags.pad(_NIL) if verb == "v" else self._hex_number(0, prefix=not self.flags.sharp)
            )
        else:
            self.write(b"%!" + verb.encode() + b"(*time.Location=" + self.flags.pad(_NIL) + b")")

    def _pointer_or_struct(self, value: Value, verb: str, depth: int) -> None:
        if depth == 0:
            self.write(b"&")
            self._struct(value, verb, 1)
        else:
            self._pointer(value, verb)

    def _pointer(self, value: Value, verb: str) -> None:
        """An address, which is always the same."""
        flags = self.flags
        if kind_of(value) not in _HAVE_ADDRESS:
            self.bad_verb(value, verb)
        elif verb == "v" and flags.sharp_v:
            self.write(
                b"(" + type_of(value).encode() + b")(" + self._hex_number(_ADDRESS, prefix=True) + b")"
            )
        elif verb in "vp":
            self.write(self._hex_number(_ADDRESS, prefix=not flags.sharp))
        elif verb in "bodxX":
            self._integer(_ADDRESS, verb, value, signed=False)
        else:
            self.bad_verb(value, verb)

    _by_kind: ClassVar[dict[str, Callable[[Printer, Any, str, int], None]]] = {
        "bool": _bool,
        "float64": _float,
        "string": _text,
        "slice": _slice,
        "map": _map,
        "struct": _struct,
        "ptr": _pointer_or_struct,
    }
