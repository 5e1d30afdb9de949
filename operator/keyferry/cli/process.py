"""The operator's process: wiring, start in the right order, end in the right order.

Start: books of stores and Secrets first, so that nothing is judged by what is merely not known yet; then
kopf's watches. End: hand out nothing more, finish what is under way, say what happened, then close.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from keyferry import __version__, logs
from keyferry.aio import TaskBag, keep_turns_short, unless, within
from keyferry.api import names
from keyferry.cli.hardening import harden
from keyferry.cli.probes import QUEUE_WAIT_S, WATCH_SILENCE_S, Endpoints, Health, Pieces, told
from keyferry.clock import SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.core.origins import TrustedVaults
from keyferry.errors import KeyferryError, KubeError, KubeUnavailable
from keyferry.generators.registry import build_generators as build_local_generators
from keyferry.gotemplate import Limits
from keyferry.gotemplate.budget import CRYPTO_UNITS_PER_S
from keyferry.kube.access import KubeAccess
from keyferry.kube.client import KubeApi
from keyferry.kube.config import ClusterConfig, load_config
from keyferry.kube.events import EventRecorder
from keyferry.kube.listing import list_objects, served_plurals
from keyferry.kube.pace import Pace
from keyferry.kube.remote import RemoteClusters
from keyferry.kube.status import PLURALS, STORE_POLICIES
from keyferry.kube.watch import SILENCE_S, Change, MetadataWatch, Watched
from keyferry.planner.planner import UNWATCHED_AGE_S, Planner
from keyferry.ports import AmbientIdentity, ObjectKey
from keyferry.providers.registry import ProviderSettings, build_generators, build_providers
from keyferry.reconcile.books import Books
from keyferry.reconcile.cluster_external_secret import reconcile_cluster_external_secret
from keyferry.reconcile.engine import Engine, Settings
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.generator_state import observe_state, reconcile_generator_state
from keyferry.reconcile.namespace import NAMESPACE, reconcile_namespace
from keyferry.reconcile.observe import Observer, look_again
from keyferry.reconcile.queue import Lane, WorkQueue
from keyferry.reconcile.remote import StoreNews
from keyferry.reconcile.rendering import Rendering, RenderSettings
from keyferry.reconcile.resync import INTERVAL_S, Resync, collection_path
from keyferry.reconcile.runner import AHEAD, Runner
from keyferry.reconcile.secret_store import outage_began, outage_ended, reconcile_store, store_kinds
from keyferry.reconcile.store_policy import (
    observe_policy,
    policies_failed,
    policies_listed,
    policies_unserved,
    reconcile_store_policy,
    stores_listed,
)

if TYPE_CHECKING:
    # kopf takes a while to import: not before it is needed.
    from keyferry.handlers.operator import Watches

log = logging.getLogger("keyferry")

STORES_FIRST_S: Final = 10.0
"""ExternalSecrets wait so long at the start for their stores' first validation."""
STATES_FIRST_S: Final = 10.0
"""And so long for what generators made before, and for StorePolicies: without the right to read them, everything
else must go on."""
DRAIN_S: Final = 20.0
FLUSH_S: Final = 3.0
_RETRY_START_S: Final = 2.0
_LOOKED_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The flags of `keyferry run`, by their names. Durations in seconds."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = ""
    controller_class: str = "default"
    concurrent: int = 32
    client_qps: float | None = None
    client_burst: int | None = None
    metrics_addr: tuple[str, int] | None = None
    live_addr: tuple[str, int] | None = None
    loglevel: str = "info"
    log_format: str = "text"
    zap_time_encoding: str = "iso8601"
    store_requeue_interval: float = 300.0
    refresh_status_interval: float = 300.0
    ambient_identity: str = "all"
    allow_address: tuple[str, ...] = ()
    trusted_vaults: TrustedVaults = field(default_factory=TrustedVaults)
    enable_flood_gate: bool = True
    enable_secret_store_reconciler: bool = True
    enable_cluster_store_reconciler: bool = True
    unsafe_allow_generic_targets: bool = False
    enable_cluster_external_secret_reconciler: bool = True
    enable_generator_state: bool = True
    generator_gc_grace_period: float = 120.0
    template_left_delimiter: str = "{{"
    template_right_delimiter: str = "}}"
    template_steps: int = 100_000
    template_memory: int = 64
    template_timeout: float = 5.0
    resync_interval: float = INTERVAL_S
    watch_silence: float = SILENCE_S
    live_watch_silence: float = WATCH_SILENCE_S
    live_queue_wait: float = QUEUE_WAIT_S
    ignored: dict[str, str] = field(default_factory=dict)


