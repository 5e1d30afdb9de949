"""AWS Parameter Store on a real control plane: a role per store, versions, searches, rotations, and calls that are few."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keyferry.api import names
from keyferry.providers.aws.pace import QUOTA_PER_S
from keyferry.testing.aws import CallRecord
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import entry, external_secret, extract, find, renamed
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

ONE, TWO = canary("parameter-one"), canary("parameter-two")
SERVICE = {"service": "ParameterStore"}


def move_in(app: AWSTenant, *actions: str, find: bool = False, **store: Any) -> None:
    """A ServiceAccount, its role and a store that asks as it."""
    role = app.parameter_role(actions, find=find) if actions else app.parameter_role(find=find)
    app.tenant.create(app.account(role), app.store(**SERVICE, **store))


def most_in_a_second(calls: list[CallRecord]) -> int:
    times = [call.started for call in calls]
    return max(sum(1 for other in times if at <= other < at + 1) for at in times)


def test_service_accounts_role_reads_and_a_rotation_arrives(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put_parameter("db", ONE, kind="SecureString")
    move_in(app)
    app.tenant.wait_told("store", "Valid", names.SECRET_STORE)
    app.tenant.create(external_secret("db", entry("v", app.path("db")), refreshInterval="1s"))

    app.tenant.wait_values("db", {"v": ONE})
    app.put_parameter("db", TWO, kind="SecureString")
    app.tenant.wait_values("db", {"v": TWO})

    (exchange,) = app.exchanges()
    assert f"system:serviceaccount:{app.namespace}:app" == exchange.subject
    assert {"GetParameter"} == {call.action for call in app.parameter_calls()}


def test_every_form_of_a_parameter_is_read(app: AWSTenant, operator: OperatorProcess) -> None:
    document = {"user": "app", "host.name": "db.example.com", "port": 5432, "nested": {"a": [1, 2]}}
    app.put_parameter("db", json.dumps(document), kind="SecureString", tags={"owner": "team-a"})
    app.put_parameter("list", "a,b,c", kind="StringList")
    app.put_parameter("old", "first")
    app.put_parameter("old", "second")
    app.administrator.label_parameter(app.path("old"), "blue", "1")
    move_in(app, prefix=app.path())
    app.tenant.create(
        external_secret(
            "all",
            entry("literal", "db", property="host.name"),
            entry("path", "db", property="nested.a.1"),
            entry("number", "db", property="port"),
            entry("list", "list"),
            entry("latest", "old"),
            entry("version", "old", version="1"),
            entry("label", "old", version="blue"),
            entry("in-key", "old:1"),
            entry("tags", "db", metadataPolicy="Fetch"),
            entry("tag", "db", metadataPolicy="Fetch", property="owner"),
        ),
        external_secret("extracted", extract("db")),
    )

    app.tenant.wait_values(
        "all",
        {
            "literal": "db.example.com",
            "path": "2",
            "number": "5432",
            "list": "a,b,c",
            "latest": "second",
            "version": "first",
            "label": "first",
            "in-key": "first",
            "tags": '{"owner":"team-a"}',
            "tag": "team-a",
        },
    )
    extracted = {"user": "app", "host.name": "db.example.com", "port": "5432", "nested": '{"a": [1, 2]}'}
    app.tenant.wait_values("extracted", extracted)


def test_each_store_reads_with_its_own_role(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put_parameter("db", ONE)
    app.tenant.create(
        app.account(app.parameter_role()),
        app.account(app.parameter_role(["ListTagsForResource"], name=f"{app.namespace}-b", account="b"), "b"),
        app.store(**SERVICE),
        app.store(name="blind", auth={"jwt": {"serviceAccountRef": {"name": "b"}}}, **SERVICE),
        external_secret("may", entry("v", app.path("db"))),
        external_secret("may-not", entry("v", app.path("db")), store="blind"),
    )

    app.tenant.wait_values("may", {"v": ONE})
    app.tenant.wait_failed("may-not", f'not allowed to ssm:GetParameter on remote secret "{app.path("db")}"')
    assert app.tenant.find("Secret", "may-not") is None


def test_search_brings_values_along_and_follows_changes(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put_parameter("web/db", ONE, kind="SecureString")
    app.put_parameter("web/token", TWO, tags={"env": "prod"})
    app.put_parameter("webshop/db", ONE)
    move_in(app, find=True)
    app.tenant.wait_told("store", "Valid", names.SECRET_STORE)
    rename = [renamed(f"^{app.path('web')}/(.*)$", "$1")]
    app.tenant.create(
        external_secret("path", find(path=app.path("web"), rewrite=rename), refreshInterval="1s"),
        external_secret("whole", find(path=app.path("web"))),
        external_secret("tags", find(tags={"env": "prod"}, path=app.path(), rewrite=rename)),
    )

    app.tenant.wait_values("path", {"db": ONE, "token": TWO})
    whole = app.path("web").replace("/", "_")
    app.tenant.wait_values("whole", {f"{whole}_db": ONE, f"{whole}_token": TWO})
    app.tenant.wait_values("tags", {"token": TWO})
    assert {"GetParametersByPath", "DescribeParameters", "GetParameter"} == {
        call.action for call in app.parameter_calls()
    }
    app.administrator.delete_parameter(app.path("web/token"))
    app.put_parameter("web/new", TWO)
    app.tenant.wait_values("path", {"db": ONE, "new": TWO})


def test_deleted_parameter_is_gone_for_the_deletion_policy(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put_parameter("db", ONE)
    move_in(app)
    app.tenant.create(
        external_secret(
            "db", entry("v", app.path("db")), refreshInterval="1s", target={"deletionPolicy": "Delete"}
        )
    )
    app.tenant.wait_values("db", {"v": ONE})

    app.administrator.delete_parameter(app.path("db"))

    app.tenant.wait_gone("Secret", "db")


def test_denied_and_absent_parameters_fail_their_own_objects_alone(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    key = app.administrator.create_key()
    for name in ("a", "b"):
        app.put_parameter(name, ONE)
    app.put_parameter("locked", TWO, kind="SecureString", key_id=key)
    foreign = f"/not-{app.namespace}"
    app.administrator.put_parameter(foreign, TWO)
    move_in(app)
    app.tenant.create(
        external_secret("good", entry("a", app.path("a")), entry("b", app.path("b"))),
        external_secret("mixed", entry("a", app.path("a")), entry("x", foreign)),
        external_secret("locked", entry("a", app.path("a")), entry("x", app.path("locked"))),
        external_secret("absent", entry("a", app.path("a")), entry("x", app.path("none"))),
        external_secret("version", entry("a", app.path("a")), entry("x", app.path("a"), version="9")),
    )

    app.tenant.wait_values("good", {"a": ONE, "b": ONE})
    app.tenant.wait_failed("mixed", f'not allowed to ssm:GetParameter on remote secret "{foreign}"')
    app.tenant.wait_failed("locked", f'decrypt remote secret "{app.path("locked")}"')
    app.tenant.wait_failed("absent", f'remote secret "{app.path("none")}" does not exist')
    app.tenant.wait_failed("version", f'remote secret "{app.path("a")}" has no version "9"')


def test_throttling_is_waited_for(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put_parameter("db", ONE)
    move_in(app)
    app.tenant.wait_told("store", "Valid", names.SECRET_STORE)
    app._aws.control.throttle(service="ssm", times=1, principal=app.principal)
    app.tenant.create(external_secret("db", entry("v", app.path("db"))))

    app.tenant.wait_values("db", {"v": ONE})
    first, second = app.parameter_calls()
    assert second.started - first.started >= 1


@pytest.fixture
def hundred(app: AWSTenant) -> list[str]:
    """A hundred parameters and as many ExternalSecrets for them, served by nobody yet."""
    keys = [f"p{number:02}" for number in range(100)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: app.put_parameter(name, f"{name} {ONE}", kind="SecureString"), keys))
        list(
            threads.map(
                lambda name: app.tenant.create(external_secret(f"e-{name}", entry("v", app.path(name)))), keys
            )
        )
    app._aws.control.reset_calls()
    return keys


def synced(app: AWSTenant) -> int:
    listed = app.tenant.kube.list(
        path_of("external-secrets.io/v1", "externalsecrets", namespace=app.namespace)
    )
    conditions = [((one.get("status") or {}).get("conditions") or [{}])[0] for one in listed]
    return sum(condition.get("reason") == "SecretSynced" for condition in conditions)


def test_hundred_objects_are_read_ten_a_call(
    app: AWSTenant, hundred: list[str], private_operator: Any
) -> None:
    """As after the operator's start: all at once, one identity."""
    move_in(app, controller="private")

    private_operator()
    eventually(lambda: synced(app) == 100, timeout_s=60, every_s=0.2)

    calls = app.parameter_calls()
    asked = [name for call in calls for name in call.secret_ids]
    assert (100, 100) == (len(asked), len(set(asked)))
    # Ten is the least; what comes first does not wait for what comes last.
    assert 10 <= len(calls) <= 15
    assert 1 == len(app.exchanges())
    assert {"v": f"p07 {ONE}"} == app.tenant.values("e-p07")


def test_hundred_objects_without_batches_stay_within_the_quota(
    app: AWSTenant, hundred: list[str], private_operator: Any
) -> None:
    move_in(app, "GetParameter", controller="private")

    private_operator()
    eventually(lambda: synced(app) == 100, timeout_s=60, every_s=0.2)

    calls = app.parameter_calls()
    refused = [call for call in calls if call.status != 200]
    assert {"GetParameters"} == {call.action for call in refused}
    assert len(refused) <= 8
    assert 100 == len(calls) - len(refused)
    assert most_in_a_second(calls) <= QUOTA_PER_S
