"""Sprig's functions on texts: what Go makes of the same arguments, limits, and errors without values."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.strings import group
from keyferry.gotemplate.text.goversion import read_version
from keyferry.gotemplate.values import ByteSlice, Strings
from keyferry.testing.leaks import canary


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


MIB = 1 << 20


AS_GO = [
    ("hello", [], b"Hello!"),
    ("abbrev", [5, b"hello world"], b"he..."),
    ("abbrev", [3, b"hello world"], b"hello world"),
    ("abbrev", [11, b"hello world"], b"hello world"),
    ("abbrevboth", [5, 10, b"1234 5678 9123"], b"...5678..."),
    ("abbrevboth", [1, 6, b"1234 5678 9123"], b"1234 5678 9123"),
    ("abbrevboth", [-9223372036854775808, 6, b"1234 5678 9123"], b""),
    ("abbrevboth", [99, 8, b"1234 5678 9123"], b"... 9123"),
    ("trunc", [3, b"hello"], b"hel"),
    ("trunc", [-3, b"hello"], b"llo"),
    ("trunc", [-9, b"hello"], b"hello"),
    ("trunc", [1, b"\xc3\xa9"], b"\xc3"),
    ("substr", [0, 3, b"hello"], b"hel"),
    ("substr", [-1, 3, b"hello"], b"hel"),
    ("substr", [2, -1, b"hello"], b"llo"),
    ("substr", [2, 99, b"hello"], b"llo"),
    ("trim", [b"\xc2\xa0 \t hello\xe2\x80\x83\n"], b"hello"),
    ("trim", [b"\x1chello\x85"], b"\x1chello\x85"),
    ("trimAll", [b"$", b"$5.00$"], b"5.00"),
    ("trimAll", [b"\xc3\xa9", b"\xc3\xa9\xc3\xa9a\xc3\xa9"], b"a"),
    ("trimall", [b"\xff", b"\xfea\xef\xbf\xbd"], b"a"),
    ("trimAll", [b"", b" a "], b" a "),
    ("trimSuffix", [b"-", b"a--"], b"a-"),
    ("trimPrefix", [b"-", b"--a"], b"-a"),
    ("nospace", [b" a b\tc\n"], b"abc"),
    ("nospace", [b"\xc3\xa0 b"], b"\xc3\x83b"),
    ("nospace", [b"\xc3\xa9b"], b"\xc3\xa9b"),
    ("initials", [b" First  Try"], b"FT"),
    ("initials", [b"\xc3\xa9 \xc3\xa0"], b"\xc3\x83\xc3\x83"),
    ("repeat", [3, b"ab"], b"ababab"),
    ("repeat", [0, b"ab"], b""),
    ("repeat", [4611686018427387904, b""], b""),
    ("contains", [b"cat", b"catch"], True),
    ("contains", [b"", b""], True),
    ("hasPrefix", [b"cat", b"catch"], True),
    ("hasSuffix", [b"cat", b"catch"], False),
    ("replace", [b" ", b"-", b"I am"], b"I-am"),
    ("replace", [b"", b"-", b"a\xc3\xa9\xff"], b"-a-\xc3\xa9-\xff-"),
    ("replace", [b"", b"-", b""], b"-"),
    ("replace", [b"a", b"a", b"aa"], b"aa"),
    ("plural", [b"one", b"many", 1], b"one"),
    ("plural", [b"one", b"many", 0], b"many"),
    ("indent", [2, b"a\nb\n"], b"  a\n  b\n  "),
    ("nindent", [2, b"a\nb"], b"\n  a\n  b"),
    ("indent", [0, b""], b""),
    ("wrap", [5, b"Hello World a longer-than-five word"], b"Hello\nWorld\na\nlonger-than-five\nword"),
    ("wrap", [0, b"a bc"], b"a\nbc"),
    ("wrapWith", [5, b"\t", b"HelloWorld all"], b"Hello\tWorld\tall"),
    ("wrapWith", [3, b"", b"   abcdef"], b"abc\ndef"),
    (
        "quote",
        [b'a"b\n', None, 1, b"\xff", b"\xc3\xa9\xe2\x80\x8b", True],
        b'"a\\"b\\n" "1" "\\xff" "\xc3\xa9\\u200b" "true"',
    ),
    ("squote", [b"it's", None, 1.5], b"'it's' '1.5'"),
    ("cat", [b"a", None, 1, [b"b", b"c"]], b"a 1 [b c]"),
    ("cat", [], b""),
    ("toString", [ByteSlice(b"abc")], b"abc"),
    ("toString", [None], b"<nil>"),
    ("toString", [{b"a": 1}], b"map[a:1]"),
    ("toString", [1000000.0], b"1e+06"),
    ("toStrings", [[1, None, b"a", ByteSlice(b"b")]], [b"1", b"a", b"b"]),
    ("toStrings", [None], []),
    ("toStrings", [5], [b"5"]),
    ("toStrings", [ByteSlice(b"ab")], [b"97", b"98"]),
    ("join", [b"-", [1, b"a", None, True]], b"1-a-true"),
    ("join", [b"-", b"abc"], b"abc"),
    ("sortAlpha", [[b"b", b"a", b"\xff", b"Z", 10, 9]], [b"10", b"9", b"Z", b"a", b"b", b"\xff"]),
    ("sortAlpha", [None], [b"<nil>"]),
    ("sortAlpha", [b"b"], [b"b"]),
    ("splitList", [b"-", b"a-b-"], [b"a", b"b", b""]),
    ("splitList", [b"", b"a\xc3\xa9\xff"], [b"a", b"\xc3\xa9", b"\xff"]),
    ("splitList", [b"", b""], []),
    ("split", [b"$", b"foo$bar"], {b"_0": b"foo", b"_1": b"bar"}),
    ("splitn", [b"$", 2, b"a$b$c"], {b"_0": b"a", b"_1": b"b$c"}),
    ("splitn", [b"$", 0, b"a$b"], {}),
    ("splitn", [b"", 2, b"\xc3\xa9\xc3\xa0\xc3\xbc"], {b"_0": b"\xc3\xa9", b"_1": b"\xc3\xa0\xc3\xbc"}),
    ("splitn", [b"$", -1, b"a$b"], {b"_0": b"a", b"_1": b"b"}),
    ("trim", [b" a\xc3\xa9b "], b"a\xc3\xa9b"),
    ("replace", [b"x", b"y", b"abc"], b"abc"),
    ("wrap", [3, b"abcdef"], b"abcdef"),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_texts_are_cut_joined_and_quoted_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("substr", [-1, 9, b"abc"], "runtime error: slice bounds out of range"),
        ("substr", [-1, -1, b"abc"], "runtime error: slice bounds out of range"),
        ("substr", [4, -1, b"abc"], "runtime error: slice bounds out of range"),
        ("substr", [2, 1, b"abc"], "runtime error: slice bounds out of range"),
        ("repeat", [-1, b"a"], "strings: negative Repeat count"),
        ("repeat", [1 << 62, b"ab"], "strings: Repeat output length overflow"),
        ("indent", [-1, b"a"], "strings: negative Repeat count"),
        ("nindent", [-1, b"a"], "strings: negative Repeat count"),
    ],
)
def test_what_makes_go_panic_is_an_error(name, arguments, text):
    with pytest.raises(FunctionError) as raised:
        call(name, *arguments)

    assert text == str(raised.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("repeat", [1 << 40, b"x"]),
        ("indent", [1 << 40, b"x"]),
        ("nindent", [MIB, b"\n" * 1000]),
        ("replace", [b"", b"x" * MIB, b"abc" * 10]),
        ("replace", [b"a", b"b" * 1000, b"a" * MIB]),
        ("wrapWith", [1, b"x" * MIB, b"a" * 1000]),
        ("join", [b"x" * MIB, [b"a"] * 1000]),
        ("join", [b"", [b"x" * MIB] * 1000]),
        ("cat", [b"x" * MIB] * 100),
        ("quote", [b"x" * MIB] * 100),
        ("squote", [b"x" * MIB] * 100),
        ("splitList", [b"", b"a" * 2 * MIB]),
        ("split", [b"a", b"a" * 2 * MIB]),
        ("initials", [b"a " * 2 * MIB]),
        ("sortAlpha", [[b"x" * MIB + bytes([end]) for end in range(10)] * 300]),
        ("wrapWith", [1, b"", b"a" * 2 * MIB]),
        ("trimAll", ["é".encode() * 2 * MIB, "é".encode() * 2 * MIB]),
    ],
)
def test_what_would_take_too_much_is_refused_before_it_is_made(name, arguments):
    with pytest.raises(Exhausted):
        call(name, *arguments)


def test_searching_a_long_needle_again_and_again_is_charged_by_its_work():
    run = new_run()

    with pytest.raises(Exhausted):
        [call("contains", b"a" * 49 + b"b" + b"a" * 49, b"a" * 30_000, run=run) for _ in range(2000)]


def test_lists_of_strings_are_sorted_in_place_as_in_go():
    texts = Strings([b"b", b"a"])

    assert call("sortAlpha", texts) is texts
    assert Strings([b"a", b"b"]) == texts


def test_objects_are_printed_by_their_string_method():
    version = read_version(new_run(), b"v1.2")

    assert b"1.2.0" == call("toString", version) == call("cat", version)


def test_a_list_in_itself_is_an_error_not_the_end():
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(FunctionError, match="nests too deeply"):
        call("toString", endless)


def test_errors_hold_no_piece_of_the_text():
    secret = canary("cut").encode()

    with pytest.raises(FunctionError) as raised:
        call("substr", len(secret) + 1, -1, secret)

    assert canary("cut") not in str(raised.value)


@pytest.mark.parametrize(
    "chars", ["".join(map(chr, range(0x80, 0x200))), "\ufffdé" + "".join(map(chr, range(0x400, 0x440)))]
)
def test_long_sets_of_characters_are_trimmed_like_short_ones(chars):
    assert b"a" == call("trimAll", chars.encode(), (chars + "a" + chars[::-1]).encode())


def test_bytes_that_are_no_text_are_trimmed_by_any_such_byte():
    assert b"a\xffb" == call("trimAll", b"\xfe" + bytes(range(0x80, 0xA0)) + b"\xc3\xa9", b"\xffa\xffb\x81")
