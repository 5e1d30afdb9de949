"""Webhook stores and generators: what is in the Secret, what is sent for it, and what is refused."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keyferry.api import names
from keyferry.testing.builders import (
    Object,
    cluster_store,
    entry,
    external_secret,
    extract,
    generated,
    generator,
    secret,
    store,
)
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant
from keyferry.testing.webhook import WebhookDouble

TOKEN = canary("webhook-token")
LABELS = {names.LABEL_TYPE: names.LABEL_TYPE_WEBHOOK}
QUESTION = (
    '{"key": {{ .remoteRef.key | quote }}, "version": {{ .remoteRef.version | quote }}, '
    '"property": {{ .remoteRef.property | quote }}, "namespace": {{ .remoteRef.namespace | quote }}}'
)


@pytest.fixture
def server() -> Iterator[WebhookDouble]:
    with WebhookDouble() as double:
        double.let_in(TOKEN)
        yield double


def token_secret(**data: str) -> Object:
    made = secret("webhook", {"token": TOKEN} | data)
    made["metadata"]["labels"] = LABELS
    return made


def webhook_block(server: WebhookDouble, **changes: Any) -> Object:
    return {
        "url": f"{server.url}/secrets?key={{{{ .remoteRef.key }}}}&version={{{{ .remoteRef.version }}}}",
        "headers": {"Authorization": "Bearer {{ .auth.token }}"},
        "secrets": [{"name": "auth", "secretRef": {"name": "webhook"}}],
    } | changes


def webhook_store(
    server: WebhookDouble,
    *,
    name: str = "store",
    cluster: bool = False,
    controller: str = "servers",
    **changes: Any,
) -> Object:
    provider = {"webhook": webhook_block(server, **changes)}
    return store(name=name, cluster=cluster, provider=provider, controller=controller)


def lookup(server: WebhookDouble, **changes: Any) -> Object:
    """The changes that make a store ask by POST."""
    headers = {"Authorization": "Bearer {{ .auth.token }}", "Content-Type": "application/json"}
    asking = {"method": "POST", "url": f"{server.url}/lookup", "body": QUESTION, "headers": headers}
    return asking | {"result": {"jsonPath": "$.data"}} | changes


# -- stores


def test_values_and_members_come_into_the_secret(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    server.put("db", f'{{"user": "app", "password": "{canary("password")}", "port": 5432.5}}')
    first = server.put("api key", canary("first"))
    server.put("api key", canary("second"))
    tenant.create(token_secret(), webhook_store(server))
    tenant.create(
        external_secret(
            "app", extract("db"), entry("now", "api key"), entry("then", "api key", version=first)
        )
    )
    tenant.wait_synced("app")

    assert {
        "user": "app",
        "password": canary("password"),
        "port": "5432.5",
        "now": canary("second"),
        "then": canary("first"),
    } == tenant.values("app")
    assert tenant.told("store", names.SECRET_STORE) == ("True", "Valid", "store validated")


def test_request_and_answer_are_as_the_manifest_has_them(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    """POST, a JSONPath with a template, and a property that the server is asked for."""
    server.put("db", f'{{"user": "app", "password": "{canary("password")}"}}')
    changes = lookup(server, result={"jsonPath": "$.data.{{ .remoteRef.property }}"})
    tenant.create(token_secret(), webhook_store(server, **changes))
    tenant.create(
        external_secret("app", entry("u", "db", property="user"), entry("p", "db", property="password"))
    )
    tenant.wait_synced("app")

    assert {"u": "app", "p": canary("password")} == tenant.values("app")
    asked = sorted(one.json()["property"] for one in server.asked)
    assert ["password", "user"] == asked


def test_answers_are_shared_by_those_who_ask_the_same(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    server.put("db", canary("password"))
    tenant.create(token_secret(), webhook_store(server))
    tenant.create(external_secret("app", *(entry(f"k{number}", "db") for number in range(20))))
    tenant.wait_synced("app")

    assert 1 == len(server.asked)


@pytest.fixture
def elsewhere(kube: KubeClient) -> Iterator[Tenant]:
    """One in another namespace."""
    name = f"elsewhere-{random.token_hex(4)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield Tenant(kube, name)
    kube.delete(path_of("v1", "namespaces", name=name))


@pytest.mark.parametrize("where", ["its-own", "the-external-secrets"])
def test_cluster_store_asks_for_each_namespace(
    *, tenant: Tenant, elsewhere: Tenant, servers_operator: OperatorProcess, server, shared_store, where
) -> None:
    """Nobody gets an answer to another namespace's question, whether or not the Secret is the same."""
    for who in (tenant, elsewhere):
        if where == "the-external-secrets" or who is tenant:
            who.create(token_secret())
    selector = {"name": "webhook"} | ({"namespace": tenant.namespace} if where == "its-own" else {})
    server.put("db", "{}")
    changes = lookup(
        server,
        result={"jsonPath": "$.asked.namespace"},
        secrets=[{"name": "auth", "secretRef": selector}],
    )
    tenant.create(webhook_store(server, name=shared_store, cluster=True, **changes))
    for who in (tenant, elsewhere):
        who.create(external_secret("app", entry("ns", "db"), store=cluster_store(shared_store)))
        who.wait_synced("app")

    assert [one.namespace for one in (tenant, elsewhere)] == [
        one.values("app")["ns"] for one in (tenant, elsewhere)
    ]


