"""StorePolicies: which keys a namespace is let have, and that nothing widens a pattern."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyferry.api.model import decode
from keyferry.api.store_policy import KEY_PATTERN, MAX_PATTERN_CHARS, MAX_PLACEHOLDERS, StorePolicySpec
from keyferry.core.key_patterns import KeyPattern
from keyferry.core.patterns import MAX_PATTERN_CHARS as MAX_REGEX_CHARS
from keyferry.core.store_policy import (
    Action,
    Difference,
    admission,
    compile_policy,
    depends_on_labels,
)
from keyferry.errors import ON_CHANGE, ForbiddenError, SpecError


def policy(*rules, name="limits", refs=({"name": "aws"},)):
    return compile_policy(name, json.dumps({"storeRefs": list(refs), "rules": list(rules)}).encode())


def of_keys(*keys, **namespaces):
    return policy({"keys": list(keys), **namespaces})


def lets_in(pattern, key, namespace="team-a", labels=None):
    made = of_keys(pattern)
    assert "" == made.problem
    return admission([made], namespace, labels).lets_in(key)


def refusal(*policies, key="prod/db", named="", namespace="team-a", labels=None):
    with pytest.raises(ForbiddenError) as caught:
        admission(policies, namespace, labels).check(key, named)
    return caught.value


# -- patterns


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("prod/db", "prod/db", True),
        ("prod/db", "prod/dba", False),
        ("prod/db", "xprod/db", False),
        ("prod/db", "PROD/db", False),
        ("prod.db", "prodxdb", False),
        ("a+b?(c)[d]^$|\\", "a+b?(c)[d]^$|\\", True),
        ("prod/*", "prod/db", True),
        ("prod/*", "prod/", True),
        ("prod/*", "prod", False),
        ("prod/*", "prod/a/b", False),
        ("prod/*", "prod/\n", True),
        ("*", "db", True),
        ("*", "a/b", False),
        ("*/db", "a/db", True),
        ("*/db", "a/b/db", False),
        ("p*d/db", "prod/db", True),
        ("p*d/db", "p/d/db", False),
        ("prod/**", "prod/a/b", True),
        ("prod/**", "prod/", True),
        ("prod/**", "prod", False),
        ("prod/**", "production", False),
        ("prod/**", "prod/a\nb", True),
        ("**", "a/b", True),
        ("**", "", True),
        ("**/db", "db", False),
        ("**/db", "a/b/db", True),
        ("***", "a/b", True),
        ("**a*b", "a/ab", True),
        ("**a*b", "a/b", False),
        ("{namespace}/*", "team-a/db", True),
        ("{namespace}/*", "team-b/db", False),
        ("{namespace}", "{namespace}", False),
        ("{namespace}-{namespace}", "team-a-team-a", True),
        ("{label:x/team}/*", "red/db", True),
        ("{label:x/team}/*", "blue/db", False),
        ("ключ/*", "ключ/é", True),
    ],
)
def test_pattern_lets_in_what_it_says(pattern, key, expected):
    assert expected is lets_in(pattern, key, labels={"x/team": "red"})


@pytest.mark.parametrize(
    "key", ["prod/../db", "..", "prod/..", "./prod", "prod/./db", "../prod/db", "prod/x/.."]
)
def test_key_that_may_lead_elsewhere_is_let_in_by_no_pattern(key):
    assert not lets_in("**", key)
    assert not lets_in(key, key)

    error = refusal(of_keys("**"), key=key)
    assert f'remote key "{key}" is not let in for namespace "team-a" by StorePolicy "limits"' == error.message
    assert 'No policy lets in a key with a segment "." or "..": name it without' == error.hint


def test_dots_in_names_are_no_climbing():
    assert lets_in("prod/*", "prod/...")
    assert lets_in("prod/*", "prod/a..b")
    assert lets_in("prod/*", "prod/.env")


@pytest.mark.parametrize("label", [None, {}, {"team": ""}, {"other": "red"}], ids=str)
def test_label_that_is_missing_or_empty_lets_nothing_in(label):
    """Else `{label:team}/**` would let in all that begins with a slash."""
    assert not lets_in("{label:team}/**", "/db", labels=label)
    assert not lets_in("**{label:team}", "db", labels=label)


@pytest.mark.parametrize(
    "pattern",
    ["{", "}", "{}", "{nmespace}", "{namespace", "namespace}", "{label:}", "{label:a b}", "{{namespace}}"],
)
def test_brace_that_belongs_to_no_placeholder_is_refused(pattern):
    made = of_keys("ok", f"a/{pattern}/*")

    assert made.problem.startswith(
        f'spec.rules[0].keys[1]: "a/{pattern}/*" has a brace that belongs to no placeholder'
    )
    assert not re.fullmatch(KEY_PATTERN, f"a/{pattern}/*")


def test_too_many_placeholders_are_refused():
    most = "{namespace}" * MAX_PLACEHOLDERS

    assert "" == of_keys(most).problem
    assert re.fullmatch(KEY_PATTERN, most)
    assert f"has {MAX_PLACEHOLDERS + 1} placeholders" in of_keys(most + "{label:a}").problem
    assert not re.fullmatch(KEY_PATTERN, most + "{label:a}")


@pytest.mark.parametrize("filler", ["*", "**", ".", "*.", "é", "\\"])
def test_longest_pattern_is_no_longer_than_a_regular_expression_may_be(filler):
    placeholders = "{label:a}" * MAX_PLACEHOLDERS
    room = MAX_PATTERN_CHARS - len(placeholders)
    source = (filler * room)[:room] + placeholders
    labels = {"a": "x" + "." * 61 + "x"}
    filled = KeyPattern.parse(source).filled("team-a", labels)

    assert MAX_PATTERN_CHARS == len(source)
    assert len(filled.regex) + 10 <= MAX_REGEX_CHARS
    assert not admission([of_keys(source)], "team-a", labels).lets_in("x")


def test_many_patterns_are_few_regular_expressions():
    keys = [f"prod/*/{number:03}/{'x' * 100}/*" for number in range(120)]
    allowed = admission([of_keys(*keys)], "team-a", None)

    assert allowed.lets_in(f"prod/a/119/{'x' * 100}/db")
    assert not allowed.lets_in(f"prod/a/120/{'x' * 100}/db")


def test_usual_patterns_of_many_namespaces_compile_nothing(monkeypatch):
    """Else the expressions of a thousand namespaces would push out each other, and those of searches and rewrites."""

    def fails(*_):
        raise AssertionError("compiled")

    made = of_keys("{namespace}/**", "shared/*", "teams/{label:team}/*", "one/key", "*/{namespace}/x")
    monkeypatch.setattr("keyferry.core.key_patterns.Pattern", fails)
    for namespace in ("team-a", "team-b"):
        allowed = admission([made], namespace, {"team": "red"})
        for key in (f"{namespace}/a/b", "shared/ca", "teams/red/db", "one/key"):
            assert allowed.lets_in(key)
    with pytest.raises(AssertionError, match="compiled"):
        allowed.lets_in("other/key")


# -- properties: names of namespaces and labels never act as more than they are

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?", fullmatch=True)
KEYS = st.text(st.sampled_from("ab-._/*{}[]^$|()?+\\é\n"), max_size=12)
PIECES = st.sampled_from(
    ["*", "**", "a", "b", "-", "/", ".", "{namespace}", "{label:t}", "|", "(", "\\", "é"]
)


def reads(pieces, key):
    """Whether the pieces of a pattern read a key to its end: by trying everything."""
    if not pieces:
        return key == ""
    first, rest = pieces[0], pieces[1:]
    if first not in ("*", "**"):
        return key.startswith(first) and reads(rest, key[len(first) :])
    return any(reads(rest, key[end:]) for end in range(len(key) + 1) if first == "**" or "/" not in key[:end])


@given(st.lists(PIECES, min_size=1, max_size=6), KEYS, NAMES, VALUES)
@example(["{namespace}", "/", "*"], "a.b/x", "a-b", "t")
@example(["**", "a", "*", "b"], "a/ab", "n", "t")
def test_patterns_read_keys_as_one_would_by_hand(pieces, key, namespace, label):
    stars = "".join(pieces)
    if "***" in stars or sum(piece.startswith("{") for piece in pieces) > MAX_PLACEHOLDERS:
        return
    literal = [{"{namespace}": namespace, "{label:t}": label}.get(piece, piece) for piece in pieces]
    climbs = bool({".", ".."} & set(key.split("/")))
    expected = reads(_merged(literal), key) and not climbs

    assert expected is lets_in(stars, key, namespace, {"t": label})


def _merged(pieces):
    """Two stars side by side are one of the other kind, as in the text."""
    merged = []
    for piece in pieces:
        if piece == "*" and merged and merged[-1] == "*":
            merged[-1] = "**"
        else:
            merged.append(piece)
    return merged


@given(NAMES, NAMES, KEYS)
def test_namespaces_do_not_get_each_others_keys(mine, theirs, name):
    """Whatever they are called: `a`, `a-b`, `b`."""
    if mine == theirs:
        return
    for pattern in ("{namespace}/**", "teams/{namespace}/*", "{namespace}/{namespace}/**"):
        key = pattern.replace("{namespace}", theirs).replace("**", name).replace("*", name.replace("/", ""))
        assert not lets_in(pattern, key, namespace=mine)


@given(st.text(max_size=20), VALUES, KEYS)
def test_label_is_taken_by_its_letters(value, other, name):
    """No value that the API server would take, or would not, lets in another one's keys."""
    labels = {"t": value}
    if value == other or "/" in value:
        return

    assert not lets_in("{label:t}/**", f"{other}/{name}", labels=labels)


