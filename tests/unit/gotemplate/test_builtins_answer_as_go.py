"""The built-in functions: arguments, with what Go returns for them, printed; and Go's errors.

Three errors are other than Go's, which quote values or the call: an index out of range tells the length, values
that cannot be compared only their types, and what cannot be called its type.
"""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.functions.builtins import group as builtins
from keyferry.gotemplate.functions.certificates import Certificate
from keyferry.gotemplate.text.fmt import print_value
from keyferry.gotemplate.text.goversion import Version, VersionStruct
from keyferry.gotemplate.times.goduration import Duration
from keyferry.gotemplate.values import ByteSlice, Int64, StringMap, Uint8, Uint64
from keyferry.testing.leaks import canary

RESULTS = [
    ("and", [1, b"", 0], b""),
    ("and", [1, b"x"], b"x"),
    ("and", [[]], b"[]"),
    ("or", [0, b"", b"x", 1], b"x"),
    ("or", [0, b""], b""),
    ("or", [None, {}], b"map[]"),
    ("not", [b""], b"true"),
    ("not", [None], b"true"),
    ("not", [{b"a": 1}], b"false"),
    ("not", [0.0], b"true"),
    ("len", [b"\xc3\xa9"], b"2"),
    ("len", [[1, 2]], b"2"),
    ("len", [{b"a": 1}], b"1"),
    ("len", [ByteSlice(b"abc")], b"3"),
    ("index", [[b"a", b"b"], 1], b"b"),
    ("index", [[b"a", b"b"], Int64(1)], b"b"),
    ("index", [[b"a", b"b"], Uint8(1)], b"b"),
    ("index", [{b"a": {b"b": [7]}}, b"a", b"b", 0], b"7"),
    ("index", [StringMap({b"a": b"x"}), b"missing"], b""),
    ("index", [{b"a": 1}, b"missing"], b"<no value>"),
    ("index", [b"abc", 1], b"98"),
    ("index", [ByteSlice(b"abc"), 1], b"98"),
    ("index", [b"abc"], b"abc"),
    ("index", [[Duration(5)], Duration(0)], b"5ns"),
    ("eq", [b"a", b"b", b"a"], b"true"),
    ("eq", [b"a", b"b"], b"false"),
    ("eq", [1, Int64(1)], b"true"),
    ("eq", [1, Uint8(1)], b"true"),
    ("eq", [-1, Uint64(18446744073709551615)], b"false"),
    ("eq", [Uint64(18446744073709551615), -1], b"false"),
    ("eq", [1, 1, b"x"], b"true"),
    ("eq", [None, None], b"true"),
    ("eq", [None, 1], b"false"),
    ("eq", [1, None], b"false"),
    ("eq", [[], None], b"false"),
    ("eq", [Duration(5), 5], b"true"),
    ("eq", [Certificate(b"c", b"k"), Certificate(b"c", b"k")], b"true"),
    ("eq", [Certificate(b"c", b"k"), Certificate(b"c", b"l")], b"false"),
    ("eq", [float("nan"), float("nan")], b"false"),
    ("eq", [Version((1, 2, 3), b"", b"", b"1.2.3"), Version((1, 2, 3), b"", b"", b"1.2.3")], b"false"),
    ("ne", [1, 2], b"true"),
    ("ne", [None, b""], b"true"),
    ("lt", [1, 2], b"true"),
    ("lt", [b"B", b"a"], b"true"),
    ("lt", [-1, Uint8(0)], b"true"),
    ("lt", [Uint8(0), -1], b"false"),
    ("lt", [1.5, 2.5], b"true"),
    ("le", [1, 1], b"true"),
    ("le", [b"b", b"a"], b"false"),
    ("le", [float("nan"), 1.0], b"false"),
    ("gt", [2, 1], b"true"),
    ("gt", [float("nan"), 1.0], b"true"),
    ("ge", [1, 1], b"true"),
    ("ge", [1, 2], b"false"),
    ("print", [b"a", 1, 2, b"b", None, None], b"a1 2b<nil> <nil>"),
    ("print", [], b""),
    ("print", [[1, b"a"], {b"k": 1.0}, True], b"[1 a] map[k:1] true"),
    ("println", [b"a", 1, None], b"a 1 <nil>\n"),
    ("println", [], b"\n"),
    (
        "html",
        [b"<a href=\"x\">'&'\x00</a>"],
        b"&lt;a href=&#34;x&#34;&gt;&#39;&amp;&#39;\xef\xbf\xbd&lt;/a&gt;",
    ),
    ("html", [None], b"&lt;no value&gt;"),
    ("html", [b"a", 1, 2], b"a1 2"),
    ("html", [[b"<"]], b"[&lt;]"),
    (
        "js",
        [b'it\'s "<b>" & \\ = \n \xc3\xa9 \xff \xc2\xad'],
        b'it\\\'s \\"\\u003Cb\\u003E\\" \\u0026 \\\\ \\u003D \\u000A \xc3\xa9 \xff \\u00AD',
    ),
    ("js", [b"plain"], b"plain"),
    ("js", [1, None], b"1\\u003Cno value\\u003E"),
    ("js", [b"\xf3\xa0\x80\x81\xe2\x80\xa8"], b"\\uE0001\\u2028"),
    ("urlquery", [b"a b&c=d/\xc3\xa9~-_.*"], b"a+b%26c%3Dd%2F%C3%A9~-_.%2A"),
    ("urlquery", [b""], b""),
    ("urlquery", [1, 2, b"x"], b"1+2x"),
    ("urlquery", [None], b"%3Cno+value%3E"),
]
ERRORS = [
    ("len", [5], "len of type int"),
    ("len", [Certificate(b"", b"")], "len of type sprig.certificate"),
    ("len", [Version((1, 2, 3), b"", b"", b"1.2.3")], "len of type semver.Version"),
    ("index", [None, 1], "index of untyped nil"),
    ("index", [{b"a": None}, b"a", b"b"], "index of nil pointer"),
    ("index", [[1], b"x"], "cannot index slice/array with type string"),
    ("index", [[1], None], "cannot index slice/array with nil"),
    ("index", [[1], 1.0], "cannot index slice/array with type float64"),
    ("index", [[1], True], "cannot index slice/array with type bool"),
    ("index", [{b"a": 1}, 1], "value has type int; should be string"),
    ("index", [StringMap({}), None], "value is nil; should be of type string"),
    ("index", [5, 1], "can't index item of type int"),
    ("index", [Version((1, 2, 3), b"", b"", b"1.2.3"), 1], "can't index item of type semver.Version"),
    ("call", [b"x"], "non-function of type string"),
    ("call", [None], "call of nil"),
    ("call", [[1], 2], "non-function of type []interface {}"),
    ("eq", [1, 1.0], "incompatible types for comparison: int and float64"),
    ("eq", [True, 1], "incompatible types for comparison: bool and int"),
    ("eq", [b"a", 1], "incompatible types for comparison: string and int"),
    ("eq", [1], "missing argument for comparison"),
    ("eq", [1, b"x", 1], "incompatible types for comparison: int and string"),
    ("eq", [[], []], "non-comparable type []interface {}"),
    ("eq", [{}, []], "non-comparable types map[string]interface {}, []interface {}"),
    ("eq", [{}, 1], "incompatible types for comparison: map[string]interface {} and int"),
    ("ne", [b"a", 1], "incompatible types for comparison: string and int"),
    ("lt", [1, 1.5], "incompatible types for comparison: int and float64"),
    ("lt", [True, False], "invalid type for comparison"),
    ("lt", [None, 1], "invalid type for comparison"),
    ("lt", [1, None], "invalid type for comparison"),
    ("lt", [[1], [2]], "invalid type for comparison"),
    ("le", [1, b"a"], "incompatible types for comparison: int and string"),
    ("gt", [1, b"x"], "incompatible types for comparison: int and string"),
    ("ge", [None, 1], "invalid type for comparison"),
    ("index", [[1, 2], 2], "index out of range: the length is 2"),
    ("index", [b"ab", -1], "index out of range: the length is 2"),
    ("index", [b"ab", Uint64(2**64 - 1)], "index out of range: the length is 2"),
    ("len", [None], "len of nil pointer"),
]


