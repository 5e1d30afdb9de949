"""A ServiceAccount token stands for an app exactly where a federated credential says so."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential, WorkloadIdentityCredential
from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE = "api://AzureADTokenExchange"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "https://vault.azure.net/.default"
SUBJECT = "system:serviceaccount:team-a:app"


@pytest.fixture
def federated(admin, issuer):
    return admin.app_for_service_account(issuer.url, "team-a", "app")


@pytest.fixture
def exchange(ask_token, federated):
    """The refusal of an assertion, or a token."""

    def send(assertion, client_id=federated.client_id):
        return ask_token(client_id=client_id, client_assertion_type=BEARER, client_assertion=assertion)

    return send


def test_the_sdk_gets_a_token_for_a_service_account_token(azure, issuer, federated):
    credential = ClientAssertionCredential(
        federated.tenant, federated.client_id, lambda: issuer.token(SUBJECT, [AUDIENCE])
    )

    token = credential.get_token(SCOPE).token

    assert jwt.decode(token, options={"verify_signature": False})["oid"] == federated.oid
    (call,) = azure.control.calls(path="*/oauth2/v2.0/token")
    assert (call.subject, call.oid, call.status) == (SUBJECT, federated.oid, 200)


def test_the_sdk_gets_one_for_the_token_file_of_a_pod(issuer, federated, tmp_path):
    file = tmp_path / "token"
    file.write_text(issuer.token(SUBJECT, [AUDIENCE]))

    credential = WorkloadIdentityCredential(
        tenant_id=federated.tenant, client_id=federated.client_id, token_file_path=str(file)
    )

    assert credential.get_token(SCOPE).token


def test_it_can_stand_for_a_user_assigned_identity(admin, issuer, exchange):
    identity = admin.managed_identity(on_machine=False)
    admin.federate(identity, issuer.url, SUBJECT)

    token = exchange(issuer.token(SUBJECT, [AUDIENCE]), identity.client_id)

    assert jwt.decode(token, options={"verify_signature": False})["oid"] == identity.oid


def test_a_key_that_was_published_after_the_first_fetch_is_fetched(issuer, exchange):
    exchange(issuer.token(SUBJECT, [AUDIENCE]))
    issuer.add_key("ec-1", ec.generate_private_key(ec.SECP256R1()))

    assert isinstance(exchange(issuer.token(SUBJECT, [AUDIENCE], key_id="ec-1", algorithm="ES256")), str)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"subject": "system:serviceaccount:team-a:other"}, 700213, id="account"),
        pytest.param({"subject": "system:serviceaccount:team-b:app"}, 700213, id="namespace"),
        pytest.param({"subject": "system:serviceaccount:team-a:App"}, 7002138, id="case"),
        pytest.param({"audiences": ["https://kubernetes.default.svc"]}, 700212, id="audience"),
        pytest.param({"iss": "https://issuer.example.com"}, 700211, id="issuer"),
        pytest.param({"iat": 1, "nbf": 1, "exp": 2}, 700024, id="over"),
        pytest.param({"nbf": 4_000_000_000, "exp": 4_000_000_600}, 700024, id="not-yet"),
        pytest.param({"exp": None}, 50013, id="no-end"),
    ],
)
def test_every_claim_counts(changes, code, issuer, exchange):
    subject = changes.pop("subject", SUBJECT)

    answer = exchange(issuer.token(subject, changes.pop("audiences", [AUDIENCE]), **changes))

    assert answer == (401, "invalid_client", code)


def test_the_audience_may_be_one_of_several(issuer, exchange):
    assert isinstance(exchange(issuer.token(SUBJECT, ["other", AUDIENCE])), str)


def test_a_credential_may_name_another_audience(admin, issuer, exchange):
    app = admin.app_for_service_account(issuer.url, "team-a", "app", audience="api://stack")

    assert isinstance(exchange(issuer.token(SUBJECT, ["api://stack"]), app.client_id), str)
    assert exchange(issuer.token(SUBJECT, [AUDIENCE]), app.client_id) == (401, "invalid_client", 700212)


def test_an_app_without_federated_credentials_is_told_apart(admin, issuer, exchange, federated):
    other = admin.create_app()

    assert exchange(issuer.token(SUBJECT, [AUDIENCE]), other.client_id) == (401, "invalid_client", 70025)
    admin.remove_federation(federated)
    assert exchange(issuer.token(SUBJECT, [AUDIENCE])) == (401, "invalid_client", 70025)


def forged(issuer, case, rsa_keys):
    token = issuer.token(SUBJECT, [AUDIENCE])
    header, claims, signature = token.split(".")
    if case == "key":
        return issuer.token(SUBJECT, [AUDIENCE], key=rsa_keys[1])
    if case == "claims":
        header, _, signature = issuer.token("system:serviceaccount:team-b:other", [AUDIENCE]).split(".")
        return f"{header}.{claims}.{signature}"
    if case == "unknown-key":
        issuer.add_key("later", rsa_keys[2])
        token = issuer.token(SUBJECT, [AUDIENCE], key_id="later")
        del issuer.keys["later"]
        return token
    head = {"typ": "JWT", "kid": "rsa-1", "alg": "none" if case == "none" else "HS256"}
    header = base64.urlsafe_b64encode(json.dumps(head).encode()).decode().rstrip("=")
    if case == "none":
        return f"{header}.{claims}."
    mac = hmac.digest(issuer.public_pem(), f"{header}.{claims}".encode(), hashlib.sha256)
    return f"{header}.{claims}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


@pytest.mark.parametrize("case", ["key", "claims", "unknown-key", "none", "hmac"])
def test_what_the_issuer_has_not_signed_proves_nothing(case, issuer, exchange, rsa_keys):
    assert exchange(forged(issuer, case, rsa_keys)) == (401, "invalid_client", 50013)


def test_an_issuer_that_cannot_be_reached_is_told(admin, issuer, exchange):
    """Its address is a port where nothing listens."""
    gone = "https://127.0.0.1:1"
    app = admin.create_app()
    admin.federate(app, gone, SUBJECT)

    answer = exchange(issuer.token(SUBJECT, [AUDIENCE], iss=gone), app.client_id)

    assert answer == (400, "invalid_request", 90061)


def test_an_issuer_whose_document_names_another_is_not_believed(issuer, exchange):
    issuer.served_issuer = "https://issuer.example.com"

    assert exchange(issuer.token(SUBJECT, [AUDIENCE])) == (401, "invalid_client", 50013)


def test_the_sdk_tells_what_does_not_match(issuer, federated):
    now = int(time.time())
    tokens = {
        "AADSTS700213": issuer.token("system:serviceaccount:team-a:other", [AUDIENCE]),
        "AADSTS700024": issuer.token(SUBJECT, [AUDIENCE], iat=now - 900, nbf=now - 900, exp=now - 300),
    }
    for code, assertion in tokens.items():
        credential = ClientAssertionCredential(
            federated.tenant, federated.client_id, lambda assertion=assertion: assertion
        )
        with pytest.raises(ClientAuthenticationError, match=code):
            credential.get_token(SCOPE)
