"""The webhook provider on the strict double: stores with changed requests, and their failures."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from keyferry.clock import SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import KeyferryError
from keyferry.ports import Read
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.webhook import WebhookProvider
from keyferry.testing.leaks import canary

TOKEN = canary("webhook-token")


@pytest.fixture
async def make_provider() -> AsyncIterator[object]:
    """Makes providers; arguments are the addresses that are allowed."""
    made = []

    def make(*allowed: str) -> WebhookProvider:
        outgoing = Outgoing(AddressPolicy(allowed), SystemClock())
        made.append(WebhookProvider(outgoing, SystemClock(), secrets.token_bytes))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def provider(make_provider) -> WebhookProvider:
    return make_provider("127.0.0.1")


@pytest.fixture
def token(cluster, webhook_server) -> str:
    """The token in Secret `webhook`, which the server takes."""
    webhook_server.let_in(TOKEN)
    cluster.put_secret("team-a", "webhook", token=TOKEN)
    cluster.label_secret("team-a", "webhook", type="webhook")
    return TOKEN


@pytest.fixture
def view_of(toolbox, webhook_server, token):
    """A store; keywords change its block, None leaves a field out."""

    def make(*, namespace="team-a", **changes):
        block = toolbox.webhook_block(webhook_server.url, **changes)
        return toolbox.view("webhook", block, namespace=namespace)

    return make


@pytest.fixture
def client_of(provider, connect, view_of):
    async def make(*, namespace="team-a", referent="team-a", **changes):
        return await connect(provider, view_of(namespace=namespace, **changes), referent)

    return make


@pytest.fixture
def value_of():
    """What a client answers to one read, in clear."""

    async def of(client, key="db", **read):
        (answer,) = await client.read([Read(key, **read)])
        if isinstance(answer, KeyferryError):
            raise answer
        return answer.value.reveal().decode()

    return of


@pytest.fixture
def failure_of(value_of):
    """The failure of one read, returned or raised."""

    async def of(client, key="db", **read):
        with pytest.raises(KeyferryError) as failure:
            await value_of(client, key, **read)
        return failure.value

    return of


@pytest.fixture
def lookup(webhook_server):
    """The block of a store that asks by POST; keywords change it."""

    def make(**changes):
        body = (
            '{"key": {{ .remoteRef.key | quote }}, "version": {{ .remoteRef.version | quote }},'
            ' "property": {{ .remoteRef.property | quote }}, "namespace": {{ .remoteRef.namespace | quote }}}'
        )
        return {
            "method": "POST",
            "url": f"{webhook_server.url}/lookup",
            "body": body,
            "headers": {
                "Content-Type": "application/json",
                "Authorization": "{{ print `Bearer ` .auth.token }}",
            },
            "result": {"jsonPath": "$.data"},
        } | changes

    return make
