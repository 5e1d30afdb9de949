"""Regular expressions as manifests write them: RE2, found and replaced by the rules of Go's package regexp.

Sources: https://github.com/google/re2/wiki/Syntax, https://pkg.go.dev/regexp (ReplaceAllString, Expand).
tests/oracle/re2 compares with Go and lists what differs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from keyferry.errors import RenderError, SpecError

MAX_PATTERN_CHARS: Final = 2048
MAX_WORK: Final = 10_000_000
"""Work that replacing may take: a few seconds and 10 MB at the very worst. Thousands of keys need a tenth."""
_PER_TEXT: Final = 64
_PER_MATCH: Final = 16
_MAX_SHOWN: Final = 80
_MAX_NUMBER_DIGITS: Final = 9
_ONLY_IN_RE2: Final = re.compile(r"\\(?:(?P<only>C)|Q.*?(?:\\E|\Z)|.)", re.DOTALL)
"""Every escape of a pattern. RE2 takes \\C for any byte; Go refuses it, and so do we: it cuts characters."""


class Work:
    """What may still be spent on replacing: units of about a quarter of a microsecond, or of a byte.

    Without it, empty matches in long texts would take a worker for minutes, and a chain of steps that double a
    text would take all memory.
    """

    __slots__ = ("_left",)

    def __init__(self, units: int = MAX_WORK) -> None:
        self._left = units

    def spend(self, units: int) -> None:
        """Note what something takes, before it is done.

        Raises:
            RenderError: it is more than is left.
        """
        self._left -= units
        if self._left < 0:
            raise RenderError(
                "replacing by regular expressions takes too much work",
                hint="Look for replacements that make texts longer, and patterns that match everywhere",
            )


class Pattern:
    """A compiled regular expression.

    Args:
        source: its text.

    Raises:
        SpecError: it is none, or too long.
    """

    __slots__ = ("_compiled", "_groups")

    def __init__(self, source: str) -> None:
        self._compiled, self._groups = _compiled(source)

    def matches(self, text: str) -> bool:
        """Whether it occurs anywhere in the text."""
        return next(self._found(_bytes(text)), None) is not None

    def replace(self, text: str, replacement: str, work: Work | None = None) -> str:
        """The text with every match replaced, as Go's ReplaceAllString does.

        `$1`, `${1}`, `$name` and `${name}` stand for groups, `$$` for a dollar. A group that is not there or
        took no part is empty; a dollar before anything else stands for itself; an empty match right after
        another match is none.

        Args:
            work: shared by calls that belong together; of its own if left out.

        Raises:
            RenderError: it takes too much work.
        """
        work = Work() if work is None else work
        data = _bytes(text)
        work.spend(_PER_TEXT + len(data))
        parts = [part if isinstance(part, bytes) else self._group(part.name) for part in _parts(replacement)]
        result: list[bytes] = []
        taken = 0
        for match in self._found(data):
            start, end = match.span()
            work.spend(_PER_MATCH)
            result.append(data[taken:start])
            if end > taken or start == 0:
                for part in parts:
                    piece = part if isinstance(part, bytes) else match.group(part) or b""
                    work.spend(1 + len(piece))
                    result.append(piece)
            taken = end
        result.append(data[taken:])
        return b"".join(result).decode("utf-8", "surrogatepass")

    def _group(self, name: str) -> int | bytes:
        """The number of a group, or the empty text where there is none."""
        is_number = name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0"))
        if is_number and len(name) <= _MAX_NUMBER_DIGITS:
            return int(name) if int(name) <= self._compiled.groups else b""
        return self._groups.get(name, b"")

    def _found(self, data: bytes) -> Iterator[Any]:
        """All matches, where the next one is looked for at the end of the last, and one character on at least."""
        at = 0
        while at <= len(data) and (match := self._compiled.search(data, at)) is not None:
            start, end = match.span()
            if _is_inside_character(data, start):  # of bytes, \B takes those of one character for two
                at = start + 1
                continue
            yield match
            at = max(end, at + 1)
            while _is_inside_character(data, at):
                at += 1


def _is_inside_character(data: bytes, at: int) -> bool:
    return at < len(data) and data[at] & 0xC0 == 0x80


def _bytes(text: str) -> bytes:
    """The text as RE2 reads it. Half surrogates fit no pattern, and make none."""
    return text.encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=128)
def _compiled(source: str) -> tuple[Any, Mapping[str, int]]:
    """The expression and the numbers of its named groups."""
    if len(source) > MAX_PATTERN_CHARS:
        raise SpecError(f"a regular expression has {len(source)} characters; {MAX_PATTERN_CHARS} are allowed")
    import re2  # only objects with regular expressions pay for it

    options = re2.Options()
    options.log_errors = False  # it would write to standard error, past our log
    try:
        compiled = re2.compile(_bytes(source), options)
    except re2.error as error:
        raise _invalid(source, _reason(error)) from None
    if any(escape["only"] for escape in _ONLY_IN_RE2.finditer(source)):
        raise _invalid(source, r"invalid escape sequence: \C")
    groups = {name.decode(): number for name, number in compiled.groupindex.items()}
    if not all(map(str.isascii, groups)):
        raise _invalid(source, "a group's name may have ASCII letters, digits and _ only")
    return compiled, groups


def _invalid(source: str, why: str) -> SpecError:
    return SpecError(f"{source[:_MAX_SHOWN]!r} is no regular expression (RE2): {why}")


def _reason(error: Exception) -> str:
    """What RE2 says; it does so in bytes."""
    said = error.args[0]
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[:120]


class _Reference:
    """A group, as a replacement names it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


@functools.lru_cache(maxsize=128)
def _parts(replacement: str) -> tuple[bytes | _Reference, ...]:
    """A replacement, taken apart: literal text and references to groups."""
    parts: list[bytes | _Reference] = []
    head, *rest = replacement.split("$")
    parts.append(_bytes(head))
    after_dollar = False
    for text in rest:
        if after_dollar:  # the second dollar of $$: this text is behind it
            parts.append(_bytes(text))
            after_dollar = False
            continue
        name, tail = _reference(text)
        if name:
            parts += [_Reference(name), _bytes(tail)]
        else:
            parts.append(_bytes("$" + text))
            after_dollar = not text
    return tuple(parts)


def _reference(text: str) -> tuple[str, str]:
    """The group's name behind a dollar, and what follows; no name where there is none."""
    start = 1 if text.startswith("{") else 0
    end = next((at for at in range(start, len(text)) if not _is_name(text[at])), len(text))
    name, tail = text[start:end], text[end:]
    if start == 0:
        return name, tail
    return (name, tail[1:]) if tail.startswith("}") else ("", text)


def _is_name(char: str) -> bool:
    """A letter, a decimal digit or an underscore, in all of Unicode."""
    return char.isalpha() or char.isdecimal() or char == "_"
