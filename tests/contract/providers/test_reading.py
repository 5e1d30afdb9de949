"""The same questions to every provider: what a client answers, and what it leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from tests.contract.providers.backends.base import trait

from keyferry.errors import CredentialsExpired, RemoteSecretNotFound
from keyferry.ports import Read, ReadingRules, RemoteValue, Verdict
from keyferry.testing.leaks import canary

VALUES = [
    pytest.param("plain", id="text"),
    pytest.param('{"user": "app", "port": 5432, "ratio": 1.50, "none": null}', id="json"),
    pytest.param('{"b": 1, "a": 2, "a": 3}', id="json-with-a-key-twice"),
    pytest.param("  leading and trailing \n\n", id="white-space-at-both-ends"),
    pytest.param("Grüße, 世界 🔐 \u2028 e\u0301", id="unicode"),
    pytest.param("line one\r\nline two\tend", id="control-characters"),
    pytest.param("0", id="zero"),
    pytest.param("null", id="null"),
    pytest.param("x" * 65536, id="64-KiB"),
]


def revealed(answer):
    assert isinstance(answer, RemoteValue), answer
    return answer.value.reveal()


async def test_no_question_gets_no_answer(backend, connect, unique):
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())

    assert [] == list(await client.read([]))


@pytest.mark.parametrize("value", VALUES)
async def test_value_comes_back_unchanged(backend, connect, unique, value):
    value = value[: backend.largest]
    backend.put(unique, value)
    client = await connect(backend.provider, backend.view())

    assert [value.encode()] == [revealed(a) for a in await client.read([Read(unique)])]


async def test_bytes_that_are_no_text_come_back_unchanged(backend, connect, unique):
    if not backend.keeps_bytes:
        pytest.skip("this store keeps text alone")
    value = bytes(range(256)) * 3
    backend.put(unique, value)
    client = await connect(backend.provider, backend.view())

    assert [value] == [revealed(a) for a in await client.read([Read(unique)])]


async def test_answers_stand_in_the_order_of_the_questions(backend, connect, unique):
    names = [f"{unique}/{number}" for number in range(20)]
    for name in names:
        backend.put(name, f"value of {name}")
    client = await connect(backend.provider, backend.view())
    asked = list(reversed(names))[: max(client.batch_size, 1)]

    answers = await client.read([Read(name) for name in asked])

    assert [f"value of {name}".encode() for name in asked] == [revealed(a) for a in answers]


async def test_absent_secret_fails_its_own_question_alone(backend, connect, unique):
    backend.put(f"{unique}/there", "value")
    client = await connect(backend.provider, backend.view())
    asked = [Read(f"{unique}/absent"), Read(f"{unique}/there"), Read(f"{unique}/absent-too")]

    absent, there, absent_too = await client.read(asked)

    assert b"value" == revealed(there)
    assert [RemoteSecretNotFound] * 2 == [type(absent), type(absent_too)]
    assert f"{unique}/absent" in absent.message
    assert f"{unique}/absent-too" in absent_too.message


async def test_absent_secret_is_told_when_asked_alone(backend, connect, unique):
    backend.put(f"{unique}/there", "value")
    client = await connect(backend.provider, backend.view())

    (answer,) = await client.read([Read(f"{unique}/absent")])

    assert RemoteSecretNotFound is type(answer)
    assert answer.hint


async def test_version_asked_for_is_the_version_read(backend, connect, unique):
    if not trait(backend, "versions"):
        pytest.skip("this store has no versions")
    first = backend.put(unique, "first")
    second = backend.put(unique, "second")
    client = await connect(backend.provider, backend.view())

    answers = [(await client.read([Read(unique, version)]))[0] for version in (first, second, "")]

    assert [b"first", b"second", b"second"] == [revealed(a) for a in answers]


async def test_absent_version_of_a_secret_is_told(backend, connect, unique):
    if not trait(backend, "versions"):
        pytest.skip("this store has no versions")
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())
    version = trait(backend, "absent_version")

    (answer,) = await client.read([Read(unique, version)])

    assert RemoteSecretNotFound is type(answer)
    assert version in answer.message


async def test_questions_may_be_asked_at_the_same_time(backend, connect, unique):
    names = [f"{unique}/{number}" for number in range(16)]
    for name in names:
        backend.put(name, f"value of {name}")
    client = await connect(backend.provider, backend.view())

    answers = await asyncio.gather(*(client.read([Read(name)]) for name in names))

    assert [f"value of {name}".encode() for name in names] == [revealed(one) for (one,) in answers]


async def test_next_question_after_a_rotation_gets_the_new_value(backend, connect, unique):
    backend.put(unique, "before")
    client = await connect(backend.provider, backend.view())
    before = revealed((await client.read([Read(unique)]))[0])
    backend.put(unique, "after")
    # Where the store itself is what changed, the planner connects anew.
    client = await connect(backend.provider, backend.view())

    after = revealed((await client.read([Read(unique)]))[0])

    assert (b"before", b"after") == (before, after)


async def test_closing_one_client_leaves_the_others_at_work(backend, connect, unique):
    backend.put(unique, "value")
    one = await connect(backend.provider, backend.view())
    other = await connect(backend.provider, backend.view())
    await one.read([Read(unique)])

    await one.close()
    await one.close()

    assert b"value" == revealed((await other.read([Read(unique)]))[0])


async def test_good_store_is_found_ready_however_often_it_is_asked(backend, connect, unique):
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())

    assert [Verdict.READY] * 2 == [await client.validate(), await client.validate()]


async def test_readers_go_on_after_a_renewal_that_was_not_needed(backend, connect, unique):
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())
    with contextlib.suppress(CredentialsExpired):  # keys that somebody wrote into a Secret cannot be renewed
        await client.renew()

    assert b"value" == revealed((await client.read([Read(unique)]))[0])


async def test_limits_and_rules_are_usable(backend, connect, unique):
    backend.put(unique, "value")
    client = await connect(backend.provider, backend.view())

    assert isinstance(backend.provider.reading, ReadingRules)
    assert client.batch_size >= 1
    assert client.max_concurrency >= 1
    assert client.may_batch(Read(unique)) is (client.batch_size > 1)


async def test_answers_do_not_show_their_values(backend, connect, unique, leaks):
    value = canary("contract-answer")
    backend.put(unique, json.dumps({"password": value}))
    client = await connect(backend.provider, backend.view())

    answers = await client.read([Read(unique)])

    assert [] == leaks.look("answers", f"{answers!r} {answers} {client!r}")