def call(name, *args):
    run = Run(Limits(), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)
    return builtins.functions[name].call(run, *args)


def printed(name, args):
    run = Run(Limits(), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)
    return print_value(run, call(name, *args))


@pytest.mark.parametrize(("name", "args", "expected"), RESULTS)
def test_a_call_returns_what_go_does(name, args, expected):
    assert expected == printed(name, args)


@pytest.mark.parametrize(("name", "args", "expected"), ERRORS)
def test_a_call_fails_as_in_go(name, args, expected):
    with pytest.raises(FunctionError) as caught:
        call(name, *args)

    assert expected == str(caught.value)


def test_indexing_bytes_gives_a_byte():
    assert type(call("index", b"abc", 0)) is Uint8
    assert type(call("index", ByteSlice(b"abc"), 0)) is Uint8


def test_structs_are_equal_by_their_fields():
    first, same, other = (VersionStruct((1, 2, 3), pre, b"", b"1.2.3") for pre in (b"", b"", b"rc"))

    assert call("eq", first, same)
    assert not call("eq", first, other)
    assert not call("eq", Certificate(b"", b""), first)


def test_pointers_are_equal_to_themselves():
    version = Version((1, 2, 3), b"", b"", b"1.2.3")

    assert call("eq", version, version)


@pytest.mark.parametrize("name", sorted(builtins.functions.keys() - {"print", "printf", "println"}))
def test_no_error_has_a_piece_of_a_value(name):
    secret = canary("built-in").encode()
    number = 918273645
    arguments = ([secret], {secret: [secret]}, secret, number, None, Certificate(secret, secret))

    errors = []
    for first in arguments:
        for second in arguments:
            try:
                call(name, first, second)
            except FunctionError as error:
                errors.append(str(error))
            except TypeError:
                # A function of one argument: the engine does not call it with two.
                continue

    assert errors or name in {"and", "or", "not", "len", "html", "js", "urlquery"}
    assert not [text for text in errors if canary("built-in")[:8] in text or str(number) in text]


def test_each_function_is_there_but_slice():
    names = "and call eq ge gt html index js le len lt ne not or print printf println urlquery"

    assert names.split() == sorted(builtins.functions)
