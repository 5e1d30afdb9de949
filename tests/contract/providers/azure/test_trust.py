"""Where tokens go, and where they do not: not to hosts that are no vaults of the cloud, whatever a vault says."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from tests.contract.providers.azure.conftest import ACCOUNT

from keyferry.errors import AuthFailed, ForbiddenError, KeyferryError, Malformed, SpecError, Unavailable
from keyferry.ports import AmbientIdentity, Find, Read, Verdict
from keyferry.testing.issuer import certificates
from keyferry.testing.leaks import canary

OWN = {**ACCOUNT, "serviceAccountRef": None}
MANAGED = {"authType": "ManagedIdentity", "authSecretRef": None, "tenantId": None}
STACK = {
    "environmentType": "AzureStackCloud",
    "customCloudConfig": {"activeDirectoryEndpoint": "https://login.azurestack.example/"},
}


# The operator's own identity


@pytest.mark.parametrize("changes", [OWN, MANAGED], ids=["workload-identity", "managed-identity"])
@pytest.mark.parametrize("namespace", ["team-a", ""], ids=["namespaced", "cluster"])
def test_operators_identity_is_lent_as_the_flag_says(make_provider, view_of, changes, namespace):
    refused = {}
    for ambient in AmbientIdentity:
        try:
            make_provider(ambient).check(view_of(namespace=namespace, **changes))
        except ForbiddenError as error:
            refused[ambient] = str(error)

    expected = {AmbientIdentity.NONE} if not namespace else {AmbientIdentity.CLUSTER, AmbientIdentity.NONE}
    assert expected == set(refused)
    assert all(f"--ambient-identity={ambient.value}" in text for ambient, text in refused.items())
    assert all("serviceAccountRef" in text for text in refused.values())


@pytest.mark.parametrize("changes", [OWN, MANAGED], ids=["workload-identity", "managed-identity"])
@pytest.mark.parametrize(
    "custom",
    [
        pytest.param(STACK | {"vaultUrl": "https://kv.vault.azurestack.example"}, id="stack"),
        pytest.param({"customCloudConfig": STACK["customCloudConfig"]}, id="other-authority"),
        pytest.param(
            {
                "customCloudConfig": STACK["customCloudConfig"] | {"keyVaultDNSSuffix": "example.com"},
                "vaultUrl": "https://kv.example.com",
            },
            id="other-vaults",
        ),
    ],
)
def test_operators_identity_never_goes_to_a_cloud_that_a_namespace_describes(
    provider, view_of, changes, custom
):
    with pytest.raises(ForbiddenError, match="a cloud that a namespace describes"):
        provider.check(view_of(**changes, **custom))

    assert provider.check(view_of(namespace="", **changes, **custom)) is None


# Hosts


@pytest.mark.parametrize(
    "changes", [{}, ACCOUNT, OWN, MANAGED], ids=["principal", "account", "own", "managed"]
)
@pytest.mark.parametrize(
    "url",
    [
        "https://vault.example.com",
        "https://vault.azure.net",
        "https://kv.vault.azure.net.example.com",
        "https://evil-vault.azure.net",
        "https://kv.vault.azure.cn",
        "https://a.b.vault.azure.net",
        "https://evil.com%2f.vault.azure.net",
        "https://evil.com;.vault.azure.net",
        "https://kv.vault.usgovcloudapi.net",
        "https://10.0.0.1",
        "https://kv.vault.azure.net@example.com",
        "https://example.com#.vault.azure.net",
        "https://example.com?.vault.azure.net",
        "https://example.com\\.vault.azure.net",
    ],
)
def test_vault_is_one_of_the_stores_cloud(provider, view_of, changes, url):
    with pytest.raises((ForbiddenError, SpecError), match=r"spec\.provider\.azurekv\.vaultUrl"):
        provider.check(view_of(vaultUrl=url, **changes))


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ("PublicCloud", "https://kv.vault.azure.net/"),
        ("PublicCloud", "https://KV.Vault.Azure.Net:443"),
        ("PublicCloud", "https://hsm.managedhsm.azure.net"),
        ("USGovernmentCloud", "https://kv.vault.usgovcloudapi.net"),
        ("ChinaCloud", "https://kv.vault.azure.cn"),
        ("GermanCloud", "https://kv.vault.microsoftazure.de"),
    ],
)
def test_vaults_of_each_cloud_are_known(provider, view_of, environment, url):
    assert provider.check(view_of(environmentType=environment, vaultUrl=url)) is None


@pytest.mark.parametrize("field", ["vaultUrl", "activeDirectoryEndpoint", "keyVaultEndpoint"])
@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "localhost", "168.63.129.16", "[::1]"])
def test_addresses_of_the_machine_are_refused_as_written(provider, view_of, field, host):
    custom = STACK["customCloudConfig"] | {"keyVaultEndpoint": "https://vault.example.com"}
    block = {**STACK, "vaultUrl": "https://kv.vault.example.com", "customCloudConfig": custom}
    if field == "vaultUrl":
        block["vaultUrl"] = f"https://{host}"
    else:
        block["customCloudConfig"] = custom | {field: f"https://{host}"}

    with pytest.raises(ForbiddenError, match=field):
        provider.check(view_of(**block))


async def test_name_that_leads_to_the_machine_is_refused_when_it_is_connected_to(
    connect, provider, view_of, app, monkeypatch
):
    import socket

    real = socket.getaddrinfo
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: real("127.0.0.1", *rest, **named))
    client = await connect(provider, view_of())

    for work in (client.validate, lambda: client.read([Read("db")])):
        with pytest.raises(ForbiddenError, match="this machine"):
            await work()


@pytest.mark.parametrize("cloud", ["AzureStackCloud", "ChinaCloud", "USGovernmentCloud", "GermanCloud"])
async def test_every_cloud_is_asked_at_its_own_addresses(
    *, connect, provider, view_of, value, azure, cluster, unique, cloud
):
    administrator = azure.administrator(cloud)
    app = administrator.create_app(with_secret=True)
    url = administrator.create_vault(f"far-{unique}")
    administrator.grant(f"far-{unique}", app, "Key Vault Secrets User")
    administrator.put_secret(f"far-{unique}", "db", "far away")
    cluster.put_secret("team-a", "azure", id=app.client_id, secret=app.secret)
    custom = STACK if cloud == "AzureStackCloud" else {"environmentType": cloud}
    azure.control.reset_calls()

    client = await connect(provider, view_of(vaultUrl=url, tenantId=app.tenant, **custom))

    assert Verdict.READY is await client.validate()
    assert "far away" == await value(client)
    assert 1 == len({call.host for call in azure.control.calls(service="entra")})


# What a vault says


async def test_token_for_something_else_is_not_had(client_of, fail, azure_administrator, vault, azure, leaks):
    """A challenge that asks for more than the vault, such as the resource manager, gets nothing."""
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.configure_vault(vault, challenge_resource="https://management.azure.com")
    client = await client_of()

    error = await fail(client)

    assert AuthFailed is type(error)
    assert "another service" in error.message
    assert 0 == azure.control.token_requests()
    assert {401} == {call.status for call in azure.control.calls(service="vault")}
    assert [] == leaks.look_at_error("failure", error)


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        "Basic realm=x",
        "Bearer x=y",
        'Bearer authorization="https://l/t", resource=""',
        "nonsense",
    ],
)
async def test_challenge_that_is_none_is_told_as_one(
    client_of, fail, azure_administrator, vault, azure, challenge
):
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.configure_vault(vault, raw_challenge=challenge or "none")
    client = await client_of()

    assert Malformed is type(await fail(client))
    with pytest.raises(Malformed):
        await client.validate()
    assert 0 == azure.control.token_requests()


async def test_challenge_is_asked_for_anew_after_a_wrong_one(
    client_of, fail, value, azure_administrator, vault
):
    """The SDK keeps challenges for the whole process."""
    azure_administrator.put_secret(vault, "db", "v")
    azure_administrator.configure_vault(vault, challenge_resource="https://management.azure.com")
    client = await client_of()
    assert AuthFailed is type(await fail(client))
    azure_administrator.configure_vault(vault, challenge_resource="")

    assert "v" == await value(client)


async def test_vault_of_another_tenant_is_told_before_a_token_is_asked_for(
    connect, provider, view_of, azure, cluster, fail
):
    other = azure.administrator()
    stranger = other.create_app(with_secret=True)
    cluster.put_secret("team-a", "azure", id=stranger.client_id, secret=stranger.secret)
    azure.control.reset_calls()
    client = await connect(provider, view_of(tenantId=stranger.tenant))

    error = await fail(client)

    assert AuthFailed is type(error)
    assert "another tenant" in error.message
    assert 0 == azure.control.token_requests()


async def test_authority_is_the_clouds_whatever_the_vault_names(
    client_of, value, azure_administrator, vault, azure
):
    """The challenge names one, too: it is not asked."""
    azure_administrator.put_secret(vault, "db", "v")
    client = await client_of()
    await value(client)

    assert {"login.microsoftonline.com"} == {call.host for call in azure.control.calls(service="entra")}
    assert [] == azure.control.refused_hosts()


@pytest.fixture
def impostor(tmp_path) -> Iterator[ImpostorVault]:
    made = ImpostorVault(tmp_path)
    yield made
    made.close()


class ImpostorVault:
    """A server that a namespace calls its vault: it answers as it likes, and notes what it is shown."""

    def __init__(self, folder):
        self.ca_pem, tls = certificates(folder)
        self.shown = []
        self.answer = {}
        self.status = 200
        self.headers = {}
        impostor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                token = self.headers.get("Authorization", "")
                impostor.shown.append((self.path, token))
                body = json.dumps(impostor.answer).encode()
                status = impostor.status
                headers = dict(impostor.headers)
                if not token:
                    status, body = 401, b"{}"
                    headers = {"WWW-Authenticate": impostor.challenge}
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                """Nothing to standard error."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.challenge = (
            'Bearer authorization="https://evil.example.com/t", resource="https://vault.local.example"'
        )

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def impostor_client_of(impostor, azure, make_provider, connect, view_of, cluster, monkeypatch, tmp_path):
    """A client of a store in a namespace's own cloud, whose vault is the impostor."""
    local = azure.administrator("LocalCloud")
    app = local.create_app(with_secret=True)
    cluster.put_secret("team-a", "azure", id=app.client_id, secret=app.secret)
    bundle = tmp_path / "both.pem"
    bundle.write_text(azure.ca_pem + impostor.ca_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    async def make(**changes):
        custom = {k: v for k, v in azure.custom_cloud.items() if k != "keyVaultDNSSuffix"} | changes
        block = {"vaultUrl": impostor.url, "tenantId": app.tenant, "customCloudConfig": custom}
        return await connect(make_provider(allowed=["127.0.0.1"]), view_of(**block))

    return make


BUNDLE = {
    "value": canary("azure-impostor"),
    "id": "https://kv.vault.local.example/secrets/db/0123456789abcdef0123456789abcdef",
    "attributes": {"enabled": True},
}


async def test_cloud_of_a_namespaces_own_is_asked_with_its_own_identity(impostor, impostor_client_of, azure):
    impostor.answer = BUNDLE
    client = await impostor_client_of()
    azure.control.reset_calls()

    (answer,) = await client.read([Read("db")])

    assert canary("azure-impostor") == answer.value.reveal().decode()
    assert {"127.0.0.1"} == {call.host for call in azure.control.calls(service="entra")}


@pytest.mark.parametrize(
    "resource",
    [
        "https://management.local.example",
        "https://example",
        "https://",
        "https://127.0.0.1.example.com",
        "http://vault.local.example",
    ],
)
async def test_own_cloud_gives_no_token_for_what_is_no_vault_of_it(
    impostor, impostor_client_of, fail, azure, resource
):
    impostor.challenge = f'Bearer authorization="https://evil.example.com/t", resource="{resource}"'
    client = await impostor_client_of()
    azure.control.reset_calls()

    assert AuthFailed is type(await fail(client))
    assert 0 == azure.control.token_requests()
    assert [""] == [token for _, token in impostor.shown]


@pytest.mark.parametrize(
    "link",
    [
        "https://127.0.0.1:1/secrets?api-version=7.4&$skiptoken=x",
        "https://evil.example.com/secrets",
        "http://127.0.0.1/secrets",
        "https://127.0.0.1@evil.example.com/secrets",
        "//evil.example.com/secrets",
    ],
)
async def test_next_page_at_another_host_is_not_followed(impostor, impostor_client_of, azure, link, leaks):
    impostor.answer = {"value": [], "nextLink": link}
    client = await impostor_client_of()
    azure.control.reset_calls()

    with pytest.raises(KeyferryError) as failure:
        await client.find(Find(name="x"))

    assert isinstance(failure.value, Malformed | Unavailable)
    assert len(impostor.shown) <= 4
    assert [] == azure.control.refused_hosts()
    assert [] == leaks.look_at_error("failure", failure.value)


async def test_redirect_is_not_followed(impostor, impostor_client_of, fail):
    impostor.status, impostor.headers = 302, {"Location": f"{impostor.url}/elsewhere"}
    client = await impostor_client_of()

    error = await fail(client)

    assert isinstance(error, Malformed)
    assert {"/secrets/db/"} == {path.partition("?")[0] for path, _ in impostor.shown}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([], id="list"),
        pytest.param(None, id="null"),
        pytest.param({}, id="nothing"),
        pytest.param("text", id="text"),
        pytest.param({"value": "v"}, id="no-id"),
        pytest.param({"value": "v", "id": 5}, id="number-for-an-id"),
        pytest.param({"value": "v", "id": "x"}, id="id-that-is-none"),
        pytest.param({**BUNDLE, "value": 5}, id="number-for-a-value"),
        pytest.param({**BUNDLE, "value": None}, id="no-value"),
        pytest.param({**BUNDLE, "tags": [1]}, id="list-for-tags"),
        pytest.param({**BUNDLE, "attributes": "x"}, id="text-for-attributes"),
    ],
)
@pytest.mark.parametrize("metadata", [False, True], ids=["value", "metadata"])
async def test_answer_that_is_none_is_never_not_found(impostor, impostor_client_of, answer, metadata, leaks):
    """It may be read as a value where it is enough of one; else it says nothing about the remote secret."""
    impostor.answer = answer
    client = await impostor_client_of()

    try:
        (got,) = await client.read([Read("db", metadata=metadata)])
    except KeyferryError as error:
        got = error

    assert isinstance(got, Malformed) or (
        answer.get("id") == BUNDLE["id"] and not isinstance(got, KeyferryError)
    )
    if isinstance(got, KeyferryError):
        assert [] == leaks.look_at_error("failure", got)


