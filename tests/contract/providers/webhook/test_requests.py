"""What is sent: method, address, headers and body, rendered for one question."""

from __future__ import annotations

import pytest

from keyferry.errors import NotAvailableError, RenderError, SpecError
from keyferry.ports import Capabilities, Find
from keyferry.testing.httpdouble import Answer
from keyferry.testing.leaks import canary


async def test_templates_see_the_reference_and_the_secrets(client_of, value_of, webhook_server, lookup):
    webhook_server.put("db", '{"user": "app"}')
    client = await client_of(**lookup(result={"jsonPath": "$.asked"}))

    asked = await value_of(client, "db", version="v1", property="user", namespace="team-a")

    assert '{"key":"db","namespace":"team-a","property":"user","version":"v1"}' == asked


@pytest.mark.parametrize("key", ["a b", "a/b", "a&version=v0", "é", "100%", "a+b", "?#"])
async def test_reference_is_escaped_in_the_address_alone(client_of, value_of, webhook_server, lookup, key):
    webhook_server.put(key, "value")

    by_address, by_body = await client_of(), await client_of(**lookup())

    assert ["value"] * 2 == [await value_of(by_address, key), await value_of(by_body, key)]


async def test_secret_in_an_address_stands_there_as_it_is(client_of, value_of, cluster, webhook_server):
    webhook_server.put("db", "value")
    cluster.put_secret("team-a", "webhook", token=canary("webhook-token"), query="key=db&version=")
    client = await client_of(url=f"{webhook_server.url}/secrets?{{{{ .auth.query }}}}")

    assert "value" == await value_of(client)


async def test_all_keys_of_a_secret_can_be_used(client_of, value_of, cluster, webhook_server):
    """The selector names one of them; the reference operator gives all."""
    webhook_server.put("db", "value")
    cluster.put_secret("team-a", "webhook", **{"to-ken": canary("webhook-token")})
    secrets = [{"name": "auth", "secretRef": {"name": "webhook", "key": "other"}}]
    client = await client_of(secrets=secrets, headers={"Authorization": 'Bearer {{ index .auth "to-ken" }}'})

    assert "value" == await value_of(client)


async def test_json_path_is_a_template_too(client_of, value_of, webhook_server, lookup):
    webhook_server.put("db", '{"user": "app", "pass": "word"}')
    client = await client_of(**lookup(result={"jsonPath": "$.data.{{ .remoteRef.property }}"}))

    assert ["app", "word"] == [await value_of(client, property=one) for one in ("user", "pass")]


async def test_headers_are_those_of_the_manifest_and_few_others(client_of, value_of, webhook_server):
    webhook_server.put("db", "value")
    headers = {"authorization": "Bearer {{ .auth.token }}", "x-Team": "a", "USER-AGENT": "shop/1"}
    client = await client_of(headers=headers)
    await value_of(client)

    (asked,) = webhook_server.asked
    assert {"host", "authorization", "x-team", "user-agent", "accept-encoding"} == set(asked.headers)
    assert ("a", "shop/1") == (asked.headers["x-team"], asked.headers["user-agent"])


async def test_headers_of_the_connection_are_ours(client_of, value_of, webhook_server):
    webhook_server.put("db", "value")
    headers = {
        "Authorization": "Bearer {{ .auth.token }}",
        "Host": "other.example.com",
        "content-length": "99",
        "Transfer-Encoding": "chunked",
        "connection": "upgrade",
        "Proxy-Authorization": "Basic eA==",
    }
    client = await client_of(headers=headers)

    assert "value" == await value_of(client)
    (asked,) = webhook_server.asked
    assert f"127.0.0.1:{webhook_server.port}" == asked.headers["host"]
    assert "proxy-authorization" not in asked.headers


