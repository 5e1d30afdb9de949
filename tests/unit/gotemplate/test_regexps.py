"""Regular expressions: RE2 with the rules of Go's package regexp."""

from __future__ import annotations

import itertools

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.regexps import group
from keyferry.testing.leaks import canary


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


AS_GO = [
    ("regexMatch", [b"^[A-Z]+$", b"ABC"], True),
    ("regexMatch", [b"a(", b"a"], False),
    ("regexMatch", [b"", b""], True),
    ("regexMatch", [b"^.$", b"\xff"], True),
    ("regexMatch", [b"\\x{FFFD}", b"\xff"], True),
    ("regexMatch", [b"(?i)STRASSE|k", b"\xe2\x84\xaa"], True),
    ("regexFind", [b"[0-9]+", b"abc123 45"], b"123"),
    ("regexFind", [b"x", b"abc"], b""),
    ("regexFind", [b"[^a]+", b"a\xe2\x82z"], b"\xe2\x82z"),
    ("regexFindAll", [b"[2,4]", b"1234", -1], [b"2", b"4"]),
    ("regexFindAll", [b"a*", b"baac", -1], [b"", b"aa", b""]),
    ("regexFindAll", [b"", b"a\xc3\xa9\xff", -1], [b"", b"", b"", b""]),
    ("regexFindAll", [b"\\B", b"\xc3\xa9\xc3\xa9", -1], [b"", b"", b""]),
    ("regexFindAll", [b"a", b"aaa", 2], [b"a", b"a"]),
    ("regexFindAll", [b"a", b"aaa", 0], []),
    ("regexReplaceAll", [b"a(x*)b", b"-ab-axxb-", b"${1}W"], b"-W-xxW-"),
    ("regexReplaceAll", [b"a(x*)b", b"-ab-axxb-", b"$1W"], b"---"),
    ("regexReplaceAll", [b"(?P<n>a)|b", b"ab", b"[$n$$1${2}$]"], b"[a$1$][$1$]"),
    ("regexReplaceAll", [b"x*", b"abxxc\xff", b"-"], b"-a-b-c-\xff-"),
    ("regexReplaceAll", [b"(?P<n>\\.)|(?P<n>b)", b"a.b", b"<$n>"], b"a<.><b>"),
    ("regexReplaceAll", [b"\\p{Letter}+|\\p{nd}", b"a\xc3\xa91!", b"-"], b"--!"),
    ("regexReplaceAll", [b"b", b"\xffb\xfe", b"$0$0"], b"\xffbb\xfe"),
    ("regexReplaceAllLiteral", [b"a", b"banana", b"${1}"], b"b${1}n${1}n${1}"),
    ("regexSplit", [b"z+", b"pizza", -1], [b"pi", b"a"]),
    ("regexSplit", [b"", b"abc", -1], [b"a", b"b", b"c"]),
    ("regexSplit", [b"a", b"banana", 2], [b"b", b"nana"]),
    ("regexSplit", [b"a", b"banana", 0], []),
    ("regexSplit", [b"a", b"", -1], [b""]),
    ("regexSplit", [b"", b"", -1], []),
    ("regexSplit", [b"b+", b"\xffbb\xfe", -1], [b"\xff", b"\xfe"]),
    ("regexQuoteMeta", [b"1.2[a]+\\d"], b"1\\.2\\[a\\]\\+\\\\d"),
    ("regexQuoteMeta", [b"\xc3\xa9"], b"\xc3\xa9"),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_expressions_match_and_replace_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


BAD = [
    (b"a(", "missing closing )"),
    (b"a)", "unexpected )"),
    (b"[a", "missing closing ]"),
    (b"*", "missing argument to repetition operator"),
    (b"a**", "invalid nested repetition operator"),
    (b"a{1001}", "invalid repeat count"),
    (b"\\", "trailing backslash at end of expression"),
    (b"\\8", "invalid escape sequence"),
    (b"\\C", "invalid escape sequence"),
    (b"[\\C]", "invalid escape sequence"),
    (b"[z-a]", "invalid character class range"),
    (b"\\p{Foo}", "invalid character class range"),
    (b"\\p{Old_Italic}", "invalid character class range"),
    (b"(?=a)", "invalid or unsupported Perl syntax"),
    (b"(?P<\xc3\xa9>a)", "invalid named capture"),
    (b"\xff", "invalid UTF-8"),
]


@pytest.mark.parametrize(("pattern", "reason"), BAD)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Match", [b""]),
        ("Find", [b""]),
        ("FindAll", [b"", -1]),
        ("ReplaceAll", [b"", b""]),
        ("ReplaceAllLiteral", [b"", b""]),
        ("Split", [b"", 1]),
    ],
)
def test_bad_expressions_are_refused_in_gos_words_without_quoting_them(name, arguments, pattern, reason):
    with pytest.raises(FunctionError) as raised:
        call(f"mustRegex{name}", pattern, *arguments)
    assert f"error parsing regexp: {reason}" == str(raised.value)

    if name == "Match":
        assert call("regexMatch", pattern, *arguments) is False
        return
    with pytest.raises(FunctionError) as raised:
        call(f"regex{name}", pattern, *arguments)
    assert f"regexp: Compile: error parsing regexp: {reason}" == str(raised.value)