@given(st.text(st.sampled_from("*{}.[]()|\\^$+?/ab"), min_size=1, max_size=20))
def test_filled_in_text_is_never_a_wildcard(value):
    """Also text that no namespace can be called: it is put in after the pattern was taken apart."""
    filled = KeyPattern.parse("x{namespace}y").filled(value, {})
    wild = KeyPattern.parse("*-x{namespace}y").filled(value, {})

    assert [True, False, False] == [filled.lets_in(key) for key in (f"x{value}y", f"x{value}zy", "xy")]
    assert re.fullmatch(wild.regex, f"-x{value}y")
    assert not re.fullmatch(wild.regex, f"-x{value}zy")
    assert not re.fullmatch(wild.regex, "-xy")


@given(st.text(max_size=MAX_PATTERN_CHARS))
def test_what_the_schema_takes_can_be_used(source):
    if re.fullmatch(KEY_PATTERN, source) and source:
        assert "" == of_keys(source).problem


# -- rules


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"namespaces": ["team-a"]}, True),
        ({"namespaces": ["team"]}, False),
        ({"namespaceRegexes": ["^team-"]}, True),
        ({"namespaceRegexes": ["^am"]}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"tier": "gold"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"tier": "tin"}}}, False),
        ({"namespaces": ["x"], "namespaceSelector": {"matchLabels": {"tier": "gold"}}}, True),
        ({"namespaces": ["x"], "namespaceRegexes": ["y", "a$"]}, True),
    ],
    ids=str,
)
def test_rule_is_for_namespaces_that_fit_any_field(fields, expected):
    assert expected is admission([of_keys("db", **fields)], "team-a", {"tier": "gold"}).lets_in("db")


