"""Objects for tests and the demo, in one line each: ExternalSecrets, fake stores, Secrets.

Pure: from words to the JSON of the API. Nothing is sent (`tenant` does that) and nothing is checked, so
that wrong objects can be built too. What is left out is left to the API server's defaults.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keyferry.api import names

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""
StoreName = str | Mapping[str, str]
"""A SecretStore by its name, or what stands in a storeRef: `cluster_store("shared")`."""

DEFAULT_STORE: Final = "store"


def cluster_store(name: str) -> dict[str, str]:
    """The reference to a ClusterSecretStore."""
    return {"name": name, "kind": names.CLUSTER_SECRET_STORE}


def _store_ref(store: StoreName) -> dict[str, str]:
    return {"name": store} if isinstance(store, str) else dict(store)


def entry(secret_key: str, key: str, *, store: StoreName = "", **remote: str) -> Object:
    """One entry of spec.data.

    Args:
        secret_key: the key in the target.
        key: the remote secret.
        store: another store than the object's.
        remote: further fields of remoteRef: `property`, `version`, `decodingStrategy`, …
    """
    made: Object = {"secretKey": secret_key, "remoteRef": {"key": key, **remote}}
    return made | ({"sourceRef": {"storeRef": _store_ref(store)}} if store else {})


def extract(key: str, *, store: StoreName = "", **remote: str) -> Object:
    """One entry of spec.dataFrom that extracts a remote secret; arguments as of `entry`."""
    made: Object = {"extract": {"key": key, **remote}}
    return made | ({"sourceRef": {"storeRef": _store_ref(store)}} if store else {})


def find(
    regexp: str | None = None,
    *,
    path: str | None = None,
    tags: Mapping[str, str] | None = None,
    store: StoreName = "",
    rewrite: Sequence[Object] = (),
    **policies: str,
) -> Object:
    """One entry of spec.dataFrom that searches a store.

    Args:
        regexp, path, tags: what to search for; each is left out where it is None.
        store: another store than the object's.
        rewrite: the entry's steps.
        policies: conversionStrategy, decodingStrategy, nullBytePolicy.
    """
    wanted: Object = {"path": path, "tags": dict(tags) if tags is not None else None}
    wanted["name"] = {"regexp": regexp} if regexp is not None else None
    made: Object = {"find": {key: value for key, value in wanted.items() if value is not None} | policies}
    made |= {"sourceRef": {"storeRef": _store_ref(store)}} if store else {}
    return made | ({"rewrite": list(rewrite)} if rewrite else {})


def generated(kind: str, name: str, *rewrite: Object) -> Object:
    """One entry of spec.dataFrom whose values a generator makes, and the steps that change its keys."""
    made: Object = {"sourceRef": {"generatorRef": {"kind": kind, "name": name}}}
    return made | ({"rewrite": list(rewrite)} if rewrite else {})


def renamed(source: str, target: str) -> Object:
    """A step that renames keys by a regular expression."""
    return {"regexp": {"source": source, "target": target}}


def generator(kind: str, name: str, /, **spec: Any) -> Object:
    """A generator, with the fields of its spec by their names on the wire."""
    return {
        "apiVersion": names.GENERATORS_API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def external_secret(
    name: str,
    *entries: Object,
    store: StoreName = DEFAULT_STORE,
    target: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """An ExternalSecret.

    Args:
        name: its name.
        entries: of spec.data and spec.dataFrom, as `entry` and `extract` make them; each goes where it belongs.
        store: spec.secretStoreRef; empty for none.
        target: fields of spec.target.
        metadata: labels, annotations, finalizers.
        spec: further fields of the spec, by their names on the wire; they go before the others.
    """
    data = [one for one in entries if "secretKey" in one]
    data_from = [one for one in entries if "secretKey" not in one]
    made: Object = {}
    if store:
        made["secretStoreRef"] = _store_ref(store)
    if target:
        made["target"] = dict(target)
    if data:
        made["data"] = data
    if data_from:
        made["dataFrom"] = data_from
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EXTERNAL_SECRET,
        "metadata": {"name": name, **(metadata or {})},
        "spec": made | spec,
    }


def cluster_external_secret(name: str, of: Object, **spec: Any) -> Object:
    """A ClusterExternalSecret.

    Args:
        name: its name.
        of: an ExternalSecret, whose spec it spreads.
        spec: further fields of the spec, by their names on the wire.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CLUSTER_EXTERNAL_SECRET,
        "metadata": {"name": name},
        "spec": {"externalSecretSpec": of["spec"]} | spec,
    }


