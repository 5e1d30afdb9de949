"""A generator whose values are good at some server, and an API server with their Secrets and GeneratorStates."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import msgspec
from aiohttp import web

from keyferry.api import names
from keyferry.api.conditions import ExternalSecretCondition
from keyferry.api.generators.local import FakeSpec
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import Generated, ObjectKey
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Claim, Lane
from keyferry.secretdata import SecretData
from keyferry.testing.builders import external_secret, generator, store
from keyferry.testing.leaks import canary

KEY = ObjectKey(names.EXTERNAL_SECRET, "team-0", "app")
GENERATORS = f"/apis/{names.GENERATORS_API_VERSION}"


class Tokens:
    """A generator whose values are good at some server until they are taken back."""

    kind = "Fake"
    spec = FakeSpec
    stateful = True

    def __init__(self) -> None:
        self.good: list[str] = []
        self.made = 0

    def check(self, view: Any) -> None:
        """All specs are fine."""

    def keys(self, view: Any) -> tuple[str, ...]:
        return ("token",)

    async def generate(self, view: Any, cluster: Any) -> Generated:
        self.made += 1
        token = canary(f"token {self.made}")
        self.good.append(token)
        return Generated(SecretData({"token": token}), json.dumps({"token": self.made}).encode())

    async def cleanup(self, view: Any, state: bytes, cluster: Any) -> None:
        self.good.remove(canary(f"token {json.loads(state)['token']}"))


class Cluster:
    """An API server with Secrets, generators and GeneratorStates, of which the latter end at once."""

    def __init__(self, bench, server, play) -> None:
        self.bench, self.engine, self.play, self.server = bench, bench.engine, play, server
        self.secrets: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.generators = {"gen"}
        self.lost: set[str] = set()
        """Methods whose requests about Secrets are carried out without an answer."""
        self.cut: set[str] = set()
        """Methods whose requests about Secrets are neither carried out nor answered."""
        self.cut_after_loss: set[str] = set()
        """The same, once an answer was lost."""
        self.refused: set[str] = set()
        """Methods that are refused for Secrets."""
        self.tokens = Tokens()
        self.engine.generators = {"Fake": self.tokens}
        self.engine.books.generator_states.complete = True
        self._versions = itertools.count(1)
        server.otherwise = self._answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if "/generatorstates" in request.path:
            return await self._state(request, name)
        if request.path.startswith(GENERATORS):
            found = name in self.generators
            return await (self.play.says(200, generator("Fake", name)) if found else self._nothing)(request)
        if "/secrets" in request.path:
            return await self._secret(request, name)
        return await self.play.says(200, {"metadata": {"name": "app", "uid": "u-1"}})(request)

    @property
    def _nothing(self):
        return self.play.refuses(404, "not found")

    async def _state(self, request: web.Request, name: str) -> web.StreamResponse:
        if request.method == "POST":
            made = await request.json()
            self.states[made["metadata"]["name"]] = made
            return web.json_response(made, status=201)
        if name not in self.states:
            return await self._nothing(request)
        state = self.states[name]
        if request.method == "DELETE":
            await self.tokens.cleanup(None, json.dumps(self.states.pop(name)["spec"]["state"]).encode(), None)
        if request.method == "PATCH":
            for part, changed in (await request.json()).items():
                for field, value in changed.items():
                    merged = {**state[part].get(field, {}), **value} if isinstance(value, dict) else value
                    state[part][field] = merged
        return web.json_response(state)

    async def _secret(self, request: web.Request, name: str) -> web.StreamResponse:
        if request.method in self.refused:
            return await self.play.refuses(403, "no")(request)
        if request.method in self.cut:
            return await self.play.hangs_up(request)
        if request.method in ("POST", "PUT"):
            made = await request.json()
            made["metadata"] |= {"uid": "s-1", "resourceVersion": str(next(self._versions))}
            if "dryRun" in request.query:
                return web.json_response(made, status=201)
            self.secrets[made["metadata"]["name"]] = made
            if request.method in self.lost:
                self.cut |= self.cut_after_loss
                return await self.play.hangs_up(request)
            return web.json_response(made, status=201)
        if name not in self.secrets:
            return await self._nothing(request)
        if request.method == "DELETE":
            del self.secrets[name]
            return web.json_response({})
        return web.json_response(self.secrets[name])

    @property
    def reasons(self) -> list[str]:
        """Of the events so far."""
        events = [seen.json() for seen in self.server.seen if seen.path.endswith("/events")]
        return [event["reason"] for event in events]

    def put_store(self, data: dict[str, str]) -> None:
        """There is a store, and it is ready."""
        made = store(data)
        made["metadata"] |= {"namespace": "team-0", "uid": "s-0", "resourceVersion": "3", "generation": 1}
        key = ObjectKey(names.SECRET_STORE, "team-0", "store")
        self.engine.books.note_store(key, made)
        self.engine.books.stores[key].ready = True

    def put(self, *entries, version=1, **spec) -> None:
        """The watch tells of the ExternalSecret."""
        made = external_secret("app", *entries, **spec)
        made["metadata"] |= {"namespace": "team-0", "uid": "u-1"}
        made["metadata"] |= {"resourceVersion": str(version), "generation": version}
        if (record := self.engine.books.external_secrets.get(KEY)) is not None:
            made["status"] = msgspec.to_builtins(record.read_status())
        self.engine.books.note_external_secret(KEY, made)

    async def look(self) -> None:
        """One look at the ExternalSecret, whenever it is due."""
        if (due := self.bench.due_in(KEY)) is not None:
            self.bench.clock.advance(max(0.0, due))
            self.engine.queue.unschedule(KEY)
        await reconcile_external_secret(self.engine, Claim(KEY, Lane.RETRY, self.engine.queue.now()))
        await self.engine.events.flush(5)

    def tell_of_secret(self) -> None:
        """The watch tells of the target as it is now."""
        meta = self.secrets["app"]["metadata"]
        meta = {
            key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "labels", "annotations")
        }
        Observer(self.engine).secret(Change.SET, msgspec.convert(meta, ObjectMeta))

    def token(self) -> str:
        return base64.b64decode(self.secrets["app"]["data"]["token"]).decode()

    @property
    def told(self) -> ExternalSecretCondition:
        """The condition as it was told last."""
        return self.engine.books.external_secrets[KEY].read_status().conditions[0]
