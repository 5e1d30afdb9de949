"""The way out to addresses that tenants choose: what is connected to, through what, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import os
import socket

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.clock import SystemClock
from keyferry.core.addresses import AddressPolicy
from keyferry.errors import ForbiddenError, Malformed, ProviderError, SpecError, TimedOut, Unavailable
from keyferry.metrics import provider_calls
from keyferry.providers import outgoing
from keyferry.providers.outgoing import CONNECTIONS_PER_HOST, MAX_BODY_BYTES, Address, Ask, Outgoing, decoded
from keyferry.testing.issuer import Issuer
from keyferry.testing.leaks import LeakDetector, canary


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def way_out():
    """Makes ways out; arguments are what is allowed."""
    made = []

    def make(*allowed):
        made.append(Outgoing(AddressPolicy(allowed), SystemClock()))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def ask(out, url, **changes):
    fields = {"method": "GET", "path": "/x", "headers": {"Authorization": canary("token")}} | changes
    return Ask("Test", "Look", out.check(url, "https://default.example.com", "spec.url"), **fields)


@pytest.fixture
def names(monkeypatch):
    """What names stand for: a list of addresses each, one after the other; the last one for ever."""
    table = {}
    real = socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        known = table.get(host if isinstance(host, str) else host.decode())
        if known is None:
            return real(host, port, *args, **kwargs)
        address = known.pop(0) if len(known) > 1 else known[0]
        return real(address, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


async def test_answer_comes_back_as_it_is(way_out, server, play):
    server.otherwise = play.says(418, {"a": 1}, {"X-Say": "yes"})
    out = way_out("127.0.0.1")

    reply = await out.ask(ask(out, server.url, method="POST", body={"b": [2]}))

    assert (418, b'{"a": 1}', "yes") == (reply.status, reply.body, reply.headers["x-say"])
    (seen,) = server.seen
    assert ("POST", "/x", {"b": [2]}) == (seen.method, seen.path, seen.json())
    assert seen.headers["User-Agent"].startswith("keyferry/")
    assert canary("token") == seen.headers["Authorization"]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        pytest.param("", "https://default.example.com", id="none"),
        pytest.param("git.example.com", "https://git.example.com", id="without-a-scheme"),
        pytest.param("git.example.com:8443/base/", "https://git.example.com:8443/base", id="with-a-path"),
        pytest.param("http://git.example.com", "http://git.example.com", id="not-encrypted-by-wish"),
        pytest.param(" https://git.example.com\n", "https://git.example.com", id="with-blanks"),
    ],
)
def test_address_is_https_where_it_says_nothing_else(url, base):
    out = Outgoing(AddressPolicy(), SystemClock())

    assert base == out.check(url, "https://default.example.com", "spec.url").base


@pytest.mark.parametrize(
    "url",
    [
        "ftp://git.example.com",
        "file:///etc/passwd",
        "https://user@git.example.com",
        "https://git.example.com?a",
        "https://git.example.com#a",
        "https://git.example.com/a b",
        "https://git.example.com:port",
        "https://[::1",
        "https://",
        "a\r\nHost: b",
    ],
)
def test_address_that_is_none_is_refused_by_its_field(url):
    with pytest.raises(SpecError, match=r"^spec\.url"):
        Outgoing(AddressPolicy(), SystemClock()).check(url, "", "spec.url")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "metadata.google.internal", "0.0.0.0"]
)
def test_address_is_checked_as_it_is_written(host):
    with pytest.raises(ForbiddenError, match=r"^spec\.url"):
        Outgoing(AddressPolicy(), SystemClock()).check(f"http://{host}/", "", "spec.url")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
async def test_address_in_another_notation_leads_nowhere(way_out, server, host):
    """Resolvers read these as 127.0.0.1."""
    out = way_out()

    with pytest.raises((ForbiddenError, SpecError), match=r"spec\.url"):
        await out.ask(ask(out, f"http://{host}:{server.url.rpartition(':')[2]}"))

    assert [] == server.seen


async def test_name_is_checked_for_what_it_stands_for(way_out, server, names):
    names["inside.example.com"] = ["127.0.0.1"]
    out = way_out()

    with pytest.raises(ForbiddenError, match=r"^spec\.url.*inside\.example\.com.* is this machine"):
        await out.ask(ask(out, server.url.replace("127.0.0.1", "inside.example.com")))

    assert [] == server.seen


async def test_name_that_changes_its_meaning_is_checked_at_each_connection(way_out, server, names, play):
    """Rebinding: good when somebody looks, the operator's own network when the connection is made."""
    names["inside.example.com"] = ["127.0.0.1"]
    server.otherwise = play.says(200, {}, {"Connection": "close"})
    out = way_out("127.0.0.1")
    assert 200 == (await out.ask(ask(out, server.url.replace("127.0.0.1", "inside.example.com")))).status

    names["inside.example.com"] = ["169.254.169.254"]
    with pytest.raises(ForbiddenError, match="metadata"):
        await out.ask(ask(out, server.url.replace("127.0.0.1", "inside.example.com")))

    assert 1 == len(server.seen)


