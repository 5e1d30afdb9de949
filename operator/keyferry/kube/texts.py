"""Texts in ConfigMaps and Secrets, such as templates: those that are asked for, and when they last changed."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from keyferry.errors import KubeForbidden, KubeNotFound, NotReadyError
from keyferry.kube.client import KubeApi
from keyferry.ports import ObjectKey
from keyferry.secretdata import SecretBytes

_PLURALS: Final = {"ConfigMap": "configmaps", "Secret": "secrets"}


@dataclass(frozen=True, slots=True)
class TextObject:
    """What was read of a ConfigMap or Secret.

    Args:
        version: its resourceVersion.
        modified: when somebody last wrote it, in whole seconds; None where it does not say.
        texts: those that were asked for and are there.
        keys: all that there are.
    """

    version: str
    modified: datetime | None
    texts: Mapping[str, SecretBytes]
    keys: tuple[str, ...]


async def read_texts(api: KubeApi, key: ObjectKey, wanted: Collection[str]) -> TextObject:
    """Read a ConfigMap or Secret, and keep what is wanted.

    Raises:
        NotReadyError: there is none.
        KubeError: the API server refuses or cannot be asked.
    """
    plural = _PLURALS[key.kind]
    try:
        document: Mapping[str, Any] = await api.read(
            f"/api/v1/namespaces/{key.namespace}/{plural}/{key.name}"
        )
    except KubeNotFound:
        raise NotReadyError(f"{key} does not exist", hint="Create it, or correct the reference") from None
    except KubeForbidden as error:
        raise KubeForbidden(
            error.message, status=error.status, hint=f"Let the operator get, list and watch {plural}"
        ) from error
    data: Mapping[str, str] = document.get("data") or {}
    metadata = document["metadata"]
    return TextObject(
        metadata["resourceVersion"],
        _modified(metadata),
        {name: _decoded(key.kind, data[name]) for name in wanted if name in data},
        tuple(data),
    )


def _decoded(kind: str, text: str) -> SecretBytes:
    return SecretBytes(base64.b64decode(text) if kind == "Secret" else text)


def _modified(metadata: Mapping[str, Any]) -> datetime | None:
    """The latest of the times at which somebody wrote: each of them has an entry in managedFields."""
    times = [metadata.get("creationTimestamp")]
    times += [entry.get("time") for entry in metadata.get("managedFields") or ()]
    # RFC 3339 in UTC: the order of the texts is that of the times.
    latest = max((time for time in times if isinstance(time, str)), default="")
    try:
        return datetime.fromisoformat(latest)
    except ValueError:
        return None
