"""AssumeRoleWithWebIdentity gives credentials for a proven ServiceAccount that a role trusts, and else none."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec

SUBJECT = "system:serviceaccount:team-a:reader"
NOT_VALID = "The web identity token that was passed could not be validated by AWS. "
NOT_AUTHORIZED = "Not authorized to perform sts:AssumeRoleWithWebIdentity"


@pytest.fixture
def role(admin, issuer, unique):
    """A role for SUBJECT that may read secrets under its own name."""
    return admin.role_for_service_account(unique, "team-a", "reader", allow=[f"{unique}/*"])


@pytest.fixture
def exchange(anonymous_sts, role):
    """Exchange a token; the answer, or the error's (code, message)."""

    def exchange(token, role_arn=role, **options):
        try:
            return anonymous_sts.assume_role_with_web_identity(
                RoleArn=role_arn, RoleSessionName="keyferry", WebIdentityToken=token, **options
            )
        except ClientError as error:
            told = error.response
            return told["Error"]["Code"], told["Error"]["Message"], told["ResponseMetadata"]["HTTPStatusCode"]

    return exchange


def test_the_trusted_service_account_gets_credentials_that_read_what_the_role_may(
    admin, issuer, exchange, client_for, unique
):
    admin.put_secret(f"{unique}/db", "value")

    answer = exchange(issuer.token(SUBJECT))

    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{unique}/keyferry"
    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert answer["Audience"] == "sts.amazonaws.com"
    got = client_for("secretsmanager", answer).get_secret_value(SecretId=f"{unique}/db")
    assert got["SecretString"] == "value"
    who = client_for("sts", answer).get_caller_identity()
    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"]


def test_an_es256_token_is_accepted_too(issuer, exchange):
    issuer.add_key("ec-1", ec.generate_private_key(ec.SECP256R1()))

    assert "Credentials" in exchange(issuer.token(SUBJECT, key_id="ec-1", algorithm="ES256"))


def test_the_call_log_tells_subject_role_and_granted_key(aws, issuer, exchange, role):
    answer = exchange(issuer.token(SUBJECT))

    (call,) = aws.control.calls(action="AssumeRoleWithWebIdentity")
    assert (call.subject, call.role_arn) == (SUBJECT, role)
    assert call.granted_access_key_id == answer["Credentials"]["AccessKeyId"]
    assert call.status == 200


def test_a_signature_by_a_key_that_is_not_published_is_refused(issuer, exchange, rsa_keys):
    code, message, status = exchange(issuer.token(SUBJECT, key=rsa_keys[4]))

    assert (code, status) == ("InvalidIdentityToken", 400)
    assert message.startswith(NOT_VALID)


def test_a_changed_claim_is_refused(issuer, exchange, forge):
    header, _, signature = issuer.token("system:serviceaccount:team-b:other").split(".")
    _, claims, _ = issuer.token(SUBJECT).split(".")

    code, _, _ = exchange(f"{header}.{claims}.{signature}")

    assert code == "InvalidIdentityToken"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_algorithm_none_is_refused(issuer, exchange, forge, algorithm):
    token = forge(issuer.claims(SUBJECT), {"alg": algorithm, "kid": "rsa-1", "typ": "JWT"})

    code, _, _ = exchange(token)

    assert code == "InvalidIdentityToken"


@pytest.mark.parametrize("kid", ["rsa-1", "unknown"])
def test_an_hmac_with_the_public_key_as_secret_is_refused(issuer, exchange, forge, kid):
    signed = forge(issuer.claims(SUBJECT), {"alg": "HS256", "kid": kid, "typ": "JWT"}).rstrip(".")
    mac = hmac.digest(issuer.public_pem(), signed.encode(), hashlib.sha256)
    token = f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    code, message, _ = exchange(token)

    assert code == "InvalidIdentityToken"
    assert message.startswith(NOT_VALID)


