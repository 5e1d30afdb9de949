"""Paths into objects that are no Secret: what they say, what is set there, and what is taken away again."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.fieldpath import (
    content,
    fingerprint,
    leaves,
    parse_path,
    shown,
    with_fields,
    without_former,
)
from keyferry.errors import RenderError


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec", ("spec",)),
        ("spec.config", ("spec", "config")),
        ("spec.headers.customRequestHeaders", ("spec", "headers", "customRequestHeaders")),
        ("spec.rules[0].from[10000].x", ("spec", "rules", 0, "from", 10_000, "x")),
        ("a[1][2].b", ("a", 1, 2, "b")),
        ("a.[1].b", ("a", 1, "b")),
        ("data.tls-crt", ("data", "tls-crt")),
        (" ", (" ",)),
    ],
)
def test_path_is_read(text, path):
    assert parse_path(text) == path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a key is missing"),
        ("spec..a", "a key is missing"),
        ("spec.", "a key is missing"),
        (".spec", "a key is missing"),
        ("[0]", "a key is missing"),
        ("[0].spec", "a key is missing"),
        ("spec[", "an index is a number"),
        ("spec[a]", "an index is a number"),
        ("spec[-1]", "an index is a number"),
        ("spec[]", "an index is a number"),
        ("spec[1]x", "an index is a number"),
        ("spec]0[", "an index is a number"),
        ("spec[\u0661]", "an index is a number"),
        ("spec[10001]", "an index is more than 10000"),
        ("spec[" + "9" * 1000 + "]", "an index is more than 10000"),
        (".".join("a" * 101), "it has more than 100 steps"),
        ("metadata.name", "metadata is not for templates"),
        ("metadata", "metadata is not for templates"),
        ("metadata[0]", "metadata is not for templates"),
        ("apiVersion", "apiVersion is not for templates"),
        ("kind", "kind is not for templates"),
        ("status.ready", "status is not for templates"),
    ],
)
def test_path_that_is_none_says_why(text, why):
    """Of an object its identity, its owners and its status are nobody's to write by a template."""
    with pytest.raises(ValueError, match=why):
        parse_path(text)


@pytest.mark.parametrize(
    ("document", "fields", "made"),
    [
        pytest.param({}, [(("a", "b"), 1)], {"a": {"b": 1}}, id="maps are made"),
        pytest.param({"a": {"c": 2}}, [(("a", "b"), 1)], {"a": {"b": 1, "c": 2}}, id="what is beside stays"),
        pytest.param({"a": None}, [(("a", "b"), 1)], {"a": {"b": 1}}, id="null is nothing"),
        pytest.param({}, [(("a", 2), 1)], {"a": [None, None, 1]}, id="a list is filled up"),
        pytest.param(
            {"a": [{"x": 1}, {"y": 2}]}, [(("a", 0, "b"), 1)], {"a": [{"x": 1, "b": 1}, {"y": 2}]}, id="list"
        ),
        pytest.param({}, [(("a", 0, 1), 1)], {"a": [[None, 1]]}, id="lists in lists"),
        pytest.param({"a": 1}, [(("a",), "x"), (("a",), "y")], {"a": "y"}, id="the later wins"),
        pytest.param({}, [(("a",), [1]), (("a", 1), 2)], {"a": [1, 2]}, id="into a list that was set"),
        pytest.param({"a": {"b": 1}}, [(("a",), {})], {"a": {"b": 1}}, id="a map that is there"),
        pytest.param({"a": 1}, [(("a",), {})], {"a": {}}, id="a map in the place of something else"),
        pytest.param({"a": {"b": 1}}, [(("a",), "x")], {"a": "x"}, id="a map is replaced"),
    ],
)
def test_fields_are_set_in_a_copy(document, fields, made):
    before = copy.deepcopy(document)
    values = copy.deepcopy(fields)

    assert with_fields(document, tuple(fields)) == made
    assert (document, fields) == (before, values)


@pytest.mark.parametrize(
    ("document", "path", "told"),
    [
        ({"a": "x"}, ("a", "b"), "a is no map"),
        ({"a": [1]}, ("a", "b"), "a is no map"),
        ({"a": {"b": {}}}, ("a", "b", 0), "a.b is no list"),
        ({"a": [{"c": 1}]}, ("a", 0, "c", 0), r"a\[0\].c is no list"),
    ],
)
def test_field_that_has_no_place_is_told_by_its_path(document, path, told):
    with pytest.raises(RenderError, match=f"^{told}$"):
        with_fields(document, ((path, 1),))


def test_members_of_maps_are_set_one_by_one():
    value = {"a": {"b": 1, "c": []}, "d": {}, "e": None, "f": [{"g": 1}]}

    assert dict(leaves(("x",), value)) == {
        ("x", "a", "b"): 1,
        ("x", "a", "c"): [],
        ("x", "d"): {},
        ("x", "e"): None,
        ("x", "f"): [{"g": 1}],
    }


def test_value_that_is_nested_too_deep_is_refused():
    deep: object = 1
    for _ in range(300):
        deep = {"a": deep}

    with pytest.raises(RenderError, match="x is nested deeper than 200 levels"):
        dict(leaves(("x",), deep))


# -- pruning


def managed(fields: object, manager: str = "ours") -> list[object]:
    return [{"manager": manager, "fieldsV1": fields}]


