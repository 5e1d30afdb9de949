"""API servers as somebody else: what is believed of their answers, how much is read, and where nobody goes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from keyferry.clusters import ClientCertificate, ClusterTarget
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import (
    ForbiddenError,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeMalformed,
    KubeNotFound,
    KubeTimedOut,
    KubeUnavailable,
    KubeUnresolved,
    KubeUntrusted,
    RetryKind,
)
from keyferry.kube import remote_api, remote_secrets
from keyferry.kube.config import ClusterConfig, TokenSource
from keyferry.kube.remote import RemoteClusters
from keyferry.secretdata import SecretBytes
from keyferry.testing.authority import Authority
from keyferry.testing.leaks import LeakDetector, canary

TOKEN = canary("remote-token")
VALUE = canary("remote-value")
PATH = "/api/v1/namespaces/shop/secrets"


class Bearer:
    """Shows one token, and counts refusals."""

    def __init__(self, token: str = TOKEN) -> None:
        self.shown = SecretBytes(token)
        self.refusals = 0

    async def token(self) -> SecretBytes:
        return self.shown

    def refused(self) -> None:
        self.refusals += 1


class Follower:
    """Keeps what it is told."""

    def __init__(self, *known: str) -> None:
        self.told: list[tuple[str, datetime | None]] = []
        self._known = known

    def changed(self, key: str, at: datetime | None = None) -> None:
        self.told.append((key, at))

    def missed(self) -> None:
        raise AssertionError

    def known(self) -> tuple[str, ...]:
        return self._known


def secret(name: str = "db", version: str = "7", value: str = VALUE, **meta: Any) -> dict[str, Any]:
    data = {"password": base64.b64encode(value.encode()).decode()}
    return {"kind": "Secret", "metadata": {"name": name, "resourceVersion": version, **meta}, "data": data}


def page(*items: dict[str, Any], token: str = "") -> dict[str, Any]:
    return {
        "kind": "SecretList",
        "metadata": {"resourceVersion": "9", "continue": token},
        "items": list(items),
    }


def status(code: int, reason: str, **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "status": "Failure",
        "message": f"words of the server {VALUE}",
        "reason": reason,
        "code": code,
        "details": details,
    }


@pytest.fixture
async def connect(server) -> AsyncIterator[Callable[..., Any]]:
    """Connects to the played server as this cluster, by the operator's own address."""
    own = ClusterConfig(server.url, tokens=TokenSource(lambda: (canary("operators-token"), 60.0)))
    clusters = RemoteClusters(own, AddressPolicy())

    async def make(bearer: Bearer | None = None, **target: Any) -> Any:
        return await clusters.connect(
            ClusterTarget(**({"server": "", "field": "server.url", "bearer": bearer or Bearer()} | target))
        )

    yield make
    await clusters.close()


async def failure(call: Any) -> KubeError:
    with pytest.raises(KubeError) as raised:
        await call
    error = raised.value
    assert [] == LeakDetector().look_at_error("failure", error)
    assert (None, None) == (error.__cause__, error.__context__)
    return error


