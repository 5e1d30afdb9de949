"""For all tests: nothing of the machine's own Kubernetes or Go settings reaches them by accident."""

from __future__ import annotations

import signal

import hypothesis
import pytest

hypothesis.settings.register_profile("keyferry", deadline=None)  # machines that test are often busy
hypothesis.settings.load_profile("keyferry")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in the background, and programs that tests start would be deaf to it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test must never reach the cluster that the developer works with."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long go first: no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
