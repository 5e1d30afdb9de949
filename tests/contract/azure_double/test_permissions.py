"""A vault lets in who bears a token of its tenant, for it, in time, from within its firewall, with the permission."""

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential

from keyferry.testing.eventually import eventually

OBJECTS = ("secrets", "keys", "certificates")


@pytest.fixture
def filled(admin, unique, tls_pem):
    """A vault of a mode with a secret, a key and a certificate, in which nothing is granted."""

    def make(mode):
        name = f"{unique}-{mode}"
        admin.create_vault(name, mode=mode)
        admin.put_secret(name, "db", "value")
        admin.put_key(name, "key", kty="EC")
        admin.put_certificate(name, "tls", tls_pem)
        return name

    return make


@pytest.fixture
def granting(admin, app):
    """Grant the app something in a vault."""
    return lambda vault, *permissions: admin.grant(vault, app, *permissions)


@pytest.fixture
def token_of(ask_token):
    """A token of an app, from its own tenant."""

    def get(app, **changes):
        form = {"tenant": app.tenant, "client_id": app.client_id, "client_secret": app.secret}
        return ask_token(**(form | changes))

    return get


def allowed(call):
    """Whether a call is allowed; it is for nothing but a missing permission that it may be refused."""
    try:
        call()
    except HttpResponseError as error:
        if error.error.innererror["code"] not in ("ForbiddenByRbac", "ForbiddenByPolicy"):
            raise
        return False
    return True


@pytest.fixture
def may(client_for, app):
    """What the app may do in a vault, as pairs such as ("secrets", "get")."""

    made = {}

    def find(vault):
        if vault not in made:
            made[vault] = [client_for(vault, app, kind) for kind in OBJECTS]
        secrets, keys, certificates = made[vault]
        calls = {
            ("secrets", "get"): lambda: secrets.get_secret("db"),
            ("secrets", "list"): lambda: list(secrets.list_properties_of_secrets()),
            ("keys", "get"): lambda: keys.get_key("key"),
            ("keys", "list"): lambda: list(keys.list_properties_of_keys()),
            ("certificates", "get"): lambda: certificates.get_certificate("tls"),
            ("certificates", "list"): lambda: list(certificates.list_properties_of_certificates()),
        }
        return {pair for pair, call in calls.items() if allowed(call)}

    return find


SECRETS = {("secrets", "get"), ("secrets", "list")}
KEYS = {("keys", "get"), ("keys", "list")}
CERTIFICATES = {("certificates", "get"), ("certificates", "list")}


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        ([], set()),
        (["Key Vault Secrets User"], SECRETS),
        (["Key Vault Reader"], {("secrets", "list")} | KEYS | CERTIFICATES),
        (["Key Vault Crypto User"], KEYS),
        (["Key Vault Certificate User"], SECRETS | KEYS | CERTIFICATES),
        (["secrets/getSecret/action"], {("secrets", "get")}),
        (["Microsoft.KeyVault/vaults/keys/read"], KEYS),
    ],
)
def test_roles_and_data_actions_allow_what_they_say(granted, expected, granting, filled, may):
    vault = filled("rbac")
    if granted:
        granting(vault, *granted)

    assert expected == may(vault)


def test_each_access_policy_permission_is_its_own(admin, app, filled, may):
    vault = filled("policy")
    assert may(vault) == set()

    given = set()
    for kind in OBJECTS:
        for operation in ("get", "list"):
            admin.grant(vault, app, f"{kind}/{operation}")
            given.add((kind, operation))
            assert given == may(vault)
    admin.revoke(vault, app)
    assert may(vault) == set()


def test_a_role_may_be_for_one_object_alone(admin, app, filled, client_for):
    vault = filled("rbac")
    admin.put_secret(vault, "other", "value")
    admin.grant(vault, app, "Key Vault Secrets User", scope="secrets/db")
    client = client_for(vault, app)

    assert client.get_secret("DB").value == "value"
    for refused in (lambda: client.get_secret("other"), lambda: list(client.list_properties_of_secrets())):
        with pytest.raises(HttpResponseError) as error:
            refused()
        assert error.value.error.innererror["code"] == "ForbiddenByRbac"


def test_who_may_not_read_does_not_learn_what_there_is(filled, client_for, app):
    client = client_for(filled("rbac"), app)

    for name in ("db", "absent"):
        with pytest.raises(HttpResponseError) as error:
            client.get_secret(name)
        assert error.value.status_code == 403


