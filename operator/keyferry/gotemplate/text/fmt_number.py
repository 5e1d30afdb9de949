"""How fmt writes numbers, with flags, width and precision.

Rules: https://pkg.go.dev/fmt and https://pkg.go.dev/strconv#FormatFloat. Nothing here is charged: a number takes at
most as much as its width or precision, and those are bounded.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

from keyferry.gotemplate.text.fmt_quote import MAX_RUNE, quote_rune, valid_rune
from keyferry.gotemplate.text.fmt_unicode import count_runes, is_printable

_UINT64: Final = (1 << 64) - 1
_FORMATS: Final = {2: "b", 8: "o", 10: "d", 16: "x"}
EXACT_DIGITS: Final = 1100
"""No float64 has more digits that are not zero, before or after its point."""
_MAX_HEX_DIGITS: Final = 15
_LEADING: Final = 1 << 60
_SHORTEST_EXPONENT: Final = 6
"""From here on the shortest form of a number has an exponent."""


@dataclass(slots=True)
class Flags:
    """What stands between % and the verb. `%+v` and `%#v` have plus_v and sharp_v instead of plus and sharp."""

    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    plus_v: bool = False
    sharp_v: bool = False
    width: int = 0
    precision: int | None = None

    def take(self, sign: int) -> bool:
        """Set the flag with that sign, if it is one's."""
        if sign == 0x23:
            self.sharp = True
        elif sign == 0x30:
            self.zero = True
        elif sign == 0x2B:
            self.plus = True
        elif sign == 0x2D:
            self.minus = True
        elif sign == 0x20:
            self.space = True
        else:
            return False
        return True

    def pad(self, text: bytes, *, zero: bool | None = None) -> bytes:
        """The text at the width, with zeros instead of spaces if the flags (or `zero`) say so.

        Go fills with zeros on the left only.
        """
        # No character has more than four bytes: this spares counting those of long texts.
        if self.width <= len(text) >> 2:
            return text
        missing = self.width - count_runes(text)
        if missing <= 0:
            return text
        if self.minus:
            return text + b" " * missing
        return (b"0" if (self.zero if zero is None else zero) else b" ") * missing + text


def integer(flags: Flags, value: int, base: int, *, verb: str = "v", upper: bool = False) -> bytes:
    """A number in base 2, 8, 10 or 16."""
    precision = flags.precision
    if precision is None:
        precision = 0
        if flags.zero and not flags.minus and flags.width:
            precision = flags.width - (value < 0 or flags.plus or flags.space)
    elif precision == 0 and value == 0:
        return b" " * flags.width
    digits = format(abs(value), _FORMATS[base]).rjust(precision, "0")
    if flags.sharp:
        digits = _prefixed(digits, base)
    if upper:
        digits = digits.upper()
    if verb == "O":
        digits = "0o" + digits
    sign = "-" if value < 0 else "+" if flags.plus else " " if flags.space else ""
    return flags.pad((sign + digits).encode(), zero=False)


def _prefixed(digits: str, base: int) -> str:
    if base == 2:
        return "0b" + digits
    if base == 8:
        return digits if digits.startswith("0") else "0" + digits
    return "0x" + digits if base == 16 else digits


def character(flags: Flags, value: int) -> bytes:
    """The character with that code, for %c."""
    return flags.pad(chr(valid_rune(value)).encode())


def quoted_character(flags: Flags, value: int) -> bytes:
    """The same between single quotes, for %q."""
    return flags.pad(quote_rune(valid_rune(value), ascii_only=flags.plus))


def unicode_point(flags: Flags, value: int) -> bytes:
    """U+0078, or U+0078 'x' with the sharp flag, for %U."""
    code = value & _UINT64
    text = f"U+{code:X}"
    digits = max(flags.precision or 0, 4)
    text = "U+" + text[2:].rjust(digits, "0")
    if flags.sharp and code <= MAX_RUNE and is_printable(code):
        text += f" '{chr(code)}'"
    return flags.pad(text.encode(), zero=False)


def floating(flags: Flags, value: float, verb: str, precision: int | None) -> bytes:
    """A float for one of the verbs b, e, E, f, g, G, x and X.

    Args:
        flags: their precision overrules the argument.
        value: any float.
        verb: of strconv.
        precision: the verb's own; None for as many digits as are needed.
    """
    if flags.precision is not None:
        precision = flags.precision
    text = float_text(value, verb, precision)
    sign, text = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
    if flags.space and sign == "+" and not flags.plus:
        sign = " "
    if text[0] in "IN":
        # Neither is a number to be filled with zeros; Inf keeps its sign, NaN has none unless one is asked for.
        signed = text[0] == "I" or flags.space or flags.plus
        return flags.pad((sign + text if signed else text).encode(), zero=False)
    if flags.sharp and verb != "b":
        text = _with_point(text, verb, precision)
    if not flags.plus and sign == "+":
        return flags.pad(text.encode())
    if flags.zero and not flags.minus and flags.width > len(text) + 1:
        return (sign + text.rjust(flags.width - 1, "0")).encode()
    return flags.pad((sign + text).encode())


