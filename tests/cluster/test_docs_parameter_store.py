"""The IAM policies of the page about Parameter Store are enough for what it shows, and hold nothing that is not needed."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.cluster.test_docs_aws import POLICIES as AWS_POLICIES
from tests.docs.markdown import ROOT, blocks

from keyferry.localcluster import LocalCluster
from keyferry.testing.aws import CallRecord
from keyferry.testing.aws.policy import Verdict, context_of, evaluate
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import Object, entry, external_secret, find
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

PAGE = ROOT / "docs/providers/aws-parameter-store.md"
POLICIES = {block.marks["policy"]: block.text for block in blocks(PAGE, "json") if "policy" in block.marks}
ACCOUNT = "123456789012"
VALUE = canary("docs-parameter")
ONE = external_secret("alone", entry("v", "/shop/db/password"))
TWO = external_secret("together", entry("a", "/shop/db/password"), entry("b", "/shop/db/user"))
TAGS = external_secret("tags", entry("v", "/shop/db/user", metadataPolicy="Fetch"))
PATH = external_secret("path", find(path="/shop/db"))
BY_TAGS = external_secret("by-tags", find(tags={"team": "shop"}))
BOTH = {"_shop_db_password": VALUE, "_shop_db_user": "first"}
SHOWN: dict[str, tuple[Object, dict[str, str]]] = {
    "one": (ONE, {"v": VALUE}),
    "two": (TWO, {"a": VALUE, "b": "first"}),
    "tags": (TAGS, {"v": '{"team":"shop"}'}),
    "path": (PATH, BOTH),
    "by-tags": (BY_TAGS, {"_shop_db_user": "first"}),
}
NEEDED = {
    # What is shown, with which policies; and which of their actions it does not work without.
    "one": (["read"], {"ssm:GetParameter"}),
    "two": (["read"], {"ssm:GetParameters"}),
    "tags": (["read"], {"ssm:ListTagsForResource"}),
    "path": (["path"], {"ssm:GetParametersByPath"}),
    "by-tags": (["read", "list"], {"ssm:DescribeParameters", "ssm:GetParameter"}),
}


def actions_of(document: str) -> set[str]:
    [statement] = json.loads(document)["Statement"]
    listed = statement["Action"]
    return set(listed if isinstance(listed, list) else [listed])


def without(document: str, action: str) -> str:
    """The policy without one action; empty where nothing is left."""
    policy = json.loads(document)
    [statement] = policy["Statement"]
    statement["Action"] = sorted(actions_of(document) - {action})
    return json.dumps(policy) if statement["Action"] else ""


@pytest.fixture
def shop(app: AWSTenant) -> AWSTenant:
    """The parameters that the page speaks of."""
    app.administrator.put_parameter("/shop/db/password", VALUE, kind="SecureString")
    app.administrator.put_parameter("/shop/db/user", "first", tags={"team": "shop"})
    app.administrator.put_parameter("/staff/salaries", VALUE)
    return app


def open_store(app: AWSTenant, name: str, policies: list[str]) -> None:
    """A store that asks with these policies, as a ServiceAccount of its own."""
    role = f"{app.namespace}-{name}"
    arn = app.administrator.role_for_service_account(role, app.namespace, name)
    iam = app.administrator.client("iam")
    for number, document in enumerate(filter(None, policies)):
        iam.put_role_policy(RoleName=role, PolicyName=f"policy-{number}", PolicyDocument=document)
    auth = {"jwt": {"serviceAccountRef": {"name": name}}}
    store = app.store(name=name, service="ParameterStore", auth=auth)
    app.tenant.create(app.account(arn, name), store)


def ask(app: AWSTenant, store: str, shown: Object) -> None:
    """What is shown, of a store."""
    asking = json.loads(json.dumps(shown))
    asking["metadata"]["name"] = store
    asking["spec"]["secretStoreRef"] = {"name": store}
    app.tenant.create(asking)


def refused(app: AWSTenant, store: str) -> list[CallRecord]:
    """Calls of a store that were not answered well."""
    calls = app._aws.control.calls(
        service="ssm", principal=f"arn:aws:sts::*:assumed-role/{app.namespace}-{store}/*"
    )
    assert calls
    return [call for call in calls if call.status != 200]


def test_policies_are_enough_for_what_the_page_shows(shop: AWSTenant, operator: OperatorProcess) -> None:
    for name, (shown, _) in SHOWN.items():
        open_store(shop, name, [POLICIES[policy] for policy in NEEDED[name][0]])
        ask(shop, name, shown)

    for name, (_, expected) in SHOWN.items():
        shop.tenant.wait_values(name, expected)
        assert [] == refused(shop, name)


@pytest.mark.restless  # what is refused is tried again
def test_policies_hold_nothing_that_is_not_needed(shop: AWSTenant, operator: OperatorProcess) -> None:
    lacking = {
        f"{name}-{action.partition(':')[2].lower()}": (name, action)
        for name, (_, actions) in NEEDED.items()
        for action in actions
    }
    for store, (name, action) in lacking.items():
        open_store(shop, store, [without(POLICIES[policy], action) for policy in NEEDED[name][0]])
        ask(shop, store, SHOWN[name][0])

    for store, (_, action) in lacking.items():
        shop.tenant.wait_told(store, "SecretSynced" if action == "ssm:GetParameters" else "SecretSyncedError")
        assert action in {f"ssm:{call.action}" for call in refused(shop, store)}


def test_policies_allow_nothing_beside_the_teams_parameters(
    shop: AWSTenant, operator: OperatorProcess
) -> None:
    open_store(shop, "store", list(POLICIES.values()))
    shop.tenant.create(
        external_secret("foreign", entry("v", "/staff/salaries")),
        external_secret("tag", entry("v", "/staff/salaries", metadataPolicy="Fetch")),
        external_secret("path", find(path="/staff")),
    )

    shop.tenant.wait_failed("foreign", "not allowed to ssm:GetParameter")
    shop.tenant.wait_failed("tag", "not allowed to ssm:ListTagsForResource")
    shop.tenant.wait_failed("path", "not allowed to ssm:GetParameter")


def test_every_action_of_the_page_is_one_that_something_needs() -> None:
    granted = {
        action for name, document in POLICIES.items() if name != "kms" for action in actions_of(document)
    }

    assert granted == {action for _, actions in NEEDED.values() for action in actions}
    assert {"read", "kms", "path", "list"} == set(POLICIES)


@pytest.mark.parametrize(
    ("action", "through", "expected"),
    [
        pytest.param("kms:Decrypt", "ssm.eu-central-1.amazonaws.com", Verdict.ALLOWED, id="parameter"),
        pytest.param(
            "kms:Decrypt", "secretsmanager.eu-central-1.amazonaws.com", Verdict.SILENT, id="another-service"
        ),
        pytest.param("kms:Encrypt", "ssm.eu-central-1.amazonaws.com", Verdict.SILENT, id="action"),
    ],
)
def test_kms_policy_allows_to_decrypt_parameters_alone(action: str, through: str, expected: Verdict) -> None:
    key = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/KEY_ID"

    assert expected == evaluate([POLICIES["kms"]], action, key, context_of(**{"kms:ViaService": through}))


def test_own_key_needs_the_kms_policy(shop: AWSTenant, operator: OperatorProcess) -> None:
    key = shop.administrator.create_key()
    shop.administrator.put_parameter(f"/shop/{shop.namespace}", VALUE, kind="SecureString", key_id=key)
    kms = POLICIES["kms"].replace(f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/KEY_ID", key)
    for name, policies in {"with": [POLICIES["read"], kms], "without": [POLICIES["read"]]}.items():
        open_store(shop, name, policies)
        ask(shop, name, external_secret("own-key", entry("v", f"/shop/{shop.namespace}")))

    shop.tenant.wait_values("with", {"v": VALUE})
    shop.tenant.wait_failed("without", f'decrypt remote secret "/shop/{shop.namespace}"')


def test_sample_reads_what_the_policy_of_the_page_allows(
    shop: AWSTenant, cluster: LocalCluster, operator: OperatorProcess
) -> None:
    shop.administrator.delete_parameter("/shop/db/user")  # which other tests have given versions
    for value in ("first", "second", "third", "fourth"):
        shop.administrator.put_parameter("/shop/db/user", value)
    shop.administrator.create_role("shop-parameters", trust=trust(shop, cluster), policy=POLICIES["read"])
    shop.tenant.create(
        *yaml.safe_load_all((ROOT / "deploy/samples/aws-parameter-store.yaml").read_text("utf-8"))
    )

    shop.tenant.wait_values("db-parameters", {"password": VALUE, "username": "third"})


def trust(app: AWSTenant, cluster: LocalCluster) -> Object:
    """The trust policy on the page about AWS, for ServiceAccount `shop` of the namespace."""
    text = AWS_POLICIES["trust-service-account"].replace("team-a:shop", f"{app.namespace}:shop")
    text = text.replace("ISSUER", cluster.issuer.removeprefix("https://").rstrip("/"))
    [statement] = json.loads(text)["Statement"]
    return statement  # type: ignore[no-any-return]
