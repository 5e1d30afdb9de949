"""Batches: one call for twenty, no failure wider than its own secret, single reads where batches are denied."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import json

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

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"


def told(answers):
    """Values as they are, failures by their type."""
    return [a.value.reveal().decode() if isinstance(a, RemoteValue) else type(a).__mro__[0] for a in answers]


def actions(aws):
    return [call.action for call in aws.control.calls(service="secretsmanager")]


@pytest.fixture
def put(administrator, aws, unique):
    """Make secrets `<unique>/<name>`, each with its name as its value; their reads. Forgets the calls."""

    def make(*names):
        for name in names:
            administrator.put_secret(f"{unique}/{name}", name)
        aws.control.reset_calls()
        return [Read(f"{unique}/{name}") for name in names]

    return make


async def test_twenty_reads_are_one_call(client_of, put, aws):
    names = [f"{number:02}" for number in range(20)]
    reads = put(*names)
    client = await client_of()

    assert names == told(await client.read(reads))
    assert ["BatchGetSecretValue"] == actions(aws)
    assert 20 == client.batch_size


async def test_bytes_come_back_from_batches_too(client_of, put, administrator, unique):
    reads = put("a")
    administrator.put_secret(f"{unique}/bytes", b"\x00\xff")

    answers = await (await client_of()).read([*reads, Read(f"{unique}/bytes")])

    assert b"\x00\xff" == answers[1].value.reveal()


async def test_name_and_arn_of_one_secret_may_be_in_one_batch(client_of, put, administrator, aws, unique):
    reads = put("a", "b")
    arn = administrator.secret_arn(f"{unique}/a")
    aws.control.reset_calls()

    answers = await (await client_of()).read([*reads, Read(arn), Read(arn[:-7])])

    assert ["a", "b", "a", "a"] == told(answers)
    assert ["BatchGetSecretValue"] == actions(aws)


async def test_only_current_values_may_share_a_call(client_of):
    client = await client_of()

    assert [True, True, False, False, False] == [
        client.may_batch(read)
        for read in (
            Read("a"),
            Read("a", "AWSCURRENT"),
            Read("a", "AWSPREVIOUS"),
            Read("a", "uuid/b"),
            Read("a", metadata=True),
        )
    ]


async def test_denied_and_absent_secrets_fail_alone(client_of, put, administrator, aws, unique):
    reads = put("a", "b")
    administrator.put_secret(f"other-{unique}", "not ours")
    aws.control.reset_calls()

    answers = await (await client_of()).read(
        [reads[0], Read(f"other-{unique}"), Read(f"{unique}/absent"), reads[1]]
    )

    assert ["a", AccessDenied, RemoteSecretNotFound, "b"] == told(answers)
    assert f"other-{unique}" in answers[1].message
    assert ["BatchGetSecretValue"] == actions(aws)


async def test_secret_marked_for_deletion_fails_alone(client_of, put, administrator, aws, unique):
    reads = put("a", "leaving", "b")
    administrator.delete_secret(f"{unique}/leaving", recovery_days=7)
    aws.control.reset_calls()

    answers = await (await client_of()).read(reads)

    assert ["a", RemoteSecretNotFound, "b"] == told(answers)
    assert "marked for deletion" in answers[1].message
    assert ["BatchGetSecretValue"] == actions(aws)


async def test_kms_denial_fails_its_secret_alone(client_of, put, aws, unique):
    reads = put("a", "locked", "b")
    aws.control.deny_kms(f"{unique}/locked")

    answers = await (await client_of()).read(reads)

    assert ["a", "b"] == told([answers[0], answers[2]])
    assert isinstance(answers[1], AccessDenied)
    assert "kms:Decrypt" in answers[1].hint
    assert ["BatchGetSecretValue"] == actions(aws)


async def test_failure_of_aws_with_one_secret_is_looked_at_once_more(client_of, put, aws, unique):
    reads = put("a", "b")
    aws.control.fail("InternalServiceError", action="BatchGetSecretValue", secret=f"{unique}/b")

    assert ["a", "b"] == told(await (await client_of()).read(reads))
    assert ["BatchGetSecretValue", "GetSecretValue"] == actions(aws)


async def test_what_was_answered_stays_answered_when_aws_fails_with_the_rest(client_of, put, aws, unique):
    reads = put("a", "b")
    aws.control.fail("InternalServiceError", secret=f"{unique}/b")

    assert ["a", Unavailable] == told(await (await client_of()).read(reads))


# Batches that are denied


@pytest.fixture
def single_reader(administrator, cluster, aws, unique):
    """The store's keys may read singly alone."""
    policy = administrator.read_policy([f"{unique}*"], batch=False)
    keys = administrator.create_user(f"single-{unique}", policy=policy)

    def take_over():
        cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)

    return take_over


