"""The control plane behaves as any cluster does, and leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psutil
import pytest

from keyferry.errors import KubeForbidden, KubeUnavailable
from keyferry.localcluster import LocalCluster, LocalClusterError, detached
from keyferry.localcluster.build import is_complete
from keyferry.localcluster.layout import running_pid
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, Object, path_of

OWNER = """
import os, sys
from keyferry.localcluster import LocalCluster

with LocalCluster.start() as cluster:
    print(cluster.data_dir, *cluster.pids.values(), flush=True)
    sys.stdin.readline()
    {then}
"""


class Owner:
    """A Python process that starts a control plane of its own, and what it has started.

    Args:
        then: the statement that ends it, once `end` is called.
    """

    def __init__(self, then: str = "pass") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(then=then)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        data_dir, *pids = self.process.stdout.readline().split()
        self.data_dir = Path(data_dir)
        self.family = [psutil.Process(int(pid)) for pid in pids]

    def left(self) -> list[psutil.Process]:
        """What of it still runs."""
        return [process for process in self.family if runs(process)]

    def end(self) -> str:
        """Let it come to its end; what it says on standard error."""
        return self.process.communicate("\n", timeout=30)[1]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for process in self.left():
            process.kill()
        shutil.rmtree(self.data_dir, ignore_errors=True)


@pytest.fixture
def owner() -> Iterator[Owner]:
    one = Owner()
    yield one
    one.close()


@pytest.fixture
def own_cluster() -> Iterator[LocalCluster]:
    with LocalCluster.start() as running:
        yield running


def runs(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and that nobody has asked for its exit code does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def keyferry(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keyferry", "cluster", *arguments], capture_output=True, text=True, check=False
    )


def config_map(name: str, **metadata: Any) -> Object:
    return {"metadata": {"name": name, **metadata}, "data": {"key": "value"}}


def test_it_starts_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with LocalCluster.start() as cluster:
        took = time.monotonic() - began
        ready = KubeClient(cluster.server, cluster.ca_pem, cluster.token).text("/readyz")
        with capsys.disabled():
            sys.stdout.write(f"\ncontrol plane ready in {took:.1f} s\n")

    assert ready == "ok"


def test_folder_is_private_and_goes_away(own_cluster: LocalCluster) -> None:
    folder = own_cluster.data_dir
    readable_by_others = [
        path.name for path in (folder, own_cluster.kubeconfig) if path.stat().st_mode & 0o077
    ]
    own_cluster.stop()
    own_cluster.stop()  # idempotent

    assert readable_by_others == []
    assert not folder.exists()
    assert detached.processes_of(folder) == []


def test_kubeconfig_works_for_kubectl_and_for_clients_that_read_its_token(cluster: LocalCluster) -> None:
    client = KubeClient.from_kubeconfig(cluster.kubeconfig)
    user = client.post(
        path_of("authentication.k8s.io/v1", "selfsubjectreviews"),
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
    )["status"]["userInfo"]

    assert cluster.kubectl("get", "namespace", "default", "-o", "name") == "namespace/default\n"
    assert "system:masters" in user["groups"]


def test_failing_kubectl_says_what_kubectl_says(cluster: LocalCluster) -> None:
    with pytest.raises(LocalClusterError) as caught:
        cluster.kubectl("get", "secret", "nowhere")

    assert caught.value.message == "kubectl get secret nowhere failed"
    assert caught.value.details == ('Error from server (NotFound): secrets "nowhere" not found',)


def test_anonymous_callers_are_refused(cluster: LocalCluster) -> None:
    anonymous = KubeClient(cluster.server, cluster.ca_pem)

    for path in ("/api/v1/secrets", "/api/v1/namespaces", "/apis/apps/v1/deployments", "/metrics"):
        with pytest.raises(KubeForbidden):
            anonymous.get(path)


def test_service_account_has_only_its_own_rights(
    cluster: LocalCluster, kube: KubeClient, namespace: str
) -> None:
    """RBAC is on: what no Role grants is refused."""
    kube.post(path_of("v1", "serviceaccounts", namespace=namespace), {"metadata": {"name": "reader"}})
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps", "-n", namespace)
    account = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", account, "-n", namespace)
    reader = KubeClient.from_kubeconfig(cluster.service_account_kubeconfig(namespace, "reader"))

    listed = eventually(lambda: reader.list(path_of("v1", "configmaps", namespace=namespace)))

    assert [item["metadata"]["name"] for item in listed] == ["kube-root-ca.crt"]
    with pytest.raises(KubeForbidden):
        reader.list(path_of("v1", "secrets", namespace=namespace))
    with pytest.raises(KubeForbidden):
        reader.list(path_of("v1", "configmaps"))


def test_service_account_tokens_verify_against_the_published_keys(
    cluster: LocalCluster, kube: KubeClient, namespace: str
) -> None:
    """As a cloud's token exchange does it: without a login, from the issuer alone."""
    kube.post(path_of("v1", "serviceaccounts", namespace=namespace), {"metadata": {"name": "app"}})
    token = cluster.service_account_token(namespace, "app", audiences=["sts.amazonaws.com"])

    anonymous = KubeClient(cluster.issuer, cluster.ca_pem)
    discovery = anonymous.get("/.well-known/openid-configuration")
    keys = jwt.PyJWKSet.from_dict(anonymous.get(discovery["jwks_uri"].removeprefix(cluster.issuer)))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience="sts.amazonaws.com", issuer=cluster.issuer)

    assert discovery["issuer"] == cluster.issuer
    assert claims["sub"] == f"system:serviceaccount:{namespace}:app"


