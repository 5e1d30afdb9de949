"""`--namespace` with the RBAC for one namespace: it does all its work there, and asks for nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.servers import Servers, deploy_tokens

from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import cluster_store, entry, external_secret, secret, store
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

ONE, TWO = canary("one"), canary("two")
SCOPED = Path(__file__).parents[2] / "deploy/rbac/scoped.yaml"
NAMESPACED_KINDS = ("Namespace", "ServiceAccount", "Role", "RoleBinding")
StartOperator = Callable[..., OperatorProcess]
Identity = Callable[..., Path]


NO_KEYS = {"id": "AKIAIOSFODNN7EXAMPLE", "secret": "wrong"}  # what AWS's documentation calls its example


@pytest.fixture
def elsewhere_too(kube: KubeClient, tenant: Tenant) -> Iterator[Tenant]:
    """One who works in another namespace, which the operator does not serve."""
    other = Tenant(kube, f"{tenant.namespace}-2"[-63:].lstrip("-"))
    kube.post("/api/v1/namespaces", {"metadata": {"name": other.namespace}})
    yield other
    kube.delete(path_of("v1", "namespaces", name=other.namespace))


@pytest.fixture
def identity(
    cluster: LocalCluster, api_proxy: ApiProxy, tenant: Tenant, tmp_path: Path
) -> Iterator[Identity]:
    """Makes what the shipped file makes, in the test's namespace; a kubeconfig of its ServiceAccount, by the proxy."""
    namespace = tenant.namespace
    documents = list(yaml.safe_load_all(SCOPED.read_text().replace("team-a", namespace)))

    def make(*, cluster_stores: bool) -> Path:
        chosen = [one for one in documents if cluster_stores or one["kind"] in NAMESPACED_KINDS]
        cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(chosen))
        config = yaml.safe_load(cluster.service_account_kubeconfig(namespace, "keyferry").read_text())
        config["clusters"][0]["cluster"] = {"server": api_proxy.url}
        path = tmp_path / "scoped"
        path.write_text(yaml.safe_dump(config))
        return path

    yield make
    for plural in ("clusterroles", "clusterrolebindings"):
        path = path_of("rbac.authorization.k8s.io/v1", plural, name=f"keyferry-{namespace}-stores")
        if tenant.kube.find(path) is not None:
            tenant.kube.delete(path)


def refused(proxy: ApiProxy) -> list[str]:
    return [f"{one.request.verb} {one.request.path}" for one in proxy.requests() if one.status in (401, 403)]


def elsewhere(proxy: ApiProxy, namespace: str) -> set[str]:
    """What was asked of anything that is not in the namespace, but for what there is (discovery)."""
    asked = {one.request for one in proxy.requests()}
    return {
        f"{one.verb} {one.resource}"
        for one in asked
        if one.resource
        and one.namespace != namespace
        and not (one.resource == "namespaces" and one.name == namespace)
    }


def test_operator_of_one_namespace_does_all_its_work_with_the_rbac_that_it_ships_with(
    tenant: Tenant,
    private_operator: StartOperator,
    identity: Identity,
    api_proxy: ApiProxy,
    shared_store: str,
) -> None:
    namespace = tenant.namespace
    conditions = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}]
    tenant.create(
        store({"db": ONE}, controller="private"),
        store({"db": TWO}, name=shared_store, cluster=True, controller="private", conditions=conditions),
        external_secret("app", entry("v", "db"), refreshInterval="300ms"),
        external_secret("shared", entry("v", "db"), store=cluster_store(shared_store)),
        external_secret(
            "gone", entry("v", "db"), target={"deletionPolicy": "Delete"}, refreshInterval="300ms"
        ),
    )
    operator = private_operator(kubeconfig=identity(cluster_stores=True))
    for name in ("app", "shared", "gone"):
        tenant.wait_synced(name)
    tenant.delete("Secret", "app")
    tenant.wait_values("app", {"v": ONE})
    tenant.set_store(store({"other": ONE}, controller="private"))
    tenant.wait_told("gone", "SecretDeleted")
    tenant.wait_failed("app")
    tenant.wait_event("ExternalSecret", "app", "UpdateFailed")
    tenant.set_store(store({"db": TWO}, controller="private"))
    tenant.wait_values("app", {"v": TWO})
    tenant.wait_told(shared_store, "Valid", kind="ClusterSecretStore")
    operator.stop()

    assert refused(api_proxy) == []
    verbs = {"list clustersecretstores", "watch clustersecretstores", "update clustersecretstores/status"}
    policies = {"list storepolicies", "watch storepolicies"}
    assert elsewhere(api_proxy, namespace) <= verbs | policies | {"get clustersecretstores"}
    assert tenant.values("shared") == {"v": TWO}


