"""Vault on a real control plane: real tokens, checked by a real Vault with the API server's TokenReview."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.markdown import ROOT, blocks

from keyferry.api import names
from keyferry.localcluster import LocalCluster
from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.awstenant import ROLE_ANNOTATION
from keyferry.testing.builders import entry, external_secret, extract, find, rule, secret, store_policy
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant
from keyferry.testing.vault import VaultServer
from keyferry.testing.vaultdouble import VaultDouble
from keyferry.testing.vaulttenant import CONTROLLER, VaultTenant

ONE, TWO = canary("vault-one"), canary("vault-two")


@pytest.fixture(scope="module")
def vault_operator(
    operator_kubeconfig: Path, leaks: LeakDetector, running: list[OperatorProcess], aws: StrictAws
) -> Iterator[OperatorProcess]:
    """The operator of class `vault`, which may connect to this machine."""
    flags = [f"--controller-class={CONTROLLER}", "--allow-address=127.0.0.1", "--loglevel=debug"]
    process = OperatorProcess(operator_kubeconfig, aws.environment, flags)
    with process.start():
        running.append(process)
        yield process
        running.remove(process)
        leaks.look("metrics of the operator of class vault", process.metrics())
    leaks.look("log of the operator of class vault", process.log)
    assert "a bug in Keyferry" not in process.log


@pytest.fixture
def app(tenant: Tenant, vault: VaultServer) -> VaultTenant:
    vault.audit.reset()
    return VaultTenant(tenant, vault)


# -- what is read


def test_service_account_reads_and_a_rotation_arrives(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    app.put("db", {"username": "app", "password": ONE})
    app.move_in()
    app.tenant.create(external_secret("db", extract("db"), refreshInterval="1s"))

    app.tenant.wait_values("db", {"username": "app", "password": ONE})
    app.put("db", {"username": "app", "password": TWO})
    app.tenant.wait_values("db", {"username": "app", "password": TWO})

    assert 1 == len(app.logins())
    assert app.tenant.told("store", names.SECRET_STORE) == ("True", "Valid", "store validated")


def test_every_form_of_a_remote_secret_is_read(app: VaultTenant, vault_operator: OperatorProcess) -> None:
    app.put("app/db", {"v": "first"})
    app.put("app/db", {"v": "second", "dotted.name": "d", "deep": {"er": ["x", ONE]}, "port": 5432})
    app.put("app/mail", {"v": "mail"})
    app.administrator.annotate(app.namespace, "app/mail", {"env": "prod", "owner": "team-a"})
    app.move_in()
    key = f"{app.namespace}/data/app/db"
    app.tenant.create(
        external_secret(
            "all",
            entry("plain", "app/db", property="v"),
            entry("whole-path", key, property="v"),
            entry("dotted", "app/db", property="dotted.name"),
            entry("deep", "app/db", property="deep.er.1"),
            entry("number", "app/db", property="port"),
            entry("first", "app/db", version="1", property="v"),
            entry("owner", "app/mail", metadataPolicy="Fetch", property="owner"),
            entry("json", "app/mail"),
        ),
        external_secret("found", find("mail$", path="app")),
        external_secret("tagged", find(tags={"env": "prod"})),
    )

    app.tenant.wait_values(
        "all",
        {
            "plain": "second",
            "whole-path": "second",
            "dotted": "d",
            "deep": ONE,
            "number": "5432",
            "first": "first",
            "owner": "team-a",
            "json": '{"v":"mail"}',
        },
    )
    app.tenant.wait_values("found", {"app_mail": '{"v":"mail"}'})
    app.tenant.wait_values("tagged", {"app_mail": '{"v":"mail"}'})


def test_many_objects_of_one_identity_cost_one_login_and_one_read_of_each_path(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    """Stores of other names too."""
    app.put("db", {f"k{number}": str(number) for number in range(12)})
    app.move_in()
    app.tenant.create(app.store(name="other"))
    app.vault.audit.reset()
    objects = [
        external_secret(
            f"es-{number}",
            *(entry(f"v{one}", "db", property=f"k{one}") for one in range(12)),
            store="other" if number % 2 else "store",
        )
        for number in range(10)
    ]
    app.tenant.create(*objects)

    for number in range(10):
        app.tenant.wait_synced(f"es-{number}")

    assert [] == app.logins()
    # Each object is read when it is new; those of the same moment share.
    assert len(app.reads()) <= 10


def test_openbao_is_served_under_its_own_name(app: VaultTenant, vault_operator: OperatorProcess) -> None:
    app.put("db", {"v": ONE})
    app.role()
    app.tenant.create(
        app.account(), app.store(provider="openBao"), external_secret("db", entry("v", "db", property="v"))
    )

    app.tenant.wait_values("db", {"v": ONE})


# -- who asks


def test_operators_own_token_never_leaves_for_a_tenants_vault(
    app: VaultTenant, vault_operator: OperatorProcess, cluster: LocalCluster
) -> None:
    app.put("db", {"v": ONE})
    app.tenant.create(
        app.store(auth={"kubernetes": {"role": app.namespace}}),
        external_secret("db", entry("v", "db", property="v")),
    )

    app.tenant.wait_failed("db", "the operator's is not shown to a Vault that a namespace chooses")
    assert "--trusted-vaults" in app.tenant.told("db")[2]
    assert [] == app.vault.audit.calls("auth/*")


def test_cluster_store_may_show_the_operators_own_identity_with_an_audience_for_vault(
    app: VaultTenant, vault_operator: OperatorProcess, shared_store: str
) -> None:
    app.put("db", {"v": ONE})
    app.role(account="keyferry", namespace="keyferry")
    named = {"kind": names.CLUSTER_SECRET_STORE, "name": shared_store}
    app.tenant.create(
        app.store(name=shared_store, cluster=True, auth={"kubernetes": {"role": app.namespace}}),
        external_secret("db", entry("v", "db", property="v"), store=named),
    )

    app.tenant.wait_values("db", {"v": ONE})
    (login,) = [call for call in app.vault.audit.logins("kubernetes") if "keyferry" in call.display_name]
    assert "kubernetes-keyferry-keyferry" == login.display_name


def test_trusted_vault_gets_tokens_as_the_established_operator_sends_them(
    app: VaultTenant, private_operator: Any, cluster: LocalCluster
) -> None:
    """To a role that wants the API server's own audience."""
    app.put("db", {"v": ONE})
    app.role(audience=cluster.issuer)
    app.tenant.create(
        app.account(),
        app.store(controller="private"),
        external_secret("db", entry("v", "db", property="v")),
    )
    first = private_operator("--allow-address=127.0.0.1")
    app.tenant.wait_failed("db", "refuses the login by kubernetes")
    told = app.tenant.told("db")[2]
    first.stop()

    private_operator("--allow-address=127.0.0.1", f"--trusted-vaults={app.url}")

    app.tenant.wait_values("db", {"v": ONE})
    for way_out in ("audience=vault", "serviceAccountRef.audiences", "--trusted-vaults"):
        assert way_out in told


