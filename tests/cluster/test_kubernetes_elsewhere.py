"""Secrets of another cluster as remote secrets: a second real control plane, and every way to log in there."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.kubernetes import (
    READER,
    Source,
    account,
    kubernetes_store,
    server,
    service_account,
    user,
)

from keyferry.api import names
from keyferry.localcluster import LocalCluster
from keyferry.testing.authority import Authority, Pair
from keyferry.testing.builders import Object, config_map, entry, external_secret, secret
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

AUDIENCE = "other-cluster"
PREFIX = "first:"


@dataclass(frozen=True)
class Other:
    """The other cluster: it trusts certificates of an authority, and the first cluster's ServiceAccounts."""

    cluster: LocalCluster
    kube: KubeClient
    client: Pair

    @property
    def server(self) -> Object:
        return server(self.cluster)

    def kubeconfig(self, **login: Any) -> Object:
        """A kubeconfig with this login."""
        authority = self.server["caBundle"]
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": self.cluster.server, "certificate-authority-data": authority},
                }
            ],
            "users": [{"name": "u", "user": login}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }


@pytest.fixture(scope="module")
def other(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    folder, authority = tmp_path_factory.mktemp("other"), Authority()
    flags = [
        f"--client-ca-file={written(folder, 'clients.pem', authority.ca_pem)}",
        f"--oidc-issuer-url={cluster.issuer}",
        f"--oidc-client-id={AUDIENCE}",
        f"--oidc-ca-file={written(folder, 'issuer.pem', cluster.ca_pem)}",
        "--oidc-username-claim=sub",
        f"--oidc-username-prefix={PREFIX}",
    ]
    with LocalCluster.start(apiserver_flags=flags) as running:
        kube = KubeClient(running.server, running.ca_pem, running.token)
        yield Other(running, kube, authority.client(READER))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def source(other: Other, tenant: Tenant) -> Iterator[Source]:
    """A namespace there, with a Secret. Its reader is one and the same by every way to log in."""
    with Source(other.kube) as made:
        made.create(service_account())
        mapped = user(f"{PREFIX}system:serviceaccount:{tenant.namespace}:{READER}")
        made.let_read(account(made.namespace), user(READER), mapped)
        made.keep("db", password=canary("before"))
        yield made


def token_of(other: Other, source: Source) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"{source.path('ServiceAccount', READER)}/token"
    token: str = other.kube.post(path, body)["status"]["token"]
    return token


def certificate_login(tenant: Tenant, other: Other) -> Object:
    tenant.create(secret("login", {"tls.crt": other.client.certificate, "tls.key": other.client.key}))
    parts = {"clientCert": "tls.crt", "clientKey": "tls.key"}
    return {"cert": {part: {"name": "login", "key": key} for part, key in parts.items()}}


def login(tenant: Tenant, other: Other, source: Source, kind: str) -> Object:
    """What a store says to log in that way, with the objects that it takes."""
    match kind:
        case "token":
            tenant.create(secret("login", {"token": f"{token_of(other, source)}\n"}))
            auth: Object = {"token": {"bearerToken": {"name": "login", "key": "token"}}}
        case "certificate":
            auth = certificate_login(tenant, other)
        case "service-account":
            tenant.create(service_account())
            auth = {"serviceAccount": {"name": READER, "audiences": [AUDIENCE]}}
        case _:
            return kubeconfig_login(tenant, other, source, kind)
    return {"server": other.server, "auth": auth}


def kubeconfig_login(tenant: Tenant, other: Other, source: Source, kind: str) -> Object:
    if kind == "kubeconfig-with-token":
        config = other.kubeconfig(token=token_of(other, source))
    else:
        pair = {
            "client-certificate-data": other.client.certificate,
            "client-key-data": other.client.key,
        }
        config = other.kubeconfig(**{k: base64.b64encode(v.encode()).decode() for k, v in pair.items()})
    tenant.create(secret("login", {"config": yaml.safe_dump(config)}))
    return {"authRef": {"name": "login", "key": "config"}}


LOGINS = ["token", "certificate", "service-account", "kubeconfig-with-token", "kubeconfig-with-certificate"]


@pytest.mark.parametrize("kind", LOGINS)
def test_each_login_reads_and_is_told_of_changes(
    *, tenant: Tenant, servers_operator: OperatorProcess, other: Other, source: Source, kind: str
) -> None:
    block = login(tenant, other, source, kind)
    tenant.create(kubernetes_store(source, controller="servers", **block))
    tenant.create(external_secret("app", entry("p", "db", property="password"), refreshInterval="1h0m0s"))
    tenant.wait_values("app", {"p": canary("before")})
    source.set_data("db", {"password": canary("after")})

    tenant.wait_values("app", {"p": canary("after")})
    assert ("True", "Valid", "store validated") == tenant.told("store", names.SECRET_STORE)


def test_authority_may_be_kept_in_a_config_map(
    tenant: Tenant, servers_operator: OperatorProcess, other: Other, source: Source
) -> None:
    tenant.create(config_map("ca", {"ca.crt": other.cluster.ca_pem}))
    block = login(tenant, other, source, "token")
    block["server"] = {
        "url": other.cluster.server,
        "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
    }
    tenant.create(kubernetes_store(source, controller="servers", **block))
    tenant.create(external_secret("app", entry("p", "db", property="password")))
    tenant.wait_synced("app")

    assert {"p": canary("before")} == tenant.values("app")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(
            {"caBundle": None}, "the certificate of the API server at", id="authority-that-is-not-given"
        ),
        pytest.param(
            {"url": "https://127.0.0.1:1"}, "cannot be reached, or ended", id="nobody-answers-there"
        ),
        pytest.param(
            {"url": "https://other.example.invalid"}, "cannot be resolved", id="name-that-there-is-not"
        ),
        pytest.param(
            {"url": "https://169.254.169.254"}, "the cloud metadata service", id="address-that-is-refused"
        ),
        pytest.param({"url": "http://127.0.0.1:1"}, "must begin with https://", id="without-tls"),
    ],
)
def test_server_that_cannot_be_asked_is_told(
    *,
    tenant: Tenant,
    servers_operator: OperatorProcess,
    other: Other,
    source: Source,
    change: Object,
    why: str,
) -> None:
    block = login(tenant, other, source, "token")
    block["server"] = {k: v for k, v in (block["server"] | change).items() if v is not None}
    tenant.create(kubernetes_store(source, controller="servers", **block))

    tenant.wait_told("store", "InvalidProviderConfig", names.SECRET_STORE, holding=why)


