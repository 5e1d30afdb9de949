"""Sprig's maps: what Go makes of them, but for the order of keys and values, which is random in Go."""

from __future__ import annotations

import pytest

RESULTS = [
    ("dict `a` 1 `b`", b"map[a:1 b:]"),
    ("dict", b"map[]"),
    ("dict 1 2 nil 3 1.5 4 (list 1) 5", b"map[1:2 1.5:4 <nil>:3 [1]:5]"),
    ("dict `a` 1 `a` 2", b"map[a:2]"),
    ("get (dict `a` 1) `a`", b"1"),
    ("get (dict) `a` | quote", b'""'),
    ("get nil `a` | quote", b'""'),
    ("hasKey (dict `a` nil) `a`", b"true"),
    ("hasKey nil `a`", b"false"),
    ("{{ $d := dict }}{{ $e := set $d `a` 1 }}{{ $d }}{{ $e }}", b"map[a:1]map[a:1]"),
    ("{{ $d := dict `a` 1 }}{{ unset $d `a` }}{{ $d }}", b"map[]map[]"),
    ("unset nil `a`", b"map[]"),
    ("pluck `a` (dict `a` 1) (dict `b` 2) nil (dict `a` 3)", b"[1 3]"),
    ("keys (dict `a` 1) (dict `c` 1)", b"[a c]"),
    ("keys", b"[]"),
    ("keys nil | toJson", b"[]"),
    ("values (dict `a` 1)", b"[1]"),
    ("values nil | toJson", b"[]"),
    ("pick (dict `a` 1 `b` 2 `c` 3) `a` `c` `z`", b"map[a:1 c:3]"),
    ("omit (dict `a` 1 `b` 2) `a` `z`", b"map[b:2]"),
    ("pick nil `a`", b"map[]"),
    ("merge (dict `a` 1) (dict `a` 2 `b` 3)", b"map[a:1 b:3]"),
    (
        "merge (dict `a` 0 `b` `` `c` nil `d` (list) `e` false `f` (dict)) (dict `a` 1 `b` 2 `c` 3 `d` 4 `e` 5 `f` 6)",
        b"map[a:1 b:2 c:3 d:4 e:5 f:6]",
    ),
    ("mergeOverwrite (dict `a` 1) (dict `a` 2) (dict `a` ``)", b"map[a:]"),
    ("mergeOverwrite (dict `a` 1 `b` (list 1)) (dict `a` nil `b` (list))", b"map[a:<nil> b:[]]"),
    ("merge (dict `a` (dict `b` 1)) (dict `a` (dict `b` 2 `c` 3))", b"map[a:map[b:1 c:3]]"),
    (
        "mergeOverwrite (dict `a` (dict `b` 1 `d` 4)) (dict `a` (dict `b` 2 `c` 3))",
        b"map[a:map[b:2 c:3 d:4]]",
    ),
    ("mergeOverwrite (dict `a` 1) (dict `a` (dict `b` 2))", b"map[a:map[b:2]]"),
    ("mergeOverwrite (dict `a` (dict `b` 2)) (dict `a` 1)", b"map[a:1]"),
    ("merge (dict `a` (list 1)) (dict `a` (list 2 3))", b"map[a:[1]]"),
    ("mergeOverwrite (dict `a` (list 1)) (dict `a` (list 2 3))", b"map[a:[2 3]]"),
    (
        "{{ $s := dict `b` 1 }}{{ $d := merge (dict) (dict `a` $s) }}{{ $_ := merge $d (dict `a` (dict `c` 2)) }}{{ $s }}",
        b"map[b:1 c:2]",
    ),
    (
        "{{ $n := dict `b` 1 }}{{ $_ := merge (dict `a` $n) (dict `a` (dict `c` 2)) }}{{ $n }}",
        b"map[b:1 c:2]",
    ),
    ("merge nil (dict `a` 1)", b"map[a:1]"),
    ("merge (dict) nil", b"map[]"),
    ("mustMerge (dict `a` 1) (dict `b` 2)", b"map[a:1 b:2]"),
    ("mustMergeOverwrite (dict `a` 1) (dict `a` 2)", b"map[a:2]"),
    ("merge (dict `a` (semver `1.2.3`)) (dict `a` (dict `b` 1)) | quote", b'""'),
    ("dig `a` `b` `none` (dict `a` (dict `b` 1))", b"1"),
    ("dig `a` `b` `none` (dict `a` (dict))", b"none"),
    ("dig `a` `none` (dict)", b"none"),
    ("dig `a` `none` (dict `a` nil)", b"<no value>"),
    (
        "{{ $d := dict `a` (list (dict)) }}{{ $e := deepCopy $d }}{{ $_ := set (first $e.a) `x` 1 }}{{ $d }}{{ $e }}",
        b"map[a:[map[]]]map[a:[map[x:1]]]",
    ),
    ("deepCopy $ | typeOf", b"map[string]string"),
    ("deepCopy (list nil 1 (until 2)) | toJson", b"[null,1,[0,1]]"),
    ("mustDeepCopy `a`", b"a"),
    ("deepCopy (rest (list)) | toJson", b"null"),
]
ERRORS = [
    ("set nil `a` 1", "assignment to entry in nil map"),
    ("dig `a` `b`", "dig needs at least three arguments"),
    ("dig 1 2 3", "interface conversion: interface {} is int, not map[string]interface {}"),
    ("dig 1 2 (dict)", "interface conversion: interface {} is int, not string"),
    (
        "dig `a` `b` `x` (dict `a` nil)",
        "interface conversion: interface {} is nil, not map[string]interface {}",
    ),
    (
        "dig `a` `b` `x` (dict `a` 1)",
        "interface conversion: interface {} is int, not map[string]interface {}",
    ),
    ("dig `a` `x` $", "interface conversion: interface {} is map[string]string, not map[string]interface {}"),
    ("deepCopy nil", "reflect: call of reflect.Value.Type on zero Value"),
    ("get $ `a`", "wrong type for value; expected map[string]interface {}; got map[string]string"),
    ("keys $", "wrong type for value; expected map[string]interface {}; got map[string]string"),
    ("merge (dict) $", "wrong type for value; expected map[string]interface {}; got map[string]string"),
    ("mustMerge (dict `a` (semver `1.2.3`)) (dict `a` (dict `b` 1))", "src and dst must be of same type"),
    ("get (dict) 1", "expected string; found 1"),
]
BOMBS = [
    "{{ $d := dict }}{{ $_ := set $d `a` $d }}{{ deepCopy $d }}",
    "{{ $d := dict }}{{ $_ := set $d `a` $d }}{{ merge $d $d }}",
    "{{ $d := dict }}{{ $_ := set $d `a` $d }}{{ $e := dict }}{{ $_ := set $e `a` $e }}{{ mergeOverwrite $d $e | len }}",
    "{{ $x := list 1 }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ deepCopy $x | len }}",
]


@pytest.mark.parametrize(("text", "output"), RESULTS)
def test_output_is_that_of_go(rendered, text, output):
    assert rendered(text) == output


@pytest.mark.parametrize(("text", "detail"), ERRORS)
def test_error_is_that_of_go_without_values(fails_with, text, detail):
    fails_with(text, detail)


@pytest.mark.parametrize("text", BOMBS)
def test_what_asks_for_too_much_ends_soon(asks_too_much, text):
    asks_too_much(text)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('keys (dict "b" 1 "a" 2 "B" 3) (dict "d" 1 "c" 2)', b"[B a b c d]"),
        ('values (dict "b" 1 "a" 2 "c" 3)', b"[2 1 3]"),
    ],
)
def test_keys_and_values_are_sorted_so_that_a_secret_never_changes_by_itself(rendered, text, output):
    assert rendered(text) == output
