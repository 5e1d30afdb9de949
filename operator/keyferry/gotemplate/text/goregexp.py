"""Go's package regexp on RE2: finding, splitting and replacing.

Rules: https://pkg.go.dev/regexp and https://github.com/google/re2/wiki/Syntax. RE2 reads bytes, Go characters: a
byte that is no UTF-8 is U+FFFD to Go and nothing to RE2, and RE2 may find an empty match inside of a character. Both
are evened out here. Texts about patterns do not quote them, as a pattern may be a secret value.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.text.characters import category
from keyferry.gotemplate.values import NilStrings, Strings

_MAX_PATTERN: Final = 4096
_MAX_MEMORY: Final = 2 << 20
"""What RE2 may take for one expression; it keeps it as long as the expression is in the cache."""
_CACHED: Final = 16
_MAX_WORK: Final = 1 << 24
"""Bytes times instructions of one search: a fraction of a second, if RE2 has to go its slowest way."""
_SMALL_WORK: Final = 1 << 12
_WORK_PER_STEP: Final = 1 << 7
_READ_PER_STEP: Final = 256
_SEARCHING: Final = 3
_COMPILING: Final = 20
_PER_INSTRUCTION: Final = 2
_ONLY_IN_RE2: Final = re.compile(rb"\\(?:(?P<only>C)|Q.*?(?:\\E|\Z)|.)", re.DOTALL)
"""Every escape of a pattern. RE2 takes \\C for any byte; Go refuses it, and so do we: it cuts characters."""
_CLASS: Final = re.compile(
    rb"\\(?:Q.*?(?:\\E|\Z)|(?P<letter>[pP])(?:\{(?P<caret>\^?)(?P<name>[A-Za-z_\- ]+)\}|(?P<short>[A-Za-z]))|.)",
    re.DOTALL,
)
_GROUP: Final = re.compile(
    rb"\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]|\((?:\?P?<(?P<name>[^>]*)>|(?!\?))",
    re.DOTALL,
)
_ALIASES: Final = {
    b"Closepunctuation": b"Pe",
    b"Cntrl": b"Cc",
    b"Combiningmark": b"M",
    b"Connectorpunctuation": b"Pc",
    b"Control": b"Cc",
    b"Currencysymbol": b"Sc",
    b"Dashpunctuation": b"Pd",
    b"Decimalnumber": b"Nd",
    b"Digit": b"Nd",
    b"Enclosingmark": b"Me",
    b"Finalpunctuation": b"Pf",
    b"Format": b"Cf",
    b"Initialpunctuation": b"Pi",
    b"Letter": b"L",
    b"Letternumber": b"Nl",
    b"Lineseparator": b"Zl",
    b"Lowercaseletter": b"Ll",
    b"Mark": b"M",
    b"Mathsymbol": b"Sm",
    b"Modifierletter": b"Lm",
    b"Modifiersymbol": b"Sk",
    b"Nonspacingmark": b"Mn",
    b"Number": b"N",
    b"Openpunctuation": b"Ps",
    b"Otherletter": b"Lo",
    b"Othernumber": b"No",
    b"Otherpunctuation": b"Po",
    b"Othersymbol": b"So",
    b"Paragraphseparator": b"Zp",
    b"Privateuse": b"Co",
    b"Punct": b"P",
    b"Punctuation": b"P",
    b"Separator": b"Z",
    b"Spaceseparator": b"Zs",
    b"Spacingmark": b"Mc",
    b"Surrogate": b"Cs",
    b"Symbol": b"S",
    b"Titlecaseletter": b"Lt",
    b"Uppercaseletter": b"Lu",
}
"""Go's long names of categories without spaces, and RE2's names."""
_UNKNOWN_TO_RE2: Final = frozenset({b"Lc", b"Casedletter", b"Cn", b"Unassigned", b"Assigned", b"Ascii"})
META: Final = rb"\.+*?()|[]{}^$"
META_BYTE: Final = re.compile(rb"[%b]" % re.escape(META))
_INVALID: Final = re.compile("[\udc80-\udcff]")
_ASCII_NAME: Final = re.compile(rb"[0-9A-Za-z_]+")
_REPLACEMENT: Final = "\ufffd".encode()
_MOST_DIGITS: Final = 9
_GO_REASONS: Final = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "unexpected )": "unexpected )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class range": "invalid character class range",
    "invalid character class": "invalid character class",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
}


class BadPattern(FunctionError):
    """Go would not compile it."""


class Pattern:
    """A compiled regular expression.

    Args:
        source: its text.

    Attributes:
        source: its text.
        groups: the number of its groups.
        names: the numbers of those that have names; several groups may have the same one.
        size: its instructions.
    """

    __slots__ = ("_compiled", "groups", "names", "size", "source")

    def __init__(self, source: bytes) -> None:
        import re2  # only templates with regular expressions pay for it

        if len(source) > _MAX_PATTERN:
            raise FunctionError(f"a regular expression has more than {_MAX_PATTERN} bytes")
        options = re2.Options()
        options.log_errors = False  # it would write to standard error, past the log
        options.max_mem = _MAX_MEMORY
        try:
            self._compiled = re2.compile(_CLASS.sub(_canonical, source), options)
        except re2.error as error:
            raise _refused(error) from None
        finally:
            re2.purge()  # its own cache would keep 128 of them
        if any(escape["only"] for escape in _ONLY_IN_RE2.finditer(source)):
            raise BadPattern("error parsing regexp: invalid escape sequence")
        self.source = source
        self.groups: int = self._compiled.groups
        self.names = _names(source, self._compiled.groupindex)
        self.size: int = self._compiled.programsize

    def search(self, run: Run, data: bytes, at: int) -> Any:
        """The first match at or after that place, which is where a character begins; None if there is none."""
        while at <= len(data):
            match = self._search_bytes(run, data, at)
            if match is None:
                return None
            start: int = match.start()
            if not _is_inside_character(data, start):  # of bytes, \B takes those of one character for two
                return match
            at = start + 1
        return None

    def _search_bytes(self, run: Run, data: bytes, at: int) -> Any:
        """The same in bytes.

        RE2 does not tell how far it has looked, and that may be to the end of the text with each of many
        matches. So searches that may take long are charged by the clock.
        """
        work = (len(data) - at) * self.size
        if work <= _SMALL_WORK:
            run.spend(_SEARCHING + work // (2 * _WORK_PER_STEP))
            return self._compiled.search(data, at)
        if work > _MAX_WORK:
            raise Exhausted("a regular expression and the text that it searches are too large together")
        run.spend(_SEARCHING)
        began = run.monotonic()
        match = self._compiled.search(data, at)
        run.spend(min(int((run.monotonic() - began) * 1e6), work // _WORK_PER_STEP))
        return match


def _canonical(found: re.Match[bytes]) -> bytes:
    """A class by its Unicode name, as RE2 knows it: Go takes longer names too, and in any spelling."""
    letter, caret, name = found["letter"], found["caret"] or b"", found["name"] or found["short"]
    if letter is None:
        return found[0]
    plain = name.translate(None, b"_- ")
    plain = plain[:1].upper() + plain[1:].lower()
    if plain in _UNKNOWN_TO_RE2:
        raise FunctionError(
            "a regular expression has a class that RE2 does not know: LC, Cn, Assigned or ASCII"
        )
    return b"\\%b{%b%b}" % (letter, caret, _ALIASES.get(plain, plain))


def _names(source: bytes, index: Mapping[bytes, int]) -> dict[bytes, tuple[int, ...]]:
    """The numbers of the groups with names. RE2 tells one for each name."""
    if not all(map(bytes.isascii, index)):
        raise BadPattern("error parsing regexp: invalid named capture")
    if not index:
        return {}
    groups = [found["name"] for found in _GROUP.finditer(source) if found[0].startswith(b"(")]
    return {
        name: tuple(at for at, its in enumerate(groups, 1) if its == name) or (one,)
        for name, one in index.items()
    }


def _is_inside_character(data: bytes, at: int) -> bool:
    return at < len(data) and data[at] & 0xC0 == 0x80


def _refused(error: Exception) -> FunctionError:
    """Go's text for what RE2 says of a pattern, without the piece of it."""
    said = error.args[0]
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if text.startswith("pattern too large"):
        return FunctionError("a regular expression is too large")
    reason = next((ours for theirs, ours in _GO_REASONS.items() if text.startswith(theirs)), "invalid syntax")
    return BadPattern(f"error parsing regexp: {reason}")


