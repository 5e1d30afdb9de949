"""ListSecrets answers as AWS does: filters by beginnings, pages of a hundred, and what it refuses."""

import json

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

FREE = Config(parameter_validation=False, retries={"total_max_attempts": 1})


@pytest.fixture
def lister(admin, client_for, unique):
    """The client of a user who may list secrets and read none; the SDK lets everything pass."""
    keys = admin.create_user(unique, policy=admin.read_policy([f"{unique}/*"], find=True))
    return client_for("secretsmanager", keys, config=FREE)


def listed(lister, unique, *filters, **parameters):
    """Names of the test's own secrets that are listed."""
    wanted = [{"Key": key, "Values": values} for key, *values in (("name", unique), *filters)]
    answer = lister.list_secrets(Filters=wanted, **parameters)
    assert "NextToken" not in answer
    return [one["Name"].removeprefix(f"{unique}/") for one in answer["SecretList"]]


def failure(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    return told["Error"]["Code"], told["Error"]["Message"]


def test_names_and_tags_are_listed_and_no_value(admin, lister, unique):
    admin.put_secret(f"{unique}/b", "the-value", tags={"team": "a"})
    admin.put_secret(f"{unique}/a", "the-value")

    answer = lister.list_secrets(Filters=[{"Key": "name", "Values": [f"{unique}/"]}])

    assert [one["Name"] for one in answer["SecretList"]] == [f"{unique}/b", f"{unique}/a"]
    assert answer["SecretList"][0]["Tags"] == [{"Key": "team", "Value": "a"}]
    assert answer["SecretList"][0]["ARN"] == admin.secret_arn(f"{unique}/b")
    assert "the-value" not in str(answer)


def test_a_name_filter_matches_the_beginning_and_heeds_case(admin, lister, unique):
    for name in ("app", "app/db", "apples", "APP", "my-app"):
        admin.put_secret(f"{unique}/{name}", "value")

    assert listed(lister, unique, ("name", f"{unique}/app")) == ["app", "app/db", "apples"]


def test_tag_filters_match_beginnings_and_know_no_pairs(admin, lister, unique):
    admin.put_secret(f"{unique}/exact", "value", tags={"env": "prod"})
    admin.put_secret(f"{unique}/longer", "value", tags={"environment": "production"})
    admin.put_secret(f"{unique}/crossed", "value", tags={"env": "test", "stage": "prod"})
    admin.put_secret(f"{unique}/key-alone", "value", tags={"env": "test"})
    admin.put_secret(f"{unique}/none", "value")

    assert listed(lister, unique, ("tag-key", "env"), ("tag-value", "prod")) == ["exact", "longer", "crossed"]


def test_several_filters_must_all_match_and_of_a_filters_values_one(admin, lister, unique):
    admin.put_secret(f"{unique}/both", "value", tags={"a": "1", "b": "2"})
    admin.put_secret(f"{unique}/one", "value", tags={"a": "1"})

    assert listed(lister, unique, ("tag-key", "a"), ("tag-key", "b")) == ["both"]
    assert listed(lister, unique, ("tag-key", "b", "a")) == ["both", "one"]


def test_secrets_marked_for_deletion_are_listed_only_where_asked_for(admin, lister, unique):
    admin.put_secret(f"{unique}/kept", "value")
    admin.put_secret(f"{unique}/marked", "value")
    admin.delete_secret(f"{unique}/marked", recovery_days=7)

    assert listed(lister, unique) == ["kept"]
    assert listed(lister, unique, IncludePlannedDeletion=True) == ["kept", "marked"]


def test_pages_hold_all_secrets_once_even_if_one_is_deleted_meanwhile(admin, lister, unique):
    names = [f"{unique}/{number}" for number in range(5)]
    for name in names:
        admin.put_secret(name, "value")
    asked = {"Filters": [{"Key": "name", "Values": [unique]}], "MaxResults": 2}

    first = lister.list_secrets(**asked)
    admin.delete_secret(names[0])
    second = lister.list_secrets(**asked, NextToken=first["NextToken"])
    third = lister.list_secrets(**asked, NextToken=second["NextToken"])

    pages = [[one["Name"] for one in page["SecretList"]] for page in (first, second, third)]
    assert pages == [names[:2], names[2:4], names[4:]]
    assert "NextToken" not in third


def test_a_page_holds_a_hundred_unless_told_otherwise(admin, lister, unique):
    for number in range(101):
        admin.client("secretsmanager").create_secret(Name=f"{unique}/{number}", SecretString="value")

    answer = lister.list_secrets(Filters=[{"Key": "name", "Values": [unique]}])

    assert len(answer["SecretList"]) == 100
    assert answer["NextToken"]


def test_a_token_of_nobody_or_of_another_question_is_refused(admin, lister, unique):
    for name in "ab":
        admin.put_secret(f"{unique}/{name}", "value")
    token = lister.list_secrets(MaxResults=1)["NextToken"]
    of_one = [{"Key": "name", "Values": [unique]}]
    refused = ("InvalidNextTokenException", "The NextToken value is invalid.")

    assert failure(lister.list_secrets, NextToken="made-up") == refused
    assert failure(lister.list_secrets, NextToken=token, Filters=of_one) == refused


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        pytest.param({"MaxResults": 101}, "'maxResults'", id="a page too large"),
        pytest.param({"MaxResults": 0}, "'maxResults'", id="a page of nothing"),
        pytest.param({"Filters": [("tag", "x")]}, "'filters.1.member.key'", id="an unknown key"),
        pytest.param({"Filters": [("name", "x")] * 11}, "'filters'", id="too many filters"),
        pytest.param({"Filters": [("name",)]}, "'filters.1.member.values'", id="no value"),
        pytest.param({"Filters": [("name", *"abcdefghijk")]}, "'filters.1.member.values'", id="many values"),
        pytest.param(
            {"Filters": [("name", "x"), ("name", "x" * 513)]}, "'filters.2.member.values'", id="a long value"
        ),
        pytest.param(
            {"Filters": [("tag-value", "ü")]}, "'filters.1.member.values'", id="a strange character"
        ),
    ],
)
def test_what_aws_does_not_take_is_refused(lister, wrong, where):
    if "Filters" in wrong:
        wrong = {"Filters": [{"Key": key, "Values": values} for key, *values in wrong["Filters"]]}

    code, message = failure(lister.list_secrets, **wrong)

    assert code == "ValidationException"
    assert where in message


