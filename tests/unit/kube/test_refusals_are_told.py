from __future__ import annotations

import asyncio
import logging

import pytest

from keyferry.errors import (
    BACKOFF,
    ON_CHANGE,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeNotFound,
    KubeUnavailable,
    after,
)

PATH = "/api/v1/namespaces/team-a/secrets/db"


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (400, KubeError, BACKOFF),
        (403, KubeForbidden, BACKOFF),
        (404, KubeNotFound, BACKOFF),
        (405, KubeError, BACKOFF),
        (409, KubeConflict, BACKOFF),
        (410, KubeGone, BACKOFF),
        (413, KubeInvalid, ON_CHANGE),
        (422, KubeInvalid, ON_CHANGE),
        (500, KubeUnavailable, BACKOFF),
        (503, KubeUnavailable, BACKOFF),
        (599, KubeUnavailable, BACKOFF),
    ],
)
async def test_status_and_message_are_the_servers(  # noqa: PLR0917 - fixtures
    server, open_api, play, status, kind, retry
) -> None:
    server.otherwise = play.refuses(status, 'secrets "db" is not as you think')

    with pytest.raises(KubeError) as caught:
        await open_api().request("GET", PATH)

    assert (kind, status, retry) == (type(caught.value), caught.value.status, caught.value.retry)
    assert 'secrets "db" is not as you think' == str(caught.value)
    assert 1 == len(server.seen)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"raw": b"<html>Bad gateway, see token=hunter2</html>"}, id="html"),
        pytest.param({"body": {"message": "hunter2"}}, id="json of a proxy"),
        pytest.param({"body": {"kind": "Secret", "message": "hunter2"}}, id="another kind"),
        pytest.param({"body": ["hunter2"]}, id="list"),
        pytest.param({"body": {"kind": "Status", "message": None}}, id="null"),
        pytest.param({"raw": b'{"kind":"Status","message":"hunter2\xff"}'}, id="not utf-8"),
        pytest.param({"raw": b'{"a":' * 5000}, id="deep"),
        pytest.param({"raw": b" "}, id="blank"),
    ],
)
async def test_body_that_is_no_status_is_never_repeated(server, open_api, play, answer) -> None:
    server.otherwise = play.says(502, **answer)

    with pytest.raises(KubeUnavailable) as caught:
        await open_api().request("GET", PATH)

    assert f"the API server answered 502 to GET {PATH}" == str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_redirects_are_refused_not_followed(server, open_api, play, status) -> None:
    """A body of a redirect is no object, and the token must not go elsewhere."""
    server.otherwise = play.says(status, raw=b"moved", headers={"Location": f"{server.url}/elsewhere"})
    api = open_api()

    with pytest.raises(KubeError) as caught:
        await api.request("GET", PATH)
    assert (status, 1) == (caught.value.status, len(server.seen))

    with pytest.raises(KubeError):
        async with api.stream(PATH, {}, "application/json", 5.0):
            raise AssertionError("a redirect is no stream")
    assert {PATH} == {seen.path for seen in server.seen}


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "a/../../kube-system/secrets/b",
        "a?watch=true",
        "a#b",
        "%2e%2e",
        "a b",
        "",
        "ä",
        "a\nb",
        "./a",
        "a\\b",
    ],
)
async def test_name_that_leads_elsewhere_is_refused_before_it_is_sent(server, open_api, name: str) -> None:
    api = open_api()

    with pytest.raises(KubeInvalid):
        await api.request("GET", f"/api/v1/namespaces/team-a/secrets/{name}")
    with pytest.raises(KubeInvalid):
        async with api.stream(f"/api/v1/namespaces/{name}/secrets", {}, "", 5.0):
            pass

    assert [] == server.seen


@pytest.mark.parametrize(
    "name", ["db", "a.b-c", "system:node:x", "x" * 253, "..data", "a..b", "UPPER_case~1"]
)
async def test_usual_names_go_as_they_are(server, open_api, name: str) -> None:
    await open_api().request("GET", f"/api/v1/namespaces/team-a/secrets/{name}")

    assert f"/api/v1/namespaces/team-a/secrets/{name}" == server.seen[0].path


async def test_parameters_are_quoted(server, open_api) -> None:
    selector = {"labelSelector": "a in (b,c),d=e&f", "continue": "x+/="}

    await open_api().request("GET", "/api/v1/secrets", params=selector)

    assert selector == server.seen[0].query


async def test_timeout_has_a_stable_text(server, open_api, play) -> None:
    server.otherwise = play.hangs

    with pytest.raises(KubeUnavailable) as caught:
        await open_api(timeout_s=0.05).request("GET", PATH)

    assert (0, f"the API server did not answer in time (GET {PATH})") == (
        caught.value.status,
        str(caught.value),
    )


