"""Calls are read from both protocols, and failures are told in the one that was spoken."""

import json
import xml.etree.ElementTree as ET

import pytest

from keyferry.testing.aws.wire import AwsError, Call, HttpRequest, read_call, sts_answer

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/cn-north-1/secretsmanager/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
)


def json_request(target="secretsmanager.GetSecretValue", body=b'{"SecretId": "db"}', **headers):
    return HttpRequest("POST", "/", "", {"x-amz-target": target, **headers}, body)


def form_request(body):
    return HttpRequest("POST", "/", "", {"content-type": "application/x-www-form-urlencoded"}, body)


def refusal(request):
    with pytest.raises(AwsError) as caught:
        read_call(request)
    return caught.value.code


def test_a_json_call_is_read_with_its_scope():
    call = read_call(json_request(authorization=AUTHORIZATION))

    assert (call.service, call.action, call.protocol) == ("secretsmanager", "GetSecretValue", "json")
    assert (call.signature.access_key_id, call.region, call.partition) == (
        "AKIDEXAMPLE",
        "cn-north-1",
        "aws-cn",
    )
    assert call.secret_ids == ("db",)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"SecretIdList": ["a", "b"]}', ("a", "b")),
        (b'{"Name": "new"}', ("new",)),
        (b"{}", ()),
        (b"", ()),
    ],
)
def test_the_secrets_that_a_call_names(body, expected):
    assert read_call(json_request(body=body)).secret_ids == expected


def test_a_query_call_is_read_with_its_lists():
    call = read_call(
        form_request(
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn&Tags.member.2.Key=b&Tags.member.2.Value=2"
            b"&Tags.member.1.Key=a&Tags.member.1.Value=1&TransitiveTagKeys.member.1=a"
        )
    )

    assert (call.service, call.action, call.protocol) == ("sts", "AssumeRole", "query")
    assert call.members("Tags") == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert (call.texts("TransitiveTagKeys"), call.text("RoleArn"), call.text("None")) == (["a"], "arn", "")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (json_request(target="DynamoDB_20120810.GetItem"), "UnknownOperationException"),
        (json_request(target="secretsmanager."), "UnknownOperationException"),
        (json_request(body=b"["), "SerializationException"),
        (json_request(body=b"[]"), "SerializationException"),
        (json_request(authorization="Bearer x"), "IncompleteSignatureException"),
        (form_request(b"Action=AssumeRole"), "UnknownOperationException"),
        (form_request(b"Version=2011-06-15"), "UnknownOperationException"),
        (HttpRequest("GET", "/", "", {}, b""), "UnknownOperationException"),
    ],
)
def test_what_is_no_call_is_refused(request_, code):
    assert refusal(request_) == code


def test_a_failure_in_json():
    answer = AwsError("ThrottlingException", headers={"Retry-After": "3"}).answer("json", "secretsmanager")

    assert answer.status == 400
    assert json.loads(answer.body) == {"__type": "ThrottlingException", "message": "Rate exceeded"}
    assert answer.headers["Retry-After"] == "3"


def test_a_failure_in_xml_is_escaped():
    answer = AwsError("AccessDeniedException", "<role> & you").answer("query", "sts")

    error = ET.fromstring(answer.body)[0]
    assert answer.status == 403
    assert [part.text for part in error] == ["Sender", "AccessDenied", "<role> & you"]


def test_a_success_of_sts_nests():
    answer = sts_answer("AssumeRole", {"Credentials": {"AccessKeyId": "A&B"}})

    assert b"<AssumeRoleResult><Credentials><AccessKeyId>A&amp;B</AccessKeyId></Credentials>" in answer.body


def test_a_call_does_not_show_its_body():
    assert "db" not in repr(Call("sts", "x", "query", {}, json_request(), None))