async def test_secret_is_read_as_the_one_who_asks(server, play, connect) -> None:
    server.otherwise = play.says(200, secret(labels={"tier": "gold"}, annotations={"a": "b"}))
    found = await (await connect()).get_secret("shop", "db")

    assert ("db", "7", {"tier": "gold"}, {"a": "b"}) == (
        found.name,
        found.version,
        found.labels,
        found.annotations,
    )
    assert {"password": base64.b64encode(VALUE.encode()).decode()} == json.loads(found.data.reveal())
    (seen,) = server.seen
    assert (f"{PATH}/db", f"Bearer {TOKEN}", "identity") == (
        seen.path,
        seen.headers["Authorization"],
        seen.headers["Accept-Encoding"],
    )
    assert [] == LeakDetector().look("answer", repr(found))


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": {}}])
async def test_secret_without_data_has_none(server, play, connect, data) -> None:
    body = {key: value for key, value in secret().items() if key != "data"} | data
    server.otherwise = play.says(200, body)

    assert b"{}" == (await (await connect()).get_secret("shop", "db")).data.reveal()


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        pytest.param(404, status(404, "NotFound", name="db", kind="secrets"), KubeNotFound, id="absent"),
        pytest.param(404, status(404, "NotFound", name="other", kind="secrets"), KubeMalformed, id="another"),
        pytest.param(404, status(404, "NotFound", name="db", kind="pods"), KubeMalformed, id="another-kind"),
        pytest.param(404, status(404, "NotFound"), KubeMalformed, id="no-such-api"),
        pytest.param(404, {"message": VALUE}, KubeMalformed, id="somebody-elses-404"),
        pytest.param(404, "", KubeMalformed, id="empty-404"),
        pytest.param(403, status(403, "Forbidden"), KubeForbidden, id="denied"),
        pytest.param(401, status(401, "Unauthorized"), KubeError, id="unknown"),
        pytest.param(302, {}, KubeError, id="redirect"),
        pytest.param(410, status(410, "Expired"), KubeGone, id="expired"),
        pytest.param(500, {"x": VALUE}, KubeUnavailable, id="failing"),
        pytest.param(
            200, {"kind": "Secret", "metadata": {"name": "other"}}, KubeMalformed, id="another-secret"
        ),
        pytest.param(200, {"kind": "Pod", "metadata": {"name": "db"}}, KubeMalformed, id="no-secret"),
        pytest.param(200, [VALUE], KubeMalformed, id="list"),
    ],
)
async def test_refusal_is_told_in_our_words_and_asked_for_once(
    *, server, play, connect, code, body, expected
) -> None:
    """A 404 means an absent Secret only where an API server says that: it may end what was made of it."""
    server.otherwise = play.says(
        code, body, {"Location": "https://collector.example.com/"} if code == 302 else None
    )

    assert expected is type(await failure((await connect()).get_secret("shop", "db")))
    assert 1 == len(server.seen)


async def test_pause_is_passed_on_and_not_waited_for(server, play, connect) -> None:
    server.otherwise = play.says(429, status(429, "TooManyRequests"), {"Retry-After": "7"})
    error = await failure((await connect()).get_secret("shop", "db"))

    assert (429, RetryKind.AFTER, 7) == (error.status, error.retry.kind, error.retry.seconds)
    assert 1 == len(server.seen)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda play: play.hangs_up, id="cut"),
        pytest.param(lambda play: play.says(200, raw=b'{"kind": "Secret", "metadata"'), id="torn"),
        pytest.param(lambda play: play.says(200, raw=b"\xff\xfe"), id="binary"),
        pytest.param(lambda play: play.says(200, raw=b"[" * 100_000), id="deep"),
    ],
)
async def test_what_is_no_answer_is_told(server, play, connect, answer) -> None:
    server.otherwise = answer(play)

    assert type(await failure((await connect()).get_secret("shop", "db"))) in {KubeUnavailable, KubeMalformed}


async def test_no_more_is_read_than_an_api_server_sends(server, play, connect, monkeypatch) -> None:
    monkeypatch.setattr(remote_api, "MAX_BODY_BYTES", 100_000)
    server.otherwise = play.streams(*[b"x" * 65536] * 100, then="hang")

    assert remote_api.TooLongError is type(await failure((await connect()).get_secret("shop", "db")))


async def test_list_comes_in_pages_and_those_that_are_too_long_in_halves(
    server, play, connect, monkeypatch
) -> None:
    """So that memory stays small however large somebody's Secrets are."""
    monkeypatch.setattr(remote_api, "MAX_BODY_BYTES", 5_000)
    monkeypatch.setattr(remote_secrets, "PAGE", 8)
    names = [f"s{number}" for number in range(5)]

    async def listed(request):
        first = int(request.query.get("continue") or 0)
        shown = names[first : first + int(request.query["limit"])]
        left = first + len(shown)
        token = str(left) if left < len(names) else ""
        return await play.says(200, page(*(secret(name, value="x" * 1500) for name in shown), token=token))(
            request
        )

    server.otherwise = listed
    found = [one.name async for one in (await connect()).list_secrets("shop", {"app": "web", "tier": "gold"})]

    assert names == found
    assert [("8", None), ("4", None), ("2", None), ("2", "2"), ("2", "4")] == [
        (seen.query["limit"], seen.query.get("continue")) for seen in server.seen
    ]
    assert {"app=web,tier=gold"} == {seen.query["labelSelector"] for seen in server.seen}


