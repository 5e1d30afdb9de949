"""Whatever the bytes and the path: a result or `GJSONLimitError`, never anything else."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyferry import gjson

SIGNS = st.text(alphabet='{}[]:,"\\ ab01-.eEtfnul#()@!|*?~=<>%\n\x00é', max_size=60)
PATHS = st.one_of(
    SIGNS,
    st.text(max_size=40),
    st.lists(
        st.one_of(
            SIGNS,
            st.sampled_from(
                [
                    "@pretty",
                    "@dig:",
                    "@flatten",
                    "@tostr",
                    "@fromstr",
                    "@join",
                    "@group",
                    "#(",
                    ")#",
                    "..",
                    "!",
                ]
            ),
        ),
        max_size=6,
    ).map("|".join),
)
DOCUMENTS = st.one_of(SIGNS.map(str.encode), st.binary(max_size=80))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def answer(document, path):
    """Everything that a caller can ask of a result."""
    try:
        result = gjson.get(document, path)
    except gjson.GJSONLimitError:
        return None
    return result.exists, result.kind, result.raw, result.text(), repr(result)


@settings(max_examples=400, deadline=None)
@given(document=DOCUMENTS, path=PATHS)
@example(document=b"\\", path="\\")
@example(document=b'"\\', path='@pretty:"\\')
@example(document=b"[", path="#(#")
def test_any_bytes_and_any_path_give_a_result_and_the_same_again(document, path):
    assert answer(document, path) == answer(document, path)
    assert all(isinstance(key, str) for key in gjson.keys(document))


def leaves(value, path=""):
    """Each value inside with the path to it; an array's elements by their index."""
    yield path, value
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        component = gjson.escape(key) if isinstance(key, str) else str(key)
        yield from leaves(child, f"{path}|{component}")


@settings(max_examples=150, deadline=None)
@given(data=DATA, ascii_only=st.booleans())
def test_every_value_is_found_by_its_escaped_path(data, ascii_only):
    document = json.dumps({"root": data}, ensure_ascii=ascii_only)
    for path, value in leaves(data, "root"):
        result = gjson.get(document, path)

        assert value == json.loads(result.raw)
        if isinstance(value, str):
            assert value.encode() == result.text()


@settings(max_examples=100, deadline=None)
@given(data=st.dictionaries(st.text(max_size=8), st.integers(), max_size=6))
def test_keys_are_those_of_the_document(data):
    assert list(data) == gjson.keys(json.dumps(data))


@settings(max_examples=100, deadline=None)
@given(data=DATA)
def test_modifiers_that_only_lay_out_keep_the_data(data):
    document = json.dumps(data)

    assert data == json.loads(gjson.get(document, "@pretty").raw)
    assert data == json.loads(gjson.get(document, "@pretty|@ugly").raw)
    assert document.encode() == gjson.get(document, "@tostr").text()
    assert data == json.loads(gjson.get(document, "@tostr|@fromstr").raw)
    assert gjson.get(document, "@valid").exists
