"""Text to tokens, as text/template/parse does it: delimiters, trim markers, comments, and what is in an action.

Rules: https://pkg.go.dev/text/template#hdr-Text_and_spaces. Positions are in bytes, lines from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple

from keyferry.gotemplate.errors import Exhausted
from keyferry.gotemplate.language.quoting import quote, unicode_point


class Kind(IntEnum):
    """What a token is."""

    ERROR = 0
    EOF = 1
    TEXT = 2
    LEFT = 3
    RIGHT = 4
    SPACE = 5
    ASSIGN = 6
    DECLARE = 7
    PIPE = 8
    STRING = 9
    RAW_STRING = 10
    VARIABLE = 11
    CHAR_CONSTANT = 12
    FIELD = 13
    NUMBER = 14
    COMPLEX = 15
    IDENTIFIER = 16
    BOOL = 17
    LEFT_PAREN = 18
    RIGHT_PAREN = 19
    CHAR = 20
    DOT = 21
    NIL = 22
    KEYWORD = 23
    FIELD_ACTION = 24
    """A whole action that is nothing but one field, which most are; its value is the field."""


_WORDS: Final = {
    **dict.fromkeys((b"block", b"break", b"continue", b"define", b"else", b"end", b"if"), Kind.KEYWORD),
    **dict.fromkeys((b"range", b"template", b"with"), Kind.KEYWORD),
    b"nil": Kind.NIL,
    b"true": Kind.BOOL,
    b"false": Kind.BOOL,
}
_MAX_SHOWN: Final = 10


class Token(NamedTuple):
    """A piece of the text.

    Args:
        position: of its first byte.
        value: its text; of an error what is wrong.
        line: where it begins.
    """

    kind: Kind
    position: int
    value: bytes
    line: int

    def described(self) -> str:
        """As an error text names it."""
        if self.kind is Kind.EOF:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.value.decode("utf-8", "replace")
        if self.kind in (Kind.KEYWORD, Kind.NIL, Kind.DOT):
            return f"<{self.value.decode()}>"
        decoded = self.value.decode("utf-8", "surrogateescape")
        if len(self.value) > _MAX_SHOWN:
            return quote(decoded[:_MAX_SHOWN].encode("utf-8", "surrogateescape")) + "..."
        return quote(self.value)


_SPACES: Final = b" \t\r\n"
_LEFT_TRIM: Final = re.compile(rb"-[ \t\r\n]")
_WORD: Final = re.compile(rb"[A-Za-z0-9_]*")
_SPACE_RUN: Final = re.compile(rb"[ \t\r\n]+")
_QUOTED: Final = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*"', re.DOTALL)
_CHARACTER: Final = re.compile(rb"'(?:[^'\\\n]|\\[^\n])*'", re.DOTALL)
_RAW: Final = re.compile(rb"`[^`]*`")
_NUMBER: Final = re.compile(
    rb"[+-]?(?:"
    rb"0[xX][0-9a-fA-F_]*\.?[0-9a-fA-F_]*(?:[pP][+-]?[0-9_]*)?"
    rb"|0[oO][0-7_]*\.?[0-7_]*"
    rb"|0[bB][01_]*\.?[01_]*"
    rb"|[0-9_]*\.?[0-9_]*(?:[eE][+-]?[0-9_]*)?"
    rb")i?"
)
_NAME: Final = rb"[A-Za-z_][A-Za-z0-9_]*"
_BEHIND: Final = rb"(?=[ \t\r\n.,|:)(]|\}\})"
_COMMON: Final = re.compile(
    rb"(\}\})|([ \t\r\n]+)(?!-)|(\."
    + _NAME
    + rb")"
    + _BEHIND
    + rb"|(\$[A-Za-z0-9_]*)"
    + _BEHIND
    + rb"|("
    + _NAME
    + rb")"
    + _BEHIND
    + rb"|(\|)|"
    + rb'("[^"\\\n]*")|'
    + rb"(`[^`]*`)"
)
"""What most tokens are, where the right delimiter is the usual one; all others are read step by step."""
_COMMON_KINDS: Final = (
    *(Kind.ERROR, Kind.RIGHT, Kind.SPACE, Kind.FIELD, Kind.VARIABLE, Kind.IDENTIFIER, Kind.PIPE),
    *(Kind.STRING, Kind.RAW_STRING),
)
_FIELD_ACTION: Final = re.compile(rb" ?(\." + _NAME + rb") ?\}\}")


class LexError(Exception):
    """The rest of the text cannot be read."""


class Lexer:
    """All tokens of one text; the last is EOF or ERROR.

    Args:
        text: the template.
        left: start of an action.
        right: its end.
        most: how many tokens there may be.
    """

    def __init__(self, text: bytes, left: bytes, right: bytes, most: int) -> None:
        self._text = text
        self._left = left
        self._right = right
        self._right_trim = re.compile(rb"[ \t\r\n]-" + re.escape(right))
        self._position = 0
        self._line = 1
        self._counted = 0
        self._depth = 0
        self._is_ascii = text.isascii()
        self._is_common = right == b"}}"
        self._most = most
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        """Read the whole text.

        Raises:
            Exhausted: there are more than there may be.
        """
        try:
            while self._outside():
                while self._inside():
                    pass
        except LexError as error:
            self._most += 1
            self._add(Kind.ERROR, self._position, str(error).encode("utf-8", "surrogateescape"))
        return self.tokens

    def _add(self, kind: Kind, start: int, value: bytes) -> None:
        if start > self._counted:
            self._line += self._text.count(b"\n", self._counted, start)
            self._counted = start
        tokens = self.tokens
        if len(tokens) >= self._most:
            raise Exhausted(f"the template has more than {self._most} tokens")
        tokens.append(Token(kind, start, value, self._line))

    # -- text

    def _outside(self) -> bool:
        """Read text up to the next action and its delimiter; False at the end of everything."""
        text = self._text
        while True:
            start = self._position
            at = text.find(self._left, start)
            if at < 0:
                if start < len(text):
                    self._add(Kind.TEXT, start, text[start:])
                self._add(Kind.EOF, len(text), b"")
                return False
            behind = at + len(self._left)
            trims = _LEFT_TRIM.match(text, behind) is not None
            end = start + len(text[start:at].rstrip(_SPACES)) if trims else at
            if end > start:
                self._add(Kind.TEXT, start, text[start:end])
            after = behind + 2 if trims else behind
            if text.startswith(b"/*", after):
                self._comment(after)
                continue
            self._position = after
            if self._is_common and (found := _FIELD_ACTION.match(text, after)):
                self._add(Kind.FIELD_ACTION, found.start(1), found[1])
                self._position = found.end()
                continue
            self._add(Kind.LEFT, at, self._left)
            self._depth = 0
            return True

    def _comment(self, start: int) -> None:
        self._position = start
        end = self._text.find(b"*/", start + 2)
        if end < 0:
            raise LexError("unclosed comment")
        end += 2
        if self._right_trim.match(self._text, end):
            self._position = self._skip_spaces(end + 2 + len(self._right))
        elif self._text.startswith(self._right, end):
            self._position = end + len(self._right)
        else:
            raise LexError("comment ends before closing delimiter")

    def _skip_spaces(self, at: int) -> int:
        found = _SPACE_RUN.match(self._text, at)
        return found.end() if found else at

    # -- actions

    def _inside(self) -> bool:
        """Read one token of an action; False behind its right delimiter."""
        text, at = self._text, self._position
        if self._is_common and (found := _COMMON.match(text, at)) and not self._is_closed_early(found):
            return self._common(found)
        trims = self._right_trim.match(text, at) is not None
        if trims or text.startswith(self._right, at):
            if self._depth:
                raise LexError("unclosed left paren")
            start = at + 2 if trims else at
            self._add(Kind.RIGHT, start, self._right)
            end = start + len(self._right)
            self._position = self._skip_spaces(end) if trims else end
            return False
        if at >= len(text):
            raise LexError("unclosed action")
        self._token(text[at])
        return True

    def _is_closed_early(self, found: re.Match[bytes]) -> bool:
        return found.lastindex == 1 and self._depth > 0

    def _common(self, found: re.Match[bytes]) -> bool:
        """Take a token that one look has found; False if it ends the action."""
        kind, value = _COMMON_KINDS[found.lastindex or 0], found[0]
        if kind is Kind.IDENTIFIER and value in _WORDS:
            kind = _WORDS[value]
        self._add(kind, self._position, value)
        self._position = found.end()
        return kind is not Kind.RIGHT

    def _token(self, char: int) -> None:
        if char == ord(".") and not self._begins_number():
            self._field()
        elif char in self._readers:
            self._readers[char](self)
        else:
            self._word_or_character()

    def _begins_number(self) -> bool:
        """Whether the dot here does; at the very end it does too, for what is said about it then."""
        following = self._text[self._position + 1 : self._position + 2]
        return not following or following.isdigit()

    def _left_paren(self) -> None:
        self._depth += 1
        self._take(Kind.LEFT_PAREN, self._position + 1)

    def _right_paren(self) -> None:
        self._depth -= 1
        if self._depth < 0:
            raise LexError("unexpected right paren")
        self._take(Kind.RIGHT_PAREN, self._position + 1)

    def _declare(self) -> None:
        if not self._text.startswith(b":=", self._position):
            raise LexError("expected :=")
        self._take(Kind.DECLARE, self._position + 2)

    def _assign(self) -> None:
        self._take(Kind.ASSIGN, self._position + 1)

    def _pipe(self) -> None:
        self._take(Kind.PIPE, self._position + 1)

    def _quoted(self) -> None:
        self._literal(_QUOTED, Kind.STRING, "unterminated quoted string")

    def _raw(self) -> None:
        self._literal(_RAW, Kind.RAW_STRING, "unterminated raw quoted string")

    def _character(self) -> None:
        self._literal(_CHARACTER, Kind.CHAR_CONSTANT, "unterminated character constant")

    def _take(self, kind: Kind, end: int) -> None:
        self._add(kind, self._position, self._text[self._position : end])
        self._position = end

    def _space(self) -> None:
        found = _SPACE_RUN.match(self._text, self._position)
        assert found is not None  # noqa: S101 -- the caller has seen a space
        end = found.end()
        if self._right_trim.match(self._text, end - 1):
            end -= 1  # the last one belongs to the trim marker
        self._take(Kind.SPACE, end)

    def _literal(self, pattern: re.Pattern[bytes], kind: Kind, otherwise: str) -> None:
        found = pattern.match(self._text, self._position)
        if found is None:
            raise LexError(otherwise)
        self._take(kind, found.end())

    def _number(self) -> None:
        found = _NUMBER.match(self._text, self._position)
        assert found is not None  # noqa: S101 -- it matches nothing at all, too
        end = found.end()
        self._refuse_letter_behind(end)
        if self._text[end : end + 1] in (b"+", b"-") and end > self._position:
            more = _NUMBER.match(self._text, end)
            assert more is not None  # noqa: S101 -- as above
            if not more[0].endswith(b"i") or self._word_end(more.end()) > more.end():
                self._refuse_letter_behind(more.end(), always=True)
            self._take(Kind.COMPLEX, more.end())
            return
        self._take(Kind.NUMBER, end)

    def _refuse_letter_behind(self, end: int, *, always: bool = False) -> None:
        """A number must not run into a word."""
        word = self._word_end(end)
        if always or word > end:
            shown = self._text[self._position : end + self._width(end) if word > end else end]
            raise LexError(f"bad number syntax: {quote(shown)}")

    # -- words

    def _word_or_character(self) -> None:
        start = self._position
        end = self._word_end(start)
        if end == start:
            if 0x20 < self._text[start] < 0x7F:
                self._take(Kind.CHAR, start + 1)
                return
            raise LexError(f"unrecognized character in action: {unicode_point(self._char(start))}")
        self._check_end(end)
        word = self._text[start:end]
        self._take(_WORDS.get(word, Kind.IDENTIFIER), end)

    def _field(self) -> None:
        start = self._position + 1
        if self._ends_word(start):
            self._take(Kind.DOT, start)
            return
        end = self._word_end(start)
        self._check_end(end)
        self._take(Kind.FIELD, end)

    def _variable(self) -> None:
        start = self._position + 1
        end = start if self._ends_word(start) else self._word_end(start)
        self._check_end(end)
        self._take(Kind.VARIABLE, end)

    def _check_end(self, end: int) -> None:
        if not self._ends_word(end):
            raise LexError(f"bad character {unicode_point(self._char(end))}")

    def _ends_word(self, at: int) -> bool:
        """Whether a name may end here."""
        text = self._text
        return at >= len(text) or text[at] in b" \t\r\n.,|:)(" or text.startswith(self._right, at)

    def _word_end(self, at: int) -> int:
        """The end of the letters, digits and underscores from here."""
        text = self._text
        while True:
            found = _WORD.match(text, at)
            assert found is not None  # noqa: S101 -- it matches nothing at all, too
            at = found.end()
            if self._is_ascii or at >= len(text) or text[at] < 0x80:
                return at
            char = self._char(at)
            if not (char.isalpha() or char.isdecimal()):
                return at
            at += len(char.encode())

    def _char(self, at: int) -> str:
        """The character here; U+FFFD for a byte that begins none."""
        for width in (1, 2, 3, 4):
            try:
                return self._text[at : at + width].decode()
            except UnicodeDecodeError:
                continue
        return "\ufffd"

    def _width(self, at: int) -> int:
        char = self._char(at)
        valid = self._text.startswith(char.encode(), at)
        return len(char.encode()) if valid else 1

    _readers: ClassVar[dict[int, Callable[[Lexer], None]]] = {
        ord("$"): _variable,
        ord('"'): _quoted,
        ord("`"): _raw,
        ord("'"): _character,
        ord("("): _left_paren,
        ord(")"): _right_paren,
        ord(":"): _declare,
        ord("="): _assign,
        ord("|"): _pipe,
        **dict.fromkeys(_SPACES, _space),
        **dict.fromkeys(b"+-.0123456789", _number),
    }