def remote(key: str, value: str, version: str = "") -> Object:
    """One remote secret of a fake store."""
    return {"key": key, "value": value} | ({"version": version} if version else {})


def fake_provider(
    values: Mapping[str, str] | Sequence[Object], validation_result: int | None = None
) -> Object:
    """What stands in spec.provider of a fake store.

    Args:
        values: remote secrets, by key or as `remote` makes them.
        validation_result: 0 ready, 1 unknown, 2 an error.
    """
    data = [remote(key, value) for key, value in values.items()] if isinstance(values, Mapping) else [*values]
    result = {} if validation_result is None else {"validationResult": validation_result}
    return {"fake": {"data": data, **result}}


def store(
    values: Mapping[str, str] | Sequence[Object] | None = None,
    *,
    name: str = DEFAULT_STORE,
    cluster: bool = False,
    validation_result: int | None = None,
    **spec: Any,
) -> Object:
    """A fake SecretStore, or another one where `spec` has a provider.

    Args:
        values, validation_result: as `fake_provider`.
        name: its name.
        cluster: make it a ClusterSecretStore.
        spec: further fields of the spec, by their names on the wire; they go before the others.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CLUSTER_SECRET_STORE if cluster else names.SECRET_STORE,
        "metadata": {"name": name},
        "spec": {"provider": fake_provider(values or {}, validation_result)} | spec,
    }


def store_policy(name: str, *rules: Object, stores: Sequence[str] = (), **selector: Any) -> Object:
    """A StorePolicy.

    Args:
        name: its name.
        rules: as `rule` makes them.
        stores: names of the ClusterSecretStores that it limits.
        selector: a label selector of further ones: matchLabels, matchExpressions.
    """
    refs: list[Object] = [{"name": one} for one in stores]
    refs += [{"labelSelector": selector}] if selector else []
    return {
        "apiVersion": names.KEYFERRY_API_VERSION,
        "kind": names.STORE_POLICY,
        "metadata": {"name": name},
        "spec": {"storeRefs": refs, "rules": list(rules)},
    }


def rule(*keys: str, **namespaces: Any) -> Object:
    """One rule of a StorePolicy: patterns of keys, and namespaces, namespaceRegexes or namespaceSelector."""
    return {"keys": list(keys), **namespaces}


def secret(
    name: str,
    data: Mapping[str, str | bytes],
    *,
    owners: Sequence[Object] = (),
    **metadata: Any,
) -> Object:
    """A Secret.

    Args:
        name: its name.
        data: its values, not encoded.
        owners: owner references, as `owner_reference` makes them.
        metadata: labels, annotations.
    """
    references = {"ownerReferences": list(owners)} if owners else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **references, **metadata},
        "data": encoded(data),
    }


def encoded(data: Mapping[str, str | bytes]) -> dict[str, str]:
    """Values as they stand in a Secret."""
    raw = {key: value.encode() if isinstance(value, str) else value for key, value in data.items()}
    return {key: base64.b64encode(value).decode() for key, value in raw.items()}


def owner_reference(owner: Object, *, controller: bool = True) -> Object:
    """A reference to an object that exists, as its dependents carry it."""
    reference: Object = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return reference | ({"controller": True, "blockOwnerDeletion": True} if controller else {})


def config_map(name: str, data: Mapping[str, str] | None = None) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data or {})}
