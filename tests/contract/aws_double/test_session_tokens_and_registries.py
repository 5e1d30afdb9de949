"""GetSessionToken and the logins of registries are given and refused as AWS documents it."""

from __future__ import annotations

import base64
import hmac
import json
import struct
import time
from datetime import UTC, datetime

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"


def one_time_password(seed, ahead=0):
    step = int(time.time()) // 30 + ahead
    mac = hmac.digest(base64.b32decode(seed), struct.pack(">Q", step), "sha1")
    (number,) = struct.unpack_from(">I", mac, mac[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 10**6:06d}"


@pytest.fixture
def user(admin, unique):
    return admin.create_user(unique, allow=["shop/*"])


@pytest.fixture
def refused():
    def code(call, **arguments):
        with pytest.raises(ClientError) as error:
            call(**arguments)
        return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]

    return code


@pytest.fixture
def device(admin, user, unique):
    iam = admin.client("iam")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=unique)["VirtualMFADevice"]
    iam.enable_mfa_device(
        UserName=unique,
        SerialNumber=made["SerialNumber"],
        AuthenticationCode1="0" * 6,
        AuthenticationCode2="1" * 6,
    )
    return made["SerialNumber"], made["Base32StringSeed"]


def test_session_may_what_its_user_may(admin, client_for, user, unique, refused):
    admin.put_secret("shop/db", "value")
    admin.put_secret(f"other-{unique}", "value")
    session = client_for("sts", user).get_session_token()
    secrets = client_for("secretsmanager", session)

    assert "value" == secrets.get_secret_value(SecretId="shop/db")["SecretString"]
    assert "AccessDeniedException" == refused(secrets.get_secret_value, SecretId=f"other-{unique}")[0]
    assert f"arn:aws:iam::{ACCOUNT}:user/{unique}" == client_for("sts", session).get_caller_identity()["Arn"]


def test_session_needs_its_token(client_for, user, refused):
    session = client_for("sts", user).get_session_token()
    session["Credentials"]["SessionToken"] = "another"

    code, _ = refused(client_for("sts", session).get_caller_identity)

    assert "InvalidClientTokenId" == code


@pytest.mark.parametrize(("asked", "seconds"), [({}, 43_200), ({"DurationSeconds": 900}, 900)])
def test_session_lasts_as_asked(client_for, user, asked, seconds):
    answer = client_for("sts", user).get_session_token(**asked)

    left = answer["Credentials"]["Expiration"] - datetime.now(UTC)
    assert abs(left.total_seconds() - seconds) < 30


@pytest.mark.parametrize("seconds", [900 - 1, 129_601])
def test_session_lasts_no_other_time(client_for, user, refused, seconds):
    client = client_for("sts", user, config=Config(parameter_validation=False))

    assert "ValidationError" == refused(client.get_session_token, DurationSeconds=seconds)[0]


def test_session_ends(aws, client_for, user, refused):
    session = client_for("sts", user).get_session_token()
    aws.control.expire_sessions()

    assert "ExpiredToken" == refused(client_for("sts", session).get_caller_identity)[0]


def test_session_gets_no_session_and_no_iam(client_for, user, refused):
    session = client_for("sts", user).get_session_token()

    assert ("AccessDenied", "Cannot call GetSessionToken with session credentials") == refused(
        client_for("sts", session).get_session_token
    )
    assert "InvalidClientTokenId" == refused(client_for("iam", session).list_users)[0]


def test_session_may_assume_a_role_for_longer_than_a_chain_may(admin, client_for, user, unique):
    """A session of a user is no link of a chain of roles."""
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{unique}"},
        "Action": "sts:AssumeRole",
    }
    role = admin.create_role(unique, trust=trust, max_session_s=7200)
    session = client_for("sts", user).get_session_token()

    answer = client_for("sts", session).assume_role(
        RoleArn=role, RoleSessionName="long", DurationSeconds=7200
    )

    assert answer["AssumedRoleUser"]["Arn"].endswith(f"{unique}/long")


def test_device_proves_with_what_it_shows(client_for, user, device, refused):
    serial, seed = device
    ask = client_for("sts", user).get_session_token

    assert ask(SerialNumber=serial, TokenCode=one_time_password(seed))["Credentials"]
    for arguments in (
        {"SerialNumber": serial, "TokenCode": one_time_password(seed, ahead=50)},
        {"SerialNumber": f"{serial}x", "TokenCode": one_time_password(seed)},
        {"SerialNumber": serial},
    ):
        code, message = refused(ask, **arguments)
        assert ("AccessDenied", True) == (code, message.startswith("MultiFactorAuthentication failed"))


def test_device_of_somebody_else_proves_nothing(admin, client_for, device, unique, refused):
    other = admin.create_user(f"{unique}-other")
    serial, seed = device

    code, _ = refused(
        client_for("sts", other).get_session_token, SerialNumber=serial, TokenCode=one_time_password(seed)
    )

    assert "AccessDenied" == code


@pytest.fixture
def grant(admin, client_for, unique):
    """A client of a user who may do this."""

    def make(service, *actions, region="us-east-1"):
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}) if actions else ""
        user = admin.create_user(f"{unique}-{len(actions)}", policy=policy)
        return client_for(service, user, region=region)

    return make


def test_private_registry_gives_a_login_to_who_may(grant):
    client = grant("ecr", "ecr:GetAuthorizationToken", region="eu-central-1")

    (first,) = client.get_authorization_token()["authorizationData"]
    (second,) = client.get_authorization_token()["authorizationData"]

    assert base64.b64decode(first["authorizationToken"]).startswith(b"AWS:")
    assert first["authorizationToken"] != second["authorizationToken"]
    assert f"https://{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com" == first["proxyEndpoint"]


def test_public_registry_gives_a_login_to_who_may(grant):
    client = grant("ecr-public", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken")

    data = client.get_authorization_token()["authorizationData"]

    assert {"authorizationToken", "expiresAt"} == set(data)


@pytest.mark.parametrize(
    ("service", "actions"),
    [("ecr", ()), ("ecr-public", ("ecr-public:GetAuthorizationToken",)), ("ecr-public", ())],
)
def test_registry_gives_nothing_to_who_may_not(grant, refused, service, actions):
    assert "AccessDeniedException" == refused(grant(service, *actions).get_authorization_token)[0]


def test_public_registry_is_in_one_region(grant, refused):
    client = grant(
        "ecr-public", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken", region="eu-central-1"
    )

    assert "InvalidSignatureException" == refused(client.get_authorization_token)[0]


def test_registries_do_nothing_else(grant, refused):
    assert "NotImplementedByDouble" == refused(grant("ecr", "ecr:*").describe_repositories)[0]
