"""A rendered address as it goes over the wire: what Go's client makes of the same text, and what is refused."""

from __future__ import annotations

import base64

import pytest

from keyferry.api.providers.webhook import WebhookProvider
from keyferry.providers.outgoing import TOTAL_S
from keyferry.providers.webhook.request import (
    LONGEST_TIMEOUT_S,
    AddressError,
    query_escaped,
    split_url,
    timeout_of,
    written_address,
)


@pytest.mark.parametrize(
    ("url", "base", "host", "target"),
    [
        pytest.param("https://h.example", "https://h.example", "h.example", "/", id="no-path"),
        pytest.param("HTTPS://h.example/a", "https://h.example", "h.example", "/a", id="capitals"),
        pytest.param(
            "http://h.example:8080/a/?b=c&d", "http://h.example:8080", "h.example", "/a/?b=c&d", id="all"
        ),
        pytest.param("https://h.example?a=b", "https://h.example", "h.example", "/?a=b", id="query-alone"),
        pytest.param("https://[2001:db8::1]:1/x", "https://[2001:db8::1]:1", "2001:db8::1", "/x", id="ipv6"),
        pytest.param(
            "https://h.example/a b#c", "https://h.example", "h.example", "/a%20b", id="blank-in-the-path"
        ),
        pytest.param(
            "https://h.example/a%2Fb", "https://h.example", "h.example", "/a%2Fb", id="escaped-slash"
        ),
        pytest.param("https://h.example/(a)!", "https://h.example", "h.example", "/(a)!", id="allowed-signs"),
        pytest.param(
            "https://h.example/(a) ", "https://h.example", "h.example", "/%28a%29%20", id="written-anew"
        ),
        pytest.param(
            "https://h.example/%2F{", "https://h.example", "h.example", "//%7B", id="read-and-written"
        ),
        pytest.param("https://h.example/é", "https://h.example", "h.example", "/%C3%A9", id="not-ascii"),
        pytest.param(
            'https://h.example/?%zz|"<', "https://h.example", "h.example", '/?%zz|"<', id="raw-query"
        ),
        pytest.param("https://u:p@h.example/", "https://h.example", "h.example", "/", id="login"),
    ],
)
def test_address_is_split_as_in_go(url, base, host, target):
    address, found, _ = split_url(url, "spec.url")

    assert (base, host, target) == (address.base, address.host, found)


def test_query_is_escaped_where_go_would_send_what_no_server_takes():
    assert "/?a%20b=%C3%A9" == split_url("https://h.example/?a b=é", "spec.url")[1]


@pytest.mark.parametrize(
    ("login", "pair"),
    [("user:pa%40ss", b"user:pa@ss"), ("user", b"user:"), ("a:b:c", b"a:b:c"), ("a@b", b""), ("a b:c", b"")],
)
def test_login_is_read_as_in_go(login, pair):
    try:
        _, _, header = split_url(f"https://{login}@h.example/", "spec.url")
    except AddressError:
        header = ""

    if pair:
        assert f"Basic {base64.b64encode(pair).decode()}" == header
    else:
        assert header in ("", f"Basic {base64.b64encode(b'a@b:').decode()}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h.example",
        "//h.example",
        "ftp://h.example",
        "file:///etc/passwd",
        "https://",
        "https:///a",
        "https://h.example/a\nb",
        "https://h.example/\x00",
        " https://h.example",
        "https://h.example:port/",
        "https://h ost/",
        "https://h%6Fst/",
        "https://[::1",
        "https://[2001:db8::1]x/",
        "https://h.example\\@other.example/",
        "https://h.example/%zz",
        "https://h.example/%2",
        "https://%zz@h.example/",
        "https://hé.example/",
        "https://h_{.example/",
    ],
)
def test_text_that_is_no_address_is_refused_without_quoting_it(url):
    with pytest.raises(AddressError) as refusal:
        split_url(url, "spec.url")

    assert "example" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a b", "a+b"),
        ("a/b?c&d=e", "a%2Fb%3Fc%26d%3De"),
        ("é~-_.", "%C3%A9~-_."),
        ("a+b%", "a%2Bb%25"),
        ("!*'()", "%21%2A%27%28%29"),
    ],
)
def test_references_are_escaped_as_in_go(text, escaped):
    assert escaped == query_escaped(text)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://h.example/{{ .remoteRef.key }}", "https://h.example"),
        ("https://h.example:8443", "https://h.example:8443"),
        ("https://h.example?a={{ .a }}", "https://h.example"),
        ("https://{{ .a }}/x", None),
        ("https://h{{ .a }}.example/x", None),
        ("https://h.example:{{ .a }}/x", None),
        ("{{ .a }}://h.example/x", None),
        ("{{ .a }}", None),
    ],
)
def test_server_is_known_where_it_stands_as_it_is(url, base):
    address = written_address(WebhookProvider(url=url), "spec")

    assert base == (None if address is None else address.base)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        ("", TOTAL_S),
        ("0s", TOTAL_S),
        ("10s", 10.0),
        ("1m30s", LONGEST_TIMEOUT_S),
        ("-5s", 0.001),
        ("250ms", 0.25),
    ],
)
def test_timeout_is_the_manifests_within_bounds(timeout, seconds):
    assert seconds == timeout_of(WebhookProvider(url="https://h.example", timeout=timeout))
