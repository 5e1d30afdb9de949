"""Parameter Store answers as AWS does: versions and labels, batches denied as a whole, paths judged by themselves."""

import json

import pytest
from botocore.exceptions import ClientError

from keyferry.testing.aws import Fault

OTHER_ACCOUNT = "999999999999"


@pytest.fixture
def user(admin, client_for, unique):
    """Makes a user with the policy; its client of Parameter Store."""
    made = []

    def make(policy, **options):
        made.append(f"{unique}-{len(made)}")
        return client_for("ssm", admin.create_user(made[-1], policy=policy), **options)

    return make


@pytest.fixture
def reader(admin, user, unique):
    """The client of a user who may read what lies below its own name, in every way but lists."""
    return user(admin.parameter_policy([f"/{unique}/*"]))


def failure(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    return told["Error"]["Code"], told["Error"]["Message"]


def not_allowed(user, action, resource):
    who = f"arn:aws:iam::123456789012:user/{user}"
    why = f"because no identity-based policy allows the ssm:{action} action"
    return (
        "AccessDeniedException",
        f"User: {who} is not authorized to perform: ssm:{action} on resource: {resource} {why}",
    )


# Values, versions, labels


def test_parameter_is_read_with_what_aws_tells_about_it(admin, reader, unique):
    admin.put_parameter(f"/{unique}/db", "first")
    admin.put_parameter(f"/{unique}/db", "second")

    got = reader.get_parameter(Name=f"/{unique}/db")["Parameter"]

    assert ("second", 2, "String", "text") == (got["Value"], got["Version"], got["Type"], got["DataType"])
    assert (f"/{unique}/db", admin.parameter_arn(f"/{unique}/db")) == (got["Name"], got["ARN"])
    assert "Selector" not in got


def test_version_and_label_are_told_as_the_selector(admin, reader, unique):
    first = admin.put_parameter(f"/{unique}/db", "first")
    admin.put_parameter(f"/{unique}/db", "second")
    admin.label_parameter(f"/{unique}/db", "blue", first)

    got = [reader.get_parameter(Name=f"/{unique}/db:{one}")["Parameter"] for one in ("1", "2", "blue")]

    assert [("first", ":1"), ("second", ":2"), ("first", ":blue")] == [
        (one["Value"], one["Selector"]) for one in got
    ]


def test_label_moves_to_another_version(admin, reader, unique):
    for number in ("1", "2"):
        admin.label_parameter(f"/{unique}/db", "blue", admin.put_parameter(f"/{unique}/db", number))

    assert "2" == reader.get_parameter(Name=f"/{unique}/db:blue")["Parameter"]["Value"]


@pytest.mark.parametrize("selector", ["9", "green"], ids=["version", "label"])
def test_absent_version_is_told_apart_from_an_absent_parameter(admin, reader, unique, selector):
    admin.put_parameter(f"/{unique}/db", "value")

    code, message = failure(reader.get_parameter, Name=f"/{unique}/db:{selector}")

    assert "ParameterVersionNotFound" == code
    assert f"could not find version {selector} of /{unique}/db" in message
    assert ("ParameterNotFound", "") == failure(reader.get_parameter, Name=f"/{unique}/none:{selector}")


@pytest.mark.parametrize("stored", ["{}", "/{}"], ids=["without a slash", "with a slash"])
def test_name_of_no_folder_may_have_a_slash_or_not(admin, user, unique, stored):
    admin.put_parameter(stored.format(unique), "value")
    reader = user(admin.parameter_policy([unique]))

    got = [reader.get_parameter(Name=name)["Parameter"] for name in (unique, f"/{unique}", f" {unique} ")]

    assert ["value"] * 3 == [one["Value"] for one in got]
    assert {admin.parameter_arn(unique)} == {one["ARN"] for one in got}


@pytest.mark.parametrize("name", ["{}/db", "/{}/a b", "/{}//db", "/{}/", "/{}/ä"])
def test_name_in_another_form_is_refused(reader, unique, name):
    code, message = failure(reader.get_parameter, Name=name.format(unique))

    assert "ValidationException" == code
    assert "sub-paths divided by slash symbol" in message


@pytest.mark.parametrize(
    ("size", "tier", "said"),
    [(4097, "Standard", "4096"), (8193, "Advanced", "8192")],
    ids=["standard", "advanced"],
)
def test_value_has_a_largest_size(admin, unique, size, tier, said):
    code, message = failure(
        admin.client("ssm").put_parameter, Name=unique, Value="x" * size, Type="String", Tier=tier
    )

    assert ("ValidationException", True) == (code, said in message)


# Permissions


def test_each_operation_has_its_own_action(admin, user, unique):
    admin.put_parameter(f"/{unique}/db", "value")
    arn = admin.parameter_arn(f"/{unique}/db")
    calls = {
        "GetParameter": {"Name": f"/{unique}/db"},
        "GetParameters": {"Names": [f"/{unique}/db"]},
        "GetParametersByPath": {"Path": f"/{unique}/"},
        "ListTagsForResource": {"ResourceType": "Parameter", "ResourceId": f"/{unique}/db"},
    }
    for number, action in enumerate(calls):
        allowed = user(admin.parameter_policy([f"/{unique}/*"], [action]))
        for other, parameters in calls.items():
            call = getattr(allowed, "".join(f"_{c.lower()}" if c.isupper() else c for c in other)[1:])
            if other == action:
                assert call(**parameters)
                continue
            resource = arn if other != "GetParametersByPath" else admin.parameter_arn(f"/{unique}/")
            assert not_allowed(f"{unique}-{number}", other, resource) == failure(call, **parameters)


def test_one_denied_parameter_denies_the_batch(admin, reader, unique):
    admin.put_parameter(f"/{unique}/a", "a")
    admin.put_parameter(f"/{unique}-b", "b")

    told = failure(reader.get_parameters, Names=[f"/{unique}/a", f"/{unique}-b"])

    assert not_allowed(f"{unique}-0", "GetParameters", admin.parameter_arn(f"/{unique}-b")) == told


def test_absent_parameters_and_versions_are_invalid_in_a_batch(admin, reader, unique):
    for name in ("b", "a"):
        admin.put_parameter(f"/{unique}/{name}", name)
    names = ["b", "none", "a:1", "a:7", "a:blue", "a", "a"]

    got = reader.get_parameters(Names=[f"/{unique}/{name}" for name in names] + ["no/slash"])

    assert [("a", ":1"), ("a", None), ("b", None)] == [
        (one["Value"], one.get("Selector")) for one in got["Parameters"]
    ]
    invalid = [f"/{unique}/{name}" for name in ("none", "a:7", "a:blue")]
    assert [*invalid, "no/slash"] == got["InvalidParameters"]


@pytest.mark.parametrize("names", [[], [f"n{number}" for number in range(11)]], ids=["none", "eleven"])
def test_batch_holds_one_to_ten_names(admin, names):
    code, _ = failure_without_validation(admin, "get_parameters", Names=names)

    assert "ValidationException" == code


def failure_without_validation(admin, operation, **parameters):
    import boto3
    from botocore.config import Config

    keys = admin._keys
    client = boto3.client(
        "ssm",
        endpoint_url=admin._endpoint,
        region_name=admin.region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )
    return failure(getattr(client, operation), **parameters)


def test_tag_of_a_parameter_may_decide(admin, user, unique):
    admin.put_parameter(f"/{unique}/ours", "a", tags={"team": "a"})
    admin.put_parameter(f"/{unique}/theirs", "b", tags={"team": "b"})
    statement = {
        "Effect": "Allow",
        "Action": "ssm:GetParameter",
        "Resource": "*",
        "Condition": {"StringEquals": {"ssm:resourceTag/team": "a"}},
    }
    reader = user(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    assert "a" == reader.get_parameter(Name=f"/{unique}/ours")["Parameter"]["Value"]
    assert "AccessDeniedException" == failure(reader.get_parameter, Name=f"/{unique}/theirs")[0]


def test_parameter_of_another_account_must_be_shared(aws, admin, client_for, unique):
    other = aws.administrator(account=OTHER_ACCOUNT)
    other.put_parameter(f"/{unique}/db", "theirs")
    admin.put_parameter(f"/{unique}/db", "ours")
    arn = other.parameter_arn(f"/{unique}/db")
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": "*"}],
        }
    )
    reader = client_for("ssm", admin.create_user(unique, policy=policy))
    assert "AccessDeniedException" == failure(reader.get_parameter, Name=arn)[0]

    other.share_parameter(f"/{unique}/db", admin.account)

    assert "theirs" == reader.get_parameter(Name=arn)["Parameter"]["Value"]
    assert "theirs" == reader.get_parameter(Name=f"{arn}:1")["Parameter"]["Value"]
    assert ["theirs"] == [one["Value"] for one in reader.get_parameters(Names=[arn])["Parameters"]]


