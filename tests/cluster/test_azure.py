"""Azure Key Vault on a real control plane: real ServiceAccount tokens, the shipped RBAC, and a strict Entra ID."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from tests.docs.markdown import ROOT, blocks

from keyferry.localcluster import LocalCluster
from keyferry.testing.azure import SECRETS_USER, StrictAzure
from keyferry.testing.azuretenant import AzureTenant
from keyferry.testing.builders import (
    entry,
    external_secret,
    extract,
    find,
    generated,
    generator,
)
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("azure-one"), canary("azure-two")


def test_service_accounts_app_reads_and_a_rotation_arrives(
    azure_app: AzureTenant, azure_operator: OperatorProcess
) -> None:
    azure_app.put("db", {"username": "app", "password": ONE})
    app = azure_app.move_in()
    azure_app.tenant.create(external_secret("db", extract("db"), refreshInterval="1s"))

    azure_app.tenant.wait_values("db", {"username": "app", "password": ONE})
    azure_app.put("db", {"username": "app", "password": TWO})
    azure_app.tenant.wait_values("db", {"username": "app", "password": TWO})

    (exchange,) = azure_app.exchanges()
    assert f"system:serviceaccount:{azure_app.namespace}:app" == exchange.subject
    assert {app.oid} == {read.oid for read in azure_app.reads()}


def test_every_form_of_an_object_is_read(azure_app: AzureTenant, azure_operator: OperatorProcess) -> None:
    first = azure_app.put("db", "first")
    azure_app.put(
        "db", {"user": "app", "tls.crt": ONE, "port": 5432}, tags={"owner": "team-a", "more": '{"a":"b"}'}
    )
    azure_app.administrator.put_key(azure_app.vault, "sign", kty="EC")
    azure_app.move_in("Key Vault Secrets User", "Key Vault Reader")
    azure_app.tenant.create(
        external_secret(
            "all",
            entry("user", "secret/db", property="user"),
            entry("dotted", "db", property="tls.crt"),
            entry("number", "DB", property="port"),
            entry("first", "db", version=first),
            entry("tag", "db", metadataPolicy="Fetch", property="owner"),
            entry("inner", "db", metadataPolicy="Fetch", property="more.a"),
            entry("curve", "key/sign", property="crv"),
        ),
        external_secret("extracted", extract("db"), extract("db", metadataPolicy="Fetch")),
        external_secret("found", find("^d", tags={"owner": "team-a"})),
    )

    azure_app.tenant.wait_values(
        "all",
        {
            "user": "app",
            "dotted": ONE,
            "number": "5432",
            "first": "first",
            "tag": "team-a",
            "inner": "b",
            "curve": "P-256",
        },
    )
    azure_app.tenant.wait_synced("extracted")
    extracted = azure_app.tenant.values("extracted")
    moments = {name: extracted.pop(f"db_attribute.{name}") for name in ("created", "updated")}
    assert {
        "user": "app",
        "tls.crt": ONE,
        "port": "5432",
        "db_owner": "team-a",
        "db_more_a": "b",
    } == extracted
    assert all(text.endswith("Z") for text in moments.values())
    azure_app.tenant.wait_synced("found")
    assert {"user": "app", "tls.crt": ONE, "port": 5432} == json.loads(azure_app.tenant.values("found")["db"])


def test_client_secret_of_a_secret_reads_and_its_rotation_is_seen(
    azure_app: AzureTenant, azure_operator: OperatorProcess
) -> None:
    azure_app.put("db", ONE)
    principal = azure_app.principal()
    azure_app.tenant.create(
        azure_app.keys(principal),
        azure_app.store(**azure_app.key_auth(principal)),
        external_secret("db", entry("v", "db"), refreshInterval="1s"),
    )
    azure_app.tenant.wait_values("db", {"v": ONE})
    azure_app.tenant.set_data("azure-keys", {"id": "00000000-1111-2222-3333-444444444444", "secret": TWO})

    told = azure_app.tenant.wait_failed("db", "Entra ID knows no usable application")

    assert "AADSTS700016" in json.dumps(told["status"])


def test_each_namespace_opens_its_own_vault_and_no_other(
    *,
    azure_app: AzureTenant,
    azure_operator: OperatorProcess,
    shared_store: str,
    cluster: LocalCluster,
    kube: KubeClient,
) -> None:
    """A ClusterSecretStore whose account has no namespace: each ExternalSecret's own account asks."""
    other = Tenant(kube, f"{azure_app.namespace[:50]}-b")
    kube.post("/api/v1/namespaces", {"metadata": {"name": other.namespace}})
    neighbour = AzureTenant(other, azure_app.azure, azure_app.administrator, cluster.issuer)
    azure_app.put("db", ONE)
    store = azure_app.store(name=shared_store, cluster=True)
    reference = {"name": shared_store, "kind": "ClusterSecretStore"}
    azure_app.tenant.create(
        store, azure_app.account(azure_app.app()), external_secret("db", entry("v", "db"), store=reference)
    )
    other.create(neighbour.account(neighbour.app()), external_secret("db", entry("v", "db"), store=reference))

    azure_app.tenant.wait_values("db", {"v": ONE})
    told = json.dumps(other.wait_failed("db", "is not allowed secrets/get")["status"])

    assert f"{other.namespace}/app" in told
    assert "Key Vault Secrets User" in told
    assert other.find("Secret", "db") is None
    other.delete("ExternalSecret", "db")
    kube.delete(f"/api/v1/namespaces/{other.namespace}")


