"""The admission policies refuse what schemas cannot see, and leave everything else alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.api.admission import MAX_COMPARED_KEYS
from keyferry.errors import KubeInvalid
from keyferry.localcluster import LocalCluster
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Object, path_of

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/unit/api/samples"
API = "external-secrets.io/v1"
STORES = frozenset(["SecretStore", "ClusterSecretStore"])
CRDS = ["externalsecrets.external-secrets.io", "secretstores.external-secrets.io"]
POLICIES = ["externalsecrets.keyferry.io", "secretstores.keyferry.io"]
FOREIGN = (
    "namespace should either be empty or match the namespace of the SecretStore for a namespaced SecretStore"
)
ENTRY = {"secretKey": "password", "remoteRef": {"key": "db"}}


@pytest.fixture(scope="session")
def client(cluster: LocalCluster, kube: KubeClient) -> Iterator[KubeClient]:
    """A client, once the API server follows the policies: it reads them a moment after they are there."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    eventually(lambda: all(_established(kube, name) for name in CRDS))
    cluster.kubectl("apply", "-f", str(ROOT / "deploy/admission"))
    eventually(lambda: POLICIES[0] in _refusal(kube, _external_secret({"data": [ENTRY, ENTRY]}), "default"))
    eventually(lambda: POLICIES[1] in _refusal(kube, _store(_foreign_aws()), "default"))
    return kube


def _established(kube: KubeClient, name: str) -> bool:
    definition = kube.get(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=name))
    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"] or []}
    return conditions.get("Established") == "True"


def _external_secret(spec: Any) -> Object:
    return {"apiVersion": API, "kind": "ExternalSecret", "metadata": {"name": "one"}, "spec": spec}


def _store(provider: Any, kind: str = "SecretStore") -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "one"}, "spec": {"provider": provider}}


def _foreign_aws() -> Object:
    account = {"name": "reader", "namespace": "elsewhere"}
    return {
        "aws": {"service": "SecretsManager", "region": "x", "auth": {"jwt": {"serviceAccountRef": account}}}
    }


def _path(body: Object, namespace: str) -> str:
    return path_of(API, f"{body['kind'].lower()}s", namespace=namespace)


def _refusal(client: KubeClient, body: Object, namespace: str) -> str:
    """Why the object would be refused; empty where it would be accepted."""
    try:
        client.post(_path(body, namespace), body, dryRun="All")
    except KubeInvalid as error:
        return error.message
    return ""


def test_policies_and_bindings_are_in_force_without_warnings(client):
    group = "admissionregistration.k8s.io/v1"
    for name in POLICIES:
        policy = client.get(path_of(group, "validatingadmissionpolicies", name=name))
        binding = client.get(path_of(group, "validatingadmissionpolicybindings", name=name))

        assert policy["spec"]["failurePolicy"] == "Fail"
        assert binding["spec"] == {"policyName": name, "validationActions": ["Deny"]}


def test_expressions_fit_the_types_of_the_kinds(client):
    """The controller manager checks expressions against the schemas, and warns where they cannot work."""
    group = "admissionregistration.k8s.io/v1"

    def checked(name: str) -> Object:
        policy = client.get(path_of(group, "validatingadmissionpolicies", name=name))
        assert policy["status"]["observedGeneration"] == policy["metadata"]["generation"]
        return policy["status"]["typeChecking"]

    for name in POLICIES:
        assert eventually(lambda name=name: (checked(name),)) == ({},)


# References to other namespaces


def _references() -> Iterator[tuple[str, Object, list[Any]]]:
    """Every reference of every sample: its path in words, the provider block, and the keys that lead to it."""
    for file in sorted(SAMPLES.glob("*.yaml")):
        for sample in yaml.safe_load_all(file.read_text("utf-8")):
            if sample["kind"] in STORES:
                provider = sample["spec"]["provider"]
                for keys in _keys(provider):
                    words = "".join("[]" if isinstance(key, int) else f".{key}" for key in keys)
                    yield f"spec.provider{words}", provider, keys


def _keys(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, dict) and {"name", "namespace"} <= set(value):
        yield []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        for rest in _keys(item):
            yield [key, *rest]


REFERENCES = {path: (provider, keys) for path, provider, keys in _references()}


def _with_namespaces(provider: Object, own: str, foreign: list[Any] | None = None) -> Object:
    """The provider with all references in `own`, but for the one that `foreign` leads to."""
    changed = copy.deepcopy(provider)
    for keys in _keys(provider):
        reference = changed
        for key in keys:
            reference = reference[key]
        reference["namespace"] = "elsewhere" if keys == foreign else own
    return changed


def test_the_samples_hold_every_reference_there_is():
    assert len(REFERENCES) == 68


@pytest.mark.parametrize("path", REFERENCES)
def test_a_reference_into_another_namespace_is_refused_with_its_path(client, namespace, path):
    provider, keys = REFERENCES[path]
    foreign = _refusal(client, _store(_with_namespaces(provider, namespace, keys)), namespace)
    own = _refusal(client, _store(_with_namespaces(provider, namespace)), namespace)

    assert f"{path}: {FOREIGN}" in foreign
    assert own == ""


