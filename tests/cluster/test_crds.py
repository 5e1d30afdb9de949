"""The API server takes our CustomResourceDefinitions, and treats objects as users of the API expect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.api.crd import KINDS
from keyferry.localcluster import LocalCluster
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/unit/api/samples"
API = "external-secrets.io/v1"
CRDS = [f"{kind.plural}.{kind.group}" for kind in KINDS]
PLURALS = {kind.kind: kind.plural for kind in KINDS}
CLUSTER_SCOPED = frozenset(kind.kind for kind in KINDS if kind.scope == "Cluster")
ENTRY = {"secretKey": "password", "remoteRef": {"key": "db"}}
AWS = {"service": "SecretsManager", "region": "eu-central-1"}


@pytest.fixture(scope="session")
def applied(cluster: LocalCluster, kube: KubeClient) -> Iterator[str]:
    """Our definitions, by client-side apply; what kubectl says."""
    said = cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    eventually(lambda: all(_established(kube, name) for name in CRDS))
    return said


def _established(kube: KubeClient, name: str) -> bool:
    definition = kube.get(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=name))
    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"] or []}
    return conditions.get("Established") == "True"


@pytest.fixture
def client(kube: KubeClient, applied: str) -> KubeClient:
    return kube


def external_secret(name: str = "one", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "ExternalSecret", "metadata": {"name": name}, "spec": spec}


def store(name: str = "one", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "SecretStore", "metadata": {"name": name}, "spec": spec}


def spec_as_stored(client: KubeClient, namespace: str, body: dict[str, Any], **query: str) -> Any:
    """The spec as the API server would store it: defaulted, and pruned where it does not know a field."""
    plural = f"{body['kind'].lower()}s"
    path = path_of(API, plural, namespace=namespace)
    return client.post(path, body, dryRun="All", **query)["spec"]


def test_client_side_apply_installs_all_kinds(applied, kube):
    """A rule whose cost has no bound, or a manifest over the annotation's limit, would be refused here."""
    definitions = {
        name: kube.get(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=name))
        for name in CRDS
    }

    for name, definition in definitions.items():
        assert f"customresourcedefinition.apiextensions.k8s.io/{name}" in applied
        conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"] or []}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}
        last_applied = definition["metadata"]["annotations"][
            "kubectl.kubernetes.io/last-applied-configuration"
        ]
        assert len(last_applied) < 262_144


def test_applying_again_changes_nothing(applied, cluster):
    again = cluster.kubectl("apply", "-f", str(ROOT / "crds"))

    assert [line.split()[-1] for line in again.splitlines()] == ["unchanged"] * len(CRDS)


def test_schemas_are_structural_and_complain_of_nothing(applied, kube):
    for name in CRDS:
        definition = kube.get(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=name))
        types = {entry["type"] for entry in definition["status"]["conditions"] or []}

        assert "NonStructuralSchema" not in types
        assert "KubernetesAPIApprovalPolicyConformant" not in types


def test_every_sample_is_accepted_strictly(client, namespace):
    """The samples set every field that is typed."""
    for file in sorted(SAMPLES.glob("*.yaml")):
        for sample in yaml.safe_load_all(file.read_text("utf-8")):
            scoped = "" if sample["kind"] in CLUSTER_SCOPED else namespace
            path = path_of(sample["apiVersion"], PLURALS[sample["kind"]], namespace=scoped)
            body = {key: sample[key] for key in ("apiVersion", "kind", "metadata", "spec")}
            if scoped:
                body["spec"] = _at_home(body["spec"], namespace)

            created = client.post(path, body, dryRun="All", fieldValidation="Strict")

            for key, value in body["spec"].items():
                assert _within(value, created["spec"][key]), f"{file.name}: {key}"


def _at_home(spec: Any, namespace: str) -> Any:
    """The spec with all references in the namespace, as the admission policies want it."""
    if isinstance(spec, list):
        return [_at_home(item, namespace) for item in spec]
    if not isinstance(spec, dict):
        return spec
    own = {"namespace": namespace} if {"name", "namespace"} <= set(spec) else {}
    return {key: _at_home(value, namespace) for key, value in spec.items()} | own


