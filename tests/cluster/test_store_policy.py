"""StorePolicies: which remote keys of a ClusterSecretStore a namespace gets, and that nothing else is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.aws import Fault
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import (
    cluster_store,
    entry,
    external_secret,
    extract,
    find,
    rule,
    secret,
    store,
    store_policy,
)
from keyferry.testing.kubeclient import KubeClient, Object
from keyferry.testing.leaks import LeakDetector, canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, soon

OWN, OTHER, SHARED = canary("own"), canary("other"), canary("shared")


class Limits:
    """A ClusterSecretStore of the test's, and the policies about it.

    Args:
        tenant: who uses it.
        store: its name.
    """

    def __init__(self, tenant: Tenant, store: str) -> None:
        self.tenant = tenant
        self.store = store
        self.made: set[str] = set()

    def set(self, *rules: Object, name: str = "policy", **changes: Any) -> Object:
        """Create or replace a policy about the store, and wait until its status speaks of it."""
        made = store_policy(f"{name}-{self.store}", *rules, stores=[self.store])
        called = made["metadata"]["name"]
        made["spec"] |= changes
        path = self.tenant.path("StorePolicy", called)
        if called in self.made:
            self.tenant.kube.patch(
                path, [{"op": "replace", "path": "/spec", "value": made["spec"]}], kind="json"
            )
        else:
            self.tenant.create(made)
            self.made.add(called)
        return made

    def wait(self, reason: str = "Valid", holding: str = "", name: str = "policy") -> Object:
        """Wait for the policy's condition."""
        return self.tenant.wait_told(f"{name}-{self.store}", reason, "StorePolicy", holding)

    def remove(self, name: str = "policy") -> None:
        """Delete a policy."""
        self.made.discard(f"{name}-{self.store}")
        self.tenant.delete("StorePolicy", f"{name}-{self.store}")

    def secret(self, name: str, *entries: Object, **fields: Any) -> None:
        """Create an ExternalSecret that uses the store."""
        self.tenant.create(external_secret(name, *entries, store=cluster_store(self.store), **fields))


@pytest.fixture
def limits(tenant: Tenant, shared_store: str, leaks: LeakDetector) -> Iterator[Limits]:
    """The test's own store and policies; deleted afterwards."""
    made = Limits(tenant, shared_store)
    yield made
    for name in made.made:
        leaks.look(f"StorePolicy {name}", tenant.find("StorePolicy", name) or {})
        tenant.delete("StorePolicy", name)


@pytest.fixture
def own(tenant: Tenant) -> str:
    """The key of the namespace's own remote secret."""
    return f"{tenant.namespace}/db"


def fake(limits: Limits, **values: str) -> None:
    made = {f"{limits.tenant.namespace}/db": OWN, "elsewhere/db": OTHER, "shared/ca": SHARED} | values
    limits.tenant.create(store(made, name=limits.store, cluster=True))


def test_namespace_gets_what_a_rule_lets_in_and_nothing_else(
    limits: Limits, tenant: Tenant, operator: OperatorProcess, own: str
) -> None:
    fake(limits)
    limits.set(rule("{namespace}/**"), rule("shared/*"))
    limits.wait(holding="limits 1 ClusterSecretStore")
    limits.secret("mine", entry("v", own), entry("ca", "shared/ca"))
    limits.secret("theirs", entry("mine", own), entry("v", "elsewhere/db"))
    limits.secret("all-of-theirs", extract("elsewhere/db"))
    limits.secret("tags-of-theirs", entry("v", "elsewhere/db", metadataPolicy="Fetch"))
    beside = entry("v", "elsewhere/db", store=cluster_store(limits.store))
    tenant.create(store({"a": OWN}), external_secret("beside", entry("a", "a"), beside))

    tenant.wait_values("mine", {"v": OWN, "ca": SHARED})
    for name in ("theirs", "all-of-theirs", "tags-of-theirs", "beside"):
        told = tenant.wait_failed(name, 'remote key "elsewhere/db" is not let in')["status"]["conditions"][0]
        said = (
            f'for namespace "{tenant.namespace}" by StorePolicy "policy-{limits.store}". Let in is what fits '
            f'"{tenant.namespace}/**", "shared/*"; ask the policy\'s owner for a rule for this namespace with a key '
            'pattern "elsewhere/db" or wider'
        )
        assert said in told["message"]
        assert tenant.find("Secret", name) is None


def test_store_that_no_policy_selects_lets_in_everything(
    limits: Limits, tenant: Tenant, operator: OperatorProcess
) -> None:
    fake(limits)
    limits.set(rule("nothing"), storeRefs=[{"name": f"not-{limits.store}"}])
    limits.wait(holding="selects no ClusterSecretStore")
    limits.secret("any", entry("v", "elsewhere/db"))

    tenant.wait_values("any", {"v": OTHER})


