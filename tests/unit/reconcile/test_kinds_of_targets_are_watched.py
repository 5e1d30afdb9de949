"""Kinds of targets that are no Secret: asked for once, watched while they are used, and no longer."""

from __future__ import annotations

import json

import pytest

from keyferry.core.manifest import Manifest
from keyferry.errors import KubeUnavailable, NotReadyError, SpecError
from keyferry.kube.manifests import Resource
from keyferry.ports import ObjectKey
from keyferry.reconcile.finish import forget
from keyferry.reconcile.generic_target import MAX_WATCHES, SERVED_S, UNSERVED_S
from keyferry.reconcile.queue import Lane

WIDGET = Manifest("example.com/v1", "Widget")
WIDGETS = Resource("widgets", namespaced=True)
TARGET = ObjectKey("Widget.example.com", "team-0", "db")
USER = ObjectKey("ExternalSecret", "team-0", "app")
OTHER = ObjectKey("ExternalSecret", "team-0", "other")
SERVED = {
    "resources": [
        {"name": "widgets/status", "kind": "Widget", "namespaced": True},
        {"name": "widgets", "kind": "Widget", "namespaced": True},
        {"name": "gadgets", "kind": "Gadget", "namespaced": False},
    ]
}


@pytest.fixture
async def generic(bench):
    """The engine's own book of such targets; its watches end with the test."""
    yield bench.engine.generic
    await bench.engine.generic.close()


# -- which resource a kind is


async def test_kind_is_asked_for_once_for_some_minutes(bench, generic, server, play) -> None:
    server.otherwise = play.says(200, SERVED)

    found = [await generic.resource(bench.engine, WIDGET) for _ in range(3)]
    bench.clock.advance(SERVED_S)
    found.append(await generic.resource(bench.engine, WIDGET))

    assert found == [WIDGETS] * 4
    assert [seen.path for seen in server.seen] == ["/apis/example.com/v1"] * 2


async def test_kind_of_the_core_group_is_asked_for_there(bench, generic, server, play) -> None:
    server.otherwise = play.says(
        200, {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}
    )

    assert await generic.resource(bench.engine, Manifest("v1", "ConfigMap")) == Resource(
        "configmaps", namespaced=True
    )
    assert [seen.path for seen in server.seen] == ["/api/v1"]


@pytest.mark.parametrize("installed", [False, True])
async def test_kind_that_there_is_not_is_asked_for_again_soon(
    bench, generic, server, play, installed
) -> None:
    server.otherwise = play.refuses(404, "not found")
    for _ in range(2):
        with pytest.raises(NotReadyError, match='no kind "Widget"'):
            await generic.resource(bench.engine, WIDGET)
    assert len(server.seen) == 1
    bench.clock.advance(UNSERVED_S)
    if installed:
        server.otherwise = play.says(200, SERVED)
        assert await generic.resource(bench.engine, WIDGET) == WIDGETS
    else:
        with pytest.raises(NotReadyError):
            await generic.resource(bench.engine, WIDGET)

    assert len(server.seen) == 2


async def test_kind_that_moved_is_asked_for_at_once(bench, generic, server, play) -> None:
    server.otherwise = play.says(200, SERVED)
    await generic.resource(bench.engine, WIDGET)
    generic.forget_resource(WIDGET)
    await generic.resource(bench.engine, WIDGET)

    assert len(server.seen) == 2


async def test_kind_of_the_cluster_is_refused(bench, generic, server, play) -> None:
    server.otherwise = play.says(200, SERVED)

    with pytest.raises(SpecError, match="objects of kind Gadget belong to no namespace"):
        await generic.resource(bench.engine, Manifest("example.com/v1", "Gadget"))


async def test_answer_that_is_no_list_of_kinds_is_told(bench, generic, server, play) -> None:
    server.otherwise = play.says(200, raw=b"<html>")

    with pytest.raises(KubeUnavailable, match="the API server's list of kinds cannot be read"):
        await generic.resource(bench.engine, WIDGET)


# -- watches


def told(*names: str, version: str = "7") -> dict:
    """A list of metadata, as the API server gives it."""
    items = [
        {"metadata": {"namespace": "team-0", "name": name, "resourceVersion": version}} for name in names
    ]
    return {"metadata": {"resourceVersion": "9"}, "items": items}


