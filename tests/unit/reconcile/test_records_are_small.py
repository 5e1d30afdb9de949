from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable

import orjson

from keyferry.api import names
from keyferry.kube.watch import ObjectMeta
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import Books
from keyferry.reconcile.queue import Lane, WorkQueue
from keyferry.reconcile.remote_index import Reading
from keyferry.testing.looptime import virtual_time

LIMIT = 4096
OBJECTS = 2_500


def note(books: Books, queue: WorkQueue, body, number: int) -> None:
    """All that the engine keeps of an ExternalSecret in sync and of its Secret."""
    metadata = body["metadata"]
    key = ObjectKey("ExternalSecret", metadata["namespace"], metadata["name"])
    books.note_external_secret(key, body)
    record = books.external_secrets[key]
    target = ObjectKey("Secret", key.namespace, key.name)
    record.depends_on = (target, ObjectKey("ClusterSecretStore", "", f"aws-{number % 3}"))
    books.dependents.link(key, record.depends_on, ())
    record.reads = (Reading(record.depends_on[1], f"prod/shop/{key.name}"),)
    books.remote.link(key, record.reads, ())
    record.data_hash, record.settled, record.sync_calls = bytes([number % 256]) * 28, True, 1
    record.refreshed_at, record.spread, record.duration_s = 1.7e9 + number, number / OBJECTS, number / 1e6
    queue.add(key, Lane.PERIODIC)
    queue.schedule(key, 2000.0 + number / 7)
    secret = ObjectMeta(
        metadata["name"],
        metadata["namespace"],
        f"{number:08x}-0000-4000-8000-00000000000f",
        str(300_000 + number),
        labels={
            names.LABEL_MANAGED: names.LABEL_MANAGED_VALUE,
            names.LABEL_CREATED_BY: f"{number:056x}",
        },
        annotations={names.ANNOTATION_DATA_HASH: f"{number:056x}"},
    )
    books.note_secret(secret, auth=False)
    books.secrets[key.namespace, key.name].intact_version = str(300_000 + number)


@virtual_time
async def test_object_in_sync_costs_at_most_4_kib(external_secret: Callable) -> None:
    """Record, queue entry and schedule, indexes, and the record of its Secret."""
    bodies = [json.dumps(external_secret(number)) for number in range(OBJECTS)]
    assert 2600 <= len(bodies[0]) <= 3000
    books, queue = Books(), WorkQueue(most_out=256)
    gc.collect()
    tracemalloc.start()
    try:
        for number, body in enumerate(bodies):
            note(books, queue, orjson.loads(body), number)
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / OBJECTS
    finally:
        tracemalloc.stop()

    assert (OBJECTS, OBJECTS) == (len(books.external_secrets), len(queue))
    assert each <= LIMIT, each


def test_record_keeps_no_part_of_the_body_alive(external_secret: Callable) -> None:
    """A record that held on to one dictionary of the body would hold all of it."""
    books = Books()
    body = external_secret()
    books.note_external_secret(ObjectKey("ExternalSecret", "team-0", "orders-0"), body)

    dictionaries = [part for part in (body, *body.values(), *body["metadata"].values()) if type(part) is dict]
    record = books.external_secrets[ObjectKey("ExternalSecret", "team-0", "orders-0")]
    held = [one for one in gc.get_referents(record) if any(one is part for part in dictionaries)]
    assert [] == held
    assert {bytes} == {type(record.spec), type(record.status), type(record.metadata)}
