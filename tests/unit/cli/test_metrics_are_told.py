"""The text of /metrics: as the Prometheus library would write it, in pieces, from the books as they are."""

from __future__ import annotations

import asyncio
import itertools
import time
from types import SimpleNamespace

import msgspec
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from keyferry.cli.exposition import OBJECTS_AT_ONCE, exposition
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import Books
from keyferry.reconcile.queue import WorkQueue

MANY = 10_000


@pytest.fixture
def books():
    return Books()


@pytest.fixture
def engine(books):
    """Of an engine what is shown."""
    return SimpleNamespace(
        books=books,
        queue=WorkQueue(8, time.monotonic),
        planner=SimpleNamespace(calls=(3, 2), sessions=1),
        api=SimpleNamespace(requests=5),
        access=SimpleNamespace(token_requests=1),
        events=SimpleNamespace(dropped=0),
    )


def note(books, name, *conditions, kind="ExternalSecret", namespace="team-a"):
    """Let the books know an object whose status has these conditions: pairs of type and status."""
    told = [{"type": type_, "status": status, "reason": "r", "message": "m"} for type_, status in conditions]
    metadata = {"name": name, "namespace": namespace, "uid": name, "generation": 1, "resourceVersion": "1"}
    body = {"metadata": metadata, "spec": {"provider": {"fake": {}}}, "status": {"conditions": told}}
    key = ObjectKey(kind, namespace, name)
    if kind == "ExternalSecret":
        books.note_external_secret(key, body)
        return books.external_secrets[key]
    books.note_store(key, body)
    return books.stores[key]


async def pieces(engine):
    return [piece async for piece in exposition(engine)]


async def samples(engine):
    """All samples of objects, by name and sorted labels."""
    families = text_string_to_metric_families(b"".join(await pieces(engine)).decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if "name" in sample.labels
    }


OF = (("name", "app"), ("namespace", "team-a"))


async def test_figures_of_an_object_are_those_of_its_record(engine, books) -> None:
    record = note(books, "app")
    record.sync_calls, record.sync_errors, record.duration_s = 7, 2, 0.25

    assert {
        ("externalsecret_sync_calls_total", *OF): 7,
        ("externalsecret_sync_calls_error", *OF): 2,
        ("externalsecret_reconcile_duration", *OF): 0.25e9,
    } == await samples(engine)


@pytest.mark.parametrize(
    ("kind", "namespace", "prefix"),
    [
        ("ExternalSecret", "team-a", "externalsecret"),
        ("SecretStore", "team-a", "secretstore"),
        ("ClusterSecretStore", "", "clustersecretstore"),
    ],
)
@pytest.mark.parametrize(("status", "other"), [("True", "False"), ("False", "True"), ("Unknown", "True")])
async def test_condition_is_one_for_its_status_and_zero_for_the_other(  # noqa: PLR0917
    engine, books, kind, namespace, prefix, status, other
) -> None:
    note(books, "app", ("Ready", status), kind=kind, namespace=namespace)

    found = await samples(engine)

    of = [("condition", "Ready"), ("name", "app"), ("namespace", namespace)]
    shown = {key: value for key, value in found.items() if "condition" in dict(key[1:])}
    assert {
        (f"{prefix}_status_condition", *of, ("status", status)): 1,
        (f"{prefix}_status_condition", *of, ("status", other)): 0,
    } == shown


async def test_status_that_waits_to_be_written_counts(engine, books) -> None:
    record = note(books, "app", ("Ready", "True"))
    record.unwritten = msgspec.json.encode({"conditions": [{"type": "Ready", "status": "False"}]})

    found = await samples(engine)

    assert 1 == found["externalsecret_status_condition", ("condition", "Ready"), *OF, ("status", "False")]


@pytest.mark.parametrize("status", [b"", b"{", b"[]", b'{"conditions":"none"}'])
async def test_status_that_cannot_be_read_shows_no_condition(engine, books, status) -> None:
    note(books, "app", ("Ready", "True")).status = status

    assert 3 == len(await samples(engine))


async def test_condition_that_somebody_else_has_written_cannot_break_the_text(engine, books) -> None:
    type_ = 'a"} 1\nb\\\ud800'
    record = note(books, "app")
    record.status = orjson.dumps({"conditions": [{"type": type_[:-1], "status": "True"}]})

    found = await samples(engine)

    of = ("externalsecret_status_condition", ("condition", type_[:-1]), *OF)
    assert 1 == found[*of, ("status", "True")]
    assert 5 == len(found)


async def test_many_objects_do_not_hold_the_loop(engine, books) -> None:
    """Others have their turn after each portion; a piece is as long as a portion's lines are."""
    for number in range(MANY):
        note(books, f"app-{number}", ("Ready", "True"))
    turns = 0

    async def take_turns():
        nonlocal turns
        for turns in itertools.count(1):  # noqa: B007 - it is looked at outside
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    try:
        told = await pieces(engine)
    finally:
        other.cancel()

    assert turns >= 4 * MANY // OBJECTS_AT_ONCE
    assert max(map(len, told)) < 300 * OBJECTS_AT_ONCE
    assert MANY == b"".join(told).count(b'status="True"} 1.0\n')


async def test_objects_may_come_and_go_while_the_text_is_made(engine, books) -> None:
    for number in range(3 * OBJECTS_AT_ONCE):
        note(books, f"app-{number}", ("Ready", "True"))
    text = exposition(engine)
    for _ in range(2):
        await anext(text)

    for key in list(books.external_secrets)[: OBJECTS_AT_ONCE + 1]:
        books.forget_external_secret(key)
    note(books, "new", ("Ready", "True"))
    rest = b"".join([piece async for piece in text])

    assert 2 * OBJECTS_AT_ONCE - 1 == rest.count(b'status="True"} 1.0\n')
