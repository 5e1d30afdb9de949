"""Regular expressions by the rules of Go's regexp. tests/oracle/re2 compares many more with Go itself."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyferry.core.patterns import MAX_PATTERN_CHARS, Pattern, Work
from keyferry.errors import RenderError, SpecError

SOUP = st.lists(st.sampled_from([*"ab()[]{}*+?|^$.\\-:P<>1$é", "(?i)", "\\b", "\\B", "\\Q", "\\C", "(?P<n>"]))
TEXTS = st.text(st.sampled_from("abAB1_-/$ é日😀\n"), max_size=12)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        pytest.param("b", "abc", True, id="anywhere-in-the-text"),
        pytest.param("^b", "abc", False, id="not-where-an-anchor-forbids"),
        pytest.param("^$", "", True, id="the-empty-text"),
        pytest.param("", "abc", True, id="empty-pattern-is-everywhere"),
        pytest.param("a$", "a\n", False, id="dollar-is-the-end-and-no-line"),
        pytest.param("(?m)^b$", "a\nb\nc", True, id="flag-m-makes-lines"),
        pytest.param("a.b", "a\nb", False, id="dot-is-no-line-break"),
        pytest.param("(?i)É", "é", True, id="flag-i-knows-unicode"),
        pytest.param(r"\w", "é", False, id="word-characters-are-ascii"),
        pytest.param(r"\pL", "é", True, id="letters-are-unicode"),
        pytest.param(r"\B", "aéb", False, id="no-boundary-inside-a-character"),
        pytest.param(r"\B", "é", True, id="boundaries-around-a-character"),
        pytest.param(r"^\Q\C\E$", r"\C", True, id="quoted-text-has-no-escapes"),
        pytest.param("a", "\ud800a", True, id="half-a-surrogate-pair-is-no-obstacle"),
    ],
)
def test_pattern_is_looked_for(pattern, text, matches):
    assert Pattern(pattern).matches(text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "replacement", "expected"),
    [
        pytest.param("^team/", "team/db", "", "db", id="prefix-is-removed"),
        pytest.param("(.*)", "password", "dev_$1", "dev_password", id="prefix-is-added"),
        pytest.param("[^a-zA-Z0-9 -]", "foo/bar$baz", "_", "foo_bar_baz", id="characters-are-replaced"),
        pytest.param("a", "banana", "<$0>", "b<a>n<a>n<a>", id="group-0-is-the-match"),
        pytest.param("x*", "abc", "-", "-a-b-c-", id="empty-matches-everywhere"),
        pytest.param("b*", "abc", "-", "-a-c-", id="no-empty-match-behind-another"),
        pytest.param("", "é日", "-", "-é-日-", id="empty-matches-between-characters"),
        pytest.param("", "", "-", "-", id="empty-match-in-the-empty-text"),
        pytest.param(r"\B", "aéb", "-", "aéb", id="no-match-inside-a-character"),
        pytest.param("^a", "aaa", "b", "baa", id="anchor-means-the-text-and-not-the-rest"),
        pytest.param("(a)|(b)", "ab", "[$1|$2]", "[a|][|b]", id="group-that-took-no-part-is-empty"),
        pytest.param("a", "a", "[$1]", "[]", id="group-that-is-not-there-is-empty"),
        pytest.param("(a)", "a", "${1}x", "ax", id="braces-end-a-name"),
        pytest.param("(a)", "a", "$1x", "", id="a-name-is-as-long-as-it-can-be"),
        pytest.param("(?P<n>a)", "a", "${n}$n-$n", "aa-a", id="groups-have-names"),
        pytest.param("(?<n>a)", "a", "$n", "a", id="names-in-the-shorter-form"),
        pytest.param("a", "a", "$$1$$$$", "$1$$", id="two-dollars-are-one"),
        pytest.param("(a)", "a", "$$$1", "$a", id="two-dollars-before-a-group"),
        pytest.param("a", "a", "$ $-1 ${} ${1 } ${", "$ $-1 ${} ${1 } ${", id="malformed-references-stay"),
        pytest.param("a", "a", "b$", "b$", id="dollar-at-the-end-stays"),
        pytest.param("(?P<01>a)(b)", "ab", "$01$1", "aa", id="leading-zero-makes-a-name"),
        pytest.param("(?P<9999999999>a)", "a", "$9999999999", "a", id="ten-digits-make-a-name"),
        pytest.param("(?P<999999999>a)", "a", "[$999999999]", "[]", id="nine-digits-make-a-number"),
        pytest.param("(a)", "a", "$é$١", "", id="names-have-unicode-letters-and-digits"),  # noqa: RUF001
        pytest.param("(a)", "a", "$1½", "a½", id="other-numbers-end-a-name"),
        pytest.param("a", "\ud800a", "\udc00", "\ud800\udc00", id="half-surrogate-pairs-stay"),
    ],
)
def test_matches_are_replaced(pattern, text, replacement, expected):
    assert Pattern(pattern).replace(text, replacement) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("(", id="open-parenthesis"),
        pytest.param("(?=a)", id="lookahead"),
        pytest.param("(?<!a)", id="lookbehind"),
        pytest.param(r"(a)\1", id="backreference"),
        pytest.param("a{1001}", id="too-many-repetitions"),
        pytest.param(r"\pL{1000}", id="too-much-memory"),
        pytest.param(r"a\C", id="any-byte"),
        pytest.param(r"\Qa\E\C", id="any-byte-behind-quoted-text"),
        pytest.param("(?P<é>a)", id="name-that-is-not-ascii"),
        pytest.param("a" * (MAX_PATTERN_CHARS + 1), id="too-long"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern, capfd):
    with pytest.raises(SpecError) as caught:
        Pattern(pattern)

    assert "regular expression" in caught.value.message
    assert len(caught.value.message) < 300
    assert "b'" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_longest_pattern_is_taken():
    assert Pattern("a" * MAX_PATTERN_CHARS).matches("a" * MAX_PATTERN_CHARS)


@pytest.mark.parametrize(
    ("pattern", "text", "replacement"),
    [
        pytest.param("a", "a", "$0" * 5000, id="long-replacement"),
        pytest.param("", "a" * 500, "", id="matches-everywhere"),
        pytest.param("(.*)", "a" * 500, "$1" * 20, id="text-that-grows"),
        pytest.param("x", "a" * 10_000, "", id="long-text"),
    ],
)
def test_too_much_work_is_refused(pattern, text, replacement):
    assert Pattern(pattern).replace(text, replacement)
    with pytest.raises(RenderError, match="too much work"):
        Pattern(pattern).replace(text, replacement, Work(8000))


def test_work_is_shared_by_calls_that_belong_together():
    work = Work(150)
    pattern = Pattern("a")

    assert [pattern.replace("b", "", work) for _ in range(2)] == ["b", "b"]
    with pytest.raises(RenderError, match="too much work"):
        pattern.replace("b", "", work)


def test_time_grows_with_the_text_and_not_beyond():
    """A pattern that takes others for ever."""
    before = time.process_time()

    assert not Pattern("^(a+)+$").matches("a" * 100_000 + "b")
    assert len(Pattern("a?").replace("a" * 50_000, "bb")) == 100_000
    assert time.process_time() - before < 5


def test_patterns_cost_nothing_until_one_is_used():
    program = "import sys, keyferry.core.patterns, keyferry.core.rewrite\nsys.exit('re2' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@given(SOUP.map("".join), TEXTS, SOUP.map("".join))
@example("\\", "a", "$")
def test_any_pattern_works_or_is_refused(source, text, replacement):
    try:
        pattern = Pattern(source)
    except SpecError:
        return

    assert pattern.replace(text, "$0") == text
    if not pattern.matches(text):
        assert pattern.replace(text, replacement) == text


@given(st.text(), st.text())
def test_text_without_dollars_is_taken_as_it_stands(text, replacement):
    plain = replacement.replace("$", "")

    assert Pattern("^").replace(text, plain) == plain + text
    assert Pattern(r"\z").replace(text, replacement.replace("$", "$$")) == text + replacement
