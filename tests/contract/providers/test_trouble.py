"""The same troubles in every store: denied, throttled, failing, silent, cut off. What a client makes of them."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.providers.backends.base import RETRY_AFTER_S, Trouble
from tests.contract.providers.backends.every import SERVED

from keyferry.errors import (
    AccessDenied,
    KeyferryError,
    Malformed,
    RateLimited,
    RetryKind,
    TimedOut,
    Unavailable,
    one_line,
)
from keyferry.ports import Find, Read, RemoteValue
from keyferry.testing.leaks import canary

pytestmark = pytest.mark.parametrize("backend", SERVED, indirect=True)

VALUE = canary("contract-trouble")


@pytest.fixture
async def client(backend, connect, unique):
    """A client that has logged in and read once, where `<unique>` is the remote secret."""
    backend.put(unique, VALUE)
    made = await connect(backend.provider, backend.view())
    assert VALUE == await value(made, unique)
    return made


@pytest.fixture
def into(backend):
    """Put the store into trouble."""

    def put(kind):
        backend.trouble(kind)

    return put


async def value(client, key):
    (answer,) = await client.read([Read(key)])
    if isinstance(answer, KeyferryError):
        raise answer
    return answer.value.reveal().decode()


async def failure(client, key):
    with pytest.raises(KeyferryError) as raised:
        await value(client, key)
    return raised.value


def check_text(error, leaks):
    """One line with advice, and no value in it."""
    assert one_line(str(error)) == str(error)
    assert error.hint
    assert [] == leaks.look_at_error("failure", error)


async def test_denied_secret_fails_its_own_question_alone(backend, connect, unique, leaks):
    if not backend.denies:
        pytest.skip("this store does not decide about single remote secrets")
    for name in ("a", "b", "c"):
        backend.put(f"{unique}/{name}", VALUE)
    backend.deny(f"{unique}/b")
    client = await connect(backend.provider, backend.view())

    answers = []
    for start in range(0, 3, client.batch_size):
        names = ["a", "b", "c"][start : start + client.batch_size]
        answers += await client.read([Read(f"{unique}/{name}") for name in names])

    assert [RemoteValue, AccessDenied, RemoteValue] == [type(answer) for answer in answers]
    assert f"{unique}/b" in answers[1].message
    check_text(answers[1], leaks)


async def test_throttled_store_is_told_with_its_own_word(backend, client, into, unique, leaks):
    into(Trouble.THROTTLED)

    error = await failure(client, unique)

    assert RateLimited is type(error)
    if backend.names_pause:
        assert (RetryKind.AFTER, RETRY_AFTER_S) == (error.retry.kind, error.retry.seconds)
    check_text(error, leaks)


async def test_failure_at_the_stores_side_is_told_as_one(client, into, unique, leaks):
    into(Trouble.FAILING)

    error = await failure(client, unique)

    assert Unavailable is type(error)
    check_text(error, leaks)


async def test_connection_that_is_cut_is_no_answer(client, into, unique, leaks):
    """And never "not found", by which a Secret could be deleted."""
    into(Trouble.CUT)

    error = await failure(client, unique)

    assert isinstance(error, Unavailable | Malformed)
    check_text(error, leaks)


@pytest.mark.parametrize(
    "kind", [Trouble.THROTTLED, Trouble.FAILING, Trouble.CUT], ids=lambda kind: kind.value
)
async def test_trouble_is_the_call_s_and_not_the_secret_s(client, into, unique, kind):
    """It is raised, so that the planner spares the store instead of asking for each remote secret."""
    into(kind)

    with pytest.raises(KeyferryError):
        await client.read([Read(unique)])


@pytest.mark.parametrize(
    "kind", [Trouble.THROTTLED, Trouble.FAILING, Trouble.CUT], ids=lambda kind: kind.value
)
async def test_store_is_asked_again_when_its_trouble_has_ended(backend, client, into, unique, kind):
    into(kind)
    await failure(client, unique)
    backend.relieve()

    assert VALUE == await value(client, unique)


@pytest.mark.parametrize(
    "kind", [Trouble.THROTTLED, Trouble.FAILING, Trouble.CUT], ids=lambda kind: kind.value
)
async def test_search_in_trouble_finds_nothing_by_halves(backend, client, into, unique, kind):
    if not backend.finds:
        pytest.skip("this store cannot be searched, which is told where its own tests are")
    into(kind)

    with pytest.raises((RateLimited, Unavailable, Malformed)):
        await client.find(Find(path=unique))


async def test_cancelled_question_ends_at_once_and_others_go_on(backend, client, into, unique):
    into(Trouble.HELD)
    asking = asyncio.create_task(client.read([Read(unique)]))
    await asyncio.to_thread(backend.wait_held)

    asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=5)
    backend.relieve()

    assert {asking} == done
    assert asking.cancelled()
    assert VALUE == await value(client, unique)


async def test_slow_answer_holds_nothing_else_back(backend, client, into, unique):
    """One question waits for the store; what does not need the store's answer, goes on."""
    into(Trouble.HELD)
    asking = asyncio.create_task(client.read([Read(unique)]))
    await asyncio.to_thread(backend.wait_held)
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    assert not asking.done()

    backend.relieve()
    try:
        (answer,) = await asyncio.wait_for(asking, timeout=30)
    except (Unavailable, Malformed) as error:
        assert not isinstance(error, TimedOut)  # noqa: PT017 - a held call may end well, or cut, and not late
    else:
        assert VALUE == answer.value.reveal().decode()
    assert 100 == turns


async def test_client_that_is_closed_while_it_waits_lets_go(backend, client, into, unique):
    into(Trouble.HELD)
    asking = asyncio.create_task(client.read([Read(unique)]))
    await asyncio.to_thread(backend.wait_held)

    asking.cancel()
    await asyncio.wait([asking], timeout=5)
    closing = asyncio.create_task(client.close())
    done, _ = await asyncio.wait([closing], timeout=20)
    backend.relieve()

    assert {closing} == done
    await closing


async def test_value_of_the_largest_size_comes_back_unchanged(backend, connect, unique):
    whole = "x" * backend.largest
    backend.put(unique, whole)
    client = await connect(backend.provider, backend.view())

    assert whole == await value(client, unique)
