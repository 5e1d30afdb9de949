"""Who asks which API server: what a store may say, what is read for it, and when two are the same."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.clusters import ClusterTarget
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import ForbiddenError, KeyferryError, KubeError, SpecError
from keyferry.kube.config import ClusterConfig
from keyferry.kube.remote import RemoteClusters
from keyferry.ports import ObjectKey, StoreView
from keyferry.providers.kubernetes import KubernetesProvider
from keyferry.providers.outgoing import Outgoing
from keyferry.testing.clock import FakeClock
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.leaks import LeakDetector, canary

TOKEN = canary("kubernetes-token")
ACCOUNT = {"serviceAccount": {"name": "reader"}}
FIXED = {"token": {"bearerToken": {"name": "login", "key": "token"}}}
PAIR = {"cert": {part: {"name": "login", "key": part} for part in ("clientCert", "clientKey")}}
ELSEWHERE = {"url": "https://api.example.com:6443"}
CA = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n").decode()


class Bench:
    """A provider whose clusters note to whom connections are asked for."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime.now(UTC))
        self.cluster = Cluster()
        self.clusters = RemoteClusters(ClusterConfig("https://10.0.0.1:443"), AddressPolicy())
        self.provider = KubernetesProvider(self.clusters, Outgoing(AddressPolicy(), self.clock), self.clock)
        for namespace in ("team-a", "team-b"):
            self.cluster.put_secret(namespace, "login", token=TOKEN, clientCert="C", clientKey=canary("key"))
            self.cluster.put_service_account(namespace, "reader")

    def view(self, block: dict[str, Any], namespace: str = "team-a", name: str = "main") -> StoreView:
        kind = "SecretStore" if namespace else "ClusterSecretStore"
        spec = convert({"provider": {"kubernetes": block}}, SecretStoreSpec)
        return StoreView.of(ObjectKey(kind, namespace, name), spec)

    def check(self, block: dict[str, Any], namespace: str = "team-a") -> None:
        self.provider.check(self.view(block, namespace))

    async def identify(self, block: dict[str, Any], namespace: str = "team-a", of: str = "team-a") -> Any:
        view = self.view(block, of)
        self.provider.check(view)
        return await self.provider.identify(view, namespace, self.cluster)

    async def fingerprint(self, block: dict[str, Any], namespace: str = "team-a", of: str = "team-a") -> str:
        found: str = (await self.identify(block, namespace, of)).fingerprint
        return found


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.provider.close()


@pytest.mark.parametrize(
    "block",
    [
        pytest.param({"auth": ACCOUNT}, id="account"),
        pytest.param({"auth": FIXED, "server": ELSEWHERE}, id="token"),
        pytest.param({"auth": PAIR, "server": {"url": "api.example.com"}}, id="certificate"),
        pytest.param({"auth": FIXED, "server": {"url": "https://10.0.0.1"}}, id="own-address"),
        pytest.param({"auth": FIXED, "server": {"url": "https://10.9.8.7:6443/k8s/clusters/c-1"}}, id="path"),
        pytest.param({"authRef": {"name": "login", "key": "config"}}, id="kubeconfig"),
        pytest.param(
            {"auth": {"serviceAccount": {"name": "reader", "audiences": ["other"]}}, "server": ELSEWHERE},
            id="account-elsewhere",
        ),
    ],
)
async def test_good_blocks_are_taken(bench: Bench, block) -> None:
    bench.check(block)


@pytest.mark.parametrize(
    ("block", "error", "why"),
    [
        pytest.param({}, SpecError, "neither auth nor authRef", id="nobody"),
        pytest.param({"auth": {}}, SpecError, "exactly one of", id="none"),
        pytest.param({"auth": ACCOUNT | FIXED}, SpecError, "exactly one of", id="two"),
        pytest.param(
            {"auth": {"token": {"bearerToken": {"name": "login"}}}}, SpecError, "name and a key", id="no-key"
        ),
        pytest.param({"authRef": {"key": "config"}}, SpecError, "name and a key", id="no-name"),
        pytest.param({"auth": ACCOUNT, "server": ELSEWHERE}, SpecError, "needs audiences", id="no-audience"),
        pytest.param(
            {"auth": FIXED, "server": {"url": "http://api.example.com"}}, SpecError, "https://", id="plain"
        ),
        pytest.param(
            {"auth": FIXED, "server": {"url": "https://a:b@api.example.com"}},
            SpecError,
            "credentials",
            id="user",
        ),
        pytest.param(
            {"auth": FIXED, "server": {"url": "https://api.example.com/?x"}}, SpecError, "query", id="query"
        ),
        pytest.param(
            {"auth": FIXED, "server": {"url": "https://169.254.169.254"}},
            ForbiddenError,
            "metadata",
            id="metadata",
        ),
        pytest.param(
            {"auth": FIXED, "server": {"url": "https://127.0.0.1:6443"}},
            ForbiddenError,
            "machine",
            id="loopback",
        ),
        pytest.param(
            {"auth": {"serviceAccount": {"name": "reader", "namespace": "team-b"}}},
            ForbiddenError,
            "namespace of the SecretStore",
            id="somebody-elses-account",
        ),
        pytest.param({"auth": ACCOUNT, "remoteNamespace": "a/../b"}, SpecError, "no name", id="namespace"),
    ],
)
async def test_bad_blocks_are_refused_by_field(bench: Bench, block, error, why) -> None:
    namespace = block.pop("remoteNamespace", "")
    view = bench.view(block)
    if namespace:  # an object older than the schema
        object.__setattr__(view, "block", type(view.block)(auth=view.block.auth, remote_namespace=namespace))

    with pytest.raises(error, match=why):
        bench.provider.check(view)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("kubernetes.default", True),
        ("https://kubernetes.default.svc", True),
        ("https://kubernetes.default.svc.cluster.local:443/", True),
        ("kubernetes", True),
        ("https://10.0.0.1", True),
        ("https://10.0.0.1:443/", True),
        ("10.0.0.1", True),
        ("https://10.0.0.1:6443", False),
        ("https://10.0.0.1/proxy", False),
        ("https://kubernetes.default:8443", False),
        ("http://kubernetes.default", False),
        ("https://kubernetes.default.svc.example.com", False),
        ("https://kubernetes.default@example.com", False),
        ("https://user@10.0.0.1", False),
        ("https://10.0.0.1?x", False),
        ("https://[::1", False),
        ("", False),
    ],
)
async def test_this_cluster_is_told_by_its_names_and_the_operators_own_address(
    bench: Bench, url, own
) -> None:
    assert own is bench.clusters.is_own(url)


