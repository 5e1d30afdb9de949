"""Carrying out a `SecretPlan`: the only place that writes target Secrets, and that reads whole ones.

First write POST; where the Secret already exists after all, the caller plans again on what there is. An
update carries the resourceVersion it was planned on, so that nobody's newer value is ever overwritten.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from keyferry.core.desired import Action, ExistingSecret, SecretPlan
from keyferry.errors import KubeError, KubeNotFound
from keyferry.kube.client import KubeApi
from keyferry.kube.watch import read_meta
from keyferry.secretdata import SecretBytes, SecretData


@dataclass(frozen=True, slots=True)
class WrittenSecret:
    """What the API server made of a write.

    Args:
        altered: whether it holds other values than were sent: defaults, or what admission made of them.
    """

    uid: str
    resource_version: str
    altered: bool = False


def _path(namespace: str, name: str = "") -> str:
    base = f"/api/v1/namespaces/{namespace}/secrets"
    return f"{base}/{name}" if name else base


async def read_secret(
    api: KubeApi, namespace: str, name: str, *, from_cache: bool = False
) -> ExistingSecret | None:
    """The whole Secret, None if there is none.

    Args:
        from_cache: the API server may answer from its watch cache, which is cheaper and may lag.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    params = {"resourceVersion": "0"} if from_cache else None
    try:
        body = await api.request("GET", _path(namespace, name), params=params)
    except KubeNotFound:
        return None
    return existing_secret(orjson.loads(body))


def existing_secret(document: Mapping[str, Any]) -> ExistingSecret:
    """A Secret's JSON as the record that core plans on."""
    metadata = document["metadata"]
    data = {key: SecretBytes(base64.b64decode(value)) for key, value in (document.get("data") or {}).items()}
    return ExistingSecret(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        metadata=metadata,
        type=document.get("type", "Opaque"),
        immutable=bool(document.get("immutable")),
        data=SecretData(data),
    )


async def apply(api: KubeApi, plan: SecretPlan, *, only_try: bool = False) -> WrittenSecret | None:
    """Carry out the plan; None where that changed nothing.

    Args:
        only_try: have the API server say whether it would take the write, and write nothing; not for deletions.

    Raises:
        KubeConflict: the Secret changed, or was created, since the plan was made: read and plan again.
        KubeError: anything else that the API server says.
    """
    if plan.action is Action.CREATE:
        return await _write(api, "POST", _path(plan.namespace), plan, only_try=only_try)
    if plan.action is Action.UPDATE:
        written = await _write(api, "PUT", _path(plan.namespace, plan.name), plan, only_try=only_try)
        return None if is_unmoved(plan, written.resource_version) else written
    if plan.action is Action.DELETE:
        await delete_secret(api, plan)
    return None


def is_unmoved(plan: SecretPlan, version: str) -> bool:
    """Whether an update changed nothing, told by the version after it: admission took back what it changed."""
    return plan.existing is not None and plan.existing.resource_version == version


async def _write(api: KubeApi, method: str, path: str, plan: SecretPlan, *, only_try: bool) -> WrittenSecret:
    params = {"fieldManager": plan.manager} | ({"dryRun": "All"} if only_try else {})
    body = await api.request(method, path, params=params, body=_document(plan))
    meta = read_meta(body)
    return WrittenSecret(meta.uid, meta.resource_version)


def planned_metadata(plan: SecretPlan, before: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata to send. An update starts from what exists, so that nothing of it is lost.

    Args:
        before: the metadata that exists; empty where there is none.
    """
    metadata: dict[str, Any] = {
        **before,
        "name": plan.name,
        "namespace": plan.namespace,
        "labels": dict(plan.labels),
        "annotations": dict(plan.annotations),
    }
    if plan.finalizers is not None:
        metadata["finalizers"] = list(plan.finalizers)
    if plan.owner_references or plan.existing is not None:
        metadata["ownerReferences"] = [dict(reference) for reference in plan.owner_references]
    return metadata


def _document(plan: SecretPlan) -> bytes:
    """The Secret to send."""
    before = plan.existing.metadata if plan.existing is not None else {}
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": planned_metadata(plan, before),
        "type": plan.type,
        "data": {k: base64.b64encode(v.reveal()).decode() for k, v in plan.data.items()},
    }
    if plan.immutable:
        document["immutable"] = True
    return orjson.dumps(document)


async def delete_secret(api: KubeApi, plan: SecretPlan) -> None:
    """Delete the Secret that the plan was made on, and no other of its name; one already gone is fine.

    Raises:
        KubeError: the API server refuses, or the Secret changed since.
    """
    if plan.existing is None:
        raise KubeError("a deletion was planned without a Secret")
    await delete_by_uid(api, plan.namespace, plan.name, plan.existing.uid, plan.existing.resource_version)


async def delete_by_uid(
    api: KubeApi, namespace: str, name: str, uid: str, resource_version: str = ""
) -> None:
    """Delete one Secret by name. Otherwise as `delete_object`."""
    await delete_object(api, _path(namespace, name), uid, resource_version)


async def delete_object(api: KubeApi, path: str, uid: str, resource_version: str = "") -> None:
    """Delete an object, if it still is the one with this uid (and version, where given); gone is fine.

    Raises:
        KubeError: the API server refuses, or it is another object now.
    """
    preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
    try:
        await api.request("DELETE", path, body={"preconditions": preconditions})
    except KubeNotFound:
        return
