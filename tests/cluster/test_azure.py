"""Azure Key Vault on a real control plane: real ServiceAccount tokens, the shipped RBAC, and a strict Entra ID."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyferry.localcluster import LocalCluster
from keyferry.testing.azure import SECRETS_USER, Administrator, StrictAzure
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
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

CLASS = "azure"
ONE, TWO = canary("azure-one"), canary("azure-two")


@pytest.fixture(scope="module")
def azure(cluster: LocalCluster) -> Iterator[StrictAzure]:
    with StrictAzure() as running:
        yield running


@pytest.fixture(scope="module")
def azure_administrator(azure: StrictAzure, cluster: LocalCluster) -> Administrator:
    made = azure.administrator()
    made.trust_cluster(cluster.issuer, cluster.ca_pem)
    return made


@pytest.fixture(scope="module")
def azure_operator(
    operator_kubeconfig: Path, azure: StrictAzure, leaks: LeakDetector, running: list[OperatorProcess]
) -> Iterator[OperatorProcess]:
    """The operator of class `azure`, which reaches the clouds' own host names through the double's proxy."""
    process = OperatorProcess(
        operator_kubeconfig, azure.environment, [f"--controller-class={CLASS}", "--loglevel=debug"]
    )
    with process.start():
        running.append(process)
        yield process
        running.remove(process)
        leaks.look("metrics of the operator of class azure", process.metrics())
    leaks.look("log of the operator of class azure", process.log)
    assert "a bug in Keyferry" not in process.log


@pytest.fixture
def at_azure(
    tenant: Tenant, azure: StrictAzure, azure_administrator: Administrator, cluster: LocalCluster
) -> Iterator[AzureTenant]:
    """One who works in the test's namespace and has a vault. The call log begins with the test."""
    azure.control.reset_calls()
    yield AzureTenant(tenant, azure, azure_administrator, cluster.issuer, CLASS)
    azure.control.clear_faults()


def test_service_accounts_app_reads_and_a_rotation_arrives(
    at_azure: AzureTenant, azure_operator: OperatorProcess
) -> None:
    at_azure.put("db", {"username": "app", "password": ONE})
    app = at_azure.move_in()
    at_azure.tenant.create(external_secret("db", extract("db"), refreshInterval="1s"))

    at_azure.tenant.wait_values("db", {"username": "app", "password": ONE})
    at_azure.put("db", {"username": "app", "password": TWO})
    at_azure.tenant.wait_values("db", {"username": "app", "password": TWO})

    (exchange,) = at_azure.exchanges()
    assert f"system:serviceaccount:{at_azure.namespace}:app" == exchange.subject
    assert {app.oid} == {read.oid for read in at_azure.reads()}