def run_process(options: RunOptions) -> int:
    """Run until SIGTERM or SIGINT; the process's exit code."""
    # The first process of a container ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    harden()
    logs.configure(options.loglevel.lower(), options.log_format, options.zap_time_encoding)
    for name, reason in sorted(options.ignored.items()):
        log.info("flag --%s has no effect: %s", name, reason)
    try:
        config = load_config(options.kubeconfig, options.context)
    except KeyferryError as error:
        print(f"keyferry run: {error}", file=sys.stderr)
        return 2
    # Most of what start-up allocates lives for ever: collect rarely, and never look at it again.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
    keep_turns_short()
    import uvloop

    return uvloop.run(Process(options, config).run())


def _render_settings(options: RunOptions) -> RenderSettings:
    limits = Limits(
        steps=options.template_steps,
        memory_bytes=options.template_memory << 20,
        seconds=options.template_timeout,
        crypto_units=int(options.template_timeout * CRYPTO_UNITS_PER_S),
    )
    return RenderSettings(options.template_left_delimiter, options.template_right_delimiter, limits)


class Process:
    """One run of the operator."""

    def __init__(self, options: RunOptions, config: ClusterConfig) -> None:
        self._options = options
        self._config = config
        # A kind that is switched off is not even looked at: RBAC may not allow it.
        off = {names.CLUSTER_EXTERNAL_SECRET}  # which is watched apart, as soon as it is served
        if not options.enable_cluster_store_reconciler:
            off.add(names.CLUSTER_SECRET_STORE)
        self._plurals = {kind: plural for kind, plural in PLURALS.items() if kind not in off}
        self._stop = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._tasks = TaskBag()
        self._endpoints = Endpoints()

    async def run(self) -> int:
        """Start, run, end."""
        engine = self.engine = self._wire()
        self._observer = Observer(engine)
        self._health = Health(
            engine.queue.now,
            engine.queue.oldest_wait_s,
            pending={"stores", "secrets", *self._plurals.values()},
            watch_silence_s=self._options.live_watch_silence,
            queue_wait_s=self._options.live_queue_wait,
        )
        self._runner = Runner(
            engine,
            {
                names.EXTERNAL_SECRET: reconcile_external_secret,
                names.CLUSTER_EXTERNAL_SECRET: reconcile_cluster_external_secret,
                NAMESPACE: reconcile_namespace,
                names.GENERATOR_STATE: reconcile_generator_state,
                names.STORE_POLICY: reconcile_store_policy,
            }
            | dict.fromkeys(store_kinds(), reconcile_store),
        )
        self._resync = Resync(engine, self._observer, list(self._plurals), self._options.resync_interval)
        self._take_signals()
        log.info("Keyferry %s, API server %s", __version__, self._config.server)
        try:
            await self._serve()
            await unless(self._stop, self._start())
            if not self._stop.is_set():
                await self._watches().run(self._stop)
        finally:
            await self._end()
        return 0

    def _wire(self) -> Engine:
        options = self._options
        pace = Pace(options.concurrent, options.client_qps or 0.0, options.client_burst or 0)
        api = KubeApi(self._config, pace)
        queue = WorkQueue(options.concurrent * AHEAD)
        books = Books()
        access = KubeAccess(api)
        addresses = AddressPolicy(options.allow_address)
        provider_settings = ProviderSettings(
            AmbientIdentity(options.ambient_identity), addresses, options.trusted_vaults
        )
        providers = build_providers(provider_settings, RemoteClusters(self._config, addresses))
        news = StoreNews()
        engine = Engine(
            settings=Settings(
                controller_class=options.controller_class,
                namespace=options.namespace,
                store_requeue_interval_s=options.store_requeue_interval or 300.0,
                flood_gate=options.enable_flood_gate,
                secret_stores=options.enable_secret_store_reconciler,
                cluster_stores=options.enable_cluster_store_reconciler,
                # Whoever serves one namespace writes into no other.
                cluster_external_secrets=(
                    options.enable_cluster_external_secret_reconciler and not options.namespace
                ),
                refresh_status_every=timedelta(seconds=options.refresh_status_interval),
                addresses=addresses,
                generic_targets=options.unsafe_allow_generic_targets,
                generator_state=options.enable_generator_state,
                generator_grace_s=options.generator_gc_grace_period,
            ),
            clock=SystemClock(),
            api=api,
            access=access,
            books=books,
            queue=queue,
            planner=Planner(
                providers,
                access,
                recovered=lambda store: outage_ended(self.engine, store),
                troubled=lambda store: outage_began(self.engine, store),
                watched=self._is_watched,
                # Who has stores checked more often wants to know sooner.
                unwatched_age_s=min(UNWATCHED_AGE_S, 0.5 * (options.store_requeue_interval or math.inf)),
                readers=news,
            ),
            # Events wait for a calm moment: nobody waits for them.
            events=EventRecorder(
                api, lambda: queue.out <= options.concurrent // 8 and not queue.depth(Lane.USER)
            ),
            providers=providers,
            generators={**build_local_generators(), **build_generators(provider_settings, providers)},
            rendering=Rendering(_render_settings(options)),
        )
        news.engine = engine
        return engine

    async def _serve(self) -> None:
        from keyferry.cli.exposition import CONTENT_TYPE, exposition

        health = self._health
        await self._endpoints.serve(
            self._options.live_addr,
            {
                "/healthz": lambda: told(health.problems()),
                "/readyz": lambda: told(health.waiting_for()),
            },
        )
        text = Pieces(lambda: exposition(self.engine), CONTENT_TYPE)
        await self._endpoints.serve(self._options.metrics_addr, {"/metrics": text})

    # -- start

    async def _start(self) -> None:
        """Workers, watches of metadata, stores: all before kopf, and ExternalSecrets only after them."""
        self.engine.queue.restrict(Lane.STORE)
        self._runner.start()
        self._spawn(self.engine.events.run(), "events")
        books = self.engine.books
        secrets = self._watch_metadata(
            "secrets",
            self._observer.secret,
            lambda: self._used("Secret").union(books.known_secrets(), self.engine.sources.places("Secret")),
        )
        self._watch_metadata(
            "serviceaccounts", self._observer.service_account, lambda: self._used("ServiceAccount")
        )
        if not self._options.namespace:
            namespaces = self._watch_metadata(
                "namespaces", self._observer.namespace, lambda: [("", name) for name in books.namespaces]
            )
            self._spawn(self._tell_complete(NAMESPACE, namespaces), "know namespaces")
        if self.engine.settings.cluster_external_secrets:
            self._spawn(self._watch_cluster_external_secrets(), "watch cluster external secrets")
        if self.engine.settings.cluster_stores:
            self._spawn(self._watch_store_policies(), "watch store policies")
        states = None
        if self._options.enable_generator_state:
            states = asyncio.Event()
            self._spawn(self._watch_generator_states(states), "watch generator states")
        await self._patiently(self._list_stores)
        stores_listed(self.engine)
        self._spawn(self._open_gate(secrets, states), "open gate")
        self._spawn(self._resync.run(), "resync")

    def _is_watched(self, need: ObjectKey) -> bool:
        """Whether one of the watches of metadata tells of this object."""
        namespace = self._options.namespace
        return need.kind in {"Secret", "ServiceAccount"} and namespace in {"", need.namespace}

    def _used(self, kind: str) -> set[tuple[str, str]]:
        """Where the watched objects of a kind are that stores' identities were made from."""
        return {(n.namespace, n.name) for n in self.engine.planner.needs(kind) if self._is_watched(n)}

    def _spawn(self, work: Any, name: str) -> None:
        self._tasks.spawn(work, name=name)

    async def _watch_generator_states(self, known: asyncio.Event) -> None:
        """Watch what generators made elsewhere, as soon as the definitions of the kinds are there.

        Args:
            known: set when all that there are have been told, or there can be none.
        """
        await self._until_served(names.GENERATORS_API_VERSION, {"generatorstates"}, missing=known.set)
        watch = self._watch_metadata(
            "generatorstates",
            functools.partial(observe_state, self.engine),
            self.engine.books.generator_states.places,
            base=f"/apis/{names.GENERATORS_API_VERSION}",
        )
        await watch.synced.wait()
        self.engine.books.generator_states.complete = True
        known.set()

    async def _watch_store_policies(self) -> None:
        """Watch them as soon as their definition is there. Whole objects: what they forbid counts at once."""
        engine = self.engine
        await self._until_served(
            names.KEYFERRY_API_VERSION,
            {STORE_POLICIES},
            missing=lambda: policies_unserved(engine),
            failed=lambda error: policies_failed(engine, error),
        )
        watched = Watched(
            f"/apis/{names.KEYFERRY_API_VERSION}/{STORE_POLICIES}",
            handle=lambda *_: None,
            known=lambda: [("", key.name) for key in engine.books.policies.records],
            whole=functools.partial(observe_policy, engine),
            listed=lambda: policies_listed(engine),
            failed=lambda error: policies_failed(engine, error),
        )
        watch = MetadataWatch(engine.api, watched, silence_s=self._options.watch_silence)
        self._spawn(watch.run(), "watch storepolicies")
        self._health.follow(STORE_POLICIES, lambda: watch.signs)

    async def _watch_cluster_external_secrets(self) -> None:
        """Watch them as soon as their definition is there: a cluster of old may lack it."""
        plural = PLURALS[names.CLUSTER_EXTERNAL_SECRET]
        await self._until_served(names.API_VERSION, {plural})
        records = self.engine.books.cluster_external_secrets
        self._watch_metadata(
            plural,
            self._observer.cluster_external_secret,
            lambda: [(key.namespace, key.name) for key in records],
            base=f"/apis/{names.API_VERSION}",
        )

    async def _until_served(
        self,
        version: str,
        plurals: set[str],
        missing: Callable[[], None] = lambda: None,
        failed: Callable[[KubeError], object] = lambda _: None,
    ) -> None:
        """Wait until the API server's discovery tells of all these resources.

        Args:
            missing: called each time that one is missing.
            failed: called each time that discovery fails.
        """

        async def look() -> None:
            try:
                absent = plurals - await served_plurals(self.engine.api, version)
            except KubeError as error:
                failed(error)
                raise
            if absent:
                missing()
                raise KubeUnavailable(
                    f"it does not serve {', '.join(sorted(absent))}", hint="Install the definitions"
                )

        await self._patiently(look)

    async def _tell_complete(self, kind: str, watch: MetadataWatch) -> None:
        """Say when a first list is complete."""
        await watch.synced.wait()
        self._observer.list_is_complete(kind)

    def _watch_metadata(
        self, plural: str, handle: Any, known: Any, *, base: str = "/api/v1"
    ) -> MetadataWatch:
        namespace = self._options.namespace
        scope = f"/namespaces/{namespace}" if namespace else ""
        watched = Watched(f"{base}{scope}/{plural}", handle, known)
        watch = MetadataWatch(self.engine.api, watched, silence_s=self._options.watch_silence)
        self._spawn(watch.run(), f"watch {plural}")
        self._health.follow(plural, lambda: watch.signs)
        return watch

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try again until the API server lets us; told once."""
        waiting = False
        while True:
            try:
                await attempt()
            except (KubeError, ValueError) as error:  # ValueError: somebody else's answer
                if not waiting:
                    why = error if isinstance(error, KubeError) else "the answer cannot be read"
                    log.warning("waiting for the API server: %s", why)
                    waiting = True
                await asyncio.sleep(_RETRY_START_S)
            else:
                return

    async def _list_stores(self) -> None:
        """Take over all stores."""
        for kind in self._plurals.keys() & set(store_kinds()):
            path = collection_path(kind, self._options.namespace)
            async for body in list_objects(self.engine.api, path):
                self._observer.resource(kind, Change.LISTED, body)

    async def _served(self) -> None:
        """Wait until the API server serves all our resources: kopf asks it once."""
        await self._until_served(names.API_VERSION, set(self._plurals.values()))

    async def _open_gate(self, secrets: MetadataWatch, states: asyncio.Event | None) -> None:
        """Let ExternalSecrets through when Secrets are known and stores have been validated once.

        And when what generators made before is known, or nobody would ever take it back.
        """
        await secrets.synced.wait()
        self._health.pending.discard("secrets")
        if states is not None:
            with contextlib.suppress(TimeoutError):
                await within(STATES_FIRST_S, states.wait())
        if self.engine.settings.cluster_stores:
            with contextlib.suppress(TimeoutError):
                await within(STATES_FIRST_S, self.engine.books.policies.settled.wait())
        queue, stores, settled = self.engine.queue, self.engine.books.stores, self.engine.store_settled
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORES_FIRST_S):
                while any(record.ready is None for record in stores.values() if record.ours):
                    settled.clear()
                    await settled.wait()
        queue.restrict(max(Lane))
        self._health.pending.discard("stores")
        log.info("ready: %d stores", len(stores))

    def _watches(self) -> Watches:
        from keyferry.handlers.operator import Watches, Watching
        from keyferry.handlers.watch import KINDS

        books, health, resync = self.engine.books, self._health, self._resync

        def known(kind: str) -> list[tuple[str, str]]:
            records: Any = books.external_secrets if kind == names.EXTERNAL_SECRET else books.stores
            return [(key.namespace, key.name) for key in records if key.kind == kind]

        def listed(plural: str) -> None:
            health.pending.discard(plural)
            self._observer.list_is_complete(KINDS[plural])

        watching = Watching(
            plurals=list(self._plurals.values()),
            namespace=self._options.namespace,
            observe=self._observer.resource,
            known=known,
            listed=listed,
            relisted=lambda plural: resync.soon(KINDS[plural]),
            served=self._served,
            take_signals=self._take_signals,
            prefer_inline=os.environ.get("KEYFERRY_WATCH", "inline") != "stock",
            silence_s=self._options.watch_silence,
        )
        watches = Watches(self._config, watching)
        for plural in watching.plurals:
            health.follow(plural, functools.partial(watches.signs.figure, plural))
        return watches

    # -- end

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGUSR1, self._look_again)

    def _look_again(self) -> None:
        """Look at everything now, as if every interval had passed; the log tells when it is done."""
        if self._looking is None or self._looking.done():
            count = look_again(self.engine)
            self._looking = self._tasks.spawn(self._tell_looked(count), name="look again")

    async def _tell_looked(self, count: int) -> None:
        while not self.engine.queue.idle:  # noqa: ASYNC110 - asked by people: an event for it would cost each key
            await asyncio.sleep(_LOOKED_S)
        log.info("looked again at %d objects", count)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._draining is None:
            log.info("%s: finishing what is under way", number.name)
            self._draining = self._tasks.spawn(self._drain(), name="drain")

    async def _drain(self) -> None:
        try:
            await self._runner.stop(DRAIN_S)
            await self.engine.events.flush(FLUSH_S)
        finally:
            self._stop.set()

    async def _end(self) -> None:
        await self._runner.stop(DRAIN_S)
        await self._tasks.close()
        await self.engine.generic.close()
        await self.engine.sources.close()
        self.engine.rendering.close()
        for generator in self.engine.generators.values():
            await generator.close()
        await self.engine.planner.close()
        self.engine.heavy.close()
        await self._endpoints.close()
        await self.engine.api.close()
        log.info("ended")
