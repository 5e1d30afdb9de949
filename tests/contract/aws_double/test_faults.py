"""Faults strike what they are aimed at, in AWS's words, and leave the rest alone."""

import concurrent.futures
import json
import time

import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from keyferry.testing.aws import Fault

ONE_TRY = {"total_max_attempts": 1}
GET_VALUE = {"X-Amz-Target": "secretsmanager.GetSecretValue"}


@pytest.fixture
def user(admin, unique):
    """A user who may read the secrets under its own name; `a` and `b` exist."""
    admin.put_secret(f"{unique}/a", "A")
    admin.put_secret(f"{unique}/b", "B")
    return admin.create_user(unique, allow=[f"{unique}/*"])


@pytest.fixture
def reader(user, client_for):
    return client_for("secretsmanager", user)


def failure(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    return told["Error"]["Code"], told["Error"]["Message"], told["ResponseMetadata"]["HTTPStatusCode"]


PUBLISHED = {
    "ThrottlingException": (400, "Rate exceeded"),
    "DecryptionFailure": (
        400,
        "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
    ),
    "ExpiredTokenException": (400, "The security token included in the request is expired"),
    "InternalServiceError": (500, "An error occurred on the server side."),
    "UnrecognizedClientException": (400, "The security token included in the request is invalid."),
    "InvalidRequestException": (
        400,
        "You can't perform this operation on the secret because it was marked for deletion.",
    ),
}


@pytest.mark.parametrize("code", PUBLISHED)
def test_an_error_is_told_in_awss_published_words(aws, reader, unique, code):
    aws.control.fail(code, action="GetSecretValue")

    status, message = PUBLISHED[code]
    assert failure(reader.get_secret_value, SecretId=f"{unique}/a") == (code, message, status)


def test_an_error_in_sts_has_the_query_protocols_code_and_shape(aws, user, client_for):
    aws.control.throttle(service="sts")

    told = failure(client_for("sts", user).get_caller_identity)

    assert told == ("Throttling", "Rate exceeded", 400)


def test_a_fault_strikes_as_often_as_it_is_told_and_then_no_more(aws, reader, unique):
    fault = aws.control.throttle(action="GetSecretValue", times=2)

    codes = [failure(reader.get_secret_value, SecretId=f"{unique}/a")[0] for _ in range(2)]

    assert codes == ["ThrottlingException"] * 2
    assert reader.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"
    assert aws.control.fault_hits() == {fault: 2}


def test_a_removed_fault_strikes_no_more(aws, reader, unique):
    fault = aws.control.throttle()
    failure(reader.get_secret_value, SecretId=f"{unique}/a")

    aws.control.remove_fault(fault)

    assert reader.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"


@pytest.mark.parametrize(("seconds", "header"), [(7, "7"), (0, None)])
def test_throttling_comes_with_and_without_a_word_how_long(aws, reader, unique, seconds, header):
    aws.control.throttle(retry_after_s=seconds)

    with pytest.raises(ClientError) as caught:
        reader.get_secret_value(SecretId=f"{unique}/a")

    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == header


def test_a_fault_of_one_action_leaves_the_others_alone(aws, reader, unique):
    aws.control.throttle(action="BatchGetSecretValue")

    assert failure(reader.batch_get_secret_value, SecretIdList=[f"{unique}/a"])[0] == "ThrottlingException"
    assert reader.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"


def test_a_fault_of_one_principal_leaves_the_others_alone(aws, admin, reader, client_for, unique):
    other = client_for("secretsmanager", admin.create_user(f"{unique}-other", allow=[f"{unique}/*"]))
    aws.control.throttle(principal=f"*:user/{unique}")

    assert failure(reader.get_secret_value, SecretId=f"{unique}/a")[0] == "ThrottlingException"
    assert other.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"


def test_a_fault_of_all_spares_the_administrator(aws, admin, reader, unique):
    aws.control.throttle()

    admin.put_secret(f"{unique}/a", "changed")

    assert failure(reader.get_secret_value, SecretId=f"{unique}/a")[0] == "ThrottlingException"


def test_a_denied_kms_key_fails_its_secret_and_no_other(aws, reader, unique):
    aws.control.deny_kms(f"{unique}/a")

    denied = ("AccessDeniedException", "Access to KMS is not allowed", 400)
    assert failure(reader.get_secret_value, SecretId=f"{unique}/a") == denied
    assert reader.get_secret_value(SecretId=f"{unique}/b")["SecretString"] == "B"


def test_a_denied_kms_key_fails_its_item_of_a_batch_and_no_other(aws, reader, unique):
    aws.control.deny_kms(f"{unique}/a")

    answer = reader.batch_get_secret_value(SecretIdList=[f"{unique}/a", f"{unique}/b"])

    assert [one["Name"] for one in answer["SecretValues"]] == [f"{unique}/b"]
    assert answer["Errors"] == [
        {
            "SecretId": f"{unique}/a",
            "ErrorCode": "AccessDeniedException",
            "Message": "Access to KMS is not allowed",
        }
    ]


def test_a_fault_of_a_secret_strikes_whatever_name_the_caller_uses(aws, admin, reader, unique):
    aws.control.deny_kms(f"{unique}/a")

    told = failure(reader.get_secret_value, SecretId=admin.secret_arn(f"{unique}/a"))

    assert told[1] == "Access to KMS is not allowed"


def test_who_may_not_read_a_secret_learns_nothing_of_its_faults(aws, admin, client_for, unique, user):
    stranger = client_for("secretsmanager", admin.create_user(f"{unique}-stranger"))
    aws.control.deny_kms(f"{unique}/a")

    assert "no identity-based policy" in failure(stranger.get_secret_value, SecretId=f"{unique}/a")[1]


def test_a_slow_answer_comes_late_and_right(aws, reader, unique):
    aws.control.add_fault(Fault(kind="delay", seconds=0.2))
    began = time.monotonic()

    assert reader.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"
    assert time.monotonic() - began >= 0.2


def test_a_held_call_is_answered_when_it_is_let_go(aws, reader, unique):
    fault = aws.control.add_fault(Fault(kind="hold", action="GetSecretValue"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(reader.get_secret_value, SecretId=f"{unique}/{name}") for name in "ab"]
        aws.control.wait_for_calls_in_flight(2, action="GetSecretValue")
        assert not any(call.done() for call in calls)

        aws.control.remove_fault(fault)

        assert [call.result(10)["SecretString"] for call in calls] == ["A", "B"]
    assert aws.control.max_in_flight() == 2


def test_a_call_held_longer_than_the_client_waits_is_a_timeout(aws, user, client_for, unique):
    config = Config(read_timeout=0.2, retries=ONE_TRY)
    sm = client_for("secretsmanager", user, config=config)
    aws.control.add_fault(Fault(kind="hold"))

    with pytest.raises(ReadTimeoutError):
        sm.get_secret_value(SecretId=f"{unique}/a")


def test_a_connection_cut_before_the_answer(aws, reader, unique):
    aws.control.add_fault(Fault(kind="cut-before"))

    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        reader.get_secret_value(SecretId=f"{unique}/a")


def test_a_connection_cut_within_the_body(aws):
    aws.control.add_fault(Fault(kind="cut-body"))

    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        urllib3.request("POST", aws.endpoint, headers=GET_VALUE, body=b"{}", retries=False)


@pytest.mark.parametrize("kind", ["cut-body", "malformed"])
def test_the_sdk_takes_a_broken_body_for_a_success_without_content(aws, reader, unique, kind):
    """What whoever calls the SDK must know: neither a cut nor a malformed body raises."""
    aws.control.add_fault(Fault(kind=kind))

    assert set(reader.get_secret_value(SecretId=f"{unique}/a")) == {"ResponseMetadata"}


def test_an_endless_body_goes_on_until_the_reader_ends_it(aws):
    aws.control.add_fault(Fault(kind="endless"))

    answer = urllib3.request("POST", aws.endpoint, headers=GET_VALUE, body=b"{}", preload_content=False)

    assert sum(len(answer.read(65536)) for _ in range(64)) == 64 * 65536
    answer.close()
    aws.control.wait_for_calls(1, action="GetSecretValue")


@pytest.mark.parametrize("outage", ["refuse", "reset"])
def test_an_outage_ends_open_and_new_connections_and_is_over_when_told(aws, reader, unique, outage):
    assert reader.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"

    aws.control.outage(outage)
    for _ in range(2):
        with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
            reader.get_secret_value(SecretId=f"{unique}/a")

    aws.control.outage("none")
    assert reader.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"


def test_a_refused_connection_is_told_as_refused(aws, reader, unique):
    aws.control.outage("refuse")

    with pytest.raises(EndpointConnectionError):
        reader.get_secret_value(SecretId=f"{unique}/a")


def test_the_sdks_own_retries_get_through_a_short_fault(aws, user, client_for, unique):
    sm = client_for(
        "secretsmanager", user, config=Config(retries={"total_max_attempts": 3, "mode": "standard"})
    )
    aws.control.throttle(times=1)

    assert sm.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"
    assert [call.status for call in aws.control.calls(action="GetSecretValue")] == [400, 200]


def test_an_unknown_field_in_a_fault_is_an_error(aws):
    with pytest.raises(RuntimeError, match="unknown field"):
        aws.control._post("add_fault", {"kind": "error", "secrets": "x"})


# The call log


def test_a_call_is_logged_with_who_what_and_how_it_ended(aws, user, reader, unique):
    reader.get_secret_value(SecretId=f"{unique}/a")
    failure(reader.get_secret_value, SecretId="somebody-elses")
    failure(reader.describe_secret, SecretId=f"{unique}/none")

    good, denied, missing = aws.control.calls(principal=f"*:user/{unique}")
    assert (good.service, good.action, good.region) == ("secretsmanager", "GetSecretValue", "eu-central-1")
    assert (good.secret_ids, good.access_key_id) == ([f"{unique}/a"], user.access_key_id)
    assert good.principal == f"arn:aws:iam::123456789012:user/{unique}"
    assert (good.status, good.error) == (200, "")
    assert (denied.status, denied.error) == (400, "AccessDeniedException")
    assert (missing.status, missing.error) == (400, "ResourceNotFoundException")
    assert good.user_agent.startswith("Boto3/")
    assert 0 < good.seconds < 10


def test_calls_are_selected_and_counted_by_action_and_secret(aws, reader, unique):
    reader.get_secret_value(SecretId=f"{unique}/a")
    reader.batch_get_secret_value(SecretIdList=[f"{unique}/a", f"{unique}/b"])

    assert aws.control.count(action="*GetSecretValue", secret=f"{unique}/*") == 2
    assert aws.control.count(action="*GetSecretValue", secret=f"{unique}/b") == 1
    assert aws.control.count(action="GetSecretValue", secret=f"{unique}/b") == 0


def test_a_reset_forgets_the_calls(aws, reader, unique):
    reader.get_secret_value(SecretId=f"{unique}/a")

    aws.control.reset_calls()

    assert aws.control.calls() == []


def test_waiting_for_a_call_that_does_not_come_is_a_timeout(aws):
    with pytest.raises(TimeoutError, match="no 1 calls done within"):
        aws.control.wait_for_calls(1, action="Nothing", timeout_s=0.05)


def test_the_log_holds_no_value_no_key_and_no_token(aws, admin, user, client_for, unique):
    role = admin.role_for_principals(f"{unique}-role", [f"arn:aws:iam::123456789012:user/{unique}"])
    session = client_for("sts", user).assume_role(RoleArn=role, RoleSessionName="keyferry")
    admin.put_secret(f"{unique}/a", "the-secret-value")
    admin.client("secretsmanager").get_secret_value(SecretId=f"{unique}/a")

    written = json.dumps(aws.control.calls(), default=repr)

    for hidden in (
        "the-secret-value",
        user.secret_access_key,
        session["Credentials"]["SecretAccessKey"],
        session["Credentials"]["SessionToken"],
    ):
        assert hidden not in written
