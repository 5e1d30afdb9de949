"""Tokens of ServiceAccounts, asked for as the operator and judged by the real API server."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from keyferry.errors import ForbiddenError, KubeUnavailable
from keyferry.kube.access import WELL_KNOWN_AUDIENCES, KubeAccess
from keyferry.kube.client import KubeApi
from keyferry.kube.config import from_kubeconfig
from keyferry.kube.pace import Pace
from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.tenant import Tenant


@pytest.fixture
async def access(proxied_kubeconfig, tenant: Tenant):
    """The operator's access, by way of the proxy; ServiceAccount `app` is there."""
    tenant.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}})
    api = KubeApi(from_kubeconfig(proxied_kubeconfig), Pace())
    await api.open()
    yield KubeAccess(api)
    await api.close()


def claims(token) -> dict:
    payload = token.token.reveal().decode().split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def requested(proxy: ApiProxy) -> int:
    return proxy.count(verb="create", resource="serviceaccounts/token")


async def test_token_is_for_its_audiences_and_lives_ten_minutes(access: KubeAccess, tenant: Tenant) -> None:
    token = await access.request_token(tenant.namespace, "app", ["sts.amazonaws.com", "other"], 600)

    found = claims(token)
    assert ["sts.amazonaws.com", "other"] == found["aud"]
    assert f"system:serviceaccount:{tenant.namespace}:app" == found["sub"]
    assert 600 == found["exp"] - found["iat"]
    assert 0 < (token.expires_at - datetime.now(UTC)).total_seconds() <= 600


async def test_shorter_life_than_the_api_server_grants_is_ten_minutes(
    access: KubeAccess, tenant: Tenant
) -> None:
    found = claims(await access.request_token(tenant.namespace, "app", ["sts.amazonaws.com"], 1))

    assert 600 == found["exp"] - found["iat"]


@pytest.mark.parametrize("audience", ["issuer", *sorted(WELL_KNOWN_AUDIENCES)])
async def test_token_that_the_api_server_would_accept_is_never_asked_for(
    access: KubeAccess, tenant: Tenant, cluster: LocalCluster, api_proxy: ApiProxy, audience: str
) -> None:
    audience = cluster.issuer if audience == "issuer" else audience

    with pytest.raises(ForbiddenError, match="API server's own"):
        await access.request_token(tenant.namespace, "app", ["sts.amazonaws.com", audience], 600)

    assert 0 == requested(api_proxy)


async def test_token_without_an_audience_is_never_asked_for(
    access: KubeAccess, tenant: Tenant, api_proxy: ApiProxy
) -> None:
    """The API server would put in its own."""
    with pytest.raises(ForbiddenError, match="without an audience"):
        await access.request_token(tenant.namespace, "app", [], 600)

    assert 0 == requested(api_proxy)


async def test_audiences_of_the_operators_own_token_are_the_api_servers(
    cluster: LocalCluster, tenant: Tenant, proxied_kubeconfig, api_proxy: ApiProxy
) -> None:
    """Also where the issuer is not among them and cannot be learnt."""
    api_proxy.answer(404, path="/.well-known/openid-configuration")
    api = KubeApi(from_kubeconfig(proxied_kubeconfig), Pace())
    await api.open()
    try:
        with pytest.raises(ForbiddenError):
            await KubeAccess(api).request_token(tenant.namespace, "app", [cluster.issuer], 600)
    finally:
        await api.close()

    assert 0 == requested(api_proxy)


async def test_no_token_is_asked_for_while_the_issuer_cannot_be_learnt(
    access: KubeAccess, tenant: Tenant, api_proxy: ApiProxy
) -> None:
    """A hiccup at the first question must not make the guard forget the issuer for ever."""
    fault = api_proxy.answer(503, path="/.well-known/openid-configuration")
    with pytest.raises(KubeUnavailable):
        await access.request_token(tenant.namespace, "app", ["sts.amazonaws.com"], 600)
    assert 0 == requested(api_proxy)
    api_proxy.remove(fault)

    await access.request_token(tenant.namespace, "app", ["sts.amazonaws.com"], 600)

    assert 1 == requested(api_proxy)
