"""Sprig's lists: what Go makes of them."""

from __future__ import annotations

import pytest

RESULTS = [
    ("list 1 `a` nil", b"[1 a <nil>]"),
    ("tuple", b"[]"),
    ("append (list 1) 2", b"[1 2]"),
    ("push (until 2) `a`", b"[0 1 a]"),
    ("prepend (list 1) nil", b"[<nil> 1]"),
    ("mustAppend (list) (list)", b"[[]]"),
    ("mustPrepend (splitList `,` `a,b`) 1", b"[1 a b]"),
    ("first (list 1 2)", b"1"),
    ("last (until 3)", b"2"),
    ("first (list)", b"<no value>"),
    ("mustLast (splitList `,` `a,b`)", b"b"),
    ("rest (list 1 2 3)", b"[2 3]"),
    ("initial (list 1 2 3)", b"[1 2]"),
    ("reverse (until 3)", b"[2 1 0]"),
    ("mustReverse (list `a`)", b"[a]"),
    ("compact (list 1 `` 0 nil false (list) `a`)", b"[1 a]"),
    ("uniq (list 1 1 1.0 `1` `a` `a` (list 1) (list 1) nil nil true)", b"[1 1 1 a [1] <nil> true]"),
    ("uniq (list (float64 `nan`) (float64 `nan`))", b"[NaN NaN]"),
    ("without (list 1 2 3 2) 2 `3`", b"[1 3]"),
    ("mustWithout (list (list 1) (dict)) (dict)", b"[[1]]"),
    ("has 2 (list 1 2)", b"true"),
    ("has (int64 2) (list 1 2)", b"false"),
    ("has 1 nil", b"false"),
    ("has (list) (list (list))", b"true"),
    ("mustHas `a` (splitList `,` `a,b`)", b"true"),
    ("slice (list 1 2 3)", b"[1 2 3]"),
    ("slice (list 1 2 3) 1", b"[2 3]"),
    ("slice (list 1 2 3) 1 2", b"[2]"),
    ("slice (list 1 2 3) `1` 2.9", b"[2]"),
    ("slice (splitList `,` `a,b,c`) 1 | typeOf", b"[]string"),
    ("slice (list)", b"<no value>"),
    ("slice (until 3) 3", b"[]"),
    ("concat (list 1) (until 2) (splitList `,` `a`)", b"[1 0 1 a]"),
    ("concat", b"[]"),
    ("chunk 2 (list 1 2 3)", b"[[1 2] [3]]"),
    ("chunk 3 (list 1 2 3)", b"[[1 2 3]]"),
    ("chunk 5 (until 2)", b"[[0 1]]"),
    ("chunk 1 (list)", b"[]"),
    ("chunk -5 (list 1 2 3)", b"[]"),
    ("mustChunk 2 (until 5) | typeOf", b"[][]interface {}"),
    ("toJson (rest (list))", b"null"),
    ("toJson (initial (list))", b"null"),
    ("toJson (concat)", b"null"),
    ("toJson (reverse (list))", b"[]"),
    ("toJson (compact (list))", b"[]"),
    ("deepEqual (rest (list)) (list)", b"false"),
    ("typeOf (rest (list))", b"[]interface {}"),
    ("len (rest (list))", b"0"),
    ("append (rest (list)) 1", b"[1]"),
    ("{{ range rest (list 1) }}a{{ else }}b{{ end }}", b"b"),
    ("first (index (chunk 2 (list 1 2 3)) 1)", b"3"),
    ("{{ $l := list 1 2 }}{{ $m := append $l 3 }}{{ $l }} {{ $m }}", b"[1 2] [1 2 3]"),
]
ERRORS = [
    ("first nil", "runtime error: invalid memory address or nil pointer dereference"),
    ("push `a` 1", "Cannot push on type string"),
    ("prepend 1 1", "Cannot prepend on type int"),
    ("first (dict)", "Cannot find first on type map"),
    ("last `a`", "Cannot find last on type string"),
    ("rest 1", "Cannot find rest on type int"),
    ("initial 1.5", "Cannot find initial on type float64"),
    ("reverse true", "Cannot find reverse on type bool"),
    ("compact `a`", "Cannot compact on type string"),
    ("uniq `a`", "Cannot find uniq on type string"),
    ("without `a`", "Cannot find without on type string"),
    ("has 1 `a`", "Cannot find has on type string"),
    ("slice `abc` 1", "list should be type of slice or array but string"),
    ("slice (list 1 2) 2 1", "reflect.Value.Slice: slice index out of bounds"),
    ("slice (list 1 2) -1", "reflect.Value.Slice: slice index out of bounds"),
    ("slice (list 1 2) 0 9", "reflect.Value.Slice: slice index out of bounds"),
    ("concat `a`", "Cannot concat type string as list"),
    ("concat nil", "runtime error: invalid memory address or nil pointer dereference"),
    ("concat (list) 1", "Cannot concat type int as list"),
    ("chunk 0 (list 1)", "runtime error: makeslice: len out of range"),
    ("chunk -1 (list 1 2 3)", "runtime error: makeslice: len out of range"),
    ("chunk -1 (list)", "runtime error: makeslice: len out of range"),
    ("chunk 2 `a`", "Cannot chunk type string"),
]
BOMBS = [
    "{{ $x := list 1.5 }}{{ range until 40 }}{{ $x = concat $x $x }}{{ end }}",
    "{{ $x := until 60000 }}{{ range $x }}{{ $y := has 70000 $x }}{{ end }}",
    "{{ $x := until 60000 }}{{ range $x }}{{ $y := uniq $x }}{{ end }}",
    "{{ $x := until 60000 }}{{ range $x }}{{ $y := reverse $x }}{{ end }}",
    "{{ $x := until 200000 }}{{ chunk 1 $x | len }}",
    "{{ $d := dict }}{{ $_ := set $d `a` $d }}{{ $e := dict }}{{ $_ := set $e `a` $e }}{{ has $d (list $e) }}",
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
