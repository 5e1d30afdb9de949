"""decodingStrategy as Go's encoding/base64 has it, and nullBytePolicy."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.decode import check_null_bytes, decode
from keyferry.errors import RenderError
from keyferry.secretdata import SecretBytes


def _decoded(value: bytes, strategy: str) -> bytes | None:
    try:
        return decode(SecretBytes(value), strategy, "it").reveal()
    except RenderError:
        return None


@pytest.mark.parametrize("strategy", ["Base64", "Base64URL", "Auto"])
def test_every_input_decodes_as_in_go(strategy, vectors):
    """Line breaks anywhere, padding missing or too much, bits left over, both alphabets mixed."""
    different = {}
    for case in vectors("base64"):
        value = base64.b64decode(case["input"])
        expected = None if case[strategy] is None else base64.b64decode(case[strategy])
        if (actual := _decoded(value, strategy)) != expected:
            different[value] = (actual, expected)

    assert different == {}


@pytest.mark.parametrize("strategy", ["", "None"])
def test_nothing_is_decoded_unless_asked(strategy):
    value = SecretBytes(b"dGVzdA==")

    assert decode(value, strategy, "it") is value


def test_auto_decodes_a_password_that_looks_like_base64():
    """As the reference operator does: surprising, and the same everywhere."""
    assert _decoded(b"test1234", "Auto") == base64.b64decode(b"test1234")


def test_auto_leaves_what_is_no_base64():
    assert _decoded(b"pass word!", "Auto") == b"pass word!"


@pytest.mark.parametrize("strategy", ["Base64", "Base64URL"])
def test_failure_names_the_entry_and_not_the_value(strategy):
    with pytest.raises(RenderError) as caught:
        decode(SecretBytes(b"hunter2!"), strategy, "the value for 'password'")

    assert "the value for 'password'" in str(caught.value)
    assert strategy in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"


@given(st.binary())
def test_what_was_encoded_comes_back(value):
    standard, url_safe = base64.b64encode(value), base64.urlsafe_b64encode(value)

    assert _decoded(standard, "Base64") == value
    assert _decoded(url_safe, "Base64URL") == value
    assert _decoded(standard, "Auto") == value
    assert _decoded(url_safe, "Auto") == value


@given(st.binary(max_size=12) | st.text("AB01+/-_=\n", max_size=12).map(str.encode))
def test_auto_is_the_first_encoding_that_fits_or_none(value):
    standard, url_safe = _decoded(value, "Base64"), _decoded(value, "Base64URL")

    assert _decoded(value, "Auto") == next(
        found for found in (standard, url_safe, value) if found is not None
    )
    if standard is not None and url_safe is not None:
        assert standard == url_safe


@given(st.binary(), st.sampled_from(["Ignore", "Fail", ""]))
def test_null_bytes_fail_only_where_asked(value, policy):
    try:
        check_null_bytes(SecretBytes(value), policy, "it")
    except RenderError:
        assert policy == "Fail"
        assert b"\0" in value
    else:
        assert policy != "Fail" or b"\0" not in value


@given(st.binary(), st.binary(max_size=6))
def test_decoding_never_fails_by_another_error(head, tail):
    for strategy in ("Base64", "Base64URL", "Auto"):
        _decoded(base64.b64encode(head) + tail, strategy)


@pytest.mark.parametrize(
    ("value", "policy"),
    [(b"a\0b", "Ignore"), (b"a\0b", ""), (b"ab", "Fail"), (b"", "Fail")],
)
def test_value_passes_the_null_byte_policy(value, policy):
    check_null_bytes(SecretBytes(value), policy, "it")


def test_null_byte_is_refused_where_the_policy_is_fail():
    with pytest.raises(RenderError) as caught:
        check_null_bytes(SecretBytes(b"hunter2\0"), "Fail", "the value for 'db'")

    assert "the value for 'db' contains a null byte" in caught.value.message
    assert "hunter2" not in str(caught.value)
