"""Templates that would take the operator down, each in a process of its own with 150 MiB more than it had.

Run as a program: writes a JSON line for each bomb: how it ended, the processor time it took at best of six,
and how much its memory grew.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20
ALLOWED_BYTES: Final = 150 * MIB
TRIES: Final = 6

LAUGHS: Final = "a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 9)}]\n" for level in range(9)
)


def doubling(levels: int, body: str) -> str:
    """A chain of definitions, each calling the one below it ten times."""
    text = f'{{{{ define "t0" }}}}{body}{{{{ end }}}}'
    for level in range(1, levels):
        calls = f'{{{{ template "t{level - 1}" . }}}}' * 10
        text += f'{{{{ define "t{level}" }}}}{calls}{{{{ end }}}}'
    return text + f'{{{{ template "t{levels - 1}" . }}}}'


def nested_ranges(depth: int) -> str:
    """Loops within each other."""
    return "{{ range until 1000 }}" * depth + "x" + "{{ end }}" * depth


BOMBS: Final[dict[str, str]] = {
    "repeat": '{{ repeat 1000000000 "x" }}',
    "repeat-of-repeat": '{{ repeat 4000 "x" | repeat 4000 | repeat 4000 }}',
    "repeat-in-a-loop": '{{ range until 100000 }}{{ $x := repeat 1000000 "x" }}{{ end }}',
    "doubling-definitions": doubling(12, "x"),
    "doubling-definitions-that-print-nothing": doubling(12, ""),
    "recursion": '{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}',
    "recursion-in-ifs": '{{ define "r" }}'
    + "{{ if true }}" * 80
    + '{{ template "r" . }}'
    + "{{ end }}" * 80
    + '{{ end }}{{ template "r" . }}',
    "doubling-variable": '{{ $x := "xxxxxxxx" }}{{ range until 60 }}{{ $x = printf "%s%s" $x $x }}{{ end }}',
    "doubling-print": '{{ $x := "xxxxxxxx" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}',
    "doubling-list": "{{ $x := list 1 2 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}",
    "nested-list": "{{ $x := list }}{{ range until 90000 }}{{ $x = list $x }}{{ end }}{{ $x }}",
    "nested-list-to-json": "{{ $x := list }}{{ range until 5000 }}{{ $x = list $x }}{{ end }}{{ toJson $x }}",
    "nested-list-to-yaml": "{{ $x := list }}{{ range until 5000 }}{{ $x = list $x }}{{ end }}{{ toYaml $x }}",
    "nested-list-compared": "{{ $x := list }}{{ range until 5000 }}{{ $x = list $x }}{{ end }}"
    "{{ deepEqual $x $x }}",
    "nested-list-copied": "{{ $x := list }}{{ range until 5000 }}{{ $x = list $x }}{{ end }}{{ deepCopy $x }}",
    "wide-list-nested": "{{ $x := list 1 1 1 1 1 1 1 1 1 1 }}{{ range until 20 }}"
    "{{ $x = list $x $x $x $x $x $x $x $x $x $x }}{{ end }}{{ $x }}",
    "wide-list-to-json": "{{ $x := list 1 1 1 1 1 1 1 1 1 1 }}{{ range until 20 }}"
    "{{ $x = list $x $x $x $x $x $x $x $x $x $x }}{{ end }}{{ toJson $x }}",
    "wide-list-to-yaml": "{{ $x := list 1 1 1 1 1 1 1 1 1 1 }}{{ range until 20 }}"
    "{{ $x = list $x $x $x $x $x $x $x $x $x $x }}{{ end }}{{ toYaml $x }}",
    "wide-list-copied": "{{ $x := list 1 1 1 1 1 1 1 1 1 1 }}{{ range until 20 }}"
    "{{ $x = list $x $x $x $x $x $x $x $x $x $x }}{{ end }}{{ deepCopy $x }}",
    "wide-list-compared": "{{ $x := list 1 1 1 1 1 1 1 1 1 1 }}{{ $y := list 1 1 1 1 1 1 1 1 1 1 }}"
    "{{ range until 20 }}{{ $x = list $x $x $x $x $x $x $x $x $x $x }}"
    "{{ $y = list $y $y $y $y $y $y $y $y $y $y }}{{ end }}{{ deepEqual $x $y }}",
    "cyclic-map-printed": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $d }}',
    "cyclic-map-to-json": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toJson $d }}',
    "cyclic-map-to-yaml": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toYaml $d }}',
    "cyclic-map-copied": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ deepCopy $d }}',
    "cyclic-map-merged": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ merge (dict) $d }}',
    "cyclic-maps-merged": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $e := dict }}{{ $_ := set $e "d" $e }}'
    "{{ merge $d $e }}",
    "cyclic-map-compared": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $e := dict }}{{ $_ := set $e "d" $e }}'
    "{{ deepEqual $d $e }}",
    "cyclic-map-digged": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ dig "d" "d" "d" "x" $d }}',
    "cyclic-map-in-list-uniq": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ uniq (list $d $d) }}',
    "cyclic-list-quoted": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ quote $d }}',
    "cyclic-map-printed-with-verb": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ printf "%#v" $d }}',
    "many-to-json": "{{ $x := until 10000 }}{{ range until 10000 }}{{ $y := toJson $x }}{{ end }}",
    "many-to-yaml": "{{ $x := until 5000 }}{{ range until 10000 }}{{ $y := toYaml $x }}{{ end }}",
    "many-printf": '{{ $x := until 10000 }}{{ range until 10000 }}{{ $y := printf "%v" $x }}{{ end }}',
    "many-from-json": "{{ $x := until 20000 | toJson }}{{ range until 10000 }}{{ $y := fromJson $x }}{{ end }}",
    "many-from-yaml": "{{ $x := until 5000 | toYaml }}{{ range until 10000 }}"
    '{{ $y := fromYaml (printf "a:\\n%s" $x) }}{{ end }}',
    "nested-ranges": nested_ranges(6),
    "range-of-a-large-number": "{{ range 1000000000000 }}x{{ end }}",
    "range-of-a-large-number-in-silence": "{{ range 1000000000000 }}{{ end }}",
    "until": "{{ until 1000000000 }}",
    "until-step": "{{ untilStep 0 1000000000 1 }}",
    "until-in-a-loop": "{{ range until 1000 }}{{ $x := until 100000 }}{{ end }}",
    "seq": "{{ seq 1 1000000000 }}",
    "printf-width": '{{ printf "%1000000d" 1 }}',
    "printf-widths": '{{ printf "' + "%999999d" * 100 + '" }}',
    "printf-star": '{{ printf "%*d" 999999 1 }}' * 100,
    "printf-precision": '{{ printf "%.999999f" 1.5 }}' * 100,
    "printf-of-a-huge-number": '{{ printf "%999999.999999f" 1e308 }}' * 50,
    "indent": '{{ indent 1000000 (repeat 1000 "x\\n") }}',
    "nindent": '{{ nindent 1000000000 "x" }}',
    "replace-nothing": '{{ replace "" (repeat 1000 "x") (repeat 100000 "y") }}',
    "replace-quadratic": '{{ $x := repeat 1000 "ab" }}{{ range until 1000 }}{{ $x = replace "a" "aba" $x }}{{ end }}',
    "split-join": '{{ $x := repeat 100000 "a," }}{{ range until 1000 }}{{ $x = splitList "," $x | join ",," }}{{ end }}',
    "split-everything": '{{ range until 1000 }}{{ $x := splitList "" (repeat 100000 "x") }}{{ end }}',
    "split-map": '{{ range until 1000 }}{{ $x := split "," (repeat 100000 ",") }}{{ end }}',
    "wrap": '{{ range until 1000 }}{{ $x := wrap 1 (repeat 100000 "x ") }}{{ end }}',
    "wrap-with": '{{ wrapWith 1 (repeat 10000 "y") (repeat 100000 "x") }}',
    "case-conversions": '{{ $x := repeat 100000 "Ab-_ " }}{{ range until 1000 }}{{ $y := snakecase $x }}'
    "{{ $y = camelcase $x }}{{ $y = kebabcase $x }}{{ $y = swapcase $x }}{{ $y = title $x }}{{ end }}",
    "unicode-upper": '{{ $x := repeat 500000 "é" }}{{ range until 1000 }}{{ $y := upper $x }}{{ end }}',
    "abbreviations": '{{ $x := repeat 500000 "é" }}{{ range until 10000 }}{{ $y := abbrev 100000 $x }}'
    "{{ $y = initials $x }}{{ $y = nospace $x }}{{ $y = substr 1 400000 $x }}{{ end }}",
    "shuffle": '{{ $x := repeat 500000 "x" }}{{ range until 1000 }}{{ $y := shuffle $x }}{{ end }}',
    "sort": "{{ $x := until 20000 }}{{ range until 10000 }}{{ $y := sortAlpha $x }}{{ end }}",
    "uniq": "{{ until 50000 | uniq }}",
    "without": "{{ $x := until 50000 }}{{ without $x 1 2 3 4 5 6 7 8 9 }}{{ range until 1000 }}"
    "{{ $y := without $x 1 2 3 4 5 6 7 8 9 }}{{ end }}",
    "has": "{{ $x := until 50000 }}{{ range until 10000 }}{{ $y := has -1 $x }}{{ end }}",
    "append": "{{ $x := list }}{{ range until 90000 }}{{ $x = append $x . }}{{ end }}",
    "chunk": "{{ $x := until 100000 }}{{ range until 1000 }}{{ $y := chunk 1 $x }}{{ end }}",
    "reverse": "{{ $x := until 100000 }}{{ range until 1000 }}{{ $y := reverse $x }}{{ end }}",
    "keys": "{{ $d := dict }}{{ range until 20000 }}{{ $_ := set $d (toString .) . }}{{ end }}"
    "{{ range until 10000 }}{{ $y := keys $d }}{{ $y = values $d }}{{ end }}",
    "pick-omit": "{{ $d := dict }}{{ range until 20000 }}{{ $_ := set $d (toString .) . }}{{ end }}"
    '{{ range until 10000 }}{{ $y := omit $d "1" }}{{ end }}',
    "merge": "{{ $d := dict }}{{ range until 20000 }}{{ $_ := set $d (toString .) . }}{{ end }}"
    "{{ range until 10000 }}{{ $y := merge (dict) $d }}{{ end }}",
    "range-of-a-map": "{{ $d := dict }}{{ range until 20000 }}{{ $_ := set $d (toString .) . }}{{ end }}"
    "{{ range until 10000 }}{{ range $d }}{{ break }}{{ end }}{{ end }}",
    "regex-catastrophe": '{{ regexMatch "^(a+)+$" (repeat 500000 "a" | printf "%sb") }}',
    "regex-nested-repetition": '{{ regexMatch "((((a{0,100}){0,100}){0,100}){0,100}){0,100}b" (repeat 1000 "a") }}',
    "regex-large-repetition": '{{ regexMatch "(x{1000}){1000}" "x" }}',
    "regex-many-alternatives": '{{ regexMatch (repeat 100000 "a|") (repeat 100000 "b") }}',
    "regex-replace-empty": '{{ regexReplaceAll "" (repeat 100000 "x") (repeat 10000 "y") }}',
    "regex-replace-growing": '{{ $x := "xxxx" }}{{ range until 1000 }}'
    '{{ $x = regexReplaceAll "x" $x "xx" }}{{ end }}',
    "regex-find-all": '{{ $x := repeat 500000 "x" }}{{ range until 1000 }}{{ $y := regexFindAll "" $x -1 }}{{ end }}',
    "regex-split": '{{ $x := repeat 500000 "x" }}{{ range until 1000 }}{{ $y := regexSplit "" $x -1 }}{{ end }}',
    "regex-of-each-kind": '{{ range until 100000 }}{{ $y := regexMatch (printf "(a{100}){%d}" .) "a" }}{{ end }}',
    "random-text": "{{ randAlphaNum 1000000000 }}",
    "random-texts": "{{ range until 10000 }}{{ $x := randAscii 100000 }}{{ end }}",
    "random-bytes": "{{ randBytes 1000000000 }}",
    "hashes": '{{ $x := repeat 4000000 "x" }}{{ range until 10000 }}{{ $y := sha512sum $x }}{{ end }}',
    "encodings": '{{ $x := repeat 4000000 "x" }}{{ range until 10000 }}{{ $y := b64enc $x }}{{ $y = b32enc $x }}{{ end }}',
    "decodings": '{{ $x := repeat 4000000 "xxxx" }}{{ range until 10000 }}{{ $y := b64dec $x }}{{ $y = b32dec $x }}{{ end }}',
    "yaml-laughs": "{{ fromYaml " + json.dumps(LAUGHS) + " }}",
    "yaml-laughs-counted": "{{ len (fromYaml " + json.dumps(LAUGHS) + ").i }}",
    "yaml-nested": '{{ fromYaml (repeat 100000 "[") }}',
    "yaml-nested-maps": '{{ fromYaml (printf "a: %s" (repeat 50000 "{a: ")) }}',
    "yaml-long": '{{ fromYaml (repeat 300000 "a: b\\n") }}',
    "yaml-merge-keys": '{{ fromYaml (printf "a: &a {x: 1}\\nb: {%s}" (repeat 30000 "<<: *a, ")) }}',
    "yaml-anchors": '{{ fromYaml (repeat 30000 "- &a x\\n" | printf "a:\\n%s") }}',
    "yaml-big-integer": '{{ fromYaml (printf "a: %s" (repeat 1000000 "9")) }}',
    "yaml-sexagesimal": '{{ fromYaml (printf "a: 1%s" (repeat 300000 ":59")) }}',
    "yaml-quoted": '{{ fromYaml (printf "a: \\"%s\\"" (repeat 1000000 "\\\\n")) }}',
    "json-nested": '{{ fromJson (repeat 1000000 "[") }}',
    "json-long": '{{ fromJson (printf "[%s1]" (repeat 1000000 "1,")) }}',
    "json-big-number": '{{ fromJson (repeat 1000000 "9") }}',
    "json-small-number": '{{ fromJson (printf "0.%s1" (repeat 1000000 "0")) }}',
    "huge-int-texts": '{{ int64 (repeat 1000000 "9") }}{{ atoi (repeat 1000000 "9") }}{{ float64 (repeat 1000000 "9") }}',
    "decimals": '{{ addf (repeat 1000000 "9") "1" }}{{ mulf (repeat 100000 "9") (repeat 100000 "9") }}',
    "decimal-exponents": '{{ addf "1e1000000000" "1" }}{{ mulf "1e999999999" "1e999999999" }}{{ divf "1e999999999" 3 }}',
    "round": "{{ round 1.5 1000000000 }}{{ round 1.5 -1000000000 }}",
    "to-decimal": '{{ toDecimal (repeat 1000000 "7") }}',
    "durations": '{{ duration (repeat 1000000 "9") }}{{ durationRound (repeat 1000000 "1h") }}',
    "date-layout": '{{ $x := repeat 100000 "2006-01-02" }}{{ range until 10000 }}{{ $y := now | date $x }}{{ end }}',
    "date-parse": '{{ toDate (repeat 100000 "2006-01-02") (repeat 100000 "2020-01-02") }}',
    "method-calls": "{{ $n := now }}{{ range until 100000 }}{{ $x := $n.Year }}{{ end }}",
    "method-calls-with-arguments": "{{ $n := now }}{{ range until 100000 }}{{ $x := $n.AddDate 1 2 3 }}{{ end }}",
    "formats-by-method": '{{ $n := now }}{{ $x := repeat 10000 "2006" }}{{ range until 10000 }}'
    "{{ $y := $n.Format $x }}{{ end }}",
    "time-zones": '{{ range until 100000 }}{{ $x := dateInZone "15" now (printf "Zone/%d" .) }}{{ end }}',
    "semver": '{{ range until 1000 }}{{ $x := semver (printf "1.2.3-%s" (repeat 100000 "a.")) }}{{ end }}',
    "semver-numbers": '{{ semver (repeat 1000000 "9") }}',
    "semver-constraints": '{{ semverCompare (repeat 100000 ">1.0.0 ||" | printf "%s1") "1.2.3" }}',
    "url-parse": '{{ $x := printf "http://%s" (repeat 500000 "a%20") }}{{ range until 1000 }}{{ $y := urlParse $x }}{{ end }}',
    "paths": '{{ $x := repeat 500000 "../" }}{{ range until 10000 }}{{ $y := clean $x }}{{ end }}',
    "html": '{{ $x := repeat 1000000 "<&" }}{{ range until 1000 }}{{ $y := html $x }}{{ $y = js $x }}{{ $y = urlquery $x }}{{ end }}',
    "pem-filter": '{{ $x := repeat 20000 "-----BEGIN A-----\\nAAAA\\n-----END A-----\\n" }}'
    '{{ range until 1000 }}{{ $y := filterPEM "A" $x }}{{ end }}',
    "pem-broken": '{{ filterPEM "A" (repeat 100000 "-----BEGIN A-----\\n") }}',
    "pem-chain": '{{ filterCertChain "leaf" (repeat 20000 "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n") }}',
    "jwk": '{{ jwkPublicKeyPem (printf "{\\"kty\\":\\"RSA\\",\\"e\\":\\"AQAB\\",\\"n\\":\\"%s\\"}" (repeat 1000000 "f")) }}',
    "jwk-many": '{{ jwkPublicKeyPem (printf "{\\"keys\\":[%s{}]}" (repeat 200000 "{},")) }}',
    "pkcs12-garbage": '{{ pkcs12key (repeat 1000000 "0\\x84\\xff\\xff") }}',
    "aes": '{{ $x := repeat 4000000 "x" }}{{ range until 10000 }}{{ $y := encryptAES "0123456789abcdef" $x }}{{ end }}',
    "big-arguments": "{{ $x := list" + " 1" * 20000 + " }}{{ range until 10000 }}{{ $y := len $x }}{{ end }}",
    "many-actions": "{{ .a }}" * 60000,
    "many-definitions": "".join(f'{{{{ define "d{n}" }}}}x{{{{ end }}}}' for n in range(20000)),
    "nested-parentheses": "{{ " + "(" * 100000 + "1" + ")" * 100000 + " }}",
    "nested-ifs": "{{ if true }}" * 20000 + "{{ end }}" * 20000,
    "long-else-if-chain": "{{ if false }}" + "{{ else if false }}" * 20000 + "{{ end }}",
    "long-pipeline": "{{ 1" + " | print" * 20000 + " }}",
    "long-field-chain": "{{ ." + ".".join(["a"] * 100000) + " }}",
    "open-comment": "{{/*" + "x" * 500000,
    "open-quote": '{{ "' + "\\\\" * 250000,
    "open-actions": "{{" * 250000,
    "trim-markers": "{{- 1 -}}   " * 50000,
    "spaces": "{{ 1" + " " * 500000 + "}}",
    "long-number": "{{ " + "9" * 500000 + " }}",
    "long-float": "{{ 1." + "0" * 500000 + "1e-400000 }}",
    "long-hex-float": "{{ 0x1p" + "9" * 100000 + " }}",
    "long-name": "{{ ." + "a" * 500000 + " }}",
    "variables": "".join(f"{{{{ $v{n} := 1 }}}}" for n in range(20000)),
    "same-variable": "{{ $v := 1 }}" * 20000 + "{{ $v }}" * 20000,
    "same-variable-used-often": "{{$v:=1}}" * 2000 + "{{print" + " $v" * 4900 + "}}",
    "range-left-at-once": "{{ $x := until 200000 }}{{ range until 9000 }}{{ range $x }}{{ break }}{{ end }}{{ end }}",
    "trimmed-spaces": '{{ $x := repeat 6000000 " " }}{{ range until 15000 }}{{ $y := trim $x }}{{ end }}',
    "slashes": '{{ $x := repeat 6000000 "/" }}{{ range until 15000 }}{{ $y := base $x }}{{ end }}',
    "long-digits": '{{ $x := repeat 6000000 "9" }}{{ range until 15000 }}{{ $y := duration $x }}{{ end }}',
    "long-passwords": '{{ $x := repeat 6000000 "x" }}{{ range until 15000 }}{{ $y := htpasswd "u" $x "sha" }}{{ end }}',
    "long-prefixes": '{{ $x := repeat 3000000 "x" }}{{ $y := repeat 3000000 "x" }}'
    "{{ range until 15000 }}{{ $z := hasPrefix $x $y }}{{ end }}",
    "long-keys": '{{ $x := repeat 3000000 "x" }}{{ $y := repeat 3000000 "x" }}{{ $d := dict $x 1 }}'
    "{{ range until 15000 }}{{ $z := hasKey $d $y }}{{ end }}",
    "long-keys-plucked": '{{ $x := repeat 3000000 "x" }}{{ $y := repeat 3000000 "x" }}{{ $d := dict $x 1 }}'
    "{{ $z := pluck $y" + " $d" * 9000 + " }}",
    "long-keys-sorted": '{{ $x := repeat 100000 "x" }}{{ $d := dict }}'
    '{{ range until 64 }}{{ $_ := set $d (printf "%s%d" $x (mod (mul . 7919) 64)) 1 }}{{ end }}'
    "{{ range until 4000 }}{{ $y := keys $d }}{{ end }}",
    "many-arguments": "{{ range until 20000 }}{{ $x := any" + " 0" * 9000 + " }}{{ end }}",
    "many-arguments-added": "{{ range until 20000 }}{{ $x := add" + " 1" * 9000 + " }}{{ end }}",
    "many-arguments-compared": "{{ range until 20000 }}{{ $x := eq 1" + " 2" * 8000 + " }}{{ end }}",
    "many-arguments-of-a-method": "{{ $n := now }}{{ range until 5000 }}"
    '{{ $x := $n.Format (ternary "a" "b" (any' + " 0" * 9000 + ")) }}{{ end }}",
    "many-divisors": "{{ $x := 5e-324 }}{{ $y := divf 1.7976931348623157e308" + " $x" * 9000 + " }}",
    "many-texts": "{{ range until 60000 }}" + "x{{/**/}}" * 18000 + "{{ end }}",
    "many-cases": "{{ range until 30000 }}{{if 0}}" + "{{else if 0}}" * 2500 + "{{ end }}{{ end }}",
    "many-fields": '{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ range until 30000 }}{{ $x := $d'
    + ".a" * 18000
    + " }}{{ end }}",
    "many-variables": "{{ range until 30000 }}{{ if 1 }}{{ else }}"
    + "".join(f"{{{{$v{n}:=1}}}}" for n in range(3600))
    + "{{ end }}{{ end }}",
    "many-variables-of-a-definition": '{{ define "x" }}{{ if 0 }}'
    + "".join(f"{{{{$v{n}:=1}}}}" for n in range(3600))
    + '{{ end }}{{ end }}{{ range until 30000 }}{{ template "x" }}{{ end }}',
    "letters-that-have-no-single-upper-case": '{{ upper (repeat 4000000 "ŉ") }}',
    "broken-letters": r'{{ $x := repeat 1000000 "\xff" }}{{ range until 100 }}{{ $y := lower $x }}{{ $y = js $x }}{{ end }}',
    "pem-of-a-long-type": '{{ $x := repeat 3000000 "x" }}'
    '{{ filterPEM $x (repeat 20000 "-----BEGIN A-----\\nAAAA\\n-----END A-----\\n") }}',
    "yaml-of-a-long-key": '{{ $x := dict (repeat 1000000 "<") 1 }}{{ range until 1000 }}{{ $y := toYaml $x }}{{ end }}',
    "yaml-directives": '{{ fromYaml (printf "%%TAG !%s! x\\n---\\na: b" '
    '(seq 1 30000 | replace " " "! x\\n%TAG !")) }}',
    "yaml-written-with-like-keys": '{{ $x := repeat 950 "a" }}{{ $d := dict }}'
    '{{ range until 1000 }}{{ $_ := set $d (printf "%s%d" $x (mod (mul . 7919) 997)) 1 }}{{ end }}{{ toYaml $d }}',
}
"""Interpreter bombs by name."""

SLOW: Final[dict[str, str]] = {
    "keys": '{{ range until 1000 }}{{ $x := genPrivateKey "rsa" }}{{ end }}',
    "dsa-keys": '{{ range until 1000 }}{{ $x := genPrivateKey "dsa" }}{{ end }}',
    "ecdsa-keys": '{{ range until 100000 }}{{ $x := genPrivateKey "ecdsa" }}{{ end }}',
    "authorities": '{{ range until 1000 }}{{ $x := genCA "x" 1 }}{{ end }}',
    "certificates": '{{ range until 1000 }}{{ $x := genSelfSignedCert "x" (list) (list) 1 }}{{ end }}',
    "bcrypt": '{{ range until 1000 }}{{ $x := bcrypt "x" }}{{ end }}',
    "htpasswd": '{{ range until 1000 }}{{ $x := htpasswd "x" "y" "bcrypt" }}{{ end }}',
    "derived-passwords": '{{ range until 1000 }}{{ $x := derivePassword 1 "long" "a" "b" "c" }}{{ end }}',
    "bcrypt-by-definitions": doubling(8, '{{ $x := bcrypt "x" }}'),
}
"""Bombs of cryptography, which have a budget of their own."""

WARM: Final = (
    '{{ regexMatch "a" "a" }}{{ fromYaml "a: 1" | toYaml }}{{ fromJson "1" }}{{ bcrypt "x" | len }}'
    '{{ genPrivateKey "ed25519" | len }}{{ now | date "2006" }}{{ semver "1.2.3" }}{{ addf 1 2 }}'
    '{{ urlParse "http://x" | len }}{{ derivePassword 1 "long" "a" "b" "c" | len }}{{ encryptAES "a" "b" | len }}'
)
"""Imports what is imported late, which is not a bomb's doing."""


