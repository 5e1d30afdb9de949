"""What stores tell of changes: who reads a remote secret asks for it at once.

A notice makes an ExternalSecret look sooner, and decides nothing: the store is asked, under the identity that
always asks it. Policies count as ever: what is not refreshed for its interval's sake is not refreshed for this.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.core.due import Due
from keyferry.core.sources import questions
from keyferry.core.summarize import parse_timestamp
from keyferry.core.windows import is_open, next_open
from keyferry.errors import SpecError
from keyferry.planner.planner import Binding
from keyferry.ports import ObjectKey, Provider
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
SEARCHES_PER_S: Final = 20
"""About so many searches of a store are made in a second because something changed there."""
MISSED_SPREAD_S: Final = 60.0
"""Over so long those are spread who look because anything may have changed."""


def telling(engine: Engine, stores: Iterable[ObjectKey]) -> list[ObjectKey]:
    """Those stores that may tell of changes; also those of which nothing is known yet."""
    found = []
    for store in stores:
        record = engine.books.stores.get(store)
        view = record.view if record is not None else None
        if record is None or (view is not None and tells(engine.providers.get(view.provider))):
            found.append(store)
    return found


def tells(provider: Provider | None) -> bool:
    """Whether it is a `ports.WatchingProvider`: by the one name that tells, for every look asks."""
    return bool(getattr(provider, "watches", False))


def readings(spec: ExternalSecretSpec, namespace: str, stores: Iterable[ObjectKey]) -> tuple[Reading, ...]:
    """All that an ExternalSecret of a namespace reads of these stores, each once; nothing of an unusable spec.

    Args:
        stores: their keys are used in the place of equal ones: there are many readings.
    """
    found: dict[Reading, None] = {}
    known = {store: store for store in stores}
    if not known:
        return ()
    try:
        asked = questions(spec)
    except SpecError:
        return ()
    for question in asked:
        store = known.get(store_key(question.store, namespace)) if question.generator is None else None
        if store is None:
            continue
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

    def changed(self, store: ObjectKey, namespace: str, changes: Mapping[str, datetime | None] | None) -> int:
        """See `Readers.changed`."""
        engine = self.engine
        if engine is None or store not in engine.books.remote:
            return 0
        within: Collection[ObjectKey] | None = None
        if namespace:
            within = engine.books.by_namespace.get(namespace, set())
        if changes is None:
            everybody = among(engine.books.remote.all(store), within)
            for reader in everybody:
                _wake(engine, reader, _place(reader) * MISSED_SPREAD_S)
            return len(everybody)
        looked_at = 0
        for key, readers in engine.books.remote.of_all(store, changes):
            for reader in among([readers], within):
                looked_at += 1
                if _is_older(engine, reader, changes[key]):
                    _wake(engine, reader, _pause_s(engine, reader))
        return looked_at + _wake_searchers(engine, store, within, changes)


def _wake_searchers(
    engine: Engine,
    store: ObjectKey,
    within: Collection[ObjectKey] | None,
    changes: Mapping[str, datetime | None],
) -> int:
    """Have those look who search for what may be among the changes; how many these are."""
    searchers = among(engine.books.remote.searchers(store, changes), within)
    times = [at for at in changes.values() if at is not None]
    at = max(times) if len(times) == len(changes) else None
    spread = max(0.0, len(searchers) / SEARCHES_PER_S - 1)
    for reader in searchers:
        if _is_older(engine, reader, at):
            delay_s = max(_pause_s(engine, reader), _search_pause_s(engine, reader))
            _wake(engine, reader, delay_s + spread * _place(reader))
    return len(searchers)


def _is_older(engine: Engine, reader: ObjectKey, at: datetime | None) -> bool:
    """Whether what an ExternalSecret has read may be from before a moment of the store's clock; None for now."""
    record = engine.books.external_secrets.get(reader)
    if record is None or at is None:
        return record is not None
    if record.refreshed_at:
        return record.refreshed_at < (at + CLOCK_TOLERANCE).timestamp()
    refreshed = parse_timestamp(record.read_status().refresh_time)
    return refreshed is None or refreshed < at + CLOCK_TOLERANCE


def _place(reader: ObjectKey) -> float:
    """Where in a span of time from 0 to 1 it has its turn: always the same, or the next notice might draw an earlier."""
    return (hash(reader) % 1024 + 1) / 1024


def _pause_s(engine: Engine, reader: ObjectKey) -> float:
    """How long a look has to wait because the last ones found nothing new."""
    return engine.vain.wait_s(reader, engine.queue.now())


def _search_pause_s(engine: Engine, reader: ObjectKey) -> float:
    """How long a search has to wait because it was made a moment ago."""
    record = engine.books.external_secrets.get(reader)
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


def follow(engine: Engine, work: Work) -> None:
    """Have the stores of an ExternalSecret tell of changes that do, also where nothing is read of them now.

    Asks nobody and waits for nothing: what has to be asked first is asked in the background.
    """
    for store in {reading.store for reading in work.record.reads}:
        record = engine.books.stores.get(store)
        if record is None or record.view is None or not tells(engine.providers.get(record.view.provider)):
            continue
        bind = functools.partial(_bind, engine, store, work.key.namespace)
        engine.planner.follow_later(record.view, work.key.namespace, bind)


async def _bind(engine: Engine, store: ObjectKey, namespace: str) -> Binding:
    return (await use_store(engine, store_ref(store), namespace, KeyGate.check_any)).binding
