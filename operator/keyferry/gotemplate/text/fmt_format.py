"""The language of printf's first argument: flags, width, precision, argument indexes, and what is wrong with them.

Rules: https://pkg.go.dev/fmt#hdr-Printing, and its sections on argument indexes and on format errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyferry.gotemplate.text.fmt_number import Flags
from keyferry.gotemplate.text.fmt_printer import Printer
from keyferry.gotemplate.values import INT_KINDS, UINT_KINDS, Value, kind_of, type_of

_PERCENT: Final = 0x25
_STAR: Final = 0x2A
_POINT: Final = 0x2E
_OPEN: Final = 0x5B
_LARGEST: Final = 1_000_000
"""The largest width and precision that Go takes from an argument; one in the format may be ten times as large."""
_INTEGERS: Final = INT_KINDS | UINT_KINDS
_MAX_RUNE_BYTES: Final = 4


class Format:
    """One printf.

    Args:
        printer: what it prints to.
        text: the format.
        args: the arguments.
    """

    __slots__ = (
        "after_index",
        "arg",
        "args",
        "at",
        "good_index",
        "may_close",
        "printer",
        "reordered",
        "text",
    )

    def __init__(self, printer: Printer, text: bytes, args: Sequence[Value]) -> None:
        self.printer = printer
        self.text = text
        self.args = args
        self.at = 0
        self.arg = 0
        self.reordered = False
        self.after_index = False
        self.good_index = True
        self.may_close = True

    def run(self) -> None:
        """Print everything."""
        printer, text = self.printer, self.text
        while self.at < len(text):
            percent = text.find(b"%", self.at)
            if percent < 0:
                printer.write(text[self.at :])
                break
            if percent > self.at:
                printer.write(text[self.at : percent])
            self.at = percent + 1
            self.good_index = True
            printer.run.spend(1)
            if not self._usual() and not self._simple() and not self._directive():
                break
        if not self.reordered and self.arg < len(self.args):
            self._extra()

    def _usual(self) -> bool:
        """Print a text for %s or an int for %d, without more ado."""
        if self.at >= len(self.text) or self.arg >= len(self.args):
            return False
        verb, arg = self.text[self.at], self.args[self.arg]
        if verb == 0x73 and type(arg) is bytes:
            self.printer.write(arg)
        elif verb == 0x64 and type(arg) is int:
            self.printer.write(b"%d" % arg)
        else:
            return False
        self.at += 1
        self.arg += 1
        return True

    def _simple(self) -> bool:
        """Print a verb that has nothing but flags, if it is one."""
        text = self.text
        self.printer.flags = flags = Flags()
        while self.at < len(text):
            sign = text[self.at]
            if not flags.take(sign):
                if not (0x61 <= sign <= 0x7A and self.arg < len(self.args)):
                    return False
                self.at += 1
                self._print(flags, chr(sign))
                return True
            self.at += 1
        return False

    def _directive(self) -> bool:
        """Print a verb with width, precision or index, or say what is wrong; returns False at the format's end."""
        self._index()
        self._width()
        self._precision()
        if not self.after_index:
            self._index()
        if self.at >= len(self.text):
            self.printer.write(b"%!(NOVERB)")
            return False
        verb = self._rune()
        if verb == "%":
            self.printer.write(b"%")
        elif not self.good_index:
            self.printer.write(b"%!" + verb.encode() + b"(BADINDEX)")
        elif self.arg >= len(self.args):
            self.printer.write(b"%!" + verb.encode() + b"(MISSING)")
        else:
            self._print(self.printer.flags, verb)
        return True

    def _print(self, flags: Flags, verb: str) -> None:
        if verb in "vw":
            flags.sharp_v, flags.sharp = flags.sharp, False
            flags.plus_v, flags.plus = flags.plus, False
        arg = self.args[self.arg]
        self.arg += 1
        self.printer.argument(arg, verb)

    def _rune(self) -> str:
        """The character here, which is skipped."""
        head = self.text[self.at : self.at + _MAX_RUNE_BYTES]
        char = head.decode("utf-8", "surrogateescape")[0]
        if "\udc80" <= char <= "\udcff":
            self.at += 1
            return "\ufffd"
        self.at += len(char.encode())
        return char

    def _width(self) -> None:
        flags = self.printer.flags
        if self._here(_STAR):
            self.at += 1
            width = self._number_from_arg()
            if width is None:
                self.printer.write(b"%!(BADWIDTH)")
            elif width < 0:
                flags.minus = True
                flags.zero = False
            flags.width = abs(width or 0)
            self.after_index = False
            return
        width, self.at = _number(self.text, self.at, len(self.text))
        if self.after_index and width is not None:
            self.good_index = False
        flags.width = width or 0

    def _precision(self) -> None:
        if self.at + 1 >= len(self.text) or not self._here(_POINT):
            return
        flags = self.printer.flags
        self.at += 1
        if self.after_index:
            self.good_index = False
        self._index()
        if self._here(_STAR):
            self.at += 1
            precision = self._number_from_arg()
            flags.precision = None if precision is None or precision < 0 else precision
            if flags.precision is None:
                self.printer.write(b"%!(BADPREC)")
            self.after_index = False
            return
        precision, self.at = _number(self.text, self.at, len(self.text))
        flags.precision = precision or 0

    def _here(self, sign: int) -> bool:
        return self.at < len(self.text) and self.text[self.at] == sign

    def _index(self) -> None:
        """Take an argument index such as [2], if there is one."""
        self.after_index = False
        if not self._here(_OPEN):
            return
        self.reordered = True
        close = self.text.find(b"]", self.at) if self.may_close else -1
        # What is not found once is not there later: a format of many "[" is searched once.
        self.may_close = close >= 0
        if close < 0 or len(self.text) - self.at < 3:
            self.at += 1
            self.good_index = False
            return
        number, end = _number(self.text, self.at + 1, close)
        self.at = close + 1
        self.after_index = number is not None and end == close
        if self.after_index and number is not None and 1 <= number <= len(self.args):
            self.arg = number - 1
        else:
            self.good_index = False

    def _number_from_arg(self) -> int | None:
        """The next argument as a width or precision; None if it is none."""
        if self.arg >= len(self.args):
            return None
        value = self.args[self.arg]
        self.arg += 1
        if kind_of(value) not in _INTEGERS:
            return None
        number = int(value)
        return number if abs(number) <= _LARGEST else None

    def _extra(self) -> None:
        """Name the arguments that no verb has asked for."""
        printer = self.printer
        printer.flags = Flags()
        printer.write(b"%!(EXTRA ")
        for number, arg in enumerate(self.args[self.arg :]):
            if number:
                printer.write(b", ")
            if arg is None:
                printer.write(b"<nil>")
            else:
                printer.write(type_of(arg).encode() + b"=")
                printer.argument(arg, "v")
        printer.write(b")")


def _number(text: bytes, start: int, end: int) -> tuple[int | None, int]:
    """The number there, if there is one, and where it ends; one far too large takes all the rest."""
    at = start
    number = None
    while at < end and 0x30 <= text[at] <= 0x39:
        if number is not None and number > _LARGEST:
            return None, end
        number = (number or 0) * 10 + text[at] - 0x30
        at += 1
    return number, at