# Encryption


def test_secure_string_without_decryption_is_a_cipher(admin, reader, unique):
    admin.put_parameter(f"/{unique}/db", "secret", kind="SecureString")

    got = reader.get_parameter(Name=f"/{unique}/db")["Parameter"]

    assert ("SecureString", True, False) == (
        got["Type"],
        got["Value"].startswith("AQICAH"),
        "secret" in got["Value"],
    )


def test_accounts_own_key_needs_no_right_of_its_own(admin, reader, unique):
    admin.put_parameter(f"/{unique}/db", "secret", kind="SecureString")

    got = reader.get_parameter(Name=f"/{unique}/db", WithDecryption=True)["Parameter"]

    assert "secret" == got["Value"]


def test_own_key_must_be_allowed_through_parameter_store(admin, user, reader, unique):
    key = admin.create_key()
    admin.put_parameter(f"/{unique}/db", "secret", kind="SecureString", key_id=key)
    admin.put_parameter(f"/{unique}/open", "open")
    reading = json.loads(admin.parameter_policy([f"/{unique}/*"]))["Statement"]
    through = {"StringEquals": {"kms:ViaService": f"ssm.{admin.region}.amazonaws.com"}}
    decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key, "Condition": through}
    allowed = user(json.dumps({"Version": "2012-10-17", "Statement": [*reading, decrypt]}))
    one = {"Name": f"/{unique}/db", "WithDecryption": True}
    batch = {"Names": [f"/{unique}/db", f"/{unique}/open"], "WithDecryption": True}
    path = {"Path": f"/{unique}/", "Recursive": True, "WithDecryption": True}

    assert "secret" == allowed.get_parameter(**one)["Parameter"]["Value"]
    assert 2 == len(allowed.get_parameters(**batch)["Parameters"])
    assert 2 == len(allowed.get_parameters_by_path(**path)["Parameters"])
    for call, parameters in (
        (reader.get_parameter, one),
        (reader.get_parameters, batch),
        (reader.get_parameters_by_path, path),
    ):
        code, message = failure(call, **parameters)
        assert "AccessDeniedException" == code
        assert f"is not authorized to perform: kms:Decrypt on resource: {key}" in message


