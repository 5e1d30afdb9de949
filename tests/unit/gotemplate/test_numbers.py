"""Sprig's numbers: what Go makes of them."""

from __future__ import annotations

import time

import pytest

from keyferry.gotemplate import LimitError, Limits, Run, StringMap, TemplateError, parse

DATA = StringMap({b"x": b"1", b"y": b"<b>"})
RESULTS = [
    ("int64 `12`", b"12"),
    ("int64 `-3`", b"-3"),
    ("int64 `+5`", b"5"),
    ("int64 `0x1F`", b"31"),
    ("int64 `010`", b"8"),
    ("int64 `0b11`", b"3"),
    ("int64 `0o17`", b"15"),
    ("int64 `1_000`", b"1000"),
    ("int64 `1.0`", b"1"),
    ("int64 `1.00`", b"1"),
    ("int64 `1.5`", b"0"),
    ("int64 `1.`", b"0"),
    ("int64 `1.0.`", b"1"),
    ("int64 `.0`", b"0"),
    ("int64 ``", b"0"),
    ("int64 `9223372036854775807`", b"9223372036854775807"),
    ("int64 `9223372036854775808`", b"0"),
    ("int64 ` 1`", b"0"),
    ("int64 `08`", b"0"),
    ("float64 `1.5`", b"1.5"),
    ("float64 `1e3`", b"1000"),
    ("float64 `-0`", b"-0"),
    ("float64 `inf`", b"+Inf"),
    ("float64 `-Infinity`", b"-Inf"),
    ("float64 `NaN`", b"NaN"),
    ("float64 `0x1p-2`", b"0.25"),
    ("float64 `1_000.5`", b"1000.5"),
    ("float64 `1e400`", b"0"),
    ("float64 `_1`", b"0"),
    ("float64 `.5`", b"0.5"),
    ("float64 `5.`", b"5"),
    ("float64 ``", b"0"),
    ("float64 `e5`", b"0"),
    ("atoi `042`", b"42"),
    ("atoi `0x1`", b"0"),
    ("atoi `99999999999999999999`", b"9223372036854775807"),
    ("atoi `-99999999999999999999`", b"-9223372036854775808"),
    ("atoi `a`", b"0"),
    ("int64 1e30", b"-9223372036854775808"),
    ("int64 -1e30", b"-9223372036854775808"),
    ("int64 (float64 `nan`)", b"-9223372036854775808"),
    ("int true", b"1"),
    ("int nil", b"0"),
    ("int (list 1)", b"0"),
    ("int (index `a` 0)", b"97"),
    ("int64 1.9", b"1"),
    ("int64 -1.9", b"-1"),
    ("toDecimal `777`", b"511"),
    ("toDecimal 777", b"511"),
    ("toDecimal `0777`", b"511"),
    ("toDecimal `8`", b"0"),
    ("toDecimal nil", b"0"),
    ("toDecimal true", b"0"),
    ("toDecimal 1.5", b"0"),
    ("toDecimal `-17`", b"-15"),
    ("add", b"0"),
    ("add 1 `2` 3.9 nil true", b"7"),
    ("add 9223372036854775807 1", b"-9223372036854775808"),
    ("sub -9223372036854775808 1", b"9223372036854775807"),
    ("mul 4611686018427387904 2", b"-9223372036854775808"),
    ("mul 3", b"3"),
    ("add1 9223372036854775807", b"-9223372036854775808"),
    ("div 7 2", b"3"),
    ("div -7 2", b"-3"),
    ("div 7 -2", b"-3"),
    ("mod -7 2", b"-1"),
    ("mod 7 -2", b"1"),
    ("div -9223372036854775808 -1", b"-9223372036854775808"),
    ("mod -9223372036854775808 -1", b"0"),
    ("addf 0.1 0.2", b"0.3"),
    ("addf", b"0"),
    ("add1f 1.5", b"2.5"),
    ("subf 7.5 2 3", b"2.5"),
    ("subf 1", b"1"),
    ("mulf 1.1 1.1", b"1.21"),
    ("mulf 1e308 1e308", b"+Inf"),
    ("mulf 1e-308 1e-308", b"0"),
    ("mulf -1e308 1e308", b"-Inf"),
    ("divf 1 3", b"0.3333333333333333"),
    ("divf 2 3", b"0.6666666666666667"),
    ("divf -2 3", b"-0.6666666666666667"),
    ("divf 10 4 5", b"0.5"),
    ("divf 1e-300 1e300", b"0"),
    ("max 1 `3` 2", b"3"),
    ("biggest 1", b"1"),
    ("min 1 -2 `x`", b"-2"),
    ("maxf 1 2.5", b"2.5"),
    ("minf 1.5 (float64 `nan`)", b"NaN"),
    ("maxf (float64 `nan`) (float64 `inf`)", b"+Inf"),
    ("minf (float64 `nan`) (float64 `-inf`)", b"-Inf"),
    ("maxf (float64 `-0`) 0", b"0"),
    ("minf 0 (float64 `-0`)", b"-0"),
    ("ceil 1.2", b"2"),
    ("ceil -0.5", b"-0"),
    ("floor -1.2", b"-2"),
    ("floor (float64 `inf`)", b"+Inf"),
    ("floor `1.9`", b"1"),
    ("round 1.2345 2", b"1.23"),
    ("round -2.5 0", b"-3"),
    ("round 2.675 2", b"2.68"),
    ("round 1234.5 -2", b"1200"),
    ("round 1.5 400", b"NaN"),
    ("round 1e300 10", b"+Inf"),
    ("round 1.25 1 0.6", b"1.2"),
    ("round 5.5 -330", b"NaN"),
    ("round 1.5 17", b"1.5"),
    ("round (float64 `nan`) 2", b"NaN"),
    ("until 3", b"[0 1 2]"),
    ("until -3", b"[0 -1 -2]"),
    ("until 0", b"[]"),
    ("untilStep 3 9 2", b"[3 5 7]"),
    ("untilStep 9 3 -2", b"[9 7 5]"),
    ("untilStep 1 5 0", b"[]"),
    ("untilStep 5 1 1", b"[]"),
    ("untilStep 3 3 -1", b"[]"),
    ("seq 3", b"1 2 3"),
    ("seq", b""),
    ("seq -2", b"1 0 -1 -2"),
    ("seq 0", b"1 0"),
    ("seq 1 2 9", b"1 3 5 7 9"),
    ("seq 9 -4 1", b"9 5 1"),
    ("seq 9 4 1", b""),
    ("seq 2 2", b"2"),
    ("seq 5 3", b"5 4 3"),
    ("seq 1 2 3 4", b""),
    ("seq 1 0 3", b""),
    ("seq 3 0 1", b""),
]
ERRORS = [
    ("div 1 0", "runtime error: integer divide by zero"),
    ("mod 1 `x`", "runtime error: integer divide by zero"),
    ("divf 1 0", "decimal division by 0"),
    ("addf `nan` 1", "Cannot create a Decimal from a float64 that is infinite or no number"),
    ("mulf 2 (float64 `inf`)", "Cannot create a Decimal from a float64 that is infinite or no number"),
    ("until `3`", "expected integer; found `3`"),
    ("round 1.5 `2`", "expected integer; found `2`"),
]
BOMBS = [
    "until 100000000",
    "untilStep 0 9223372036854775807 1",
    "untilStep -9223372036854775807 9223372036854775807 1",
    "seq 1000000000",
    "{{ range until 60000 }}{{ $x := mulf 1e300 1e300 1e300 1e300 1e300 1e300 1e300 }}{{ end }}",
]


def rendered(text: str, data: StringMap = DATA) -> bytes:
    run = Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=bytes)
    return parse("t", text if "{{" in text else "{{ " + text + " }}").render(data, run)


@pytest.mark.parametrize(("text", "output"), RESULTS)
def test_output_is_that_of_go(text, output):
    assert rendered(text) == output


@pytest.mark.parametrize(("text", "detail"), ERRORS)
def test_error_is_that_of_go_without_values(text, detail):
    with pytest.raises(TemplateError) as caught:
        rendered(text)

    assert caught.value.detail.endswith(detail)


@pytest.mark.parametrize("text", BOMBS)
def test_what_asks_for_too_much_ends_soon(text):
    started = time.process_time()
    with pytest.raises(TemplateError) as caught:
        rendered(text)

    assert isinstance(caught.value, LimitError) or "nests too deeply" in caught.value.detail
    assert time.process_time() - started < 3
