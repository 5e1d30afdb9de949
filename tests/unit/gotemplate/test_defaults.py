"""Sprig's defaults and choices: what Go makes of them."""

from __future__ import annotations

import time

import pytest

from keyferry.gotemplate import Limits, Run
from keyferry.gotemplate.errors import Failed
from keyferry.gotemplate.functions.defaults import group
from keyferry.testing.leaks import canary

RESULTS = [
    ("default `d` ``", b"d"),
    ("default `d` `x`", b"x"),
    ("default `d` nil", b"d"),
    ("default `d` 0", b"d"),
    ("default `d` false", b"d"),
    ("default `d` (list)", b"d"),
    ("default `d` (semver `1.2.3`)", b"1.2.3"),
    ("default `d`", b"d"),
    ("default 1 2 3", b"2"),
    ("empty 0.0", b"true"),
    ("empty (dict)", b"true"),
    ("empty `a`", b"false"),
    ("empty nil", b"true"),
    ("empty (list nil)", b"false"),
    ("coalesce `` 0 nil `a` `b`", b"a"),
    ("coalesce | kindOf", b"invalid"),
    ("coalesce `` 0 | kindOf", b"invalid"),
    ("all 1 `a`", b"true"),
    ("all 1 ``", b"false"),
    ("all", b"true"),
    ("any 0 `a`", b"true"),
    ("any", b"false"),
    ("any nil 0", b"false"),
    ("ternary `y` `n` true", b"y"),
    ("ternary `y` `n` false", b"n"),
]
ERRORS = [
    ("ternary `y` `n` `true`", "expected bool; found `true`"),
]


@pytest.mark.parametrize(("text", "output"), RESULTS)
def test_output_is_that_of_go(rendered, text, output):
    assert rendered(text) == output


@pytest.mark.parametrize(("text", "detail"), ERRORS)
def test_error_is_that_of_go_without_values(fails_with, text, detail):
    fails_with(text, detail)


def test_message_of_fail_is_kept_apart_since_it_may_hold_a_secret():
    run = Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=bytes)
    message = canary("message").encode()

    with pytest.raises(Failed) as caught:
        group.functions["fail"].call(run, message)

    assert caught.value.said == message
    assert str(caught.value) == "the template has called it, with a message that is not shown"
