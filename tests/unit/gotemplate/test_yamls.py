"""YAML in and out: what sigs.k8s.io/yaml makes of it."""

from __future__ import annotations

import time

import pytest
import yaml

from keyferry.gotemplate import Limits, Run, StringMap, parse
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.serial.gojson import JSONError, marshal, unmarshal
from keyferry.gotemplate.serial.goyaml import YAMLError, dump, load, load_string_map
from keyferry.testing.leaks import canary

READ = [
    (
        b"a: 1\nb: true\nc: null\nd: 1.5\ne: 2001-01-01\nf: 1e10\n",
        b'{"a":1,"b":true,"c":null,"d":1.5,"e":"2001-01-01","f":10000000000}',
    ),
    (b"y: n\nYes: off\n~x: TRUE\n", b'{"true":false,"~x":true}'),
    (
        b"- 010\n- 0o7\n- 0x1F\n- 0b11\n- 1_000\n- 08\n- .5\n- 1.\n- +.5e3\n- 1:30\n- 18446744073709551615\n- 18446744073709551616\n- -0\n- -0.0\n- 0xFFFFFFFFFFFFFFFFF\n- 1e999\n",
        b'[8,7,31,3,1000,8,0.5,1,500,"1:30",18446744073709552000,18446744073709552000,0,-0,"0xFFFFFFFFFFFFFFFFF","1e999"]',
    ),
    (
        b"- 2001-1-1\n- 2001-02-29\n- 2001-12-14t21:59:43.10-05:00\n- 2001-1-1  1:1:1\n",
        b'["2001-1-1","2001-02-29","2001-12-14t21:59:43.10-05:00","2001-1-1  1:1:1"]',
    ),
    (b"- ~\n-\n- null\n- Null\n- nULL\n- ''\n- \"\"\n", b'[null,null,null,null,"nULL","",""]'),
    (
        b"- !!str 1\n- !!int '5'\n- !!float 5\n- !!binary YWI=\n- ! 1\n- !foo 1\n- !!null null\n- !!bool y\n- !!timestamp 2001-01-01\n",
        b'["1",5,5,"ab","1","1",null,true,"2001-01-01"]',
    ),
    (
        b"1: a\n1.5: b\ntrue: c\n2001-01-01: d\n.nan: e\n1e10: f\n!!binary YQ==: g\n0x10: h\n",
        b'{".nan":"e","1":"a","1.5":"b","16":"h","1e+10":"f","2001-01-01":"d","a":"g","true":"c"}',
    ),
    (b"a: 1\na: 2\n", b'{"a":2}'),
    (
        b"a: &x {p: 1, q: [1, 2]}\nb: *x\nc: {<<: *x, p: 3}\nd: {p: 3, <<: *x}\n",
        b'{"a":{"p":1,"q":[1,2]},"b":{"p":1,"q":[1,2]},"c":{"p":3,"q":[1,2]},"d":{"p":1,"q":[1,2]}}',
    ),
    (
        b"a: &x {p: 1}\nb: &y {p: 2, q: 3}\nc: {<<: [*x, *y]}\nd: {'<<': 1}\n",
        b'{"a":{"p":1},"b":{"p":2,"q":3},"c":{"p":1,"q":3},"d":{"\\u003c\\u003c":1}}',
    ),
    (
        b"a: |\n  x\n\n   y\nb: >-\n  x\n  y\n\n  z\nc: |+\n  x\n\nd: \"a\\\n  b\\tc\\x41\\u00e9\\U0001F600\"\ne: 'it''s\n\n  x'\n",
        b'{"a":"x\\n\\n y\\n","b":"x y\\nz","c":"x\\n\\n","d":"ab\\tcA\xc3\xa9\xf0\x9f\x98\x80","e":"it\'s\\nx"}',
    ),
    (b"%YAML 1.1\n---\na: 1\n...\n", b'{"a":1}'),
    (b"a: 1\n---\nb: 2\n", b'{"a":1}'),
    (b"a: 1\n---\n]\n", b'{"a":1}'),
    (b"# nothing\n", b"null"),
    (b"", b"null"),
    (b'{"a":[1,"b",null],"c":{}}', b'{"a":[1,"b",null],"c":{}}'),
    (b"? a\n: b\n? c\n", b'{"a":"b","c":null}'),
    (b"\xef\xbb\xbfa: 1\n", b'{"a":1}'),
    (b"a: .nan\na: 1\n", b'{"a":1}'),
    (b"a: {null: 1}\na: 1\n", b'{"a":1}'),
    (b"[a: 1, b: 2]", b'[{"a":1},{"b":2}]'),
    (b"a: <<\n", b'{"a":"\\u003c\\u003c"}'),
    (b"&a a: *a\n", b'{"a":"a"}'),
    (b"a:\n - b\n  c\n", b'{"a":["b c"]}'),
]
REFUSED = [
    b"- *x\n",
    b"a: &x [*x]\n",
    b"{a?b: 1}",
    b'"a\\/b"',
    b"a: .inf\n",
    b"null: 1\n",
    b"[1]: 2\n",
    b"18446744073709551615: 1\n",
    b"a: !!int x\n",
    b"a: !!binary x\n",
    b"a: {<<: 1}\n",
    b"%YAML 1.2\n---\na: 1\n",
    b"a: \x01\n",
    b"a: \xff\n",
    b"a: [1\n",
    b"a: b: c\n",
    b"\ta: 1\n",
    b"a: 'x\n",
    b"a: @x\n",
    b"a: !e!x 1\n",
]
STRING_MAPS = [
    (
        b"a: 1\nb: true\nc: null\nd: 1.5\ne: x\nf: 10000000\ng: 1e7\nh: 123456789.125\ni: .inf\nj: 0x10\nk: y\nl: 2001-01-01\nm: !!binary YQ==\nn: 18446744073709551615\no: -0.0\np: 1e-7\nq: 3.4e39\nr: 16777217.0\n",
        b'{"a":"1","b":"true","c":"","d":"1.5","e":"x","f":"10000000","false":"18446744073709551615","g":"1e+07","h":"1.2345679e+08","i":"+Inf","j":"16","k":"true","l":"2001-01-01","m":"a","o":"-0","p":"1e-07","q":"+Inf","r":"1.6777216e+07"}',
    ),
    (b"a: &x 5\nb: *x\n", b'{"a":"5","b":"5"}'),
    (b"", b"{}"),
    (b"null", b"{}"),
    (b"1: a\n", b'{"1":"a"}'),
]
WRITTEN = [
    (
        b'{"a":"word word word word word word word word word word word word word word word word word word"}',
        b"a: word word word word word word word word word word word word word word word word\n  word word\n",
    ),
    (
        b'{"a":"x: word word word word word word word word word word word word word word word word word it\'s  two"}',
        b"a: 'x: word word word word word word word word word word word word word word word\n  word word it''s  two'\n",
    ),
    (
        b'{"a":"tab\\t word word word word word word word word word word word word word word  word word word word"}',
        b'a: "tab\\t word word word word word word word word word word word word word word  word\n  word word word"\n',
    ),
    (
        b'{"l":[1,[2,[]],{},{"a":{"b":"x\\ny"}}],"m":{}}',
        b"l:\n- 1\n- - 2\n  - []\n- {}\n- a:\n    b: |-\n      x\n      y\nm: {}\n",
    ),
    (
        b'{"a\\nb":[1,{"k":"v"}],"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk":1}',
        b"? |-\n  a\n  b\n: - 1\n  - k: v\n? kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\n: 1\n",
    ),
    (
        b'["a\\n","a\\n\\n","\\na","\\n"," a\\nb","a\\nb","a \\nb","a\\tb\\nc","a\\n b"]',
        b'- |\n  a\n- |+\n  a\n\n- |2-\n\n  a\n- |2+\n\n- |2-\n   a\n  b\n- |-\n  a\n  b\n- "a \\nb"\n- "a\\tb\\nc"\n- |-\n  a\n   b\n',
    ),
    (
        b'["y","n","yes","null","~","","1","01","08","1_000","0x1F","0o7","0b1","1e3","1.","-",".5",".inf","-.inf",".nan","1:30","12:30:45","2001-01-01","<<","=","1e999","- a","-a","? a","?a",": a",":a","a: b","a:","a #b","a#b","#a","*a","&a","!a","|a",">a","%a","@a","`a","{","[a]","\'a","\\"a","a\'b","---","--- a","..."," a","a ","a  b","true","True"]',
        b"- \"y\"\n- \"n\"\n- \"yes\"\n- \"null\"\n- \"~\"\n- \"\"\n- \"1\"\n- \"01\"\n- \"08\"\n- \"1_000\"\n- \"0x1F\"\n- \"0o7\"\n- \"0b1\"\n- \"1e3\"\n- \"1.\"\n- '-'\n- \".5\"\n- \".inf\"\n- \"-.inf\"\n- \".nan\"\n- \"1:30\"\n- \"12:30:45\"\n- \"2001-01-01\"\n- <<\n- =\n- 1e999\n- '- a'\n- -a\n- '? a'\n- ?a\n- ': a'\n- :a\n- 'a: b'\n- 'a:'\n- 'a #b'\n- a#b\n- '#a'\n- '*a'\n- '&a'\n- '!a'\n- '|a'\n- '>a'\n- '%a'\n- '@a'\n- '`a'\n- '{'\n- '[a]'\n- '''a'\n- '\"a'\n- a'b\n- '---'\n- '--- a'\n- '...'\n- ' a'\n- 'a '\n- a  b\n- \"true\"\n- \"True\"\n",
    ),
    (
        b"[1,-1,1.5,1e6,1e20,1e21,1e-7,-0.0,18446744073709551615,123456789.125]",
        b"- 1\n- -1\n- 1.5\n- 1000000\n- 1e+20\n- 1e+21\n- 1e-07\n- 0\n- 1.8446744073709552e+19\n- 1.23456789125e+08\n",
    ),
    (
        b'{"a10":1,"a9":1,"a1":1,"a01":1,"_a":1,"B":1,"b":1,"a.b":1,"a-b":1,"9":1,"10":1}',
        b'_a: 1\n"9": 1\n"10": 1\nB: 1\na-b: 1\na.b: 1\na1: 1\na01: 1\na9: 1\na10: 1\nb: 1\n',
    ),
    (
        b'["\xc3\xa9","\xe6\x97\xa5\xe6\x9c\xac","\xf0\x9f\x98\x80","\\u00a0","\\u2028","a\\u2028b","\\ufeffa b","a\\ufeffb","\\u0001","\\u00ad","\\\\","\\u0085x","a \\u0085\\u0085 b"]',
        b'- \xc3\xa9\n- \xe6\x97\xa5\xe6\x9c\xac\n- "\\U0001F600"\n- \xc2\xa0\n- \'\xe2\x80\xa8\'\n- \'a\xe2\x80\xa8  b\'\n- "\\uFEFF\\x61\\x20\\x62"\n- "a\\uFEFFb"\n- "\\x01"\n- \xc2\xad\n- \\\n- \' x\'\n- |-\n  a\n  b\n',
    ),
    (b'"top"', b"top\n"),
    (b'"a\\nb"', b"|-\n  a\n  b\n"),
    (b"null", b"null\n"),
    (b"true", b"true\n"),
    (b"{}", b"{}\n"),
    (b"[]", b"[]\n"),
    (b"[[]]", b"- []\n"),
    (b'[[[1]],[{"a":[1]}]]', b"- - - 1\n- - a:\n    - 1\n"),
    (b'{"<<":"<<","":1,"true":2}', b'"": 1\n<<: <<\n"true": 2\n'),
]
PARSERS = [
    pytest.param(
        True,
        id="libyaml",
        marks=pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML is without libyaml here"),
    ),
    pytest.param(False, id="python"),
]
BOMBS = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "merged": f"a: &a {{{','.join(f'k{n}: 1' for n in range(3000))}}}\nb: {{{','.join(['<<: *a'] * 3000)}}}",
    "deep lists": "[" * 100_000,
    "deep maps": "{a: " * 50_000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(1500)),
    "many elements": "- a\n" * 250_000,
    "many maps": "[" + "{}," * 300_000 + "{}]",
    "many anchors": "".join(f"&a{n} a{n}: 1\n" for n in range(50_000)),
}


