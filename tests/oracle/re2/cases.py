"""Patterns, texts and replacements for the comparison with Go: made by a grammar, then often broken.

Deterministic by seed. A small alphabet makes patterns match, and makes empty and adjacent matches common.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Case:
    """What both sides are asked."""

    pattern: str
    text: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side says. `why` is for people who look into a difference."""

    is_pattern: bool
    matches: bool = False
    replaced: str = ""
    why: str = field(default="", compare=False)


LITERALS = [
    "a", "a", "b", "b", "c", "ab", "ba", "aa", "A", "B", "1", "2", "12", "_", "-", "/", " ", ":", "é", "É", "日", "日本", "ß", "\u017f",
    "K", "k", "ς", "Σ", "😀", "\\.", "\\*", "\\+", "\\?", "\\(", "\\)", "\\[", "\\{", "\\|", "\\^", "\\$", "\\\\", "\\/", "\\-",
    "\\_", "\\n", "\\t", "\\r", "\\f", "\\v", "\\a", "\\x41", "\\x{e9}", "\\x{1F600}", "\\141", "\\0", "\\00", "\\012", "\\Qa.b\\E",
    "\\Q\\E", "\\Q(\\C\\E", "\\Qab", "\n", "\t", "\x00", "é", "}", "]", "{", "a{", "{1", "{,2}", "a{,2}", "a{x}", "\u2028",
]  # fmt: skip
CLASSES = [
    ".", "\\d", "\\D", "\\s", "\\S", "\\w", "\\W", "[ab]", "[^ab]", "[a-c]", "[^a-c]", "[a-cA-C1-2]", "[[:alpha:]]", "[[:^alpha:]]",
    "[^[:alpha:]]", "[[:digit:]a]", "[[:word:]]", "[[:space:]]", "[[:upper:]]", "[[:lower:]]", "[[:punct:]]", "[[:alnum:]]",
    "[[:ascii:]]", "[[:blank:]]", "[[:cntrl:]]", "[[:graph:]]", "[[:print:]]", "[[:xdigit:]]", "[\\d\\s]", "[^\\d\\s]", "[\\w-]", "[-a]",
    "[a-]", "[]a]", "[^]a]", "[\\]]", "[\\^a]", "[a^]", "[.]", "[$]", "[\\n]", "[\\x41-\\x43]", "[é-ü]", "[日本]", "[^é]", "[\\-]",
    "[+--]", "\\pL", "\\PL", "\\p{L}", "\\p{Lu}", "\\P{Lu}", "\\p{^Lu}", "\\pN", "\\p{Nd}", "\\p{Greek}", "\\p{Latin}", "\\p{Han}",
    "[\\pL\\d]", "[^\\pL]", "[\\p{Lu}_]", "[[:alpha:]-z]", "[&&a]", "[a&&b]", "[\\\\]", "[/:]", "[\\/]", "[a\\b]", "[[a]", "[a[b]",
    "[\\Qa\\E]",
]  # fmt: skip
ANCHORS = ["^", "$", "\\A", "\\z", "\\b", "\\B", "^", "$", "\\b"]
REPEATS = [
    "*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,2}", "{0,1}", "{1,}", "{2,}?", "{1,2}?", "{0,0}", "{3}", "{2,1}", "{01}", "{1}{2}",
]  # fmt: skip
FLAGS = [
    "(?i)", "(?s)", "(?m)", "(?U)", "(?is)", "(?im)", "(?i-s)", "(?-i)", "(?sm)", "(?msiU)", "(?ims-U)", "(?)", "(?-)", "(?i-)", "(?--i)",
]  # fmt: skip
BROKEN = [
    "(", ")", "[", "[a", "[]", "[^]", "*", "+", "?", "a**", "a*+", "a++", "a?*", "a{2}*", "a{2}{3}", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)",
    "(?>a)", "(?#a)", "(?|a)", "(?P=x)", "(?P>x)", "(?R)", "(?1)", "(?&x)", "\\1", "\\8", "\\9", "\\18", "\\k<x>", "\\g1", "\\G", "\\Z", "\\K",
    "\\R", "\\X", "\\C", "\\N", "\\h", "\\u0041", "\\U0041", "\\c", "\\cA", "\\e", "\\l", "\\y", "\\<", "\\>", "\\é", "\\i", "\\x", "\\x4",
    "\\x{", "\\x{}", "\\x{110000}", "\\x{41", "\\xZZ", "[z-a]", "[a-\\d]", "[\\d-z]", "[a-[:alpha:]]", "[[:foo:]]", "[[:alpha]]",
    "[[.a.]]", "[[=a=]]", "[b-a]", "\\p", "\\p{", "\\p{}", "\\p{Foo}", "\\pX", "\\pé", "[\\pX]", "a{1001}", "a{1000}", "(a{100}){11}",
    "(a{10}){10}", "((a{10}){10}){11}", "a{100000000000}", "a{-1}", "{2}", "^*", "$+", "\\b*", "\\b+?", "\\B{2}", "(^)*", "(|a)*", "(a|)+",
    "(?i", "(?z)", "(?i:a", "(?P<)", "(?P<>a)", "(?P<a", "(?P<a>", "(?P<1>a)", "(?P<1a>a)", "(?P<a b>a)", "(?P<é>a)", "(?P<a>b)(?P<a>c)",
    "(?<a>b)(?P<a>c)", "(?<a>", "(?'a'b)", "(?Pa)", "|*", "(*)", "(|*)", "(?:*)", "()", "()*", "(?:)", "(?:)+", "|", "||", "a||b", "\\",
    "a\\", "[\\", "[a\\", "(?i)(?P<A>a)(?P<a>b)", "\\pN", "(?^a)", "(?x)a b", "(?u)a", "(?L)a", "[[:word:][:^digit:]]", "\\Q\\", "\\E",
    "a\\E", "\\Qa\\Eb\\E", "\\d{,2}", "x{2147483648}", "(?i)\\Qab\\E*", "(?:a{0,999}){0,1}",
]  # fmt: skip
NAMES = ["name", "n", "x1", "_", "first", "N", "1st"]
TEXTS = [
    "", "a", "b", "ab", "aab", "abab", "aXbXc", "abc def", "a.b", "a-b_c", "team/db/password", "db-prod", "A1_b2", "12:34", "é", "aéb", "éé",
    "日本語", "a日b", "x😀y", "K\u212ak", "\u017fsS", "ςσΣ", "ßẞ", "\n", "a\nb", "a\nb\n", "\na", "a\r\nb", "a\tb", "  a  ", "a$b", "(a)", "[a]",
    "\\a\\", "a\x00b", "\u2028a", "_", "__", "-", "ABCabc", "aaaa", "bbbb", "aaabbb", "1a2b", "e\u0301", "\u0660\u0661",
]  # fmt: skip
TEXT_SOUP = [
    "a",
    "b",
    "c",
    "A",
    "B",
    "1",
    "2",
    "_",
    "-",
    "/",
    ".",
    " ",
    "\n",
    "é",
    "日",
    "😀",
    "k",
    "\u212a",
    "a",
    "b",
    "$",
]
REPLACEMENTS = [
    "", "x", "$1", "${1}", "$0", "${0}", "$2", "${2}x", "$1x", "$1_$2", "${1}_${2}", "$$", "$$1", "$$$1", "$", "a$", "$ ", "${", "${}", "${1",
    "${1 }", "$}", "$-1", "$name", "${name}", "$name-x", "${name}x", "$namex", "$n", "${n}", "${x1}", "$_", "$N", "${1st}", "$1st", "$01",
    "${01}", "$00", "$10", "${100000000}", "${99999999}", "${999999999}", "${9999999999}", "${99999999999999999999}", "$é", "${é}", "$日本", "$1é",
    "${1}é", "$\u0661", "$1\u0661", "$½", "$a½", "${²}", "$$name", "$$$", "$$$$", "\\1", "\\$1", "&", "<$0>", "[$1|$2]", "é$0日", "${first}.$1",
    "$(1)", "${$1}", "${a$n}", "${1}${1}", "$1$1", "$1 $1", "$x1$", "\n$0", "$\n", "$0\x00", "${_}", "$__", "😀$1",
]  # fmt: skip
REPLACEMENT_SOUP = ["$", "$", "{", "}", "1", "0", "2", "n", "name", "_", "é", "-", " ", "x", "\u0661", "$$"]
PATTERN_SOUP = [
    "a", "b", "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "^", "$", ".", "\\", "-", ":", "P", "<", ">", ",", "1", "2", "i", "\\b",
    "\\B", "\\d", "(?", "(?:", "(?i)", "(?P<n>", "é", "[^", "[:", ":]", "alpha", "\\Q", "\\E", "=", "!", "x", "\\p", "L", "\n",
]  # fmt: skip


