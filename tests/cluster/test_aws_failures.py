"""Failures at AWS told well: what, where, why and what to do; the last good Secret stays; recovery by itself.

Each test breaks one thing under an object that is in sync, and mends it: nobody restarts anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.aws import Administrator, Fault, StrictAws
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import Object, cluster_store, entry, external_secret, extract, secret
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("failure-one"), canary("failure-two")
RECOVERY_S = 15.0
StartOperator = Callable[..., OperatorProcess]


def in_sync(app: AWSTenant) -> None:
    """ExternalSecret `db` is in sync with remote secret `db`."""
    app.put("db", ONE)
    app.move_in()
    app.tenant.create(external_secret("db", entry("v", app.key("db"))))
    app.tenant.wait_values("db", {"v": ONE})
    app.tenant.wait_synced("db")


def refresh(app: AWSTenant, name: str = "db") -> None:
    """Have the operator read again now: a changed annotation asks for it."""
    old = app.tenant.get("ExternalSecret", name)["metadata"].get("annotations") or {}
    app.tenant.annotate("ExternalSecret", name, {"refresh": f"{old.get('refresh', '')}x"})


def assert_told(app: AWSTenant, *words: str, name: str = "db") -> None:
    """Condition and event say so, and name store and key; the Secret is as it was."""
    store = f'SecretStore "{app.namespace}/store"'
    condition = app.tenant.wait_failed(name, words[0])
    _, _, message = app.tenant.told(name)
    assert [
        word for word in (*words, store, f"spec.data[0] (key: {app.key(name)})") if word not in message
    ] == []
    assert message.startswith("could not get secret data from provider: ")
    assert "\n" not in message
    app.tenant.wait_event("ExternalSecret", name, "UpdateFailed", words[0])
    assert condition["status"]["conditions"][0]["status"] == "False"


def assert_kept(app: AWSTenant, version: str) -> None:
    assert {"v": ONE} == app.tenant.values("db")
    assert version == app.tenant.version("Secret", "db")


def assert_recovers(app: AWSTenant) -> None:
    """A new value arrives, and nobody but the fault has changed anything."""
    app.tenant.wait_values("db", {"v": TWO}, timeout_s=RECOVERY_S)
    eventually(lambda: app.tenant.told("db")[:2] == ("True", "SecretSynced"))


# One secret, each in its own way: broken together, told, mended together


@dataclass
class History:
    """What became of one ExternalSecret while its remote secret was broken, and after."""

    condition: Object
    events: list[tuple[str, str, str]]
    secret_before: str
    secret_meanwhile: str
    values_meanwhile: dict[str, str]
    told_at_last: tuple[str, str, str] = ("", "", "")
    values_at_last: dict[str, str] = field(default_factory=dict)


DENIED = "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: x on resource: y"
BROKEN = {
    "access-denied": Fault(code="AccessDeniedException", message=DENIED),
    "denied-by-the-organization": Fault(
        code="AccessDeniedException", message=f"{DENIED} with an explicit deny in a service control policy"
    ),
    "kms-denied": Fault(code="AccessDeniedException"),  # with KMS's published text
    "kms-key-disabled": Fault(code="DecryptionFailure"),
    "marked-for-deletion": None,
}
SAID = {
    "access-denied": [
        "assumed-role/r/s is not allowed to secretsmanager:GetSecretValue",
        "Grant secretsmanager:GetSecretValue on the secret in the identity's policy",
    ],
    "denied-by-the-organization": ["is not allowed to", "explicit deny in its service control policy"],
    "kms-denied": ["KMS does not let", "key policy must allow kms:Decrypt"],
    "kms-key-disabled": ["KMS does not let", "must be enabled"],
    "marked-for-deletion": ["is marked for deletion in eu-central-1", "aws secretsmanager restore-secret"],
}


@pytest.fixture(scope="module")
def histories(
    kube: KubeClient,
    aws: StrictAws,
    administrator: Administrator,
    operator: OperatorProcess,
    leaks: LeakDetector,
) -> dict[str, History]:
    """Break, look, mend, look: once for all cases, because recovery takes its time."""
    app = AWSTenant(Tenant(kube, f"histories-{secrets.token_hex(3)}"), aws, administrator)
    kube.post("/api/v1/namespaces", {"metadata": {"name": app.namespace}})
    app.move_in()
    for name in BROKEN:
        app.put(name, ONE)
        app.tenant.create(external_secret(name, entry("v", app.key(name))))
    for name in BROKEN:
        app.tenant.wait_synced(name)
    before = {name: app.tenant.version("Secret", name) for name in BROKEN}
    for name, fault in BROKEN.items():
        if fault is None:
            administrator.delete_secret(app.key(name), recovery_days=7)
        else:
            aws.control.add_fault(msgspec.structs.replace(fault, secret=app.key(name)))
        refresh(app, name)
    found = {}
    for name in BROKEN:
        app.tenant.wait_failed(name)
        app.tenant.wait_event("ExternalSecret", name, "UpdateFailed")
        found[name] = History(
            app.tenant.ready(name),
            app.tenant.events("ExternalSecret", name),
            before[name],
            app.tenant.version("Secret", name),
            app.tenant.values(name),
        )
    aws.control.clear_faults()
    for name, fault in BROKEN.items():
        if fault is None:
            administrator.restore_secret(app.key(name))
        app.put(name, TWO)
    for name, history in found.items():
        app.tenant.wait_values(name, {"v": TWO})
        eventually(lambda name=name: app.tenant.told(name)[0] == "True")
        history.told_at_last, history.values_at_last = app.tenant.told(name), app.tenant.values(name)
    leaks.look("events of the histories", [history.events for history in found.values()])
    leaks.look("conditions of the histories", [history.condition for history in found.values()])
    kube.delete(f"/api/v1/namespaces/{app.namespace}")
    return found


@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_secret_is_told_in_condition_and_event(histories: dict[str, History], name: str) -> None:
    history = histories[name]
    message = history.condition["message"]

    assert ("False", "SecretSyncedError") == (history.condition["status"], history.condition["reason"])
    assert message.startswith("could not get secret data from provider: error processing spec.data[0] (key: ")
    assert [word for word in (*SAID[name], f"/{name})", "/store") if word not in message] == []
    cause = message.removeprefix("could not get secret data from provider: ")
    assert [("Warning", "UpdateFailed", cause)] == [e for e in history.events if e[0] == "Warning"]


@pytest.mark.parametrize("name", list(BROKEN))
def test_last_good_secret_stays_while_its_source_is_broken(histories: dict[str, History], name: str) -> None:
    history = histories[name]

    assert {"v": ONE} == history.values_meanwhile
    assert history.secret_before == history.secret_meanwhile


@pytest.mark.parametrize("name", list(BROKEN))
def test_mended_secret_is_read_again_without_a_restart(histories: dict[str, History], name: str) -> None:
    history = histories[name]

    assert ("True", "SecretSynced", "secret synced") == history.told_at_last
    assert {"v": TWO} == history.values_at_last


# One at a time

FAULTS = [
    pytest.param(Fault(code="InternalServiceError"), ["failed at its own side"], id="aws-fails"),
    pytest.param(Fault(kind="malformed"), ["gave an answer that cannot be read"], id="unreadable-answer"),
    pytest.param(Fault(kind="cut-body"), ["gave an answer that cannot be read"], id="answer-cut-short"),
    pytest.param(
        Fault(kind="cut-before"),
        ["AWS Secrets Manager in eu-central-1 cannot be reached", "VPC endpoint"],
        id="connection-cut",
    ),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_failure_of_a_read_is_told_and_mends_itself(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess, fault: Fault, words: list[str]
) -> None:
    in_sync(app)
    version = app.tenant.version("Secret", "db")
    fault_id = clean_aws.control.add_fault(
        msgspec.structs.replace(fault, service="secretsmanager", principal=app.principal)
    )

    refresh(app)

    assert_told(app, *words)
    assert_kept(app, version)
    app.put("db", TWO)
    clean_aws.control.remove_fault(fault_id)
    assert_recovers(app)


def test_secret_that_is_not_there_is_told_and_found_when_it_comes(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.move_in()
    app.tenant.create(external_secret("db", entry("v", app.key("db"))))

    assert_told(app, f'remote secret "{app.key("db")}" does not exist in eu-central-1', "Check the key")
    assert app.tenant.find("Secret", "db") is None
    app.put("db", TWO)
    assert_recovers(app)


def test_missing_property_is_told_with_the_keys_there_are_and_no_value(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", {"user": ONE, "password": TWO})
    app.move_in()
    app.tenant.create(external_secret("db", entry("v", app.key("db"), property="passwd")))

    assert_told(app, "the remote secret has no property 'passwd'", "it has 'password', 'user'")
    app.put("db", {"user": ONE, "passwd": TWO})
    assert_recovers(app)


def test_denied_by_policy_for_real_is_told_with_the_role_to_grant_it_to(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("secret", ONE)
    app.tenant.create(app.account(app.role(allow="other")), app.store())
    app.tenant.create(external_secret("secret", entry("v", app.key("secret"))))
    session = f"assumed-role/{app.namespace}/external-secrets-provider-aws"

    assert_told(
        app, f'{session} is not allowed to secretsmanager:GetSecretValue on remote secret "{app.key("secret")}"',
        name="secret",
    )  # fmt: skip


def test_one_failing_entry_is_told_by_its_place_and_the_number_of_others(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", ONE)
    app.move_in()
    entries = (entry("a", app.key("db")), entry("b", app.key("none")), entry("c", app.key("nothing")))
    app.tenant.create(external_secret("db", *entries))

    app.tenant.wait_failed("db", "2 entries failed, the first: error processing spec.data[1]")


# The whole endpoint


def test_endpoint_that_refuses_connections_is_told_and_mends_itself(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess
) -> None:
    in_sync(app)
    version = app.tenant.version("Secret", "db")
    clean_aws.control.outage("refuse")

    refresh(app)

    assert_told(app, "AWS Secrets Manager in eu-central-1 cannot be reached", "needs a VPC endpoint for")
    assert_kept(app, version)
    clean_aws.control.outage("none")
    app.put("db", TWO)
    assert_recovers(app)


def test_hanging_store_times_out_and_never_delays_another(
    app: AWSTenant, clean_aws: StrictAws, kube: KubeClient, administrator, operator: OperatorProcess
) -> None:
    """Both are in one region, so they share the SDK's client and its threads."""
    in_sync(app)
    for number in range(20):
        app.put(f"n{number}", ONE)
        app.tenant.create(
            external_secret(f"n{number}", entry("v", app.key(f"n{number}"), version="AWSCURRENT"))
        )
    for number in range(20):
        app.tenant.wait_values(f"n{number}", {"v": ONE})
    fault = clean_aws.control.add_fault(Fault(kind="hold", service="secretsmanager", principal=app.principal))
    refresh(app)
    for number in range(20):
        refresh(app, f"n{number}")
    clean_aws.control.wait_for_calls_in_flight(1, principal=app.principal)
    other = AWSTenant(Tenant(kube, f"{app.namespace}-b"), clean_aws, administrator)
    kube.post("/api/v1/namespaces", {"metadata": {"name": other.namespace}})
    other.put("db", TWO)
    other.move_in()
    other.tenant.create(external_secret("db", entry("v", other.key("db"))))

    other.tenant.wait_values("db", {"v": TWO}, timeout_s=15)

    assert [] == [
        call for call in clean_aws.control.calls(principal=app.principal) if call.done and call.faults
    ]
    app.tenant.wait_failed("db", "did not answer in time")
    assert "VPC endpoint" in app.tenant.told("db")[2]
    assert {"v": ONE} == app.tenant.values("db")
    # Those who waited behind the hanging calls do not go on to hang one after the other.
    for number in range(20):
        eventually(lambda number=number: app.tenant.told(f"n{number}")[0] == "False")
    app.put("db", TWO)
    clean_aws.control.remove_fault(fault)
    app.tenant.wait_values("db", {"v": TWO}, timeout_s=RECOVERY_S)
    kube.delete(f"/api/v1/namespaces/{other.namespace}")


