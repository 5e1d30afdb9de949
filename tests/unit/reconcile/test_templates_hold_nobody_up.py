"""Templates: at once where it is little, in threads where it is much, and the threads in turn."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from keyferry.aio import LONGEST_WAIT_S, FairDoor
from keyferry.core.template_error import OverBudgetError, Place, TemplateFailedError
from keyferry.errors import RetryKind
from keyferry.gotemplate import Limits, StringMap
from keyferry.planner.health import Deferred
from keyferry.reconcile.rendering import (
    INLINE_CHARS,
    Asked,
    Rendering,
    RenderSettings,
    Waiting,
)
from keyferry.testing.looptime import virtual_time

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
MUCH = "{{ range until 5000 }}x{{ end }}"
PATIENCE_S = 30.0


@pytest.fixture
def rendering():
    made = Rendering(RenderSettings(limits=Limits(seconds=600.0)))
    yield made
    made.close()


class Render:
    """Renders a text, and notes in which thread and how often it was put aside."""

    def __init__(self, rendering: Rendering) -> None:
        self.rendering = rendering
        self.threads: list[str] = []
        self.aside = 0

    async def __call__(self, text: str, chars: int = 0) -> bytes:
        def work(renderer):
            self.threads.append(threading.current_thread().name.partition("_")[0])
            return renderer.render(Place("x"), "x", text, StringMap({b"v": b"value"}))

        return await self.rendering.run(Asked("team-a", NOW, chars, self.put_aside), work)

    def put_aside(self) -> None:
        self.aside += 1


@pytest.fixture
def render(rendering) -> Render:
    return Render(rendering)


async def test_small_template_is_rendered_where_it_is_asked_for(render) -> None:
    assert await render('a {{ .v }} {{ now | date "2006-01-02" }}') == b"a value 2026-01-05"
    assert (render.threads, render.aside) == (["MainThread"], 0)


async def test_large_template_is_rendered_in_a_thread(render) -> None:
    assert await render(MUCH) == b"x" * 5000
    assert (render.threads, render.aside) == (["MainThread", "render"], 1)


async def test_long_template_is_not_even_tried_before(render) -> None:
    assert await render("x", INLINE_CHARS + 1) == b"x"
    assert (render.threads, render.aside) == (["render"], 1)


@pytest.mark.parametrize(
    ("text", "threads"),
    [
        pytest.param('{{ bcrypt "x" | trunc 2 }}', ["MainThread", "render slowly"], id="small"),
        pytest.param(
            MUCH + '{{ bcrypt "x" | trunc 2 }}', ["MainThread", "render", "render slowly"], id="large"
        ),
    ],
)
async def test_costly_template_has_threads_of_its_own(render, text, threads) -> None:
    assert (await render(text)).endswith(b"$2")
    assert (render.threads, render.aside) == (threads, 1)


async def test_failure_is_told_where_it_is_found(render) -> None:
    with pytest.raises(TemplateFailedError):
        await render("{{ .none }}")
    with pytest.raises(TemplateFailedError):
        await render(MUCH + "{{ .none }}")

    assert render.threads == ["MainThread", "MainThread", "render"]


async def test_template_that_takes_too_much_in_the_thread_too_has_failed(render) -> None:
    with pytest.raises(OverBudgetError, match="it takes more work than 100000 steps"):
        await render("{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}")


async def test_limits_below_those_of_the_event_loop_hold_there_too() -> None:
    rendering = Rendering(RenderSettings(limits=Limits(steps=100)))
    try:
        with pytest.raises(OverBudgetError, match="100 steps"):
            await Render(rendering)(MUCH)
    finally:
        rendering.close()


async def test_delimiters_are_those_of_the_settings() -> None:
    rendering = Rendering(RenderSettings("[[", "]]"))
    try:
        assert await Render(rendering)("[[ .v ]]{{ .v }}") == b"value{{ .v }}"
    finally:
        rendering.close()


# -- turns


@pytest.fixture
def door():
    made = FairDoor("test", 2)
    yield made
    made.close()


class Jobs:
    """Work in threads that ends when it is told to."""

    def __init__(self, door: FairDoor) -> None:
        self.door = door
        self.begun: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self.tasks: dict[str, asyncio.Task[str]] = {}
        self.changed = asyncio.Event()

    def ask(self, namespace: str, name: str) -> asyncio.Task[str]:
        loop, ended = asyncio.get_running_loop(), self._ends.setdefault(name, threading.Event())

        def begin() -> None:
            self.begun.append(name)
            self.changed.set()

        def work() -> str:
            loop.call_soon_threadsafe(begin)
            ended.wait(PATIENCE_S)
            return name

        self.tasks[name] = loop.create_task(self.door.run(namespace, work))
        return self.tasks[name]

    def end(self, name: str) -> None:
        self._ends[name].set()

    async def wait_begun(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not set(names) <= set(self.begun):
                self.changed.clear()
                await self.changed.wait()

    async def finish(self) -> None:
        for name in self._ends:
            self.end(name)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@pytest.fixture
async def jobs(door):
    made = Jobs(door)
    yield made
    await made.finish()


async def test_namespace_with_much_work_leaves_a_thread_to_others(jobs) -> None:
    for number in range(5):
        jobs.ask("many", f"m{number}")
    await jobs.wait_begun("m0")
    jobs.ask("few", "f0")
    await jobs.wait_begun("f0")

    assert sorted(jobs.begun) == ["f0", "m0"]


async def test_threads_go_from_namespace_to_namespace(jobs) -> None:
    for name in ("a0", "b0"):
        jobs.ask(name[0], name)
    await jobs.wait_begun("a0", "b0")
    for name in ("a1", "a2", "b1", "c0"):
        jobs.ask(name[0], name)
    for ended, begins in (("a0", "c0"), ("c0", "a1"), ("b0", "b1")):
        jobs.end(ended)
        await jobs.wait_begun(begins) if begins != "c0" else await asyncio.sleep(0)
    await jobs.finish()

    assert sorted(jobs.begun) == ["a0", "a1", "a2", "b0", "b1", "c0"]
    assert jobs.begun.index("c0") < jobs.begun.index("a2")


async def test_who_gives_up_while_waiting_takes_no_thread_along(jobs) -> None:
    for name in ("a0", "b0"):
        jobs.ask(name[0], name)
    await jobs.wait_begun("a0", "b0")
    for name in ("a1", "b1"):
        jobs.ask(name[0], name)
    await asyncio.sleep(0)
    jobs.tasks["a1"].cancel()
    jobs.ask("c", "c0")
    jobs.end("a0")
    jobs.end("b0")
    await jobs.wait_begun("b1", "c0")

    assert "a1" not in jobs.begun
    with pytest.raises(asyncio.CancelledError):
        await jobs.tasks["a1"]


async def test_thread_of_who_gives_up_is_taken_until_it_ends(jobs) -> None:
    """A thread cannot be cancelled: who takes its place would be one too many."""
    for name in ("a0", "b0"):
        jobs.ask(name[0], name)
    await jobs.wait_begun("a0", "b0")
    jobs.tasks["a0"].cancel()
    jobs.ask("c", "c0")
    with pytest.raises(asyncio.CancelledError):
        await jobs.tasks["a0"]
    assert "c0" not in jobs.begun
    jobs.end("a0")
    await jobs.wait_begun("c0")


async def test_failure_in_a_thread_comes_back_and_gives_the_thread_free(door) -> None:
    def fail() -> None:
        raise LookupError("x")

    for _ in range(5):
        with pytest.raises(LookupError):
            await door.run("a", fail)


@virtual_time
async def test_who_waits_too_long_comes_back_later() -> None:
    """It is no failure: what was true of the object stays true."""
    rendering = Rendering()
    door = rendering._long  # its threads are taken by others: nobody else looks at them
    door._free = 0
    loop = asyncio.get_running_loop()
    before = loop.time()
    try:
        with pytest.raises(Waiting) as caught:
            await Render(rendering)(MUCH)
    finally:
        rendering.close()

    assert loop.time() - before == pytest.approx(LONGEST_WAIT_S)
    assert isinstance(caught.value, Deferred)
    assert caught.value.retry.kind is RetryKind.AFTER
