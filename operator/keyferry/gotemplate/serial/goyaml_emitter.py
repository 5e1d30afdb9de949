"""Values as sigs.k8s.io/yaml writes them: JSON, read as YAML, and written by go.yaml.in/yaml/v2.

Rules: that package's encode.go, sorter.go and emitterc.go: keys in natural order, lines folded at spaces beyond
column 80, literal blocks for texts with line ends, quotes where YAML 1.1 would see no text.
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from itertools import zip_longest
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.serial.gojson import JSONError, Nesting, checked_float, plain, quoted
from keyferry.gotemplate.serial.gonumbers import MAX_UINT64, general_float
from keyferry.gotemplate.serial.goyaml_scalars import STR, resolve
from keyferry.gotemplate.values import MIN_INT64, Value, runes, wrap_int64

_WIDTH: Final = 80
_WRITTEN_PER_STEP: Final = 64
_LONGEST_SIMPLE_KEY: Final = 128
_LONGEST_JSON_KEY: Final = 1024
_WIDEST: Final = 4
_BROKEN_KEY: Final = "yaml: did not find expected ',' or '}'"
_UNREADABLE: Final = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")
_BROKEN_DOCUMENT: Final = re.compile("\x85(?:---|\\.\\.\\.)[ \x85]")
_NEXT_LINES: Final = re.compile(" *\x85[ \x85]*")
_SPECIAL: Final = re.compile("[^\n -~\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_BREAK: Final = re.compile("[\n\u2028\u2029]")
_BREAK_IN_KEY: Final = re.compile("[\n\r\u2028\u2029]")
_BREAK_SPACE: Final = re.compile("[\n\u2028\u2029] ")
_SPACE_BREAK: Final = re.compile(" [\n\u2028\u2029]")
_NO_PLAIN_START: Final = re.compile(r"---|\.\.\.|[#,\[\]{}&*!|>'\"%@`]|[?:-](?: |\Z)|[ \n\u2028\u2029]")
_NO_PLAIN_PART: Final = re.compile(r":(?: |\Z)| (?:#|\Z)|[\n\u2028\u2029]")
_OBVIOUSLY_PLAIN: Final = re.compile(r"[A-Za-z/_][A-Za-z0-9/._=+@-]*")
_BASE_60: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_UNICODE_BREAK: Final = re.compile("[\u2028\u2029]")
_SINGLE_SPACE: Final = re.compile("(?<! ) (?! )")
_FIRST_SPACE: Final = re.compile("(?<! ) ")
_SPACES: Final = re.compile(" *")
_ESCAPED_RUN: Final = re.compile("[^ !#-\\[\\]-~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]+")
_ESCAPES: Final = {
    "\0": "0", "\x07": "a", "\x08": "b", "\t": "t", "\n": "n", "\x0b": "v", "\x0c": "f", "\r": "r", "\x1b": "e",
    '"': '"', "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip
_BYTE_ORDER_MARK: Final = "\ufeff"


def text_in_json(text: bytes) -> str:
    """The text after it has been through JSON and YAML's reader.

    Raises:
        JSONError: YAML does not read such characters.
    """
    chars = runes(text)
    if chars.isascii():
        if "\x7f" in chars:
            raise JSONError("yaml: control characters are not allowed")
        return chars
    if _UNREADABLE.search(chars):
        raise JSONError("yaml: control characters are not allowed")
    if "\x85" in chars:
        if _BROKEN_DOCUMENT.search(chars):
            raise JSONError("yaml: found unexpected document indicator")
        chars = _NEXT_LINES.sub(lambda lines: "\n" * (lines[0].count("\x85") - 1) or " ", chars)
    return chars


def _key_in_json(run: Run, key: bytes) -> str:
    if len(key) > _WIDEST * _LONGEST_JSON_KEY:
        raise JSONError(_BROKEN_KEY)
    chars = runes(key)
    too_long = len(key) > _LONGEST_JSON_KEY // 6 and len(quoted(run, key)) > _LONGEST_JSON_KEY
    if too_long or "\x85" in chars:
        raise JSONError(_BROKEN_KEY)
    return text_in_json(key)


def float_in_json(number: float) -> str:
    """The number's text: as JSON has it where that is an integer of 64 bits, else as YAML has it."""
    text = checked_float(number)
    if "." not in text and "e" not in text and MIN_INT64 <= (whole := int(text)) <= MAX_UINT64:
        return str(whole)
    return general_float(number)


