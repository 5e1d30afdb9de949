"""Every call is signed by a key that exists, is in force, and belongs to who holds it."""

import datetime as dt
import json

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from keyferry.testing.aws import AccessKeys
from keyferry.testing.aws.signature import TIMESTAMP


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def user(admin, unique):
    """A user who may read the secrets under its own name, one of which exists."""
    admin.put_secret(f"{unique}/db", "value")
    return admin.create_user(unique, allow=[f"{unique}/*"])


@pytest.fixture
def read(client_for, unique):
    """Read the user's secret; the value, or the error's code and status."""

    def read(who):
        try:
            answer = client_for("secretsmanager", who).get_secret_value(SecretId=f"{unique}/db")
        except ClientError as error:
            told = error.response
            return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]
        return answer["SecretString"]

    return read


def test_a_user_reads_with_its_key(user, read):
    assert read(user) == "value"


def test_a_wrong_secret_key_is_refused_by_every_service(user, read, client_for):
    wrong = AccessKeys(user.access_key_id, "x" * 40)

    assert read(wrong) == ("InvalidSignatureException", 400)
    assert refusal(client_for("sts", wrong).get_caller_identity) == ("SignatureDoesNotMatch", 403)
    assert refusal(client_for("iam", wrong).list_users) == ("SignatureDoesNotMatch", 403)


def test_an_unknown_key_is_refused_by_every_service(read, client_for):
    unknown = AccessKeys("AKIAAAAAAAAAAAAAAAAA", "x" * 40)

    assert read(unknown) == ("UnrecognizedClientException", 400)
    assert refusal(client_for("sts", unknown).get_caller_identity) == ("InvalidClientTokenId", 403)


def test_a_disabled_key_is_refused_until_it_is_enabled_again(admin, user, read, unique):
    iam = admin.client("iam")
    iam.update_access_key(UserName=unique, AccessKeyId=user.access_key_id, Status="Inactive")
    assert read(user) == ("UnrecognizedClientException", 400)

    iam.update_access_key(UserName=unique, AccessKeyId=user.access_key_id, Status="Active")
    assert read(user) == "value"


def test_a_deleted_key_is_refused(admin, user, read, unique):
    admin.client("iam").delete_access_key(UserName=unique, AccessKeyId=user.access_key_id)

    assert read(user) == ("UnrecognizedClientException", 400)


def test_a_long_term_key_with_a_token_is_refused(aws, user, client_for):
    sm = client_for(
        "secretsmanager",
        {
            "Credentials": {
                "AccessKeyId": user.access_key_id,
                "SecretAccessKey": user.secret_access_key,
                "SessionToken": "made-up",
            }
        },
    )

    assert refusal(sm.list_secrets) == ("UnrecognizedClientException", 400)


@pytest.fixture
def session(admin, user, client_for, unique):
    """Credentials of a session that may read the user's secret."""
    role = admin.role_for_principals(
        f"{unique}-role", [f"arn:aws:iam::123456789012:user/{unique}"], allow=[f"{unique}/*"]
    )
    return client_for("sts", user).assume_role(RoleArn=role, RoleSessionName="session")


def test_temporary_credentials_read_until_they_expire_and_are_then_refused_by_every_service(
    aws, session, read, client_for
):
    assert read(session) == "value"

    assert aws.control.expire_sessions(session["Credentials"]["AccessKeyId"]) == 1

    assert read(session) == ("ExpiredTokenException", 400)
    assert refusal(client_for("sts", session).get_caller_identity) == ("ExpiredToken", 403)
    assert refusal(client_for("iam", session).list_users) == ("ExpiredToken", 403)
    assert refusal(client_for("ssm", session).describe_parameters) == ("ExpiredTokenException", 400)


def test_credentials_live_as_short_as_the_test_orders(aws, admin, user, client_for, unique):
    role = admin.role_for_principals(f"{unique}-short", [f"arn:aws:iam::123456789012:user/{unique}"])
    aws.control.session_lifetime(45)

    answer = client_for("sts", user).assume_role(RoleArn=role, RoleSessionName="short")

    left = answer["Credentials"]["Expiration"] - dt.datetime.now(dt.UTC)
    assert 40 < left.total_seconds() <= 45


