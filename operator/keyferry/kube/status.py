"""Writing a status: one PUT on the subresource, guarded by the resourceVersion the reconcile started from.

A PUT costs the API server least of all verbs. On a conflict the object has changed, and the reconcile's
result is for yesterday's spec: the caller starts again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from keyferry.api import names
from keyferry.kube.client import KubeApi
from keyferry.kube.watch import read_meta
from keyferry.ports import ObjectKey

PLURALS: Final = {
    names.EXTERNAL_SECRET: "externalsecrets",
    names.SECRET_STORE: "secretstores",
    names.CLUSTER_SECRET_STORE: "clustersecretstores",
    names.CLUSTER_EXTERNAL_SECRET: "clusterexternalsecrets",
}
STORE_POLICIES: Final = "storepolicies"
FIELD_MANAGER: Final = "keyferry"


def object_path(key: ObjectKey) -> str:
    """Path of one of our kinds' objects."""
    scope = f"/namespaces/{key.namespace}" if key.namespace else ""
    plural = STORE_POLICIES if key.kind == names.STORE_POLICY else PLURALS[key.kind]
    return f"/apis/{_api_version(key)}{scope}/{plural}/{key.name}"


def _api_version(key: ObjectKey) -> str:
    return names.KEYFERRY_API_VERSION if key.kind == names.STORE_POLICY else names.API_VERSION


async def write_status(api: KubeApi, key: ObjectKey, resource_version: str, uid: str, status: Any) -> str:
    """Replace the status; the object's new resourceVersion.

    Raises:
        KubeConflict: the object changed since `resource_version`.
        KubeNotFound: the object is gone.
        KubeError: anything else that the API server says.
    """
    document = {
        "apiVersion": _api_version(key),
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "resourceVersion": resource_version,
            "uid": uid,
        }
        | ({"namespace": key.namespace} if key.namespace else {}),
        "status": status,
    }
    body = await api.request(
        "PUT",
        f"{object_path(key)}/status",
        params={"fieldManager": FIELD_MANAGER},
        body=msgspec.json.encode(document),
        ahead=True,
    )
    return read_meta(body).resource_version
