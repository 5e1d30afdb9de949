"""What a key and a version name in Parameter Store: names, folders, ARNs, versions, labels; and what tags are read."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import json

import pytest

from keyferry.errors import AccessDenied, ProviderError, RemoteSecretNotFound, SpecError
from keyferry.ports import PacedClient, Read
from keyferry.providers.aws import AWSProvider

OTHER_ACCOUNT = "888888888888"


async def value_of(client, key, version="", **more):
    (answer,) = await client.read([Read(key, version, **more)])
    if isinstance(answer, ProviderError):
        raise answer
    return answer.value.reveal().decode()


async def failure_of(client, key, version="", **more):
    (answer,) = await client.read([Read(key, version, **more)])
    assert isinstance(answer, ProviderError), answer
    return answer


@pytest.fixture
async def client(parameter_reader, parameters_of):
    return await parameters_of()


async def test_client_is_one_that_keeps_its_pace(client):
    assert isinstance(client, PacedClient)


@pytest.mark.parametrize("kind", ["String", "StringList", "SecureString"])
async def test_each_type_is_read_as_its_text(client, administrator, unique, kind):
    administrator.put_parameter(f"/{unique}/db", "one,two,three", kind=kind)

    assert "one,two,three" == await value_of(client, f"/{unique}/db")


@pytest.mark.parametrize("stored", ["{}", "/{}"], ids=["without a slash", "with a slash"])
@pytest.mark.parametrize("asked", ["{}", "/{}", "{} "], ids=["plain", "slash", "a blank behind"])
async def test_name_of_no_folder_may_have_a_slash_or_not(client, administrator, unique, stored, asked):
    administrator.put_parameter(stored.format(unique), "value")

    assert "value" == await value_of(client, asked.format(unique))


@pytest.mark.parametrize("in_key", [True, False], ids=["in the key", "in version"])
async def test_version_and_label_may_stand_in_the_key_or_beside_it(client, administrator, unique, in_key):
    first = administrator.put_parameter(f"/{unique}/db", "first")
    administrator.put_parameter(f"/{unique}/db", "second")
    administrator.label_parameter(f"/{unique}/db", "blue_1.x-y", first)

    async def read(selector):
        key = f"/{unique}/db"
        return await (value_of(client, f"{key}:{selector}") if in_key else value_of(client, key, selector))

    assert ["first", "second", "first"] == [await read(one) for one in ("1", "2", "blue_1.x-y")]


async def test_version_that_was_read_is_told_by_its_number(client, administrator, unique):
    first = administrator.put_parameter(f"/{unique}/db", "first")
    administrator.put_parameter(f"/{unique}/db", "second")
    administrator.label_parameter(f"/{unique}/db", "blue", first)

    answers = [
        (await client.read([Read(f"/{unique}/db", version)]))[0].version for version in ("", "1", "blue")
    ]

    assert ["2", "1", "1"] == answers


@pytest.mark.parametrize("version", ["7", "green"], ids=["number", "label"])
async def test_absent_version_is_told_apart_from_an_absent_parameter(client, administrator, unique, version):
    administrator.put_parameter(f"/{unique}/db", "value")

    error = await failure_of(client, f"/{unique}/db", version)

    assert RemoteSecretNotFound is type(error)
    assert f'remote secret "/{unique}/db" has no version "{version}" in eu-central-1' == error.message
    assert "a number or a label" in error.hint
    absent = await failure_of(client, f"/{unique}/none", version)
    assert (
        f'remote secret "/{unique}/none" does not exist in version "{version}" in eu-central-1'
        == absent.message
    )


async def test_prefix_is_put_in_front_of_every_key(parameter_reader, parameters_of, administrator, unique):
    administrator.put_parameter(f"/{unique}/app/db", "value")
    client = await parameters_of(prefix=f"/{unique}/app/")

    assert "value" == await value_of(client, "db")
    assert f'remote secret "/{unique}/app/none" does not exist' in (await failure_of(client, "none")).message


BAD = [
    pytest.param("a b", "", "is no name of a parameter", id="blank"),
    pytest.param("team/db", "", "is no name of a parameter", id="folder-without-a-slash-in-front"),
    pytest.param("/team//db", "", "is no name of a parameter", id="two-slashes"),
    pytest.param("/team/", "", "is no name of a parameter", id="slash-behind"),
    pytest.param("/team/../db!", "", "is no name of a parameter", id="sign"),
    pytest.param("", "", "is no name of a parameter", id="empty"),
    pytest.param("/", "", "is no name of a parameter", id="root"),
    pytest.param(
        "arn:aws:sqs:eu-central-1:123456789012:parameter/x", "", "is no name", id="arn-of-another-service"
    ),
    pytest.param(
        "arn:aws:ssm:eu-central-1:123456789012:document/x", "", "is no name", id="arn-of-a-document"
    ),
    pytest.param("/db:1", "2", "names more than one version", id="two-versions"),
    pytest.param("/db:1:2", "", "names more than one version", id="two-versions-in-the-key"),
    pytest.param("/db", "uuid/1", '"uuid/1" is no version', id="no-version"),
    pytest.param("/db:", "", '"" is no version', id="colon-without-a-version"),
]


@pytest.mark.parametrize(("key", "version", "said"), BAD)
async def test_what_names_no_parameter_is_told_without_a_call(
    client, aws, parameter_calls, key, version, said
):
    error = await failure_of(client, key, version)

    assert ProviderError is type(error)
    assert said in error.message
    assert error.hint
    assert [] == parameter_calls()
    assert not client.may_batch(Read(key, version))


async def test_two_dots_are_a_name_and_lead_nowhere(client, administrator, unique):
    """Parameter Store takes a name as it stands."""
    administrator.put_parameter(f"/{unique}/db", "value")

    error = await failure_of(client, f"/{unique}/x/../db")

    assert RemoteSecretNotFound is type(error)


# ARNs


async def test_own_parameter_is_read_by_its_arn(client, administrator, unique):
    administrator.put_parameter(f"/{unique}/db", "first")
    administrator.put_parameter(f"/{unique}/db", "second")
    arn = administrator.parameter_arn(f"/{unique}/db")

    assert ["second", "first", "first"] == [
        await value_of(client, arn),
        await value_of(client, f"{arn}:1"),
        await value_of(client, arn, "1"),
    ]


async def test_shared_parameter_of_another_account_is_read_by_its_arn(
    aws, let, parameters_of, administrator, unique
):
    other = aws.administrator(region="eu-central-1", account=OTHER_ACCOUNT)
    other.put_parameter(f"/{unique}/db", "theirs")
    administrator.put_parameter(f"/{unique}/db", "ours")
    arn = other.share_parameter(f"/{unique}/db", administrator.account)
    statement = {"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": "*"}
    let(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    client = await parameters_of()
    aws.control.reset_calls()

    answers = await client.read([Read(arn), Read(f"/{unique}/db"), Read(f"{arn}:1")])

    assert ["theirs", "ours", "theirs"] == [one.value.reveal().decode() for one in answers]
    assert "theirs" == await value_of(client, arn)


async def test_parameter_that_is_not_shared_is_denied(aws, client, unique):
    other = aws.administrator(region="eu-central-1", account=OTHER_ACCOUNT)
    other.put_parameter(f"/{unique}/db", "theirs")

    error = await failure_of(client, other.parameter_arn(f"/{unique}/db"))

    assert isinstance(error, AccessDenied)


async def test_parameter_that_stands_for_a_secret_is_read_alone(let, parameters_of, administrator, unique):
    administrator.put_secret(unique, "first")
    administrator.put_secret(unique, "second")
    actions = ["ssm:GetParameter", "secretsmanager:GetSecretValue"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    let(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    client = await parameters_of()
    key = f"/aws/reference/secretsmanager/{unique}"

    assert not client.may_batch(Read(key))
    assert ("second", "first") == (await value_of(client, key), await value_of(client, key, "AWSPREVIOUS"))


# The one form that policies about keys are matched with


@pytest.mark.parametrize(
    ("prefix", "key", "expected"),
    [
        pytest.param("", "db", "db", id="plain"),
        pytest.param("", "/db", "db", id="a slash that means nothing"),
        pytest.param("", " /team-a/db ", "/team-a/db", id="blanks that aws removes"),
        pytest.param("", "/team-a/db:3", "/team-a/db", id="version"),
        pytest.param("", "/team-a/db:blue", "/team-a/db", id="label"),
        pytest.param("/team-a/", "db", "/team-a/db", id="prefix"),
        pytest.param("/", "db", "db", id="prefix that is the root"),
        pytest.param(
            "",
            "arn:aws:ssm:eu-central-1:888888888888:parameter/db:1",
            "arn:aws:ssm:eu-central-1:888888888888:parameter/db",
            id="arn",
        ),
    ],
)
def test_canonical_key_is_the_name_alone(toolbox, prefix, key, expected):
    view = toolbox.view("aws", toolbox.aws_block(service="ParameterStore", prefix=prefix))

    assert expected == AWSProvider().canonical(view, key)


@pytest.mark.parametrize("key", ["/team-a//db", "/team-a/db:1:2", "team-a/db", ""])
def test_key_that_names_no_parameter_has_no_canonical_form(toolbox, key):
    view = toolbox.view("aws", toolbox.aws_block(service="ParameterStore"))

    with pytest.raises(SpecError):
        AWSProvider().canonical(view, key)


# metadataPolicy Fetch


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param({}, "{}", id="none"),
        pytest.param(
            {"owner": "a", "Env": "prod", "x": ""}, '{"Env":"prod","owner":"a","x":""}', id="sorted"
        ),
        pytest.param({"html": "<a&b>"}, '{"html":"\\u003ca\\u0026b\\u003e"}', id="as-go-escapes-html"),
    ],
)
async def test_metadata_are_the_tags_as_json(client, administrator, unique, tags, expected):
    administrator.put_parameter(f"/{unique}/db", "value", tags=tags)

    assert expected == await value_of(client, f"/{unique}/db", metadata=True)


async def test_metadata_are_the_parameters_whatever_the_version(client, administrator, unique):
    """The established operator asks for the tags of `name:version`, which AWS does not know."""
    administrator.put_parameter(f"/{unique}/db", "value", tags={"a": "b"})

    assert '{"a":"b"}' == await value_of(client, f"/{unique}/db", "1", metadata=True)
    assert '{"a":"b"}' == await value_of(client, f"/{unique}/db:1", metadata=True)


async def test_metadata_need_no_right_to_read_the_value(let, parameters_of, administrator, unique):
    administrator.put_parameter(f"/{unique}/db", "value", tags={"a": "b"})
    let(administrator.parameter_policy([f"/{unique}/*"], ["ListTagsForResource"]))
    client = await parameters_of()

    assert '{"a":"b"}' == await value_of(client, f"/{unique}/db", metadata=True)
    assert isinstance(await failure_of(client, f"/{unique}/db"), AccessDenied)


async def test_metadata_of_an_absent_parameter_are_an_absent_parameter(client, unique):
    error = await failure_of(client, f"/{unique}/none", metadata=True)

    assert RemoteSecretNotFound is type(error)
    assert f'remote secret "/{unique}/none" does not exist in eu-central-1' == error.message


async def test_metadata_by_arn_are_refused_for_they_could_be_another_parameters(
    client, administrator, parameter_calls, unique
):
    """AWS lists tags by name alone; the same name may be another parameter here."""
    administrator.put_parameter(f"/{unique}/db", "value", tags={"a": "b"})

    error = await failure_of(client, administrator.parameter_arn(f"/{unique}/db"), metadata=True)

    assert "cannot be read" in error.message
    assert [] == parameter_calls()


# Permissions


async def test_denied_parameter_is_told_with_who_asked_and_what_to_grant(
    client, parameter_reader, administrator, unique
):
    administrator.put_parameter(f"/not-{unique}", "value")

    error = await failure_of(client, f"/not-{unique}")

    assert (
        f'{parameter_reader} is not allowed to ssm:GetParameter on remote secret "/not-{unique}"'
        == error.message
    )
    assert "Grant ssm:GetParameter on the parameter in its identity-based policy" in error.hint


async def test_key_that_may_not_decrypt_is_told(client, administrator, unique):
    administrator.put_parameter(f"/{unique}/db", "x", kind="SecureString", key_id=administrator.create_key())

    error = await failure_of(client, f"/{unique}/db")

    assert f'decrypt remote secret "/{unique}/db"' in error.message
    assert "kms:Decrypt" in error.hint
