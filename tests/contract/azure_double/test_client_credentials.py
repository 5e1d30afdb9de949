"""Entra ID gives tokens for client secrets and for assertions by registered certificates, and else says why not."""

import json
import time
import uuid

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential

SCOPE = "https://vault.azure.net/.default"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def test_a_client_secret_gets_a_token_that_says_who_and_for_what(app):
    token = ClientSecretCredential(app.tenant, app.client_id, app.secret).get_token(SCOPE)

    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert claims["aud"] == "https://vault.azure.net"
    assert claims["iss"] == f"https://sts.windows.net/{app.tenant}/"
    assert (claims["oid"], claims["appid"], claims["tid"]) == (app.oid, app.client_id, app.tenant)
    assert 3500 < token.expires_on - time.time() <= 3600


def test_a_token_verifies_with_the_keys_that_the_discovery_document_leads_to(app, ask):
    token = ClientSecretCredential(app.tenant, app.client_id, app.secret).get_token(SCOPE).token

    _, document, _ = ask(
        "GET", f"https://login.microsoftonline.com/{app.tenant}/v2.0/.well-known/openid-configuration"
    )
    _, keys, _ = ask("GET", document["jwks_uri"])
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, ["RS256"], audience="https://vault.azure.net")["oid"] == app.oid


def test_a_registered_certificate_gets_a_token(certified, pem_of):
    app, key, certificate = certified
    bundle = (pem_of(key) + certificate).encode()

    token = CertificateCredential(app.tenant, app.client_id, certificate_data=bundle).get_token(SCOPE).token

    assert jwt.decode(token, options={"verify_signature": False})["appidacr"] == "2"


@pytest.mark.parametrize(
    "case",
    ["other", pytest.param("over", id="over-already"), pytest.param("gone", id="no-longer-registered")],
)
def test_a_certificate_that_does_not_count_is_refused(case, admin, rsa_keys, make_certificate, pem_of):
    registered = make_certificate(rsa_keys[1], days=-1 if case == "over" else 1)
    app = admin.create_app(certificate=registered)
    if case == "gone":
        admin.remove_certificates(app)
    used = make_certificate(rsa_keys[2]) if case == "other" else registered
    bundle = (pem_of(rsa_keys[2 if case == "other" else 1]) + used).encode()

    with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
        CertificateCredential(app.tenant, app.client_id, certificate_data=bundle).get_token(SCOPE)


@pytest.fixture
def certified(admin, rsa_keys, make_certificate):
    """An app, its key, and the certificate that is registered for it."""
    certificate = make_certificate(rsa_keys[1])
    return admin.create_app(certificate=certificate), rsa_keys[1], certificate


def assertion_of(app, key, certificate, *, headers=None, **changes):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    print_ = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256())
    thumbprint = jwt.utils.base64url_encode(print_).decode()
    now = int(time.time())
    audience = f"https://login.microsoftonline.com/{app.tenant}/oauth2/v2.0/token"
    claims = {"iss": app.client_id, "sub": app.client_id, "aud": audience, "jti": str(uuid.uuid4())}
    claims |= {"nbf": now - 5, "exp": now + 600} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, "RS256", headers={"x5t#S256": thumbprint} | (headers or {}))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({}, 0, id="good"),
        pytest.param({"aud": "https://login.microsoftonline.com/other/oauth2/v2.0/token"}, 700023, id="aud"),
        pytest.param({"nbf": 1, "exp": 2}, 700024, id="over"),
        pytest.param({"nbf": 4_000_000_000, "exp": 4_000_000_600}, 700024, id="not-yet"),
        pytest.param({"sub": "someone"}, 700021, id="sub"),
        pytest.param({"jti": None}, 700027, id="no-jti"),
        pytest.param({"exp": None}, 700027, id="no-exp"),
        pytest.param({"headers": {"x5t#S256": "AAAA"}}, 700027, id="thumbprint"),
        pytest.param({"headers": {"x5t#S256": None}}, 700027, id="no-thumbprint"),
    ],
)
def test_every_claim_of_an_assertion_counts(changes, code, certified, ask_token):
    app, key, certificate = certified

    answer = ask_token(
        client_id=app.client_id,
        client_assertion_type=BEARER,
        client_assertion=assertion_of(app, key, certificate, **changes),
    )

    assert isinstance(answer, str) if not code else answer == (401, "invalid_client", code)


def test_an_assertion_signed_by_another_key_is_refused(certified, rsa_keys, ask_token):
    app, _, certificate = certified

    assertion = assertion_of(app, rsa_keys[2], certificate)
    answer = ask_token(client_id=app.client_id, client_assertion_type=BEARER, client_assertion=assertion)

    assert answer == (401, "invalid_client", 700027)


def tenant_unknown(app, _):
    return {"tenant": str(uuid.uuid4()), "client_secret": app.secret}, (400, "invalid_request", 90002)


def tenant_of_another_cloud(app, _):
    return (
        {"host": "login.chinacloudapi.cn", "client_secret": app.secret},
        (400, "invalid_request", 90002),
    )


def app_of_another_tenant(app, azure):
    return (
        {"tenant": azure.administrator().tenant, "client_secret": app.secret},
        (400, "unauthorized_client", 700016),
    )


