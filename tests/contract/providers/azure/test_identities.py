"""Who asks: service principals, ServiceAccounts and the operator itself, each with one exchange for all reads."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import copy

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.contract.providers.azure.conftest import ACCOUNT, pem_of

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    KeyferryError,
    KubeNotFound,
    RateLimited,
    SpecError,
    Unavailable,
)
from keyferry.ports import AmbientIdentity, Verdict
from keyferry.testing.azure import SECRETS_USER
from keyferry.testing.leaks import canary

AUDIENCE = "api://AzureADTokenExchange"


@pytest.fixture
def there(azure_administrator, vault):
    azure_administrator.put_secret(vault, "db", canary("azure-identity"))


@pytest.mark.usefixtures("there")
async def test_client_secret_is_shown_once_for_all_reads(client_of, value, azure, app):
    client = await client_of()

    assert {canary("azure-identity")} == {await value(client) for _ in range(3)}
    assert 1 == azure.control.token_requests(client_id=app.client_id)
    assert {app.oid} == {call.oid for call in azure.control.calls(service="vault", status=200)}


@pytest.mark.usefixtures("there")
async def test_white_space_around_ids_and_secrets_is_left_out(client_of, value, cluster, app):
    cluster.put_secret("team-a", "azure", id=f"{app.client_id}\n", secret=f" {app.secret}\r\n")

    assert canary("azure-identity") == await value(await client_of())


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("key_first", [False, True], ids=["certificate-first", "key-first"])
async def test_certificate_with_its_key_proves_the_app(
    *, connect, provider, view_of, value, cluster, azure_administrator, vault, pem, key_first
):
    public, private = pem
    made = azure_administrator.create_app(certificate=public)
    azure_administrator.grant(vault, made, SECRETS_USER)
    cluster.put_secret(
        "team-a", "cert", id=made.client_id, pem=private + public if key_first else public + private
    )
    refs = {"clientId": {"name": "cert", "key": "id"}, "clientCertificate": {"name": "cert", "key": "pem"}}

    client = await connect(provider, view_of(authSecretRef=refs))

    assert canary("azure-identity") == await value(client)


@pytest.mark.parametrize("what", ["no-key", "elliptic-curve", "another-apps", "no-pem"])
async def test_certificate_that_cannot_be_used_is_told(
    *, connect, provider, view_of, fail, cluster, azure_administrator, pem, leaks, what
):
    public, private = pem
    other = pem_of(ec.generate_private_key(ec.SECP256R1()))
    made = azure_administrator.create_app(certificate="" if what == "another-apps" else public)
    given = {
        "no-key": public,
        "elliptic-curve": "".join(other),
        "another-apps": public + private,
        "no-pem": "x",
    }[what]
    cluster.put_secret("team-a", "cert", id=made.client_id, pem=given)
    refs = {"clientId": {"name": "cert", "key": "id"}, "clientCertificate": {"name": "cert", "key": "pem"}}

    try:
        error = await fail(await connect(provider, view_of(authSecretRef=refs)))
    except KeyferryError as raised:
        error = raised

    assert AuthFailed is type(error)
    assert "certificate" in error.message
    assert error.hint
    assert [] == leaks.look_at_error("failure", error)


@pytest.mark.usefixtures("there")
async def test_service_accounts_token_is_short_for_entra_alone_and_used_once(
    account_client_of, value, azure, cluster
):
    client = await account_client_of()

    assert {canary("azure-identity")} == {await value(client) for _ in range(3)}
    assert [("team-a", "app", (AUDIENCE,), 600)] == cluster.tokens
    (exchange,) = azure.control.calls(service="entra")
    assert "system:serviceaccount:team-a:app" == exchange.subject


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("where", ["annotations", "store", "both", "secret", "environment"])
async def test_ids_come_from_the_store_or_the_service_account(
    *, account_client_of, value, cluster, account, monkeypatch, where
):
    annotations = {"client": account.client_id, "tenant": account.tenant}
    changes = {}
    cluster.put_secret("team-a", "ids", client=account.client_id, tenant=account.tenant)
    client_ref = {"clientId": {"name": "ids", "key": "client"}}
    match where:
        case "store":
            annotations, changes = {}, {"authSecretRef": client_ref, "tenantId": account.tenant}
        case "both":
            changes = {"authSecretRef": client_ref, "tenantId": account.tenant}
        case "secret":
            annotations = {}
            changes = {"authSecretRef": client_ref | {"tenantId": {"name": "ids", "key": "tenant"}}}
        case "environment":
            annotations.pop("tenant")
            monkeypatch.setenv("AZURE_TENANT_ID", account.tenant)
    cluster.put_service_account("team-a", "app", **annotations)

    assert canary("azure-identity") == await value(await account_client_of(**changes))


@pytest.mark.parametrize(
    ("annotations", "changes", "told"),
    [
        pytest.param({}, {}, "there is no clientID", id="no-client"),
        pytest.param({"client": "c"}, {}, "there is no tenantID", id="no-tenant"),
        pytest.param(
            {"client": "c", "tenant": "t"}, {"tenantId": "other"}, "multiple tenantID", id="two-tenants"
        ),
        pytest.param({"client": "a b", "tenant": "t"}, {}, "clientID is none", id="client-that-is-none"),
        pytest.param({"client": "c", "tenant": "../x"}, {}, "tenantID is none", id="tenant-that-is-none"),
    ],
)
async def test_ids_that_are_missing_or_contradict_each_other_are_told(
    account_client_of, cluster, annotations, changes, told
):
    cluster.put_service_account("team-a", "app", **annotations)

    with pytest.raises(AuthFailed, match=told) as failure:
        await account_client_of(**changes)

    assert "team-a/app" in failure.value.message
    assert failure.value.hint


async def test_client_of_the_store_and_of_the_annotation_must_be_one(account_client_of, cluster):
    cluster.put_secret("team-a", "ids", client="another")

    with pytest.raises(AuthFailed, match="multiple clientID found"):
        await account_client_of(authSecretRef={"clientId": {"name": "ids", "key": "client"}})


async def test_account_that_is_not_there_is_named(account_client_of, cluster):
    cluster.service_accounts.clear()

    with pytest.raises(KubeNotFound, match="team-a/app"):
        await account_client_of()


@pytest.mark.usefixtures("there")
async def test_managed_identity_of_the_machine_reads(
    *, connect, provider, view_of, value, azure_administrator, vault, azure
):
    one, other = (azure_administrator.managed_identity() for _ in range(2))
    azure_administrator.grant(vault, other, SECRETS_USER)
    block = {"authType": "ManagedIdentity", "authSecretRef": None}
    try:
        client = await connect(provider, view_of(**block, identityId=other.client_id))

        assert canary("azure-identity") == await value(client)
        assert {other.oid} == {call.oid for call in azure.control.calls(service="vault", status=200)}
    finally:
        for identity in (one, other):
            azure_administrator.remove_from_machine(identity)


@pytest.mark.parametrize("by", ["resource", "client"])
@pytest.mark.parametrize("site", [False, True], ids=["virtual-machine", "app-service"])
async def test_identity_that_is_asked_for_is_the_one_that_asks(
    *, connect, provider, view_of, fail, azure_administrator, vault, azure, monkeypatch, by, site
):
    """The machine's other one may read, and that must be no help."""
    own, asked_for = azure_administrator.managed_identity(system=True), azure_administrator.managed_identity()
    azure_administrator.grant(vault, own, SECRETS_USER)
    if site:
        for name, text in azure.site_environment.items():
            monkeypatch.setenv(name, text)
    named = asked_for.resource_id if by == "resource" else asked_for.client_id
    try:
        client = await connect(
            provider, view_of(authType="ManagedIdentity", authSecretRef=None, identityId=named)
        )
        error = await fail(client)
    finally:
        for identity in (own, asked_for):
            azure_administrator.remove_from_machine(identity)

    assert AccessDenied is type(error)
    assert {asked_for.oid} == {call.oid for call in azure.control.calls(service="vault", status=403)}


