"""GeneratorStates: which are in use, what wakes them, and how often their end is tried."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from keyferry.api import names
from keyferry.api.generators.local import FakeSpec
from keyferry.core.lease import first_term, text_of
from keyferry.errors import AuthFailed, KubeNotFound, SpecError, Unavailable
from keyferry.kube.watch import Change, ObjectMeta, OwnerReference
from keyferry.lease import Lease
from keyferry.ports import ObjectKey
from keyferry.reconcile import generator_state
from keyferry.reconcile.generator_state import observe_state, reconcile_generator_state
from keyferry.reconcile.observe import Observer
from keyferry.reconcile.queue import Claim, Lane

KEY = ObjectKey(names.GENERATOR_STATE, "team-0", "one")
PLACE = ("team-0", "one")
PATH = f"/apis/{names.GENERATORS_API_VERSION}/namespaces/team-0/generatorstates/one"


def meta(uid: str = "uid-0", **changes: Any) -> ObjectMeta:
    fields: dict[str, Any] = {
        "name": "one",
        "namespace": "team-0",
        "uid": "uid-state",
        "generation": 1,
        "labels": {names.LABEL_GENERATOR_OWNER: "entry"},
        "annotations": {names.ANNOTATION_CONTROLLER_CLASS: "default"},
        "owner_references": [OwnerReference(kind=names.EXTERNAL_SECRET, uid=uid)] if uid else None,
    }
    return ObjectMeta(**fields | changes)


# What there is


def test_state_is_in_use_until_it_has_a_deadline(bench):
    states = bench.engine.books.generator_states
    observe_state(bench.engine, Change.LISTED, meta())
    used = {place: use.entry for place, use in states.of("uid-0").items()}
    observe_state(bench.engine, Change.SET, meta(generation=2))

    assert used == {PLACE: "entry"}
    assert states.of("uid-0") == {}
    assert states.places() == [PLACE]


@pytest.mark.parametrize(
    "of",
    [
        pytest.param({"deletion_timestamp": "2026-01-01T00:00:00Z"}, id="being-deleted"),
        pytest.param({"owner_references": None}, id="without-an-owner"),
    ],
)
def test_state_that_nobody_uses_is_known_all_the_same(bench, of):
    observe_state(bench.engine, Change.SET, meta(**of))

    assert bench.engine.books.generator_states.of("uid-0") == {}
    assert bench.engine.books.generator_states.within("team-0") == [PLACE]


def test_entry_of_another_operators_state_is_not_known(bench):
    observe_state(bench.engine, Change.SET, meta(annotations=None))

    (use,) = bench.engine.books.generator_states.of("uid-0").values()
    assert "" == use.entry


async def test_state_of_another_class_is_no_work(bench):
    observe_state(bench.engine, Change.SET, meta(annotations={names.ANNOTATION_CONTROLLER_CLASS: "other"}))

    assert bench.engine.books.generator_states.places() == []
    assert await bench.taken() == []


def test_nothing_is_kept_of_a_state_that_is_gone(bench):
    engine = bench.engine
    observe_state(engine, Change.SET, meta())
    engine.books.generator_states.failures[KEY] = 1
    observe_state(engine, Change.GONE, ObjectMeta(namespace="team-0", name="one"))

    assert engine.books.generator_states.places() == []
    assert engine.books.generator_states.of("uid-0") == {}
    assert engine.books.generator_states.failures == {}


async def test_states_are_looked_at_when_their_external_secret_goes(bench):
    engine = bench.engine
    observe_state(engine, Change.SET, meta(uid=bench.record.uid))
    await bench.taken()
    engine.queue.done(KEY)
    body = {"metadata": {"namespace": bench.key.namespace, "name": bench.key.name}}
    Observer(engine).resource(names.EXTERNAL_SECRET, Change.GONE, body)

    assert await bench.taken() == [(KEY, Lane.EVENT)]


async def test_states_are_looked_at_once_when_their_namespace_begins_to_end(bench):
    engine = bench.engine
    observe_state(engine, Change.SET, meta())
    await bench.taken()
    engine.queue.done(KEY)
    ending = ObjectMeta("team-0", uid="uid-ns", deletion_timestamp="2026-01-01T00:00:00Z")
    observer = Observer(engine)
    observer.namespace(Change.SET, ending)
    first = await bench.taken()
    engine.queue.done(KEY)
    observer.namespace(Change.SET, ending)

    assert first == [(KEY, Lane.EVENT)]
    assert await bench.taken() == []


# How often the end is tried


class Failing:
    """A generator that cannot take anything back."""

    kind = "Fake"
    spec = FakeSpec
    stateful = True

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def check(self, view: Any) -> None:
        """All specs are fine."""

    async def cleanup(self, view: Any, state: bytes, cluster: Any) -> None:
        self.asked += 1
        raise self.error


class Deleted:
    """The API server with a state that is being deleted."""

    def __init__(self, server: Any, **annotations: str) -> None:
        self.told: list[str] = []
        self.held = True
        self.annotations = annotations
        server.otherwise = self.answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PATCH" and request.path == PATH:
            self.held = False
        elif request.method == "PATCH":
            (condition,) = json.loads(await request.read())["status"]["conditions"]
            self.told.append(condition["message"])
        metadata = {
            "name": "one",
            "namespace": "team-0",
            "uid": "uid-state",
            "resourceVersion": "1",
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "annotations": self.annotations,
            "finalizers": ["other", names.FINALIZER_GENERATOR_STATE] if self.held else [],
        }
        resource = {"kind": "Fake", "metadata": {"name": "gen", "namespace": "team-0"}}
        told = {"conditions": [{"message": text} for text in self.told[-1:]]}
        return web.json_response(
            {"metadata": metadata, "spec": {"resource": resource, "state": {}}, "status": told}
        )


@pytest.mark.parametrize(
    ("error", "namespace", "ending", "tries"),
    [
        pytest.param(Unavailable("down"), "", False, generator_state.PATIENCE, id="server-may-come-back"),
        pytest.param(
            AuthFailed("refused"), "", False, generator_state.PATIENCE, id="credentials-may-be-renewed"
        ),
        pytest.param(
            KubeNotFound("gone"), "", False, generator_state.PATIENCE_WITHOUT_HOPE, id="auth-secret-gone"
        ),
        pytest.param(SpecError("wrong"), "", False, generator_state.PATIENCE_WITHOUT_HOPE, id="spec-wrong"),
        pytest.param(
            Unavailable("down"), "team-0", False, generator_state.PATIENCE_WITHOUT_HOPE, id="scoped"
        ),
        pytest.param(Unavailable("down"), "", True, generator_state.PATIENCE_AT_THE_END, id="namespace-ends"),
        pytest.param(KubeNotFound("gone"), "", True, 1, id="namespace-ends-without-hope"),
        pytest.param(RuntimeError("secret words"), "", True, generator_state.PATIENCE_AT_THE_END, id="bug"),
    ],
)
async def test_end_is_tried_so_often_and_given_up_with_a_word(
    *, bench, server, error, namespace, ending, tries
):
    deleted, failing = Deleted(server), Failing(error)
    engine = bench.engine
    engine.generators = {"Fake": failing}
    bench.change_settings(namespace=namespace)
    if ending:
        engine.books.ending.add("team-0")
    pauses = []
    while deleted.held:
        await reconcile_generator_state(engine, Claim(KEY, Lane.RETRY, engine.queue.now()))
        pauses.append(bench.due_in(KEY))

    assert failing.asked == tries
    assert all(pause is not None and 0 < pause <= (60 if ending else 462) for pause in pauses[:-1])
    assert deleted.told[-1].startswith("what was made stays where it is: ")
    assert len(deleted.told) == (1 if tries == 1 else 2)
    assert "secret words" not in "".join(deleted.told)
    assert KEY not in engine.books.generator_states.failures


@pytest.mark.parametrize(("left_s", "tries"), [(-1, 1), (60, 10)], ids=["ended", "still-lent"])
async def test_what_has_ended_by_itself_is_let_go_without_a_word(*, bench, server, left_s, tries):
    """A lease is gone after its end: there is nothing to take back, and nothing to tell of."""
    now = bench.clock.now()
    lease = Lease(now - timedelta(hours=1), now + timedelta(seconds=left_s))
    text = text_of(first_term(lease, 0.0))
    deleted, failing = Deleted(server, **{names.ANNOTATION_LEASE: text}), Failing(KubeNotFound("gone"))
    bench.engine.generators = {"Fake": failing}
    while deleted.held:
        await reconcile_generator_state(bench.engine, Claim(KEY, Lane.RETRY, bench.engine.queue.now()))

    assert tries == failing.asked
    assert bool(deleted.told) is (tries > 1)
