"""What Vault sends is kept as it is: numbers by their text, text as Go writes it."""

from __future__ import annotations

import json

import pytest

from keyferry.providers.vault.document import (
    LONGEST_S,
    MAX_PARTS,
    Number,
    decode,
    go_text,
    seconds,
    whole,
)


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        (b'{"b":1,"a":2}', '{"a":2,"b":1}'),
        (b'{"a": 1.50, "b": 1e6, "c": 12345678901234567890}', '{"a":1.50,"b":1e6,"c":12345678901234567890}'),
        (b'{"a":"<b>&\xe2\x80\xa8"}', '{"a":"\\u003cb\\u003e\\u0026\\u2028"}'),
        (b'{"a":{"y":[true,false,null],"x":{}}}', '{"a":{"x":{},"y":[true,false,null]}}'),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'),
        (b'{"a":"\\ud800"}', '{"a":"\ufffd"}'),
        (b'{"a":1,"a":2}', '{"a":2}'),
        (b'{"":"x"}', '{"":"x"}'),
        (b"", "{}"),
        (b" \n", "{}"),
    ],
)
def test_document_is_written_as_go_does(sent, written):
    assert written == go_text(decode(sent))


@pytest.mark.parametrize(
    "sent",
    [
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"<html>",
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":[%b1]}' % (b"1," * (MAX_PARTS + 1)), id="many"),
    ],
)
def test_what_is_no_document_is_none(sent):
    with pytest.raises(ValueError, match=r"no object|no JSON|nested|Expecting|Extra|too many parts"):
        decode(sent)


def test_text_with_many_commas_is_one_part():
    text = 'a,\\",' * MAX_PARTS

    assert {"a": json.loads(f'"{text}"')} == decode(f'{{"a":"{text}"}}'.encode())


def test_document_that_is_too_deep_is_not_written():
    with pytest.raises(ValueError, match="nested too deep"):
        go_text(decode(b'{"a":' * 600 + b"1" + b"}" * 600))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(Number("60"), 60), (3, 3), (Number("1e3"), 0), ("60", 0), (None, 0), (True, 0), (Number("9" * 30), 0)],
)
def test_durations_are_whole_numbers_or_nothing(value, expected):
    assert expected == whole(value)


@pytest.mark.parametrize(("value", "expected"), [("-5", 0), ("60", 60), ("1" + "0" * 17, LONGEST_S)])
def test_time_to_come_is_one_that_calendars_hold(value, expected):
    assert expected == seconds(Number(value))
