from __future__ import annotations

import asyncio

import pytest

from keyferry.errors import (
    AuthFailed,
    CredentialsExpired,
    KubeForbidden,
    RateLimited,
    TimedOut,
    Unavailable,
    after,
)
from keyferry.planner.health import Deferred
from keyferry.planner.session import CALL_DEADLINE_S
from keyferry.testing.looptime import virtual_time

EXPIRED = CredentialsExpired("the token has expired")


@virtual_time
async def test_expired_credentials_are_renewed_and_nobody_notices(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(EXPIRED)

    assert "value of db" == await desk.ask("db", retries=())
    assert (2, 1) == (len(desk.client.calls), len(desk.client.renewals))
    assert desk.session.failure is None


@virtual_time
async def test_calls_refused_together_renew_together(open_desk) -> None:
    """Eight exchanges at once would be seven too many, and count against the token service's limits."""
    desk = open_desk(batch_size=1, max_concurrency=8)
    desk.client.next_calls.extend([EXPIRED] * 8)

    answers = await asyncio.gather(*(desk.ask(f"k{n}") for n in range(8)))

    assert {f"value of k{n}" for n in range(8)} == set(answers)
    assert 1 == len(desk.client.renewals)


@virtual_time
async def test_late_refusal_of_the_old_credentials_does_not_renew_again(open_desk) -> None:
    desk = open_desk(batch_size=1, latency_s=0.0)
    late = asyncio.Event()

    async def refuse_late() -> None:
        await late.wait()
        raise EXPIRED

    desk.client.next_calls.extend([refuse_late, EXPIRED])
    slow = asyncio.create_task(desk.ask("slow"))
    await asyncio.sleep(0.1)
    await desk.ask("quick")
    late.set()

    assert "value of slow" == await slow
    assert 1 == len(desk.client.renewals)


@virtual_time
async def test_credentials_that_expire_later_are_renewed_again(open_desk) -> None:
    desk = open_desk()
    for number in range(3):
        desk.client.next_calls.append(EXPIRED)
        assert f"value of k{number}" == await desk.ask(f"k{number}")
        await asyncio.sleep(3600)

    assert 3 == len(desk.client.renewals)


@virtual_time
async def test_new_credentials_that_are_refused_too_shut_the_store_until_a_probe_renews(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.outage = EXPIRED
    answer = await desk.ask("db")
    assert (CredentialsExpired, 1) == (type(answer), len(desk.client.renewals))

    await asyncio.gather(*(desk.ask(f"k{n}") for n in range(20)))
    assert 1 == len(desk.client.renewals)
    await asyncio.sleep(2)
    assert 2 == len(desk.client.renewals)
    desk.client.outage = None
    await asyncio.sleep(5)

    assert (3, 1, None) == (len(desk.client.renewals), desk.recoveries, desk.session.failure)


@pytest.mark.parametrize(
    "failure", [AuthFailed("role gone"), Unavailable("no STS"), TimedOut("STS late")], ids=lambda f: f.reason
)
@virtual_time
async def test_renewal_that_fails_shuts_the_store_with_its_own_cause(open_desk, failure) -> None:
    desk = open_desk(batch_size=1, latency_s=0.0)
    desk.client.next_calls.extend([EXPIRED, EXPIRED])
    desk.client.next_renewals.append(failure)

    answers = await asyncio.gather(desk.ask("a"), desk.ask("b"))

    assert [failure.message] * 2 == [one.message for one in answers]
    assert 1 == len(desk.client.renewals)
    assert failure.message == desk.session.failure.message


@virtual_time
async def test_renewal_that_is_throttled_slows_down(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(EXPIRED)
    desk.client.next_renewals.append(RateLimited("STS: slowly", retry=after(20)))

    assert "STS: slowly" == (await desk.ask("db")).message
    assert Deferred is type(await desk.ask("db"))
    assert desk.session.failure is None


@virtual_time
async def test_renewal_that_never_ends_is_given_up(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(EXPIRED)
    desk.client.next_renewals.append(asyncio.Event().wait)

    answer = await desk.ask("db")

    assert TimedOut is type(answer)
    assert pytest.approx(1000 + CALL_DEADLINE_S, abs=1) == asyncio.get_running_loop().time()


@virtual_time
async def test_renewal_that_fails_in_the_cluster_is_told_as_that(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(EXPIRED)
    desk.client.next_renewals.append(KubeForbidden("may not create tokens", status=403))

    with pytest.raises(KubeForbidden):
        await desk.ask("db")

    assert desk.session.idle