def test_unknown_labels_fit_no_selector():
    assert not admission([of_keys("db", namespaceSelector={})], "team-a", None).lets_in("db")


def test_what_any_rule_of_any_policy_lets_in_is_let_in():
    one, two = policy({"keys": ["a"]}, {"keys": ["b"]}), policy({"keys": ["c"]}, name="more")
    allowed = admission([one, two], "team-a", None)

    assert ["a", "b", "c"] == [key for key in "abcd" if allowed.lets_in(key)]
    allowed.check("a")
    allowed.check_any()


def test_policy_without_rules_lets_nothing_in():
    made = compile_policy("closed", b'{"storeRefs":[{"name":"aws"}]}')

    assert "" == made.problem
    assert made.selects("aws", {})
    assert not admission([made], "team-a", {}).lets_in("db")


def test_writing_is_not_let_in_by_what_lets_in_reading():
    made = of_keys("**")

    assert admission([made], "team-a", {}, Action.READ).lets_in("db")
    assert not admission([made], "team-a", {}, Action.WRITE).lets_in("db")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"keys": ["{namespace}/*"]}, False),
        ({"keys": ["{label:a}"]}, True),
        ({"keys": ["a"], "namespaceSelector": {}}, True),
        ({"keys": ["a"], "namespaces": ["x"]}, False),
    ],
    ids=str,
)
def test_whether_labels_of_namespaces_matter(rule, expected):
    assert expected is depends_on_labels([of_keys("x"), policy(rule)])