async def test_login_in_the_address_becomes_a_header(client_of, value_of, cluster, webhook_server):
    """As Go's client does."""
    cluster.put_secret("team-a", "webhook", user="app")
    url = webhook_server.url.replace("//", "//{{ .auth.user }}:p%40ss@")
    webhook_server.let_in_as("app", "p@ss")
    webhook_server.put("db", "value")
    client = await client_of(url=f"{url}/secrets?key=db&version=", headers={})

    assert "value" == await value_of(client)


async def test_header_goes_before_a_login_in_the_address(client_of, value_of, webhook_server):
    webhook_server.put("db", "value")
    url = webhook_server.url.replace("//", "//somebody@")
    client = await client_of(url=f"{url}/secrets?key=db&version=")

    assert "value" == await value_of(client)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"url": "https://example.com/{{ .remoteRef.key"}, "url", id="url"),
        pytest.param({"body": "{{ nope }}"}, "body", id="body"),
        pytest.param({"headers": {"X-A": "{{ if }}"}}, r"headers\.X-A", id="header"),
        pytest.param({"result": {"jsonPath": "{{ .a"}}, r"result\.jsonPath", id="json-path"),
    ],
)
async def test_text_that_is_no_template_is_told_with_its_field_and_line(provider, view_of, changes, field):
    with pytest.raises(SpecError, match=rf"^spec\.provider\.webhook\.{field}, line 1: "):
        provider.check(view_of(**changes))


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        pytest.param({"url": ""}, SpecError, "url must be set", id="no-url"),
        pytest.param({"url": "example.com/x"}, SpecError, "url does not begin with https://", id="no-scheme"),
        pytest.param({"url": "https:///x"}, SpecError, "url names no host", id="no-host"),
        pytest.param({"method": "GET /"}, SpecError, "method is no HTTP method", id="method"),
        pytest.param({"method": "CONNECT"}, SpecError, "method is no HTTP method", id="tunnel"),
        pytest.param({"headers": {"X A": "x"}}, SpecError, "'X A' is no name of a header", id="header"),
        pytest.param(
            {"secrets": [{"name": "", "secretRef": {"name": "x"}}]},
            SpecError,
            r"secrets\[0\] must have a name",
            id="secret-without-a-name",
        ),
        pytest.param(
            {
                "auth": {
                    "ntlm": {
                        "usernameSecret": {"name": "a", "key": "b"},
                        "passwordSecret": {"name": "a", "key": "b"},
                    }
                }
            },
            NotAvailableError,
            r"auth\.ntlm is not available yet",
            id="ntlm",
        ),
    ],
)
async def test_spec_that_cannot_be_sent_is_refused_before(provider, view_of, changes, expected, words):
    with pytest.raises(expected, match=words):
        provider.check(view_of(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"body": "{{ .auth.tokn }}"}, 'no entry for key "tokn"', id="no-such-key"),
        pytest.param(
            {"headers": {"X": "{{ .other.token }}"}}, 'no entry for key "other"', id="no-such-secret"
        ),
        pytest.param({"body": "{{ fail .auth.token }}"}, "error calling fail", id="fail"),
        pytest.param({"headers": {"X": '{{ print "a\\nb" }}'}}, "line break", id="line-break-in-a-header"),
        pytest.param({"url": "{{ .auth.token }}"}, "does not begin with https://", id="url-without-scheme"),
        pytest.param(
            {"url": "https://{{ .auth.token }}/a%zz"}, "cannot be read|can be read", id="bad-escape"
        ),
        pytest.param(
            {"url": 'https://{{ print "\\n" }}'}, "cannot be read|control|can be read", id="url-of-two-lines"
        ),
        pytest.param({"body": "{{ repeat 100000000 .auth.token }}"}, "bytes", id="bomb"),
        pytest.param({"body": "{{ range 100000000 }}x{{ end }}"}, "more work", id="loop"),
        pytest.param({"body": "{{ bcrypt .auth.token }}"}, "takes too long for a request", id="costly"),
        pytest.param({"result": {"jsonPath": "{{ .auth.token }}["}}, "is no JSONPath", id="json-path"),
    ],
)
async def test_template_that_fails_is_told_with_its_field_and_no_value(
    *, client_of, failure_of, webhook_server, leaks, changes, words
):
    webhook_server.put("db", "{}")
    client = await client_of(**changes)

    failure = await failure_of(client)

    assert isinstance(failure, RenderError)
    assert failure.message.startswith("spec.provider.webhook.")
    assert any(one in failure.message for one in words.split("|"))
    assert [] == leaks.look_at_error("failure", failure)


