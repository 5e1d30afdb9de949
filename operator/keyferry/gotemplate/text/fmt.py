"""Go's fmt: what an action prints, and what print, printf and println make of their arguments.

Rules: https://pkg.go.dev/fmt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.text.fmt_format import Format
from keyferry.gotemplate.text.fmt_number import float_text
from keyferry.gotemplate.text.fmt_printer import Printer
from keyferry.gotemplate.text.fmt_quote import quote
from keyferry.gotemplate.values import Int32, Int64, Uint, Uint8, Uint32, Uint64, Value

__all__ = ["print_value", "printable", "quote", "sprint", "sprintf", "sprintln"]

_PLAIN_INTEGERS: Final = frozenset({int, Int32, Int64, Uint, Uint8, Uint32, Uint64})


def print_value(run: Run, value: Value) -> bytes:
    """What an action prints: `{{ value }}`."""
    if type(value) is bytes:
        return value
    if type(value) in _PLAIN_INTEGERS:
        return b"%d" % value
    if type(value) is float:
        return float_text(value, "g", None).encode()
    return sprint(run, (printable(value),))


def printable(value: Value) -> Value:
    """The value as actions and the escaping functions print it: nil is `<no value>`."""
    return b"<no value>" if value is None else value


def sprint(run: Run, args: Sequence[Value]) -> bytes:
    """The arguments one after the other, with spaces between those of which neither is a string."""
    printer = Printer(run)
    after_string = True
    for arg in args:
        is_string = type(arg) is bytes
        if not is_string and not after_string:
            printer.write(b" ")
        printer.argument(arg, "v")
        after_string = is_string
    return printer.text()


def sprintln(run: Run, args: Sequence[Value]) -> bytes:
    """The arguments with spaces between them and a line's end after them."""
    printer = Printer(run)
    for number, arg in enumerate(args):
        if number:
            printer.write(b" ")
        printer.argument(arg, "v")
    printer.write(b"\n")
    return printer.text()


def sprintf(run: Run, format: bytes, args: Sequence[Value]) -> bytes:  # noqa: A002 -- Go's word
    """The format with the arguments in place of its verbs."""
    printer = Printer(run)
    Format(printer, format, args).run()
    return printer.text()
