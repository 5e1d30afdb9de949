"""URLs: what Go's net/url makes of them."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.urls import group
from keyferry.testing.leaks import canary


def new_run(**limits):
    return Run(Limits(**limits), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def call(name, *arguments, run=None):
    return group.functions[name].call(run or new_run(), *arguments)


AS_GO = [
    (
        "urlParse",
        [b"http://admin:secret@server.com:8080/api?list=false#anchor"],
        {
            b"fragment": b"anchor",
            b"host": b"server.com:8080",
            b"hostname": b"server.com",
            b"opaque": b"",
            b"path": b"/api",
            b"query": b"list=false",
            b"scheme": b"http",
            b"userinfo": b"admin:secret",
        },
    ),
    (
        "urlParse",
        [b"mailto:a@b"],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"a@b",
            b"path": b"",
            b"query": b"",
            b"scheme": b"mailto",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"//host/path"],
        {
            b"fragment": b"",
            b"host": b"host",
            b"hostname": b"host",
            b"opaque": b"",
            b"path": b"/path",
            b"query": b"",
            b"scheme": b"",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"///path"],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"",
            b"path": b"///path",
            b"query": b"",
            b"scheme": b"",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"*"],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"",
            b"path": b"*",
            b"query": b"",
            b"scheme": b"",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b""],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"",
            b"path": b"",
            b"query": b"",
            b"scheme": b"",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"/a%2Fb?"],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"",
            b"path": b"/a/b",
            b"query": b"",
            b"scheme": b"",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"http://[::1%25eth0]:80/"],
        {
            b"fragment": b"",
            b"host": b"[::1%eth0]:80",
            b"hostname": b"::1%eth0",
            b"opaque": b"",
            b"path": b"/",
            b"query": b"",
            b"scheme": b"http",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"postgres://u:p@h1:1,h2:2/db"],
        {
            b"fragment": b"",
            b"host": b"h1:1,h2:2",
            b"hostname": b"h1:1,h2",
            b"opaque": b"",
            b"path": b"/db",
            b"query": b"",
            b"scheme": b"postgres",
            b"userinfo": b"u:p",
        },
    ),
    (
        "urlParse",
        [b"HTTP://H\xc3\xa9/%C3%A9#%20x"],
        {
            b"fragment": b" x",
            b"host": b"H\xc3\xa9",
            b"hostname": b"H\xc3\xa9",
            b"opaque": b"",
            b"path": b"/\xc3\xa9",
            b"query": b"",
            b"scheme": b"http",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"http://u%40:a%2fb@host"],
        {
            b"fragment": b"",
            b"host": b"host",
            b"hostname": b"host",
            b"opaque": b"",
            b"path": b"",
            b"query": b"",
            b"scheme": b"http",
            b"userinfo": b"u%40:a%2Fb",
        },
    ),
    (
        "urlParse",
        [b"http:"],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"",
            b"path": b"",
            b"query": b"",
            b"scheme": b"http",
            b"userinfo": b"",
        },
    ),
    (
        "urlParse",
        [b"a/b:c"],
        {
            b"fragment": b"",
            b"host": b"",
            b"hostname": b"",
            b"opaque": b"",
            b"path": b"a/b:c",
            b"query": b"",
            b"scheme": b"",
            b"userinfo": b"",
        },
    ),
    (
        "urlJoin",
        [
            {
                b"scheme": b"http",
                b"host": b"host:80",
                b"path": b"/path",
                b"query": b"query",
                b"opaque": b"opaque",
                b"fragment": b"f g",
                b"userinfo": b"user:pass",
            }
        ],
        b"http:opaque?query#f%20g",
    ),
    (
        "urlJoin",
        [{b"scheme": b"http", b"host": b"host:80", b"path": b"a b", b"userinfo": b"u:p:q@"}],
        b"http://u:p%3Aq%40@host:80/a%20b",
    ),
    ("urlJoin", [{b"path": b"a:b"}], b"./a:b"),
    ("urlJoin", [{b"path": b"a/b:c"}], b"a/b:c"),
    ("urlJoin", [{b"scheme": b"file", b"path": b"/etc"}], b"file:///etc"),
    ("urlJoin", [{b"scheme": b"x"}], b"x:"),
    ("urlJoin", [{b"path": b"*"}], b"*"),
    ("urlJoin", [{b"host": b"a b"}], b"//a%20b"),
    ("urlJoin", [{}], b""),
    ("urlJoin", [{b"userinfo": b"a/b", b"scheme": b"x"}], b"x:"),
    ("urlJoin", [{b"other": 1, b"query": b"a=b c", b"fragment": b"!'()*"}], b"?a=b c#!%27()*"),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), AS_GO)
def test_urls_are_taken_apart_and_joined_as_go_does(name, arguments, expected):
    assert expected == call(name, *arguments)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (b":a", "missing protocol scheme"),
        (b"a\nb", "net/url: invalid control character in URL"),
        (b"1a:b", "first path segment in URL cannot contain colon"),
        (b"http://a%zz/", "invalid URL escape"),
        (b"http://a%41/", "invalid URL escape"),
        (b"/%z", "invalid URL escape"),
        (b"/#%", "invalid URL escape"),
        (b"http://a b/", "invalid character in host name"),
        (b"http://h:x/", "invalid port after host"),
        (b"http://h:1:2/", "invalid port after host"),
        (b"http://[::1", "missing ']' in host"),
        (b"http://[::1]x", "invalid port after host"),
        (b"http://a[::1]", "invalid IP-literal"),
        (b"http://[1.2.3.4]/", "invalid host: it is no IPv6 address"),
        (b"http://[::%25]/", "invalid host: it is no IPv6 address"),
        (b"http://[::%25%80]/", "invalid URL escape"),
        (b"http://[::%25^]/", "invalid character in host name"),
        (b"http://a b@h/", "net/url: invalid userinfo"),
        (b"http://u%zz@h/", "invalid URL escape"),
    ],
)
def test_what_is_no_url_is_refused_without_quoting_it(url, reason):
    with pytest.raises(FunctionError) as raised:
        call("urlParse", url)

    assert f"unable to parse url: {reason}" == str(raised.value)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (1, "unable to parse host key, must be of type string, but int found"),
        ([], "unable to parse host key, must be of type string, but slice found"),
        (None, "runtime error: invalid memory address or nil pointer dereference"),
    ],
)
def test_parts_are_strings(part, text):
    with pytest.raises(FunctionError) as raised:
        call("urlJoin", {b"host": part})

    assert text == str(raised.value)


def test_bad_userinfo_is_refused_without_quoting_it():
    with pytest.raises(FunctionError) as raised:
        call("urlJoin", {b"userinfo": b"%zz" + canary("userinfo").encode()})

    assert "unable to parse userinfo in dict: invalid URL escape" == str(raised.value)


def test_no_map_is_an_empty_url():
    assert b"" == call("urlJoin", None)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("urlJoin", {b"path": b" " * (8 << 20)}),
        ("urlParse", b"http://" + b"%C3" * (4 << 20)),
    ],
)
def test_long_urls_are_charged(name, argument):
    with pytest.raises(Exhausted):
        call(name, argument)
