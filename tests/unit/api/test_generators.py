"""Generators: their kinds, their names in URLs, and what their schemas default and refuse."""

from __future__ import annotations

import functools
import json
import typing
from typing import Any

import msgspec
import pytest

from keyferry.api import names
from keyferry.api.crd import KINDS, Kind, crd
from keyferry.api.external_secret import GeneratorKind
from keyferry.api.generators.cluster import BLOCKS, ClusterGeneratorKind, ClusterGeneratorSpec
from keyferry.api.generators.gitlab import GitlabDeployTokenSpec
from keyferry.api.generators.kinds import AVAILABLE, GENERATORS
from keyferry.api.generators.local import MFASpec, PasswordSpec
from keyferry.api.generators.webhook import WebhookSpec
from keyferry.api.model import convert

BY_KIND: dict[str, Kind] = {kind.kind: kind for kind in KINDS}
PLURALS = {
    "ACRAccessToken": "acraccesstokens",
    "BeyondtrustWorkloadCredentialsDynamicSecret": "beyondtrustworkloadcredentialsdynamicsecrets",
    "CloudsmithAccessToken": "cloudsmithaccesstokens",
    "ECRAuthorizationToken": "ecrauthorizationtokens",
    "Fake": "fakes",
    "GCRAccessToken": "gcraccesstokens",
    "GithubAccessToken": "githubaccesstokens",
    "GitlabDeployToken": "gitlabdeploytokens",
    "Grafana": "grafanas",
    "MFA": "mfas",
    "Password": "passwords",
    "QuayAccessToken": "quayaccesstokens",
    "SSHKey": "sshkeys",
    "STSSessionToken": "stssessiontokens",
    "UUID": "uuids",
    "VaultDynamicSecret": "vaultdynamicsecrets",
    "Webhook": "webhooks",
}


@functools.cache
def definition(kind: str) -> Any:
    return crd(BY_KIND[kind])


def schema(kind: str) -> Any:
    return definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize(("kind", "plural"), PLURALS.items(), ids=PLURALS)
def test_each_generator_has_the_names_that_manifests_and_urls_use(kind, plural):
    assert definition(kind)["metadata"]["name"] == f"{plural}.generators.external-secrets.io"
    assert definition(kind)["spec"]["names"] == {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "categories": ["external-secrets", "external-secrets-generators"],
    }
    assert definition(kind)["spec"]["scope"] == "Namespaced"


def test_the_registry_and_external_secrets_name_the_same_kinds():
    registered = {generator.kind: generator.plural for generator in GENERATORS}

    assert registered == PLURALS
    assert registered.keys() | {names.CLUSTER_GENERATOR} == set(typing.get_args(GeneratorKind))
    assert registered.keys() == set(typing.get_args(ClusterGeneratorKind)) == BLOCKS.keys()


def test_kinds_that_can_run_are_exactly_these():
    assert set(AVAILABLE) == {
        "ACRAccessToken",
        "ECRAuthorizationToken",
        "Fake",
        "GithubAccessToken",
        "GitlabDeployToken",
        "MFA",
        "Password",
        "QuayAccessToken",
        "SSHKey",
        "STSSessionToken",
        "UUID",
        "VaultDynamicSecret",
        "Webhook",
    }


@pytest.mark.parametrize("kind", [*PLURALS, "ClusterGenerator", "GeneratorState"])
def test_each_has_one_version_that_is_served_and_stored(kind):
    versions = definition(kind)["spec"]["versions"]

    assert [(one["name"], one["served"], one["storage"]) for one in versions] == [("v1alpha1", True, True)]
    assert "deprecated" not in versions[0]
    assert versions[0]["subresources"] == {"status": {}}


def test_states_are_shown_with_their_deadline():
    state = definition("GeneratorState")

    assert state["spec"]["names"]["shortNames"] == ["gs"]
    assert [
        (one["name"], one["type"], one["jsonPath"])
        for one in state["spec"]["versions"][0]["additionalPrinterColumns"]
    ] == [
        ("GC Deadline", "string", ".spec.garbageCollectionDeadline"),
        ("Age", "date", ".metadata.creationTimestamp"),
    ]
    assert schema("GeneratorState")["properties"]["spec"]["required"] == ["resource", "state"]


