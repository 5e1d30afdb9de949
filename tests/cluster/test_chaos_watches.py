"""Watches that are cut, fall silent, end with an error or begin anew: nothing is lost, and nothing comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.eventually import eventually
from keyferry.testing.tenant import SYNC_S, Tenant

from .chaos import ES, PATHS, Scene

pytestmark = pytest.mark.long

SILENCE = "--watch-silence=1s"


@pytest.fixture(params=PATHS)
def scene(
    request: pytest.FixtureRequest,
    tenant: Tenant,
    api_proxy: ApiProxy,
    proxied_kubeconfig: Path,
    private_operator: Callable[..., object],
) -> Scene:
    """On each of the two event paths."""
    return _opened(Scene(tenant, api_proxy, proxied_kubeconfig, private_operator, request.param))


@pytest.fixture
def inline(
    tenant: Tenant,
    api_proxy: ApiProxy,
    proxied_kubeconfig: Path,
    private_operator: Callable[..., object],
) -> Scene:
    """On the inline path alone."""
    return _opened(Scene(tenant, api_proxy, proxied_kubeconfig, private_operator))


def _opened(scene: Scene) -> Scene:
    scene.open_store()
    return scene


def live_through_a_gap(scene: Scene, end: Callable[[], None]) -> None:
    """While the operator sees no ExternalSecrets: one comes, one changes, one goes. Then it sees again."""
    scene.create("new", key="key-1")
    scene.change("changed", "key-2")
    scene.delete("gone")
    scene.tenant.wait_gone("Secret", "gone")  # the owner has gone, and the operator cannot know
    scene.proxy.reset_requests()
    end()
    scene.wait_synced()


def begin(scene: Scene, *flags: str) -> None:
    scene.create("kept", "changed", "gone")
    scene.start(*flags)
    scene.wait_synced()


# -- ExternalSecrets


def test_events_in_the_gap_of_a_cut_watch_arrive_after_it(scene: Scene) -> None:
    begin(scene)
    live_through_a_gap(scene, scene.gap(ES))

    assert scene.proxy.count(verb="list", resource=ES) == 0
    eventually(lambda: scene.is_forgotten("gone"))
    assert (scene.secrets_created(), scene.statuses_written("gone")) == (1, 0)
    scene.settle()


def test_watch_that_falls_silent_is_renewed_and_nothing_is_lost(scene: Scene) -> None:
    begin(scene, SILENCE)
    scene.proxy.stall_watches(ES)
    scene.proxy.reset_requests()

    def renewed() -> None:
        scene.proxy.wait_for_requests(1, verb="watch", resource=ES)
        scene.proxy.resume_watches()

    live_through_a_gap(scene, renewed)

    eventually(lambda: scene.is_forgotten("gone"))
    assert scene.statuses_written("gone") == 0
    scene.settle()


def test_watch_that_stays_silent_is_replaced_by_lists(inline: Scene) -> None:
    """Not even new watches bring anything, as behind a proxy that waits for an answer's end."""
    begin(inline, SILENCE)
    inline.proxy.stall_watches(ES)
    live_through_a_gap(inline, lambda: None)

    eventually(lambda: inline.is_forgotten("gone"))
    inline.proxy.resume_watches()
    inline.settle()


def test_deletions_before_a_relist_are_learnt(scene: Scene) -> None:
    """410 Gone: the list cannot tell what is not in it. On the public path a comparison follows at once."""
    begin(scene)

    def error() -> None:
        end()

    scene.proxy.send_watch_error(410, ES)
    end = scene.gap(ES)
    live_through_a_gap(scene, error)

    eventually(lambda: scene.is_forgotten("gone"), timeout_s=SYNC_S)
    assert (scene.secrets_created(), scene.statuses_written("gone")) == (1, 0)
    scene.settle()


@pytest.mark.parametrize("code", [410, 500])
def test_error_event_does_not_end_the_operator(scene: Scene, code: int) -> None:
    """On all watches at once. On the public path kopf ends by it, and is started anew."""
    begin(scene)
    scene.proxy.reset_requests()
    watches = scene.proxy.open_watches()
    assert scene.proxy.send_watch_error(code) == watches
    live_through_a_gap(scene, lambda: None)

    scene.wait_watching()
    eventually(lambda: scene.is_forgotten("gone"), timeout_s=SYNC_S)
    scene.settle()


def test_operator_ends_in_order_right_after_an_error_event(scene: Scene) -> None:
    """On the public path kopf is ending just then by itself, and leaves watches behind."""
    begin(scene)
    assert scene.proxy.send_watch_error(500, ES) == 1

    scene.settle()