async def test_connection_goes_to_the_address_that_was_checked(way_out, server, names):
    """One look-up for a connection: a second one could give something else."""
    names["inside.example.com"] = ["127.0.0.1", "169.254.169.254"]
    out = way_out("127.0.0.1")

    reply = await out.ask(ask(out, server.url.replace("127.0.0.1", "inside.example.com")))

    assert 200 == reply.status


async def test_redirect_is_not_followed(way_out, server, play):
    server.otherwise = play.says(302, {}, {"Location": f"{server.url}/elsewhere"})
    out = way_out("127.0.0.1")
    asked = ask(out, server.url)

    reply = await out.ask(asked)

    assert ["/x"] == [one.path for one in server.seen]
    refusal = out.refused(reply, asked, what="it")
    assert (ProviderError, True) == (type(refusal), "redirect" in refusal.message)


async def test_cookie_of_one_tenant_is_not_sent_for_another(way_out, server, play):
    server.otherwise = play.says(200, {}, {"Set-Cookie": "session=abc; Path=/"})
    out = way_out("127.0.0.1", "cookies.example.com")

    for _ in range(2):
        await out.ask(ask(out, server.url))

    assert [False, False] == ["Cookie" in one.headers for one in server.seen]


async def test_endless_answer_is_cut_off(way_out, server, play):
    server.otherwise = play.says(200, raw=b"x" * (MAX_BODY_BYTES + 1))
    out = way_out("127.0.0.1")

    with pytest.raises(Malformed, match="more than 1024 KiB"):
        await out.ask(ask(out, server.url))


async def test_answer_of_the_largest_size_is_taken(way_out, server, play):
    server.otherwise = play.says(200, raw=b"x" * MAX_BODY_BYTES)
    out = way_out("127.0.0.1")

    assert MAX_BODY_BYTES == len((await out.ask(ask(out, server.url))).body)


async def test_small_answer_does_not_become_a_large_one(way_out, server, play):
    """A compressed body is left as it is, and is no JSON then."""
    import gzip

    server.otherwise = play.says(200, None, {"Content-Encoding": "gzip"}, gzip.compress(b"[" + b" " * 10**7))
    out = way_out("127.0.0.1")
    asked = ask(out, server.url)

    reply = await out.ask(asked)

    assert len(reply.body) < 20_000
    with pytest.raises(Malformed):
        decoded(reply, asked, dict)


async def test_server_that_is_silent_is_told(way_out, server, play, monkeypatch):
    monkeypatch.setattr(outgoing, "TOTAL_S", 0.2)
    server.otherwise = play.hangs
    out = way_out("127.0.0.1")

    with pytest.raises(TimedOut):
        await out.ask(ask(out, server.url))


