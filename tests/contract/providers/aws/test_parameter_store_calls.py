"""What many reads of Parameter Store cost: tens of them are one call, and no second sees more than the quota."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyferry.planner.cache import Freshness
from keyferry.planner.planner import Planner
from keyferry.ports import Find, Read, RemoteValue
from keyferry.providers.aws.pace import QUOTA_PER_S

MANY = 400


@pytest.fixture
async def planner(provider, cluster):
    made = Planner({"aws": provider}, cluster, lambda key: None)
    yield made
    await made.close()


@pytest.fixture
def session_of(planner, toolbox):
    """The session of a store with the keys of a Secret."""

    async def bound(secret="keys", **changes):
        block = toolbox.aws_block(service="ParameterStore", auth=toolbox.key_auth(secret)) | changes
        return (await planner.bind(toolbox.view("aws", block, name=secret), "team-a")).session

    return bound


@pytest.fixture(scope="module")
def stored(running_aws):
    """Parameters `/many/000` and so on, in a path that is kept for all tests here."""
    administrator = running_aws.administrator()
    names = [f"/many/{number:03}" for number in range(MANY)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: administrator.put_parameter(name, name), names))
    return names


def fresh():
    now = asyncio.get_running_loop().time()
    return Freshness(now, now)


def most_in_a_second(calls):
    times = [call.started for call in calls]
    return max(sum(1 for other in times if at <= other < at + 1) for at in times)


async def test_ten_of_many_reads_share_a_call(session_of, let, administrator, stored, aws, parameter_calls):
    let(administrator.parameter_policy(["/many/*"]))
    session = await session_of()
    aws.control.reset_calls()
    need = fresh()

    answers = await asyncio.gather(*(session.read(Read(name), need) for name in stored))

    assert stored == [one.value.reveal().decode() for one in answers if isinstance(one, RemoteValue)]
    assert ["GetParameters"] * (MANY // 10) == parameter_calls()
    assert most_in_a_second(aws.control.calls(service="ssm")) <= QUOTA_PER_S


async def test_one_denied_among_many_costs_its_own_batch_alone(
    session_of, let, administrator, stored, aws, parameter_calls
):
    administrator.put_parameter("/other/denied", "x")
    let(administrator.parameter_policy(["/many/*"]))
    session = await session_of()
    names = [*stored[:99], "/other/denied"]
    aws.control.reset_calls()
    need = fresh()

    first = await asyncio.gather(*(session.read(Read(name), need) for name in names))
    calls = parameter_calls()
    aws.control.reset_calls()
    need = fresh()
    await asyncio.gather(*(session.read(Read(name), need) for name in names))

    assert 99 == sum(isinstance(one, RemoteValue) for one in first)
    assert (10, 10) == (calls.count("GetParameters"), calls.count("GetParameter"))
    assert (10, 1) == tuple(map(parameter_calls().count, ("GetParameters", "GetParameter")))


async def test_identities_of_one_account_keep_one_pace(session_of, let, administrator, stored, aws, unique):
    """Who may not batch needs many calls; two of them do not get twice the quota."""
    root = f"arn:aws:iam::{administrator.account}:root"
    role = administrator.create_role(
        unique,
        trust={"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"},
        policy=administrator.parameter_policy(["/many/*"], ["GetParameter"]),
    )
    for secret in ("one", "two"):
        let(administrator.assume_policy([role]), secret)
    sessions = [await session_of(secret, role=role) for secret in ("one", "two")]
    assert sessions[0] is not sessions[1]
    await asyncio.gather(*(session.client.validate() for session in sessions))
    aws.control.reset_calls()
    need = fresh()

    answers = await asyncio.gather(
        *(session.read(Read(name), need) for session in sessions for name in stored[:40])
    )

    assert 80 == sum(isinstance(one, RemoteValue) for one in answers)
    calls = aws.control.calls(service="ssm")
    assert 80 <= len(calls)
    assert most_in_a_second(calls) <= QUOTA_PER_S


async def test_search_of_a_whole_path_brings_ten_a_call_within_the_quota(
    session_of, let, administrator, stored, aws, parameter_calls
):
    let(administrator.parameter_policy(["/many/*"]))
    session = await session_of()
    aws.control.reset_calls()

    found = await session.find(Find(path="/many"), fresh())

    assert stored == [name for name, _ in found]
    assert ["GetParametersByPath"] * (MANY // 10) == parameter_calls()
    assert most_in_a_second(aws.control.calls(service="ssm")) <= QUOTA_PER_S


async def test_search_by_list_reads_ten_a_call(session_of, let, administrator, stored, aws, parameter_calls):
    let(administrator.parameter_policy(["/many/*"], ["GetParameter", "GetParameters"], find=True))
    session = await session_of()
    aws.control.reset_calls()

    found = await session.find(Find(path="/many", name="/many/0"), fresh())

    assert stored[:100] == [name for name, _ in found]
    calls = parameter_calls()
    lists = ["GetParametersByPath"] * 2 + ["DescribeParameters"] * (MANY // 50)
    assert [*lists, *["GetParameters"] * 10] == calls
