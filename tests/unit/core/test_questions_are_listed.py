"""From spec to reads: which store, which remote secret, in which order."""

from __future__ import annotations

import pytest

from keyferry.core.sources import optional_keys, questions, store_refs
from keyferry.errors import SpecError

OTHER = {"storeRef": {"name": "other", "kind": "ClusterSecretStore"}}


def _told(question):
    return question.where, question.store.kind, question.store.name, question.remote.key, question.secret_key


def test_data_from_comes_before_data_in_their_order(spec):
    built = spec(
        data=[
            {"secretKey": "b", "remoteRef": {"key": "k1", "property": "p"}},
            {"secretKey": "a", "remoteRef": {"key": "k2"}, "sourceRef": OTHER},
        ],
        dataFrom=[{"extract": {"key": "k3"}}, {"extract": {"key": "k4"}, "sourceRef": OTHER}],
    )

    assert [_told(question) for question in questions(built)] == [
        ("spec.dataFrom[0].extract (key: k3)", "SecretStore", "aws", "k3", ""),
        ("spec.dataFrom[1].extract (key: k4)", "ClusterSecretStore", "other", "k4", ""),
        ("spec.data[0] (key: k1)", "SecretStore", "aws", "k1", "b"),
        ("spec.data[1] (key: k2)", "ClusterSecretStore", "other", "k2", "a"),
    ]


def test_events_name_the_entry_as_the_contract_does(spec):
    built = spec(data=[{"secretKey": "b", "remoteRef": {"key": "k1"}}], dataFrom=[{"extract": {"key": "k3"}}])

    assert [question.event for question in questions(built)] == [
        "spec.dataFrom[0]",
        "spec.dataFrom[0] (key=k1)",
    ]


def test_long_key_does_not_push_the_cause_out_of_the_message(spec):
    (question,) = questions(spec(data=[{"secretKey": "b", "remoteRef": {"key": "k\n" + "x" * 2000}}]))

    assert (len(question.where), question.where.isprintable()) == (len("spec.data[0] (key: )") + 300, True)
    assert len(question.event) == len("spec.dataFrom[0] (key=)") + 300
    assert question.remote.key == "k\n" + "x" * 2000


def test_long_key_of_an_extract_does_not_push_the_cause_out_of_the_message(spec):
    (question,) = questions(spec(dataFrom=[{"extract": {"key": "k\n" + "x" * 2000}}]))

    assert (len(question.where), question.where.isprintable()) == (
        len("spec.dataFrom[0].extract (key: )") + 300,
        True,
    )


def test_spec_without_entries_asks_nothing(spec):
    assert questions(spec()) == []


def test_source_without_a_store_means_the_specs_store(spec):
    built = spec(
        data=[{"secretKey": "a", "remoteRef": {"key": "k"}, "sourceRef": {"storeRef": {}}}],
        dataFrom=[{"extract": {"key": "k"}, "sourceRef": {}}],
    )

    assert {question.store.name for question in questions(built)} == {"aws"}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"data": [{"secretKey": "a", "remoteRef": {"key": "k"}}]}, "spec.data[0] (key: k)"),
        ({"dataFrom": [{"extract": {"key": "k"}}]}, "spec.dataFrom[0].extract (key: k)"),
        (
            {"dataFrom": [{"extract": {"key": "k"}, "sourceRef": {"storeRef": {}}}]},
            "spec.dataFrom[0].extract (key: k)",
        ),
    ],
)
def test_entry_without_any_store_is_refused_by_name(spec, fields, where):
    with pytest.raises(SpecError) as caught:
        questions(spec(secretStoreRef={}, **fields))

    assert caught.value.message.startswith(f"{where} names no store")


def test_data_from_without_a_source_is_refused(spec):
    with pytest.raises(SpecError, match=r"^spec\.dataFrom\[0\]: either extract, find, or sourceRef"):
        questions(spec(dataFrom=[{"rewrite": []}]))


def test_searches_and_generators_are_listed_in_their_place(spec):
    generator = {"generatorRef": {"kind": "UUID", "name": "u"}}
    steps = [{"regexp": {"source": "a", "target": "b"}}]
    built = spec(
        dataFrom=[
            {"sourceRef": generator, "rewrite": steps},
            {"find": {"tags": {"a": "b"}}, "sourceRef": OTHER},
        ]
    )

    generated, found = questions(built)

    assert (generated.where, generated.generator.name) == ("spec.dataFrom[0].sourceRef.generatorRef", "u")
    assert (generated.store.name, generated.rewrite) == ("", built.data_from[0].rewrite)
    assert (found.where, found.store.name, found.find.tags) == ("spec.dataFrom[1].find", "other", {"a": "b"})


def test_of_find_and_extract_find_is_taken(spec):
    """An object older than the schema's rule; as observed on the reference operator."""
    (question,) = questions(spec(dataFrom=[{"extract": {"key": "k"}, "find": {"tags": {"a": "b"}}}]))

    assert (question.find.tags, question.remote) == ({"a": "b"}, None)


def test_generator_in_data_is_refused(spec):
    source = {"generatorRef": {"kind": "UUID", "name": "u"}}
    with pytest.raises(SpecError, match=r"^spec\.data\[0\]\.sourceRef\.generatorRef is not supported"):
        questions(spec(data=[{"secretKey": "a", "remoteRef": {"key": "k"}, "sourceRef": source}]))


@pytest.mark.parametrize(
    ("text", "listed"),
    [("a,b", {"a", "b"}), (" a , b c ,,", {"a", "b c"}), ("", set()), (",", set())],
)
def test_optional_keys_are_parted_by_commas(text, listed):
    assert optional_keys({"keyferry.io/optional-keys": text}) == listed


def test_nothing_is_optional_without_the_annotation():
    assert optional_keys({"other": "a"}) == frozenset()


def test_all_stores_are_listed_once(spec):
    built = spec(
        data=[
            {"secretKey": "a", "remoteRef": {"key": "k"}, "sourceRef": OTHER},
            {"secretKey": "b", "remoteRef": {"key": "k"}, "sourceRef": {"storeRef": {"name": "aws"}}},
            {"secretKey": "c", "remoteRef": {"key": "k"}, "sourceRef": {"storeRef": {}}},
            {"secretKey": "d", "remoteRef": {"key": "k"}},
        ],
        dataFrom=[
            {"extract": {"key": "k"}, "sourceRef": OTHER},
            {"extract": {"key": "k"}, "sourceRef": {"storeRef": {"name": "third"}}},
            {"extract": {"key": "k"}, "sourceRef": {"generatorRef": {"kind": "UUID", "name": "u"}}},
        ],
    )

    assert store_refs(built) == {
        ("SecretStore", "aws"),
        ("ClusterSecretStore", "other"),
        ("SecretStore", "third"),
    }


def test_no_store_is_listed_where_none_is_named(spec):
    assert store_refs(spec(secretStoreRef={})) == set()


def test_stores_that_are_asked_are_all_listed(spec):
    built = spec(
        secretStoreRef={},
        data=[{"secretKey": "a", "remoteRef": {"key": "k"}, "sourceRef": OTHER}],
        dataFrom=[{"extract": {"key": "k"}, "sourceRef": {"storeRef": {"name": "third"}}}],
    )

    assert {(q.store.kind, q.store.name) for q in questions(built)} == store_refs(built)