async def test_servers_that_are_silent_hold_up_nobody_elses(way_out, server, play):
    """A tenant may have several: as many calls as its stores make at once wait for each of them."""
    server.otherwise = play.says(200, {})
    out, silent = way_out("127.0.0.1"), [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    waiting = []
    for one in silent:
        question = ask(out, f"http://127.0.0.1:{one.getsockname()[1]}")
        waiting += [asyncio.ensure_future(out.ask(question)) for _ in range(CONNECTIONS_PER_HOST)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert (await out.ask(ask(out, server.url))).status == 200
        assert not any(one.done() for one in waiting)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for listener in silent:
            listener.close()


async def test_name_that_there_is_not_is_told(way_out):
    out = way_out()

    with pytest.raises(Unavailable, match="cannot be resolved"):
        await out.ask(ask(out, "http://nobody.invalid"))


async def test_cancelled_call_stays_cancelled(way_out, server, play):
    server.otherwise = play.hangs
    out = way_out("127.0.0.1")
    call = asyncio.ensure_future(out.ask(ask(out, server.url)))
    await play.until(lambda: server.seen)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call


async def test_certificate_that_nobody_trusts_ends_the_call(way_out, tmp_path, monkeypatch):
    issuer = Issuer(tmp_path, rsa.generate_private_key(65537, 2048))
    try:
        out = way_out("127.0.0.1")
        with pytest.raises(Unavailable, match="is not trusted"):
            await out.ask(ask(out, issuer.url))
        assert [] == issuer.fetches

        (tmp_path / "ca.pem").write_text(issuer.ca_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        trusting = way_out("127.0.0.1")
        assert 404 == (await trusting.ask(ask(trusting, issuer.url))).status
    finally:
        issuer.close()


async def test_proxy_of_the_environment_is_used(way_out, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//us:er@"))
    out = way_out()

    reply = await out.ask(ask(out, "http://git.invalid"))

    (seen,) = server.seen
    assert (200, "git.invalid") == (reply.status, seen.headers["Host"])
    assert base64.b64encode(b"us:er").decode() in seen.headers["Proxy-Authorization"]


async def test_proxy_is_asked_for_nothing_that_names_the_own_network(way_out, server, names, monkeypatch):
    """What it will resolve cannot be known; what we resolve is checked."""
    names["inside.example.com"] = ["169.254.169.254"]
    monkeypatch.setenv("http_proxy", server.url)
    out = way_out()

    with pytest.raises(ForbiddenError, match="metadata"):
        await out.ask(ask(out, "http://inside.example.com"))

    assert [] == server.seen


async def test_address_that_needs_no_proxy_gets_none(way_out, server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    out = way_out("127.0.0.1")

    assert 200 == (await out.ask(ask(out, server.url))).status


async def test_proxy_that_is_not_there_is_told_as_what_it_is(way_out, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    out = way_out()

    with pytest.raises(Unavailable, match="through the proxy"):
        await out.ask(ask(out, "http://git.invalid"))


async def test_passwords_of_the_operators_home_stay_there(way_out, server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login a password {canary('netrc')}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    out = way_out("127.0.0.1")

    await out.ask(ask(out, server.url, headers={}))

    (seen,) = server.seen
    assert "Authorization" not in seen.headers


async def test_failure_tells_nothing_of_request_and_answer(way_out, server, play):
    server.otherwise = play.says(200, {"token": [canary("answer")]})
    out = way_out("127.0.0.1")
    asked = ask(out, server.url, body={"secret": canary("request")})
    reply = await out.ask(asked)

    with pytest.raises(Malformed) as unreadable:
        decoded(reply, asked, dict[str, int])
    server.otherwise = play.hangs_up
    with pytest.raises(Unavailable) as gone:
        await out.ask(asked)

    detector = LeakDetector()
    assert [] == detector.look_at_error("unreadable", unreadable.value)
    assert [] == detector.look_at_error("gone", gone.value)
    assert [] == detector.look("shown", repr(asked) + repr(reply))


async def test_calls_are_counted(way_out, server, play):
    before = provider_calls.copy()
    out = way_out("127.0.0.1")
    await out.ask(ask(out, server.url))
    server.otherwise = play.says(500, {})
    await out.ask(ask(out, server.url))
    server.otherwise = play.hangs_up
    with pytest.raises(Unavailable):
        await out.ask(ask(out, server.url))

    counted = provider_calls - before
    for key in counted:
        del provider_calls[key]
    assert {("Test", "Look", "success"): 1, ("Test", "Look", "error"): 2} == counted


async def test_tunnel_is_asked_for_with_the_proxys_own_login(way_out, monkeypatch):
    """What goes to the server itself must not be seen by the proxy."""
    heads = []

    async def refuse(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://us:er@127.0.0.1:{port}")
        out = way_out()
        with pytest.raises(Unavailable, match="through the proxy"):
            await out.ask(ask(out, "https://git.invalid"))

    (head,) = heads
    assert head.startswith("CONNECT git.invalid:443 ")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'us:er').decode()}" in head
    assert canary("token") not in head


# -- connections alone


async def test_server_that_takes_connections_can_be_reached(way_out, server):
    out = way_out("127.0.0.1")

    assert await out.reach(out.check(server.url, "", "spec.url"), "Test") is None
    assert [] == server.seen


async def test_server_that_takes_none_cannot_be_reached(way_out):
    out = way_out("127.0.0.1")

    with pytest.raises(Unavailable, match=r"Test at 127\.0\.0\.1 cannot be reached"):
        await out.reach(out.check("http://127.0.0.1:9", "", "spec.url"), "Test")


async def test_connection_alone_goes_to_no_forbidden_address_either(way_out, server, names):
    names["inside.example.com"] = ["127.0.0.1"]
    out = way_out()
    address = out.check(server.url.replace("127.0.0.1", "inside.example.com"), "", "spec.url")

    with pytest.raises(ForbiddenError, match=r"^spec\.url.* is this machine"):
        await out.reach(address, "Test")


async def test_connection_alone_goes_to_the_address_that_was_checked(way_out, server, names):
    names["inside.example.com"] = ["127.0.0.1", "169.254.169.254"]
    out = way_out("127.0.0.1")
    address = out.check(server.url.replace("127.0.0.1", "inside.example.com"), "", "spec.url")

    assert await out.reach(address, "Test") is None


async def test_behind_a_proxy_it_is_the_proxy_that_must_be_there(way_out, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    out = way_out()

    assert await out.reach(out.check("http://git.invalid", "", "spec.url"), "Test") is None
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await out.reach(out.check("http://git.invalid", "", "spec.url"), "Test")


# -- what a manifest decides about


async def test_bytes_are_sent_as_they_are_and_nothing_is_said_of_them(way_out, server):
    out = way_out("127.0.0.1")

    await out.ask(ask(out, server.url, method="POST", body=b"a\x00b", headers={}))

    (seen,) = server.seen
    assert b"a\x00b" == seen.body
    assert {"Host", "User-Agent", "Accept-Encoding", "Content-Length"} == set(seen.headers)


async def test_no_bytes_are_no_body(way_out, server):
    out = way_out("127.0.0.1")

    await out.ask(ask(out, server.url, body=b"", headers={}))

    (seen,) = server.seen
    assert {"Host", "User-Agent", "Accept-Encoding"} == set(seen.headers)


async def test_own_limit_of_time_holds_for_one_question(way_out, server, play):
    server.script.append(play.hangs)
    out = way_out("127.0.0.1")

    with pytest.raises(TimedOut):
        await out.ask(ask(out, server.url, timeout_s=0.1))
    assert 200 == (await out.ask(ask(out, server.url))).status


async def test_host_that_must_not_be_shown_is_in_no_error(way_out, names):
    names[f"{canary('host')}.example.com".lower()] = ["127.0.0.1"]
    out, detector = way_out(), LeakDetector()
    failures = []
    for base in (f"http://{canary('host')}.example.com", f"http://{canary('host')}.invalid"):
        address = Address(base, base.removeprefix("http://"), "spec.url", "the host that a template makes")
        for failing in (out.ask(Ask("Test", "Look", address, "GET", "/", {})), out.reach(address, "Test")):
            with pytest.raises((ForbiddenError, Unavailable)) as failure:
                await failing
            failures.append(failure.value)

    assert ["the host that a template makes" in one.message for one in failures] == [True] * 4
    assert [] == [found for one in failures for found in detector.look_at_error("failure", one)]
