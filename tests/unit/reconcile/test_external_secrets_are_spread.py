"""A ClusterExternalSecret's reconcile: what it asks and writes, whom it passes over, when it comes back."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from aiohttp import web

from keyferry.core.backoff import PATIENCE
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import ObjectKey
from keyferry.reconcile.cluster_external_secret import (
    CONCURRENCY,
    PAUSE_EACH_S,
    reconcile_cluster_external_secret,
)
from keyferry.reconcile.namespace import FORBIDDEN_S, NAMESPACE, RETRY_S, reconcile_namespace
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Claim, Lane
from keyferry.testing import builders

KEY = ObjectKey("ClusterExternalSecret", "", "ces")
ES = builders.external_secret("x", builders.entry("v", "db"))
API = "/apis/external-secrets.io/v1"
CES = f"{API}/clusterexternalsecrets/ces"
LABELS = {"team": "x"}
SELECTOR = {"matchLabels": LABELS}


def place(namespace: str, name: str = "ces") -> str:
    return f"{API}/namespaces/{namespace}/externalsecrets/{name}"


def status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "message": message, "code": code}
    return web.json_response(body, status=code)


class Cluster:
    """The API server: objects by path, versions that only grow, refusals by method and path, and admission.

    What `admission` holds for a path is merged into the spec that is written there.
    """

    def __init__(self, server: Any) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.refusals: dict[tuple[str, str], tuple[int, str]] = {}
        self.admission: dict[str, dict[str, Any]] = {}
        self.server = server
        self._version = 100
        server.otherwise = self.answer

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        stored = copy.deepcopy(body)
        stored["metadata"] = {"uid": f"uid-{path}", "generation": 1, **body["metadata"]}
        if path in self.admission:
            stored["spec"] |= self.admission[path]
        self._version += 1
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = stored
        return stored

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removesuffix("/status")
        refusal = self.refusals.get((request.method, request.path))
        if refusal is not None:
            return status(*refusal)
        body = json.loads(await request.read() or b"{}")
        if request.method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return status(409, "already exists")
            return web.json_response(self.put(path, body), status=201)
        if path not in self.objects:
            return status(404, "not found")
        found = self.objects[path]
        if request.method == "DELETE":
            return web.json_response(self.objects.pop(path))
        if request.method == "PUT":
            if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                return status(409, "changed")
            before = found
            found = self.put(path, {**found, "status": body["status"]} if "status" in request.path else body)
            if _meaning(before) == _meaning(found):
                found = self.objects[path] = before
        return web.json_response(found)

    def asked(self) -> list[tuple[str, str]]:
        """Method and path of the requests since the last look."""
        found = [(one.method, one.path) for one in self.server.seen]
        self.server.seen.clear()
        return found


def _meaning(found: dict[str, Any]) -> dict[str, Any]:
    """An object without its version and without what is empty."""
    metadata = {key: value for key, value in found["metadata"].items() if value and key != "resourceVersion"}
    return {**found, "metadata": metadata}


@pytest.fixture
def cluster(server):
    return Cluster(server)


@pytest.fixture
def observer(bench):
    """All is known: the bench's own ExternalSecret, and two namespaces, one of which is selected."""
    made = Observer(bench.engine)
    for kind in ("ExternalSecret", NAMESPACE):
        made.list_is_complete(kind)
    made.namespace(Change.LISTED, namespace("a"))
    made.namespace(Change.LISTED, namespace("b", {}))
    return made


def namespace(name: str, labels: dict[str, str] = LABELS, **more: Any) -> ObjectMeta:
    return ObjectMeta(name, uid=f"uid-{name}", resource_version="1", labels=dict(labels), **more)


@pytest.fixture
def ces(bench, cluster, observer):
    """Creates the object, or changes its spec, and lets the watch tell."""

    def create(**spec: Any) -> None:
        body = builders.cluster_external_secret("ces", ES, **({"namespaceSelectors": [SELECTOR]} | spec))
        before = cluster.objects.get(CES)
        generation = before["metadata"]["generation"] + 1 if before else 1
        body["metadata"] |= {"uid": "uid-1", "generation": generation}
        stored = cluster.put(CES, body | {"status": (before or {}).get("status", {})})
        observer.cluster_external_secret(
            Change.SET, ObjectMeta("ces", uid="uid-1", resource_version=stored["metadata"]["resourceVersion"])
        )

    return create


async def look(bench, lane: Lane = Lane.USER) -> None:
    await reconcile_cluster_external_secret(bench.engine, Claim(KEY, lane, bench.engine.queue.now()))


