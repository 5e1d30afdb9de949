"""A store session over a scripted client, on the running (virtual-time) loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from keyferry.planner.cache import AnswerCache, Freshness
from keyferry.planner.session import StoreSession
from keyferry.ports import Read, RemoteValue
from keyferry.testing.storeclient import ScriptedStoreClient

ANY_AGE = Freshness(float("-inf"), float("-inf"))


@dataclass
class Desk:
    """A session and what belongs to it. Made within a test, since a session needs the running loop."""

    client: ScriptedStoreClient
    cache: AnswerCache = field(default_factory=AnswerCache)
    fingerprint: str = "fp"
    troubles: int = 0
    recoveries: int = 0

    def __post_init__(self) -> None:
        self.session = StoreSession(
            self.fingerprint, self.client, self.cache, self._recovered, self._troubled
        )

    def _troubled(self) -> None:
        self.troubles += 1

    def _recovered(self) -> None:
        self.recoveries += 1

    async def ask(self, key: str, need: Freshness = ANY_AGE, version: str = "", retries=(0.1, 0.4)):
        """What the session answers, in short: the value's text, or the failure."""
        answer = await self.session.read(Read(key, version), need, retries)
        return answer.value.reveal().decode() if isinstance(answer, RemoteValue) else answer


@pytest.fixture
def open_desk() -> Callable[..., Desk]:
    """Makes a session; arguments are the client's, or `client=`, `cache=`, `fingerprint=`."""

    def make(client=None, cache=None, fingerprint="fp", **of_client) -> Desk:
        return Desk(
            client or ScriptedStoreClient(**of_client), AnswerCache() if cache is None else cache, fingerprint
        )

    return make