def test_admissions_that_mean_the_same_are_equal():
    """By that, those for whom nothing has changed are not woken."""
    before, after = of_keys("a/*"), policy({"keys": ["a/*"]}, {"keys": ["b"], "namespaces": ["team-b"]})

    assert admission([before], "team-a", None) == admission([after], "team-a", None)
    assert admission([before], "team-b", None) != admission([after], "team-b", None)


# -- whom a change concerns

A, B = {"keys": ["a"]}, {"keys": ["b"], "namespaces": ["team-b"]}
GOLD = {"keys": ["g"], "namespaceSelector": {"matchLabels": {"tier": "gold"}}}


@pytest.mark.parametrize(
    ("was", "now", "concerned"),
    [
        ([policy(A)], [policy(A)], set()),
        ([policy(A, B)], [policy(B, A)], set()),
        ([policy(A), policy(B)], [policy(A, B)], set()),
        ([policy(A)], [policy(A, B)], {"team-b"}),
        ([policy(A, B)], [policy(A)], {"team-b"}),
        ([policy(A)], [policy(A, GOLD)], {"team-g"}),
        ([policy(B)], [policy(A, B)], {"team-a", "team-b", "team-g"}),
        ([policy(A)], [policy(A), policy(B, name="new")], {"team-b"}),
        ([policy(A)], [policy(A), policy(name="empty")], set()),
        ([], [policy(A)], {"team-a", "team-b", "team-g"}),
        ([policy(name="empty")], [], {"team-a", "team-b", "team-g"}),
        ([], [], set()),
    ],
)
def test_change_of_policies_concerns_those_whom_its_rules_are_for(was, now, concerned):
    labels = {"team-a": {}, "team-b": {}, "team-g": {"tier": "gold"}}
    difference = Difference(was, now)

    assert concerned == {name for name in labels if difference.concerns(name, labels[name])}


@pytest.mark.parametrize(("now", "expected"), [([policy(GOLD)], True), ([policy(B, A)], False)])
def test_change_may_concern_a_namespace_whose_labels_nobody_knows(now, expected):
    assert expected is Difference([policy(A), policy(B)], [*now, policy(A, B)]).concerns("team-a", None)


RULES = st.lists(st.sampled_from([A, B, GOLD]), max_size=3)


@given(RULES, RULES)
def test_who_is_not_concerned_is_let_in_the_same(was, now):
    before, after = [policy(*was)], [policy(*now)]
    for name, labels in (("team-a", {}), ("team-b", {"tier": "gold"})):
        same = admission(before, name, labels).lets_in_as(admission(after, name, labels))
        assert Difference(before, after).concerns(name, labels) or same


# -- which stores


@pytest.mark.parametrize(
    ("refs", "expected"),
    [
        ([{"name": "aws"}], True),
        ([{"name": "aw"}], False),
        ([{"name": "x"}, {"name": "aws"}], True),
        ([{"labelSelector": {}}], True),
        ([{"labelSelector": {"matchLabels": {"tier": "prod"}}}], True),
        ([{"labelSelector": {"matchLabels": {"tier": "test"}}}], False),
        ([{"name": "x", "labelSelector": {}}], True),
        ([{"name": "aws", "labelSelector": {"matchLabels": {"tier": "test"}}}], True),
    ],
    ids=str,
)
def test_stores_are_selected_by_name_or_labels(refs, expected):
    assert expected is policy(refs=refs).selects("aws", {"tier": "prod"})


# -- what cannot be used lets nothing in

WANTS = {"matchExpressions": [{"key": "a", "operator": "Wants", "values": ["b"]}]}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"keys": ["{x}"]}, 'spec.rules[1].keys[0]: "{x}" has a brace'),
        ({"keys": []}, "the spec is invalid: Expected `array` of length >= 1 - at `$.rules[1].keys`"),
        ({}, "the spec is invalid: Object missing required field `keys`"),
        (
            {"keys": ["a"], "namespaceRegexes": ["("]},
            "spec.rules[1].namespaceRegexes[0]: '(' is no regular expression",
        ),
        (
            {"keys": ["a"], "namespaceSelector": WANTS},
            "spec.rules[1].namespaceSelector: a label selector has the unknown operator 'Wants'",
        ),
        ({"keys": ["a"], "namespaces": []}, "the spec is invalid"),
        ({"keys": ["a"], "namespaces": ["UP"]}, "the spec is invalid"),
        ({"keys": [1]}, "the spec is invalid: Expected `str`, got `int` - at `$.rules[1].keys[0]`"),
    ],
    ids=str,
)
def test_policy_with_a_wrong_rule_limits_its_stores_and_lets_nothing_in(rule, told):
    made = policy({"keys": ["**"]}, rule)

    assert made.problem.startswith(told)
    assert made.selects("aws", {})
    assert not made.selects("other", {})
    assert not admission([made], "team-a", {}).lets_in("db")
    assert f'StorePolicy "limits" cannot be used and lets nothing in: {told}' in refusal(made).hint