def test_key_that_is_switched_off_decrypts_nothing(admin, user, unique):
    key = admin.create_key()
    admin.put_parameter(f"/{unique}/db", "secret", kind="SecureString", key_id=key)
    reader = user(admin.parameter_policy([f"/{unique}/*"], keys=[key]))
    admin.disable_key(key)

    assert "InvalidKeyId" == failure(reader.get_parameter, Name=f"/{unique}/db", WithDecryption=True)[0]


def test_key_that_does_not_exist_encrypts_nothing(admin, unique):
    told = failure(
        admin.client("ssm").put_parameter, Name=unique, Value="x", Type="SecureString", KeyId="alias/none"
    )

    assert "InvalidKeyId" == told[0]


# Paths and lists


def below(client, path, **more):
    names, token = [], {}
    while True:
        page = client.get_parameters_by_path(Path=path, **more, **token)
        names.append([one["Name"] for one in page["Parameters"]])
        if "NextToken" not in page:
            return names
        token = {"NextToken": page["NextToken"]}


def test_path_gives_ten_a_page_at_most(admin, reader, unique):
    names = [f"/{unique}/{number:02}" for number in range(21)]
    for name in names:
        admin.put_parameter(name, "x")

    assert [names[:10], names[10:20], names[20:]] == below(reader, f"/{unique}/")
    assert (
        "ValidationException" == failure(reader.get_parameters_by_path, Path=f"/{unique}", MaxResults=11)[0]
    )


