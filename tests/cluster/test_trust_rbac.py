"""The operator's role: enough for its work, and nothing that it does not use."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from tests.cluster.fan import FOR_FAN_OUT
from tests.cluster.servers import FOR_GENERATORS

from keyferry.api import names
from keyferry.localcluster import LocalCluster
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.builders import (
    cluster_store,
    config_map,
    entry,
    external_secret,
    fake_provider,
    store,
)
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.operator import OperatorProcess

Access = tuple[str, str, str]
"""Group, resource with its subresource, verb."""

ROOT = Path(__file__).resolve().parents[2]
OPERATOR, NOBODY = "system:serviceaccount:keyferry:keyferry", "system:serviceaccount:keyferry:nobody"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
FROM_CONFIG_MAP = {"templateFrom": [{"configMap": {"name": "texts", "items": [{"key": "v"}]}}]}
FOR_ADMISSION = {
    ("external-secrets.io", "externalsecrets/finalizers", "update"),
    ("external-secrets.io", "clusterexternalsecrets/finalizers", "update"),
}
"""Never asked for by a request: an admission plugin looks whether we may (test_trust_bare_cluster.py)."""
FOR_POLICIES = {("keyferry.io", "storepolicies/status", "update")}
"""Whoever comes first writes it: proven where there is one operator (test_store_policy_definition.py)."""


def granted() -> set[Access]:
    """What the shipped ClusterRole grants."""
    documents = yaml.safe_load_all((ROOT / "deploy/rbac/rbac.yaml").read_text())
    (role,) = [one for one in documents if one["kind"] == "ClusterRole"]
    assert [] == [rule for rule in role["rules"] if "nonResourceURLs" in rule]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def served(kube: KubeClient) -> list[tuple[str, str]]:
    """All resources and subresources that the API server serves, with their groups."""
    versions = {"": "/api/v1"}
    for group in kube.get("/apis")["groups"]:
        versions[group["name"]] = f"/apis/{group['preferredVersion']['groupVersion']}"
    return [(group, one["name"]) for group, path in versions.items() for one in kube.get(path)["resources"]]


def test_role_grants_what_it_says_and_nothing_else_is_allowed(
    kube: KubeClient, operator: OperatorProcess
) -> None:
    """Asked of the API server, for every resource that it serves; what everybody may is left out."""
    asked = [(group, resource, verb) for group, resource in served(kube) for verb in VERBS]
    asked += sorted(FOR_ADMISSION)  # of which discovery does not tell
    asked += [("", "users", "impersonate"), ("rbac.authorization.k8s.io", "clusterroles", "escalate")]
    asked += [("rbac.authorization.k8s.io", "clusterroles", "bind"), ("*", "*", "*")]

    def may(user: str, access: Access) -> bool:
        group, resource, verb = access
        resource, _, subresource = resource.partition("/")
        attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
        groups = ["system:serviceaccounts", "system:serviceaccounts:keyferry", "system:authenticated"]
        review = {"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}
        answer = kube.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    with ThreadPoolExecutor(8) as threads:
        ours = list(threads.map(lambda access: may(OPERATOR, access), asked))
        everybodys = list(threads.map(lambda access: may(NOBODY, access), asked))

    allowed = {
        access for access, yes, for_all in zip(asked, ours, everybodys, strict=True) if yes and not for_all
    }
    assert granted() == allowed
    assert len(asked) > 300


# Each verb is used


@pytest.fixture
def watched(cluster: LocalCluster, operator_kubeconfig: Path, aws, leaks, tmp_path) -> Iterator[Callable]:
    """Start operators of a class of their own by way of a proxy, which tells what they asked for."""
    started: list[OperatorProcess] = []
    with ApiProxy(cluster.server, tls=ssl.create_default_context(cadata=cluster.ca_pem)) as proxy:
        config = yaml.safe_load(operator_kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": proxy.url}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))

        def start(*flags: str) -> tuple[OperatorProcess, ApiProxy]:
            process = OperatorProcess(path, aws.environment, ["--controller-class=private", *flags])
            started.append(process)
            return process.start(), proxy

        yield start
        for process in started:
            process.stop()
            leaks.look("log of an operator behind a proxy", process.log)


def used(proxy: ApiProxy) -> set[Access]:
    """What was asked for and not refused."""
    return {
        (_group(one.request.path), one.request.resource, one.request.verb)
        for one in proxy.requests()
        if one.request.resource and one.status not in (401, 403)
    }


def _group(path: str) -> str:
    return path.split("/")[2] if path.startswith("/apis/") else ""


def test_each_verb_of_the_role_is_used(app: AWSTenant, watched: Callable, shared_store: str) -> None:
    """Taking one away would break something: first as an operator for all namespaces, then for one."""
    operator, proxy = watched("--resync-interval=2s")
    app.put("db", "first")
    app.tenant.create(
        app.account(app.role()),
        app.keys(),
        app.store(controller="private"),
        app.store(name="by-keys", controller="private", auth=app.key_auth()),
        store({"gone": "soon"}, name="leaving", controller="private"),
        external_secret("db", entry("v", app.key("db")), refreshInterval="1s"),
        external_secret(  # with what the established operator left, which is taken off
            "by-keys",
            entry("v", app.key("db")),
            store="by-keys",
            metadata={"finalizers": [names.FINALIZER_EXTERNAL_SECRET]},
        ),
        external_secret("leaving", entry("v", "gone"), store="leaving", target={"deletionPolicy": "Delete"}),
        external_secret("early", entry("v", "x"), store="not-there-yet"),
        config_map("texts", {"v": "{{ .v }}"}),
        external_secret("templated", entry("v", app.key("db")), target={"template": FROM_CONFIG_MAP}),
        external_secret(
            "early-shared", entry("v", "x"), store=cluster_store(f"{shared_store}-not-there-yet")
        ),
    )
    app.tenant.wait_values("templated", {"v": "first"})
    for number in (2, 3):  # an event that repeats itself is counted up
        app.tenant.wait_synced("db")
        app.put("db", f"value {number}")
        app.tenant.wait_values("db", {"v": f"value {number}"})
        app.tenant.wait_event("ExternalSecret", "db", "Updated")
    app.tenant.wait_values("leaving", {"v": "soon"})
    proxy.answer(409, resource="externalsecrets/status", times=1)  # somebody else wrote at the same moment
    app.tenant.edit_spec("leaving", "SecretStore", provider=fake_provider({"other": "value"}))
    app.tenant.annotate("ExternalSecret", "leaving", {"refresh": "now"})
    app.tenant.wait_gone("Secret", "leaving")
    app.tenant.wait_told("leaving", "SecretDeleted")
    operator.stop()
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": app.namespace}}}
    shared = store({"x": "y"}, name=shared_store, cluster=True, controller="private", conditions=[selector])
    app.tenant.create(shared, external_secret("selected", entry("v", "x"), store=cluster_store(shared_store)))

    watched(f"--namespace={app.namespace}")
    app.tenant.wait_values("selected", {"v": "y"})

    def are_used() -> bool:
        assert (
            set() == (used(proxy) ^ (granted() - FOR_ADMISSION)) - FOR_FAN_OUT - FOR_GENERATORS - FOR_POLICIES
        )
        return True

    eventually(are_used)
    # Elsewhere namespaces of earlier tests are ending, in which nothing can be created.
    here = [one for one in proxy.requests() if one.request.namespace in ("", app.namespace)]
    assert [] == [one.request for one in here if one.status in (401, 403)]


def test_refused_work_is_told_and_goes_on_when_it_is_granted(
    app: AWSTenant, operator: OperatorProcess, kube: KubeClient
) -> None:
    """A cluster whose owner has taken a right away, and gives it back."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/keyferry"
    role = kube.get(path)
    without = [rule for rule in role["rules"] if "serviceaccounts/token" not in rule["resources"]]
    app.put("db", "value")
    kube.patch(path, {"rules": without})
    try:
        app.tenant.create(
            app.account(app.role()), app.store(), external_secret("db", entry("v", app.key("db")))
        )
        app.tenant.wait_told("store", "InvalidProviderConfig", "SecretStore", "forbidden")
        app.tenant.wait_failed("db", "forbidden")
    finally:
        kube.patch(path, {"rules": role["rules"]})

    app.tenant.wait_values("db", {"v": "value"})


def test_without_its_role_the_operator_waits_and_says_so(
    cluster: LocalCluster, kube: KubeClient, aws, installed: None
) -> None:
    """An operator that is installed before its RBAC: not ready, not dead."""
    path = path_of("v1", "serviceaccounts", namespace="keyferry")
    if kube.find(f"{path}/nobody") is None:
        kube.post(path, {"metadata": {"name": "nobody"}})
    nobody = OperatorProcess(cluster.service_account_kubeconfig("keyferry", "nobody"), aws.environment)

    with nobody.start(wait=False):
        eventually(lambda: "waiting for the API server" in nobody.log)
        assert 503 == nobody.probe("readyz")
        assert nobody.exit_code is None
