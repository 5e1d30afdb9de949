"""A small real API server for kopf, in a thread of its own.

Of its own, because kopf at its end waits for all tasks of its loop that are younger than itself, and
cancels them: it would take the server along.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

GROUP = "external-secrets.io"
PLURALS = {
    "externalsecrets": ("ExternalSecret", True),
    "secretstores": ("SecretStore", True),
    "clustersecretstores": ("ClusterSecretStore", False),
}


def meta(name: str, version: int = 1, namespace: str = "team-a", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
    } | more


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resource(plural: str, kind: str, *, scoped: bool = True) -> dict[str, Any]:
    return {
        "name": plural,
        "kind": kind,
        "singularName": kind.lower(),
        "namespaced": scoped,
        "verbs": ["get", "list", "watch", "patch", "create"],
    }


class KubeDouble:
    """Discovery, and lists and watches of our resources. Steered from the test's thread.

    Lists say what is in `objects`. A stream sends all of `events[plural]` when it begins, and each further
    one when it is put there with `send`.
    """

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {plural: [] for plural in PLURALS}
        self.streaming_lists = True
        """Whether it knows WatchList; else such a stream is refused with 422."""
        self.refusals: dict[str, deque[int]] = {plural: deque() for plural in PLURALS}
        """Statuses for the next requests of lists and watches of each resource."""
        self.list_body = ""
        """What lists answer in the place of `objects`."""
        self.cut_lists: deque[int] = deque()
        """For the next streaming lists of ExternalSecrets: after how many objects they are cut."""
        self.seen: list[tuple[str, str, dict[str, str], str]] = []
        self._streams: list[tuple[str, asyncio.Queue[bytes | None]]] = []
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = ""

    # -- for tests

    def send(self, plural: str, type_: str, body: dict[str, Any]) -> None:
        """Send an event on all streams of the resource that are open."""
        self.send_line(plural, json.dumps({"type": type_, "object": body}).encode())

    def send_line(self, plural: str, line: bytes) -> None:
        """Send a line as it is."""
        self._loop.call_soon_threadsafe(self._put, plural, line + b"\n")

    def cut(self, plural: str) -> None:
        """End the streams of the resource."""
        self._loop.call_soon_threadsafe(self._put, plural, None)

    def open_streams(self, plural: str) -> int:
        return sum(one == plural for one, _ in self._streams)

    def asked(self, plural: str, *, watch: bool) -> list[dict[str, str]]:
        """The queries of lists or watches of the resource."""
        return [
            query
            for method, path, query, _ in self.seen
            if method == "GET" and path.endswith(f"/{plural}") and ("watch" in query) is watch
        ]

    # -- serving

    def _put(self, plural: str, line: bytes | None) -> None:
        for one, queue in self._streams:
            if one == plural:
                queue.put_nowait(line)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.seen.append(
            (request.method, path, dict(request.query), request.headers.get("Authorization", ""))
        )
        plural = path.rsplit("/", 1)[-1]
        if plural in PLURALS:
            if self.refusals[plural]:
                return self._refuse(self.refusals[plural].popleft())
            return await (self._watch if "watch" in request.query else self._list)(request, plural)
        return web.json_response(self._discovery(path))

    def _refuse(self, status: int) -> web.Response:
        body = {"kind": "Status", "code": status, "message": f"refused with {status}", "reason": "Test"}
        return web.json_response(body, status=status)

    def _discovery(self, path: str) -> dict[str, Any]:
        """What kopf looks for: our resources, and those that it always wants to know of."""
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {"kind": "APIGroupList", "groups": [_group(GROUP), _group("apiextensions.k8s.io")]}
        served = {
            "/api/v1": [_resource("namespaces", "Namespace", scoped=False), _resource("events", "Event")],
            "/apis/apiextensions.k8s.io/v1": [
                _resource("customresourcedefinitions", "CustomResourceDefinition", scoped=False)
            ],
            f"/apis/{GROUP}/v1": [
                _resource(plural, kind, scoped=scoped) for plural, (kind, scoped) in PLURALS.items()
            ],
        }
        return {"kind": "APIResourceList", "resources": served[path]}

    async def _list(self, request: web.Request, plural: str) -> web.Response:
        if self.list_body:
            return web.Response(text=self.list_body, content_type="application/json")
        kind, _ = PLURALS[plural]
        body = {"kind": f"{kind}List", "apiVersion": f"{GROUP}/v1", "metadata": {"resourceVersion": "100"}}
        return web.json_response(body | {"items": self.objects[plural]})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        initial = request.query.get("sendInitialEvents") == "true"
        if initial and not self.streaming_lists:
            return self._refuse(422)
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if initial and self.cut_lists and plural == "externalsecrets":
            for one in self.objects[plural][: self.cut_lists.popleft()]:
                await response.write(json.dumps({"type": "ADDED", "object": one}).encode() + b"\n")
            return response
        if initial:
            for one in self.objects[plural]:
                await response.write(json.dumps({"type": "ADDED", "object": one}).encode() + b"\n")
            end = {"resourceVersion": "100", "annotations": {"k8s.io/initial-events-end": "true"}}
            await response.write(
                json.dumps({"type": "BOOKMARK", "object": {"metadata": end}}).encode() + b"\n"
            )
        self._streams.append((plural, queue))
        try:
            while (line := await queue.get()) is not None:
                await response.write(line)
        finally:
            self._streams.remove((plural, queue))
        return response

    # -- life

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await self._stopped.wait()
        await runner.cleanup()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def kube() -> Iterator[KubeDouble]:
    double = KubeDouble()
    double.start()
    yield double
    double.stop()


@pytest.fixture
def body():
    """Makes the body of an object."""

    def make(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
        return {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ExternalSecret",
            "metadata": meta(name, version, **more),
            "spec": {},
        }

    return make