def test_token_that_the_cluster_does_not_know_is_told(
    tenant: Tenant, servers_operator: OperatorProcess, other: Other, source: Source
) -> None:
    tenant.create(secret("login", {"token": canary("foreign-token")}))
    auth = {"token": {"bearerToken": {"name": "login", "key": "token"}}}
    tenant.create(kubernetes_store(source, controller="servers", server=other.server, auth=auth))

    tenant.wait_told(
        "store",
        "InvalidProviderConfig",
        names.SECRET_STORE,
        holding="does not accept the credentials (status 401)",
    )


def test_new_token_in_the_secret_is_a_new_login(
    tenant: Tenant, servers_operator: OperatorProcess, other: Other, source: Source
) -> None:
    block = login(tenant, other, source, "token")
    good = tenant.values("login")["token"]
    tenant.set_data("login", {"token": f"no-token-{secrets.token_hex(4)}"})
    tenant.create(kubernetes_store(source, controller="servers", **block))
    tenant.create(external_secret("app", entry("p", "db", property="password"), refreshInterval="1h0m0s"))
    tenant.wait_failed("app", "is not ready")
    tenant.set_data("login", {"token": good})

    tenant.wait_values("app", {"p": canary("before")})


@pytest.mark.restless
def test_cluster_that_goes_away_leaves_the_last_good_secret_and_is_taken_up_again(
    tenant: Tenant, servers_operator: OperatorProcess, other: Other, source: Source
) -> None:
    """The other control plane ends in it, and comes back."""
    block = login(tenant, other, source, "token")
    tenant.create(kubernetes_store(source, controller="servers", **block))
    tenant.create(external_secret("app", entry("p", "db", property="password"), refreshInterval="1h0m0s"))
    tenant.wait_synced("app")
    other.cluster.stop_apiserver(kill=True)
    tenant.annotate(names.EXTERNAL_SECRET, "app", {"force-sync": "1"})
    tenant.wait_failed("app", "cannot be reached, or ended the connection")
    assert {"p": canary("before")} == tenant.values("app")
    other.cluster.start_apiserver()
    source.set_data("db", {"password": canary("after")})

    tenant.wait_values("app", {"p": canary("after")})