REFUSALS = {
    "tenant": tenant_unknown,
    "cloud": tenant_of_another_cloud,
    "directory": app_of_another_tenant,
    "shared": lambda app, _: (
        {"tenant": "organizations", "client_secret": app.secret},
        (400, "invalid_request", 50059),
    ),
    "app": lambda _, __: ({"client_id": str(uuid.uuid4())}, (400, "unauthorized_client", 700016)),
    "secret": lambda _, __: ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
    "no-proof": lambda _, __: ({}, (401, "invalid_client", 7000218)),
    "no-client": lambda _, __: ({"client_id": ""}, (400, "invalid_request", 900144)),
    "grant": lambda _, __: ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
    "scope": lambda app, _: (
        {"client_secret": app.secret, "scope": "https://vault.azure.net"},
        (400, "invalid_scope", 1002012),
    ),
    "resource": lambda app, _: (
        {"client_secret": app.secret, "scope": "https://vault.example.com/.default"},
        (400, "invalid_resource", 500011),
    ),
    "resource-of-another-cloud": lambda app, _: (
        {"client_secret": app.secret, "scope": "https://vault.azure.cn/.default"},
        (400, "invalid_resource", 500011),
    ),
    "no-jwt": lambda _, __: (
        {"client_assertion_type": BEARER, "client_assertion": "text"},
        (400, "invalid_request", 50027),
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSALS))
def test_each_mistake_has_its_own_code(case, app, azure, ask_token):
    form, refusal = REFUSALS[case](app, azure)

    assert refusal == ask_token(**({"client_id": app.client_id} | form))


def test_secrets_that_are_over_or_gone_are_told_apart(admin, app, ask_token):
    admin.expire_client_secrets(app)
    newer = admin.new_client_secret(app)

    assert ask_token(client_id=app.client_id, client_secret=app.secret) == (401, "invalid_client", 7000222)
    assert isinstance(ask_token(client_id=app.client_id, client_secret=newer), str)
    admin.remove_client_secrets(app)
    assert ask_token(client_id=app.client_id, client_secret=app.secret) == (401, "invalid_client", 7000215)


def test_a_disabled_app_gets_no_token(admin, app, ask_token):
    admin.disable_identity(app)
    refused = ask_token(client_id=app.client_id, client_secret=app.secret)
    admin.disable_identity(app, disabled=False)

    assert refused == (401, "unauthorized_client", 7000112)
    assert isinstance(ask_token(client_id=app.client_id, client_secret=app.secret), str)


def test_the_sdk_tells_a_wrong_secret_and_an_unknown_tenant(app):
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        ClientSecretCredential(app.tenant, app.client_id, "wrong").get_token(SCOPE)
    with pytest.raises(ClientAuthenticationError):
        ClientSecretCredential(str(uuid.uuid4()), app.client_id, app.secret).get_token(SCOPE)


@pytest.mark.parametrize("cloud", ["USGovernmentCloud", "ChinaCloud", "GermanCloud", "AzureStackCloud"])
def test_each_cloud_has_its_own_hosts_and_resources(azure, cloud):
    hosts = {
        "USGovernmentCloud": ("login.microsoftonline.us", "vault.usgovcloudapi.net"),
        "ChinaCloud": ("login.chinacloudapi.cn", "vault.azure.cn"),
        "GermanCloud": ("login.microsoftonline.de", "vault.microsoftazure.de"),
        "AzureStackCloud": ("login.azurestack.example", "vault.azurestack.example"),
    }
    authority, resource = hosts[cloud]
    app = azure.administrator(cloud).create_app(with_secret=True)

    credential = ClientSecretCredential(
        app.tenant, app.client_id, app.secret, authority=authority, disable_instance_discovery=True
    )
    token = credential.get_token(f"https://{resource}/.default").token

    assert jwt.decode(token, options={"verify_signature": False})["aud"] == f"https://{resource}"


def test_instance_discovery_knows_microsofts_clouds_alone(azure, app):
    """Without the switch the SDK asks it about authorities that it does not know itself."""
    stack = azure.administrator("AzureStackCloud").create_app(with_secret=True)

    with pytest.raises(ClientAuthenticationError, match="not well-known"):
        ClientSecretCredential(
            stack.tenant, stack.client_id, stack.secret, authority="login.azurestack.example"
        ).get_token(SCOPE)

    asked = azure.control.calls(path="/common/discovery/instance")
    assert [(call.host, call.status) for call in asked] == [("login.microsoftonline.com", 400)]


def test_the_log_tells_who_got_a_token_and_holds_no_proof(azure, app, ask_token):
    token = ask_token(client_id=app.client_id, client_secret=app.secret)
    ask_token(client_id=app.client_id, client_secret="wrong")

    good, bad = azure.control.calls(path="*/oauth2/v2.0/token")
    assert (good.oid, good.client_id, good.status, good.error) == (app.oid, app.client_id, 200, "")
    assert (bad.oid, bad.client_id, bad.status, bad.error) == ("", app.client_id, 401, "AADSTS7000215")
    assert azure.control.token_requests(client_id=app.client_id) == 2
    kept = json.dumps([str(call) for call in azure.control.calls()])
    assert app.secret not in kept
    assert token not in kept