async def test_denied_batch_is_read_one_by_one(client_of, put, single_reader, aws):
    reads = put("a", "b", "c")
    single_reader()
    client = await client_of()

    assert ["a", "b", "c"] == told(await client.read(reads))
    assert ["BatchGetSecretValue", *["GetSecretValue"] * 3] == actions(aws)


async def test_denied_batch_is_remembered(client_of, put, single_reader, aws):
    reads = put("a", "b")
    single_reader()
    client = await client_of()
    await client.read(reads)
    aws.control.reset_calls()

    assert not client.may_batch(reads[0])
    assert ["a", "b"] == told(await client.read(reads))
    assert ["GetSecretValue"] * 2 == actions(aws)


async def test_denied_batch_is_remembered_for_its_identity_alone(
    client_of, put, single_reader, aws, administrator, cluster, reader
):
    reads = put("a", "b")
    single_reader()
    await (await client_of()).read(reads)
    cluster.put_secret("team-a", "keys", id=reader.access_key_id, secret=reader.secret_access_key)
    other = await client_of()
    aws.control.reset_calls()

    assert ["a", "b"] == told(await other.read(reads))
    assert ["BatchGetSecretValue"] == actions(aws)


POISON = [
    pytest.param({"code": "InvalidRequestException"}, id="marked-for-deletion"),
    pytest.param({"code": "DecryptionFailure"}, id="decryption-failure"),
    pytest.param({"code": "AccessDeniedException"}, id="kms-denied"),
    pytest.param({"code": "ResourceNotFoundException"}, id="not-found"),
    pytest.param({"code": "InvalidParameterException", "message": "no"}, id="invalid-parameter"),
]


@pytest.mark.parametrize("fault", POISON)
async def test_batch_spoilt_by_one_secret_is_read_one_by_one_and_batches_go_on(client_of, put, aws, fault):
    reads = put("a", "b")
    aws.control.fail(**fault, action="BatchGetSecretValue", times=1)
    client = await client_of()

    assert ["a", "b"] == told(await client.read(reads))
    assert ["BatchGetSecretValue", *["GetSecretValue"] * 2] == actions(aws)
    assert client.may_batch(reads[0])


OUTAGES = [
    pytest.param(Fault(code="ThrottlingException"), RateLimited, id="throttled"),
    pytest.param(Fault(code="InternalServiceError"), Unavailable, id="server-error"),
    pytest.param(Fault(code="ExpiredTokenException"), AuthFailed, id="expired"),
    pytest.param(Fault(code="UnrecognizedClientException"), AuthFailed, id="bad-keys"),
    pytest.param(Fault(kind="cut-before"), Unavailable, id="cut-before-the-answer"),
    pytest.param(Fault(kind="cut-body"), Malformed, id="cut-within-the-answer"),
    pytest.param(Fault(kind="malformed"), Malformed, id="malformed"),
]


@pytest.mark.parametrize(("fault", "expected"), OUTAGES)
async def test_failure_of_the_store_is_not_asked_for_again_one_by_one(client_of, put, aws, fault, expected):
    import msgspec

    reads = put("a", "b")
    aws.control.add_fault(msgspec.structs.replace(fault, action="BatchGetSecretValue"))
    client = await client_of()

    with pytest.raises(expected):
        await client.read(reads)

    assert ["BatchGetSecretValue"] == actions(aws)


# Answers that no AWS gives


def entry(name, value, suffix="AbCdEf"):
    return {"ARN": f"{ARN}{name}-{suffix}", "Name": name, "VersionId": "1", "SecretString": value}


def body(content):
    return json.dumps(content).encode()


async def test_secret_that_the_batch_forgets_is_read_singly(scripted, scripted_client):
    scripted.answers = [
        (200, body({"SecretValues": [entry("a", "1")], "Errors": []})),
        (200, body(entry("b", "2"))),
    ]

    assert ["1", "2"] == told(await scripted_client.read([Read("a"), Read("b")]))
    assert ["BatchGetSecretValue", "GetSecretValue"] == scripted.asked


