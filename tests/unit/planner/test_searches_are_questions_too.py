from __future__ import annotations

import asyncio

import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    KubeForbidden,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    SpecError,
    TimedOut,
    Unavailable,
    after,
)
from keyferry.planner import search
from keyferry.planner.cache import AnswerCache, Freshness
from keyferry.planner.health import Deferred
from keyferry.planner.session import CALL_DEADLINE_S, SEARCH_DEADLINE_S
from keyferry.ports import Find, Found, Read, RemoteValue
from keyferry.secretdata import SecretBytes
from keyferry.testing.looptime import virtual_time
from keyferry.testing.storeclient import ScriptedStoreClient

ANY_AGE = Freshness(float("-inf"), float("-inf"))
APP = Find(path="app/")


def found(*names: str) -> list[Found]:
    return [Found(f"app/{name}", Read(f"app/{name}")) for name in names]


async def ask(desk, need: Freshness = ANY_AGE, find: Find = APP, retries=(0.1, 0.4)):
    """What the session finds, in short: names and texts, or the failure."""
    values = await desk.session.find(find, need, retries)
    if not isinstance(values, tuple):
        return values
    return [(name, value.reveal().decode()) for name, value in values]


def values_of(*names: str) -> list[tuple[str, str]]:
    return [(f"app/{name}", f"value of app/{name}") for name in names]


def searches(desk) -> int:
    return sum(call.find is not None for call in desk.client.calls)


def now() -> float:
    return asyncio.get_running_loop().time()


# Sharing