def test_secret_that_is_gone_takes_the_target_along_where_that_is_wanted(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    server.put("db", canary("password"))
    tenant.create(token_secret(), webhook_store(server))
    target = {"deletionPolicy": "Delete"}
    tenant.create(external_secret("app", entry("p", "db"), target=target, refreshInterval="1s"))
    tenant.wait_synced("app")
    server.fail(status=500, times=4)
    eventually(lambda: not server._faults)  # an outage is no reason
    assert tenant.values("app") == {"p": canary("password")}
    server.remove("db")

    tenant.wait_gone("Secret", "app")
    tenant.edit_spec("app", refreshInterval="1h")


def test_changed_secret_is_used_for_the_next_request(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    server.put("db", canary("password"))
    tenant.create(token_secret(token=canary("old-token")), webhook_store(server))
    tenant.create(external_secret("app", entry("p", "db")))
    tenant.wait_failed("app", holding='refuses remote secret "db" (status 401)')
    tenant.set_data("webhook", {"token": TOKEN})

    tenant.wait_synced("app")


# -- refusals


def test_secret_without_the_label_is_not_sent(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    """And is, as soon as its owner says so."""
    server.put("db", canary("password"))
    tenant.create(secret("webhook", {"token": TOKEN}), webhook_store(server))
    tenant.create(external_secret("app", entry("p", "db")))
    words = (
        f'spec.provider.webhook.secrets[0].secretRef: Secret "{tenant.namespace}/webhook" has no label '
        '"external-secrets.io/type: webhook"'
    )
    tenant.wait_told("store", "InvalidProviderConfig", names.SECRET_STORE, holding=words)
    tenant.wait_failed("app", holding="has no label")
    assert [] == server.calls
    tenant.label("Secret", "webhook", LABELS)

    tenant.wait_synced("app")


@pytest.mark.parametrize("way", ["written", "rendered"])
def test_address_is_refused_where_the_operator_was_not_told_otherwise(
    *, tenant: Tenant, private_operator: Callable[..., OperatorProcess], server: WebhookDouble, way: str
) -> None:
    private_operator()
    server.put("db", canary("password"))
    host = f"127.0.0.1:{server.port}" if way == "written" else "{{ .auth.host }}"
    url = f"http://{host}/secrets?key={{{{ .remoteRef.key }}}}&version="
    tenant.create(token_secret(host=f"127.0.0.1:{server.port}"))
    tenant.create(webhook_store(server, url=url, controller="private"))
    tenant.create(external_secret("app", entry("p", "db")))

    tenant.wait_failed("app", holding="spec.provider.webhook.url")
    assert ("127.0.0.1" in tenant.told("app")[2]) is (way == "written")
    assert [] == server.calls
    assert tenant.find("Secret", "app") is None


def test_store_whose_server_is_not_there_is_not_ready(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    server.close()
    tenant.create(token_secret(), webhook_store(server))

    tenant.wait_told(
        "store", "InvalidProviderConfig", names.SECRET_STORE, holding="Webhook at 127.0.0.1 cannot be reached"
    )


WRONG = {
    "template": ({"url": "https://example.com/{{ .remoteRef.key"}, "spec.provider.webhook.url, line 1: "),
    "ntlm": (
        {
            "auth": {
                "ntlm": {
                    "usernameSecret": {"name": "webhook", "key": "token"},
                    "passwordSecret": {"name": "webhook", "key": "token"},
                }
            }
        },
        "spec.provider.webhook.auth.ntlm is not available yet in this version of Keyferry",
    ),
    "method": ({"method": "a b"}, "spec.provider.webhook.method is no HTTP method"),
    "ca": ({"caBundle": "eA=="}, "spec.provider.webhook.caBundle is no certificate"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_spec_that_cannot_be_used_is_told_on_the_store(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble, wrong: str
) -> None:
    changes, words = WRONG[wrong]
    tenant.create(token_secret(), webhook_store(server, **changes))

    tenant.wait_told("store", "InvalidProviderConfig", names.SECRET_STORE, holding=words)


FAILING = {
    "template": (
        {"headers": {"X": "{{ .auth.tokn }}"}},
        "spec.provider.webhook.headers.X, line 1, column 8: ",
        'The keys are "token"',
    ),
    "path": ({"result": {"jsonPath": "$.none"}}, "spec.provider.webhook.result.jsonPath finds nothing", ""),
    "status": ({"headers": {}}, 'the server at 127.0.0.1 refuses remote secret "db" (status 401)', ""),
}


@pytest.mark.parametrize("failing", FAILING)
def test_request_that_fails_is_told_with_its_entry(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble, failing: str
) -> None:
    changes, words, hint = FAILING[failing]
    server.put("db", f'{{"password": "{canary("password")}"}}')
    tenant.create(token_secret(), webhook_store(server, **changes))
    tenant.create(external_secret("app", entry("p", "db")))

    tenant.wait_failed("app", holding=words)
    message = tenant.told("app")[2]
    assert "error processing spec.data[0] (key: db), err: " in message
    assert hint in message


# -- generators


def webhook_generator(server: WebhookDouble, **changes: Any) -> Object:
    return {
        "method": "POST",
        "url": f"{server.url}/tokens",
        "headers": {"Authorization": "Bearer {{ .auth.token }}"},
        "body": '{"scopes": ["read"]}',
        "result": {"jsonPath": "$.result"},
        "secrets": [{"name": "auth", "secretRef": {"name": "webhook"}}],
    } | changes


def ours() -> Object:
    """The store that makes an ExternalSecret one of the class."""
    return store({"beside": canary("beside")}, controller="servers")


def test_generated_values_are_asked_for_once(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    """And kept while nothing has changed; when their time comes, the server is asked again."""
    tenant.create(ours(), token_secret(), generator("Webhook", "gen", **webhook_generator(server)))
    tenant.create(external_secret("app", generated("Webhook", "gen"), refreshInterval="1h"))
    tenant.wait_synced("app")
    assert {"token": server.given[0], "number": "1", "scopes": '["read"]'} == tenant.values("app")
    tenant.label("Secret", "app", {"team": "a"})
    servers_operator.look_again()
    assert 1 == len(server.given)
    tenant.edit_spec("app", refreshInterval="2s")
    eventually(lambda: len(server.given) > 1)
    tenant.edit_spec("app", refreshInterval="1h")
    tenant.wait_synced("app")

    assert tenant.values("app")["token"] == server.given[-1]


def test_cluster_generator_uses_the_secret_of_each_namespace(
    *, tenant: Tenant, elsewhere: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    name = f"gen-{random.token_hex(4)}"
    spec = {"webhookSpec": webhook_generator(server, body='{"scopes": ["{{ .auth.scope }}"]}')}
    tenant.create(generator("ClusterGenerator", name, kind="Webhook", generator=spec))
    for who, scope in ((tenant, "a"), (elsewhere, "b")):
        who.create(ours(), token_secret(scope=scope))
        who.create(external_secret("app", entry("beside", "beside"), generated("ClusterGenerator", name)))
        who.wait_synced("app")
        assert f'["{scope}"]' == who.values("app")["scopes"]
    tenant.delete("ClusterGenerator", name)

    assert 2 == len(server.given)


def test_generator_sends_no_secret_without_the_label(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    tenant.create(ours(), secret("webhook", {"token": TOKEN}))
    tenant.create(generator("Webhook", "gen", **webhook_generator(server)))
    tenant.create(external_secret("app", entry("beside", "beside"), generated("Webhook", "gen")))
    tenant.wait_failed(
        "app", holding=f'spec.secrets[0].secretRef: Secret "{tenant.namespace}/webhook" has no label'
    )
    assert [] == server.calls
    tenant.label("Secret", "webhook", LABELS)
    tenant.annotate("ExternalSecret", "app", {"again": "1"})

    tenant.wait_synced("app")


def test_generator_reaches_no_address_that_was_not_allowed(
    tenant: Tenant, private_operator: Callable[..., OperatorProcess], server: WebhookDouble
) -> None:
    private_operator()
    own = store({"beside": canary("beside")}, controller="private")
    tenant.create(own, token_secret(), generator("Webhook", "gen", **webhook_generator(server)))
    tenant.create(external_secret("app", entry("beside", "beside"), generated("Webhook", "gen")))

    tenant.wait_failed("app", holding='spec.url: "127.0.0.1" is this machine')
    assert [] == server.calls


def test_server_that_fails_leaves_the_secret_as_it_is(
    tenant: Tenant, servers_operator: OperatorProcess, server: WebhookDouble
) -> None:
    tenant.create(ours(), token_secret(), generator("Webhook", "gen", **webhook_generator(server)))
    target = {"deletionPolicy": "Delete"}
    tenant.create(external_secret("app", generated("Webhook", "gen"), target=target, refreshInterval="1s"))
    tenant.wait_synced("app")
    server.fail(status=404, times=1000, body=canary("words-of-the-server"))
    tenant.wait_failed("app", holding="the server at 127.0.0.1 does not take the request (status 404)")
    tenant.edit_spec("app", refreshInterval="1h")

    assert tenant.values("app")["token"] == server.given[-1]
    server.clear_faults()
    tenant.wait_synced("app")
