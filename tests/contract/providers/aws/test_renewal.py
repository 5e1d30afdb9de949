"""How long credentials serve: one exchange for many reads, renewed before their end and once after it."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from keyferry.errors import AuthFailed, CredentialsExpired, KeyferryError, RateLimited, Unavailable
from keyferry.planner.cache import Freshness
from keyferry.planner.planner import Planner
from keyferry.ports import Read, RemoteValue
from keyferry.testing.aws import Fault
from keyferry.testing.eventually import eventually_async


@pytest.fixture
def secret(administrator, aws, unique):
    """A read of a secret that is there."""
    administrator.put_secret(unique, "value")
    aws.control.reset_calls()
    return Read(unique)


def exchanges(aws):
    return aws.control.count(service="sts")


async def is_read(client, read):
    return [b"value"] == [answer.value.reveal() for answer in await client.read([read])]


async def test_reads_at_the_same_time_wait_for_one_exchange(web_client_of, secret, aws, cluster):
    client = await web_client_of()

    assert all(await asyncio.gather(*(is_read(client, secret) for _ in range(20))))
    assert (1, 1) == (exchanges(aws), len(cluster.tokens))


async def test_credentials_serve_for_their_lifetime(web_client_of, secret, aws, clock):
    client = await web_client_of()
    for minutes in (0, 20, 40, 49):
        clock.ahead = timedelta(minutes=minutes)
        assert await is_read(client, secret)

    assert 1 == exchanges(aws)


async def test_shortly_before_their_end_they_are_renewed_in_the_background(web_client_of, secret, aws, clock):
    client = await web_client_of()
    await is_read(client, secret)
    clock.ahead = timedelta(minutes=51)
    fault = aws.control.add_fault(Fault(kind="hold", service="sts"))

    # The reads go on with the old ones while the new ones are on their way.
    assert [True, True] == [await is_read(client, secret), await is_read(client, secret)]
    await asyncio.to_thread(aws.control.wait_for_calls_in_flight, 1, service="sts")
    assert 2 == exchanges(aws)
    aws.control.remove_fault(fault)
    await asyncio.to_thread(aws.control.wait_for_calls, 2, service="sts")
    clock.ahead = timedelta(minutes=52)
    await eventually_async(lambda: _used_keys(aws, client, secret, 2))


async def _used_keys(aws, client, read, count):
    assert await is_read(client, read)
    keys = {call.access_key_id for call in aws.control.calls(service="secretsmanager")}
    assert count == len(keys)
    return True


async def test_in_their_last_minute_they_are_not_used_any_more(web_client_of, secret, aws, clock):
    client = await web_client_of()
    await is_read(client, secret)
    clock.ahead = timedelta(minutes=59, seconds=5)

    assert await is_read(client, secret)
    assert 2 == exchanges(aws)
    assert 2 == len({call.access_key_id for call in aws.control.calls(service="secretsmanager")})


async def test_failed_renewal_in_the_background_disturbs_nobody_and_is_not_hurried(
    web_client_of, secret, aws, clock
):
    client = await web_client_of()
    await is_read(client, secret)
    clock.ahead = timedelta(minutes=51)
    aws.control.fail("ThrottlingException", service="sts")

    for _ in range(20):
        assert await is_read(client, secret)
        await asyncio.sleep(0)  # let the renewal begin, if there is one
    await asyncio.to_thread(aws.control.wait_for_calls, 2, service="sts")
    assert all([await is_read(client, secret) for _ in range(20)])
    assert 2 == exchanges(aws)

    clock.ahead += timedelta(seconds=6)
    assert await is_read(client, secret)
    await asyncio.to_thread(aws.control.wait_for_calls, 3, service="sts")


async def test_credentials_that_end_at_once_tell_of_the_clock(web_client_of, secret, clock):
    clock.ahead = timedelta(hours=2)

    with pytest.raises(AuthFailed, match="clock"):
        await (await web_client_of()).read([secret])


async def test_short_sessions_are_used_for_most_of_their_life(web_client_of, secret, aws):
    aws.control.session_lifetime(8)
    client = await web_client_of()

    assert all([await is_read(client, secret) for _ in range(10)])
    assert 1 == exchanges(aws)


async def test_closed_client_has_no_renewal_left(web_client_of, secret, aws, clock):
    client = await web_client_of()
    await is_read(client, secret)
    clock.ahead = timedelta(minutes=51)
    aws.control.add_fault(Fault(kind="hold", service="sts"))
    await is_read(client, secret)
    before = {task.get_name() for task in asyncio.all_tasks()}

    await client.close()

    assert "aws credentials" in before
    assert "aws credentials" not in {task.get_name() for task in asyncio.all_tasks()}


# Through the planner, as the operator reads


@pytest.fixture
async def read(provider, cluster, toolbox):
    """Read from an aws store through a planner: the answer."""
    planner = Planner({"aws": provider}, cluster, lambda store: None)

    async def once(read, **changes):
        block = toolbox.aws_block(auth={"jwt": {"serviceAccountRef": {"name": "app"}}}) | changes
        binding = await planner.bind(toolbox.view("aws", block), "team-a")
        now = asyncio.get_running_loop().time()
        return await binding.session.read(read, Freshness(now, now), ())

    yield once
    await planner.close()


async def test_expired_credentials_are_renewed_once_and_the_read_succeeds(read, web_reader, secret, aws):
    assert isinstance(await read(secret), RemoteValue)
    assert aws.control.expire_sessions() >= 1
    aws.control.reset_calls()

    answers = await asyncio.gather(*(read(Read(secret.key, stage)) for stage in ("", "AWSCURRENT")))

    assert [RemoteValue] * 2 == [type(answer) for answer in answers]
    assert 1 == exchanges(aws)


async def test_read_that_meets_expired_credentials_again_is_not_repeated_for_ever(
    read, web_reader, secret, aws
):
    aws.control.fail("ExpiredTokenException", service="secretsmanager")

    answer = await read(secret)

    assert CredentialsExpired is type(answer)
    assert (2, 2) == (exchanges(aws), aws.control.count(service="secretsmanager"))


async def test_while_sts_refuses_nobody_asks_it_again_but_the_probe(read, web_reader, secret, aws):
    aws.control.fail("AccessDenied", service="sts")

    answers = [await read(secret) for _ in range(10)]

    assert {AuthFailed} == {type(answer) for answer in answers}
    assert exchanges(aws) <= 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(Fault(code="ThrottlingException"), RateLimited, id="throttled"),
        pytest.param(Fault(code="InternalFailure", status=500), Unavailable, id="server-error"),
        pytest.param(Fault(kind="cut-before"), Unavailable, id="cut"),
        pytest.param(Fault(kind="malformed"), KeyferryError, id="malformed"),
    ],
)
async def test_trouble_at_sts_is_told_as_the_stores(read, web_reader, secret, aws, fault, expected):
    import msgspec

    aws.control.add_fault(msgspec.structs.replace(fault, service="sts"))

    answer = await read(secret)

    assert isinstance(answer, expected)
    assert "STS" in answer.message


async def test_stores_with_one_identity_share_session_and_exchange(
    provider, cluster, toolbox, web_reader, aws
):
    planner = Planner({"aws": provider}, cluster, lambda store: None)
    block = toolbox.aws_block(auth={"jwt": {"serviceAccountRef": {"name": "app"}}})
    one = await planner.bind(toolbox.view("aws", block, name="one"), "team-a")
    two = await planner.bind(toolbox.view("aws", block, name="two"), "team-a")
    other = await planner.bind(toolbox.view("aws", block | {"prefix": "x"}, name="three"), "team-a")

    assert one.session is two.session
    assert one.session is not other.session
    await planner.close()