async def taken(bench) -> list[tuple[ObjectKey, Lane]]:
    """The keys that wait, taken and done."""
    found = []
    while any(bench.engine.queue.depth(lane) for lane in Lane):
        claim = await bench.engine.queue.take()
        bench.engine.queue.done(claim.key)
        found.append((claim.key, claim.lane))
    return found


def told(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects[CES]["status"]
    return found


def message(cluster: Cluster) -> str:
    text: str = told(cluster)["conditions"][0].get("message", "")
    return text


# Asking and writing


async def test_first_look_creates_and_the_second_asks_nothing(bench, cluster, ces):
    ces()
    await look(bench)
    first = cluster.asked()
    await look(bench, Lane.PERIODIC)  # the watch has told nothing yet of our own status
    cluster.asked()
    record = bench.engine.books.cluster_external_secrets[KEY]
    record.version = record.resource_version
    await look(bench, Lane.PERIODIC)

    assert first == [("GET", CES), ("POST", place("a").rpartition("/")[0]), ("PUT", f"{CES}/status")]
    assert cluster.asked() == []
    assert told(cluster)["provisionedNamespaces"] == ["a"]


async def test_nothing_is_done_before_namespaces_and_external_secrets_are_known(bench, cluster, ces):
    bench.engine.books.complete.discard(NAMESPACE)
    ces()
    await look(bench)
    before = cluster.asked()
    await taken(bench)
    Observer(bench.engine).list_is_complete(NAMESPACE)

    assert before == [("GET", CES)]
    assert await taken(bench) == [(KEY, Lane.USER)]


async def test_external_secret_that_the_watch_has_not_told_of_is_only_read(bench, cluster, ces):
    """As after a take-over: it is right, so nothing is written."""
    ces()
    await look(bench)
    made = cluster.objects[place("a")]
    bench.engine.books.forget_external_secret(ObjectKey("ExternalSecret", "a", "ces"))
    cluster.asked()
    await look(bench)

    asked = cluster.asked()
    assert ("GET", place("a")) in asked
    assert [one for one in asked if one[0] == "PUT"] == []
    assert cluster.objects[place("a")] is made


async def test_labels_of_others_are_looked_at_once(bench, cluster, observer, ces):
    ces()
    await look(bench)
    made = cluster.objects[place("a")]
    made["metadata"]["labels"] = {"mine": "1"}
    observer.resource("ExternalSecret", Change.SET, cluster.put(place("a"), made))
    cluster.asked()
    await look(bench)
    first = cluster.asked()
    record = bench.engine.books.cluster_external_secrets[KEY]
    record.version = record.resource_version
    await look(bench)

    assert ("GET", place("a")) in first
    assert cluster.asked() == []


async def test_what_admission_changes_is_tried_once_and_again_at_the_next_check(bench, cluster, ces):
    """No write changes anything, so none is told, and no other namespace's change makes it try again."""
    cluster.admission[place("a")] = {"refreshInterval": "2h"}
    ces()
    await look(bench)
    writes = []
    for lane in (Lane.EVENT, Lane.EVENT, Lane.PERIODIC, Lane.EVENT):
        cluster.asked()
        await look(bench, lane)
        writes.append([one for one in cluster.asked() if one[0] != "GET"])
    cluster.admission.clear()
    await look(bench, Lane.PERIODIC)
    await bench.engine.events.flush(5)

    assert writes == [[("PUT", place("a"))], [], [("PUT", place("a"))], []]
    assert "refreshInterval" not in cluster.objects[place("a")]["spec"]
    told_of = [one["reason"] for path, one in cluster.objects.items() if "/events/" in path]
    assert told_of == ["Created", "Updated"]


async def test_external_secret_of_an_object_that_was_made_anew_is_taken_over(bench, cluster, ces):
    stale = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "name": "ces",
        "uid": "uid-0",
        "controller": True,
    }
    cluster.put(place("a"), ES | {"metadata": {"name": "ces", "namespace": "a", "ownerReferences": [stale]}})
    ces()
    await look(bench)

    assert cluster.objects[place("a")]["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert told(cluster)["provisionedNamespaces"] == ["a"]


async def test_object_that_is_gone_makes_nothing_anew(bench, cluster, observer, ces):
    """Its watch is late, and the garbage collector has begun with the ExternalSecrets."""
    ces()
    await look(bench)
    record = bench.engine.books.cluster_external_secrets[KEY]
    record.version = record.resource_version
    del cluster.objects[CES], cluster.objects[place("a")]
    gone = {"metadata": {"name": "ces", "namespace": "a"}}
    observer.resource("ExternalSecret", Change.GONE, gone)
    cluster.asked()
    await look(bench)

    assert cluster.asked() == [("GET", CES)]
    assert bench.engine.books.cluster_external_secrets == {}
    assert bench.engine.books.controllers == {}


async def test_many_namespaces_are_written_a_few_at_a_time(bench, cluster, observer, ces):
    for number in range(100):
        observer.namespace(Change.SET, namespace(f"n{number:02}"))
    ces()
    await look(bench)

    assert cluster.server.most_at_once <= CONCURRENCY
    assert len(told(cluster)["provisionedNamespaces"]) == 101


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "ending"])
async def test_namespace_whose_end_the_watch_has_not_told_is_no_failure(bench, cluster, ces, gone):
    collection = place("a").rpartition("/")[0]
    cluster.refusals["POST", collection] = (404 if gone else 403, "because it is being terminated")
    if not gone:
        ending = {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        cluster.put("/api/v1/namespaces/a", ending)
    ces()
    await look(bench)

    assert message(cluster) == ""
    assert "failedNamespaces" not in told(cluster)


# Failures and times


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        pytest.param({}, 3600, id="an-hour"),
        pytest.param({"refreshTime": "5m"}, 300, id="its-own-pause"),
        pytest.param({"refreshTime": "0s"}, None, id="never"),
    ],
)
async def test_it_is_looked_at_again_after_its_pause(bench, cluster, ces, fields, due):
    ces(**fields)
    await look(bench)
    found = bench.due_in(KEY)

    assert (found is None) if due is None else (0.9 * due <= found <= due)


