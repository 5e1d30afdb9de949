from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.errors import AccessDenied, Malformed, Unavailable
from keyferry.planner.cache import AnswerCache, Freshness
from keyferry.ports import Read, RemoteValue
from keyferry.secretdata import SecretBytes
from keyferry.testing.looptime import virtual_time


def since(moment: float) -> Freshness:
    return Freshness(moment, moment)


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_answer_asked_for_after_the_wish_is_used_again(open_desk) -> None:
    desk = open_desk()
    wished_at = now()
    await desk.ask("db", since(wished_at))
    await asyncio.sleep(5)

    await desk.ask("db", since(wished_at))

    assert 1 == len(desk.client.calls)


@virtual_time
async def test_answer_asked_for_before_the_wish_is_not_used(open_desk) -> None:
    desk = open_desk()
    await desk.ask("db", since(now()))
    await asyncio.sleep(5)
    desk.client.values["db"] = RemoteValue(SecretBytes("rotated"))

    assert "rotated" == await desk.ask("db", since(now()))


@virtual_time
async def test_call_already_under_way_at_the_wish_is_not_joined(open_desk) -> None:
    """It may have read the value before it was rotated."""
    desk = open_desk(latency_s=2.0)
    early = asyncio.create_task(desk.ask("db", since(now())))
    await asyncio.sleep(1)
    late = asyncio.create_task(desk.ask("db", since(now())))
    await early
    desk.client.values["db"] = RemoteValue(SecretBytes("rotated"))

    assert ("value of db", "rotated") == (await early, await late)
    assert 2 == len(desk.client.calls)


@virtual_time
async def test_question_still_waiting_for_its_call_is_joined_by_the_newest_wish(open_desk) -> None:
    desk = open_desk(max_concurrency=1, latency_s=1.0)
    blocking = asyncio.create_task(desk.ask("other"))
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(desk.ask("db", since(now())))
    await asyncio.sleep(0.2)

    assert "value of db" == await desk.ask("db", since(now()))
    await asyncio.gather(blocking, waiting)
    assert 2 == len(desk.client.calls)


@virtual_time
async def test_late_answer_of_an_older_call_does_not_hide_the_newer_one(open_desk) -> None:
    """Two calls for one key under way, the older ends last: whoever wants the newer still gets it."""
    desk = open_desk(latency_s=0.0)
    slow, quick = asyncio.Event(), asyncio.Event()
    desk.client.next_calls.extend([slow.wait, quick.wait])
    old = asyncio.create_task(desk.ask("db", since(now())))
    await asyncio.sleep(1)
    wished_at = now()
    new = asyncio.create_task(desk.ask("db", since(wished_at)))
    await asyncio.sleep(1)
    desk.client.values["db"] = RemoteValue(SecretBytes("rotated"))
    quick.set()
    assert "rotated" == await new
    desk.client.values.clear()
    slow.set()
    assert "value of db" == await old

    desk.client.values["db"] = RemoteValue(SecretBytes("rotated"))
    assert "rotated" == await desk.ask("db", since(wished_at))


@virtual_time
async def test_retried_call_counts_from_its_last_try(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(Unavailable("hiccup"))
    reader = asyncio.create_task(desk.ask("db", retries=(2.0,)))
    await asyncio.sleep(1)
    wished_at = now()
    await reader

    await desk.ask("db", since(wished_at))

    assert 2 == len(desk.client.calls)


@virtual_time
async def test_answers_older_than_the_bound_are_asked_for_anew(open_desk) -> None:
    desk = open_desk(cache=AnswerCache(max_age_s=10))
    await desk.ask("db")
    await asyncio.sleep(11)

    await desk.ask("db")

    assert 2 == len(desk.client.calls)


class TestCache:
    """The cache alone; times are arguments."""

    FOR_EVER = Freshness(float("-inf"), float("-inf"))

    def test_old_answers_leave_the_memory_when_newer_ones_come(self) -> None:
        cache = AnswerCache(max_age_s=60)
        cache.put("fp", Read("old"), RemoteValue(SecretBytes("x")), 100.0)
        cache.put("fp", Read("new"), RemoteValue(SecretBytes("x")), 161.0)

        assert 1 == len(cache)

    def test_negative_and_positive_answers_have_their_own_age(self) -> None:
        cache = AnswerCache()
        cache.put("fp", Read("value"), RemoteValue(SecretBytes("x")), 100.0)
        cache.put("fp", Read("denied"), AccessDenied("no"), 100.0)
        patient = Freshness(values_from=101.0, failures_from=96.0)
        impatient = Freshness(values_from=101.0, failures_from=101.0)

        assert cache.get("fp", Read("value"), patient, 101.0) is None
        assert isinstance(cache.get("fp", Read("denied"), patient, 101.0), AccessDenied)
        assert cache.get("fp", Read("denied"), impatient, 101.0) is None

    def test_value_larger_than_the_whole_budget_is_not_kept(self) -> None:
        cache = AnswerCache(max_bytes=1000)
        cache.put("fp", Read("small"), RemoteValue(SecretBytes("x")), 1.0)
        cache.put("fp", Read("large"), RemoteValue(SecretBytes("x" * 2000)), 2.0)

        assert cache.get("fp", Read("large"), self.FOR_EVER, 2.0) is None
        assert 0 == len(cache)

    def test_forgetting_an_identity_leaves_the_others(self) -> None:
        cache = AnswerCache()
        for fingerprint in ("mine", "theirs"):
            cache.put(fingerprint, Read("db"), RemoteValue(SecretBytes(fingerprint)), 1.0)

        cache.forget("mine")

        assert cache.get("mine", Read("db"), self.FOR_EVER, 1.0) is None
        assert cache.get("theirs", Read("db"), self.FOR_EVER, 1.0) is not None

    def test_repr_shows_no_value(self) -> None:
        cache = AnswerCache()
        cache.put("fp", Read("db"), RemoteValue(SecretBytes("hunter2")), 1.0)

        assert "<AnswerCache 1 answers, 263 bytes>" == repr(cache)

    @settings(deadline=None, max_examples=200, derandomize=True, database=None)
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 600), st.floats(0, 40)), max_size=60))
    def test_budget_of_bytes_and_age_holds_at_every_step(self, puts) -> None:
        cache = AnswerCache(max_bytes=2000, max_age_s=60)
        sizes: dict[Read, tuple[int, float]] = {}
        now_ = 0.0
        for key, size, pause in puts:
            now_ += pause
            read = Read(f"k{key}")
            cache.put("fp", read, RemoteValue(SecretBytes("x" * size)), now_)
            sizes[read] = (size + 256, now_)

            kept = [one for one in sizes if cache.get("fp", one, self.FOR_EVER, now_) is not None]
            assert sum(sizes[one][0] for one in kept) <= 2000
            assert cache._bytes <= 2000
            assert all(now_ - sizes[one][1] <= 60 for one in kept)
        cache.clear()
        assert (0, 0) == (len(cache), cache._bytes)


@pytest.mark.parametrize(
    ("failure", "calls"),
    [(Malformed("strange"), 2), (AccessDenied("no"), 1), (Unavailable("this one is out"), 1)],
    ids=["no answer", "denied", "out alone"],
)
@virtual_time
async def test_only_answers_about_the_key_are_kept(open_desk, failure, calls: int) -> None:
    desk = open_desk(batch_size=1)
    desk.client.values["db"] = failure

    await desk.ask("db", retries=())
    await desk.ask("db", retries=())

    assert calls == len(desk.client.calls)
