from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random

import pytest

from keyferry.kube.watch import Change, MetadataWatch, Watched
from keyferry.testing.eventually import eventually_async

PATH = "/api/v1/secrets"


def meta(name: str, version: int, **more) -> dict:
    return {"name": name, "namespace": "team-a", "uid": f"uid-{name}", "resourceVersion": str(version)} | more


def page(version: int, *metas: dict, next_: str = "", items=...) -> dict:
    found = [{"metadata": one} for one in metas] if items is ... else items
    return {"metadata": {"resourceVersion": str(version), "continue": next_}, "items": found}


def event(type_: str, metadata: dict) -> bytes:
    return json.dumps({"type": type_, "object": {"metadata": metadata}}).encode() + b"\n"


def error(code: int) -> bytes:
    status = {"kind": "Status", "code": code, "message": "hunter2 is not for logs"}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


class Listener:
    """Keeps what a watch tells, as handlers do."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.kept: set[tuple[str, str]] = set()

    def handle(self, change: Change, metadata) -> None:
        self.told.append((change.value, metadata.name, metadata.resource_version))
        place = (metadata.namespace, metadata.name)
        if change is Change.GONE:
            self.kept.discard(place)
        else:
            self.kept.add(place)


class Watching:
    """A watch that runs, its listener, and waiting for what it tells."""

    def __init__(self, api, selector: str = "", silence_s: float = 5.0, pauses_s=(0.01,)) -> None:
        self.listener = Listener()
        watched = Watched(PATH, self.listener.handle, lambda: self.listener.kept, selector)
        self.watch = MetadataWatch(api, watched, silence_s=silence_s, pauses_s=pauses_s)

    async def until_told(self, *expected: tuple[str, str, str]) -> None:
        async def told():
            assert list(expected) == self.listener.told
            return True

        await eventually_async(told, every_s=0.005)


@pytest.fixture
async def watching(open_api):
    running = []

    def start(**arguments) -> Watching:
        made = Watching(open_api(), **arguments)
        running.append(asyncio.create_task(made.watch.run()))
        return made

    yield start
    for task in running:
        assert not task.done(), task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def params(server) -> list[tuple[str, str]]:
    """What was asked for, in short: lists by their token, streams by their version."""
    return [
        ("stream", seen.query["resourceVersion"])
        if "watch" in seen.query
        else ("list", seen.query.get("continue", ""))
        for seen in server.seen
    ]


async def test_lists_in_pages_then_streams(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7, meta("a", 1), next_="more")),
            play.says(200, page(7, meta("b", 2))),
            play.streams(
                event("ADDED", meta("c", 8)),
                event("MODIFIED", meta("a", 9)),
                event("DELETED", meta("b", 10)),
                then="hang",
            ),
        ]
    )
    one = watching()

    await one.until_told(
        ("listed", "a", "1"), ("listed", "b", "2"), ("set", "c", "8"), ("set", "a", "9"), ("gone", "b", "10")
    )
    assert [("list", ""), ("list", "more"), ("stream", "7")] == params(server)
    assert one.watch.synced.is_set()
    assert {("team-a", "a"), ("team-a", "c")} == one.listener.kept


async def test_only_metadata_is_asked_for(server, watching, play) -> None:
    server.script.extend([play.says(200, page(7)), play.streams(then="hang")])
    watching(selector="managed=true")
    await play.until(lambda: len(server.seen) == 2)

    accepts = [seen.headers["Accept"] for seen in server.seen]
    assert [
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ] == accepts
    assert ["managed=true"] * 2 == [seen.query["labelSelector"] for seen in server.seen]
    assert {"true"} == {server.seen[1].query["allowWatchBookmarks"], server.seen[1].query["watch"]}
    assert 240 <= int(server.seen[1].query["timeoutSeconds"]) <= 360


@pytest.mark.parametrize("items", [None, []], ids=["null", "empty"])
async def test_nothing_there_is_a_list_too(server, watching, play, items) -> None:
    server.script.extend([play.says(200, page(7, items=items)), play.streams(then="hang")])
    one = watching()

    await play.until(one.watch.synced.is_set)
    assert [] == one.listener.told


async def test_is_not_synced_before_the_last_page(server, watching, play) -> None:
    server.script.extend([play.says(200, page(7, meta("a", 1), next_="more")), play.hangs])
    one = watching()

    await play.until(lambda: len(server.seen) == 2)
    assert not one.watch.synced.is_set()


async def test_bookmark_moves_the_version_and_tells_nobody(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(event("BOOKMARK", {"resourceVersion": "99"})),
            play.streams(then="hang"),
        ]
    )
    one = watching()

    await play.until(lambda: len(server.seen) == 3)
    assert ("stream", "99") == params(server)[-1]
    assert [] == one.listener.told


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_ended_stream_goes_on_where_it_was(server, watching, play, then) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(event("ADDED", meta("a", 8)), then=then),
            play.streams(event("ADDED", meta("b", 9)), then="hang"),
        ]
    )
    one = watching()

    await one.until_told(("set", "a", "8"), ("set", "b", "9"))
    assert [("list", ""), ("stream", "7"), ("stream", "8")] == params(server)


async def test_silent_stream_is_dead(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(event("ADDED", meta("a", 8)), then="hang"),
            play.streams(event("ADDED", meta("b", 9)), then="hang"),
        ]
    )
    one = watching(silence_s=0.1)

    await one.until_told(("set", "a", "8"), ("set", "b", "9"))
    assert ("stream", "8") == params(server)[2]


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(lambda play: play.refuses(410, "too old"), id="as HTTP status"),
        pytest.param(lambda play: play.streams(error(410)), id="as event"),
        pytest.param(lambda play: play.streams(error(504)), id="version from a future that a restore undid"),
    ],
)
async def test_version_that_is_gone_means_a_new_list_that_tells_what_vanished(
    server, watching, play, gone
) -> None:
    server.script.extend(
        [
            play.says(200, page(7, meta("a", 1), meta("b", 2))),
            gone(play),
            play.says(200, page(50, meta("b", 2), next_="more")),
            play.says(200, page(50, meta("c", 40))),
            play.streams(then="hang"),
        ]
    )
    one = watching()

    await one.until_told(
        ("listed", "a", "1"),
        ("listed", "b", "2"),
        ("listed", "b", "2"),
        ("listed", "c", "40"),
        ("gone", "a", ""),
    )
    await play.until(lambda: ("stream", "50") == params(server)[-1])
    assert 2 == one.watch.relists


async def test_page_that_has_expired_means_a_new_list(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7, meta("a", 1), next_="more")),
            play.refuses(410, "the continue token has expired"),
            play.says(200, page(9, meta("a", 1))),
            play.streams(then="hang"),
        ]
    )
    one = watching()

    await play.until(one.watch.synced.is_set)
    assert [("list", ""), ("list", "more"), ("list", "")] == params(server)[:3]


async def test_error_event_goes_on_from_the_last_event(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(event("ADDED", meta("a", 8)), error(500)),
            play.streams(event("ADDED", meta("b", 9)), then="hang"),
        ]
    )
    one = watching()

    await one.until_told(("set", "a", "8"), ("set", "b", "9"))


async def test_torn_last_line_is_dropped_and_comes_again(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(event("ADDED", meta("a", 8)) + event("ADDED", meta("b", 9))[:40], then="cut"),
            play.streams(event("ADDED", meta("b", 9)), then="hang"),
        ]
    )
    one = watching()

    await one.until_told(("set", "a", "8"), ("set", "b", "9"))


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>\n",
        b"{}\n",
        b'{"type":"ADDED"}\n',
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}\n',
    ],
    ids=["html", "empty", "no object", "not utf-8"],
)
async def test_answer_that_cannot_be_read_is_a_failure_like_others(
    server, watching, play, garbage, caplog
) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(event("ADDED", meta("a", 8)), garbage),
            play.streams(event("ADDED", meta("b", 9)), then="hang"),
        ]
    )
    one = watching()

    await one.until_told(("set", "a", "8"), ("set", "b", "9"))
    assert [f"watch of {PATH} failed: the answer cannot be read"] == caplog.messages


async def test_long_lines_over_many_chunks(server, watching, play) -> None:
    """An annotation of the largest size, in pieces that split it anywhere."""
    chance = random.Random(1)
    large = meta("large", 8, annotations={"note": "ä" * 120_000}, managedFields=[{"f": "x" * 100_000}])
    text = event("ADDED", large) + b"\n\n" + event("ADDED", meta("b", 9)) + event("ADDED", meta("c", 10))
    cuts = sorted(chance.sample(range(len(text)), 300))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    server.script.extend([play.says(200, page(7)), play.streams(*chunks, then="hang")])
    one = watching()

    await one.until_told(("set", "large", "8"), ("set", "b", "9"), ("set", "c", "10"))


async def test_failures_in_a_row_mean_a_new_list(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            *[play.streams(error(500))] * 3,
            play.says(200, page(9)),
            play.streams(then="hang"),
        ]
    )
    watching()

    await play.until(lambda: len(server.seen) == 6)
    streams = [("stream", "7")] * 3
    assert [("list", ""), *streams, ("list", ""), ("stream", "9")] == params(server)


async def test_unreachable_server_is_waited_for_and_nothing_is_listed_anew(server, watching, play) -> None:
    """After a restart of the API server a thousand operators must not all list everything."""
    server.script.extend(
        [
            play.says(200, page(7)),
            *[play.hangs_up] * 8,
            play.streams(event("ADDED", meta("a", 8)), then="hang"),
        ]
    )
    one = watching()

    await one.until_told(("set", "a", "8"))
    assert ["list"] + ["stream"] * 9 == [what for what, _ in params(server)]


@pytest.mark.parametrize("ends", ["at once", "with an error"])
async def test_server_that_hangs_up_is_not_hammered(server, open_api, play, ends) -> None:
    """No real waiting: the pauses are taken down instead."""
    pauses: list[float] = []

    class Pauses(tuple):
        __slots__ = ()

        def __getitem__(self, position):
            pauses.append(super().__getitem__(position))
            return 0.001

    server.script.append(play.says(200, page(7)))
    server.otherwise = play.streams() if ends == "at once" else play.refuses(500, "broken")
    one = Watching(open_api(), pauses_s=Pauses((0.1, 0.2, 0.5, 1.0)))
    task = asyncio.create_task(one.watch.run())
    await play.until(lambda: len(pauses) >= 6)
    task.cancel()

    assert [0.1, 0.2, 0.5, 1.0, 1.0, 1.0] == pauses[:6]


async def test_series_of_failures_is_logged_once(server, watching, play, caplog) -> None:
    caplog.set_level(logging.INFO)
    server.script.extend(
        [*[play.refuses(503, "starting")] * 5, play.says(200, page(7)), play.streams(then="hang")]
    )
    watching()

    await play.until(lambda: len(server.seen) == 7)
    assert [f"watch of {PATH} failed: starting"] == caplog.messages


async def test_next_series_is_logged_again(server, watching, play, caplog) -> None:
    server.script.extend(
        [
            play.refuses(503, "starting"),
            play.says(200, page(7)),
            play.streams(1.1, event("ADDED", meta("a", 8)), error(500)),
            play.streams(then="hang"),
        ]
    )
    watching()

    await play.until(lambda: len(server.seen) == 4)
    assert [
        f"watch of {PATH} failed: starting",
        f"watch of {PATH} failed: the watch ended with code 500",
    ] == (caplog.messages)


async def test_progress_is_noted_at_every_sign_of_life(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7)),
            play.streams(
                event("ADDED", meta("a", 8)), 0.05, event("BOOKMARK", {"resourceVersion": "9"}), then="hang"
            ),
        ]
    )
    one = watching()
    at_start = one.watch.last_progress
    await one.until_told(("set", "a", "8"))
    at_event = one.watch.last_progress
    await play.until(lambda: one.watch.last_progress > at_event)

    assert at_start < at_event
    await asyncio.sleep(0.05)
    quiet = one.watch.last_progress
    await asyncio.sleep(0.05)
    assert quiet == one.watch.last_progress


async def test_handler_that_fails_on_one_object_hears_of_all_others(server, open_api, play, caplog) -> None:
    heard = []

    def handle(change: Change, metadata) -> None:
        if metadata.name == "bad":
            raise KeyError("a bug")
        heard.append(metadata.name)

    server.script.extend(
        [
            play.says(200, page(7, meta("bad", 1), meta("a", 2))),
            play.streams(event("ADDED", meta("bad", 8)), event("ADDED", meta("b", 9)), then="hang"),
        ]
    )
    task = asyncio.create_task(MetadataWatch(open_api(), Watched(PATH, handle, lambda: ())).run())
    await play.until(lambda: heard == ["a", "b"])

    assert not task.done()
    assert ["a bug in Keyferry"] * 2 == caplog.messages
    task.cancel()


async def test_stream_that_is_silent_twice_is_replaced_by_a_list(server, watching, play) -> None:
    """Not even bookmarks come: something between us and the server swallows them, and perhaps events too."""
    server.script.extend(
        [
            play.says(200, page(7, meta("a", 1))),
            *[play.streams(then="hang")] * 2,
            play.says(200, page(9, meta("b", 8))),
            play.streams(then="hang"),
        ]
    )
    one = watching(silence_s=0.1)

    await one.until_told(("listed", "a", "1"), ("listed", "b", "8"), ("gone", "a", ""))
    assert [("list", ""), ("stream", "7"), ("stream", "7"), ("list", "")] == params(server)[:4]


async def test_bookmarks_are_life_enough(server, watching, play) -> None:
    bookmark = event("BOOKMARK", {"resourceVersion": "8"})
    server.script.extend([play.says(200, page(7)), *[play.streams(bookmark, then="hang")] * 4])
    watching(silence_s=0.1)

    await play.until(lambda: len(server.seen) == 5)
    assert ["list"] + ["stream"] * 4 == [what for what, _ in params(server)]


async def test_signs_of_life_are_what_was_heard_not_what_was_asked(server, watching, play) -> None:
    server.script.extend([play.says(200, page(7)), play.streams(then="hang")])
    one = watching(silence_s=0.5)
    await play.until(lambda: len(server.seen) == 2)
    silent = one.watch.signs
    await asyncio.sleep(0.2)
    assert silent == one.watch.signs

    server.script.append(play.refuses(503, "starting"))
    await play.until(lambda: one.watch.signs > silent)