def test_account_that_entra_does_not_trust_is_told_what_to_add(
    azure_app: AzureTenant, azure_operator: OperatorProcess
) -> None:
    app = azure_app.app(account="somebody-else")
    azure_app.tenant.create(azure_app.account(app), azure_app.store())

    store = azure_app.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore")

    told = json.dumps(store["status"])
    assert f"system:serviceaccount:{azure_app.namespace}:app" in told
    assert "api://AzureADTokenExchange" in told


def test_what_happens_to_an_object_is_told_and_mended(
    azure_app: AzureTenant, azure_operator: OperatorProcess
) -> None:
    azure_app.put("db", ONE)
    azure_app.move_in()
    azure_app.tenant.create(
        external_secret("db", entry("v", "db"), refreshInterval="1s"),
        external_secret("gone", entry("v", "db"), refreshInterval="1s", target={"deletionPolicy": "Delete"}),
    )

    def look_now(after: str) -> None:
        """Sooner than the next try after a failure is due."""
        for name in ("db", "gone"):
            azure_app.tenant.annotate("ExternalSecret", name, {"example.com/looked-after": after})

    for name in ("db", "gone"):
        azure_app.tenant.wait_values(name, {"v": ONE})

    azure_app.administrator.change(azure_app.vault, "db", enabled=False)
    azure_app.tenant.wait_failed("db", "is disabled")
    azure_app.tenant.wait_failed("gone", "is disabled")
    assert {"v": ONE} == azure_app.tenant.values("gone")
    azure_app.administrator.change(azure_app.vault, "db", enabled=True)
    look_now("enabled")
    azure_app.tenant.wait_synced("db")

    azure_app.administrator.delete(azure_app.vault, "db")
    look_now("deleted")
    azure_app.tenant.wait_failed("db", "does not exist")
    azure_app.tenant.wait_gone("Secret", "gone")
    assert {"v": ONE} == azure_app.tenant.values("db")

    azure_app.administrator.recover(azure_app.vault, "db")
    look_now("recovered")
    azure_app.tenant.wait_values("gone", {"v": ONE})
    azure_app.tenant.wait_synced("db")


def test_many_external_secrets_of_a_store_share_one_login(
    azure_app: AzureTenant, azure_operator: OperatorProcess
) -> None:
    count = 40
    for number in range(count):
        azure_app.put(f"s{number}", ONE)
    azure_app.move_in()
    azure_app.tenant.create(*(external_secret(f"s{n}", entry("v", f"s{n}")) for n in range(count)))
    for number in range(count):
        azure_app.tenant.wait_synced(f"s{number}")

    assert 1 == len(azure_app.exchanges())
    assert count == len(azure_app.reads("/secrets/s*"))


def test_throttled_vault_is_left_alone_for_as_long_as_it_says(
    azure_app: AzureTenant, azure: StrictAzure, azure_operator: OperatorProcess
) -> None:
    azure_app.put("db", ONE)
    azure_app.move_in()
    host = f"{azure_app.vault}.*"
    azure.control.throttle(service="vault", host=host, path="/secrets/db*", retry_after="3", times=1)
    azure_app.tenant.create(external_secret("db", entry("v", "db")))

    azure_app.tenant.wait_values("db", {"v": ONE})

    asked = [
        call
        for call in azure.control.calls(service="vault", host=host, path="/secrets/db*")
        if call.status != 401
    ]
    assert [429, 200] == [call.status for call in asked]
    assert asked[1].started - asked[0].started >= 3


# The operator's own identity


def test_operators_own_workload_identity_serves_stores_that_name_nobody(
    azure_app: AzureTenant,
    private_operator: Callable[..., OperatorProcess],
    azure: StrictAzure,
    cluster: LocalCluster,
    tmp_path: Path,
) -> None:
    """As the workload identity webhook sets it up: a token of the operator's ServiceAccount in a file."""
    azure_app.put("db", ONE)
    app = azure_app.administrator.app_for_service_account(cluster.issuer, "keyferry", "keyferry")
    azure_app.administrator.grant(azure_app.vault, app, SECRETS_USER)
    token = tmp_path / "token"
    audience = "api://AzureADTokenExchange"
    token.write_text(cluster.service_account_token("keyferry", "keyferry", audiences=[audience]))
    private_operator(
        environment=azure.environment
        | {
            "AZURE_CLIENT_ID": app.client_id,
            "AZURE_TENANT_ID": app.tenant,
            "AZURE_FEDERATED_TOKEN_FILE": str(token),
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        }
    )
    store = azure_app.store(authType="WorkloadIdentity", controller="private")
    azure_app.tenant.create(store, external_secret("db", entry("v", "db")))

    azure_app.tenant.wait_values("db", {"v": ONE})