def test_references_without_a_namespace_are_accepted(client, namespace):
    account = {"name": "reader"}
    provider = {
        "aws": {"service": "SecretsManager", "region": "x", "auth": {"jwt": {"serviceAccountRef": account}}}
    }

    assert _refusal(client, _store(provider), namespace) == ""


def test_a_foreign_reference_is_found_behind_good_ones_in_a_list(client, namespace):
    secrets = [
        {"name": "a", "secretRef": {"name": "x"}},
        {"name": "b", "secretRef": {"name": "x", "namespace": namespace}},
        {"name": "c", "secretRef": {"name": "x", "namespace": "elsewhere"}},
    ]
    refusal = _refusal(client, _store({"webhook": {"url": "https://x", "secrets": secrets}}), namespace)

    assert f"spec.provider.webhook.secrets[].secretRef: {FOREIGN}" in refusal
    assert (
        _refusal(client, _store({"webhook": {"url": "https://x", "secrets": secrets[:2]}}), namespace) == ""
    )


def test_a_cluster_store_may_name_any_namespace(client):
    accepted = 0
    for provider, _ in REFERENCES.values():
        body = _store(_with_namespaces(provider, "elsewhere"), "ClusterSecretStore")
        client.post(path_of(API, "clustersecretstores"), body, dryRun="All")
        accepted += 1

    assert accepted == len(REFERENCES)


def test_vaults_own_namespaces_are_none_of_kubernetes(client, namespace):
    vault = {"server": "https://vault.example.com", "namespace": "tenant", "auth": {"namespace": "root"}}

    assert _refusal(client, _store({"vault": vault}), namespace) == ""


def test_an_edit_of_a_store_is_checked_too(client, namespace):
    path = path_of(API, "secretstores", namespace=namespace)
    client.post(path, _store(_with_namespaces(_foreign_aws(), namespace)))

    with pytest.raises(KubeInvalid) as refused:
        client.patch(f"{path}/one", {"spec": {"provider": _foreign_aws()}})

    assert FOREIGN in refused.value.message


# ExternalSecrets


def test_an_external_secret_without_spec_is_refused(client, namespace):
    body = _external_secret({})
    del body["spec"]

    assert "either data or dataFrom should be specified" in _refusal(client, body, namespace)


@pytest.mark.parametrize(
    "policy",
    [pytest.param({}, id="unset"), pytest.param({"target": {"deletionPolicy": "Retain"}}, id="Retain")],
)
def test_the_same_key_twice_is_refused_by_name(client, namespace, policy):
    data = [{**ENTRY, "secretKey": "a"}, {**ENTRY, "secretKey": "b"}, {**ENTRY, "secretKey": "b"}]
    twice = _refusal(client, _external_secret({"data": data, **policy}), namespace)
    once = _refusal(client, _external_secret({"data": data[:2], **policy}), namespace)

    assert "duplicate secretKey found: b" in twice
    assert once == ""


@pytest.mark.parametrize("policy", ["Delete", "Merge"])
def test_the_same_key_twice_is_accepted_where_keys_may_vanish(client, namespace, policy):
    body = _external_secret({"data": [ENTRY, ENTRY], "target": {"deletionPolicy": policy}})

    assert _refusal(client, body, namespace) == ""


@pytest.mark.parametrize("length", [20, 253])
def test_long_lists_of_long_keys_stay_within_the_policys_budget(client, namespace, length):
    def refusal(entries: int, **changed: Any) -> str:
        data = [{**ENTRY, "secretKey": f"{index:0{length}}"} for index in range(entries)]
        data[-1] |= changed
        return _refusal(client, _external_secret({"data": data}), namespace)

    assert refusal(MAX_COMPARED_KEYS) == ""
    assert "duplicate secretKey found" in refusal(MAX_COMPARED_KEYS, secretKey=f"{0:0{length}}")
    # Beyond, equal keys are left to the operator: the last one wins, as the API has it without policies.
    assert refusal(MAX_COMPARED_KEYS + 1, secretKey=f"{0:0{length}}") == ""
    assert refusal(1_000) == ""


def test_duplicates_are_refused_where_the_spec_is_embedded_too(client):
    path = path_of(API, "clusterexternalsecrets")
    body = {
        "apiVersion": API,
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "embedded"},
        "spec": {"externalSecretSpec": {"data": [ENTRY, ENTRY]}},
    }

    def refusal() -> str:
        with pytest.raises(KubeInvalid) as refused:
            client.post(path, body, dryRun="All")
        return refused.value.message

    assert "duplicate secretKey found: password" in eventually(refusal)
    body["spec"] = {"externalSecretSpec": {"data": [ENTRY, {**ENTRY, "secretKey": "other"}]}}
    client.post(path, body, dryRun="All")