def test_escapes_of_quoted_text_are_no_bytes():
    assert b"x" == call("regexReplaceAll", rb"\Q\C\E|\Q\p{Letter}\E", rb"\C", b"x")
    assert b"xC" == call("regexReplaceAll", rb"\\", rb"\C", b"x")


@pytest.mark.parametrize("name", [b"LC", b"Cn", b"assigned", b"ASCII", b"Cased Letter"])
def test_classes_that_re2_lacks_are_errors_also_for_regexmatch(name):
    with pytest.raises(FunctionError, match="RE2 does not know"):
        call("regexMatch", b"\\p{%b}" % name, b"a")


@pytest.mark.parametrize("pattern", [b"a" * 4097, rb"\pL{1000}"])
def test_too_large_expressions_are_errors_also_for_regexmatch(pattern):
    with pytest.raises(FunctionError, match="regular expression"):
        call("regexMatch", pattern, b"a")


def test_the_first_group_of_a_name_that_took_part_is_meant():
    assert b"<b><a>" == call("regexReplaceAll", rb"[(](?P<n>a)|[\](](?P<n>b)|x", b"(b(a", b"<${n}>")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (b"${n", b"${n"),
        (b"$", b"$"),
        (b"$$1", b"$1"),
        (b"$ 1", b"$ 1"),
        (b"${}", b"${}"),
        (b"$n\xc3\xa9", b""),
        (b"$n\xff", b"a\xff"),
        (b"$01", b""),
        (b"${01}", b""),
        (b"$9", b""),
        (b"$99999999999999999999", b""),
        (b"$1-$0", b"a-a"),
        (b"${1}0", b"a0"),
        (b"$m", b""),
    ],
)
def test_replacements_are_read_as_go_reads_them(template, expected):
    assert expected == call("regexReplaceAll", b"(?P<n>a)", b"a", template)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("regexMatch", [b"(a|b)*a(a|b){500}c", b"ab" * (1 << 19)]),
        ("regexReplaceAll", [b"", b"x" * 1_000_000, b"y" * 1000]),
        ("regexReplaceAll", [b"a", b"a" * 1000, b"$0" * 100_000]),
        ("regexReplaceAllLiteral", [b"a", b"a" * 1000, b"b" * (1 << 20)]),
        ("regexFindAll", [b"", b"x" * 1_000_000, -1]),
        ("regexSplit", [b"x", b"x" * 1_000_000, -1]),
        ("regexReplaceAll", [rb"\B", "é".encode() * 200_000, b"x"]),
        ("regexReplaceAll", [b"x", b"\xff" * (4 << 20), b"x"]),
    ],
)
def test_what_would_take_too_much_is_refused(name, arguments):
    with pytest.raises(Exhausted):
        call(name, *arguments)


def test_searches_that_look_far_are_charged_by_the_clock():
    """Each match of `a.*z|a` looks to the end of the text: quadratic, in Go as here."""
    clock = itertools.count(0, 0.001)
    run = Run(Limits(), now_ns=0, monotonic=lambda: next(clock), random_bytes=bytes)

    with pytest.raises(Exhausted):
        call("regexFindAll", b"a.*z|a", b"a" * 60_000, -1, run=run)


def test_compiling_is_charged_each_time_it_is_done():
    run = new_run()

    with pytest.raises(Exhausted):
        [call("regexMatch", rb"\pL{1,40}%d" % number, b"a", run=run) for number in range(100)]


def test_errors_do_not_quote_expressions():
    secret = canary("expression").encode()

    with pytest.raises(FunctionError) as raised:
        call("regexFind", secret + b"(", secret)

    assert canary("expression") not in str(raised.value)