def test_edited_policy_counts_at_once_and_the_last_good_secret_stays(
    limits: Limits, tenant: Tenant, operator: OperatorProcess, own: str
) -> None:
    """Nothing is due for an hour: those concerned are woken, and those for whom nothing changes are not."""
    fake(limits)
    limits.set(rule("{namespace}/**"))
    limits.secret("mine", entry("v", own))
    limits.secret("late", entry("v", "elsewhere/db"))
    tenant.wait_synced("mine")
    tenant.wait_failed("late", "is not let in")
    calls = tenant.sync_calls(operator, "mine")

    limits.set(rule("{namespace}/**"), rule("others/**", namespaces=["others"]))
    limits.wait()
    assert calls == tenant.sync_calls(operator, "mine")

    limits.set(rule("elsewhere/*"))
    tenant.wait_failed("mine", "is not let in")
    tenant.wait_values("late", {"v": OTHER})
    assert {"v": OWN} == tenant.values("mine")

    limits.set()
    tenant.wait_failed("late", "ask the policy's owner for a rule for this namespace")
    assert {"v": OTHER} == tenant.values("late")

    limits.remove()
    tenant.wait_synced("mine")
    tenant.wait_synced("late")


def test_what_any_policy_lets_in_is_let_in(
    limits: Limits, tenant: Tenant, operator: OperatorProcess, own: str
) -> None:
    """One that cannot be used takes nothing from the others, and its cause is told to those who are denied."""
    fake(limits)
    limits.set(rule("{namespace}/**"))
    limits.set(rule("shared/*"), name="second")
    wants = {"matchExpressions": [{"key": "team", "operator": "Wants", "values": ["a"]}]}
    limits.set(rule("elsewhere/**"), rule("**", namespaceSelector=wants), name="third")
    limits.secret("allowed", entry("v", own), entry("ca", "shared/ca"))
    limits.secret("denied", entry("v", "elsewhere/db"))

    tenant.wait_values("allowed", {"v": OWN, "ca": SHARED})
    problem = "spec.rules[1].namespaceSelector: a label selector has the unknown operator 'Wants'"
    tenant.wait_failed("denied", f'"third-{limits.store}" cannot be used and lets nothing in: {problem}')
    limits.wait("InvalidPolicy", problem, name="third")
    assert ("False", 1) == (
        tenant.ready(f"third-{limits.store}", "StorePolicy")["status"],
        tenant.get("StorePolicy", f"third-{limits.store}")["status"]["stores"],
    )

    limits.set(rule("elsewhere/**"), name="third")
    tenant.wait_values("denied", {"v": OTHER})
    limits.wait(name="third")


def test_labels_of_the_namespace_decide_and_are_followed(
    limits: Limits, tenant: Tenant, operator: OperatorProcess
) -> None:
    fake(limits, **{"teams/red/db": OWN})
    limits.set(
        rule("teams/{label:example.com/team}/*"),
        rule("shared/*", namespaceSelector={"matchLabels": {"tls": "yes"}}),
    )
    limits.secret("red", entry("v", "teams/red/db"))
    limits.secret("tls", entry("v", "shared/ca"))
    tenant.wait_failed("red", 'no value of the label in "teams/{label:example.com/team}/*"')
    tenant.wait_failed("tls")

    namespace = f"/api/v1/namespaces/{tenant.namespace}"
    tenant.kube.patch(namespace, {"metadata": {"labels": {"example.com/team": "red", "tls": "yes"}}})
    tenant.wait_values("red", {"v": OWN})
    tenant.wait_values("tls", {"v": SHARED})

    tenant.kube.patch(namespace, {"metadata": {"labels": {"example.com/team": "blue"}}})
    tenant.wait_failed("red", '"teams/blue/*"')
    assert {"v": OWN} == tenant.values("red")


def test_stores_are_selected_by_labels_too(limits: Limits, tenant: Tenant, operator: OperatorProcess) -> None:
    """A store's labels do not change its generation: they are followed all the same."""
    fake(limits)
    label = f"example.com/{limits.store}"
    limits.set(storeRefs=[{"labelSelector": {"matchLabels": {label: "limited"}}}])
    limits.secret("any", entry("v", "elsewhere/db"))
    tenant.wait_synced("any")

    tenant.label("ClusterSecretStore", limits.store, {label: "limited"})
    tenant.wait_failed("any", "is not let in")
    limits.wait(holding="limits 1 ClusterSecretStore")

    tenant.label("ClusterSecretStore", limits.store, {label: None})
    tenant.wait_synced("any")
    limits.wait(holding="selects no ClusterSecretStore")


