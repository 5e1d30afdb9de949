"""An API server that refuses, loses or forgets to answer writes, or goes away and comes back."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.definitions import wait_served
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S, Tenant

from .chaos import REMOTE, STATUS, Scene
from .conftest import ROOT, through

pytestmark = pytest.mark.long

NEW = [f"new-{n}" for n in range(6)]
MANY = [f"app-{n:02}" for n in range(24)]
WRITES = "[cu][rp]*e"
"""A glob over verbs: create and update."""
Break = Callable[..., Any]

FAULTS = [
    pytest.param(lambda proxy, **match: proxy.answer(409, **match), id="409"),
    pytest.param(
        lambda proxy, **match: proxy.answer(429, retry_after_s=1, **match | {"times": 1}),
        id="429-retry-after",
    ),
    pytest.param(lambda proxy, **match: proxy.answer(429, **match), id="429"),
    pytest.param(lambda proxy, **match: proxy.answer(500, **match), id="500"),
    pytest.param(lambda proxy, **match: proxy.answer(503, **match), id="503"),
    pytest.param(lambda proxy, **match: proxy.lose_requests(**match), id="lost-request"),
    pytest.param(lambda proxy, **match: proxy.lose_answers(**match), id="lost-answer"),
]


@pytest.fixture
def scene(
    tenant: Tenant,
    api_proxy: ApiProxy,
    proxied_kubeconfig: Path,
    private_operator: Callable[..., OperatorProcess],
) -> Scene:
    """A store, an ExternalSecret in sync, and its operator."""
    scene = Scene(tenant, api_proxy, proxied_kubeconfig, private_operator)
    scene.open_store()
    scene.create("kept")
    scene.start()
    scene.wait_synced()
    scene.proxy.reset_requests()
    return scene


# -- writes that come to nothing


@pytest.mark.parametrize("fault", FAULTS)
def test_writes_that_fail_are_made_good_once(scene: Scene, fault: Break) -> None:
    """Both kinds of write at once; what the server did though its answer was lost is not done again."""
    fault(scene.proxy, times=4, verb=WRITES, resource="secrets")
    fault(scene.proxy, times=4, verb=WRITES, resource=STATUS)
    scene.create(*NEW, key="key-1")
    scene.change("kept", "key-2")
    scene.settle()

    # A lost update may be sent again as it was: the server knows by its version that it is not for now.
    updates = scene.proxy.requests(verb="update", resource="secrets")
    carried_out = [one.request.name for one in updates if one.forwarded and one.status != 409]
    assert carried_out == ["kept"]
    assert scene.written("create", "secrets").keys() <= set(NEW)
    assert max(scene.written("create", "secrets").values(), default=1) == 1
    assert scene.statuses_written() < 40


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param(lambda proxy, **match: proxy.answer(500, **match), "fault: 500", id="500"),
        pytest.param(lambda proxy, **match: proxy.answer(503, **match), "fault: 503", id="503"),
        pytest.param(
            lambda proxy, **match: proxy.answer(429, retry_after_s=60, **match),
            "fault: 429",
            id="429-for-long",
        ),
        pytest.param(
            lambda proxy, **match: proxy.lose_requests(**match), "cannot be reached", id="connection-cut"
        ),
    ],
)
def test_refused_write_is_told_and_the_last_good_secret_stays(scene: Scene, fault: Break, told: str) -> None:
    """The word of a server that wants a minute's peace holds for that object; a change of it comes first."""
    before = scene.tenant.version("Secret", "kept")
    trouble = fault(scene.proxy, verb=WRITES, resource="secrets")
    scene.change("kept", "key-3")
    scene.tenant.wait_failed("kept", told)
    assert scene.tenant.version("Secret", "kept") == before
    scene.proxy.remove(trouble)
    scene.change("kept", "key-4")
    scene.settle()

    assert scene.written("update", "secrets") == {"kept": 1}


def test_conflicts_are_no_failure_and_are_not_told(scene: Scene) -> None:
    trouble = scene.proxy.answer(409, verb=WRITES, resource="secrets")
    scene.change("kept", "key-3")
    scene.proxy.wait_for_requests(4, verb="update", resource="secrets", timeout_s=SYNC_S)

    assert scene.tenant.told("kept") == ("True", "SecretSynced", "secret synced")
    assert scene.tenant.values("kept") == {"v": REMOTE["key-0"]}
    scene.proxy.remove(trouble)
    scene.settle()