@pytest.mark.parametrize(
    ("fault", "expected", "pause"),
    [
        pytest.param({"status": 429, "headers": {"Retry-After": "3"}}, RateLimited, 3, id="throttled"),
        pytest.param({"status": 500}, Unavailable, None, id="failing"),
        pytest.param({"status": 410}, Unavailable, None, id="being-updated"),
        pytest.param({"status": 403}, AuthFailed, None, id="forbidden"),
        pytest.param({"kind": "cut-before"}, Unavailable, None, id="cut"),
    ],
)
async def test_machine_in_trouble_is_told_as_such(
    *, connect, provider, view_of, fail, azure_administrator, azure, leaks, fault, expected, pause
):
    identity = azure_administrator.managed_identity()
    azure.control.fail(service="machine", **fault)
    try:
        error = await fail(await connect(provider, view_of(authType="ManagedIdentity", authSecretRef=None)))
    finally:
        azure_administrator.remove_from_machine(identity)

    assert expected is type(error)
    assert "managed identity" in error.message
    assert pause is None or pause == error.retry.seconds
    assert error.hint
    assert [] == leaks.look_at_error("failure", error)


async def test_machine_that_is_not_there_is_told(connect, provider, view_of, fail, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")

    error = await fail(await connect(provider, view_of(authType="ManagedIdentity", authSecretRef=None)))

    assert Unavailable is type(error)
    assert "does not answer" in error.message


async def test_machine_without_an_identity_is_told(connect, provider, view_of, fail, leaks):
    client = await connect(provider, view_of(authType="ManagedIdentity", authSecretRef=None))

    error = await fail(client)

    assert AuthFailed is type(error)
    assert "managed identity" in error.message
    assert "serviceAccountRef" in error.hint
    assert [] == leaks.look_at_error("failure", error)


@pytest.fixture
def own_pod(azure_administrator, azure_issuer, vault, monkeypatch, tmp_path):
    """The operator's pod as the workload identity webhook has set it up."""
    azure_administrator.trust_cluster(azure_issuer.url, azure_issuer.ca_pem)
    made = azure_administrator.app_for_service_account(azure_issuer.url, "keyferry", "keyferry")
    azure_administrator.grant(vault, made, SECRETS_USER)
    token = tmp_path / "token"
    token.write_text(azure_issuer.token("system:serviceaccount:keyferry:keyferry", [AUDIENCE]))
    monkeypatch.setenv("AZURE_CLIENT_ID", made.client_id)
    monkeypatch.setenv("AZURE_TENANT_ID", made.tenant)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/")
    return token


OWN = {**ACCOUNT, "serviceAccountRef": None}


@pytest.mark.usefixtures("there", "own_pod")
async def test_operators_own_workload_identity_reads(connect, provider, view_of, value):
    assert canary("azure-identity") == await value(await connect(provider, view_of(**OWN)))


async def test_token_file_is_read_anew_for_each_exchange(
    *, connect, provider, view_of, fail, own_pod, azure_issuer, there, value
):
    client = await connect(provider, view_of(**OWN))
    good = own_pod.read_text()
    own_pod.write_text("")
    assert "AZURE_FEDERATED_TOKEN_FILE" in (await fail(client)).message

    own_pod.write_text(good)

    assert canary("azure-identity") == await value(client)


async def test_pod_that_is_not_set_up_is_told(connect, provider, view_of):
    with pytest.raises(AuthFailed, match="AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE"):
        await connect(provider, view_of(**OWN))


@pytest.mark.usefixtures("own_pod", "there")
async def test_managed_identity_is_the_machines_although_the_pod_has_another(
    *, connect, provider, view_of, value, azure_administrator, vault, azure
):
    identity = azure_administrator.managed_identity(system=True)
    azure_administrator.grant(vault, identity, SECRETS_USER)
    try:
        client = await connect(provider, view_of(authType="ManagedIdentity", authSecretRef=None))

        assert canary("azure-identity") == await value(client)
        assert {identity.oid} == {call.oid for call in azure.control.calls(service="vault", status=200)}
    finally:
        azure_administrator.remove_from_machine(identity)


async def test_validation_proves_the_identity_and_reads_nothing(
    client_of, azure, azure_administrator, vault, app
):
    azure_administrator.revoke(vault, app)
    client = await client_of()

    assert Verdict.READY is await client.validate()
    assert [("vault", "/secrets", 401), ("entra", f"/{app.tenant}/oauth2/v2.0/token", 200)] == [
        (call.service, call.path, call.status) for call in azure.control.calls()
    ]


# Fingerprints


@pytest.fixture
def fingerprint(provider, toolbox, cluster, view_of, app, account):
    cluster.put_service_account("team-b", "app", client=account.client_id, tenant=account.tenant)
    cluster.put_secret("team-b", "azure", id=app.client_id, secret=app.secret)

    async def of(*, namespace="team-a", store="team-a", **changes):
        view = view_of(namespace=store, **changes)
        provider.check(view)
        return (await provider.identify(view, namespace, cluster)).fingerprint

    return of


@pytest.mark.parametrize("changes", [{}, ACCOUNT], ids=["principal", "account"])
async def test_equal_stores_have_equal_fingerprints(fingerprint, changes):
    assert await fingerprint(**changes) == await fingerprint(**copy.deepcopy(changes))


PINNED = {"clientId": {"name": "azure", "key": "id"}, "clientSecret": {"name": "azure", "key": "secret"}}


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        pytest.param({}, {"vaultUrl": "https://another.vault.azure.net"}, id="vault"),
        pytest.param({}, {"tenantId": "another"}, id="tenant"),
        pytest.param(
            {},
            {"environmentType": "ChinaCloud", "vaultUrl": "https://x.vault.azure.cn"},
            id="cloud",
        ),
        pytest.param(
            {},
            {"customCloudConfig": {"activeDirectoryEndpoint": "https://login.example.com"}},
            id="authority",
        ),
        pytest.param(ACCOUNT, {"serviceAccountRef": {"name": "app", "audiences": ["more"]}}, id="audiences"),
        pytest.param(
            {**ACCOUNT, "customCloudConfig": {"activeDirectoryEndpoint": "https://login.example.com"}},
            {"customCloudConfig": {"activeDirectoryEndpoint": "https://login.example.com", "audience": "a"}},
            id="custom-audience",
        ),
        pytest.param({}, ACCOUNT, id="kind-of-identity"),
        pytest.param(
            {},
            {"authType": "ManagedIdentity", "authSecretRef": None, "tenantId": None},
            id="managed-identity",
        ),
        pytest.param(
            {"authType": "ManagedIdentity"},
            {"authType": "ManagedIdentity", "identityId": "other"},
            id="identity-id",
        ),
    ],
)
async def test_what_decides_about_access_makes_another_fingerprint(fingerprint, base, changes):
    assert await fingerprint(**base) != await fingerprint(**{**base, **changes})