async def test_refusal_is_told_and_tried_again_with_growing_pauses(bench, cluster, ces):
    cluster.put("/api/v1/namespaces/a", {"metadata": {"name": "a"}})
    cluster.refusals["POST", place("a").rpartition("/")[0]] = (403, "exceeded quota")
    ces()
    pauses = []
    for _ in range(3):
        await look(bench)
        pauses.append(bench.due_in(KEY))

    assert message(cluster).endswith('namespace "a": exceeded quota')
    assert [round(pause) for pause in pauses] == [1, 2, 4]


async def test_namespaces_that_go_on_failing_are_tried_the_more_rarely_the_more_they_are(
    bench, cluster, observer, ces
):
    """A right that is missing fails in all of them, and each try is a request for each."""
    for number in range(700):
        name = f"n{number:04}"
        observer.namespace(Change.SET, namespace(name))
        cluster.put(f"/api/v1/namespaces/{name}", {"metadata": {"name": name}})
        cluster.refusals["POST", place(name).rpartition("/")[0]] = (403, "no")
    ces()
    record = bench.engine.books.note_cluster_external_secret(KEY, cluster.objects[CES])
    record.failures = PATIENCE
    await look(bench)

    assert bench.due_in(KEY) == pytest.approx(700 * PAUSE_EACH_S)


async def test_invalid_external_secret_is_not_tried_again_before_the_pause(bench, cluster, ces):
    cluster.refusals["POST", place("a").rpartition("/")[0]] = (422, "metadata.labels: Invalid value")
    ces()
    await look(bench)

    assert told(cluster)["failedNamespaces"] == [
        {"namespace": "a", "reason": "metadata.labels: Invalid value"}
    ]
    assert bench.due_in(KEY) > 3000


async def test_failed_deletion_is_told_by_the_name(bench, cluster, observer, ces):
    ces()
    await look(bench)
    cluster.refusals["DELETE", place("a")] = (403, "no")
    observer.namespace(Change.SET, namespace("a", {}))
    await look(bench)

    assert 'namespace "a": cannot delete ExternalSecret "ces": no' in message(cluster)
    assert bench.due_in(KEY) < 2


async def test_what_is_not_our_own_any_more_is_not_deleted(bench, cluster, observer, ces):
    ces()
    await look(bench)
    cluster.objects[place("a")]["metadata"]["ownerReferences"] = []  # and the watch has not told
    observer.namespace(Change.SET, namespace("a", {}))
    await look(bench)

    assert place("a") in cluster.objects


async def test_somebody_who_writes_at_the_same_time_is_met_three_times(bench, cluster, observer, ces):
    ces()
    await look(bench)
    made = cluster.objects[place("a")]
    made["metadata"]["generation"] = 2
    edited = cluster.put(place("a"), made | {"spec": {**made["spec"], "refreshInterval": "5m"}})
    observer.resource("ExternalSecret", Change.SET, edited)
    cluster.refusals["PUT", place("a")] = (409, "changed again")
    cluster.asked()
    await look(bench)

    assert cluster.asked().count(("PUT", place("a"))) == 3
    assert message(cluster).endswith("changed again")


