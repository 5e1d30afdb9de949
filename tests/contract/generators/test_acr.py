"""Logins of Azure's registries: for the identity that is asked for, and shown to no host that is none of them."""

from __future__ import annotations

import pytest

from keyferry.errors import AuthFailed, ForbiddenError, Malformed, RateLimited, SpecError, Unavailable
from keyferry.ports import AmbientIdentity
from keyferry.testing.leaks import canary

KIND = "ACRAccessToken"
USER = "00000000-0000-0000-0000-000000000000"


async def test_password_is_a_refresh_token_of_the_identity(world, spec_of):
    values = await world.values(KIND, spec_of("acr"))

    assert USER == values["username"]
    owner = world.azure.administrator.refresh_token_owner(world.azure.name, values["password"])
    assert world.azure.app.oid == owner


async def test_scope_makes_it_an_access_token_for_that_and_no_more(world, spec_of):
    values = await world.values(KIND, spec_of("acr-workload"))

    assert USER == values["username"]
    access = world.azure.administrator.access_of(world.azure.name, values["password"])
    assert [{"type": "repository", "name": "shop/web", "actions": ["pull"]}] == access
    assert [("team-a", "registry-user", ("api://AzureADTokenExchange",), 600)] == world.cluster.tokens


async def test_token_of_entra_id_is_kept_and_the_login_is_new(world, spec_of):
    first, second = [await world.values(KIND, spec_of("acr")) for _ in range(2)]

    assert first["password"] != second["password"]
    control = world.azure.azure.control
    assert (1, 2) == (control.token_requests(), control.count(service="registry"))


async def test_tenant_of_the_spec_serves_an_account_without_one(world, spec_of):
    world.cluster.put_service_account("team-a", "registry-user", client=world.azure.account.client_id)

    assert (await world.values(KIND, spec_of("acr-workload")))["password"]


@pytest.mark.parametrize("resource_id", [False, True], ids=["by-client-id", "by-resource"])
async def test_managed_identity_of_the_machine_may_ask(world, spec_of, resource_id):
    identity = world.azure.administrator.managed_identity()
    world.azure.administrator.grant_registry(world.azure.name, identity, "pull")
    named = identity.resource_id if resource_id else identity.client_id

    values = await world.values(KIND, spec_of("acr", auth={"managedIdentity": {"identityId": named}}))

    owner = world.azure.administrator.refresh_token_owner(world.azure.name, values["password"])
    assert identity.oid == owner


async def test_operators_own_workload_identity_may_ask(world, spec_of, monkeypatch, tmp_path):
    """As the workload identity webhook sets it up in the operator's pod."""
    app = world.azure.administrator.app_for_service_account(world.issuer.url, "keyferry", "keyferry")
    world.azure.administrator.grant_registry(world.azure.name, app, "pull")
    token = tmp_path / "token"
    audience = "api://AzureADTokenExchange"
    token.write_text(world.issuer.token("system:serviceaccount:keyferry:keyferry", [audience]))
    monkeypatch.setenv("AZURE_CLIENT_ID", app.client_id)
    monkeypatch.setenv("AZURE_TENANT_ID", app.tenant)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))

    values = await world.values(KIND, spec_of("acr", auth={"workloadIdentity": {}}))

    owner = world.azure.administrator.refresh_token_owner(world.azure.name, values["password"])
    assert app.oid == owner


@pytest.mark.parametrize(
    "auth", [{"managedIdentity": {}}, {"workloadIdentity": {}}], ids=lambda auth: next(iter(auth))
)
@pytest.mark.parametrize("cluster_wide", [False, True], ids=["namespaced", "cluster-wide"])
async def test_operators_own_identity_is_lent_as_the_flag_says(
    world, spec_of, make_generators, auth, cluster_wide
):
    spec = spec_of("acr", auth=auth)
    refused = {}
    for ambient in AmbientIdentity:
        world.generators = make_generators(ambient=ambient)
        try:
            world.generators[KIND].check(world.view(KIND, spec, cluster_wide=cluster_wide))
        except ForbiddenError as error:
            refused[ambient] = error.message

    expected = {AmbientIdentity.NONE} if cluster_wide else {AmbientIdentity.CLUSTER, AmbientIdentity.NONE}
    assert expected == set(refused)
    assert all(f"--ambient-identity={ambient.value}" in text for ambient, text in refused.items())


