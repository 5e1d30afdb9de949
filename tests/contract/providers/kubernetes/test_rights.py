"""What a real authorizer says of a store's identity: Ready, denied, or nothing that can be told."""

from __future__ import annotations

import pytest
from tests.contract.providers.backends.kubernetes import SourceNamespace

from keyferry.errors import AccessDenied
from keyferry.ports import Read, RemoteValue, Verdict
from keyferry.testing.clusteraccess import Cluster
from keyferry.testing.eventually import eventually


@pytest.fixture
async def client(source_namespace: SourceNamespace, api_proxy, cluster: Cluster, connect):
    cluster.put_secret("team-a", "reader", token=source_namespace.token)
    provider = source_namespace.behind(api_proxy)
    yield await connect(provider, source_namespace.view())
    await provider.close()
    source_namespace.let_read()
    eventually(lambda: source_namespace.may("get", "anything"))


async def test_right_to_one_secret_is_enough_for_a_store(client, source_namespace) -> None:
    source_namespace.keep("one", key="x")
    source_namespace.keep("two", key="x")
    source_namespace.let_read(["one"])
    eventually(lambda: not source_namespace.may("get", "two"))
    (one,), (two,) = await client.read([Read("one")]), await client.read([Read("two")])

    assert Verdict.READY is await client.validate()
    assert (RemoteValue, AccessDenied) == (type(one), type(two))
    assert 'remote secret "two"' in two.message


async def test_identity_without_the_right_to_get_is_denied(client, source_namespace) -> None:
    source_namespace.let_read(verbs=["list", "watch"])
    eventually(lambda: not source_namespace.may("get", "anything"))

    with pytest.raises(AccessDenied, match="does not let this identity get"):
        await client.validate()


@pytest.mark.parametrize("denied", [1, 2])
async def test_where_reviews_are_denied_nothing_can_be_told(client, api_proxy, denied) -> None:
    api_proxy.answer(403, times=denied, verb="create")

    assert (Verdict.READY if denied == 1 else Verdict.UNKNOWN) is await client.validate()


async def test_validation_reads_no_secret(client, api_proxy) -> None:
    api_proxy.reset_requests()
    await client.validate()

    assert ["selfsubjectrulesreviews"] == [record.request.resource for record in api_proxy.requests()]


async def test_metadata_is_a_read_of_its_own(client, source_namespace) -> None:
    source_namespace.keep("labelled", {"tier": "gold"}, key="x")
    (answer,) = await client.read([Read("labelled", metadata=True)])

    assert b'{"annotations":null,"labels":{"tier":"gold"}}' == answer.value.reveal()
