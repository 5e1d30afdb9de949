"""Each rule of the schemas refuses what it is for, with its message, and nothing next to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import KubeInvalid
from keyferry.localcluster import LocalCluster
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of

ROOT = Path(__file__).parents[2]
API = "external-secrets.io/v1"
CRDS = ["externalsecrets.external-secrets.io", "secretstores.external-secrets.io"]

ENTRY = {"secretKey": "password", "remoteRef": {"key": "db"}}
EXTRACT = {"extract": {"key": "db"}}
FIND = {"find": {"name": {"regexp": "^db"}}}
GENERATOR = {"generatorRef": {"kind": "Fake", "name": "x"}}
STORE = {"storeRef": {"name": "other"}}
ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
ACCOUNT_NAME = {"kubernetes.io/service-account.name": "admin"}
AWS = {"aws": {"service": "SecretsManager", "region": "eu-central-1"}}
FAKE = {"fake": {"data": []}}
LONG_NAME = "a" * 254


@pytest.fixture(scope="session")
def client(cluster: LocalCluster, kube: KubeClient) -> Iterator[KubeClient]:
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    eventually(lambda: all(_established(kube, name) for name in CRDS))
    return kube


def _established(kube: KubeClient, name: str) -> bool:
    definition = kube.get(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=name))
    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"] or []}
    return conditions.get("Established") == "True"


def create(client: KubeClient, namespace: str, kind: str, spec: Any) -> None:
    body = {"apiVersion": API, "kind": kind, "metadata": {"name": "one"}, "spec": spec}
    client.post(
        path_of(API, f"{kind.lower()}s", namespace=namespace), body, dryRun="All", fieldValidation="Strict"
    )


def target(**fields: Any) -> dict[str, Any]:
    return {"data": [ENTRY], "target": fields}


def template(**fields: Any) -> dict[str, Any]:
    return target(template=fields)


def entry(**fields: Any) -> dict[str, Any]:
    return {"dataFrom": [fields]}


def data(**fields: Any) -> dict[str, Any]:
    return {"data": [{**ENTRY, **fields}]}


def windows(**fields: Any) -> dict[str, Any]:
    window = {"schedule": "@daily", "duration": "1h", **fields}
    return {"data": [ENTRY], "syncWindows": {"kind": "allow", "windows": [window]}}


NEITHER = "spec: Invalid value: either data or dataFrom should be specified"
DELETE = (
    "spec.target: Invalid value: deletionPolicy=Delete must not be used when the controller doesn't own the "
    "secret. Please set creationPolicy=Owner"
)
TOGETHER = "spec.dataFrom[0]: Invalid value: extract, find, or generatorRef cannot be set at the same time"
SECRET_TARGET = 'is not allowed when targeting a Secret, must be one of "Data", "Annotations" or "Labels"'
MATCH = "in body should match"
ENUM = "Unsupported value"
MANY = "must have at most 1 item"
FEW = "should have at least 1 properties"
LITERAL = {"literal": "a: b"}

# id: what is refused, the message, what is accepted
EXTERNAL_SECRETS: dict[str, tuple[Any, str, Any]] = {
    "neither data nor dataFrom": ({}, NEITHER, {"data": [ENTRY]}),
    "empty data": ({"data": []}, NEITHER, {"data": [], "dataFrom": [EXTRACT]}),
    "empty dataFrom": ({"dataFrom": []}, NEITHER, {"data": [ENTRY], "dataFrom": []}),
    "extract and find": (entry(**EXTRACT, **FIND), TOGETHER, {"dataFrom": [EXTRACT, FIND]}),
    "extract and generator": (
        entry(**EXTRACT, sourceRef=GENERATOR),
        TOGETHER,
        {"dataFrom": [EXTRACT, {"sourceRef": GENERATOR}]},
    ),
    "find and generator": (entry(**FIND, sourceRef=GENERATOR), TOGETHER, entry(**FIND, sourceRef=STORE)),
    "empty dataFrom entry": (
        entry(rewrite=[]),
        "spec.dataFrom[0]: Invalid value: either extract, find, or sourceRef must be set to dataFrom",
        entry(sourceRef=GENERATOR, rewrite=[]),
    ),
    "empty sourceRef in dataFrom": (
        entry(sourceRef={}),
        "generatorRef or storeRef must be set when using sourceRef in dataFrom",
        entry(sourceRef=STORE),
    ),
    "two sources in dataFrom": (
        entry(**EXTRACT, sourceRef={**STORE, **GENERATOR}),
        MANY,
        entry(**EXTRACT, sourceRef=STORE),
    ),
    "empty sourceRef in data": (data(sourceRef={}), FEW, data(sourceRef=STORE)),
    "two sources in data": (data(sourceRef={**STORE, **GENERATOR}), MANY, data(sourceRef=GENERATOR)),
    "empty rewrite": (entry(**EXTRACT, rewrite=[{}]), FEW, entry(**EXTRACT, rewrite=[{"merge": {}}])),
    "two rewrites in one": (
        entry(**EXTRACT, rewrite=[{"merge": {}, "transform": {"template": "x"}}]),
        MANY,
        entry(**EXTRACT, rewrite=[{"merge": {}}, {"transform": {"template": "x"}}]),
    ),
    "Delete with Merge": (
        target(deletionPolicy="Delete", creationPolicy="Merge"),
        DELETE,
        target(deletionPolicy="Delete", creationPolicy="Owner"),
    ),
    "Delete with CreateOrMerge": (
        target(deletionPolicy="Delete", creationPolicy="CreateOrMerge"),
        DELETE,
        target(deletionPolicy="Merge", creationPolicy="CreateOrMerge"),
    ),
    "Delete with None": (
        target(deletionPolicy="Delete", creationPolicy="None"),
        DELETE,
        target(deletionPolicy="Delete", creationPolicy="Orphan"),
    ),
    "Merge with None": (
        target(deletionPolicy="Merge", creationPolicy="None"),
        "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with",
        target(deletionPolicy="Retain", creationPolicy="None"),
    ),
    "bootstrap token": (
        template(type="bootstrap.kubernetes.io/token"),
        'template.type="bootstrap.kubernetes.io/token" is not allowed',
        template(type="kubernetes.io/tls"),
    ),
    "account token by annotation": (
        template(type=ACCOUNT_TOKEN, metadata={"annotations": ACCOUNT_NAME}),
        f'template.type="{ACCOUNT_TOKEN}" with annotation "kubernetes.io/service-account.name" is not allowed',
        template(type=ACCOUNT_TOKEN, metadata={"annotations": {"a": "b"}}),
    ),
    "account name without its type": (
        template(type="bootstrap.kubernetes.io/token", metadata={"annotations": ACCOUNT_NAME}),
        'template.type="bootstrap.kubernetes.io/token" is not allowed',
        template(type="Opaque", metadata={"annotations": ACCOUNT_NAME}),
    ),
    "account token by templateFrom": (
        template(type=ACCOUNT_TOKEN, templateFrom=[{**LITERAL, "target": "Annotations"}]),
        f'template.type="{ACCOUNT_TOKEN}" with templateFrom target="Annotations" is not allowed',
        template(type=ACCOUNT_TOKEN, templateFrom=[{**LITERAL, "target": "Labels"}]),
    ),
    "account token by templateFrom in other case": (
        template(type=ACCOUNT_TOKEN, templateFrom=[LITERAL, {**LITERAL, "target": "aNNOTATIONS"}]),
        f'template.type="{ACCOUNT_TOKEN}" with templateFrom target="Annotations" is not allowed',
        template(type="Opaque", templateFrom=[LITERAL, {**LITERAL, "target": "aNNOTATIONS"}]),
    ),
    "path into a Secret": (
        template(templateFrom=[LITERAL, {**LITERAL, "target": "type"}]),
        f'templateFrom target="type" {SECRET_TARGET}',
        template(templateFrom=[LITERAL, {**LITERAL, "target": "labels"}, {**LITERAL, "target": ""}]),
    ),
    "path into a Secret as manifest": (
        target(
            manifest={"apiVersion": "v1", "kind": "Secret"},
            template={"templateFrom": [{**LITERAL, "target": "metadata.ownerReferences"}]},
        ),
        f'templateFrom target="metadata.ownerReferences" {SECRET_TARGET}',
        target(
            manifest={"apiVersion": "v1", "kind": "ConfigMap"},
            template={"templateFrom": [{**LITERAL, "target": "data.config"}]},
        ),
    ),
    "interval in days": (
        {"data": [ENTRY], "refreshInterval": "1d"},
        f"spec.refreshInterval {MATCH}",
        {"data": [ENTRY], "refreshInterval": "24h"},
    ),
    "interval without unit": (
        {"data": [ENTRY], "refreshInterval": "60"},
        f"spec.refreshInterval {MATCH}",
        {"data": [ENTRY], "refreshInterval": "0"},
    ),
    "interval in words": (
        {"data": [ENTRY], "refreshInterval": "often"},
        f"spec.refreshInterval {MATCH}",
        {"data": [ENTRY], "refreshInterval": "1h30m0.5s"},
    ),
    "interval empty": (
        {"data": [ENTRY], "refreshInterval": ""},
        f"spec.refreshInterval {MATCH}",
        {"data": [ENTRY], "refreshInterval": "500µs"},
    ),
    "refreshPolicy": (
        {"data": [ENTRY], "refreshPolicy": "Sometimes"},
        ENUM,
        {"data": [ENTRY], "refreshPolicy": "CreatedOnce"},
    ),
    "creationPolicy": (target(creationPolicy="Create"), ENUM, target(creationPolicy="CreateOrMerge")),
    "deletionPolicy": (target(deletionPolicy="Keep"), ENUM, target(deletionPolicy="Retain")),
    "engine version": (template(engineVersion="v1"), ENUM, template(engineVersion="v2")),
    "store kind": (
        {"data": [ENTRY], "secretStoreRef": {"name": "a", "kind": "Store"}},
        ENUM,
        {"data": [ENTRY], "secretStoreRef": {"name": "a", "kind": "ClusterSecretStore"}},
    ),
    "generator kind": (
        entry(sourceRef={"generatorRef": {"kind": "Dice", "name": "x"}}),
        ENUM,
        entry(sourceRef={"generatorRef": {"kind": "MFA", "name": "x"}}),
    ),
    "secret key": (data(secretKey="a b"), MATCH, data(secretKey="A_b-c.d")),
    "target name": (target(name="Upper"), MATCH, target(name="a.b-c")),
    "target name too long": (target(name=LONG_NAME), "Too long", target(name=LONG_NAME[:-1])),
    "no remoteRef": ({"data": [{"secretKey": "a"}]}, "spec.data[0].remoteRef: Required value", data()),
    "no remote key": (data(remoteRef={}), "spec.data[0].remoteRef.key: Required value", data()),
    "no items": (
        template(templateFrom=[{"configMap": {"name": "a"}}]),
        "configMap.items: Required value",
        template(templateFrom=[{"configMap": {"name": "a", "items": []}}]),
    ),
    "manifest without kind": (
        target(manifest={"apiVersion": "v1", "kind": ""}),
        "should be at least 1 chars long",
        target(manifest={"apiVersion": "v1", "kind": "ConfigMap"}),
    ),
    "no window": (
        {"data": [ENTRY], "syncWindows": {"kind": "allow", "windows": []}},
        "should have at least 1 items",
        windows(),
    ),
    "window schedule": (windows(schedule="at night"), MATCH, windows(schedule="0 22 * * 1-5")),
    "window duration": (windows(duration="1d"), MATCH, windows(duration="24h")),
    "spec of another type": ("all", "must be of type object", {"data": [ENTRY]}),
}

STORES: dict[str, tuple[Any, str, Any]] = {
    "no provider": ({}, "spec.provider: Required value", {"provider": FAKE}),
    "empty provider": ({"provider": {}}, FEW, {"provider": FAKE}),
    "two providers": ({"provider": {**FAKE, **AWS}}, MANY, {"provider": AWS}),
    "typed and kept provider": ({"provider": {**FAKE, "chef": {}}}, MANY, {"provider": {"chef": {}}}),
    "kept provider of another type": (
        {"provider": {"chef": "x"}},
        "must be of type object",
        {"provider": {"chef": {"x": "y"}}},
    ),
    "interval in days": (
        {"provider": FAKE, "refreshInterval": "1d"},
        f"spec.refreshInterval {MATCH}",
        {"provider": FAKE, "refreshInterval": "24h"},
    ),
    "interval of another type": (
        {"provider": FAKE, "refreshInterval": True},
        "must be of type",
        {"provider": FAKE, "refreshInterval": 3600},
    ),
    "interval without unit": (
        {"provider": FAKE, "refreshInterval": "3600"},
        f"spec.refreshInterval {MATCH}",
        {"provider": FAKE, "refreshInterval": ""},
    ),
    "aws without region": (
        {"provider": {"aws": {"service": "SecretsManager"}}},
        "spec.provider.aws.region: Required value",
        {"provider": AWS},
    ),
    "aws service": (
        {"provider": {"aws": {"service": "S3", "region": "x"}}},
        ENUM,
        {"provider": {"aws": {"service": "CertificateManager", "region": "x"}}},
    ),
    "aws session tags": (
        {"provider": {"aws": {**AWS["aws"], "sessionTagsPolicy": "All"}}},
        ENUM,
        {"provider": {"aws": {**AWS["aws"], "sessionTagsPolicy": "Simple"}}},
    ),
    "azure without vault": (
        {"provider": {"azurekv": {}}},
        "spec.provider.azurekv.vaultUrl: Required value",
        {"provider": {"azurekv": {"vaultUrl": "https://vault.example.com"}}},
    ),
    "gitlab without token": (
        {"provider": {"gitlab": {"auth": {}}}},
        "spec.provider.gitlab.auth.SecretRef: Required value",
        {"provider": {"gitlab": {"auth": {"SecretRef": {}}}}},
    ),
    "google account": (
        {"provider": {"gcpsm": {"auth": {"workloadIdentityFederation": {"gcpServiceAccountEmail": "me"}}}}},
        MATCH,
        {
            "provider": {
                "gcpsm": {
                    "auth": {
                        "workloadIdentityFederation": {
                            "gcpServiceAccountEmail": "me@shop.iam.gserviceaccount.com"
                        }
                    }
                }
            }
        },
    ),
    "kubernetes without identity": (
        {"provider": {"kubernetes": {"auth": {}}}},
        FEW,
        {"provider": {"kubernetes": {"auth": {"serviceAccount": {"name": "reader"}}}}},
    ),
    "kubernetes with two identities": (
        {
            "provider": {
                "kubernetes": {"auth": {"serviceAccount": {"name": "a"}, "token": {"bearerToken": {}}}}
            }
        },
        MANY,
        {"provider": {"kubernetes": {"auth": {"token": {"bearerToken": {}}}}}},
    ),
    "vault version": (
        {"provider": {"vault": {"server": "https://vault.example.com", "version": "v3"}}},
        ENUM,
        {"provider": {"vault": {"server": "https://vault.example.com", "version": "v1"}}},
    ),
    "vault CA": (
        {"provider": {"vault": {"server": "https://vault.example.com", "caBundle": "-----BEGIN"}}},
        "must be of type byte",
        {"provider": {"vault": {"server": "https://vault.example.com", "caBundle": "LS0t"}}},
    ),
    "vault CA provider": (
        {"provider": {"vault": {"server": "x", "caProvider": {"type": "File", "name": "ca"}}}},
        ENUM,
        {"provider": {"vault": {"server": "x", "caProvider": {"type": "ConfigMap", "name": "ca"}}}},
    ),
    "webhook timeout": (
        {"provider": {"webhook": {"url": "https://example.com", "timeout": "1d"}}},
        MATCH,
        {"provider": {"webhook": {"url": "https://example.com", "timeout": "10s"}}},
    ),
    "namespace name": (
        {"provider": FAKE, "conditions": [{"namespaces": ["Team"]}]},
        MATCH,
        {"provider": FAKE, "conditions": [{"namespaces": ["team"]}, {}]},
    ),
    "namespace of a reference": (
        {"provider": {"vault": {"server": "x", "auth": {"tokenSecretRef": {"namespace": ""}}}}},
        "should be at least 1 chars long",
        {"provider": {"vault": {"server": "x", "auth": {"tokenSecretRef": {}}}}},
    ),
}


@pytest.mark.parametrize("rule", EXTERNAL_SECRETS)
def test_an_external_secret_is_refused_with_its_reason_and_its_neighbour_accepted(client, namespace, rule):
    refused, message, accepted = EXTERNAL_SECRETS[rule]

    with pytest.raises(KubeInvalid) as told:
        create(client, namespace, "ExternalSecret", refused)
    create(client, namespace, "ExternalSecret", accepted)

    assert message in told.value.message


@pytest.mark.parametrize("rule", STORES)
def test_a_store_is_refused_with_its_reason_and_its_neighbour_accepted(client, namespace, rule):
    refused, message, accepted = STORES[rule]

    with pytest.raises(KubeInvalid) as told:
        create(client, namespace, "SecretStore", refused)
    create(client, namespace, "SecretStore", accepted)

    assert message in told.value.message