def new_run(steps: int = 100_000) -> Run:
    return Run(Limits(steps=steps), now_ns=0, monotonic=time.monotonic, random_bytes=bytes)


@pytest.mark.parametrize("native", PARSERS)
@pytest.mark.parametrize(("text", "as_json"), READ)
def test_document_is_read_as_go_reads_it(text, as_json, native):
    assert marshal(new_run(), load(new_run(), text, native=native)) == as_json


@pytest.mark.parametrize("native", PARSERS)
@pytest.mark.parametrize("text", REFUSED)
def test_document_that_go_refuses_is_refused(text, native):
    with pytest.raises(YAMLError):
        load(new_run(), text, native=native)


@pytest.mark.parametrize(("text", "as_json"), STRING_MAPS)
def test_map_of_strings_is_read_as_go_reads_it(text, as_json):
    assert marshal(new_run(), load_string_map(new_run(), text)) == as_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: [1]", "cannot unmarshal array into Go value of type string (key number 1)"),
        (b"a: {b: 1}", "cannot unmarshal object into Go value of type string (key number 1)"),
        (b"a: b\nc: []", "cannot unmarshal array into Go value of type string (key number 2)"),
        (b"- a", "cannot unmarshal array into Go value of type map[string]string"),
        (b"a", "cannot unmarshal string into Go value of type map[string]string"),
        (b"1", "cannot unmarshal number into Go value of type map[string]string"),
        (b"true", "cannot unmarshal bool into Go value of type map[string]string"),
    ],
)
def test_map_of_strings_says_which_key_is_none(text, said):
    with pytest.raises(YAMLError) as caught:
        load_string_map(new_run(), text)

    assert str(caught.value).endswith(said)


