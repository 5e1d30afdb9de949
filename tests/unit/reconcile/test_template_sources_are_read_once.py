"""ConfigMaps and Secrets with templates: read once for all, read again when a watch tells of another version."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from keyferry.errors import KubeForbidden, NotReadyError
from keyferry.kube.texts import TextObject
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import ObjectKey
from keyferry.reconcile.finish import forget
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.template_sources import FIRST_LIST_S, TemplateSources
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import canary

MAP = ObjectKey("ConfigMap", "team-0", "texts")
SECRET = ObjectKey("Secret", "team-0", "texts")
USER = ObjectKey("ExternalSecret", "team-0", "app")
OTHER = ObjectKey("ExternalSecret", "team-0", "other")


class Cluster:
    """An API server with one ConfigMap and one Secret, by which the engine's own book of sources is tried."""

    def __init__(self, bench, server, play) -> None:
        self.bench, self.engine, self.server, self._play = bench, bench.engine, server, play
        self.data: dict[str, str] | None = {"a": "A", "b": "B"}
        self.version = 7
        self.lists = True
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        server.otherwise = self._answer
        self.observer = Observer(self.engine)

    @property
    def sources(self) -> TemplateSources:
        return self.engine.sources

    def _body(self, kind: str) -> dict:
        data = self.data or {}
        if kind == "secrets":
            data = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        times = [{"time": f"2026-01-05T10:00:{second:02}Z"} for second in (5, 9, 7)]
        metadata = {"name": "texts", "namespace": "team-0", "resourceVersion": str(self.version)}
        return {
            "metadata": metadata | {"managedFields": times, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": data,
        }

    async def _answer(self, request):
        kind, _, name = request.path.partition("/namespaces/team-0/")[2].partition("/")
        if name:
            if self.data is None:
                return await self._play.refuses(404, "not found")(request)
            return await self._play.says(200, self._body(kind))(request)
        if request.query.get("watch"):
            return await self._stream(request)
        if not self.lists:
            return await self._play.refuses(403, "no")(request)
        items = [] if self.data is None else [{"metadata": self._body("configmaps")["metadata"]}]
        return await self._play.says(200, {"metadata": {"resourceVersion": "9"}, "items": items})(request)

    async def _stream(self, request):
        event = await self.events.get()
        return await self._play.streams(event, then="hang")(request)

    def change(self, **data: str) -> None:
        """Somebody writes; the watches tell later, by `tell`."""
        self.data, self.version = data, self.version + 1

    def tell(self, version: int | None = None, kind: str = "MODIFIED") -> None:
        """The watch of ConfigMaps tells."""
        metadata = {"name": "texts", "namespace": "team-0", "resourceVersion": str(version or self.version)}
        self.events.put_nowait(json.dumps({"type": kind, "object": {"metadata": metadata}}).encode() + b"\n")

    def tell_of_secret(self, change: Change = Change.SET) -> None:
        self.observer.secret(change, ObjectMeta("texts", "team-0", "u", str(self.version)))

    def use(self, *needs: ObjectKey, user: ObjectKey = USER) -> None:
        self.engine.books.dependents.link(user, needs, ())
        self.sources.use(self.engine, user, needs)

    async def read(self, need: ObjectKey = MAP, *keys: str) -> dict[str, str]:
        found = await self.sources.read(self.engine, need, keys or ("a",))
        return {key: text.reveal().decode() for key, text in found.texts.items()}

    def reads(self) -> int:
        return sum(seen.path.endswith("/texts") for seen in self.server.seen)

    def watching(self) -> int:
        return sum(seen.path.endswith("/configmaps") for seen in self.server.seen)


@pytest.fixture
async def cluster(bench, server, play) -> AsyncIterator[Cluster]:
    yield Cluster(bench, server, play)
    await bench.engine.sources.close()


@pytest.mark.parametrize("need", [MAP, SECRET], ids=["ConfigMap", "Secret"])
async def test_object_is_read_once_for_all_who_use_it(cluster, need) -> None:
    cluster.use(need)
    cluster.use(need, user=OTHER)

    found = await asyncio.gather(*(cluster.read(need) for _ in range(10)))

    assert found == [{"a": "A"}] * 10
    assert cluster.reads() == 1


async def test_other_key_is_read_and_kept_too(cluster) -> None:
    cluster.use(SECRET)

    found = [await cluster.read(SECRET, *keys) for keys in (("a",), ("b",), ("a", "b", "c"), ("c",))]

    assert found == [{"a": "A"}, {"a": "A", "b": "B"}, {"a": "A", "b": "B"}, {"a": "A", "b": "B"}]
    assert cluster.reads() == 3


async def test_what_is_read_tells_its_keys_and_when_it_was_written(cluster) -> None:
    cluster.use(MAP)

    found = await cluster.sources.read(cluster.engine, MAP, ["a", "none"])

    assert (found.keys, found.version) == (("a", "b"), "7")
    assert found.modified == datetime(2026, 1, 5, 10, 0, 9, tzinfo=UTC)


async def test_change_of_a_config_map_wakes_its_users_who_read_it_again(cluster, play) -> None:
    cluster.use(MAP)
    await cluster.read()
    cluster.change(a="2")
    cluster.tell()
    await play.until(lambda: cluster.engine.queue.depth(Lane.EVENT))

    assert await cluster.bench.taken() == [(USER, Lane.EVENT)]
    assert [await cluster.read() for _ in range(3)] == [{"a": "2"}] * 3
    assert cluster.reads() == 2


async def test_change_of_a_secret_is_told_by_the_watch_there_is_anyway(cluster) -> None:
    cluster.use(SECRET)
    await cluster.read(SECRET)
    cluster.tell_of_secret()
    unchanged = await cluster.read(SECRET)
    cluster.change(a="2")
    cluster.tell_of_secret()

    assert (unchanged, await cluster.read(SECRET)) == ({"a": "A"}, {"a": "2"})
    assert cluster.reads() == 2


async def test_object_that_is_gone_is_not_served_from_memory(cluster) -> None:
    cluster.use(SECRET)
    await cluster.read(SECRET)
    cluster.data = None
    cluster.tell_of_secret(Change.GONE)
    for _ in range(2):
        with pytest.raises(NotReadyError, match='Secret "team-0/texts" does not exist'):
            await cluster.read(SECRET)
    cluster.change(a="2")
    cluster.tell_of_secret()

    assert await cluster.read(SECRET) == {"a": "2"}


async def test_change_that_is_told_while_it_is_read_is_not_lost(cluster) -> None:
    """The answer may be from before it."""
    cluster.use(SECRET)
    reading = asyncio.ensure_future(cluster.read(SECRET))
    await asyncio.sleep(0)
    cluster.version += 1
    cluster.tell_of_secret()
    cluster.version -= 1
    await reading
    cluster.change(a="2")

    assert await cluster.read(SECRET) == {"a": "2"}


async def test_watch_that_lags_makes_it_read_again_until_it_has_caught_up(cluster) -> None:
    cluster.use(SECRET)
    await cluster.read(SECRET)
    cluster.change(a="2")
    newer = cluster.version
    cluster.version = 3
    cluster.tell_of_secret()
    cluster.version = newer
    assert await cluster.read(SECRET) == {"a": "2"}
    cluster.tell_of_secret()

    assert await cluster.read(SECRET) == {"a": "2"}
    assert cluster.reads() == 2


async def test_config_maps_are_watched_while_one_is_used(cluster, play) -> None:
    cluster.use(SECRET)
    await cluster.read(SECRET)
    assert cluster.watching() == 0
    cluster.use(MAP)
    cluster.use(MAP, user=OTHER)
    await cluster.read()
    assert list(cluster.sources.places("ConfigMap")) == [("team-0", "texts")]
    cluster.sources.release(cluster.engine, OTHER)
    cluster.engine.books.external_secrets[USER] = cluster.bench.record
    forget(cluster.engine, USER)
    cluster.sources.release(cluster.engine, USER)

    assert list(cluster.sources.places("ConfigMap")) == []
    await play.until(lambda: len(cluster.sources._tasks) == 0)
    assert not cluster.sources.changed(MAP, "8")


async def test_operator_of_one_namespace_watches_there_alone(cluster) -> None:
    cluster.bench.change_settings(namespace="team-0")
    cluster.use(MAP)
    await cluster.read()

    assert {seen.path for seen in cluster.server.seen if seen.query} == {
        "/api/v1/namespaces/team-0/configmaps"
    }


async def test_first_list_wakes_nobody(cluster) -> None:
    """Who uses an object is about to read it; a thousand would look for nothing."""
    cluster.use(MAP)
    before = cluster.sources.changed(MAP, "6")
    await cluster.read()

    assert (before, await cluster.bench.taken()) == (False, [])
    assert cluster.sources.changed(MAP, "8")
    assert not cluster.sources.changed(MAP, "7")
    assert cluster.sources.changed(MAP, "")


async def test_without_the_right_to_watch_each_reads_for_himself(cluster, monkeypatch) -> None:
    monkeypatch.setattr("keyferry.reconcile.template_sources.FIRST_LIST_S", 0.01)
    cluster.lists = False
    cluster.use(MAP)

    assert [await cluster.read() for _ in range(3)] == [{"a": "A"}] * 3
    assert cluster.reads() == 3
    assert FIRST_LIST_S > 1


async def test_refusal_tells_which_rights_are_needed(cluster, server, play) -> None:
    cluster.use(SECRET)
    server.otherwise = play.refuses(403, "secrets is forbidden")

    with pytest.raises(KubeForbidden) as caught:
        await cluster.read(SECRET)

    assert caught.value.hint == "Let the operator get, list and watch secrets"


async def test_what_is_kept_is_bounded_and_shows_nothing(cluster) -> None:
    """Those used longest ago make room; what is larger than all room is not shared, and served all the same."""
    secret = canary("text")
    cluster.data = {"a": secret + "x" * 3000}
    sources = cluster.engine.sources = TemplateSources(max_bytes=6000)
    many = [ObjectKey("Secret", "team-0", f"texts-{number}") for number in range(3)]

    async def read(name):
        return await sources.read(cluster.engine, name, ["a"])

    sources.use(cluster.engine, USER, many)
    for need in many:
        cluster.version += 1
        await read(need)
    before = len(cluster.server.seen)
    await read(many[2])
    assert len(cluster.server.seen) == before
    found = await read(many[0])

    assert len(cluster.server.seen) == before + 1
    assert found.texts["a"].reveal().decode().startswith(secret)
    assert secret not in repr(found) + repr(sources.__dict__)


@pytest.mark.parametrize("max_bytes", [1 << 30, 4000], ids=["with room", "without room"])
async def test_one_more_costs_the_same_however_many_there_are(cluster, max_bytes) -> None:
    """Also where most texts had to make room: those without are not passed by each time."""
    found = TextObject("1", None, {"a": SecretBytes(b"x" * 3000)}, ("a",))
    calls = []
    for many in (20, 400):
        sources = cluster.engine.sources = TemplateSources(max_bytes)
        users = [ObjectKey("ExternalSecret", "team-0", f"app-{number}") for number in range(many)]
        for user in users:
            need = ObjectKey("Secret", "team-0", user.name)
            sources.use(cluster.engine, user, [need])
            sources._set(need, sources._objects[need], found, frozenset("a"))
        counted = 0

        def count(_frame: object, event: str, _arg: object) -> None:
            nonlocal counted
            counted += event == "call"

        gc.disable()  # what else is collected meanwhile may have finalizers
        sys.setprofile(count)
        try:
            sources.use(cluster.engine, USER, [SECRET])
            sources._set(SECRET, sources._objects[SECRET], found, frozenset("a"))
            sources.release(cluster.engine, USER)
        finally:
            sys.setprofile(None)
            gc.enable()
        calls.append(counted)

    assert calls[0] == calls[1]


async def test_who_was_forgotten_meanwhile_reads_for_himself(cluster) -> None:
    assert await cluster.read(SECRET) == {"a": "A"}
    assert list(cluster.sources.places("Secret")) == []