async def test_one_secret_that_is_too_long_fails_the_list(server, play, connect, monkeypatch) -> None:
    monkeypatch.setattr(remote_api, "MAX_BODY_BYTES", 1_000)
    server.otherwise = play.says(200, page(secret(value="x" * 1500)))
    listed = (await connect()).list_secrets("shop", {})

    assert remote_api.TooLongError is type(await failure(anext(listed)))


REVIEW = {"kind": "SelfSubjectRulesReview"}
ACCESS = {"kind": "SelfSubjectAccessReview"}


def rules(*found: dict[str, Any]) -> dict[str, Any]:
    return REVIEW | {"status": {"resourceRules": list(found), "incomplete": False}}


GET = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([(201, rules(GET))], True, id="rule"),
        pytest.param([(201, rules(GET | {"resourceNames": ["db"]}))], True, id="rule-for-one-secret"),
        pytest.param(
            [(201, rules({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}))], True, id="all"
        ),
        pytest.param(
            [(201, rules(GET | {"apiGroups": ["apps"]})), (201, ACCESS | {"status": {"allowed": False}})],
            False,
            id="another-group",
        ),
        pytest.param(
            [(201, rules(GET | {"verbs": ["list"]})), (201, ACCESS | {"status": {"allowed": True}})],
            True,
            id="told-by-the-second",
        ),
        pytest.param([(403, {}), (201, ACCESS | {"status": {"allowed": True}})], True, id="first-is-denied"),
        pytest.param([(403, {}), (403, {})], None, id="both-are-denied"),
    ],
)
async def test_rights_are_what_the_api_server_tells(server, play, connect, answers, expected) -> None:
    server.script.extend(play.says(code, body) for code, body in answers)

    assert expected is await (await connect()).may_get_secrets("shop")
    assert {"namespace": "shop"} == server.seen[0].json()["spec"]
    assert len(answers) == len(server.seen)


async def test_review_that_is_none_is_told(server, play, connect) -> None:
    server.otherwise = play.says(201, {"kind": "Status", "status": {}})

    assert KubeMalformed is type(await failure((await connect()).may_get_secrets("shop")))


# -- watches


@contextlib.asynccontextmanager
async def watching(connection, follower):
    task = asyncio.create_task(connection.watch_secrets("shop", follower))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, KubeError):
            await task


def event(type_: str, name: str, version: str) -> bytes:
    body = {
        "type": type_,
        "object": {"metadata": {"name": name, "namespace": "shop", "resourceVersion": version}},
    }
    return json.dumps(body).encode() + b"\n"


def metadata_page(*metas: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"resourceVersion": "9"},
        "items": [{"metadata": one | {"namespace": "shop"}} for one in metas],
    }


async def test_watch_tells_what_there_is_with_its_time_then_what_changes(server, play, connect) -> None:
    old = {"name": "old", "creationTimestamp": "2026-01-01T00:00:00Z"}
    new = {
        "name": "new",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [
            {"time": "2026-02-01T00:00:00Z"},
            {"manager": "x"},
            {"time": "2026-01-15T00:00:00Z"},
        ],
    }
    untold = {"name": "untold"}
    server.script.append(play.says(200, metadata_page(old, new, untold)))
    events = [event("MODIFIED", "new", "10"), event("ADDED", "more", "11"), event("DELETED", "old", "12")]
    server.script.append(play.streams(*events, event("BOOKMARK", "", "13"), then="hang"))
    follower = Follower("old", "gone")
    async with watching(await connect(), follower):
        await play.until(lambda: len(follower.told) >= 7)

    assert [
        ("old", datetime(2026, 1, 1, tzinfo=UTC)),
        ("new", datetime(2026, 2, 1, tzinfo=UTC)),
        ("untold", None),
        ("gone", None),
        ("new", None),
        ("more", None),
        ("old", None),
    ] == follower.told
    assert ["PartialObjectMetadataList" in server.seen[0].headers["Accept"], "9"] == [
        True,
        server.seen[1].query["resourceVersion"],
    ]