def test_tokens_are_revoked_when_the_operator_ends(app: VaultTenant, private_operator: Any) -> None:
    app.put("db", {"v": ONE})
    app.role()
    app.tenant.create(
        app.account(),
        app.store(controller="private"),
        external_secret("db", entry("v", "db", property="v")),
    )
    process = private_operator("--allow-address=127.0.0.1")
    app.tenant.wait_values("db", {"v": ONE})
    (login,) = app.logins()
    assert app.administrator.look_up(login.accessor)

    process.stop()

    assert app.administrator.look_up(login.accessor) is None


def test_edited_credentials_are_another_login(app: VaultTenant, vault_operator: OperatorProcess) -> None:
    app.put("db", {"v": ONE})
    app.administrator.user(app.namespace, "first-one", [app.allow()])
    auth = {"userPass": {"username": app.namespace, "secretRef": {"name": "login", "key": "password"}}}
    app.tenant.create(
        secret("login", {"password": "wrong"}),
        app.store(auth=auth),
        external_secret("db", entry("v", "db", property="v")),
    )
    app.tenant.wait_failed("db", f'refuses the login by userpass as "{app.namespace}" at auth/userpass')

    app.tenant.set_data("login", {"password": "first-one"})

    app.tenant.wait_values("db", {"v": ONE})


