"""A search for somebody who may not have all of it: the rest is neither read nor handed on."""

from __future__ import annotations

import asyncio

from keyferry.errors import AccessDenied
from keyferry.planner.cache import Freshness
from keyferry.planner.search import chosen
from keyferry.ports import Find, Found, Read, RemoteValue
from keyferry.secretdata import SecretBytes
from keyferry.testing.looptime import virtual_time

ANY_AGE = Freshness(float("-inf"), float("-inf"))
ALL = Find(path="")


def reads(*names: str) -> list[Found]:
    return [Found(name, Read(name)) for name in names]


def brought(name: str, key: str = "") -> Found:
    return Found(name, RemoteValue(SecretBytes(b"brought along")), key)


async def names_for(desk, *keys: str) -> list[str]:
    found = await desk.session.find(ALL, ANY_AGE, (), lambda one: one.remote_key in keys)
    return [name for name, _ in found]


@virtual_time
async def test_two_share_a_search_and_each_gets_its_own(open_desk) -> None:
    desk = open_desk()
    desk.client.found[ALL] = reads("a", "b", "c")

    assert [["a"], ["b"], []] == await asyncio.gather(
        names_for(desk, "a"), names_for(desk, "b"), names_for(desk, "x")
    )
    assert [(), ("a", "b")] == [call.keys for call in desk.client.calls]


@virtual_time
async def test_what_is_not_let_in_does_not_fail_the_search(open_desk) -> None:
    """Nor does its failure tell that it is there."""
    desk = open_desk()
    desk.client.found[ALL] = reads("a", "b")
    desk.client.values["b"] = AccessDenied("no")

    assert ["a"] == await names_for(desk, "a")


@virtual_time
async def test_values_that_a_search_brings_along_are_held_back_too(open_desk) -> None:
    desk = open_desk()
    desk.client.found[ALL] = [brought("a"), brought("short", "team/short"), brought("b")]

    assert ["a"] == await names_for(desk, "a", "short")
    assert ["short", "b"] == await names_for(desk, "team/short", "b")


async def test_long_findings_are_looked_at_in_turns() -> None:
    found = tuple(reads(*map(str, range(1000))))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    kept = await chosen(found, lambda one: one.name.endswith("7"))
    other.cancel()

    assert 100 == len(kept)
    assert turns >= 5
