"""The text of /metrics: names and labels of the contract, from the books, at scrape time.

Nothing is kept per object but the numbers in its record; the Prometheus library writes the format and is
imported at the first scrape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from keyferry import metrics
from keyferry.api import conditions as c
from keyferry.api import names
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Lane

_STORE_METRICS: Final = {names.SECRET_STORE: "secretstore", names.CLUSTER_SECRET_STORE: "clustersecretstore"}


class EngineCollector:
    """Reads the engine at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Any]:
        """All metrics."""
        yield from self._external_secrets()
        yield from self._stores()
        yield from self._process()

    def _external_secrets(self) -> Iterator[Any]:
        labels = ("name", "namespace")
        calls = _metric("externalsecret_sync_calls_total", "Total number of the External Secret sync calls")
        errors = _metric("externalsecret_sync_calls_error", "Total number of the External Secret sync errors")
        took = _metric(
            "externalsecret_reconcile_duration", "The duration time to reconcile the External Secret, ns"
        )
        state = _metric(
            "externalsecret_status_condition", "The status condition of a specific External Secret"
        )
        for key, record in self._engine.books.external_secrets.items():
            of = dict(zip(labels, (key.name, key.namespace), strict=True))
            calls.add_sample(calls.name, of, record.sync_calls)
            errors.add_sample(errors.name, of, record.sync_errors)
            took.add_sample(took.name, of, record.duration_s * 1e9)
            for condition in record.read_status().conditions:
                self._condition(state, of, condition)
        yield from (calls, errors, took, state)

    def _stores(self) -> Iterator[Any]:
        for kind, prefix in _STORE_METRICS.items():
            took = _metric(f"{prefix}_reconcile_duration", f"The duration time to reconcile the {kind}, ns")
            state = _metric(f"{prefix}_status_condition", f"The status condition of a specific {kind}")
            for key, record in self._engine.books.stores.items():
                if key.kind != kind:
                    continue
                of = {"name": key.name, "namespace": key.namespace}
                took.add_sample(took.name, of, record.duration_s * 1e9)
                for condition in record.read_status().conditions:
                    self._condition(state, of, condition)
            yield from (took, state)

    @staticmethod
    def _condition(metric: Any, of: dict[str, str], condition: Any) -> None:
        other = c.FALSE if condition.status == c.TRUE else c.TRUE
        labels = {**of, "condition": condition.type}
        metric.add_sample(metric.name, {**labels, "status": condition.status}, 1)
        metric.add_sample(metric.name, {**labels, "status": other}, 0)

    def _process(self) -> Iterator[Any]:
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

    # Untyped: the contract's counters do not end in _total, which typed ones would have to.
    return Metric(name, text, "unknown")


def exposition(engine: Engine) -> str:
    """The text of /metrics."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(EngineCollector(engine))
    return generate_latest(registry).decode()
