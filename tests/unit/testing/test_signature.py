"""Signature Version 4 is computed as AWS publishes it, and every flaw of a signed request is refused."""

import dataclasses
import datetime as dt

import pytest

from keyferry.testing.aws.signature import check, sign, signed_copy
from keyferry.testing.aws.wire import AwsError, HttpRequest, Signature, read_call

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC)
PUBLISHED = HttpRequest(
    "GET",
    "/",
    "Action=ListUsers&Version=2010-05-08",
    {
        "host": "iam.amazonaws.com",
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-amz-date": "20150830T123600Z",
    },
    b"",
)
SIGNATURE = Signature(
    "AKIDEXAMPLE",
    "20150830",
    "us-east-1",
    "iam",
    ("content-type", "host", "x-amz-date"),
    "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
)


def refusal(request=PUBLISHED, signature=SIGNATURE, *, secret=SECRET, service="iam", now=NOW):
    with pytest.raises(AwsError) as caught:
        check(request, signature, secret_key=secret, service=service, now=now)
    return caught.value.code


def test_the_published_example_has_the_published_signature():
    assert sign(PUBLISHED, SIGNATURE, SECRET) == SIGNATURE.value
    check(PUBLISHED, SIGNATURE, secret_key=SECRET, service="iam", now=NOW)


CHANGES = {
    "method": {"method": "POST"},
    "path": {"path": "/other"},
    "query": {"query": "Action=DeleteUser&Version=2010-05-08"},
    "body": {"body": b"x"},
    "host": {"headers": {**PUBLISHED.headers, "host": "sts.amazonaws.com"}},
    "content type": {"headers": {**PUBLISHED.headers, "content-type": "text/plain"}},
    "declared payload": {"headers": {**PUBLISHED.headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}},
    "token outside the signature": {"headers": {**PUBLISHED.headers, "x-amz-security-token": "t"}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_request_is_refused(change):
    assert refusal(dataclasses.replace(PUBLISHED, **change)) == "InvalidSignatureException"


def test_another_key_is_refused():
    assert refusal(secret="another") == "InvalidSignatureException"


def test_another_service_is_refused():
    assert refusal(service="sts") == "InvalidSignatureException"


def test_a_signature_that_leaves_out_host_or_date_is_refused():
    for kept in (("content-type", "x-amz-date"), ("content-type", "host")):
        unsigned = dataclasses.replace(SIGNATURE, signed_headers=kept)
        signature = dataclasses.replace(unsigned, value=sign(PUBLISHED, unsigned, SECRET))
        assert refusal(signature=signature) == "InvalidSignatureException"


@pytest.mark.parametrize(("seconds", "accepted"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_clocks_may_differ_by_five_minutes(seconds, accepted):
    now = NOW + dt.timedelta(seconds=seconds)

    if accepted:
        check(PUBLISHED, SIGNATURE, secret_key=SECRET, service="iam", now=now)
    else:
        assert refusal(now=now) == "InvalidSignatureException"


@pytest.mark.parametrize("stamp", ["20150829T123600Z", "20150830", ""])
def test_a_date_that_does_not_fit_the_credential_is_refused(stamp):
    changed = dataclasses.replace(PUBLISHED, headers={**PUBLISHED.headers, "x-amz-date": stamp})

    assert refusal(changed) in {"InvalidSignatureException", "IncompleteSignatureException"}


def test_a_credential_of_yesterday_is_refused_even_when_the_signature_fits_it():
    now = dt.datetime(2015, 8, 31, 0, 0, 1, tzinfo=dt.UTC)
    request = dataclasses.replace(PUBLISHED, headers={**PUBLISHED.headers, "x-amz-date": "20150831T000001Z"})
    signature = dataclasses.replace(SIGNATURE, value=sign(request, SIGNATURE, SECRET))

    assert refusal(request, signature, now=now) == "InvalidSignatureException"


def test_a_signed_copy_is_accepted_and_keeps_what_was_asked():
    request = HttpRequest(
        "POST",
        "/",
        "",
        {
            "host": "127.0.0.1:1",
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": "secretsmanager.ListSecrets",
            "authorization": "somebody else's",
            "x-amz-security-token": "somebody else's",
        },
        b"{}",
    )

    copy = signed_copy(
        request,
        access_key_id="AKIDEXAMPLE",
        secret_key=SECRET,
        scope=("eu-west-1", "secretsmanager"),
        now=NOW,
    )

    call = read_call(copy)
    check(copy, call.signature, secret_key=SECRET, service="secretsmanager", now=NOW)
    assert (call.action, call.region, copy.body) == ("ListSecrets", "eu-west-1", b"{}")
    assert "x-amz-security-token" not in copy.headers
