"""A registry exchanges an Entra token for its own, for who may do something there."""

import pytest
from azure.identity import ClientSecretCredential

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def registry(admin, app, unique):
    admin.create_registry(unique)
    admin.grant_registry(unique, app, "pull")
    return unique


@pytest.fixture
def exchange(ask, admin, registry):
    """POST to a registry; (status, body)."""

    def send(path, host=f"{registry}.azurecr.io", **form):
        form = {"service": host} | form
        return ask("POST", f"https://{host}/oauth2/{path}", data=form)[:2]

    return send


@pytest.fixture
def entra_token(app):
    credential = ClientSecretCredential(app.tenant, app.client_id, app.secret)

    def get(resource="https://management.azure.com"):
        return credential.get_token(f"{resource}/.default").token

    get.oid = app.oid
    return get


@pytest.mark.parametrize(
    "resource",
    [
        "https://management.azure.com",
        "https://management.core.windows.net/",
        "https://containerregistry.azure.net",
    ],
)
def test_an_entra_token_becomes_a_refresh_token_and_that_an_access_token(
    resource, admin, exchange, entra_token, registry
):
    status, body = exchange(
        "exchange", grant_type="access_token", tenant=admin.tenant, access_token=entra_token(resource)
    )
    assert status == 200
    assert admin.refresh_token_owner(registry, body["refresh_token"]) == entra_token.oid

    scope = "repository:team/app:pull,push"
    status, body = exchange(
        "token", grant_type="refresh_token", refresh_token=body["refresh_token"], scope=scope
    )

    assert status == 200
    assert admin.access_of(registry, body["access_token"]) == [
        {"type": "repository", "name": "team/app", "actions": ["pull"]}
    ]


def test_each_mistake_is_refused(admin, exchange, entra_token):
    good = {"grant_type": "access_token", "tenant": admin.tenant, "access_token": entra_token()}
    vault_token = entra_token("https://vault.azure.net")
    assert exchange("exchange", **good)[0] == 200

    for changes, expected in (
        ({"grant_type": "password"}, (400, "UNSUPPORTED")),
        ({"service": "other.azurecr.io"}, (400, "BAD_REQUEST")),
        ({"tenant": NOBODY}, (401, "UNAUTHORIZED")),
        ({"access_token": "nonsense"}, (401, "UNAUTHORIZED")),
        ({"access_token": vault_token}, (401, "UNAUTHORIZED")),
    ):
        status, body = exchange("exchange", **(good | changes))
        assert expected == (status, body["errors"][0]["code"])


def test_who_may_do_nothing_gets_no_token(admin, app, exchange, entra_token, registry):
    admin.grant_registry(registry, app)

    status, _ = exchange("exchange", grant_type="access_token", access_token=entra_token())

    assert status == 401


def test_refresh_and_access_tokens_do_not_stand_for_each_other(exchange, entra_token, unique, admin, app):
    refresh = exchange("exchange", grant_type="access_token", access_token=entra_token())[1]["refresh_token"]
    scope = "repository:app:pull"
    access = exchange("token", grant_type="refresh_token", refresh_token=refresh, scope=scope)[1][
        "access_token"
    ]
    admin.create_registry(f"{unique}2")
    admin.grant_registry(f"{unique}2", app, "pull")

    other = f"{unique}2.azurecr.io"
    assert exchange("token", grant_type="refresh_token", refresh_token=access, scope=scope)[0] == 401
    assert exchange("token", other, grant_type="refresh_token", refresh_token=refresh, scope=scope)[0] == 401
    assert exchange("token", grant_type="refresh_token", refresh_token=refresh, scope="nonsense")[0] == 400
    assert exchange("token", grant_type="refresh_token", refresh_token=refresh)[0] == 400