def test_throttled_store_waits_as_long_as_aws_says_and_never_delays_another(
    app: AWSTenant, clean_aws: StrictAws, kube: KubeClient, administrator, operator: OperatorProcess
) -> None:
    in_sync(app)
    version = app.tenant.version("Secret", "db")
    clean_aws.control.throttle(retry_after_s=4, service="secretsmanager", principal=app.principal, times=1)
    clean_aws.control.reset_calls()
    refresh(app)
    assert_told(app, "asks for fewer calls", "raise the account's quota")
    assert_kept(app, version)
    other = AWSTenant(Tenant(kube, f"{app.namespace}-b"), clean_aws, administrator)
    kube.post("/api/v1/namespaces", {"metadata": {"name": other.namespace}})
    other.put("db", TWO)
    other.move_in()
    other.tenant.create(external_secret("db", entry("v", other.key("db"))))
    other.tenant.wait_values("db", {"v": TWO})
    assert 1 == len(clean_aws.control.calls(principal=app.principal))

    app.put("db", TWO)
    assert_recovers(app)

    throttled, allowed = clean_aws.control.calls(principal=app.principal)[:2]
    assert allowed.started - throttled.started >= 4
    kube.delete(f"/api/v1/namespaces/{other.namespace}")


# Identities


def test_wrong_keys_are_told_by_store_and_object_and_right_ones_are_taken_at_once(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", TWO)
    right = app.keys()
    wrong = secret("aws-keys", {"id": "AKIAWRONGWRONGWRONG1", "secret": canary("wrong-secret-key")})
    app.tenant.create(wrong, app.store(auth=app.key_auth()), external_secret("db", entry("v", app.key("db"))))

    app.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore", "AWS refuses the credentials")
    app.tenant.wait_event("SecretStore", "store", "InvalidProviderConfig", "AWS refuses the credentials")
    app.tenant.wait_failed("db", "AWS refuses the credentials")
    assert 'SecretStore "store" is not ready' in app.tenant.told("db")[2]
    app.tenant.edit("Secret", "aws-keys", {"data": right["data"]})
    assert_recovers(app)
    app.tenant.wait_told("store", "Valid", "SecretStore")


def test_keys_that_go_bad_are_told_and_the_secret_stays(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess
) -> None:
    app.put("db", ONE)
    app.tenant.create(
        app.keys(), app.store(auth=app.key_auth()), external_secret("db", entry("v", app.key("db")))
    )
    app.tenant.wait_values("db", {"v": ONE})
    app.tenant.wait_synced("db")
    version = app.tenant.version("Secret", "db")
    user = f"{app.namespace}-aws-keys"
    (key,) = app.administrator.client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
    _set_key(app, user, key["AccessKeyId"], "Inactive")

    refresh(app)

    assert_told(app, "AWS refuses the credentials", "Check access key")
    assert_kept(app, version)
    _set_key(app, user, key["AccessKeyId"], "Active")
    app.put("db", TWO)
    assert_recovers(app)


def _set_key(app: AWSTenant, user: str, key: str, status: str) -> None:
    app.administrator.client("iam").update_access_key(UserName=user, AccessKeyId=key, Status=status)


def test_role_that_does_not_trust_the_account_is_told_by_store_and_object(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", TWO)
    role = app.role(account="another")
    app.tenant.create(app.account(role), app.store(), external_secret("db", entry("v", app.key("db"))))
    said = f'system:serviceaccount:{app.namespace}:app may not assume role "{role}"'

    app.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore", said)
    assert "The role's trust policy must allow it" in app.tenant.told("store", "SecretStore")[2]
    app.tenant.wait_failed("db", said)


# Stores


def test_missing_store_is_told_and_taken_when_it_comes(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put("db", TWO)
    app.tenant.create(app.account(app.role()), external_secret("db", entry("v", app.key("db"))))

    app.tenant.wait_failed("db", f'SecretStore "{app.namespace}/store" does not exist')
    app.tenant.wait_event("ExternalSecret", "db", "UpdateFailed", "does not exist")
    app.tenant.create(app.store())
    assert_recovers(app)


def test_store_of_another_class_is_left_to_its_operator(app: AWSTenant, operator: OperatorProcess) -> None:
    """Not a word: two operators that write one status would fight."""
    app.put("db", ONE)
    app.tenant.create(
        app.account(app.role()),
        app.store(controller="another"),
        app.store(name="ours"),
        external_secret("theirs", entry("v", app.key("db"))),
        external_secret("ours", entry("v", app.key("db")), store="ours"),
    )
    app.tenant.wait_values("ours", {"v": ONE})

    assert {} == (app.tenant.get("ExternalSecret", "theirs").get("status") or {})
    assert {} == (app.tenant.get("SecretStore", "store").get("status") or {})
    assert app.tenant.find("Secret", "theirs") is None
    app.tenant.edit_spec("store", "SecretStore", controller="")
    app.tenant.wait_values("theirs", {"v": ONE})


def test_namespace_that_a_cluster_store_does_not_let_in_is_told(
    app: AWSTenant, shared_store: str, operator: OperatorProcess
) -> None:
    app.put("db", TWO)
    store = app.store(name=shared_store, cluster=True)
    store["spec"]["conditions"] = [{"namespaces": ["another"]}]
    app.tenant.create(app.account(app.role()), store)
    app.tenant.create(external_secret("db", entry("v", app.key("db")), store=cluster_store(shared_store)))

    app.tenant.wait_failed(
        "db", f'using cluster store "{shared_store}" is not allowed from namespace "{app.namespace}"'
    )
    assert "spec.conditions" in app.tenant.told("db")[2]
    assert [] == app.reads()
    app.tenant.edit_spec(shared_store, "ClusterSecretStore", conditions=[{"namespaces": [app.namespace]}])
    assert_recovers(app)


# Targets


def test_value_over_the_size_of_a_secret_is_told_and_taken_when_it_shrinks(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    in_sync(app)
    version = app.tenant.version("Secret", "db")
    app.put("big", "x" * 65536)
    many = [entry("v", app.key("db")), *(entry(f"k{number}", app.key("big")) for number in range(17))]
    data = external_secret("db", *many)["spec"]["data"]

    app.tenant.edit_spec("db", data=data)

    app.tenant.wait_failed("db", "could not update secret")
    assert "1048576" in app.tenant.told("db")[2] or "1 MiB" in app.tenant.told("db")[2]
    assert_kept(app, version)
    app.put("db", TWO)
    app.tenant.edit_spec("db", data=data[:1])
    assert_recovers(app)


def test_content_that_no_secret_can_hold_is_told_and_taken_when_it_is_mended_at_the_store(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    """The API server refuses the key. Nobody tells of a change at the store: the next refresh finds it."""
    key = app.put("doc", {"ok": ONE})
    app.move_in()
    app.tenant.create(external_secret("db", extract(key), refreshInterval="2s"))
    app.tenant.wait_values("db", {"ok": ONE})
    app.put("doc", {"ä": ONE})
    app.tenant.wait_failed("db", "could not update secret")

    app.put("doc", {"ok": TWO})

    app.tenant.wait_values("db", {"ok": TWO}, timeout_s=RECOVERY_S)


def test_secret_made_by_hand_in_the_place_of_a_deleted_one_stays_and_is_told_until_the_store_has_the_value(
    app: AWSTenant, administrator: Administrator, operator: OperatorProcess
) -> None:
    key = app.put("db", ONE)
    app.move_in()
    policies = {"deletionPolicy": "Delete"}
    app.tenant.create(external_secret("db", entry("v", key), refreshInterval="2s", target=policies))
    app.tenant.wait_values("db", {"v": ONE})
    administrator.delete_secret(key)
    app.tenant.wait_gone("Secret", "db")
    app.tenant.create(secret("db", {"v": "by hand"}))
    app.tenant.wait_failed("db", "is not controlled by this ExternalSecret")
    assert {"v": "by hand"} == app.tenant.values("db")

    app.put("db", TWO)

    assert_recovers(app)


def test_conflict_over_the_secret_that_lasts_is_told_and_does_not_read_the_store_over_and_over(
    app: AWSTenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    app.put("db", ONE)
    private_operator(kubeconfig=proxied_kubeconfig)
    app.move_in(controller="private")
    api_proxy.answer(409, resource="secrets", verb="create")

    app.tenant.create(external_secret("db", entry("v", app.key("db"))))

    app.tenant.wait_failed("db", "could not update secret")
    assert 3 == len(app.reads("db"))  # at 0, 1 and 3 s


def test_target_that_belongs_to_somebody_else_is_told_and_left_alone(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    in_sync(app)
    app.tenant.create(external_secret("second", entry("v", app.key("db")), target={"name": "db"}))

    app.tenant.wait_failed("second", "target is owned by another ExternalSecret")
    app.tenant.wait_event("ExternalSecret", "second", "UpdateFailed", "is owned by ExternalSecret 'db'")
    assert {"v": ONE} == app.tenant.values("db")
    app.tenant.edit_spec("second", target={"name": "own"})
    app.tenant.wait_values("own", {"v": ONE})