_cached: Final = functools.lru_cache(maxsize=_CACHED)(Pattern)


def compile_pattern(run: Run, source: bytes, *, must: bool) -> Pattern:
    """The expression.

    Args:
        source: its text.
        must: whether the function returns the error of a bad one, or panics, as Go calls it.
    """
    run.spend(_COMPILING)
    before = _cached.cache_info().misses
    try:
        pattern = _cached(source)
    except BadPattern as error:
        run.spend(_COMPILING)
        raise error if must else FunctionError(f"regexp: Compile: {error}") from None
    if _cached.cache_info().misses != before:
        run.spend(_COMPILING + pattern.size // _PER_INSTRUCTION)
    return pattern


class Subject:
    """A text as Go's regexp reads it.

    Args:
        text: any bytes.

    Attributes:
        data: the text with U+FFFD for each byte that is no UTF-8.
    """

    __slots__ = ("_invalid", "_text", "data")

    def __init__(self, run: Run, text: bytes) -> None:
        run.spend(len(text) // _READ_PER_STEP)
        self._text = self.data = text
        self._invalid: list[int] = []
        if text.isascii():
            return
        run.charge(4 * len(text))
        decoded = text.decode("utf-8", "surrogateescape")
        if _INVALID.search(decoded) is None:
            return
        count = len(text) - len(decoded.encode("utf-8", "ignore"))
        run.charge_elements(4 * count)
        run.charge(len(text) + len(_REPLACEMENT) * count)
        encoded = [part.encode() for part in _INVALID.split(decoded)]
        self.data = _REPLACEMENT.join(encoded)
        at = 0
        for part in encoded[:-1]:
            at += len(part) + len(_REPLACEMENT)
            self._invalid.append(at)

    def cut(self, start: int, end: int) -> bytes:
        """The text's bytes between two places of the data."""
        if self._invalid:
            start, end = self._place(start), self._place(end)
        return self._text[start:end]

    def _place(self, at: int) -> int:
        return at - (len(_REPLACEMENT) - 1) * bisect_right(self._invalid, at)

    def width(self, at: int) -> int:
        """The length of the character there; 0 at the end."""
        end = at + 1
        while _is_inside_character(self.data, end):
            end += 1
        return min(end, len(self.data)) - at


def _found(run: Run, pattern: Pattern, subject: Subject, count: int) -> Iterator[tuple[int, int]]:
    """The places of all matches as FindAll finds them, at most so many, if that is not negative."""
    data = subject.data
    at, before = 0, -1
    while count and at <= len(data):
        match = pattern.search(run, data, at)
        if match is None:
            return
        start, end = match.span()
        is_empty_here = end == at
        if not is_empty_here or start != before:
            count -= 1
            yield start, end
        at = at + (subject.width(at) or 1) if is_empty_here else end
        before = end


def find_all(run: Run, pattern: Pattern, text: bytes, count: int) -> Strings:
    """All matches, at most so many if that is not negative."""
    subject = Subject(run, text)
    found = Strings()
    for start, end in _found(run, pattern, subject, count):
        run.charge(end - start + 48)
        found.append(subject.cut(start, end))
    return found or NilStrings()


def split(run: Run, pattern: Pattern, text: bytes, count: int) -> Strings:
    """What is between the matches, in so many parts at most if that is not negative."""
    if count == 0:
        return NilStrings()
    if pattern.source and not text:
        return Strings([b""])
    subject = Subject(run, text)
    parts = Strings()
    begin = end = 0
    for start, stop in _found(run, pattern, subject, count):
        if 0 < count <= len(parts) + 1:
            break
        end = start
        if stop:
            run.charge(end - begin + 48)
            parts.append(subject.cut(begin, end))
        begin = stop
    if end != len(subject.data):
        parts.append(subject.cut(begin, len(subject.data)))
    return parts


def replace(run: Run, pattern: Pattern, text: bytes, parts: list[bytes | tuple[int, ...]]) -> bytes:
    """The text with those parts, of which tuples are groups, in place of each match."""
    subject = Subject(run, text)
    data = subject.data
    done: list[bytes] = []
    at = taken = total = 0
    while at <= len(data):
        match = pattern.search(run, data, at)
        if match is None:
            break
        start, end = match.span()
        pieces = [subject.cut(taken, start)]
        if end > taken or start == 0:
            pieces += [part if isinstance(part, bytes) else _group(subject, match, part) for part in parts]
        size = sum(map(len, pieces))
        total += size
        run.spend(1 + len(pieces) // 4)
        run.charge(total if total > run.limits.value_bytes else size + 48)
        done += pieces
        taken = end
        at = max(at + (subject.width(at) or 1), end)
    done.append(subject.cut(taken, len(data)))
    return b"".join(done)


def _group(subject: Subject, match: Any, numbers: tuple[int, ...]) -> bytes:
    """The text of the first of the groups that took part."""
    return next((subject.cut(*match.span(number)) for number in numbers if match.start(number) >= 0), b"")


def template_parts(run: Run, pattern: Pattern, template: bytes) -> list[bytes | tuple[int, ...]]:
    """A replacement, taken apart as Regexp.Expand does: texts, and groups."""
    dollars = template.count(b"$")
    run.charge_elements(4 * dollars)
    run.spend(2 * dollars + len(template) // _READ_PER_STEP)
    parts: list[bytes | tuple[int, ...]] = []
    at = 0
    while (dollar := template.find(b"$", at)) >= 0:
        parts.append(template[at:dollar])
        at = dollar + 1
        if template.startswith(b"$", at):
            parts.append(b"$")
            at += 1
            continue
        name, end = _name(template, at)
        if not name:
            parts.append(b"$")
            continue
        parts.append(_numbers(pattern, name))
        at = end
    parts.append(template[at:])
    return [part for part in parts if part]


def _name(template: bytes, at: int) -> tuple[bytes, int]:
    """The group's name behind a dollar, and where it ends; no name where there is none."""
    has_brace = template.startswith(b"{", at)
    start = end = at + has_brace
    while end < len(template):
        if ascii_part := _ASCII_NAME.match(template, end):
            end = ascii_part.end()
        elif template[end] >= 0x80:
            char = template[end : end + 4].decode("utf-8", "surrogateescape")[0]
            if category(char)[0] != "L" and category(char) != "Nd":
                break
            end += len(char.encode())
        else:
            break
    if not has_brace:
        return template[start:end], end
    return (template[start:end], end + 1) if template.startswith(b"}", end) else (b"", at)


def _numbers(pattern: Pattern, name: bytes) -> tuple[int, ...]:
    """The numbers of the groups of that name; none if there is no such group."""
    if name.isdigit() and len(name) <= _MOST_DIGITS and (name == b"0" or not name.startswith(b"0")):
        number = int(name)
        return (number,) if number <= pattern.groups else ()
    return pattern.names.get(name, ())
