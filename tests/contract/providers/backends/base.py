"""What the common contract suite asks of every kind of store: a `Backend`, with remote secrets and troubles.

A further provider adds a module here, with a class that fulfils `Backend` and a function `make`, and a line in
`every.BACKENDS`. The server behind it is real, or a strict double that is wire-true.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Protocol

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreSpec
from keyferry.ports import ObjectKey, Provider, StoreView
from keyferry.testing.clusteraccess import Cluster

RETRY_AFTER_S = 7
"""What a store in trouble asks for, if its API can ask for a pause."""


class Trouble(enum.Enum):
    """What a store can be put into; it strikes every call until it is relieved."""

    THROTTLED = "throttled"
    """It asks for fewer calls, and for a pause of `RETRY_AFTER_S` where its API has words for that."""
    FAILING = "failing"
    """It answers that it failed at its own side."""
    CUT = "cut"
    """The connection ends in the middle of the answer, or before it."""
    HELD = "held"
    """It does not answer until it is relieved; then the call is answered well, or cut."""


class Backend(Protocol):
    """One kind of store with remote secrets in it."""

    provider: Provider
    cluster: Cluster
    keeps_bytes: bool
    """Whether a value may be no text."""
    finds: bool
    """Whether it can be searched."""
    denies: bool
    """Whether it decides for each remote secret who may read it."""
    names_pause: bool
    """Whether a throttled store says for how long."""
    largest: int
    """So many bytes a value may have."""
    # What follows may be left out where it is as usual, see `trait`.
    root: str
    """What names that a search finds begin with, before the key as a manifest names it; usually nothing."""
    folders: bool
    """Whether a path is a folder; usually it is the beginning of names."""
    absent_version: str
    """A version that no remote secret has."""
    versions: bool
    """Whether a remote secret has versions; usually it has."""

    def put(self, key: str, value: str | bytes) -> str:
        """Give a remote secret a new current value; how a manifest names that version."""
        ...

    def view(self) -> StoreView:
        """A store that may read everything here, but what is denied."""
        ...

    def deny(self, key: str) -> None:
        """From now on the store's identity may not read this remote secret."""
        ...

    def trouble(self, kind: Trouble) -> None:
        """Put the store into trouble."""
        ...

    def wait_held(self) -> None:
        """Wait until a call is held."""
        ...

    def relieve(self) -> None:
        """End all troubles."""
        ...


USUAL: Mapping[str, Any] = {
    "root": "",
    "folders": False,
    "absent_version": "uuid/00000000-1111-2222-3333-444444444444",
    "versions": True,
}


def trait(backend: Backend, name: str) -> Any:
    """What a backend says of itself, or what is usual."""
    return getattr(backend, name, USUAL[name])


class Untroubled:
    """What a backend has that cannot be in trouble, nor deny: there is no server."""

    denies = False
    names_pause = False
    largest = 65536

    def deny(self, key: str) -> None:
        raise NotImplementedError

    def trouble(self, kind: Trouble) -> None:
        raise NotImplementedError

    def wait_held(self) -> None:
        raise NotImplementedError

    def relieve(self) -> None:
        """There is none."""


def make_view(
    provider: str, block: Mapping[str, Any], *, namespace: str = "team-a", name: str = "main"
) -> StoreView:
    """A store as its provider sees it; without a namespace a ClusterSecretStore."""
    kind = "SecretStore" if namespace else "ClusterSecretStore"
    spec = convert({"provider": {provider: block}}, SecretStoreSpec)
    return StoreView.of(ObjectKey(kind, namespace, name), spec)
