"""Batches of parameters: one call for ten, and no failure wider than its own parameter though AWS denies the whole call."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import json

import msgspec
import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    KeyferryError,
    Malformed,
    RateLimited,
    RemoteSecretNotFound,
    Unavailable,
)
from keyferry.ports import Read, RemoteValue
from keyferry.testing.aws import Fault

ARN = "arn:aws:ssm:eu-central-1:123456789012:parameter"


def told(answers):
    """Values as they are, failures by their type."""
    return [a.value.reveal().decode() if isinstance(a, RemoteValue) else type(a) for a in answers]


@pytest.fixture
async def client(parameter_reader, parameters_of):
    return await parameters_of()


async def test_ten_reads_are_one_call(client, put_parameters, parameter_calls):
    names = [f"{number:02}" for number in range(10)]
    reads = put_parameters(*names, kind="SecureString")

    assert names == told(await client.read(reads))
    assert ["GetParameters"] == parameter_calls()
    assert 10 == client.batch_size


async def test_versions_and_labels_share_a_call_with_the_latest(
    client, administrator, put_parameters, aws, parameter_calls, unique
):
    put_parameters("a", "b")
    administrator.put_parameter(f"/{unique}/a", "a2")
    administrator.put_parameter(f"/{unique}/a", "a3")
    administrator.label_parameter(f"/{unique}/a", "blue", "2")
    aws.control.reset_calls()
    key = f"/{unique}/a"
    reads = [
        Read(key, "1"),
        Read(f"/{unique}/b"),
        Read(key),
        Read(key, "blue"),
        Read(f"{key}:2"),
        Read(key, "3"),
        Read(f"/{unique}/b", "1"),
    ]

    answers = await client.read(reads)

    assert ["a", "b", "a3", "a2", "a2", "a3", "b"] == told(answers)
    assert ["1", "1", "3", "2", "2", "3", "1"] == [answer.version for answer in answers]
    assert ["GetParameters"] == parameter_calls()


async def test_name_with_and_without_slash_and_its_arn_may_be_in_one_batch(
    client, administrator, aws, parameter_calls, unique
):
    administrator.put_parameter(unique, "flat")
    arn = administrator.parameter_arn(unique)
    aws.control.reset_calls()

    answers = await client.read([Read(unique), Read(f"/{unique}"), Read(arn), Read(arn, "1")])

    assert ["flat"] * 4 == told(answers)
    # The names may be those of another account's answer, and are asked for again.
    assert ["GetParameters", "GetParameter", "GetParameter"] == parameter_calls()


async def test_two_names_of_one_parameter_are_asked_for_once(client, administrator, aws, unique):
    """Nothing says that AWS takes both in one call, and its refusal would cost a call for each of ten."""
    administrator.put_parameter(unique, "flat")
    aws.control.reset_calls()

    answers = await client.read([Read(unique), Read(f"/{unique}"), Read(f"/{unique}", "1")])

    assert ["flat"] * 3 == told(answers)
    (call,) = aws.control.calls(action="GetParameters")
    assert sorted([f"/{unique}", f"/{unique}:1"]) == sorted(call.secret_ids)


async def test_absent_parameters_fail_alone_and_only_by_a_read_of_their_own(
    client, put_parameters, parameter_calls, unique
):
    reads = put_parameters("a", "b")

    answers = await client.read([reads[0], Read(f"/{unique}/none"), reads[1]])

    assert ["a", RemoteSecretNotFound, "b"] == told(answers)
    assert f'remote secret "/{unique}/none" does not exist in eu-central-1' == answers[1].message
    assert ["GetParameters", "GetParameter"] == parameter_calls()


@pytest.mark.parametrize(
    ("single", "expected"),
    [
        ((200, b'{"Parameter": {"Name": "/b", "Value": "2", "Version": 1}}'), "2"),
        ((400, b'{"__type": "AccessDeniedException", "message": "no"}'), AccessDenied),
        ((500, b'{"__type": "InternalServerError"}'), Unavailable),
    ],
    ids=["there", "denied", "failing"],
)
async def test_what_a_batch_calls_invalid_is_not_taken_for_absent(
    scripted, scripted_parameters, single, expected
):
    """AWS's words: "not formatted correctly", or "not run". A Secret could be deleted by it."""
    scripted.answers = [answer(entry("/a", "1"), invalid=["/b"]), single]

    assert ["1", expected] == told(await scripted_parameters.read([Read("/a"), Read("/b")]))
    assert ["GetParameters", "GetParameter"] == scripted.asked


