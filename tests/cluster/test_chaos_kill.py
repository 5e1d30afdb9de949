"""The operator ends in the midst of its work, killed or told to: the next one finishes it, and repeats nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.eventually import eventually
from keyferry.testing.tenant import SYNC_S, Tenant

from .chaos import ES, PATHS, REMOTE, STATUS, Scene

pytestmark = pytest.mark.long

NAMES = [f"app-{n:02}" for n in range(36)]
ONE_BY_ONE = "--concurrent=1"
"""Eight objects are under way at once then, and the others wait."""


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    tenant: Tenant,
    api_proxy: ApiProxy,
    proxied_kubeconfig: Path,
    private_operator: Callable[..., object],
) -> Scene:
    """A store and three dozen ExternalSecrets that nobody has looked at."""
    path = getattr(request, "param", "inline")
    scene = Scene(tenant, api_proxy, proxied_kubeconfig, private_operator, path)
    scene.open_store()
    for number, name in enumerate(NAMES):
        scene.create(name, key=f"key-{number % len(REMOTE)}")
    return scene


both_paths = pytest.mark.parametrize("scene", PATHS, indirect=True)


def wait_taken(scene: Scene, count: int, verb: str, resource: str) -> None:
    """Wait until the API server has taken so many such writes."""
    eventually(lambda: scene.written(verb, resource).total() >= count, timeout_s=SYNC_S, every_s=0.005)


def kill(scene: Scene) -> None:
    """End the operator as a node does; what it has sent may still arrive."""
    scene.operator.kill()
    assert scene.operator.exit_code == -signal.SIGKILL


def kept(before: dict[str, object], after: dict[str, object]) -> bool:
    """Whether all that was there before is there still, and the same."""
    return before.items() <= after.items()


# -- killed


def test_secrets_whose_statuses_were_not_written_are_taken_over_as_they_are(scene: Scene) -> None:
    hold = scene.proxy.hold(verb="update", resource=STATUS)
    scene.start(wait=False)
    wait_taken(scene, 20, "create", "secrets")
    kill(scene)
    scene.proxy.remove(hold)
    before = scene.secrets()
    assert scene.synced() == {}
    assert len(before) >= 20
    scene.proxy.reset_requests()
    scene.start()
    scene.settle()

    assert kept(before, scene.secrets())
    assert scene.written("create", "secrets").keys().isdisjoint(before)
    assert scene.proxy.count(verb="update", resource="secrets") == 0
    assert scene.written("update", STATUS) == dict.fromkeys(NAMES, 1)


def test_operator_that_is_killed_again_and_again_gets_through_and_repeats_nothing(scene: Scene) -> None:
    scene.proxy.delay(0.05, verb="create", resource="secrets")
    secrets: dict[str, str] = {}
    synced: dict[str, tuple[str, str]] = {}
    for count in (3, 9, 18):
        scene.start("--concurrent=2", wait=False)
        wait_taken(scene, count, "update", STATUS)
        kill(scene)

        assert kept(secrets, scene.secrets())
        assert kept(synced, scene.synced())
        secrets, synced = scene.secrets(), scene.synced()
        assert count <= len(synced) < len(NAMES)
    scene.start()
    scene.settle()

    assert kept(secrets, scene.secrets())
    assert kept(synced, scene.synced())
    assert max(scene.written("create", "secrets").values()) == 1
    assert scene.proxy.count(verb="update", resource="secrets") == 0


def test_changes_whose_writing_was_cut_short_are_finished(scene: Scene) -> None:
    scene.start()
    scene.wait_synced()
    before = scene.secrets()
    scene.proxy.delay(0.05, verb="update", resource="secrets")
    scene.proxy.reset_requests()
    for name in NAMES[:20]:
        scene.change(name, "key-7" if scene.wanted[name] != "key-7" else "key-8")
    wait_taken(scene, 4, "update", "secrets")
    kill(scene)
    scene.proxy.clear()
    scene.start()
    scene.settle()

    assert scene.secrets() == before
    assert scene.proxy.count(verb="create", resource="secrets") == 0
    assert max(scene.written("update", "secrets").values()) == 1
    assert scene.written("update", "secrets").keys() <= set(NAMES[:20])


# -- told to end


@both_paths
def test_work_under_way_is_finished_at_the_end_and_none_is_begun(scene: Scene) -> None:
    """Whatever has a Secret has its status, and the other way round."""
    scene.proxy.delay(0.05, verb="create", resource="secrets")
    scene.start(ONE_BY_ONE, wait=False)
    wait_taken(scene, 3, "create", "secrets")
    scene.end()

    done = scene.synced()
    assert done.keys() == scene.secrets().keys()
    assert 3 <= len(done) < len(NAMES)
    scene.proxy.clear()
    scene.start()
    scene.settle()

    assert kept(done, scene.synced())
    assert scene.written("create", "secrets") == dict.fromkeys(NAMES, 1)
    assert scene.written("update", STATUS) == dict.fromkeys(NAMES, 1)


@both_paths
def test_operator_ends_in_order_while_nothing_answers(scene: Scene) -> None:
    scene.start()
    scene.wait_synced()
    scene.proxy.outage()
    scene.proxy.wait_for_no_watches()
    scene.end()


@both_paths
def test_operator_ends_in_order_before_it_has_come_to_work(scene: Scene) -> None:
    scene.proxy.hold(verb="list", resource=ES)
    scene.proxy.hold(verb="watch", resource=ES)
    scene.start(wait=False)
    scene.proxy.wait_for_requests(1, resource=ES, user_agent="*(watch)")
    scene.end()

    assert scene.secrets() == {}
