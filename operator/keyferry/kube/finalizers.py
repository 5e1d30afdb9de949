"""Taking finalizers off an object: what the reference operator put on and nobody of ours needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keyferry.errors import KubeConflict, KubeInvalid
from keyferry.kube.client import JSON_PATCH, KubeApi
from keyferry.kube.watch import read_meta

_TRIES: Final = 3


def removal(finalizers: Mapping[int, str]) -> list[dict[str, str]]:
    """The JSON patch that takes finalizers off, by their places; refused where they are others by then."""
    patch = []
    for place in sorted(finalizers, reverse=True):  # from the end, so that no place moves before its turn
        at = f"/metadata/finalizers/{place}"
        patch += [{"op": "test", "path": at, "value": finalizers[place]}, {"op": "remove", "path": at}]
    return patch


async def drop_finalizers(api: KubeApi, path: str, unwanted: Callable[[str], bool]) -> list[str]:
    """Read an object and take off its unwanted finalizers, by a patch that changes nothing else; which they were.

    Raises:
        KubeNotFound: the object is gone.
        KubeError: anything else that the API server says.
    """
    for attempt in range(1, _TRIES + 1):
        found = read_meta(await api.request("GET", path)).finalizers or []
        places = [place for place, finalizer in enumerate(found) if unwanted(finalizer)]
        if not places:
            return []
        patch = removal({place: found[place] for place in places})
        try:
            await api.request("PATCH", path, body=patch, content_type=JSON_PATCH)
        except (KubeInvalid, KubeConflict):
            if attempt == _TRIES:
                raise
            continue  # they are others by now
        return [found[place] for place in places]
    raise AssertionError("unreachable")
