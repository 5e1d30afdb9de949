"""What AWS's failures become: type, essential words, advice. One read, on the strict double's published answers."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import asyncio

import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    TimedOut,
    Unavailable,
    after,
    one_line,
)
from keyferry.ports import Read
from keyferry.testing.aws import Fault
from keyferry.testing.leaks import canary


@pytest.fixture
def secret(administrator, aws, unique):
    administrator.put_secret(unique, canary("failure-value"))
    aws.control.reset_calls()
    return Read(unique)


DENIED = "User: arn:aws:sts::123456789012:assumed-role/app/session is not authorized to perform: x"
FAULTS = [
    pytest.param(
        Fault(code="ResourceNotFoundException"),
        RemoteSecretNotFound,
        ["does not exist"],
        "prefix",
        id="absent",
    ),
    pytest.param(
        Fault(code="InvalidRequestException"),
        RemoteSecretNotFound,
        ["marked for deletion"],
        "restore-secret",
        id="marked",
    ),
    pytest.param(
        Fault(code="InvalidParameterException", message="… because it was marked for deletion."),
        RemoteSecretNotFound,
        ["marked for deletion"],
        "restore-secret",
        id="marked-in-the-other-code",
    ),
    pytest.param(
        Fault(code="InvalidRequestException", message="You can't do this."),
        ProviderError,
        ["present state"],
        "console",
        id="state",
    ),
    pytest.param(
        Fault(
            code="AccessDeniedException",
            message=f"{DENIED} because no identity-based policy allows the action",
        ),
        AccessDenied,
        ["assumed-role/app/session is not allowed to secretsmanager:GetSecretValue"],
        "in its identity-based policy",
        id="no-policy-allows",
    ),
    pytest.param(
        Fault(
            code="AccessDeniedException",
            message=f"{DENIED} with an explicit deny in a service control policy",
        ),
        AccessDenied,
        ["is not allowed to"],
        "explicit deny in its service control policy",
        id="organization-denies",
    ),
    pytest.param(
        Fault(
            code="AccessDeniedException", message=f"{DENIED} because no VPC endpoint policy allows the action"
        ),
        AccessDenied,
        ["is not allowed to"],
        "VPC endpoint policy",
        id="endpoint-policy",
    ),
    pytest.param(
        Fault(code="AccessDeniedException", message="no"),
        AccessDenied,
        ["the store's identity is not allowed"],
        "Grant",
        id="denied",
    ),
    pytest.param(
        Fault(code="AccessDeniedException"), AccessDenied, ["KMS does not let"], "kms:Decrypt", id="kms"
    ),
    pytest.param(
        Fault(code="DecryptionFailure"), AccessDenied, ["KMS does not let"], "enabled", id="decryption"
    ),
    pytest.param(Fault(code="ThrottlingException"), RateLimited, ["fewer calls"], "quota", id="throttled"),
    pytest.param(
        Fault(code="TooManyRequestsException"), RateLimited, ["fewer calls"], "quota", id="too-many"
    ),
    pytest.param(
        Fault(code="ExpiredTokenException"), CredentialsExpired, ["expired"], "renews", id="expired"
    ),
    pytest.param(
        Fault(code="UnrecognizedClientException"),
        AuthFailed,
        ["refuses the credentials"],
        "access key",
        id="bad-key",
    ),
    pytest.param(
        Fault(code="InvalidSignatureException"),
        AuthFailed,
        ["refuses the credentials"],
        "secret key",
        id="bad-secret",
    ),
    pytest.param(
        Fault(
            code="InvalidSignatureException",
            message="Signature expired: 20260101T000000Z is now earlier than …",
        ),
        AuthFailed,
        ["time of the request"],
        "clock",
        id="clock",
    ),
    pytest.param(
        Fault(code="OptInRequired", status=403),
        ProviderError,
        ["not there for this account"],
        "region",
        id="opt-in",
    ),
    pytest.param(
        Fault(code="ValidationException", message="x"), ProviderError, ["invalid"], "version", id="invalid"
    ),
    pytest.param(Fault(code="InternalServiceError"), Unavailable, ["own side"], "Health", id="server-error"),
    pytest.param(
        Fault(code="SomethingNew", message="x"), Unavailable, ["SomethingNew"], "report", id="unknown"
    ),
    pytest.param(
        Fault(code="SomethingNew", status=503), Unavailable, ["own side"], "Health", id="unknown-5xx"
    ),
    pytest.param(Fault(kind="cut-before"), Unavailable, ["cannot be reached"], "VPC endpoint", id="cut"),
    pytest.param(Fault(kind="malformed"), Malformed, ["cannot be read"], "proxy", id="malformed"),
]


@pytest.mark.parametrize(("fault", "expected", "words", "advice"), FAULTS)
async def test_failure_says_what_why_and_what_to_do(
    client_of, aws, fail, secret, leaks, fault, expected, words, advice
):
    aws.control.add_fault(fault)
    client = await client_of()

    first, second = await fail(client, secret), await fail(client, secret)

    assert expected is type(first) or (expected is AccessDenied and isinstance(first, AccessDenied))
    assert [word for word in words if word not in first.message] == []
    assert advice in first.hint
    assert (str(first), one_line(str(first))) == (str(second), str(second))
    assert [] == leaks.look_at_error("failure", first)


async def test_failure_is_told_by_the_secret_it_is_about(client_of, aws, fail, secret):
    aws.control.deny_kms(secret.key)

    error = await fail(await client_of(), secret)

    assert f'remote secret "{secret.key}"' in error.message


async def test_denial_names_who_asked_so_that_it_can_be_granted(
    client_of, fail, user_arn, administrator, unique
):
    administrator.put_secret(f"not-{unique}", "value")

    error = await fail(await client_of(), Read(f"not-{unique}"))

    assert (
        f'{user_arn} is not allowed to secretsmanager:GetSecretValue on remote secret "not-{unique}"'
        == error.message
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param({"Retry-After": "7"}, after(7.0), id="seconds"),
        pytest.param({"Retry-After": "0.5"}, after(0.5), id="half-a-second"),
        pytest.param({"Retry-After": "999999"}, after(3600.0), id="not-for-ever"),
        pytest.param({}, RateLimited.default_retry, id="none"),
        pytest.param({"Retry-After": "nan"}, RateLimited.default_retry, id="no-number"),
        pytest.param({"Retry-After": "-5"}, RateLimited.default_retry, id="negative"),
        pytest.param({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, RateLimited.default_retry, id="date"),
    ],
)
async def test_stores_word_about_waiting_is_carried(client_of, aws, fail, secret, header, expected):
    aws.control.fail("ThrottlingException", headers=header)

    error = await fail(await client_of(), secret)

    assert expected == error.retry


async def test_endpoint_that_refuses_connections_is_unreachable(client_of, aws, fail, secret):
    client = await client_of()
    aws.control.outage("refuse")

    error = await fail(client, secret)

    assert Unavailable is type(error)
    assert "VPC endpoint for com.amazonaws.eu-central-1.secretsmanager" in error.hint


async def test_answer_that_does_not_come_times_out_with_a_word_about_the_network(
    client_of, aws, fail, secret, monkeypatch
):
    monkeypatch.setattr("keyferry.providers.aws.settings.READ_TIMEOUT_S", 0.3)
    aws.control.add_fault(Fault(kind="hold", service="secretsmanager"))

    error = await fail(await client_of(), secret)

    assert TimedOut is type(error)
    assert "did not answer in time" in error.message
    assert "VPC endpoint" in error.hint


async def test_certificate_that_is_not_trusted_is_told(client_of, running_issuer, fail, secret, monkeypatch):
    """A proxy that opens TLS, with a CA of its own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", running_issuer.url)

    error = await fail(await client_of(), secret)

    assert Unavailable is type(error)
    assert "certificate" in error.message
    assert "AWS_CA_BUNDLE" in error.hint