@pytest.mark.parametrize(
    "host",
    [
        "registry.example.com",
        "azurecr.io",
        "evil-azurecr.io",
        "example.azurecr.io.example.com",
        "example.azurecr.cn",
        "127.0.0.1",
        "example.azurecr.io@registry.example.com",
        "registry.example.com#.azurecr.io",
        "registry.example.com\\.azurecr.io",
        "http://example.azurecr.io",
        "example.azurecr.io/path",
        "",
    ],
)
async def test_token_goes_to_registries_of_the_cloud_alone(world, spec_of, host):
    """It opens all of Azure that the identity may do, and manifests name the registry."""
    with pytest.raises((ForbiddenError, SpecError), match=r"spec\.registry"):
        await world.values(KIND, spec_of("acr", registry=host))

    assert 0 == world.calls()


async def test_environment_decides_whose_registries_they_are(world, spec_of):
    administrator = world.azure.azure.administrator("ChinaCloud")
    app = administrator.create_app(with_secret=True)
    host = administrator.create_registry(f"{world.user}cn")
    administrator.grant_registry(f"{world.user}cn", app, "pull")
    world.cluster.put_secret("team-a", "azure", id=app.client_id, secret=app.secret)
    spec = spec_of("acr", registry=host, tenantId=app.tenant, environmentType="ChinaCloud")

    values = await world.values(KIND, spec)

    assert host.endswith(".azurecr.cn")
    assert app.oid == administrator.refresh_token_owner(f"{world.user}cn", values["password"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"auth": {}}, "spec.auth", id="nobody"),
        pytest.param({"auth": {"managedIdentity": {}, "workloadIdentity": {}}}, "spec.auth", id="two"),
        pytest.param({"tenantId": None}, "spec.tenantId", id="no-tenant"),
        pytest.param({"tenantId": "a/b"}, "spec.tenantId", id="tenant-that-is-none"),
        pytest.param({"environmentType": "AzureStackCloud"}, "spec.environmentType", id="no-registries"),
        pytest.param(
            {"auth": {"managedIdentity": {"identityId": "a b"}}}, "identityId", id="identity-that-is-none"
        ),
        pytest.param(
            {"auth": {"servicePrincipal": {"secretRef": {}}}}, "secretRef.clientId", id="no-references"
        ),
    ],
)
async def test_mistake_of_the_spec_is_told_by_its_field(world, spec_of, changes, field):
    with pytest.raises(SpecError) as failure:
        await world.values(KIND, spec_of("acr", **changes))

    assert field in failure.value.message
    assert 0 == world.calls()


async def test_identity_without_a_role_is_told_what_to_grant(world, spec_of, leaks):
    app = world.azure.administrator.create_app(with_secret=True)
    world.cluster.put_secret("team-a", "azure", id=app.client_id, secret=app.secret)

    with pytest.raises(AuthFailed) as failure:
        await world.values(KIND, spec_of("acr"))

    assert app.client_id in failure.value.message
    assert "AcrPull" in failure.value.hint
    assert [] == leaks.look_at_error("failure", failure.value)


async def test_refused_token_is_not_shown_again(world, spec_of):
    await world.values(KIND, spec_of("acr"))
    world.azure.azure.control.revoke_tokens(world.azure.app.oid)
    with pytest.raises(AuthFailed):
        await world.values(KIND, spec_of("acr"))

    assert (await world.values(KIND, spec_of("acr")))["password"]
    assert 2 == world.azure.azure.control.token_requests()


async def test_wrong_client_secret_is_told_as_one(world, spec_of, leaks):
    world.cluster.put_secret("team-a", "azure", id=world.azure.app.client_id, secret=canary("acr-wrong"))

    with pytest.raises(AuthFailed) as failure:
        await world.values(KIND, spec_of("acr"))

    assert "client secret" in failure.value.message
    assert "AADSTS7000215" in failure.value.message
    assert [] == leaks.look_at_error("failure", failure.value)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param({"status": 429, "headers": {"Retry-After": "9"}}, RateLimited, id="throttled"),
        pytest.param({"status": 503}, Unavailable, id="failing"),
        pytest.param({"kind": "cut-before"}, Unavailable, id="cut"),
        pytest.param({"kind": "garbled"}, Malformed, id="garbled"),
        pytest.param({"kind": "empty"}, Malformed, id="empty"),
    ],
)
async def test_registry_in_trouble_is_told(world, spec_of, leaks, fault, expected):
    world.azure.azure.control.fail(service="registry", body=canary("acr-body"), **fault)

    with pytest.raises(expected) as failure:
        await world.values(KIND, spec_of("acr-workload"))

    assert failure.value.hint
    assert [] == leaks.look_at_error("failure", failure.value)