async def test_absent_version_fails_alone_and_is_told_apart_by_a_read_of_its_own(
    client, put_parameters, parameter_calls, unique
):
    (read,) = put_parameters("a")

    answers = await client.read([read, Read(read.key, "7"), Read(f"/{unique}/none", "blue")])

    assert ["a", RemoteSecretNotFound, RemoteSecretNotFound] == told(answers)
    assert 'has no version "7"' in answers[1].message
    assert "does not exist" in answers[2].message
    assert ["GetParameters", "GetParameter", "GetParameter"] == parameter_calls()


def test_what_may_share_a_call(client_that_may):
    assert {
        "value": True,
        "version": True,
        "label-in-key": True,
        "arn": True,
        "tags": False,
        "reference": False,
        "no-name": False,
    } == client_that_may


@pytest.fixture
async def client_that_may(client):
    reads = {
        "value": Read("/a"),
        "version": Read("/a", "1"),
        "label-in-key": Read("/a:blue"),
        "arn": Read(f"{ARN}/a"),
        "tags": Read("/a", metadata=True),
        "reference": Read("/aws/reference/secretsmanager/a"),
        "no-name": Read("a b"),
    }
    return {name: client.may_batch(read) for name, read in reads.items()}


# Denied


async def test_denied_parameter_fails_alone_and_spoils_no_second_batch(
    client, administrator, put_parameters, aws, parameter_calls, unique
):
    reads = put_parameters("a", "b", "c")
    administrator.put_parameter(f"/not-{unique}", "not ours")
    denied = Read(f"/not-{unique}")
    aws.control.reset_calls()

    first = await client.read([reads[0], denied, reads[1]])
    calls = parameter_calls()
    aws.control.reset_calls()
    second = await client.read(reads)

    assert ["a", AccessDenied, "b"] == told(first)
    assert f"/not-{unique}" in first[1].message
    assert ["GetParameters", *["GetParameter"] * 3] == calls
    assert (["a", "b", "c"], ["GetParameters"]) == (told(second), parameter_calls())
    assert [False, True] == [client.may_batch(denied), client.may_batch(reads[0])]
    assert not client.may_batch(Read(denied.key, "1"))


async def test_parameter_that_is_no_longer_denied_is_read_with_others_again(
    client, administrator, put_parameters, aws, unique
):
    reads = put_parameters("a")
    administrator.put_parameter(f"/not-{unique}", "ours now")
    denied = Read(f"/not-{unique}")
    await client.read([*reads, denied])
    policy = administrator.parameter_policy([f"/not-{unique}"])
    administrator.client("iam").put_user_policy(
        UserName=f"reader-{unique}-0", PolicyName="more", PolicyDocument=policy
    )

    assert ["ours now"] == told(await client.read([denied]))
    assert client.may_batch(denied)


async def test_key_that_may_not_decrypt_fails_its_parameter_alone(
    client, administrator, put_parameters, aws, parameter_calls, unique
):
    reads = put_parameters("a", "b")
    key = administrator.create_key()
    administrator.put_parameter(f"/{unique}/locked", "x", kind="SecureString", key_id=key)
    locked = Read(f"/{unique}/locked")
    aws.control.reset_calls()

    answers = await client.read([reads[0], locked, reads[1]])

    assert ["a", "b"] == told([answers[0], answers[2]])
    assert isinstance(answers[1], AccessDenied)
    assert f'decrypt remote secret "/{unique}/locked"' in answers[1].message
    assert ["GetParameters", *["GetParameter"] * 3] == parameter_calls()
    assert [False, True] == [client.may_batch(locked), client.may_batch(reads[0])]