def test_an_order_that_the_double_does_not_know_is_told_as_a_hole_in_it(lister):
    with pytest.raises(ClientError, match="NotImplementedByDouble"):
        lister.list_secrets(SortOrder="desc")


def test_a_right_for_some_secrets_lists_none(admin, client_for, unique):
    statement = {
        "Effect": "Allow",
        "Action": "secretsmanager:ListSecrets",
        "Resource": f"arn:aws:secretsmanager:*:*:secret:{unique}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sm = client_for("secretsmanager", admin.create_user(unique, policy=policy))

    code, message = failure(sm.list_secrets)

    assert code == "AccessDeniedException"
    assert "not authorized to perform: secretsmanager:ListSecrets because" in message


def test_faults_strike_a_list_like_any_call(aws, lister, unique):
    aws.control.throttle(action="ListSecrets", times=1)

    assert failure(lister.list_secrets)[0] == "ThrottlingException"
    assert listed(lister, unique) == []
    assert [call.status for call in aws.control.calls(action="ListSecrets")] == [400, 200]


def test_a_batch_by_filters_reads_what_is_listed(admin, lister, unique):
    for number in range(21):
        admin.client("secretsmanager").create_secret(Name=f"{unique}/{number}", SecretString=str(number))
    by_name = [{"Key": "name", "Values": [unique]}]

    first = lister.batch_get_secret_value(Filters=by_name)
    rest = lister.batch_get_secret_value(Filters=by_name, NextToken=first["NextToken"])

    values = [one["SecretString"] for page in (first, rest) for one in page["SecretValues"]]
    assert values == [str(number) for number in range(21)]
