"""Servers that tenants name: whatever they send, it takes little memory, little time, and nobody else's places."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from keyferry.clusters import ClusterTarget
from keyferry.errors import KubeError, KubeLimit, KubeMalformed
from keyferry.kube.remote_api import TooLongError
from keyferry.kube.remote_secrets import (
    EVENTS_AT_ONCE,
    EVENTS_PER_S,
    LISTED_ELSEWHERE,
    LONGEST_LIST_S,
    MOST_FOLLOWED,
    MOST_PAGES,
    MOST_WATCHES,
    WATCHES_OF_ONE,
    Gate,
    RemoteKube,
)
from keyferry.kube.watch import PAGE_SIZE, PART
from keyferry.testing.looptime import settle, virtual_time

EVENT = b'{"type": "MODIFIED", "object": {"metadata": {"name": "db", "resourceVersion": "2"}}}\n'


def page(*names: str, token: str = "") -> bytes:
    items = [{"metadata": {"name": name, "namespace": "shop"}} for name in names]
    listed = {"kind": "SecretList", "metadata": {"resourceVersion": "1", "continue": token}, "items": items}
    return json.dumps(listed).encode()


class Content:
    """A stream's parts."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    async def iter_chunked(self, most: int) -> AsyncIterator[bytes]:
        for part in self._parts:
            for start in range(0, len(part), most):
                yield part[start : start + most]
        await asyncio.Event().wait()


class Api:
    """A connection to a server as a test plays it.

    Args:
        listed: makes the page for the parameters of a request.
        sent: what each stream sends; none by default.
        latency_s: how long each page takes.
    """

    def __init__(
        self,
        listed: Callable[[dict[str, str]], bytes],
        sent: Callable[[], Iterator[bytes]] = lambda: iter(()),
        latency_s: float = 0.0,
    ) -> None:
        self._listed = listed
        self._sent = sent
        self._latency_s = latency_s
        self.lists: list[tuple[float, dict[str, str]]] = []

    async def request(self, method: str, path: str, *, params: dict[str, str], accept: str = "") -> bytes:
        self.lists.append((asyncio.get_running_loop().time(), dict(params)))
        await asyncio.sleep(self._latency_s)
        return self._listed(params)

    @contextlib.asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator[Content]:
        yield Content(self._sent())

    async def close(self) -> None:
        """Nothing to close."""


class Follower:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told = 0

    def changed(self, key: str, at: object = None) -> None:
        self.told += 1

    def missed(self) -> None:
        raise AssertionError

    def known(self) -> tuple[str, ...]:
        return ()


def connection(
    api: Api, gate: Gate | None = None, *, server: str = "https://x", share: str = "a"
) -> RemoteKube:
    target = ClusterTarget(server, "server.url", share=share)

    async def release() -> None:
        """Nothing is shared."""

    return RemoteKube(api, gate or Gate(), target, release)


async def end_of_watch(api: Api, follower: Follower | None = None) -> KubeError:
    with pytest.raises(KubeError) as raised:
        await connection(api).watch_secrets("shop", follower or Follower())
    return raised.value


# -- lists


@virtual_time
async def test_list_that_has_no_end_is_given_up() -> None:
    numbers = itertools.count()
    api = Api(lambda _: page(*(f"s{next(numbers)}" for _ in range(PAGE_SIZE)), token="more"))
    follower = Follower()

    assert f"there are more than {MOST_FOLLOWED}" == (await end_of_watch(api, follower)).message
    assert (MOST_FOLLOWED, MOST_FOLLOWED // PAGE_SIZE + 1) == (follower.told, len(api.lists))


@virtual_time
async def test_namespace_with_as_many_as_may_be_is_followed() -> None:
    pages = MOST_FOLLOWED // PAGE_SIZE
    api = Api(
        lambda _: page(*(f"s{n}" for n in range(PAGE_SIZE)), token="more" if len(api.lists) < pages else "")
    )
    follower = Follower()
    task = asyncio.create_task(connection(api).watch_secrets("shop", follower))
    await asyncio.sleep(60)

    assert (MOST_FOLLOWED, False) == (follower.told, task.done())
    await cancelled(task)


@virtual_time
async def test_list_of_empty_pages_is_given_up() -> None:
    api = Api(lambda _: page(token="more"))

    assert f"the list has more than {MOST_PAGES} pages" == (await end_of_watch(api)).message
    assert MOST_PAGES == len(api.lists)


@virtual_time
async def test_list_that_takes_too_long_is_given_up() -> None:
    began = asyncio.get_running_loop().time()
    error = await end_of_watch(Api(lambda _: page("db", token="more"), latency_s=20))

    assert KubeLimit is type(error)
    assert began + LONGEST_LIST_S == asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(page(*map(str, range(PAGE_SIZE + 1))), id="more-than-was-asked-for"),
        pytest.param(page("x" * 1000), id="name-that-nothing-has"),
        pytest.param(page("db", token="x" * 100_000), id="token-that-is-none"),
    ],
)
@virtual_time
async def test_page_that_no_api_server_makes_ends_the_watch(answer) -> None:
    assert KubeMalformed is type(await end_of_watch(Api(lambda _: answer)))