def _within(part: Any, whole: Any) -> bool:
    """Whether all of the part is in the whole, which may hold defaults besides."""
    if isinstance(part, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return bool(part == whole)


def test_defaults_are_written_into_a_minimal_external_secret(client, namespace):
    assert spec_as_stored(client, namespace, external_secret(data=[ENTRY])) == {
        "data": [ENTRY],
        "refreshInterval": "1h0m0s",
        "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain"},
    }


def test_defaults_are_written_where_something_is_set(client, namespace):
    spec = external_secret(
        data=[{**ENTRY, "sourceRef": {"generatorRef": {"kind": "Fake", "name": "x"}}}],
        dataFrom=[{"find": {}, "rewrite": [{"merge": {}}]}],
        target={
            "name": "other",
            "template": {"templateFrom": [{"configMap": {"name": "x", "items": [{"key": "a"}]}}]},
        },
    )

    assert spec_as_stored(client, namespace, spec) == {
        "refreshInterval": "1h0m0s",
        "data": [
            {
                **ENTRY,
                "sourceRef": {
                    "generatorRef": {
                        "apiVersion": "generators.external-secrets.io/v1alpha1",
                        "kind": "Fake",
                        "name": "x",
                    }
                },
            }
        ],
        "dataFrom": [
            {
                "find": {},
                "rewrite": [
                    {
                        "merge": {
                            "into": "",
                            "conflictPolicy": "Error",
                            "priorityPolicy": "Strict",
                            "strategy": "Extract",
                        }
                    }
                ],
            }
        ],
        "target": {
            "name": "other",
            "creationPolicy": "Owner",
            "deletionPolicy": "Retain",
            "template": {
                "engineVersion": "v2",
                "mergePolicy": "Replace",
                "templateFrom": [
                    {
                        "target": "Data",
                        "configMap": {"name": "x", "items": [{"key": "a", "templateAs": "Values"}]},
                    }
                ],
            },
        },
    }


def test_explicit_nulls_are_absent_fields(client, namespace):
    """Helm writes them for values that nobody sets."""
    spec = external_secret(
        data=[{**ENTRY, "sourceRef": None}],
        dataFrom=None,
        refreshInterval=None,
        secretStoreRef=None,
        target={"creationPolicy": None, "template": None},
    )

    assert spec_as_stored(client, namespace, spec) == {
        "data": [ENTRY],
        "refreshInterval": "1h0m0s",
        "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain"},
    }


def test_unknown_fields_of_typed_blocks_are_pruned(client, namespace):
    body = store(provider={"aws": {**AWS, "later": True, "auth": {"later": {}}}}, later=1)

    assert spec_as_stored(client, namespace, body, fieldValidation="Ignore") == {
        "provider": {"aws": {**AWS, "auth": {}, "sessionTagsPolicy": "None"}}
    }


UNTYPED = """
akeyless barbican beyondtrust beyondtrustworkloadcredentials bitwardensecretsmanager chef cloudrusm conjur crd
delinea doppler dvls fortanix github ibm infisical keepersecurity nebiusmysterybox ngrok onboardbase onepassword
onepasswordSDK oracle ovh passbolt passworddepot previder pulumi scaleway secretserver senhasegura
volcengine yandexcertificatemanager yandexlockbox
"""


@pytest.mark.parametrize("provider", UNTYPED.split())
def test_a_block_of_a_provider_that_is_not_typed_is_kept_whole(client, namespace, provider):
    block = {
        "auth": {"secretRef": {"name": "token", "key": "a", "extra": None}},
        "list": [1, "two", {"three": [True]}],
        "flag": False,
    }
    path = path_of(API, "secretstores", namespace=namespace)
    client.post(path, store(provider={provider: block}), fieldValidation="Strict")

    assert client.get(f"{path}/one")["spec"] == {"provider": {provider: block}}


def test_status_is_written_apart_and_keeps_what_health_checks_read(client, namespace):
    path = path_of(API, "externalsecrets", namespace=namespace)
    created = client.post(path, {**external_secret(data=[ENTRY]), "status": {"syncedResourceVersion": "x"}})
    status = {
        "refreshTime": "2025-01-02T03:04:05Z",
        "syncedResourceVersion": "1-abc",
        "binding": {"name": "one"},
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "SecretSynced",
                "message": "secret synced",
                "lastTransitionTime": "2025-01-02T03:04:05Z",
                "observedGeneration": 1,
            }
        ],
    }

    written = client.patch(f"{path}/one/status", {"status": status})

    assert "status" not in created
    assert written["status"] == status
    assert written["metadata"]["generation"] == 1