async def test_key_that_is_missing_may_be_asked_for(client_of, value_of, webhook_server):
    """As with the reference operator: it is no value, and only one that is printed is a mistake."""
    webhook_server.put("db", "value")
    client = await client_of(
        headers={"Authorization": "Bearer {{ if .none }}x{{ else }}{{ .auth.token }}{{ end }}"}
    )

    assert "value" == await value_of(client)


async def test_text_that_only_looks_like_no_value_is_sent(client_of, value_of, webhook_server):
    webhook_server.put("<no value>", "value")

    assert "value" == await value_of(await client_of(), "<no value>")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_on_the_same_server_is_followed(client_of, value_of, webhook_server, status):
    webhook_server.put("db", "value")
    webhook_server.redirect = Answer(status, headers={"Location": "/secrets"})
    client = await client_of(url=f"{webhook_server.url}/moved?key={{{{ .remoteRef.key }}}}&version=")

    assert "value" == await value_of(client)
    assert ["/moved", "/secrets"] == [one.path for one in webhook_server.asked]


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        (301, "GET", b""),
        (302, "GET", b""),
        (303, "GET", b""),
        (307, "POST", b'{"a": 1}'),
        (308, "POST", b'{"a": 1}'),
    ],
)
async def test_redirected_request_is_the_same_or_becomes_a_get(
    *, client_of, failure_of, webhook_server, status, method, body
):
    """As HTTP has it, and Go's client."""
    webhook_server.redirect = Answer(status, headers={"Location": "/elsewhere"})
    headers = {"Authorization": "Bearer {{ .auth.token }}", "Content-Type": "application/json"}
    client = await client_of(
        url=f"{webhook_server.url}/moved", method="POST", body='{"a": 1}', headers=headers
    )
    await failure_of(client)

    _, second = webhook_server.asked
    assert (method, body, method == "POST") == (second.method, second.body, "content-type" in second.headers)


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://other.example.com/secrets", id="host"),
        pytest.param("http://127.0.0.1:1/secrets", id="port"),
        pytest.param("ftp://127.0.0.1/secrets", id="scheme"),
        pytest.param("//169.254.169.254/latest", id="metadata"),
        pytest.param("http://[", id="nonsense"),
    ],
)
async def test_redirect_to_another_server_is_not_followed(client_of, failure_of, webhook_server, location):
    webhook_server.redirect = Answer(302, headers={"Location": location})
    client = await client_of(url=f"{webhook_server.url}/moved")

    failure = await failure_of(client)

    assert "elsewhere (status 302), which is not followed" in failure.message
    assert ["/moved"] == [one.path for one in webhook_server.asked]


async def test_redirects_come_to_an_end(client_of, failure_of, webhook_server):
    webhook_server.redirect = Answer(302, headers={"Location": "/moved"})
    client = await client_of(url=f"{webhook_server.url}/moved")

    failure = await failure_of(client)

    assert "elsewhere" in failure.message
    assert 11 == len(webhook_server.asked)


async def test_search_is_refused_by_name(client_of):
    client = await client_of()

    with pytest.raises(SpecError, match="find: a webhook store cannot be searched"):
        await client.find(Find(name="."))


def test_store_says_what_it_can_do(provider):
    """As the reference operator's does."""
    assert Capabilities.READ_WRITE is provider.capabilities
