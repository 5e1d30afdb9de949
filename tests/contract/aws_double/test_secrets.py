"""Secrets Manager answers as AWS does: values and versions, batches item by item, permissions by ARN."""

import json

import pytest
from botocore.exceptions import ClientError

NOT_FOUND = "Secrets Manager can't find the specified secret."
MARKED = "You can't perform this operation on the secret because it was marked for deletion."


@pytest.fixture
def reader(admin, client_for, unique):
    """The client of a user who may read the secrets under its own name, batches included."""
    return client_for("secretsmanager", admin.create_user(unique, allow=[f"{unique}/*"]))


def failure(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    return told["Error"]["Code"], told["Error"]["Message"]


def not_allowed(unique, secret, action="GetSecretValue"):
    text = (
        f"User: arn:aws:iam::123456789012:user/{unique} is not authorized to perform: secretsmanager:{action} "
        f"on resource: {secret} because no identity-based policy allows the secretsmanager:{action} action"
    )
    return "AccessDeniedException", text


# Values and versions


def test_text_is_read_with_what_aws_tells_about_it(admin, reader, unique):
    version = admin.put_secret(f"{unique}/db", {"user": "u"})

    got = reader.get_secret_value(SecretId=f"{unique}/db")

    assert json.loads(got["SecretString"]) == {"user": "u"}
    assert (got["Name"], got["VersionId"], got["VersionStages"]) == (f"{unique}/db", version, ["AWSCURRENT"])
    assert got["ARN"].startswith(f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{unique}/db-")
    assert "CreatedDate" in got
    assert "SecretBinary" not in got


def test_bytes_are_read_as_bytes(admin, reader, unique):
    admin.put_secret(f"{unique}/key", b"\x00\xff\x01")

    got = reader.get_secret_value(SecretId=f"{unique}/key")

    assert got["SecretBinary"] == b"\x00\xff\x01"
    assert "SecretString" not in got


@pytest.mark.parametrize("cut", [0, 7], ids=["full ARN", "partial ARN"])
def test_a_secret_is_found_by_its_arn(admin, reader, unique, cut):
    admin.put_secret(f"{unique}/db", "value")
    arn = admin.secret_arn(f"{unique}/db")

    got = reader.get_secret_value(SecretId=arn[: len(arn) - cut])

    assert (got["SecretString"], got["ARN"]) == ("value", arn)


def test_after_a_rotation_current_previous_and_each_version_are_read(admin, reader, unique):
    first = admin.put_secret(f"{unique}/db", "one")
    second = admin.put_secret(f"{unique}/db", "two")

    def value(**version):
        return reader.get_secret_value(SecretId=f"{unique}/db", **version)["SecretString"]

    assert value() == value(VersionStage="AWSCURRENT") == value(VersionId=second) == "two"
    assert value(VersionStage="AWSPREVIOUS") == value(VersionId=first) == "one"


def test_a_version_of_a_custom_stage_is_read_beside_the_current_one(admin, reader, unique):
    admin.put_secret(f"{unique}/db", "one")
    admin.put_secret(f"{unique}/db", "next", stages=["AWSPENDING"])

    assert (
        reader.get_secret_value(SecretId=f"{unique}/db", VersionStage="AWSPENDING")["SecretString"] == "next"
    )
    assert reader.get_secret_value(SecretId=f"{unique}/db")["SecretString"] == "one"


def test_a_secret_that_does_not_exist_is_told_as_such(reader, unique):
    told = failure(reader.get_secret_value, SecretId=f"{unique}/none")

    assert told == ("ResourceNotFoundException", NOT_FOUND)


def test_a_stage_or_version_that_does_not_exist_is_told_as_such(admin, reader, unique):
    version = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    admin.put_secret(f"{unique}/db", "value")

    by_stage = failure(reader.get_secret_value, SecretId=f"{unique}/db", VersionStage="AWSPENDING")
    by_id = failure(reader.get_secret_value, SecretId=f"{unique}/db", VersionId=version)

    text = "Secrets Manager can't find the specified secret value for"
    assert by_stage == ("ResourceNotFoundException", f"{text} staging label: AWSPENDING")
    assert by_id == ("ResourceNotFoundException", f"{text} VersionId: {version}")


def test_a_stage_that_the_version_does_not_have_is_told_as_such(admin, reader, unique):
    first = admin.put_secret(f"{unique}/db", "one")
    admin.put_secret(f"{unique}/db", "two")

    code, _ = failure(
        reader.get_secret_value, SecretId=f"{unique}/db", VersionId=first, VersionStage="AWSCURRENT"
    )

    assert code == "InvalidRequestException"


def test_a_secret_without_a_value_is_told_as_such(admin, reader, unique):
    admin.client("secretsmanager").create_secret(Name=f"{unique}/empty")

    told = failure(reader.get_secret_value, SecretId=f"{unique}/empty")

    assert told == (
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    )


def test_a_secret_marked_for_deletion_is_told_as_such_until_it_is_restored(admin, reader, unique):
    admin.put_secret(f"{unique}/db", "value")
    admin.delete_secret(f"{unique}/db", recovery_days=7)
    assert failure(reader.get_secret_value, SecretId=f"{unique}/db") == ("InvalidRequestException", MARKED)

    admin.restore_secret(f"{unique}/db")
    assert reader.get_secret_value(SecretId=f"{unique}/db")["SecretString"] == "value"


def test_a_deleted_secret_is_gone(admin, reader, unique):
    admin.put_secret(f"{unique}/db", "value")
    admin.delete_secret(f"{unique}/db")

    assert failure(reader.get_secret_value, SecretId=f"{unique}/db") == (
        "ResourceNotFoundException",
        NOT_FOUND,
    )


def test_regions_have_secrets_of_their_own(aws, admin, client_for, unique):
    keys = admin.create_user(unique, allow=[f"{unique}/*"])
    admin.put_secret(f"{unique}/db", "here")
    aws.administrator(region="us-west-2").put_secret(f"{unique}/db", "there")

    def value(region):
        sm = client_for("secretsmanager", keys, region=region)
        return sm.get_secret_value(SecretId=f"{unique}/db")["SecretString"]

    assert (value("eu-central-1"), value("us-west-2")) == ("here", "there")


def test_partitions_have_users_and_secrets_of_their_own(aws, admin, client_for, unique):
    china = aws.administrator(region="cn-north-1")
    china.put_secret(f"{unique}/db", "value")
    reader = client_for(
        "secretsmanager", china.create_user(unique, allow=[f"{unique}/*"]), region="cn-north-1"
    )
    stranger = client_for("secretsmanager", admin.create_user(f"{unique}-2"), region="cn-north-1")

    assert reader.get_secret_value(SecretId=f"{unique}/db")["ARN"].startswith(
        "arn:aws-cn:secretsmanager:cn-north-1:"
    )
    assert failure(stranger.list_secrets)[0] == "UnrecognizedClientException"


def test_a_session_is_good_in_its_own_partition_only(aws, client_for, unique):
    china = aws.administrator(region="cn-north-1")
    keys = china.create_user(unique)
    role = china.role_for_principals(f"{unique}-role", [f"arn:aws-cn:iam::123456789012:user/{unique}"])
    session = client_for("sts", keys, region="cn-north-1").assume_role(
        RoleArn=role, RoleSessionName="keyferry"
    )

    who = client_for("sts", session, region="cn-northwest-1").get_caller_identity()

    assert who["Arn"] == f"arn:aws-cn:sts::123456789012:assumed-role/{unique}-role/keyferry"
    assert failure(client_for("secretsmanager", session).list_secrets)[0] == "UnrecognizedClientException"


def test_motos_other_services_are_reached_through_the_same_door(admin, client_for, unique):
    ssm, sqs, kms = (admin.client(name) for name in ("ssm", "sqs", "kms"))
    ssm.put_parameter(Name=f"/{unique}/p", Value="parameter", Type="SecureString")
    queue = sqs.create_queue(QueueName=unique)["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="notice")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    stranger = admin.create_user(unique)

    got = ssm.get_parameter(Name=f"/{unique}/p", WithDecryption=True)
    assert got["Parameter"]["Value"] == "parameter"
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "notice"
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"] is True
    assert (
        failure(client_for("ssm", stranger).get_parameter, Name=f"/{unique}/p")[0] == "AccessDeniedException"
    )


def test_what_moto_does_by_itself_works_through_the_door(admin, unique):
    sm = admin.client("secretsmanager")
    admin.put_secret(f"{unique}/db", "value", tags={"team": "a"})

    described = sm.describe_secret(SecretId=f"{unique}/db")
    listed = sm.list_secrets(Filters=[{"Key": "name", "Values": [f"{unique}/"]}])

    assert described["Tags"] == [{"Key": "team", "Value": "a"}]
    assert [one["Name"] for one in listed["SecretList"]] == [f"{unique}/db"]


def test_motos_other_failures_have_awss_status(admin, unique):
    told = failure(admin.client("secretsmanager").describe_secret, SecretId=f"{unique}/none")

    assert told == ("ResourceNotFoundException", NOT_FOUND)


# Permissions


def test_a_secret_outside_the_policy_is_refused_in_awss_words(admin, reader, unique):
    admin.put_secret(f"{unique}-other/db", "value")
    arn = admin.secret_arn(f"{unique}-other/db")

    assert failure(reader.get_secret_value, SecretId=f"{unique}-other/db") == not_allowed(
        unique, f"{unique}-other/db"
    )
    assert failure(reader.get_secret_value, SecretId=arn) == not_allowed(unique, arn)


def test_whether_a_secret_exists_is_not_told_to_who_may_not_read_it(reader, unique):
    told = failure(reader.get_secret_value, SecretId=f"{unique}-none")

    assert told == not_allowed(unique, f"{unique}-none")


def test_reading_does_not_allow_writing(admin, reader, unique):
    admin.put_secret(f"{unique}/db", "value")

    told = failure(reader.put_secret_value, SecretId=f"{unique}/db", SecretString="x")

    assert told == not_allowed(unique, f"{unique}/db", "PutSecretValue")
    assert reader.get_secret_value(SecretId=f"{unique}/db")["SecretString"] == "value"


def test_an_action_without_a_resource_is_refused_without_naming_one(reader, unique):
    code, message = failure(reader.list_secrets)

    assert code == "AccessDeniedException"
    assert message.endswith(
        "is not authorized to perform: secretsmanager:ListSecrets "
        "because no identity-based policy allows the secretsmanager:ListSecrets action"
    )


def test_an_explicit_deny_wins(admin, client_for, unique):
    admin.put_secret(f"{unique}/db", "value")
    deny = {
        "Statement": {
            "Effect": "Deny",
            "Action": "secretsmanager:Get*",
            "Resource": f"arn:aws:secretsmanager:*:*:secret:{unique}/db-??????",
        }
    }
    keys = admin.create_user(
        unique, allow=[f"{unique}/*"], policy=json.dumps({"Version": "2012-10-17", **deny})
    )

    code, message = failure(client_for("secretsmanager", keys).get_secret_value, SecretId=f"{unique}/db")

    assert code == "AccessDeniedException"
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_a_policy_by_the_secrets_tag_allows_only_tagged_secrets(admin, client_for, unique):
    admin.put_secret(f"{unique}/a", "A", tags={"team": "a"})
    admin.put_secret(f"{unique}/b", "B", tags={"team": "b"})
    statement = {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
        "Condition": {"StringEquals": {"secretsmanager:ResourceTag/team": "a"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sm = client_for("secretsmanager", admin.create_user(unique, policy=policy))

    assert sm.get_secret_value(SecretId=f"{unique}/a")["SecretString"] == "A"
    assert failure(sm.get_secret_value, SecretId=f"{unique}/b")[0] == "AccessDeniedException"


def test_a_policy_attached_through_a_group_counts(admin, client_for, unique):
    admin.put_secret(f"{unique}/db", "value")
    keys = admin.create_user(unique)
    iam = admin.client("iam")
    iam.create_group(GroupName=unique)
    policy = iam.create_policy(PolicyName=unique, PolicyDocument=admin.read_policy([f"{unique}/*"]))["Policy"]
    iam.attach_group_policy(GroupName=unique, PolicyArn=policy["Arn"])
    sm = client_for("secretsmanager", keys)
    assert failure(sm.get_secret_value, SecretId=f"{unique}/db")[0] == "AccessDeniedException"

    iam.add_user_to_group(GroupName=unique, UserName=unique)
    assert sm.get_secret_value(SecretId=f"{unique}/db")["SecretString"] == "value"


def resource_policy(effect, principal):
    statement = {
        "Effect": effect,
        "Principal": {"AWS": principal},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_on_the_secret_can_forbid_what_the_user_may(admin, reader, unique):
    admin.put_secret(f"{unique}/db", "value")
    admin.client("secretsmanager").put_resource_policy(
        SecretId=f"{unique}/db",
        ResourcePolicy=resource_policy("Deny", f"arn:aws:iam::123456789012:user/{unique}"),
    )

    code, message = failure(reader.get_secret_value, SecretId=f"{unique}/db")

    assert code == "AccessDeniedException"
    assert message.endswith("with an explicit deny in a resource-based policy")


def test_a_secret_of_another_account_wants_a_policy_on_it_and_one_of_the_user(aws, admin, client_for, unique):
    other = aws.administrator(account="210987654321")
    other.put_secret(f"{unique}/db", "theirs")
    arn = other.secret_arn(f"{unique}/db")
    allow_all = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}],
        }
    )
    sm = client_for("secretsmanager", admin.create_user(unique, policy=allow_all))
    without = client_for("secretsmanager", admin.create_user(f"{unique}-2"))

    code, message = failure(sm.get_secret_value, SecretId=arn)
    assert code == "AccessDeniedException"
    assert "no resource-based policy allows" in message

    other.client("secretsmanager").put_resource_policy(
        SecretId=arn, ResourcePolicy=resource_policy("Allow", "arn:aws:iam::123456789012:root")
    )
    assert sm.get_secret_value(SecretId=arn)["SecretString"] == "theirs"
    assert failure(without.get_secret_value, SecretId=arn)[0] == "AccessDeniedException"


# Batches


def batch(client, *names):
    answer = client.batch_get_secret_value(SecretIdList=list(names))
    return [one["Name"] for one in answer["SecretValues"]], answer["Errors"]


def test_a_batch_holds_each_secret_as_a_single_read_would(admin, reader, unique):
    admin.put_secret(f"{unique}/a", "A")
    admin.put_secret(f"{unique}/b", b"\x00B")

    answer = reader.batch_get_secret_value(SecretIdList=[f"{unique}/a", f"{unique}/b"])

    singles = [reader.get_secret_value(SecretId=f"{unique}/{name}") for name in "ab"]
    for single in singles:
        del single["ResponseMetadata"]
    assert answer["SecretValues"] == singles
    assert answer["Errors"] == []


def test_a_batch_fails_item_by_item(admin, reader, unique):
    for name in ("good", "marked"):
        admin.put_secret(f"{unique}/{name}", "value")
    admin.put_secret(f"{unique}-denied", "value")
    admin.delete_secret(f"{unique}/marked", recovery_days=7)

    names, errors = batch(reader, f"{unique}/good", f"{unique}/none", f"{unique}-denied", f"{unique}/marked")

    code, text = not_allowed(unique, f"{unique}-denied")
    assert names == [f"{unique}/good"]
    assert errors == [
        {"SecretId": f"{unique}/none", "ErrorCode": "ResourceNotFoundException", "Message": NOT_FOUND},
        {"SecretId": f"{unique}-denied", "ErrorCode": code, "Message": text},
        {"SecretId": f"{unique}/marked", "ErrorCode": "InvalidRequestException", "Message": MARKED},
    ]


def test_a_batch_of_twenty_is_accepted_and_one_of_twenty_one_refused(admin, reader, unique):
    names = [f"{unique}/{number}" for number in range(21)]
    for name in names:
        admin.put_secret(name, name)

    assert batch(reader, *names[:20]) == (names[:20], [])
    code, message = failure(reader.batch_get_secret_value, SecretIdList=names)
    assert code == "ValidationException"
    assert "Member must have length less than or equal to 20" in message


@pytest.mark.parametrize(
    "parameters", [{}, {"SecretIdList": ["a"], "Filters": [{"Key": "name", "Values": ["a"]}]}]
)
def test_a_batch_wants_either_a_list_or_filters(reader, parameters):
    assert failure(reader.batch_get_secret_value, **parameters)[0] == "InvalidParameterException"


def test_a_batch_wants_its_own_permission_for_all_secrets(admin, client_for, unique):
    """The permission on the very secrets is not enough: AWS allows the action only for `*`."""
    admin.put_secret(f"{unique}/db", "value")
    statement = {
        "Effect": "Allow",
        "Action": ["secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue"],
        "Resource": f"arn:aws:secretsmanager:*:*:secret:{unique}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sm = client_for("secretsmanager", admin.create_user(unique, policy=policy))

    code, message = failure(sm.batch_get_secret_value, SecretIdList=[f"{unique}/db"])

    assert code == "AccessDeniedException"
    assert message.endswith(
        "is not authorized to perform: secretsmanager:BatchGetSecretValue "
        "because no identity-based policy allows the secretsmanager:BatchGetSecretValue action"
    )
    assert sm.get_secret_value(SecretId=f"{unique}/db")["SecretString"] == "value"


def test_a_batch_by_filters_wants_the_permission_to_list(admin, reader, client_for, unique):
    admin.put_secret(f"{unique}/a", "A")
    admin.put_secret(f"{unique}/b", "B")
    filters = [{"Key": "name", "Values": [f"{unique}/"]}]
    statement = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    lister = client_for("secretsmanager", admin.create_user(f"{unique}-lister", policy=policy))

    assert failure(reader.batch_get_secret_value, Filters=filters)[0] == "AccessDeniedException"
    found = lister.batch_get_secret_value(Filters=filters)
    assert {one["SecretString"] for one in found["SecretValues"]} == {"A", "B"}


def test_a_batch_by_filters_comes_in_pages(admin, unique):
    for number in range(3):
        admin.put_secret(f"{unique}/{number}", str(number))
    sm, filters = admin.client("secretsmanager"), [{"Key": "name", "Values": [f"{unique}/"]}]

    first = sm.batch_get_secret_value(Filters=filters, MaxResults=2)
    rest = sm.batch_get_secret_value(Filters=filters, MaxResults=2, NextToken=first["NextToken"])

    values = [one["SecretString"] for page in (first, rest) for one in page["SecretValues"]]
    assert sorted(values) == ["0", "1", "2"]
    assert "NextToken" not in rest
