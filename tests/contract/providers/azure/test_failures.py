"""What Entra ID and Key Vault refuse, as it is told: why, and what to grant, add or correct."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.contract.providers.azure.conftest import ACCOUNT

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    RateLimited,
    RemoteSecretNotFound,
    RetryKind,
    Unavailable,
)
from keyferry.ports import Find, Read, RemoteValue
from keyferry.testing.azure import SECRETS_USER
from keyferry.testing.leaks import canary

SUBJECT = "system:serviceaccount:team-a:app"


def check(error, code, *, message="", hint=""):
    assert AuthFailed is type(error)
    assert code in error.message
    assert message in error.message
    assert hint in error.hint
    assert "Trace" not in str(error)


# Entra ID


async def test_wrong_secret(client_of, cluster, app, fail, leaks):
    cluster.put_secret("team-a", "azure", id=app.client_id, secret=canary("azure-wrong"))

    error = await fail(await client_of())

    check(error, "AADSTS7000215", message=app.client_id, hint="its value, not its id")
    assert [] == leaks.look_at_error("failure", error)


async def test_secret_that_has_ended(client_of, azure_administrator, app, fail):
    azure_administrator.expire_client_secrets(app)

    check(await fail(await client_of()), "AADSTS7000222", message="client secret", hint="Make a new one")


async def test_app_that_is_not_there(client_of, cluster, app, fail):
    cluster.put_secret("team-a", "azure", id="00000000-1111-2222-3333-444444444444", secret="x")

    error = await fail(await client_of())

    check(error, "AADSTS700016", message=f'of tenant "{app.tenant}"', hint="Check client id and tenant id")


async def test_app_that_is_disabled(client_of, azure_administrator, app, fail):
    azure_administrator.disable_identity(app)

    check(await fail(await client_of()), "AADSTS7000112", hint="not disabled")


async def test_tenant_that_is_not_there(client_of, fail):
    client = await client_of(tenantId="nobody.example.com")

    check(await fail(client), "AADSTS90002", message="login.microsoftonline.com", hint="environmentType")


async def test_account_without_a_federated_credential(account_client_of, azure_administrator, account, fail):
    azure_administrator.remove_federation(account)

    error = await fail(await account_client_of())

    check(error, "AADSTS70025", message="team-a/app", hint=f'the subject "{SUBJECT}"')
    assert 'the audience "api://AzureADTokenExchange"' in error.hint


@pytest.mark.parametrize(
    ("issuer", "subject", "code"),
    [
        ("https://other.example.com", SUBJECT, "AADSTS700211"),
        ("", "system:serviceaccount:team-b:app", "AADSTS700213"),
        ("", SUBJECT.upper(), "AADSTS7002138"),
    ],
    ids=["another-cluster", "another-account", "another-case"],
)
async def test_federated_credential_of_somebody_else(
    *, account_client_of, azure_administrator, azure_issuer, account, fail, issuer, subject, code
):
    azure_administrator.remove_federation(account)
    azure_administrator.federate(account, issuer or azure_issuer.url, subject)

    check(await fail(await account_client_of()), code, hint="the cluster's issuer")


async def test_credential_for_another_audience(
    account_client_of, azure_administrator, azure_issuer, account, fail, cluster
):
    azure_administrator.remove_federation(account)
    azure_administrator.federate(account, azure_issuer.url, SUBJECT, audience="api://somebody-else")

    error = await fail(await account_client_of(serviceAccountRef={"name": "app", "audiences": ["more"]}))

    check(error, "AADSTS700212", hint='the audience "api://AzureADTokenExchange"')
    assert [("api://AzureADTokenExchange", "more")] == [audiences for _, _, audiences, _ in cluster.tokens]


async def test_token_that_has_ended_means_a_clock(account_client_of, cluster, azure_issuer, fail):
    cluster.issue = lambda subject, audiences: azure_issuer.token(
        subject, audiences, exp=int(time.time()) - 30
    )

    check(await fail(await account_client_of()), "AADSTS700024", hint="clocks")


async def test_issuer_that_cannot_be_asked(
    account_client_of, azure_administrator, account, cluster, azure_issuer, fail
):
    azure_administrator.remove_federation(account)
    azure_administrator.federate(account, "https://127.0.0.1:1", SUBJECT)
    cluster.issue = lambda subject, audiences: azure_issuer.token(
        subject, audiences, iss="https://127.0.0.1:1"
    )

    check(await fail(await account_client_of()), "AADSTS90061", hint="must be public")


async def test_certificate_that_is_no_longer_registered(
    connect, provider, view_of, azure_administrator, cluster, fail, pem
):
    public, private = pem
    made = azure_administrator.create_app(certificate=public)
    cluster.put_secret("team-a", "cert", id=made.client_id, pem=public + private)
    refs = {"clientId": {"name": "cert", "key": "id"}, "clientCertificate": {"name": "cert", "key": "pem"}}
    azure_administrator.remove_certificates(made)

    error = await fail(await connect(provider, view_of(authSecretRef=refs)))

    check(error, "AADSTS700027", message="certificate", hint="Register it")


# Key Vault


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("db", "Key Vault Secrets User"),
        ("key/k", "Key Vault Reader"),
        ("cert/c", "Key Vault Reader"),
    ],
)
async def test_missing_role_is_named(client_of, azure_administrator, vault, app, fail, key, role):
    azure_administrator.revoke(vault, app)

    error = await fail(await client_of(), key)

    assert AccessDenied is type(error)
    assert "ForbiddenByRbac" in error.message
    assert f'the role "{role}"' in error.hint


@pytest.mark.parametrize(
    ("key", "permission"),
    [
        ("db", "secret permission Get"),
        ("key/k", "key permission Get"),
        ("cert/c", "certificate permission Get"),
    ],
)
async def test_missing_access_policy_is_named(client_of, azure_administrator, unique, fail, key, permission):
    url = azure_administrator.create_vault(f"pol-{unique}", mode="policy")

    error = await fail(await client_of(vaultUrl=url), key)

    assert AccessDenied is type(error)
    assert "ForbiddenByPolicy" in error.message
    assert f"{permission} in the vault's access policies" in error.hint


async def test_firewall_is_told_as_one(client_of, azure_administrator, vault, fail):
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.configure_vault(vault, firewall=True)

    error = await fail(await client_of())

    assert AccessDenied is type(error)
    assert "network" in error.message
    assert "firewall" in error.hint


async def test_vault_that_was_deleted_is_told(client_of, azure, vault, fail):
    azure.control.fail(service="vault", status=404, code="VaultNotFound")

    error = await fail(await client_of())

    assert Unavailable is type(error)
    assert "does not exist" in error.message


@pytest.mark.parametrize("code", ["Whatever", "x" * 400, "SecretNotfound"])
@pytest.mark.parametrize("status", [400, 403, 404, 500])
async def test_code_that_nobody_knows_is_not_repeated(
    client_of, azure, azure_administrator, vault, fail, code, status
):
    azure_administrator.put_secret(vault, "db", "v")
    client = await client_of()
    await client.read([Read("db")])
    azure.control.fail(service="vault", path="/secrets/db*", status=status, code=code)

    error = await fail(client)

    assert code not in str(error)
    assert f"status {status}" in error.message
    assert RemoteSecretNotFound is not type(error)


async def test_vault_that_there_is_not_is_told(client_of, fail):
    client = await client_of(vaultUrl="https://nobody-has-this.vault.azure.net")

    for error in (await fail(client), await fail(client, "key/k")):
        assert Unavailable is type(error)
        assert error.hint


async def test_limit_of_a_vault_is_told_with_its_pause(client_of, azure_administrator, vault, fail):
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.configure_vault(vault, limit=(2, 30))
    client = await client_of()
    for _ in range(2):
        await client.read([Read("db")])

    error = await fail(client)

    assert RateLimited is type(error)
    assert RetryKind.AFTER is error.retry.kind
    assert 1 <= error.retry.seconds <= 30


async def test_one_failure_does_not_widen(client_of, azure_administrator, vault, app):
    for name in ("one", "two"):
        azure_administrator.put_secret(vault, name, "v")
    azure_administrator.revoke(vault, app)
    azure_administrator.grant(vault, app, SECRETS_USER, scope="secrets/one")

    answers = await (await client_of()).read([Read("one"), Read("two"), Read("key/x"), Read("one")])

    assert [RemoteValue, AccessDenied, AccessDenied, RemoteValue] == [type(answer) for answer in answers]


# What is to be granted, and no more


NEEDED = {
    "secrets/getSecret/action": lambda client: client.read([Read("db")]),
    "secrets/readMetadata/action": lambda client: client.find(Find(name="db")),
    "keys/read": lambda client: client.read([Read("key/k")]),
    "certificates/read": lambda client: client.read([Read("cert/c")]),
}
"""The data actions that reading needs, and what each is needed for."""


async def works(work, client):
    try:
        answers = await work(client)
    except AccessDenied:
        return False
    return not isinstance(answers[0], AccessDenied)


@pytest.fixture
def filled(azure_administrator, vault, pem):
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.put_key(vault, "k")
    azure_administrator.put_certificate(vault, "c", "".join(pem))


def test_role_of_the_documentation_is_what_is_needed():
    page = Path(__file__).parents[4] / "docs/providers/azurekv.md"
    role = json.loads(
        page.read_text("utf-8").partition("<!-- role: read -->\n```json\n")[2].partition("```")[0]
    )

    assert [] == role["Actions"]
    assert {f"Microsoft.KeyVault/vaults/{action}" for action in NEEDED} == set(role["DataActions"])


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("without", [None, *NEEDED])
async def test_data_actions_are_enough_and_each_is_needed(
    client_of, azure_administrator, vault, app, without
):
    azure_administrator.revoke(vault, app)
    azure_administrator.grant(vault, app, *(action for action in NEEDED if action != without))
    client = await client_of()

    assert {action: action != without for action in NEEDED} == {
        action: await works(work, client) for action, work in NEEDED.items()
    }


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("role", "enough_for"),
    [
        ("Key Vault Secrets User", {"secrets/getSecret/action", "secrets/readMetadata/action"}),
        ("Key Vault Crypto User", {"keys/read"}),
        (
            "Key Vault Certificate User",
            {"certificates/read", "secrets/getSecret/action", "secrets/readMetadata/action", "keys/read"},
        ),
        ("Key Vault Reader", {"secrets/readMetadata/action", "keys/read", "certificates/read"}),
    ],
)
async def test_roles_of_the_documentation_are_enough_for_what_it_says(
    client_of, azure_administrator, vault, app, role, enough_for
):
    azure_administrator.revoke(vault, app)
    azure_administrator.grant(vault, app, role)
    client = await client_of()

    assert enough_for == {action for action, work in NEEDED.items() if await works(work, client)}


POLICY = {
    "secrets/get": lambda client: client.read([Read("db")]),
    "secrets/list": lambda client: client.find(Find(name="db")),
    "keys/get": lambda client: client.read([Read("key/k")]),
    "certificates/get": lambda client: client.read([Read("cert/c")]),
}


@pytest.mark.parametrize("without", [None, *POLICY])
async def test_entries_of_access_policies_are_enough_and_each_is_needed(
    client_of, azure_administrator, unique, app, pem, without
):
    name = f"pol-{unique}"
    url = azure_administrator.create_vault(name, mode="policy")
    azure_administrator.grant(name, app, *(entry for entry in POLICY if entry != without))
    azure_administrator.put_secret(name, "db", "v")
    azure_administrator.put_key(name, "k")
    azure_administrator.put_certificate(name, "c", "".join(pem))
    client = await client_of(vaultUrl=url)

    assert {entry: entry != without for entry in POLICY} == {
        entry: await works(work, client) for entry, work in POLICY.items()
    }


async def test_identity_of_one_namespace_does_not_open_the_vault_of_another(
    *,
    account_client_of,
    provider,
    connect,
    view_of,
    cluster,
    azure_administrator,
    azure_issuer,
    unique,
    fail,
    value,
    vault,
    account,
):
    azure_administrator.put_secret(vault, "db", "of team-a")
    other = azure_administrator.app_for_service_account(azure_issuer.url, "team-b", "app")
    cluster.put_service_account("team-b", "app", client=other.client_id, tenant=other.tenant)
    shared = view_of(namespace="", **ACCOUNT)

    ours = await connect(provider, shared, "team-a")
    theirs = await connect(provider, shared, "team-b")

    assert "of team-a" == await value(ours)
    error = await fail(theirs)
    assert AccessDenied is type(error)
    assert "team-b/app" in error.message
    assert RemoteSecretNotFound is not type(error)