def test_path_is_a_folder_with_or_without_what_lies_deeper(admin, user, unique):
    for name in ("a", "b/c", "b/d/e"):
        admin.put_parameter(f"/{unique}/{name}", "x")
    admin.put_parameter(f"/{unique}-other/a", "x")
    reader = user(admin.parameter_policy([f"/{unique}*"]))

    assert [[f"/{unique}/a"]] == below(reader, f"/{unique}")
    assert [[f"/{unique}/{name}" for name in ("a", "b/c", "b/d/e")]] == below(
        reader, f"/{unique}/", Recursive=True
    )
    assert [[]] == below(reader, f"/{unique}/none")


def test_path_is_judged_as_it_is_written_and_what_lies_below_is_not(admin, user, unique):
    admin.put_parameter(f"/{unique}/open/a", "a")
    admin.put_parameter(f"/{unique}/closed/b", "b")
    policy = json.loads(admin.parameter_policy([f"/{unique}/*"]))
    deny = {
        "Effect": "Deny",
        "Action": "ssm:GetParameter*",
        "Resource": admin.parameter_arn(f"/{unique}/closed/b"),
    }
    reader = user(json.dumps(policy | {"Statement": [*policy["Statement"], deny]}))

    assert [[f"/{unique}/closed/b", f"/{unique}/open/a"]] == below(reader, f"/{unique}/", Recursive=True)
    denied = failure(reader.get_parameters_by_path, Path=f"/{unique}", Recursive=True)
    assert not_allowed(f"{unique}-0", "GetParametersByPath", admin.parameter_arn(f"/{unique}")) == denied


@pytest.mark.parametrize("path", ["{}", "//{}", "/{}/a b"], ids=["no slash", "two slashes", "a blank"])
def test_path_in_another_form_is_refused(reader, unique, path):
    code, message = failure(reader.get_parameters_by_path, Path=path.format(unique))

    assert "ValidationException" == code
    assert "must begin with a forward slash" in message


def test_page_belongs_to_its_question(admin, reader, unique):
    for number in range(11):
        admin.put_parameter(f"/{unique}/{number}", "x")
    token = reader.get_parameters_by_path(Path=f"/{unique}/")["NextToken"]

    for other in ({"Path": f"/{unique}/a", "NextToken": token}, {"Path": f"/{unique}/", "NextToken": "x"}):
        assert "InvalidNextToken" == failure(reader.get_parameters_by_path, **other)[0]


def test_list_holds_fifty_a_page_at_most_and_no_values(admin, user, unique):
    names = [f"/{unique}/{number:02}" for number in range(51)]
    for name in names:
        admin.put_parameter(name, "x")
    lister = user(admin.parameter_policy([f"/{unique}/*"], find=True))
    filters = [{"Key": "Path", "Option": "Recursive", "Values": [f"/{unique}"]}]

    page = lister.describe_parameters(ParameterFilters=filters, MaxResults=50)
    rest = lister.describe_parameters(ParameterFilters=filters, MaxResults=50, NextToken=page["NextToken"])

    assert names == [one["Name"] for one in [*page["Parameters"], *rest["Parameters"]]]
    assert "NextToken" not in rest
    assert not any("Value" in one for one in page["Parameters"])
    assert 10 == len(lister.describe_parameters(ParameterFilters=filters)["Parameters"])


def test_list_filters_by_tags_exactly_and_all_of_them(admin, user, unique):
    admin.put_parameter(f"/{unique}/both", "x", tags={"env": "prod", "team": unique})
    admin.put_parameter(f"/{unique}/one", "x", tags={"env": "production", "team": unique})
    lister = user(admin.parameter_policy([f"/{unique}/*"], find=True))

    def names(**tags):
        filters = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [one]} for key, one in tags.items()]
        return [one["Name"] for one in lister.describe_parameters(ParameterFilters=filters)["Parameters"]]

    assert [f"/{unique}/both"] == names(env="prod", team=unique)
    assert [f"/{unique}/both", f"/{unique}/one"] == names(team=unique)
    assert [] == names(team="nobody")