def _explode(text: str, *, slow: bool) -> dict:
    from keyferry.gotemplate import Limits, Run, StringMap, TemplateError, parse

    began = time.process_time()
    run = Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=os.urandom, allows_slow=slow)
    try:
        output = parse("bomb", text).render(StringMap({b"a": b"x"}), run)
        outcome, told = "rendered", str(len(output))
    except TemplateError as error:
        outcome, told = type(error).__name__, error.detail[:300]
    except BaseException as error:  # noqa: BLE001 -- that is what must not happen: told to the test
        outcome, told = "BUG", f"{type(error).__name__}"
    return {"outcome": outcome, "told": told, "cpu_s": time.process_time() - began}


def _vm_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _in_a_process(text: str, *, slow: bool) -> dict:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if sys.platform == "linux":
            limit = _vm_bytes() + ALLOWED_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = _explode(text, slow=slow)
        result["grown_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        with os.fdopen(writing, "w") as stream:
            stream.write(json.dumps(result))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    if not said:
        return {"outcome": "DIED", "told": f"status {status}", "cpu_s": 0.0, "grown_kib": 0}
    return json.loads(said)


def main() -> None:
    """Explode all of them, or those named."""
    _explode(WARM, slow=True)
    chosen = set(sys.argv[1:])
    for slow, bombs in ((False, BOMBS), (True, SLOW)):
        for name, text in bombs.items():
            if chosen and name not in chosen:
                continue
            tries = [_in_a_process(text, slow=slow)]
            while not slow and tries[-1]["cpu_s"] > 0.2 and len(tries) < TRIES:
                tries.append(_in_a_process(text, slow=slow))
            best = min(tries, key=lambda one: one["cpu_s"])
            best["grown_kib"] = max(one["grown_kib"] for one in tries)
            sys.stdout.write(json.dumps({"name": name, "slow": slow, **best}) + "\n")


if __name__ == "__main__":
    main()
