"""Searches among a real namespace's Secrets: one list, by names and labels."""

from __future__ import annotations

import json

import pytest
from tests.contract.providers.backends.kubernetes import SourceNamespace

from keyferry.errors import AccessDenied, KeyferryError, SpecError
from keyferry.kube import remote_secrets
from keyferry.ports import Find
from keyferry.providers.kubernetes import client as kubernetes_client
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary


@pytest.fixture
async def client(source_namespace: SourceNamespace, api_proxy, cluster: Cluster, connect):
    cluster.put_secret("team-a", "reader", token=source_namespace.token)
    provider = source_namespace.behind(api_proxy)
    yield await connect(provider, source_namespace.view())
    await provider.close()


@pytest.fixture
def keep(source_namespace: SourceNamespace):
    """Keep Secrets; they end with the test."""
    kept = []

    def make(name: str, **labels: str) -> None:
        kept.append(name)
        source_namespace.keep(name, labels, key=canary(f"found-{name[-1]}"))

    yield make
    for name in kept:
        source_namespace.drop(name)


def expected(*names: str) -> list[tuple[str, str]]:
    return [(name, json.dumps({"key": canary(f"found-{name[-1]}")}, separators=(",", ":"))) for name in names]


async def found(client, **find) -> list[tuple[str, str]]:
    return [(one.name, one.answer.value.reveal().decode()) for one in await client.find(Find(**find))]


async def test_names_and_labels_must_fit(client, keep, unique, api_proxy) -> None:
    for name, app in (("b", "web"), ("a", "web"), ("c", "mail")):
        keep(f"{unique}-{name}", app=app, team=unique)
    api_proxy.reset_requests()
    named = await found(client, name=f"^{unique}-[ab]$")
    labelled = await found(client, tags=(("app", "web"), ("team", unique)))
    both = await found(client, name="-a$", tags=(("team", unique),))

    assert expected(f"{unique}-a", f"{unique}-b") == named == labelled
    assert expected(f"{unique}-a") == both
    assert ["list"] * 3 == [record.request.verb for record in api_proxy.requests(resource="secrets")]


async def test_label_with_an_empty_value_or_a_prefix_is_a_label(client, keep, unique) -> None:
    keep(f"{unique}-a", **{"example.com/of": unique, "empty": ""})

    assert expected(f"{unique}-a") == await found(client, tags=(("empty", ""), ("example.com/of", unique)))
    assert [] == await found(client, tags=(("example.com/of", "other"),))


@pytest.fixture
def pages(keep, unique, monkeypatch) -> list[str]:
    """The names of twelve Secrets, which come in three pages."""
    monkeypatch.setattr(remote_secrets, "PAGE", 5)
    names = [f"{unique}-{number:02}" for number in range(12)]
    for name in reversed(names):
        keep(name, team=unique)
    return names


async def test_more_than_a_page_is_found_in_order(client, pages, unique, api_proxy) -> None:
    api_proxy.reset_requests()

    assert pages == [name for name, _ in await found(client, tags=(("team", unique),))]
    assert 3 == api_proxy.count(verb="list")


@pytest.mark.parametrize(
    ("find", "why"),
    [
        pytest.param({}, "name or tags must be set", id="nothing"),
        pytest.param({"path": "shop"}, "name or tags must be set", id="path-alone"),
        pytest.param({"name": "("}, "regular expression", id="expression"),
        pytest.param({"tags": (("a=b,c", "d"),)}, "no label", id="selector-in-a-key"),
        pytest.param({"tags": (("a", "b,c!=d"),)}, "no label", id="selector-in-a-value"),
        pytest.param({"tags": (("!a", ""),)}, "no label", id="negation"),
        pytest.param({"tags": (("a", "x" * 64),)}, "no label", id="long-value"),
    ],
)
async def test_search_that_means_nothing_is_refused(client, api_proxy, find, why) -> None:
    api_proxy.reset_requests()

    with pytest.raises(SpecError, match=why):
        await client.find(Find(**find))
    assert [] == api_proxy.requests()


async def test_search_without_the_right_to_list_is_denied(client, source_namespace, leaks) -> None:
    source_namespace.let_read(verbs=["get"])
    eventually(lambda: not source_namespace.may("list"))
    with pytest.raises(AccessDenied) as denied:
        await client.find(Find(name="x"))
    source_namespace.let_read()
    eventually(lambda: source_namespace.may("list"))

    assert 'Grant it the verb "list"' in denied.value.hint
    assert [] == leaks.look_at_error("failure", denied.value)


async def test_more_than_a_secret_could_ever_hold_is_refused(client, keep, unique, monkeypatch) -> None:
    monkeypatch.setattr(kubernetes_client, "MOST_FOUND_BYTES", 150)
    for number in range(4):
        keep(f"{unique}-{number}", team=unique)

    with pytest.raises(KeyferryError, match="finds more than 0 MiB") as refused:
        await client.find(Find(tags=(("team", unique),)))
    assert "Narrow it" in refused.value.hint
