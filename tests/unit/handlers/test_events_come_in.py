"""kopf itself, against a small API server, on both paths."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

import pytest
from kopf._core.reactor import queueing

from keyferry.handlers.operator import Watches, Watching
from keyferry.handlers.watch import KINDS
from keyferry.kube.config import ClusterConfig, TokenSource
from keyferry.kube.watch import Change
from keyferry.testing.eventually import eventually_async

ES = "externalsecrets"


class Run:
    """kopf on the way, and what it hands over."""

    def __init__(self, url: str, *, inline: bool, silence_s: float = 30.0) -> None:
        self.told: list[tuple[str, str]] = []
        self.known: dict[str, set[tuple[str, str]]] = {kind: set() for kind in KINDS.values()}
        self.listed: list[str] = []
        self.relisted: list[str] = []
        self.bad = ""
        self.stop = asyncio.Event()
        watching = Watching(
            plurals=list(KINDS),
            namespace="",
            observe=self.observe,
            known=self.known.__getitem__,
            listed=self.listed.append,
            relisted=self.relisted.append,
            served=self.served,
            take_signals=lambda: None,
            prefer_inline=inline,
            silence_s=silence_s,
        )
        config = ClusterConfig(url, tokens=TokenSource(lambda: ("token", 60.0)))
        self.watches = Watches(config, watching)
        self.task = asyncio.create_task(self.watches.run(self.stop))

    async def served(self) -> None:
        """All resources are there from the start."""

    def observe(self, kind: str, change: Change, body) -> None:
        metadata = body["metadata"]
        if metadata["name"] == self.bad:
            raise KeyError("a bug")
        self.told.append((change.value, f"{kind} {metadata['name']}"))
        place = (metadata.get("namespace", ""), metadata["name"])
        if change is Change.GONE:
            self.known[kind].discard(place)
        else:
            self.known[kind].add(place)

    async def until_told(self, *expected: tuple[str, str]) -> None:
        async def told():
            assert list(expected) == self.told
            return True

        await eventually_async(told, every_s=0.01)

    async def until(self, condition) -> None:
        async def met():
            return condition()

        await eventually_async(met, every_s=0.01)


@pytest.fixture
async def run(kube):
    runs = []
    original = queueing.watcher

    def start(**arguments) -> Run:
        runs.append(Run(kube.url, **{"inline": True} | arguments))
        return runs[-1]

    yield start
    for one in runs:
        one.stop.set()
        async with asyncio.timeout(20):
            with contextlib.suppress(asyncio.CancelledError):
                await one.task
    assert queueing.watcher is original


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "public path"])
async def test_lists_and_changes_are_handed_over(kube, run, body, inline) -> None:
    kube.objects[ES] = [body("a")]
    kube.objects["clustersecretstores"] = [body("shared") | {"kind": "ClusterSecretStore"}]
    one = run(inline=inline)
    await one.until(lambda: len(one.told) == 2 and kube.open_streams(ES))
    assert {("listed", "ExternalSecret a"), ("listed", "ClusterSecretStore shared")} == set(one.told)
    one.told.clear()

    for type_, name, version in [("ADDED", "b", 101), ("MODIFIED", "b", 102), ("DELETED", "a", 103)]:
        before = len(one.told)
        kube.send(ES, type_, body(name, version))
        await one.until(lambda before=before: len(one.told) == before + 1)

    assert [
        ("set", "ExternalSecret b"),
        ("set", "ExternalSecret b"),
        ("gone", "ExternalSecret a"),
    ] == one.told


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "public path"])
async def test_nothing_is_ever_written(kube, run, body, inline) -> None:
    kube.objects[ES] = [body("a"), body("b", annotations={"note": "1"}, finalizers=["somebody.else/wants"])]
    one = run(inline=inline)
    await one.until(lambda: len(one.told) == 2 and kube.open_streams(ES))
    kube.send(ES, "MODIFIED", body("a", 101, labels={"x": "y"}))
    kube.send(ES, "MODIFIED", body("b", 102, deletionTimestamp="2026-01-01T00:00:00Z"))
    await one.until(lambda: len(one.told) == 4)
    await asyncio.sleep(0.2)  # time to write, if it wanted to

    assert {"GET"} == {method for method, *_ in kube.seen}


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "public path"])
async def test_refusals_do_not_end_the_watching(kube, run, body, inline) -> None:
    kube.objects[ES] = [body("a")]
    kube.objects["secretstores"] = [body("s") | {"kind": "SecretStore"}]
    kube.refusals[ES].extend([503, 403])
    kube.refusals["secretstores"].extend([500, 429])

    one = run(inline=inline)

    await one.until(lambda: len(one.told) == 2)
    assert {("listed", "ExternalSecret a"), ("listed", "SecretStore s")} == set(one.told)
    assert not any(kube.refusals.values())
    assert not one.task.done()


async def test_api_server_without_streaming_lists_is_listed_in_pages(kube, run, body) -> None:
    kube.streaming_lists = False
    kube.objects[ES] = [body("a")]

    one = run()

    await one.until_told(("listed", "ExternalSecret a"))
    assert [{"limit": "500"}] == kube.asked(ES, watch=False)
    await one.until(lambda: kube.open_streams(ES))
    streams = [
        (query.get("sendInitialEvents"), query.get("resourceVersion")) for query in kube.asked(ES, watch=True)
    ]
    assert [("true", None), (None, "100")] == streams


@pytest.mark.parametrize("code", [410, 500])
async def test_error_event_means_a_new_list_that_tells_what_vanished(kube, run, body, caplog, code) -> None:
    kube.objects[ES] = [body("a"), body("b")]
    one = run()
    await one.until(lambda: len(one.told) == 2 and kube.open_streams(ES))
    one.told.clear()
    kube.objects[ES] = [body("b", 5), body("c", 6)]

    kube.send(ES, "ERROR", {"kind": "Status", "code": code, "message": "hunter2"})

    await one.until_told(
        ("listed", "ExternalSecret b"), ("listed", "ExternalSecret c"), ("gone", "ExternalSecret a")
    )
    assert "hunter2" not in caplog.text


async def test_cut_stream_goes_on_from_the_last_version(kube, run, body) -> None:
    kube.objects[ES] = [body("a")]
    one = run()
    await one.until(lambda: one.told and kube.open_streams(ES))
    kube.send(ES, "MODIFIED", body("a", 123))
    await one.until(lambda: len(one.told) == 2)

    kube.cut(ES)

    await one.until(lambda: len(kube.asked(ES, watch=True)) == 2)
    last = kube.asked(ES, watch=True)[-1]
    assert ("123", None) == (last["resourceVersion"], last.get("sendInitialEvents"))


async def test_streaming_list_that_was_cut_is_not_taken_for_complete(kube, run, body) -> None:
    """What it has not told yet must not be told as gone, and must still be told."""
    kube.cut_lists.append(1)  # after the first object
    kube.objects[ES] = [body("a"), body("b")]
    one = run()
    one.known["ExternalSecret"].add(("team-a", "b"))

    await one.until(lambda: ("listed", "ExternalSecret b") in one.told)
    assert "gone" not in {change for change, _ in one.told}
    assert 1 == one.listed.count(ES)


async def test_object_that_we_cannot_cope_with_does_not_hide_the_others(kube, run, body, caplog) -> None:
    kube.objects[ES] = [body("bad"), body("a")]
    one = run()
    one.bad = "bad"

    await one.until_told(("listed", "ExternalSecret a"))
    kube.send(ES, "ADDED", body("b", 101))
    await one.until_told(("listed", "ExternalSecret a"), ("set", "ExternalSecret b"))
    assert 1 == len(kube.asked(ES, watch=True))
    ours = [
        r.getMessage() for r in caplog.records if r.name.startswith("keyferry") and r.levelno >= logging.ERROR
    ]
    assert ["a bug in Keyferry"] == ours


async def test_missing_resource_is_logged_once(kube, run, body, caplog) -> None:
    """A CRD that is not there yet, for minutes."""
    kube.refusals[ES].extend([404, 404])
    kube.objects[ES] = [body("a")]
    one = run()

    await one.until_told(("listed", "ExternalSecret a"))
    told = [r.getMessage() for r in caplog.records if r.name == "keyferry.handlers.inline"]
    assert 1 == sum("APINotFoundError" in text for text in told)


async def test_silent_stream_is_replaced(kube, run, body) -> None:
    kube.objects[ES] = [body("a")]
    one = run(silence_s=0.1)

    await one.until(lambda: len(kube.asked(ES, watch=True)) >= 2)
    await one.until(lambda: kube.asked(ES, watch=False))
    assert ("listed", "ExternalSecret a") == one.told[0]


async def test_lists_are_told_when_complete(kube, run, body) -> None:
    kube.objects[ES] = [body("a")]
    one = run()

    await one.until(lambda: set(KINDS) == set(one.listed))
    assert [("listed", "ExternalSecret a")] == one.told


async def test_signs_of_life_are_what_was_heard(kube, run) -> None:
    one = run()
    await one.until(lambda: kube.open_streams(ES) and set(KINDS) == set(one.listed))
    quiet = one.watches.signs.figure(ES)
    others = one.watches.signs.figure("secretstores")

    kube.send(ES, "BOOKMARK", {"metadata": {"resourceVersion": "200"}})

    await one.until(lambda: one.watches.signs.figure(ES) != quiet)
    assert others == one.watches.signs.figure("secretstores")


async def test_tasks_of_others_outlive_kopf(kube, run) -> None:
    """kopf would cancel all tasks of the loop that are younger than itself: reads under way, for example."""
    one = run()
    await one.until(lambda: kube.open_streams(ES))
    younger = asyncio.create_task(asyncio.sleep(3600))

    one.stop.set()
    async with asyncio.timeout(10):
        await one.task

    assert not younger.done()
    younger.cancel()


async def test_stop_ends_it_and_leaves_nothing_behind(kube, run) -> None:
    before = asyncio.all_tasks()
    one = run()
    await one.until(lambda: kube.open_streams(ES))

    one.stop.set()
    async with asyncio.timeout(10):
        await one.task

    await one.until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "public"])
async def test_object_that_is_nested_too_deep_hides_no_other(kube, run, body, inline) -> None:
    """The API server takes objects that no parser here can go down into."""
    one = run(inline=inline)
    await one.until(lambda: kube.open_streams(ES) == 1)
    deep = json.dumps(body("deep")).replace('"spec": {}', f'"spec": {"[" * 5_000}{"]" * 5_000}')
    kube.send_line(ES, f'{{"type":"ADDED","object":{deep}}}'.encode())
    kube.send(ES, "ADDED", body("next"))

    await one.until_told(("set", "ExternalSecret deep"), ("set", "ExternalSecret next"))
    assert kube.open_streams(ES) == 1