def _with_point(text: str, verb: str, precision: int | None) -> str:
    """The number with a point, and with the zeros that the precision asks for."""
    wanted = 0
    if verb in "gGx":
        wanted = _SHORTEST_EXPONENT if precision is None else precision
    hexadecimal = verb in "xX"
    end = next((n for n, sign in enumerate(text) if sign in ("pP" if hexadecimal else "eE")), len(text))
    number, tail = text[:end], text[end:]
    # Go counts the digits from the first that is not 0; in 0x1p+00 the x is one.
    significant = number.replace(".", "").lstrip("0")
    wanted -= len(significant)
    if "." not in number:
        if number == "0":
            wanted -= 1
        number += "."
    return number + "0" * wanted + tail


def float_text(value: float, verb: str, precision: int | None) -> str:
    """The number as Go's strconv.FormatFloat writes it, positive ones without a sign but +Inf."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1, value) < 0 else ""
    value = abs(value)
    if verb == "b":
        return sign + _binary(value)
    if verb in "xX":
        text = _hexadecimal(value, precision)
        return sign + (text.upper() if verb == "X" else text)
    if precision is None:
        digits, point = shortest_digits(value)
        return sign + _shortest(digits, point, verb)
    if verb == "f":
        return sign + _fixed(value, precision)
    if verb in "eE":
        text = _exponential(value, precision)
        return sign + (text.upper() if verb == "E" else text)
    return sign + _general(value, max(precision, 1), verb)


def shortest_digits(value: float) -> tuple[str, int]:
    """The fewest digits that are read as this number again, and where the point is: 0.d₁d₂… · 10^point."""
    number, _, exponent = repr(value).partition("e")
    whole, _, fraction = number.partition(".")
    digits = whole + fraction
    stripped = digits.lstrip("0")
    if not stripped:
        return "", 0
    point = len(whole) - (len(digits) - len(stripped)) + int(exponent or 0)
    return stripped.rstrip("0"), point


def _shortest(digits: str, point: int, verb: str) -> str:
    if verb in "eE" or (verb in "gG" and not -4 < point <= _SHORTEST_EXPONENT):
        if digits or verb in "eE":
            return _with_exponent(digits or "0", point if digits else 1, "E" if verb in "EG" else "e")
        return "0"
    return _plain(digits, point)


def _with_exponent(digits: str, point: int, sign: str) -> str:
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{sign}{point - 1:+03d}"


def _plain(digits: str, point: int) -> str:
    """The digits with a point but no exponent."""
    if point <= 0:
        return "0." + "0" * -point + digits if digits else "0"
    if len(digits) <= point:
        return digits + "0" * (point - len(digits))
    return digits[:point] + "." + digits[point:]


def _fixed(value: float, precision: int) -> str:
    # Beyond this there are only zeros, and Python takes long for them.
    exact = min(precision, EXACT_DIGITS)
    return f"{value:.{exact}f}" + "0" * (precision - exact)


def _exponential(value: float, precision: int) -> str:
    exact = min(precision, EXACT_DIGITS)
    number, _, exponent = f"{value:.{exact}e}".partition("e")
    return number + "0" * (precision - exact) + "e" + exponent


def _general(value: float, precision: int, verb: str) -> str:
    """At most so many digits, with an exponent where that is shorter."""
    if value == 0:
        return "0"
    number, _, exponent = f"{value:.{min(precision, EXACT_DIGITS) - 1}e}".partition("e")
    digits = number.replace(".", "").rstrip("0")
    point = int(exponent) + 1
    most = len(digits) if precision > len(digits) >= point else precision
    if not -4 < point <= most:
        return _with_exponent(digits, point, "E" if verb == "G" else "e")
    return _plain(digits, point)


def _binary(value: float) -> str:
    """The mantissa as a whole number, and the power of two."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    mantissa, exponent = bits & ((1 << 52) - 1), bits >> 52
    if exponent:
        mantissa |= 1 << 52
    return f"{mantissa}p{max(exponent, 1) - 1075:+d}"


def _hexadecimal(value: float, precision: int | None) -> str:
    fraction, exponent = math.frexp(value)
    # The leading one is at bit 60, four bits above it are free.
    mantissa = int(fraction * (1 << 53)) << 8
    exponent = exponent - 1 if mantissa else 0
    if precision is not None and precision < _MAX_HEX_DIGITS and mantissa:
        shift = precision * 4
        rest = (mantissa << shift) & (_LEADING - 1)
        mantissa >>= 60 - shift
        if rest | (mantissa & 1) > _LEADING >> 1:
            mantissa += 1
        mantissa <<= 60 - shift
        if mantissa & (_LEADING << 1):
            mantissa >>= 1
            exponent += 1
    digits = f"{mantissa & (_LEADING - 1):015x}"
    digits = digits.rstrip("0") if precision is None else digits[:precision].ljust(precision, "0")
    point = "." if digits else ""
    return f"0x{mantissa >> 60}{point}{digits}p{exponent:+03d}"
