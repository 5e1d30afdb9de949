"""Targets that are no Secret, at the API server: which resource a kind is, reading, writing, deleting.

What the API server says of an object that it refuses may quote the object, so it is not repeated; what RBAC
says is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import orjson

from keyferry.api import names
from keyferry.core.desired import Action, ExistingSecret, SecretPlan
from keyferry.core.fieldpath import content
from keyferry.core.manifest import VERBS, Manifest, fields_as_of_a_secret, read_data
from keyferry.errors import ON_CHANGE, KubeError, KubeForbidden, KubeInvalid, KubeNotFound, RenderError
from keyferry.kube.apply import WrittenSecret, delete_object, is_unmoved, planned_metadata
from keyferry.kube.client import KubeApi
from keyferry.kube.shallow import MAX_DEPTH, is_deep


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the API server has objects of a kind."""

    plural: str
    namespaced: bool


class _Served(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False


class _ServedList(msgspec.Struct):
    resources: list[_Served] | None = None


_SERVED: Final = msgspec.json.Decoder(_ServedList)
_BY_RBAC: Final = re.compile(
    r'[\w.-]+(?: "[\w.:-]+")? is forbidden: User "[^"]+" cannot [a-z]+ resource "[^"]+" in .*'
)
_REFUSED: Final = frozenset({400, 403, 413, 422})
_BAD_REQUEST: Final = 400


async def served_kinds(api: KubeApi, api_version: str) -> Mapping[str, Resource]:
    """The kinds of a group and version, by their names; empty where there is no such version.

    Raises:
        KubeError: the API server refuses or cannot be asked.
        msgspec.DecodeError: it is no API server that answers.
    """
    try:
        body = await api.request("GET", _base(api_version))
    except KubeNotFound:
        return {}
    found = _SERVED.decode(body).resources or []
    # "widgets/status" is a part of an object.
    return {one.kind: Resource(one.name, one.namespaced) for one in found if "/" not in one.name}


def _base(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def collection(manifest: Manifest, resource: Resource, namespace: str) -> str:
    """The path of a kind's objects in a namespace; of all where it is empty."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{_base(manifest.api_version)}{scope}/{resource.plural}"


async def read_object(
    api: KubeApi, manifest: Manifest, resource: Resource, namespace: str, name: str
) -> ExistingSecret | None:
    """An object's values, as if they were a Secret's; None if there is none.

    Raises:
        KubeError: the API server refuses or cannot be asked.
    """
    try:
        body = await api.request("GET", f"{collection(manifest, resource, namespace)}/{name}")
    except KubeNotFound:
        return None
    except KubeForbidden as error:
        raise _with_hint(error, manifest, resource) from error
    return _existing(manifest, body)


def _existing(manifest: Manifest, body: bytes) -> ExistingSecret:
    if is_deep(body):
        raise RenderError(f"the {manifest.kind} is nested deeper than {MAX_DEPTH} levels")
    document = orjson.loads(body)
    metadata = document["metadata"]
    fields = fields_as_of_a_secret(manifest, metadata.get("managedFields") or [])
    return ExistingSecret(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        metadata={**metadata, "managedFields": fields},
        type="",
        immutable=manifest.is_config_map and bool(document.get("immutable")),
        data=read_data(manifest, document),
        manifest=manifest,
        document=document,
    )


async def apply_object(
    api: KubeApi, manifest: Manifest, resource: Resource, plan: SecretPlan
) -> WrittenSecret | None:
    """Carry out the plan; None where that changed nothing.

    Where the API server put defaults beside or among the values, the hash of all is noted by another write.

    Raises:
        KubeConflict: the object changed, or was created, since the plan was made: read and plan again.
        KubeError: anything else that the API server says.
        RenderError: a value cannot be written into an object of this kind.
    """
    path = collection(manifest, resource, plan.namespace)
    if plan.action is Action.DELETE and plan.existing is not None:
        existing = plan.existing
        await delete_object(api, f"{path}/{plan.name}", existing.uid, existing.resource_version)
    if plan.action not in (Action.CREATE, Action.UPDATE):
        return None
    stored = await _write(api, manifest, resource, plan)
    if is_unmoved(plan, stored.resource_version):
        return None
    altered, hashed = stored.data != plan.data, stored.content_hash
    if plan.by_fields:
        altered = content(stored.document) != content(plan.document)
    if plan.annotations[names.ANNOTATION_DATA_HASH] != hashed:
        annotations = {**plan.annotations, names.ANNOTATION_DATA_HASH: hashed}
        again = replace(
            plan,
            action=Action.UPDATE,
            annotations=annotations,
            data=stored.data,
            document=stored.document,
            existing=stored,
        )
        stored = await _write(api, manifest, resource, again)
    return WrittenSecret(stored.uid, stored.resource_version, altered)


async def _write(api: KubeApi, manifest: Manifest, resource: Resource, plan: SecretPlan) -> ExistingSecret:
    path = collection(manifest, resource, plan.namespace)
    method, path = ("POST", path) if plan.action is Action.CREATE else ("PUT", f"{path}/{plan.name}")
    params = {"fieldManager": plan.manager, "fieldValidation": "Strict"}
    try:
        body = await api.request(method, path, params=params, body=_document(manifest, plan))
    except KubeError as error:
        raise _untold(error, manifest, resource, plan) from None
    return _existing(manifest, body)


def _document(manifest: Manifest, plan: SecretPlan) -> bytes:
    """The object to send. An update starts from what exists, so that nothing of it is lost."""
    before = plan.existing.document if plan.existing is not None else {}
    metadata = planned_metadata(plan, before.get("metadata") or {})
    own = {"apiVersion": manifest.api_version, "kind": manifest.kind, "metadata": metadata}
    document = {**plan.document, **own}
    if plan.immutable:
        document["immutable"] = True
    return orjson.dumps(document)


def _with_hint(error: KubeForbidden, manifest: Manifest, resource: Resource) -> KubeForbidden:
    group = f"{resource.plural}.{manifest.group}" if manifest.group else resource.plural
    return KubeForbidden(error.message, status=error.status, hint=f"Let the operator {VERBS} {group}")


def _untold(error: KubeError, manifest: Manifest, resource: Resource, plan: SecretPlan) -> KubeError:
    """A refusal to write without the words of who refused, which may quote values; by RBAC, with them."""
    if isinstance(error, KubeForbidden) and _BY_RBAC.fullmatch(error.message):
        return _with_hint(error, manifest, resource)
    if error.status not in _REFUSED:
        return error
    where = f'{manifest.kind} "{plan.namespace}/{plan.name}"'
    named = [key for key in plan.data if f"data.{key}" in error.message or f'data["{key}"]' in error.message]
    fields = f", named are the keys {', '.join(sorted(named))}" if named else ""
    invalid = isinstance(error, KubeInvalid) or error.status == _BAD_REQUEST
    by_whom = "the API server finds it invalid" if invalid else "an admission controller refuses it"
    place = "data" if manifest.is_config_map else "spec.data"
    values = "" if plan.by_fields else f". Values go to {place}, as text"
    return type(error)(
        f"{where} is not written: {by_whom}{fields}",
        status=error.status,
        hint=f"Its own words may quote values and are left out{values}",
        retry=ON_CHANGE if invalid else None,
    )
