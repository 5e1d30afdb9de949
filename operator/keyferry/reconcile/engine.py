"""What the reconcilers share: settings, records, queue, planner, connection. Wired once, by `cli.run`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from keyferry.aio import ThreadDoor
from keyferry.clock import Clock
from keyferry.core.addresses import AddressPolicy
from keyferry.kube.access import KubeAccess
from keyferry.kube.client import KubeApi
from keyferry.kube.events import EventRecorder
from keyferry.planner.planner import Planner
from keyferry.ports import Generator, ObjectKey, Provider
from keyferry.reconcile.books import Books
from keyferry.reconcile.debts import Debts
from keyferry.reconcile.generic_target import GenericTargets
from keyferry.reconcile.queue import WorkQueue
from keyferry.reconcile.rendering import Rendering
from keyferry.reconcile.repairs import Repairs
from keyferry.reconcile.template_sources import TemplateSources
from keyferry.reconcile.vain import VainLooks


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags say about reconciling. Durations in seconds unless typed."""

    controller_class: str = "default"
    namespace: str = ""
    """The only namespace to serve; empty for all."""
    store_requeue_interval_s: float = 300.0
    flood_gate: bool = True
    """Whether an ExternalSecret waits while its store is not ready."""
    secret_stores: bool = True
    cluster_stores: bool = True
    cluster_external_secrets: bool = True
    """Whether ClusterExternalSecrets are served."""
    refresh_status_every: timedelta = timedelta(minutes=5)
    """A status whose refreshTime alone is new is written no more often than this."""
    deadline_s: float = 90.0
    """Longest time for one reconcile."""
    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    """Where stores may be."""
    generator_state: bool = True
    """Whether what generators made elsewhere is noted, to be taken back."""
    generator_grace_s: float = 120.0
    """So long what a generator made before stays good when the Secret holds newer values."""

    generic_targets: bool = False
    """Whether a target may be no Secret."""

    def validates(self, store: ObjectKey) -> bool:
        """Whether stores of this one's kind are validated here."""
        return self.secret_stores if store.namespace else self.cluster_stores


@dataclass(slots=True)
class Engine:
    """See the module's docstring."""

    settings: Settings
    clock: Clock
    api: KubeApi
    access: KubeAccess
    books: Books
    queue: WorkQueue
    planner: Planner
    events: EventRecorder
    providers: Mapping[str, Provider]
    generators: Mapping[str, Generator] = field(default_factory=dict)
    random: random.Random = field(default_factory=random.Random)
    heavy: ThreadDoor = field(default_factory=lambda: ThreadDoor("heavy", 2))
    """Where work goes that would hold the event loop: two threads, so that a hostile object delays its like."""
    generic: GenericTargets = field(default_factory=GenericTargets)
    """What is known of targets that are no Secrets."""
    rendering: Rendering = field(default_factory=Rendering)
    """Where templates are rendered."""
    sources: TemplateSources = field(default_factory=TemplateSources)
    """ConfigMaps and Secrets with templates."""
    debts: Debts = field(default_factory=Debts)
    """Statuses that could not be written."""
    repairs: Repairs = field(default_factory=Repairs)
    """How often targets were put right lately."""
    vain: VainLooks = field(default_factory=VainLooks)
    """How often stores told of nothing new lately."""
    store_settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a store has been looked at."""
