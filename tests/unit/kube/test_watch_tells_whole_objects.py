"""A watch that asks for whole objects: for kinds of which there are few, and each change counts at once."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from keyferry.kube.watch import Change, MetadataWatch, Watched

PATH = "/apis/keyferry.io/v1alpha1/storepolicies"


def thing(name: str, version: int, **spec) -> dict:
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), "generation": version}
    return {"metadata": meta, "spec": spec, "status": {"stores": version}}


def page(version: int, *items: dict) -> dict:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(type_: str, body: dict) -> bytes:
    return json.dumps({"type": type_, "object": body}).encode() + b"\n"


class Listener:
    """Keeps what a watch tells, in its order."""

    def __init__(self, *, again: bool) -> None:
        self.told: list[tuple] = []
        self._again = again

    def whole(self, change: Change, found) -> None:
        self.told.append((change.value, found.metadata.name, bytes(found.spec), bytes(found.status)))

    def failed(self, error: Exception) -> bool:
        self.told.append(("failed", str(error)))
        return self._again

    def listed(self) -> None:
        self.told.append(("complete",))


@pytest.fixture
async def watching(open_api):
    running = []

    def start(*, again: bool = False) -> Listener:
        listener = Listener(again=again)
        watched = Watched(
            PATH,
            handle=lambda *_: pytest.fail("only its metadata was told"),
            known=lambda: [("", "old")],
            whole=listener.whole,
            listed=listener.listed,
            failed=listener.failed,
        )
        watch = MetadataWatch(open_api(), watched, silence_s=5.0, pauses_s=(0.01,))
        running.append(asyncio.create_task(watch.run()))
        return listener

    yield start
    for task in running:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_objects_are_told_whole_and_lists_by_their_end(server, watching, play) -> None:
    server.script.extend(
        [
            play.says(200, page(7, thing("a", 1, x=1))),
            play.streams(
                event("MODIFIED", thing("a", 8, x=2)),
                event("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
                event("DELETED", thing("a", 10)),
                then="hang",
            ),
        ]
    )
    one = watching()
    await play.until(lambda: len(one.told) == 5)

    assert [
        ("listed", "a", b'{"x": 1}', b'{"stores": 1}'),
        ("gone", "old", b"{}", b"{}"),
        ("complete",),
        ("set", "a", b'{"x": 2}', b'{"stores": 8}'),
        ("gone", "a", b"{}", b'{"stores": 10}'),
    ] == one.told
    assert ["application/json"] * 2 == [seen.headers["Accept"] for seen in server.seen]


@pytest.mark.parametrize("again", [True, False])
async def test_failure_is_told_and_may_ask_for_a_list(server, watching, play, again) -> None:
    """Who was refused does not know what was missed meanwhile, whatever the version says."""
    server.script.extend(
        [
            play.says(200, page(7)),
            play.refuses(403, "no more"),
            *([play.says(200, page(8))] if again else []),
            play.streams(then="hang"),
        ]
    )
    one = watching(again=again)
    await play.until(lambda: len(server.seen) == (4 if again else 3))

    told = [what[0] for what in one.told]
    assert (
        ["gone", "complete", "failed", "gone", "complete"] if again else ["gone", "complete", "failed"]
    ) == told
    assert any("no more" in text for _, text in [what for what in one.told if what[0] == "failed"])
