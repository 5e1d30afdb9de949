"""What may be given: bytes, or text, which is UTF-8 as in Go."""

from __future__ import annotations

import pytest

from keyferry import gjson


def test_text_and_its_bytes_give_the_same():
    expected = gjson.get('{"é":"日本"}'.encode(), "é")
    actual = gjson.get('{"é":"日本"}', "é")

    assert (expected.kind, expected.raw, expected.text()) == (actual.kind, actual.raw, actual.text())
    assert "日本".encode() == actual.text()


def test_half_a_surrogate_pair_in_text_counts_as_the_replacement_character():
    assert "\ufffd".encode() == gjson.get('{"a":"\ud83d"}', "a").text()
    assert b"1" == gjson.get('{"\ufffd":1}', "\ud83d").text()


def test_empty_path_is_the_empty_key_and_not_the_document():
    assert b"1" == gjson.get('{"":1}', "").text()
    assert not gjson.get('{"a":1}', "").exists


def test_null_exists_and_has_no_text():
    result = gjson.get('{"a":null}', "a")

    assert result.exists
    assert (gjson.Kind.NULL, b"null", b"") == (result.kind, result.raw, result.text())


def test_absent_value_has_neither_raw_nor_text():
    result = gjson.get('{"a":1}', "b")

    assert not result.exists
    assert (gjson.Kind.NULL, b"", b"") == (result.kind, result.raw, result.text())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param("10", "10", id="digits-stay"),
        pytest.param("-0", "-0", id="digits-with-minus-stay"),
        pytest.param("123456789012345678901234567890", "123456789012345678901234567890", id="however-many"),
        pytest.param("1.50", "1.5", id="fraction-is-printed-anew"),
        pytest.param("1e6", "1000000", id="exponent-is-printed-anew"),
        pytest.param("9007199254740993.0", "9007199254740992", id="as-a-float64"),
        pytest.param("-0.0", "-0", id="zero-keeps-its-sign"),
        pytest.param("1e400", "+Inf", id="too-large"),
    ],
)
def test_number_keeps_its_text_only_if_it_is_digits(raw, text):
    result = gjson.get(f'{{"n":{raw}}}', "n")

    assert (raw.encode(), text.encode()) == (result.raw, result.text())
