"""From answers to the target's data: order, precedence, absence, failures."""

from __future__ import annotations

import gc
import sys

import pytest

from keyferry.core.sources import (
    HEAVY_BYTES,
    Answered,
    assemble,
    has_templates,
    is_heavy,
    questions,
)
from keyferry.errors import (
    AccessDenied,
    KeyferryError,
    PropertyNotFound,
    RateLimited,
    RemoteSecretNotFound,
    RenderError,
    RetryKind,
    after,
)
from keyferry.secretdata import SecretBytes

STORE = 'SecretStore "team-a/aws"'


@pytest.fixture
def answered(spec):
    """Answers to a spec's questions, in their order; text becomes a value."""

    def build(
        *answers,
        literal_first=False,
        missing_is_absent=False,
        final=False,
        select=None,
        optional=(),
        **fields,
    ):
        asked = questions(spec(**fields), optional)
        return [
            Answered(
                question,
                STORE,
                _value(answer),
                literal_first,
                missing_is_absent,
                final,
                select,
            )
            for question, answer in zip(asked, answers, strict=True)
        ]

    return build


def _value(answer):
    if isinstance(answer, dict):
        return {key: SecretBytes(text) for key, text in answer.items()}
    return SecretBytes(answer) if isinstance(answer, bytes | str) else answer


def _data(key, remote="k", **fields):
    return {"secretKey": key, "remoteRef": {"key": remote, **fields}}


def _extract(key="k", **fields):
    return {"extract": {"key": key, **fields}}


def _revealed(assembled):
    return {key: value.reveal() for key, value in assembled.data.items()}


def test_rule_of_the_providers_own_takes_value_and_members(answered):
    def select(value, remote, members):
        if members:
            return {"whole": value, "of": SecretBytes(remote.key)}
        return SecretBytes(f"{remote.property} of {remote.key}")

    fields = {"data": [_data("v", property="b.c")], "dataFrom": [_extract("e")]}

    assembled = assemble(answered("one", "two", select=select, **fields), "Retain")

    assert {"v": b"b.c of k", "whole": b"one", "of": b"e"} == _revealed(assembled)


def test_rule_of_the_providers_own_may_give_an_object_as_one_value(answered):
    """Its members are those of the JSON object, as everywhere."""
    fields = {"dataFrom": [_extract("e")]}

    assembled = assemble(answered("{}", select=lambda *_: SecretBytes('{"a": "1"}'), **fields), "Retain")

    assert {"a": b"1"} == _revealed(assembled)


def test_answer_of_a_store_that_was_asked_with_all_is_the_value(answered):
    """No property is taken out of it: the store was asked for that."""
    value = '{"a":"1","b":{"c":"2"}}'
    fields = {"data": [_data("v", property="b.c")], "dataFrom": [_extract(property="b")]}

    assert {"a": b"1", "b": b'{"c":"2"}', "v": value.encode()} == _revealed(
        assemble(answered(value, value, final=True, **fields), "Retain")
    )


def test_later_entries_win_and_data_wins_over_data_from(answered):
    answers = answered(
        '{"a":"1","b":"1","c":"1","d":"1"}',
        '{"b":"2","c":"2","d":"2"}',
        "3",
        "4",
        dataFrom=[_extract("x"), _extract("y")],
        data=[_data("c"), _data("d")],
    )

    assert _revealed(assemble(answers, "Retain")) == {"a": b"1", "b": b"2", "c": b"3", "d": b"4"}


def test_of_one_key_twice_the_last_wins(answered):
    answers = answered("1", "2", data=[_data("a"), _data("a")])

    assert _revealed(assemble(answers, "Retain")) == {"a": b"2"}


def test_no_questions_give_no_data():
    assert _revealed(assemble([], "Retain")) == {}