async def test_ca_bundle_of_the_surroundings_is_believed(
    client_of, running_issuer, fail, secret, monkeypatch, tmp_path
):
    bundle = tmp_path / "ca.pem"
    bundle.write_text(running_issuer.ca_pem)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", running_issuer.url)

    error = await fail(await client_of(), secret)

    assert "certificate" not in error.message  # what answers there is no AWS


async def test_store_that_hangs_leaves_room_for_the_others(
    provider, connect, toolbox, administrator, cluster, aws, unique, user_arn, client_of, secret
):
    """Both ask the same host of the same region, through the same client of the SDK."""
    other = administrator.create_user(f"other-{unique}", allow=[f"{unique}*"])
    cluster.put_secret("team-b", "keys", id=other.access_key_id, secret=other.secret_access_key)
    block = toolbox.aws_block(auth=toolbox.key_auth("keys"))
    hanging = await client_of()
    free = await connect(provider, toolbox.view("aws", block, namespace="team-b"), "team-b")
    fault = aws.control.add_fault(Fault(kind="hold", principal=user_arn))
    reads = [asyncio.create_task(hanging.read([Read(unique, "AWSPREVIOUS")])) for _ in range(30)]
    await asyncio.to_thread(aws.control.wait_for_calls_in_flight, 8, principal=user_arn)

    (answer,) = await asyncio.wait_for(free.read([secret]), 10)

    assert canary("failure-value").encode() == answer.value.reveal()
    assert 8 == aws.control.count(principal=user_arn)
    aws.control.remove_fault(fault)
    await asyncio.gather(*reads)


async def test_reader_that_gives_up_leaves_the_client_at_work(client_of, aws, secret):
    client = await client_of()
    fault = aws.control.add_fault(Fault(kind="hold", service="secretsmanager"))
    readers = [asyncio.create_task(client.read([secret])) for _ in range(12)]
    await asyncio.to_thread(aws.control.wait_for_calls_in_flight, 8)
    for reader in readers:
        reader.cancel()
    ended = await asyncio.gather(*readers, return_exceptions=True)
    aws.control.remove_fault(fault)

    (answer,) = await client.read([secret])

    assert {asyncio.CancelledError} == {type(one) for one in ended}
    assert canary("failure-value").encode() == answer.value.reveal()
