from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.api import names
from keyferry.kube.watch import ObjectMeta
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import Books, Dependents


def key(name: str) -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-a", name)


STORE = ObjectKey("ClusterSecretStore", "", "aws")
OTHER = ObjectKey("SecretStore", "team-a", "vault")


def test_one_dependent() -> None:
    dependents = Dependents()

    dependents.link(key("a"), (STORE,), ())

    assert (key("a"),) == dependents.of(STORE)
    assert STORE in dependents
    assert () == dependents.of(OTHER)


def test_many_dependents_and_back_to_one_and_none() -> None:
    dependents = Dependents()
    for name in "abc":
        dependents.link(key(name), (STORE,), ())

    assert {key("a"), key("b"), key("c")} == set(dependents.of(STORE))
    dependents.link(key("b"), (), (STORE,))
    assert {key("a"), key("c")} == set(dependents.of(STORE))
    dependents.link(key("a"), (), (STORE,))
    assert (key("c"),) == dependents.of(STORE)
    dependents.link(key("c"), (), (STORE,))
    assert STORE not in dependents
    assert 0 == len(dependents)


def test_change_of_needs_moves_the_dependent() -> None:
    dependents = Dependents()
    dependents.link(key("a"), (STORE, key("target")), ())

    dependents.link(key("a"), (OTHER, key("target")), (STORE, key("target")))

    assert ((), (key("a"),), (key("a"),)) == tuple(map(dependents.of, (STORE, OTHER, key("target"))))


def test_letting_go_twice_takes_nobody_else_along() -> None:
    dependents = Dependents()
    dependents.link(key("a"), (STORE,), ())
    dependents.link(key("b"), (STORE,), ())

    dependents.link(key("a"), (), (STORE,))
    dependents.link(key("a"), (), (STORE,))

    assert (key("b"),) == dependents.of(STORE)


needs = st.lists(st.sampled_from([STORE, OTHER, key("t1"), key("t2")]), max_size=4, unique=True).map(tuple)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.sampled_from("abcd"), needs), max_size=30))
def test_index_agrees_with_a_search_through_all(steps) -> None:
    dependents = Dependents()
    of: dict[str, tuple[ObjectKey, ...]] = {}
    for name, wanted in steps:
        dependents.link(key(name), wanted, of.get(name, ()))
        of[name] = wanted

    for need in (STORE, OTHER, key("t1"), key("t2")):
        expected = sorted(key(name) for name, wanted in of.items() if need in wanted)
        assert expected == sorted(dependents.of(need))
        assert bool(expected) == (need in dependents)


def secret(version: str, *, uid: str = "u", managed: bool = True, created_by: str = "c1") -> ObjectMeta:
    labels = {names.LABEL_CREATED_BY: created_by} if created_by else {}
    if managed:
        labels[names.LABEL_MANAGED] = names.LABEL_MANAGED_VALUE
    return ObjectMeta(
        "db", "team-a", uid, version, labels=labels, annotations={names.ANNOTATION_DATA_HASH: "h"}
    )


PLACE = ("team-a", "db")


def test_secret_of_nobody_is_not_kept() -> None:
    books = Books()

    assert not books.note_secret(secret("1", managed=False), auth=False)
    assert {} == books.secrets


def test_secret_that_somebody_depends_on_is_kept() -> None:
    books = Books()
    books.dependents.link(key("a"), (ObjectKey("Secret", *PLACE),), ())

    assert books.note_secret(secret("1", managed=False, created_by=""), auth=False)
    assert "1" == books.secrets[PLACE].resource_version


def test_version_known_to_be_intact_is_no_news() -> None:
    books = Books()
    books.note_secret(secret("1"), auth=False)
    books.secrets[PLACE].intact_version = "2"

    assert not books.note_secret(secret("2"), auth=False)
    assert books.note_secret(secret("3"), auth=False)


def test_secret_created_anew_is_not_intact_though_its_version_was() -> None:
    books = Books()
    books.note_secret(secret("1"), auth=False)
    books.secrets[PLACE].intact_version = "2"

    assert books.note_secret(secret("2", uid="another"), auth=False)


def test_secret_no_longer_managed_is_dropped_with_its_index() -> None:
    books = Books()
    books.note_secret(secret("1"), auth=False)

    books.note_secret(secret("2", managed=False), auth=False)

    assert ({}, 0) == (books.secrets, len(books.owned))


def test_index_of_owners_follows_the_label() -> None:
    books = Books()
    books.note_secret(secret("1", created_by="c1"), auth=False)
    books.note_secret(secret("2", created_by="c2"), auth=False)
    assert [(("team-a", "c2"), ("db",))] == list(books.owned.items())

    assert books.forget_secret(PLACE)
    assert not books.forget_secret(PLACE)

    assert 0 == len(books.owned)