@pytest.mark.parametrize("token", ["", "another"])
def test_a_session_key_with_a_wrong_or_no_token_is_refused(session, read, token):
    given = {**session["Credentials"], "SessionToken": token or None}

    assert read({"Credentials": given}) == ("UnrecognizedClientException", 400)


# Requests that no SDK would make


@pytest.fixture
def send(aws):
    """Send a signed request as given, after a change that the signature does not cover; code of the error."""

    def send(keys, *, change=lambda request: None, service="secretsmanager", at=None, hide=()):
        body = json.dumps({"SecretId": "any"}).encode()
        headers = {
            "X-Amz-Target": "secretsmanager.GetSecretValue",
            "Content-Type": "application/x-amz-json-1.1",
        }
        request = AWSRequest("POST", f"{aws.endpoint}/", headers=headers, data=body)
        signer = SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key), service, "eu-central-1")
        kept = {name: request.headers.pop(name) for name in hide}
        stamp = (at or dt.datetime.now(dt.UTC)).strftime(TIMESTAMP)
        request.context["timestamp"] = stamp
        request.headers["X-Amz-Date"] = stamp
        signature = signer.signature(
            signer.string_to_sign(request, signer.canonical_request(request)), request
        )
        signer._inject_signature_to_request(request, signature)
        for name, value in kept.items():
            request.headers[name] = value
        change(request)
        answer = urllib3.request(
            "POST", request.url, headers=dict(request.headers.items()), body=request.data
        )
        return answer.json()

    return send


def test_a_request_signed_by_hand_is_accepted(user, send):
    told = send(user)

    assert told["__type"] == "AccessDeniedException"  # signed well, and not permitted


def test_a_body_changed_after_signing_is_refused(user, send):
    def change(request):
        request.data = b'{"SecretId": "other"}'

    assert send(user, change=change)["__type"] == "InvalidSignatureException"


def test_a_signed_header_changed_after_signing_is_refused(user, send):
    def change(request):
        del request.headers["X-Amz-Target"]
        request.headers["X-Amz-Target"] = "secretsmanager.ListSecrets"

    assert send(user, change=change)["__type"] == "InvalidSignatureException"


def test_a_payload_declared_as_unsigned_is_refused(user, send):
    def change(request):
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"

    assert send(user, change=change)["__type"] == "InvalidSignatureException"


def test_a_signature_for_another_service_is_refused(user, send):
    told = send(user, service="ssm")

    assert told["__type"] == "InvalidSignatureException"
    assert told["message"].startswith("Credential should be scoped to correct service: 'secretsmanager'")


@pytest.mark.parametrize(
    ("minutes", "text"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")]
)
def test_a_signature_of_another_time_is_refused(user, send, minutes, text):
    told = send(user, at=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes))

    assert told["__type"] == "InvalidSignatureException"
    assert told["message"].startswith(text)


def test_a_session_token_that_the_signature_does_not_cover_is_refused(aws, session, send):
    given = session["Credentials"]

    def change(request):
        request.headers["X-Amz-Security-Token"] = given["SessionToken"]

    told = send(AccessKeys(given["AccessKeyId"], given["SecretAccessKey"]), change=change)

    assert told["__type"] == "InvalidSignatureException"


def test_a_request_without_a_signature_is_refused(user, send):
    def change(request):
        del request.headers["Authorization"]

    assert send(user, change=change)["__type"] == "MissingAuthenticationTokenException"


def test_a_malformed_authorization_is_refused(user, send):
    def change(request):
        del request.headers["Authorization"]
        request.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=nothing"

    assert send(user, change=change)["__type"] == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "path", ["/moto-api/reset", "/moto-api/reset-auth", "/moto-api/data.json", "/", "/_keyferry/calls"]
)
def test_neither_motos_own_api_nor_ours_is_reachable_at_the_endpoint(aws, path):
    answer = urllib3.request("POST", f"{aws.endpoint}{path}", body=b"0")

    assert answer.status in {400, 403, 404}
    assert b"UnknownOperationException" in answer.data


def test_the_control_api_refuses_callers_without_its_token(aws):
    answer = urllib3.request("POST", f"{aws.ready.control}/_keyferry/calls", body=b"{}")

    assert answer.status == 401
