"""What generated templates are made of: texts, numbers, and for each function arguments that mean something to it.

A small stock makes keys hit, and makes near misses and edge values common.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

TEXTS = [
    "", "a", "b", "ab", "abc", "A", "hello world", "Hello, World", "foo bar baz", "é", "日本語", "Straße", "ǅungla", "İi", "ŉ",
    "a\nb", "a\n\nb\n", " x ", "\t\n", "\r\n", "a\tb", "<&>\"'", "a=b&c=d", "`tick`", '"', "'", "\\", "\x00", "\x7f", "\udcff",
    "a\udcffb", "\udcc3", "é\udcc3", "\u2028", "\U0001f600", "e\u0301", "\ufeff", "\ufffd", "{{", "}}", "%s", "%d%%", "$1", "0", "1", "42",
    "-1", "007", "0x1F", "1.5", "1e3", "true", "false", "null", "T", "a,b,c", "a,,b", ",", "key: value", "- 1\n- 2", "user:pass",
    "one two  three", "fooBarBaz", "FooBar", "foo_bar-baz", "HTTPServer", "snake_case_text", "kebab-case-text", "ID3Tag",
    "/etc/passwd", "a/b/../c", "x.tar.gz", "./a//b/", "https://user:pw@example.com:8080/p/a?q=1#f", "v1.2.3",
    "the quick brown fox jumps over the lazy dog", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ÀÉÎ", "ßs", "\u00a0x\u00a0",
]  # fmt: skip
INTS = [
    0, 1, -1, 2, 3, 4, 5, 7, 8, 10, 16, -2, -7, 31, 64, 100, 127, 128, 255, 256, 999, 1000, 65535, 999999, 1000000, 10000000, 2147483647,
    2147483648, -2147483648, -2147483649, 4294967296, 9007199254740993, 9223372036854775807, -9223372036854775808,
]  # fmt: skip
SIZES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, -1, -2, -3]
"""Where a big number would only take memory."""
FLOATS = [
    "0.0", "1.0", "1.5", "-1.5", "0.1", "0.5", "2.5", "-0.5", "3.14159", "1e3", "1e6", "1e20", "1e21", "1e-4", "1e-5", "1e-7", "123456.789",
    "999999.0", "1000000.5", "-0.0", "1e100", "1.7976931348623157e308", "5e-324", "0x1p-2", "1_0.5", ".5", "5.", "1e+2", "2.675", "9007199254740993.0",
]  # fmt: skip
INT_LITERALS = [
    "0x1F", "0X0a", "0b101", "0o17", "017", "1_000", "0x_ff", "'a'", "'\\n'", "'é'", "'\\u00e9'", "'\\x41'", "'\\''", "+5", "-5", "1e2", "0b2",
    "1__0", "08", "0x", "'ab'", "''", "1_", "9223372036854775808", "18446744073709551615", "1.0", "1e1", "100000000000000000000", "0x1p4", "'\\400'",
]  # fmt: skip
KEYS = ["a", "b", "user", "password", "x", "Cert", "tls", "n", "items", "é", "_0"]
ODD_KEYS = ["tls.crt", "a-b", "", "A B", "1", ".dockerconfigjson"]
NAMES = [*["t"] * 20, *["config.yaml"] * 5, "a b", "a b", 'q"q', "é", "é", "a\nb", ""]
REGEXES = [
    "a", "", ".", "a*", "a+", "(a)(b)?", "[a-z]+", "\\d+", "\\w+", "\\s+", "^a", "b$", "(?i)HELLO", "x*", "é", "(?P<n>a)b", "a|b", "[^,]+", "(", "[", "a{2,3}",
    "*", "\\p{Lu}", "\\b", "(?m)^.", "(?s).+", "o", "[[:alpha:]]+", "a**", "\\C", "(?:a", "\\", "[z-a]", "(?<n>b)", "\\pN", "a{1001}", "\\Qa.b\\E", "$", "^",
    "(?U)a+", "\\x41", "o(o|b)", "([a-z])([a-z])",
]  # fmt: skip
REPLACEMENTS = [
    "",
    "x",
    "$1",
    "${1}x",
    "$1x",
    "$n",
    "${n}",
    "$$",
    "$",
    "$0",
    "[$0]",
    "\\1",
    "${",
    "$2$1",
    "${1",
    "$é",
]
LAYOUTS = [
    "2006-01-02", "2006-01-02T15:04:05Z07:00", "Mon Jan _2 15:04:05 2006", "02/01/06", "3:04PM", "Monday, January 2 2006", "15:04:05.000", "15:04:05.999999999",
    "MST", "-0700", "Z0700", "-07", "__2", "002", "Jan", "1", "01", "06", "pm", "PM", "05,000", "unknown", "", "2006-01-02 15:04:05 -0700 MST", "20060102150405",
    "Z07:00:00", ".00", "é 2006", "05.000000", "02Jan", "2006__2",
]  # fmt: skip
DATES = [
    "2024-02-29", "2024-02-30", "1999-12-31", "0001-01-01", "2024-02-29T23:59:59Z", "2024-02-29T12:00:00+02:00", "Mon Jan  2 15:04:05 2006", "", "x", "2024-2-9",
    "2024-02-29 12:00", "29/02/24", "11:59PM", "9999-12-31", "2024-13-01", "2024-02-29T12:00:00.123456789Z", "2006-01-02T15:04:05Z",
]  # fmt: skip
ZONES = ["UTC", "Local", "", "Nowhere/City", "UTC", "../etc", "utc"]
DURATIONS = [
    "1h", "-1.5h", "90m", "1h2m3s", "100ms", "1us", "1µs", "1ns", "0", "", "x", "1", "1d", "2562047h47m16.854775807s", "9999999h", "-2h45m", ".5s", "1.h", "+5m",
    "24h", "800h", "9000h", "3600", "-3600", "61s", "1h1h",
]  # fmt: skip
JSONS = [
    '{"a":1,"b":[true,null,"x"],"c":{"d":1.5}}', "[1,2,3]", '"text"', "1", "null", "true", "", "{", "[1,", '{"a":1}x', "10000000", "1e400", "123456789012345678901234567890",
    '{"a":"<&>\\u2028é"}', '{"a":{"a":{"a":"deep"}}}', '["a","b"]', '{"b":1,"a":2}', " [ ] ", '{"a":1,"a":2}', "-0", "1.0", "0.000001", "1e-7", "1e21", "nan", '"\\ud83d"',
    "'a'", '{"x":"é\udcff"}', "[[1],[2,[3]]]", '{"é":1,"":2}', "tru", '{"a":01}', '"a\nb"', '{"a" 1}', "[1 2]", '{"a":"\\x"}', '{"user":"u","password":"p"}',
]  # fmt: skip
YAMLS = [
    "a: 1\nb: two", "a:\n  - 1\n  - x", "- 1\n- 2", "x", "", "a: yes\nb: on\nc: ~\nd: 0x10\ne: 1_000\nf: 010", "a: |\n  text\n  more\n", "a: 'q'\nb: \"d\\n\"", "{a: 1, b: [2]}",
    "a: 2024-01-01", "a: 1.5\nb: 2e3", "? b\n: c", "a: &x 1\nb: *x", "1: x", "true: y", "a: !!str 1", "---\na: 1\n---\nb: 2", "a: 12345678901234567890",
    "key: value", "a: >\n  folded\n  text\n", "é: ü", "a: null", "<<: {a: 1}\nb: 2", "a: -0.0\nb: 1.0", "a: 0o17", "a: 1:30",
]  # fmt: skip
URLS = [
    "https://user:pw@example.com:8080/p/a?q=1#f", "http://[::1]:80/", "mailto:a@b.c", "/path?x=y", "", "a b", "http://a b/", "://x", "http://h/%zz", "http://h/%20a", "//host/p", "http://u@h",
    "HTTP://Host", "a:b:c", "http://h:port/", "?q", "#f", "http://h/é?ü#ö", "x://u:p%40w@h/p%2Fq", "1http://x", "http://a/\x7f", "http://h/a;b?c;d", "proto://h/p?q=a%20b#c%20d",
]  # fmt: skip
VERSIONS = [
    "1.2.3", "v1.2.3", "1.2", "1", "1.2.3-beta.1", "1.2.3+build.5", "1.2.3-rc.1+meta", "01.2.3", "1.2.3-01", "x", "", "1.2.3.4", "2.0.0", "0.0.0", "v", "1.0.0-alpha", "99999999999999999999.0.0",
    "1.2.3-", "1.2.3-a..b", "1.3.0", "0.2.3",
]  # fmt: skip
CONSTRAINTS = [
    "1.2.3", "^1.2.0", "~1.2", ">=1.0.0 <2.0.0", ">=1.0.0, <2.0.0", "*", "1.x", "!=1.2.3", "=1.2.3", "1.2 - 1.4", "^0.2", "~0", ">1", "<=2", "", "x", ">=", "1.2.3 || 2.x", "^1.2.3-beta", ">1.2.3-alpha",
    "=>1", "=<1.5", "~>1.2", "1.2.3-beta.1", "^0.0.0", "foo", "> 1.0 < x",
]  # fmt: skip
FORMATS = [
    "%s", "%d", "%v", "%+v", "%#v", "%T", "%q", "%x", "%X", "%t", "%c", "%U", "%#U", "%e", "%E", "%f", "%F", "%g", "%G", "%b", "%o", "%O", "%%", "%5s|", "%-5s|", "%05d", "%+d", "% d", "%.2f", "%8.3f|",
    "%-8.3f|", "%.3s", "%5.1s|", "%[1]s", "%[2]s %[1]s", "%*d", "%.*f", "%[3]s", "%!", "%", "%z", "%5%", "%s %s", "%s:%s", "%d%s", "no verbs", "%#x", "%# x", "% x", "%#q", "%+q", "%x", "%08b", "%+.3e", "%6.2f%%",
    "%[1]d %[1]v %[1]x", "%[", "%[x]d", "%[0]d", "%-05d", "%+05d", "%020.5d", "%.0f", "%.10g", "%#g", "%#o", "%c%c", "%q%q", "%é", "%-10q|", "%t%v", "%.3x", "%#.3X", "%+s", "%d %v %s", "%6t|", "%.f", "%.", "%1", "%ss",
    "%010s|", "%-010s|", "%x%X", "%+#v", "%[1]*d", "%[2]*[1]d", "%-*d|", "%03c|", "%.2q", "%U %#U",
]  # fmt: skip
TYPES = [
    "string", "int", "int64", "float64", "bool", "[]interface {}", "map[string]interface {}", "map[string]string", "<nil>", "[]string", "slice", "map", "invalid", "ptr", "struct", "semver.Version",
    "*semver.Version", "time.Time",
]  # fmt: skip
BASE64S = [
    "aGVsbG8=",
    "aGVsbG8",
    "//8=",
    "",
    "a",
    "====",
    "aGVs\nbG8=",
    "aGVs bG8=",
    "_-8=",
    "w6k=",
    "aGVsbG9=",
    "YWJjZA==",
]
BASE32S = ["NBSWY3DP", "ME======", "", "A", "nbswy3dp", "ME=====", "77======", "0189"]
HEXES = ["68656c6c6f", "68656C", "", "6", "zz", "ff", "6z", "0x68", "é"]
PATHS = [
    "",
    "/",
    "a",
    "/a/b/",
    "a/b/../c",
    "//a",
    ".",
    "..",
    "x.tar.gz",
    ".hidden",
    "/a.b/c",
    "a/./b",
    "../../x",
    "é/ü.ö",
    "a//b",
    "dir.d/",
]
JOINTS = ["", ",", " ", ", ", "\n", "-", "ab", "é", "/", "."]
CUTS = ["", "a", "b", " ", "o", "l", "foo", "é", "xyz", "ab", "/", "\udcff", "-", "\n"]
SCHEMES = ["None", "RSA-OAEP", "RSA", ""]
CHAIN_PARTS = ["leaf", "intermediate", "root", "other", ""]
PEM_TYPES = ["CERTIFICATE", "certificate", "PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY", "", "X"]
PEMS = [
    "", "junk", "-----BEGIN X-----\nAAAA\n-----END X-----\n", "before\n-----BEGIN X-----\nAAAA\n-----END X-----\nafter",
    "-----BEGIN X-----\nA: b\n\nAAAA\n-----END X-----\n", "-----BEGIN X-----\nAA*A\n-----END X-----\n", "-----BEGIN X-----\nAAAA\n-----END Y-----\n",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "-----BEGIN X-----\nAAAA", "-----BEGIN X-----\r\nAAAA\r\n-----END X-----\r\n",
]  # fmt: skip
MATERIAL = Path(__file__).parents[2] / "unit" / "gotemplate" / "goldens" / "material.json"
"""Certificates, keys and archives, made once."""
STORED: dict[str, str] = {
    one["key"]: one["value"]
    for one in json.loads(MATERIAL.read_text())["stringMap"]
    if isinstance(one["value"], str)
}
PEMS += [
    STORED[name]
    for name in ("root", "leaf", "chain", "mixed", "disjunct", "withKey", "leafKeyEC", "intermediate")
]
JWKS = [
    *(text for name, text in sorted(STORED.items()) if name.startswith("jwk")),
    "{}",
    '{"kty":"RSA"}',
    '{"kty":"EC","crv":"x"}',
    "x",
    "",
]
SOUP = [
    "{{", "}}", "{{-", "-}}", "{{- ", " -}}", "(", ")", "|", ":=", "=", ",", ".", "..", "$", "$x", "$.", ".a", '"', "`", "'", "\\", "end", "else", "if", "range", "with", "define", "template", "block",
    "break", "continue", "nil", "true", "1", "-1", "0x", "/*", "*/", " ", "\n", "é", "\x00", "&", "@", "{{end}}", "{{else}}", "{{if 1}}", "{{range .}}", "{{with .}}", '{{define "x"}}', "print", "foo",
    "1.2.3", "!", "#", "[", "]", "{", "}", "\udcff", "{{break}}", "{{else if 1}}", "{{else with 1}}", '{{template "none"}}', "\t", "-", " - ", "0i", ":", '"a"', "'a'", ".x.y", "\u00a0", "/", "*", "{{/*", "*/}}",
]  # fmt: skip
ODD = [
    "{{ nil }}", "{{ . }}", "{{ $ }}", "{{ .a.b }}", "{{ (.a).b }}", '{{ "a".b }}', "{{ 1.2.3 }}", "{{ print.x }}", "{{ .a . }}", "{{ $.a }}", "{{ (print).x }}", "{{}}", "{{ }}", "{{-}}", "{{ - }}", "{{--}}",
    "{{- -}}", "{{ /* c */ }}", "{{/* c */}}", "{{- /* c */ -}}", "{{/* c }}", "{{/* a */ x }}", "{{ 1 | print | printf }}", "{{ print | 1 }}", "{{ $x }}", "{{ $x := 1 }}{{ $x }}", "{{ $x = 1 }}", "{{ $x := }}", "{{ break }}",
    "{{ continue }}", "{{ else }}", "{{ end }}", '{{ template "none" }}', "{{ template a }}", '{{ template "a" 1 2 }}', "{{ define a }}{{ end }}", '{{ define "a" }}', '{{ block "b" }}x{{ end }}', '{{ block "b" . }}x{{ end }}',
    "{{ true }}{{ false }}", "{{ and }}", "{{ or 1 }}", "{{ not }}", "{{ eq }}", "{{ eq 1 }}", "{{ call 1 }}", "{{ call nil }}", "{{ call .a }}", "{{ len }}", "{{ len nil }}", "{{ index }}", "{{ index nil }}", "{{ index . }}", "{{ index 1 }}",
    "{{ html }}", "{{ js }}", "{{ print nil }}", "{{ println }}", "{{ printf }}", "{{ range 3 }}{{ . }}{{ end }}", "{{ range $i := 3 }}{{ $i }}{{ end }}", "{{ range $i, $e := 3 }}{{ end }}", "{{ range nil }}x{{ else }}y{{ end }}",
    "{{ range $i, $e, $f := . }}{{ end }}", "{{ range 1.5 }}{{ end }}", "{{ range true }}{{ end }}", '{{ range "abc" }}{{ . }}{{ end }}', "{{ with nil }}x{{ else }}y{{ end }}", "{{ with $x := 1 }}{{ $x }}{{ end }}{{ $x }}", "{{ if }}{{ end }}",
    "{{ if 1 }}a{{ else if 2 }}b{{ else }}c{{ end }}", "{{ if 0 }}a{{ else if 0 }}b{{ else }}c{{ end }}", "{{ with 0 }}a{{ else with 1 }}{{ . }}{{ end }}", "{{ if 1 }}{{ else }}{{ else }}{{ end }}", "{{ 'a' }}", "{{ ''}}", '{{ "a }}', "{{ `a }}",
    "{{ `a\r\nb` }}", '{{ "\\z" }}', "{{ foo }}", "{{ .a | foo }}", "{{ 1_000 }}", "{{ 0x1F }}", "{{ 1e3 }}", "{{ .5 }}", "{{ 5. }}", "{{ - 3 }}", "{{- 3 -}}", "{{-3}}", "{{ -3 }}", "{{ 3 -}} x", "{{ a := 1 }}", "{{ $a, $b := 1 }}",
    "{{ ((1)) }}", "{{ (1 }}", "{{ 1) }}", "{{ () }}", "{{ (print 1) (print 2) }}", "{{ .a.b.c.d }}", '{{ (index . "a").x }}', "{{ $.a.b }}", "{{ .é }}", "{{ .a-b }}", "{{ ._0 }}", "{{ .1 }}", "{{ print 1 2 }}", '{{ print "a" 1 2 "b" }}',
    "{{ print 1\n2 }}", "{{ if 1 }}\n{{- end }}", "a {{- 1 -}} b", "a {{- /* c */ -}} b", "{{ 1 }}\n{{- 2 }}", "{{/*}}", "{{/*/}}", "{{/**/}}", '{{ define "t" }}x{{ end }}', '{{ define "a" }}1{{ end }}{{ define "a" }}2{{ end }}{{ template "a" }}',
    '{{ define "a" }}{{ . }}{{ end }}{{ template "a" 1 }}', "{{ 1i }}", '{{ "\\u00e9\\x41\\n\\101" }}', "{{ 1 | . }}", "{{ . | 1 }}", "{{ .a 1 }}", "{{ 1 2 }}", '{{ "a" "b" }}', "{{ true 1 }}", "{{ nil | print }}", "{{ $ 1 }}",
    "{{ print (1 | print) }}", "{{ break 1 }}", "{{ if break }}{{ end }}", "{{ range . }}{{ break }}{{ end }}", "{{ range $x = . }}{{ end }}", "{{ $x := 1 }}{{ range $x = 3 }}{{ end }}{{ $x }}", "{{ 0b2 }}", "{{ (.) }}", "{{ (1).x }}",
    "{{ len 3 }}", "{{ index 3 0 }}", "{{ slice 3 }}", '{{ slice "abc" 1 }}', "{{ not nil }}", "{{ and nil 1 }}", "{{ or nil nil }}", "{{ eq nil nil }}", "{{ eq nil 1 }}", "{{ lt nil 1 }}", '{{ ne 1 "a" }}', "{{ eq 1 1.0 }}", '{{ lt "a" "b" }}',
    '{{ hasKey (fromYaml "a: [") "Error" }}', '{{ hasKey (fromYaml "b: .inf") "Error" }}', '{{ hasKey (fromYaml "\\tx: 1") "Error" }}', '{{ hasKey (fromYaml "a: 1\\na: 2") "Error" }}',
]  # fmt: skip


class Form(NamedTuple):
    """What a kind of constant is made of."""

    mark: str
    pieces: list[str]


ESCAPES = ["\\n", "\\\\", '\\"', "\\'", "\\x41", "\\xff", "\\u00e9", "\\U0001f600", "\\101", "\\400", "\\a\\b\\f\\v\\r\\t", "\\x4", "\\u12", "\\z", "\\ud800", "\\U00110000", "\\0", "\n", "\\"]  # fmt: skip
CONSTANTS = [
    Form("", list("0123456789")),
    Form(
        "",
        [
            *"0123456789",
            "0x",
            "0X",
            "0b",
            "0o",
            "_",
            ".",
            "e",
            "E",
            "p",
            "+",
            "-",
            "a",
            "f",
            "F",
            "i",
            "00",
            "e+1",
            "p-1",
            "1_0",
        ],
    ),
    Form('"', ["a", "é", "{{", "}}", " ", "'", "`", *ESCAPES]),
    Form("'", ["a", "é", "", "", "", *ESCAPES]),
    Form("`", ["a", "é", "\r", "\n", "\\", '"', "}}", "\udcff"]),
]
TIME_CALLS = [
    "Unix", "UnixNano", "UnixMilli", "Year", "Month", "Day", "Hour", "Minute", "Second", "Nanosecond", "Weekday", "YearDay", "IsZero", 'Format "2006"', "String", "UTC", "Foo", "Month.String", "Weekday.String",
    "Unix 1", "Format", "GoString", "Location", "AddDate 1 1 1", "UTC.Year", "Local", "Truncate 5", "Add 5", 'AddDate 0 0 "x"', "UnixMicro", "wall",
]  # fmt: skip
VERSION_CALLS = ["Major", "Minor", "Patch", "Prerelease", "Metadata", "Original", "String", "Foo", "IncMajor", "IncPatch.String", "Compare 1", "major", "IncMinor.Original"]  # fmt: skip

POOLS: dict[str, list[str]] = {
    "regex": REGEXES, "replacement": REPLACEMENTS, "layout": LAYOUTS, "date": DATES, "zone": ZONES, "duration": DURATIONS, "json": JSONS, "yaml": YAMLS, "url": URLS, "version": VERSIONS, "constraint": CONSTRAINTS,
    "format": FORMATS, "type": TYPES, "base64": BASE64S, "base32": BASE32S, "hex": HEXES, "path": PATHS, "joint": JOINTS, "cut": CUTS, "scheme": SCHEMES, "chain": CHAIN_PARTS, "pemtype": PEM_TYPES, "pem": PEMS, "jwk": JWKS, "key": KEYS,
    "text": TEXTS,
}  # fmt: skip
"""Strings that a parameter may want."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "abbrev": ("int", "text"), "abbrevboth": ("int", "int", "text"), "repeat": ("size", "text"), "indent": ("size", "text"), "nindent": ("size", "text"), "wrap": ("size", "text"), "wrapWith": ("size", "joint", "text"),
    "trunc": ("int", "text"), "substr": ("size", "size", "text"), "replace": ("cut", "text", "text"), "plural": ("text", "text", "int"), "until": ("size",), "untilStep": ("size", "size", "size"), "seq": ("size", "size", "size"),
    "trimAll": ("cut", "text"), "trimall": ("cut", "text"), "trimPrefix": ("cut", "text"), "trimSuffix": ("cut", "text"), "contains": ("cut", "text"), "hasPrefix": ("cut", "text"), "hasSuffix": ("cut", "text"),
    "split": ("cut", "text"), "splitList": ("cut", "text"), "splitn": ("cut", "size", "text"), "join": ("joint", "list"), "sortAlpha": ("list",), "round": ("number", "size", "float64"),
    "regexMatch": ("regex", "text"), "regexFind": ("regex", "text"), "regexFindAll": ("regex", "text", "size"), "regexSplit": ("regex", "text", "size"), "regexReplaceAll": ("regex", "text", "replacement"),
    "regexReplaceAllLiteral": ("regex", "text", "replacement"), "regexQuoteMeta": ("regex",),
    "mustRegexMatch": ("regex", "text"), "mustRegexFind": ("regex", "text"), "mustRegexFindAll": ("regex", "text", "size"), "mustRegexSplit": ("regex", "text", "size"), "mustRegexReplaceAll": ("regex", "text", "replacement"),
    "mustRegexReplaceAllLiteral": ("regex", "text", "replacement"),
    "fromJson": ("json",), "mustFromJson": ("json",), "fromYaml": ("yaml",), "urlParse": ("url",), "semver": ("version",), "semverCompare": ("constraint", "version"),
    "toDate": ("layout", "date"), "mustToDate": ("layout", "date"), "date": ("layout", "instant"), "dateInZone": ("layout", "instant", "zone"), "date_in_zone": ("layout", "instant", "zone"), "htmlDate": ("instant",),
    "htmlDateInZone": ("instant", "zone"), "dateModify": ("duration", "time"), "date_modify": ("duration", "time"), "mustDateModify": ("duration", "time"), "must_date_modify": ("duration", "time"),
    "duration": ("span",), "durationRound": ("span",), "printf": ("format", "plain", "plain", "plain"), "typeIs": ("type", "any"), "typeIsLike": ("type", "any"), "kindIs": ("type", "any"),
    "b64dec": ("base64",), "b32dec": ("base32",), "hexdec": ("hex",), "base": ("path",), "dir": ("path",), "clean": ("path",), "ext": ("path",), "isAbs": ("path",), "osBase": ("path",), "osDir": ("path",), "osClean": ("path",),
    "osExt": ("path",), "osIsAbs": ("path",), "get": ("dict", "key"), "set": ("dict", "key", "any"), "unset": ("dict", "key"), "hasKey": ("dict", "key"), "pluck": ("key", "dict", "dict"), "pick": ("dict", "key", "key"),
    "omit": ("dict", "key", "key"), "dict": ("key", "any", "key", "any"), "dig": ("key", "key", "any", "dict"), "index": ("container", "key"), "slice": ("list", "size", "size"), "mustSlice": ("list", "size", "size"),
    "has": ("any", "list"), "mustHas": ("any", "list"), "chunk": ("size", "list"), "mustChunk": ("size", "list"), "without": ("list", "any", "any"), "mustWithout": ("list", "any", "any"), "concat": ("list", "list"),
    "filterPEM": ("pemtype", "pem"), "filterCertChain": ("chain", "pem"), "certSANs": ("pem",), "rsaDecrypt": ("scheme", "text", "text", "pem"), "jwkPublicKeyPem": ("jwk",), "jwkPrivateKeyPem": ("jwk",),
    "decryptAES": ("text", "base64"), "urlJoin": ("urldict",), "ternary": ("any", "any", "bool"), "default": ("any", "any"), "toDecimal": ("number",), "atoi": ("text",), "len": ("container",), "unixEpoch": ("time",),
    "pkcs12key": ("text",), "pkcs12cert": ("text",), "html": ("text",), "js": ("text",), "urlquery": ("text",), "fail": ("text",),
}  # fmt: skip
"""What each parameter wants, where its type does not say enough; variadic ones have several."""
LISTS = {"first", "rest", "last", "initial", "compact", "uniq", "reverse", "append", "push", "prepend"}
"""Functions whose first parameter wants a list, and so their must… twins."""
NUMERIC = {
    "add", "add1", "sub", "mul", "div", "mod", "max", "min", "biggest", "addf", "add1f", "subf", "mulf", "divf", "maxf", "minf", "ceil", "floor", "int", "int64", "float64",
}  # fmt: skip
FAILING = {
    "pkcs12key", "pkcs12keyPass", "pkcs12cert", "pkcs12certPass", "filterPEM", "filterCertChain", "certSANs", "jwkPublicKeyPem", "jwkPrivateKeyPem", "rsaDecrypt", "decryptAES", "mustToDate", "mustDateModify", "must_date_modify", "fail", "semver", "urlParse", "dig",
}  # fmt: skip
"""They fail with most arguments, and what comes after them is not compared then: rarer."""
MUTATORS = {"set", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"}
"""They put values into a map: these must be new ones, or a map may get into itself, which Go does not survive."""
LEFT_OUT = {
    "now", "ago", "randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4", "bcrypt", "htpasswd", "genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert",
    "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "encryptAES", "derivePassword", "call", "buildCustomCert", "pemToPkcs12", "pemToPkcs12Pass", "fullPemToPkcs12", "fullPemToPkcs12Pass",
    "pemTruststoreToPKCS12", "pemTruststoreToPKCS12Pass",
}  # fmt: skip
"""Random, of the moment, or slow: tested by their properties elsewhere, and with chosen arguments in the goldens."""