def test_secret_that_somebody_else_writes_at_the_same_time_is_read_again(scene: Scene) -> None:
    """A conflict that is one: nobody's label is lost, and the data is ours."""
    hold = scene.proxy.hold(times=1, verb="update", resource="secrets")
    scene.change("kept", "key-3")
    scene.proxy.wait_for_requests(1, verb="update", resource="secrets")
    scene.tenant.edit(
        "Secret",
        "kept",
        {"metadata": {"annotations": {"example.com/theirs": "x"}}, "stringData": {"v": canary("x")}},
    )
    scene.proxy.remove(hold)
    scene.settle()

    assert scene.tenant.get("Secret", "kept")["metadata"]["annotations"]["example.com/theirs"] == "x"
    assert [one.status for one in scene.proxy.requests(verb="update", resource="secrets")] == [409, 200]


def test_retry_after_holds_for_all_writes(scene: Scene) -> None:
    """The server wants peace from us, not from one object."""
    scene.proxy.answer(429, times=1, retry_after_s=2, verb="create", resource="secrets", name="")
    scene.create("first", key="key-1")
    scene.proxy.wait_for_requests(1, verb="create", resource="secrets")
    scene.create("second", "third", key="key-1")
    scene.settle()

    refused, *others = scene.proxy.requests(verb=WRITES)
    assert refused.status == 429
    assert min(one.started for one in others) - refused.started >= 2


# -- a server that goes away


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[LocalCluster]:
    """A control plane whose API server may be stopped, with the definitions and the operator's RBAC."""
    with LocalCluster.start() as running:
        for path in ("crds", "deploy/rbac/rbac.yaml"):
            running.kubectl("apply", "-f", str(ROOT / path))
        wait_served(KubeClient(running.server, running.ca_pem, running.token))
        yield running


@pytest.fixture
def own_scene(
    request: pytest.FixtureRequest,
    own_cluster: LocalCluster,
    namespace: str,
    private_operator: Callable[..., OperatorProcess],
    tmp_path: Path,
) -> Iterator[Scene]:
    """A store and two dozen ExternalSecrets on that control plane; no operator yet."""
    kube = KubeClient(own_cluster.server, own_cluster.ca_pem, own_cluster.token)
    kube.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    identity = own_cluster.service_account_kubeconfig("keyferry", "keyferry")
    with ApiProxy(own_cluster.server, tls=ssl.create_default_context(cadata=own_cluster.ca_pem)) as proxy:
        kubeconfig = through(proxy, identity, tmp_path / "kubeconfig")
        path = getattr(request, "param", "inline")
        scene = Scene(Tenant(kube, namespace), proxy, kubeconfig, private_operator, path)
        scene.open_store()
        for number, name in enumerate(MANY):
            scene.create(name, key=f"key-{number % len(REMOTE)}")
        yield scene


def test_api_server_that_is_killed_and_restarted_in_the_midst_costs_nothing(
    own_cluster: LocalCluster, own_scene: Scene
) -> None:
    scene = own_scene
    scene.proxy.delay(0.1, verb="create", resource="secrets")
    scene.start("--concurrent=1", wait=False)
    eventually(lambda: scene.written("update", STATUS).total() >= 6, timeout_s=SYNC_S)
    own_cluster.stop_apiserver(kill=True)
    assert scene.operator.probe("healthz") == 200
    own_cluster.start_apiserver()
    scene.proxy.clear()
    before, done = scene.secrets(), scene.synced()
    assert 6 <= len(done) < len(MANY)
    scene.settle()

    assert before.items() <= scene.secrets().items()
    assert done.items() <= scene.synced().items()
    assert max(scene.written("create", "secrets").values()) == 1
    assert scene.proxy.count(verb="update", resource="secrets") == 0


def test_operator_waits_for_an_api_server_that_is_not_there_yet(
    own_cluster: LocalCluster, own_scene: Scene
) -> None:
    """It lives and is not ready; then it starts as if nothing had been."""
    scene = own_scene
    own_cluster.stop_apiserver(kill=True)
    operator = scene.start(wait=False)
    eventually(lambda: "waiting for the API server" in operator.log, timeout_s=SYNC_S)
    assert (operator.probe("healthz"), operator.probe("readyz")) == (200, 503)
    own_cluster.start_apiserver()
    scene.settle()

    assert operator.probe("readyz") == 0
    assert scene.written("create", "secrets") == dict.fromkeys(MANY, 1)


@pytest.mark.parametrize("own_scene", ["stock"], indirect=True)
def test_changes_and_drift_are_seen_after_a_restart(own_cluster: LocalCluster, own_scene: Scene) -> None:
    """The watches go on, or begin anew where the new server does not know their place; kopf's own here."""
    scene = own_scene
    scene.start()
    scene.wait_synced()
    own_cluster.stop_apiserver()
    own_cluster.start_apiserver()
    scene.proxy.reset_requests()
    scene.change("app-00", "key-9")
    scene.spoil("app-01")
    scene.tenant.delete("Secret", "app-02")
    scene.create("new", key="key-1")
    scene.settle()

    assert scene.written("create", "secrets") == {"app-02": 1, "new": 1}
    assert scene.written("update", "secrets") == {"app-00": 1, "app-01": 1}
