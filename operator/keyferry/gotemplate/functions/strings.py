"""Sprig's functions on texts: cutting, trimming, searching, replacing, splitting, joining, wrapping, quoting.

Rules: https://masterminds.github.io/sprig/strings.html, Go's package strings, and github.com/Masterminds/goutils.
All count bytes, as Go does, and may cut a character in two.
"""

from __future__ import annotations

import re
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.strval import strslice, strval
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.text.characters import ALL_SPACES, ERRORS, escaped, unescaped
from keyferry.gotemplate.text.fmt import quote as fmt_quote
from keyferry.gotemplate.text.fmt import sprintf
from keyferry.gotemplate.values import MAX_INT64, ByteSlice, StringMap, Strings, Value, wrap_int64

group = FunctionGroup("Strings")

_ELLIPSIS: Final = b"..."
_MIN_ABBREVIATION: Final = 4
_MIN_INNER_ABBREVIATION: Final = 7
_LATIN_SPACES: Final = bytes([*b"\t\n\v\f\r ", 0x85, 0xA0])
_WORD: Final = re.compile(rb"([^%b])[^%b]*+" % (_LATIN_SPACES, _LATIN_SPACES))
_NOT_SPACE: Final = re.compile(rb"[^ ]")
_ERROR: Final = re.compile(f"[{ERRORS}]")
_SHORT_CUTSET: Final = 16
_READ_PER_STEP: Final = 256
_COMPARED_PER_STEP: Final = 4096
_CHUNK: Final = 1 << 14
_LONG_SEARCH: Final = 30_000
_LONG_NEEDLE: Final = 100
_STRIDES_PER_STEP: Final = 1500


def _out_of_range() -> FunctionError:
    return FunctionError("runtime error: slice bounds out of range")


def _spend_search(run: Run, text: bytes, part: bytes) -> None:
    """The work of looking for a part; for short texts Python does so in quadratic time at worst."""
    work = len(text) // _READ_PER_STEP
    if len(text) <= _LONG_SEARCH:
        work += len(text) * min(len(part), _LONG_NEEDLE) // (_STRIDES_PER_STEP * 16)
    run.spend(work)


@group.add("hello", "func() string")
def hello(run: Run) -> bytes:  # noqa: ARG001 -- every function gets the run
    """`Hello!`, to see that templates work."""
    return b"Hello!"