@pytest.mark.parametrize("code", [401, 403, 404, 405])
async def test_watch_ends_where_it_is_refused(server, play, connect, code, caplog) -> None:
    caplog.set_level(logging.INFO)
    server.otherwise = play.says(code, status(code, "No"))
    bearer = Bearer()
    connection = await connect(bearer)

    await failure(connection.watch_secrets("shop", Follower()))
    assert [] == caplog.messages


async def test_token_that_a_stream_refuses_is_not_shown_again(server, play, connect) -> None:
    server.script.append(play.says(200, metadata_page()))
    server.otherwise = play.says(401, status(401, "Unauthorized"))
    bearer = Bearer()

    await failure((await connect(bearer)).watch_secrets("shop", Follower()))
    assert 1 == bearer.refusals


@pytest.mark.parametrize("code", [0, 429, 503])
async def test_watch_goes_on_where_the_server_is_only_away(server, play, connect, code, monkeypatch) -> None:
    monkeypatch.setattr(remote_secrets, "_PAUSES_S", (0.01,))
    server.script.append(play.hangs_up if not code else play.says(code, {}))
    server.script.append(play.says(200, metadata_page({"name": "db"})))
    server.otherwise = play.streams(then="hang")
    follower = Follower()
    async with watching(await connect(), follower):
        await play.until(lambda: follower.told == [("db", None)])


async def test_stream_that_is_cut_goes_on_from_where_it_was(server, play, connect) -> None:
    """As when an API server ends: it is no refusal, and nothing is listed again."""
    server.script.append(play.says(200, metadata_page()))
    server.script.append(play.streams(event("MODIFIED", "db", "10"), then="cut"))
    server.otherwise = play.streams(event("MODIFIED", "mail", "11"), then="hang")
    follower = Follower()
    async with watching(await connect(), follower):
        await play.until(lambda: len(follower.told) == 2)

    assert ["9", "10"] == [seen.query["resourceVersion"] for seen in server.seen[1:3]]


async def test_event_without_an_end_ends_the_watch(server, play, connect, monkeypatch) -> None:
    monkeypatch.setattr(remote_secrets.SourceWatch, "longest_line", 1000)
    server.script.append(play.says(200, metadata_page()))
    server.otherwise = play.streams(*[b"x" * 600] * 10, then="hang")

    assert KubeMalformed is type(await failure((await connect()).watch_secrets("shop", Follower())))


async def test_watches_are_counted_and_bounded(server, play, connect, monkeypatch) -> None:
    monkeypatch.setattr(remote_secrets, "MOST_WATCHES", 2)
    server.otherwise = play.hangs
    connection = await connect()
    async with watching(connection, Follower()), watching(connection, Follower()):
        await play.until(lambda: len(server.seen) == 2)
        await failure(connection.watch_secrets("shop", Follower()))
    server.otherwise = play.says(403, status(403, "Forbidden"))

    assert KubeForbidden is type(await failure(connection.watch_secrets("shop", Follower())))


# -- where nobody goes


@pytest.fixture
async def elsewhere(play) -> AsyncIterator[Any]:
    """A server with a certificate of an authority, and clusters that may connect to it."""
    authority = Authority()
    context = authority.server_context(["api.example.test"])
    async with play.serving(context) as server:
        server.otherwise = play.says(200, secret())
        server.authority = authority
        yield server


def target(played, **changes: Any) -> ClusterTarget:
    ca_pem = played.authority.ca_pem.encode()
    return ClusterTarget(
        **({"server": played.url, "field": "server.url", "ca_pem": ca_pem, "bearer": Bearer()} | changes)
    )


