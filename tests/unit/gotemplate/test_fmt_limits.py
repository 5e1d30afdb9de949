"""What a hostile author can ask of fmt and the escaping functions ends soon, and is paid for."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.builtins import group as builtins
from keyferry.gotemplate.text.fmt import print_value, sprint, sprintf, sprintln
from keyferry.gotemplate.text.goversion import Version
from keyferry.gotemplate.values import ByteSlice, Strings

SECONDS = 1.0
"""More than three times what is allowed, since tests share their processors."""


def new_run():
    return Run(Limits(), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def shared(levels):
    value = [b"0123456789"]
    for _ in range(levels):
        value = [value, value]
    return value


def escaped(name, text):
    return lambda run: builtins.functions[name].call(run, text)


BOMBS = {
    "lists that are twice in each other": lambda run: sprint(run, [shared(60)]),
    "the same as an action": lambda run: print_value(run, shared(60)),
    "the same with a verb": lambda run: sprintf(run, b"%#v", [shared(60)]),
    "wide numbers": lambda run: sprintf(run, b"%10000000d" * 50, [1] * 50),
    "wide texts": lambda run: sprintf(run, b"%-1000000s" * 50, [b"a"] * 50),
    "wide elements": lambda run: sprintf(run, b"%1000000v", [[1] * 1000]),
    "long fractions": lambda run: sprintf(run, b"%.10000000f" * 50, [1.5] * 50),
    "exact fractions": lambda run: sprintf(run, b"%.1100g", [[1.2e-300] * 100_000]),
    "many elements": lambda run: sprintln(run, [Strings([b""]) * 1_000_000]),
    "many verbs": lambda run: sprintf(run, b"%d" * 200_000, [1] * 200_000),
    "many bytes": lambda run: sprint(run, [ByteSlice(15_000_000)]),
    "many bytes in Go's syntax": lambda run: sprintf(run, b"%#v", [ByteSlice(4_000_000)]),
    "bytes in base 16": lambda run: sprintf(run, b"% #x", [bytes(15_000_000)]),
    "what must be quoted": lambda run: sprintf(run, b"%q", [b"\xff" * 15_000_000]),
    "what must be quoted in ASCII": lambda run: sprintf(run, b"%+q", ["😀".encode() * 3_000_000]),
    "many different characters": lambda run: sprintf(
        run, b"%q", ["".join(map(chr, range(0x10000, 0x110000))).encode() * 4]
    ),
    "one text many times": lambda run: sprintf(run, b"%[1]s" * 10_000, [b"a" * 100_000]),
    "html": escaped("html", b"&" * 15_000_000),
    "js": escaped("js", b"<" * 15_000_000),
    "urlquery": escaped("urlquery", b"&" * 15_000_000),
    "urlquery in small pieces": escaped("urlquery", b"&a" * 7_500_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_too_much_ends_soon(name, ends_soon):
    def work():
        with pytest.raises(Exhausted):
            BOMBS[name](new_run())

    ends_soon(work, SECONDS)


def in_itself():
    value = {b"first": [1]}
    value[b"again"] = [value]
    return value


@pytest.mark.parametrize("text", [b"%v", b"%d", b"%#v", b"%t"])
def test_a_value_in_itself_is_an_error(text):
    with pytest.raises(FunctionError, match=r"^the value nests too deeply$"):
        sprintf(new_run(), text, [in_itself()])


def test_an_action_with_a_value_in_itself_is_an_error():
    with pytest.raises(FunctionError, match=r"^the value nests too deeply$"):
        print_value(new_run(), in_itself())


def test_a_format_of_open_brackets_has_bad_indexes():
    assert sprintf(new_run(), b"%[d" * 20_000, []) == b"%!d(BADINDEX)" * 20_000


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparing_long_texts_is_paid_for(name):
    run = new_run()
    before = run.steps

    builtins.functions[name].call(run, b"a" * 10_000_000, b"a" * 10_000_000)

    assert before - run.steps > 30_000


def test_a_long_text_without_escapes_is_quoted_within_the_budget():
    text = "日本語".encode() * 100_000

    assert sprintf(new_run(), b"%q", [text]) == b'"' + text + b'"'


def test_addresses_are_always_the_same():
    version = Version((1, 2, 3), b"", b"", b"1.2.3")
    values = ([1], {b"a": 1}, ByteSlice(b"x"), version)

    assert {sprintf(new_run(), b"%p", [value]) for value in values} == {b"0xc000012000"}
    assert sprintf(new_run(), b"%x %o %t %#v", [[version]] * 4) == (
        b"[312e322e33] [14000000220000] [%!t(*semver.Version=&{1 2 3   1.2.3})]"
        b" []interface {}{(*semver.Version)(0xc000012000)}"
    )
