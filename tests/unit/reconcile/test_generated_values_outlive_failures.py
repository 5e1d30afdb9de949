"""What a generator made elsewhere, when something fails around the write of the Secret that holds it."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import msgspec
import pytest
from aiohttp import web

from keyferry.api import names
from keyferry.api.conditions import ExternalSecretCondition
from keyferry.api.generators.local import FakeSpec
from keyferry.core.hashing import created_by_hash
from keyferry.kube.watch import Change, ObjectMeta
from keyferry.ports import Generated, ObjectKey
from keyferry.reconcile.books import SecretRecord
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.finish import forget
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Claim, Lane
from keyferry.secretdata import SecretData
from keyferry.testing.builders import entry, external_secret, generated, generator, renamed, store
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
        if request.method == "DELETE":
            await self.tokens.cleanup(None, json.dumps(self.states.pop(name)["spec"]["state"]).encode(), None)
        return web.json_response({})

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


@pytest.fixture
def cluster(bench, server, play) -> Cluster:
    bench.engine.books.forget_external_secret(bench.key)
    return Cluster(bench, server, play)


async def test_secret_that_was_written_without_an_answer_keeps_good_values(cluster) -> None:
    """The connection broke after the write: what the Secret holds now must not be taken back."""
    cluster.lost = {"POST"}
    cluster.put(generated("Fake", "gen"))
    await cluster.look()
    cluster.lost = set()
    await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert cluster.tokens.made == 1


async def test_interval_that_passed_is_no_reason_to_write_twice(cluster) -> None:
    """The same where the values are made because they are due: the write without an answer was theirs."""
    cluster.put(generated("Fake", "gen"), refreshInterval="1h")
    await cluster.look()
    cluster.tell_of_secret()
    cluster.lost = {"PUT"}
    await cluster.look()
    cluster.lost = set()
    cluster.tell_of_secret()
    await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert cluster.tokens.made == 2
    assert cluster.told.reason == "SecretSynced"


@pytest.mark.parametrize("what", ["cut", "refused"])
async def test_values_that_no_secret_holds_are_taken_back(cluster, what) -> None:
    setattr(cluster, what, {"POST"})
    cluster.put(generated("Fake", "gen"))
    await cluster.look()

    assert cluster.tokens.made == 1
    assert cluster.tokens.good == []
    assert cluster.states == {}


async def test_values_of_which_nobody_can_tell_stay_good(cluster) -> None:
    """Their state is still noted: once the object is synced, what is not in the Secret is taken back."""
    cluster.lost, cluster.cut_after_loss = {"POST"}, {"GET"}
    cluster.put(generated("Fake", "gen"))
    await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert len(cluster.states) == 1


@pytest.mark.parametrize("order", [("gen", "other"), ("other", "gen")])
async def test_nothing_is_made_where_another_generator_is_missing(cluster, order) -> None:
    """It is looked for every minute: what is made each time would be taken back each time."""
    cluster.put(*(generated("Fake", name, renamed("token", name)) for name in order))
    for _ in range(3):
        await cluster.look()
    made = cluster.tokens.made
    cluster.generators.add("other")
    await cluster.look()

    assert made == 0
    assert cluster.tokens.made == 2
    assert cluster.secrets["app"]["data"].keys() == set(order)


async def test_store_is_not_asked_where_a_generator_is_missing(cluster) -> None:
    """Stores bill by the call."""
    cluster.put_store({"db": canary("db")})
    cluster.put(entry("v", "db"), generated("Fake", "other"))
    await cluster.look()

    assert "does not exist" in cluster.told.message
    assert cluster.engine.planner.calls == (0, 0)


async def test_refresh_time_in_the_future_does_not_keep_values_for_ever(cluster) -> None:
    """A clock was wrong. From the next look on the interval counts again."""
    cluster.put(generated("Fake", "gen"), refreshInterval="1h")
    await cluster.look()
    cluster.tell_of_secret()
    record = cluster.engine.books.external_secrets[KEY]
    record.refreshed_at += 365 * 86400
    cluster.engine.queue.unschedule(KEY)
    await cluster.look()
    assert cluster.tokens.made == 1
    assert cluster.bench.due_in(KEY) <= 3600
    await cluster.look()

    assert cluster.tokens.made == 2


async def test_secret_whose_former_one_cannot_be_removed_keeps_good_values(cluster) -> None:
    """They are in the Secret already, and are not made again at each try to remove the other one."""
    old = ("team-0", "old")
    owner = {"kind": "ExternalSecret", "name": "app", "uid": "u-1", "controller": True}
    cluster.secrets["old"] = {"metadata": {"uid": "s-0", "ownerReferences": [owner]}}
    created_by = created_by_hash("team-0", "app")
    cluster.engine.books.secrets[old] = SecretRecord(
        "s-0", "1", managed=True, created_by=created_by, data_hash=""
    )
    cluster.engine.books.owned["team-0", created_by] = {"old"}
    cluster.refused = {"DELETE"}
    cluster.put(generated("Fake", "gen"))
    for _ in range(3):
        await cluster.look()

    assert cluster.token() in cluster.tokens.good
    assert cluster.tokens.made == 1


async def test_values_of_another_generator_are_not_kept_while_their_state_ends(cluster) -> None:
    """The entry names another generator now: what the former one made is taken back."""
    cluster.generators.add("other")
    cluster.put(generated("Fake", "gen"))
    await cluster.look()
    cluster.tell_of_secret()
    cluster.engine.queue.unschedule(KEY)
    cluster.put(generated("Fake", "other"), version=2)
    await cluster.look()

    assert cluster.tokens.made == 2
    assert len(cluster.engine.books.generator_states.deadlines) == 1


async def test_values_of_a_former_external_secret_are_not_kept_without_their_state(cluster) -> None:
    """It went, its state went with it, and the Secret stayed: an Orphan."""
    cluster.put(generated("Fake", "gen"), target={"creationPolicy": "Orphan"})
    await cluster.look()
    cluster.tell_of_secret()
    (name,) = cluster.states
    state = cluster.states.pop(name)["spec"]["state"]
    await cluster.tokens.cleanup(None, json.dumps(state).encode(), None)
    forget(cluster.engine, KEY)
    cluster.put(generated("Fake", "gen"), target={"creationPolicy": "Orphan"})
    cluster.engine.books.external_secrets[KEY].uid = "u-2"
    await cluster.look()

    assert cluster.told.reason == "SecretSynced"
    assert cluster.token() in cluster.tokens.good


async def test_write_that_is_refused_again_and_again_makes_values_once(cluster) -> None:
    """A quota or a policy may refuse for days: from the second try on it is asked before anything is made."""
    cluster.refused = {"POST"}
    cluster.put(generated("Fake", "gen"))
    for _ in range(5):
        await cluster.look()
    made = cluster.tokens.made
    cluster.refused = set()
    await cluster.look()

    assert (made, cluster.tokens.made) == (1, 2)
    assert cluster.token() in cluster.tokens.good


async def test_entry_that_is_new_is_no_changed_data(cluster) -> None:
    cluster.put(generated("Fake", "gen"))
    await cluster.look()
    cluster.tell_of_secret()
    cluster.engine.queue.unschedule(KEY)
    cluster.put(generated("Fake", "gen"), generated("Fake", "gen", renamed("token", "second")), version=2)
    await cluster.look()

    assert cluster.secrets["app"]["data"].keys() == {"token", "second"}
    assert cluster.reasons == ["Created", "Updated"]