async def test_token_of_an_account_is_for_this_cluster_or_for_the_audiences_that_are_named(
    bench: Bench,
) -> None:
    own = await bench.identify({"auth": ACCOUNT})
    named = {"serviceAccount": {"name": "reader", "audiences": ["other"]}}
    elsewhere = await bench.identify({"auth": named, "server": ELSEWHERE})
    clients = [await bench.provider.connect(identity) for identity in (own, elsewhere)]
    for client in clients:
        await client.bearer.token()

    assert [
        ("team-a", "reader", (bench.cluster.audience,), 600),
        ("team-a", "reader", ("other",), 600),
    ] == bench.cluster.tokens
    for client in clients:
        await client.close()


async def test_audience_of_this_clusters_api_server_is_refused_elsewhere(bench: Bench) -> None:
    named = {"serviceAccount": {"name": "reader", "audiences": [bench.cluster.audience]}}
    client = await bench.provider.connect(await bench.identify({"auth": named, "server": ELSEWHERE}))

    with pytest.raises(ForbiddenError):
        await client.bearer.token()
    await client.close()


async def test_token_is_shared_and_renewed_well_before_its_end(bench: Bench) -> None:
    client = await bench.provider.connect(await bench.identify({"auth": ACCOUNT}))
    bench.cluster.issue = lambda subject, audiences: f"token-{len(bench.cluster.tokens)}"
    tokens = await asyncio.gather(*(client.bearer.token() for _ in range(10)))
    asked = len(bench.cluster.tokens)
    bench.clock.advance(500)
    later = await client.bearer.token()
    await client.renew()
    renewed = await client.bearer.token()

    assert (1, 1) == (asked, len({one.reveal() for one in tokens}))
    assert 3 == len({one.reveal() for one in (tokens[0], later, renewed)})
    await client.close()


async def test_failure_to_get_a_token_is_not_the_stores(bench: Bench) -> None:
    from keyferry.ports import Read

    client = await bench.provider.connect(await bench.identify({"auth": ACCOUNT}))
    del bench.cluster.service_accounts["team-a", "reader"]

    with pytest.raises(KubeError, match='ServiceAccount "team-a/reader" does not exist'):
        await client.read([Read("db")])
    await client.close()


BASE: dict[str, Any] = {
    "auth": FIXED,
    "server": ELSEWHERE | {"caBundle": CA},
    "remoteNamespace": "shop",
}


@pytest.mark.parametrize(
    "change",
    [
        {"server": ELSEWHERE},
        {"server": {"url": "https://other.example.com", "caBundle": CA}},
        {"server": {"caBundle": CA}},
        {"remoteNamespace": "other"},
        {"auth": PAIR},
        {"auth": {"serviceAccount": {"name": "reader", "audiences": ["a"]}}},
        {"auth": {"serviceAccount": {"name": "reader", "audiences": ["b"]}}},
    ],
    ids=str,
)
async def test_one_difference_is_another_identity(bench: Bench, change) -> None:
    changes = {"auth": {"serviceAccount": {"name": "reader", "audiences": ["a"]}}}
    base = BASE | (
        changes if change.get("auth", {}).get("serviceAccount", {}).get("audiences") == ["b"] else {}
    )

    assert await bench.fingerprint(base) == await bench.fingerprint(dict(base))
    assert await bench.fingerprint(base) != await bench.fingerprint(base | change)


