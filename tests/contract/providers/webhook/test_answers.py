"""What is taken of an answer, and what a failure becomes."""

from __future__ import annotations

import json

import pytest

from keyferry.core.select import select_map
from keyferry.errors import (
    AccessDenied,
    KeyferryError,
    Malformed,
    PropertyNotFound,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    RenderError,
    TimedOut,
    Unavailable,
    after,
    one_line,
)
from keyferry.ports import Read, RemoteValue, Verdict
from keyferry.testing.leaks import canary

BOMB = json.dumps([[[[0] * 12] * 12] * 12] * 12)


@pytest.fixture
def members_of():
    """The members that a client answers, as `dataFrom.extract` takes them, in clear."""

    async def of(client, key="db", **read):
        (answer,) = await client.read([Read(key, members=True, **read)])
        if isinstance(answer, KeyferryError):
            raise answer
        return {name: value.reveal().decode() for name, value in select_map(answer.value).items()}

    return of


async def test_without_a_path_the_body_is_the_value(client_of, value_of, webhook_server):
    webhook_server.put("db", ' {"a": 1.50}\n')

    assert ' {"a": 1.50}\n' == await value_of(await client_of())


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        pytest.param('"text"', "text", id="text"),
        pytest.param("1.5", "2", id="fraction"),
        pytest.param("2.5", "2", id="half-to-even"),
        pytest.param("1e6", "1000000", id="exponent"),
        pytest.param("12345678901234567890", "12345678901234567890", id="many-digits"),
        pytest.param("true", "true", id="true"),
        pytest.param("null", "", id="null"),
        pytest.param('["first", "second"]', "first", id="list"),
        pytest.param('[[{"a": 1}]]', '{"a":1}', id="list-in-a-list"),
        pytest.param(
            '{"b": "<&>", "a": [1.0, null]}', '{"a":[1,null],"b":"\\u003c\\u0026\\u003e"}', id="object"
        ),
    ],
)
async def test_value_by_a_path_is_that_of_the_reference_operator(
    *, client_of, value_of, webhook_server, stored, value
):
    webhook_server.put("db", stored)

    assert value == await value_of(await client_of(result={"jsonPath": "$"}))


async def test_property_takes_nothing_out_of_the_answer(client_of, value_of, webhook_server):
    webhook_server.put("db", '{"a": 1}')

    assert '{"a": 1}' == await value_of(await client_of(), property="a")


async def test_members_are_those_of_the_object(client_of, members_of, webhook_server):
    document = (
        '{"t": "x<y", "n": 1.5, "e": 1e6, "b": false, "z": null, "l": [1.50, "<"], "o": {"b": 1, "a": 2}}'
    )
    webhook_server.put("db", document)

    found = await members_of(await client_of())

    assert {
        "t": "x<y",
        "n": "1.5",
        "e": "1000000",
        "b": "false",
        "z": "",
        "l": '[1.5,"\\u003c"]',
        "o": '{"a":2,"b":1}',
    } == found


async def test_members_of_a_text_are_those_of_the_json_in_it(client_of, members_of, webhook_server):
    webhook_server.put("db", json.dumps({"data": '{"a": "b"}'}))

    assert {"a": "b"} == await members_of(await client_of(result={"jsonPath": "$.data"}))


@pytest.mark.parametrize(
    ("stored", "path", "expected", "words"),
    [
        pytest.param("no json", "$.a", Malformed, "is no JSON", id="no-json"),
        pytest.param("1e999", "$", Malformed, "is no JSON", id="number-too-large"),
        pytest.param("[" * 5000 + "]" * 5000, "$", Malformed, "is no JSON", id="too-deep"),
        pytest.param("{}", "$.a", PropertyNotFound, "finds nothing", id="no-member"),
        pytest.param("[1]", "$[1]", PropertyNotFound, "1 elements, and number 1", id="no-element"),
        pytest.param("[]", "$", PropertyNotFound, "finds nothing", id="empty-list"),
        pytest.param("{}", "$..x", PropertyNotFound, "finds nothing", id="nothing-below"),
        pytest.param("{}", "$.", RenderError, "is no JSONPath", id="no-path"),
        pytest.param(BOMB, "$..*..*..*", RenderError, "too much work", id="bomb"),
    ],
)
async def test_path_that_fails_is_told_without_a_value(
    *, client_of, failure_of, webhook_server, leaks, stored, path, expected, words
):
    webhook_server.put("db", stored.replace("no json", canary("answer")))
    client = await client_of(result={"jsonPath": path})

    failure = await failure_of(client)

    assert isinstance(failure, expected)
    assert words in failure.message
    assert [] == leaks.look_at_error("failure", failure)