async def test_cut_connection_has_a_stable_text(server, open_api, play) -> None:
    server.otherwise = play.hangs_up
    api = open_api()
    texts = set()
    for _ in range(3):
        with pytest.raises(KubeUnavailable) as caught:
            await api.request("POST", PATH, body={})
        texts.add(str(caught.value))

    assert {f"the API server cannot be reached (POST {PATH})"} == texts


async def test_refused_connection_has_a_stable_text(open_api) -> None:
    with pytest.raises(KubeUnavailable) as caught:
        await open_api(server="http://127.0.0.1:9").request("GET", PATH)

    assert f"the API server cannot be reached (GET {PATH})" == str(caught.value)


async def test_other_text_for_a_body_cut_short(server, open_api, play) -> None:
    async def half(request):
        from aiohttp import web

        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"half')
        request.transport.abort()
        return response

    server.otherwise = half

    with pytest.raises(KubeUnavailable, match="cannot be reached"):
        await open_api().request("GET", PATH)


class TestSlowDown:
    """429: the request was not carried out, and may be sent again."""

    async def test_word_of_the_server_is_waited_for_in_line(self, server, open_api, play) -> None:
        server.script.append(play.refuses(429, "slowly", {"Retry-After": "0.3"}))

        await open_api().request("POST", PATH, body={"a": 1})

        first, second = server.seen
        assert second.at - first.at >= 0.3
        assert b'{"a":1}' == second.body

    async def test_others_wait_too(self, server, open_api, play) -> None:
        api = open_api()
        server.script.append(play.refuses(429, "slowly", {"Retry-After": "0.3"}))
        refused = asyncio.create_task(api.request("GET", PATH))
        await play.until(lambda: api._pace.allowed < 32)  # the refusal has arrived

        await asyncio.gather(refused, *(api.request("GET", "/api/v1/pods") for _ in range(3)))

        assert min(seen.at for seen in server.seen[1:]) - server.seen[0].at >= 0.3

    async def test_tries_are_bounded_and_the_last_word_is_told(self, server, open_api, play) -> None:
        server.otherwise = play.refuses(429, "too many requests", {"Retry-After": "0.01"})

        with pytest.raises(KubeUnavailable) as caught:
            await open_api().request("GET", PATH)

        assert (4, 429, after(0.01)) == (len(server.seen), caught.value.status, caught.value.retry)

    async def test_long_wait_goes_back_to_the_caller(self, server, open_api, play) -> None:
        server.otherwise = play.refuses(429, "too many requests", {"Retry-After": "60"})

        with pytest.raises(KubeUnavailable) as caught:
            await open_api().request("GET", PATH)

        assert (1, after(60)) == (len(server.seen), caught.value.retry)

    @pytest.mark.parametrize(
        ("header", "expected"),
        [("-5", BACKOFF), ("Wed, 21 Oct 2037 07:28:00 GMT", after(1)), ("nan", BACKOFF)],
    )
    async def test_strange_words_do_no_harm(self, server, open_api, play, header, expected) -> None:
        server.otherwise = play.refuses(503, "starting", {"Retry-After": header})

        with pytest.raises(KubeUnavailable) as caught:
            await open_api().request("GET", PATH)

        assert expected == caught.value.retry

    async def test_wait_told_in_the_body_counts(self, server, open_api, play) -> None:
        server.otherwise = play.refuses(503, "starting", details={"retryAfterSeconds": 7})

        with pytest.raises(KubeUnavailable) as caught:
            await open_api().request("GET", PATH)

        assert after(7) == caught.value.retry