def test_kubectl_shows_the_columns(client, cluster, namespace):
    path = path_of(API, "externalsecrets", namespace=namespace)
    # Stores of a class that nobody serves: what this test writes stays as it is.
    shared = store(f"columns-{namespace}", provider={"fake": {"data": []}}, controller="nobody")
    client.post(path_of(API, "clustersecretstores"), {**shared, "kind": "ClusterSecretStore"})
    reference = {"name": f"columns-{namespace}", "kind": "ClusterSecretStore"}
    client.post(path, external_secret(data=[ENTRY], secretStoreRef=reference))
    ready = {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": ""}
    client.patch(f"{path}/one/status", {"status": {"conditions": [ready]}})
    stores = path_of(API, "secretstores", namespace=namespace)
    client.post(stores, store(provider={"fake": {"data": []}}, controller="nobody"))
    client.patch(
        f"{stores}/one/status",
        {"status": {"capabilities": "ReadOnly", "conditions": [{**ready, "reason": "Valid"}]}},
    )

    shown = [cluster.kubectl("get", kind, "-n", namespace).splitlines() for kind in ("es", "ss")]

    assert [line.split() for line in shown[0]] == [
        ["NAME", "STORETYPE", "STORE", "REFRESH", "INTERVAL", "STATUS", "READY", "LAST", "SYNC"],
        ["one", "ClusterSecretStore", f"columns-{namespace}", "1h0m0s", "SecretSynced", "True"],
    ]
    assert shown[1][0].split() == ["NAME", "AGE", "STATUS", "CAPABILITIES", "READY"]
    assert shown[1][1].split()[2:] == ["Valid", "ReadOnly", "True"]


def test_kinds_are_found_by_their_category_and_short_names(applied, cluster):
    listed = cluster.kubectl("api-resources", "--categories=external-secrets", "--no-headers").splitlines()

    of_stores = [line.split() for line in listed if " external-secrets.io/v1 " in line]
    assert sorted((words[0], words[1]) for words in of_stores) == [
        ("clusterexternalsecrets", "ces"),
        ("clustersecretstores", "css"),
        ("externalsecrets", "es"),
        ("secretstores", "ss"),
    ]
    generators = cluster.kubectl("api-resources", "--categories=external-secrets-generators", "--no-headers")
    assert sorted(line.split()[0] for line in generators.splitlines()) == sorted(
        kind.plural for kind in KINDS if kind.group.startswith("generators.")
    )
    assert len(listed) == len(KINDS)


def test_external_secrets_are_selected_by_their_store(client, namespace):
    path = path_of(API, "externalsecrets", namespace=namespace)
    for name in ("aws", "vault"):
        client.post(path, external_secret(name, data=[ENTRY], secretStoreRef={"name": name}))

    found = client.list(path, fieldSelector="spec.secretStoreRef.name=vault,spec.refreshInterval=1h0m0s")

    assert [item["metadata"]["name"] for item in found] == ["vault"]


def test_kubectl_explains_fields_in_our_words(applied, cluster):
    explained = cluster.kubectl("explain", "externalsecret.spec.target.creationPolicy")

    assert "Owner creates the target and has it deleted with the ExternalSecret." in " ".join(
        explained.split()
    )


def test_hundreds_of_entries_are_accepted(client, namespace):
    """No rule may set a small limit for lists that real manifests fill."""
    data = [{**ENTRY, "secretKey": f"key-{index}"} for index in range(2_000)]
    many = [{"extract": {"key": f"key-{index}"}} for index in range(2_000)]
    templates = [{"literal": "a: b"} for _ in range(500)]

    spec = spec_as_stored(
        client,
        namespace,
        external_secret(data=data, dataFrom=many, target={"template": {"templateFrom": templates}}),
    )

    assert len(spec["target"]["template"]["templateFrom"]) == len(templates)
    assert spec["data"] == data
    assert spec["dataFrom"] == many
