"""dataFrom.extract takes a JSON object apart just as Go's json.RawMessage does."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.select import select_map
from keyferry.errors import RenderError
from keyferry.secretdata import SecretBytes


def _extracted(text: bytes) -> dict[str, bytes] | None:
    try:
        return {key: value.reveal() for key, value in select_map(SecretBytes(text)).items()}
    except RenderError:
        return None


def test_every_text_gives_the_entries_that_go_gives(vectors):
    """Duplicates, null, spacing, numbers as they stand, broken UTF-8, half surrogates, garbage, depth."""
    different = {}
    for case in vectors("objects"):
        text = base64.b64decode(case["input"])
        expected = case["entries"]
        if expected is not None:
            expected = {key: base64.b64decode(value or "") for key, value in expected.items()}
        if (actual := _extracted(text)) != expected:
            different[text] = (actual, expected)

    assert different == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"n":1.50,"e":1e6,"z":-0}', {"n": b"1.50", "e": b"1e6", "z": b"-0"}),
        (b'{"o":{ "b" : [ 1,  2 ] }}', {"o": b'{ "b" : [ 1,  2 ] }'}),
        (b'{"a":null,"b":"null"}', {"a": b"", "b": b"null"}),
        (b'{"a":1,"a":"two"}', {"a": b"two"}),
        (b"null", {}),
        (b'{"a":"<&>"}', {"a": b"<&>"}),
        (b'{"a":"\xff\\ud800"}', {"a": b"\xef\xbf\xbd\xef\xbf\xbd"}),
    ],
)
def test_values_keep_their_text(text, expected):
    assert _extracted(text) == expected


@pytest.mark.parametrize(
    "text", [b"hunter2", b'["hunter2"]', b'{"a":"hunter2"', b'{"a":"hunter2"}x', b"\xef\xbb\xbf{}", b""]
)
def test_what_is_no_object_is_refused_without_showing_it(text):
    with pytest.raises(RenderError) as caught:
        select_map(SecretBytes(text))

    assert "not a JSON object" in caught.value.message
    assert "hunter2" not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"


def test_object_may_nest_deeper_than_the_parser_can_recurse():
    nested = b"[" * 5000 + b"]" * 5000

    assert _extracted(b'{"a":%b,"b":"x"}' % nested) == {"a": nested, "b": b"x"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=5), st.booleans())
def test_values_mean_what_they_meant(values, ascii_only):
    extracted = _extracted(json.dumps(values, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))

    assert set(extracted) == set(values)
    for key, value in values.items():
        if isinstance(value, str):
            if not any(0xD800 <= ord(char) < 0xE000 for char in value):
                assert extracted[key] == value.encode()
        elif value is None:
            assert extracted[key] == b""
        else:
            assert json.loads(extracted[key].decode("utf-8", "surrogatepass")) == value


@given(st.binary())
def test_any_bytes_give_entries_or_the_one_error(text):
    _extracted(text)
    _extracted(b'{"a":%b}' % text)
    _extracted(b'{"%b":1}' % text)