def test_every_form_of_an_object_is_read(at_azure: AzureTenant, azure_operator: OperatorProcess) -> None:
    first = at_azure.put("db", "first")
    at_azure.put(
        "db", {"user": "app", "tls.crt": ONE, "port": 5432}, tags={"owner": "team-a", "more": '{"a":"b"}'}
    )
    at_azure.administrator.put_key(at_azure.vault, "sign", kty="EC")
    at_azure.move_in("Key Vault Secrets User", "Key Vault Reader")
    at_azure.tenant.create(
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

    at_azure.tenant.wait_values(
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
    at_azure.tenant.wait_synced("extracted")
    extracted = at_azure.tenant.values("extracted")
    moments = {name: extracted.pop(f"db_attribute.{name}") for name in ("created", "updated")}
    assert {
        "user": "app",
        "tls.crt": ONE,
        "port": "5432",
        "db_owner": "team-a",
        "db_more_a": "b",
    } == extracted
    assert all(text.endswith("Z") for text in moments.values())
    at_azure.tenant.wait_synced("found")
    assert {"user": "app", "tls.crt": ONE, "port": 5432} == json.loads(at_azure.tenant.values("found")["db"])


def test_client_secret_of_a_secret_reads_and_its_rotation_is_seen(
    at_azure: AzureTenant, azure_operator: OperatorProcess
) -> None:
    at_azure.put("db", ONE)
    at_azure.tenant.create(
        at_azure.principal(),
        at_azure.store(
            authType="ServicePrincipal",
            tenantId=at_azure.administrator.tenant,
            authSecretRef=at_azure.secret_auth(),
        ),
        external_secret("db", entry("v", "db"), refreshInterval="1s"),
    )
    at_azure.tenant.wait_values("db", {"v": ONE})
    at_azure.tenant.set_data("azure", {"id": "00000000-1111-2222-3333-444444444444", "secret": TWO})

    told = at_azure.tenant.wait_failed("db", "Entra ID knows no usable application")

    assert "AADSTS700016" in json.dumps(told["status"])


def test_each_namespace_opens_its_own_vault_and_no_other(
    at_azure: AzureTenant,
    azure_operator: OperatorProcess,
    shared_store: str,
    azure: StrictAzure,
    azure_administrator: Administrator,
    cluster: LocalCluster,
    kube: KubeClient,
) -> None:
    """A ClusterSecretStore whose account has no namespace: each ExternalSecret's own account asks."""
    other = Tenant(kube, f"{at_azure.namespace[:50]}-b")
    kube.post("/api/v1/namespaces", {"metadata": {"name": other.namespace}})
    neighbour = AzureTenant(other, azure, azure_administrator, cluster.issuer, CLASS)
    at_azure.put("db", ONE)
    store = at_azure.store(name=shared_store, cluster=True)
    reference = {"name": shared_store, "kind": "ClusterSecretStore"}
    at_azure.tenant.create(
        store, at_azure.account(at_azure.app()), external_secret("db", entry("v", "db"), store=reference)
    )
    other.create(neighbour.account(neighbour.app()), external_secret("db", entry("v", "db"), store=reference))

    at_azure.tenant.wait_values("db", {"v": ONE})
    told = json.dumps(other.wait_failed("db", "is not allowed secrets/get")["status"])

    assert f"{other.namespace}/app" in told
    assert "Key Vault Secrets User" in told
    assert other.find("Secret", "db") is None
    other.delete("ExternalSecret", "db")
    kube.delete(f"/api/v1/namespaces/{other.namespace}")


def test_account_that_entra_does_not_trust_is_told_what_to_add(
    at_azure: AzureTenant, azure_operator: OperatorProcess
) -> None:
    app = at_azure.app(account="somebody-else")
    at_azure.tenant.create(at_azure.account(app), at_azure.store())

    store = at_azure.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore")

    told = json.dumps(store["status"])
    assert f"system:serviceaccount:{at_azure.namespace}:app" in told
    assert "api://AzureADTokenExchange" in told


def test_what_happens_to_an_object_is_told_and_mended(
    at_azure: AzureTenant, azure_operator: OperatorProcess
) -> None:
    at_azure.put("db", ONE)
    at_azure.move_in()
    at_azure.tenant.create(
        external_secret("db", entry("v", "db"), refreshInterval="1s"),
        external_secret("gone", entry("v", "db"), refreshInterval="1s", target={"deletionPolicy": "Delete"}),
    )
    for name in ("db", "gone"):
        at_azure.tenant.wait_values(name, {"v": ONE})

    at_azure.administrator.change(at_azure.vault, "db", enabled=False)
    at_azure.tenant.wait_failed("db", "is disabled")
    at_azure.tenant.wait_failed("gone", "is disabled")
    assert {"v": ONE} == at_azure.tenant.values("gone")
    at_azure.administrator.change(at_azure.vault, "db", enabled=True)
    at_azure.tenant.wait_synced("db")

    at_azure.administrator.delete(at_azure.vault, "db")
    at_azure.tenant.wait_failed("db", "does not exist")
    at_azure.tenant.wait_gone("Secret", "gone")
    assert {"v": ONE} == at_azure.tenant.values("db")

    at_azure.administrator.recover(at_azure.vault, "db")
    at_azure.tenant.wait_values("gone", {"v": ONE})
    at_azure.tenant.wait_synced("db")


def test_many_external_secrets_of_a_store_share_one_login(
    at_azure: AzureTenant, azure_operator: OperatorProcess
) -> None:
    count = 40
    for number in range(count):
        at_azure.put(f"s{number}", ONE)
    at_azure.move_in()
    at_azure.tenant.create(*(external_secret(f"s{n}", entry("v", f"s{n}")) for n in range(count)))
    at_azure.tenant.create(*(external_secret(f"same{n}", entry("v", "s0")) for n in range(10)))
    for name in [*(f"s{n}" for n in range(count)), *(f"same{n}" for n in range(10))]:
        at_azure.tenant.wait_synced(name)

    assert 1 == len(at_azure.exchanges())
    assert count <= len(at_azure.reads("/secrets/s*")) <= count + 3


def test_throttled_vault_is_left_alone_for_as_long_as_it_says(
    at_azure: AzureTenant, azure: StrictAzure, azure_operator: OperatorProcess
) -> None:
    at_azure.put("db", ONE)
    at_azure.move_in()
    host = f"{at_azure.vault}.*"
    azure.control.throttle(service="vault", host=host, path="/secrets/db*", retry_after="3", times=1)
    at_azure.tenant.create(external_secret("db", entry("v", "db")))

    at_azure.tenant.wait_values("db", {"v": ONE})

    asked = [
        call
        for call in azure.control.calls(service="vault", host=host, path="/secrets/db*")
        if call.status != 401
    ]
    assert [429, 200] == [call.status for call in asked]
    assert asked[1].started - asked[0].started >= 3


# The operator's own identity


def test_operators_own_workload_identity_serves_stores_that_name_nobody(
    at_azure: AzureTenant,
    private_operator: Callable[..., OperatorProcess],
    azure: StrictAzure,
    cluster: LocalCluster,
    tmp_path: Path,
) -> None:
    """As the workload identity webhook sets it up: a token of the operator's ServiceAccount in a file."""
    at_azure.put("db", ONE)
    app = at_azure.administrator.app_for_service_account(cluster.issuer, "keyferry", "keyferry")
    at_azure.administrator.grant(at_azure.vault, app, SECRETS_USER)
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
    store = at_azure.store(authType="WorkloadIdentity")
    store["spec"]["controller"] = "private"
    at_azure.tenant.create(store, external_secret("db", entry("v", "db")))

    at_azure.tenant.wait_values("db", {"v": ONE})


def test_operators_identity_is_refused_where_it_must_not_go(
    at_azure: AzureTenant,
    private_operator: Callable[..., OperatorProcess],
    azure: StrictAzure,
) -> None:
    identity = at_azure.administrator.managed_identity()
    at_azure.administrator.grant(at_azure.vault, identity, SECRETS_USER)
    at_azure.put("db", ONE)
    private_operator("--ambient-identity=all", environment=azure.environment)
    custom = {"customCloudConfig": {"activeDirectoryEndpoint": "https://login.example.com"}}
    stores = {
        "own": {"authType": "ManagedIdentity"},
        "elsewhere": {"authType": "ManagedIdentity", "vaultUrl": "https://vault.example.com"},
        "own-cloud": {"authType": "ManagedIdentity", **custom},
        "loopback": {"authType": "ManagedIdentity", **custom, "vaultUrl": "https://127.0.0.1"},
    }
    for name, block in stores.items():
        store = at_azure.store(name=name, **block)
        store["spec"]["controller"] = "private"
        at_azure.tenant.create(store, external_secret(name, entry("v", "db"), store=name))

    try:
        at_azure.tenant.wait_values("own", {"v": ONE})
        at_azure.tenant.wait_failed("elsewhere", "is no vault of PublicCloud")
        at_azure.tenant.wait_failed("own-cloud", "a cloud that a namespace describes")
        at_azure.tenant.wait_failed("loopback", "this machine")
    finally:
        at_azure.administrator.remove_from_machine(identity)
    assert 1 == azure.control.token_requests()
    assert [] == azure.control.refused_hosts()


def test_flag_keeps_the_operators_identity_from_namespaces(
    at_azure: AzureTenant, private_operator: Callable[..., OperatorProcess], azure: StrictAzure
) -> None:
    private_operator("--ambient-identity=cluster", environment=azure.environment)
    store = at_azure.store(authType="ManagedIdentity")
    store["spec"]["controller"] = "private"
    at_azure.tenant.create(store, external_secret("db", entry("v", "db")))

    at_azure.tenant.wait_failed("db", "--ambient-identity=cluster")
    assert 0 == azure.control.token_requests()


# The registry


def test_login_of_a_registry_is_made_for_a_service_account(
    at_azure: AzureTenant, azure_operator: OperatorProcess
) -> None:
    app = at_azure.app()
    registry = f"r{at_azure.vault[3:]}"
    host = at_azure.administrator.create_registry(registry)
    at_azure.administrator.grant_registry(registry, app, "pull")
    auth = {"workloadIdentity": {"serviceAccountRef": {"name": "app"}}}
    at_azure.tenant.create(
        at_azure.account(app),
        at_azure.store(),
        generator("ACRAccessToken", "registry", registry=host, auth=auth, scope="repository:shop/web:pull"),
        external_secret("login", generated("ACRAccessToken", "registry")),
    )

    at_azure.tenant.wait_synced("login")

    made = at_azure.tenant.values("login")
    assert "00000000-0000-0000-0000-000000000000" == made["username"]
    access = at_azure.administrator.access_of(registry, made["password"])
    assert [{"type": "repository", "name": "shop/web", "actions": ["pull"]}] == access
