"""What all contract suites share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.azurefixtures import azure, azure_environment, running_azure  # noqa: F401 - fixtures
from tests.vaultfixtures import build_if_needed, postgres, vault, vault_proxy  # noqa: F401 - fixtures

from keyferry.localcluster import LocalCluster, StreamProgress, binaries
from keyferry.testing.leaks import LeakDetector


def pytest_collection_finish(session: pytest.Session) -> None:
    build_if_needed(session)
    build_control_plane_if_needed(session)


def build_control_plane_if_needed(session: pytest.Session) -> None:
    """Build before any test's clock runs: the first time takes minutes."""
    wanted = any(_needs_control_plane(item) for item in session.items)
    if wanted and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            binaries.obtain(StreamProgress(sys.stderr))


def _needs_control_plane(item: pytest.Item) -> bool:
    by_name = {"control_plane", "source_namespace"}.intersection(getattr(item, "fixturenames", ()))
    arguments = getattr(getattr(item, "callspec", None), "params", {})
    return bool(by_name) or arguments.get("backend") == "kubernetes"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[LocalCluster]:
    """A real control plane that the session's tests share: Secrets and RBAC, none of our own kinds."""
    with LocalCluster.start() as running:
        yield running


@pytest.fixture(scope="session")
def leaks() -> Iterator[LeakDetector]:
    """Finds canaries in what it is shown. What it found fails the session."""
    detector = LeakDetector()
    yield detector
    detector.check()