@pytest.mark.parametrize(("as_json", "text"), WRITTEN)
def test_value_is_written_as_go_writes_it(as_json, text):
    assert dump(new_run(), unmarshal(new_run(), as_json)) == text


@pytest.mark.parametrize(("as_json", "text"), [one for one in WRITTEN if b"<<: " not in one[1]])
def test_what_is_written_is_read_as_the_same(as_json, text):
    """Also texts with next-line characters, which have become others by then."""
    once = load(new_run(), text)

    assert load(new_run(), dump(new_run(), once)) == once
    if rb"\u0085" not in as_json:
        assert once == unmarshal(new_run(), as_json)


@pytest.mark.parametrize(
    "value",
    [
        b"\x7f",
        "\u0080".encode(),
        "\uffff".encode(),
        {b"k" * 1023: 1},
        {"\u0085".encode(): 1},
        [float("nan")],
        "\u0085--- ".encode(),
    ],
)
def test_value_that_go_cannot_write_is_an_error(value):
    with pytest.raises(JSONError):
        dump(new_run(), value)


@pytest.mark.parametrize("native", PARSERS)
@pytest.mark.parametrize(
    "form",
    [
        "a: [%s",
        "a: @%s",
        "a: *%s",
        "%s: [1]: 2",
        "a: !!int %s",
        'a: "\\z%s"',
        "a: !e!%s 1",
        "a: 'x\n%s",
        "- %s\nb",
    ],
)
def test_error_tells_the_place_and_nothing_of_the_content(form, native):
    secret = canary("yaml")

    with pytest.raises(YAMLError) as caught:
        load(new_run(), b"# first\n" + (form % secret).encode(), native=native)

    assert "yaml: line " in str(caught.value)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("native", PARSERS)