@pytest.mark.parametrize("key", ["token", "clientCert", "clientKey"])
async def test_other_credentials_are_another_identity(bench: Bench, key) -> None:
    block = BASE | {"auth": FIXED if key == "token" else PAIR}
    before = await bench.fingerprint(block)
    bench.cluster.put_secret(
        "team-a",
        "login",
        **({"token": TOKEN, "clientCert": "C", "clientKey": canary("key")} | {key: "changed"}),
    )

    assert before != await bench.fingerprint(block)


async def test_account_made_anew_is_another_identity(bench: Bench) -> None:
    before = await bench.fingerprint({"auth": ACCOUNT})
    del bench.cluster.service_accounts["team-a", "reader"]
    bench.cluster.put_service_account("team-a", "reader")

    assert before != await bench.fingerprint({"auth": ACCOUNT})


@pytest.mark.parametrize(
    ("block", "referent"),
    [
        ({"auth": ACCOUNT}, True),
        ({"auth": {"serviceAccount": {"name": "reader", "namespace": "team-a"}}}, False),
        ({"authRef": {"name": "login", "key": "config"}}, True),
        ({"authRef": {"name": "login", "key": "config", "namespace": "team-a"}}, False),
    ],
)
async def test_cluster_store_without_a_namespace_asks_as_each_namespace(
    bench: Bench, block, referent
) -> None:
    assert referent is bench.provider.referent(bench.view(block, ""))
    assert bench.provider.referent(bench.view(block)) is False
    if "auth" in block:
        both = [await bench.fingerprint(block, namespace, "") for namespace in ("team-a", "team-b")]
        assert referent is (both[0] != both[1])


@pytest.mark.parametrize("token", [" \n", "two words", "ümlaut", "line\nbreak"], ids=repr)
async def test_token_that_can_be_none_is_told_without_itself(bench: Bench, token) -> None:
    bench.cluster.put_secret("team-a", "login", token=token)

    with pytest.raises(SpecError, match="is no token") as refused:
        await bench.identify(BASE)
    assert token.strip() == "" or token not in refused.value.message


async def test_line_break_at_the_end_of_a_token_does_not_matter(bench: Bench) -> None:
    before = await bench.fingerprint(BASE)
    bench.cluster.put_secret("team-a", "login", token=f"{TOKEN}\n", clientCert="C", clientKey="K")

    assert before == await bench.fingerprint(BASE)


@pytest.mark.parametrize(
    ("key", "why"), [("absent", "has nothing under the key"), ("clientKey", "no YAML that can be read")]
)
async def test_material_that_is_not_there_is_told(bench: Bench, key, why) -> None:
    with pytest.raises(SpecError, match=why) as refused:
        await bench.identify({"authRef": {"name": "login", "key": key}})

    assert [] == LeakDetector().look_at_error("failure", refused.value)


async def test_server_of_a_kubeconfig_is_checked_like_any_other(bench: Bench) -> None:
    config = (
        "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: "
        "{server: 'https://169.254.169.254'}}], users: [{name: u, user: {token: t}}]}"
    )
    bench.cluster.put_secret("team-a", "login", config=config)

    with pytest.raises(ForbiddenError, match="the server of the kubeconfig in Secret"):
        await bench.identify({"authRef": {"name": "login", "key": "config"}})


async def test_certificates_that_cannot_be_used_are_told_at_the_connection(bench: Bench) -> None:
    identity = await bench.identify(BASE | {"auth": PAIR})

    with pytest.raises(SpecError, match="cannot be used"):
        await bench.provider.connect(identity)


async def test_who_asks_the_same_server_shares_its_connections(bench: Bench) -> None:
    target = ClusterTarget("", "spec.provider.kubernetes.server.url")
    one, other = await bench.clusters.connect(target), await bench.clusters.connect(target)
    pool = one._api._pool

    assert pool is other._api._pool
    await one.close()
    await one.close()
    assert not pool.session.closed
    await other.close()
    assert pool.session.closed


@pytest.mark.parametrize("key", ["db", "db.v2", "a" * 253])
async def test_remote_key_is_a_name(bench: Bench, key) -> None:
    assert key == bench.provider.canonical(bench.view({"auth": ACCOUNT}), key)


@pytest.mark.parametrize("key", ["../db", "a/b", "DB", "", "a" * 254, "db\n", "-a", "a..b"])
async def test_key_that_leads_elsewhere_is_none(bench: Bench, key) -> None:
    with pytest.raises(SpecError, match="is no name that a Secret can have"):
        bench.provider.canonical(bench.view({"auth": ACCOUNT}), key)


async def test_identity_shows_nothing_of_its_material(bench: Bench) -> None:
    leaks = LeakDetector()
    for auth in (FIXED, PAIR):
        identity = await bench.identify(BASE | {"auth": auth})

        assert [] == leaks.look(
            "identity", f"{identity!r} {identity.material!r} {identity.material.identity!r}"
        )


async def test_another_stores_block_is_refused(bench: Bench) -> None:
    spec = convert({"provider": {"fake": {"data": []}}}, SecretStoreSpec)
    view = StoreView.of(ObjectKey("SecretStore", "team-a", "main"), spec)

    with pytest.raises(KeyferryError, match="is no kubernetes store"):
        bench.provider.check(view)