class TestToken:
    """The bearer token: fresh where it has to be, and seen by nobody."""

    async def test_refused_token_is_read_again_once(self, server, open_api, play, rotating) -> None:
        server.script.append(play.refuses(401, "Unauthorized"))
        api = open_api(tokens=rotating("old-token", "new-token"))

        await api.request("GET", PATH)

        sent = [seen.headers["Authorization"] for seen in server.seen]
        assert ["Bearer old-token", "Bearer new-token"] == sent

    async def test_lasting_refusal_is_told_after_the_second_try(
        self, server, open_api, play, rotating
    ) -> None:
        server.otherwise = play.refuses(401, "Unauthorized")

        with pytest.raises(KubeError) as caught:
            await open_api(tokens=rotating("a", "b", "c")).request("GET", PATH)

        assert (401, 2) == (caught.value.status, len(server.seen))

    async def test_stream_that_is_refused_reads_the_token_for_the_next(
        self, server, open_api, play, rotating
    ) -> None:
        server.script.append(play.refuses(401, "Unauthorized"))
        api = open_api(tokens=rotating("old-token", "new-token"))
        with pytest.raises(KubeError):
            async with api.stream(PATH, {}, "application/json", 5.0):
                pass

        async with api.stream(PATH, {}, "application/json", 5.0):
            pass

        assert "Bearer new-token" == server.seen[1].headers["Authorization"]

    async def test_token_that_cannot_be_read_is_told_without_its_content(self, open_api, tmp_path) -> None:
        from keyferry.kube.config import file_token

        api = open_api(tokens=file_token(tmp_path / "token"))
        with pytest.raises(KubeUnavailable) as caught:
            await api.request("GET", PATH)
        assert "the API token cannot be read: No such file or directory" == str(caught.value)

        (tmp_path / "token").write_bytes(b"hunter2\xff")
        with pytest.raises(KubeUnavailable) as caught:
            await api.request("GET", PATH)
        assert "the API token cannot be read: UnicodeDecodeError" == str(caught.value)

    async def test_token_is_in_no_log_and_no_text(self, server, open_api, play, rotating, caplog) -> None:
        caplog.set_level(logging.DEBUG)
        api = open_api(tokens=rotating("hunter2"), basic=("me", "hunter2"), proxy=None)
        server.script.extend([play.refuses(401, "Unauthorized"), play.refuses(429, "slowly"), play.hangs_up])
        with pytest.raises(KubeUnavailable) as caught:
            await api.request("POST", PATH, body={})

        assert "hunter2" not in f"{caplog.text} {caught.value!r} {caught.value} {api._config!r}"
        assert 3 == len(server.seen)

    async def test_basic_authentication(self, server, open_api) -> None:
        await open_api(basic=("me", "secret")).request("GET", PATH)

        assert "Basic bWU6c2VjcmV0" == server.seen[0].headers["Authorization"]


class TestConnections:
    """Few, reused, and all closed at the end."""

    async def test_requests_one_after_the_other_share_a_connection(self, server, open_api) -> None:
        api = open_api()
        for _ in range(20):
            await api.request("GET", PATH)

        assert (20, 1) == (len(server.seen), server.connections())

    async def test_no_more_connections_than_requests_at_once(self, server, open_api, play) -> None:
        async def slow(request):
            await asyncio.sleep(0.01)
            return await play.says(200, {})(request)

        server.otherwise = slow
        api = open_api(limit=3)

        await asyncio.gather(*(api.request("GET", PATH) for _ in range(30)))

        assert (3, 3) == (server.most_at_once, server.connections())

    async def test_refusals_and_bodies_free_their_connection(self, server, open_api, play) -> None:
        server.otherwise = play.refuses(409, "x" * 100_000)
        api = open_api()
        for _ in range(5):
            with pytest.raises(KubeConflict):
                await api.request("PUT", PATH, body={})

        assert 1 == server.connections()

    async def test_streams_do_not_take_connections_from_requests(self, server, open_api, play) -> None:
        server.script.extend([play.streams(b"{}\n", then="hang")] * 4)
        api = open_api(limit=2)

        async def watch() -> None:
            async with api.stream("/api/v1/secrets", {}, "application/json", 60.0) as content:
                await content.read()

        watches = [asyncio.create_task(watch()) for _ in range(4)]
        await play.until(lambda: len(server.seen) == 4)

        await asyncio.gather(*(api.request("GET", PATH) for _ in range(4)))

        for task in watches:
            task.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    async def test_closed_client_does_not_open_itself_again(self, server, open_api) -> None:
        """A straggler at the end of the process would leave connections behind."""
        api = open_api()
        await api.request("GET", PATH)
        await api.close()

        with pytest.raises(KubeUnavailable, match="has been closed"):
            await api.request("GET", PATH)
        with pytest.raises(KubeUnavailable, match="has been closed"):
            async with api.stream(PATH, {}, "", 5.0):
                pass

    async def test_request_under_way_at_the_end_fails_as_unreachable(self, server, open_api, play) -> None:
        server.otherwise = play.hangs
        api = open_api()
        request = asyncio.create_task(api.request("GET", PATH))
        await play.until(lambda: server.seen)

        await api.close()

        with pytest.raises(KubeUnavailable):
            await request

    async def test_cancelled_requests_leave_room_for_others(self, server, open_api, play) -> None:
        server.script.extend([play.hangs] * 2)
        api = open_api(limit=2)
        stuck = [asyncio.create_task(api.request("GET", PATH)) for _ in range(10)]
        await play.until(lambda: len(server.seen) == 2)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

        async with asyncio.timeout(5):
            await asyncio.gather(*(api.request("GET", PATH) for _ in range(4)))
