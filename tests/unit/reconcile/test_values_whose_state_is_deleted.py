"""Somebody deletes the GeneratorState of values that are in use: what they opened is closed, so new ones are made."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.unit.reconcile.test_leases_are_kept import HOUR, World
from tests.unit.reconcile.tokens import KEY

from keyferry.api import names
from keyferry.kube.watch import Change
from keyferry.reconcile import aside
from keyferry.reconcile.external_secret import reconcile_external_secret
from keyferry.reconcile.generator_state import reconcile_generator_state
from keyferry.reconcile.queue import Lane
from keyferry.testing.builders import external_secret, generated
from keyferry.testing.eventually import eventually_async

DELETED = "2026-01-01T00:00:00Z"


@pytest.fixture
def world(bench, server, play) -> World:
    return World(bench, server, play)


def as_put(world: World) -> dict[str, Any]:
    """The ExternalSecret, as the API server has it."""
    body = external_secret("app", generated("Fake", "gen"), store="store", refreshInterval="0")
    body["metadata"] |= {"namespace": "team-0", "uid": "u-1", "resourceVersion": "1", "generation": 1}
    body["status"] = msgspec.to_builtins(world.engine.books.external_secrets[KEY].read_status())
    return body


async def delete_state(world: World, **spec: Any) -> None:
    """Somebody deletes the one state; all that follows is done."""
    (state,) = world.states.values()
    state["metadata"]["deletionTimestamp"] = DELETED
    state["spec"] |= spec
    plain = world.server.otherwise

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/externalsecrets/app"):
            return web.json_response(as_put(world))
        if request.method == "PATCH" and b"finalizers" in await request.read():
            name = request.path.rpartition("/")[2]
            ended = world.states.pop(name)
            return web.json_response(ended)
        return await plain(request)

    world.server.otherwise = answer
    world.tell_of_states(Change.SET)
    await world.pass_time(1.0)


async def test_values_are_made_anew(world) -> None:
    """With refreshInterval 0 nobody would look again."""
    await world.sync()
    await delete_state(world)

    assert 2 == world.lender.made
    assert [world.token()] == world.lender.good
    assert ["their GeneratorState was deleted" in one for one in world.events("Generated")] == [True]
    assert {} == world.engine.books.generator_states.lost
    await world.pass_time(HOUR / 2)
    assert 2 == world.lender.made


async def test_state_with_a_deadline_was_of_former_values(world) -> None:
    await world.sync()
    await delete_state(world, garbageCollectionDeadline=DELETED)

    assert 1 == world.lender.made


async def test_state_of_values_that_were_never_used_makes_none(world) -> None:
    """Or a target that refuses them would have them made again and again."""
    world.refused |= {"POST"}
    discarded = world.engine.books.generator_states.discarded
    world.put(generated("Fake", "gen"), refreshInterval="0")
    await world.look()
    (key,) = discarded
    world.states[key.name] = {  # as it is while its finalizer holds it
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": "uid-state",
            "deletionTimestamp": DELETED,
            "labels": {},
            "annotations": {names.ANNOTATION_CONTROLLER_CLASS: "default"},
            "finalizers": [names.FINALIZER_GENERATOR_STATE],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": names.EXTERNAL_SECRET, "name": "app", "uid": "u-1"}
            ],
        },
        "spec": {"resource": {}, "state": {}},
    }
    world.tell_of_states(Change.SET)
    claim = await world.engine.queue.take()
    await reconcile_generator_state(world.engine, claim)

    assert key == claim.key
    assert 1 == world.lender.made
    assert {} == world.engine.books.generator_states.lost
    world.engine.books.generator_states.forget(key)
    assert set() == discarded


# Meanwhile, others go on


@pytest.mark.parametrize("at", ["generate", "renew", "cleanup"])
async def test_generator_that_is_slow_holds_nobody_else_back(world, monkeypatch, at) -> None:
    monkeypatch.setattr(aside, "SLOW_S", 0.01)
    began, may_end = asyncio.Event(), asyncio.Event()
    plain = getattr(world.lender, at)

    async def slow(*arguments: Any) -> Any:
        began.set()
        await may_end.wait()
        return await plain(*arguments)

    if at == "generate":
        world.put(generated("Fake", "gen"), refreshInterval="0")
        world.engine.queue.add(KEY, Lane.USER)
    else:
        await world.sync()
        (key,) = world.state_keys()
        if at == "cleanup":
            world.states[key.name]["metadata"]["deletionTimestamp"] = DELETED
            world.tell_of_states(Change.SET)
        else:
            world.clock.advance(HOUR * 0.67)
            world.engine.queue.unschedule(key)
            world.engine.queue.add(key, Lane.EVENT)
    setattr(world.lender, at, slow)
    claim = await world.engine.queue.take()
    work = reconcile_external_secret if claim.key == KEY else reconcile_generator_state
    task = asyncio.ensure_future(work(world.engine, claim))
    await began.wait()

    async def is_aside() -> bool:
        return world.engine.queue.out == 0

    await eventually_async(is_aside)
    may_end.set()
    await task
    assert 1 == world.engine.queue.out