@virtual_time
async def test_thousand_who_search_alike_cost_one_search_and_its_reads(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("b", "a")

    answers = await asyncio.gather(*(ask(desk) for _ in range(1000)))

    assert all(values_of("b", "a") == answer for answer in answers)
    assert [(), ("app/b", "app/a")] == [call.keys for call in desk.client.calls]


@virtual_time
async def test_other_searches_are_other_questions(open_desk) -> None:
    desk = open_desk()
    by_tag = Find(tags=(("team", "a"),))
    desk.client.found = {APP: found("a"), by_tag: found("b")}

    assert [values_of("a"), values_of("b")] == await asyncio.gather(ask(desk), ask(desk, find=by_tag))
    assert 2 == searches(desk)


@virtual_time
async def test_value_found_and_value_named_are_one_read(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.found[APP] = found("a", "b")

    _, named = await asyncio.gather(ask(desk), desk.ask("app/a"))

    assert "value of app/a" == named
    assert 2 == sum(len(call.reads) for call in desk.client.calls)


@virtual_time
async def test_search_shares_its_calls_with_reads_and_never_its_own(open_desk) -> None:
    """A store asks for a list in a call of its own, whatever else waits."""
    desk = open_desk(max_concurrency=1)
    desk.client.found[APP] = found("a")

    await asyncio.gather(ask(desk), *(desk.ask(f"k{number}") for number in range(3)))

    assert [] == desk.client.broken_promises
    assert 1 == searches(desk)
    assert all(not call.reads for call in desk.client.calls if call.find)


class LongSearches(ScriptedStoreClient):
    """A store whose lists are long."""

    async def find(self, find):
        await asyncio.sleep(30)
        return await super().find(find)


@virtual_time
async def test_long_searches_leave_room_for_reads(open_desk) -> None:
    """Of tenants who share an identity, one may search as much as he likes."""
    desk, begun = open_desk(LongSearches(max_concurrency=4)), now()
    others = [Find(path=f"other-{number}/") for number in range(8)]
    searching = [asyncio.create_task(ask(desk, find=find)) for find in others]
    await asyncio.sleep(0.1)

    assert "value of k" == await desk.ask("k")
    assert "value of v@uuid/1" == await desk.ask("v", version="uuid/1")
    assert now() - begun < 30
    assert [[]] * 8 == await asyncio.gather(*searching)
    assert [] == desk.client.broken_promises


@virtual_time
async def test_values_that_the_search_brought_along_are_not_asked_for(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = [Found("app/a", RemoteValue(SecretBytes("brought"))), *found("b")]

    assert [("app/a", "brought"), *values_of("b")] == await ask(desk)
    assert [(), ("app/b",)] == [call.keys for call in desk.client.calls]


@virtual_time
async def test_name_found_need_not_be_the_key_that_is_read(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = [Found("app/a", Read("a"))]

    assert [("app/a", "value of a")] == await ask(desk)


@virtual_time
async def test_nothing_found_is_an_answer(open_desk) -> None:
    desk = open_desk()

    assert [] == await ask(desk)
    assert None is desk.session.failure


@virtual_time
async def test_sessions_of_two_identities_share_no_search(open_desk) -> None:
    cache = AnswerCache()
    mine, theirs = (open_desk(cache=cache, fingerprint=name) for name in ("mine", "theirs"))
    mine.client.found[APP] = found("a")

    assert [values_of("a"), []] == await asyncio.gather(ask(mine), ask(theirs))
    assert (values_of("a"), []) == (await ask(mine), await ask(theirs))
    assert (1, 1) == (searches(mine), searches(theirs))


# Freshness


@virtual_time
async def test_search_is_kept_for_those_who_asked_before_it_and_for_nobody_else(open_desk) -> None:
    desk = open_desk(latency_s=1.0)
    desk.client.found[APP] = found("a")
    asked = now()
    await ask(desk, Freshness(asked, asked))
    await asyncio.sleep(5)
    desk.client.found[APP] = found("a", "b")

    assert values_of("a") == await ask(desk, Freshness(asked, asked))
    assert values_of("a", "b") == await ask(desk, Freshness(now(), asked))
    assert 2 == searches(desk)


@virtual_time
async def test_search_under_way_serves_nobody_who_came_after_it(open_desk) -> None:
    desk = open_desk(latency_s=5.0)
    first = asyncio.create_task(ask(desk))
    await asyncio.sleep(1)
    desk.client.found[APP] = found("a")

    await ask(desk, Freshness(now(), now()))
    await first

    assert 2 == searches(desk)


@virtual_time
async def test_searches_are_forgotten_with_the_values(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a")
    await ask(desk)
    assert 2 == len(desk.cache)

    desk.cache.clear()

    assert 0 == len(desk.cache)


@virtual_time
async def test_refused_search_is_remembered_for_the_patient(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(AccessDenied("may not list"))
    began = now()
    await ask(desk)
    await asyncio.sleep(3)

    patient = await ask(desk, Freshness(now(), began))
    assert (AccessDenied, "may not list") == (type(patient), patient.message)
    assert 1 == searches(desk)

    assert [] == await ask(desk, Freshness(now(), now()))


@virtual_time
async def test_old_not_found_does_not_hide_what_the_search_finds(open_desk) -> None:
    desk = open_desk()
    desk.client.values["app/a"] = RemoteSecretNotFound("no such secret")
    began = now()
    await desk.ask("app/a")
    desk.client.values.clear()
    desk.client.found[APP] = found("a")
    await asyncio.sleep(3)

    assert values_of("a") == await ask(desk, Freshness(now(), began))


# Failures


@virtual_time
async def test_secret_that_is_gone_before_it_is_read_is_left_out(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a", "gone", "b")
    desk.client.values["app/gone"] = RemoteSecretNotFound("no such secret")

    assert values_of("a", "b") == await ask(desk)


@virtual_time
async def test_secret_that_cannot_be_read_fails_the_search_by_its_name(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a", "denied", "denied-too")
    desk.client.values["app/denied"] = AccessDenied("not yours", hint="ask for it")
    desk.client.values["app/denied-too"] = AccessDenied("nor this")

    failure = await ask(desk)

    assert AccessDenied is type(failure)
    assert 'found remote secret "app/denied": not yours. ask for it' == str(failure)
    assert (None, None) == (failure.__traceback__, failure.__cause__)


@virtual_time
async def test_failure_that_names_its_secret_already_is_told_as_it_is(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a")
    desk.client.values["app/a"] = AccessDenied('not allowed to read "app/a"')

    assert 'not allowed to read "app/a"' == (await ask(desk)).message


@virtual_time
async def test_search_that_the_store_cannot_do_is_returned_and_no_outage(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(SpecError("find.tags: there are none"))

    both = await asyncio.gather(ask(desk), ask(desk))

    assert [(SpecError, "find.tags: there are none")] * 2 == [(type(one), one.message) for one in both]
    assert 2 == len({id(one) for one in both})
    assert None is desk.session.failure
    assert desk.session.idle


@virtual_time
async def test_failure_that_is_not_the_stores_is_raised_as_it_is(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(KubeForbidden("serviceaccounts is forbidden", status=403))

    with pytest.raises(KubeForbidden):
        await ask(desk)
    assert desk.session.idle


@virtual_time
async def test_hiccup_is_tried_again_and_nobody_notices(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a")
    desk.client.next_calls.extend([Unavailable("hiccup"), Unavailable("hiccup")])

    assert values_of("a") == await ask(desk)
    assert (3, None) == (searches(desk), desk.session.failure)


@virtual_time
async def test_expired_credentials_are_renewed_for_a_search(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a")
    desk.client.next_calls.append(CredentialsExpired("too old"))

    assert values_of("a") == await ask(desk)
    assert 1 == len(desk.client.renewals)


@pytest.mark.parametrize(
    "outage", [Unavailable("down"), AuthFailed("who are you")], ids=lambda outage: outage.reason
)
@virtual_time
async def test_search_that_fails_with_its_store_opens_the_breaker_and_probes(open_desk, outage) -> None:
    desk = open_desk()
    desk.client.outage = outage
    assert outage.message == (await ask(desk, retries=())).message
    assert 1 == desk.troubles

    asked = len(desk.client.calls)
    assert outage.message == (await ask(desk)).message
    assert outage.message == (await desk.ask("db")).message
    assert asked == len(desk.client.calls)

    desk.client.outage = None
    await asyncio.sleep(2)
    assert (1, None) == (desk.recoveries, desk.session.failure)
    assert [] == await ask(desk)


@virtual_time
async def test_search_that_fails_alone_leaves_the_others_alone(open_desk) -> None:
    """The store answers what it answered last, so it is there."""
    desk = open_desk()
    await desk.ask("db")
    desk.client.next_calls.append(Unavailable("too much to list"))

    assert "too much to list" == (await ask(desk, retries=())).message
    assert (None, 0) == (desk.session.failure, desk.troubles)


@virtual_time
async def test_search_that_takes_too_long_is_no_outage(open_desk) -> None:
    """It is many calls of which each has ended; and the next search is asked for anew."""
    desk = open_desk(latency_s=SEARCH_DEADLINE_S + 1)

    failure = await ask(desk)

    assert TimedOut is type(failure)
    assert "the search did not end within 60 s" == failure.message
    assert "Narrow it" in failure.hint
    assert (None, 0, True) == (desk.session.failure, desk.troubles, desk.session.idle)


@virtual_time
async def test_search_may_take_longer_than_a_call(open_desk) -> None:
    desk = open_desk()
    desk.client.found[APP] = found("a")
    desk.client.next_calls.append(lambda: asyncio.sleep(CALL_DEADLINE_S + 1))

    assert values_of("a") == await ask(desk)


@virtual_time
async def test_probe_by_a_search_that_takes_too_long_ends_the_outage(open_desk) -> None:
    """A store that goes on answering pages is there."""
    desk = open_desk()
    desk.client.outage = Unavailable("down")
    await ask(desk, retries=())
    desk.client.outage = None
    desk.client.next_calls.append(lambda: asyncio.sleep(SEARCH_DEADLINE_S + 1))

    await asyncio.sleep(SEARCH_DEADLINE_S + 10)

    assert (None, 1) == (desk.session.failure, desk.recoveries)


@virtual_time
async def test_outage_amid_the_values_is_told_without_a_secrets_name(open_desk) -> None:
    """Else the condition would change with whichever was asked for first."""
    desk = open_desk()
    desk.client.found[APP] = found("a", "b")
    desk.client.next_calls.append(None)
    desk.client.outage = Unavailable("down")

    assert "down" == (await ask(desk, retries=())).message
    assert desk.session.failure is not None


@virtual_time
async def test_throttled_search_waits_as_long_as_the_store_says(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(RateLimited("slow down", retry=after(7)))

    assert "slow down" == (await ask(desk)).message
    assert Deferred is type(await ask(desk))
    assert 1 == searches(desk)

    await asyncio.sleep(7)
    assert [] == await ask(desk)


# Bounds


class Counting(ScriptedStoreClient):
    """Notes how many tasks there are at most while it answers."""

    most_tasks = 0

    async def read(self, reads):
        self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()))
        return await super().read(reads)


@virtual_time
async def test_thousands_found_are_asked_for_in_slices(open_desk) -> None:
    client = Counting(batch_size=5, max_concurrency=4)
    desk = open_desk(client=client)
    names = [f"{number:04}" for number in range(2000)]
    client.found[APP] = found(*names)

    assert values_of(*names) == await ask(desk)
    assert [] == client.broken_promises
    assert 401 == len(client.calls)
    assert client.most_tasks < 20 + 4 + 10


@virtual_time
async def test_slices_are_one_call_where_the_pace_is_limited(open_desk) -> None:
    """Eight at once would have no room, and the search would be deferred for ever."""
    desk = open_desk(batch_size=5, max_concurrency=8)
    desk.client.found[APP] = found(*(f"{number:02}" for number in range(40)))
    await asyncio.gather(*(desk.ask(f"k{number}", version="1") for number in range(6)))
    desk.client.next_calls.append(RateLimited("slow down", retry=after(1)))
    await desk.ask("db")
    await asyncio.sleep(1)
    asked = len(desk.client.calls)

    assert 40 == len(await ask(desk))
    pace = [call.at for call in desk.client.calls[asked:]]
    assert 9 == len(pace)
    assert len(pace) == len(set(pace))


@pytest.mark.parametrize("brought", [True, False], ids=["brought along", "asked for"])
@virtual_time
async def test_search_that_finds_more_than_any_secret_holds_is_given_up(
    open_desk, monkeypatch, brought: bool
) -> None:
    monkeypatch.setattr(search, "MOST_BYTES", 3 * 1024 * 1024)
    desk = open_desk(batch_size=1, max_concurrency=1)
    large = RemoteValue(SecretBytes(b"x" * 1024 * 1024))
    names = [f"{number}" for number in range(9)]
    desk.client.found[APP] = [
        Found(f"app/{name}", large if brought else Read(f"app/{name}")) for name in names
    ]
    desk.client.values = {f"app/{name}": large for name in names}

    failure = await ask(desk)

    assert ProviderError is type(failure)
    assert "the search finds more than 3 MiB" == failure.message
    assert len(desk.client.calls) <= 1 + 3


@virtual_time
async def test_searches_take_the_budget_of_the_cache_like_values(open_desk) -> None:
    desk = open_desk(cache=AnswerCache(max_bytes=4096))
    desk.client.found[APP] = [
        Found(f"app/{number}", RemoteValue(SecretBytes(b"x" * 100))) for number in range(20)
    ]

    assert 20 == len(await ask(desk))

    assert 0 == len(desk.cache)


@virtual_time
async def test_cancelled_searcher_takes_nobody_along(open_desk) -> None:
    desk = open_desk(latency_s=1.0)
    desk.client.found[APP] = found("a")
    searchers = [asyncio.create_task(ask(desk)) for _ in range(3)]
    await asyncio.sleep(0.5)
    searchers[0].cancel()
    await asyncio.sleep(1)
    searchers[1].cancel()

    assert values_of("a") == await searchers[2]
    assert [(), ("app/a",)] == [call.keys for call in desk.client.calls]


@virtual_time
async def test_session_with_a_search_is_not_idle_until_its_end(open_desk) -> None:
    """Else it could be closed between two slices."""
    desk = open_desk(batch_size=1, max_concurrency=1, latency_s=0.0)
    desk.client.found[APP] = found("a", "b", "c")
    searcher = asyncio.create_task(ask(desk))
    seen = []
    await asyncio.sleep(0)
    while not searcher.done():
        seen.append(desk.session.idle)
        await asyncio.sleep(0)

    assert {False} == set(seen)
    assert desk.session.idle


@virtual_time
async def test_search_ends_with_its_session(open_desk) -> None:
    desk = open_desk(latency_s=5.0)
    searcher = asyncio.create_task(ask(desk))
    await asyncio.sleep(1)

    await desk.session.close()

    assert "the call to the store was cancelled" == (await searcher).message
    assert "the store's connection is being replaced" == (await ask(desk)).message