def test_watch_that_is_refused_for_long_is_tried_again_without_end(scene: Scene) -> None:
    """Nine tries over 54 s are what kopf has patience for of its own."""
    begin(scene)
    statuses = {ES: 503, "secretstores": 403, "clustersecretstores": 401}
    for resource, status in statuses.items():
        for verb in ("list", "watch"):
            scene.proxy.answer(status, verb=verb, resource=resource)
    scene.proxy.reset_requests()
    for resource in statuses:
        scene.proxy.cut_watches(resource)

    def refused() -> None:
        for resource in statuses:
            scene.proxy.wait_for_requests(4, resource=resource, user_agent="*(watch)", timeout_s=20)
        assert max(scene.proxy.count(resource=one, user_agent="*(watch)") for one in statuses) < 20
        scene.proxy.clear()

    live_through_a_gap(scene, refused)

    eventually(lambda: scene.is_forgotten("gone"), timeout_s=SYNC_S)
    scene.settle()


def test_first_stream_that_is_cut_in_the_middle_is_not_taken_for_complete(inline: Scene) -> None:
    names = [f"app-{n}" for n in range(12)]
    inline.create(*names)
    inline.proxy.cut_watches_after(5, resource=ES)
    inline.start()
    inline.wait_synced()

    first = inline.proxy.requests(verb="watch", resource=ES)[:2]
    assert ["sendInitialEvents=true" in one.query for one in first] == [True, True]
    inline.settle()


def test_first_streams_that_never_come_to_their_end_are_replaced_by_pages(inline: Scene) -> None:
    inline.create(*[f"app-{n}" for n in range(12)])
    inline.proxy.cut_watches_after(5, times=2, resource=ES)
    inline.start()

    assert inline.proxy.count(verb="list", resource=ES) == 1
    inline.settle()


@pytest.mark.parametrize("status", [400, 422])
def test_api_server_without_streaming_lists_is_listed_in_pages(inline: Scene, status: int) -> None:
    for resource in (ES, "secretstores", "clustersecretstores"):
        inline.proxy.answer(status, times=1, verb="watch", resource=resource)
    begin(inline)
    live_through_a_gap(inline, inline.gap(ES))

    assert all("sendInitialEvents" not in one.query for one in inline.proxy.requests(verb="watch"))
    inline.settle()


def test_stores_that_change_in_a_gap_are_taken_over_after_it(scene: Scene) -> None:
    begin(scene)
    end = scene.gap("secretstores")
    scene.tenant.edit("SecretStore", "store", {"spec": {"provider": {"fake": {"validationResult": 2}}}})
    scene.tenant.edit("SecretStore", "store", {"spec": {"provider": {"fake": {"validationResult": 0}}}})
    end()
    scene.tenant.wait_told("store", "Valid", "SecretStore")
    scene.change("changed", "key-3")

    scene.settle()


# -- target Secrets


def cut(scene: Scene) -> Callable[[], None]:
    return scene.gap("secrets")


def fall_silent(scene: Scene) -> Callable[[], None]:
    scene.proxy.stall_watches("secrets")
    scene.proxy.reset_requests()

    def end() -> None:
        scene.proxy.wait_for_requests(1, verb="watch", resource="secrets")
        scene.proxy.resume_watches()

    return end


def stay_silent(scene: Scene) -> Callable[[], None]:
    scene.proxy.stall_watches("secrets")
    return lambda: None


def end_with(code: int) -> Callable[[Scene], Callable[[], None]]:
    def disturb(scene: Scene) -> Callable[[], None]:
        scene.proxy.send_watch_error(code, "secrets")
        return scene.gap("secrets")

    return disturb


@pytest.mark.parametrize(
    "disturb",
    [
        pytest.param(cut, id="cut"),
        pytest.param(fall_silent, id="silent"),
        pytest.param(stay_silent, id="silent-for-good"),
        pytest.param(end_with(410), id="410"),
        pytest.param(end_with(500), id="500"),
    ],
)
def test_drift_of_secrets_in_a_gap_is_repaired_after_it(
    inline: Scene, disturb: Callable[[Scene], Callable[[], None]]
) -> None:
    """One is changed, one is deleted; this watch is ours, not kopf's."""
    begin(inline, SILENCE)
    end = disturb(inline)
    inline.spoil("changed")
    inline.tenant.delete("Secret", "gone")
    end()
    inline.wait_synced()

    inline.proxy.resume_watches()
    inline.settle()