@virtual_time
async def test_search_takes_no_more_than_it_asked_for() -> None:
    api = Api(lambda params: page(*map(str, range(int(params["limit"]) + 1))))
    with pytest.raises(KubeMalformed):
        await anext(connection(api).list_secrets("shop", {}))

    assert 1 == len(api.lists)


@virtual_time
async def test_page_of_metadata_that_is_too_long_is_asked_for_in_halves() -> None:
    def listed(params: dict[str, str]) -> bytes:
        if int(params["limit"]) > PAGE_SIZE // 4:
            raise TooLongError
        return page("db")

    api, follower = Api(listed), Follower()
    task = asyncio.create_task(connection(api).watch_secrets("shop", follower))
    await asyncio.sleep(1)

    assert ([500, 250, 125], 1) == ([int(params["limit"]) for _, params in api.lists], follower.told)
    await cancelled(task)


@virtual_time
async def test_one_object_whose_metadata_are_too_long_ends_the_watch() -> None:
    def listed(_: dict[str, str]) -> bytes:
        raise TooLongError

    assert TooLongError is type(await end_of_watch(Api(listed)))


@virtual_time
async def test_server_that_wants_to_be_listed_again_and_again_is_listed_rarely() -> None:
    """By how much it lists: 200 names in a second at most."""
    gone = b'{"type": "ERROR", "object": {"code": 410}}\n'
    api = Api(lambda _: page(*map(str, range(400))), sent=lambda: iter([gone]))
    follower = Follower()
    task = asyncio.create_task(connection(api).watch_secrets("shop", follower))
    await asyncio.sleep(600)
    times = [at for at, _ in api.lists]

    assert len(times) > 3
    assert min(after - before for before, after in itertools.pairwise(times)) >= 5
    assert follower.told <= 600 * 200
    await cancelled(task)


# -- events


@virtual_time
async def test_flood_of_events_is_read_at_a_bounded_rate() -> None:
    api, follower = Api(lambda _: page(), sent=lambda: itertools.repeat(EVENT * 500)), Follower()
    task = asyncio.create_task(connection(api).watch_secrets("shop", follower))
    await asyncio.sleep(60)

    assert 60 * EVENTS_PER_S / 2 < follower.told <= EVENTS_AT_ONCE + 60 * EVENTS_PER_S
    await cancelled(task)


@pytest.mark.parametrize(
    "part", [pytest.param(b"\n" * 5000, id="empty-lines"), pytest.param(b'"' * PART, id="no-lines")]
)
@virtual_time
async def test_flood_without_events_is_bounded_too(part) -> None:
    taken = 0

    def sent() -> Iterator[bytes]:
        nonlocal taken
        for number in range(10**6):
            taken += len(part)
            yield part if number % 10 else part + b"\n"

    task = asyncio.create_task(connection(Api(lambda _: page(), sent)).watch_secrets("shop", Follower()))
    await asyncio.sleep(60)

    assert taken < 32 << 20
    await cancelled(task)


