"""What holds for every render: it changes nobody's data, keeps to small budgets, and its errors lead to no value."""

from __future__ import annotations

import time
from itertools import count

import pytest

from keyferry.gotemplate import (
    Cache,
    ExecError,
    LimitError,
    Limits,
    ParseError,
    Run,
    StringMap,
    parse,
)
from keyferry.gotemplate.values import Strings
from keyferry.testing.leaks import canary


def render(text, data=None, run=None, limits=None):
    run = run or Run(limits or Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=bytes)
    return parse("t", text).render(StringMap() if data is None else data, run)


@pytest.mark.parametrize(
    "text",
    [
        '{{ $_ := merge (dict "a" .) (dict "a" (split "," "x,y")) }}{{ . }}',
        '{{ $_ := mergeOverwrite (dict "a" .) (dict "a" (split "," "x,y")) }}{{ . }}',
    ],
)
def test_the_data_stay_as_they_are_though_the_template_sees_them_changed(text):
    data = StringMap({b"a": b"1"})

    output = render(text, data)

    assert b"_1:y" in output
    assert {b"a": b"1"} == data


def test_maps_and_lists_in_the_data_stay_as_they_are():
    data = {b"names": Strings([b"b", b"a"]), b"map": {b"k": 1}, b"list": [{b"l": 2}]}

    output = render(
        '{{ sortAlpha .names }} {{ set .map "k" 3 }} {{ set (index .list 0) "l" 4 }} {{ set . "new" 5 | len }}',
        data,
    )

    assert b"[a b] map[k:3] map[l:4] 4" == output
    assert {b"names": [b"b", b"a"], b"map": {b"k": 1}, b"list": [{b"l": 2}]} == data


def test_a_list_that_is_sorted_while_a_range_goes_through_it_is_seen_sorted_as_in_go():
    assert b"cbc" == render(
        '{{ $s := toStrings (list "c" "b" "a") }}{{ range $s }}{{ . }}{{ $_ := sortAlpha $s }}{{ end }}'
    )


def test_an_error_leads_to_no_frame_and_no_error_that_hold_values():
    secret = canary("json").encode()
    with pytest.raises(ExecError) as caught:
        render("{{ mustFromJson .v }}", StringMap({b"v": secret + b"{"}))

    frames = []
    at = caught.value.__traceback__
    while at is not None:
        frames.append(at.tb_frame.f_code.co_name)
        at = at.tb_next

    assert None is caught.value.__context__
    assert "render" == frames[-1]


def test_the_deadline_is_looked_at_in_a_small_budget_too():
    ticks = count()
    run = Run(
        Limits(steps=2_000, seconds=0.5), now_ns=0, monotonic=lambda: float(next(ticks)), random_bytes=bytes
    )

    with pytest.raises(LimitError, match="longer than"):
        render("{{ range until 800 }}x{{ end }}", run=run)


def test_a_text_with_too_many_tokens_asks_for_more_and_is_not_wrong():
    text = "{{ .a }}" * 100

    assert b"x" * 100 == render(text, StringMap({b"a": b"x"}))
    with pytest.raises(LimitError, match="more than 50 tokens"):
        parse("t", text, limits=Limits(tokens=50))


def test_a_template_that_nests_too_deeply_for_the_stack_that_is_left_is_refused():
    text = "{{ if 1 }}" * 90 + "{{ end }}" * 90

    def parsed(frames):
        return parsed(frames - 1) if frames else parse("t", text)

    assert b"" == render(text)
    with pytest.raises((LimitError, ParseError), match=r"deep|depth"):
        parsed(800)


def test_the_cache_is_bounded_by_what_templates_take_not_by_their_texts():
    small, cache = "{{ .a }}", Cache(max_bytes=1 << 20)
    dense = "{{1}}" * 250

    kept = cache.parse("small", small)
    before = cache.parse("dense", dense)
    assert cache.parse("dense", dense) is before
    for number in range(3):
        cache.parse(f"dense {number}", dense)

    assert cache.parse("dense", dense) is not before
    assert cache.parse("small", small) is not kept


@pytest.mark.parametrize("function", ["js", "urlquery", 'printf "%+q"'])
def test_escaping_stops_when_memory_ends(function, ends_soon):
    data = StringMap({b"v": b"\xff" * 4_000_000})

    def escape():
        with pytest.raises(LimitError):
            render(f"{{{{ {function} .v }}}}", data, limits=Limits(steps=10_000_000, memory_bytes=256 * 1024))

    ends_soon(escape, 0.1)


def test_a_method_with_arguments_is_found_anew_for_each_type_that_comes_by():
    text = (
        '{{ range list (toDate "2006" "2024") (semver "1.2.3") (toDate "2006" "2025") }}'
        '{{ if kindIs "struct" . }}{{ .AddDate 1 0 0 | date "2006" }}{{ else }}{{ .SetPrerelease "rc" }}{{ end }},{{ end }}'
    )

    assert b"2025,1.2.3-rc,2026," == render(text)


def test_a_method_that_only_some_values_have_is_refused_where_it_is_missing():
    with pytest.raises(ExecError, match="can't evaluate field Format in type int"):
        render('{{ range list (toDate "2006" "2024") 1 }}{{ .Format "2006" }}{{ end }}')


def test_a_limit_of_the_text_has_no_place_in_it():
    with pytest.raises(LimitError) as caught:
        parse("t", "{{ 1 }}" * 100, limits=Limits(tokens=10))

    assert "template: t: the template has more than 10 tokens" == caught.value.message
    assert 0 == caught.value.line