@pytest.mark.parametrize(
    "body",
    [{}, {"error": {}}, {"error": {"code": "NotFound"}}, {"error": "SecretNotFound"}, ["SecretNotFound"]],
    ids=["empty", "no-code", "other-code", "text", "list"],
)
async def test_not_found_of_somebody_in_between_is_not_the_vaults(impostor, impostor_client_of, fail, body):
    """By a "not found" a Secret may be deleted: only Key Vault's own word for it counts."""
    impostor.status, impostor.answer = 404, body
    client = await impostor_client_of()

    error = await fail(client)

    assert type(error).__name__ not in ("RemoteSecretNotFound", "AccessDenied")


async def test_body_without_end_is_ended(client_of, fail, azure_administrator, vault, azure):
    azure_administrator.put_secret(vault, "db", "v")
    azure.control.fail(service="vault", kind="endless", path="/secrets/db*")

    assert Malformed is type(await fail(await client_of()))


async def test_sdk_logs_nothing_of_a_request(
    client_of, value, azure_administrator, vault, caplog, leaks, app
):
    import logging

    azure_administrator.put_secret(vault, "db", canary("azure-logged"))
    with caplog.at_level(logging.DEBUG):
        await value(await client_of())

    text = "\n".join(record.getMessage() for record in caplog.records)
    assert [] == leaks.look("log", text)
    assert app.secret not in text
    assert "Bearer ey" not in text


def test_everything_goes_by_the_guarded_way_out():
    """White box: no client of the SDK is made with a transport of its own but that of the machine's endpoint."""
    import inspect

    from keyferry.providers.azure import sdk

    source = inspect.getsource(sdk)
    assert 1 == source.count("AioHttpTransport(")
    assert "AioHttpTransport(" in inspect.getsource(sdk._machine_credential)
