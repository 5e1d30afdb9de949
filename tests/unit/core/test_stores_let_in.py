"""May an ExternalSecret use a store: class, conditions, selectors."""

from __future__ import annotations

import pytest

from keyferry.api.meta import LabelSelector, LabelSelectorRequirement, NamespacedReference
from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.core.stores import (
    answers_otherwise,
    check_namespace,
    effective_namespace,
    is_our_class,
    is_paused,
    selects,
)
from keyferry.errors import ON_CHANGE, ForbiddenError, SpecError


def _store(*conditions, **fields):
    return convert(
        {"provider": {"fake": {"data": []}}, "conditions": list(conditions), **fields}, SecretStoreSpec
    )


def _lets_in(spec, namespace="team-a", labels=None):
    try:
        check_namespace(spec, "shared", namespace, labels)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize(
    ("controller", "ours"), [("", True), ("default", True), ("other", False), ("Default", False)]
)
def test_store_is_ours_if_it_names_no_class_or_ours(controller, ours):
    assert is_our_class(_store(controller=controller).controller, "default") is ours


# -- conditions


def test_store_without_conditions_lets_everybody_in():
    assert _lets_in(_store())


def test_empty_condition_lets_nobody_in():
    """As observed on the reference operator: an entry without any field fits no namespace."""
    assert not _lets_in(_store({}), labels={"a": "b"})
    assert not _lets_in(_store({"namespaces": [], "namespaceRegexes": []}), labels={})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"namespaces": ["team-a"]}, True),
        ({"namespaces": ["team"]}, False),
        ({"namespaces": ["team-b", "team-a"]}, True),
        ({"namespaceSelector": {"matchLabels": {"tier": "gold"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"tier": "tin"}}}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceRegexes": ["^team-"]}, True),
        ({"namespaceRegexes": ["am"]}, True),
        ({"namespaceRegexes": ["^am"]}, False),
        ({"namespaceRegexes": ["^team$"]}, False),
        ({"namespaceRegexes": ["x", "a$"]}, True),
        ({"namespaceRegexes": [""]}, True),
        ({"namespaceRegexes": ["TEAM"]}, False),
        ({"namespaceRegexes": ["(?i)TEAM"]}, True),
        ({"namespaceRegexes": ["^team-.$\n"]}, False),
        ({"namespaceSelector": {"matchLabels": {"tier": "tin"}}, "namespaces": ["team-a"]}, True),
        ({"namespaceSelector": {"matchLabels": {"tier": "tin"}}, "namespaceRegexes": ["^t"]}, True),
    ],
)
def test_one_field_of_a_condition_that_fits_is_enough(condition, expected):
    assert _lets_in(_store(condition), labels={"tier": "gold"}) is expected


def test_one_condition_that_fits_is_enough():
    assert _lets_in(_store({"namespaces": ["team-b"]}, {}, {"namespaces": ["team-a"]}))


@pytest.mark.parametrize("selector", [{}, {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}])
def test_namespace_with_unknown_labels_fits_no_selector(selector):
    assert not _lets_in(_store({"namespaceSelector": selector}), labels=None)


def test_denial_tells_store_and_namespace():
    with pytest.raises(ForbiddenError) as caught:
        check_namespace(_store({}), "shared", "team-a", {})

    assert caught.value.message == (
        'using cluster store "shared" is not allowed from namespace "team-a": denied by spec.condition'
    )
    assert caught.value.retry == ON_CHANGE


@pytest.mark.parametrize("pattern", ["(", "[a", "a{9999}", "(?=a)", r"\1", "(?<!a)b"])
def test_malformed_expression_is_told_each_time_and_written_nowhere_else(pattern, capfd):
    """RE2 has no lookaround; its library would write to standard error, past our log."""
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            check_namespace(_store({"namespaceRegexes": [pattern]}), "shared", "team-a", None)

        assert repr(pattern) in caught.value.message
    captured = capfd.readouterr()
    assert "Error parsing" not in captured.err + captured.out


def test_expression_cannot_take_long():
    """No backtracking: with Python's own engine this would not end."""
    spec = _store({"namespaceRegexes": ["^(a+)+$", "^(a|a)*b", "(x+x+)+y"]})

    assert not _lets_in(spec, namespace="a" * 40 + "!" + "x" * 20)


# -- selectors


def _requirement(operator, *values, key="tier"):
    return LabelSelector(
        match_expressions=(LabelSelectorRequirement(key=key, operator=operator, values=values),)
    )


