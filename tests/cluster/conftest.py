"""One real control plane for the session, a namespace for each test.

    def test_something(kube: KubeClient, namespace: str) -> None: ...

`cluster` is shared: a test that disturbs it (stops the API server, needs other flags) starts its own
with `LocalCluster.start()`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import pytest

from keyferry.localcluster import LocalCluster, StreamProgress, binaries
from keyferry.testing.kubeclient import KubeClient, path_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before any test's clock runs: the first time takes minutes."""
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    if wanted and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            import sys

            binaries.obtain(StreamProgress(sys.stderr))


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The control plane that the session's tests share."""
    with LocalCluster.start() as running:
        yield running


@pytest.fixture(scope="session")
def kube(cluster: LocalCluster) -> KubeClient:
    """The administrator's client."""
    return KubeClient(cluster.server, cluster.ca_pem, cluster.token)


@pytest.fixture
def namespace(kube: KubeClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; deleted afterwards, without waiting for its end."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    name = f"{words}-{secrets.token_hex(3)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    kube.delete(path_of("v1", "namespaces", name=name))