# -- before any call


@pytest.fixture
def shared_aws(app: AWSTenant, limits: Limits) -> AWSTenant:
    """The store reads AWS as a user who may read and find everything below the namespace."""
    policy = app.administrator.read_policy([app.key("*")], find=True)
    made = app.administrator.create_user(f"{app.namespace}-shared", policy=policy)
    app.tenant.create(
        secret("aws-keys", {"id": made.access_key_id, "secret": made.secret_access_key}),
        app.store(name=limits.store, cluster=True, auth=app.key_auth(namespace=app.namespace)),
    )
    app.tenant.wait_told(limits.store, "Valid", "ClusterSecretStore")
    app._aws.control.reset_calls()
    return app


def test_what_is_not_let_in_is_not_asked_for(
    shared_aws: AWSTenant, limits: Limits, operator: OperatorProcess
) -> None:
    """Of an object with one entry that is let in and one that is not, neither is read; nor is an absent one."""
    app = shared_aws
    app.put("a/db", OWN)
    app.put("b/db", OTHER)
    limits.set(rule(app.key("a/*")))
    limits.wait(holding="limits 1")
    limits.secret("both", entry("a", app.key("a/db")), entry("b", app.key("b/db")))
    limits.secret("absent", entry("v", app.key("b/absent")), target={"deletionPolicy": "Delete"})
    limits.secret("dots", entry("v", app.key("a/../b/db")))
    limits.secret("by-arn", entry("v", f"arn:aws:secretsmanager:eu-central-1:1:secret:{app.key('a/db')}"))
    limits.secret("search", find("."), target={"name": "searched"})
    for name in ("both", "absent", "dots", "by-arn"):
        app.tenant.wait_failed(name, "is not let in")
    app.tenant.wait_values("searched", {app.key("a/db").replace("/", "_"): OWN})

    assert {app.key("a/db")} == {key for call in app.reads() for key in call.secret_ids}
    limits.set(rule(app.key("other/*"), namespaces=["others"]))
    for name in ("both", "absent", "dots", "by-arn", "search"):
        app.tenant.wait_failed(name, "let in for namespace")
    app._aws.control.reset_calls()
    operator.look_again()
    app.tenant.wait_failed("search", "nothing is let in")
    assert [] == [call.action for call in app.calls() if call.service == "secretsmanager"]


def test_kept_answers_are_not_handed_to_those_who_are_not_let_in(
    shared_aws: AWSTenant, limits: Limits, operator: OperatorProcess, kube: KubeClient
) -> None:
    """Two namespaces ask at the same moment for the same key, which one of them may have."""
    app = shared_aws
    app.put("db", OWN)
    neighbour = Tenant(kube, f"{app.namespace}-n"[:63])
    kube.post("/api/v1/namespaces", {"metadata": {"name": neighbour.namespace}})
    limits.set(rule(app.key("db"), namespaces=[app.namespace]))
    limits.wait(holding="limits 1")
    for number in range(5):
        limits.secret(f"mine-{number}", entry("v", app.key("db")))
        neighbour.create(
            external_secret(f"theirs-{number}", entry("v", app.key("db")), store=cluster_store(limits.store))
        )

    for number in range(5):
        app.tenant.wait_values(f"mine-{number}", {"v": OWN})
        neighbour.wait_failed(f"theirs-{number}", "is not let in")
        assert neighbour.find("Secret", f"theirs-{number}") is None
    kube.delete(f"/api/v1/namespaces/{neighbour.namespace}")


def test_answer_that_comes_after_a_denial_is_not_written(
    shared_aws: AWSTenant, limits: Limits, operator: OperatorProcess
) -> None:
    """A store that is slow enough for somebody to take the right away meanwhile."""
    app = shared_aws
    app.put("db", OWN)
    limits.set(rule("**"))
    limits.wait(holding="limits 1")
    held = app._aws.control.add_fault(Fault(kind="hold", principal=f"*:user/{app.namespace}-shared"))
    limits.secret("db", entry("v", app.key("db")))
    app._aws.control.wait_for_calls_in_flight(1, secret=app.key("db"))

    limits.set()
    limits.wait()
    app._aws.control.remove_fault(held)

    app.tenant.wait_failed("db", "is not let in")
    assert app.tenant.find("Secret", "db") is None


