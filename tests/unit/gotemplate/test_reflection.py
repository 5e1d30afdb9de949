"""Types and kinds as Sprig tells them: what Go makes of them."""

from __future__ import annotations

import pytest

RESULTS = [
    ("typeOf `a`", b"string"),
    ("typeOf 1", b"int"),
    ("typeOf 1.5", b"float64"),
    ("typeOf true", b"bool"),
    ("typeOf nil", b"<nil>"),
    ("typeOf (list)", b"[]interface {}"),
    ("typeOf (dict)", b"map[string]interface {}"),
    ("typeOf $", b"map[string]string"),
    ("typeOf (until 2)", b"[]int"),
    ("typeOf (splitList `,` `a`)", b"[]string"),
    ("typeOf (int64 1)", b"int64"),
    ("typeOf (index `a` 0)", b"uint8"),
    ("typeOf (chunk 1 (list 1))", b"[][]interface {}"),
    ("typeOf (semver `1.2.3`)", b"*semver.Version"),
    ("kindOf `a`", b"string"),
    ("kindOf 1", b"int"),
    ("kindOf 1.5", b"float64"),
    ("kindOf true", b"bool"),
    ("kindOf nil", b"invalid"),
    ("kindOf (list)", b"slice"),
    ("kindOf (dict)", b"map"),
    ("kindOf $", b"map"),
    ("kindOf (int64 1)", b"int64"),
    ("kindOf (index `a` 0)", b"uint8"),
    ("kindOf (semver `1.2.3`)", b"ptr"),
    ("typeIs `int` 1", b"true"),
    ("typeIs `int64` 1", b"false"),
    ("typeIsLike `semver.Version` (semver `1.2.3`)", b"true"),
    ("typeIsLike `*semver.Version` (semver `1.2.3`)", b"true"),
    ("typeIs `semver.Version` (semver `1.2.3`)", b"false"),
    ("kindIs `ptr` (semver `1.2.3`)", b"true"),
    ("kindIs `slice` (list)", b"true"),
    ("typeIs `<nil>` nil", b"true"),
    ("deepEqual 1 1", b"true"),
    ("deepEqual 1 1.0", b"false"),
    ("deepEqual 1 (int64 1)", b"false"),
    ("deepEqual nil nil", b"true"),
    ("deepEqual (list 1 (dict `a` 1)) (list 1 (dict `a` 1))", b"true"),
    ("deepEqual (list 1) (list 2)", b"false"),
    ("deepEqual (list 1) (list 1 2)", b"false"),
    ("deepEqual (dict `a` 1) (dict `b` 1)", b"false"),
    ("deepEqual (dict `a` nil) (dict `b` nil)", b"false"),
    ("deepEqual (list `a`) (splitList `,` `a`)", b"false"),
    ("deepEqual $ $", b"true"),
    ("deepEqual (float64 `nan`) (float64 `nan`)", b"false"),
    ("deepEqual (semver `1.2.3`) (semver `1.2.3`)", b"true"),
    ("deepEqual 0.0 (float64 `-0`)", b"true"),
    ("deepEqual true 1", b"false"),
]
ERRORS = [
    ("typeIs 1 1", "expected string; found 1"),
]
BOMBS = [
    "{{ $d := dict }}{{ $_ := set $d `a` $d }}{{ $e := dict }}{{ $_ := set $e `a` $e }}{{ deepEqual $d $e }}",
    "{{ $x := list 1 }}{{ $y := list 1 }}{{ range until 60 }}{{ $x = list $x $x }}{{ $y = list $y $y }}{{ end }}{{ deepEqual $x $y }}",
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
