"""conversionStrategy and key validation."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.keys import convert_keys, validate_keys
from keyferry.errors import RenderError

STRATEGIES = ["", "Default", "Unicode"]
UTF8 = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("strategy", "key", "expected"),
    [
        ("", "a/b c", "a_b_c"),
        ("Default", "a/b c", "a_b_c"),
        ("Unicode", "a/b c", "a_U002f_b_U0020_c"),
        ("Unicode", "😀", "_U1f600_"),
        ("Unicode", "\x00", "_U0000_"),
        ("Default", "e\u0301", "e_"),
        ("Default", "-._aZ0", "-._aZ0"),
        ("Default", "é日½Ⅷ٣", "é日½Ⅷ٣"),
        ("Unicode", "a_U002f_b", "a_U002f_b"),
        ("Default", "", ""),
    ],
)
def test_characters_that_no_key_may_have_are_replaced(strategy, key, expected):
    assert convert_keys({key: 1}, strategy) == {expected: 1}


def test_order_of_the_keys_is_kept():
    assert list(convert_keys({"z/": 1, "b": 2, "a/": 3}, "Default")) == ["z_", "b", "a_"]


@pytest.mark.parametrize(
    ("strategy", "keys"),
    [("Default", ["a/b", "a b"]), ("Default", ["a_b", "a/b"]), ("Unicode", ["_U002f_", "/"])],
)
def test_collision_is_refused_and_names_all_three(strategy, keys):
    with pytest.raises(RenderError) as caught:
        convert_keys(dict.fromkeys(keys, b"hunter2"), strategy)

    name = next(iter(convert_keys({keys[0]: 1}, strategy)))
    assert caught.value.message.startswith("secret name collision during conversion: ")
    assert [repr(text) in caught.value.message for text in (*keys, name)] == [True] * 3
    assert "hunter2" not in str(caught.value)


def _members(ranges):
    for text in ranges.split():
        first, last = (int(end, 16) for end in text.split("-"))
        yield from range(first, last + 1)


def test_letters_and_numbers_are_those_of_go(vectors):
    """Over all of Unicode, but for code points that only the newer Unicode of one of the two knows."""
    table = vectors("letters")
    allowed, assigned = set(_members(table["allowed"])), set(_members(table["assigned"]))
    known = {code for code in assigned if unicodedata.category(chr(code)) not in ("Cn", "Cs")}

    ours = {code for code in known if convert_keys({chr(code): 1}, "Default") == {chr(code): 1}}

    assert ours - {ord(char) for char in "-._"} == allowed & known
    assert len(known) > 280_000


@given(st.dictionaries(UTF8, st.integers()), st.sampled_from(STRATEGIES))
def test_conversion_is_one_to_one_or_an_error(values, strategy):
    try:
        converted = convert_keys(values, strategy)
    except RenderError:
        singles = [next(iter(convert_keys({key: 1}, strategy))) for key in values]
        assert len(set(singles)) < len(values)
        return

    assert list(converted.values()) == list(values.values())


@given(UTF8, st.sampled_from(STRATEGIES))
def test_conversion_changes_nothing_the_second_time(key, strategy):
    once = convert_keys({key: 1}, strategy)

    assert convert_keys(once, strategy) == once


@given(UTF8.filter(bool), st.sampled_from(STRATEGIES))
def test_converted_keys_are_valid_unless_too_long(key, strategy):
    converted = convert_keys({key: 1}, strategy)
    if len(next(iter(converted)).encode()) <= 253:
        assert validate_keys(converted) == converted


@given(
    st.dictionaries(st.text(st.sampled_from("aZ0é-._/ \n"), max_size=3) | st.just("é" * 127), st.integers())
)
def test_validation_keeps_every_key_or_refuses_all(values):
    try:
        valid = validate_keys(values)
    except RenderError:
        assert any(set(key) & set("/ \n") or len(key.encode()) > 253 for key in values)
        return

    assert valid == {key: value for key, value in values.items() if key}
    assert validate_keys(valid) == valid


def test_empty_key_is_dropped():
    assert validate_keys({"": 1, "a": 2}) == {"a": 2}


@pytest.mark.parametrize("key", ["a/b", "a b", "a\n", "a\x00", "é" * 127, "x" * 254, "e\u0301"])
def test_invalid_key_is_refused_by_name(key):
    with pytest.raises(RenderError) as caught:
        validate_keys({"fine": b"hunter2", key: b"hunter2"})

    tip = "invalid secret keys (TIP: use rewrite or conversionStrategy to change keys)"
    assert caught.value.message.startswith(f"{tip}: {key[:80]!r} (allowed: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["x" * 253, "-._aZ0", "é" * 126])
def test_valid_key_passes(key):
    assert validate_keys({key: 1}) == {key: 1}