async def test_status_that_is_not_taken_is_tried_again(bench, cluster, ces, caplog):
    cluster.refusals["PUT", f"{CES}/status"] = (403, "no status")
    ces()
    for _ in range(2):
        await look(bench)
        first = bench.due_in(KEY)
    cluster.refusals.clear()
    bench.clock.advance(first)
    await look(bench)

    assert 0 < first <= 2
    assert [
        one.message for one in caplog.records if "no status" in one.message and one.levelname == "WARNING"
    ]
    assert told(cluster)["provisionedNamespaces"] == ["a"]
    assert bench.due_in(KEY) > 3000


async def test_status_that_conflicts_with_an_edit_starts_anew(bench, cluster, ces):
    ces()
    await taken(bench)
    answer = cluster.answer

    async def edited_before(request: web.Request) -> web.StreamResponse:
        if request.method == "PUT":
            cluster.objects[CES]["metadata"]["generation"] = 2
            cluster.put(CES, cluster.objects[CES])
        return await answer(request)

    cluster.server.otherwise = edited_before
    await look(bench)

    assert cluster.objects[CES]["status"] == {}
    assert (KEY, Lane.USER) in await taken(bench)


async def test_object_that_cannot_be_read_is_tried_again_and_kept(bench, cluster, ces):
    ces()
    cluster.refusals["GET", CES] = (500, "broken")
    await look(bench)

    assert 0 < bench.due_in(KEY) <= 1
    assert KEY in bench.engine.books.cluster_external_secrets