class Emitter:
    """Writes one document.

    Args:
        run: is charged for it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._nesting = Nesting(run)
        self._out: list[str] = []
        self._column = 0
        self._indent = -1
        # Whether a space, or only indentation, is what was written last.
        self._whitespace = True
        self._indention = True

    def document(self, value: Value) -> bytes:
        """The whole document, with its line's end.

        Raises:
            JSONError: JSON or YAML cannot hold the value.
            FunctionError: it nests too deeply.
        """
        self._node(value, in_mapping=False)
        self._write_indent()
        return "".join(self._out).encode()

    # -- nodes

    def _node(self, value: Value, *, in_mapping: bool) -> None:
        value = value if type(value) is bytes else plain(value)
        if isinstance(value, bytes):
            self._run.charge(len(value))
            self._run.spend(len(value) // _WRITTEN_PER_STEP)
            self._text(text_in_json(value), simple_key=False)
        elif isinstance(value, list):
            self._sequence(value, in_mapping=in_mapping)
        elif isinstance(value, dict):
            self._mapping(value)
        elif value is None:
            self._word("null")
        elif isinstance(value, bool):
            self._word("true" if value else "false")
        else:
            self._word(float_in_json(value) if isinstance(value, float) else str(value))

    def _sequence(self, values: list[Value], *, in_mapping: bool) -> None:
        self._nesting.enter(values)
        if not values:
            self._indicator("[", needs_space=True)
            self._indicator("]")
        else:
            outer = self._indent
            if not in_mapping or self._indention:
                self._indent = 0 if outer < 0 else outer + 2
            for one in values:
                self._write_indent()
                self._indicator("-", needs_space=True, indents=True)
                self._node(one, in_mapping=False)
            self._indent = outer
        self._nesting.leave(values)

    def _mapping(self, values: dict[bytes, Value]) -> None:
        self._nesting.enter(values)
        if not values:
            self._indicator("{", needs_space=True)
            self._indicator("}")
        else:
            outer = self._indent
            self._indent = 0 if outer < 0 else outer + 2
            # Of keys that JSON makes the same, the later one counts.
            by_text = {_key_in_json(self._run, key): values[key] for key in self._run.sorted_keys(values)}
            for key in _naturally_sorted(self._run, by_text):
                self._entry(key, by_text[key])
            self._indent = outer
        self._nesting.leave(values)

    def _entry(self, key: str, value: Value) -> None:
        self._run.charge(len(key) + max(self._indent, 0))
        self._write_indent()
        if len(key.encode()) <= _LONGEST_SIMPLE_KEY and not _BREAK_IN_KEY.search(key):
            self._text(key, simple_key=True)
            self._indicator(":")
        else:
            self._indicator("?", needs_space=True, indents=True)
            self._text(key, simple_key=False)
            self._write_indent()
            self._indicator(":", needs_space=True, indents=True)
        self._node(value, in_mapping=True)

    # -- scalars

    def _text(self, text: str, *, simple_key: bool) -> None:
        if _OBVIOUSLY_PLAIN.fullmatch(text) and resolve(text)[0] == STR:
            self._word(text)
            return
        outer = self._indent
        self._indent = 2 if outer < 0 else outer + 2
        special = _SPECIAL.search(text) or _SPACE_BREAK.search(text)
        if "\n" in text and not special and not text.endswith(" "):
            self._literal(text)
        elif special or "\n" in text or not _can_be_plain(text):
            self._double_quoted(text, folds=not simple_key)
        elif not _NO_PLAIN_START.match(text) and not _NO_PLAIN_PART.search(text):
            self._folded(text, folds=not simple_key, quote="")
        elif _BREAK_SPACE.search(text):
            self._double_quoted(text, folds=not simple_key)
        else:
            self._folded(text, folds=not simple_key, quote="'")
        self._indent = outer

    def _literal(self, text: str) -> None:
        lines = _BREAK.split(text)
        self._run.charge(len(text) + len(lines) * self._indent)
        self._run.spend(len(lines))
        self._indicator("|", needs_space=True)
        if text[0] in " \n\u2028\u2029":
            self._put("2")
        breaks_at_end = len(text) - len(text.rstrip("\n\u2028\u2029"))
        if not breaks_at_end:
            self._put("-")
        elif breaks_at_end > 1 or len(text) == 1:
            self._put("+")
        margin = " " * self._indent
        self._out.append("\n")
        at = 0
        for line in lines:
            at += len(line)
            end = text[at : at + 1]
            self._out.append(f"{margin}{line}{end}" if line else end)
            at += 1
        self._column = 0 if breaks_at_end else self._indent + len(lines[-1])
        self._whitespace, self._indention = True, bool(breaks_at_end)

    def _folded(self, text: str, *, folds: bool, quote: str) -> None:
        """Without quotes or between single ones."""
        self._space()
        self._put(quote)
        at = 0
        for found in _UNICODE_BREAK.finditer(text):
            self._line(text, at, found.start(), folds=folds, quote=quote)
            self._out.append(found[0])
            self._column = 0
            self._indention = True
            at = found.end()
        self._line(text, at, len(text), folds=folds, quote=quote)
        self._put(quote)
        self._whitespace = self._indention = False

    def _line(self, text: str, at: int, end: int, *, folds: bool, quote: str) -> None:
        """A part of the text, folded at single spaces, which the next line takes the place of."""
        self._run.spend(1)
        if at and at < end and text[at] != " ":
            # A line that begins with a space is not indented.
            self._write_indent()
        if at < end:
            self._indention = False
        while at < end:
            stop = self._next_fold(text, at, end, quote=quote) if folds else end
            if stop == len(text) - 1:
                stop = end
            chunk = text[at:stop]
            self._put(chunk.replace("'", "''") if quote else chunk)
            at = stop + 1
            if stop < end:
                self._run.charge(self._indent)
                self._run.spend(1)
                self._write_indent()
                self._indention = False

    def _next_fold(self, text: str, at: int, end: int, *, quote: str) -> int:
        """The next single space beyond the width, else the end."""
        column = self._column
        while at < end:
            skipped = max(_WIDTH + 1 - column, 0)
            if quote and column <= _WIDTH:
                # Quotes count twice.
                skipped = (skipped + 1) // 2
            # The first character is never folded at.
            following = max(at + skipped, 1)
            if following >= end:
                return end
            column += following - at + (text.count("'", at, following) if quote else 0)
            at = following
            if column > _WIDTH:
                found = _SINGLE_SPACE.search(text, at, end)
                return found.start() if found else end
        return end

    def _double_quoted(self, text: str, *, folds: bool) -> None:
        self._space()
        self._put('"')
        if text.startswith(_BYTE_ORDER_MARK):
            # Go's encoder looks for the mark at the beginning, whichever character it is at.
            self._escapes(text)
        else:
            at = 0
            for found in _ESCAPED_RUN.finditer(text):
                self._words(text, at, found.start(), folds=folds)
                self._escapes(found[0])
                at = found.end()
            self._words(text, at, len(text), folds=folds)
        self._put('"')
        self._whitespace = self._indention = False

    def _escapes(self, chars: str) -> None:
        self._run.charge(10 * len(chars))
        self._run.spend(1 + len(chars) // 4)
        self._put("".join(map(_escaped, chars)))

    def _words(self, text: str, at: int, end: int, *, folds: bool) -> None:
        """A part of the text without escapes, folded at the first of any spaces."""
        while at < end:
            stop = end
            if folds:
                # The first and the last character are never folded at.
                found = _FIRST_SPACE.search(text, max(at + _WIDTH + 1 - self._column, at, 1), end)
                stop = found.start() if found and found.end() < len(text) else end
            self._put(text[at:stop])
            at = stop + 1
            if stop < end:
                self._run.charge(self._indent)
                self._run.spend(1)
                self._write_indent()
                if text[at] == " ":
                    self._put("\\ ")
                    # The other spaces after it stay.
                    rest = _SPACES.match(text, at + 1)
                    self._put(rest[0] if rest else "")
                    at = rest.end() if rest else at + 1

    def _word(self, word: str) -> None:
        self._space()
        self._put(word)
        self._whitespace = self._indention = False

    # -- characters

    def _put(self, text: str) -> None:
        self._out.append(text)
        self._column += len(text)

    def _space(self) -> None:
        if not self._whitespace:
            self._put(" ")

    def _indicator(self, sign: str, *, needs_space: bool = False, indents: bool = False) -> None:
        if needs_space:
            self._space()
        self._put(sign)
        self._whitespace = sign in "[{"
        self._indention = self._indention and indents

    def _write_indent(self) -> None:
        indent = max(self._indent, 0)
        column = self._column
        if not self._indention or column > indent or (column == indent and not self._whitespace):
            self._out.append("\n")
            column = 0
        self._out.append(" " * (indent - column))
        self._column = max(indent, column)
        self._whitespace = self._indention = True


def _can_be_plain(text: str) -> bool:
    return resolve(text)[0] == STR and not _BASE_60.fullmatch(text)


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return "\\" + _ESCAPES[char]
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


# -- the order of keys

_COMPARED_PER_STEP: Final = 8
_HAS_DIGIT: Final = re.compile(r"[0-9]")
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_OTHERS: Final = bytes(code for code in range(128) if code not in _LETTERS)
_LETTERS_LAST: Final = bytes.maketrans(_OTHERS + _LETTERS, bytes(range(128)))


def _naturally_sorted(run: Run, keys: dict[str, Value]) -> list[str]:
    """As the encoder does: letters after other characters, runs of digits as numbers."""
    every = list(keys)
    if len(every) < 2:
        return every
    if all(key.isascii() and not _HAS_DIGIT.search(key) for key in every):
        return sorted(every, key=lambda key: key.encode().translate(_LETTERS_LAST))

    def compare(first: str, second: str) -> int:
        run.spend(1 + min(len(first), len(second)) // _COMPARED_PER_STEP)
        return -1 if _comes_before(first, second) else 1 if _comes_before(second, first) else 0

    return sorted(every, key=cmp_to_key(compare))


def _comes_before(first: str, second: str) -> bool:
    at = next(
        (index for index, (one, other) in enumerate(zip_longest(first, second)) if one != other), len(first)
    )
    if at >= len(first) or at >= len(second):
        return len(first) < len(second)
    one, other = first[at], second[at]
    if one.isalpha() or other.isalpha():
        return one < other if one.isalpha() and other.isalpha() else other.isalpha()
    number = 1 if "0" in (one, other) and _after_number(first, at) else 0
    (value, end), (other_value, other_end) = (
        _run_of_digits(first, at, number),
        _run_of_digits(second, at, number),
    )
    if value != other_value:
        return value < other_value
    return end < other_end if end != other_end else one < other


def _after_number(text: str, at: int) -> bool:
    """Whether digits that are not all 0 stand before."""
    while at > 0 and text[at - 1].isdecimal():
        at -= 1
        if text[at] != "0":
            return True
    return False


def _run_of_digits(text: str, at: int, number: int) -> tuple[int, int]:
    """The number that begins there, in 64 bits, and where it ends."""
    while at < len(text) and text[at].isdecimal():
        number = wrap_int64(number * 10 + ord(text[at]) - ord("0"))
        at += 1
    return number, at
