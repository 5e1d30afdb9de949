"""Parameter Store takes forty calls a second of an account in a region: never more go out, from the first one on.

And whoever wants few of them does not wait for those who want thousands.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.core.backoff import retry_delay
from keyferry.errors import ProviderError, RateLimited, RetryKind
from keyferry.planner.cache import AnswerCache, Freshness
from keyferry.planner.health import Deferred
from keyferry.planner.session import StoreSession
from keyferry.ports import Read, RemoteValue
from keyferry.providers.aws.identity import Ambient, AwsIdentity, StaticKeys, WebIdentity
from keyferry.providers.aws.pace import BURST, LONGEST_WAIT_S, QUOTA_PER_S, RATE, Line, Pace, Paces
from keyferry.secretdata import SecretBytes
from keyferry.testing.looptime import virtual_time
from keyferry.testing.storeclient import ScriptedStoreClient

ROLE = "arn:aws:iam::123456789012:role/reader"


def now() -> float:
    return asyncio.get_running_loop().time()


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + 1) for at in times)


async def gone(line: Line) -> float:
    await line.turn()
    return now()


def wanted(line: Line, count: int) -> list[asyncio.Task[float]]:
    return [asyncio.create_task(gone(line)) for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 80), st.sampled_from("abc")), min_size=1, max_size=8)
)
def test_no_second_sees_more_calls_than_the_quota(arrivals: list[tuple[float, int, str]]) -> None:
    @virtual_time
    async def run() -> None:
        pace, calls = Pace(), []
        for pause, count, share in arrivals:
            await asyncio.sleep(pause)
            calls += wanted(pace.line(share), count)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        times = [one for one in ended if isinstance(one, float)]

        assert most_in_a_second(times) <= BURST + RATE < QUOTA_PER_S
        assert all(isinstance(one, float | RateLimited) for one in ended)

    run()


@virtual_time
async def test_few_calls_do_not_wait() -> None:
    line = Pace().line("a")
    began = now()

    times = [await gone(line) for _ in range(BURST)]

    assert [began] * BURST == times
    assert line.room() == pytest.approx(1 / RATE)


@virtual_time
async def test_all_of_the_quota_is_used_when_it_is_wanted() -> None:
    line = Pace().line("a")
    began = now()

    await asyncio.gather(*wanted(line, 200))

    assert now() - began == pytest.approx((200 - BURST) / RATE)


@virtual_time
async def test_room_says_how_long_a_call_would_wait_and_takes_no_turn() -> None:
    line = Pace().line("a")
    waiting = wanted(line, BURST + RATE)
    await asyncio.sleep(0)

    rooms = [line.room() for _ in range(3)]
    began = now()
    further = line.room(RATE)
    await line.turn()

    assert [pytest.approx(1 + 1 / RATE)] * 3 == rooms
    assert further == pytest.approx(2 + 1 / RATE)
    assert now() - began == pytest.approx(rooms[0])
    await asyncio.gather(*waiting)


@virtual_time
async def test_room_after_a_long_pause_is_no_better_than_a_full_burst() -> None:
    line = Pace().line("a")
    await line.turn()
    await asyncio.sleep(1000)

    assert 0 == line.room(BURST - 1)
    assert line.room(BURST) == pytest.approx(1 / RATE)


@virtual_time
async def test_who_would_wait_for_long_is_sent_back() -> None:
    """A call must not run into its time limit before it has begun."""
    line = Pace().line("a")
    waiting = wanted(line, int(LONGEST_WAIT_S * RATE) + BURST)
    await asyncio.sleep(0)

    with pytest.raises(RateLimited) as failure:
        await line.turn()

    assert (RetryKind.AFTER, True) == (failure.value.retry.kind, failure.value.retry.seconds > LONGEST_WAIT_S)
    assert f"quota of {QUOTA_PER_S} calls a second" in failure.value.message
    await asyncio.gather(*waiting)


# Lines


@pytest.mark.parametrize("others", [1, 3, 20])
@virtual_time
async def test_long_lines_make_nobody_else_wait(others: int) -> None:
    pace = Pace()
    waiting = [wanted(pace.line(f"long {number}"), 12) for number in range(others)]
    await asyncio.sleep(0)
    short, began = pace.line("short"), now()

    room = short.room()
    await short.turn()

    assert now() - began <= room + 1 / RATE <= (others + 2) / RATE
    await asyncio.gather(*(one for line in waiting for one in line))


@virtual_time
async def test_lines_have_turns_one_after_the_other() -> None:
    pace = Pace()
    order: list[str] = []

    async def call(share: str) -> None:
        await pace.line(share).turn()
        order.append(share)

    kept = [pace.line(share) for share in "abc"]
    await asyncio.gather(*(kept[0].turn() for _ in range(BURST)))
    await asyncio.gather(*(call(share) for share in "aaaabbc"))

    assert list("abcabaa") == order


@virtual_time
async def test_room_counts_on_long_lines_to_go_on_and_on_short_ones_to_end() -> None:
    pace = Pace()
    waiting = wanted(pace.line("burst"), BURST)
    await asyncio.sleep(0)
    waiting += wanted(pace.line("short"), 1) + wanted(pace.line("long"), 5)
    await asyncio.sleep(0)
    line = pace.line("mine")

    # Before a call with nine ahead of it there are those nine, ten of the long line, and the one of the short.
    assert line.room(9) == pytest.approx((9 + 10 + 1 + 1) / RATE)
    await asyncio.gather(*waiting)


@virtual_time
async def test_who_is_cancelled_in_the_line_leaves_his_turn_to_others() -> None:
    pace = Pace()
    one, other = pace.line("one"), pace.line("other")
    waiting = wanted(one, BURST + 40)
    await asyncio.sleep(0)
    last = wanted(other, 2)
    await asyncio.sleep(0.05)
    began = now()

    for task in (*waiting[BURST + 2 :], last[0]):
        task.cancel()
    await asyncio.wait([*waiting, *last])

    assert now() - began <= 3 / RATE
    assert all(task.cancelled() for task in waiting[BURST + 2 :])
    assert other.room() == pytest.approx(one.room())
    assert one.room() == pytest.approx(1 / RATE)


@virtual_time
async def test_turn_handed_to_one_who_is_cancelled_at_that_moment_holds_nobody_up() -> None:
    line = Pace().line("a")
    waiting = wanted(line, BURST + 3)
    await asyncio.sleep(0)

    asyncio.get_running_loop().call_later(1 / RATE, waiting[BURST].cancel)
    await asyncio.wait(waiting)

    assert [False, False] == [task.cancelled() for task in waiting[BURST + 1 :]]
    assert line.room() <= 1 / RATE


@pytest.mark.parametrize(
    ("source", "roles", "share"),
    [
        (WebIdentity("team-a", "one", "u1", ROLE, ()), (), "namespace team-a"),
        (WebIdentity("team-a", "two", "u2", ROLE, ()), (ROLE,), "namespace team-a"),
        (StaticKeys("AKIA1", SecretBytes(b""), None), (), "key AKIA1"),
        (Ambient(), (ROLE,), f"roles {ROLE}"),
        (Ambient(), (), "roles "),
    ],
    ids=["namespace", "namespace-and-role", "keys", "role", "ambient"],
)
def test_nobody_has_more_turns_by_making_more_stores(source, roles, share) -> None:
    for prefix in ("", "a/"):
        assert share == AwsIdentity("eu-central-1", prefix, source, roles).share


def test_one_account_in_one_region_has_one_pace() -> None:
    paces = Paces()
    one = paces.line("123456789012", "eu-central-1", "a")

    assert one is paces.line("123456789012", "eu-central-1", "a")
    assert one is not paces.line("123456789012", "eu-central-1", "b")
    assert one._pace is paces.line("123456789012", "eu-central-1", "b")._pace
    assert one._pace is not paces.line("123456789012", "eu-west-1", "a")._pace
    assert one._pace is not paces.line("999999999999", "eu-central-1", "a")._pace


@virtual_time
async def test_lines_and_paces_that_nobody_uses_are_forgotten() -> None:
    paces = Paces()
    kept = paces.line("kept", "eu-central-1", "a")
    for number in range(100):
        await paces.line(str(number), "eu-central-1", "a").turn()
        await paces.line("kept", "eu-central-1", str(number)).turn()
    gc.collect()

    assert [kept._pace] == list(paces._paces.values())
    assert [kept] == list(kept._pace._lines.values())


# With the planner's sessions


class Client(ScriptedStoreClient):
    """A store without batches, at a line's pace."""

    def __init__(self, line: Line) -> None:
        super().__init__(batch_size=1)
        self.line = line

    def room(self, ahead: int = 0) -> float:
        return self.line.room(ahead)

    async def read(self, reads: Sequence[Read]) -> Sequence[RemoteValue | ProviderError]:
        await self.line.turn()
        return await super().read(reads)


async def read_until_answered(session: StoreSession, key: str) -> tuple[float, int]:
    """After how long there was a value, and in how many tries."""
    began, tries = now(), 1
    need = Freshness(began, began)
    while isinstance(answer := await session.read(Read(key), need), Deferred):
        tries += 1
        await asyncio.sleep(retry_delay(answer, 1, 3600, 0.5))
    assert isinstance(answer, RemoteValue)
    return now() - began, tries


@virtual_time
async def test_thousands_of_parameters_of_some_do_not_hold_up_one_of_another() -> None:
    """Nor do those thousands come again and again while they wait: each try is work for the operator."""
    pace, cache = Pace(), AnswerCache()
    sessions = [StoreSession(share, Client(pace.line(share)), cache, lambda: None) for share in "abcdz"]
    many = [
        asyncio.create_task(read_until_answered(session, f"k{number}"))
        for session in sessions[:-1]
        for number in range(500)
    ]
    await asyncio.sleep(1)

    waited_s = [(await read_until_answered(sessions[-1], f"k{number}"))[0] for number in range(5)]
    tries = [(await one)[1] for one in many]

    assert max(waited_s) < 1
    assert max(tries) <= 5
    for session in sessions:
        await session.close()