@pytest.mark.parametrize("stored", ['"x"', "[1]", "1", "nothing"])
async def test_answer_without_members_is_told(client_of, members_of, webhook_server, leaks, stored):
    webhook_server.put("db", stored.replace("nothing", canary("answer")))
    client = await client_of()

    with pytest.raises(Malformed) as failure:
        await members_of(client)

    assert [] == leaks.look_at_error("failure", failure.value)


async def test_long_answer_is_looked_through_beside_the_event_loop(client_of, value_of, webhook_server):
    """Both ways give the same."""
    webhook_server.put("db", json.dumps({"a": [{"b": "x" * 70_000}]}))

    assert "x" * 70_000 == await value_of(await client_of(result={"jsonPath": "$.a[?(@.b != 1)].b"}))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (304, ProviderError),
        (400, ProviderError),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, RemoteSecretNotFound),
        (405, ProviderError),
        (408, Unavailable),
        (429, RateLimited),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_status_becomes_its_error_and_the_body_is_not_repeated(
    *, client_of, failure_of, webhook_server, leaks, status, expected
):
    client = await client_of()
    # Two for each question, because the library asks once more where nothing can have been done yet.
    webhook_server.fail(status=status, times=4, body=canary("server-text"))

    first, second = await failure_of(client), await failure_of(client)

    assert (expected, expected) == (type(first), type(second))
    assert str(first) == str(second) == one_line(str(first))
    assert f"(status {status})" in first.message
    assert first.hint
    assert [] == leaks.look_at_error("failure", first)


@pytest.mark.parametrize("status", [429, 403, 503])
async def test_pause_that_the_server_asks_for_is_kept(client_of, failure_of, webhook_server, status):
    webhook_server.throttle("120", status=status)

    failure = await failure_of(await client_of())

    assert (RateLimited, after(120)) == (type(failure), failure.retry)


@pytest.mark.parametrize("status", [500, 429])
async def test_failure_of_the_server_is_that_of_the_whole_call(client_of, webhook_server, status):
    """So that the planner learns of outages and of pace; a refusal is the question's own."""
    client = await client_of()
    webhook_server.fail(status=status)

    with pytest.raises(ProviderError):
        await client.read([Read("a")])
    (answer,) = await client.read([Read("absent")])

    assert isinstance(answer, RemoteSecretNotFound)


async def test_answer_that_does_not_come_in_time_is_told(client_of, failure_of, webhook_server):
    webhook_server.fail("hold")

    failure = await failure_of(await client_of(timeout="50ms"))

    assert TimedOut is type(failure)


@pytest.mark.parametrize(("kind", "expected"), [("huge", Malformed), ("cut", Unavailable)])
async def test_answer_that_is_none_is_told(client_of, failure_of, webhook_server, kind, expected):
    webhook_server.fail(kind, times=2)

    assert expected is type(await failure_of(await client_of()))


async def test_secret_that_is_gone_counts_as_absent(client_of, failure_of, value_of, webhook_server):
    """By it deletionPolicy is decided."""
    webhook_server.put("db", "value")
    client = await client_of()
    assert "value" == await value_of(client)
    webhook_server.remove("db")

    failure = await failure_of(client, version="v1")

    assert RemoteSecretNotFound is type(failure)
    assert 'no remote secret "db" in version "v1"' in failure.message


async def test_server_that_is_not_there_is_no_valid_store(client_of, webhook_server):
    client = await client_of()
    assert Verdict.READY is await client.validate()
    webhook_server.close()

    with pytest.raises(Unavailable, match=r"Webhook at 127\.0\.0\.1 cannot be reached"):
        await client.validate()


async def test_name_that_there_is_not_is_no_valid_store(make_provider, connect, view_of):
    client = await connect(make_provider(), view_of(url="http://nobody.invalid/"))

    with pytest.raises(Unavailable, match="cannot be resolved"):
        await client.validate()


@pytest.mark.parametrize(
    "url", ["{{ .auth.token }}", "http://{{ .remoteRef.key }}/", "{{ `http` }}://h.example/"]
)
async def test_server_that_a_template_makes_cannot_be_told_beforehand(client_of, url):
    assert Verdict.UNKNOWN is await (await client_of(url=url)).validate()


async def test_no_body_is_an_empty_value(client_of, webhook_server):
    webhook_server.put("db", "")
    (answer,) = await (await client_of()).read([Read("db")])

    assert isinstance(answer, RemoteValue)
    assert not answer.value