@group.add("abbrev", "func(int, string) string")
def abbrev(run: Run, width: int, text: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The text, cut to that width with `...` at its end: `abbrev 5 "hello world"` is `he...`."""
    return text if width < _MIN_ABBREVIATION else _abbreviated(text, 0, width)


@group.add("abbrevboth", "func(int, int, string) string")
def abbrevboth(run: Run, left: int, right: int, text: bytes) -> bytes:  # noqa: ARG001 -- as above
    """The text, cut on both sides: `abbrevboth 5 10 "1234 5678 9123"` is `...5678...`."""
    if right < _MIN_ABBREVIATION or (left > 0 and right < _MIN_INNER_ABBREVIATION):
        return text
    return _abbreviated(text, left, right)


def _abbreviated(text: bytes, offset: int, width: int) -> bytes:
    """The text from about the offset, not wider than that."""
    size = len(text)
    if size <= width:
        return text
    kept = width - len(_ELLIPSIS)
    offset = min(offset, size)
    if wrap_int64(size - offset) < kept:
        offset = size - kept
    if offset <= _MIN_ABBREVIATION:
        return text[:kept] + _ELLIPSIS
    if width < _MIN_INNER_ABBREVIATION:
        return b""
    if offset + kept < size:
        return _ELLIPSIS + _abbreviated(text[offset:], 0, kept)
    return _ELLIPSIS + text[size - kept :]


@group.add("trunc", "func(int, string) string")
def trunc(run: Run, count: int, text: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The first bytes of the text, or the last ones if the count is negative: `trunc -3 "hello"` is `llo`."""
    if count >= 0:
        return text[:count]
    return text[count:] if len(text) + count > 0 else text


@group.add("substr", "func(int, int, string) string")
def substr(run: Run, start: int, end: int, text: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The bytes from start up to end, or to the text's end if that is negative: `substr 0 3 "hello"` is `hel`."""
    size = len(text)
    if start < 0:
        if not 0 <= end <= size:
            raise _out_of_range()
        return text[:end]
    if end < 0 or end > size:
        end = size
    if start > end:
        raise _out_of_range()
    return text[start:end]


@group.add("trim", "func(string) string")
def trim(run: Run, text: bytes) -> bytes:
    """The text without white space at its beginning and end: `trim "  a b "` is `a b`."""
    trimmed = text.strip()
    if trimmed.isascii() or (trimmed[0] < 0x80 and trimmed[-1] < 0x80):
        return trimmed
    return unescaped(escaped(run, trimmed).strip(ALL_SPACES))


@group.add("trimAll trimall", "func(string, string) string")
def trim_all(run: Run, cutset: bytes, text: bytes) -> bytes:
    """The text without any of those characters at its beginning and end: `trimAll "$" "$5.00"` is `5.00`."""
    run.spend((len(cutset) + len(text)) // _READ_PER_STEP)
    if cutset.isascii():
        return text.strip(bytes(set(cutset)))
    run.spend(len(cutset) // 16)
    chars = set(escaped(run, cutset))
    decoded = escaped(run, text)
    if any(map(_ERROR.match, chars)):
        chars.update("\ufffd", map(chr, range(0xDC80, 0xDD00)))
    if len(chars) <= _SHORT_CUTSET:
        return unescaped(decoded.strip("".join(chars)))
    run.spend(len(decoded) // 8)
    start, end = 0, len(decoded)
    while start < end and decoded[start] in chars:
        start += 1
    while start < end and decoded[end - 1] in chars:
        end -= 1
    return unescaped(decoded[start:end])


@group.add("trimSuffix", "func(string, string) string")
def trim_suffix(run: Run, suffix: bytes, text: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The text without that ending: `trimSuffix "-" "hello-"` is `hello`."""
    return text.removesuffix(suffix)


@group.add("trimPrefix", "func(string, string) string")
def trim_prefix(run: Run, prefix: bytes, text: bytes) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The text without that beginning: `trimPrefix "-" "-hello"` is `hello`."""
    return text.removeprefix(prefix)


@group.add("nospace", "func(string) string")
def nospace(run: Run, text: bytes) -> bytes:
    """The text without any white space: `nospace "a b c"` is `abc`. Spoils texts beyond ASCII that have some, as Sprig does."""
    run.charge(len(text))
    kept = text.translate(None, _LATIN_SPACES)
    return text if len(kept) == len(text) else _from_latin(run, kept)


@group.add("initials", "func(string) string")
def initials(run: Run, text: bytes) -> bytes:
    """The first letter of each word: `initials "First Try"` is `FT`."""
    run.charge(len(text))
    run.charge_elements(1 + len(text) - len(text.translate(None, _LATIN_SPACES)))
    return _from_latin(run, b"".join(_WORD.findall(text)))


def _from_latin(run: Run, text: bytes) -> bytes:
    """Each byte as the character of that number, as goutils takes them."""
    if text.isascii():
        return text
    run.charge(2 * len(text))
    return text.decode("latin-1").encode()


@group.add("repeat", "func(int, string) string")
def repeat(run: Run, count: int, text: bytes) -> bytes:
    """The text so many times: `repeat 3 "ab"` is `ababab`."""
    if count < 0:
        raise FunctionError("strings: negative Repeat count")
    if count * len(text) > MAX_INT64:
        raise FunctionError("strings: Repeat output length overflow")
    run.charge(count * len(text))
    return text * count if text else b""


@group.add("contains", "func(string, string) bool")
def contains(run: Run, part: bytes, text: bytes) -> bool:
    """Whether the first text is somewhere in the second: `contains "cat" "catch"` is `true`."""
    _spend_search(run, text, part)
    return part in text


@group.add("hasPrefix", "func(string, string) bool")
def has_prefix(run: Run, prefix: bytes, text: bytes) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the second text begins with the first: `hasPrefix "cat" "catch"` is `true`."""
    return text.startswith(prefix)


@group.add("hasSuffix", "func(string, string) bool")
def has_suffix(run: Run, suffix: bytes, text: bytes) -> bool:  # noqa: ARG001 -- every function gets the run
    """Whether the second text ends with the first: `hasSuffix "cat" "catch"` is `false`."""
    return text.endswith(suffix)


@group.add("replace", "func(string, string, string) string")
def replace(run: Run, old: bytes, new: bytes, text: bytes) -> bytes:
    """The third text with the second wherever the first was: `replace " " "-" "I am"` is `I-am`."""
    if old == new:
        return text
    if not old:
        return _put_between(run, new, text)
    _spend_search(run, text, old)
    if not (count := text.count(old)):
        return text
    run.charge(len(text) + count * (len(new) - len(old)))
    return text.replace(old, new)


def _put_between(run: Run, new: bytes, text: bytes) -> bytes:
    """The text with the other before, between and after its characters."""
    chars = escaped(run, text)
    run.charge(len(text) + (len(chars) + 1) * len(new))
    run.spend(len(chars) // 16)
    between = escaped(run, new)
    chunks = (unescaped(between.join(chars[at : at + _CHUNK])) for at in range(0, max(len(chars), 1), _CHUNK))
    return new + new.join(chunks) + (new if chars else b"")


@group.add("plural", "func(string, string, int) string")
def plural(run: Run, one: bytes, many: bytes, count: int) -> bytes:  # noqa: ARG001 -- every function gets the run
    """The first text if the count is 1, else the second: `plural "file" "files" 2` is `files`."""
    return one if count == 1 else many


@group.add("indent", "func(int, string) string")
def indent(run: Run, spaces: int, text: bytes) -> bytes:
    """The text with so many spaces before each line: `indent 2 "a" | quote` is `"  a"`."""
    return _indented(run, b"", spaces, text)


@group.add("nindent", "func(int, string) string")
def nindent(run: Run, spaces: int, text: bytes) -> bytes:
    r"""A line's end, then the text with so many spaces before each line, for blocks in YAML: `nindent 2 "a" | quote` is `"\n  a"`."""
    return _indented(run, b"\n", spaces, text)


def _indented(run: Run, before: bytes, spaces: int, text: bytes) -> bytes:
    if spaces < 0:
        raise FunctionError("strings: negative Repeat count")
    run.charge(len(text) + spaces * (text.count(b"\n") + 1))
    pad = b" " * spaces
    return before + pad + text.replace(b"\n", b"\n" + pad)


@group.add("wrap", "func(int, string) string")
def wrap(run: Run, width: int, text: bytes) -> bytes:
    r"""The text in lines of that width; longer words stay whole: `wrap 5 "hello world" | quote` is `"hello\nworld"`."""
    return _wrapped(run, text, width, b"\n", cut_words=False)


@group.add("wrapWith", "func(int, string, string) string")
def wrap_with(run: Run, width: int, separator: bytes, text: bytes) -> bytes:
    """The text in lines of that width, with the separator between them; longer words are cut: `wrapWith 5 "/" "hello world"` is `hello/world`."""
    return _wrapped(run, text, width, separator or b"\n", cut_words=True)


def _wrapped(run: Run, text: bytes, width: int, separator: bytes, *, cut_words: bool) -> bytes:
    size = len(text)
    width = max(width, 1)
    lines: list[bytes] = []
    at = total = 0
    while size - at > width:
        if text[at] == 0x20:
            word = _NOT_SPACE.search(text, at, size - width)
            run.spend(1)
            at = word.start() if word else size - width
            continue
        end = text.rfind(b" ", at, at + width + 1)
        next_at = end + 1
        if end < 0 and cut_words:
            end = next_at = at + width
        elif end < 0:
            end = text.find(b" ", at + width)
            if end < 0:
                break
            next_at = end + 1
        total += end - at + len(separator)
        run.spend(1)
        run.charge(total if total > run.limits.value_bytes else end - at + len(separator))
        lines.append(text[at:end])
        at = next_at
    lines.append(text[at:])
    return separator.join(lines)


@group.add("quote", "func(...interface {}) string")
def quote(run: Run, *values: Value) -> bytes:
    """Each value between double quotes, with escapes where needed, and a space between them; nil is left out: `quote "a" 1` is `"a" "1"`."""
    texts = [strval(run, value) for value in values if value is not None]
    run.charge(sum(map(len, texts)))
    return _joined(run, b" ", [fmt_quote(text, run=run) for text in texts])


@group.add("squote", "func(...interface {}) string")
def squote(run: Run, *values: Value) -> bytes:
    """Each value between single quotes, without escapes, and a space between them; nil is left out: `squote "a" 1` is `'a' '1'`."""
    texts = [_printed(run, value) for value in values if value is not None]
    run.charge(sum(map(len, texts)))
    return _joined(run, b" ", [b"'%b'" % text for text in texts])


@group.add("cat", "func(...interface {}) string")
def cat(run: Run, *values: Value) -> bytes:
    """The values with a space between them; nil is left out: `cat "a" 1` is `a 1`."""
    return _joined(run, b" ", [_printed(run, value) for value in values if value is not None])


def _printed(run: Run, value: Value) -> bytes:
    """As `%v` prints it."""
    return value if type(value) is bytes else sprintf(run, b"%v", [value])


def _joined(run: Run, separator: bytes, texts: list[bytes]) -> bytes:
    if len(texts) == 1:
        return texts[0]
    run.charge(sum(map(len, texts)) + len(texts) * len(separator))
    return separator.join(texts)


@group.add("toString", "func(interface {}) string")
def to_string(run: Run, value: Value) -> bytes:
    """The value as text: `toString 5` is `5`."""
    return strval(run, value)


@group.add("toStrings", "func(interface {}) []string")
def to_strings(run: Run, value: Value) -> list[bytes]:
    """The list's elements as texts, without those that are nil: `toStrings (list 1 "a")` is `[1 a]`."""
    return strslice(run, value)


@group.add("join", "func(string, interface {}) string")
def join(run: Run, separator: bytes, value: Value) -> bytes:
    """The list's elements as one text, with the separator between them: `join "-" (list 1 2)` is `1-2`."""
    return _joined(run, separator, strslice(run, value))


@group.add("sortAlpha", "func(interface {}) []string")
def sort_alpha(run: Run, value: Value) -> list[bytes]:
    """The list's elements as texts, sorted by their bytes: `sortAlpha (list "b" "a")` is `[a b]`. A list of strings, such as keys gives, is sorted itself."""
    if not isinstance(value, list | ByteSlice):
        return [strval(run, value)]
    texts = strslice(run, value)
    rounds = len(texts).bit_length()
    run.spend(len(texts) * rounds // 8 + sum(map(len, texts)) * rounds // _COMPARED_PER_STEP)
    texts.sort()
    return texts


@group.add("splitList", "func(string, string) []string")
def split_list(run: Run, separator: bytes, text: bytes) -> list[bytes]:
    """The text's parts between the separators, as a list: `splitList "-" "a-b"` is `[a b]`."""
    return _parts(run, separator, -1, text)


@group.add("split", "func(string, string) map[string]string")
def split(run: Run, separator: bytes, text: bytes) -> StringMap:
    """The text's parts between the separators, as a map with the keys `_0`, `_1`, …: `(split "-" "a-b")._1` is `b`."""
    return _numbered(run, _parts(run, separator, -1, text))


@group.add("splitn", "func(string, int, string) map[string]string")
def splitn(run: Run, separator: bytes, count: int, text: bytes) -> StringMap:
    """The same in so many parts at most: `(splitn "-" 2 "a-b-c")._1` is `b-c`."""
    return _numbered(run, _parts(run, separator, count, text))


def _parts(run: Run, separator: bytes, count: int, text: bytes) -> Strings:
    if count == 0:
        return Strings()
    if not separator:
        return _characters(run, count, text)
    _spend_search(run, text, separator)
    found = text.count(separator)
    run.charge_elements(found + 1 if count < 0 else min(found + 1, count))
    return Strings(text.split(separator, -1 if count < 0 else min(count - 1, found)))


def _characters(run: Run, count: int, text: bytes) -> Strings:
    """The text's characters; the last of so many has the rest."""
    chars = escaped(run, text)
    if count < 0 or count > len(chars):
        count = len(chars)
    run.charge_elements(count)
    if not count:
        return Strings()
    parts = Strings(map(unescaped, chars[: count - 1]))
    parts.append(unescaped(chars[count - 1 :]))
    return parts


def _numbered(run: Run, parts: Strings) -> StringMap:
    run.charge_elements(2 * len(parts))
    return StringMap((b"_%d" % number, part) for number, part in enumerate(parts))