async def test_entry_without_a_value_is_malformed_and_not_absent(scripted, scripted_client):
    empty = {"ARN": f"{ARN}a-AbCdEf", "Name": "a"}
    scripted.answers = [
        (200, body({"SecretValues": [empty, entry("b", "2")], "Errors": []})),
        (200, body(empty)),
    ]

    assert [Malformed, "2"] == told(await scripted_client.read([Read("a"), Read("b")]))


async def test_arn_of_one_secret_is_never_taken_for_part_of_anothers(scripted, scripted_client):
    """`…:db-AbCdEf` is the ARN of `db`, and that of `db-AbCdEf` without its suffix."""
    other = entry("db-AbCdEf", "other", "XyZ123")
    own = entry("db", "own")
    scripted.answers = [(200, body({"SecretValues": [other, own], "Errors": []}))]

    assert ["own", "other"] == told(
        await scripted_client.read([Read(f"{ARN}db-AbCdEf"), Read(f"{ARN}db-AbCdEf-XyZ123")])
    )


async def test_denied_arn_is_never_answered_with_a_secret_that_ends_alike(scripted, scripted_client):
    denied = {"SecretId": f"{ARN}db-AbCdEf", "ErrorCode": "AccessDeniedException", "Message": "no"}
    other = entry("db-AbCdEf", "other", "XyZ123")
    scripted.answers = [(200, body({"SecretValues": [other], "Errors": [denied]}))]

    assert [AccessDenied, "other"] == told(
        await scripted_client.read([Read(f"{ARN}db-AbCdEf"), Read("db-AbCdEf")])
    )


UNREADABLE = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{}", id="empty-object"),
    pytest.param(b'{"SecretValues": [{"ARN": "a', id="cut"),
    pytest.param(b"<html>Log in to the network</html>", id="html"),
    pytest.param(b'{"message": "please wait"}', id="other-json"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"null", id="null"),
    pytest.param(b"\xff\xfe\x00", id="no-text"),
    pytest.param(b'{"SecretValues": "x", "Errors": 5}', id="other-types"),
]


@pytest.mark.parametrize("answer", UNREADABLE)
@pytest.mark.parametrize(
    "reads",
    [
        pytest.param([Read("a")], id="single"),
        pytest.param([Read("a", metadata=True)], id="metadata"),
        pytest.param([Read("a"), Read("b")], id="batch"),
    ],
)
async def test_answer_that_cannot_be_read_never_means_absent(scripted, scripted_client, reads, answer):
    scripted.answers = [(200, answer)]

    with pytest.raises(Malformed) as failure:
        await scripted_client.read(reads)

    assert "cannot be read" in failure.value.message
    assert failure.value.hint


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        pytest.param(503, b"<html>Service Unavailable</html>", Unavailable, id="gateway-503"),
        pytest.param(502, b"", Unavailable, id="gateway-502-empty"),
        pytest.param(429, b"slow down", RateLimited, id="gateway-429"),
        pytest.param(403, b"<html>Blocked by policy</html>", Unavailable, id="proxy-403"),
        pytest.param(404, b"not here", Unavailable, id="proxy-404"),
        pytest.param(301, b"", Unavailable, id="redirect"),
        pytest.param(400, b'{"__type": "Surprise<b>\\n", "message": "x"}', Unavailable, id="unknown-code"),
    ],
)
async def test_answer_of_somebody_else_never_means_absent(
    scripted, scripted_client, status, answer, expected
):
    scripted.answers = [(status, answer)]

    with pytest.raises(expected) as failure:
        await scripted_client.read([Read("a")])

    assert expected is type(failure.value)
    assert not {"<", "html", "policy", "here"} & set(failure.value.message.replace("<", " < ").split())


async def test_gateway_that_refuses_batches_alone_leaves_single_reads(scripted, scripted_client):
    """A proxy that knows some calls only: what it says is no answer, so nobody reads on."""
    scripted.answers = [(403, b"blocked")]

    with pytest.raises(KeyferryError):
        await scripted_client.read([Read("a"), Read("b")])

    assert ["BatchGetSecretValue"] == scripted.asked
