"""From a remote secret to those who read it, without a look at anybody else."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.api.model import convert
from keyferry.core import patterns
from keyferry.core.patterns import Pattern
from keyferry.errors import SpecError
from keyferry.ports import ObjectKey
from keyferry.reconcile.remote import readings
from keyferry.reconcile.remote_index import MOST_COMPARED, Reading, RemoteReaders, among
from keyferry.testing.builders import cluster_store, entry, external_secret, extract, find, generated

STORE = ObjectKey("SecretStore", "team-0", "store")
SHARED = ObjectKey("ClusterSecretStore", "", "shared")


def reader(number: int) -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-0", f"app-{number}")


def test_all_that_a_spec_reads_is_listed_once() -> None:
    made = external_secret(
        "app",
        entry("a", "db", property="user"),
        entry("b", "db", property="password"),
        entry("c", "mail", store=cluster_store("shared")),
        extract("db"),
        find("^tls-"),
        find(tags={"app": "web"}),
        generated("Password", "pw"),
    )

    assert {
        Reading(STORE, "db"),
        Reading(SHARED, "mail"),
        Reading(STORE, "^tls-", search=True),
        Reading(STORE, "", search=True),
    } == set(readings(convert(made["spec"], ExternalSecretSpec), "team-0", [STORE, SHARED]))


def test_spec_that_cannot_be_used_reads_nothing() -> None:
    spec = convert({"data": [{"secretKey": "a", "remoteRef": {"key": "b"}}]}, ExternalSecretSpec)

    assert () == readings(spec, "x", [STORE])


def test_readers_of_a_key_are_found_and_searchers_by_name() -> None:
    index = RemoteReaders()
    index.link(reader(1), (Reading(STORE, "db"),), ())
    index.link(reader(2), (Reading(STORE, "db"), Reading(STORE, "mail")), ())
    index.link(reader(3), (Reading(STORE, "^d", search=True),), ())
    index.link(reader(4), (Reading(STORE, "", search=True),), ())
    index.link(reader(5), (Reading(STORE, "(", search=True),), ())
    index.link(reader(6), (Reading(SHARED, "db"),), ())

    assert {reader(1), reader(2)} == set(index.of(STORE, "db"))
    assert {reader(3), reader(4), reader(5)} == among(index.searchers(STORE, ["db"]), None)
    assert {reader(4), reader(5)} == among(index.searchers(STORE, ["mail"]), None)
    assert {reader(number) for number in range(1, 6)} == among(index.all(STORE), None)
    assert {"db", "mail"} == set(index.keys(STORE))
    assert {reader(2)} == among([index.of(STORE, "db")], {reader(2), reader(9)})
    assert set() == among([index.of(STORE, "db")], set())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("^db", True, id="begins-so"),
        pytest.param("^dc", False, id="begins-otherwise"),
        pytest.param("^dbx?-", True, id="last-character-that-may-be-missing"),
        pytest.param("^dbx*-", True, id="last-character-that-may-be-missing-or-many"),
        pytest.param("^dbx{0}-", True, id="last-character-that-is-missing"),
        pytest.param("^dx+", False, id="last-character-that-is-there"),
        pytest.param("^x|db", True, id="alternatives"),
        pytest.param("x", True, id="anywhere"),
        pytest.param(r"^x?\.", True, id="nothing-plain"),
        pytest.param("(?i)^DB", True, id="flags"),
        pytest.param("", True, id="any-name"),
    ],
)
def test_only_what_begins_otherwise_is_told_apart(*, expression, expected) -> None:
    index = RemoteReaders()
    index.link(reader(1), (Reading(STORE, expression, search=True),), ())

    assert expected is bool(among(index.searchers(STORE, ["a", "db-1"]), None))


EXPRESSIONS = st.lists(
    st.sampled_from(["^", "a", "b-", "?", "*", "+", "{0}", "|", ".", "(b)", "$"]), max_size=6
)


@given(EXPRESSIONS.map("".join), st.text("ab-", max_size=5))
def test_whoever_would_find_it_is_told(expression, name) -> None:
    try:
        found = Pattern(expression).matches(name)
    except SpecError:
        return
    index = RemoteReaders()
    index.link(reader(1), (Reading(STORE, expression, search=True),), ())

    assert {reader(1)} == among(index.searchers(STORE, [name]), None) or not found


def test_no_more_is_compared_than_nobody_notices() -> None:
    """Where there is more, all are told: no tenant's expressions displace those of others."""
    index, names = RemoteReaders(), ["db", "mail"]
    for number in range(MOST_COMPARED // 2):
        index.link(reader(number), (Reading(STORE, f"^x-{number}", search=True),), ())
    before = among(index.searchers(STORE, names), None)
    index.link(reader(-1), (Reading(STORE, "^y", search=True),), ())

    assert (0, MOST_COMPARED // 2 + 1) == (len(before), len(among(index.searchers(STORE, names), None)))


def test_readers_of_many_keys_are_found_from_the_smaller_side() -> None:
    index = RemoteReaders()
    for number in range(10):
        index.link(reader(number), (Reading(STORE, f"key-{number}"),), ())

    few, many = ["key-3", "other"], [f"key-{number}" for number in range(5, 1000)]
    assert {"key-3": {reader(3)}} == {key: set(found) for key, found in index.of_all(STORE, few)}
    assert {f"key-{number}": {reader(number)} for number in range(5, 10)} == (
        {key: set(found) for key, found in index.of_all(STORE, many)}
    )


def test_changes_never_make_an_expression_be_compiled(monkeypatch) -> None:
    monkeypatch.setattr(patterns, "_compiled", None)
    index = RemoteReaders()
    index.link(reader(1), (Reading(STORE, "^d.*(b)$", search=True),), ())

    assert {reader(1)} == among(index.searchers(STORE, ["db"]), None)


def test_unknown_stores_and_keys_have_nobody() -> None:
    index = RemoteReaders()

    assert ((), [], [], (), []) == (
        index.of(STORE, "db"),
        list(index.of_all(STORE, ["db"])),
        list(index.searchers(STORE, ["db"])),
        index.keys(STORE),
        list(index.all(STORE)),
    )
    assert STORE not in index


READINGS = st.lists(
    st.builds(Reading, st.sampled_from([STORE, SHARED]), st.sampled_from(["a", "b", ""]), st.booleans()),
    unique=True,
    max_size=4,
).map(tuple)


@given(st.lists(st.tuples(st.integers(0, 4), READINGS), max_size=30))
def test_index_holds_what_was_linked_last(steps) -> None:
    index, held = RemoteReaders(), {}
    for number, now in steps:
        index.link(reader(number), now, held.get(number, ()))
        held[number] = now

    for store in (STORE, SHARED):
        for key in ("a", "b", ""):
            expected = {reader(n) for n, now in held.items() if Reading(store, key) in now}
            assert expected == set(index.of(store, key))
        assert any(one.store == store for now in held.values() for one in now) is (store in index)
    for number, before in held.items():
        index.link(reader(number), (), before)
    assert 0 == len(index)


def test_change_costs_the_same_among_many_as_among_few() -> None:
    def cost(objects: int) -> float:
        index = RemoteReaders()
        for number in range(objects):
            index.link(reader(number), (Reading(SHARED, f"key-{number}"),), ())
        keys = [f"key-{random.randrange(objects)}" for _ in range(2000)]
        began = time.process_time()
        for key in keys:
            among([index.of(SHARED, key)], None)
            among(index.searchers(SHARED, [key]), None)
        return time.process_time() - began

    assert min(cost(20_000) for _ in range(3)) < 5 * min(cost(20) for _ in range(3)) + 0.01
