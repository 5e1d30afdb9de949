"""AWS Secrets Manager on a real control plane: who asks, with real tokens, the shipped RBAC and a strict STS."""

from __future__ import annotations

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.aws import StrictAws
from keyferry.testing.awstenant import ROLE_ANNOTATION, AWSTenant
from keyferry.testing.builders import entry, external_secret, extract, secret
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess

ONE, TWO = canary("aws-one"), canary("aws-two")


def test_service_accounts_role_reads_and_a_rotation_arrives(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", {"username": "app", "password": ONE})
    app.move_in()
    app.tenant.create(external_secret("db", extract(app.key("db")), refreshInterval="1s"))

    app.tenant.wait_values("db", {"username": "app", "password": ONE})
    app.put("db", {"username": "app", "password": TWO})
    app.tenant.wait_values("db", {"username": "app", "password": TWO})

    (exchange,) = app.exchanges()
    assert f"system:serviceaccount:{app.namespace}:app" == exchange.subject
    assert {f"arn:aws:sts::123456789012:assumed-role/{app.namespace}/external-secrets-provider-aws"} == {
        call.principal for call in app.reads()
    }


def test_every_form_of_a_remote_secret_is_read(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put("db", {"user": "app", "host.name": "db.example.com", "port": 5432})
    app.put("raw", b"\x00\xff\x80")
    arn = app.administrator.secret_arn(app.key("db"))
    first = app.administrator.put_secret(app.key("old"), "first")
    app.put("old", "second")
    app.administrator.put_secret(app.key("tagged"), "x", tags={"owner": "team-a"})
    app.move_in()
    app.tenant.create(
        external_secret(
            "all",
            entry("by-arn", arn, property="user"),
            entry("dotted", app.key("db"), property="host.name"),
            entry("number", app.key("db"), property="port"),
            entry("raw", app.key("raw"), decodingStrategy="None"),
            entry("previous", app.key("old"), version="AWSPREVIOUS"),
            entry("by-id", app.key("old"), version=f"uuid/{first}"),
            entry("tags", app.key("tagged"), metadataPolicy="Fetch"),
            entry("tag", app.key("tagged"), metadataPolicy="Fetch", property="owner"),
        )
    )

    app.tenant.wait_values(
        "all",
        {
            "by-arn": "app",
            "dotted": "db.example.com",
            "number": "5432",
            "raw": "\x00\udcff\udc80",
            "previous": "first",
            "by-id": "first",
            "tags": '{"owner":"team-a"}',
            "tag": "team-a",
        },
    )


def test_access_keys_of_a_secret_read(app: AWSTenant, operator: OperatorProcess) -> None:
    app.put("db", ONE)
    app.tenant.create(
        app.keys(), app.store(auth=app.key_auth()), external_secret("db", entry("v", app.key("db")))
    )

    app.tenant.wait_values("db", {"v": ONE})


def test_role_chain_external_id_and_session_tags_arrive_at_aws(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess
) -> None:
    app.put("db", ONE)
    base = app.administrator.role_for_service_account(
        app.namespace, app.namespace, "app", policy=app.administrator.assume_policy(["*"])
    )
    target = app.administrator.role_for_principals(
        f"{app.namespace}-target",
        [base],
        allow=[app.key("*")],
        external_id="handshake",
        tags={"esoNamespace": app.namespace, "esoStoreName": "store", "esoStoreKind": "SecretStore"},
    )
    app.tenant.create(
        app.account(base),
        app.store(role=target, externalID="handshake", sessionTagsPolicy="Simple"),
        external_secret("db", entry("v", app.key("db"))),
    )

    app.tenant.wait_values("db", {"v": ONE})
    assert {app.namespace} == {call.session_tags["esoNamespace"] for call in app.reads()}


# The operator's own identity


def test_operators_environment_keys_serve_stores_without_auth(
    app: AWSTenant, private_operator, administrator
) -> None:
    app.put("db", ONE)
    keys = administrator.create_user(f"{app.namespace}-operator", allow=[app.key("*")])
    private_operator(
        environment={"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key}
    )
    app.tenant.create(
        app.store(auth={}, controller="private"), external_secret("db", entry("v", app.key("db")))
    )

    app.tenant.wait_values("db", {"v": ONE})


def test_operators_own_projected_token_serves_stores_without_auth(
    app: AWSTenant, private_operator, administrator, cluster: LocalCluster, tmp_path
) -> None:
    """As IRSA mounts it into the operator's pod: a token of the operator's ServiceAccount for STS."""
    app.put("db", ONE)
    role = administrator.role_for_service_account(
        f"{app.namespace}-pod", "keyferry", "keyferry", allow=[app.key("*")]
    )
    token = tmp_path / "token"
    token.write_text(cluster.service_account_token("keyferry", "keyferry", audiences=["sts.amazonaws.com"]))
    private_operator(
        environment={
            "AWS_ROLE_ARN": role,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ROLE_SESSION_NAME": "operator",
        }
    )
    app.tenant.create(
        app.store(auth={}, controller="private"), external_secret("db", entry("v", app.key("db")))
    )

    app.tenant.wait_values("db", {"v": ONE})
    assert {f"arn:aws:sts::123456789012:assumed-role/{app.namespace}-pod/operator"} == {
        call.principal for call in app.reads()
    }


# What an identity is made from changes


def test_auth_secret_that_comes_later_wakes_store_and_objects_at_once(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", ONE)
    app.tenant.create(app.store(auth=app.key_auth()), external_secret("db", entry("v", app.key("db"))))
    app.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore", "aws-keys")
    app.tenant.wait_failed("db", "aws-keys")
    keys = app.keys()

    app.tenant.create(keys)

    app.tenant.wait_values("db", {"v": ONE}, timeout_s=15)
    app.tenant.wait_told("store", "Valid", "SecretStore")


def test_rotated_auth_secret_is_used_at_once_and_the_old_one_no_more(
    app: AWSTenant, operator: OperatorProcess
) -> None:
    app.put("db", ONE)
    app.tenant.create(app.keys(), app.store(auth=app.key_auth()))
    app.tenant.create(external_secret("db", entry("v", app.key("db"))))
    app.tenant.wait_values("db", {"v": ONE})
    app.put("db", TWO)
    new = app.administrator.create_user(f"{app.namespace}-new", allow=[app.key("*")])

    app.tenant.set_data("aws-keys", {"id": new.access_key_id, "secret": new.secret_access_key})

    def is_used() -> bool:
        # The store's proof of its keys names no secret.
        return any(call.principal.endswith(f":user/{app.namespace}-new") for call in app.calls())

    eventually(is_used, timeout_s=15)
    app.tenant.wait_told("store", "Valid", "SecretStore")


@pytest.mark.parametrize("before", ["no-role", "wrong-role"])
def test_annotated_service_account_wakes_store_and_objects_at_once(
    app: AWSTenant, operator: OperatorProcess, before: str
) -> None:
    app.put("db", ONE)
    role = app.role()
    wrong = "" if before == "no-role" else app.role(name=f"{app.namespace}-x", account="another")
    app.tenant.create(
        app.account(wrong), app.store(), external_secret("db", entry("v", app.key("db"))), secret("other", {})
    )
    said = "eks.amazonaws.com/role-arn" if before == "no-role" else "may not assume role"
    app.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore", said)
    app.tenant.wait_failed("db", said)

    app.tenant.annotate("ServiceAccount", "app", {ROLE_ANNOTATION: role})

    app.tenant.wait_values("db", {"v": ONE}, timeout_s=15)
    app.tenant.wait_told("store", "Valid", "SecretStore")


def test_session_that_ends_in_mid_run_is_renewed_without_a_failure(
    app: AWSTenant, clean_aws: StrictAws, operator: OperatorProcess
) -> None:
    app.put("db", ONE)
    app.move_in()
    app.tenant.create(external_secret("db", entry("v", app.key("db")), refreshInterval="1s"))
    app.tenant.wait_values("db", {"v": ONE})
    (first,) = app.exchanges()
    clean_aws.control.expire_sessions(first.granted_access_key_id)
    app.put("db", TWO)

    app.tenant.wait_values("db", {"v": TWO})

    assert 2 == len(app.exchanges())
    assert [] == [event for event in app.tenant.events("ExternalSecret", "db") if event[0] == "Warning"]
