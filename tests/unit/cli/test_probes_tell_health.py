"""Liveness, readiness and their pages: what they tell, and what they do not take for trouble."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from keyferry.cli.probes import Endpoints, Health, Pieces, told
from keyferry.testing.clock import FakeClock


class Watched:
    """A process as its probes see it: a clock, a queue and one watch."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.signs = 0
        self.waits_s = 0.0
        self.health = Health(
            self.clock.monotonic, lambda: self.waits_s, {"stores", "secrets"}, watch_silence_s=240
        )
        self.health.follow("secrets", lambda: self.signs)


@pytest.fixture
def process() -> Watched:
    return Watched()


def test_watch_may_be_silent_for_its_time_and_no_longer(process) -> None:
    process.clock.advance(240)
    assert [] == process.health.problems()

    process.clock.advance(1)

    assert ["the watch of secrets has been silent for over 240 s"] == process.health.problems()


def test_sign_of_life_begins_a_new_time(process) -> None:
    process.clock.advance(241)
    process.signs += 1
    assert [] == process.health.problems()

    process.clock.advance(240)
    assert [] == process.health.problems()
    process.clock.advance(1)
    assert 1 == len(process.health.problems())


def test_watch_that_comes_back_is_no_trouble_any_more(process) -> None:
    process.clock.advance(500)
    assert 1 == len(process.health.problems())

    process.signs += 1

    assert [] == process.health.problems()


def test_sign_may_be_any_figure_that_changes(process) -> None:
    """A watch that began anew counts from the start: less than before is a sign too."""
    process.signs = 7
    process.health.problems()
    process.clock.advance(241)

    process.signs = 1

    assert [] == process.health.problems()


def test_one_silent_watch_among_others_is_named(process) -> None:
    process.health.follow("externalsecrets", process.clock.monotonic)
    process.clock.advance(241)

    assert ["the watch of secrets has been silent for over 240 s"] == process.health.problems()


def test_old_head_of_the_queue_is_trouble(process) -> None:
    process.waits_s = 600.0
    assert [] == process.health.problems()

    process.waits_s = 601.0

    assert ["the queue's head has waited for over 600 s"] == process.health.problems()


def test_ready_when_all_first_lists_are_complete(process) -> None:
    assert [
        "the first list of secrets is not complete yet",
        "the first list of stores is not complete yet",
    ] == process.health.waiting_for()

    process.health.pending.clear()

    assert [] == process.health.waiting_for()


def test_answer_is_one_line_for_each_trouble() -> None:
    assert (200, "ok\n") == told([])
    assert (503, "one\ntwo\n") == told(["one", "two"])


@pytest.fixture
def free() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()


@pytest.fixture
async def endpoints():
    made = Endpoints()
    yield made
    await made.close()


async def test_pages_tell_how_it_is_at_each_request(endpoints, free) -> None:
    troubles = ["it hangs"]
    await endpoints.serve(free, {"/healthz": lambda: told(troubles), "/readyz": lambda: told([])})
    url = "http://{}:{}".format(*free)

    async with aiohttp.ClientSession(url) as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as response:
                return response.status, await response.text()

        assert (503, "it hangs\n") == await get("/healthz")
        assert (200, "ok\n") == await get("/readyz")
        troubles.clear()
        assert (200, "ok\n") == await get("/healthz")
        assert 404 == (await get("/metrics"))[0]
        async with session.post("/healthz") as response:
            assert 405 == response.status


async def test_long_page_comes_piece_by_piece_and_no_faster_than_it_is_read(endpoints, free) -> None:
    """A reader who does not read has at most what buffers on the way hold, and nobody else waits for it."""
    made = 0

    async def make():
        nonlocal made
        for _ in range(400):
            made += 1
            yield b"x" * 100_000

    text = Pieces(make, "text/plain; version=0.0.4")
    await endpoints.serve(free, {"/metrics": text, "/readyz": lambda: told([])})

    async with aiohttp.ClientSession("http://{}:{}".format(*free), read_bufsize=1024) as session:
        async with session.get("/metrics") as slow:
            assert "text/plain; version=0.0.4; charset=utf-8" == slow.headers["Content-Type"]
            async with session.get("/readyz") as quick:
                assert 200 == quick.status
            held = made
            rest = await slow.content.read(50_000)
            async for chunk in slow.content.iter_any():
                rest += chunk
        async with session.head("/metrics") as head:
            assert (200, 400) == (head.status, made)

    assert 40_000_000 == len(rest)
    assert held < 200


async def test_reader_who_goes_away_in_the_midst_of_a_page_is_no_trouble(endpoints, free, caplog) -> None:
    ended = asyncio.Event()

    async def make():
        try:
            while True:
                yield b"x" * 100_000
        finally:
            ended.set()

    await endpoints.serve(free, {"/metrics": Pieces(make), "/readyz": lambda: told([])})
    async with aiohttp.ClientSession("http://{}:{}".format(*free)) as session:
        response = await session.get("/metrics")
        await response.content.read(10)
        response.close()

        async with asyncio.timeout(10):
            await ended.wait()
        async with session.get("/readyz") as quick:
            assert 200 == quick.status
    assert [] == caplog.records


async def test_address_that_is_taken_is_an_error_and_all_can_still_be_closed(endpoints) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(OSError, match="address already in use"):
            await endpoints.serve(taken.getsockname(), {})


async def test_no_address_is_no_server(endpoints) -> None:
    await endpoints.serve(None, {"/metrics": lambda: (200, "")})

    assert [] == endpoints._runners


async def test_nothing_listens_after_the_end(endpoints, free) -> None:
    await endpoints.serve(free, {"/healthz": lambda: told([])})

    await endpoints.close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(free, 1)