async def test_key_that_is_switched_off_fails_its_parameter_alone(
    let, parameters_of, administrator, put_parameters, unique
):
    key = administrator.create_key()
    let(administrator.parameter_policy([f"/{unique}/*"], keys=[key]))
    client = await parameters_of()
    reads = put_parameters("a")
    reads += put_parameters("locked", kind="SecureString", key_id=key)
    assert ["a", "locked"] == told(await client.read(reads))
    administrator.disable_key(key)

    value, failure = await client.read(reads)

    assert ["a"] == told([value])
    assert isinstance(failure, AccessDenied)


@pytest.fixture
async def single_client(let, parameters_of, administrator, unique):
    """Of a user who may read singly alone."""
    let(administrator.parameter_policy([f"/{unique}/*"], ["GetParameter"]), "single")
    return await parameters_of("single")


async def test_denied_batches_are_read_one_by_one_and_not_tried_again(
    single_client, put_parameters, aws, parameter_calls
):
    reads = put_parameters("a", "b", "c")

    first = await single_client.read(reads)
    calls = parameter_calls()
    aws.control.reset_calls()
    second = await single_client.read(reads)

    assert ["a", "b", "c"] == told(first) == told(second)
    assert ["GetParameters", *["GetParameter"] * 3] == calls
    assert ["GetParameter"] * 3 == parameter_calls()
    assert not single_client.may_batch(reads[0])


async def test_denied_batches_are_remembered_for_their_identity_alone(
    single_client, client, put_parameters, aws, parameter_calls
):
    reads = put_parameters("a", "b")
    await single_client.read(reads)
    aws.control.reset_calls()

    assert ["a", "b"] == told(await client.read(reads))
    assert ["GetParameters"] == parameter_calls()


async def test_refusal_is_forgotten_after_an_hour(
    single_client, client, put_parameters, administrator, unique
):
    """A policy may have changed meanwhile."""
    import asyncio

    reads = put_parameters("a", "b")
    administrator.put_parameter(f"/not-{unique}", "not ours")
    denied = Read(f"/not-{unique}")
    await single_client.read(reads)
    await client.read([reads[0], denied])
    loop = asyncio.get_running_loop()
    now = loop.time
    try:
        loop.time = lambda: now() + 3601.0

        assert [True, True] == [single_client.may_batch(reads[0]), client.may_batch(denied)]
    finally:
        loop.time = now


POISON = [
    pytest.param({"code": "ValidationException", "message": "no"}, id="invalid"),
    pytest.param({"code": "InvalidKeyId", "message": "no"}, id="key"),
    pytest.param({"code": "AccessDeniedException", "message": "kms:Decrypt"}, id="kms"),
    pytest.param({"code": "ParameterNotFound"}, id="not-found"),
]


@pytest.mark.parametrize("fault", POISON)
async def test_batch_spoilt_by_something_else_is_read_one_by_one_and_batches_go_on(
    client, put_parameters, aws, parameter_calls, fault
):
    reads = put_parameters("a", "b")
    aws.control.fail(**fault, action="GetParameters", times=1)

    assert ["a", "b"] == told(await client.read(reads))
    assert ["GetParameters", *["GetParameter"] * 2] == parameter_calls()
    assert client.may_batch(reads[0])


