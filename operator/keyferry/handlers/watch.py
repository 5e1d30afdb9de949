"""The handlers: one per kind, three lines each, on kopf's public API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import kopf

from keyferry.api import names
from keyferry.kube.watch import Change

log = logging.getLogger(__name__)

Observe = Callable[[str, Change, Mapping[str, Any]], None]
"""Takes kind, change and body of each event."""

KINDS: Final = {
    "externalsecrets": names.EXTERNAL_SECRET,
    "secretstores": names.SECRET_STORE,
    "clustersecretstores": names.CLUSTER_SECRET_STORE,
}


def change_of(event_type: str | None) -> Change:
    """Kopf's event types: None for what a list found."""
    if event_type is None:
        return Change.LISTED
    return Change.GONE if event_type == "DELETED" else Change.SET


def hand_over(observe: Observe, kind: str, change: Change, body: Mapping[str, Any]) -> None:
    """Tell of one event. An object that we cannot cope with must not hide the others."""
    try:
        observe(kind, change, body)
    except Exception:
        log.exception("a bug in Keyferry")


def register(registry: kopf.OperatorRegistry, plurals: list[str], observe: Observe) -> None:
    """Register the handlers of these resources."""

    def on_event(plural: str) -> None:
        # Asynchronous because kopf would run a plain function in a thread.
        @kopf.on.event(names.GROUP, names.VERSION, plural, registry=registry)
        async def handle(event: kopf.RawEvent, **_: Any) -> None:
            hand_over(observe, KINDS[plural], change_of(event["type"]), event["object"])

    for plural in plurals:
        on_event(plural)