def follow(bench, user=USER, manifest=WIDGET, target=TARGET) -> None:
    bench.engine.generic.follow(bench.engine, user, manifest, WIDGETS, target)


async def test_watch_begins_with_the_first_user_and_ends_with_the_last(bench, generic, server, play) -> None:
    server.otherwise = play.hangs
    follow(bench)
    follow(bench, OTHER)
    follow(bench)
    await play.until(lambda: server.seen)
    generic.release(USER)
    still = generic.watched
    generic.release(OTHER)
    generic.release(OTHER)

    assert (still, generic.watched) == ({WIDGET}, frozenset())
    (seen,) = server.seen
    assert seen.path == "/apis/example.com/v1/widgets"
    assert seen.query["labelSelector"] == "reconcile.external-secrets.io/managed=true"


async def test_operator_of_one_namespace_watches_there_alone(bench, generic, server, play) -> None:
    server.otherwise = play.hangs
    bench.change_settings(namespace="team-0")
    follow(bench)
    await play.until(lambda: server.seen)

    assert server.seen[0].path == "/apis/example.com/v1/namespaces/team-0/widgets"


async def test_other_kind_of_target_ends_the_watch_of_the_one_before(bench, generic, server, play) -> None:
    server.otherwise = play.hangs
    other = Manifest("example.com/v1", "Gizmo")
    follow(bench)
    follow(bench, manifest=other, target=ObjectKey(other.label, "team-0", "db"))

    assert generic.watched == {other}


async def test_deleted_external_secret_ends_its_watch(bench, generic, server, play) -> None:
    server.otherwise = play.hangs
    follow(bench, bench.key)
    forget(bench.engine, bench.key)

    assert generic.watched == frozenset()


async def test_number_of_watched_kinds_is_bounded(bench, generic, server, play, caplog) -> None:
    server.otherwise = play.hangs
    for number in range(MAX_WATCHES + 2):
        manifest = Manifest("example.com/v1", f"Kind{number}")
        user = ObjectKey("ExternalSecret", "team-0", f"app-{number}")
        follow(bench, user, manifest, ObjectKey(manifest.label, "team-0", "db"))
    assert len(generic.watched) == MAX_WATCHES
    assert sum("are repaired at their refresh only" in record.message for record in caplog.records) == 1
    generic.release(ObjectKey("ExternalSecret", "team-0", "app-0"))
    generic.release(ObjectKey("ExternalSecret", "team-0", f"app-{MAX_WATCHES}"))

    assert len(generic.watched) == MAX_WATCHES - 1


async def test_our_own_write_and_objects_of_nobody_wake_nobody(bench, generic, server, play) -> None:
    bench.engine.books.dependents.link(USER, (TARGET,), ())
    generic.note_intact(TARGET, "7")
    server.script.append(play.says(200, told("db", "nobodys")))
    server.otherwise = play.hangs
    follow(bench)
    await play.until(lambda: len(server.seen) == 2)

    assert await bench.taken() == []


@pytest.mark.parametrize(("change", "version"), [("MODIFIED", "8"), ("DELETED", "7")])
async def test_change_of_a_target_wakes_its_external_secret(
    bench, generic, server, play, *, change, version
) -> None:
    bench.engine.books.dependents.link(USER, (TARGET,), ())
    generic.note_intact(TARGET, "7")
    event = {"type": change, "object": told("db", version=version)["items"][0]}
    server.script.append(play.says(200, told("db")))
    server.script.append(play.streams(json.dumps(event).encode() + b"\n", then="hang"))
    follow(bench)
    await play.until(lambda: bench.engine.queue.depth(Lane.EVENT))

    assert await bench.taken() == [(USER, Lane.EVENT)]


async def test_target_that_vanished_while_nobody_watched_wakes_its_external_secret(
    bench, generic, server, play
) -> None:
    bench.engine.books.dependents.link(USER, (TARGET,), ())
    generic.note_intact(TARGET, "7")
    server.script.append(play.says(200, told()))
    server.otherwise = play.hangs
    follow(bench)
    await play.until(lambda: bench.engine.queue.depth(Lane.EVENT))

    assert await bench.taken() == [(USER, Lane.EVENT)]