def test_search_gives_what_is_let_in_also_where_it_brings_values_along(
    limits: Limits, tenant: Tenant, operator: OperatorProcess
) -> None:
    """A fake store's search has the values; a rewrite takes the part before the name away."""
    fake(limits, **{"elsewhere/team/db": OTHER})
    limits.set(rule("{namespace}/*"), rule("shared/*"))
    limits.secret(
        "found", find(".", rewrite=[{"regexp": {"source": ".*/", "target": ""}}]), target={"name": "found"}
    )

    tenant.wait_values("found", {"db": OWN, "ca": SHARED})


def test_operator_of_one_namespace_heeds_policies_and_labels(
    limits: Limits, tenant: Tenant, private_operator: Callable[..., OperatorProcess]
) -> None:
    """Nobody tells it of labels: it asks for them, and again after a denial."""
    limits.tenant.create(
        store({"red/db": OWN, "x": OTHER}, name=limits.store, cluster=True, controller="private")
    )
    limits.set(rule("{label:example.com/team}/*"))
    limits.secret("red", entry("v", "red/db"))
    limits.secret("other", entry("v", "x"))
    private_operator()
    tenant.wait_failed("red", "the namespace has no value of the label")
    tenant.wait_failed("other", "is not let in")

    labels = {"metadata": {"labels": {"example.com/team": "red"}}}
    tenant.kube.patch(f"/api/v1/namespaces/{tenant.namespace}", labels)

    tenant.wait_values("red", {"v": OWN})
    assert tenant.find("Secret", "other") is None


# -- closed until known


@pytest.fixture
def behind(
    api_proxy: ApiProxy, proxied_kubeconfig: Any, private_operator: Callable[..., OperatorProcess]
) -> Callable[..., OperatorProcess]:
    """Starts an operator behind the proxy that serves the test's namespace alone."""

    def start(**options: Any) -> OperatorProcess:
        return private_operator(kubeconfig=proxied_kubeconfig, **options)

    return start


@pytest.mark.restless
def test_after_a_start_nothing_is_read_before_policies_are_known(
    limits: Limits, tenant: Tenant, api_proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    limits.tenant.create(
        store({"elsewhere/db": OTHER}, name=limits.store, cluster=True, controller="private")
    )
    limits.set(rule("{namespace}/**"))
    limits.secret("theirs", entry("v", "elsewhere/db"))
    tenant.create(store({"a": OWN}, controller="private"), external_secret("local", entry("v", "a")))
    held = api_proxy.hold(resource="storepolicies", verb="list")

    behind(wait=False)
    api_proxy.wait_for_requests(1, resource="storepolicies", verb="list")
    tenant.wait_values("local", {"v": OWN})
    tenant.wait_failed("theirs", "no ClusterSecretStore is read before the StorePolicies are known")
    assert tenant.find("Secret", "theirs") is None

    api_proxy.remove(held)
    tenant.wait_failed("theirs", 'remote key "elsewhere/db" is not let in')
    assert tenant.find("Secret", "theirs") is None


@pytest.mark.restless
def test_who_may_not_list_policies_reads_no_cluster_store(
    limits: Limits, tenant: Tenant, api_proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    """There are none, and that cannot be known. Later the right is taken away again."""
    limits.tenant.create(store({"db": OWN}, name=limits.store, cluster=True, controller="private"))
    limits.secret("early", entry("v", "db"))
    refused = api_proxy.answer(403, resource="storepolicies", message="storepolicies is forbidden: no list")

    operator = behind()
    tenant.wait_failed("early", "storepolicies is forbidden: no list")
    assert "The operator needs list and watch on storepolicies.keyferry.io" in tenant.told("early")[2]
    api_proxy.remove(refused)
    tenant.wait_values("early", {"v": OWN})

    refused = api_proxy.answer(403, resource="storepolicies", message="storepolicies is forbidden: again")
    api_proxy.cut_watches("storepolicies")
    soon(lambda: "StorePolicies may not be read any more" in operator.log)
    limits.secret("late", entry("v", "db"))
    tenant.wait_failed("late", "storepolicies is forbidden: again")
    api_proxy.remove(refused)
    tenant.wait_values("late", {"v": OWN})


@pytest.mark.restless
def test_policy_that_went_while_nobody_watched_is_over(
    limits: Limits, tenant: Tenant, api_proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    limits.tenant.create(store({"db": OWN}, name=limits.store, cluster=True, controller="private"))
    limits.set()
    limits.secret("db", entry("v", "db"))
    behind()
    tenant.wait_failed("db", "is not let in")

    api_proxy.stall_watches("storepolicies")
    limits.remove()
    api_proxy.send_watch_error(410, "storepolicies")
    api_proxy.resume_watches()
    tenant.wait_values("db", {"v": OWN})
