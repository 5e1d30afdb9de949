"""What is wrong in a spec is refused at admission, or told by a condition: either names the field.

What test_crd_rules.py, test_admission_policies.py and test_sync_old_objects.py do not have.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from keyferry.errors import KubeInvalid
from keyferry.testing.builders import (
    Object,
    cluster_external_secret,
    entry,
    external_secret,
    extract,
    find,
    generated,
    generator,
    renamed,
    store,
)
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, ready_of, soon

ONE = canary("one")
GOOD = entry("v", "db")


def es(*entries: Object, **fields: Any) -> Object:
    return external_secret("x", *(entries or (GOOD,)), **fields)


def rewritten(step: Object, regexp: str = "^d") -> Object:
    return es(find(regexp, rewrite=[step]))


def windows(kind: str = "allow", count: int = 1, **window: Any) -> Object:
    one = {"schedule": "@daily", "duration": "1h", **window}
    return {"syncWindows": {"kind": kind, "windows": [one] * count}}


def spread(of: Object, **fields: Any) -> Object:
    return cluster_external_secret("x", of, **{"namespaces": ["none"], **fields})


def cluster_generator(kind: str, **blocks: Any) -> Object:
    return generator("ClusterGenerator", "x", kind=kind, generator=blocks)


ENUM = "Unsupported value"
REQUIRED = "Required value"
NO_KIND: Object = {"syncWindows": {"windows": windows()["syncWindows"]["windows"]}}

REFUSED: dict[str, tuple[Object, str, str]] = {
    "a-rewrite-without-target": (
        rewritten({"regexp": {"source": "x"}}),
        "spec.dataFrom[0].rewrite[0].regexp.target",
        REQUIRED,
    ),
    "a-merge-by-an-unknown-strategy": (
        rewritten({"merge": {"strategy": "Deep"}}),
        "spec.dataFrom[0].rewrite[0].merge.strategy",
        ENUM,
    ),
    "a-merge-with-an-unknown-conflict-policy": (
        rewritten({"merge": {"conflictPolicy": "First"}}),
        "spec.dataFrom[0].rewrite[0].merge.conflictPolicy",
        ENUM,
    ),
    "a-merge-with-an-unknown-priority-policy": (
        rewritten({"merge": {"priorityPolicy": "Lax"}}),
        "spec.dataFrom[0].rewrite[0].merge.priorityPolicy",
        ENUM,
    ),
    "windows-without-kind": (es(**NO_KIND), "spec.syncWindows.kind", REQUIRED),
    "windows-of-an-unknown-kind": (es(**windows("maybe")), "spec.syncWindows.kind", ENUM),
    "a-generator-without-name": (
        es({"sourceRef": {"generatorRef": {"kind": "UUID"}}}),
        "spec.dataFrom[0].sourceRef.generatorRef.name",
        REQUIRED,
    ),
    "a-generator-of-an-unknown-kind": (
        es(generated("Dice", "x")),
        "spec.dataFrom[0].sourceRef.generatorRef.kind",
        ENUM,
    ),
    "a-store-with-an-empty-name": (es(store={"name": ""}), "spec.secretStoreRef.name", "at least 1 chars"),
    "a-store-with-a-name-that-none-can-have": (
        es(store="Upper"),
        "spec.secretStoreRef.name",
        "should match",
    ),
    "an-interval-that-is-a-number": (es(refreshInterval=60), "spec.refreshInterval", "of type string"),
    "an-unknown-decoding": (
        es(entry("v", "db", decodingStrategy="Rot13")),
        "spec.data[0].remoteRef.decodingStrategy",
        ENUM,
    ),
    "an-unknown-decoding-of-find": (
        es(find("x", decodingStrategy="Rot13")),
        "spec.dataFrom[0].find.decodingStrategy",
        ENUM,
    ),
    "an-unknown-metadata-policy": (
        es(entry("v", "db", metadataPolicy="All")),
        "spec.data[0].remoteRef.metadataPolicy",
        ENUM,
    ),
    "an-unknown-conversion": (
        es(extract("db", conversionStrategy="Camel")),
        "spec.dataFrom[0].extract.conversionStrategy",
        ENUM,
    ),
    "an-unknown-null-byte-policy": (
        es(entry("v", "db", nullBytePolicy="Drop")),
        "spec.data[0].remoteRef.nullBytePolicy",
        ENUM,
    ),
    "a-store-that-retries-more-often-than-an-int32": (
        store({}, name="x", retrySettings={"maxRetries": 2**31}),
        "spec.retrySettings.maxRetries",
        "int32",
    ),
    "a-password-in-an-unknown-encoding": (
        generator("Password", "x", length=3, encoding="rot"),
        "spec.encoding",
        ENUM,
    ),
    "an-ssh-key-of-an-unknown-type": (generator("SSHKey", "x", keyType="dsa"), "spec.keyType", ENUM),
    "an-ssh-key-that-is-too-short": (generator("SSHKey", "x", keySize=1), "spec.keySize", "greater than"),
    "a-one-time-code-without-secret": (generator("MFA", "x"), "spec.secret", REQUIRED),
    "a-deploy-token-without-scopes": (generator("GitlabDeployToken", "x"), "spec.scopes", REQUIRED),
    "a-github-token-without-app": (generator("GithubAccessToken", "x"), "spec.appID", REQUIRED),
    "a-quay-token-without-account": (generator("QuayAccessToken", "x"), "spec.robotAccount", REQUIRED),
    "a-registry-token-without-region": (generator("ECRAuthorizationToken", "x"), "spec.region", REQUIRED),
    "a-session-token-without-region": (generator("STSSessionToken", "x"), "spec.region", REQUIRED),
    "a-cluster-generator-without-kind": (generator("ClusterGenerator", "x"), "spec.kind", REQUIRED),
    "a-cluster-generator-of-an-unknown-kind": (cluster_generator("Dice", uuidSpec={}), "spec.kind", ENUM),
    "a-cluster-generator-with-two-specs": (
        cluster_generator("UUID", uuidSpec={}, fakeSpec={}),
        "spec.generator",
        "must have at most 1 item",
    ),
    "a-cluster-generator-with-another-kinds-spec": (
        cluster_generator("UUID", passwordSpec={"length": 3}),
        "spec",
        "spec.generator must hold the spec of spec.kind",
    ),
    "a-cluster-external-secret-of-nothing": (
        spread({"spec": {}}),
        "spec.externalSecretSpec",
        "either data or dataFrom should be specified",
    ),
    "a-cluster-external-secret-for-a-name-that-no-namespace-can-have": (
        spread(es(), namespaces=["Upper"]),
        "spec.namespaces[0]",
        "should match",
    ),
    "a-cluster-external-secret-with-an-interval-in-days": (
        spread(es(refreshInterval="1d")),
        "spec.externalSecretSpec.refreshInterval",
        "should match",
    ),
    "a-cluster-external-secret-with-a-refresh-time-in-days": (
        spread(es(), refreshTime="1d"),
        "spec.refreshTime",
        "should match",
    ),
    "a-cluster-external-secret-whose-name-none-can-have": (
        spread(es(), externalSecretName="Upper"),
        "spec.externalSecretName",
        "should match",
    ),
    "a-cluster-external-secret-with-the-same-key-twice": (
        spread(es(GOOD, GOOD)),
        "secretKey",
        "duplicate secretKey found: v",
    ),
    "a-cluster-external-secret-that-deletes-what-it-does-not-own": (
        spread(es(target={"creationPolicy": "Merge", "deletionPolicy": "Delete"})),
        "spec.externalSecretSpec.target",
        "deletionPolicy=Delete must not be used when the controller doesn't own the secret",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_spec_is_refused_with_its_field(tenant: Tenant, installed: None, case: str) -> None:
    refused, field, words = REFUSED[case]

    with pytest.raises(KubeInvalid) as error:
        tenant.kube.post(tenant.path(refused["kind"]), refused, dryRun="All")
    assert field in error.value.message
    assert words in error.value.message


FIND = "error processing spec.dataFrom[0].find, err: "
TOLD: dict[str, tuple[Object, str, str]] = {
    "find-without-anything": (es({"find": {}}), FIND, "name or path must be set"),
    "find-by-what-is-no-expression": (es(find("(")), FIND, "'(' is no regular expression (RE2): missing )"),
    "find-by-what-re2-does-not-have": (es(find("(?=x)")), FIND, "'(?=x)' is no regular expression (RE2)"),
    "rewrite-by-what-is-no-expression": (rewritten(renamed("(", "x")), FIND, "rewrite[0]: '(' is no regular"),
    "rewrite-to-keys-that-none-can-be": (
        rewritten(renamed("^db$", "d b")),
        FIND,
        "invalid secret keys (TIP: use rewrite or conversionStrategy to change keys): 'd b'",
    ),
    "merge-as-json-into-nothing": (
        rewritten({"merge": {"strategy": "JSON"}}),
        FIND,
        "rewrite[0]: merge.into is empty, and strategy JSON needs it",
    ),
    "merge-as-json-into-what-is-no-key": (
        rewritten({"merge": {"strategy": "JSON", "into": "a b"}}, "^doc"),
        FIND,
        "'a b'",
    ),
    "window-of-no-length": (es(**windows(duration="0s")), "spec.syncWindows.windows[0].duration", '"0s"'),
    "window-of-negative-length": (
        es(**windows(duration="-1h")),
        "spec.syncWindows.windows[0].duration",
        '"-1h" is not longer than 0',
    ),
    "window-every-soon": (
        es(**windows(schedule="@every soon")),
        "spec.syncWindows.windows[0].schedule",
        '"@every soon": not a duration',
    ),
    "more-windows-than-are-served": (
        es(**windows(count=101)),
        "spec.syncWindows.windows",
        "101 windows, at most 100",
    ),
    "target-that-is-no-secret": (
        es(target={"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}),
        "spec.target.manifest",
        "--unsafe-allow-generic-targets",
    ),
    "generator-for-one-key": (
        es({"secretKey": "v", "remoteRef": {"key": "x"}, "sourceRef": generated("UUID", "u")["sourceRef"]}),
        "spec.data[0].sourceRef.generatorRef",
        "Use spec.dataFrom with sourceRef.generatorRef",
    ),
    "no-store-at-all": (es(store=""), "spec.data[0] (key: db)", "set spec.secretStoreRef.name"),
    "interval-beyond-all-time": (es(refreshInterval="99999999h"), "refreshInterval", "longer than 292 years"),
    "remote-key-that-is-empty": (es(entry("v", "")), "spec.data[0]", "there is no remote secret ''"),
    "value-that-is-not-encoded": (
        es(entry("v", "raw", decodingStrategy="Base64")),
        "spec.data[0] (key: raw)",
        "Set decodingStrategy to None",
    ),
    "value-with-a-null-byte": (
        es(entry("v", "nul", nullBytePolicy="Fail")),
        "spec.data[0] (key: nul)",
        "set nullBytePolicy to Ignore",
    ),
    "extract-of-what-is-no-object": (
        es(extract("db")),
        "spec.dataFrom[0].extract (key: db)",
        "not a JSON object",
    ),
    "store-that-retries-soon": (
        store({}, name="x", retrySettings={"retryInterval": "soon"}),
        "spec.retrySettings.retryInterval",
        "is not a duration",
    ),
    "store-checked-beyond-all-time": (
        store({}, name="x", refreshInterval="99999999h"),
        "refreshInterval",
        "longer than 292 years",
    ),
}


def test_what_only_the_operator_can_know_is_told_by_a_condition_with_its_field(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE, "doc": "{}", "raw": f"%{ONE}", "nul": f"{ONE}\0"}))
    for name, (one, _, _) in TOLD.items():
        named = copy.deepcopy(one)
        named["metadata"]["name"] = name
        tenant.create(named)

    def not_told() -> dict[str, str]:
        found = {}
        for name, (one, field, words) in TOLD.items():
            ready = ready_of(tenant.get(one["kind"], name))
            if ready["status"] != "False" or field not in ready["message"] or words not in ready["message"]:
                found[name] = ready["message"]
        return found

    def all_are_told() -> bool:
        assert not_told() == {}
        return True

    soon(all_are_told)
