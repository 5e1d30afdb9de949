"""Tokens of a path: those of Go's text/scanner, with its identifiers, literals and comments.

Rules: https://pkg.go.dev/text/scanner, in the mode GoTokens.
"""

from __future__ import annotations

import re
from typing import Final

IDENT: Final = "identifier"
NUMBER: Final = "number"
FLOAT: Final = "float"
CHAR: Final = "character"
STRING: Final = "string"
RAW: Final = "raw string"
END: Final = "end"

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_IDENT: Final = re.compile(r"[^\W\d]\w*")
_NUMBER: Final = re.compile(
    r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|(?:0[oObB])?[0-9_]*(?:\.[0-9_]*)?(?:[eEpP][+-]?[0-9_]*)?"
)
_LITERALS: Final = {
    '"': (STRING, re.compile(r'"(?:[^"\\\n]|\\.)*"?', re.DOTALL)),
    "'": (CHAR, re.compile(r"'(?:[^'\\\n]|\\.)*'?", re.DOTALL)),
    "`": (RAW, re.compile(r"`[^`]*`?")),
}


class Scanner:
    """The tokens of a text, one after the other; the last one can be given back.

    Attributes:
        kind: of the token read last: one of the names above, or the character itself.
        text: of the token read last.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._given_back = False
        self.kind = ""
        self.text = ""

    def next(self) -> str:
        """Read a token; its kind."""
        if self._given_back:
            self._given_back = False
            return self.kind
        blank = _BLANK.match(self._text, self._at)
        begin = self._at = blank.end() if blank else self._at
        self.kind, end = self._measure(begin)
        self._at, self.text = end, self._text[begin:end]
        return self.kind

    def give_back(self) -> None:
        """Have the next `next` give the same token again."""
        self._given_back = True

    def peek(self) -> str:
        """The character right behind the token; empty at the end."""
        return self._text[self._at : self._at + 1]

    def take(self) -> str:
        """Read that character."""
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def _measure(self, begin: int) -> tuple[str, int]:
        """Kind and end of the token that begins there."""
        char = self._text[begin : begin + 1]
        if not char:
            return END, begin
        if found := _IDENT.match(self._text, begin):
            return IDENT, found.end()
        behind = self._text[begin + 1 : begin + 2]
        is_fraction = char == "." and behind.isascii() and behind.isdigit()
        if (char.isascii() and char.isdigit()) or is_fraction:
            number = _NUMBER.match(self._text, begin)
            return FLOAT if is_fraction else NUMBER, number.end() if number else begin + 1
        if char in _LITERALS:
            kind, pattern = _LITERALS[char]
            literal = pattern.match(self._text, begin)
            return kind, literal.end() if literal else begin + 1
        return char, begin + 1
