"""Lists in pages: metadata only, or whole objects; and which resources there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson

from keyferry.errors import KubeNotFound
from keyferry.kube.client import KubeApi
from keyferry.kube.shallow import Decoder, loads
from keyferry.kube.watch import LIST_ACCEPT, PAGE_SIZE, ObjectMeta, PartialList

_LIST: Final = Decoder(PartialList)


async def list_metadata(api: KubeApi, path: str, label_selector: str = "") -> AsyncIterator[ObjectMeta]:
    """The metadata of all objects of a collection, or of those with certain labels.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    params = {"limit": str(PAGE_SIZE)}
    if label_selector:
        params["labelSelector"] = label_selector
    while True:
        page = _LIST.decode(await api.request("GET", path, params=params, accept=LIST_ACCEPT))
        for item in page.items or ():
            yield item.metadata
        if not page.metadata.continue_:
            return
        params["continue"] = page.metadata.continue_


async def list_objects(api: KubeApi, path: str) -> AsyncIterator[Mapping[str, Any]]:
    """All objects of a collection, whole. Raises as `list_metadata`."""
    params = {"limit": str(PAGE_SIZE)}
    while True:
        page = loads(await api.request("GET", path, params=params))
        for item in page.get("items") or []:
            yield item
        token = (page.get("metadata") or {}).get("continue")
        if not token:
            return
        params["continue"] = token


async def served_plurals(api: KubeApi, api_version: str) -> frozenset[str]:
    """The resources of a group and version that the API server's discovery tells of; empty for none.

    Raises:
        KubeError: the API server refuses or cannot be asked.
        ValueError: the answer is not what an API server answers.
    """
    try:
        document = orjson.loads(await api.request("GET", f"/apis/{api_version}"))
    except KubeNotFound:
        return frozenset()
    return frozenset(resource["name"] for resource in document.get("resources") or ())
