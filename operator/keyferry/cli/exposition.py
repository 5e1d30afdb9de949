"""The text of /metrics: names and labels of the contract, from the books, at scrape time.

Nothing is kept per object but the numbers in its record, and no scrape holds the event loop: what grows
with the objects is written here, line by line and piece by piece, for the Prometheus library would need
many times as long. The rest is the library's, which is imported at the first scrape.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from keyferry import metrics
from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.ports import ObjectKey
from keyferry.reconcile.books import ClusterExternalSecretRecord, ExternalSecretRecord, StoreRecord
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Lane

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
OBJECTS_AT_ONCE: Final = 250
"""So many objects are written before others have their turn: about a millisecond's work."""
_STORE_METRICS: Final = {names.SECRET_STORE: "secretstore", names.CLUSTER_SECRET_STORE: "clustersecretstore"}


Record = ExternalSecretRecord | StoreRecord | ClusterExternalSecretRecord
R = TypeVar("R", ExternalSecretRecord, StoreRecord, ClusterExternalSecretRecord)


class _Told(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct):
    """Of a status only what is shown; the rest is skipped without being built."""

    conditions: list[_Told] = []


_STATUS: Final = msgspec.json.Decoder(_Status)


async def exposition(engine: Engine) -> AsyncGenerator[bytes, None]:
    """The text of /metrics, in pieces between which others have their turn."""
    books = engine.books
    async for piece in _external_secrets(books.external_secrets):
        yield piece
    for kind, prefix in _STORE_METRICS.items():
        async for piece in _others(books.stores, kind, prefix):
            yield piece
    kind = names.CLUSTER_EXTERNAL_SECRET
    async for piece in _others(books.cluster_external_secrets, kind, kind.lower()):
        yield piece
    yield _process(engine)


async def _external_secrets(records: Mapping[ObjectKey, ExternalSecretRecord]) -> AsyncIterator[bytes]:
    prefix = "externalsecret"
    keys = list(records)
    figures: tuple[tuple[str, str, Callable[[ExternalSecretRecord], float]], ...] = (
        ("sync_calls_total", "Total number of the External Secret sync calls", lambda r: r.sync_calls),
        ("sync_calls_error", "Total number of the External Secret sync errors", lambda r: r.sync_errors),
        (
            "reconcile_duration",
            "The duration time to reconcile the External Secret, ns",
            lambda r: r.duration_s * 1e9,
        ),
    )
    for suffix, text, figure in figures:
        async for piece in _figures(f"{prefix}_{suffix}", text, keys, records, figure):
            yield piece
    text = "The status condition of a specific External Secret"
    async for piece in _conditions(f"{prefix}_status_condition", text, keys, records):
        yield piece


async def _others(records: Mapping[ObjectKey, R], kind: str, prefix: str) -> AsyncIterator[bytes]:
    """What all kinds but ExternalSecret have."""
    keys = [key for key in records if key.kind == kind]
    text = f"The duration time to reconcile the {kind}, ns"
    async for piece in _figures(
        f"{prefix}_reconcile_duration", text, keys, records, lambda record: record.duration_s * 1e9
    ):
        yield piece
    text = f"The status condition of a specific {kind}"
    async for piece in _conditions(f"{prefix}_status_condition", text, keys, records):
        yield piece


async def _figures(
    name: str,
    text: str,
    keys: list[ObjectKey],
    records: Mapping[ObjectKey, R],
    figure: Callable[[R], float],
) -> AsyncIterator[bytes]:
    """One sample for each object."""
    yield _head(name, text)
    for some in _portions(keys):
        lines = [
            f'{name}{{name="{key.name}",namespace="{key.namespace}"}} {float(figure(record))!r}\n'
            for key in some
            if (record := records.get(key)) is not None
        ]
        yield "".join(lines).encode()
        await asyncio.sleep(0)


async def _conditions(
    name: str,
    text: str,
    keys: list[ObjectKey],
    records: Mapping[ObjectKey, R],
) -> AsyncIterator[bytes]:
    """For each object's conditions: 1 for the status that it has, 0 for the other."""
    yield _head(name, text)
    for some in _portions(keys):
        lines = []
        for key in some:
            if (record := records.get(key)) is None:
                continue
            for told in _read(record):
                type_, status = _escaped(told.type), _escaped(told.status)
                other = c.FALSE if status == c.TRUE else c.TRUE
                of = f'{name}{{condition="{type_}",name="{key.name}",namespace="{key.namespace}",status='
                lines.append(f'{of}"{status}"}} 1.0\n{of}"{other}"}} 0.0\n')
        yield "".join(lines).encode(errors="replace")
        await asyncio.sleep(0)


def _read(record: Record) -> list[_Told]:
    """The conditions of a record's status; none where it cannot be read."""
    unwritten = record.unwritten if isinstance(record, ExternalSecretRecord) else b""
    try:
        return _STATUS.decode(unwritten or record.status).conditions
    except msgspec.DecodeError:
        return []


def _portions(keys: list[ObjectKey]) -> Iterator[list[ObjectKey]]:
    for start in range(0, len(keys), OBJECTS_AT_ONCE):
        yield keys[start : start + OBJECTS_AT_ONCE]


def _head(name: str, text: str) -> bytes:
    # Untyped: the contract's counters do not end in _total, which typed ones would have to.
    return f"# HELP {name} {text}\n# TYPE {name} untyped\n".encode()


def _escaped(value: str) -> str:
    """A label's value that may hold anything: whoever may write a status chose it. Names cannot."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _process(engine: Engine) -> bytes:
    """What does not grow with the objects."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Own(engine))
    return generate_latest(registry)


class _Own:
    """A collector of the Prometheus library."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Any]:
        """All metrics of the process that are ours."""
        engine = self._engine
        provider = _metric(
            "externalsecret_provider_api_calls_count", "Number of API calls towards the secret provider"
        )
        for (name, call, status), count in sorted(metrics.provider_calls.items()):
            provider.add_sample(provider.name, {"provider": name, "call": call, "status": status}, count)
        depth = _metric("keyferry_queue_depth", "Keys that wait, by lane")
        for lane in Lane:
            depth.add_sample(depth.name, {"lane": lane.name.lower()}, engine.queue.depth(lane))
        yield from (provider, depth)
        calls, saved = engine.planner.calls
        plain = {
            "keyferry_queue_out": ("Keys being worked on", engine.queue.out),
            "keyferry_queue_oldest_wait_seconds": (
                "For how long the queue's head waits",
                engine.queue.oldest_wait_s(),
            ),
            "keyferry_store_sessions": ("Store identities in use", engine.planner.sessions),
            "keyferry_store_calls": ("Calls of the sessions in use", calls),
            "keyferry_store_calls_saved": ("Reads answered without a call of their own", saved),
            "keyferry_kube_requests": (
                "Requests sent to the API server, watches excluded",
                engine.api.requests,
            ),
            "keyferry_token_requests": (
                "ServiceAccount tokens asked for, to log in to stores",
                engine.access.token_requests,
            ),
            "keyferry_events_dropped": (
                "Kubernetes events not sent because there were too many",
                engine.events.dropped,
            ),
        }
        for name, (text, value) in plain.items():
            metric = _metric(name, text)
            metric.add_sample(name, {}, value)
            yield metric


def _metric(name: str, text: str) -> Any:
    from prometheus_client import Metric

    return Metric(name, text, "unknown")