def test_a_cluster_generator_is_of_no_namespace():
    assert definition("ClusterGenerator")["spec"]["scope"] == "Cluster"


DEFAULTS = {
    "Password": {"allowRepeat": False, "encoding": "raw", "length": 24, "noUpper": False},
    "SSHKey": {"keyType": "rsa"},
    "ACRAccessToken": {"environmentType": "PublicCloud"},
    "VaultDynamicSecret": {"allowEmptyResponse": False, "resultType": "Data"},
}


@pytest.mark.parametrize("kind", PLURALS)
def test_defaults_of_a_generator_are_exactly_these(kind):
    """Nothing else is written into objects: an extra default is drift in everybody's Git."""
    properties = schema(kind)["properties"]["spec"].get("properties", {})
    found = {name: field["default"] for name, field in properties.items() if "default" in field}

    assert found == DEFAULTS.get(kind, {})


REQUIRED = {
    "ACRAccessToken": ["auth", "registry"],
    "BeyondtrustWorkloadCredentialsDynamicSecret": ["provider"],
    "CloudsmithAccessToken": ["orgSlug", "serviceAccountRef", "serviceSlug"],
    "ECRAuthorizationToken": ["region"],
    "GCRAccessToken": ["auth", "projectID"],
    "GithubAccessToken": ["appID", "auth", "installID"],
    "GitlabDeployToken": ["auth", "name", "scopes"],
    "Grafana": ["auth", "serviceAccount", "url"],
    "MFA": ["secret"],
    "QuayAccessToken": ["robotAccount", "serviceAccountRef"],
    "STSSessionToken": ["region"],
    "VaultDynamicSecret": ["path", "provider"],
    "Webhook": ["url"],
}


@pytest.mark.parametrize("kind", PLURALS)
def test_fields_that_must_be_set_are_exactly_these(kind):
    assert schema(kind)["properties"]["spec"].get("required", []) == REQUIRED.get(kind, [])


def test_a_minimal_spec_reads_with_its_defaults():
    assert convert({}, PasswordSpec) == PasswordSpec(length=24, encoding="raw")
    assert convert({"secret": {}}, MFASpec).length == 6
    assert convert({"secret": {}}, MFASpec).time_period == 30


def test_a_cluster_generator_gives_the_spec_of_its_kind():
    spec = convert({"kind": "Password", "generator": {"passwordSpec": {"length": 8}}}, ClusterGeneratorSpec)

    assert spec.chosen() == PasswordSpec(length=8)


@pytest.mark.parametrize(
    "generator",
    [
        pytest.param({}, id="none"),
        pytest.param({"uuidSpec": {}}, id="another"),
        pytest.param({"uuidSpec": {}, "passwordSpec": {}}, id="two"),
    ],
)
def test_a_cluster_generator_whose_spec_is_not_that_of_its_kind_is_refused(generator):
    with pytest.raises(msgspec.ValidationError, match=r"generator\.passwordSpec for Password, found"):
        convert({"kind": "Password", "generator": generator}, ClusterGeneratorSpec)


@pytest.mark.parametrize(
    ("model", "spec", "field"),
    [
        pytest.param(WebhookSpec, {"url": "https://example.com", "timeout": "1d"}, "timeout", id="webhook"),
        pytest.param(
            GitlabDeployTokenSpec,
            {
                "name": "x",
                "scopes": ["read_registry"],
                "auth": {"token": {"secretRef": {}}},
                "expiresAfter": "30d",
            },
            "expiresAfter",
            id="gitlab",
        ),
    ],
)
def test_a_duration_that_is_none_names_its_field(model, spec, field):
    with pytest.raises(msgspec.ValidationError, match=field):
        convert(spec, model)


@pytest.mark.parametrize("kind", [*PLURALS, "ClusterGenerator", "GeneratorState"])
def test_a_definition_is_small(kind):
    assert len(json.dumps(definition(kind))) < 100_000