def test_property_is_selected_and_then_decoded(answered):
    answers = answered(
        '{"db":{"password":"aHVudGVyMg=="}}',
        data=[_data("a", property="db.password", decodingStrategy="Base64")],
    )

    assert _revealed(assemble(answers, "Retain")) == {"a": b"hunter2"}


def test_extract_takes_the_property_apart(answered):
    answers = answered('{"db":{"a b":1.50,"":"dropped"}}', dataFrom=[_extract(property="db")])

    assert _revealed(assemble(answers, "Retain")) == {"a_b": b"1.50"}


def test_extract_converts_keys_and_decodes_values(answered):
    answers = answered(
        '{"a/b":"eA==","c":"plain!"}',
        dataFrom=[_extract(conversionStrategy="Unicode", decodingStrategy="Auto")],
    )

    assert _revealed(assemble(answers, "Retain")) == {"a_U002f_b": b"x", "c": b"plain!"}


def test_data_converts_no_key(answered):
    answers = answered("x", data=[_data("a.b")])

    assert _revealed(assemble(answers, "Retain")) == {"a.b": b"x"}


def test_providers_rules_reach_the_selection(answered):
    document = '{"a.b":"literal","a":{"b":"path"}}'
    entry = _data("x", property="a.b")

    assert _revealed(assemble(answered(document, literal_first=True, data=[entry]), "Retain")) == {
        "x": b"literal"
    }
    assert _revealed(assemble(answered(document, data=[entry]), "Retain")) == {"x": b"path"}


def test_providers_have_no_rules_of_their_own_unless_they_say_so(spec):
    (question,) = questions(spec(data=[_data("x", property="a.b")]))
    answer = Answered(question, STORE, SecretBytes('{"a.b":"literal","a":{}}'))

    with pytest.raises(PropertyNotFound):
        assemble([answer], "Delete")


@pytest.mark.parametrize("policy", ["Delete", "Merge"])
def test_absent_secret_is_left_out_and_told_where_the_policy_says_so(answered, policy):
    answers = answered(
        RemoteSecretNotFound("gone"), '{"b":"2"}', RemoteSecretNotFound("gone"),
        dataFrom=[_extract("x"), _extract("y")], data=[_data("a", "z")],
    )  # fmt: skip

    assembled = assemble(answers, policy)

    assert _revealed(assembled) == {"b": b"2"}
    assert [question.remote.key for question in assembled.absent] == ["x", "z"]


def test_absent_secret_is_a_failure_where_the_policy_is_retain(answered):
    answers = answered('{"b":"2"}', RemoteSecretNotFound("gone"), dataFrom=[_extract()], data=[_data("a")])

    with pytest.raises(RemoteSecretNotFound) as caught:
        assemble(answers, "Retain")

    assert caught.value.message == f"error processing spec.data[0] (key: k), err: {STORE}: gone"


@pytest.mark.parametrize("policy", ["Retain", "Delete", "Merge"])
def test_missing_property_is_a_failure_whatever_the_policy(answered, policy):
    """As observed on the reference operator at AWS and Vault."""
    with pytest.raises(PropertyNotFound):
        assemble(answered("{}", data=[_data("a", property="p")]), policy)


def test_missing_property_is_an_absent_secret_where_the_provider_says_so(answered):
    answers = answered("{}", missing_is_absent=True, data=[_data("a", property="p")])

    assert len(assemble(answers, "Delete").absent) == 1


@pytest.mark.parametrize("policy", ["Retain", "Delete", "Merge"])
def test_denied_secret_is_never_taken_for_an_absent_one(answered, policy):
    """Else a lost permission would delete the target."""
    answers = answered(RemoteSecretNotFound("gone"), AccessDenied("no"), data=[_data("a"), _data("b")])

    with pytest.raises(KeyferryError):
        assemble(answers, policy)


