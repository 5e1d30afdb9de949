"""The IAM policies of the AWS page are enough for what it shows, and for nothing more."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
import yaml
from tests.docs.markdown import ROOT, blocks

from keyferry.localcluster import LocalCluster
from keyferry.testing.aws.policy import Verdict, context_of, evaluate
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import entry, external_secret, extract
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

PAGE = ROOT / "docs/providers/aws.md"
POLICIES = {block.marks["policy"]: block.text for block in blocks(PAGE, "json") if "policy" in block.marks}
ACCOUNT = "123456789012"
VALUE = canary("docs-aws")


def statement(name: str, **changes: str) -> dict[str, Any]:
    """The one statement of a policy of the page, with its placeholders filled in."""
    text = POLICIES[name]
    for placeholder, value in changes.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    [only] = json.loads(text)["Statement"]
    return only  # type: ignore[no-any-return]


def sample(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy/samples" / name).read_text("utf-8")))


def test_sample_reads_what_the_policy_of_the_page_allows_and_nothing_else(
    app: AWSTenant, cluster: LocalCluster, operator: OperatorProcess
) -> None:
    issuer = cluster.issuer.removeprefix("https://").rstrip("/")
    trust = statement("trust-service-account", **{"ISSUER": issuer, "team-a:shop": f"{app.namespace}:shop"})
    app.administrator.create_role("shop-secrets", trust=trust, policy=POLICIES["read"])
    app.administrator.put_secret("shop/db", {"username": "shop", "password": VALUE}, tags={"team": "shop"})
    app.administrator.put_secret("shop/token", VALUE)
    app.administrator.put_secret("staff/salaries", VALUE)
    app.tenant.create(*sample("aws-irsa.yaml"))
    app.tenant.wait_values("db", {"username": "shop", "password": VALUE})
    app.tenant.create(
        external_secret("many", extract("shop/db"), entry("token", "shop/token"), store="aws"),
        external_secret("tags", entry("tags", "shop/db", metadataPolicy="Fetch"), store="aws"),
        external_secret("foreign", entry("v", "staff/salaries"), store="aws"),
    )

    app.tenant.wait_values("many", {"username": "shop", "password": VALUE, "token": VALUE})
    app.tenant.wait_values("tags", {"tags": '{"team":"shop"}'})
    app.tenant.wait_failed("foreign", "not allowed to secretsmanager:GetSecretValue")
    refused = [c for c in app.calls() if c.action == "BatchGetSecretValue" and c.status != 200]
    assert [] == refused


def test_one_cluster_store_gives_each_namespace_its_own_secrets(
    app: AWSTenant, shared_store: str, private_operator: Any
) -> None:
    own = app.administrator.create_user(f"{app.namespace}-keyferry", policy=POLICIES["tenants-operator"])
    trust = statement(
        "tenants-trust",
        **{f"arn:aws:iam::{ACCOUNT}:role/keyferry": f"arn:aws:iam::{ACCOUNT}:user/{app.namespace}-keyferry"},
    )
    app.administrator.create_role("tenants", trust=trust, policy=POLICIES["tenants-read"])
    app.put("token", VALUE)
    app.administrator.put_secret("another-team/token", VALUE)
    private_operator(
        "--ambient-identity=cluster",
        environment={"AWS_ACCESS_KEY_ID": own.access_key_id, "AWS_SECRET_ACCESS_KEY": own.secret_access_key},
    )
    store, _ = sample("cluster-store.yaml")
    store["metadata"]["name"], store["spec"]["controller"] = shared_store, "private"
    [condition] = store["spec"]["conditions"]
    labels = condition["namespaceSelector"]["matchLabels"]
    app.tenant.kube.patch(f"/api/v1/namespaces/{app.namespace}", {"metadata": {"labels": labels}})
    named = {"kind": "ClusterSecretStore", "name": shared_store}
    app.tenant.create(
        store,
        external_secret("mine", entry("v", app.key("token")), store=named),
        external_secret("theirs", entry("v", "another-team/token"), store=named),
    )

    app.tenant.wait_values("mine", {"v": VALUE})
    app.tenant.wait_failed("theirs", "not allowed to secretsmanager:GetSecretValue")
    assert app.tenant.find("Secret", "theirs") is None


@pytest.mark.parametrize(
    ("action", "through", "expected"),
    [
        pytest.param(
            "kms:Decrypt", "secretsmanager.eu-central-1.amazonaws.com", Verdict.ALLOWED, id="secret"
        ),
        pytest.param("kms:Decrypt", "s3.eu-central-1.amazonaws.com", Verdict.SILENT, id="another-service"),
        pytest.param("kms:Encrypt", "secretsmanager.eu-central-1.amazonaws.com", Verdict.SILENT, id="action"),
    ],
)
def test_kms_policy_allows_to_decrypt_secrets_alone(action: str, through: str, expected: Verdict) -> None:
    """The double does not encrypt: the policy is decided by itself."""
    key = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/KEY_ID"

    assert expected == evaluate([POLICIES["kms"]], action, key, context_of(**{"kms:ViaService": through}))


def test_policy_for_searching_allows_to_list_and_nothing_else(app: AWSTenant) -> None:
    app.put("token", VALUE)
    keys = app.administrator.create_user(f"{app.namespace}-finder", policy=POLICIES["find"])
    sm = boto3.client(
        "secretsmanager",
        endpoint_url=app.administrator.client("secretsmanager").meta.endpoint_url,
        region_name=app.administrator.region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
    )

    listed = sm.list_secrets(Filters=[{"Key": "name", "Values": [app.key("")]}])["SecretList"]

    assert [app.key("token")] == [one["Name"] for one in listed]
    with pytest.raises(sm.exceptions.ClientError, match="AccessDenied"):
        sm.get_secret_value(SecretId=app.key("token"))


def test_every_policy_of_the_page_is_tried() -> None:
    assert {
        "read",
        "find",
        "kms",
        "trust-service-account",
        "tenants-read",
        "tenants-trust",
        "tenants-operator",
    } == set(POLICIES)
