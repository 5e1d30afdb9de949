"""What stores tell of changes: who reads a remote secret asks for it at once.

A notice makes an ExternalSecret look sooner, and decides nothing: the store is asked, under the identity that
always asks it. Policies count as ever: what is not refreshed for its interval's sake is not refreshed for this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.core.due import Due
from keyferry.core.sources import questions
from keyferry.core.summarize import parse_timestamp
from keyferry.core.windows import is_open, next_open
from keyferry.errors import KeyferryError, SpecError
from keyferry.ports import ObjectKey, WatchingProvider
from keyferry.reconcile.books import ExternalSecretRecord
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.remote_index import Reading, among
from keyferry.reconcile.stores import KeyGate, store_key, store_ref, use_store

if TYPE_CHECKING:
    from keyferry.reconcile.engine import Engine
    from keyferry.reconcile.work import Work

SOURCE_CHANGED: Final = "a remote secret changed"
CLOCK_TOLERANCE: Final = timedelta(seconds=60)
"""How far a store's clock and ours may differ."""
SEARCH_PAUSE_S: Final = 1.0
"""A search is not repeated sooner, however many remote secrets change."""
MISSED_SPREAD_S: Final = 60.0
"""Over so long those are spread who look because anything may have changed."""


def readings(
    spec: ExternalSecretSpec, namespace: str, known: Iterable[ObjectKey] = ()
) -> tuple[Reading, ...]:
    """All that an ExternalSecret of a namespace reads, each once; nothing where its spec cannot be used.

    Args:
        known: the keys of its stores, to be used in the place of equal ones: there are many readings.
    """
    found: dict[Reading, None] = {}
    stores = {key: key for key in known}
    try:
        asked = questions(spec)
    except SpecError:
        return ()
    for question in asked:
        if question.generator is not None:
            continue
        store = store_key(question.store, namespace)
        store = stores.setdefault(store, store)
        if question.remote is not None:
            found[Reading(store, question.remote.key)] = None
        elif question.find is not None:
            name = question.find.name
            found[Reading(store, name.regexp if name is not None else "", search=True)] = None
    return tuple(found)


@dataclass(slots=True)
class StoreNews:
    """`planner.watching.Readers`: the ExternalSecrets, woken by what a store tells.

    Args:
        engine: set before the first store is asked.
    """

    engine: Engine | None = None

    def in_use(self, store: ObjectKey) -> bool:
        """See `Readers.in_use`."""
        return self.engine is not None and store in self.engine.books.remote

    def keys(self, store: ObjectKey) -> Iterable[str]:
        """See `Readers.keys`."""
        return self.engine.books.remote.keys(store) if self.engine is not None else ()

    def changed(self, store: ObjectKey, namespace: str, key: str | None, at: datetime | None) -> None:
        """See `Readers.changed`."""
        engine = self.engine
        if engine is None or store not in engine.books.remote:
            return
        remote = engine.books.remote
        within: Collection[ObjectKey] | None = None
        if namespace:
            within = engine.books.by_namespace.get(namespace, set())
        if key is None:
            for reader in among(remote.all(store), within):
                _wake(engine, reader, engine.random.random() * MISSED_SPREAD_S)
            return
        readers = among([remote.of(store, key)], within)
        for reader in readers:
            if at is None or _is_older(engine.books.external_secrets.get(reader), at):
                _wake(engine, reader)
        for reader in among(remote.searchers(store, key), within) - readers:
            record = engine.books.external_secrets.get(reader)
            if at is None or _is_older(record, at):
                _wake(engine, reader, _pause_s(engine, record))


def _is_older(record: ExternalSecretRecord | None, at: datetime) -> bool:
    """Whether what an ExternalSecret has read may be from before a moment of the store's clock."""
    if record is None:
        return False
    if record.refreshed_at:
        return record.refreshed_at < (at + CLOCK_TOLERANCE).timestamp()
    refreshed = parse_timestamp(record.read_status().refresh_time)
    return refreshed is None or refreshed < at + CLOCK_TOLERANCE


def _pause_s(engine: Engine, record: ExternalSecretRecord | None) -> float:
    """How long a search has to wait because it was made a moment ago."""
    refreshed_at = record.refreshed_at if record is not None else 0.0
    since_s = engine.clock.now().timestamp() - refreshed_at
    return SEARCH_PAUSE_S - since_s if 0 <= since_s < SEARCH_PAUSE_S else 0.0


def _wake(engine: Engine, reader: ObjectKey, delay_s: float = 0.0) -> None:
    record = engine.books.external_secrets.get(reader)
    if record is None:
        return
    record.noticed = True
    if not delay_s:
        engine.queue.add(reader, Lane.EVENT)
        return
    at, due = engine.queue.now() + delay_s, engine.queue.due_at(reader)
    if due is None or at < due:
        engine.queue.schedule(reader, at, Lane.EVENT)


def heed(work: Work, due: Due, now: datetime) -> Due:
    """The same where a store has told of a change since the last look. Takes the notice, unless it has to wait.

    What never refreshes by time does not refresh for this either; what may not refresh now does when it may.
    """
    noticed, work.record.noticed = work.record.noticed, False
    if not noticed or due.now or due.next_at is None:
        return due
    if due.held or (work.windows is not None and not is_open(work.windows, now)):
        work.record.noticed = True
        opens = next_open(work.windows, now) if work.windows is not None else None
        return replace(due, next_at=min(due.next_at, opens) if opens is not None else due.next_at)
    return Due(now=True, why=SOURCE_CHANGED)


async def follow(engine: Engine, work: Work) -> None:
    """Have the stores of an ExternalSecret tell of changes that do: also where nothing is read of them now."""
    for store in {reading.store for reading in work.record.reads}:
        record = engine.books.stores.get(store)
        provider = engine.providers.get(record.view.provider) if record and record.view else None
        if not isinstance(provider, WatchingProvider):
            continue
        try:
            use = await use_store(engine, store_ref(store), work.key.namespace, KeyGate.check_any)
        except KeyferryError:
            continue  # the next refresh tells
        engine.planner.follow(use.binding)