def test_others_let_in_what_they_do_beside_one_that_cannot_be_used():
    allowed = admission([of_keys("a"), policy({"keys": ["{"]}, name="wrong")], "team-a", {})

    assert allowed.lets_in("a")
    assert not allowed.lets_in("b")


@pytest.mark.parametrize(
    "spec",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"storeRefs": null}',
        b'{"storeRefs": [{}]}',
        b'{"storeRefs": [{"name": 1}]}',
        b'{"storeRefs": [{"name": "\xff"}]}',
        json.dumps({"storeRefs": [{"labelSelector": WANTS}], "rules": [{"keys": ["**"]}]}).encode(),
    ],
    ids=repr,
)
def test_policy_whose_stores_cannot_be_told_limits_all(spec):
    made = compile_policy("wrong", spec)

    assert "" != made.problem
    assert made.selects("any", {})
    assert not admission([made], "team-a", {}).lets_in("db")


@given(
    st.binary(max_size=60)
    | st.builds(
        lambda value: json.dumps(value).encode(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "storeRefs",
                            "name",
                            "labelSelector",
                            "rules",
                            "keys",
                            "namespaces",
                            "namespaceRegexes",
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ),
    )
)
def test_no_spec_fails_to_compile(spec):
    made = compile_policy("any", spec)

    assert made.problem == "" or not admission([made], "team-a", {}).lets_in("db")
    if made.problem == "":
        assert made.stores or made.selectors
        decode(spec, StorePolicySpec)


# -- what is told


def test_refusal_names_key_namespace_policy_and_what_would_help():
    error = refusal(of_keys("{namespace}/**", "shared/*"))

    assert (
        'remote key "prod/db" is not let in for namespace "team-a" by StorePolicy "limits"' == error.message
    )
    assert (
        'Let in is what fits "team-a/**", "shared/*"; ask the policy\'s owner for a rule for this namespace with a '
        'key pattern "prod/db" or wider'
    ) == error.hint
    assert ON_CHANGE == error.retry


def test_refusal_shows_the_key_as_manifest_and_store_name_it():
    error = refusal(of_keys("a"), key="pre/db", named="db")

    assert error.message.startswith('remote key "db" ("pre/db" at the store) is not let in')
    assert refusal(of_keys("a"), key="db", named="db").message.startswith('remote key "db" is not let in')


def test_refusal_names_the_label_that_is_lacking():
    error = refusal(of_keys("{label:team}/*"), labels={})

    assert error.hint.startswith('the namespace has no value of the label in "{label:team}/*"; ask')


def test_refusal_of_many_policies_names_some():
    many = [policy({"keys": [f"{number}"]}, name=f"p{number}") for number in range(5)]
    error = refusal(*reversed(many))

    assert error.message.endswith('by StorePolicies "p0", "p1", "p2" and 2 more')
    assert error.hint.startswith('Let in is what fits "4", "3", "2" and 2 more;')


def test_where_nothing_is_for_a_namespace_nothing_is_let_in_at_all():
    with pytest.raises(ForbiddenError) as caught:
        admission([of_keys("a", namespaces=["team-b"])], "team-a", None).check_any()

    assert 'nothing is let in for namespace "team-a" by StorePolicy "limits"' == caught.value.message
    assert "ask the policy's owner for a rule for this namespace with a key pattern" == caught.value.hint


def test_hostile_key_is_one_line():
    error = refusal(of_keys("a"), key="a\nb\x1b[0m" + "x" * 2000)

    assert error.message.isprintable()
    assert error.message.endswith('for namespace "team-a" by StorePolicy "limits"')


def test_parse_refuses_by_itself():
    with pytest.raises(SpecError):
        KeyPattern.parse("{x}")