def test_an_expired_token_is_refused_with_its_own_code(issuer, exchange):
    now = int(time.time())

    code, message, status = exchange(issuer.token(SUBJECT, iat=now - 700, nbf=now - 700, exp=now - 60))

    assert (code, status) == ("ExpiredTokenException", 400)
    assert message.startswith("Token expired: current date/time ")


def test_a_token_that_is_not_yet_valid_is_refused(issuer, exchange):
    code, _, _ = exchange(issuer.token(SUBJECT, nbf=int(time.time()) + 300))

    assert code == "InvalidIdentityToken"


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "aud"])
def test_a_token_without_a_necessary_claim_is_refused(issuer, exchange, claim):
    code, _, _ = exchange(issuer.token(SUBJECT, **{claim: None}))

    assert code == "InvalidIdentityToken"


def test_text_that_is_no_token_is_refused(exchange):
    code, message, _ = exchange("this-is-not-a-token")

    assert code == "InvalidIdentityToken"
    assert message.startswith("The ID Token provided is not a valid JWT.")


def test_an_issuer_without_a_provider_in_the_account_is_refused(make_issuer, exchange):
    other = make_issuer()

    told = exchange(other.token(SUBJECT))

    assert told == (
        "InvalidIdentityToken",
        f"No OpenIDConnect provider found in your account for {other.url}",
        400,
    )


def test_a_token_of_another_trusted_issuer_does_not_get_this_role(make_issuer, admin, exchange):
    other = make_issuer()
    admin.trust_cluster(other.url, other.ca_pem)

    assert exchange(other.token(SUBJECT)) == ("AccessDenied", NOT_AUTHORIZED, 403)


def test_a_role_that_trusts_one_provider_whatever_the_subject_is_not_for_another(
    make_issuer, admin, issuer, exchange, unique
):
    """Only the provider is told apart here: no condition names the issuer."""
    other = make_issuer()
    provider = admin.trust_cluster(other.url, other.ca_pem)
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }
    role = admin.create_role(f"{unique}-any", trust=trust)

    assert "Credentials" in exchange(other.token(SUBJECT), role)
    assert exchange(issuer.token(SUBJECT), role) == ("AccessDenied", NOT_AUTHORIZED, 403)


def test_a_token_that_names_the_trusted_issuer_and_is_signed_by_another_is_refused(
    make_issuer, issuer, exchange
):
    other = make_issuer()

    code, _, _ = exchange(other.token(SUBJECT, iss=issuer.url))

    assert code == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "subject",
    [
        "system:serviceaccount:team-a:other",
        "system:serviceaccount:team-b:reader",
        "system:serviceaccount:team-a:reader2",
        "system:serviceaccount:team-a:*",
    ],
)
def test_another_subject_does_not_get_the_role(issuer, exchange, subject):
    assert exchange(issuer.token(subject)) == ("AccessDenied", NOT_AUTHORIZED, 403)


def test_an_audience_that_the_provider_does_not_know_is_refused(issuer, exchange):
    told = exchange(issuer.token(SUBJECT, aud=["https://kubernetes.default.svc"]))

    assert told == ("InvalidIdentityToken", "Incorrect token audience", 400)


def test_an_audience_that_the_provider_knows_and_the_role_does_not_is_refused(
    make_issuer, admin, exchange, unique
):
    issuer = make_issuer()
    admin.trust_cluster(issuer.url, issuer.ca_pem, audiences=["sts.amazonaws.com", "other"])
    role = admin.role_for_service_account(f"{unique}-aud", "team-a", "reader")

    assert "Credentials" in exchange(issuer.token(SUBJECT), role)
    assert exchange(issuer.token(SUBJECT, aud="other"), role) == ("AccessDenied", NOT_AUTHORIZED, 403)


def test_a_role_without_trust_in_the_provider_is_refused(admin, issuer, exchange, unique):
    arn = admin.role_for_principals(f"{unique}-chain", ["arn:aws:iam::123456789012:root"])

    assert exchange(issuer.token(SUBJECT), arn) == ("AccessDenied", NOT_AUTHORIZED, 403)