def test_objects_go_with_their_owner(kube: KubeClient, namespace: str) -> None:
    configs = path_of("v1", "configmaps", namespace=namespace)
    owner = kube.post(configs, config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    kube.post(configs, config_map("owned", ownerReferences=[reference]))
    kube.post(configs, config_map("free"))
    kube.delete(f"{configs}/owner")

    eventually(lambda: kube.find(f"{configs}/owned") is None)

    assert kube.find(f"{configs}/free") is not None


def test_namespace_deletion_ends_what_is_in_it(kube: KubeClient) -> None:
    kube.post("/api/v1/namespaces", {"metadata": {"name": "going"}})
    secret = {"metadata": {"name": "s"}, "stringData": {"key": "value"}}
    kube.post(path_of("v1", "secrets", namespace="going"), secret)
    kube.delete("/api/v1/namespaces/going")

    eventually(lambda: kube.find("/api/v1/namespaces/going") is None)

    assert kube.list(path_of("v1", "secrets", namespace="going")) == []


def test_deployment_makes_a_replica_set(kube: KubeClient, namespace: str) -> None:
    labels = {"app": "web"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
    }
    deployment = {
        "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    }
    kube.post(path_of("apps/v1", "deployments", namespace=namespace), deployment)

    replica_sets = eventually(lambda: kube.list(path_of("apps/v1", "replicasets", namespace=namespace)))
    pods = eventually(lambda: kube.list(path_of("v1", "pods", namespace=namespace)))

    assert [each["metadata"]["ownerReferences"][0]["name"] for each in replica_sets] == ["web"]
    assert len(pods) == 1


def test_stopped_api_server_refuses_and_comes_back_with_its_data(own_cluster: LocalCluster) -> None:
    kube = KubeClient(own_cluster.server, own_cluster.ca_pem, own_cluster.token)
    path = path_of("v1", "configmaps", namespace="default")
    created = kube.post(path, config_map("kept"))
    before = own_cluster.pids["kube-apiserver"]

    own_cluster.stop_apiserver(kill=True)
    with pytest.raises(KubeUnavailable):
        kube.get(path)
    own_cluster.start_apiserver()

    assert kube.get(f"{path}/kept")["metadata"]["uid"] == created["metadata"]["uid"]
    assert own_cluster.pids["kube-apiserver"] != before


def test_two_control_planes_run_side_by_side(cluster: LocalCluster, own_cluster: LocalCluster) -> None:
    own_cluster.kubectl("create", "namespace", "only-here")

    assert own_cluster.server != cluster.server
    assert "only-here" not in cluster.kubectl("get", "namespaces", "-o", "name")


def test_program_that_does_not_start_is_told_with_the_end_of_its_log() -> None:
    with pytest.raises(LocalClusterError) as caught:
        LocalCluster.start(apiserver_flags=["--no-such-flag"])

    assert caught.value.message == "kube-apiserver ended with code 1"
    assert "unknown flag: --no-such-flag" in " ".join(caught.value.details)


def test_interrupt_ends_everything(owner: Owner) -> None:
    owner.process.send_signal(signal.SIGINT)
    _, said = owner.process.communicate(timeout=30)

    assert said.rstrip().endswith("KeyboardInterrupt")
    assert owner.left() == []
    assert not owner.data_dir.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["sigterm", "kill-9"])
def test_killed_owner_leaves_nothing(owner: Owner, how: signal.Signals) -> None:
    owner.process.send_signal(how)
    owner.process.wait()

    eventually(lambda: not owner.left())
    eventually(lambda: not owner.data_dir.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_killed_keeper_leaves_no_program(owner: Owner) -> None:
    keeper, *programs = owner.family
    keeper.kill()

    eventually(lambda: not any(runs(process) for process in programs))


def test_stop_cleans_up_after_a_killed_keeper(own_cluster: LocalCluster) -> None:
    family = [psutil.Process(pid) for pid in own_cluster.pids.values()]
    family[0].kill()
    own_cluster.stop()

    eventually(lambda: not any(runs(process) for process in family))
    assert not own_cluster.data_dir.exists()


def test_exception_in_the_owner_ends_everything() -> None:
    owner = Owner(then="raise RuntimeError('a bug')")
    said = owner.end()

    assert said.rstrip().endswith("RuntimeError: a bug")
    assert owner.left() == []
    assert not owner.data_dir.exists()


def test_forgotten_stop_ends_everything() -> None:
    """A script that just ends closes our pipe."""
    owner = Owner(then="os._exit(0)")
    owner.end()

    eventually(lambda: not owner.left() and not owner.data_dir.exists())


def test_start_and_stop_from_the_command_line(tmp_path: Path) -> None:
    """Started it runs on, refuses a second start, stops, and continues with its objects at the same address."""
    data = tmp_path / "data"

    first = keyferry("start", "--data", str(data))
    kube = KubeClient.from_kubeconfig(data / "kubeconfig")
    kube.post("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    second = keyferry("start", "--data", str(data))
    stopped = keyferry("stop", "--data", str(data))
    left = (running_pid(data), detached.processes_of(data))
    stopped_again = keyferry("stop", "--data", str(data))
    third = keyferry("start", "--data", str(data))
    kept = KubeClient.from_kubeconfig(data / "kubeconfig").find("/api/v1/namespaces/kept")
    keyferry("stop", "--data", str(data))

    assert (first.returncode, first.stdout) == (0, f"export KUBECONFIG={data / 'kubeconfig'}\n")
    assert second.returncode == 1
    assert f'a control plane already runs in "{data}"' in second.stderr
    assert (stopped.returncode, stopped.stderr) == (0, f"Stopped the control plane in {data}\n")
    assert left == (None, [])
    assert (stopped_again.returncode, stopped_again.stderr) == (0, f"Nothing runs in {data}\n")
    assert third.returncode == 0
    assert kept is not None


def test_stop_touches_no_process_but_its_own(tmp_path: Path) -> None:
    """A process id that a lost lock file names may be anybody's by now."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (tmp_path / "keeper.lock").write_text(f"{stranger.pid}\n")
        stopped = keyferry("stop", "--data", str(tmp_path))
        runs = stranger.poll() is None
        stranger.kill()

    assert stopped.stderr == f"Nothing runs in {tmp_path}\n"
    assert runs


def test_start_refuses_a_folder_with_something_else_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    refused = keyferry("start", "--data", str(tmp_path))

    assert refused.returncode == 1
    assert "holds something else" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_path_prints_the_folder_and_nothing_else() -> None:
    printed = keyferry("path")

    folder = Path(printed.stdout.rstrip("\n"))
    assert (printed.returncode, printed.stderr) == (0, "")
    assert is_complete(folder)