@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_bomb_ends_soon(text, native):
    started = time.process_time()
    with pytest.raises((FunctionError, Exhausted), match=r"too deeply|more work|excessive|more than"):
        load(new_run(), text.encode(), native=native)

    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "text", ["x y " * 200_000, "\U0001f600" * 200_000, "it's " * 200_000, "\t " * 20_000]
)
def test_long_texts_are_written_in_little_time(text):
    started = time.process_time()
    written = dump(new_run(), text.encode())

    assert len(written) > len(text)
    assert time.process_time() - started < 3


def test_error_of_from_yaml_is_under_its_key():
    data = StringMap({b"x": b"- a"})

    output = parse("t", "{{ fromYaml .x }}").render(data, new_run())

    assert output == (
        b"map[Error:error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of "
        b"type map[string]interface {}]"
    )


def test_to_yaml_of_what_cannot_be_written_is_nothing():
    data = StringMap({b"x": b"\x7f"})

    assert parse("t", "[{{ toYaml .x }}]").render(data, new_run()) == b"[]"


def test_maps_of_aliases_are_of_their_own():
    value = load(new_run(), b"a: &x {p: [1]}\nb: *x\n")

    value[b"b"][b"p"].append(2.0)

    assert value[b"a"] == {b"p": [1.0]}
