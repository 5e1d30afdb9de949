"""Logins that the real server of the tests lacks: a directory's users, AWS identities, GCP service accounts."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.testing.aws import AccessKeys, StrictAws
from keyferry.testing.aws.signature import sign
from keyferry.testing.aws.wire import HttpRequest, Signature
from keyferry.testing.vault import Api, VaultRefused
from keyferry.testing.vaultdouble import VaultDouble

SERVER_ID = "vault.example.com"
BODY = "Action=GetCallerIdentity&Version=2011-06-15"
EMAIL, KEY_ID = "app@project.iam.gserviceaccount.com", "key-1"


@pytest.fixture(scope="module")
def aws() -> Iterator[StrictAws]:
    with StrictAws() as running:
        yield running


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def double() -> Iterator[VaultDouble]:
    with VaultDouble() as running:
        yield running


def refused(double: VaultDouble, path: str, body: dict[str, Any]) -> str:
    with pytest.raises(VaultRefused) as caught:
        Api(double.url, double.ca_pem).request("POST", f"auth/{path}", body)
    assert 400 == caught.value.status
    return caught.value.errors[0]


def granted(double: VaultDouble, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(Api(double.url, double.ca_pem).request("POST", f"auth/{path}", body)["auth"])


def signed(keys: AccessKeys, *, server_id: str = SERVER_ID, **changes: str) -> dict[str, str]:
    """What a client sends to auth/aws/login: a signed request for sts:GetCallerIdentity."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": "sts.eu-central-1.amazonaws.com",
        "content-type": "application/x-www-form-urlencoded",
        "x-amz-date": stamp,
        "x-vault-aws-iam-server-id": server_id,
    }
    names = tuple(sorted(headers))
    scope = Signature(keys.access_key_id, stamp[:8], "eu-central-1", "sts", names, "")
    request = HttpRequest("POST", "/", "", headers, BODY.encode())
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key_id}/{stamp[:8]}/eu-central-1/sts/aws4_request, "
        f"SignedHeaders={';'.join(names)}, Signature={sign(request, scope, keys.secret_access_key)}"
    )
    headers |= {name: text for name, text in changes.items() if name in headers}

    def packed(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    return {
        "role": "app",
        "iam_http_request_method": "POST",
        "iam_request_url": packed("https://sts.eu-central-1.amazonaws.com/"),
        "iam_request_body": packed(changes.get("body", BODY)),
        "iam_request_headers": packed(json.dumps(headers)),
    }


def test_a_user_of_a_directory_logs_in(double: VaultDouble):
    double.root.ldap_user("ada", "correct horse", ["app"], ttl_s=120)

    auth = granted(double, "ldap/login/ada", {"password": "correct horse"})

    assert (["app", "default"], 120, {"username": "ada"}) == (
        auth["policies"],
        auth["lease_duration"],
        auth["metadata"],
    )
    wrong = "ldap operation failed: failed to bind as user"
    assert [wrong, wrong] == [
        refused(double, f"ldap/login/{user}", {"password": "wrong"}) for user in ("ada", "nobody")
    ]


def test_an_aws_identity_logs_in_by_what_sts_says(double: VaultDouble, aws: StrictAws):
    keys = aws.administrator().create_user("vault-user")
    double.root.aws(aws.endpoint, server_id=SERVER_ID)
    double.root.aws_role("app", ["arn:aws:iam::123456789012:user/vault-user"], ["app"])
    double.root.aws_role("other", ["arn:aws:iam::123456789012:user/other"], ["app"])

    auth = granted(double, "aws/login", signed(keys))

    assert ["app", "default"] == auth["policies"]
    assert "arn:aws:iam::123456789012:user/vault-user" == auth["metadata"]["canonical_arn"]
    assert "does not belong to the role" in refused(double, "aws/login", signed(keys) | {"role": "other"})


def test_an_aws_login_that_is_not_signed_as_it_should_be_is_refused(double: VaultDouble, aws: StrictAws):
    keys = aws.administrator().create_user("vault-user-2")
    double.root.aws(aws.endpoint, server_id=SERVER_ID)
    double.root.aws_role("app", [], ["app"])
    body = signed(keys)
    stranger = AccessKeys(keys.access_key_id, "0" * 40)

    assert "from STS" in refused(double, "aws/login", signed(stranger))
    assert "from STS" in refused(double, "aws/login", signed(keys, host="sts.amazonaws.com"))
    assert "expected" in refused(double, "aws/login", signed(keys, server_id="elsewhere"))
    assert "missing header" in refused(double, "aws/login", signed(keys, server_id=""))
    assert "is not valid" in refused(double, "aws/login", signed(keys, body="Action=AssumeRole"))
    assert "not all" in refused(double, "aws/login", {**body, "iam_request_url": ""})
    assert "base64" in refused(double, "aws/login", {**body, "iam_request_body": "not base64"})


def gcp_token(key: rsa.RSAPrivateKey, **changes: Any) -> str:
    claims = {"sub": EMAIL, "aud": "vault/app", "exp": int(time.time()) + 600} | changes
    return jwt.encode(claims, key, "RS256", headers={"kid": KEY_ID})


@pytest.fixture
def gcp(double: VaultDouble, key: rsa.RSAPrivateKey) -> VaultDouble:
    double.root.gcp({(EMAIL, KEY_ID): key.public_key()})
    double.root.gcp_role("app", [EMAIL], ["app"])
    double.root.gcp_role("other", ["other@project.iam.gserviceaccount.com"], ["app"])
    return double


@pytest.mark.parametrize("audience", ["vault/app", "http://vault/app", "https://vault.example.com/vault/app"])
def test_a_service_account_logs_in_with_what_it_has_signed(
    gcp: VaultDouble, key: rsa.RSAPrivateKey, audience
):
    auth = granted(gcp, "gcp/login", {"role": "app", "jwt": gcp_token(key, aud=audience)})

    assert (["app", "default"], EMAIL) == (auth["policies"], auth["metadata"]["service_account_email"])


@pytest.mark.parametrize(
    ("role", "changes", "said"),
    [
        pytest.param("app", {"aud": "vault/other"}, "must end in", id="audience-of-another-role"),
        pytest.param("app", {"exp": 1}, "expired", id="expired"),
        pytest.param("app", {"exp": 4102444800}, "expire within 900 seconds", id="expires-too-late"),
        pytest.param("app", {"sub": "stranger"}, "unable to get public key", id="unknown-account"),
        pytest.param("other", {"aud": "vault/other"}, "not authorized for role", id="not-of-the-role"),
        pytest.param("none", {}, "not found", id="unknown-role"),
    ],
)
def test_a_service_account_that_may_not_log_in_is_told_why(
    gcp: VaultDouble, key: rsa.RSAPrivateKey, role, changes, said
):
    assert said in refused(gcp, "gcp/login", {"role": role, "jwt": gcp_token(key, **changes)})


def test_what_another_key_has_signed_is_refused(gcp: VaultDouble):
    stranger = rsa.generate_private_key(65537, 2048)

    assert "cryptographic" in refused(gcp, "gcp/login", {"role": "app", "jwt": gcp_token(stranger)})
