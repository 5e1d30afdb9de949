"""The CustomResourceDefinitions say what the public API says."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from keyferry.api.crd import KINDS, crd, file_name, has_legacy_version
from keyferry.api.openapi import without_descriptions
from keyferry.cli.crds import to_yaml

ANNOTATION_LIMIT = 262_144
"""Most bytes that all annotations of an object may have; client-side apply keeps the whole manifest in one."""
READY = '.status.conditions[?(@.type=="Ready")]'


@functools.cache
def crds() -> dict[str, dict[str, Any]]:
    return {kind.kind: crd(kind) for kind in KINDS}


def version(kind: str, name: str = "v1") -> dict[str, Any]:
    return next(entry for entry in crds()[kind]["spec"]["versions"] if entry["name"] == name)


def spec_schema(kind: str) -> dict[str, Any]:
    return version(kind)["schema"]["openAPIV3Schema"]["properties"]["spec"]


def test_kinds_have_their_names_scopes_and_labels():
    expected = {
        "ExternalSecret": ("externalsecrets", "Namespaced", ["es"]),
        "SecretStore": ("secretstores", "Namespaced", ["ss"]),
        "ClusterSecretStore": ("clustersecretstores", "Cluster", ["css"]),
        "ClusterExternalSecret": ("clusterexternalsecrets", "Cluster", ["ces"]),
    }

    for kind, (plural, scope, short) in expected.items():
        definition = crds()[kind]
        assert {
            "name": f"{plural}.external-secrets.io",
            "labels": {"external-secrets.io/component": "controller"},
        } == definition["metadata"]
        assert {
            "kind": kind,
            "listKind": f"{kind}List",
            "plural": plural,
            "singular": kind.lower(),
            "shortNames": short,
            "categories": ["external-secrets"],
        } == definition["spec"]["names"]
        assert ("external-secrets.io", scope) == (definition["spec"]["group"], definition["spec"]["scope"])


@pytest.mark.parametrize(
    "kind", ["ExternalSecret", "SecretStore", "ClusterSecretStore", "ClusterExternalSecret"]
)
def test_v1_is_stored_and_v1beta1_is_known_but_not_served(kind):
    versions = {
        entry["name"]: (entry["served"], entry["storage"], entry.get("deprecated", False))
        for entry in crds()[kind]["spec"]["versions"]
    }

    assert versions == {"v1": (True, True, False), "v1beta1": (False, False, True)}


@pytest.mark.parametrize(
    "kind", ["ExternalSecret", "SecretStore", "ClusterSecretStore", "ClusterExternalSecret"]
)
def test_both_versions_have_the_same_schema_and_a_status_subresource(kind):
    new, old = version(kind), version(kind, "v1beta1")

    assert without_descriptions(new["schema"]) == old["schema"]
    assert {"status": {}} == new["subresources"] == old["subresources"]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if has_legacy_version(kind)], ids=lambda kind: kind.kind
)
def test_a_served_old_version_is_the_new_one_under_its_name_and_a_warning(kind):
    new, old = crd(kind, serve_legacy=True)["spec"]["versions"]

    # The API server refuses the same selectable fields with different schemas, be it by a description.
    schema = new["schema"] if kind.selectable else without_descriptions(new["schema"])
    assert old == {**new, "schema": schema, "name": "v1beta1", "storage": False, "deprecated": True}


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if has_legacy_version(kind)], ids=lambda kind: kind.kind
)
def test_client_side_apply_has_room_for_a_served_old_version(kind):
    definition = crd(kind, serve_legacy=True)

    assert len(json.dumps(definition, separators=(",", ":")).encode()) < ANNOTATION_LIMIT - 4_096
    assert len(to_yaml(definition).encode()) < ANNOTATION_LIMIT


def test_columns_are_those_that_kubectl_users_know():
    store = [
        ("AGE", "date", ".metadata.creationTimestamp"),
        ("Status", "string", f"{READY}.reason"),
        ("Capabilities", "string", ".status.capabilities"),
        ("Ready", "string", f"{READY}.status"),
    ]
    expected = {
        "ExternalSecret": [
            ("StoreType", "string", ".spec.secretStoreRef.kind"),
            ("Store", "string", ".spec.secretStoreRef.name"),
            ("Refresh Interval", "string", ".spec.refreshInterval"),
            ("Status", "string", f"{READY}.reason"),
            ("Ready", "string", f"{READY}.status"),
            ("Last Sync", "date", ".status.refreshTime"),
        ],
        "SecretStore": store,
        "ClusterSecretStore": store,
        "ClusterExternalSecret": [
            ("Store", "string", ".spec.externalSecretSpec.secretStoreRef.name"),
            ("Refresh Interval", "string", ".spec.refreshTime"),
            ("Ready", "string", f"{READY}.status"),
        ],
    }

    for kind, columns in expected.items():
        shown = version(kind)["additionalPrinterColumns"]
        assert columns == [(column["name"], column["type"], column["jsonPath"]) for column in shown]


def test_external_secrets_are_selected_by_store_target_and_interval():
    assert version("ExternalSecret")["selectableFields"] == [
        {"jsonPath": ".spec.secretStoreRef.name"},
        {"jsonPath": ".spec.secretStoreRef.kind"},
        {"jsonPath": ".spec.target.name"},
        {"jsonPath": ".spec.refreshInterval"},
    ]


def test_defaults_of_an_external_secret_are_exactly_these():
    """Nothing else is written into objects: an extra default is drift in everybody's Git."""
    definition = version("ExternalSecret")["schema"]["openAPIV3Schema"]

    assert dict(_keyword("default", definition)) == {
        "spec.refreshInterval": "1h0m0s",
        "spec.target": {"creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "spec.target.creationPolicy": "Owner",
        "spec.target.deletionPolicy": "Retain",
        "spec.target.template.engineVersion": "v2",
        "spec.target.template.mergePolicy": "Replace",
        "spec.target.template.templateFrom.target": "Data",
        "spec.target.template.templateFrom.configMap.items.templateAs": "Values",
        "spec.target.template.templateFrom.secret.items.templateAs": "Values",
        "spec.data.sourceRef.generatorRef.apiVersion": "generators.external-secrets.io/v1alpha1",
        "spec.dataFrom.sourceRef.generatorRef.apiVersion": "generators.external-secrets.io/v1alpha1",
        "spec.dataFrom.rewrite.merge.into": "",
        "spec.dataFrom.rewrite.merge.priorityPolicy": "Strict",
        "spec.dataFrom.rewrite.merge.conflictPolicy": "Error",
        "spec.dataFrom.rewrite.merge.strategy": "Extract",
        "status.binding.name": "",
    }


def test_defaults_of_a_store_are_exactly_these():
    assert dict(_keyword("default", spec_schema("SecretStore"))) == {
        "provider.aws.sessionTagsPolicy": "None",
        "provider.azurekv.authType": "ServicePrincipal",
        "provider.azurekv.environmentType": "PublicCloud",
        "provider.azurekv.useAzureSDK": False,
        "provider.gcpsm.secretVersionSelectionPolicy": "LatestOrFail",
        "provider.kubernetes.remoteNamespace": "default",
        "provider.kubernetes.server.url": "kubernetes.default",
        "provider.openBao.version": "v2",
        "provider.openBao.auth.appRole.path": "approle",
        "provider.openBao.auth.cert.path": "cert",
        "provider.openBao.auth.gcp.path": "gcp",
        "provider.openBao.auth.jwt.path": "jwt",
        "provider.openBao.auth.kubernetes.mountPath": "kubernetes",
        "provider.openBao.auth.ldap.path": "ldap",
        "provider.openBao.auth.userPass.path": "userpass",
        "provider.vault.version": "v2",
        "provider.vault.auth.appRole.path": "approle",
        "provider.vault.auth.cert.path": "cert",
        "provider.vault.auth.gcp.path": "gcp",
        "provider.vault.auth.jwt.path": "jwt",
        "provider.vault.auth.kubernetes.mountPath": "kubernetes",
        "provider.vault.auth.ldap.path": "ldap",
        "provider.vault.auth.userPass.path": "userpass",
    }


def test_enums_are_exactly_these():
    store_kind = ["SecretStore", "ClusterSecretStore"]
    conversion, decoding = ["Default", "Unicode"], ["Auto", "Base64", "Base64URL", "None"]
    metadata, null_bytes = ["None", "Fetch"], ["Ignore", "Fail"]
    found = dict(_keyword("enum", spec_schema("ExternalSecret")))
    generators = found.pop("data.sourceRef.generatorRef.kind")

    assert generators == found.pop("dataFrom.sourceRef.generatorRef.kind")
    assert {
        "ACRAccessToken",
        "BeyondtrustWorkloadCredentialsDynamicSecret",
        "ClusterGenerator",
        "CloudsmithAccessToken",
        "ECRAuthorizationToken",
        "Fake",
        "GCRAccessToken",
        "GithubAccessToken",
        "GitlabDeployToken",
        "QuayAccessToken",
        "Password",
        "SSHKey",
        "STSSessionToken",
        "UUID",
        "VaultDynamicSecret",
        "Webhook",
        "Grafana",
        "MFA",
    } == set(generators)
    assert {
        "secretStoreRef.kind": store_kind,
        "refreshPolicy": ["CreatedOnce", "Periodic", "OnChange"],
        "syncWindows.kind": ["allow", "deny"],
        "target.creationPolicy": ["Owner", "Orphan", "Merge", "None", "CreateOrMerge"],
        "target.deletionPolicy": ["Delete", "Merge", "Retain"],
        "target.template.engineVersion": ["v2"],
        "target.template.mergePolicy": ["Replace", "Merge"],
        "target.template.templateFrom.configMap.items.templateAs": ["Values", "KeysAndValues"],
        "target.template.templateFrom.secret.items.templateAs": ["Values", "KeysAndValues"],
        "target.template.templateFrom.valuesDecodingStrategy": decoding,
        "data.remoteRef.metadataPolicy": metadata,
        "data.remoteRef.conversionStrategy": conversion,
        "data.remoteRef.decodingStrategy": decoding,
        "data.remoteRef.nullBytePolicy": null_bytes,
        "data.sourceRef.storeRef.kind": store_kind,
        "dataFrom.extract.metadataPolicy": metadata,
        "dataFrom.extract.conversionStrategy": conversion,
        "dataFrom.extract.decodingStrategy": decoding,
        "dataFrom.extract.nullBytePolicy": null_bytes,
        "dataFrom.find.conversionStrategy": conversion,
        "dataFrom.find.decodingStrategy": decoding,
        "dataFrom.find.nullBytePolicy": null_bytes,
        "dataFrom.rewrite.merge.conflictPolicy": ["Ignore", "Error"],
        "dataFrom.rewrite.merge.priorityPolicy": ["IgnoreNotFound", "Strict"],
        "dataFrom.rewrite.merge.strategy": ["Extract", "JSON"],
        "dataFrom.sourceRef.storeRef.kind": store_kind,
    } == found


PROVIDERS = [
    "akeyless",
    "aws",
    "azurekv",
    "barbican",
    "beyondtrust",
    "beyondtrustworkloadcredentials",
    "bitwardensecretsmanager",
    "chef",
    "cloudrusm",
    "conjur",
    "crd",
    "delinea",
    "doppler",
    "dvls",
    "fake",
    "fortanix",
    "gcpsm",
    "github",
    "gitlab",
    "ibm",
    "infisical",
    "keepersecurity",
    "kubernetes",
    "nebiusmysterybox",
    "ngrok",
    "onboardbase",
    "onepassword",
    "onepasswordSDK",
    "openBao",
    "oracle",
    "ovh",
    "passbolt",
    "passworddepot",
    "previder",
    "pulumi",
    "scaleway",
    "secretserver",
    "senhasegura",
    "vault",
    "volcengine",
    "webhook",
    "yandexcertificatemanager",
    "yandexlockbox",
]


def test_every_provider_of_the_api_is_known():
    assert (
        sorted(spec_schema("SecretStore")["properties"]["provider"]["properties"], key=str.lower) == PROVIDERS
    )
    assert len(PROVIDERS) == 43


def test_blocks_are_typed_or_kept_whole():
    blocks = spec_schema("SecretStore")["properties"]["provider"]["properties"]
    kept = {name for name, block in blocks.items() if block.get("x-kubernetes-preserve-unknown-fields")}

    assert {"aws", "azurekv", "fake", "gcpsm", "gitlab", "kubernetes", "openBao", "vault", "webhook"} == set(
        blocks
    ) - kept
    assert not [name for name in kept if "properties" in blocks[name]]


@pytest.mark.parametrize(
    "kind", ["ExternalSecret", "SecretStore", "ClusterSecretStore", "ClusterExternalSecret"]
)
def test_every_field_is_described(kind):
    assert not [path for path, _ in _undescribed(spec_schema(kind))]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_client_side_apply_has_room(kind):
    """kubectl apply keeps the compact JSON of the manifest in an annotation."""
    compact = json.dumps(crd(kind), separators=(",", ":"))

    assert len(compact.encode()) < ANNOTATION_LIMIT - 4_096
    assert len(to_yaml(crd(kind)).encode()) < ANNOTATION_LIMIT


def test_the_same_models_make_the_same_text():
    first, second = ([to_yaml(crd(kind)) for kind in KINDS] for _ in range(2))

    assert first == second


def test_files_are_named_after_group_and_plural():
    named = {kind.kind: file_name(kind) for kind in KINDS}

    assert named["ExternalSecret"] == "external-secrets.io_externalsecrets.yaml"
    assert named["ClusterSecretStore"] == "external-secrets.io_clustersecretstores.yaml"
    assert named["ECRAuthorizationToken"] == "generators.external-secrets.io_ecrauthorizationtokens.yaml"


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        inner = f"{path}.{name}".lstrip(".")
        yield inner, field
        yield from _fields(field, inner)
        yield from _fields(field.get("items", {}), inner)


def _keyword(keyword: str, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((path, field[keyword]) for path, field in _fields(schema) if keyword in field)


def _undescribed(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((path, field) for path, field in _fields(schema) if not field.get("description"))


def test_embedded_external_secret_has_the_schema_of_the_kind():
    """Rules and defaults are the same, so that what one refuses the other does not take."""
    spec = spec_schema("ClusterExternalSecret")
    embedded = dict(spec["properties"]["externalSecretSpec"])
    own = dict(spec_schema("ExternalSecret"))

    assert spec["required"] == ["externalSecretSpec"]
    assert embedded.pop("description") != own.pop("description")
    assert embedded == own
