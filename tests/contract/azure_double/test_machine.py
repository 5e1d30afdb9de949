"""A machine gives tokens of the managed identities that it has, and of no others."""

import pytest
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

SCOPE = "https://vault.azure.net/.default"
RESOURCE = "https://vault.azure.net"


@pytest.fixture(params=["imds", "site"])
def service(request, azure, monkeypatch):
    """Where the SDK is led to: a virtual machine's metadata service, or App Service."""
    if request.param == "site":
        for name, value in azure.site_environment.items():
            monkeypatch.setenv(name, value)
    return request.param


def owner(azure, credential):
    """Whose token the SDK gets."""
    credential.get_token(SCOPE)
    return azure.control.calls(service="machine")[-1].oid


def test_the_only_identity_needs_no_name(service, admin, azure):
    identity = admin.managed_identity()

    assert identity.oid == owner(azure, ManagedIdentityCredential())


def test_several_are_told_apart_by_each_of_their_names(service, admin, azure):
    one, two = admin.managed_identity(), admin.managed_identity()

    assert two.oid == owner(azure, ManagedIdentityCredential(client_id=two.client_id))
    assert one.oid == owner(
        azure, ManagedIdentityCredential(identity_config={"resource_id": one.resource_id})
    )
    assert two.oid == owner(azure, ManagedIdentityCredential(identity_config={"object_id": two.oid}))


def test_the_systems_identity_is_the_unnamed_one(service, admin, azure):
    admin.managed_identity()
    system = admin.managed_identity(system=True)

    assert system.oid == owner(azure, ManagedIdentityCredential())


@pytest.mark.parametrize("case", ["none", "other", "ambiguous"])
def test_an_identity_that_the_machine_does_not_have_is_refused(case, service, admin):
    elsewhere = admin.managed_identity(on_machine=False)
    if case == "ambiguous":
        admin.managed_identity()
        admin.managed_identity()
    client_id = elsewhere.client_id if case == "other" else None

    with pytest.raises(CredentialUnavailableError):
        ManagedIdentityCredential(client_id=client_id).get_token(SCOPE)


def test_a_vault_takes_its_tokens(service, admin, vault, client_for):
    identity = admin.managed_identity()
    admin.grant(vault, identity, "Key Vault Secrets User")
    admin.put_secret(vault, "db", "value")

    assert client_for(vault, ManagedIdentityCredential()).get_secret("db").value == "value"


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Metadata": "true"}, {}, 200),
        ({}, {}, 400),
        ({"Metadata": "true", "X-Forwarded-For": "10.0.0.1"}, {}, 400),
        ({"Metadata": "true"}, {"resource": ""}, 400),
        ({"Metadata": "true"}, {"api-version": ""}, 400),
    ],
    ids=["good", "no-header", "forwarded", "no-resource", "no-version"],
)
def test_the_metadata_service_answers_nobody_who_does_not_mean_it(headers, query, status, azure, ask):
    azure.administrator().managed_identity()
    params = {"api-version": "2018-02-01", "resource": RESOURCE} | query

    url = f"{azure.ready.machine}/metadata/identity/oauth2/token"
    assert status == ask("GET", url, headers=headers, params=params)[0]


@pytest.mark.parametrize("header", [None, "guess"])
def test_app_service_asks_for_its_header(header, azure, admin, ask):
    admin.managed_identity()
    params = {"api-version": "2019-08-01", "resource": RESOURCE}
    headers = {"X-IDENTITY-HEADER": header} if header else {}

    assert ask("GET", f"{azure.ready.machine}/msi/token", headers=headers, params=params)[0] == 401
