from __future__ import annotations

import importlib.metadata
import sys

import pytest
from kopf._cogs.clients import errors, fetching, watching
from kopf._core.reactor import orchestration, queueing

from keyferry.handlers import inline


def test_locked_kopf_fits() -> None:
    assert "" == inline.fits()


async def other_watcher(*, namespace, settings, resource) -> None:
    """A watcher of another kopf."""


async def other_stream(*, settings, resource) -> None:
    """A stream of another kopf."""


async def other_list(*, settings, resource) -> None:
    """A list of another kopf."""


@pytest.mark.parametrize(
    ("module", "name", "value", "reason"),
    [
        (queueing, "watcher", other_watcher, "kopf's watcher takes other parameters"),
        (watching, "watch_objs", other_stream, "kopf's stream takes other parameters"),
        (fetching, "fetch_objs", other_list, "kopf's list takes other parameters"),
        (orchestration, "queueing", object(), "kopf starts its watchers otherwise"),
    ],
)
def test_anything_that_differs_is_a_reason_against_it(monkeypatch, module, name, value, reason) -> None:
    monkeypatch.setattr(module, name, value)

    assert reason == inline.fits()


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        (queueing, "watcher", "kopf's watcher takes other parameters"),
        (watching, "watch_objs", "kopf's stream takes other parameters"),
        (fetching, "fetch_objs", "kopf's list takes other parameters"),
        (errors.APIError, "status", "kopf's errors have no status"),
        (orchestration, "queueing", "kopf starts its watchers otherwise"),
    ],
)
def test_anything_that_is_missing_is_a_reason_against_it(monkeypatch, module, name, reason) -> None:
    monkeypatch.delattr(module, name)

    assert reason == inline.fits()


@pytest.mark.parametrize("module", ["kopf._cogs.clients.watching", "kopf._core.reactor.queueing"])
def test_module_that_is_missing_is_a_reason_against_it(monkeypatch, module) -> None:
    parent, _, name = module.rpartition(".")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delattr(sys.modules[parent], name)

    assert inline.fits().startswith("kopf has no module")


@pytest.mark.parametrize("version", ["1.44.9", "1.46.0", "2.0"])
def test_other_release_line_is_a_reason_against_it(monkeypatch, version) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)

    assert f"kopf is {version}" == inline.fits()


def test_original_is_put_back() -> None:
    original = queueing.watcher
    restore = inline.install(lambda *_: None, lambda _: (), lambda _: None)
    assert queueing.watcher is not original

    restore()

    assert queueing.watcher is original