OUTAGES = [
    pytest.param(Fault(code="ThrottlingException"), RateLimited, id="throttled"),
    pytest.param(Fault(code="InternalServerError"), Unavailable, id="server-error"),
    pytest.param(Fault(code="ExpiredTokenException"), AuthFailed, id="expired"),
    pytest.param(Fault(code="UnrecognizedClientException"), AuthFailed, id="bad-keys"),
    pytest.param(Fault(kind="cut-before"), Unavailable, id="cut-before-the-answer"),
    pytest.param(Fault(kind="cut-body"), Malformed, id="cut-within-the-answer"),
    pytest.param(Fault(kind="malformed"), Malformed, id="malformed"),
]


@pytest.mark.parametrize(("fault", "expected"), OUTAGES)
async def test_failure_of_the_store_is_not_asked_for_again_one_by_one(
    client, put_parameters, aws, parameter_calls, fault, expected
):
    reads = put_parameters("a", "b")
    aws.control.add_fault(msgspec.structs.replace(fault, action="GetParameters"))

    with pytest.raises(expected):
        await client.read(reads)

    assert ["GetParameters"] == parameter_calls()


async def test_what_was_answered_stays_answered_when_aws_fails_with_the_rest(
    client, put_parameters, aws, unique
):
    reads = put_parameters("a", "b")
    aws.control.fail("ValidationException", message="no", action="GetParameters")
    aws.control.fail("InternalServerError", action="GetParameter", secret=f"/{unique}/b")

    assert ["a", Unavailable] == told(await client.read(reads))


# Answers that no AWS gives


def entry(name, value, **more):
    return {"Name": name, "ARN": f"{ARN}/{name.lstrip('/')}", "Value": value, "Version": 1} | more


def body(content):
    return json.dumps(content).encode()


def answer(*entries, invalid=()):
    return 200, body({"Parameters": list(entries), "InvalidParameters": list(invalid)})


async def test_parameter_that_the_batch_forgets_is_read_singly(scripted, scripted_parameters):
    scripted.answers = [answer(entry("/a", "1")), (200, body({"Parameter": entry("/b", "2")}))]

    assert ["1", "2"] == told(await scripted_parameters.read([Read("/a"), Read("/b")]))
    assert ["GetParameters", "GetParameter"] == scripted.asked


async def test_version_is_never_taken_for_another(scripted, scripted_parameters):
    latest = {"Parameter": entry("/a", "latest", Version=2)}
    scripted.answers = [answer(entry("/a", "first", Selector=":1"), entry("/b", "b")), (200, body(latest))]

    assert ["latest", "b"] == told(await scripted_parameters.read([Read("/a"), Read("/b")]))


async def test_parameter_of_another_account_is_never_taken_for_ones_own(scripted, scripted_parameters):
    """AWS may call it by its name alone."""
    theirs = "arn:aws:ssm:eu-central-1:888888888888:parameter/a"
    own = {"Parameter": entry("/a", "own")}
    scripted.answers = [answer(entry("/a", "theirs", ARN=theirs)), (200, body(own))]

    assert ["theirs", "own"] == told(await scripted_parameters.read([Read(theirs), Read("/a")]))


async def test_entry_without_a_value_is_malformed_and_not_absent(scripted, scripted_parameters):
    empty = {"Name": "/a", "ARN": f"{ARN}/a"}
    scripted.answers = [answer(empty, entry("/b", "2"))]

    assert [Malformed, "2"] == told(await scripted_parameters.read([Read("/a"), Read("/b")]))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{}", id="empty"),
        pytest.param(b'{"Parameters": [{"Name": "/a", "Value"', id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b'{"Parameters": "\xff\xfe"}', id="no-text"),
    ],
)
@pytest.mark.parametrize("reads", [[Read("/a")], [Read("/a"), Read("/b")]], ids=["single", "batch"])
async def test_answer_that_cannot_be_read_is_never_a_missing_parameter(
    scripted, scripted_parameters, reads, content
):
    scripted.answers = [(200, content)]

    with pytest.raises(KeyferryError) as failure:
        await scripted_parameters.read(reads)

    assert isinstance(failure.value, Malformed)
