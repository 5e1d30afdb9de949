"""Letter case: what Go makes of the same texts, one character at a time."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.casing import group
from keyferry.gotemplate.text import characters


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


AS_GO = [
    ("upper", [b"hello"], b"HELLO"),
    (
        "upper",
        [b"\xc3\xa9\xc3\x9f\xc5\x89\xe1\xbe\xb3\xc7\x86\xc4\xb1"],
        b"\xc3\x89\xc3\x9f\xc5\x89\xe1\xbe\xbc\xc7\x84I",
    ),
    ("upper", [b"a\xff"], b"A\xef\xbf\xbd"),
    ("lower", [b"\xc3\x89\xc4\xb0\xce\xa3\xc7\x85\xce\xa3"], b"\xc3\xa9i\xcf\x83\xc7\x86\xcf\x83"),
    ("lower", [b"A\xffB"], b"a\xef\xbf\xbdb"),
    ("title", [b"hello wOrld a_b 1a-b"], b"Hello WOrld A_b 1a-B"),
    (
        "title",
        [b"\xc7\x86 \xc3\xa9\xc2\xa0\xc3\xa9x\xe2\x80\x94y"],
        b"\xc7\x85 \xc3\x89\xc2\xa0\xc3\x89x\xe2\x80\x94y",
    ),
    ("untitle", [b"Hello World\tA-B"], b"hello world\ta-B"),
    ("untitle", [b"\xc3\x89 \xc3\x80"], b"\xc3\xa9 \xc3\xa0"),
    ("swapcase", [b"Hello wORLD"], b"hELLO World"),
    ("swapcase", [b"\xc3\x89 \xc7\x86 x\xc7\x86 \xc7\x85"], b"\xc3\xa9 \xc7\x85 X\xc7\x84 \xc7\x86"),
    ("snakecase", [b"FirstName"], b"first_name"),
    ("snakecase", [b"HTTPServer"], b"http_server"),
    ("snakecase", [b"NoHTTPS"], b"no_https"),
    ("snakecase", [b"GO_PATH"], b"go_path"),
    ("snakecase", [b"GO PATH"], b"go_path"),
    ("snakecase", [b"GO-PATH"], b"go_path"),
    ("snakecase", [b"http2xx"], b"http_2xx"),
    ("snakecase", [b"HTTP20xOK"], b"http_20x_ok"),
    ("snakecase", [b"Duration2m3s"], b"duration_2m3s"),
    ("snakecase", [b"Bld4Floor3rd"], b"bld4_floor_3rd"),
    ("snakecase", [b"_complex__case_"], b"_complex__case_"),
    ("snakecase", [b"--"], b"__"),
    ("snakecase", [b"_"], b"_"),
    ("snakecase", [b"a.b-C"], b"a.b_c"),
    ("snakecase", [b".-A"], b".-a"),
    ("snakecase", [b"ABc1"], b"a_bc1"),
    ("snakecase", [b"1A"], b"1_a"),
    ("snakecase", [b"x$Y"], b"x_$_y"),
    ("snakecase", [b""], b""),
    ("snakecase", [b"\xe6\x97\xa5\xe6\x9c\xacGo"], b"\xe6\x97\xa5\xe6\x9c\xac_go"),
    ("snakecase", [b"\xc3\x89t\xc3\xa9\xc3\x80"], b"\xc3\xa9t\xc3\xa9_\xc3\xa0"),
    ("snakecase", [b"A\xffBc\xff"], b"a_\xef\xbf\xbdbc\xef\xbf\xbd"),
    ("snakecase", [b"\xff"], b"\xff"),
    ("snakecase", [b"some words"], b"some_words"),
    ("snakecase", [b"GOLANG_IS_GREAT"], b"golang_is_great"),
    ("kebabcase", [b"FirstName"], b"first-name"),
    ("kebabcase", [b"HTTPServer"], b"http-server"),
    ("kebabcase", [b"NoHTTPS"], b"no-https"),
    ("kebabcase", [b"GO_PATH"], b"go-path"),
    ("kebabcase", [b"GO PATH"], b"go-path"),
    ("kebabcase", [b"GO-PATH"], b"go-path"),
    ("kebabcase", [b"http2xx"], b"http-2xx"),
    ("kebabcase", [b"HTTP20xOK"], b"http-20x-ok"),
    ("kebabcase", [b"Duration2m3s"], b"duration-2m3s"),
    ("kebabcase", [b"Bld4Floor3rd"], b"bld4-floor-3rd"),
    ("kebabcase", [b"_complex__case_"], b"-complex--case-"),
    ("kebabcase", [b"--"], b"--"),
    ("kebabcase", [b"_"], b"-"),
    ("kebabcase", [b"a.b-C"], b"a.b-c"),
    ("kebabcase", [b".-A"], b".-a"),
    ("kebabcase", [b"ABc1"], b"a-bc1"),
    ("kebabcase", [b"1A"], b"1-a"),
    ("kebabcase", [b"x$Y"], b"x-$-y"),
    ("kebabcase", [b""], b""),
    ("kebabcase", [b"\xe6\x97\xa5\xe6\x9c\xacGo"], b"\xe6\x97\xa5\xe6\x9c\xac-go"),
    ("kebabcase", [b"\xc3\x89t\xc3\xa9\xc3\x80"], b"\xc3\xa9t\xc3\xa9-\xc3\xa0"),
    ("kebabcase", [b"A\xffBc\xff"], b"a-\xef\xbf\xbdbc\xef\xbf\xbd"),
    ("kebabcase", [b"\xff"], b"\xff"),
    ("kebabcase", [b"some words"], b"some-words"),
    ("kebabcase", [b"GOLANG_IS_GREAT"], b"golang-is-great"),
    ("camelcase", [b"FirstName"], b"FirstName"),
    ("camelcase", [b"HTTPServer"], b"Httpserver"),
    ("camelcase", [b"NoHTTPS"], b"NoHTTPS"),
    ("camelcase", [b"GO_PATH"], b"GoPath"),
    ("camelcase", [b"GO PATH"], b"GoPath"),
    ("camelcase", [b"GO-PATH"], b"GoPath"),
    ("camelcase", [b"http2xx"], b"Http2xx"),
    ("camelcase", [b"HTTP20xOK"], b"Http20xOK"),
    ("camelcase", [b"Duration2m3s"], b"Duration2m3s"),
    ("camelcase", [b"Bld4Floor3rd"], b"Bld4Floor3rd"),
    ("camelcase", [b"_complex__case_"], b"_Complex_Case_"),
    ("camelcase", [b"--"], b"---"),
    ("camelcase", [b"_"], b"__"),
    ("camelcase", [b"a.b-C"], b"A.bC"),
    ("camelcase", [b".-A"], b".A"),
    ("camelcase", [b"ABc1"], b"Abc1"),
    ("camelcase", [b"1A"], b"1A"),
    ("camelcase", [b"x$Y"], b"X$Y"),
    ("camelcase", [b""], b""),
    ("camelcase", [b"\xe6\x97\xa5\xe6\x9c\xacGo"], b"\xe6\x97\xa5\xe6\x9c\xacGo"),
    ("camelcase", [b"\xc3\x89t\xc3\xa9\xc3\x80"], b"\xc3\x89t\xc3\xa9\xc3\x80"),
    ("camelcase", [b"A\xffBc\xff"], b"A\xef\xbf\xbdBc\xef\xbf\xbd"),
    ("camelcase", [b"\xff"], b"\xef\xbf\xbd"),
    ("camelcase", [b"some words"], b"SomeWords"),
    ("camelcase", [b"GOLANG_IS_GREAT"], b"GolangIsGreat"),
    ("snakecase", [b"a1-"], b"a1_"),
    ("snakecase", [b"ab12."], b"ab12."),
    ("snakecase", [b"a1B"], b"a1_b"),
    ("snakecase", [b"12ab3C"], b"12ab3_c"),
    ("snakecase", [b"1-a"], b"1_a"),
    ("snakecase", [b"a1"], b"a1"),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_case_is_changed_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


def test_every_character_changes_case_alone():
    """Python's own methods know longer forms, and look at neighbours; Go does neither."""
    run = new_run()
    for code in (*range(0xD800), *range(0xE000, 0x11000)):
        char = chr(code)
        assert 1 == len(characters.upper(run, char)) == len(characters.lower(run, char)), hex(code)
        assert "x" + characters.upper_char(char) == characters.upper(run, "x" + char)[
            :1
        ].lower() + characters.upper(run, char)
        assert characters.lower_char(char) == characters.lower(run, "A" + char)[1:]


