"""What Go's package unicode says about characters: classes, and the case that one has alone.

Go's tables are those of Unicode 15.0, Python's those of another version with each Python; a Secret must not change
with the operator's image, so the differences are evened out here. Go maps each character to one character (ß stays
ß in upper case), where Python's own methods know longer forms and look at neighbours.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from bisect import bisect_right
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.text.fmt_unicode import is_printable
from keyferry.gotemplate.values import runes

SPACES: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Go's unicode.IsSpace, for the inside of a character class."""
ALL_SPACES: Final = SPACES.replace("\u2000-\u200a", "".join(map(chr, range(0x2000, 0x200B))))
ERRORS: Final = "\ufffd\udc80-\udcff"
"""What Go decodes as its RuneError, for the inside of a character class: U+FFFD, and bytes that are no UTF-8."""

_UNICODE_15: Final = (
    (0x1123F, 0x11240, "Lo"),
    (0x11B00, 0x11B09, "Po"),
    (0x11F02, 0x11F02, "Lo"),
    (0x11F04, 0x11F10, "Lo"),
    (0x11F12, 0x11F33, "Lo"),
    (0x11F43, 0x11F4F, "Po"),
    (0x11F50, 0x11F59, "Nd"),
    (0x1342F, 0x1342F, "Lo"),
    (0x13441, 0x13446, "Lo"),
    (0x1B132, 0x1B132, "Lo"),
    (0x1B155, 0x1B155, "Lo"),
    (0x1D2C0, 0x1D2D3, "No"),
    (0x1DF25, 0x1DF2A, "Ll"),
    (0x1E030, 0x1E06D, "Lm"),
    (0x1E4D0, 0x1E4EB, "Lo"),
    (0x1E4F0, 0x1E4F9, "Nd"),
    (0x2B739, 0x2B739, "Lo"),
    (0x31350, 0x323AF, "Lo"),
)
"""Letters, digits and punctuation that Unicode 14, which Python 3.11 knows, does not have yet."""
_FIRSTS: Final = [first for first, _, _ in _UNICODE_15]
_PYTHON_IS_NEWER: Final = tuple(map(int, unicodedata.unidata_version.split("."))) > (15, 0, 0)
_UNASSIGNED: Final = "Cn"
_WIDEST: Final = 4
_BROKEN_PER_STEP: Final = 4
"""Bytes of a text that is no UTF-8, which takes longer to read."""


def category(char: str) -> str:
    """The character's general category, two letters such as Lu."""
    found = unicodedata.category(char)
    if found == _UNASSIGNED:
        at = bisect_right(_FIRSTS, ord(char)) - 1
        if at >= 0 and ord(char) <= _UNICODE_15[at][1]:
            return _UNICODE_15[at][2]
    elif _PYTHON_IS_NEWER and found[0] in "LNP" and not is_printable(ord(char)):
        return _UNASSIGNED
    return found


def is_upper(char: str) -> bool:
    """Go's unicode.IsUpper."""
    return "A" <= char <= "Z" if char < "\x80" else category(char) == "Lu"


def is_lower(char: str) -> bool:
    """Go's unicode.IsLower."""
    return "a" <= char <= "z" if char < "\x80" else category(char) == "Ll"


def is_space(char: str) -> bool:
    """Go's unicode.IsSpace."""
    return char in ALL_SPACES


def upper_char(char: str) -> str:
    """Go's unicode.ToUpper."""
    if char in _SAME_AS_EVER:
        return char
    upper = char.upper()
    return upper if len(upper) == 1 else title_char(char)


def title_char(char: str) -> str:
    """Go's unicode.ToTitle."""
    if char in _SAME_AS_EVER:
        return char
    title = char.title()
    return title if len(title) == 1 else char


def lower_char(char: str) -> str:
    """Go's unicode.ToLower."""
    return char if char in _SAME_AS_EVER else char.lower()[0]


_SAME_AS_EVER: Final = frozenset(
    "\u019b\u0264\u1c89\u1c8a\ua7cb\ua7cc\ua7cd\ua7da\ua7db\ua7dc"
    + "".join(map(chr, range(0x10D50, 0x10D66)))
    + "".join(map(chr, range(0x10D70, 0x10D86)))
)
"""Unicode 16 gave them an upper or lower case, which Go does not know."""
_NEWER: Final = "".join(sorted(_SAME_AS_EVER))
_MANY_UPPER: Final = re.compile(
    "([\u00df\u0149\u01f0\u0390\u03b0\u0587\u1e96-\u1e9a\u1f50-\u1f57\u1f80-\u1faf\u1fb2-\u1fbc\u1fc2-\u1fcc"
    f"\u1fd2-\u1fd7\u1fe2-\u1fe7\u1ff2-\u1ffc\ufb00-\ufb17{_NEWER}])"
)
"""Characters whose upper case may be several characters, in Python."""
_ONE_LOWER: Final = re.compile(f"([\u0130\u03a3{_NEWER}])")
"""Characters whose lower case is several, or depends on their neighbours, in Python."""


def upper(run: Run, text: str) -> str:
    """Go's strings.ToUpper."""
    if _MANY_UPPER.search(text) is None:
        return text.upper()
    run.spend(len(text) - len(_MANY_UPPER.sub("", text)))
    parts = _MANY_UPPER.split(text)
    return "".join(upper_char(part) if at % 2 else part.upper() for at, part in enumerate(parts))


def lower(run: Run, text: str) -> str:
    """Go's strings.ToLower."""
    if _ONE_LOWER.search(text) is None:
        return text.lower()
    run.spend(len(text) - len(_ONE_LOWER.sub("", text)))
    parts = _ONE_LOWER.split(text)
    return "".join(lower_char(part) if at % 2 else part.lower() for at, part in enumerate(parts))


def decoded(run: Run, text: bytes) -> str:
    """The text's characters as `runes` gives them, charged: Python needs up to four bytes for each."""
    if text.isascii():
        return text.decode("ascii")
    run.charge(_WIDEST * len(text))
    with contextlib.suppress(UnicodeDecodeError):
        return text.decode()
    run.spend(len(text) // _BROKEN_PER_STEP)
    return runes(text)


def escaped(run: Run, text: bytes) -> str:
    """The text's characters; a byte that is no UTF-8 is a half surrogate, so that `unescaped` brings it back."""
    if not text.isascii():
        run.charge(_WIDEST * len(text))
    return text.decode("utf-8", "surrogateescape")


def unescaped(text: str) -> bytes:
    """The bytes that `escaped` has read."""
    return text.encode("utf-8", "surrogateescape")