def test_failure_names_entry_store_and_cause(answered):
    cause = AccessDenied("no", hint="Ask the store's owner", retry=after(7))
    with pytest.raises(AccessDenied) as caught:
        assemble(answered(cause, dataFrom=[_extract()]), "Retain")

    assert str(caught.value) == (
        f"error processing spec.dataFrom[0].extract (key: k), err: {STORE}: no. Ask the store's owner"
    )
    assert caught.value.retry == after(7)
    assert caught.value.__cause__ is cause


def test_failure_that_names_its_source_itself_names_it_once(answered):
    with pytest.raises(AccessDenied) as caught:
        assemble(answered(AccessDenied(f"{STORE} says no"), data=[_data("a")]), "Retain")

    assert caught.value.message == f"error processing spec.data[0] (key: k), err: {STORE} says no"


def test_of_several_failures_the_first_is_told_with_their_number(answered):
    answers = answered(
        "x",
        AccessDenied("no"),
        RateLimited("slow", retry=after(9)),
        data=[_data("a"), _data("b"), _data("c")],
    )

    messages = set()
    for _ in range(2):
        with pytest.raises(AccessDenied) as caught:
            assemble(answers, "Retain")
        messages.add(caught.value.message)

    assert messages == {
        f"2 entries failed, the first: error processing spec.data[1] (key: k), err: {STORE}: no"
    }
    assert caught.value.retry.kind is RetryKind.BACKOFF


