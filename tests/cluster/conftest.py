"""One real control plane for the session, one AWS, one operator; a namespace for each test.

    def test_something(kube: KubeClient, namespace: str, operator: OperatorProcess) -> None: ...

All three are shared. A test that disturbs one of them starts its own: `LocalCluster.start()`, or
`private_operator(...)`, which serves the test's namespace alone under a controller class of its own (name
that class in its stores' `spec.controller`, so that the shared operator leaves them alone).

Everything that the session's operators logged, wrote as status or event, or showed as a metric is
searched for canaries at the end: a test puts its secret values into stores as `canary("name")`.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.azurefixtures import azure, azure_app, azure_operator, running_azure  # noqa: F401 - fixtures
from tests.cluster.servers import Servers
from tests.vaultfixtures import build_if_needed, postgres, started_vault, vault_proxy  # noqa: F401 - fixtures

from keyferry.errors import KubeError, KubeNotFound
from keyferry.localcluster import LocalCluster, Silent, StreamProgress, binaries
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.aws import Administrator, StrictAws
from keyferry.testing.awstenant import AWSTenant
from keyferry.testing.calm import assert_calm
from keyferry.testing.definitions import wait_served
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import LeakDetector
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant
from keyferry.testing.vault import VaultServer

ROOT = Path(__file__).resolve().parents[2]
GROUP = "external-secrets.io/v1"
GENERATORS_GROUP = "generators.external-secrets.io/v1alpha1"
KINDS = ("externalsecrets", "secretstores")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before any test's clock runs: the first time takes minutes."""
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    with_helm = any("helm" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            import sys

            binaries.obtain(StreamProgress(sys.stderr))
            if with_helm:
                binaries.obtain_helm(StreamProgress(sys.stderr))
    build_if_needed(session)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The control plane that the session's tests share."""
    with LocalCluster.start() as running:
        yield running


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm of the pinned version."""
    return binaries.obtain_helm(Silent())


@pytest.fixture(scope="session")
def kube(cluster: LocalCluster) -> KubeClient:
    """The administrator's client."""
    return KubeClient(cluster.server, cluster.ca_pem, cluster.token)


@pytest.fixture(scope="session")
def installed(cluster: LocalCluster, kube: KubeClient) -> None:
    """CRDs, admission policies and RBAC, as the repository ships them."""
    for folder in ("crds", "deploy/admission"):
        cluster.kubectl("apply", "-f", str(ROOT / folder))
    cluster.kubectl("apply", "-f", str(ROOT / "deploy/rbac/rbac.yaml"))
    wait_served(kube)


@pytest.fixture(scope="session")
def leaks() -> Iterator[LeakDetector]:
    """The session's leak detector. Its findings fail the session's last test."""
    detector = LeakDetector()
    yield detector
    assert [str(finding) for finding in detector.findings] == []


@pytest.fixture(scope="session")
def aws(cluster: LocalCluster) -> Iterator[StrictAws]:
    """A strict AWS that trusts the cluster's ServiceAccount tokens. Faults are cleared after each test."""
    with StrictAws() as running:
        running.administrator().trust_cluster(cluster.issuer, cluster.ca_pem)
        yield running


@pytest.fixture(scope="session")
def administrator(aws: StrictAws, cluster: LocalCluster) -> Administrator:
    """One who may do everything in AWS, and has it trust the cluster."""
    administrator = aws.administrator()
    administrator.trust_cluster(cluster.issuer, cluster.ca_pem)
    return administrator


@pytest.fixture(scope="session")
def vault(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """A real Vault that trusts the cluster: `auth/kubernetes` asks its API server, `auth/jwt` its keys.

    See `tests.vaultfixtures` and `keyferry.testing.vault` for how to use it; `vault_proxy` and `postgres` go with it.
    """
    with started_vault(tmp_path_factory) as running:
        running.administrator.trust_cluster(cluster)
        running.administrator.trust_issuer(cluster.issuer, cluster.ca_pem)
        yield running


@pytest.fixture
def clean_aws(aws: StrictAws) -> Iterator[StrictAws]:
    """The AWS for a test that orders faults: they end with it."""
    aws.control.reset_calls()
    yield aws
    aws.control.clear_faults()
    aws.control.outage("none")


@pytest.fixture(scope="session")
def operator_kubeconfig(cluster: LocalCluster, installed: None) -> Path:
    """Who the operator is: its ServiceAccount with the RBAC that it ships with, and nothing more."""
    return cluster.service_account_kubeconfig("keyferry", "keyferry")


@pytest.fixture(scope="session")
def running() -> list[OperatorProcess]:
    """The operators that run now."""
    return []


@pytest.fixture(scope="session")
def operator(
    operator_kubeconfig: Path, aws: StrictAws, leaks: LeakDetector, running: list[OperatorProcess]
) -> Iterator[OperatorProcess]:
    """The operator that serves all namespaces, for tests that do not disturb it."""
    process = OperatorProcess(operator_kubeconfig, aws.environment, ["--loglevel=debug"])
    with process.start():
        running.append(process)
        yield process
        running.remove(process)
        leaks.look("metrics of the shared operator", process.metrics())
    leaks.look("log of the shared operator", process.log)
    assert "a bug in Keyferry" not in process.log


@pytest.fixture
def nobody_else(running: list[OperatorProcess]) -> Iterator[None]:
    """The operators that run already stand still: for tests of objects that they would serve, too."""
    still = list(running)
    for process in still:
        process.signal(signal.SIGSTOP)
    yield
    for process in still:
        process.signal(signal.SIGCONT)


@pytest.fixture
def private_operator(
    operator_kubeconfig: Path,
    aws: StrictAws,
    namespace: str,
    leaks: LeakDetector,
    running: list[OperatorProcess],
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators of the test's own; they end with it.

    `private_operator(*flags, kubeconfig=…, environment=…, wait=…)`: class `private`, this namespace only.
    """
    started: list[OperatorProcess] = []

    def start(
        *flags: str,
        kubeconfig: Path | None = None,
        environment: dict[str, str] | None = None,
        wait: bool = True,
    ) -> OperatorProcess:
        own = ["--controller-class=private", f"--namespace={namespace}", "--loglevel=debug"]
        process = OperatorProcess(
            kubeconfig or operator_kubeconfig, aws.environment | (environment or {}), [*own, *flags]
        )
        started.append(process)
        running.append(process)
        return process.start(wait=wait)

    yield start
    for process in started:
        running.remove(process)
        if process.exit_code is None:
            process.stop()
        leaks.look(f"log of a private operator in {namespace}", process.log)
        assert "a bug in Keyferry" not in process.log


@pytest.fixture(scope="module")
def servers_operator(
    operator_kubeconfig: Path, aws: StrictAws, leaks: LeakDetector, running: list[OperatorProcess]
) -> Iterator[OperatorProcess]:
    """The operator of class `servers`, for generators whose servers are on this machine.

    Only while a module uses it: objects that name no class are everybody's.
    """
    flags = ["--allow-address=127.0.0.1", "--generator-gc-grace-period=2s", "--loglevel=debug"]
    process = OperatorProcess(operator_kubeconfig, aws.environment, ["--controller-class=servers", *flags])
    with process.start():
        running.append(process)
        yield process
        running.remove(process)
    leaks.look("log of the operator of class servers", process.log)
    assert "a bug in Keyferry" not in process.log


@pytest.fixture(scope="session")
def app_key() -> rsa.RSAPrivateKey:
    """The key of a GitHub App."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def servers(tenant: Tenant, cluster: LocalCluster, app_key: rsa.RSAPrivateKey) -> Iterator[Servers]:
    """GitHub, GitLab and Quay, for objects of class `servers`."""
    with Servers(tenant, cluster, app_key) as made:
        yield made


@pytest.fixture
def api_proxy(cluster: LocalCluster) -> Iterator[ApiProxy]:
    """A way to the API server that counts, delays and cuts what goes through it."""
    with ApiProxy(cluster.server, tls=ssl.create_default_context(cadata=cluster.ca_pem)) as running:
        yield running


@pytest.fixture
def proxied_kubeconfig(api_proxy: ApiProxy, operator_kubeconfig: Path, tmp_path: Path) -> Path:
    """The operator's identity, by way of the proxy."""
    return through(api_proxy, operator_kubeconfig, tmp_path / "kubeconfig")


def through(proxy: ApiProxy, kubeconfig: Path, path: Path) -> Path:
    """A kubeconfig that says the same, and goes by way of the proxy."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": proxy.url}
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def namespace(kube: KubeClient, request: pytest.FixtureRequest, leaks: LeakDetector) -> Iterator[str]:
    """A namespace of the test's own; deleted afterwards, without waiting for its end."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    name = f"{words}-{secrets.token_hex(3)}"
    kube.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    look_for_leaks(kube, leaks, name)
    with contextlib.suppress(KubeNotFound):  # a test may have done so
        kube.delete(path_of("v1", "namespaces", name=name))


@pytest.fixture
def tenant(kube: KubeClient, namespace: str) -> Tenant:
    """One who works in the test's namespace."""
    return Tenant(kube, namespace)


@pytest.fixture(autouse=True)
def second_look(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test: a second look at an unchanged world makes no write at all."""
    names = set(request.fixturenames)
    ours = "tenant" in names and bool(
        names & {"operator", "private_operator", "servers_operator", "azure_operator"}
    )
    if not ours or request.node.get_closest_marker("restless"):
        yield
        return
    # Asked for here, so that the operators still run and the namespace still exists when this ends.
    for name in ("tenant", "private_operator", "servers_operator", "azure_operator", "operator"):
        if name in names:
            request.getfixturevalue(name)
    tenant: Tenant = request.getfixturevalue("tenant")
    yield
    if request.node.stash.get(PASSED, False):
        assert_calm(tenant, request.getfixturevalue("running"))


PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture
def app(tenant: Tenant, clean_aws: StrictAws, administrator: Administrator) -> AWSTenant:
    """One who works in the test's namespace and has an identity at AWS. The call log begins with the test."""
    return AWSTenant(tenant, clean_aws, administrator)


@pytest.fixture
def shared_store(tenant: Tenant, leaks: LeakDetector) -> Iterator[str]:
    """The name of a ClusterSecretStore, for the test to create; deleted afterwards."""
    name = f"shared-{secrets.token_hex(4)}"
    yield name
    found = tenant.find("ClusterSecretStore", name)
    if found is not None:
        leaks.look(f"status of ClusterSecretStore {name}", found.get("status") or {})
        tenant.delete("ClusterSecretStore", name)


def look_for_leaks(kube: KubeClient, leaks: LeakDetector, namespace: str) -> None:
    """Search what the operator says of the namespace's objects: statuses, events, metadata of Secrets."""
    for event in kube.list(path_of("v1", "events", namespace=namespace)):
        leaks.look(f"event in {namespace}", event)
    for plural in KINDS:
        for thing in _listed(kube, plural, namespace):
            leaks.look(
                f"status of {plural} {thing['metadata']['name']} in {namespace}", thing.get("status") or {}
            )
    for state in _listed(kube, "generatorstates", namespace, GENERATORS_GROUP):
        leaks.look(f"GeneratorState {state['metadata']['name']} in {namespace}", state)
    for secret in kube.list(path_of("v1", "secrets", namespace=namespace)):
        leaks.look(f"metadata of Secret {secret['metadata']['name']} in {namespace}", secret["metadata"])


def _listed(kube: KubeClient, plural: str, namespace: str, group: str = GROUP) -> list[dict[str, Any]]:
    try:
        return list(kube.list(path_of(group, plural, namespace=namespace)))
    except KubeError:  # the kinds are not installed in every session
        return []