def test_service_account_that_stands_for_an_aws_role_logs_in(
    tenant: Tenant,
    vault: VaultServer,
    vault_operator: OperatorProcess,
    administrator: Administrator,
    aws: StrictAws,
) -> None:
    role = administrator.role_for_service_account(f"{tenant.namespace}-vault", tenant.namespace, "app")
    with VaultDouble() as double:
        app = VaultTenant(tenant, vault, double.url, double.ca_pem)
        double.root.mount_kv("kv", 2)
        double.root.put("kv", "db", {"v": ONE})
        double.root.policy("app", {"kv/data/*": ["read"]})
        double.root.aws(aws.endpoint)
        double.root.aws_role("app", [role], ["app"])
        account = app.account()
        account["metadata"]["annotations"] = {ROLE_ANNOTATION: role}
        iam = {"vaultRole": "app", "region": "eu-central-1", "jwt": {"serviceAccountRef": {"name": "app"}}}
        tenant.create(
            account,
            app.store(path="kv", auth={"iam": iam}),
            external_secret("db", entry("v", "db", property="v")),
        )

        tenant.wait_values("db", {"v": ONE})
        tenant.delete(names.SECRET_STORE, "store")
        tenant.delete(names.EXTERNAL_SECRET, "db")


def test_role_that_names_no_audience_takes_the_token_for_vault(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    """As roles were made for the established operator."""
    app.put("db", {"v": ONE})
    app.role(audience="")
    app.tenant.create(app.account(), app.store(), external_secret("db", entry("v", "db", property="v")))

    app.tenant.wait_values("db", {"v": ONE})


# -- what is told


def test_denied_path_is_told_as_the_policy_that_is_missing(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    app.put("db", {"v": ONE})
    app.put("admin", {"v": TWO})
    app.move_in()
    app.allow({f"{app.namespace}/data/db": ["read"]})
    app.tenant.create(
        external_secret("db", entry("v", "db", property="v")),
        external_secret("admin", entry("v", "admin", property="v")),
    )

    app.tenant.wait_values("db", {"v": ONE})
    app.tenant.wait_failed("admin", f'path "{app.namespace}/data/admin" {{ capabilities = ["read"] }}')


def test_deleted_version_takes_the_secret_along_where_the_policy_says_so(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    """A missing mount and another version of the engine do not."""
    app.put("db", {"v": ONE})
    app.move_in()
    app.allow({"*": ["read"]})
    delete = {"deletionPolicy": "Delete"}
    app.tenant.create(
        external_secret("db", extract("db"), target=delete, refreshInterval="1s"),
        external_secret("kept", extract("db"), target=delete, refreshInterval="1s", store="kept"),
        app.store(name="kept"),
    )
    app.tenant.wait_values("db", {"v": ONE})
    app.tenant.wait_values("kept", {"v": ONE})

    app.tenant.set_store(app.store(name="kept", path="nowhere"))
    app.tenant.wait_failed("kept", 'has no secrets engine at "nowhere"')
    app.administrator.delete(app.namespace, "db")
    app.tenant.wait_gone("Secret", "db")

    assert {"v": ONE} == app.tenant.values("kept")


def test_sealed_vault_keeps_the_last_good_secret(app: VaultTenant, vault_operator: OperatorProcess) -> None:
    app.put("db", {"v": ONE})
    app.move_in()
    app.tenant.create(external_secret("db", extract("db"), refreshInterval="1s"))
    app.tenant.wait_values("db", {"v": ONE})

    app.administrator.seal()
    try:
        app.tenant.wait_failed("db", "is sealed. Unseal it")
        kept = app.tenant.values("db")
    finally:
        app.administrator.unseal()
    app.put("db", {"v": TWO})

    app.tenant.wait_values("db", {"v": TWO})
    assert {"v": ONE} == kept


def test_revoked_token_is_replaced_without_anybody_noticing(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    app.put("db", {"v": ONE})
    app.move_in()
    app.tenant.create(external_secret("db", extract("db"), refreshInterval="1s"))
    app.tenant.wait_values("db", {"v": ONE})
    (login,) = app.logins()
    app.administrator.revoke(login.accessor)
    app.put("db", {"v": TWO})

    app.tenant.wait_values("db", {"v": TWO})

    assert 2 == len(app.logins())
    assert [] == [event for event in app.tenant.events(names.EXTERNAL_SECRET, "db") if event[0] == "Warning"]


# -- who may read what


def test_policies_about_keys_hold_for_every_spelling(
    app: VaultTenant, vault_operator: OperatorProcess, shared_store: str
) -> None:
    app.put(f"{app.namespace}/db", {"v": ONE})
    app.put("other/db", {"v": TWO})
    app.role()
    auth = app.kubernetes_auth(namespace=app.namespace)
    named = {"kind": names.CLUSTER_SECRET_STORE, "name": shared_store}
    mount = app.namespace
    app.tenant.create(
        app.account(),
        app.store(name=shared_store, cluster=True, auth=auth),
        store_policy(shared_store, rule(f"{mount}/{{namespace}}/*"), stores=[shared_store]),
    )
    spellings = ["other/db", f"{mount}/other/db", f"{mount}/data/other/db", f"{mount}//data/other/db"]
    try:
        app.tenant.create(
            external_secret(
                "mine", entry("v", f"{mount}/data/{app.namespace}/db", property="v"), store=named
            ),
            *(
                external_secret(f"theirs-{number}", entry("v", key, property="v"), store=named)
                for number, key in enumerate(spellings)
            ),
        )

        app.tenant.wait_values("mine", {"v": ONE})
        for number in range(len(spellings)):
            app.tenant.wait_failed(f"theirs-{number}", "StorePolicy")
        assert [] == app.reads("other/*")
    finally:
        app.tenant.delete(names.STORE_POLICY, shared_store)


# -- the page


def test_sample_reads_what_the_policy_of_the_page_allows(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    page = ROOT / "docs/providers/vault.md"
    (policy,) = [block.text for block in blocks(page, "hcl") if block.marks.get("policy") == "read"]
    app.administrator.mount_kv("team")
    app.administrator.put("team", "shop/db", {"user": "shop", "password": ONE})
    app.administrator.policy("shop", policy)
    app.administrator.kubernetes_role(
        "shop", app.namespace, "shop", ["shop"], audience="vault", token_ttl="1h"
    )
    documents = list(yaml.safe_load_all((ROOT / "deploy/samples/vault-kubernetes.yaml").read_text("utf-8")))
    for document in documents:
        if document["kind"] == names.SECRET_STORE:
            document["spec"]["controller"] = CONTROLLER
            document["spec"]["provider"]["vault"] |= {"server": app.url, "caBundle": app.block()["caBundle"]}
    app.tenant.create(*documents)

    app.tenant.wait_values("db", {"user": "shop", "password": ONE})


def test_calls_are_counted_by_the_names_of_the_established_operator(
    app: VaultTenant, vault_operator: OperatorProcess
) -> None:
    app.put("db", {"v": ONE})
    app.move_in()
    app.tenant.create(external_secret("db", extract("db")))
    app.tenant.wait_values("db", {"v": ONE})

    def counted(call: str) -> float:
        labels = json.dumps({"call": call, "provider": "HashiCorp/Vault", "status": "success"})
        pairs = ",".join(f'{key}="{value}"' for key, value in sorted(json.loads(labels).items()))
        return vault_operator.metric(f"externalsecret_provider_api_calls_count{{{pairs}}}")

    assert eventually(lambda: min(counted(call) for call in ("Login", "LookupSelf", "ReadSecretData")) >= 1)