def test_operator_of_one_namespace_needs_no_cluster_role_without_cluster_stores(
    tenant: Tenant, private_operator: StartOperator, identity: Identity, api_proxy: ApiProxy
) -> None:
    kubeconfig = identity(cluster_stores=False)
    tenant.create(store({"db": ONE}, controller="private"), external_secret("app", entry("v", "db")))
    operator = private_operator("--enable-cluster-store-reconciler=false", kubeconfig=kubeconfig)
    tenant.wait_synced("app")
    operator.stop()

    assert refused(api_proxy) == []
    assert elsewhere(api_proxy, tenant.namespace) == set()


def test_operator_of_one_namespace_generates_and_takes_back(
    *,
    tenant: Tenant,
    servers: Servers,
    private_operator: StartOperator,
    identity: Identity,
    api_proxy: ApiProxy,
) -> None:
    kubeconfig = identity(cluster_stores=False)
    operator = private_operator(
        "--enable-cluster-store-reconciler=false",
        "--allow-address=127.0.0.1",
        "--generator-gc-grace-period=1s",
        kubeconfig=kubeconfig,
    )
    deploy_tokens(servers, controller="private")
    tenant.delete("Secret", "app")
    servers.wait_tokens(2)
    servers.gitlab.fail(status=500)
    tenant.delete("ExternalSecret", "app")
    servers.wait_tokens()
    servers.wait_states(0)
    operator.stop()

    assert refused(api_proxy) == []
    assert elsewhere(api_proxy, tenant.namespace) == set()


def test_operator_of_one_namespace_leaves_the_others_alone(
    tenant: Tenant, private_operator: StartOperator, elsewhere_too: Tenant
) -> None:
    private_operator()
    for one in (elsewhere_too, tenant):
        one.create(store({"db": ONE}, controller="private"), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    tenant.delete("Secret", "app")
    tenant.wait_values("app", {"v": ONE})

    assert "status" not in elsewhere_too.get("SecretStore", "store")
    assert elsewhere_too.find("Secret", "app") is None


def test_relabelled_namespace_is_let_in_though_nobody_watches_namespaces(
    tenant: Tenant, private_operator: StartOperator, shared_store: str
) -> None:
    conditions = [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]
    tenant.create(
        store({"db": ONE}, name=shared_store, cluster=True, controller="private", conditions=conditions),
        external_secret("app", entry("v", "db"), store=cluster_store(shared_store), refreshInterval="0"),
    )
    private_operator()
    tenant.wait_failed("app", "denied by spec.condition")
    tenant.kube.patch(
        path_of("v1", "namespaces", name=tenant.namespace), {"metadata": {"labels": {"team": "a"}}}
    )

    tenant.wait_values("app", {"v": ONE})


def test_namespace_whose_labels_cannot_be_read_for_a_while_is_not_denied(
    tenant: Tenant,
    private_operator: StartOperator,
    proxied_kubeconfig: Path,
    api_proxy: ApiProxy,
    shared_store: str,
) -> None:
    labels = {"kubernetes.io/metadata.name": tenant.namespace}
    conditions = [{"namespaceSelector": {"matchLabels": labels}}]
    fault = api_proxy.answer(503, resource="namespaces", verb="get")
    tenant.create(
        store({"db": ONE}, name=shared_store, cluster=True, controller="private", conditions=conditions),
        external_secret("app", entry("v", "db"), store=cluster_store(shared_store)),
    )
    private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_failed("app")
    told = tenant.told("app")
    api_proxy.remove(fault)

    tenant.wait_values("app", {"v": ONE})
    assert "denied" not in told[2]


def test_auth_secret_in_a_namespace_that_nobody_watches_is_read_again(
    app: AWSTenant,
    private_operator: StartOperator,
    elsewhere_too: Tenant,
    shared_store: str,
) -> None:
    remote = app.put("db", ONE)
    good = app.keys()
    elsewhere_too.create(secret("aws-keys", NO_KEYS))
    auth = app.key_auth(namespace=elsewhere_too.namespace)
    app.tenant.create(
        app.store(name=shared_store, cluster=True, controller="private", auth=auth),
        external_secret("app", entry("v", remote), store=cluster_store(shared_store)),
    )
    private_operator("--store-requeue-interval=1s")
    app.tenant.wait_told(shared_store, "InvalidProviderConfig", kind="ClusterSecretStore")
    elsewhere_too.edit("Secret", "aws-keys", {"data": good["data"]})

    app.tenant.wait_told(shared_store, "Valid", kind="ClusterSecretStore")
    app.tenant.wait_values("app", {"v": ONE})


def test_restarted_watches_of_one_namespace_see_what_they_missed(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    tenant.create(store({"db": ONE}, controller="private"), external_secret("old", entry("v", "db")))
    private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_synced("old")
    assert api_proxy.cut_watches() > 0
    tenant.create(external_secret("new", entry("v", "db")))
    tenant.delete("Secret", "old")

    tenant.wait_synced("new")
    eventually(lambda: tenant.values("old") == {"v": ONE})
