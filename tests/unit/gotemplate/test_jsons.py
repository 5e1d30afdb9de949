"""JSON in and out: what Go's encoding/json makes of it."""

from __future__ import annotations

import time

import pytest

from keyferry.gotemplate import Limits, Run
from keyferry.gotemplate.functions.certificates import Certificate
from keyferry.gotemplate.serial.gojson import JSONError, NumberOverflow, marshal, unmarshal
from keyferry.testing.leaks import canary

RESULTS = [
    (
        "toJson (dict `b` 1 `a` (list 1.5 nil true `x<y>&`))",
        b'{"a":[1.5,null,true,"x\\u003cy\\u003e\\u0026"],"b":1}',
    ),
    ("toRawJson (dict `k<` `x<y>&`)", b'{"k<":"x<y>&"}'),
    (
        "toPrettyJson (dict `a` (list 1 (dict) (list)) `b` (dict `c` 1))",
        b'{\n  "a": [\n    1,\n    {},\n    []\n  ],\n  "b": {\n    "c": 1\n  }\n}',
    ),
    ("toPrettyJson (list)", b"[]"),
    ("toJson nil", b"null"),
    ("toJson $", b'{"x":"1","y":"\\u003cb\\u003e"}'),
    ("toJson (until 3)", b"[0,1,2]"),
    ("toJson (chunk 1 (until 2))", b"[[0],[1]]"),
    (
        "toJson (list 1e6 1e20 1e21 1e-6 1e-7 0.1 123456789.125 (float64 `-0`) 1e300)",
        b"[1000000,100000000000000000000,1e+21,0.000001,1e-7,0.1,123456789.125,-0,1e+300]",
    ),
    ("toJson (int64 5)", b"5"),
    ("toJson (semver `1.2.3-a+b`)", b'"1.2.3-a+b"'),
    ("toJson (b64dec `/w==`)", b'"\\ufffd"'),
    ("toJson (b64dec `4oCo4oCp`)", b'"\\u2028\\u2029"'),
    ("toJson (b64dec `AAEIDAoNCRsfIn9c`)", b'"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001b\\u001f\\"\x7f\\\\"'),
    ("toJson `é😀`", b'"\xc3\xa9\xf0\x9f\x98\x80"'),
    ("mustToJson (list)", b"[]"),
    ("mustToPrettyJson (dict `a` 1)", b'{\n  "a": 1\n}'),
    ("mustToRawJson `<`", b'"<"'),
    ("toJson (float64 `nan`) | quote", b'""'),
    ("{{ $d := dict }}{{ $_ := set $d `a` $d }}{{ toJson $d | quote }}", b'""'),
    ("toJson (dict (b64dec `/w==`) 1)", b'{"\\ufffd":1}'),
    ('fromJson `{"a":[1,2.5,null,{}],"b":"x"}`', b"map[a:[1 2.5 <nil> map[]] b:x]"),
    ("typeOf (fromJson `1`)", b"float64"),
    ("fromJson `12345678901234567890`", b"1.2345678901234567e+19"),
    ('fromJson `{"a":1,"a":2}`', b"map[a:2]"),
    ("fromJson `[1e999,2]` | toJson", b"[null,2]"),
    ('fromJson `"\\ud800x\\ud83d\\ude00"`', b"\xef\xbf\xbdx\xf0\x9f\x98\x80"),
    ('fromJson `{"\\ud800":1,"\\ufffd":2,"\\ud800":3}` | toJson', b'{"\xef\xbf\xbd":3}'),
    ("fromJson `{` | kindOf", b"invalid"),
    ("fromJson `` | kindOf", b"invalid"),
    ("fromJson `NaN` | kindOf", b"invalid"),
    ("fromJson `[1,]` | kindOf", b"invalid"),
    ("fromJson `1 2` | kindOf", b"invalid"),
    ("fromJson ` [ 1 , 2 ] `", b"[1 2]"),
    ('fromJson (printf `"a%sb"` (b64dec `/+KC`)) | toJson', b'"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdb"'),
    ('mustFromJson `"\\u00e9\\/"`', b"\xc3\xa9/"),
]
BOMBS = [
    "{{ fromJson (printf `%s` (repeat 100000 `[`)) }}",
    "{{ fromJson (printf `[%s1]` (repeat 500000 `1,`)) }}",
    "{{ fromJson (printf `[%s1]` (repeat 300000 `{},`)) }}",
    "{{ $x := list 1 }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ toJson $x | len }}",
    "{{ $x := list 1 }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ toPrettyJson $x | len }}",
    "{{ $x := dict `a` 1 }}{{ range until 120 }}{{ $x = dict `a` $x }}{{ end }}{{ toJson $x }}",
]


@pytest.mark.parametrize(("text", "output"), RESULTS)
def test_output_is_that_of_go(rendered, text, output):
    assert rendered(text) == output


@pytest.mark.parametrize("text", BOMBS)
def test_what_asks_for_too_much_ends_soon(asks_too_much, text):
    asks_too_much(text)


def new_run() -> Run:
    return Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=bytes)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%s", "invalid character looking for beginning of value (line 1, column 1)"),
        ("[%s]", "invalid character looking for beginning of value (line 1, column 2)"),
        ('{"a" %s}', "invalid character after object key (line 1, column 6)"),
        ("{%s}", "invalid character looking for beginning of object key string (line 1, column 2)"),
        ("[1 %s]", "invalid character after an element or a key:value pair (line 1, column 4)"),
        ("1\n %s", "invalid character after top-level value (line 2, column 2)"),
        ('"%s', "unexpected end of JSON input"),
        ('"%s\\x"', "invalid character in string escape code"),
        ('"\\u1z%s"', "invalid character in \\u hexadecimal character escape"),
        ('"%s\n"', "invalid character in string literal"),
        ('{"%s": 1', "unexpected end of JSON input"),
    ],
)
def test_syntax_error_tells_the_place_and_nothing_of_the_content(form, said):
    secret = canary("json")

    with pytest.raises(JSONError) as caught:
        unmarshal(new_run(), (form % secret).encode())

    assert str(caught.value).startswith(said)
    assert secret not in str(caught.value)


def test_number_beyond_float64_is_an_error_that_has_all_the_rest():
    with pytest.raises(NumberOverflow) as caught:
        unmarshal(new_run(), b'{"a": [1e999, 2], "b": "x"}')

    assert caught.value.value == {b"a": [None, 2.0], b"b": b"x"}
    assert "999" not in str(caught.value)


def test_number_that_is_replaced_by_a_later_one_of_its_key_is_an_error_all_the_same():
    with pytest.raises(NumberOverflow) as caught:
        unmarshal(new_run(), b'{"a": 1e999, "a": 2}')

    assert caught.value.value == {b"a": 2.0}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_number_that_json_has_nothing_for_is_an_error(number):
    with pytest.raises(JSONError, match="infinite or no number"):
        marshal(new_run(), [number])


def test_map_in_itself_is_an_error_and_one_that_is_there_twice_is_not():
    inner = {b"a": 1}
    cyclic = {b"a": inner}
    cyclic[b"b"] = cyclic

    with pytest.raises(JSONError, match="encountered a cycle via map"):
        marshal(new_run(), cyclic)
    assert marshal(new_run(), [inner, inner]) == b'[{"a":1},{"a":1}]'


def test_certificate_is_written_as_its_fields():
    assert marshal(new_run(), Certificate(b"c", b"k")) == b'{"Cert":"c","Key":"k"}'
