"""How Sprig's functions make strings of values of any type; used by all modules that take `interface {}` for text."""

from __future__ import annotations

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.objects import STRINGERS
from keyferry.gotemplate.text.fmt import sprintf
from keyferry.gotemplate.values import ByteSlice, Strings, Value


def strval(run: Run, value: Value) -> bytes:
    """The value's text: strings and bytes as they are, objects by their String method, all else as `%v` prints it."""
    kind = type(value)
    if kind is bytes:
        text: bytes = value
        return text
    if kind is ByteSlice:
        return bytes(value)
    if stringer := STRINGERS.get(kind):
        return stringer(value)
    return sprintf(run, b"%v", [value])


def strslice(run: Run, value: Value) -> list[bytes]:
    """The elements' texts without those of nil; of what is no list one text. A []string is given back itself."""
    if isinstance(value, Strings):
        return value
    if isinstance(value, list | ByteSlice):
        run.charge_elements(len(value))
        if type(value) is ByteSlice:
            return [b"%d" % one for one in value]
        return [strval(run, one) for one in value if one is not None]
    return [] if value is None else [strval(run, value)]