@pytest.fixture
async def clusters_for() -> AsyncIterator[Callable[..., RemoteClusters]]:
    made = []

    def make(*allowed: str) -> RemoteClusters:
        made.append(RemoteClusters(ClusterConfig("https://10.0.0.1"), AddressPolicy(allowed)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_server_is_believed_by_the_authority_that_is_given(elsewhere, clusters_for) -> None:
    clusters = clusters_for("127.0.0.1")
    good = await clusters.connect(target(elsewhere))
    other = await clusters.connect(target(elsewhere, ca_pem=Authority().ca_pem.encode()))
    system = await clusters.connect(target(elsewhere, ca_pem=b""))

    assert "db" == (await good.get_secret("shop", "db")).name
    assert [KubeUntrusted] * 2 == [
        type(await failure(one.get_secret("shop", "db"))) for one in (other, system)
    ]
    assert 1 == len(elsewhere.seen)


async def test_client_certificate_without_a_token_shows_none(elsewhere, clusters_for) -> None:
    pair = elsewhere.authority.client("somebody")
    certificate = ClientCertificate(pair.certificate.encode(), SecretBytes(pair.key))
    clusters = clusters_for("127.0.0.1")
    connection = await clusters.connect(target(elsewhere, bearer=None, certificate=certificate))
    await connection.get_secret("shop", "db")

    assert "Authorization" not in elsewhere.seen[0].headers


async def test_address_that_stores_may_not_name_is_refused_at_the_connection(elsewhere, clusters_for) -> None:
    with pytest.raises(ForbiddenError, match=r'^server\.url: "127\.0\.0\.1"'):
        await clusters_for().connect(target(elsewhere))
    assert [] == elsewhere.seen


async def test_name_that_leads_to_such_an_address_is_refused_when_it_is_resolved(
    elsewhere, clusters_for, monkeypatch
) -> None:
    """Each time: what a name stands for changes."""
    real = socket.getaddrinfo

    def lead(host, *arguments, **more):
        return real("127.0.0.1" if host == "api.example.test" else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lead)
    url = elsewhere.url.replace("127.0.0.1", "api.example.test")
    refused = await clusters_for().connect(target(elsewhere, server=url))
    allowed = await clusters_for("api.example.test").connect(target(elsewhere, server=url))

    with pytest.raises(ForbiddenError, match=r"^server\.url"):
        await refused.get_secret("shop", "db")
    assert [] == elsewhere.seen
    assert "db" == (await allowed.get_secret("shop", "db")).name


async def test_name_is_checked_also_where_a_proxy_resolves_it(
    elsewhere, clusters_for, server, monkeypatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **m: real("127.0.0.1" if host == "api.example.test" else host, *a, **m),
    )
    url = elsewhere.url.replace("127.0.0.1", "api.example.test")
    connection = await clusters_for().connect(target(elsewhere, server=url))

    with pytest.raises(ForbiddenError):
        await connection.get_secret("shop", "db")
    assert ([], []) == (elsewhere.seen, server.seen)


async def test_name_that_there_is_not_is_told(elsewhere, clusters_for) -> None:
    connection = await clusters_for().connect(target(elsewhere, server="https://api.example.invalid"))

    assert KubeUnresolved is type(await failure(connection.get_secret("shop", "db")))


async def test_silent_server_is_given_up(elsewhere, clusters_for, play, monkeypatch) -> None:
    monkeypatch.setattr(remote_api, "TIMEOUT_S", 0.2)
    elsewhere.otherwise = play.hangs
    connection = await clusters_for("127.0.0.1").connect(target(elsewhere))

    assert KubeTimedOut is type(await failure(connection.get_secret("shop", "db")))


async def test_nothing_of_the_operator_goes_to_other_servers(
    elsewhere, clusters_for, tmp_path, monkeypatch
) -> None:
    """No cookie, no login of ~/.netrc, no token of the operator's own."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login operator password {canary('netrc')}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    connection = await clusters_for("127.0.0.1").connect(target(elsewhere))
    for _ in range(2):
        await connection.get_secret("shop", "db")

    assert {f"Bearer {TOKEN}"} == {seen.headers["Authorization"] for seen in elsewhere.seen}
    assert not any("Cookie" in seen.headers for seen in elsewhere.seen)


async def test_connection_that_was_closed_asks_nobody(server, connect) -> None:
    connection = await connect()
    await connection.close()

    await failure(connection.get_secret("shop", "db"))
    assert [] == server.seen