def test_the_firewall_lets_nobody_in(admin, vault, client):
    admin.put_secret(vault, "db", "value")
    admin.configure_vault(vault, firewall=True)

    with pytest.raises(HttpResponseError) as error:
        client.get_secret("db")

    assert (error.value.status_code, error.value.error.innererror["code"]) == (403, "ForbiddenByFirewall")


@pytest.fixture
def filled_vault(admin, vault):
    """The vault that `knock` asks, with its secret."""
    admin.put_secret(vault, "db", "value")
    return vault


@pytest.fixture
def knock(ask, vault):
    """Read a secret with a token; (status, code, challenge)."""

    def send(token="", query="?api-version=2026-04-01"):
        status, body, headers = ask(
            "GET",
            f"https://{vault}.vault.azure.net/secrets/db{query}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        return status, body.get("error", {}).get("code"), headers.get("WWW-Authenticate", "")

    return send


def test_without_a_token_the_challenge_tells_where_to_get_one(admin, knock):
    status, code, challenge = knock()

    assert (status, code) == (401, "Unauthorized")
    assert challenge == (
        f'Bearer authorization="https://login.microsoftonline.com/{admin.tenant}", '
        'resource="https://vault.azure.net"'
    )


def test_every_part_of_a_token_counts(filled_vault, app, azure, knock, token_of):
    good = token_of(app)
    management = token_of(app, scope="https://management.azure.com/.default")
    foreign = token_of(azure.administrator().create_app(with_secret=True))
    header, claims, signature = good.split(".")
    other_claims = foreign.split(".")[1]

    assert knock(good)[0] == 200
    for refused in (management, foreign, f"{header}.{other_claims}.{signature}", f"{header}.{claims}.", "x"):
        assert knock(refused)[:2] == (401, "Unauthorized")


def test_a_token_ends(filled_vault, app, azure, knock, token_of):
    azure.control.token_lifetime(1)
    token = token_of(app)
    assert knock(token)[0] == 200

    assert eventually(lambda: knock(token)[:2] == (401, "Unauthorized"), every_s=0.1)


def test_after_a_revocation_the_sdk_gets_a_new_token_by_the_challenge(admin, app, azure, vault, client):
    admin.put_secret(vault, "db", "value")
    client.get_secret("db")

    assert azure.control.revoke_tokens(app.oid) == 1
    assert client.get_secret("db").value == "value"

    assert azure.control.token_requests(client_id=app.client_id) == 2
    assert azure.control.count(host=f"{vault}.*", status=401) == 2  # the first of all, and the revoked one


def test_one_token_serves_many_reads(admin, app, azure, vault, client):
    for n in range(5):
        admin.put_secret(vault, f"s-{n}", "value")
        client.get_secret(f"s-{n}")

    assert azure.control.token_requests() == 1
    assert azure.control.count(service="vault", oid=app.oid) == 5
    assert azure.control.count(service="vault", status=401) == 1


@pytest.mark.parametrize("query", ["", "?api-version=1.0"])
def test_an_api_version_that_is_none_is_refused(query, app, knock, ask_token):
    token = ask_token(client_id=app.client_id, client_secret=app.secret)

    assert knock(token, query)[:2] == (400, "BadParameter")


def test_the_sdk_does_not_follow_a_challenge_for_something_else(admin, app, azure, vault, client):
    admin.put_secret(vault, "db", "value")
    admin.configure_vault(vault, challenge_resource="https://management.azure.com")

    with pytest.raises(ValueError, match="does not match the requested domain"):
        client.get_secret("db")

    assert azure.control.token_requests(client_id=app.client_id) == 0


def test_azure_stack_speaks_its_old_version_alone(azure, client_for, unique):
    admin = azure.administrator("AzureStackCloud")
    app = admin.create_app(with_secret=True)
    url = admin.create_vault(unique)
    admin.put_secret(unique, "db", "value")
    admin.grant(unique, app, "Key Vault Secrets User")
    login = "login.azurestack.example"
    credential = ClientSecretCredential(
        app.tenant, app.client_id, app.secret, authority=login, disable_instance_discovery=True
    )

    old = client_for(unique, credential, url=url, api_version="2016-10-01")
    assert old.get_secret("db").value == "value"
    assert [one.name for one in old.list_properties_of_secrets()] == ["db"]
    with pytest.raises(HttpResponseError) as error:
        client_for(unique, credential, url=url, api_version="7.4").get_secret("db")
    assert (error.value.status_code, error.value.error.code) == (400, "BadParameter")
