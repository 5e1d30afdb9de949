"""dataFrom.rewrite: keys renamed by regular expressions, JSON values merged."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.external_secret import Rewrite
from keyferry.api.model import convert
from keyferry.core.rewrite import Rewritten, renamed_keys, rewrite
from keyferry.errors import ON_CHANGE, KeyferryError, RenderError, SpecError
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import LeakDetector, canary


def _steps(*steps) -> tuple[Rewrite, ...]:
    return tuple(convert(step, Rewrite) for step in steps)


def _secrets(values) -> dict[str, SecretBytes]:
    return {key: SecretBytes(value) for key, value in values.items()}


def _texts(rewritten: Rewritten) -> dict[str, str]:
    return {key: value.reveal().decode() for key, value in rewritten.values.items()}


def _regexp(source: str, target: str) -> dict:
    return {"regexp": {"source": source, "target": target}}


def _merge(**fields) -> dict:
    return {"merge": fields}


# -- regexp


@pytest.mark.parametrize(
    ("steps", "keys", "expected"),
    [
        pytest.param([], ["a"], ["a"], id="no-step-changes-nothing"),
        pytest.param([_regexp("x", "y")], ["a", "b"], ["a", "b"], id="key-without-a-match-stays"),
        pytest.param(
            [_regexp("^path/to/", "")],
            ["path/to/user", "path/to/pw"],
            ["user", "pw"],
            id="common-path-is-removed",
        ),
        pytest.param([_regexp("(.*)", "dev_$1")], ["pw"], ["dev_pw"], id="prefix-is-added"),
        pytest.param([_regexp("[^a-z]", "_")], ["a/b$c"], ["a_b_c"], id="every-match-is-replaced"),
        pytest.param(
            [_regexp("^a", "b"), _regexp("^b", "c")],
            ["a", "b2"],
            ["c", "c2"],
            id="steps-see-what-the-one-before-left",
        ),
        pytest.param([_regexp("(?P<x>.)$", "${x}${x}")], ["ab"], ["abb"], id="groups-have-names"),
        pytest.param([_regexp(".*", "")], ["a"], [""], id="key-may-become-empty"),
        pytest.param([_regexp("^a$", "b"), _regexp("^b$", "a")], ["a"], ["a"], id="there-and-back"),
        pytest.param([{}], ["a"], ["a"], id="step-without-anything-is-none"),
    ],
)
def test_keys_are_renamed(steps, keys, expected):
    values = {key: f"value of {key}" for key in keys}

    rewritten = rewrite(_secrets(values), _steps(*steps))

    assert _texts(rewritten) == dict(zip(expected, values.values(), strict=True))
    assert rewritten.collisions == ()
    assert renamed_keys(keys, _steps(*steps)) == tuple(sorted(filter(None, expected)))


def test_last_key_by_name_wins_where_keys_become_one():
    """The reference operator picks one at random; here it is always the same, and it is told."""
    values = {"b/x": "2", "c/x": "3", "a/x": "1", "other": "4"}
    steps = _steps(_regexp("^.*/", ""))

    for order in itertools.permutations(values):
        rewritten = rewrite(_secrets({key: values[key] for key in order}), steps)

        assert _texts(rewritten) == {"x": "3", "other": "4"}
        assert rewritten.collisions == (
            "'a/x' and 'b/x' both become 'x'; the latter is kept",
            "'b/x' and 'c/x' both become 'x'; the latter is kept",
        )
    assert renamed_keys(list(values), steps) == ("other", "x")


def test_collisions_show_no_values():
    rewritten = rewrite(
        {"a": SecretBytes(canary("first")), "b": SecretBytes(canary("second"))}, _steps(_regexp(".", "x"))
    )

    assert len(rewritten.collisions) == 1
    assert LeakDetector().look("result", f"{rewritten}") == []


def test_chain_of_steps_may_not_grow_without_end():
    """One that doubles a key at each step would fill the memory."""
    steps = _steps(*[_regexp(".+", "$0$0")] * 64)

    with pytest.raises(
        RenderError, match=r"^rewrite\[2\d\]: replacing by regular expressions takes too much work"
    ):
        rewrite(_secrets({"a": ""}), steps)
    assert renamed_keys(["a"], steps) is None


def test_keys_are_told_for_a_tenth_of_the_work_of_rewriting():
    """Telling them holds up everybody else, and a short key can become a long one step by step."""
    steps = _steps(*[_regexp("", "aa")] * 6)

    assert rewrite(_secrets({"a" * 1000: ""}), steps).collisions == ()
    assert renamed_keys(["a" * 1000], steps) is None


def test_thousands_of_keys_are_renamed_step_by_step():
    values = {f"team/shop/environment/secret-{number}": "" for number in range(5000)}
    steps = _steps(*[_regexp("^[a-z]+/", ""), _regexp("-", "_")] * 3)

    renamed = rewrite(_secrets(values), steps).values

    assert renamed.keys() == {f"secret_{number}" for number in range(5000)}


def test_pattern_that_is_none_is_named_by_its_step():
    steps = _steps(_regexp("a", "b"), _regexp("(?=a)", "b"))

    for run in (lambda: rewrite({}, steps), lambda: renamed_keys([], steps)):
        with pytest.raises(SpecError, match=r"^rewrite\[1\]: '\(\?=a\)' is no regular expression"):
            run()


def test_template_makes_a_new_key_of_each(renderer):
    template = '{{ .value | upper | trimPrefix "DB-" }}_{{ .other }}'
    steps = _steps({"transform": {"template": template}}, _regexp("_<no value>$", ""))

    made = rewrite(_secrets({"db-user": "u", "db-pw": "p", "host": "h"}), steps, renderer())

    assert _secrets({"USER": "u", "PW": "p", "HOST": "h"}) == made.values
    assert made.collisions == ()


def test_keys_that_a_template_makes_equal_are_told_and_the_last_in_the_alphabet_wins(renderer):
    steps = _steps({"transform": {"template": "same"}})

    made = rewrite(_secrets({"b": "2", "a": "1"}), steps, renderer())

    assert _secrets({"same": "2"}) == made.values
    assert made.collisions == ("'a' and 'b' both become 'same'; the latter is kept",)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        pytest.param("{{ .value", "rewrite[1]: transform.template, line 1: unclosed action", id="syntax"),
        pytest.param(
            "{{ upper }}",
            "rewrite[1]: transform.template, line 1, column 3: wrong number of args for upper: want 1 got 0",
            id="failure",
        ),
        pytest.param(
            '{{ b64dec "/w==" }}', "rewrite[1]: transform.template: the new key is not UTF-8", id="bytes"
        ),
    ],
)
def test_template_that_makes_no_key_is_told_by_its_step(renderer, template, told):
    steps = _steps(_regexp("a", "b"), {"transform": {"template": template}})

    with pytest.raises(RenderError) as caught:
        rewrite(_secrets({"a": "1"}), steps, renderer())

    assert (caught.value.message, caught.value.retry) == (told, ON_CHANGE)


def test_template_without_anything_to_render_it_is_a_bug():
    with pytest.raises(ValueError, match="needs a renderer"):
        rewrite(_secrets({"a": "1"}), _steps({"transform": {"template": "x"}}))


def test_keys_that_a_template_makes_are_not_told_before():
    assert renamed_keys(["a"], _steps({"transform": {"template": "{{ .value }}"}})) is None


def test_step_without_a_rule_changes_nothing():
    assert rewrite(_secrets({"a": "1"}), _steps({})).values == _secrets({"a": "1"})


def test_keys_that_a_merge_makes_are_known_from_values_only():
    assert renamed_keys(["a"], _steps(_regexp("a", "b"), _merge())) is None


# -- merge


@pytest.mark.parametrize(
    ("merge", "values", "expected"),
    [
        pytest.param(
            {}, {"db": '{"user":"u","pw":"p"}', "s3": '{"key":"k"}'}, {"user": "u", "pw": "p", "key": "k"},
            id="members-become-keys",
        ),
        pytest.param({}, {}, {}, id="nothing-gives-nothing"),
        pytest.param({}, {"a": "{}", "b": "null"}, {}, id="null-is-an-object-without-members"),
        pytest.param(
            {}, {"a": '{"s":"<x>","e":"","n":null,"t":true,"f":false}'},
            {"s": "<x>", "e": "", "n": "", "t": "true", "f": "false"},
            id="strings-are-unquoted-and-null-is-empty",
        ),
        pytest.param(
            {}, {"a": '{"a":1e6,"b":1.50,"c":9007199254740993,"d":1e21,"e":-0}'},
            {"a": "1000000", "b": "1.5", "c": "9007199254740993", "d": "1" + "0" * 21, "e": "-0"},
            id="numbers-are-written-as-in-go-and-lose-no-digit",
        ),
        pytest.param(
            {}, {"a": '{"o":{ "b":[1.0, "<"], "a":"&" },"l":[ ]}'},
            {"o": '{"a":"\\u0026","b":[1,"\\u003c"]}', "l": "[]"},
            id="objects-and-lists-are-compact-and-sorted",
        ),
        pytest.param(
            {"conflictPolicy": "Ignore"}, {"a": '{"k":1}', "c": '{"k":3}', "b": '{"k":2}'}, {"k": "3"},
            id="last-key-by-name-wins",
        ),
        pytest.param(
            {"conflictPolicy": "Ignore", "priority": ["a"]}, {"a": '{"k":1}', "c": '{"k":3}'}, {"k": "1"},
            id="priority-wins-over-names",
        ),
        pytest.param(
            {"conflictPolicy": "Ignore", "priority": ["c", "a", "b"]},
            {"a": '{"k":1,"l":1}', "b": '{"k":2}', "c": '{"k":3,"l":3,"m":3}'}, {"k": "2", "l": "1", "m": "3"},
            id="later-in-priority-wins-over-earlier",
        ),
        pytest.param(
            {"conflictPolicy": "Ignore", "priority": ["a", "b", "a"]}, {"a": '{"k":1}', "b": '{"k":2}'}, {"k": "1"},
            id="key-named-twice-has-its-last-place",
        ),
        pytest.param(
            {"priority": ["a", "a"]}, {"a": '{"k":1}'}, {"k": "1"}, id="key-named-twice-is-no-conflict-with-itself"
        ),
        pytest.param(
            {"priority": ["gone", "a"], "priorityPolicy": "IgnoreNotFound"}, {"a": '{"k":1}'}, {"k": "1"},
            id="missing-priority-is-skipped-where-allowed",
        ),
        pytest.param({"into": "all"}, {"a": '{"k":1}'}, {"k": "1"}, id="extract-has-no-use-for-into"),
        pytest.param({}, {"a": '{"k":1,"k":2}'}, {"k": "2"}, id="last-of-equal-members-stays"),
        pytest.param(
            {"strategy": "JSON", "into": "all"}, {"b": '{"y": "<&>\\u2028"}', "a": '{"z":{"b":1,"a":1.50},"x":null}'},
            {
                "b": '{"y": "<&>\\u2028"}', "a": '{"z":{"b":1,"a":1.50},"x":null}',
                "all": '{"x":null,"y":"<&>\\u2028","z":{"a":1.5,"b":1}}',
            },
            id="json-is-put-beside-the-inputs",
        ),
        pytest.param(
            {"strategy": "JSON", "into": "a"}, {"a": '{"y":1e-7}', "b": '{"x":[]}'},
            {"a": '{"x":[],"y":1e-7}', "b": '{"x":[]}'},
            id="json-may-take-the-place-of-an-input",
        ),
        pytest.param({"strategy": "JSON", "into": "all"}, {}, {"all": "{}"}, id="json-of-nothing-is-an-empty-object"),
    ],
)  # fmt: skip
def test_values_are_merged(merge, values, expected):
    rewritten = rewrite(_secrets(values), _steps(_merge(**merge)))

    assert _texts(rewritten) == expected
    assert rewritten.collisions == ()


@pytest.mark.parametrize("strategy", ["Extract", "JSON"])
@pytest.mark.parametrize("priority", [[], ["b"]], ids=["by-name", "with-priority"])
def test_conflict_is_refused_and_named(strategy, priority):
    """As in the reference operator priority settles no conflict unless conflictPolicy is Ignore."""
    secret = canary("value")
    values = _secrets(
        {"a": json.dumps({"k": secret, "l": 1}), "b": json.dumps({"k": secret}), "c": '{"l":1}'}
    )

    with pytest.raises(RenderError) as caught:
        rewrite(values, _steps(_merge(strategy=strategy, into="all", priority=priority)))

    assert caught.value.message == (
        "rewrite[0]: merge: 'k' is in the values of 'a' and 'b'; 'l' is in the values of 'a' and 'c'"
    )
    assert "conflictPolicy" in caught.value.hint
    assert LeakDetector().look_at_error("error", caught.value) == []


def test_many_conflicts_are_counted():
    value = json.dumps(dict.fromkeys("abcdefgh", 1))

    with pytest.raises(RenderError, match=r"'c' is in the values of 'x' and 'y'; and 5 more\."):
        rewrite(_secrets({"x": value, "y": value}), _steps(_merge()))


@pytest.mark.parametrize("value", ["{}x", "[]", '"{}"', "1", "", "plain"])
def test_value_that_is_no_object_is_named_and_not_shown(value):
    values = _secrets({"a": "{}", "b": value + canary("value") if value == "plain" else value})

    with pytest.raises(RenderError) as caught:
        rewrite(values, _steps(_merge()))

    assert caught.value.message == "rewrite[0]: the value of 'b' is not a JSON object, which merge needs"
    assert LeakDetector().look_at_error("error", caught.value) == []


def test_value_that_nests_too_deep_is_named():
    nested = "[" * 2000 + "]" * 2000

    with pytest.raises(RenderError, match=r"^rewrite\[0\]: merge: 'k' of 'a': a JSON value is nested deeper"):
        rewrite(_secrets({"a": f'{{"k":{nested}}}'}), _steps(_merge()))


def test_missing_priority_is_refused_where_the_policy_is_strict():
    with pytest.raises(RenderError, match=r"^rewrite\[1\]: merge.priority names the key 'gone'"):
        rewrite(_secrets({"a": "{}"}), _steps(_regexp("x", "y"), _merge(priority=["a", "gone", "far"])))


def test_strategy_json_needs_a_key():
    with pytest.raises(SpecError, match=r"^rewrite\[0\]: merge.into is empty"):
        rewrite({}, _steps(_merge(strategy="JSON")))


def test_merge_and_regexp_follow_each_other():
    steps = _steps(
        _regexp("^team/", ""),
        _merge(strategy="JSON", into="all", priority=["db"]),
        _merge(priority=["all"], conflictPolicy="Ignore"),
        _regexp("^", "APP_"),
    )

    rewritten = rewrite(_secrets({"team/db": '{"pw":"1"}', "team/s3": '{"key":"2"}'}), steps)

    assert _texts(rewritten) == {"APP_pw": "1", "APP_key": "2"}


# -- for any values

KEYS = st.text(st.sampled_from("ab/_$é"), max_size=4)
VALUES = st.dictionaries(KEYS, st.text(), max_size=6)
PATTERNS = st.sampled_from(["a", "^.", "/", "(a)|(b)", "", "[^a]", "(?P<n>.)$", ".*", "é|_"])
TARGETS = st.sampled_from(["", "b", "$0", "${1}_", "$n", "$$", "/"])
RENAMING = st.lists(st.builds(_regexp, PATTERNS, TARGETS), max_size=3)
OBJECTS = st.dictionaries(
    KEYS,
    st.dictionaries(KEYS, st.none() | st.booleans() | st.integers() | KEYS, max_size=4),
    max_size=5,
)
MERGES = st.fixed_dictionaries(
    {"priority": st.lists(KEYS, max_size=3), "priorityPolicy": st.just("IgnoreNotFound")},
    optional={
        "conflictPolicy": st.sampled_from(["Ignore", "Error"]),
        "strategy": st.sampled_from(["Extract", "JSON"]),
        "into": KEYS,
    },
)


def _outcome(values, steps):
    try:
        return rewrite(_secrets(values), _steps(*steps))
    except KeyferryError as error:
        return str(error)


@given(VALUES, RENAMING)
def test_no_value_is_lost_without_a_word(values, steps):
    rewritten = rewrite(_secrets(values), _steps(*steps))

    assert len(values) - len(rewritten.values) == len(rewritten.collisions)
    assert set(_texts(rewritten).values()) <= set(values.values())


@given(VALUES, RENAMING)
def test_keys_are_known_without_values(values, steps):
    """But for an empty one, which a Secret cannot have."""
    assert renamed_keys(list(values), _steps(*steps)) == tuple(
        sorted(rewrite(_secrets(values), _steps(*steps)).values.keys() - {""})
    )


@given(VALUES, st.sampled_from([("", ""), ("(?s).+", "$0"), ("(.)", "${1}"), ("a", "a"), ("x{9}", "y")]))
def test_rewrite_to_the_same_changes_nothing(values, step):
    assert rewrite(_secrets(values), _steps(_regexp(*step))) == Rewritten(_secrets(values))


@given(VALUES, RENAMING, RENAMING)
def test_chain_is_one_step_after_another(values, first, second):
    between = rewrite(_secrets(values), _steps(*first))
    after = rewrite(between.values, _steps(*second))

    assert rewrite(_secrets(values), _steps(*first, *second)) == Rewritten(
        after.values, between.collisions + after.collisions
    )


@given(OBJECTS, MERGES, RENAMING, st.randoms(use_true_random=False))
def test_order_of_the_input_is_without_effect(objects, merge, renaming, random):
    """Of the keys, and of the members of each value, but for the values that strategy JSON keeps."""
    texts = {key: json.dumps(members) for key, members in objects.items()}
    others = {key: texts[key] for key in random.sample(sorted(objects), k=len(objects))}
    if merge.get("strategy") != "JSON":
        others = {key: json.dumps(dict(reversed(objects[key].items()))) for key in others}
    steps = [*renaming, _merge(**merge)]

    assert _outcome(texts, steps) == _outcome(others, steps)


@given(OBJECTS, MERGES)
def test_merge_gives_each_member_of_the_winner(objects, merge):
    order = sorted(key for key in objects if key not in merge["priority"])
    order += [key for key in reversed(dict.fromkeys(reversed(merge["priority"]))) if key in objects]
    expected = {member: value for key in order for member, value in objects[key].items()}
    values = {key: json.dumps(members) for key, members in objects.items()}

    into_json = _outcome(
        values, [_merge(**merge | {"strategy": "JSON", "into": "all", "conflictPolicy": "Ignore"})]
    )
    extracted = _outcome(values, [_merge(**merge | {"strategy": "Extract", "conflictPolicy": "Ignore"})])

    assert json.loads(_texts(into_json)["all"]) == expected
    assert {**_texts(into_json), "all": ""} == {**values, "all": ""}
    assert _texts(extracted) == {
        member: value if isinstance(value, str) else "" if value is None else json.dumps(value)
        for member, value in expected.items()
    }


@given(OBJECTS, MERGES)
def test_conflicts_are_members_of_two_values(objects, merge):
    values = {key: json.dumps(members) for key, members in objects.items()}
    members = [member for inner in objects.values() for member in inner]

    outcome = _outcome(values, [_merge(**merge | {"strategy": "Extract", "conflictPolicy": "Error"})])

    assert isinstance(outcome, str) is (len(members) > len(set(members)))


@given(
    st.dictionaries(KEYS, st.binary() | st.binary().map(lambda inner: b'{"a":%b}' % inner), max_size=3),
    MERGES,
)
def test_any_values_are_merged_or_refused_without_being_shown(values, merge):
    _outcome(values, [_merge(**merge)])