async def test_edit_while_namespaces_are_written_starts_anew(bench, cluster, ces):
    ces()
    answer = cluster.answer

    async def edited_meanwhile(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            record = bench.engine.books.cluster_external_secrets[KEY]
            record.generation += 1
        return await answer(request)

    cluster.server.otherwise = edited_meanwhile
    await taken(bench)
    await look(bench)

    assert ("PUT", f"{CES}/status") not in cluster.asked()
    assert (KEY, Lane.USER) in await taken(bench)


async def test_edit_that_is_told_while_the_object_is_read_is_not_lost(bench, cluster, ces):
    """The answer is from before the edit, and comes after the watch has told of it."""
    ces(externalSecretMetadata={"labels": {"a": "1"}})
    await look(bench)
    bench.engine.books.cluster_external_secrets[KEY].version = "told of"
    answer = cluster.answer

    async def edited_meanwhile(request: web.Request) -> web.StreamResponse:
        cluster.server.otherwise = answer
        read = await answer(request)
        ces(externalSecretMetadata={"labels": {"b": "2"}})
        return read

    cluster.server.otherwise = edited_meanwhile
    await look(bench)
    await look(bench)

    assert cluster.objects[place("a")]["metadata"]["labels"]["b"] == "2"


# Whom an event concerns


async def test_namespace_wakes_only_whom_its_change_concerns(bench, cluster, observer, ces):
    ces()
    await look(bench)
    await taken(bench)
    for change, meta, woken in (
        (Change.SET, namespace("b", {"unrelated": "1"}), False),
        (Change.SET, namespace("b", LABELS), True),
        (Change.SET, namespace("b", {**LABELS, "unrelated": "1"}), False),
        (Change.LISTED, namespace("b", {**LABELS, "unrelated": "1"}), False),
        (Change.SET, namespace("b", LABELS, deletion_timestamp="2026-01-01T00:00:00Z"), True),
        (Change.GONE, namespace("b"), False),
        (Change.SET, namespace("b", LABELS), True),
        (Change.GONE, namespace("b"), True),
    ):
        observer.namespace(change, meta)
        assert ((KEY, Lane.EVENT) in await taken(bench)) is woken, (change, meta)


async def test_namespaces_wake_nobody_where_the_kind_is_switched_off(bench, cluster, observer, ces):
    ces()
    await look(bench)
    await taken(bench)
    bench.change_settings(cluster_external_secrets=False)
    held = namespace("b", LABELS, finalizers=["externalsecrets.external-secrets.io/ces-x"])
    observer.namespace(Change.SET, held)

    assert await taken(bench) == []


async def test_external_secret_wakes_its_controller_but_not_by_our_own_write(bench, cluster, observer, ces):
    ces()
    await look(bench)
    await taken(bench)
    made = cluster.objects[place("a")]
    observer.resource("ExternalSecret", Change.SET, made)
    echo = await taken(bench)
    edited = cluster.put(place("a"), made | {"metadata": {**made["metadata"], "generation": 2}})
    observer.resource("ExternalSecret", Change.SET, edited)
    woken = await taken(bench)

    assert echo == []
    assert (KEY, Lane.EVENT) in woken


async def test_external_secret_that_was_in_the_way_wakes_who_waits(bench, cluster, observer, ces):
    cluster.put(place("a"), ES | {"metadata": {"name": "ces", "namespace": "a"}})
    ces()
    await look(bench)
    await taken(bench)
    observer.resource("ExternalSecret", Change.GONE, {"metadata": {"name": "ces", "namespace": "a"}})

    assert await taken(bench) == [(KEY, Lane.EVENT)]


async def test_what_was_read_already_is_no_work(bench, cluster, observer, ces):
    ces()
    await look(bench)
    await taken(bench)
    version = cluster.objects[CES]["metadata"]["resourceVersion"]
    observer.cluster_external_secret(Change.SET, ObjectMeta("ces", uid="uid-1", resource_version=version))

    assert await taken(bench) == []


async def test_status_that_somebody_else_wrote_wakes_nobody_and_is_put_right_at_the_next_check(
    bench, cluster, observer, ces
):
    """Another operator that is alive writes its own words: both would take turns for ever."""
    cluster.put(place("a"), ES | {"metadata": {"name": "ces", "namespace": "a"}})
    ces()
    await look(bench)
    await taken(bench)
    ours = message(cluster)
    theirs = {
        "conditions": [{"type": "Ready", "status": "False", "message": "one or more namespaces failed"}]
    }
    stored = cluster.put(CES, cluster.objects[CES] | {"status": theirs})["metadata"]
    told_of = ObjectMeta("ces", uid="uid-1", resource_version=stored["resourceVersion"], generation=1)
    observer.cluster_external_secret(Change.SET, told_of)
    woken = await taken(bench)
    observer.cluster_external_secret(Change.SET, msgspec.structs.replace(told_of, annotations={"a": "b"}))

    assert woken == []
    assert await taken(bench) == [(KEY, Lane.USER)]
    await look(bench, Lane.PERIODIC)
    assert message(cluster) == ours


# Finalizers of the reference operator


@pytest.mark.parametrize("ending", [False, True], ids=["alive", "ending"])
async def test_finalizer_of_the_object_that_cannot_be_taken_off_stops_nothing_else(
    bench, cluster, ces, ending
):
    ces()
    finalizer = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"
    cluster.objects[CES]["metadata"]["finalizers"] = [finalizer]
    if ending:
        cluster.objects[CES]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.refusals["PATCH", CES] = (403, "no")
    await look(bench)

    assert (place("a") in cluster.objects) is not ending
    assert bench.due_in(KEY) <= 1 if ending else bench.due_in(KEY) > 3000


@pytest.mark.parametrize(("code", "least"), [(500, RETRY_S), (403, FORBIDDEN_S)])
async def test_refused_finalizers_of_a_namespace_are_tried_again(bench, cluster, caplog, code, least):
    """Rarely where the right is missing: it is missing for every namespace then."""
    path = "/api/v1/namespaces/a"
    finalizers = ["kept", "externalsecrets.external-secrets.io/ces-x"]
    cluster.put(path, {"metadata": {"name": "a", "finalizers": finalizers}})
    cluster.refusals["PATCH", path] = (code, "no")
    key = ObjectKey(NAMESPACE, "", "a")
    await reconcile_namespace(bench.engine, Claim(key, Lane.EVENT, 0.0))
    refused = bench.due_in(key)
    await reconcile_namespace(bench.engine, Claim(key, Lane.RETRY, 0.0))
    cluster.refusals.clear()
    cluster.server.seen.clear()
    await reconcile_namespace(bench.engine, Claim(key, Lane.RETRY, 0.0))

    assert least <= refused <= 2 * least
    assert [one.levelname for one in caplog.records if "stay on the namespace" in one.message] == ["WARNING"]
    assert [one.json() for one in cluster.server.seen if one.method == "PATCH"] == [
        [
            {"op": "test", "path": "/metadata/finalizers/1", "value": finalizers[1]},
            {"op": "remove", "path": "/metadata/finalizers/1"},
        ]
    ]


async def test_namespace_that_is_gone_needs_nothing(bench, cluster):
    key = ObjectKey(NAMESPACE, "", "a")
    await reconcile_namespace(bench.engine, Claim(key, Lane.EVENT, 0.0))

    assert bench.due_in(key) is None
