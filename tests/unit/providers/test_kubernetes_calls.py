"""What a client makes of an API server's answers: whose failure it is, and what is left of half an answer."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import (
    AuthFailed,
    CredentialsExpired,
    KubeForbidden,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    RetryKind,
    Unavailable,
)
from keyferry.kube.config import ClusterConfig
from keyferry.kube.remote import RemoteClusters
from keyferry.ports import Find, ObjectKey, Read, StoreView
from keyferry.providers.kubernetes import KubernetesProvider
from keyferry.providers.kubernetes.client import KubernetesClient
from keyferry.providers.outgoing import Outgoing
from keyferry.testing.clock import FakeClock
from keyferry.testing.clusteraccess import Cluster

FIXED = {"token": {"bearerToken": {"name": "login", "key": "token"}}}
ACCOUNT = {"serviceAccount": {"name": "reader"}}


@pytest.fixture
async def connect(server) -> AsyncIterator:
    """Connects a store, whose cluster is the played server."""
    clock, cluster = FakeClock(datetime.now(UTC)), Cluster()
    clusters = RemoteClusters(ClusterConfig(server.url), AddressPolicy())
    provider = KubernetesProvider(clusters, Outgoing(AddressPolicy(), clock), clock)
    cluster.put_secret("team-a", "login", token="t0ken")
    cluster.put_service_account("team-a", "reader")

    async def make(auth=FIXED) -> KubernetesClient:
        spec = convert(
            {"provider": {"kubernetes": {"remoteNamespace": "shop", "auth": auth}}}, SecretStoreSpec
        )
        view = StoreView.of(ObjectKey("SecretStore", "team-a", "main"), spec)
        return await provider.connect(await provider.identify(view, "team-a", cluster))

    yield make
    await provider.close()


def secret(name: str) -> dict:
    data = {"key": base64.b64encode(name.encode()).decode()}
    return {"kind": "Secret", "metadata": {"name": name, "resourceVersion": "7"}, "data": data}


def page(*names: str, token: str = "") -> dict:
    return {"kind": "SecretList", "metadata": {"continue": token}, "items": [secret(name) for name in names]}


def absent(name: str) -> dict:
    return {"kind": "Status", "reason": "NotFound", "details": {"name": name, "kind": "secrets"}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(403, {}, ProviderError, id="denied"),
        pytest.param(404, absent("db"), RemoteSecretNotFound, id="absent"),
        pytest.param(400, {}, ProviderError, id="bad-request"),
    ],
)
async def test_what_is_wrong_with_one_secret_is_its_own_answer(
    *, server, play, connect, status, body, expected
) -> None:
    server.otherwise = play.says(status, body)
    (answer,) = await (await connect()).read([Read("db")])

    assert isinstance(answer, expected)


@pytest.mark.parametrize(
    ("status", "expected"), [(401, AuthFailed), (429, RateLimited), (503, Unavailable), (404, Malformed)]
)
async def test_what_is_wrong_with_the_server_is_raised(server, play, connect, status, expected) -> None:
    server.otherwise = play.says(status, {})

    with pytest.raises(expected):
        await (await connect()).read([Read("db")])


async def test_refused_token_of_an_account_is_asked_for_anew(server, play, connect) -> None:
    server.otherwise = play.says(401, {})

    with pytest.raises(CredentialsExpired):
        await (await connect(ACCOUNT)).read([Read("db")])


@pytest.mark.parametrize("key", ["a/b", "../db", "DB", ""])
async def test_key_that_is_no_name_is_not_asked_for(server, connect, key) -> None:
    """Nor is it absent: a slip of the pen must end nothing that was made before."""
    (answer,) = await (await connect()).read([Read(key)])

    assert ProviderError is type(answer)
    assert RetryKind.ON_CHANGE is answer.retry.kind
    assert [] == server.seen


async def test_search_whose_list_breaks_off_finds_nothing_by_halves(server, play, connect) -> None:
    server.script.append(play.says(200, page("a", "b", token="more")))
    server.otherwise = play.says(503, {})

    with pytest.raises(Unavailable):
        await (await connect()).find(Find(name="."))
    assert [None, "more"] == [seen.query.get("continue") for seen in server.seen]


async def test_list_that_the_server_has_forgotten_meanwhile_is_tried_again_later(
    server, play, connect
) -> None:
    server.script.append(play.says(200, page("a", token="more")))
    server.otherwise = play.says(410, {"kind": "Status", "reason": "Expired"})

    with pytest.raises(Unavailable, match="has changed while"):
        await (await connect()).find(Find(name="."))


async def test_refused_watch_is_a_denial(server, play, connect) -> None:
    class Nobody:
        def changed(self, key, at=None) -> None: ...
        def missed(self) -> None: ...
        def known(self):
            return ()

    server.otherwise = play.says(403, {})

    with pytest.raises(ProviderError, match="does not let this identity list and watch") as denied:
        await (await connect()).watch(Nobody())
    assert not isinstance(denied.value.__context__, KubeForbidden)
