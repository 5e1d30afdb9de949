"""Sprig's functions on letter case: whole texts, titles, and names of several words.

Rules: https://masterminds.github.io/sprig/strings.html, github.com/Masterminds/goutils (words) and
github.com/huandu/xstrings (snake, camel and kebab case). Bytes that are no UTF-8 become U+FFFD wherever Go takes a
text apart into characters.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text import characters
from keyferry.gotemplate.text.characters import (
    SPACES,
    category,
    decoded,
    escaped,
    is_lower,
    is_space,
    is_upper,
    lower_char,
    title_char,
    unescaped,
    upper_char,
)
from keyferry.gotemplate.values import from_runes

group = FunctionGroup("Letter case")

_TITLE_START: Final = re.compile(rb"(?<![0-9A-Za-z_])[a-z]")
_WORD_START: Final = re.compile(f"(?:\\A|(?<=[\0-/:-@\\[-^`{{-\x7f{SPACES}])).", re.DOTALL)
"""What follows a separator, as strings.Title takes it: no letter, digit or underscore of ASCII, or any space."""
_AFTER_SPACE: Final = re.compile(f"(?:\\A|(?<=[{SPACES}]))[^{SPACES}]")
_BYTE_AFTER_SPACE: Final = re.compile(rb"(?:\A|(?<=[\t\n\v\f\r ]))[A-Z]")
_CHARS_PER_STEP: Final = 8


@group.add("upper", "func(string) string")
def upper(run: Run, text: bytes) -> bytes:
    """The text in upper case: `upper "hello"` is `HELLO`."""
    return text.upper() if text.isascii() else from_runes(characters.upper(run, decoded(run, text)))


@group.add("lower", "func(string) string")
def lower(run: Run, text: bytes) -> bytes:
    """The text in lower case: `lower "HELLO"` is `hello`."""
    return text.lower() if text.isascii() else from_runes(characters.lower(run, decoded(run, text)))


@group.add("title", "func(string) string")
def title(run: Run, text: bytes) -> bytes:
    """The text with the first letter of each word in title case: `title "hello world"` is `Hello World`."""
    run.spend(len(text) // _CHARS_PER_STEP)
    if text.isascii():
        return _TITLE_START.sub(lambda found: found[0].upper(), text)
    return from_runes(_WORD_START.sub(lambda found: title_char(found[0]), decoded(run, text)))


@group.add("untitle", "func(string) string")
def untitle(run: Run, text: bytes) -> bytes:
    """The text with the first letter of each word in lower case: `untitle "Hello World"` is `hello world`."""
    run.spend(len(text) // _CHARS_PER_STEP)
    if text.isascii():
        return _BYTE_AFTER_SPACE.sub(lambda found: found[0].lower(), text)
    return from_runes(_AFTER_SPACE.sub(lambda found: lower_char(found[0]), decoded(run, text)))


@group.add("swapcase", "func(string) string")
def swapcase(run: Run, text: bytes) -> bytes:
    """The text with upper and lower case swapped: `swapcase "Ab cD"` is `aB Cd`. At the start of words, lower case becomes title case."""
    if text.isascii():
        return text.swapcase()
    run.spend(len(text) // _CHARS_PER_STEP)
    after_space = True
    swapped: list[str] = []
    for char in decoded(run, text):
        if is_lower(char):
            swapped.append(title_char(char) if after_space else upper_char(char))
            after_space = False
        elif category(char) in {"Lu", "Lt"}:
            swapped.append(lower_char(char))
            after_space = False
        else:
            swapped.append(char)
            after_space = is_space(char)
    return from_runes("".join(swapped))


@group.add("camelcase", "func(string) string")
def camelcase(run: Run, text: bytes) -> bytes:
    """The words as one, each beginning in upper case: `camelcase "http_server"` is `HttpServer`."""
    run.spend(len(text) // _CHARS_PER_STEP)
    chars = decoded(run, text)
    run.charge(_CHARS_PER_STEP * len(chars))
    start = next((at for at, char in enumerate(chars) if not _is_connector(char)), len(chars))
    if start == len(chars):
        return from_runes(chars + chars[-1:])  # as in Go: the last of mere connectors is there twice
    done = list(chars[:start])
    was_upper = is_upper(chars[start])
    last = upper_char(chars[start])
    for char in chars[start + 1 :]:
        before, last = last, char
        if not _is_connector(before):
            if was_upper and is_upper(last):
                last = lower_char(last)
            else:
                was_upper = False
            done.append(before)
        elif _is_connector(last):
            done.append(before)
        else:
            was_upper = is_upper(last)
            last = upper_char(last)
    done.append(last)
    return from_runes("".join(done))


@group.add("snakecase", "func(string) string")
def snakecase(run: Run, text: bytes) -> bytes:
    """The words in lower case with underscores between them: `snakecase "FirstName"` is `first_name`."""
    return _Words(run, text, "_").joined()


@group.add("kebabcase", "func(string) string")
def kebabcase(run: Run, text: bytes) -> bytes:
    """The words in lower case with hyphens between them: `kebabcase "FirstName"` is `first-name`."""
    return _Words(run, text, "-").joined()


class _Kind(Enum):
    INVALID = 0
    NUMBER = 1
    UPPER = 2
    ALPHABET = 3
    CONNECTOR = 4
    PUNCTUATION = 5
    OTHER = 6


_SEPARATES: Final = frozenset({_Kind.CONNECTOR, _Kind.PUNCTUATION})
_SEPARATES_OR_ENDS: Final = _SEPARATES | {_Kind.INVALID}
_GOES_ON: Final = frozenset({_Kind.ALPHABET, _Kind.NUMBER})


def _is_connector(char: str) -> bool:
    return char in "-_" or is_space(char)


def _is_error(char: str) -> bool:
    return char == "\ufffd" or "\udc80" <= char <= "\udcff"


def _is_alphabet(char: str) -> bool:
    """A letter, and none of the common Chinese, Japanese and Korean ones."""
    if char < "\x80":
        return char.isalpha()
    return category(char)[0] == "L" and not (
        "\u4e00" <= char <= "\u9fcc" or "\u3400" <= char <= "\u4d85" or "\U00020000" <= char <= "\U0002b81d"
    )


def _sign(char: str) -> str:
    """What the character is to `_WORD`: Space, -, Punctuation, Upper, alphabet, Number, Other, or an error."""
    if char in "-_":
        return "-"
    if is_space(char):
        return "S"
    if _is_error(char):
        return "e"
    if (found := category(char))[0] == "P":
        return "P"
    if found == "Lu":
        return "U"
    if _is_alphabet(char):
        return "a"
    return "N" if found[0] == "N" else "O"


_ASCII_SIGNS: Final = bytes(ord(_sign(chr(code))) if code < 0x80 else 0 for code in range(256))
_WORD: Final = re.compile(
    r"(?P<CONNECTOR>[S-]+)"
    r"|(?P<PUNCTUATION>P[P-]*)"  # also with hyphens, which would begin a connector
    r"|(?P<UPPER>U+(?!a)|Ua+)"  # HTTPStatus is HTTP and Status
    r"|(?P<ALPHABET>a+)|(?P<NUMBER>N+)|(?P<OTHER>O+)"
)
"""The words as xstrings sees them."""
_WORD_WITH_ERRORS: Final = re.compile(
    r"(?:(?P<CONNECTOR>(?:e*[S-])+)"
    r"|(?P<PUNCTUATION>e*P(?:e*[P-])*)"
    r"|(?P<UPPER>(?:e*U)+(?!e*a)|e*U(?:e*a)+)"
    r"|(?P<ALPHABET>(?:e*a)+)|(?P<NUMBER>(?:e*N)+)|(?P<OTHER>(?:e*O)+)|(?P<INVALID>(?=e+\Z)))(?:e+\Z)?"
)
"""The same where there is U+FFFD or what is no UTF-8: it belongs to the character behind it, at the end before it."""
_PER_CHAR_WITH_ERRORS: Final = 256
"""What the more complicated expression may take for each character."""


class _Words:
    """The words that xstrings sees in a text, one after the other.

    Args:
        text: what to take apart.
        connector: what to put between words.

    Attributes:
        kind: of the word at hand; INVALID at the end.
        word: the word at hand.
    """

    def __init__(self, run: Run, text: bytes, connector: str) -> None:
        self._run = run
        self._text = escaped(run, text)
        run.charge(_CHARS_PER_STEP * len(self._text))
        if text.isascii():
            run.spend(len(text) // 64)
            signs = text.translate(_ASCII_SIGNS).decode()
        else:
            run.spend(len(text))
            signs = "".join(map(_sign, self._text))
        if "e" in signs:
            run.charge(_PER_CHAR_WITH_ERRORS * len(signs))
            self._words = _WORD_WITH_ERRORS.finditer(signs)
        else:
            self._words = _WORD.finditer(signs)
        self._connector = connector
        self._at = 0
        self._done: list[str] = []
        self.kind = _Kind.INVALID
        self.word = ""

    def joined(self) -> bytes:
        """All words in lower case, with the connector between them."""
        if not self._text:
            return b""
        self._next()
        while self._at < len(self._text):
            self._step()
        self._write(self.kind, self.word)
        return unescaped("".join(self._done))

    def _step(self) -> None:
        """Write the word at hand and what belongs between it and the next."""
        kind, word = self.kind, self.word
        if kind is not _Kind.CONNECTOR:
            self._write(kind, word)
        self._next()
        if kind is _Kind.NUMBER:
            self._go_on()
        elif kind is _Kind.CONNECTOR:
            self._write(kind, word)
        elif kind is not _Kind.PUNCTUATION:
            if self.kind is _Kind.NUMBER:
                self._number()
            elif self.kind not in _SEPARATES:
                self._done.append(self._connector)

    def _number(self) -> None:
        """Write the number at hand, as a part of the word before it or of the one behind it."""
        if self._at == len(self._text):
            return
        number = self.word
        self._next()
        if self.kind is _Kind.ALPHABET:
            self._done.append(self._connector)
            self._write(_Kind.NUMBER, number)
            self._go_on()
        else:
            self._write(_Kind.NUMBER, number)
            if self.kind not in _SEPARATES:
                self._done.append(self._connector)

    def _go_on(self) -> None:
        """Write what belongs to the number before it, then the connector."""
        while self.kind in _GOES_ON:
            self._write(self.kind, self.word)
            self._next()
        if self.kind not in _SEPARATES_OR_ENDS:
            self._done.append(self._connector)

    def _write(self, kind: _Kind, word: str) -> None:
        if kind is _Kind.UPPER:
            lower_word = word.lower() if word.isascii() else "".join(map(_lower_if_upper, word))
            self._done.append(lower_word)
        elif kind is _Kind.CONNECTOR:
            self._done += ["\ufffd" if _is_error(char) else self._connector for char in word]
        else:
            self._done.append(word)

    def _next(self) -> None:
        """Go to the next word."""
        self._run.spend(4)
        found = next(self._words, None)
        if found is None:
            self.kind, self.word = _Kind.INVALID, ""
            return
        self.kind = _Kind[found.lastgroup or ""]
        self.word = self._text[found.start() : found.end()]
        self._at = found.end()


def _lower_if_upper(char: str) -> str:
    if _is_error(char):
        return "\ufffd"
    return lower_char(char) if is_upper(char) else char
