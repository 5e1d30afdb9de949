"""Fixed values in the manifest."""

from __future__ import annotations

import pytest
from tests.contract.providers.backends.base import Untroubled, make_view

from keyferry.ports import StoreView
from keyferry.providers.fake import FakeProvider
from keyferry.testing.clusteraccess import Cluster


class FakeBackend(Untroubled):
    keeps_bytes = False
    finds = True

    def __init__(self, cluster: Cluster) -> None:
        self.provider = FakeProvider()
        self.cluster = cluster
        self._entries: dict[tuple[str, str], str | bytes] = {}

    def put(self, key: str, value: str | bytes) -> str:
        version = f"v{len(self._entries)}"
        self._entries[key, ""] = self._entries[key, version] = value
        return version

    def view(self) -> StoreView:
        data = [{"key": k, "version": v, "value": value} for (k, v), value in self._entries.items()]
        return make_view("fake", {"data": data})


def make(request: pytest.FixtureRequest, cluster: Cluster) -> FakeBackend:
    return FakeBackend(cluster)