class Generator:
    """An endless row of cases.

    Args:
        seed: the same seed gives the same cases.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._names: list[str] = []

    def cases(self, count: int) -> Iterator[Case]:
        """So many cases; some share a pattern."""
        pattern = ""
        for number in range(count):
            if number % 3 == 0:
                pattern = self.pattern()
            yield Case(pattern, self.text(), self.replacement())

    def pattern(self) -> str:
        """A pattern: by the grammar, broken, or only made of tokens."""
        self._names = self.random.sample(NAMES, k=len(NAMES))
        choice = self.random.random()
        if choice < 0.06:
            return self._soup(PATTERN_SOUP, 8)
        pattern = self._alternation(self.random.choice([0, 1, 1, 2, 2, 3]))
        if choice < 0.14:
            at = self.random.randint(0, len(pattern))
            pattern = (
                pattern[:at] + self.random.choice(PATTERN_SOUP) + pattern[at + self.random.randrange(2) :]
            )
        if self.random.random() < 0.2:
            pattern = self.random.choice(FLAGS) + pattern
        return pattern

    def text(self) -> str:
        """A text that patterns are made to fit."""
        return self.random.choice(TEXTS) if self.random.random() < 0.4 else self._soup(TEXT_SOUP, 10)

    def replacement(self) -> str:
        """A replacement: often one that means something."""
        choice = self.random.random()
        return self.random.choice(REPLACEMENTS) if choice < 0.75 else self._soup(REPLACEMENT_SOUP, 6)

    def _soup(self, of: list[str], most: int) -> str:
        return "".join(self.random.choices(of, k=self.random.randint(0, most)))

    def _alternation(self, depth: int) -> str:
        return "|".join(self._row(depth) for _ in range(self.random.choice([1, 1, 1, 2, 2, 3])))

    def _row(self, depth: int) -> str:
        return "".join(self._piece(depth) for _ in range(self.random.choice([0, 1, 1, 2, 2, 3, 4])))

    def _piece(self, depth: int) -> str:
        choice = self.random.random()
        if choice < 0.005:
            return self.random.choice(BROKEN)
        if choice < 0.12:
            return self.random.choice(ANCHORS)
        piece = self._atom(depth)
        return piece + self.random.choice(REPEATS) if self.random.random() < 0.35 else piece

    def _atom(self, depth: int) -> str:
        choice = self.random.random()
        if depth > 0 and choice < 0.35:
            return f"{self._opening()}{self._alternation(depth - 1)})"
        return self.random.choice(LITERALS if choice < 0.75 else CLASSES)

    def _opening(self) -> str:
        choice = self.random.random()
        if choice < 0.55:
            return "("
        if choice < 0.7:
            return "(?:"
        if choice < 0.8:
            return f"{self.random.choice(FLAGS)[:-1]}:"
        name = self._names.pop() if self._names else "again"
        return f"(?P<{name}>" if choice < 0.92 else f"(?<{name}>"
