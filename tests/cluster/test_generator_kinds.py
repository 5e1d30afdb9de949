"""Generators at the API server: what is kept, what is refused with its field, and who may name which namespace."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.api.admission import GENERATOR_NAMESPACE_MESSAGE
from keyferry.api.crd import KINDS
from keyferry.api.generators.kinds import GENERATORS
from keyferry.api.references import reference_paths
from keyferry.errors import KubeInvalid
from keyferry.localcluster import LocalCluster
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Object, path_of

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/unit/api/samples"
API = "generators.external-secrets.io/v1alpha1"
GITLAB = {"name": "puller", "scopes": ["read_registry"], "auth": {"token": {"secretRef": {"name": "gitlab"}}}}
FOREIGN_MFA = {"secret": {"name": "seed", "namespace": "elsewhere", "key": "seed"}}


@pytest.fixture(scope="module")
def client(cluster: LocalCluster, kube: KubeClient) -> KubeClient:
    """A client, once the API server serves the kinds and follows the policy."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl("apply", "-f", str(ROOT / "deploy/admission"))
    generators = [kind for kind in KINDS if kind.group.startswith("generators.")]
    eventually(lambda: all(kube.find(path_of(API, kind.plural)) is not None for kind in generators))
    eventually(lambda: GENERATOR_NAMESPACE_MESSAGE in _refusal(kube, "default", _object("MFA", FOREIGN_MFA)))
    return kube


def _object(kind: str, spec: Any) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "one"}, "spec": spec}


def _refusal(client: KubeClient, namespace: str, body: Object) -> str:
    """Why the object would be refused; empty where it would be accepted."""
    scoped = "" if body["kind"] == "ClusterGenerator" else namespace
    try:
        client.post(
            path_of(API, f"{body['kind'].lower()}s", namespace=scoped),
            body,
            dryRun="All",
            fieldValidation="Strict",
        )
    except KubeInvalid as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        pytest.param("Password", {"encoding": "rot13"}, "spec.encoding", id="encoding"),
        pytest.param("Password", {"length": "long"}, "spec.length", id="length"),
        pytest.param("SSHKey", {"keyType": "dsa"}, "spec.keyType", id="key-type"),
        pytest.param("SSHKey", {"keySize": 128}, "spec.keySize", id="key-size"),
        pytest.param("MFA", {}, "spec.secret", id="no-seed"),
        pytest.param("MFA", {"secret": {}, "when": "noon"}, "spec.when", id="moment"),
        pytest.param("ECRAuthorizationToken", {}, "spec.region", id="no-region"),
        pytest.param(
            "GitlabDeployToken", GITLAB, "exactly one of projectID or groupID must be set", id="no-project"
        ),
        pytest.param(
            "GitlabDeployToken",
            {**GITLAB, "projectID": "1", "groupID": "2"},
            "exactly one of projectID or groupID must be set",
            id="project-and-group",
        ),
        pytest.param(
            "GitlabDeployToken",
            {**GITLAB, "projectID": "1", "expiresAfter": "23h59m"},
            "expiresAfter must be at least 24h",
            id="short-life",
        ),
        pytest.param(
            "GitlabDeployToken",
            {**GITLAB, "projectID": "1", "expiresAfter": "30d"},
            "spec.expiresAfter",
            id="no-duration",
        ),
        pytest.param(
            "GitlabDeployToken",
            {**GITLAB, "projectID": "1", "expiresAfter": "24h", "expiresAt": "2030-01-02T03:04:05Z"},
            "expiresAt and expiresAfter are mutually exclusive",
            id="two-ends",
        ),
        pytest.param("GitlabDeployToken", {**GITLAB, "scopes": []}, "spec.scopes", id="no-scope"),
        pytest.param(
            "ClusterGenerator",
            {"kind": "Password", "generator": {"uuidSpec": {}}},
            "spec.generator must hold the spec of spec.kind",
            id="other-spec",
        ),
        pytest.param(
            "ClusterGenerator", {"kind": "Password", "generator": {}}, "spec.generator", id="no-spec"
        ),
        pytest.param(
            "ClusterGenerator",
            {"kind": "Password", "generator": {"passwordSpec": {}, "uuidSpec": {}}},
            "spec.generator",
            id="two-specs",
        ),
        pytest.param("ClusterGenerator", {"kind": "Dice", "generator": {}}, "spec.kind", id="unknown-kind"),
    ],
)
def test_an_invalid_generator_is_refused_with_what_is_wrong(client, namespace, kind, spec, told):
    assert told in _refusal(client, namespace, _object(kind, spec))


def test_a_token_may_last_a_day(client, namespace):
    body = _object("GitlabDeployToken", {**GITLAB, "groupID": "parent/group", "expiresAfter": "24h"})

    assert _refusal(client, namespace, body) == ""