@pytest.mark.parametrize(
    ("value", "entry", "text"),
    [
        ("hunter2!", {"data": [_data("a", decodingStrategy="Base64")]}, "could not decode the value for 'a'"),
        (
            '{"a":"hunter2!"}',
            {"dataFrom": [_extract(decodingStrategy="Base64")]},
            "could not decode the value of 'a'",
        ),
        (
            "hunter2\0",
            {"data": [_data("a", nullBytePolicy="Fail")]},
            "the value for 'a' contains a null byte",
        ),
        (
            r'{"a":"hunter2\u0000"}',
            {"dataFrom": [_extract(nullBytePolicy="Fail")]},
            "the value of 'a' contains a null",
        ),
        ('"hunter2"', {"dataFrom": [_extract()]}, "its value is not a JSON object"),
        ('{"a b":"hunter2","a/b":""}', {"dataFrom": [_extract()]}, "secret name collision"),
    ],
)
def test_value_that_does_not_fit_is_told_without_showing_it(answered, value, entry, text):
    with pytest.raises(RenderError) as caught:
        assemble(answered(value, **entry), "Retain")

    assert text in caught.value.message
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "property_", "heavy"),
    [
        (HEAVY_BYTES // 2, "", False),
        (HEAVY_BYTES // 2 + 1, "", True),
        (HEAVY_BYTES // 32, "a.*.b", False),
        (HEAVY_BYTES // 32 + 1, "a.b", False),
        *(
            (HEAVY_BYTES // 32 + 1, path, True)
            for path in ("a.*", "a?", "#.a", "@this", "{a}", "[a]", "a|b", "#(a>1)", "~a", "!1")
        ),
    ],
)
def test_work_that_others_would_notice_is_heavy(answered, size, property_, heavy):
    """All answers count together, and a costly path many times over."""
    entry = _data("a", property=property_)
    answers = answered(b"x" * size, b"x" * size, data=[entry, entry])

    assert is_heavy(answers) is heavy


def test_failures_and_nothing_are_light(answered):
    assert not is_heavy([])
    assert not is_heavy(answered(AccessDenied("no"), data=[_data("a", property="*")]))


FIND = {"find": {"name": {"regexp": "."}}}
UUID = {"sourceRef": {"generatorRef": {"kind": "UUID", "name": "u"}}}
UPPER = {"regexp": {"source": "^db/(.*)$", "target": "DB_$1"}}
UPPER_COSTS = 16 + len("DB_$1")


def test_what_a_search_found_is_converted_and_decoded(answered):
    find = {"find": {"conversionStrategy": "Unicode", "decodingStrategy": "Base64", "tags": {"a": "b"}}}
    answers = answered({"db/a": "eA==", "b": "eQ=="}, dataFrom=[find])

    assert _revealed(assemble(answers, "Retain")) == {"db_U002f_a": b"x", "b": b"y"}


def test_rewritten_keys_are_not_converted(answered):
    answers = answered({"db/a": "x", "b": "y"}, dataFrom=[FIND | {"rewrite": [UPPER]}])

    assert _revealed(assemble(answers, "Retain")) == {"DB_a": b"x", "b": b"y"}


def test_key_that_no_rewrite_made_valid_is_refused(answered):
    answers = answered({"a b": "hunter2"}, dataFrom=[FIND | {"rewrite": [UPPER]}])

    with pytest.raises(RenderError, match=r"spec\.dataFrom\[0\]\.find.*invalid secret keys") as caught:
        assemble(answers, "Retain")

    assert "hunter2" not in str(caught.value)


def test_values_are_merged_before_they_are_decoded(answered):
    """The steps see what the store holds."""
    merged = {"merge": {}}
    entry = {"extract": {"key": "k", "decodingStrategy": "Base64"}, "rewrite": [merged]}
    answers = answered('{"one":"{\\"a\\":\\"eA==\\"}","two":"{\\"b\\":\\"eQ==\\"}"}', dataFrom=[entry])

    assert _revealed(assemble(answers, "Retain")) == {"a": b"x", "b": b"y"}


def test_key_that_a_rewrite_loses_is_told(answered):
    same = {"regexp": {"source": ".*", "target": "same"}}
    answers = answered({"a": "x", "b": "y"}, dataFrom=[FIND | {"rewrite": [same]}])

    assembled = assemble(answers, "Retain")

    assert list(assembled.data) == ["same"]
    assert len(assembled.collisions) == 1
    assert assembled.collisions[0].startswith("spec.dataFrom[0].find: ")


def test_generated_values_are_neither_converted_nor_decoded(answered):
    answers = answered({"uuid": "eA=="}, dataFrom=[UUID])

    assert _revealed(assemble(answers, "Retain")) == {"uuid": b"eA=="}


def test_generated_key_that_no_secret_can_hold_is_refused(answered):
    with pytest.raises(RenderError, match="invalid secret keys"):
        assemble(answered({"a/b": "x"}, dataFrom=[UUID]), "Retain")


def test_kept_values_are_not_rewritten_again(answered, spec):
    (question,) = questions(spec(dataFrom=[UUID | {"rewrite": [UPPER]}]))
    kept = Answered(question, "UUID", {"db/x": SecretBytes("kept")}, rewritten=True)

    assert _revealed(assemble([kept], "Retain")) == {"db/x": b"kept"}


@pytest.mark.parametrize("policy", ["Retain", "Delete", "Merge"])
@pytest.mark.parametrize(
    ("entry", "failure"),
    [
        ({"data": [_data("a", "k")]}, RemoteSecretNotFound("gone")),
        ({"data": [_data("x", "a")]}, RemoteSecretNotFound("gone")),
        ({"data": [_data("x", "k", property="a")]}, PropertyNotFound("no property")),
        ({"dataFrom": [_extract("a")]}, RemoteSecretNotFound("gone")),
    ],
    ids=["by-key-of-the-secret", "by-remote-key", "by-property", "by-extracted-key"],
)
def test_missing_optional_entry_does_not_fail_the_object(answered, entry, failure, policy):
    assembled = assemble(answered(failure, optional={"a", "other"}, **entry), policy)

    assert (dict(assembled.data), assembled.absent) == ({}, ())
    assert len(assembled.missing) == 1
    assert assembled.missing[0].endswith(failure.message)


def test_optional_entry_that_is_denied_fails_the_object(answered):
    """Only what is not there may be missing."""
    with pytest.raises(AccessDenied):
        assemble(answered(AccessDenied("no"), optional={"a"}, data=[_data("a")]), "Retain")


def test_entry_of_another_name_is_not_optional(answered):
    with pytest.raises(RemoteSecretNotFound):
        assemble(answered(RemoteSecretNotFound("gone"), optional={"b"}, data=[_data("a")]), "Retain")


def test_several_failures_are_each_in_the_details(answered):
    answers = answered(AccessDenied("no"), RateLimited("slow"), data=[_data("a"), _data("b")])

    with pytest.raises(AccessDenied) as caught:
        assemble(answers, "Retain")

    assert caught.value.details == (
        f"error processing spec.data[0] (key: k), err: {STORE}: no",
        f"error processing spec.data[1] (key: k), err: {STORE}: slow",
    )


@pytest.mark.parametrize(
    ("size", "rewrite", "heavy"),
    [
        (HEAVY_BYTES, [], False),
        (HEAVY_BYTES // UPPER_COSTS + 1, [UPPER], True),
        (HEAVY_BYTES // UPPER_COSTS, [UPPER], False),
        (HEAVY_BYTES // UPPER_COSTS**2 + 1, [UPPER, UPPER], True),
        (HEAVY_BYTES // UPPER_COSTS**2, [UPPER, UPPER], False),
        (HEAVY_BYTES // 16, [{"merge": {}}], False),
    ],
)
def test_rewriting_many_keys_is_heavy(answered, size, rewrite, heavy):
    """Each step may make longer what the next one looks at."""
    answers = answered({"a": b"x" * (size - 1)}, dataFrom=[FIND | {"rewrite": rewrite}])

    assert is_heavy(answers) is heavy


def test_null_bytes_are_looked_for_after_decoding(answered):
    answers = answered("aAB4", data=[_data("a", decodingStrategy="Base64", nullBytePolicy="Fail")])

    with pytest.raises(RenderError, match="null byte"):
        assemble(answers, "Retain")


def test_shared_failure_is_left_as_it_is(answered):
    """Many objects get the same failure from one call; raising it would grow its traceback for ever."""
    shared = AccessDenied("no")
    answers = answered(shared, data=[_data("a")])
    for _ in range(3):
        with pytest.raises(AccessDenied):
            assemble(answers, "Retain")

    assert (shared.__traceback__, shared.message) == (None, "no")


def test_failure_keeps_no_value_in_memory(answered):
    """No cycle of error and frames: values go when the error goes, not when the garbage collector comes."""
    value = SecretBytes(b"hunter2!")
    before = sys.getrefcount(value)
    gc.disable()
    try:
        answers = answered(
            value,
            AccessDenied("no"),
            "x",
            data=[_data("a", decodingStrategy="Base64"), _data("b"), _data("c")],
        )
        failed = False
        try:
            assemble(answers, "Retain")
        except KeyferryError:
            failed = True
        del answers

        assert failed
        assert sys.getrefcount(value) == before
    finally:
        gc.enable()


# -- templates


def test_keys_are_renamed_by_templates_of_the_entry(answered, renderer):
    transform = [{"transform": {"template": "DB_{{ .value | upper }}"}}]
    answers = answered({"user": "u"}, '{"a":"b"}', dataFrom=[{"find": {}, "rewrite": transform}, _extract()])

    assert has_templates(answers)
    assert not has_templates(answers[1:])
    assert _revealed(assemble(answers, "Retain", renderer())) == {"DB_USER": b"u", "a": b"b"}


def test_template_that_fails_is_told_with_its_entry(answered, renderer):
    transform = [{"transform": {"template": "{{ nothing }}"}}]
    answers = answered({"user": "u"}, dataFrom=[{"find": {}, "rewrite": transform}])

    with pytest.raises(RenderError) as caught:
        assemble(answers, "Retain", renderer())

    assert caught.value.message == (
        f"error processing spec.dataFrom[0].find, err: {STORE}: rewrite[0]: transform.template, line 1: "
        'function "nothing" not defined'
    )
    assert caught.value.retry.kind is RetryKind.ON_CHANGE