def test_list_refuses_a_filter_without_a_value(admin):
    told = failure_without_validation(
        admin, "describe_parameters", ParameterFilters=[{"Key": "tag:env", "Values": [""]}]
    )

    assert "ValidationException" == told[0]


def test_list_is_granted_for_all_parameters_or_not_at_all(admin, reader, user, unique):
    everything = f"arn:aws:ssm:{admin.region}:123456789012:*"

    assert not_allowed(f"{unique}-0", "DescribeParameters", everything) == failure(reader.describe_parameters)


# Tags


def test_tags_are_listed_for_the_name_alone(admin, reader, unique):
    admin.put_parameter(f"/{unique}/db", "x", tags={"env": "prod"})

    def tags(name):
        return reader.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]

    assert [{"Key": "env", "Value": "prod"}] == tags(f"/{unique}/db")
    for absent in (f"/{unique}/none", f"/{unique}/db:1"):
        told = failure(reader.list_tags_for_resource, ResourceType="Parameter", ResourceId=absent)
        assert "InvalidResourceId" == told[0]


# References to Secrets Manager


def test_parameter_that_stands_for_a_secret_needs_the_right_to_the_secret(admin, client_for, unique):
    admin.put_secret(unique, "value")
    name = f"/aws/reference/secretsmanager/{unique}"
    read = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
    secret = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}

    def client(*statements):
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        return client_for("ssm", admin.create_user(f"{unique}-{len(statements)}", policy=policy))

    got = client(read, secret).get_parameter(Name=name, WithDecryption=True)["Parameter"]
    code, message = failure(client(read).get_parameter, Name=name, WithDecryption=True)

    assert (name, "value") == (got["Name"], got["Value"])
    assert ("AccessDeniedException", True) == (code, "secretsmanager:GetSecretValue" in message)


# Faults and the log


def test_fault_of_one_parameter_fails_each_call_that_wants_it(aws, admin, reader, unique):
    for name in ("a", "b"):
        admin.put_parameter(f"/{unique}/{name}", name)
    aws.control.fail("InternalServerError", secret=f"/{unique}/b")

    assert "a" == reader.get_parameter(Name=f"/{unique}/a")["Parameter"]["Value"]
    for call, parameters in (
        (reader.get_parameter, {"Name": f"/{unique}/b"}),
        (reader.get_parameters, {"Names": [f"/{unique}/a", f"/{unique}/b"]}),
        (reader.get_parameters_by_path, {"Path": f"/{unique}/"}),
    ):
        with pytest.raises(ClientError, match="InternalServerError"):
            call(**parameters)


def test_calls_are_logged_with_the_names_that_they_name(aws, admin, reader, unique):
    admin.put_parameter(f"/{unique}/a", "a")
    aws.control.reset_calls()
    reader.get_parameter(Name=f"/{unique}/a:1")
    reader.get_parameters(Names=[f"/{unique}/a", f"/{unique}/b"])
    reader.get_parameters_by_path(Path=f"/{unique}/")
    reader.list_tags_for_resource(ResourceType="Parameter", ResourceId=f"/{unique}/a")

    names = [
        [f"/{unique}/a:1"],
        [f"/{unique}/a", f"/{unique}/b"],
        [f"/{unique}/"],
        [f"/{unique}/a"],
    ]
    assert names == [call.secret_ids for call in aws.control.calls(service="ssm")]


def test_call_that_hangs_can_be_ordered(aws, admin, unique):
    admin.put_parameter(unique, "x")
    aws.control.add_fault(Fault(kind="cut-before", service="ssm", action="GetParameter", principal="*user/*"))

    with pytest.raises(Exception, match="Connection was closed"):
        admin.client("ssm").get_parameter(Name=unique)