def test_a_role_that_does_not_exist_is_refused_in_the_same_words(issuer, exchange):
    arn = "arn:aws:iam::123456789012:role/none"

    assert exchange(issuer.token(SUBJECT), arn) == ("AccessDenied", NOT_AUTHORIZED, 403)


def test_a_wildcard_in_the_trust_policy_admits_what_it_covers(admin, issuer, exchange, unique):
    host = issuer.url.removeprefix("https://")
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{host}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {f"{host}:sub": "system:serviceaccount:team-*:reader"}},
    }
    arn = admin.create_role(f"{unique}-like", trust=trust)

    assert "Credentials" in exchange(issuer.token("system:serviceaccount:team-x:reader"), arn)
    assert exchange(issuer.token("system:serviceaccount:team-x:writer"), arn)[0] == "AccessDenied"


def test_a_key_added_later_is_fetched_and_known_keys_are_not_fetched_again(issuer, exchange, rsa_keys):
    exchange(issuer.token(SUBJECT))
    exchange(issuer.token(SUBJECT))
    fetched = len(issuer.fetches)
    issuer.add_key("rsa-2", rsa_keys[4])

    assert "Credentials" in exchange(issuer.token(SUBJECT, key_id="rsa-2"))
    assert (fetched, len(issuer.fetches)) == (2, 4)


def test_a_key_that_the_issuer_does_not_publish_is_told_as_such(issuer, exchange):
    code, message, _ = exchange(issuer.token(SUBJECT, key_id="gone", key=issuer.rsa))

    assert code == "InvalidIdentityToken"
    assert message.startswith("Couldn't retrieve verification key from your identity provider")


def test_an_issuer_that_cannot_be_reached_is_told_as_such(make_issuer, admin, exchange, unique):
    gone = make_issuer()
    admin.trust_cluster(gone.url, gone.ca_pem)
    token = gone.token(SUBJECT)
    gone.close()

    code, _, status = exchange(token)

    assert (code, status) == ("IDPCommunicationError", 400)


def test_an_issuer_with_a_certificate_of_another_ca_is_not_believed(make_issuer, admin, exchange):
    issuer, other = make_issuer(), make_issuer()
    admin.trust_cluster(issuer.url, other.ca_pem)

    code, _, _ = exchange(issuer.token(SUBJECT))

    assert code in {"InvalidIdentityToken", "IDPCommunicationError"}


def test_a_discovery_document_of_another_issuer_is_not_believed(make_issuer, admin, exchange):
    issuer = make_issuer()
    issuer.served_issuer = "https://elsewhere.example"
    admin.trust_cluster(issuer.url, issuer.ca_pem)

    code, _, _ = exchange(issuer.token(SUBJECT))

    assert code == "InvalidIdentityToken"


def test_a_session_lives_as_long_as_asked_within_the_roles_limit(issuer, exchange):
    answer = exchange(issuer.token(SUBJECT), DurationSeconds=900)

    left = answer["Credentials"]["Expiration"].timestamp() - time.time()
    assert 880 < left <= 900
    code, message, _ = exchange(issuer.token(SUBJECT), DurationSeconds=7200)
    assert code == "ValidationError"
    assert "MaxSessionDuration" in message


def test_a_session_shorter_than_aws_allows_is_refused(issuer, exchange):
    code, message, _ = exchange(issuer.token(SUBJECT), DurationSeconds=899)

    assert code == "ValidationError"
    assert "greater than or equal to 900" in message


def test_a_session_policy_narrows_what_the_role_may(admin, issuer, exchange, client_for, unique):
    admin.put_secret(f"{unique}/a", "A")
    admin.put_secret(f"{unique}/b", "B")
    narrow = {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": f"arn:aws:secretsmanager:*:*:secret:{unique}/a-*",
            }
        ]
    }
    sm = client_for("secretsmanager", exchange(issuer.token(SUBJECT), Policy=json.dumps(narrow)))

    assert sm.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"
    with pytest.raises(ClientError, match="because no session policy allows"):
        sm.get_secret_value(SecretId=f"{unique}/b")