async def test_new_secret_or_account_makes_another_fingerprint(fingerprint, cluster, account):
    before = [await fingerprint(), await fingerprint(**ACCOUNT)]
    cluster.put_secret("team-a", "azure", id="other", secret="other")
    del cluster.service_accounts["team-a", "app"]
    cluster.put_service_account("team-a", "app", client=account.client_id, tenant=account.tenant)

    assert all(
        old != new
        for old, new in zip(before, [await fingerprint(), await fingerprint(**ACCOUNT)], strict=True)
    )


async def test_cluster_store_without_namespaces_is_a_new_identity_for_each(fingerprint, provider, view_of):
    shared = view_of(namespace="", **ACCOUNT)
    pinned = view_of(namespace="", **{**ACCOUNT, "serviceAccountRef": {"name": "app", "namespace": "team-a"}})

    assert provider.referent(shared)
    assert not provider.referent(pinned)
    assert await fingerprint(store="", namespace="team-a", **ACCOUNT) != await fingerprint(
        store="", namespace="team-b", **ACCOUNT
    )


# What a spec must have


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"tenantId": None}, "tenantId", id="no-tenant"),
        pytest.param({"tenantId": "a/b"}, "tenantId", id="tenant-that-is-none"),
        pytest.param({"authSecretRef": None}, "authSecretRef.clientId", id="no-references"),
        pytest.param(
            {"authSecretRef": {"clientId": {"name": "azure", "key": "id"}}}, "clientSecret", id="no-proof"
        ),
        pytest.param(
            {"authSecretRef": PINNED | {"clientCertificate": {"name": "azure", "key": "pem"}}},
            "and not both",
            id="two-proofs",
        ),
        pytest.param({"authSecretRef": PINNED | {"clientId": {"name": "azure"}}}, "clientId", id="no-key"),
        pytest.param({"authType": "ManagedIdentity", "identityId": "a b"}, "identityId", id="identity"),
        pytest.param(
            {"environmentType": "AzureStackCloud"}, "customCloudConfig must be set", id="stack-by-halves"
        ),
        pytest.param({"vaultUrl": "http://kv.vault.azure.net"}, "https://", id="no-tls"),
        pytest.param({"vaultUrl": "https://kv.vault.azure.net/secrets"}, "vaultUrl", id="path"),
        pytest.param({"vaultUrl": "https://user:pw@kv.vault.azure.net"}, "vaultUrl", id="credentials"),
        pytest.param(
            {"customCloudConfig": {"activeDirectoryEndpoint": "http://login.example.com"}},
            "activeDirectoryEndpoint must begin with https://",
            id="authority-without-tls",
        ),
    ],
)
def test_mistake_of_the_spec_is_told_by_its_field(provider, view_of, changes, field):
    with pytest.raises(SpecError) as failure:
        provider.check(view_of(**changes))

    assert field in str(failure.value)


def test_sdk_choice_of_the_reference_makes_no_difference(provider, view_of):
    for choice in (True, False):
        assert provider.check(view_of(useAzureSDK=choice)) is None


@pytest.mark.parametrize("ambient", list(AmbientIdentity))
def test_stores_with_an_identity_of_their_own_are_nobodys_business(make_provider, view_of, ambient):
    for changes in ({}, ACCOUNT):
        assert make_provider(ambient).check(view_of(**changes)) is None