@pytest.mark.parametrize(
    ("char", "category"),
    [
        ("\U00011f02", "Lo"),
        ("\U00011f43", "Po"),
        ("\U0001df25", "Ll"),
        ("\U0001e4f0", "Nd"),
        ("\U00031350", "Lo"),
        ("\U00011f11", "Cn"),
        ("\u0378", "Cn"),
        ("\u1c89", "Cn"),
        ("\U00010d50", "Cn"),
        ("a", "Ll"),
    ],
)
def test_categories_are_those_of_unicode_15_with_each_python(char, category):
    assert category == characters.category(char)


@pytest.mark.parametrize("char", ["\u0264", "\u019b", "\ua7cb", "\U00010d70"])
def test_characters_that_got_a_case_after_unicode_15_stay_as_they_are(char):
    run = new_run()

    assert char == characters.upper(run, char) == characters.lower(run, char) == characters.title_char(char)


@pytest.mark.parametrize("name", ["snakecase", "kebabcase", "camelcase", "title", "swapcase"])
def test_long_texts_are_charged_by_their_work(name):
    with pytest.raises(Exhausted):
        call(name, "aB1é ".encode() * 300_000)


def test_texts_without_utf8_cost_more_for_their_words():
    with pytest.raises(Exhausted):
        call("snakecase", b"a\xff" * 100_000)


def test_no_function_here_fails_for_any_text():
    for name in group.functions:
        for text in (b"", b"\xff\xfe", "\U0010ffff\u0000".encode()):
            try:
                call(name, text)
            except FunctionError:
                pytest.fail(name)
