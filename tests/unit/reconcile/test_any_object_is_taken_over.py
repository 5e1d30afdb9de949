"""Whatever the API server accepts, the books take it over: an object that they refuse would be one that nobody sees."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.manifests import anything, objects, specs, statuses

from keyferry.api import names
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import Books

KINDS = (
    names.EXTERNAL_SECRET,
    names.SECRET_STORE,
    names.CLUSTER_SECRET_STORE,
    names.CLUSTER_EXTERNAL_SECRET,
)


def taken_over(books: Books, key: ObjectKey, body: object) -> None:
    """As it comes from a watch: parsed by Python's own parser, which knows integers of any size."""
    parsed = json.loads(json.dumps(body))
    if key.kind == names.EXTERNAL_SECRET:
        books.note_external_secret(key, parsed)
        books.external_secrets[key].read_status()
        assert books.external_secrets[key].current()
    elif key.kind == names.CLUSTER_EXTERNAL_SECRET:
        record = books.note_cluster_external_secret(key, parsed)
        record.read_status()
        assert (record.spec is None) == bool(record.problem)
    else:
        books.note_store(key, parsed)
        books.stores[key].read_status()
        assert (books.stores[key].view is None) == bool(books.stores[key].problem)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_accepted_object_is_taken_over(kind: str, data: st.DataObject) -> None:
    books, key = Books(), ObjectKey(kind, "team", "x")
    body = data.draw(objects(kind, "x"))
    for generation in (1, 2):
        metadata = {"uid": "u", "generation": generation, "resourceVersion": str(generation)}
        spec = data.draw(specs(kind, nulls=True) | anything().filter(lambda one: isinstance(one, dict)))
        body = body | {
            "metadata": body["metadata"] | metadata,
            "spec": spec,
            "status": data.draw(statuses(kind)),
        }

        taken_over(books, key, body)


def test_number_beyond_all_integers_is_taken_over() -> None:
    """The API server keeps it as a float and writes it as an integer."""
    books, key = Books(), ObjectKey(names.SECRET_STORE, "team", "x")
    spec = {"provider": {"chef": {"port": 10**20}}}
    books.note_store(key, {"metadata": {"uid": "u"}, "spec": spec})

    assert books.stores[key].view is not None