@pytest.mark.parametrize(
    ("document", "owned", "wanted", "left"),
    [
        pytest.param(
            {"spec": {"a": 1, "b": 2}},
            {"f:spec": {"f:a": {}, "f:b": {}}},
            [("spec", "a")],
            {"spec": {"a": 1}},
            id="what is not wanted any more goes",
        ),
        pytest.param({"spec": {"a": 1}}, {"f:spec": {"f:a": {}}}, [], {"spec": {}}, id="the top stays"),
        pytest.param(
            {"spec": {"a": {"b": 1}}},
            {"f:spec": {"f:a": {".": {}, "f:b": {}}}},
            [],
            {"spec": {}},
            id="maps that are empty then go",
        ),
        pytest.param(
            {"spec": {"a": {"b": 1, "c": 2}}},
            {"f:spec": {"f:a": {"f:b": {}}}},
            [],
            {"spec": {"a": {"c": 2}}},
            id="others' fields stay",
        ),
        pytest.param(
            {"spec": {"l": [1, 2]}},
            {"f:spec": {"f:l": {}}},
            [("spec", "l", 0)],
            {"spec": {"l": [1, 2]}},
            id="a list of which an element is wanted stays",
        ),
        pytest.param({"rules": [1]}, {"f:rules": {}}, [], {}, id="a field at the top"),
        pytest.param(
            {"spec": {"l": [{"k": 1}]}},
            {"f:spec": {"f:l": {'k:{"k":1}': {".": {}, "f:k": {}}}}},
            [],
            {"spec": {"l": [{"k": 1}]}},
            id="elements of lists are left alone",
        ),
        pytest.param(
            {"spec": {"a": {"b": 1}}},
            {"f:spec": {"f:a": {"f:b": {}}}},
            [("spec", "a")],
            {"spec": {}},
            id="what lies in the place of a text",
        ),
        pytest.param(
            {"spec": {"a": 1}, "metadata": {"labels": {"x": "y"}}, "status": {"s": 1}},
            {"f:metadata": {"f:labels": {"f:x": {}}}, "f:status": {"f:s": {}}},
            [],
            {"spec": {"a": 1}, "metadata": {"labels": {"x": "y"}}, "status": {"s": 1}},
            id="metadata and status are no values",
        ),
        pytest.param({"spec": "x"}, {"f:spec": {"f:a": {"f:b": {}}}}, [], {"spec": "x"}, id="another shape"),
        pytest.param({"spec": {}}, {"f:spec": {"f:a": {"f:b": {}}}}, [], {"spec": {}}, id="already gone"),
    ],
)
def test_fields_that_we_set_before_and_do_not_set_now_go(document, owned, wanted, left):
    before = copy.deepcopy(document)
    fields = tuple((path, None) for path in wanted)

    assert without_former(document, managed(owned), "ours", fields) == left
    assert without_former(document, managed(owned, "theirs"), "ours", fields) == before
    assert document == before


@pytest.mark.parametrize(
    "entries", [[None], ["x"], [{"manager": "ours"}], managed("x"), managed({"f:a": "x"})]
)
def test_managed_fields_of_an_odd_shape_own_nothing(entries):
    assert without_former({"a": 1}, entries, "ours", ()) == {"a": 1}


def test_managed_fields_that_nest_without_end_own_nothing():
    deep: dict[str, object] = {}
    for _ in range(300):
        deep = {"f:a": deep}

    assert without_former({"a": 1}, managed(deep), "ours", ()) == {"a": 1}


def _owned(node, path, set_before):
    """The fields of a manager who has set these: as the API server notes them, by what there is in the end."""
    if not isinstance(node, dict):
        return {} if path in set_before else None
    members = {f"f:{key}": _owned(value, (*path, key), set_before) for key, value in node.items()}
    return {key: value for key, value in members.items() if value is not None} or None


paths = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(lambda path: ("spec", *path))


@given(
    st.lists(st.tuples(paths, st.integers()), max_size=5),
    st.lists(st.tuples(paths, st.integers()), max_size=5),
)
def test_other_fields_take_the_place_of_former_ones(former, wanted):
    """As if the former had never been there, but for maps that stay."""
    try:
        before = with_fields({"spec": {"mine": 1}}, tuple(former))
        fresh = with_fields({"spec": {"mine": 1}}, tuple(wanted))
    except RenderError:
        return
    set_before = {path for path, _ in former}
    owned = _owned(before, (), set_before)

    made = with_fields(without_former(before, managed(owned), "ours", tuple(wanted)), tuple(wanted))

    assert made == fresh


def test_content_is_what_neither_identifies_nor_reports():
    document = {"apiVersion": "v1", "kind": "X", "metadata": {}, "status": {}, "spec": 1, "rules": 2}

    assert content(document) == {"spec": 1, "rules": 2}


def test_fingerprint_tells_fields_apart():
    fields = ((("a", 0), {"x": 1, "y": 2}), (("b",), "1"))

    assert fingerprint(fields) == fingerprint(((("a", 0), {"y": 2, "x": 1}), (("b",), "1")))
    assert fingerprint(fields) != fingerprint(((("a", 0), {"x": 1, "y": 2}), (("b",), 1)))
    assert fingerprint(fields) != fingerprint(tuple(reversed(fields)))


def test_path_is_shown_as_it_is_written():
    assert shown(("spec", "rules", 0, "a")) == "spec.rules[0].a"