def test_operators_identity_is_refused_where_it_must_not_go(
    azure_app: AzureTenant,
    private_operator: Callable[..., OperatorProcess],
    azure: StrictAzure,
) -> None:
    identity = azure_app.administrator.managed_identity()
    azure_app.administrator.grant(azure_app.vault, identity, SECRETS_USER)
    azure_app.put("db", ONE)
    private_operator("--ambient-identity=all", environment=azure.environment)
    custom = {"customCloudConfig": {"activeDirectoryEndpoint": "https://login.example.com"}}
    stores = {
        "own": {"authType": "ManagedIdentity"},
        "elsewhere": {"authType": "ManagedIdentity", "vaultUrl": "https://vault.example.com"},
        "own-cloud": {"authType": "ManagedIdentity", **custom},
        "loopback": {"authType": "ManagedIdentity", **custom, "vaultUrl": "https://127.0.0.1"},
    }
    for name, block in stores.items():
        store = azure_app.store(name=name, controller="private", **block)
        azure_app.tenant.create(store, external_secret(name, entry("v", "db"), store=name))

    try:
        azure_app.tenant.wait_values("own", {"v": ONE})
        azure_app.tenant.wait_failed("elsewhere", "is no vault of PublicCloud")
        azure_app.tenant.wait_failed("own-cloud", "a cloud that a namespace describes")
        azure_app.tenant.wait_failed("loopback", "this machine")
    finally:
        azure_app.administrator.remove_from_machine(identity)
    assert 1 == azure.control.token_requests()
    assert [] == azure.control.refused_hosts()


def test_flag_keeps_the_operators_identity_from_namespaces(
    azure_app: AzureTenant, private_operator: Callable[..., OperatorProcess], azure: StrictAzure
) -> None:
    private_operator("--ambient-identity=cluster", environment=azure.environment)
    store = azure_app.store(authType="ManagedIdentity", controller="private")
    azure_app.tenant.create(store, external_secret("db", entry("v", "db")))

    azure_app.tenant.wait_failed("db", "--ambient-identity=cluster")
    assert 0 == azure.control.token_requests()


# The registry


def test_login_of_a_registry_is_made_for_a_service_account(
    azure_app: AzureTenant, azure_operator: OperatorProcess
) -> None:
    app = azure_app.app()
    registry = f"r{azure_app.vault[3:]}"
    host = azure_app.administrator.create_registry(registry)
    azure_app.administrator.grant_registry(registry, app, "pull")
    auth = {"workloadIdentity": {"serviceAccountRef": {"name": "app"}}}
    azure_app.tenant.create(
        azure_app.account(app),
        azure_app.store(),
        generator("ACRAccessToken", "registry", registry=host, auth=auth, scope="repository:shop/web:pull"),
        external_secret("login", generated("ACRAccessToken", "registry")),
    )

    azure_app.tenant.wait_synced("login")

    made = azure_app.tenant.values("login")
    assert "00000000-0000-0000-0000-000000000000" == made["username"]
    access = azure_app.administrator.access_of(registry, made["password"])
    assert [{"type": "repository", "name": "shop/web", "actions": ["pull"]}] == access


# What the page shows


def test_sample_reads_what_the_role_of_the_page_allows_and_nothing_else(
    azure_app: AzureTenant, azure_operator: OperatorProcess, cluster: LocalCluster
) -> None:
    administrator = azure_app.administrator
    page = (ROOT / "docs/providers/azurekv.md").read_text("utf-8")
    role = json.loads(
        next(b.text for b in blocks(ROOT / "docs/providers/azurekv.md", "json") if "role" in b.marks)
    )
    app = administrator.app_for_service_account(cluster.issuer, azure_app.namespace, "shop")
    sample = (ROOT / "deploy/samples/azure-workload-identity.yaml").read_text("utf-8")
    account, store, wanted = yaml.safe_load_all(sample)
    annotations = account["metadata"]["annotations"]
    assert set(annotations.values()) <= set(page.split())
    annotations |= {
        "azure.workload.identity/client-id": app.client_id,
        "azure.workload.identity/tenant-id": app.tenant,
    }
    store["spec"]["controller"] = "azure"
    administrator.create_vault("shop")
    administrator.create_vault("staff")
    administrator.grant("shop", app, *role["DataActions"])
    for vault in ("shop", "staff"):
        administrator.put_secret(vault, "db", {"username": vault, "password": ONE})
    foreign = azure_app.store(name="staff", vaultUrl="https://staff.vault.azure.net")
    foreign["spec"]["provider"]["azurekv"]["serviceAccountRef"]["name"] = "shop"

    azure_app.tenant.create(
        account,
        store,
        wanted,
        external_secret("found", find("^d"), store="azure"),
        foreign,
        external_secret("foreign", extract("db"), store="staff"),
    )

    azure_app.tenant.wait_values("db", {"username": "shop", "password": ONE})
    azure_app.tenant.wait_synced("found")
    azure_app.tenant.wait_failed("foreign", "is not allowed secrets/get")
