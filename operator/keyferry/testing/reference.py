"""What the reference operator leaves behind: its objects as they are after a sync, and its own verdict on them.

A double for the tests of taking over and going back. It asks no store and watches nothing: it is told the
values, and writes what the reference writes after it has read them (the finalizer, the target Secret under its
field manager, the status), by its rules of what counts as due and as valid. The formulas stand here a second
time, so that they are compared with those of `core` and not taken from there.

What it installs (definitions, validating webhooks, Deployments) is in `referencerelease`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keyferry.api import names
from keyferry.duration import parse_go_duration
from keyferry.testing.builders import Object, encoded, owner_reference
from keyferry.testing.kubeclient import path_of
from keyferry.testing.tenant import Tenant

AGE: Final = timedelta(minutes=5)
"""How long ago it has synced, unless a test says otherwise."""

FETCH_FAILED: Final = "could not get secret data from provider"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the reference would do about an ExternalSecret when it is started.

    Args:
        due: it would refresh it, by the refresh policy.
        valid: it takes the target for what it has written last.
        labelled: there is no target that it would first put its label on.
    """

    due: bool
    valid: bool
    labelled: bool

    @property
    def rests(self) -> bool:
        """Whether it would leave the object and its target alone, but for its finalizer."""
        return not self.due and self.valid and self.labelled