KEPT = {
    "BeyondtrustWorkloadCredentialsDynamicSecret": {
        "provider": {"auth": {"apikey": {"token": {"name": "a"}}}, "later": [1, {"two": True}]}
    },
    "GeneratorState": {"resource": {"kind": "Fake", "spec": {"later": {}}}, "state": {"id": 1, "of": ["x"]}},
}


@pytest.mark.parametrize(("kind", "spec"), KEPT.items(), ids=KEPT)
def test_what_is_not_typed_is_kept_whole(client, namespace, kind, spec):
    path = path_of(API, f"{kind.lower()}s", namespace=namespace)

    assert client.post(path, _object(kind, spec), fieldValidation="Strict")["spec"] == spec


def test_a_minimal_password_is_stored_with_its_defaults(client, namespace):
    created = client.post(path_of(API, "passwords", namespace=namespace), _object("Password", {}))

    assert created["spec"] == {"allowRepeat": False, "encoding": "raw", "length": 24, "noUpper": False}


def test_kubectl_shows_when_a_state_ends(client, cluster, namespace):
    spec = {**KEPT["GeneratorState"], "garbageCollectionDeadline": "2030-01-02T03:04:05Z"}
    body = {**_object("GeneratorState", spec), "metadata": {"name": "kept"}}
    client.post(path_of(API, "generatorstates", namespace=namespace), body)

    shown = [line.split() for line in cluster.kubectl("get", "gs", "-n", namespace).splitlines()]

    assert shown[0] == ["NAME", "GC", "DEADLINE", "AGE"]
    assert shown[1][:2] == ["kept", "2030-01-02T03:04:05Z"]


# References to other namespaces


def _references() -> Iterator[tuple[str, Object, list[str]]]:
    """Every reference of every sample: kind and path, the manifest, and the keys that lead to it."""
    for sample in yaml.safe_load_all((SAMPLES / "generators.yaml").read_text("utf-8")):
        for keys in _keys(sample["spec"]):
            yield f"{sample['kind']} {'.'.join(['spec', *keys])}", sample, keys


def _keys(value: Any) -> Iterator[list[str]]:
    if isinstance(value, dict):
        if {"name", "namespace"} <= set(value):
            yield []
        for key, item in value.items():
            yield from ([key, *rest] for rest in _keys(item))


REFERENCES = {told: (sample, keys) for told, sample, keys in _references()}


def _with_namespaces(sample: Object, own: str, foreign: list[str] | None = None) -> Object:
    """The manifest with all references in `own`, but for the one that `foreign` leads to."""
    changed = copy.deepcopy(sample)
    for keys in _keys(sample["spec"]):
        reference = changed["spec"]
        for key in keys:
            reference = reference[key]
        reference["namespace"] = "elsewhere" if keys == foreign else own
    return changed


def test_the_samples_hold_every_reference_there_is():
    paths = {
        f"{generator.kind} {'.'.join(['spec', *path])}"
        for generator in GENERATORS
        for path in reference_paths(generator.spec)
    }

    assert set(REFERENCES) == paths


@pytest.mark.parametrize("told", REFERENCES)
def test_a_reference_into_another_namespace_is_refused_with_its_path(client, namespace, told):
    sample, keys = REFERENCES[told]
    foreign = _refusal(client, namespace, _with_namespaces(sample, namespace, keys))
    own = _refusal(client, namespace, _with_namespaces(sample, namespace))

    assert f"{told.split()[1]}: {GENERATOR_NAMESPACE_MESSAGE}" in foreign
    assert own == ""


def test_references_without_a_namespace_are_accepted(client, namespace):
    assert _refusal(client, namespace, _object("MFA", {"secret": {"name": "seed", "key": "seed"}})) == ""


def test_a_cluster_generator_may_name_any_namespace(client, namespace):
    body = _object("ClusterGenerator", {"kind": "MFA", "generator": {"mfaSpec": FOREIGN_MFA}})

    assert _refusal(client, namespace, body) == ""


def test_an_edit_is_checked_too(client, namespace):
    path = path_of(API, "mfas", namespace=namespace)
    client.post(path, _object("MFA", {"secret": {"name": "seed", "key": "seed"}}))

    with pytest.raises(KubeInvalid) as refused:
        client.patch(f"{path}/one", {"spec": FOREIGN_MFA})

    assert f"spec.secret: {GENERATOR_NAMESPACE_MESSAGE}" in refused.value.message


def test_the_policy_fits_the_kinds_it_is_for(client):
    """The controller manager checks expressions against the schemas, and warns where they cannot work."""
    path = path_of(
        "admissionregistration.k8s.io/v1", "validatingadmissionpolicies", name="generators.keyferry.io"
    )

    def checked() -> Object:
        policy = client.get(path)
        assert policy["status"]["observedGeneration"] == policy["metadata"]["generation"]
        return policy["status"]["typeChecking"]

    assert eventually(lambda: (checked(),)) == ({},)