@virtual_time
async def test_burst_is_told_whole_and_others_have_their_turns_meanwhile() -> None:
    api, follower = Api(lambda _: page(), sent=lambda: iter([EVENT * (3 * EVENTS_AT_ONCE)])), Follower()
    task = asyncio.create_task(connection(api).watch_secrets("shop", follower))
    longest = before = 0
    while follower.told < EVENTS_AT_ONCE / 2:
        await asyncio.sleep(0)
        longest, before = max(longest, follower.told - before), follower.told
    await asyncio.sleep(60)

    assert 0 < longest <= PART // len(EVENT) + 1
    assert 3 * EVENTS_AT_ONCE == follower.told
    await cancelled(task)


@virtual_time
async def test_event_of_what_can_have_no_such_name_is_told_to_nobody() -> None:
    api, follower = Api(lambda _: page(), sent=lambda: iter([EVENT.replace(b"db", b"x" * 1000)])), Follower()
    task = asyncio.create_task(connection(api).watch_secrets("shop", follower))
    await asyncio.sleep(1)

    assert 0 == follower.told
    await cancelled(task)


# -- places


async def search(remote: RemoteKube) -> float:
    """How long a search takes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async for _ in remote.list_secrets("shop", {}):
        pass
    return loop.time() - began


@pytest.mark.parametrize(
    ("server", "share"),
    [
        pytest.param("", "b", id="this-cluster"),
        pytest.param("https://good", "b", id="another-namespaces-store"),
        pytest.param("https://good", "", id="cluster-store"),
    ],
)
@virtual_time
async def test_slow_servers_of_one_namespace_hold_up_nobody_else(server, share) -> None:
    """Each at an address of its own, and just quick enough to be waited for."""
    gate = Gate()
    slow = Api(lambda _: page(token="more"), latency_s=24)
    hostile = [
        asyncio.create_task(search(connection(slow, gate, server=f"https://{number}", share="bad")))
        for number in range(3 * LISTED_ELSEWHERE)
    ]
    await asyncio.sleep(100)
    waited = await search(connection(Api(lambda _: page(), latency_s=1), gate, server=server, share=share))

    assert 1 == waited
    for task in hostile:
        await cancelled(task)


@virtual_time
async def test_no_more_pages_are_read_at_once_than_memory_is_kept_for() -> None:
    gate = Gate()
    api = Api(lambda _: page(), latency_s=10)
    searches = [
        asyncio.create_task(search(connection(api, gate, share=f"team-{number}")))
        for number in range(2 * LISTED_ELSEWHERE)
    ]
    await asyncio.sleep(5)
    first = len(api.lists)

    assert {10.0: LISTED_ELSEWHERE, 20.0: LISTED_ELSEWHERE} == {
        waited: list(ended).count(waited) for ended in [await asyncio.gather(*searches)] for waited in ended
    }
    assert LISTED_ELSEWHERE == first


@virtual_time
async def test_watches_of_one_namespace_leave_places_for_others() -> None:
    gate, api = Gate(), Api(lambda _: page())
    tasks = [watch(api, gate, "bad") for _ in range(WATCHES_OF_ONE)]
    await settle()
    others = [watch(api, gate, share) for share in ("good", "")]
    with pytest.raises(KubeLimit):
        await watch(api, gate, "bad")
    await settle()

    assert {"bad": WATCHES_OF_ONE, "good": 1, "": 1} == dict(gate.watches)
    for task in [*tasks, *others]:
        await cancelled(task)
    assert not gate.watches


@virtual_time
async def test_cluster_stores_and_others_leave_places_for_each_other() -> None:
    gate, api = Gate(), Api(lambda _: page())
    tasks = [watch(api, gate, f"team-{number}") for number in range(MOST_WATCHES)]
    await settle()
    with pytest.raises(KubeLimit):
        await watch(api, gate, "one-more")
    tasks += [watch(api, gate, "") for _ in range(MOST_WATCHES)]
    await settle()
    with pytest.raises(KubeLimit):
        await watch(api, gate, "")

    assert 2 * MOST_WATCHES == gate.watches.total()
    for task in tasks:
        await cancelled(task)


def watch(api: Api, gate: Gate, share: str) -> asyncio.Task[None]:
    return asyncio.create_task(connection(api, gate, share=share).watch_secrets("shop", Follower()))


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