class Reference:
    """The reference operator in a tenant's namespace.

    Args:
        tenant: the namespace.
    """

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    # -- what it leaves

    def store(self, manifest: Object) -> Object:
        """Create a store, validated."""
        self._tenant.create(manifest)
        status = {
            "capabilities": "ReadWrite",
            "conditions": [_condition("True", "Valid", "store validated", _ago(AGE))],
        }
        return self._tenant.set_status(manifest["kind"], manifest["metadata"]["name"], status)

    def sync(
        self, manifest: Object, values: Mapping[str, str], *, age: timedelta = AGE, existing: bool = False
    ) -> Object:
        """Create an ExternalSecret and what a sync makes of it; as it is then.

        Args:
            manifest: the ExternalSecret.
            values: what the stores have of it; none for absent at the store.
            age: how long ago.
            existing: the object is there already, made by a ClusterExternalSecret.
        """
        name = manifest["metadata"]["name"]
        made = self._tenant.get(manifest["kind"], name) if existing else self._create(manifest)
        message = self._write(made, values)
        synced = _ago(age)
        reason = {"secret deleted": "SecretDeleted", "secret will": "SecretMissing"}
        status = {
            "refreshTime": synced,
            "syncedResourceVersion": _synced_version(made["metadata"]),
            "conditions": [
                _condition("True", reason.get(" ".join(message.split()[:2]), "SecretSynced"), message, synced)
            ],
            "binding": {"name": _target(made).name if message == "secret synced" else ""},
        }
        return self._tenant.set_status(manifest["kind"], name, status)

    def fail(self, manifest: Object, message: str = FETCH_FAILED) -> Object:
        """Create an ExternalSecret that it has never synced."""
        made = self._create(manifest)
        status = {
            "binding": {"name": ""},
            "conditions": [_condition("False", "SecretSyncedError", message, _ago(AGE))],
        }
        return self._tenant.set_status(made["kind"], made["metadata"]["name"], status)

    def spread(self, manifest: Object, values: Mapping[str, str], *tenants: Tenant) -> Object:
        """Create a ClusterExternalSecret and what it makes in the namespaces of these tenants."""
        finalizers = [
            *manifest["metadata"].get("finalizers", ()),
            names.FINALIZER_CLUSTER_EXTERNAL_SECRET,
        ]
        made = self._tenant.create(manifest | {"metadata": manifest["metadata"] | {"finalizers": finalizers}})
        spec, uid = made["spec"], made["metadata"]["name"]
        name = spec.get("externalSecretName") or made["metadata"]["name"]
        for tenant in tenants:
            self._hold(tenant.namespace, f"{names.FINALIZER_NAMESPACE_PREFIX}{uid}")
            one = {
                "apiVersion": names.API_VERSION,
                "kind": names.EXTERNAL_SECRET,
                "metadata": {
                    "name": name,
                    "ownerReferences": [owner_reference(made)],
                    **spec.get("externalSecretMetadata", {}),
                },
                "spec": spec["externalSecretSpec"],
            }
            Reference(tenant).sync(one, values)
        status = {
            "externalSecretName": name,
            "provisionedNamespaces": sorted(tenant.namespace for tenant in tenants),
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        return self._tenant.set_status(made["kind"], made["metadata"]["name"], status)

    def put_back_finalizer(self, name: str) -> Object:
        """Put its finalizer on an ExternalSecret, as it does at each look at one that has none."""
        found = self._tenant.get(names.EXTERNAL_SECRET, name)["metadata"].get("finalizers", [])
        finalizers = [*found, names.FINALIZER_EXTERNAL_SECRET]
        return self._tenant.edit(names.EXTERNAL_SECRET, name, {"metadata": {"finalizers": finalizers}})

    # -- what it would do

    def verdict(self, name: str) -> Verdict:
        """Its decision about an ExternalSecret as it is now."""
        found = self._tenant.get(names.EXTERNAL_SECRET, name)
        target = _target(found)
        secret = self._tenant.find("Secret", target.name)
        return Verdict(
            due=_is_due(found, datetime.now(UTC)),
            valid=target.creation_policy == "Orphan" or (secret is not None and _is_valid(secret)),
            labelled=secret is None or _is_managed(secret),
        )

    # -- writing

    def _create(self, manifest: Object) -> Object:
        metadata = manifest["metadata"]
        finalizers = [*metadata.get("finalizers", ()), names.FINALIZER_EXTERNAL_SECRET]
        return self._tenant.create(manifest | {"metadata": metadata | {"finalizers": finalizers}})

    def _hold(self, namespace: str, finalizer: str) -> None:
        path = path_of("v1", "namespaces", name=namespace)
        found = self._tenant.kube.get(path)["metadata"].get("finalizers", [])
        self._tenant.kube.patch(path, {"metadata": {"finalizers": [*found, finalizer]}})

    def _write(self, owner: Object, values: Mapping[str, str]) -> str:
        """Write the target; the condition's message."""
        target = _target(owner)
        existing = self._tenant.find("Secret", target.name)
        if existing is not None and not _is_managed(existing):
            existing = self._tenant.label("Secret", target.name, _MANAGED)  # under every policy
        if not values and target.deletion_policy == "Retain":
            return "secret retained due to DeletionPolicy=Retain"
        if not values and target.deletion_policy == "Delete":
            if existing is not None:
                self._tenant.delete("Secret", target.name)
            return "secret deleted due to DeletionPolicy=Delete"
        if target.creation_policy == "None":
            return "secret synced"
        if existing is None and target.creation_policy == "Merge":
            return "secret will not be created due to CreationPolicy=Merge"
        wanted = _wanted(owner, target, existing, values)
        manager = {"fieldManager": field_manager(owner["metadata"]["name"])}
        if existing is None:
            self._tenant.kube.post(self._tenant.path("Secret"), wanted, **manager)
        else:
            self._tenant.kube.put(self._tenant.path("Secret", target.name), wanted, **manager)
        return "secret synced"


_MANAGED: Final = {names.LABEL_MANAGED: names.LABEL_MANAGED_VALUE}


@dataclass(frozen=True, slots=True)
class _Target:
    name: str
    creation_policy: str
    deletion_policy: str
    immutable: bool


def _target(found: Object) -> _Target:
    spec = found["spec"].get("target") or {}
    return _Target(
        spec.get("name") or found["metadata"]["name"],
        spec.get("creationPolicy") or "Owner",
        spec.get("deletionPolicy") or "Retain",
        bool(spec.get("immutable")),
    )


def _wanted(owner: Object, target: _Target, existing: Object | None, values: Mapping[str, str]) -> Object:
    """The Secret that it writes."""
    metadata: Object = dict(existing["metadata"]) if existing is not None else {"name": target.name}
    keeps = target.creation_policy in ("Merge", "CreateOrMerge") and existing is not None
    data = {**(existing.get("data") or {} if keeps and existing is not None else {}), **encoded(values)}
    labels = {**metadata.get("labels", {}), **owner["metadata"].get("labels", {})}
    labels.pop(names.LABEL_CREATED_BY, None)
    if target.creation_policy == "Owner":
        place = f"{owner['metadata']['namespace']}/{owner['metadata']['name']}"
        labels[names.LABEL_CREATED_BY] = _sha3(place)
        metadata["ownerReferences"] = [owner_reference(owner)]
    metadata |= {
        "labels": labels | _MANAGED,
        "annotations": {
            **metadata.get("annotations", {}),
            **owner["metadata"].get("annotations", {}),
            names.ANNOTATION_DATA_HASH: _data_hash(data),
        },
    }
    base: Object = existing or {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
    wanted = base | {"metadata": metadata, "data": data}
    return wanted | ({"immutable": True} if target.immutable else {})


def _condition(status: str, reason: str, message: str, at: str) -> Object:
    return {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


def _ago(age: timedelta) -> str:
    return (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- its formulas


def field_manager(name: str) -> str:
    """The field manager of an ExternalSecret's writes."""
    plain = f"externalsecrets.external-secrets.io/{name}"
    return plain if len(plain) <= 63 else f"externalsecrets.external-secrets.io/sha3/{_sha3(name)}"


def _sha3(text: str) -> str:
    return hashlib.sha3_224(text.encode()).hexdigest()


def _data_hash(data: Mapping[str, str]) -> str:
    """Over a Secret's data as it stands in JSON."""
    parts = (f"{key}:[{' '.join(map(str, base64.b64decode(data[key])))}]" for key in sorted(data))
    return _sha3(f"map[{' '.join(parts)}]")


def _synced_version(metadata: Mapping[str, Any]) -> str:
    annotations, labels = (_go_map(metadata.get(field) or {}) for field in ("annotations", "labels"))
    return f"{metadata['generation']}-{_sha3(f'{{annotations:{annotations} labels:{labels}}}')}"


def _go_map(values: Mapping[str, str]) -> str:
    return f"map[{' '.join(f'{key}:{values[key]}' for key in sorted(values))}]"


# -- its rules


def _is_managed(secret: Object) -> bool:
    labels = secret["metadata"].get("labels") or {}
    return _MANAGED.items() <= labels.items()


def _is_valid(secret: Object) -> bool:
    noted = (secret["metadata"].get("annotations") or {}).get(names.ANNOTATION_DATA_HASH)
    return _is_managed(secret) and noted == _data_hash(secret.get("data") or {})


def _is_due(found: Object, now: datetime) -> bool:
    spec, status = found["spec"], found.get("status") or {}
    synced, refreshed = status.get("syncedResourceVersion"), status.get("refreshTime")
    policy, interval = spec.get("refreshPolicy"), parse_go_duration(spec.get("refreshInterval", "1h"))
    if policy == "CreatedOnce" or (policy != "OnChange" and not interval):
        return not (synced and refreshed)
    if synced != _synced_version(found["metadata"]):
        return True
    if policy == "OnChange":
        return False
    if not refreshed:
        return True
    at = datetime.fromisoformat(refreshed)
    return at > now or at + interval < now