@pytest.mark.parametrize(
    ("operator", "values", "gold", "tin", "none"),
    [
        ("In", ("gold", "silver"), True, False, False),
        ("NotIn", ("gold", "silver"), False, True, True),
        ("Exists", (), True, True, False),
        ("DoesNotExist", (), False, False, True),
    ],
)
def test_selector_meets_labels(operator, values, gold, tin, none):
    selector = _requirement(operator, *values)

    assert [selects(selector, labels) for labels in ({"tier": "gold"}, {"tier": "tin"}, {"x": "y"})] == [
        gold,
        tin,
        none,
    ]


def test_all_requirements_must_hold():
    selector = LabelSelector(
        match_labels={"a": "1"},
        match_expressions=(
            LabelSelectorRequirement(key="b", operator="Exists"),
            LabelSelectorRequirement(key="c", operator="In", values=("3",)),
        ),
    )

    assert selects(selector, {"a": "1", "b": "", "c": "3"})
    assert not selects(selector, {"a": "1", "b": "", "c": "4"})
    assert not selects(selector, {"a": "1", "c": "3"})
    assert not selects(selector, {"a": "2", "b": "", "c": "3"})
    assert not selects(selector, {})


def test_label_with_an_empty_value_is_not_an_absent_one():
    assert not selects(LabelSelector(match_labels={"a": ""}), {})
    assert selects(LabelSelector(match_labels={"a": ""}), {"a": ""})


@pytest.mark.parametrize(
    ("operator", "values"),
    [
        ("In", ()),
        ("NotIn", ()),
        ("Exists", ("x",)),
        ("DoesNotExist", ("x",)),
        ("in", ("x",)),
        ("Gt", ("1",)),
        ("", ()),
    ],
)
def test_malformed_requirement_lets_nobody_in(operator, values):
    """NotIn without values would let everybody in; Kubernetes' own selectors refuse all of these."""
    selector = _requirement(operator, *values)
    told = {
        "In": "operator In must have values (key 'tier')",
        "NotIn": "operator NotIn must have values (key 'tier')",
        "Exists": "operator Exists must not have values (key 'tier')",
        "DoesNotExist": "operator DoesNotExist must not have values (key 'tier')",
    }.get(operator, f"the unknown operator {operator!r}")
    with pytest.raises(SpecError) as caught:
        selects(selector, {"tier": "gold"})
    assert caught.value.message.endswith(told)
    with pytest.raises(SpecError):
        selects(
            LabelSelector(match_labels={"other": "label"}, match_expressions=selector.match_expressions), {}
        )


# -- the rest


@pytest.mark.parametrize(
    ("annotations", "paused"),
    [
        ({}, False),
        ({"keyferry.io/paused": "true"}, True),
        ({"keyferry.io/paused": "True"}, False),
        ({"keyferry.io/paused": ""}, False),
        ({"keyferry.io/paused": "false"}, False),
    ],
)
def test_only_the_word_true_pauses(annotations, paused):
    assert is_paused(annotations) is paused


@pytest.mark.parametrize(
    ("named", "store_namespace", "expected"),
    [("", "", "team-a"), ("auth", "", "auth"), ("", "team-b", "team-b"), ("auth", "team-b", "team-b")],
)
def test_reference_of_a_namespaced_store_never_points_elsewhere(named, store_namespace, expected):
    reference = NamespacedReference(namespace=named)

    assert effective_namespace(reference, store_namespace, referent="team-a") == expected


def _spec(provider, **fields):
    return convert({"provider": provider, **fields}, SecretStoreSpec)


AWS = {"aws": {"service": "SecretsManager", "region": "eu-central-1"}}
FAKE = {"fake": {"data": [{"key": "a", "value": "x"}]}}


@pytest.mark.parametrize(
    ("before", "after", "otherwise"),
    [
        (_spec(AWS), _spec({"aws": AWS["aws"] | {"region": "us-east-1"}}), True),
        (_spec(AWS), _spec({"aws": AWS["aws"] | {"prefix": "p/"}}), True),
        (_spec(AWS), _spec(FAKE), True),
        (_spec(AWS), _spec(AWS, conditions=[{"namespaces": ["a"]}]), True),
        (_spec(AWS), _spec(AWS, controller="other"), True),
        (_spec(AWS), _spec(AWS, refreshInterval="5m", retrySettings={"maxRetries": 1}), False),
        (_spec(FAKE), _spec({"fake": {"data": [{"key": "a", "value": "y"}]}}), False),
        (_spec(FAKE), _spec({"fake": FAKE["fake"] | {"validationResult": 1}}), True),
    ],
    ids=["region", "prefix", "provider", "conditions", "class", "pace", "fake-data", "fake-result"],
)
def test_store_that_answers_otherwise_is_told_from_one_that_does_not(before, after, otherwise):
    assert answers_otherwise(before, after) is otherwise
