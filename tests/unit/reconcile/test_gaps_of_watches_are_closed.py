"""The comparison with the API server: what no watch has told is found, and nothing else is touched."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import web

from keyferry.errors import KubeError
from keyferry.ports import ObjectKey
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.resync import Resync, collection_path, resync

KIND = "ExternalSecret"
APIS = "/apis/external-secrets.io/v1"
LIST = f"{APIS}/externalsecrets"


class Cluster:
    """Lists and reads of these bodies, as the API server gives them."""

    def __init__(self, *bodies) -> None:
        self.bodies = list(bodies)
        self.unlisted: list = []
        """There, and in no list yet."""
        self.before_answer = lambda: None

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == LIST:
            self.before_answer()
            items = [{"metadata": body["metadata"]} for body in self.bodies]
            return web.json_response({"metadata": {}, "items": items})
        for body in (*self.bodies, *self.unlisted):
            if request.path.endswith(f"/externalsecrets/{body['metadata']['name']}"):
                return web.json_response(body)
        return web.json_response({"kind": "Status", "code": 404, "message": "not found"}, status=404)


@pytest.fixture
def cluster(server, external_secret):
    server.otherwise = Cluster(external_secret())
    return server.otherwise


async def compare(bench):
    await resync(bench.engine, Observer(bench.engine), KIND)


def reads(server):
    return [seen.path.rpartition("/")[2] for seen in server.seen if seen.path != LIST]


def key(name, namespace="team-0"):
    return ObjectKey(KIND, namespace, name)


async def test_what_is_as_known_is_not_read(bench, server, cluster) -> None:
    await compare(bench)

    assert ([], True) == (reads(server), bench.engine.queue.idle)
    assert "as=PartialObjectMetadataList" in server.seen[0].headers["Accept"]


async def test_unknown_object_is_read_and_worked_on(bench, server, cluster, external_secret) -> None:
    cluster.bodies.append(external_secret(10))

    await compare(bench)

    assert ["orders-10"] == reads(server)
    claim = await bench.engine.queue.take()
    assert (key("orders-10"), Lane.USER) == (claim.key, claim.lane)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"metadata__labels": {"a": "b"}}, id="labels"),
        pytest.param({"metadata__generation": 2}, id="spec"),
        pytest.param({"metadata__generation": 0}, id="spec-restored-from-a-backup"),
        pytest.param({"metadata__uid": "another"}, id="made-anew"),
    ],
)
async def test_change_that_was_missed_is_read_and_worked_on(
    bench, server, cluster, external_secret, change
) -> None:
    cluster.bodies = [external_secret(metadata__resourceVersion="150000", **change)]

    await compare(bench)

    assert ["orders-0"] == reads(server)
    assert bench.key == (await bench.engine.queue.take()).key


async def test_missed_status_is_taken_over_and_no_work(bench, server, cluster, external_secret) -> None:
    cluster.bodies = [external_secret(metadata__resourceVersion="150000")]

    await compare(bench)

    assert (["orders-0"], True) == (reads(server), bench.engine.queue.idle)
    assert "150000" == bench.record.resource_version


async def test_object_that_is_gone_is_forgotten(bench, server, cluster, caplog) -> None:
    caplog.set_level("INFO")
    cluster.bodies.clear()
    bench.engine.queue.schedule(bench.key, bench.engine.queue.now() + 60)

    await compare(bench)

    assert {} == bench.engine.books.external_secrets
    assert 0 == len(bench.engine.queue)
    assert f"{bench.key} is gone, and no watch had told" in caplog.text


async def test_list_alone_is_no_proof_that_an_object_is_gone(bench, server, cluster, external_secret) -> None:
    """It may have been deleted and made anew while the pages came."""
    cluster.bodies.clear()
    cluster.unlisted.append(external_secret())

    await compare(bench)

    assert bench.key in bench.engine.books.external_secrets


async def test_object_that_came_up_during_the_list_is_not_taken_for_gone(
    bench, server, cluster, external_secret
) -> None:
    late = external_secret(10)
    cluster.before_answer = lambda: bench.engine.books.note_external_secret(key("orders-10"), late)

    await compare(bench)

    assert ([], True) == (reads(server), key("orders-10") in bench.engine.books.external_secrets)


async def test_object_that_a_watch_tells_to_be_gone_meanwhile_is_not_read(bench, server, cluster) -> None:
    cluster.bodies.clear()
    cluster.before_answer = lambda: bench.engine.books.forget_external_secret(bench.key)

    await compare(bench)

    assert [] == reads(server)


@pytest.mark.parametrize("code", [403, 410, 503])
async def test_list_that_fails_makes_nobody_forget(bench, server, play, code) -> None:
    server.otherwise = play.refuses(code, "no")

    with pytest.raises(KubeError):
        await compare(bench)

    assert bench.key in bench.engine.books.external_secrets


async def test_read_that_fails_makes_nobody_forget(bench, server, play) -> None:
    server.script.extend([play.says(200, {"metadata": {}, "items": []}), play.refuses(503, "starting")])

    with pytest.raises(KubeError):
        await compare(bench)

    assert bench.key in bench.engine.books.external_secrets


@pytest.mark.parametrize(
    ("kind", "namespace", "path"),
    [
        (KIND, "", LIST),
        (KIND, "team-a", f"{APIS}/namespaces/team-a/externalsecrets"),
        ("SecretStore", "team-a", f"{APIS}/namespaces/team-a/secretstores"),
        ("ClusterSecretStore", "team-a", f"{APIS}/clustersecretstores"),
    ],
)
def test_only_what_we_may_see_is_listed(kind, namespace, path) -> None:
    assert path == collection_path(kind, namespace)


@contextlib.asynccontextmanager
async def running(bench, *kinds, interval_s):
    work = Resync(bench.engine, Observer(bench.engine), list(kinds), interval_s)
    task = asyncio.create_task(work.run())
    yield work
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def empty(server, play, bench):
    """No object is there, and none is known."""
    server.otherwise = play.says(200, {"metadata": {}, "items": []})
    bench.engine.books.forget_external_secret(bench.key)


def lists(server):
    return [seen.path.rpartition("/")[2] for seen in server.seen]


async def test_all_kinds_are_compared_again_and_again(bench, server, play, empty) -> None:
    async with running(bench, KIND, "SecretStore", interval_s=0.01):
        await play.until(lambda: len(server.seen) >= 4)

    assert ["externalsecrets", "secretstores"] * 2 == lists(server)[:4]


async def test_kind_with_a_known_gap_is_compared_at_once_and_alone(bench, server, play, empty) -> None:
    async with running(bench, KIND, "SecretStore", interval_s=3600) as work:
        work.soon("SecretStore")
        await play.until(lambda: server.seen)

    assert ["secretstores"] == lists(server)


async def test_comparison_that_failed_is_made_up_for_with_the_next(
    bench, server, play, empty, caplog
) -> None:
    server.script.append(play.refuses(503, "starting"))
    async with running(bench, KIND, "SecretStore", interval_s=3600) as work:
        work.soon(KIND)
        await play.until(lambda: "resync of ExternalSecret failed" in caplog.text)
        work.soon("SecretStore")
        await play.until(lambda: len(server.seen) == 3)

    assert ["externalsecrets", "externalsecrets", "secretstores"] == lists(server)


async def test_answer_that_nobody_understands_does_not_end_the_comparing(
    bench, server, play, empty, caplog
) -> None:
    server.script.append(play.says(200, raw=b"<html>"))
    async with running(bench, KIND, interval_s=3600) as work:
        work.soon(KIND)
        await play.until(lambda: "a bug in Keyferry" in caplog.text)
        work.soon(KIND)
        await play.until(lambda: len(server.seen) == 2)
