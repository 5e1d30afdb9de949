"""An HTTP API as somebody might have written one."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.contract.providers.backends.base import RETRY_AFTER_S, Trouble, make_view

from keyferry.clock import SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.ports import StoreView
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.webhook import WebhookProvider
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.leaks import canary
from keyferry.testing.webhook import WebhookDouble


class WebhookBackend:
    keeps_bytes = True
    finds = False
    denies = True
    names_pause = True
    largest = 65536

    def __init__(self, cluster: Cluster, server: WebhookDouble) -> None:
        outgoing = Outgoing(AddressPolicy(["127.0.0.1"]), SystemClock())
        self.provider = WebhookProvider(outgoing, SystemClock(), secrets.token_bytes)
        self.cluster = cluster
        self.server = server
        server.let_in(canary("webhook-token"))
        cluster.put_secret("team-a", "webhook", token=canary("webhook-token"))
        cluster.label_secret("team-a", "webhook", type="webhook")

    def put(self, key: str, value: str | bytes) -> str:
        return self.server.put(key, value)

    def view(self, **changes: Any) -> StoreView:
        return make_view("webhook", webhook_block(self.server.url, **changes))

    def deny(self, key: str) -> None:
        self.server.denied.add(key)

    def trouble(self, kind: Trouble) -> None:
        match kind:
            case Trouble.THROTTLED:
                self.server.fail(times=99, status=429, headers={"Retry-After": str(RETRY_AFTER_S)})
            case Trouble.FAILING:
                self.server.fail(times=99, status=500)
            case Trouble.CUT:
                self.server.fail("cut", times=99)
            case Trouble.HELD:
                self.server.fail("hold", times=99)

    def wait_held(self) -> None:
        self.server.wait_held()

    def relieve(self) -> None:
        self.server.clear_faults()


def webhook_block(server: str, **changes: Any) -> dict[str, Any]:
    block = {
        "url": f"{server}/secrets?key={{{{ .remoteRef.key }}}}&version={{{{ .remoteRef.version }}}}",
        "headers": {"Authorization": "Bearer {{ .auth.token }}"},
        "secrets": [{"name": "auth", "secretRef": {"name": "webhook"}}],
        **changes,
    }
    return {key: value for key, value in block.items() if value is not None}


def make(request: pytest.FixtureRequest, cluster: Cluster) -> WebhookBackend:
    return WebhookBackend(cluster, request.getfixturevalue("webhook_server"))
