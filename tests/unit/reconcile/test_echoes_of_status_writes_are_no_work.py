from __future__ import annotations

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.books import Books

KEY = ObjectKey("ExternalSecret", "team-0", "orders-0")
STORE = ObjectKey("SecretStore", "team-0", "aws")


def store_body(**changes):
    body = {
        "metadata": {
            "name": "aws",
            "namespace": "team-0",
            "uid": "s1",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": {"provider": {"fake": {"data": [{"key": "a", "value": "b"}]}}},
    }
    body["metadata"] |= changes.pop("metadata", {})
    return body | changes


def test_new_object_is_work(external_secret) -> None:
    assert Books().note_external_secret(KEY, external_secret())


def test_same_version_again_is_no_work(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())

    assert not books.note_external_secret(KEY, external_secret())


def test_own_status_write_is_no_work_and_its_version_is_known(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())
    written = external_secret(metadata__resourceVersion="200000", status__refreshTime="2026-01-01T01:00:00Z")

    assert not books.note_external_secret(KEY, written)
    record = books.external_secrets[KEY]
    assert "200000" == record.resource_version
    assert "2026-01-01T01:00:00Z" == record.read_status().refresh_time


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"metadata__generation": 2, "spec__refreshInterval": "5m"}, id="spec"),
        pytest.param({"metadata__labels": {"team": "shop"}}, id="labels"),
        pytest.param({"metadata__labels": None}, id="labels removed"),
        pytest.param({"metadata__annotations": {"force-sync": "1"}}, id="annotations"),
        pytest.param({"metadata__deletionTimestamp": "2026-01-01T01:00:00Z"}, id="deletion"),
        pytest.param({"metadata__uid": "another"}, id="uid"),
    ],
)
def test_change_of_what_counts_is_work_once(external_secret, changes) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())
    changed = external_secret(metadata__resourceVersion="200000", **changes)

    assert books.note_external_secret(KEY, changed)
    assert not books.note_external_secret(KEY, changed)


def test_change_of_the_spec_is_kept(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())
    books.external_secrets[KEY].failures = 7

    books.note_external_secret(
        KEY,
        external_secret(
            metadata__resourceVersion="200000", metadata__generation=2, spec__refreshInterval="5m"
        ),
    )

    record = books.external_secrets[KEY]
    assert b'"refreshInterval":"5m"' in record.spec
    assert (2, 0) == (record.generation, record.failures)


def test_object_created_anew_under_the_same_name_inherits_nothing_of_the_old_one(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())
    old = books.external_secrets[KEY]
    old.refreshed_at, old.failures, old.settled, old.data_hash, old.unwritten = 1.0, 3, True, b"h", b"{}"

    books.note_external_secret(KEY, external_secret(metadata__uid="new", metadata__resourceVersion="200000"))

    new = books.external_secrets[KEY]
    assert ("new", 0.0, 0, False, b"", b"") == (
        new.uid,
        new.refreshed_at,
        new.failures,
        new.settled,
        new.data_hash,
        new.unwritten,
    )


def test_dependencies_of_the_old_object_can_still_be_let_go(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())
    secret = ObjectKey("Secret", "team-0", "orders-0")
    books.dependents.link(KEY, (secret,), ())
    books.external_secrets[KEY].depends_on = (secret,)
    books.note_external_secret(KEY, external_secret(metadata__uid="new", metadata__resourceVersion="200000"))

    books.forget_external_secret(KEY)

    assert 0 == len(books.dependents)


def test_forgotten_object_leaves_nothing(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())

    books.forget_external_secret(KEY)
    books.forget_external_secret(KEY)

    assert ({}, {}) == (books.external_secrets, books.by_namespace)


def test_unreadable_status_counts_as_empty(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret(status__conditions="nonsense"))

    assert () == tuple(books.external_secrets[KEY].read_status().conditions)


def test_status_that_waits_to_be_written_goes_before_the_one_seen(external_secret) -> None:
    books = Books()
    books.note_external_secret(KEY, external_secret())
    record = books.external_secrets[KEY]

    record.unwritten = b'{"refreshTime":"2026-02-02T00:00:00Z"}'

    assert "2026-02-02T00:00:00Z" == record.read_status().refresh_time


def test_store_is_news_only_when_its_spec_changes() -> None:
    books = Books()
    assert books.note_store(STORE, store_body())
    books.stores[STORE].ready = True

    assert not books.note_store(
        STORE, store_body(metadata={"resourceVersion": "2"}, status={"conditions": []})
    )
    assert books.stores[STORE].ready
    assert books.note_store(STORE, store_body(metadata={"resourceVersion": "3", "generation": 2}))
    assert books.stores[STORE].ready is None


def test_store_created_anew_is_news_though_its_generation_is_the_same() -> None:
    books = Books()
    books.note_store(STORE, store_body())
    books.stores[STORE].ready = True

    assert books.note_store(STORE, store_body(metadata={"uid": "s2", "resourceVersion": "9"}))
    assert books.stores[STORE].ready is None


def test_store_whose_spec_cannot_be_read_says_so() -> None:
    books = Books()
    books.note_store(STORE, store_body(spec={"provider": {}}))

    assert books.stores[STORE].view is None
    assert books.stores[STORE].problem
